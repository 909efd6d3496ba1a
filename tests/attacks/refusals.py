"""What the attacks on algorithms and certificates share: a case, and the one word for what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.errors import TreasuryError
from seals.errors import MessageSignatureError
from seals.revocation import RevocationStatus
from seals.verifying import Verdict


@dataclass(frozen=True)
class Forgery:
    """One thing changed in what would be accepted, and the code it must be refused with."""

    family: str
    name: str
    code: str
    why: str
    run: Callable[[Any], Any]


def code_of(made: Callable[[], Any]) -> str:
    """A refusal's code (and its reason, where one code has several), a verdict's reason, or "accepted"."""
    try:
        result = made()
    except (TreasuryError, MessageSignatureError) as refusal:
        reason = getattr(refusal, "facts", {}).get("reason")
        return f"{refusal.code}: {reason}" if reason else refusal.code
    if result is False:
        return "signature_invalid"
    if isinstance(result, Verdict):
        return result.reason_code or "accepted"
    if isinstance(result, RevocationStatus):
        return result.reason or "accepted"
    return "accepted"
