"""Roots kept outside the database, so that a database put back to an earlier state, or rewritten whole, is found out.

One line of JSON for each root that grew, in the file `settings.GUOKU_ANCHOR_FILE`, which belongs on another disk or
machine than the database. Without that setting no anchors are kept.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from django.conf import settings

from core.merkle import CompactRange
from evidence import streams
from evidence.errors import LogDamaged
from evidence.formats import canonical, instant
from evidence.models import EvidenceRoot

TAIL_BYTES = 64 * 1024  # what a quick look reads: some 400 anchors


@dataclass(frozen=True)
class Anchor:
    """A root as it was when it was made."""

    stream: str
    size: int
    root: str
    at: str


@dataclass(frozen=True)
class AnchorFinding:
    """What does not agree: the log is shorter than an anchor, has another root, or the file itself is damaged."""

    problem: Literal["truncated", "forked", "unreadable"]
    stream: str
    size: int
    message: str


def anchor_file() -> Path | None:
    """Where anchors are kept, if anywhere."""
    path = getattr(settings, "GUOKU_ANCHOR_FILE", None)
    return Path(path) if path else None


def append(*, stream: str, size: int, root: str, at: datetime) -> None:
    """Add one anchor and wait until it is on the disk."""
    path = anchor_file()
    if path is None:
        return
    line = canonical({"at": instant(at), "root": root, "size": size, "stream": stream}) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        end = os.fstat(handle).st_size
        if end and os.pread(handle, 1, end - 1) != b"\n":  # the line of a writer that was killed
            line = "\n" + line
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def read_anchors(*, quick: bool = False) -> Iterator[Anchor | AnchorFinding]:
    """The anchors in the order they came; with `quick` the last ones only. A line that a crash cut off is skipped."""
    path = anchor_file()
    if path is None or not path.exists():
        return
    with path.open("rb") as file:
        if quick and path.stat().st_size > TAIL_BYTES:
            file.seek(-TAIL_BYTES, os.SEEK_END)
            file.readline()
        for line in file:
            try:
                yield _read(json.loads(line))
            except (ValueError, TypeError, KeyError):
                if line.endswith(b"}\n"):  # a whole line, and no anchor
                    yield AnchorFinding("unreadable", "", 0, f"锚定文件有一行无法读取：{line[:80]!r}")


def _read(said: dict[str, object]) -> Anchor:
    stream, size, root, at = (said[name] for name in ("stream", "size", "root", "at"))
    if not (isinstance(stream, str) and isinstance(size, int) and isinstance(root, str) and isinstance(at, str)):
        raise TypeError("no anchor")
    return Anchor(stream, size, root, at)


def check_anchors(*, quick: bool = False) -> Iterator[AnchorFinding]:
    """Compare the anchors with the log.

    In full, every anchored root is computed anew from the entries. A quick look compares the last anchor of each stream
    with the length of the log and the root stored for that size.
    """
    anchored: dict[str, list[Anchor]] = {}
    for anchor in read_anchors(quick=quick):
        if isinstance(anchor, AnchorFinding):
            yield anchor
        else:
            anchored.setdefault(anchor.stream, []).append(anchor)
    sizes = streams.sizes()
    for stream, its_anchors in sorted(anchored.items()):
        size = sizes.get(stream, 0)
        longest = max(its_anchors, key=lambda anchor: anchor.size)
        if longest.size > size:
            yield AnchorFinding(
                "truncated",
                stream,
                longest.size,
                f"日志 {stream} 只有 {size} 条，而 {longest.at} 已锚定到第 {longest.size} 条："
                "日志被截短，或数据库恢复到了旧备份。",
            )
        elif quick:
            yield from _compare_stored(longest)
        if not quick:
            yield from _recompute([anchor for anchor in its_anchors if anchor.size <= size])


def _compare_stored(anchor: Anchor) -> Iterator[AnchorFinding]:
    stored = set(EvidenceRoot.objects.filter(stream=anchor.stream, size=anchor.size).values_list("root", flat=True))
    if stored and stored != {anchor.root}:
        yield _forked(anchor)


def _recompute(its_anchors: list[Anchor]) -> Iterator[AnchorFinding]:
    reached = CompactRange()
    for anchor in sorted(its_anchors, key=lambda each: each.size):
        try:
            reached = reached.extended(streams.leaves(anchor.stream, reached.size, anchor.size))
        except LogDamaged as damage:  # entries are missing below the anchor; the walk over the log names them
            yield AnchorFinding("forked", anchor.stream, anchor.size, damage.message)
            return
        if reached.root().hex() != anchor.root:
            yield _forked(anchor)


def _forked(anchor: Anchor) -> AnchorFinding:
    return AnchorFinding(
        "forked",
        anchor.stream,
        anchor.size,
        f"日志 {anchor.stream} 前 {anchor.size} 条的根与 {anchor.at} 锚定的不同：日志被改写。",
    )
