"""M22 惠民补贴名单异常: nobody twice, nobody deceased, nobody under another name."""

from collections.abc import Mapping

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import count


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if the list behind the payment has repeated or deceased persons, or names that do not fit their accounts,
    more than `tolerated` of them."""
    roster = facts.roster
    if roster is None:
        return None
    tolerated = count(parameters, "tolerated")
    wrong = {
        "身份证号重复": roster.repeated_ids,
        "已死亡": roster.deceased_ids,
        "户名不符": roster.name_mismatches,
    }
    if sum(map(len, wrong.values())) <= tolerated:
        return None
    said = "；".join(f"{what} {len(who)} 人（{'、'.join(who[:3])}）" for what, who in wrong.items() if who)
    return Finding(
        field="roster",
        label="发放名单",
        limit=f"{tolerated} 人",
        text=f"{roster.month} {roster.kind}名单共 {roster.head_count} 人，异常超过 {tolerated} 人：{said}。",
        seen={"month": roster.month, "kind": roster.kind, "head_count": roster.head_count}
        | {"wrong": [{"what": what, "who": "、".join(who[:50])} for what, who in wrong.items() if who]},
    )
