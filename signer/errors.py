"""Refusals of the signer: classes of `seals.errors`, with a code that says what was found."""

from typing import Any

from seals.errors import SealingRefused


def refused(code: str, message: str, *, field: str | None = None, **facts: Any) -> SealingRefused:
    """A refusal to sign. `code` is stable; docs/signer.md lists them."""
    made = SealingRefused(message, field=field, **facts)
    made.code = code
    return made
