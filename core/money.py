"""Money is Decimal yuan with two decimals; the only currency is CNY. Source: docs/adr/0003."""

import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from core.errors import AmountInvalid

ZERO = Decimal("0.00")
FEN = Decimal("0.01")
LIMIT = Decimal(10) ** 14  # a money column holds less
_YUAN = re.compile(r"(0|[1-9][0-9]{0,13})\.[0-9]{2}", re.ASCII)


def yuan(text: str, *, field: str | None = None) -> Decimal:
    """Parse "1234.50" and nothing else: ASCII digits, exactly two decimals, below 10^14, no sign, no separators.

    :raises AmountInvalid: for any other spelling (1e3, 1_000, +5, NaN, full-width digits, 100.005 …).
    """
    if not isinstance(text, str) or not _YUAN.fullmatch(text):
        raise AmountInvalid("金额须为两位小数的数字，如 1234.50。", field=field, given=str(text)[:40])
    return Decimal(text)


def check_positive(amount: Decimal, *, field: str | None = None) -> None:
    """Check an amount that reached a service by another way than `yuan`: what a ledger row can hold.

    :raises AmountInvalid: unless it is a Decimal above zero, of whole fen, below 10^14.
    """
    if not isinstance(amount, Decimal) or not amount.is_finite() or not ZERO < amount < LIMIT or amount % FEN:
        raise AmountInvalid("金额须大于零，精确到分，且不超过 14 位整数。", field=field, given=str(amount)[:40])


def format_yuan(amount: Decimal) -> str:
    """Return "1,234.50" for people."""
    return f"{amount:,.2f}"


def wire_yuan(amount: Decimal) -> str:
    """Return "1234.50" for vouchers and APIs."""
    return f"{amount:.2f}"


class MoneyField(models.DecimalField):
    """Yuan to the fen, stored as `numeric` without a scale and a CHECK on the scale.

    A column `numeric(18,2)` would round 100.005 to 100.01 before any CHECK sees it. NaN is refused as well,
    because PostgreSQL sorts it above every number.
    """

    def __init__(self, verbose_name: Any = None, **kwargs: Any) -> None:
        kwargs["max_digits"], kwargs["decimal_places"] = 18, 2
        super().__init__(verbose_name, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs

    def db_type(self, connection: Any) -> str:
        return "numeric"

    def db_check(self, connection: Any) -> str:
        column = connection.ops.quote_name(self.column)
        return f"scale({column}) <= 2 AND {column} > -1e14 AND {column} < 1e14"

    def cast_db_type(self, connection: Any) -> str:
        return "numeric"

    def to_python(self, value: Any) -> Decimal | None:
        if isinstance(value, float):
            raise ValidationError("Money is never a float.")
        amount: Decimal | None = super().to_python(value)
        return amount

    def from_db_value(self, value: Decimal | None, expression: Any, connection: Any) -> Decimal | None:
        return None if value is None else value.quantize(FEN)
