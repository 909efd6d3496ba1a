"""M35 实付与申请不一致: a bank that says it paid somebody else, or another amount."""

from collections.abc import Mapping

from monitoring.facts import Finding, ReceiptFacts


def evaluate(facts: ReceiptFacts, parameters: Mapping[str, str]) -> Finding | None:
    """Hit if what the receipt states is not what the voucher said."""
    if facts.stated == facts.expected:
        return None
    return Finding(
        field=facts.field,
        label=f"回单 {facts.field}",
        limit=facts.expected,
        text=f"{facts.document_no} 的回单为 {facts.stated}，凭证为 {facts.expected}；回单未入账，不予清算。",
        seen={"field": facts.field, "stated": facts.stated, "expected": facts.expected},
    )
