"""Refusals a caller can act on. Anything that is not one of these stays a 500 and wakes somebody."""

from typing import Any


class TreasuryError(Exception):
    """A refusal: a stable `code`, a sentence for a person, the field it is about, and the facts behind it."""

    code = "treasury_error"
    http_status = 422

    def __init__(self, message: str, *, field: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.facts = facts


class ValidationFailed(TreasuryError):
    """Input that cannot be accepted; carries every finding, so that a person mends them all at once."""

    code = "validation_failed"

    def __init__(self, findings: "list[TreasuryError]") -> None:
        first = findings[0]
        super().__init__("；".join(finding.message for finding in findings), field=first.field, **first.facts)
        self.code = first.code
        self.findings = findings


class AmountInvalid(TreasuryError):
    code = "amount_invalid"


class NotFound(TreasuryError):
    """Unknown, or belonging to somebody else: the two are not told apart."""

    code = "not_found"
    http_status = 404


class Conflict(TreasuryError):
    """The present state does not allow it; nothing was changed."""

    code = "conflict"
    http_status = 409


class TransitionNotAllowed(Conflict):
    code = "transition_not_allowed"


class RoleRequired(TreasuryError):
    code = "role_required"
    http_status = 403


class DutyConflict(TreasuryError):
    """Separation of duties: this natural person may not take this step here (docs/duties.md)."""

    code = "duty_conflict"
    http_status = 403


class DayClosed(Conflict):
    code = "day_closed"


class DateNotOpen(TreasuryError):
    """A fact bears a date whose day is closed, or has not come."""

    code = "date_not_open"


class IdempotencyMismatch(Conflict):
    """The same key came again with other content."""

    code = "idempotency_mismatch"
