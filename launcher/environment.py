"""Where a run keeps its files, and what its processes are told through their environment."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
# sockaddr_un.sun_path holds 108 bytes on Linux (104 elsewhere), one of them the closing NUL.
SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103
SIMULATORS = {
    "bank-a": ("bank", "--code", "A"),
    "bank-b": ("bank", "--code", "B"),
    "pboc": ("pboc",),
    "tsa": ("tsa",),
}
UKEY_AGENT = "ukey-agent"


class LaunchError(Exception):
    """Something on this machine keeps us from starting; the message says what, and what to do about it."""


@dataclass(frozen=True)
class Run:
    """One set of services with its own files: `demo` (also for `up`), `test`, `bench`, `dev`; all may exist at once."""

    name: str

    @property
    def state(self) -> Path:
        """The folder of everything this run writes, readable by its owner alone."""
        return private(private(ROOT / ".state") / self.name)

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return private(self.state / "log")

    @property
    def keys(self) -> Path:
        """The finance side's private keys (demo PKI)."""
        return private(self.state / "keys")

    @property
    def tokens(self) -> Path:
        """The officers' UKeys of the demonstration: one file each, opened by its PIN."""
        return private(self.state / "ukey")

    @property
    def signer_socket(self) -> Path:
        """Where the signer listens; outside the checkout if its path is too long for a socket."""
        inside = self.state / "signer.sock"
        if fits_a_socket(inside):
            return inside
        checkout = hashlib.sha256(str(self.state).encode()).hexdigest()[:8]
        return private(Path(tempfile.gettempdir()) / f"guoku-signer-{os.getuid()}-{checkout}") / "signer.sock"

    def simulator(self, name: str) -> Path:
        """A simulator's own storage, with its keys and its ledger; `name` is a key of SIMULATORS."""
        return private(self.state / f"sim-{name}")

    def secret(self, name: str) -> str:
        """A random secret made at first use and kept in the state folder, for this machine only."""
        path = self.state / name
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48))
        return path.read_text()


def private(folder: Path) -> Path:
    """Make the folder, closed to other users, if it is not there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def temporary_folder() -> Path:
    """The one folder outside the checkout that root's runs use, because PostgreSQL's user may not enter the checkout.

    :raises LaunchError: if another user has taken the name.
    """
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    folder = Path("/tmp") / f"guoku-{os.getuid()}-{checkout}"
    folder.mkdir(mode=0o711, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise LaunchError(f"{folder} belongs to somebody else. Remove it, then try again.")
    folder.chmod(0o711)
    return folder


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether somebody answers on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def fits_a_socket(path: Path) -> bool:
    """Whether a Unix socket may have this path."""
    return len(os.fsencode(path)) <= SOCKET_PATH_LIMIT
