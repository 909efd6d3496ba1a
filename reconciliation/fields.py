"""Reading the fields of a statement: each reader returns the value or refuses, naming the field."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

from reconciliation.errors import StatementLineInvalid, StatementPackInvalid, StatementTotalsDiffer
from vouchers.checks import wire_amount, wire_date

MOST_PACKS = 100_000


def numbered(details: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Return each detail with the name messages use for it."""
    return ((f"Detail[{number}]", detail) for number, detail in enumerate(details, start=1))


def required(values: Mapping[str, str], tag: str, at: str) -> str:
    """:raises StatementLineInvalid: if the field is empty."""
    if not values.get(tag):
        raise StatementLineInvalid(f"{tag} 不能为空。", field=_name(tag, at))
    return values[tag]


def signed(values: Mapping[str, str], tag: str, at: str = "") -> Decimal:
    """Return a signed amount in yuan.

    :raises WireAmountInvalid: for any spelling but "1234.50" with a sign.
    """
    return wire_amount(values.get(tag, ""), field=_name(tag, at))


def wire_day(values: Mapping[str, str], tag: str, at: str = "") -> date:
    """:raises WireDateInvalid: unless the text is yyyyMMdd."""
    return wire_date(values.get(tag, ""), field=_name(tag, at))


def check_total(main: Mapping[str, str], tag: str, total: Decimal) -> None:
    """:raises StatementTotalsDiffer: if the head states another total than its details have."""
    if signed(main, tag) != total:
        raise StatementTotalsDiffer("主单合计与明细合计不符。", field=tag, given=main.get(tag, ""), details=str(total))


def pack_of(text: str, field: str) -> tuple[int, int]:
    """Parse "2/3": this pack of how many.

    :raises StatementPackInvalid: for anything else.
    """
    pack, slash, packs = text.partition("/")
    if not (slash and text.isascii() and len(text) <= 21 and pack.isdigit() and packs.isdigit()):
        raise StatementPackInvalid("分包序号不是 i/n。", field=field, given=text[:20])
    if not 1 <= int(pack) <= int(packs) <= MOST_PACKS:
        raise StatementPackInvalid("分包序号超出总包数。", field=field, given=text[:20])
    return int(pack), int(packs)


def _name(tag: str, at: str) -> str:
    return f"{at}.{tag}" if at else tag
