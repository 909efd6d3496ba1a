"""M09 拆分支付: several payments to one payee within days, each under the threshold and together over it."""

from collections.abc import Mapping
from decimal import Decimal

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, count, plain, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if payments to one account within `days` working days (this one among them) are each < `threshold`
    and together ≥ it (yuan)."""
    threshold, days = amount(parameters, "threshold"), count(parameters, "days")
    mine: dict[str, Decimal] = {}
    for payee in facts.payees:
        mine[payee.account_no] = mine.get(payee.account_no, Decimal("0.00")) + payee.amount
    for account_no, here in mine.items():
        others: dict[str, Decimal] = {}
        for earlier in facts.history.earlier:
            if earlier.account_no == account_no and earlier.work_days < days:
                others[earlier.document_no] = others.get(earlier.document_no, Decimal("0.00")) + earlier.amount
        others = {number: total for number, total in others.items() if total < threshold}
        total = here + sum(others.values(), Decimal("0.00"))
        if here < threshold and others and total >= threshold:
            return _finding(account_no, here, list(others), total, threshold, days)
    return None


def _finding(
    account_no: str, here: Decimal, numbers: list[str], total: Decimal, threshold: Decimal, days: int
) -> Finding:
    return Finding(
        field="amount",
        label="金额",
        limit=yuan_text(threshold),
        text=f"{days} 个工作日内向同一账户 {account_no} 付款 {len(numbers) + 1} 笔，单笔均低于 {yuan_text(threshold)}，"
        f"合计 {yuan_text(total)}（另有 {'、'.join(numbers[:5])}{' 等' if len(numbers) > 5 else ''}）。",
        seen=plain(amount=here, account_no=account_no, total=total, threshold=threshold, days=days)
        | {"documents": numbers[:50]},
    )
