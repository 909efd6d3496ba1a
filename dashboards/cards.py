"""Purchases with official cards beside what was repaid of them; the state is read from the live payments."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, QuerySet

from cards.models import CardTransaction
from dashboards.acting import uuid_or_none
from dashboards.desk import Desk
from parties.selectors import visible_unit_codes
from payments.models import BusinessType, PaymentDetail
from payments.register_checks import LIVE
from payments.states import PAID_STATES, DetailState


@dataclass(frozen=True)
class ShownPurchase:
    """A purchase, and the live payment line that repays it, if one does."""

    purchase: CardTransaction
    line: PaymentDetail | None
    overdue: bool

    @property
    def state(self) -> str:
        """未报销, 报销中 or 已还款."""
        if self.line is None:
            return "未报销"
        return "已还款" if self.line.request.state in PAID_STATES else "报销中"

    @property
    def tone(self) -> str:
        if self.line is None:
            return "warn" if self.overdue else "run"
        return "ok" if self.line.request.state in PAID_STATES else "run"


def purchases_for(desk: Desk) -> QuerySet[CardTransaction]:
    """Return the purchases of the units the officer may see."""
    rows = CardTransaction.objects.select_related("unit").filter(adm_div_code=desk.actor.adm_div_code)
    codes = visible_unit_codes(desk.actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def with_repayments(desk: Desk, purchases: Sequence[CardTransaction]) -> list[ShownPurchase]:
    """Pair purchases with the payment lines that quote them (one query)."""
    lines = (
        PaymentDetail.objects.select_related("request")
        .filter(
            adm_div_code=desk.actor.adm_div_code,
            reference__in=[each.transaction_no for each in purchases],
            request__business_type=BusinessType.OFFICIAL_CARD,
            request__state__in=LIVE,
        )
        .exclude(state=DetailState.FAILED)
        .exclude(state=DetailState.PAID, amount_refunded=F("amount"))
    )
    by_number = {line.reference: line for line in lines}
    on = desk.day.date if desk.day is not None else desk.now.date()
    return [ShownPurchase(each, by_number.get(each.transaction_no), overdue=each.due_on < on) for each in purchases]


def chosen_purchases(desk: Desk, given: Sequence[str]) -> list[CardTransaction]:
    """Return the purchases a clerk ticked, in the order of purchase; what is not the unit's own is left out."""
    ids: list[UUID] = [pk for pk in map(uuid_or_none, given) if pk is not None]
    return list(purchases_for(desk).filter(pk__in=ids).order_by("consumed_on", "transaction_no")) if ids else []
