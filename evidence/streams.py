"""Streams: which there are, how long they are, and the leaf hashes of their entries."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import connection

from evidence.errors import LogDamaged

_SHANGHAI = ZoneInfo("Asia/Shanghai")
_STREAMS = """
WITH RECURSIVE known AS (  -- one index probe a stream, however many entries there are
    (SELECT min(stream) AS stream FROM evidence_entry)
    UNION ALL
    SELECT (SELECT min(e.stream) FROM evidence_entry e WHERE e.stream > known.stream)
      FROM known WHERE known.stream IS NOT NULL)
SELECT known.stream, COALESCE((SELECT max(e.seq) FROM evidence_entry e WHERE e.stream = known.stream), 0)
  FROM known WHERE known.stream IS NOT NULL ORDER BY known.stream"""


def sizes() -> dict[str, int]:
    """Each stream and the place of its last entry; 0 if none has its place yet."""
    with connection.cursor() as cursor:
        cursor.execute(_STREAMS)
        return dict(cursor.fetchall())


def is_current(stream: str, now: datetime) -> bool:
    """Whether the stream gets a root every minute even without new entries: until a year after its budget year."""
    year = int(stream.rpartition("/")[2])
    return year == 0 or year >= now.astimezone(_SHANGHAI).year - 1


def leaves(stream: str, after: int, upto: int) -> list[bytes]:
    """The leaf hashes of the entries after place `after` up to place `upto`.

    :raises LogDamaged: if one of them is not there, or no hash.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT entry_sm3 FROM evidence_entry WHERE stream = %s AND seq > %s AND seq <= %s ORDER BY seq",
            [stream, after, upto],
        )
        rows = cursor.fetchall()
    try:
        found = [bytes.fromhex(row[0]) for row in rows]
    except ValueError as error:
        raise LogDamaged(f"日志 {stream} 有条目的摘要无法读取。", stream=stream) from error
    if len(found) != upto - after:
        raise LogDamaged(f"日志 {stream} 在第 {after + 1} 至 {upto} 条之间有缺失。", stream=stream, found=len(found))
    return found
