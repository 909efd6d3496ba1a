from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from evidence import kinds
from evidence.models import Entry
from evidence.triggers import Witnessed, all_witnesses


class Command(BaseCommand):
    """Note the facts that were there before their table had its witness; run once by the owner, after `migrate`.

    A kind that has entries already is left alone: what is missing there was written behind the log's back, and the
    audit must say so.
    """

    help = "Note the facts written before their tables were witnessed."

    def handle(self, *args: Any, **options: Any) -> None:
        for each in all_witnesses():
            if Entry.objects.filter(kind=each.witness.kind).exists():
                continue
            if noted := _note(each):
                self.stdout.write(f"{each.witness.kind}: {noted} noted")


@transaction.atomic(savepoint=False)
def _note(each: Witnessed) -> int:
    """How many there were. Locks the table against writers, so that none is noted twice."""
    witness, kind = each.witness, kinds.find(each.witness.kind)
    table, key = connection.ops.quote_name(kind.table), f"fact.{connection.ops.quote_name(kind.key)}"
    which = " AND ".join(f"({sql})" for sql in (kind.where, _condition(each)) if sql)
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
        cursor.execute(f"""
            INSERT INTO evidence_entry (stream, kind, subject_table, subject_id, noted_at)
            SELECT {witness.stream_sql}, '{kind.name}', '{kind.table}', {key}::text,
                   date_trunc('second', clock_timestamp())
              FROM {table} fact {f"WHERE {which}" if which else ""} ORDER BY {key}""")
        return int(cursor.rowcount)


def _condition(each: Witnessed) -> str:
    """An UPDATE's condition compares with a row that is no more; the kind itself says which rows are such facts."""
    return "" if each.witness.updates else each.witness.condition_sql
