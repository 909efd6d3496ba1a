from core.errors import DutyConflict, TreasuryError


class IncompatiblePosts(DutyConflict):
    """One natural person may not hold these two posts (docs/duties.md)."""

    code = "incompatible_posts"


class ActedBefore(DutyConflict):
    """This natural person took another step on the same document."""

    code = "acted_before"


class ReviewChainMissing(TreasuryError):
    code = "review_chain_missing"
