"""Taking over balances when a bureau goes live within a year (期初导入): entries like any other, of kind `opening`."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from budget.entries import Context, LimitPosting, Posting, lock_balances, post, post_limits
from budget.limits import lock_limits
from budget.methods import PLANNED, Control, check_payer, control_in, quota_control, year_of
from budget.models import BudgetIndicator, Quota
from budget.terms import DirectFund, Sanbao
from core.money import ZERO
from parties.models import AgentBank, BankAccount, BudgetUnit


@dataclass(frozen=True)
class OpeningIndicator:
    """An indicator as it stands on the day before: granted, paid so far, and what may still be paid (quota or plan)."""

    indicator_no: str
    doc_no: str
    unit: BudgetUnit
    fund_nature: str
    function_code: str
    gov_economic_code: str
    payment_mode: str
    payer_account: BankAccount
    total: Decimal
    paid: Decimal
    quota_left: Decimal
    tags: tuple[str, ...] = ()
    project_code: str = ""
    project_name: str = ""
    budget_class: str = ""
    sanbao: str = Sanbao.NONE
    direct_fund: str = DirectFund.NONE
    procurement: bool = False


@transaction.atomic(savepoint=False)
def import_indicator(opening: OpeningIndicator, context: Context) -> BudgetIndicator:
    """Create an indicator and its quota row with opening entries; a step.

    :raises MethodUnknown, PayerAccountNotAllowed: if the money may not be paid this way from this account.
    :raises django.db.IntegrityError: if the figures break E1 or E2, or the number is taken.
    """
    check_payer(opening.payment_mode, opening.fund_nature, opening.payer_account)
    year = year_of(context.adm_div_code, context.fiscal_year)
    control = control_in(year, opening.payment_mode, opening.fund_nature)
    is_limited = control is not Control.NONE
    indicator = BudgetIndicator.objects.create(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        indicator_no=opening.indicator_no,
        doc_no=opening.doc_no,
        unit=opening.unit,
        fund_nature=opening.fund_nature,
        function_code=opening.function_code,
        gov_economic_code=opening.gov_economic_code,
        project_code=opening.project_code,
        project_name=opening.project_name,
        payment_mode=opening.payment_mode,
        tags=list(opening.tags),
        budget_class=opening.budget_class,
        sanbao=opening.sanbao,
        direct_fund=opening.direct_fund,
        procurement=opening.procurement,
    )
    quota = Quota.objects.create(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        indicator=indicator,
        unit=opening.unit,
        payment_mode=opening.payment_mode,
        payer_account=opening.payer_account,
        control=quota_control(year, opening.payment_mode, opening.fund_nature),
    )
    granted = opening.quota_left if is_limited else ZERO
    planned = opening.paid + granted if control in PLANNED else ZERO
    lock_balances([indicator.id], [quota.id])
    post(
        [
            Posting(
                indicator_id=indicator.id,
                kind="opening",
                indicator={
                    "total": opening.total,
                    "paid": opening.paid,
                    "planned": planned,
                },
                quota_id=quota.id,
                quota={"granted": granted},
                note=opening.doc_no,
            )
        ],
        context,
    )
    return indicator


@transaction.atomic(savepoint=False)
def import_clearing_limit(
    *, agent_bank: AgentBank, payment_mode: str, fund_nature: str, left: Decimal, context: Context
) -> None:
    """Open a clearing limit with what PBoC may still clear; a step."""
    key = (agent_bank.id, payment_mode, fund_nature)
    limit = lock_limits(context.adm_div_code, context.fiscal_year, [key])[key]
    post_limits([LimitPosting(limit_id=limit.id, kind="opening", changes={"issued": left})], context)
