"""M07 向本单位实有资金账户转款: budget money may not be moved into an account the unit itself holds."""

from collections.abc import Mapping
from typing import Any

from monitoring.facts import PaymentFacts


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> tuple[str, dict[str, Any]] | None:
    """Hit if any payee account is one of the unit's own filed accounts."""
    own = [payee for payee in facts.payees if payee.account_no in facts.own_accounts]
    if not own:
        return None
    accounts = sorted({payee.account_no for payee in own})
    return (
        f"收款账户 {'、'.join(accounts)} 是本单位实有资金账户，不得向其转款。",
        {
            "amount": f"{facts.amount:.2f}",
            "payees": [
                {"name": payee.name, "account_no": payee.account_no, "amount": f"{payee.amount:.2f}"} for payee in own
            ],
        },
    )
