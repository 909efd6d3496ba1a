"""What the scheduled rules look at once a day: direct funds (M21), what was mended (M28), documents that wait (M32)."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, OuterRef, Subquery, Sum
from django.utils import timezone

from budget.models import BudgetIndicator, SpendingPlan
from budget.states import PlanState
from core.models import Transition, Workday
from core.money import ZERO
from monitoring.facts import DwellFacts, MonthlyFacts, ProgressFacts
from monitoring.sources import register
from parties.duties import Post
from parties.models import BudgetUnit, ReviewNode
from payments.models import CorrectionReceipt, PaymentRequest, Refund
from payments.states import RequestState


def register_sources() -> None:
    register("M21", direct_progress)
    register("M28", mended_of_the_month)
    register("M32", waiting_documents)


def direct_progress(adm_div_code: str, day: date) -> Sequence[ProgressFacts]:
    """Return every indicator with a tag; judged anew each month. Paid is net of refunds."""
    rows = BudgetIndicator.objects.filter(adm_div_code=adm_div_code, fiscal_year=day.year).exclude(tags=[])
    rows = rows.select_related("unit").annotate(issued_on=Min("entries__business_date")).order_by("indicator_no")
    days_of_year = (date(day.year + 1, 1, 1) - date(day.year, 1, 1)).days
    elapsed = Decimal(day.timetuple().tm_yday) / days_of_year
    return [
        ProgressFacts(
            document_id=indicator.id,
            document_type=indicator._meta.label,
            document_no=indicator.indicator_no,
            revision=day.month,
            adm_div_code=adm_div_code,
            fiscal_year=day.year,
            unit_code=indicator.unit.code,
            section=indicator.unit.section,
            amount=indicator.amount_total - indicator.amount_paid + indicator.amount_refunded,
            business_date=day,
            tags=tuple(indicator.tags),
            total=indicator.amount_total,
            paid=indicator.amount_paid - indicator.amount_refunded,
            issued_on=indicator.issued_on or day,
            elapsed=elapsed,
        )
        for indicator in rows
    ]


def mended_of_the_month(adm_div_code: str, day: date) -> Sequence[MonthlyFacts]:
    """Return how often money of each unit came back or was carried differently in the month of this day, up to it."""
    month = (day.replace(day=1), day)
    refunds = Refund.objects.filter(adm_div_code=adm_div_code, business_date__range=month)
    corrections = CorrectionReceipt.objects.filter(adm_div_code=adm_div_code, executed=True, dealt_on__range=month)
    found: dict[UUID, tuple[int, Decimal]] = {}
    for rows, unit, amount in (
        (refunds, "detail__request__unit_id", "amount"),
        (corrections, "correction__unit_id", "correction__amount"),
    ):
        for unit_id, times, total in rows.values_list(unit).annotate(times=Count("pk"), total=Sum(amount)):
            before = found.get(unit_id, (0, ZERO))
            found[unit_id] = (before[0] + times, before[1] + total)
    return [
        MonthlyFacts(
            document_id=unit.id,
            document_type=unit._meta.label,
            document_no=f"{unit.code} {unit.name}"[:60],
            revision=day.month,
            adm_div_code=adm_div_code,
            fiscal_year=day.year,
            unit_code=unit.code,
            section=unit.section,
            amount=found[unit.id][1],
            business_date=day,
            month=day.month,
            times=found[unit.id][0],
        )
        for unit in BudgetUnit.objects.filter(pk__in=found).order_by("code")
    ]


def waiting_documents(adm_div_code: str, day: date) -> Sequence[DwellFacts]:
    """Return every request and plan that waits at a node, since its last step."""
    requests = PaymentRequest.objects.filter(adm_div_code=adm_div_code, state=RequestState.IN_REVIEW)
    plans = SpendingPlan.objects.filter(adm_div_code=adm_div_code, state=PlanState.IN_REVIEW)
    waiting = [*_with_step(requests), *_with_step(plans)]
    if not waiting:
        return []
    worked = _WorkedSince(min(timezone.localdate(document.since) for document in waiting), day)
    return [
        DwellFacts(
            document_id=document.id,
            document_type=document._meta.label,
            document_no=str(document),
            revision=document.revision,
            adm_div_code=adm_div_code,
            fiscal_year=document.fiscal_year,
            unit_code=document.unit.code,
            section=document.unit.section,
            amount=document.amount,
            business_date=day,
            post=Post(document.post).label if document.post else "",
            work_days=worked.after(timezone.localdate(document.since)),
        )
        for document in waiting
    ]


def _with_step(rows: Any) -> Iterable[Any]:
    """Read documents with the instant of their last step and the post they wait for (one query)."""
    steps = Transition.objects.filter(document_id=OuterRef("pk")).values("document_id").annotate(last=Max("at"))
    node = ReviewNode.objects.filter(chain=OuterRef("chain"), ordinal=OuterRef("node"))
    found = rows.select_related("unit").annotate(
        since=Subquery(steps.values("last")), post=Subquery(node.values("post"))
    )
    return [document for document in found.order_by("pk") if isinstance(document.since, datetime)]


class _WorkedSince:
    """Counts the working days after a date, up to and with `day`; Monday to Friday where the calendar is silent."""

    def __init__(self, first: date, day: date) -> None:
        self._day = day
        self._known = dict(Workday.objects.filter(date__range=(first, day)).values_list("date", "worked"))

    def after(self, since: date) -> int:
        ahead = (since + timedelta(days=n) for n in range(1, (self._day - since).days + 1))
        return sum(1 for day in ahead if self._known.get(day, day.weekday() < 5))
