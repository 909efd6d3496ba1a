"""M13 超预付比例: the first payment on a contract, before anything is accepted, is a prepayment with a cap."""

from collections.abc import Mapping
from decimal import Decimal

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if it is the first payment, nothing is accepted yet, and amount > cap × contract total.

    The cap is the contract's own, but never above `ratio`.
    """
    contract = facts.contract
    if contract is None or contract.payments_before > 0 or contract.accepted:
        return None
    ratio = amount(parameters, "ratio")
    cap = min(contract.prepayment_cap, ratio) if contract.prepayment_cap > 0 else ratio
    limit = (contract.total * cap).quantize(Decimal("0.01"))
    if facts.amount <= limit:
        return None
    return Finding(
        field="amount",
        label="金额",
        limit=yuan_text(limit),
        text=f"合同 {contract.contract_no} 总额 {yuan_text(contract.total)}，首付款不得超过 {cap:.2%} 即 "
        f"{yuan_text(limit)}，本单 {yuan_text(facts.amount)}。",
        seen=plain(amount=facts.amount, contract_no=contract.contract_no, total=contract.total, limit=limit)
        | {"ratio": str(cap)},
    )
