"""A voucher of the library as its paper, each seal with its verdict of now, and the PDF that carries the originals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from django.conf import settings

from core.errors import TreasuryError
from dashboards.capital import capital_yuan
from dashboards.genuine import marked_message, marked_voucher
from dashboards.marks import Judged, Marked, judge_marks
from parties.models import Person
from seals.models import SealPosition
from vouchers.codec import decode_content, encode_envelope
from vouchers.messages import EnvelopeBody, VoucherContent
from vouchers.models import InboxMessage, Voucher
from vouchers.paper.drawing import draw
from vouchers.paper.model import Page, SealOnPaper
from vouchers.paper.pdf import Original, paper
from vouchers.paper.qr import verify_url
from vouchers.states import InboxState, VoucherState
from vouchers.transport import body_of

_MARKS = {
    VoucherState.GENERATED: "未签章",
    VoucherState.VOID: "已作废",
    VoucherState.PAPER: "应急",
    VoucherState.REFUSED: "银行拒收",
    VoucherState.RETURNED: "银行退回",
}


@dataclass(frozen=True)
class OnPaper:
    """A voucher drawn, with the marks on it and on its receipt."""

    pages: list[Page]
    judged: list[Judged]

    def numbered(self) -> list[tuple[Judged, int | None]]:
        """Each mark with the number by which its seal on the paper links to it; a signature has none."""
        numbers = count(1)
        return [(mark, next(numbers) if mark.is_stamp else None) for mark in self.judged]


def put_on_paper(voucher: Voucher, receipt: InboxMessage | None, *, base_url: str, now: datetime) -> OnPaper:
    """Draw a voucher with the seals on it and on its accepted receipt, each verified now."""
    content = decode_content(bytes(voucher.text))[0]
    accepted = receipt if receipt is not None and receipt.state != InboxState.REFUSED else None
    ours = _judged(marked_voucher(voucher), now) if voucher.signature else []
    theirs = _judged(marked_message(accepted), now) if accepted is not None else []
    judged = [*ours, *theirs]
    places = {
        row.position: row
        for row in SealPosition.objects.filter(
            adm_div_code=voucher.adm_div_code, fiscal_year=voucher.fiscal_year, voucher_type=voucher.voucher_type
        )
    }
    pages = draw(
        content,
        capital=capital_yuan,
        environment=settings.GUOKU_ENVIRONMENT,
        receipt=_readable(accepted),
        seals=[_on_paper(mark, places.get(mark.position)) for mark in judged if mark.is_stamp],
        qr_url=verify_url(base_url, content, voucher.digest),
        digest=voucher.digest,
        officers=_officers(voucher),
        mark=_MARKS.get(VoucherState(voucher.state), ""),
    )
    return OnPaper(pages, judged)


def pdf_of(voucher: Voucher, receipt: InboxMessage | None, on_paper: OnPaper, *, made_at: datetime) -> bytes:
    """The paper as PDF/A-3b with the signed originals inside."""
    return paper(
        on_paper.pages,
        title=on_paper.pages[0].title,
        made_at=made_at.replace(microsecond=0),
        originals=_originals(voucher, receipt),
    )


def _judged(marked: Marked, now: datetime) -> list[Judged]:
    known = {mark.value for mark in (*marked.signatures, *marked.stamps)}
    return judge_marks(marked, known=known, now=now)


def _readable(receipt: InboxMessage | None) -> VoucherContent | None:
    try:
        return decode_content(bytes(receipt.text))[0] if receipt is not None else None
    except TreasuryError:
        return None


def _on_paper(mark: Judged, place: SealPosition | None) -> SealOnPaper:
    moved = place is not None and place.x_mm is not None and place.y_mm is not None
    return SealOnPaper(
        position=mark.position,
        name=mark.seal.name if mark.seal is not None else mark.title,
        svg=mark.seal.svg if mark.seal is not None else "",
        verdict_word=mark.word,
        ok=mark.verdict.ok,
        reason="" if mark.verdict.ok else mark.verdict.reason,
        x_mm=float(place.x_mm) if moved and place is not None and place.x_mm is not None else None,
        y_mm=float(place.y_mm) if moved and place is not None and place.y_mm is not None else None,
        rotation=float(place.rotation) if place is not None and place.rotation else None,
    )


def _officers(voucher: Voucher) -> Sequence[tuple[str, str]]:
    names = {
        person.pk: person.name
        for person in Person.objects.filter(pk__in=[pk for pk in (voucher.made_by_id, voucher.sealed_by_id) if pk])
    }
    pairs = (("制单", voucher.made_by_id), ("签章", voucher.sealed_by_id))
    return [(post, names[pk]) for post, pk in pairs if pk in names]


def _originals(voucher: Voucher, receipt: InboxMessage | None) -> list[Original]:
    """The signed document, its envelope with all marks, each stamp by itself, and the receipt as it came."""
    name = f"{voucher.voucher_type}-{voucher.voucher_no}"
    inner = decode_content(bytes(voucher.text))[1]
    found = [Original(f"{name}.xml", inner, "application/xml", "凭证原文", "source")]
    if voucher.signature:
        envelope = encode_envelope([body_of(voucher)])
        found.append(Original(f"{name}-envelope.xml", envelope, "application/xml", "凭证信封，含签名和签章"))
    if receipt is not None and receipt.state != InboxState.REFUSED:
        marked = marked_message(receipt)
        body = EnvelopeBody(
            marked.adm_div_code,
            marked.fiscal_year,
            marked.voucher_type,
            marked.voucher_no,
            marked.flag,
            "",
            "",
            marked.text,
            marked.signatures,
            marked.stamps,
        )
        found.append(Original(f"{name}-receipt.xml", encode_envelope([body]), "application/xml", "回单信封"))
    return found
