from core.errors import Conflict, TreasuryError


class EmergencyFieldInvalid(TreasuryError):
    code = "emergency_field_invalid"


class WindowNotOpen(Conflict):
    """Nothing may be printed: not confirmed, over, closed, or its list is being confirmed already."""

    code = "window_not_open"


class OutOfScope(Conflict):
    """The window was not declared for this unit, bank or type of voucher."""

    code = "out_of_window_scope"


class SecondPersonNeeded(TreasuryError):
    """Whoever took the first step cannot take the second."""

    code = "second_person_needed"
    http_status = 403


class ListOpen(Conflict):
    """A paper item waits for its answer, or a party has not confirmed the list as it is now."""

    code = "paper_list_open"
