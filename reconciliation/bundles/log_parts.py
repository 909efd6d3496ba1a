"""The evidence log in a bundle: the entries about its vouchers with proofs, or whole streams; and the roots over them.

An entry is proved under the earliest root over it that has a time stamp, which says since when it exists, and under
the newest, which says that it still belongs to the log. An entry no root covers yet stands there without a proof.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection

from evidence import streams
from evidence.formats import ROOT_PREFIX, SYSTEM_STREAM, canonical
from evidence.selectors import entries_of, entry_lines
from reconciliation.bundles.proofs import Forest

_ROOTS = """
SELECT r.id, r.size, r.text, r.signature, r.certificate_serial,
       (SELECT t.token FROM evidence_roottimestamp t WHERE t.root_id = r.id ORDER BY t.id LIMIT 1)
  FROM evidence_evidenceroot r WHERE r.id = ANY(%s) ORDER BY r.size, r.id"""
_CHOSEN = """
WITH stamped AS (
    SELECT r.id, r.size, r.at FROM evidence_evidenceroot r
     WHERE r.stream = %(stream)s AND EXISTS (SELECT 1 FROM evidence_roottimestamp t WHERE t.root_id = r.id)),
usable AS (  -- while the time-stamp authority has never answered, a root without a token is better than none
    SELECT * FROM stamped
     UNION ALL
    SELECT r.id, r.size, r.at FROM evidence_evidenceroot r
     WHERE r.stream = %(stream)s AND NOT EXISTS (SELECT 1 FROM stamped))
SELECT DISTINCT ON (w.seq) w.seq, u.id FROM unnest(%(seqs)s::bigint[]) w(seq) JOIN usable u ON u.size >= w.seq
 ORDER BY w.seq, u.size, u.id"""
_NEWEST = """
SELECT DISTINCT ON ({key}) r.id FROM evidence_evidenceroot r
 WHERE r.stream = %s ORDER BY {key},
       EXISTS (SELECT 1 FROM evidence_roottimestamp t WHERE t.root_id = r.id) DESC, r.size DESC, r.id"""


@dataclass(frozen=True)
class Root:
    """A signed root as a line of roots.jsonl is made of it; `token` is DER or None."""

    id: int
    size: int
    text: str
    signature: bytes = field(repr=False)
    certificate_serial: str
    token: bytes | None = field(repr=False)

    def line(self) -> str:
        return canonical(
            {
                "certificate_serial": self.certificate_serial,
                "signature": base64.b64encode(self.signature).decode("ascii"),
                "text": ROOT_PREFIX.decode("ascii") + self.text,
                "token": base64.b64encode(self.token).decode("ascii") if self.token is not None else None,
            }
        )


@dataclass(frozen=True)
class LogPart:
    """What a bundle says of one stream. `proofs` are (place, size of the root), None for a whole log."""

    stream: str
    seqs: tuple[int, ...] | None
    roots: tuple[Root, ...]
    proofs: tuple[tuple[int, int], ...] | None
    unrooted: int  # entries about the vouchers that no root covers yet

    @property
    def folder(self) -> str:
        return f"log/{self.stream.replace('/', '-')}"

    def entries(self) -> Iterator[str]:
        return entry_lines(self.stream, self.seqs)

    def proof_lines(self) -> Iterator[str]:
        """Lines of proofs.jsonl; hashes the log once.

        :raises LogDamaged: if entries are missing.
        """
        if not self.proofs:
            return
        forest = Forest(streams.leaves(self.stream, 0, max(size for _seq, size in self.proofs)))
        for seq, size in self.proofs:
            path = [node.hex() for node in forest.path(seq - 1, size)]
            yield canonical({"path": path, "seq": seq, "size": size})

    def root_lines(self) -> Iterator[str]:
        return (root.line() for root in self.roots)


def parts_of(facts: Mapping[str, Iterable[str]], *, whole: bool) -> list[LogPart]:
    """The streams that speak of these rows (by table), each in part or whole."""
    places: dict[str, set[int]] = {}
    for table, rows in sorted(facts.items()):
        for entry in entries_of(table, rows):
            places.setdefault(entry.stream, set()).add(entry.seq or 0)
    places.pop(SYSTEM_STREAM, None)  # keys and settings: no voucher's own
    return [
        _whole(stream, sorted(seqs)) if whole else _part(stream, sorted(seqs))
        for stream, seqs in sorted(places.items())
    ]


def _part(stream: str, seqs: Sequence[int]) -> LogPart:
    earliest, newest = _earliest(stream, seqs), _newest(stream)
    roots = _read({*earliest.values(), *newest})
    sizes = {root.id: root.size for root in roots}
    last = max((sizes[pk] for pk in newest), default=0)
    pairs = {(seq, size) for seq in seqs for size in ({sizes[earliest[seq]]} if seq in earliest else set()) | {last}}
    proofs = sorted((seq, size) for seq, size in pairs if seq <= size)
    return LogPart(stream, tuple(seqs), roots, tuple(proofs), sum(seq not in earliest for seq in seqs))


def _whole(stream: str, seqs: Sequence[int]) -> LogPart:
    """All entries. Of the roots, one every minute, those that date the vouchers' entries and the last of each day."""
    earliest = _earliest(stream, seqs)
    roots = _read({*earliest.values(), *_newest(stream, daily=True)})
    return LogPart(stream, None, roots, None, sum(seq not in earliest for seq in seqs))


def _earliest(stream: str, seqs: Sequence[int]) -> dict[int, int]:
    """For each place the id of the earliest time-stamped root over it."""
    with connection.cursor() as cursor:
        cursor.execute(_CHOSEN, {"stream": stream, "seqs": list(seqs)})
        return dict(cursor.fetchall())


def _newest(stream: str, *, daily: bool = False) -> list[int]:
    """The newest time-stamped root, of all or of each day in Shanghai; the newest at all where none is stamped."""
    key = "(r.at AT TIME ZONE 'Asia/Shanghai')::date" if daily else "r.stream"
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST.format(key=key), [stream])
        return [row[0] for row in cursor.fetchall()]


def _read(ids: Iterable[int]) -> tuple[Root, ...]:
    with connection.cursor() as cursor:
        cursor.execute(_ROOTS, [sorted(ids)])
        return tuple(
            Root(pk, size, text, bytes(signature), serial, bytes(token) if token is not None else None)
            for pk, size, text, signature, serial, token in cursor.fetchall()
        )
