"""M28 更正/退款频繁 (scheduled): money of a unit that keeps coming back points at careless work."""

from collections.abc import Mapping

from monitoring.facts import Finding, MonthlyFacts
from monitoring.parameters import count


def evaluate(facts: MonthlyFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if refunds and corrections of the unit in the month > `times`."""
    limit = count(parameters, "times")
    if facts.times <= limit:
        return None
    return Finding(
        field="refunds",
        label="退款和更正",
        limit=f"{limit} 次",
        text=f"单位 {facts.document_no} 于 {facts.month} 月退款和更正共 {facts.times} 次，超过 {limit} 次。",
        seen={"month": facts.month, "seen_times": facts.times, "times": limit},
    )
