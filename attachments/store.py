"""Where the bytes lie: a folder outside the web root, each content once under its SM3.

Bytes come in under `incoming/` and get their final name only after the row that names them has been committed, so a
refusal leaves nothing in the store. Should the process die in between, `settle` finishes what was committed and throws
away what was not. Nothing here deletes a file that has its final name.
"""

import contextlib
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from core.digests import Sm3
from core.errors import NotFound

INCOMING, PREVIEWS = "incoming", "previews"
ABANDONED = 3600.0  # seconds after which a file under `incoming/` belongs to no request that still runs
_PIECE = 1024 * 1024
_READY = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{32}", re.ASCII)
_FINAL = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Received:
    """A file that has arrived whole under `incoming/`, with the name its sender gave it."""

    path: Path
    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class FileStore:
    root: Path

    def path(self, digest: str) -> Path:
        return self.root / digest

    def exists(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def open(self, digest: str) -> BinaryIO:
        """:raises NotFound: if the bytes are not there."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise NotFound("附件文件不在存储中，请联系管理员。", field="id", digest=digest) from None

    def incoming(self) -> tuple[int, Path]:
        """Open a new file for bytes that arrive, readable by nobody else; return its descriptor and path."""
        folder = self.root / INCOMING
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}.part"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), path

    def make_ready(self, received: Received) -> Path:
        """Give a checked file the name under which `settle` would finish it; its row may be committed after this."""
        ready = received.path.with_name(f"{received.digest}.{uuid.uuid4().hex}")
        with received.path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(received.path, ready)
        return ready

    def place(self, ready: Path, digest: str) -> None:
        """Give a file its final name after its row was committed; the same bytes are kept once."""
        if self.exists(digest):
            ready.unlink(missing_ok=True)
            return
        os.replace(ready, self.path(digest))
        self._sync()

    def settle(self, known: Callable[[Sequence[str]], set[str]], *, now: float | None = None) -> tuple[int, int]:
        """Finish or throw away what an interrupted request left: (placed, thrown away).

        :param known: which of these digests have a committed row.
        """
        before = (time.time() if now is None else now) - ABANDONED
        left = [path for path in self._left() if _mtime(path) < before]
        digests = {path: match[1] for path in left if (match := _READY.fullmatch(path.name))}
        committed = known(sorted(set(digests.values())))
        placed = thrown = 0
        for path in left:
            if digests.get(path) in committed and not self.exists(digests[path]):
                self.place(path, digests[path])
                placed += 1
            else:
                path.unlink(missing_ok=True)
                thrown += 1
        return placed, thrown

    def waiting(self) -> set[str]:
        """The digests of files whose row may be committed and which have not got their final name yet."""
        return {match[1] for path in self._left() if (match := _READY.fullmatch(path.name))}

    def names(self) -> Iterator[str]:
        """What lies in the store under whatever name, but for what is coming in and the previews."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root) as entries:
            yield from (entry.name for entry in entries if entry.name not in (INCOMING, PREVIEWS))

    def size_and_digest(self, digest: str) -> tuple[int, str]:
        """Read a file whole: how long it is and what its SM3 is now. :raises NotFound: if it is not there."""
        sm3, size = Sm3(), 0
        with self.open(digest) as file:
            while piece := file.read(_PIECE):
                sm3.update(piece)
                size += len(piece)
        return size, sm3.hexdigest()

    def _left(self) -> list[Path]:
        folder = self.root / INCOMING
        return list(folder.iterdir()) if folder.is_dir() else []

    def _sync(self) -> None:
        folder = os.open(self.root, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def is_final_name(name: str) -> bool:
    return _FINAL.fullmatch(name) is not None


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process has dealt with it
        return float("inf")


def file_store() -> FileStore:
    """Return the store of this machine: GUOKU_ATTACHMENTS_DIR, or `attachments` in the state directory."""
    configured = getattr(settings, "GUOKU_ATTACHMENTS_DIR", "")
    return FileStore(Path(configured) if configured else Path(settings.GUOKU_STATE_DIR) / "attachments")
