"""M32 审核超时 (scheduled): a document that waits too long at one node."""

from collections.abc import Mapping

from monitoring.facts import DwellFacts, Finding
from monitoring.parameters import count


def evaluate(facts: DwellFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if it has waited for more than `days` working days."""
    days = count(parameters, "days")
    if facts.work_days <= days:
        return None
    return Finding(
        field="node",
        label="审核节点",
        limit=f"{days} 个工作日",
        text=f"{facts.document_no} 在当前审核节点已等待 {facts.work_days} 个工作日，时限 {days} 个工作日。",
        seen={"post": facts.post, "work_days": facts.work_days, "days": days},
    )
