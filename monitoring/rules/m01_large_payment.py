"""M01 单笔大额支付: a payment of this amount or more waits for the treasury's approval."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from monitoring.facts import PaymentFacts

APPROPRIATION = "91"  # 资金实拨, PayTypeCode on the wire


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> tuple[str, dict[str, Any]] | None:
    """Hit if amount ≥ `amount_from` (yuan); an appropriation is the bureau's own, no unit's payment."""
    limit = Decimal(parameters["amount_from"])
    if facts.payment_mode == APPROPRIATION or facts.amount < limit:
        return None
    return (
        f"单笔支付 {facts.amount:,.2f} 元，达到大额标准 {limit:,.2f} 元，须国库部门核准。",
        {"amount": f"{facts.amount:.2f}", "amount_from": f"{limit:.2f}"},
    )
