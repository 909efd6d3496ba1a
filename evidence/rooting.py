"""Signed Merkle roots over each stream, and their time stamps.

Who signs and who stamps is registered by an upper app (`set_signer`, `set_timestamper`). Without a signer, or where it
refuses, no root is made: the stream falls silent and `selectors.status` says so.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection

from core.errors import TreasuryError
from core.merkle import CompactRange
from evidence import anchors, streams
from evidence.errors import NoSuchRoot
from evidence.formats import ROOT_PREFIX, root_text
from evidence.models import EvidenceRoot, RootTimestamp

log = logging.getLogger(__name__)
PERIOD = timedelta(seconds=60)
MOST_UNROOTED = 1000  # new entries that make a root due at once


@dataclass(frozen=True)
class RootDraft:
    """A root to be signed. `path` proves that it continues the stream's former root, over `earlier` entries.

    A signer whose own last root is another one asks `consistency(stream, its_size, size)` for the proof it needs.
    """

    stream: str
    size: int
    root: bytes
    text: bytes = field(repr=False)
    earlier: int  # 0 for the first root of the stream, with an empty path
    path: tuple[bytes, ...] = field(repr=False)


Signer = Callable[[RootDraft], tuple[bytes, str]]  # -> signature (DER), serial of the certificate
Timestamper = Callable[[bytes], bytes]  # root text -> token (DER)

_signer: Signer | None = None
_timestamper: Timestamper | None = None


def set_signer(signer: Signer | None) -> None:
    """Name the function that signs roots. It refuses with a TreasuryError."""
    global _signer
    _signer = signer


def set_timestamper(timestamper: Timestamper | None) -> None:
    """Name the function that gets a time stamp over a root's text. It refuses with a TreasuryError."""
    global _timestamper
    _timestamper = timestamper


def make_roots(*, now: datetime) -> list[EvidenceRoot]:
    """Make a root of each stream that is due: a minute after the last one, or after 1,000 new entries."""
    if _signer is None:
        return []
    made = []
    for stream, size in streams.sizes().items():
        if not _is_due(last_root(stream), stream, size, now):
            continue
        try:
            root = _make_root(stream, now, _signer)
        except TreasuryError as refusal:
            log.error("no root", extra={"stream": stream, "code": refusal.code, "reason": refusal.message})
            continue
        if root is not None:
            made.append(root)
    return made


def last_root(stream: str) -> EvidenceRoot | None:
    """The root made last."""
    return EvidenceRoot.objects.filter(stream=stream).order_by("-size", "-id").first()


def _is_due(last: EvidenceRoot | None, stream: str, size: int, now: datetime) -> bool:
    fresh = size - (last.size if last else 0)
    if fresh >= MOST_UNROOTED:
        return True
    aged = last is None or now - last.at >= PERIOD
    return size > 0 and aged and (fresh > 0 or streams.is_current(stream, now))


def _make_root(stream: str, now: datetime, signer: Signer) -> EvidenceRoot | None:
    """One root. No row is locked while the signer works: a session's advisory lock makes others leave the stream."""
    lock = f"evidence root {stream}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [lock])
        if not cursor.fetchone()[0]:
            return None
        try:
            last, size = last_root(stream), streams.sizes()[stream]
            if not _is_due(last, stream, size, now):  # another one was quicker
                return None
            draft, grown = _draft(stream, last, size, now)
            signature, serial = signer(draft)
            root = EvidenceRoot.objects.create(
                stream=stream,
                size=size,
                root=draft.root.hex(),
                frontier=b"".join(grown.nodes).hex(),
                text=draft.text.removeprefix(ROOT_PREFIX).decode(),
                signature=signature,
                certificate_serial=serial,
                at=now.replace(microsecond=0),
            )
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [lock])
    if last is None or size > last.size:
        anchors.append(stream=stream, size=size, root=root.root, at=root.at)
    return root


def _draft(stream: str, last: EvidenceRoot | None, size: int, now: datetime) -> tuple[RootDraft, CompactRange]:
    before = last.compact_range if last else CompactRange()
    fresh = streams.leaves(stream, before.size, size)
    grown = before.extended(fresh)
    draft = RootDraft(
        stream=stream,
        size=size,
        root=grown.root(),
        text=root_text(stream=stream, size=size, root=grown.root().hex(), at=now),
        earlier=before.size,
        path=tuple(before.consistency_path(fresh)) if before.size else (),
    )
    return draft, grown


def compact_range(stream: str, size: int) -> CompactRange:
    """The stream's first `size` entries; reads those after the nearest root only.

    :raises LogDamaged: if the stream is shorter, or entries are missing.
    """
    nearest = EvidenceRoot.objects.filter(stream=stream, size__lte=size).order_by("-size", "-id").first()
    known = nearest.compact_range if nearest else CompactRange()
    return known.extended(streams.leaves(stream, known.size, size))


def consistency(stream: str, earlier: int, size: int | None = None) -> list[bytes]:
    """The proof (RFC 6962 §2.1.2) that the stream's first `size` entries begin with its first `earlier`.

    `size` is that of the last root if not given.

    :raises NoSuchRoot: if there is no root yet, or `earlier` is not between 1 and `size`.
    :raises LogDamaged: if entries are missing.
    """
    if size is None:
        last = last_root(stream)
        size = last.size if last else 0
    if not 0 < earlier <= size:
        raise NoSuchRoot(f"日志 {stream} 没有这样的根。", stream=stream, earlier=earlier, size=size)
    return compact_range(stream, earlier).consistency_path(streams.leaves(stream, earlier, size))


def stamp_roots(*, now: datetime) -> int:
    """Get a time stamp for the newest root of each stream, if it has none; returns how many came.

    Older roots that were left without one while the authority was down are covered by the next that gets one: it
    continues them. The first refusal ends the turn, so that a dead authority costs one deadline and not one a stream.
    """
    if _timestamper is None:
        return 0
    stamped = 0
    for stream in streams.sizes():
        root = last_root(stream)
        if root is None or root.timestamps.exists():
            continue
        try:
            token = _timestamper(root.signed_text)
        except TreasuryError as refusal:
            log.warning("no time stamp", extra={"stream": stream, "code": refusal.code, "reason": refusal.message})
            break
        RootTimestamp.objects.create(root=root, token=token, at=now)
        stamped += 1
    return stamped
