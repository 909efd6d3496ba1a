"""From which account an indicator will be paid: one that its payment method and fund nature allow (budget.methods)."""

from collections.abc import Iterable

from budget.errors import DocumentInvalid
from budget.methods import METHODS, Side, method_of
from parties.models import BankAccount, BudgetUnit

_KINDS = sorted({kind for method in METHODS.values() for kinds in method.payers.values() for kind in kinds})


def filed_accounts(adm_div_code: str) -> list[BankAccount]:
    """Return the accounts of a region that may pay (one query)."""
    rows = BankAccount.objects.filter(adm_div_code=adm_div_code, active=True, kind__in=_KINDS)
    return list(rows.order_by("account_no"))


def payer_account_of(
    accounts: Iterable[BankAccount], unit: BudgetUnit, payment_mode: str, fund_nature: str, account_no: str
) -> BankAccount:
    """Return the account that fits; `account_no` chooses where several do.

    :raises DocumentInvalid: if there is none, or more than one and none was named.
    """
    method = method_of(payment_mode)
    fitting = [
        account
        for account in accounts
        if account.kind in method.payer_kinds(fund_nature)
        and (method.office.side is Side.FINANCE or account.unit_id == unit.id)
        and any(fund_nature.startswith(nature) for nature in account.fund_natures)
        and account_no in ("", account.account_no)
    ]
    if not fitting:
        raise DocumentInvalid(
            f"{unit.name}没有适用于{method.label}和该资金性质的账户，请先备案账户。", field="payer_account_no"
        )
    if len(fitting) > 1:
        raise DocumentInvalid("有多个适用的付款账户，请填写付款账号。", field="payer_account_no")
    return fitting[0]
