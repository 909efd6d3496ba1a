"""Changes of issued indicators: one person makes them, another approves; a mistake is mended by another document."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from budget.entries import Posting, lock_balances, post
from budget.errors import IndicatorExceeded
from budget.locking import context_for
from budget.models import BudgetIndicator, IndicatorAdjustment
from budget.states import ADJUSTMENT_FLOW
from core.actors import Actor
from core.errors import AmountInvalid, Conflict, NotFound, RoleRequired, TreasuryError
from core.money import LIMIT, check_positive
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore

Kind = IndicatorAdjustment.Kind
EFFECT = {Kind.ADD: ("total", 1), Kind.REDUCE: ("total", -1), Kind.FREEZE: ("frozen", 1), Kind.UNFREEZE: ("frozen", -1)}


class AdjustmentInvalid(TreasuryError):
    """A field of an adjustment is missing or wrong."""

    code = "adjustment_invalid"


@transaction.atomic(durable=True)
def create_adjustment(
    *, indicator_id: UUID, kind: str, doc_no: str, amount: Decimal, note: str, clerk: Actor, now: datetime
) -> IndicatorAdjustment:
    """Write down an addition, reduction, freeze or unfreeze of an indicator; nothing changes until it is approved.

    :raises RoleRequired, NotFound, AdjustmentInvalid, AmountInvalid, Conflict: a document number is used once.
    """
    if "budget_clerk" not in clerk.roles:
        raise RoleRequired("该操作需要岗位：预算科经办。", field="role")
    assert clerk.person_id is not None, "a clerk is a person"
    context = context_for(clerk, now)
    if kind not in Kind.values:
        raise AdjustmentInvalid("变动类型不在代码表内。", field="kind")
    if not doc_no.strip() or len(doc_no) > 60:
        raise AdjustmentInvalid("请填写文号（最多 60 字）。", field="doc_no")
    check_positive(amount, field="amount")
    indicator = BudgetIndicator.objects.filter(
        pk=indicator_id, adm_div_code=clerk.adm_div_code, fiscal_year=context.fiscal_year
    )
    if not indicator.exists():
        raise NotFound("指标不存在。", field="indicator_id")
    same = IndicatorAdjustment.objects.filter(
        adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year, doc_no=doc_no, kind=kind
    )
    if same.exists():
        raise Conflict("该文号已登记过同类变动。", field="doc_no", doc_no=doc_no)
    return IndicatorAdjustment.objects.create(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        indicator_id=indicator_id,
        kind=kind,
        doc_no=doc_no,
        amount=amount,
        note=note[:200],
        created_by_id=clerk.person_id,
        created_at=now,
    )


@transaction.atomic(durable=True)
def decide_adjustments(
    *, adjustment_ids: Sequence[UUID], approver: Actor, approve: bool, reason: str = "", now: datetime
) -> Outcome[IndicatorAdjustment]:
    """Approve (and thereby issue) or reject adjustments made by somebody else.

    A freeze or reduction needs that much available and not yet planned; refused per item: indicator_exceeded,
    acted_before, role_required, transition_not_allowed.
    """
    context = context_for(approver, now)
    action = "approve" if approve else "reject"
    found = list(
        IndicatorAdjustment.objects.select_for_update()
        .filter(pk__in=set(adjustment_ids), adm_div_code=approver.adm_div_code)
        .order_by("pk")
    )
    rows = lock_balances([a.indicator_id for a in found]).indicators
    available = {pk: row.amount_available for pk, row in rows.items()}
    plannable = {pk: row.amount_plannable for pk, row in rows.items()}
    frozen = {pk: row.amount_frozen for pk, row in rows.items()}
    total = {pk: row.amount_total for pk, row in rows.items()}

    def check(adjustment: IndicatorAdjustment) -> None:
        check_move(ADJUSTMENT_FLOW, adjustment, action, approver)
        if adjustment.created_by_id == approver.person_id:
            raise ActedBefore("您是本单录入人，不能审批（岗位分离）。", field="approver")
        if not approve:
            return
        pk, column, sign = adjustment.indicator_id, *EFFECT[Kind(adjustment.kind)]
        change = adjustment.amount * sign * (1 if column == "total" else -1)  # on what is available
        left = min(available[pk], plannable[pk])
        if column == "total" and total[pk] + change >= LIMIT:
            raise AmountInvalid("追加后指标总额超出可记载的范围。", field="amount", asked=adjustment.amount)
        if left + change < 0:
            raise IndicatorExceeded(
                f"指标可用且未安排计划的余额只有 {left:,.2f}。", field="amount", available=left, asked=adjustment.amount
            )
        if adjustment.kind == Kind.UNFREEZE and adjustment.amount > frozen[pk]:
            raise IndicatorExceeded(f"冻结余额只有 {frozen[pk]:,.2f}。", field="amount", available=frozen[pk])
        available[pk] += change
        plannable[pk] += change
        (frozen if column == "frozen" else total)[pk] += adjustment.amount * sign

    outcome = judge(found, adjustment_ids, check)
    move(ADJUSTMENT_FLOW, outcome.accepted, action, by=approver, at=now, reason=reason[:300])
    ids = [adjustment.id for adjustment in outcome.accepted]
    IndicatorAdjustment.objects.filter(pk__in=ids).update(decided_by_id=approver.person_id)
    if approve:
        post([_posting(adjustment) for adjustment in outcome.accepted], context)
    return outcome


def _posting(adjustment: IndicatorAdjustment) -> Posting:
    column, sign = EFFECT[Kind(adjustment.kind)]
    return Posting(
        indicator_id=adjustment.indicator_id,
        kind=adjustment.kind,
        indicator={column: adjustment.amount * sign},
        document_type=adjustment._meta.label,
        document_id=adjustment.id,
        note=adjustment.doc_no,
    )
