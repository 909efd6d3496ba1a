"""Files that must survive a killed process: written whole, flushed to the disk, and by one process at a time."""

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ukey_agent.errors import TokenUnusable

LARGEST = 256 * 1024


def write_durably(path: Path, content: bytes) -> None:
    """Replace the file (mode 0600). When this returns, a power cut or a kill leaves the new content."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if os.name == "posix":  # the new name itself is in the folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_private(path: Path) -> bytes:
    """The content of a file that only its owner can reach.

    :raises TokenUnusable: if it is no plain file, too large, or its owner or mode let others in.
    """
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            kind = os.fstat(file.fileno())
            if not stat.S_ISREG(kind.st_mode) or kind.st_size > LARGEST:
                raise TokenUnusable("UKey 文件不是普通文件，或过大。")
            if os.name == "posix" and (stat.S_IMODE(kind.st_mode) & 0o077 or kind.st_uid != os.geteuid()):
                raise TokenUnusable("UKey 文件可被其他用户访问，拒绝使用（权限须为 0600）。")
            return file.read()
    except OSError as error:
        raise TokenUnusable("UKey 文件无法读取。") from error


def check_private_folder(folder: Path) -> None:
    """Make the folder if it is missing (mode 0700).

    :raises TokenUnusable: if others can write to it: they could put an old file back and with it its tries.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        raise TokenUnusable(f"UKey 文件夹 {folder.name} 可被其他用户写入，拒绝使用。")


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock beside `path` that keeps out other threads and other processes."""
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)  # which also releases the lock


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)
