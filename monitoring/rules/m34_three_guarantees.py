"""M34 三保保障不足 (scheduled): the cash in sight does not cover salaries, livelihood and running costs."""

from collections.abc import Mapping

from monitoring.facts import Finding, ForecastFacts
from monitoring.parameters import amount, plain, yuan_text


def evaluate(facts: ForecastFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the lowest balance of the forecast < `cover` × the 三保 demand of the same days."""
    cover = amount(parameters, "cover")
    needed = facts.demand * cover
    if facts.amount >= needed:
        return None
    return Finding(
        field="forecast",
        label="库款余额预测",
        limit=yuan_text(needed),
        text=f"未来 {facts.days} 天预计最低余额 {yuan_text(facts.amount)}，低于三保需要 {yuan_text(needed)}，"
        f"缺口 {yuan_text(needed - facts.amount)}。",
        seen=plain(amount=facts.amount, demand=facts.demand, gap=needed - facts.amount)
        | {"days": facts.days, "cover": str(cover)},
    )
