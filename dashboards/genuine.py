"""Whether a voucher somebody holds is ours, whole and in force: what the public page says (docs/verifying.md).

Whoever asks must hold the voucher already. A number alone is told nothing, not even whether it exists: what is compared
with our copy must bear one of its signatures or stamps, be it to the byte, or come with the first sixteen digits of its
digest, which stand in the code on the paper.
"""

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.digests import sm3_hex
from core.money import format_yuan
from dashboards.capital import capital_yuan
from dashboards.marks import Judged, Marked, judge_marks, marks_of
from dashboards.masking import mask_account, mask_name, masked
from evidence.models import Entry, EvidenceRoot
from payments.models import PaymentRequest
from seals.models import SealKind
from vouchers.checks import wire_amount
from vouchers.codec import decode_content
from vouchers.messages import EnvelopeBody, VoucherContent
from vouchers.models import InboxMessage, Voucher
from vouchers.schema import Field, voucher_type
from vouchers.states import InboxState, VoucherState
from vouchers.transport import body_of

_CODE = re.compile(
    r"(?P<region>[0-9]{6,9})\.(?P<year>[0-9]{4})\.(?P<kind>[0-9]{4})\.(?P<number>[0-9A-Za-z_-]{1,42})\.(?P<digest>[0-9a-f]{16})"
)
_NOT_IN_FORCE = {VoucherState.VOID, VoucherState.REFUSED, VoucherState.RETURNED}
WORDS = {
    "genuine": ("真实", "与本系统留存的凭证逐字相同，签名和签章均有效。"),
    "void": ("真实，但已失效", "凭证确由本系统开出，但已经作废或被退回，不得据此办理。"),
    "altered": ("不真实", "内容、签名或签章与本系统留存的凭证不符。不要采信，请与开具单位核对。"),
    "undecided": ("不能断定", "内容与留存的凭证相同，但有签名或签章现在不能判断，详见下表。"),
    "unknown": ("查不到", "本系统没有与所提交内容相符的凭证。请核对来源；如持有纸质凭证，请扫描其二维码。"),
}


@dataclass(frozen=True)
class Difference:
    """A field that is not as we have it; values masked. `where` is the tag, with the detail's number before it."""

    where: str
    name: str
    given: str
    kept: str


@dataclass(frozen=True)
class Root:
    """The newest signed root of the log over the voucher's sealing, and whether a time-stamp authority vouches."""

    stream: str
    size: int
    at: datetime
    stamped: bool


@dataclass(frozen=True)
class Checked:
    """The answer about one voucher. `facts` are (label, text) pairs, masked; all empty for an unknown one."""

    result: str
    title: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    state: str = ""
    business_state: str = ""
    differences: tuple[Difference, ...] = ()
    remarks: tuple[str, ...] = ()
    marks: tuple[Judged, ...] = ()
    root: Root | None = None
    by_code: bool = False  # only the code on the paper was given: the paper itself is still to be compared

    @property
    def headline(self) -> str:
        return WORDS[self.result][0]

    @property
    def sentence(self) -> str:
        return WORDS[self.result][1]

    @property
    def tone(self) -> str:
        return {"genuine": "ok", "altered": "bad", "void": "bad"}.get(self.result, "warn")


@dataclass(frozen=True)
class Kept:
    """Our own copy: a voucher we sealed, or a document or receipt a partner sent."""

    marked: Marked
    row: Voucher | InboxMessage

    @property
    def values(self) -> frozenset[str]:
        return frozenset(mark.value for mark in (*self.marked.signatures, *self.marked.stamps) if mark.value)


# Asking ---------------------------------------------------------------------------------------------------------------


def check_code(code: str, now: datetime) -> Checked:
    """Answer the code on a paper, `<region>.<year>.<type>.<number>.<16 digits>`; wrong digits name no voucher."""
    kept = _by_code(code)
    if kept is None:
        return Checked("unknown", by_code=True)
    content = decode_content(kept.marked.text)[0]
    marks = judge_marks(kept.marked, known=kept.values, now=now)
    return _answer(kept, content, marks, (), (), by_code=True)


def check_body(body: EnvelopeBody, *, code: str, now: datetime) -> Checked:
    """Answer one voucher that was handed in; `code` is what the page was opened with, if it was.

    :raises VoucherError: if its inner document is not one of ours.
    """
    content = decode_content(body.text)[0]
    kept = _same_text(body) or _held(body, content) or _named_by(code, content)
    if kept is None:
        return Checked("unknown")
    bare = not (body.signatures or body.stamps)
    shown = kept.marked if bare else _as_given(kept, body)
    marks = judge_marks(Marked(**{**vars(shown), "text": body.text}), known=kept.values, now=now)
    remarks = [*_envelope_differs(body, content), *([] if bare else _missing(kept, body))]
    same = hmac.compare_digest(sm3_hex(body.text), kept.row.digest)
    if bare:
        remarks.append("文件只有凭证原文；所列签名和签章取自本系统留存的凭证。" if same else "文件没有签名和签章。")
    differences = () if same else tuple(_differences(content, kept))
    shown_content = content if same else decode_content(kept.marked.text)[0]
    return _answer(kept, shown_content, marks, differences, tuple(remarks), same=same)


def _answer(
    kept: Kept,
    content: VoucherContent,
    marks: list[Judged],
    differences: tuple[Difference, ...],
    remarks: tuple[str, ...],
    *,
    same: bool = True,
    by_code: bool = False,
) -> Checked:
    tones = {mark.tone for mark in marks}
    broken = not same or "bad" in tones or any(remark.startswith("信封") for remark in remarks)
    misplaced = any(mark.verdict.code in ("property_mismatch", "signer_not_holder") for mark in marks)
    if broken or misplaced or not marks:
        result = "altered"
    elif _is_void(kept.row):
        result = "void"
    elif "warn" in tones or any(remark.startswith("缺少") for remark in remarks):
        result = "undecided"
    else:
        result = "genuine"
    kind = voucher_type(content.voucher_type)
    return Checked(
        result,
        title=kind.cn + ("（回单）" if kept.marked.flag == 1 else ""),
        facts=tuple(_facts(content)),
        state=kept.row.get_state_display(),
        business_state=_business_state(kept.row),
        differences=differences,
        remarks=remarks,
        marks=tuple(marks),
        root=_root(kept.row),
        by_code=by_code,
    )


# Our copy -------------------------------------------------------------------------------------------------------------


def _by_code(code: str) -> Kept | None:
    match = _CODE.fullmatch(code)
    if match is None:
        return None
    row = (
        Voucher.objects.filter(
            adm_div_code=match["region"],
            fiscal_year=int(match["year"]),
            voucher_type=match["kind"],
            voucher_no=match["number"],
        )
        .exclude(signature="")
        .first()
    )
    if row is None or not hmac.compare_digest(row.digest[:16].encode(), match["digest"].encode()):
        return None
    return _of_voucher(row)


def _same_text(body: EnvelopeBody) -> Kept | None:
    """The copy with this very text, whatever number the envelope claims."""
    digest = sm3_hex(body.text)
    if body.flag != 1 and (row := Voucher.objects.filter(digest=digest).exclude(signature="").first()):
        return _of_voucher(row)
    received = InboxMessage.objects.filter(digest=digest).exclude(state=InboxState.REFUSED)
    if body.flag >= 0:
        received = received.filter(flag=body.flag)
    found = received.order_by("received_at").first()
    return _of_message(found) if found is not None else None


def _held(body: EnvelopeBody, content: VoucherContent) -> Kept | None:
    """The copy of this number, if the asker holds one of its signatures or stamps."""
    identity = {
        "adm_div_code": content.adm_div_code,
        "fiscal_year": content.fiscal_year,
        "voucher_type": content.voucher_type,
        "voucher_no": content.voucher_no,
    }
    given = {mark.value for mark in (*body.signatures, *body.stamps) if mark.value}
    if not given:
        return None
    vouchers = Voucher.objects.filter(**identity).exclude(signature="") if body.flag != 1 else Voucher.objects.none()
    messages = InboxMessage.objects.filter(**identity, flag=max(body.flag, 0)).exclude(state=InboxState.REFUSED)
    for kept in [*map(_of_voucher, vouchers), *map(_of_message, messages)]:
        if not given.isdisjoint(kept.values):
            return kept
    return None


def _named_by(code: str, content: VoucherContent) -> Kept | None:
    """The copy that the paper's code names, if what was handed in claims to be that voucher."""
    kept = _by_code(code)
    if kept is None:
        return None
    one = kept.marked
    same = (one.adm_div_code, one.fiscal_year, one.voucher_type, one.voucher_no) == (
        content.adm_div_code,
        content.fiscal_year,
        content.voucher_type,
        content.voucher_no,
    )
    return kept if same else None


def _of_voucher(row: Voucher) -> Kept:
    return Kept(marked_voucher(row), row)


def marked_voucher(row: Voucher) -> Marked:
    """A voucher of ours with its signature and stamps, as it leaves the house. One SQL statement."""
    body = body_of(row)
    return Marked(
        row.sender,
        row.adm_div_code,
        row.fiscal_year,
        row.voucher_type,
        row.voucher_no,
        0,
        body.text,
        row.sealed_at or row.created_at,
        tuple(mark for mark in body.signatures if mark.value),
        body.stamps,
    )


def marked_message(row: InboxMessage) -> Marked:
    """What a partner sent, as it came."""
    return Marked(
        row.sender,
        row.adm_div_code,
        row.fiscal_year,
        row.voucher_type,
        row.voucher_no,
        row.flag,
        bytes(row.text),
        row.received_at,
        marks_of(row.signatures),
        marks_of(row.stamps),
    )


def _of_message(row: InboxMessage) -> Kept:
    return Kept(marked_message(row), row)


def _as_given(kept: Kept, body: EnvelopeBody) -> Marked:
    return Marked(**{**vars(kept.marked), "signatures": body.signatures, "stamps": body.stamps})


# Comparing ------------------------------------------------------------------------------------------------------------


def _envelope_differs(body: EnvelopeBody, content: VoucherContent) -> Iterator[str]:
    for tag, claimed in (
        ("AdmDivCode", body.adm_div_code),
        ("StYear", f"{body.fiscal_year:04d}"),
        ("VtCode", body.voucher_type),
        ("VoucherNo", body.voucher_no),
    ):
        if claimed != content.identity[tag]:
            yield f"信封上的 {tag} 与原文不同。"


def _missing(kept: Kept, body: EnvelopeBody) -> Iterator[str]:
    given = {(mark.position, mark.value) for mark in (*body.signatures, *body.stamps)}
    for mark in (*kept.marked.signatures, *kept.marked.stamps):
        if (mark.position, mark.value) not in given:
            yield f"缺少「{mark.position}」处留存的签名或签章。"


def _differences(content: VoucherContent, kept: Kept) -> Iterator[Difference]:
    """Field by field; details by their Id. Same fields in other bytes differ too, and say so."""
    ours = decode_content(kept.marked.text)[0]
    if ours.voucher_type != content.voucher_type:
        yield Difference("VtCode", "凭证类型编号", content.voucher_type, ours.voucher_type)
        return
    kind = voucher_type(ours.voucher_type)
    found = list(_fields(kind.main, content.main, ours.main, ""))
    theirs = {detail.get("Id", ""): detail for detail in content.details}
    lines = {detail.get("Id", ""): detail for detail in ours.details}
    for number, (key, line) in enumerate(lines.items(), start=1):
        if key in theirs:
            found += _fields(kind.detail, theirs[key], line, f"Detail[{number}].")
    if theirs.keys() != lines.keys() or len(content.details) != len(ours.details):
        found.append(Difference("DetailList", "明细", f"{len(content.details)} 行", f"{len(ours.details)} 行"))
    yield from found or [Difference("Voucher", "原文", "字段相同而写法不同", "")]


def _fields(fields: tuple[Field, ...], given: Any, kept: Any, where: str) -> Iterator[Difference]:
    for field in fields:
        one, other = given.get(field.tag, ""), kept.get(field.tag, "")
        if one != other:
            yield Difference(
                f"{where}{field.tag}", field.cn, masked(field, field.tag, one), masked(field, field.tag, other)
            )


# Telling --------------------------------------------------------------------------------------------------------------


def _facts(content: VoucherContent) -> Iterator[tuple[str, str]]:
    kind = voucher_type(content.voucher_type)
    yield "凭证号", f"{content.voucher_type} {content.voucher_no}"
    yield "凭证日期", content.voucher_date.isoformat()
    amount = content.main.get(kind.amount_main, "")
    if amount:
        yuan = wire_amount(amount, field=kind.amount_main)
        yield "金额", f"¥ {format_yuan(yuan)}"
        yield "大写", capital_yuan(yuan)
    main = content.main
    if main.get("PayAcctName") or main.get("PayAcctNo"):
        yield "付款人", f"{mask_name(main.get('PayAcctName', ''))} {mask_account(main.get('PayAcctNo', ''))}".strip()
    payees = [line for line in [main, *content.details] if line.get("PayeeAcctName") or line.get("PayeeAcctNo")]
    if payees:
        first = payees[0]
        shown = f"{mask_name(first.get('PayeeAcctName', ''))} {mask_account(first.get('PayeeAcctNo', ''))}".strip()
        yield "收款人", shown + (f" 等 {len(content.details)} 人" if len(content.details) > 1 else "")


def _is_void(row: Voucher | InboxMessage) -> bool:
    return isinstance(row, Voucher) and row.state in _NOT_IN_FORCE


def _business_state(row: Voucher | InboxMessage) -> str:
    """How the payment behind a voucher stands: paid, cleared, given up."""
    if not isinstance(row, Voucher):
        return ""
    request = PaymentRequest.objects.filter(voucher_id=row.pk).first()
    return request.get_state_display() if request is not None else ""


def _root(row: Voucher | InboxMessage) -> Root | None:
    entry = (
        Entry.objects.filter(subject_table=row._meta.db_table, subject_id=str(row.pk), seq__isnull=False)
        .order_by("seq")
        .first()
    )
    if entry is None:
        return None
    roots = EvidenceRoot.objects.filter(stream=entry.stream, size__gte=entry.seq).order_by("-size", "-id")
    newest = roots.filter(timestamps__isnull=False).first() or roots.first()
    if newest is None:
        return None
    return Root(newest.stream, newest.size, newest.at, newest.timestamps.exists())


def shown_name(mark: Judged) -> str:
    """Whose mark it is, for strangers: an organisation's name in full, a person's masked."""
    name = mark.seal.name if mark.seal is not None else mark.common_name
    return mask_name(name) if mark.kind == SealKind.PERSONAL else name


def shown_holder(mark: Judged) -> str:
    """The certificate's holder, for strangers."""
    return mask_name(mark.common_name) if mark.kind in (SealKind.PERSONAL, "stamp") else mark.common_name
