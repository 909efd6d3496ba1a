"""单位收入: a unit may spend of its own money what has come in. Its clerk writes an income down, another person of the
unit confirms it, and then it is quota. Source: docs/methods.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from budget.entries import Posting, lock_balances, post
from budget.locking import context_for
from budget.methods import Control, controlled_by
from budget.models import BudgetIndicator, Quota, UnitIncome, UnitIncomeDecision
from core.actors import Actor
from core.batch import copy_rows
from core.errors import Conflict, NotFound, RoleRequired, TreasuryError
from core.money import check_positive
from core.numbering import take_numbers
from core.outcomes import Outcome, judge
from parties.errors import ActedBefore

DECIDERS = ("unit_reviewer", "unit_leader")


class IncomeInvalid(TreasuryError):
    """A field of an income is missing or wrong."""

    code = "income_invalid"


@dataclass(frozen=True)
class IncomeInput:
    """What the clerk copies from the bank's credit advice; `amount` in yuan."""

    indicator_id: UUID
    amount: Decimal
    received_on: date
    payer: str
    bank_serial: str
    note: str = ""


@transaction.atomic(durable=True)
def record_income(*, given: IncomeInput, clerk: Actor, now: datetime) -> UnitIncome:
    """Write an income down; nothing can be spent of it until it is confirmed.

    :raises RoleRequired, NotFound, IncomeInvalid, AmountInvalid: naming the field.
    :raises Conflict: if the bank's serial has been written down for this indicator before.
    """
    if "unit_clerk" not in clerk.roles:
        raise RoleRequired("该操作需要岗位：单位经办。", field="role")
    assert clerk.person_id is not None, "a clerk is a person"
    context = context_for(clerk, now)
    indicator = BudgetIndicator.objects.filter(
        pk=given.indicator_id,
        adm_div_code=clerk.adm_div_code,
        fiscal_year=context.fiscal_year,
        unit__code__in=clerk.units,
        quota__isnull=False,
    ).first()
    if indicator is None:
        raise NotFound("指标不存在或不属于本单位。", field="indicator_id")
    if indicator.payment_mode not in controlled_by(Control.INCOME):
        raise IncomeInvalid(f"指标 {indicator.indicator_no} 不是单位资金指标。", field="indicator_id")
    check_positive(given.amount, field="amount")
    for name, label, value, most in (
        ("payer", "付款人", given.payer, 60),
        ("bank_serial", "银行流水号", given.bank_serial, 42),
    ):
        if not 0 < len(value.strip()) <= len(value) <= most or not value.isprintable():
            raise IncomeInvalid(f"请填写{label}（不超过 {most} 字）。", field=name)
    if len(given.note) > 200:
        raise IncomeInvalid("说明不超过 200 字。", field="note")
    if given.received_on > context.business_date or given.received_on.year != context.fiscal_year:
        raise IncomeInvalid("到账日期须在本年内，且不晚于业务日。", field="received_on")
    if not _lock_indicator(indicator) or indicator.incomes.filter(bank_serial=given.bank_serial).exists():
        raise Conflict("该银行流水号已登记过收入。", field="bank_serial", given=given.bank_serial)
    number = take_numbers(adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year, kind="income", count=1)[0]
    return UnitIncome.objects.create(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        indicator=indicator,
        income_no=number,
        amount=given.amount,
        received_on=given.received_on,
        payer=given.payer,
        bank_serial=given.bank_serial,
        note=given.note,
        recorded_by_id=clerk.person_id,
        recorded_at=now,
    )


def _lock_indicator(indicator: BudgetIndicator) -> bool:
    """Two clerks with the same credit advice come one after the other."""
    return bool(lock_balances([indicator.id]).indicators)


@transaction.atomic(durable=True)
def decide_incomes(*, income_ids: Sequence[UUID], by: Actor, confirm: bool, now: datetime) -> Outcome[UnitIncome]:
    """Confirm incomes, so that they may be spent, or refuse them for good.

    Refused per item: not_found, role_required, acted_before, conflict (decided before).
    """
    context = context_for(by, now)
    found = list(incomes_of(by).filter(pk__in=set(income_ids)).order_by("pk"))
    indicators = {income.indicator_id for income in found}
    quotas = dict(Quota.objects.filter(indicator_id__in=indicators).values_list("indicator_id", "id"))
    lock_balances([], quotas.values())  # facts cannot be locked; what is decided meanwhile is seen below
    decided = set(UnitIncomeDecision.objects.filter(income__in=found).values_list("income_id", flat=True))

    def check(income: UnitIncome) -> None:
        if by.roles.isdisjoint(DECIDERS):
            raise RoleRequired("该操作需要岗位：单位复核或单位负责人。", field="role")
        if income.recorded_by_id == by.person_id:
            raise ActedBefore("您是本笔收入的登记人，不能确认（岗位分离）。", field="by")
        if income.id in decided:
            raise Conflict("该笔收入已经确认或否决。", field="state")

    outcome = judge(found, income_ids, check)
    if not outcome.accepted:
        return outcome
    assert by.person_id is not None, "who decides is a person"
    copy_rows(
        [
            UnitIncomeDecision(
                adm_div_code=income.adm_div_code,
                fiscal_year=income.fiscal_year,
                income=income,
                confirmed=confirm,
                decided_by_id=by.person_id,
                decided_at=now,
            )
            for income in outcome.accepted
        ]
    )
    if confirm:
        post([_posting(income, quotas[income.indicator_id]) for income in outcome.accepted], context)
    return outcome


def _posting(income: UnitIncome, quota_id: UUID) -> Posting:
    return Posting(
        indicator_id=income.indicator_id,
        kind="income",
        indicator={},
        quota_id=quota_id,
        quota={"granted": income.amount},
        document_type=income._meta.label,
        document_id=income.id,
        note=income.income_no,
    )


def incomes_of(actor: Actor) -> QuerySet[UnitIncome]:
    """Return the incomes of the actor's own units."""
    return UnitIncome.objects.select_related("indicator__unit", "recorded_by", "decision").filter(
        adm_div_code=actor.adm_div_code, indicator__unit__code__in=actor.units
    )
