"""The socket: who may speak to the signer, in frames of known length, one thread for each connection.

A peer is known by its user id, which the kernel tells (SO_PEERCRED); others hear nothing. A frame that is too long, too
slow or no JSON ends its connection and nothing else. What is refused is answered with the refusal; what was not
foreseen is answered without a word of what happened, which stands in the log alone.
"""

import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from core.errors import TreasuryError
from seals import errors
from seals.errors import SealingRefused, SignerUnavailable

log = logging.getLogger("signer")

MOST_CONNECTIONS = 256
SECONDS_FOR_A_FRAME = 10.0
SECONDS_TO_FINISH = 5.0
IDLE_SECONDS = 30.0  # after which a waiting connection gives its database connection back

_HEAD = struct.Struct(">I")
_PEER = struct.Struct("3i")
_QUIET = frozenset({"ping", "identity", "sign_message"})  # several for each voucher: their success is not logged
Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Peer:
    """The process at the other end, as the kernel knows it."""

    pid: int
    uid: int


class _BadFrameError(Exception):
    """Not a frame that can be answered."""


class Server:
    """Listens on one Unix socket until it is told to stop."""

    def __init__(
        self, path: Path, *, allowed_uids: Collection[int], mode: int, longest_frame: int, answer: Answer
    ) -> None:
        """:raises OSError: if the socket cannot be made, or somebody listens on it."""
        self._path = path
        self._allowed = frozenset(allowed_uids)
        self._longest_frame = longest_frame
        self._answer = answer
        self._stop = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._busy: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._socket = _listen(path, mode)

    def stop(self, *_signal: object) -> None:
        """End `serve` soon; safe to call from a signal handler."""
        self._stop.set()

    def serve(self) -> None:
        """Accept connections until stopped; then let running questions finish and remove the socket."""
        self._socket.settimeout(0.2)
        try:
            while not self._stop.is_set():
                try:
                    connection, _ = self._socket.accept()
                except TimeoutError:
                    continue
                self._admit(connection)
        finally:
            self._socket.close()
            with suppress(FileNotFoundError):
                self._path.unlink()
            self._finish()

    def _finish(self) -> None:
        until = time.monotonic() + SECONDS_TO_FINISH
        while time.monotonic() < until:
            with self._lock:
                if not self._busy:
                    return
            time.sleep(0.02)

    def _admit(self, connection: socket.socket) -> None:
        peer = _peer(connection)
        with self._lock:
            full = len(self._threads) >= MOST_CONNECTIONS
        if peer.uid not in self._allowed or full:
            log.warning("connection refused", extra={"uid": peer.uid, "pid": peer.pid, "full": full})
            connection.close()
            return
        thread = threading.Thread(target=self._talk, args=(connection, peer), daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _talk(self, connection: socket.socket, peer: Peer) -> None:
        thread = threading.current_thread()
        try:
            with connection:
                while not self._stop.is_set():
                    frame = self._next_frame(connection)
                    if frame is None:
                        return
                    with self._lock:
                        self._busy.add(thread)
                    try:
                        _send(connection, self._answered(frame, peer))
                    finally:
                        with self._lock:
                            self._busy.discard(thread)
        except (_BadFrameError, OSError) as error:
            log.warning("connection ended", extra={"pid": peer.pid, "reason": str(error)[:100]})
        finally:
            connections.close_all()
            with self._lock:
                self._threads.discard(thread)

    def _next_frame(self, connection: socket.socket) -> bytes | None:
        """The next frame, or None when the peer has closed or we are stopping."""
        connection.settimeout(1.0)
        waited = time.monotonic()
        while True:
            try:
                first = connection.recv(1)
                break
            except TimeoutError:
                if self._stop.is_set():
                    return None
                if time.monotonic() - waited > IDLE_SECONDS:
                    connections.close_all()
        if not first:
            return None
        until = time.monotonic() + SECONDS_FOR_A_FRAME
        (length,) = _HEAD.unpack(first + _exactly(connection, _HEAD.size - 1, until))
        if length > self._longest_frame:
            raise _BadFrameError("frame too long")
        return _exactly(connection, length, until)

    def _answered(self, frame: bytes, peer: Peer) -> bytes:
        try:
            question = json.loads(frame)
        except (ValueError, RecursionError) as error:
            raise _BadFrameError("no JSON") from error
        if not isinstance(question, dict):
            raise _BadFrameError("no question")
        started, verb = time.monotonic(), str(question.get("verb"))[:40]
        facts: dict[str, Any] = {"verb": verb, "pid": peer.pid}
        try:
            found, outcome = self._answer(question), "done"
        except TreasuryError as refusal:
            found, outcome = {"refused": refusal_of(refusal)}, refusal.code
        except (OperationalError, InterfaceError) as error:
            log.error("database unavailable", extra=facts | {"reason": str(error)[:200]})
            unavailable = SignerUnavailable("签章服务暂时读不到数据库，请稍后再试；内容没有变动。")
            found, outcome = {"refused": refusal_of(unavailable)}, unavailable.code
        except Exception:
            log.exception("not foreseen", extra=facts)
            unforeseen = SealingRefused("签章服务内部出错，没有签章。")
            unforeseen.code = "signer_error"
            found, outcome = {"refused": refusal_of(unforeseen)}, unforeseen.code
        finally:
            _tidy_database()
        if outcome != "done" or verb not in _QUIET:
            marks = len(found.get("marks", ()))
            took = round((time.monotonic() - started) * 1000, 1)
            log.info("answered", extra=facts | {"outcome": outcome, "marks": marks, "milliseconds": took})
        return json.dumps(found, ensure_ascii=False, default=str).encode()


def refusal_of(refusal: TreasuryError) -> dict[str, Any]:
    """A refusal in its wire form; one of another app travels as SealingRefused, with its own code."""
    kind = type(refusal).__name__
    return {
        "kind": kind if getattr(errors, kind, None) is type(refusal) else SealingRefused.__name__,
        "code": refusal.code,
        "message": refusal.message,
        "field": refusal.field,
        "facts": refusal.facts,
    }


def _listen(path: Path, mode: int) -> socket.socket:
    """A socket that never existed with wider rights; one left behind by a dead process is removed."""
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2.0)
            with suppress(ConnectionRefusedError):
                probe.connect(str(path))
                raise OSError(f"another process listens on {path}")
        path.unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        made.bind(str(path))
    finally:
        os.umask(before)
    made.listen(64)
    return made


def _peer(connection: socket.socket) -> Peer:
    pid, uid, _gid = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return Peer(pid, uid)


def _exactly(connection: socket.socket, length: int, until: float) -> bytes:
    received = bytearray()
    while len(received) < length:
        left = until - time.monotonic()
        if left <= 0:
            raise _BadFrameError("frame too slow")
        connection.settimeout(left)
        try:
            part = connection.recv(min(length - len(received), 1 << 20))
        except TimeoutError as error:
            raise _BadFrameError("frame too slow") from error
        if not part:
            raise _BadFrameError("closed in the middle of a frame")
        received += part
    return bytes(received)


def _send(connection: socket.socket, frame: bytes) -> None:
    connection.settimeout(SECONDS_FOR_A_FRAME)
    connection.sendall(_HEAD.pack(len(frame)) + frame)


def _tidy_database() -> None:
    """A connection that broke, or is old, is not used again."""
    for connection in connections.all(initialized_only=True):
        try:
            connection.close_if_unusable_or_obsolete()
        except DatabaseError:
            connection.close()
