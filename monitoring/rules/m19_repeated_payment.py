"""M19 疑似重复支付: the same unit, payee and amount within days."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import count, plain, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the unit asked for the same amount to the same account at most `days` days ago; a reissue is none."""
    if facts.is_reissue:
        return None
    days = count(parameters, "days")
    mine = {(payee.account_no, payee.amount) for payee in facts.payees}
    same = [e for e in facts.history.earlier if e.days <= days and (e.account_no, e.amount) in mine]
    if not same:
        return None
    first = same[0]
    numbers = list(dict.fromkeys(e.document_no for e in same))
    return Finding(
        field="details",
        label="收款人和金额",
        limit=f"{days} 天",
        text=f"{days} 天内已向同一账户 {first.account_no} 申请支付同样的 {yuan_text(first.amount)}"
        f"（{'、'.join(numbers[:5])}）。",
        seen=plain(amount=first.amount, account_no=first.account_no, days=days) | {"documents": numbers[:50]},
    )
