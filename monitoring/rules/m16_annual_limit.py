"""M16 三公超限: what the year's limit for receptions, travel abroad and official cars does not cover is not paid."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.levels import Action, Severity
from monitoring.parameters import amount, plain, words, yuan_text


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if spent + amount > the unit's limit of the year for this code; from `warn_ratio` of it on a reminder."""
    annual = facts.annual
    if annual is None or annual.code not in words(parameters, "codes"):
        return None
    total, ratio = annual.spent + facts.amount, amount(parameters, "warn_ratio")
    if total > annual.limit:
        severity, action, what = "", "", f"超过年度限额 {yuan_text(annual.limit)}"
    elif total >= annual.limit * ratio:
        severity, action = Severity.YELLOW, Action.REMIND
        what = f"达到年度限额 {yuan_text(annual.limit)}的 {ratio:.0%}"
    else:
        return None
    return Finding(
        field="amount",
        label="金额",
        limit=yuan_text(annual.limit),
        text=f"政府经济分类 {annual.code} 本年已支付和在途 {yuan_text(annual.spent)}，"
        f"连同本单共 {yuan_text(total)}，{what}。",
        seen=plain(amount=facts.amount, code=annual.code, spent=annual.spent, total=total, limit=annual.limit)
        | {"warn_ratio": str(ratio)},
        severity=severity,
        action=action,
    )
