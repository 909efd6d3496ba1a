"""M04 现金超结算起点: cash above the settlement threshold needs a reason.

Source: 现金管理暂行条例 art. 5 (结算起点 1,000 yuan).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from monitoring.facts import PaymentFacts

CASH_CHEQUE = "3"  # SetModeCode on the wire


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> tuple[str, dict[str, Any]] | None:
    """Hit if paid by cash cheque and `above` < amount ≤ `up_to` (yuan)."""
    above, up_to = Decimal(parameters["above"]), Decimal(parameters["up_to"])
    if facts.settlement != CASH_CHEQUE or not above < facts.amount <= up_to:
        return None
    message = f"现金支付 {facts.amount:,.2f} 元，超过结算起点 {above:,.2f} 元。"
    message += f"现金理由：{facts.cash_reason}。" if facts.cash_reason.strip() else "未填写现金理由，请补充说明。"
    return message, {
        "amount": f"{facts.amount:.2f}",
        "settlement": facts.settlement,
        "above": f"{above:.2f}",
        "up_to": f"{up_to:.2f}",
        "cash_reason": facts.cash_reason,
    }
