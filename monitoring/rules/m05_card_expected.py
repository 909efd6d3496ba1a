"""M05 公务卡强制目录: what the catalogue names is paid by the official card, unless it is large."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount, plain, words, yuan_text

OFFICIAL_CARD = "5"  # SetModeCode on the wire


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the department economic code is in `codes`, no card is used, and amount < `below` (yuan)."""
    below = amount(parameters, "below")
    if facts.settlement == OFFICIAL_CARD or facts.amount >= below:
        return None
    if facts.dept_economic_code not in words(parameters, "codes"):
        return None
    return Finding(
        field="settlement",
        label="结算方式",
        limit=yuan_text(below),
        text=f"部门经济分类 {facts.dept_economic_code} 在公务卡强制结算目录内，{yuan_text(below)}以下应使用公务卡，"
        f"本单 {yuan_text(facts.amount)}未使用。",
        seen=plain(
            amount=facts.amount,
            settlement=facts.settlement,
            dept_economic_code=facts.dept_economic_code,
            below=below,
        ),
    )
