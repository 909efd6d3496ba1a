"""M31 付款账户未备案 (hard): only a filed account, in use and of a kind that may pay this money, pays.

Which kinds those are says the table of payment methods, which stands above us; here it arrives as a sentence
that names the limit as well.
"""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the payer account may not pay."""
    payer = facts.payer
    if payer is None or not payer.fault:
        return None
    seen = {"account_no": payer.account_no, "payment_mode": facts.payment_mode, "fund_nature": facts.fund_nature}
    return Finding("payer_account", "付款账户", payer.fault, payer.fault, seen)
