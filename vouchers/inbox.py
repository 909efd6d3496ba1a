"""The inbox: decode, verify, store — commit — and only then act. Every stored document ends applied, parked,
refused or with a person; a partner's mistake always leaves a trace.

Order of checks: bytes → layout → envelope equals signed text → who may send this → signature of that party →
field rules → identity seen before → (receipt) nothing but X-fields changed. Source: docs/reliability.md, inbox.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from core.batch import copy_rows
from core.calendar import peek_day
from core.errors import DayClosed, TreasuryError
from parties.models import AgentBank, Region
from seals.digests import sm3_hex
from seals.models import Certificate
from seals.verifying import TextToVerify, verify_texts
from vouchers import errors
from vouchers.checks import check_content, check_envelope_matches
from vouchers.codec import completed, decode_content, decode_envelope, differing_fields
from vouchers.delivery import partner_actor
from vouchers.messages import EnvelopeBody, VoucherContent
from vouchers.models import ExchangePartner, InboxMessage, InboxRejection, Voucher
from vouchers.routing import Applied, Handler, InboundVoucher, Parked, Verdict, handler_for
from vouchers.schema import voucher_type
from vouchers.states import InboxState, VoucherState

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 5
AT_ONCE, RETRIES_AT_ONCE = 500, 50
KEEP_RAW_BYTES = 1024 * 1024
PARSED_BYTES = 16 * 1024  # of a text worth remembering parsed; a payment with a few payees
FORWARDED = frozenset(
    {"2301", "2302"}
)  # the bank's own document (flag 0), which comes back from PBoC executed (flag 1)
PARTY_OF_KIND = {"agent_bank": "bank", "pboc": "pboc"}


@dataclass(frozen=True)
class InboxAnswer:
    """What became of one body: applied, stored, parked, refused or duplicate (with what became of the first)."""

    outcome: str
    adm_div_code: str = ""
    fiscal_year: int = 0
    voucher_type: str = ""
    voucher_no: str = ""
    flag: int = 0
    digest: str = ""
    message_id: UUID | None = None
    error: TreasuryError | None = None


class _Refused(Exception):
    """One body is refused; `identity` says whether it may be kept under its identity."""

    def __init__(self, error: TreasuryError) -> None:
        super().__init__(error.message)
        self.error = error


def receive(*, raw: bytes, sender: ExchangePartner, now: datetime) -> list[InboxAnswer]:
    """Store every body of an envelope, then apply what can be applied. Not inside a transaction.

    :raises VoucherError: if the envelope itself cannot be read; the bytes are kept as an InboxRejection.
    """
    return receive_bodies(bodies=open_envelope(raw=raw, sender=sender, now=now), sender=sender, now=now)


def open_envelope(*, raw: bytes, sender: ExchangePartner, now: datetime) -> list[EnvelopeBody]:
    """Return the bodies of an envelope; nothing in them is proven yet.

    :raises VoucherError: if it cannot be read; the bytes are kept as an InboxRejection.
    """
    try:
        return decode_envelope(raw)
    except TreasuryError as error:
        _reject(raw, sender, error, now)
        raise


def receive_bodies(*, bodies: Sequence[EnvelopeBody], sender: ExchangePartner, now: datetime) -> list[InboxAnswer]:
    """The same for bodies out of several envelopes of one sender; answers in their order."""
    answers = _store(bodies, sender, now)
    fresh = [answer.message_id for answer in answers if answer.outcome == "stored" and answer.message_id]
    try:
        settled = apply_waiting(now=now, only=fresh) if fresh else {}
    except DatabaseError:
        log.exception("stored, not yet applied: the sweep will")  # committed already, so the sender is told "stored"
        settled = {}
    return [settled.get(answer.message_id, answer) if answer.message_id else answer for answer in answers]


def _reject(raw: bytes, sender: ExchangePartner, error: TreasuryError, now: datetime) -> None:
    with transaction.atomic():
        InboxRejection.objects.create(
            sender=sender.organisation,
            raw=raw[:KEEP_RAW_BYTES],
            size=len(raw),
            code=error.code,
            field=(error.field or "")[:80],
            reason=error.message[:300],
            at=now,
        )


# Storing ------------------------------------------------------------------------------------------------------------


def _store(bodies: Sequence[EnvelopeBody], sender: ExchangePartner, now: datetime) -> list[InboxAnswer]:
    try:
        return _store_once(bodies, sender, now)
    except IntegrityError:  # the same document arrived at the same moment elsewhere: look again, it is there now
        return _store_once(bodies, sender, now)


@transaction.atomic(durable=True)
def _store_once(bodies: Sequence[EnvelopeBody], sender: ExchangePartner, now: datetime) -> list[InboxAnswer]:
    judged = _judge(bodies, sender, now)
    seen = _seen_before([body for body, _, _ in judged], sender)
    answers: list[InboxAnswer] = []
    rows: list[InboxMessage] = []
    in_this_envelope: dict[tuple[str, int, str, str, int], str] = {}
    for body, content, refusal in judged:
        digest = sm3_hex(body.text)
        earlier = seen.get(_key(body))
        if refusal is None and _key(body) in in_this_envelope:
            refusal = errors.DuplicateIdentity("同一信封内凭证号重复。", field="VoucherNo", given=body.voucher_no)
        if refusal is None and earlier is not None and earlier.digest == digest:
            answers.append(_answer(body, digest, "duplicate", earlier.pk))
            continue
        if refusal is None and earlier is not None:
            refusal = errors.DuplicateIdentity(
                "该凭证号已收到过内容不同的报文。",
                field="VoucherNo",
                given=body.voucher_no,
                earlier_digest=earlier.digest,
            )
        if refusal is not None and content is None:
            _reject(body.text, sender, refusal, now)
            answers.append(_answer(body, digest, "refused", None, refusal))
            continue
        row = _row(body, digest, sender, now, refusal)
        rows.append(row)
        if refusal is None:
            in_this_envelope[_key(body)] = digest
        answers.append(_answer(body, digest, "stored" if refusal is None else "refused", row.pk, refusal))
    rows.sort(key=_key)  # in one order: two envelopes never wait for each other in a circle
    copy_rows(rows)
    return answers


def _row(
    body: EnvelopeBody, digest: str, sender: ExchangePartner, now: datetime, refusal: TreasuryError | None
) -> InboxMessage:
    return InboxMessage(
        adm_div_code=body.adm_div_code,
        fiscal_year=body.fiscal_year,
        sender=sender.organisation,
        voucher_type=body.voucher_type,
        voucher_no=body.voucher_no,
        flag=body.flag,
        text=body.text,
        digest=digest,
        signatures=[[mark.position, mark.serial, mark.value] for mark in body.signatures],
        state=InboxState.RECEIVED if refusal is None else InboxState.REFUSED,
        code=refusal.code if refusal else "",
        field=(refusal.field or "")[:80] if refusal else "",
        reason=refusal.message[:300] if refusal else "",
        received_at=now,
        next_attempt_at=now if refusal is None else None,
    )


def _answer(
    body: EnvelopeBody, digest: str, outcome: str, message_id: UUID | None, error: TreasuryError | None = None
) -> InboxAnswer:
    return InboxAnswer(
        outcome,
        body.adm_div_code,
        body.fiscal_year,
        body.voucher_type,
        body.voucher_no,
        body.flag,
        digest,
        message_id,
        error,
    )


def _key(body: EnvelopeBody | InboxMessage) -> tuple[str, int, str, str, int]:
    return body.adm_div_code, body.fiscal_year, body.voucher_type, body.voucher_no, body.flag


def _seen_before(
    bodies: Sequence[EnvelopeBody], sender: ExchangePartner
) -> dict[tuple[str, int, str, str, int], InboxMessage]:
    rows = InboxMessage.objects.filter(
        adm_div_code=sender.adm_div_code,
        voucher_no__in={body.voucher_no for body in bodies},
        voucher_type__in={body.voucher_type for body in bodies},
        sender=sender.organisation,
    ).exclude(state=InboxState.REFUSED)
    return {_key(row): row for row in rows.defer("text", "signatures")}


# Judging ------------------------------------------------------------------------------------------------------------


def _judge(
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
            to_verify += [(index, _to_verify(body, organisation, owners)) for organisation in signers]
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
    for index, (body, content, refusal) in enumerate(judged):
        if refusal is None and content is not None:
            judged[index] = (body, content, _field_refusal(body, content, sender, region, originals, on))
    return judged


def _content_of(body: EnvelopeBody, sender: ExchangePartner) -> VoucherContent:
    content = _parsed(body.text)
    if len(content.voucher_no) > 20:
        raise errors.FieldRefused("凭证号不得超过 20 个字符。", field="VoucherNo")
    findings = check_envelope_matches(body, content)
    if findings:
        raise errors.EnvelopeDiffers(findings[0].message, field=findings[0].field)
    if content.adm_div_code != sender.adm_div_code:
        raise errors.WrongSender("行政区划不属于该机构。", field="AdmDivCode", given=content.adm_div_code)
    return content


def _parsed(text: bytes) -> VoucherContent:
    """Read a signed text. What was parsed to judge it is at hand again when it is applied a moment later."""
    return _parsed_lately(text) if len(text) <= PARSED_BYTES else decode_content(text)[0]


@lru_cache(maxsize=200)  # two envelopes of one-line receipts
def _parsed_lately(text: bytes) -> VoucherContent:
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
    serials = {mark.serial.lower() for body in bodies for mark in body.signatures}
    rows = Certificate.objects.filter(serial_hex__in=serials)
    return dict(rows.values_list("serial_hex", "organisation_code"))


def _to_verify(body: EnvelopeBody, organisation: str, owners: dict[str, str]) -> TextToVerify:
    """Choose the signature to check for a party: the first under one of its own serials, else the first at all."""
    candidates = [mark for mark in body.signatures if mark.value]
    own = [mark for mark in candidates if owners.get(mark.serial.lower()) == organisation]
    mark = next(iter(own or candidates), None)
    if mark is None:
        return TextToVerify(organisation, body.text, "", "")
    return TextToVerify(organisation, body.text, mark.value, mark.serial)


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


# Applying -----------------------------------------------------------------------------------------------------------


def apply_waiting(*, now: datetime, only: Sequence[UUID] | None = None) -> dict[UUID, InboxAnswer]:
    """Apply stored messages in batches by type, then what was parked on them; answers by message id.

    A batch that breaks is tried again one by one, so that one poisoned message cannot hold up the others. What was
    begun before without result is taken one at a time, least tried first: a message that kills the process takes
    nobody along. After MAX_ATTEMPTS a message goes to a person.
    """
    settled: dict[UUID, InboxAnswer] = {}
    for group in _grouped(_take(now, only)):
        settled |= _apply_group(group, now)
    for _ in range(RETRIES_AT_ONCE):
        again = _take_again(now, only)
        if again is None:
            break
        settled |= _apply_alone(again, now)
    if any(answer.outcome == "applied" for answer in settled.values()):
        parked = InboxMessage.objects.filter(state=InboxState.PARKED).exclude(pk__in=settled)
        for group in _grouped(list(parked.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])):
            settled |= _apply_group(group, now)
    return settled


@transaction.atomic(durable=True)
def _take(now: datetime, only: Sequence[UUID] | None) -> list[UUID]:
    """Choose messages never tried, and parked ones whose time has come; count the attempt in a transaction of its
    own, so that a crash counts too."""
    fresh = Q(state=InboxState.RECEIVED, attempts=0) | Q(state=InboxState.PARKED)
    ids = list(_due(now, only).filter(fresh).order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
    InboxMessage.objects.filter(pk__in=ids, state=InboxState.RECEIVED).update(
        attempts=F("attempts") + 1, next_attempt_at=now + timedelta(seconds=10)
    )
    InboxMessage.objects.filter(pk__in=ids, state=InboxState.PARKED).update(next_attempt_at=now + timedelta(seconds=5))
    return ids


@transaction.atomic(durable=True)
def _take_again(now: datetime, only: Sequence[UUID] | None) -> UUID | None:
    """Choose one message that was tried before without result, after giving up those tried often enough."""
    tried = _due(now, only).filter(state=InboxState.RECEIVED, attempts__gt=0)
    dead = list(tried.filter(attempts__gte=MAX_ATTEMPTS).values_list("pk", flat=True))
    if dead:
        log.error("inbound vouchers given up; a person must look", extra={"messages": [str(i) for i in dead]})
        InboxMessage.objects.filter(pk__in=dead).update(
            state=InboxState.DEAD, code="gave_up", reason="多次处理失败，转人工。"
        )
    message_id = tried.order_by("attempts", "pk").values_list("pk", flat=True).first()
    if message_id is None:
        return None
    InboxMessage.objects.filter(pk=message_id).update(
        attempts=F("attempts") + 1, next_attempt_at=now + timedelta(seconds=10)
    )
    return message_id


def _due(now: datetime, only: Sequence[UUID] | None) -> QuerySet[InboxMessage]:
    rows = InboxMessage.objects.select_for_update(skip_locked=True).filter(next_attempt_at__lte=now)
    return rows if only is None else rows.filter(pk__in=only)


def _grouped(ids: Sequence[UUID]) -> Iterable[list[UUID]]:
    kinds: dict[tuple[str, int], list[UUID]] = {}
    rows = InboxMessage.objects.filter(pk__in=ids).order_by("pk").values_list("pk", "voucher_type", "flag")
    for pk, kind, flag in rows:
        kinds.setdefault((kind, flag), []).append(pk)
    # payments before refunds before clearings before reports: most things then need no parking
    order = ("2104", "5201", "8202", "2203", "2204", "2301", "2302")
    return [kinds[k] for k in sorted(kinds, key=lambda k: (order.index(k[0]) if k[0] in order else 99, k))]


def _apply_group(ids: list[UUID], now: datetime) -> dict[UUID, InboxAnswer]:
    try:
        return _apply_batch(ids, now)
    except Exception:  # whatever it is, it is one message's and must not hold up the others
        log.exception("a batch of inbound vouchers failed; one by one", extra={"messages": [str(i) for i in ids]})
    settled: dict[UUID, InboxAnswer] = {}
    for message_id in ids:
        settled |= _apply_alone(message_id, now)
    return settled


@transaction.atomic(durable=True)
def _apply_batch(ids: Sequence[UUID], now: datetime) -> dict[UUID, InboxAnswer]:
    messages = list(
        InboxMessage.objects.select_for_update(skip_locked=True)  # locked: somebody is at it just now
        .filter(pk__in=ids, state__in=[InboxState.RECEIVED, InboxState.PARKED])
        .order_by("pk")
    )
    if not messages:
        return {}
    kind, flag = messages[0].voucher_type, messages[0].flag
    handler = handler_for(kind, flag)
    verdicts: dict[UUID, Verdict] = {}
    inbound = _inbound(messages)
    if kind in FORWARDED and flag == 1:
        verdicts = _without_their_document(inbound)
    ready = [item for item in inbound if item.message.pk not in verdicts]
    if ready:
        verdicts |= _handled(handler, ready, now)
    return _record(messages, verdicts, now)


def _handled(handler: Handler | None, ready: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Let business act; between two business days everything waits for the next one."""
    if handler is None:
        return {item.message.pk: Applied("仅存档") for item in ready}
    try:
        with transaction.atomic():
            return handler(ready, now)
    except DayClosed:
        return {item.message.pk: Parked("day_closed", "业务日未开，待开日后处理。") for item in ready}


def _without_their_document(inbound: Sequence[InboundVoucher]) -> dict[UUID, Verdict]:
    """Hold executed clearings to the bank's own signed document: PBoC may only have filled in the X-fields.

    Its copy may come later than the receipt, which then waits. Two queries for a batch.
    """
    banks = dict(
        AgentBank.objects.filter(adm_div_code=inbound[0].message.adm_div_code).values_list("bank_no", "organisation")
    )
    rows = InboxMessage.objects.filter(
        adm_div_code=inbound[0].message.adm_div_code,
        voucher_type=inbound[0].message.voucher_type,
        voucher_no__in={item.content.voucher_no for item in inbound},
        flag=0,
        state=InboxState.APPLIED,
    )
    copies = {(row.sender, row.fiscal_year, row.voucher_no): decode_content(bytes(row.text))[0] for row in rows}
    verdicts: dict[UUID, Verdict] = {}
    for item in inbound:
        bank = banks.get(item.content.main.get("PayBankNo", ""), "")
        copy = copies.get((bank, item.content.fiscal_year, item.content.voucher_no))
        if copy is None:
            verdicts[item.message.pk] = Parked("bank_copy_missing", "银行发出的原清算凭证尚未到达。")
            continue
        changed = differing_fields(copy, item.content)
        if changed:
            verdicts[item.message.pk] = errors.ReceiptAltered(
                "回单与银行签名的清算凭证不符：" + "、".join(changed[:5]), field=changed[0]
            )
    return verdicts


def _apply_alone(message_id: UUID, now: datetime) -> dict[UUID, InboxAnswer]:
    try:
        return _apply_batch([message_id], now)
    except Exception as error:  # see _apply_group
        log.exception("an inbound voucher failed", extra={"messages": [str(message_id)]})
        with transaction.atomic(durable=True):  # a parked one is parked no longer: its attempts count from here
            InboxMessage.objects.filter(pk=message_id, state__in=[InboxState.RECEIVED, InboxState.PARKED]).update(
                state=InboxState.RECEIVED, code="failed", reason=type(error).__name__[:300]
            )
        return {}


def _inbound(messages: Sequence[InboxMessage]) -> list[InboundVoucher]:
    partners = {p.organisation: p for p in ExchangePartner.objects.filter(pk__in={m.sender for m in messages})}
    originals: dict[tuple[str, int, str, str], Voucher] = {}
    if messages[0].flag == 1 and messages[0].voucher_type not in FORWARDED:
        rows = Voucher.objects.select_for_update(no_key=True).filter(
            adm_div_code__in={m.adm_div_code for m in messages},
            voucher_type=messages[0].voucher_type,
            voucher_no__in={m.voucher_no for m in messages},
        )
        originals = {(v.adm_div_code, v.fiscal_year, v.voucher_type, v.voucher_no): v for v in rows.order_by("pk")}
    return [
        InboundVoucher(
            message=message,
            content=_parsed(bytes(message.text)),
            sender=partners[message.sender],
            actor=partner_actor(partners[message.sender]),
            voucher=originals.get(
                (message.adm_div_code, message.fiscal_year, message.voucher_type, message.voucher_no)
            ),
        )
        for message in messages
    ]


def _record(
    messages: Sequence[InboxMessage], verdicts: Mapping[UUID, Verdict], now: datetime
) -> dict[UUID, InboxAnswer]:
    answers: dict[UUID, InboxAnswer] = {}
    groups: dict[tuple[str, str, str, str], list[UUID]] = {}
    for message in messages:
        verdict = verdicts[message.pk]
        error: TreasuryError | None = None
        state: str
        if isinstance(verdict, Applied):
            state, code, field, reason = InboxState.APPLIED, "", "", verdict.note
        elif isinstance(verdict, Parked):
            state, code, field, reason = InboxState.PARKED, verdict.code, "", verdict.reason
        else:
            error = verdict
            state, code, field, reason = InboxState.REFUSED, error.code, error.field or "", error.message
        groups.setdefault((state, code, field[:80], reason[:300]), []).append(message.pk)
        outcome = str(state)
        body = EnvelopeBody(
            message.adm_div_code,
            message.fiscal_year,
            message.voucher_type,
            message.voucher_no,
            message.flag,
            "",
            "",
            b"",
        )
        answers[message.pk] = _answer(body, message.digest, outcome, message.pk, error)
    for (state, code, field, reason), ids in groups.items():
        InboxMessage.objects.filter(pk__in=ids).update(
            state=state,
            code=code,
            field=field,
            reason=reason,
            applied_at=now if state == InboxState.APPLIED else None,
            next_attempt_at=now + timedelta(seconds=5) if state == InboxState.PARKED else None,
        )
    return answers


def unanswered_by_partner(voucher_ids: Sequence[UUID]) -> list[tuple[ExchangePartner, list[Voucher]]]:
    """Return vouchers that still have no receipt with the partner that owes it, in lists of at most 100."""
    rows = Voucher.objects.filter(pk__in=voucher_ids, state__in=[VoucherState.SEALED, VoucherState.SIGNED_FOR])
    by_partner: dict[str, list[Voucher]] = {}
    for voucher in rows.order_by("pk"):
        by_partner.setdefault(voucher.receiver, []).append(voucher)
    partners = ExchangePartner.objects.in_bulk(list(by_partner))
    return [
        (partners[key], vouchers[start : start + 100])
        for key, vouchers in by_partner.items()
        for start in range(0, len(vouchers), 100)
    ]
