"""M08 向下级/其他预算单位转款: money for another budget unit belongs into its own budget."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.rules.seen import payees_seen


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if a payee account is filed for another budget unit and is not on the white list."""
    others = [
        payee
        for payee in facts.payees
        if payee.filed_unit and payee.filed_unit != facts.unit_code and payee.listed != "white"
    ]
    if not others:
        return None
    units = "、".join(dict.fromkeys(f"{payee.filed_unit} {payee.filed_name}" for payee in others))
    return Finding(
        field="details",
        label="收款账户",
        limit="其他预算单位账户",
        text=f"收款账户属于其他预算单位账户（{units}）。",
        seen={"payees": payees_seen(others)},
    )
