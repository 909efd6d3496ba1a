"""M07 向本单位实有资金账户转款: budget money may not be moved into an account the unit itself holds."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import found_words, plain
from monitoring.rules.seen import payees_seen


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if a payee account is one of the unit's own filed accounts and no word of `allowed` is in the purpose."""
    own = [payee for payee in facts.payees if payee.account_no in facts.own_accounts]
    if not own or found_words(parameters, "allowed", facts.purpose):
        return None
    accounts = "、".join(sorted({payee.account_no for payee in own}))
    return Finding(
        field="details",
        label="收款账户",
        limit="本单位实有资金账户",
        text=f"{accounts} 是本单位实有资金账户，不得向其转款。",
        seen={**plain(amount=facts.amount), "payees": payees_seen(own)},
    )
