from core.errors import Conflict, TreasuryError


class ReasonRequired(TreasuryError):
    """A disposition without a reason, or with one too long to keep."""

    code = "reason_required"


class NothingPending(Conflict):
    """The document has no alert that waits for a disposition."""

    code = "nothing_pending"
