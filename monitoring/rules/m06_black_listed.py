"""M06 收款人黑名单: nothing is paid to a payee the region has barred."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.rules.seen import payees_seen


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the list of payees names an account or a name of this payment as black."""
    barred = [payee for payee in facts.payees if payee.listed == "black"]
    if not barred:
        return None
    names = "、".join(dict.fromkeys(payee.name for payee in barred))
    reasons = "；".join(dict.fromkeys(payee.listed_reason for payee in barred if payee.listed_reason))
    return Finding(
        field="details",
        label="收款人",
        limit="收款人黑名单",
        text=f"{names} 在收款人黑名单内，不得付款。列入原因：{reasons or '未注明'}。",
        seen={"payees": payees_seen(barred), "listed_reason": reasons},
    )
