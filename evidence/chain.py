"""The sequencer: gives each noted fact its place in its stream, chained to the one before."""

import logging
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from django.db import DatabaseError, connection, transaction

from evidence import kinds
from evidence.errors import EvidenceError
from evidence.formats import VANISHED, entry_hash, entry_text, payload_hash

log = logging.getLogger(__name__)
BATCH = 5000  # entries of one transaction


@dataclass(frozen=True)
class _Waiting:
    id: int
    kind: str
    table: str
    row: str
    noted_at: datetime


def sequence() -> int:
    """Place every waiting entry; returns how many were placed.

    Batch by batch, each in a transaction of its own; order of arrival within what is committed. Several sequencers may
    run at once: one works on a stream, the others leave it alone. A stream that cannot be sequenced holds up no other.
    """
    placed = 0
    for stream in waiting_streams():
        try:
            while count := _place_batch(stream):
                placed += count
        except (EvidenceError, DatabaseError):
            log.exception("a stream cannot be sequenced", extra={"stream": stream})
    return placed


def waiting_streams() -> list[str]:
    """Streams with entries that have no place yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT stream FROM evidence_entry WHERE seq IS NULL ORDER BY stream")
        return [row[0] for row in cursor.fetchall()]


@transaction.atomic(savepoint=False)
def _place_batch(stream: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"evidence sequence {stream}"])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(
            "SELECT seq, entry_sm3 FROM evidence_entry WHERE stream = %s AND seq IS NOT NULL ORDER BY seq DESC LIMIT 1",
            [stream],
        )
        last, prev = cursor.fetchone() or (0, "")
        cursor.execute(
            "SELECT id, kind, subject_table, subject_id, noted_at FROM evidence_entry"
            " WHERE stream = %s AND seq IS NULL ORDER BY id LIMIT %s",
            [stream, BATCH],
        )
        waiting = [_Waiting(*row) for row in cursor.fetchall()]
        payloads = _payload_hashes(waiting)
        ids, places, contents, formers, hashes = [], [], [], [], []
        for seq, entry in enumerate(waiting, start=last + 1):
            content = payloads.get((entry.kind, entry.row)) or payload_hash(VANISHED)
            text = entry_text(
                stream=stream,
                seq=seq,
                kind=entry.kind,
                subject=f"{entry.table}/{entry.row}",
                at=entry.noted_at,
                payload_sm3=content,
                prev=prev,
            )
            ids.append(entry.id)
            places.append(seq)
            contents.append(content)
            formers.append(prev)
            prev = entry_hash(text)
            hashes.append(prev)
        cursor.execute(
            """UPDATE evidence_entry e
                  SET seq = v.seq, payload_sm3 = v.payload_sm3, prev = v.prev, entry_sm3 = v.entry_sm3
                 FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])
                      AS v (id, seq, payload_sm3, prev, entry_sm3)
                WHERE e.id = v.id""",
            [ids, places, contents, formers, hashes],
        )
    return len(waiting)


def _payload_hashes(waiting: list[_Waiting]) -> dict[tuple[str, str], str]:
    """The digest of each fact's payload by (kind, row); a row that is gone has none."""
    found: dict[tuple[str, str], str] = {}
    for name, entries in groupby(sorted(waiting, key=attrgetter("kind")), key=attrgetter("kind")):
        payloads = kinds.payloads(kinds.find(name), [entry.row for entry in entries])
        found |= {(name, row): payload_hash(payload) for row, payload in payloads.items()}
    return found
