"""M04 现金超结算起点: cash above the settlement threshold needs a reason.

Source: 现金管理暂行条例 art. 5 (结算起点 1,000 yuan)."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, yuan_text

CASH_CHEQUE = "3"  # SetModeCode on the wire


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if paid by cash cheque and `above` < amount ≤ `up_to` (yuan)."""
    above, up_to = amount(parameters, "above"), amount(parameters, "up_to")
    if facts.settlement != CASH_CHEQUE or not above < facts.amount <= up_to:
        return None
    text = f"现金支付 {yuan_text(facts.amount)}，超过结算起点 {yuan_text(above)}。"
    text += f"现金理由：{facts.cash_reason}。" if facts.cash_reason.strip() else "未填写现金理由，请补充说明。"
    return Finding(
        field="cash_reason",
        label="结算方式：现金支票",
        limit=yuan_text(above),
        text=text,
        seen=plain(
            amount=facts.amount,
            settlement=facts.settlement,
            above=above,
            up_to=up_to,
            cash_reason=facts.cash_reason,
        ),
    )
