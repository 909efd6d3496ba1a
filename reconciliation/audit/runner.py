"""One snapshot, every invariant. The transaction is REPEATABLE READ and READ ONLY: nothing moves under the audit, and
the audit can move nothing."""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from django.db import connection, transaction

from attachments.store import FileStore
from core.errors import TreasuryError
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Result, Scope, SqlCheck
from reconciliation.audit.invariants import INVARIANTS

log = logging.getLogger(__name__)
SAMPLE = 5
NO_FILES = "没有指明附件存储目录，未核对文件。"


class AuditUnknownInvariant(TreasuryError):
    """Somebody asked for an invariant that does not exist."""

    code = "audit_unknown_invariant"


def run_audit(
    *,
    now: datetime,
    only: Sequence[str] = (),
    region: str | None = None,
    sample: int = SAMPLE,
    files: FileStore | None = None,
) -> list[Result]:
    """Ask the invariants (all, or those in `only`) of one region or of all, in one read-only snapshot.

    :param now: the instant by which "stuck" is judged.
    :param files: the file store, where it can be read from here.
    :param sample: at most so many findings are told one by one for each invariant; all are counted.
    :raises AuditUnknownInvariant: for an id that is not in the list.
    """
    chosen = choose(only)
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # A session's limits are made for people waiting at a page; the audit of a year may take longer.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET LOCAL jit = off")  # compiling that many statements takes longer than running them
        return [examine(invariant, Scope(region, now, files), sample) for invariant in chosen]


def choose(only: Sequence[str]) -> list[Invariant]:
    """:raises AuditUnknownInvariant: naming what is not known."""
    unknown = sorted(set(only) - {invariant.id for invariant in INVARIANTS})
    if unknown:
        raise AuditUnknownInvariant(f"没有这些不变式：{'、'.join(unknown)}。", field="only", unknown=unknown)
    return [invariant for invariant in INVARIANTS if not only or invariant.id in only]


def examine(invariant: Invariant, scope: Scope, sample: int = SAMPLE) -> Result:
    """Ask one invariant in the transaction that is open."""
    missing = invariant.missing or (NO_FILES if invariant.needs_files and scope.files is None else "")
    if missing:
        return Result(invariant.id, invariant.title, "not_applicable", 0, reason=missing)
    started = time.monotonic()
    count, samples = 0, list[Finding]()
    for check in invariant.checks:
        room = max(sample - len(samples), 0)
        found, first = _sql(check, scope, room) if isinstance(check, SqlCheck) else _code(invariant, check, scope, room)
        count += found
        samples += first
    seconds = round(time.monotonic() - started, 3)
    return Result(invariant.id, invariant.title, "broken" if count else "ok", count, tuple(samples), seconds=seconds)


def _sql(check: SqlCheck, scope: Scope, room: int) -> tuple[int, list[Finding]]:
    """Count all, fetch a few: a spoilt column must not bring a million rows into memory."""
    query = f"""
SELECT f."table", f.id, f.explanation, f.delta, count(*) OVER () FROM ({check.query}) f ORDER BY 1, 2, 3 LIMIT %(room)s
"""
    parameters = {"region": scope.region, "now": scope.now, "room": max(room, 1), **check.parameters}
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        rows = cursor.fetchall()
    return (rows[0][4] if rows else 0), [Finding(*row[:4]) for row in rows[:room]]


def _code(invariant: Invariant, check: CodeCheck, scope: Scope, room: int) -> tuple[int, list[Finding]]:
    found: Iterator[Finding] = _surviving(invariant, check.run(scope))
    first = list(islice(found, room))
    return len(first) + sum(1 for _ in found), first


def _surviving(invariant: Invariant, found: Iterator[Finding]) -> Iterator[Finding]:
    """A row so spoilt that it cannot even be read must not keep the audit from telling the rest."""
    try:
        yield from found
    except (TreasuryError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.exception("the audit met a row that it cannot read", extra={"invariant": invariant.id})
        yield Finding("audit", invariant.id, f"有记录不能读取，未能核对完（{type(error).__name__}）")
