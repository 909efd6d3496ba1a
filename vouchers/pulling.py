"""What a partner that reads its vouchers says of them: signed for, refused, or returned. Safe to say twice."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from core.batch import copy_rows
from core.errors import Conflict, NotFound, TreasuryError
from vouchers.delivery import partner_actor
from vouchers.library_reads import WAITING
from vouchers.models import Delivery, DeliveryAttempt, ExchangePartner, Voucher
from vouchers.services import lock_vouchers, record_answer
from vouchers.states import VOUCHER_FLOW, DeliveryState, VoucherState

log = logging.getLogger(__name__)

# States in which an answer has been heard already: the partner repeats itself.
_HEARD = {
    "sign_for": (VoucherState.SIGNED_FOR, VoucherState.RECEIPTED),
    "refuse": (VoucherState.REFUSED, VoucherState.VOID),  # sent and void: refused or returned before
    "return": (VoucherState.RETURNED, VoucherState.VOID),
}


@dataclass(frozen=True)
class AnsweredItem:
    """One voucher a partner answers for, by its identity; `reason` is empty when it signs for it."""

    adm_div_code: str
    fiscal_year: int
    voucher_type: str
    voucher_no: str
    reason: str = ""

    @property
    def identity(self) -> tuple[str, int, str, str]:
        return self.adm_div_code, self.fiscal_year, self.voucher_type, self.voucher_no


@dataclass(frozen=True)
class ItemResult:
    """What became of one answer: accepted, duplicate (heard before) or refused with `error`."""

    item: AnsweredItem
    outcome: str
    error: TreasuryError | None = None


def answer_pulled(
    *, partner: ExchangePartner, items: Sequence[AnsweredItem], action: str, now: datetime
) -> list[ItemResult]:
    """Record that the partner signs for (`sign_for`), refuses (`refuse`) or returns (`return`) vouchers of ours.

    Answers in the order of `items`. A voucher of somebody else is as unknown as one that does not exist. The number
    of statements does not depend on the number of items, only on how many different reasons they give. If the
    business refuses the batch, it is tried one by one, so that one voucher cannot hold up the others.

    Lock order: voucher, then delivery.
    """
    assert action in _HEARD, f"{action} is no answer of a partner"
    try:
        return _answer(partner, items, action, now)
    except TreasuryError as refusal:
        if len(items) == 1:
            return [ItemResult(items[0], "refused", refusal)]
        log.warning("a batch of answers was refused; one by one", extra={"partner": partner.pk, "code": refusal.code})
        return [
            result for item in items for result in answer_pulled(partner=partner, items=[item], action=action, now=now)
        ]


@transaction.atomic(durable=True)
def _answer(partner: ExchangePartner, items: Sequence[AnsweredItem], action: str, now: datetime) -> list[ItemResult]:
    vouchers = _locked(partner, items)
    deliveries = _locked_deliveries(vouchers.values())
    results: list[ItemResult] = []
    fresh: dict[str, list[Voucher]] = {}
    heard: list[Voucher] = []
    taken: set[tuple[str, int, str, str]] = set()
    for item in items:
        voucher = vouchers.get(item.identity)
        if voucher is None:
            error = NotFound("没有发给该机构的这张凭证。", field="voucher_no")
            results.append(ItemResult(item, "refused", error))
        elif item.identity in taken:
            results.append(ItemResult(item, "duplicate"))
        elif action in VOUCHER_FLOW.actions_from(voucher.state):
            taken.add(item.identity)
            fresh.setdefault(item.reason, []).append(voucher)
            results.append(ItemResult(item, "accepted"))
        elif voucher.state in _HEARD[action]:
            heard.append(voucher)
            results.append(ItemResult(item, "duplicate"))
        else:
            conflict = Conflict(
                f"凭证当前为「{VoucherState(voucher.state).label}」，不能再作此答复。",
                field="voucher_no",
                state=voucher.state,
            )
            results.append(ItemResult(item, "refused", conflict))
    for reason, answered in fresh.items():
        record_answer(answered, action, by=partner_actor(partner), reason=reason, now=now)
        _finish(answered, deliveries, action, reason, now)
    overtaken = [v for v in heard if deliveries[v.pk].state in WAITING]  # its receipt came before its word
    _finish(overtaken, deliveries, action, "", now)
    return results


def _locked(partner: ExchangePartner, items: Sequence[AnsweredItem]) -> dict[tuple[str, int, str, str], Voucher]:
    """Lock the vouchers of these identities that were sent to the partner."""
    candidates = Voucher.objects.filter(
        delivery__partner=partner,
        adm_div_code=partner.adm_div_code,
        fiscal_year__in={item.fiscal_year for item in items},
        voucher_type__in={item.voucher_type for item in items},
        voucher_no__in={item.voucher_no for item in items},
    ).values_list("pk", "adm_div_code", "fiscal_year", "voucher_type", "voucher_no")
    asked = {item.identity for item in items}
    ids = [pk for pk, *identity in candidates if tuple(identity) in asked]
    return {(v.adm_div_code, v.fiscal_year, v.voucher_type, v.voucher_no): v for v in lock_vouchers(ids)}


def _locked_deliveries(vouchers: Iterable[Voucher]) -> dict[UUID, Delivery]:
    rows = Delivery.objects.select_for_update().filter(voucher__in=[voucher.pk for voucher in vouchers])
    return {row.voucher_id: row for row in rows.order_by("pk")}


def _finish(
    vouchers: Sequence[Voucher], deliveries: Mapping[UUID, Delivery], action: str, reason: str, now: datetime
) -> None:
    """Close outbox rows; a worker that is sending one right now finds its lease gone and records nothing."""
    if not vouchers:
        return
    state = DeliveryState.DELIVERED if action == "sign_for" else DeliveryState.REFUSED
    Delivery.objects.filter(voucher__in=[voucher.pk for voucher in vouchers]).update(
        state=state,
        delivered_at=Coalesce("delivered_at", Value(now)),
        lease_id=None,
        lease_until=None,
        last_error=reason[:200],
    )
    copy_rows(
        [
            DeliveryAttempt(
                delivery=deliveries[voucher.pk],
                number=deliveries[voucher.pk].attempts,
                step=DeliveryAttempt.Step.ANSWERED,
                outcome=state,
                detail=reason[:300] or "对方领取后答复",
                digest=voucher.digest,
                at=now,
            )
            for voucher in vouchers
        ]
    )
