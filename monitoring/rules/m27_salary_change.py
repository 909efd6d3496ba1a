"""M27 工资异常: a salary list that differs from last month's by more than people come and go."""

from collections.abc import Mapping
from decimal import Decimal

from monitoring.facts import Finding, PaymentFacts
from monitoring.parameters import amount


def evaluate(facts: PaymentFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if one card serves two persons, or total or head count differs by more than `ratio` from the last list of
    the same kind (if there is one)."""
    roster = facts.roster
    if roster is None:
        return None
    ratio = amount(parameters, "ratio")
    seen = {"month": roster.month, "kind": roster.kind, "head_count": roster.head_count, "ratio": str(ratio)}
    seen |= {"last_head_count": roster.last_head_count, "total": f"{roster.total:.2f}"}
    seen |= {"last_total": None if roster.last_total is None else f"{roster.last_total:.2f}"}
    if roster.shared_accounts:
        text = (
            f"{roster.month} {roster.kind}名单有账号被两人共用：{'、'.join(roster.shared_accounts[:3])}；一卡只限一人。"
        )
        return Finding("roster", "发放名单", "一卡只限一人", text, seen | {"shared": list(roster.shared_accounts[:50])})
    for label, now, before in (
        ("人数", Decimal(roster.head_count), roster.last_head_count),
        ("金额", roster.total, roster.last_total),
    ):
        if before is not None and before > 0 and abs(now - before) > ratio * before:
            change = abs(now - before) / Decimal(before)
            text = (
                f"{roster.month} {roster.kind}{label} {now:,}，上期 {before:,}，相差 {change:.2%}，超过 {ratio:.2%}。"
            )
            return Finding("roster", f"发放名单{label}", f"{ratio:.2%}", text, seen)
    return None
