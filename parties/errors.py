from core.errors import DutyConflict, TreasuryError


class IncompatiblePosts(DutyConflict):
    """One natural person may not hold these two posts (docs/duties.md)."""

    code = "incompatible_posts"


class PostPlaceInvalid(TreasuryError):
    """A unit post names its unit, a bureau post does not: without a unit an officer would see every unit."""

    code = "post_place_invalid"


class ActedBefore(DutyConflict):
    """This natural person took another step on the same document."""

    code = "acted_before"


class ReviewChainMissing(TreasuryError):
    code = "review_chain_missing"
