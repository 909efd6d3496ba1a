"""Set-based writes: one statement for many rows. Round trips, not fsync, are what a payday costs."""

import io
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
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
    lines = (
        ",".join(_copy_value(f.get_db_prep_save(f.pre_save(row, True), connection)) for f in fields) for row in rows
    )
    buffer = io.StringIO("\n".join(lines) + "\n")
    columns = ", ".join(connection.ops.quote_name(str(f.column)) for f in fields)
    table = connection.ops.quote_name(rows[0]._meta.db_table)
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv, NULL '\\N')", buffer)


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
