"""What is a fact: kinds, and how the payload of a fact is read from its row.

An upper app registers its kinds in `AppConfig.ready()` and puts `evidence.triggers.witnessed` on the tables. The
columns of a kind must never change once the fact is noted; one that may be filled later belongs to a kind of its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from django.db import connection, transaction

from core.digests import sm3_hex
from evidence.errors import KindClash, UnknownKind
from evidence.formats import canonical

_BYTEA, _TIMESTAMPTZ = 17, 1184  # type numbers of PostgreSQL
_KEY_TYPES = {2950: "uuid", 20: "bigint", 23: "integer"}
_KEY_FORMS = {
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "bigint": re.compile(r"[0-9]{1,18}"),
    "integer": re.compile(r"[0-9]{1,9}"),
    "text": re.compile(r".*", re.DOTALL),
}
_INSTANT = """to_char(({}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of fact.

    :param name: stable, e.g. `review.decided`; part of every entry.
    :param title: what it is, in Chinese.
    :param table: where the rows are.
    :param columns: key in the payload to SQL expression over the row, which is called `fact`. Values are read as text
        or null; an instant as UTC with microseconds; bytes as their SM3, computed here. For another digest let
        PostgreSQL do it: `encode(sha256(fact.body), 'hex')`.
    :param where: SQL over `fact`: which rows of the table are such facts; all if empty.
    :param key: the primary key's column.
    """

    name: str
    title: str
    table: str
    columns: Mapping[str, str] = field(repr=False)
    where: str = ""
    key: str = "id"


_KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind known.

    :raises KindClash: if another kind has its name.
    """
    known = _KINDS.setdefault(kind.name, kind)
    if known is not kind and _parts(known) != _parts(kind):
        raise KindClash(f"存证事项 {kind.name} 重复登记。", kind=kind.name)


def unregister(name: str) -> None:
    """Forget a kind; for tests that bring their own tables."""
    _KINDS.pop(name, None)


def find(name: str) -> Kind:
    """:raises UnknownKind: if no app has registered it."""
    if name not in _KINDS:
        raise UnknownKind(f"存证事项 {name} 未登记。", kind=name)
    return _KINDS[name]


def all_kinds() -> list[Kind]:
    """Every registered kind, by name."""
    return [_KINDS[name] for name in sorted(_KINDS)]


@transaction.atomic(savepoint=False)
def payloads(kind: Kind, ids: Sequence[str]) -> dict[str, str]:
    """The payload (canonical JSON) of each of these rows that exists, by row id. One statement.

    An id that is not of the key's form, which only somebody altering the log can have written, is of no row.
    """
    reader = _reader(kind)
    with connection.cursor() as cursor:
        # Dates and instants inside an expression become text as the session says: it says the same for everybody.
        cursor.execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'")
        cursor.execute(reader.query, [[row for row in ids if reader.form.fullmatch(row)]])
        rows = cursor.fetchall()
    return {row[0]: canonical(dict(zip(reader.keys, map(_text, row[1:]), strict=True))) for row in rows}


@dataclass(frozen=True)
class _Reader:
    keys: tuple[str, ...]
    form: re.Pattern[str]  # of the ids
    query: str


@lru_cache(maxsize=256)
def _reader(kind: Kind) -> _Reader:
    """The query for a kind's payloads. The types of its columns are asked of the database, once a process."""
    table, key = connection.ops.quote_name(kind.table), f"fact.{connection.ops.quote_name(kind.key)}"
    keys = tuple(sorted(kind.columns))
    with connection.cursor() as cursor:
        asked = ", ".join([key, *(f"({kind.columns[name]})" for name in keys)])
        cursor.execute(f"SELECT {asked} FROM {table} fact LIMIT 0")
        key_type, *types = (column.type_code for column in cursor.description)
    columns = [_as_text(kind.columns[name], number) for name, number in zip(keys, types, strict=True)]
    kind_of_key = _KEY_TYPES.get(key_type, "text")
    selected = ", ".join([f"{key}::text", *columns])
    return _Reader(
        keys,
        _KEY_FORMS[kind_of_key],
        f"SELECT {selected} FROM {table} fact WHERE {key} = ANY(%s::{kind_of_key}[])",
    )


def _as_text(expression: str, type_number: int) -> str:
    if type_number == _BYTEA:
        return f"({expression})"
    escaped = (_INSTANT if type_number == _TIMESTAMPTZ else "({})::text").format(expression)
    return escaped.replace("%", "%%")


def _text(value: str | memoryview | None) -> str | None:
    return sm3_hex(bytes(value)) if isinstance(value, memoryview) else value


def _parts(kind: Kind) -> tuple[object, ...]:
    return kind.title, kind.table, dict(kind.columns), kind.where, kind.key
