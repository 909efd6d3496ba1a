from core.errors import Conflict, TreasuryError


class ReasonRequired(TreasuryError):
    """A disposition without a reason, or with one too long to keep."""

    code = "reason_required"


class NothingPending(Conflict):
    """The document has no alert that waits for a disposition."""

    code = "nothing_pending"


class AttachmentRequired(TreasuryError):
    """The rule asks for files behind the document or the explanation, and there are none."""

    code = "attachment_required"


class HoldFirst(Conflict):
    """The document is on hold: it is passed or sent back there, and the case follows."""

    code = "hold_first"


class SettingsInvalid(TreasuryError):
    """Settings of a rule that make no sense; `field` names the one."""

    code = "settings_invalid"


class SecondPersonNeeded(Conflict):
    """Whoever proposed it may not be the one who puts it into force."""

    code = "second_person_needed"


class RuleIsHard(Conflict):
    """A hard rule has no settings: it cannot be changed, rehearsed or switched off."""

    code = "rule_is_hard"


class ChangeOpen(Conflict):
    """Another change of the rule waits already."""

    code = "change_open"


class EntryInvalid(TreasuryError):
    """An entry of a register that is incomplete; `field` names what is missing or wrong."""

    code = "entry_invalid"
