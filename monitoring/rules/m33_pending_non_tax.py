"""M33 非税待查超期 (scheduled): non-tax money nobody has recognised for too long."""

from collections.abc import Mapping

from monitoring.facts import Finding, PendingReceiptFacts
from monitoring.parameters import count, plain, yuan_text


def evaluate(facts: PendingReceiptFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if it has been pending for more than `days` working days."""
    days = count(parameters, "days")
    if facts.work_days <= days:
        return None
    return Finding(
        field="pending",
        label="待查收入",
        limit=f"{days} 个工作日",
        text=f"{facts.document_no} {yuan_text(facts.amount)}待查已 {facts.work_days} 个工作日，时限 {days} 个工作日。",
        seen={**plain(amount=facts.amount), "work_days": facts.work_days, "days": days},
    )
