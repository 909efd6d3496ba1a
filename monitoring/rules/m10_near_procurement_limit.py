"""M10 接近采购限额: just under the procurement limit and without a contract looks like a purchase cut to size."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from monitoring.facts import PaymentFacts


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> tuple[str, dict[str, Any]] | None:
    """Hit if `ratio_from` × `limit` ≤ amount < `limit` (yuan) and the payment names no contract."""
    limit, ratio = Decimal(parameters["limit"]), Decimal(parameters["ratio_from"])
    if facts.contract_no.strip() or not limit * ratio <= facts.amount < limit:
        return None
    return (
        f"支付 {facts.amount:,.2f} 元，为采购限额 {limit:,.2f} 元的 {facts.amount / limit:.2%}，且未关联合同。",
        {
            "amount": f"{facts.amount:.2f}",
            "limit": f"{limit:.2f}",
            "ratio_from": str(ratio),
            "contract_no": facts.contract_no,
        },
    )
