"""The contract a payment is made on: what the form offers, and what is left of it after this payment."""

from collections.abc import Mapping
from typing import Any

from contracts.models import Contract
from contracts.selectors import executions, payable_contracts
from core.money import ZERO
from dashboards.acting import uuid_or_none
from dashboards.desk import Desk
from dashboards.forms import LINE_FIELDS, PaymentForm
from payments.models import BusinessType


def begin(query: Mapping[str, str], desk: Desk) -> PaymentForm:
    """Return the form of a new request of the kind asked for; for a contract with supplier and indicator filled in."""
    kind = query.get("business_type", "")
    kind = kind if kind in BusinessType.values else BusinessType.ORDINARY
    form = PaymentForm({"indicator": query.get("indicator", ""), "business_type": kind})
    pk = uuid_or_none(query.get("contract"))
    contract = next((c for c in payable_contracts(desk.actor) if c.pk == pk), None) if pk else None
    if contract is None:
        return form
    investment = contract.project_id is not None
    form.values["business_type"] = BusinessType.INVESTMENT if investment else BusinessType.PROCUREMENT
    form.values["contract_no"] = contract.contract_no
    form.values["indicator"] = form.values["indicator"] or _only_indicator(contract)
    account = contract.supplier_accounts[0]
    payee = {
        "payee_name": contract.supplier_name,
        "payee_account_no": account["account_no"],
        "payee_bank_name": account["bank_name"],
        "payee_bank_no": account["bank_no"],
    }
    form.lines = [dict.fromkeys(LINE_FIELDS, "") | payee]
    return form


def panel(form: PaymentForm, desk: Desk) -> dict[str, Any]:
    """Return what the form and the panel beside it show about contracts."""
    contracts = payable_contracts(desk.actor)
    number = form.values.get("contract_no", "")
    chosen = next((c for c in contracts if c.contract_no == number), None) if number else None
    found: dict[str, Any] = {"contracts": contracts, "contract": None, "contract_gone": bool(number) and chosen is None}
    if chosen is None:
        return found
    [execution] = executions([chosen])
    due = execution.standing.due(desk.day.date) if desk.day else ZERO
    left = execution.balance - form.total
    return found | {
        "contract": chosen,
        "execution": execution,
        "contract_left": left,
        "contract_payable": max(due - execution.use.net, ZERO),
        "contract_short": left < 0 or form.total > due - execution.use.net,
    }


def _only_indicator(contract: Contract) -> str:
    ids = [str(pk) for pk in contract.allocations.values_list("indicator_id", flat=True)[:2]]
    return ids[0] if len(ids) == 1 else ""
