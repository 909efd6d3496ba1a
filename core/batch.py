"""Set-based writes: one statement for many rows. Round trips, not fsync, are what a payday costs."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection, models
from psycopg2.extras import execute_values


def copy_rows(rows: Sequence[models.Model]) -> None:
    """Insert unsaved instances of one model by COPY, in one statement. Defaults and validation as in bulk_create.

    :raises django.db.IntegrityError: as an INSERT would.
    """
    if not rows:
        return
    fields = [f for f in rows[0]._meta.concrete_fields if not isinstance(f, models.AutoField)]
    values_of = attrgetter(*(f.attname for f in fields))
    writers = [_writer(f) for f in fields]
    lines = (
        ",".join([write(row, value) for write, value in zip(writers, values_of(row), strict=True)]) + "\n"
        for row in rows
    )
    copy_lines(type(rows[0]), [str(f.column) for f in fields], lines)


def copy_lines(model: type[models.Model], columns: Sequence[str], lines: Iterable[str]) -> None:
    """Insert by COPY what a generator spells, line by line as it comes: the whole is never in memory.

    Each line is CSV in the order of `columns` and ends with a line break; NULL reads `\\N`, texts go through
    `csv_text`. An exception of the generator ends the COPY and nothing is stored.

    :raises django.db.IntegrityError: as an INSERT would.
    """
    file = _Lines(lines)
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    table = connection.ops.quote_name(model._meta.db_table)
    try:
        with connection.wrap_database_errors, connection.cursor() as cursor:
            cursor.cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv, NULL '\\N')", file)
    except Exception:
        if file.failure is not None:  # the driver reports it as a cancelled query
            raise file.failure from None
        raise


def csv_text(value: str) -> str:
    """Quote one text for `copy_lines`."""
    return '"' + value.replace('"', '""') + '"'


class _Lines(io.TextIOBase):
    """Lines of a generator as a file; the driver asks for pieces."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.failure: Exception | None = None

    def read(self, size: int | None = -1) -> str:
        wanted = size if size is not None and size > 0 else 1 << 16
        piece: list[str] = []
        length = 0
        try:
            for line in self._lines:
                piece.append(line)
                length += len(line)
                if length >= wanted:
                    break
        except Exception as failure:
            self.failure = failure
            raise
        return "".join(piece)


def _writer(field: Any) -> Callable[[models.Model, Any], str]:
    """Return how a row's value becomes COPY text: a plain value as it is, any other by way of its field.

    Both ways give the same text; a payday writes half a million values, and asking the field costs as much as the rest.
    """

    def by_field(row: models.Model, value: Any) -> str:
        return _copy_value(field.get_db_prep_save(field.pre_save(row, True), connection))

    def text(row: models.Model, value: Any) -> str:
        return '"' + value.replace('"', '""') + '"' if isinstance(value, str) else by_field(row, value)

    def plain(row: models.Model, value: Any) -> str:
        return f'"{value}"' if type(value) is kind else "\\N" if value is None else by_field(row, value)

    def moment(row: models.Model, value: Any) -> str:
        return f'"{value}"' if type(value) is datetime and value.tzinfo is not None else by_field(row, value)

    kind = _PLAIN.get((field.target_field if field.is_relation else field).get_internal_type())
    if kind is None or getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return by_field
    return text if kind is str else moment if kind is datetime else plain


# Fields whose values, if of exactly this type, are written as they are.
_PLAIN: dict[str, type] = {
    **dict.fromkeys(("CharField", "TextField"), str),
    **dict.fromkeys(("IntegerField", "BigIntegerField", "PositiveIntegerField", "PositiveSmallIntegerField"), int),
    "UUIDField": UUID,
    "DecimalField": Decimal,
    "DateField": date,
    "DateTimeField": datetime,
}


def _copy_value(value: Any) -> str:
    """Quote everything but NULL: a text that reads `\\N` is a text, and no line can read `\\.`, the end of a COPY."""
    adapted = getattr(value, "adapted", value)  # psycopg2 wraps JSON values
    return "\\N" if adapted is None else '"' + _copy_text(adapted).replace('"', '""') + '"'


def _copy_text(adapted: Any) -> str:
    if isinstance(adapted, bool):
        return "t" if adapted else "f"
    if isinstance(adapted, memoryview | bytes):
        return "\\x" + bytes(adapted).hex()
    if isinstance(adapted, datetime | date):
        return adapted.isoformat()
    if isinstance(adapted, dict | list):
        return json.dumps(adapted, ensure_ascii=False)
    if isinstance(adapted, str | int | Decimal | UUID):
        return str(adapted)
    raise TypeError(f"no COPY form for {type(adapted).__name__}")


def update_from_values(
    model: type[models.Model], columns: dict[str, str], rows: Iterable[Sequence[Any]], *, add: bool = False
) -> int:
    """UPDATE … FROM (VALUES …): each row is (id, value of each column in `columns`); returns the rows changed.

    `columns` maps a column to its PostgreSQL type, e.g. {"amount_reserved": "numeric"}. With `add` the values
    are added to what is there. Rows are given in key order by the caller, who holds the locks.
    """
    values = list(rows)
    if not values:
        return 0
    sets = ", ".join(f"{c} = t.{c} + v.{c}" if add else f"{c} = v.{c}" for c in columns)
    template = "(%s::uuid, " + ", ".join(f"%s::{kind}" for kind in columns.values()) + ")"
    sql = (
        f"UPDATE {model._meta.db_table} t SET {sets} FROM (VALUES %s) AS v(id, {', '.join(columns)}) WHERE t.id = v.id"
    )
    with connection.wrap_database_errors, connection.cursor() as cursor:
        execute_values(cursor.cursor, sql, values, template=template, page_size=len(values))
        return int(cursor.rowcount)
