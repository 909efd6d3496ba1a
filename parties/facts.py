"""Facts of this app that the evidence log keeps (docs/evidence.md)."""

from evidence.kinds import Kind, register

_DECIDED = (
    "adm_div_code", "fiscal_year", "document_type", "document_id", "revision", "ordinal", "post", "decision",
    "reason_code", "reason", "content_digest", "person_id", "actor_name", "signature_id", "at",
)  # fmt: skip


def register_facts() -> None:
    """Name the columns of each kind; they never change once a fact is noted."""
    columns = {name: f"fact.{name}" for name in _DECIDED}
    register(Kind("review.decided", "审核意见", "parties_reviewdecision", columns))
