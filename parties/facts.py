"""Facts of this app that the evidence log keeps (docs/evidence.md)."""

from evidence.kinds import Kind, register

_DECIDED = (
    "adm_div_code", "fiscal_year", "document_type", "document_id", "revision", "ordinal", "post", "decision",
    "reason_code", "reason", "content_digest", "person_id", "actor_name", "signature_id", "at",
)  # fmt: skip
_DELEGATION = (
    "adm_div_code", "assignment_id", "post", "delegator_id", "delegate_id", "delegate_person_id", "valid_from",
    "valid_to", "reason", "granted_at",
)  # fmt: skip
_OTHERS = (
    (
        "review.delegated",
        "代为审核",
        "parties_reviewdecision",
        ("document_id", "ordinal", "seat", "delegation_id"),
        "fact.delegation_id IS NOT NULL",
    ),
    (
        "review.skipped",
        "空缺跳过",
        "parties_reviewskip",
        ("document_type", "document_id", "revision", "node_id", "unit_code", "day", "at"),
        "",
    ),
    ("delegation.granted", "委托", "parties_delegation", _DELEGATION, ""),
    (
        "delegation.revoked",
        "撤销委托",
        "parties_delegation",
        ("revoked_at", "revoked_by"),
        "fact.revoked_at IS NOT NULL",
    ),
    (
        "emergency.granted",
        "应急岗位",
        "parties_emergencypost",
        ("assignment_id", "reason", "asked_by_id", "asked_at", "granted_by_id", "granted_at", "ends_at"),
        "",
    ),
)


def register_facts() -> None:
    """Name the columns of each kind; they never change once a fact is noted."""
    columns = {name: f"fact.{name}" for name in _DECIDED}
    register(Kind("review.decided", "审核意见", "parties_reviewdecision", columns))
    for name, title, table, names, where in _OTHERS:
        register(Kind(name, title, table, {column: f"fact.{column}" for column in names}, where))
