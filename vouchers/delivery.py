"""The outbox at work: claim by lease, send without a transaction, record by compare-and-set.

Whatever dies in between, the lease runs out, the row is UNKNOWN, and UNKNOWN asks before it sends again.
Source: docs/reliability.md §outbox.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q

from core.actors import Actor
from core.batch import copy_rows
from core.ids import new_id
from core.models import BusinessDay
from vouchers.models import Delivery, DeliveryAttempt, ExchangePartner, Voucher
from vouchers.services import lock_vouchers, record_answer
from vouchers.states import DeliveryState
from vouchers.transport import PartnerAnswer

BATCH = 100
BATCH_BYTES = 7 * 1024 * 1024  # of signed texts; an envelope above 10 MiB would be refused by everybody
LEASE = timedelta(seconds=45)  # longer than LONGEST_EXCHANGE and one read time-out of vouchers.transport together
IN_FLIGHT = 2  # exchanges with one partner at a time, so that a slow one cannot hold every worker
Step = DeliveryAttempt.Step


@dataclass(frozen=True)
class Claim:
    """Outbox rows this worker holds until the lease ends, with the exact vouchers to send."""

    partner: ExchangePartner
    lease_id: UUID
    deliveries: list[Delivery]

    @property
    def vouchers(self) -> list[Voucher]:
        return [delivery.voucher for delivery in self.deliveries]


def partner_actor(partner: ExchangePartner) -> Actor:
    """Return the actor a partner is in tables of moves: `agent_bank` or `pboc`."""
    return Actor(name=partner.name, roles=frozenset({partner.kind}), adm_div_code=partner.adm_div_code)


@transaction.atomic(durable=True)
def due_partners(*, now: datetime, states: Sequence[str] = (DeliveryState.QUEUED, DeliveryState.UNKNOWN)) -> list[str]:
    """Return the push partners with something due in these states; rows whose lease ran out become UNKNOWN first."""
    lost = Delivery.objects.select_for_update(skip_locked=True).filter(state=DeliveryState.SENDING, lease_until__lt=now)
    Delivery.objects.filter(pk__in=list(lost.values_list("pk", flat=True))).update(
        state=DeliveryState.UNKNOWN,
        next_attempt_at=now,
        lease_id=None,
        lease_until=None,
        last_error="发送中断，等待查询",
    )
    due = Delivery.objects.filter(
        state__in=states,
        next_attempt_at__lte=now,
        partner__enabled=True,
        partner__exchange_mode=ExchangePartner.Mode.PUSH,
    )
    return sorted(set(due.order_by().values_list("partner_id", flat=True).distinct()))


@transaction.atomic(durable=True)
def claim(*, organisation: str, state: str, now: datetime) -> Claim | None:
    """Take up to BATCH due rows in `state` (QUEUED to send, UNKNOWN to ask about) under a lease.

    The attempt is written and committed before the call, so a crash after it is seen. None if nothing is due, the
    partner's breaker is open, or IN_FLIGHT exchanges with it are under way (one, while it is failing).
    """
    partner = ExchangePartner.objects.select_for_update(no_key=True).get(pk=organisation)  # claims count one by one
    if not partner.enabled or partner.exchange_mode != ExchangePartner.Mode.PUSH:
        return None
    if partner.open_until is not None and partner.open_until > now:
        return None
    under_way = Delivery.objects.filter(
        partner=partner, state__in=[DeliveryState.SENDING, DeliveryState.UNKNOWN], lease_until__gt=now
    )
    if under_way.values("lease_id").distinct().count() >= (1 if partner.failures else IN_FLIGHT):
        return None
    rows = _that_fit(
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("voucher")
        .filter(opened(partner.adm_div_code), partner=partner, state=state, next_attempt_at__lte=now)
        .order_by("next_attempt_at", "pk")[:BATCH]
    )
    if not rows:
        return None
    lease_id = new_id()
    changed = {"lease_id": lease_id, "lease_until": now + LEASE, "attempts": F("attempts") + 1}
    if state == DeliveryState.QUEUED:
        changed["state"] = DeliveryState.SENDING
    else:
        changed["next_attempt_at"] = now + LEASE
    Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(**changed)
    step = Step.SENT if state == DeliveryState.QUEUED else Step.ASKED
    for row in rows:
        row.attempts += 1
    _log(rows, step, now=now)
    return Claim(partner, lease_id, rows)


def opened(adm_div_code: str) -> Q:
    """Which outbox rows may leave: a voucher of a day to come waits until the region has opened that day."""
    latest = BusinessDay.objects.filter(adm_div_code=adm_div_code).aggregate(day=Max("date"))["day"]
    return Q(voucher__voucher_date__lte=latest) if latest is not None else Q()


def _that_fit(rows: Iterable[Delivery]) -> list[Delivery]:
    """Return the first rows that fit into one envelope, and at least one."""
    size = 0
    fitting: list[Delivery] = []
    for row in rows:
        size += len(row.voucher.text)
        if fitting and size > BATCH_BYTES:
            break
        fitting.append(row)
    return fitting


@transaction.atomic(durable=True)
def record_sent(claimed: Claim, answers: Sequence[PartnerAnswer | None], *, now: datetime) -> None:
    """Record what the partner answered to a sending; a voucher without its own proper answer is UNKNOWN."""
    held = _still_held(claimed)
    groups: dict[str, list[tuple[Delivery, PartnerAnswer | None]]] = {"accepted": [], "refused": [], "unknown": []}
    for delivery, answer in zip(claimed.deliveries, answers, strict=True):
        if delivery.pk not in held:
            continue
        outcome = "unknown" if answer is None or answer.digest != delivery.voucher.digest else answer.outcome
        outcome = {"duplicate": "accepted"}.get(outcome, outcome)
        groups[outcome if outcome in groups else "unknown"].append((delivery, answer))
    _accepted([d for d, _ in groups["accepted"]], claimed.partner, "sign_for", "", now)
    _answered_refused(groups["refused"], claimed.partner, "refuse", now)
    _unknown([d for d, _ in groups["unknown"]], "没有可信的应答", now)
    _partner_up(claimed.partner)


@transaction.atomic(durable=True)
def record_unknown(claimed: Claim, error: str, *, now: datetime) -> None:
    """The call gave no authenticated answer: every row is UNKNOWN, the quota stays reserved, the breaker counts."""
    held = _still_held(claimed)
    _unknown([d for d in claimed.deliveries if d.pk in held], error, now)
    _partner_down(claimed.partner, now)


@transaction.atomic(durable=True)
def record_not_sent(claimed: Claim, error: str, *, now: datetime) -> None:
    """No connection came about, so nothing left: back to where the rows were, later."""
    held = _still_held(claimed)
    rows = [d for d in claimed.deliveries if d.pk in held]
    Delivery.objects.filter(pk__in=[r.pk for r in rows], state=DeliveryState.SENDING).update(state=DeliveryState.QUEUED)
    Delivery.objects.filter(pk__in=[r.pk for r in rows]).update(
        lease_id=None,
        lease_until=None,
        next_attempt_at=now + _backoff(claimed.partner.failures),
        last_error=error[:200],
    )
    _log(rows, Step.ANSWERED, outcome="not_sent", detail=error, now=now)
    _partner_down(claimed.partner, now)


@transaction.atomic(durable=True)
def record_queried(claimed: Claim, answers: Sequence[PartnerAnswer | None], *, now: datetime) -> list[bytes]:
    """Settle UNKNOWN rows by what the partner says when asked; returns the receipt envelopes that came along.

    "Not found" is not "not paid": only after it was said twice in a row, and the last sending ended long enough ago
    that it cannot still arrive, are the same bytes queued again. Received but not signed for yet is asked again.
    """
    held = _still_held(claimed)
    receipts: list[bytes] = []
    groups: dict[str, list[tuple[Delivery, PartnerAnswer | None]]] = {}
    for delivery, answer in zip(claimed.deliveries, answers, strict=True):
        if delivery.pk in held:
            groups.setdefault(_meaning(delivery, answer), []).append((delivery, answer))
            if answer is not None and answer.receipt is not None:
                receipts.append(answer.receipt)
    _accepted([d for d, _ in groups.get("accepted", [])], claimed.partner, "sign_for", "", now)
    _answered_refused(groups.get("refused", []), claimed.partner, "refuse", now)
    _answered_refused(groups.get("returned", []), claimed.partner, "return", now)
    _unknown([d for d, _ in groups.get("unknown", [])], "查询没有可信的应答", now)
    _not_found([d for d, _ in groups.get("not_found", [])], now)
    _partner_up(claimed.partner)
    return receipts


def _meaning(delivery: Delivery, answer: PartnerAnswer | None) -> str:
    if answer is None:
        return "unknown"
    if answer.status == -1:
        return "not_found"
    if answer.digest != delivery.voucher.digest:
        return "unknown"  # the partner holds another document under this number: a person must look
    return {3: "accepted", 12: "accepted", 4: "refused", 5: "returned"}.get(answer.status or 0, "unknown")


def _still_held(claimed: Claim) -> set[UUID]:
    """Lock vouchers, then rows, and return the rows whose lease is still ours (compare-and-set)."""
    lock_vouchers([d.voucher_id for d in claimed.deliveries])
    rows = Delivery.objects.select_for_update().filter(
        pk__in=[d.pk for d in claimed.deliveries],
        lease_id=claimed.lease_id,
        state__in=[DeliveryState.SENDING, DeliveryState.UNKNOWN],
    )
    return set(rows.order_by("pk").values_list("pk", flat=True))


def _accepted(rows: list[Delivery], partner: ExchangePartner, action: str, reason: str, now: datetime) -> None:
    _finish(rows, DeliveryState.DELIVERED, "accepted", now)
    _tell(rows, partner, action, reason, now)


def _answered_refused(
    pairs: list[tuple[Delivery, PartnerAnswer | None]], partner: ExchangePartner, action: str, now: datetime
) -> None:
    by_reason: dict[str, list[Delivery]] = {}
    for delivery, answer in pairs:
        by_reason.setdefault(answer.reason if answer else "", []).append(delivery)
    for reason, rows in by_reason.items():
        _finish(rows, DeliveryState.REFUSED, reason or "refused", now)
        _tell(rows, partner, action, reason, now)


def _finish(rows: list[Delivery], state: str, detail: str, now: datetime) -> None:
    Delivery.objects.filter(pk__in=[r.pk for r in rows]).update(
        state=state,
        delivered_at=now,
        lease_id=None,
        lease_until=None,
        last_error="" if state == "delivered" else detail,
    )
    _log(rows, Step.ANSWERED, outcome=state, detail=detail, now=now)


def _tell(rows: list[Delivery], partner: ExchangePartner, action: str, reason: str, now: datetime) -> None:
    vouchers = lock_vouchers([row.voucher_id for row in rows])
    record_answer(vouchers, action, by=partner_actor(partner), reason=reason, now=now)


def _unknown(rows: list[Delivery], error: str, now: datetime) -> None:
    Delivery.objects.filter(pk__in=[r.pk for r in rows]).update(
        state=DeliveryState.UNKNOWN,
        lease_id=None,
        lease_until=None,
        not_found=0,
        next_attempt_at=now + timedelta(seconds=1),
        last_error=error[:200],
    )
    _log(rows, Step.ANSWERED, outcome="unknown", detail=error, now=now)


def _not_found(rows: list[Delivery], now: datetime) -> None:
    ids = [r.pk for r in rows]
    Delivery.objects.filter(pk__in=ids).update(
        not_found=F("not_found") + 1, lease_id=None, lease_until=None, next_attempt_at=now + timedelta(seconds=1)
    )
    # A sending that timed out may still be at work over there: its quiet time begins when we gave it up.
    quiet = now - timedelta(seconds=settings.GUOKU_RESEND_AFTER)
    lately = DeliveryAttempt.objects.filter(delivery_id__in=ids, at__gt=quiet).filter(
        Q(step=Step.SENT) | Q(step=Step.ANSWERED, outcome="unknown")
    )
    sent_lately = set(lately.values_list("delivery_id", flat=True))
    Delivery.objects.filter(pk__in=set(ids) - sent_lately, not_found__gte=2).update(
        state=DeliveryState.QUEUED, not_found=0, last_error="对方两次答复未收到，重发同一报文"
    )
    _log(rows, Step.ANSWERED, outcome="not_found", detail="", now=now)


def _log(rows: list[Delivery], step: str, *, now: datetime, outcome: str = "", detail: str = "") -> None:
    copy_rows(
        [
            DeliveryAttempt(
                delivery=row,
                number=row.attempts,
                step=step,
                outcome=outcome[:20],
                detail=detail[:300],
                digest=row.voucher.digest,
                at=now,
            )
            for row in rows
        ]
    )


def _backoff(failures: int) -> timedelta:
    return timedelta(seconds=min(2 ** min(failures, 6), 60))


def _partner_down(partner: ExchangePartner, now: datetime) -> None:
    """Count a failure; from the third in a row on, leave the partner alone for a while (shared by all workers)."""
    row = ExchangePartner.objects.select_for_update().get(pk=partner.pk)
    row.failures += 1
    row.down_since = row.down_since or now
    row.open_until = now + _backoff(row.failures - 2) if row.failures >= 3 else None
    row.save(update_fields=["failures", "down_since", "open_until"])


def _partner_up(partner: ExchangePartner) -> None:
    ExchangePartner.objects.filter(pk=partner.pk, failures__gt=0).update(failures=0, down_since=None, open_until=None)
