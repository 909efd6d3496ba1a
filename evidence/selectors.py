"""Reading the log: how it stands, proofs for single entries, and its lines for a bundle (docs/signatures.md §7)."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from core.merkle import inclusion_paths
from evidence import anchors, kinds, streams
from evidence.anchors import AnchorFinding
from evidence.errors import NoSuchRoot
from evidence.formats import VANISHED, canonical, entry_text
from evidence.models import Entry, EvidenceRoot
from evidence.rooting import last_root

SILENCE = timedelta(minutes=2)
CHUNK = 5000


@dataclass(frozen=True)
class RootSummary:
    """A signed root: what a voucher carries of it (docs/signatures.md §5), and when it was made."""

    stream: str
    size: int
    root: str
    at: datetime


@dataclass(frozen=True)
class StreamStatus:
    """How one stream stands. `silent`: no root for two minutes; `stuck`: a fact waits that long for its place."""

    stream: str
    size: int
    waiting: int
    root: RootSummary | None
    root_age: timedelta | None
    stamped_at: datetime | None  # of the newest root that has a time stamp
    silent: bool
    stuck: bool

    @property
    def alarm(self) -> bool:
        return self.silent or self.stuck


@dataclass(frozen=True)
class LogStatus:
    """Every stream, and what a quick look at the anchors outside the database found."""

    streams: tuple[StreamStatus, ...]
    anchor_findings: tuple[AnchorFinding, ...]

    @property
    def alarm(self) -> bool:
        return bool(self.anchor_findings) or any(stream.alarm for stream in self.streams)


@dataclass(frozen=True)
class InclusionProof:
    """Entry `seq` (from 1) is under the root over the first `size` entries; `path` bottom first."""

    seq: int
    size: int
    path: tuple[bytes, ...]


def status(now: datetime) -> LogStatus:
    """How the log stands; cheap enough for a page and a probe."""
    waiting = _waiting()
    nothing: tuple[int, datetime | None] = (0, None)
    found = [
        _stream_status(stream, size, *waiting.get(stream, nothing), now) for stream, size in streams.sizes().items()
    ]
    return LogStatus(tuple(found), tuple(anchors.check_anchors(quick=True)))


def latest_root(stream: str) -> RootSummary | None:
    """The newest signed root of a stream, to be carried by what leaves the house."""
    return _summary(last_root(stream))


def entries_of(table: str, rows: Iterable[object]) -> list[Entry]:
    """The placed entries about these rows, by stream and place."""
    ids = [str(row) for row in rows]
    placed = Entry.objects.filter(subject_table=table, subject_id__in=ids, seq__isnull=False)
    return list(placed.order_by("stream", "seq"))


def inclusion(stream: str, seqs: Iterable[int], size: int | None = None) -> list[InclusionProof]:
    """Proofs for several entries of one stream under one root; `size` is the last root's if not given.

    Hashes the tree once for all of them: some two seconds a million entries.

    :raises NoSuchRoot: if the root does not reach an entry.
    :raises LogDamaged: if entries are missing.
    """
    wanted = sorted(set(seqs))
    size = size if size is not None else getattr(last_root(stream), "size", 0)
    if wanted and not 0 < wanted[0] <= wanted[-1] <= size:
        raise NoSuchRoot(f"日志 {stream} 的根尚未覆盖所需条目。", stream=stream, size=size)
    paths = inclusion_paths(streams.leaves(stream, 0, size), [seq - 1 for seq in wanted])
    return [InclusionProof(seq, size, tuple(path)) for seq, path in zip(wanted, paths, strict=True)]


def entry_lines(stream: str, seqs: Sequence[int] | None = None) -> Iterator[str]:
    """Lines of entries.jsonl: the whole stream, or these places. The payload is read from the facts as they are now."""
    for entries in placed_entries(stream, seqs):
        contents = payloads_of(entries)
        for entry in entries:
            text = entry_text(
                stream=stream,
                seq=entry.seq or 0,
                kind=entry.kind,
                subject=entry.subject,
                at=entry.noted_at,
                payload_sm3=entry.payload_sm3 or "",
                prev=entry.prev or "",
            )
            yield canonical({"entry": text, "payload": contents.get((entry.kind, entry.subject_id), VANISHED)})


def proof_lines(stream: str, seqs: Iterable[int], size: int | None = None) -> Iterator[str]:
    """Lines of proofs.jsonl. Raises as `inclusion` does."""
    for proof in inclusion(stream, seqs, size):
        yield canonical({"path": [node.hex() for node in proof.path], "seq": proof.seq, "size": proof.size})


def root_lines(stream: str, sizes: Sequence[int] | None = None) -> Iterator[str]:
    """Lines of roots.jsonl: every root of the stream, or those of these sizes; oldest first."""
    roots = EvidenceRoot.objects.filter(stream=stream).order_by("size", "id").prefetch_related("timestamps")
    if sizes is not None:
        roots = roots.filter(size__in=sizes)
    for root in roots.iterator(chunk_size=CHUNK):
        tokens = [base64.b64encode(stamp.token).decode() for stamp in root.timestamps.all()]
        yield canonical(
            {
                "certificate_serial": root.certificate_serial,
                "signature": base64.b64encode(root.signature).decode(),
                "text": root.signed_text.decode(),
                "token": tokens[0] if tokens else None,
            }
        )


def placed_entries(stream: str, seqs: Sequence[int] | None = None, upto: int | None = None) -> Iterator[list[Entry]]:
    """The placed entries of a stream in order, some thousands at a time."""
    entries = Entry.objects.filter(stream=stream, seq__isnull=False).order_by("seq")
    if seqs is not None:
        entries = entries.filter(seq__in=seqs)
    if upto is not None:
        entries = entries.filter(seq__lte=upto)
    reached = 0
    while chunk := list(entries.filter(seq__gt=reached)[:CHUNK]):
        yield chunk
        reached = chunk[-1].seq or 0


def payloads_of(entries: Iterable[Entry]) -> dict[tuple[str, str], str]:
    """The payload of each entry's fact by (kind, row), as the row is now; a row that is gone has none.

    :raises UnknownKind: if no app has registered a kind.
    """
    rows: dict[str, list[str]] = {}
    for entry in entries:
        rows.setdefault(entry.kind, []).append(entry.subject_id)
    return {
        (name, row): payload
        for name, ids in rows.items()
        for row, payload in kinds.payloads(kinds.find(name), ids).items()
    }


def _waiting() -> dict[str, tuple[int, datetime | None]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT stream, count(*), min(noted_at) FROM evidence_entry WHERE seq IS NULL GROUP BY stream")
        return {stream: (count, since) for stream, count, since in cursor.fetchall()}


def _stream_status(stream: str, size: int, waiting: int, since: datetime | None, now: datetime) -> StreamStatus:
    root = last_root(stream)
    stamped = EvidenceRoot.objects.filter(stream=stream, timestamps__isnull=False).order_by("-size", "-id").first()
    return StreamStatus(
        stream=stream,
        size=size,
        waiting=waiting,
        root=_summary(root),
        root_age=now - root.at if root else None,
        stamped_at=stamped.at if stamped else None,
        silent=_is_silent(stream, size, root, now),
        stuck=since is not None and now - since > SILENCE,
    )


def _is_silent(stream: str, size: int, root: EvidenceRoot | None, now: datetime) -> bool:
    """A current stream must be rooted every minute; any other within the same time after a new entry."""
    if root is not None and streams.is_current(stream, now):
        return now - root.at > SILENCE
    unrooted = Entry.objects.filter(stream=stream, seq=(root.size if root else 0) + 1).first()
    return unrooted is not None and now - unrooted.noted_at > SILENCE


def _summary(root: EvidenceRoot | None) -> RootSummary | None:
    return RootSummary(root.stream, root.size, root.root, root.at) if root else None
