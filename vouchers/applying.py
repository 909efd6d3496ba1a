"""Acting on stored documents: in batches by type, then what waited for them; what breaks goes on alone, then to a
person. Source: docs/reliability.md, inbox.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from core.errors import DayClosed, TreasuryError
from parties.models import AgentBank
from vouchers import errors
from vouchers.codec import decode_content, differing_fields
from vouchers.delivery import partner_actor
from vouchers.judging import FORWARDED, parsed
from vouchers.messages import EnvelopeBody
from vouchers.models import ExchangePartner, InboxMessage, Voucher
from vouchers.routing import Applied, Handler, InboundVoucher, Parked, Verdict, handler_for
from vouchers.states import InboxState, VoucherState

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 5
AT_ONCE, RETRIES_AT_ONCE = 500, 50


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


def answer_to(
    body: EnvelopeBody, digest: str, outcome: str, message_id: UUID | None, error: TreasuryError | None = None
) -> InboxAnswer:
    """Say what became of a body."""
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
    """Sort messages into batches of one type, flag and region: a handler stands in one region's open day."""
    groups: dict[tuple[str, int, str], list[UUID]] = {}
    rows = InboxMessage.objects.filter(pk__in=ids).order_by("pk")
    for pk, kind, flag, region in rows.values_list("pk", "voucher_type", "flag", "adm_div_code"):
        groups.setdefault((kind, flag, region), []).append(pk)
    # payments before refunds before clearings before reports: most things then need no parking
    order = ("2104", "5201", "5207", "5214", "5267", "8202", "8231", "2203", "2204", "3208", "2301", "2302")
    return [groups[k] for k in sorted(groups, key=lambda k: (order.index(k[0]) if k[0] in order else 99, k))]


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
    """Let business act; between two business days, or while a budget year is closed, everything waits."""
    if handler is None:
        return {item.message.pk: Applied("仅存档") for item in ready}
    try:
        with transaction.atomic():
            return handler(ready, now)
    except DayClosed as closed:
        why = "业务日未开，待开日后处理。" if closed.code == DayClosed.code else closed.message
        return {item.message.pk: Parked(closed.code, why) for item in ready}


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
            content=parsed(bytes(message.text)),
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
        answers[message.pk] = answer_to(body, message.digest, outcome, message.pk, error)
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
