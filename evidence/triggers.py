"""The database notes facts by itself: no code path, raw SQL or COPY can write one unnoticed.

    class ReviewDecision(RegionYearModel):
        class Meta:
            triggers = [append_only(), witnessed("review.decided", region="adm_div_code", year="fiscal_year")]

The functions these triggers run are made by the first migration of this app, not by pgtrigger: pgtrigger's own can be
switched off by anybody with `SET pgtrigger.ignore`. `evidence_note` acts with its owner's rights, so that the
application's role needs none to write entries.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pgtrigger
from django.db import models

from evidence.formats import SYSTEM_STREAM

_COLUMN = re.compile(r"[a-z_][a-z0-9_]*")


class Fixed(pgtrigger.Trigger):
    """A trigger that runs one of this app's functions; `call` is the function with its arguments, as SQL."""

    def __init__(self, *, call: str = "", **rest: Any) -> None:
        self.call = call
        super().__init__(func="RETURN NULL;", **rest)  # pgtrigger makes this function and nothing runs it

    def render_execute(self, model: type[models.Model]) -> str:
        return self.call


class Witness(Fixed):
    """See `witnessed`. `stream_sql` and `condition_sql` are SQL over the row, called `fact` (before: `former`)."""

    def __init__(self, kind: str, *, stream_sql: str, condition_sql: str, updates: bool) -> None:
        self.kind, self.stream_sql, self.condition_sql, self.updates = kind, stream_sql, condition_sql, updates
        super().__init__(
            name="witnessed_" + re.sub(r"\W", "_", kind),
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Update if updates else pgtrigger.Insert,
            referencing=pgtrigger.Referencing(new="new_rows", old="old_rows" if updates else None),
        )

    def render_execute(self, model: type[models.Model]) -> str:
        key = model._meta.pk.column
        source = "new_rows fact"
        if self.updates:
            source += f' JOIN old_rows former ON former."{key}" = fact."{key}"'
        if self.condition_sql:
            source += f" WHERE {self.condition_sql}"
        arguments = (self.kind, self.stream_sql, f'fact."{key}"', source)
        return f"evidence_note({', '.join(_literal(text) for text in arguments)})"


def witnessed(
    kind: str,
    *,
    region: str | None = None,
    year: str | None = None,
    condition: str = "",
    operation: pgtrigger.Operation = pgtrigger.Insert,
) -> Witness:
    """The trigger that notes each new row as a fact of this kind.

    :param region, year: a column of the row, or SQL over the row (`fact`), e.g. `(SELECT r.adm_div_code FROM
        payments_paymentrequest r WHERE r.id = fact.request_id)`. Without them, or where the region is null or empty,
        the fact stands in the stream `system/0`.
    :param condition: SQL over `fact`: only such rows are noted. With `operation=pgtrigger.Update` also over `former`,
        the row before; e.g. `former.revoked_at IS NULL AND fact.revoked_at IS NOT NULL`.
    """
    updates = operation is pgtrigger.Update
    if operation not in (pgtrigger.Insert, pgtrigger.Update) or (updates and not condition):
        raise ValueError("a fact is an INSERT, or an UPDATE with the condition that makes it one")
    if (region is None) != (year is None):
        raise ValueError("region and year go together")
    stream = _literal(SYSTEM_STREAM)
    if region is not None and year is not None:
        stream = f"COALESCE(NULLIF({_over_row(region)}, '') || '/' || ({_over_row(year)}), {stream})"
    return Witness(kind, stream_sql=stream, condition_sql=condition, updates=updates)


def guards() -> list[Fixed]:
    """The triggers of the log's own table: an entry gets its place once; nothing else changes, nothing goes."""
    return [
        Fixed(name="placed_once", when=pgtrigger.Before, operation=pgtrigger.Update, call="evidence_placed_once()"),
        *kept(),
    ]


def kept(*, append_only: bool = False) -> list[Fixed]:
    """Triggers that refuse to delete rows or empty the table, and with `append_only` also to change a row."""
    name = "append_only" if append_only else "rows_stay"  # the first name tells `grant_app_role` what the table is
    operation = pgtrigger.Delete | pgtrigger.Update if append_only else pgtrigger.Delete
    return [
        Fixed(name=name, when=pgtrigger.Before, operation=operation, call="evidence_refuse()"),
        Fixed(
            name="table_stays",
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            operation=pgtrigger.Truncate,
            call="evidence_refuse()",
        ),
    ]


@dataclass(frozen=True)
class Witnessed:
    """One table's witness."""

    model: type[models.Model]
    witness: Witness


def all_witnesses() -> Iterator[Witnessed]:
    """Every table that notes facts."""
    for model, trigger in pgtrigger.registered():
        if isinstance(trigger, Witness):
            yield Witnessed(model, trigger)


def _over_row(text: str) -> str:
    return f'fact."{text}"' if _COLUMN.fullmatch(text) else text


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
