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


class ChainInvalid(TreasuryError):
    """A chain that may not be drafted or put in force like this; every fault is a finding of its own."""

    code = "chain_invalid"


class FourEyes(DutyConflict):
    """What one administrator has prepared another one decides on."""

    code = "four_eyes"


class DelegationInvalid(TreasuryError):
    code = "delegation_invalid"


class DelegationEnded(DutyConflict):
    """Whoever acts for another may do so no more: revoked, over, or the other holds the post no longer."""

    code = "delegation_ended"


class EmergencyInvalid(TreasuryError):
    code = "emergency_invalid"
