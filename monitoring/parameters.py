"""Settings of rules: texts in a table, read as amounts, counts, words and dates. Never a float."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

_PATTERNS = {
    "amount": r"(0|[1-9][0-9]{0,13})\.[0-9]{2}",  # yuan
    "ratio": r"(0\.[0-9]{1,4}|1(\.0{1,4})?)",  # 0 to 1
    "multiple": r"[1-9][0-9]{0,2}(\.[0-9]{1,2})?",
    "count": r"(0|[1-9][0-9]{0,4})",
    "days": r"(0|[1-9][0-9]{0,2})",
    "codes": r"([0-9A-Z]{1,21}(,[0-9A-Z]{1,21})*)?",
    "date_range": r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])/(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
}
KINDS = (*_PATTERNS, "words")
_SEPARATORS = re.compile(r"[,，、]")


@dataclass(frozen=True)
class Parameter:
    """One setting of a rule; its value is always a text.

    Kinds: amount ("1000.00", yuan), ratio ("0.95", 0 to 1), multiple ("2.5"), count ("3"), days ("5"), codes
    ("30211,30215"), words ("礼品,烟酒") and date_range ("12-20/12-31"); codes and words may be empty.
    """

    name: str
    label: str
    kind: str
    default: str

    def is_valid(self, value: object) -> bool:
        if not isinstance(value, str):
            return False
        if self.kind == "words":
            return len(value) <= 1000 and value.isprintable() and all(value_words(value) or [True])
        return re.fullmatch(_PATTERNS[self.kind], value, re.ASCII) is not None


def value_words(value: str) -> list[str]:
    """Split words written with commas, full-width ones as well."""
    return [word.strip() for word in _SEPARATORS.split(value) if word.strip()]


def amount(parameters: Mapping[str, str], name: str) -> Decimal:
    return Decimal(parameters[name])


def count(parameters: Mapping[str, str], name: str) -> int:
    return int(parameters[name])


def words(parameters: Mapping[str, str], name: str) -> list[str]:
    return value_words(parameters[name])


def found_words(parameters: Mapping[str, str], name: str, text: str) -> list[str]:
    """Return those of the words that stand in the text."""
    return [word for word in words(parameters, name) if word in text]


def within(parameters: Mapping[str, str], name: str, day: date) -> bool:
    """Whether the day lies in a range of the year, both ends included; a range may run over the turn of the year."""
    begins, ends = parameters[name].split("/")
    at = f"{day:%m-%d}"
    return begins <= at <= ends if begins <= ends else at >= begins or at <= ends


def yuan_text(value: Decimal) -> str:
    """Return "1,234.50 元"."""
    return f"{value:,.2f} 元"


def plain(**values: Any) -> dict[str, Any]:
    """Return facts as JSON keeps them: amounts to the fen, dates in ISO."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    return value.isoformat() if isinstance(value, date) else value
