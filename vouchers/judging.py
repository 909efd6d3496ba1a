"""Whether an inbound document may be acted on: what it is, who may send it, who signed it, what its fields say.

Order of checks: layout → envelope equals signed text → who may send this → signature of that party → its stamps, where
the region demands them → field rules → (receipt) nothing but X-fields changed. Source: docs/reliability.md, inbox.
"""

import base64
import binascii
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache

from core.calendar import peek_day
from core.errors import TreasuryError
from parties.models import AgentBank, Region
from seals.certificates import canonical_serial
from seals.models import Certificate, SealKind, SealPosition
from seals.stamps import StampToVerify, property_info, verify_stamps
from seals.verifying import TextToVerify, verify_texts
from vouchers import errors
from vouchers.checks import check_content, check_envelope_matches
from vouchers.codec import completed, decode_content, differing_fields
from vouchers.messages import EnvelopeBody, SignatureMark, VoucherContent
from vouchers.models import ExchangePartner, Voucher
from vouchers.schema import voucher_type
from vouchers.states import VoucherState

LONGEST_STAMP_B64 = 256 * 1024
PARSED_BYTES = 16 * 1024  # of a text worth remembering parsed; a payment with a few payees
FORWARDED = frozenset({"2301", "2302"})  # the bank's document (flag 0) that PBoC sends back executed (flag 1)
PARTY_OF_KIND = {"agent_bank": "bank", "pboc": "pboc"}


def judge_bodies(
    bodies: Sequence[EnvelopeBody], sender: ExchangePartner, now: datetime
) -> list[tuple[EnvelopeBody, VoucherContent | None, TreasuryError | None]]:
    """Return each body with its content (None if it has no trustworthy identity) and the refusal, if any."""
    day = peek_day(sender.adm_div_code)
    on = day.date if day else now.date()
    region = Region.objects.get(adm_div_code=sender.adm_div_code)
    banks = {bank.bank_no: bank for bank in AgentBank.objects.filter(adm_div_code=sender.adm_div_code)}
    originals = _originals(bodies, sender)
    owners = _owners(bodies)
    judged: list[tuple[EnvelopeBody, VoucherContent | None, TreasuryError | None]] = []
    to_verify: list[tuple[int, TextToVerify]] = []
    for index, body in enumerate(bodies):
        content: VoucherContent | None = None
        refusal: TreasuryError | None = None
        try:
            content = _content_of(body, sender)
            signers = _expected_signers(body, content, sender, banks)
            for organisation in signers:
                to_verify += [(index, item) for item in _to_verify(body, organisation, owners)]
        except TreasuryError as error:
            refusal = error
        judged.append((body, content, refusal))
    verdicts = verify_texts([item for _, item in to_verify], at=now, on=on) if to_verify else []
    for (index, item), verdict in zip(to_verify, verdicts, strict=True):
        body, content, refusal = judged[index]
        if refusal is None and not verdict.ok:
            refused = errors.SignatureRefused(verdict.detail, field="Signature", organisation=item.organisation_code)
            refused.code = verdict.reason_code or refused.code
            judged[index] = (body, content, refused)
    for index, unstamped in _stamp_refusals(judged, sender, now):
        body, content, _none = judged[index]
        judged[index] = (body, content, unstamped)
    for index, (body, content, refusal) in enumerate(judged):
        if refusal is None and content is not None:
            judged[index] = (body, content, _field_refusal(body, content, sender, region, originals, on))
    return judged


def _stamp_refusals(
    judged: Sequence[tuple[EnvelopeBody, VoucherContent | None, TreasuryError | None]],
    sender: ExchangePartner,
    now: datetime,
) -> list[tuple[int, TreasuryError]]:
    """Which bodies lack a stamp that the region demands of this type, or carry one that does not hold."""
    standing = [(index, body) for index, (body, content, refusal) in enumerate(judged) if refusal is None and content]
    demanded = _demanded_stamps([body for _index, body in standing], sender)
    refused: dict[int, TreasuryError] = {}
    asked: list[tuple[int, StampToVerify]] = []
    for index, body in standing:
        for position, kind in demanded.get((body.fiscal_year, body.voucher_type, body.flag), ()):
            value = _stamp_value(body, position)
            if value is None:
                refused[index] = errors.StampRefused(
                    f"缺少「{position}」签章，或不是规范的 base64。", field="SignStamp"
                )
                refused[index].code = "stamp_missing"
                break
            asked.append((index, _stamp_to_verify(body, sender, position, kind, value)))
    verdicts = verify_stamps([item for _index, item in asked], at=now)
    for (index, item), verdict in zip(asked, verdicts, strict=True):
        if not verdict.ok and index not in refused:
            refused[index] = errors.StampRefused(verdict.reason, field="SignStamp", organisation=item.organisation_code)
            refused[index].code = verdict.code
    return list(refused.items())


def _demanded_stamps(
    bodies: Sequence[EnvelopeBody], sender: ExchangePartner
) -> dict[tuple[int, str, int], list[tuple[str, str]]]:
    """(position, kind) of every stamp demanded, by (year, type, flag); one query."""
    rows = SealPosition.objects.filter(
        adm_div_code=sender.adm_div_code,
        fiscal_year__in={body.fiscal_year for body in bodies},
        voucher_type__in={body.voucher_type for body in bodies},
        required=True,
    ).exclude(kind=SealKind.SIGNATURE)
    found: dict[tuple[int, str, int], list[tuple[str, str]]] = defaultdict(list)
    for row in rows if bodies else []:
        found[row.fiscal_year, row.voucher_type, row.flag].append((row.position, row.kind))
    return found


def _stamp_value(body: EnvelopeBody, position: str) -> bytes | None:
    """The one stamp at a position, decoded strictly; two at one position are as good as none."""
    marks = [mark for mark in body.stamps if mark.position == position]
    if len(marks) != 1 or len(marks[0].value) > LONGEST_STAMP_B64:
        return None
    try:
        value = base64.b64decode(marks[0].value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if base64.b64encode(value).decode("ascii") == marks[0].value else None


def _stamp_to_verify(
    body: EnvelopeBody, sender: ExchangePartner, position: str, kind: str, value: bytes
) -> StampToVerify:
    return StampToVerify(
        organisation_code=sender.organisation,
        kind=kind,
        text=body.text,
        property_info=property_info(body.adm_div_code, body.fiscal_year, body.voucher_type, body.voucher_no, position),
        value=value,
    )


def _content_of(body: EnvelopeBody, sender: ExchangePartner) -> VoucherContent:
    content = parsed(body.text)
    if len(content.voucher_no) > 20:
        raise errors.FieldRefused("凭证号不得超过 20 个字符。", field="VoucherNo")
    findings = check_envelope_matches(body, content)
    if findings:
        raise errors.EnvelopeDiffers(findings[0].message, field=findings[0].field)
    if content.adm_div_code != sender.adm_div_code:
        raise errors.WrongSender("行政区划不属于该机构。", field="AdmDivCode", given=content.adm_div_code)
    return content


def parsed(text: bytes) -> VoucherContent:
    """Read a signed text. What was parsed to judge it is at hand again when it is applied a moment later."""
    return _parsed_lately(text) if len(text) <= PARSED_BYTES else _parsed_long(text)


@lru_cache(maxsize=200)  # two envelopes of one-line receipts
def _parsed_lately(text: bytes) -> VoucherContent:
    return decode_content(text)[0]


@lru_cache(maxsize=6)  # an envelope of a payroll's receipts, a few MB each when parsed
def _parsed_long(text: bytes) -> VoucherContent:
    return decode_content(text)[0]


def _expected_signers(
    body: EnvelopeBody, content: VoucherContent, sender: ExchangePartner, banks: dict[str, AgentBank]
) -> list[str]:
    """Return whose signatures the document must carry; never ours, so our own document sent back is no receipt."""
    kind = voucher_type(content.voucher_type)
    party = PARTY_OF_KIND[sender.kind]
    if content.voucher_type in FORWARDED and content.main.get("PayBankNo", "") not in banks:
        raise errors.WrongSender("代理银行行号未登记。", field="PayBankNo", given=content.main.get("PayBankNo", ""))
    own = content.voucher_type not in FORWARDED or body.flag == 1
    if not own and banks[content.main["PayBankNo"]].organisation != sender.organisation:
        raise errors.WrongSender("不能发送其他银行的清算凭证。", field="PayBankNo")
    expected = kind.sender if body.flag == 0 else kind.receipt_by
    if expected != party:
        raise errors.WrongSender("该机构不能发送此类凭证。", field="VtCode", given=content.voucher_type)
    return [sender.organisation]


def _owners(bodies: Sequence[EnvelopeBody]) -> dict[str, str]:
    """Return whose certificate each serial in these envelopes is, as registered (one query)."""
    serials = {_registered(mark.serial) for body in bodies for mark in body.signatures}
    rows = Certificate.objects.filter(serial_hex__in=serials)
    return dict(rows.values_list("serial_hex", "organisation_code"))


def _registered(serial: str) -> str:
    """As the register spells it; what is no serial names nobody."""
    try:
        return canonical_serial(serial)
    except ValueError:
        return ""


def _to_verify(body: EnvelopeBody, organisation: str, owners: dict[str, str]) -> list[TextToVerify]:
    """Choose the signatures to check for a party: all under its own serials, so that none stands beside a good one
    unproven; if it has none, the first at all, whose verdict says what is wrong.
    """
    given = [mark for mark in body.signatures if mark.value]
    own = [mark for mark in given if owners.get(_registered(mark.serial)) == organisation]
    marks = own or given[:1] or [SignatureMark("", "", "")]
    return [TextToVerify(organisation, body.text, mark.value, mark.serial) for mark in marks]


def _field_refusal(
    body: EnvelopeBody,
    content: VoucherContent,
    sender: ExchangePartner,
    region: Region,
    originals: dict[tuple[int, str, str], Voucher],
    on: date,
) -> TreasuryError | None:
    findings = check_content(content, business_date=on, receipt=body.flag == 1)
    if findings:
        refusal = errors.FieldRefused("；".join(f.message for f in findings)[:300], field=findings[0].field)
        refusal.code = findings[0].code
        return refusal
    if content.main.get("TreCode") not in (None, "", region.tre_code):
        return errors.FieldRefused("国库代码与登记不符。", field="TreCode", given=content.main.get("TreCode"))
    if body.flag == 1 and content.voucher_type not in FORWARDED:
        original = originals.get((content.fiscal_year, content.voucher_type, content.voucher_no))
        if original is None or original.receiver != sender.organisation:
            return errors.OriginalUnknown("没有发给该机构的这张凭证。", field="VoucherNo", given=content.voucher_no)
        if original.state not in (VoucherState.SEALED, VoucherState.SIGNED_FOR, VoucherState.RECEIPTED):
            return errors.OriginalNotOpen("该凭证已被拒收、退回或作废。", field="VoucherNo", state=original.state)
        sent, _ = decode_content(bytes(original.text))
        changed = differing_fields(completed(sent), content)
        if changed:
            return errors.ReceiptAltered("回单改动了发送单的内容：" + "、".join(changed[:5]), field=changed[0])
    return None


def _originals(bodies: Sequence[EnvelopeBody], sender: ExchangePartner) -> dict[tuple[int, str, str], Voucher]:
    receipts = [body for body in bodies if body.flag == 1]
    if not receipts:
        return {}
    rows = Voucher.objects.filter(
        adm_div_code=sender.adm_div_code,
        voucher_type__in={body.voucher_type for body in receipts},
        voucher_no__in={body.voucher_no for body in receipts},
    )
    return {(row.fiscal_year, row.voucher_type, row.voucher_no): row for row in rows}
