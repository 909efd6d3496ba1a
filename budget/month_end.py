"""月末失效: where a region lets plans be spent within their month only, what is unused at its end is taken back.

Each is a reduction like any other, drawn up by the treasury instead of the unit and reviewed on a chain of its own
(`plan_lapse`); for authorised payment it goes to the bank as a negative notice. Source: docs/budget.md §month-end.
"""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from budget.entries import lock_balances, post
from budget.locking import context_for
from budget.methods import PLANNED, Control, controlled_by
from budget.models import BudgetYear, Quota, SpendingPlan
from budget.planning import PlanInvalid, enter_review, submitted_posting
from budget.states import PLAN_FLOW, PlanState
from core.actors import Actor
from core.batch import copy_rows
from core.errors import Conflict, RoleRequired
from core.money import ZERO
from core.numbering import take_numbers
from core.transitions import move

CHAIN_KIND = "plan_lapse"


@transaction.atomic(durable=True)
def lapse_unused_plans(*, month: int, reconciler: Actor, now: datetime) -> list[SpendingPlan]:
    """Take back what every quota has unused of the plans of this month and before; later months' plans stay.

    The quota is less at once, so nobody spends it meanwhile. Safe twice: the second time nothing is left. The number of
    SQL statements does not depend on how many quotas there are.

    :raises RoleRequired, PlanInvalid, ReviewChainMissing, DayClosed, YearClosed.
    :raises Conflict: in a region whose plans roll over (滚存).
    """
    if "reconciler" not in reconciler.roles:
        raise RoleRequired("该操作需要岗位：国库对账。", field="role")
    assert reconciler.person_id is not None, "a reconciler is a person"
    context = context_for(reconciler, now)
    year = BudgetYear.objects.filter(adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year).first()
    if year is None or year.plan_validity != BudgetYear.PlanValidity.MONTH:
        raise Conflict("本区划的用款计划在年内滚存，没有月末失效。", field="plan_validity")
    if not 1 <= month <= context.business_date.month:
        raise PlanInvalid("只能办理本月及以前月份的月末失效。", field="month")
    where = {"adm_div_code": context.adm_div_code, "fiscal_year": context.fiscal_year}
    planned = [code for control in PLANNED for code in controlled_by(control)]  # a unit's own income never lapses
    rows = Quota.objects.filter(payment_mode__in=planned, control=Quota.Control.LIMIT, **where)
    ids = rows.values_list("id", "indicator_id")
    books = lock_balances([indicator for _, indicator in ids], [quota for quota, _ in ids])
    later = _granted_for_later(month, where)
    lapsing = {
        quota: quota.amount_available - later[quota.indicator_id]
        for quota in books.quotas.values()
        if quota.amount_available > later[quota.indicator_id]
    }
    numbers = take_numbers(
        adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year, kind="plan", count=len(lapsing)
    )
    plans = [
        SpendingPlan(
            **where,
            plan_no=number,
            unit_id=quota.unit_id,
            indicator=books.indicators[quota.indicator_id],
            month=month,
            kind=SpendingPlan.Kind.REDUCE,
            payment_mode=quota.payment_mode,
            amount=amount,
            created_by_id=reconciler.person_id,
            created_at=now,
        )
        for (quota, amount), number in zip(lapsing.items(), numbers, strict=True)
    ]
    copy_rows(plans)
    if plans:
        enter_review(plans, CHAIN_KIND, context)
        move(PLAN_FLOW, plans, "lapse", by=reconciler, at=now)
        quotas = {quota.indicator_id: quota.id for quota in lapsing}
        post([submitted_posting(plan, 1, "plan", quotas) for plan in plans], context)
    return plans


def _granted_for_later(month: int, where: dict[str, object]) -> dict[UUID, Decimal]:
    """Return by indicator what was granted for months to come."""
    sums: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    rows = SpendingPlan.objects.filter(month__gt=month, **where)
    for plan in rows:
        if plan.kind == SpendingPlan.Kind.REDUCE:
            counts = plan.state in (PlanState.IN_REVIEW, PlanState.APPROVED, PlanState.NOTIFIED, PlanState.ARRIVED)
        else:
            at_once = plan.state == PlanState.APPROVED and plan.payment_mode in controlled_by(Control.PLAN)
            counts = at_once or plan.state == PlanState.ARRIVED
        sums[plan.indicator_id] += plan.signed_amount if counts else ZERO
    return defaultdict(lambda: ZERO, {pk: max(amount, ZERO) for pk, amount in sums.items()})
