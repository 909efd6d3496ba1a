"""M26 对私大额: a large amount to a person, outside salary and benefit lists."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, yuan_text
from monitoring.rules.seen import payees_seen

BY_LIST = frozenset({"3", "4"})  # BusinessTypeCode: salaries, batches of benefits


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if a payee is a person who gets ≥ `amount_from` (yuan), is not white-listed, and it is no salary or
    benefit list."""
    if facts.business_type in BY_LIST or facts.roster is not None:
        return None
    limit = amount(parameters, "amount_from")
    large = [p for p in facts.payees if p.is_person and p.amount >= limit and p.listed != "white"]
    if not large:
        return None
    return Finding(
        field="details",
        label="收款人",
        limit=yuan_text(limit),
        text=f"{large[0].name} 是个人账户，收款 {yuan_text(large[0].amount)}，达到对私大额标准 {yuan_text(limit)}。",
        seen={"payees": payees_seen(large), **plain(amount_from=limit)},
    )
