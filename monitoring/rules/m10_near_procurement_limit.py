"""M10 接近采购限额: just under the procurement limit and without a contract looks like a purchase cut to size."""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if `ratio_from` × `limit` ≤ amount < `limit` (yuan) and the payment names no contract."""
    limit, ratio = amount(parameters, "limit"), amount(parameters, "ratio_from")
    if facts.contract_no.strip() or not limit * ratio <= facts.amount < limit:
        return None
    share = (facts.amount / limit * 100).quantize(Decimal("0.01"), ROUND_DOWN)  # never "100.00%" of what is below it
    return Finding(
        field="contract_no",
        label="合同编号",
        limit=yuan_text(limit),
        text=f"支付 {yuan_text(facts.amount)}，为采购限额 {yuan_text(limit)}的 {share}%，且未关联合同。",
        seen=plain(amount=facts.amount, limit=limit, contract_no=facts.contract_no) | {"ratio_from": str(ratio)},
    )
