"""M02 超大额支付: a payment of this amount or more waits for a leader's word as well."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if amount ≥ `amount_from` (yuan)."""
    limit = amount(parameters, "amount_from")
    if facts.amount < limit:
        return None
    return Finding(
        field="amount",
        label="金额",
        limit=yuan_text(limit),
        text=f"单笔支付 {yuan_text(facts.amount)}，达到超大额标准 {yuan_text(limit)}，须分管领导核准。",
        seen=plain(amount=facts.amount, amount_from=limit),
    )
