"""Amounts: text on the wire, Decimal nowhere rounded, whole fen in storage."""

import re

from simulators.errors import Refusal

AMOUNT = re.compile(r"[+-]?[0-9]{1,15}\.[0-9]{2}", re.ASCII)


def fen(text: str, field: str = "PayAmt") -> int:
    """The amount in fen.

    :raises Refusal: ``bad_amount`` unless the text is spelt exactly as the standard wants it.
    """
    if not AMOUNT.fullmatch(text):
        raise Refusal("bad_amount", f"金额格式错误 {field}={text[:30]!r}")
    sign = -1 if text.startswith("-") else 1
    whole, cents = text.lstrip("+-").split(".")
    return sign * (int(whole) * 100 + int(cents))


def yuan(amount_fen: int) -> str:
    """The same amount as wire text, e.g. ``-150.00``."""
    sign = "-" if amount_fen < 0 else ""
    whole, cents = divmod(abs(amount_fen), 100)
    return f"{sign}{whole}.{cents:02d}"
