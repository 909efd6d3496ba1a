from core.errors import Conflict, TreasuryError


class ActionIdInvalid(TreasuryError):
    """A form without its `action_id`: what cannot be recognised when it comes twice is not carried out."""

    code = "action_id_invalid"


class NothingSelected(TreasuryError):
    code = "nothing_selected"


class TooManySelected(TreasuryError):
    code = "too_many_selected"


class TextInvalid(TreasuryError):
    """A text with control characters, or longer than its field."""

    code = "text_invalid"


class ChoiceInvalid(TreasuryError):
    code = "choice_invalid"


class FileRefused(TreasuryError):
    """An attachment of another type than it says, of a type we do not keep, or too large."""

    code = "file_refused"


class Busy(Conflict):
    """Somebody else held the rows for too long; nothing was changed and it may be tried again."""

    code = "busy"


class BankUnreachable(Conflict):
    """The bank gave no answer that can be trusted; it may be asked again."""

    code = "bank_unreachable"
