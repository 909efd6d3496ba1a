"""M01 单笔大额支付: a payment of this amount or more waits for the treasury's approval."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, yuan_text

APPROPRIATION = "91"  # 资金实拨, PayTypeCode on the wire


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if amount ≥ `amount_from` (yuan); an appropriation is the bureau's own, no unit's payment."""
    limit = amount(parameters, "amount_from")
    if facts.payment_mode == APPROPRIATION or facts.amount < limit:
        return None
    return Finding(
        field="amount",
        label="金额",
        limit=yuan_text(limit),
        text=f"单笔支付 {yuan_text(facts.amount)}，达到大额标准 {yuan_text(limit)}，须国库部门核准。",
        seen=plain(amount=facts.amount, amount_from=limit),
    )
