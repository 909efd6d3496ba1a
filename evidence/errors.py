"""Refusals of the evidence log."""

from core.errors import TreasuryError


class EvidenceError(TreasuryError):
    """Base of everything the evidence log refuses."""

    code = "evidence_error"
    http_status = 500


class UnknownKind(EvidenceError):
    """A fact was noted under a name that no app has registered."""

    code = "evidence_unknown_kind"


class KindClash(EvidenceError):
    """Two different kinds under one name."""

    code = "evidence_kind_clash"


class LogDamaged(EvidenceError):
    """Entries are missing where the log says there are some; nothing may be signed over such a log."""

    code = "evidence_log_damaged"


class NoSuchRoot(EvidenceError):
    """The log is shorter than asked for, or has no root yet."""

    code = "evidence_no_such_root"
    http_status = 404
