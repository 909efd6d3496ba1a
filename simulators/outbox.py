"""Store, then send: a thread per destination posts what the outbox holds until it is answered for good.

The same stored bytes go out at every attempt. A timeout, a 5xx, an answer that is not the destination's own signed
answer, or one that leaves a voucher out says nothing, so the voucher is sent again (with growing pauses).
"""

import base64
import hashlib
import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx2

from simulators.config import FINANCE
from simulators.errors import Unauthorised
from simulators.storage import Storage
from simulators.wire import Identity, build_envelope

if TYPE_CHECKING:
    import sqlite3

    from simulators.participant import Participant

log = logging.getLogger("simulators.outbox")

BATCH, BATCH_CHARS = 100, 8 * 1024 * 1024
SINGLY_AFTER = 3  # attempts; from then on a voucher travels alone, so that it cannot hold up others
LONGEST_PAUSE_SECONDS = 5.0
FINAL_REFUSALS = {400, 403, 404, 409, 413, 415, 422}
DONE = {"accepted", "applied", "stored", "parked", "duplicate"}
CONTENT_TYPE = "application/xml; charset=GBK"

_IDENTITY = ("adm_div_code", "fiscal_year", "voucher_type", "voucher_no")


class Outbox:
    """The sending side of one participant."""

    def __init__(self, owner: "Participant") -> None:
        self._owner = owner
        self._bells = {destination: threading.Event() for destination in owner.settings.peers}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to deliver, including whatever an earlier process left behind."""
        for destination in self._bells:
            thread = threading.Thread(target=self._run, args=(destination,), name=f"outbox-{destination}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """There may be something new to send."""
        for bell in self._bells.values():
            bell.set()

    def delay(self, db: "sqlite3.Connection", issued_id: int, seconds: float) -> None:
        """Keep one document back for a while (a slow receipt)."""
        db.execute("UPDATE outbox SET next_attempt = ? WHERE issued_id = ?", (time.time() + seconds, issued_id))

    def stop(self) -> None:
        """Finish the POST under way and stop."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout=5)

    def pending(self) -> list[dict[str, Any]]:
        """What still waits, and what was refused for good."""
        rows = self._owner.storage.read().execute(
            "SELECT i.voucher_type, i.voucher_no, i.flag, o.destination, o.status, o.attempts, o.code, o.reason"
            " FROM outbox o JOIN issued i ON i.id = o.issued_id WHERE o.status IN ('pending', 'refused') ORDER BY o.id"
        )
        return [dict(row) for row in rows]

    def flush(self, timeout_seconds: float) -> list[dict[str, Any]]:
        """Wait until nothing is pending (or the time is over) and say what remains."""
        deadline = time.monotonic() + timeout_seconds
        with self._owner.storage.write() as db:
            db.execute("UPDATE outbox SET next_attempt = 0 WHERE status = 'pending'")
        self.wake()
        while any(row["status"] == "pending" for row in self.pending()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.pending()

    def _run(self, destination: str) -> None:
        bell = self._bells[destination]
        with httpx2.Client(timeout=httpx2.Timeout(30, connect=3), trust_env=False) as client:
            while not self._stopping.is_set():
                try:
                    busy = self.deliver(destination, client)
                except Exception:  # a bug here must not silence the partner for ever
                    log.exception("outbox to %s", destination)
                    busy = False
                if not busy:
                    bell.wait(0.2)
                    bell.clear()

    def deliver(self, destination: str, client: httpx2.Client) -> bool:
        """Post the next batch that is due; False if nothing was due."""
        rows = self._due(self._owner.storage, destination)
        if not rows:
            return False
        try:
            status, payload = self._post(destination, client, [row["body"] for row in rows])
            answers = _answers(status, payload, rows)
        except (httpx2.HTTPError, Unauthorised, ValueError, OSError) as error:
            self._postpone(rows, str(error)[:200])
            return True
        if answers is None:  # refused as a whole: ask again one by one
            self._postpone(rows, f"HTTP {status}", singly=True)
            return True
        self._record(destination, rows, answers)
        return True

    def _due(self, storage: Storage, destination: str) -> "list[sqlite3.Row]":
        rows = storage.read().execute(
            "SELECT o.id, o.attempts, i.id AS issued_id, i.adm_div_code, i.fiscal_year, i.voucher_type, i.voucher_no,"
            " i.flag, i.digest, i.body FROM outbox o JOIN issued i ON i.id = o.issued_id"
            " WHERE o.destination = ? AND o.status = 'pending' AND o.next_attempt <= ? ORDER BY o.id LIMIT ?",
            (destination, time.time(), BATCH),
        )
        batch: list[sqlite3.Row] = []
        size, seen = 0, set()
        for row in rows:
            key = (row["voucher_type"], row["voucher_no"], row["flag"])
            size += len(row["body"])
            alone = row["attempts"] >= SINGLY_AFTER
            if batch and (alone or size > BATCH_CHARS or key in seen):  # a copy travels in a POST of its own
                break
            batch.append(row)
            seen.add(key)
            if alone:
                break
        return batch

    def _post(self, destination: str, client: httpx2.Client, bodies: list[str]) -> tuple[int, Any]:
        keys, body = self._owner.keys, build_envelope(bodies)
        url = httpx2.URL(self._owner.settings.peers[destination])
        path = url.path.rstrip("/") + ("/api/v1/vouchers/" if destination == FINANCE else "/vouchers")
        once = hashlib.sha256(body).hexdigest() if destination == FINANCE else None
        headers, nonce = keys.sign_request("POST", path, "", body, CONTENT_TYPE, once)
        answer = client.post(url.copy_with(path=path), content=body, headers=headers)
        keys.check_answer(destination, answer.status_code, answer.content, answer.headers, nonce)
        if answer.status_code not in FINAL_REFUSALS | {200, 202}:
            raise ValueError(f"HTTP {answer.status_code}")
        return answer.status_code, json.loads(answer.content)

    def _record(self, destination: str, rows: "list[sqlite3.Row]", answers: list[dict[str, Any] | None]) -> None:
        unanswered = [row for row, answer in zip(rows, answers, strict=True) if answer is None]
        with self._owner.storage.write() as db:
            for row, answer in zip(rows, answers, strict=True):
                if answer is None:
                    continue
                status = "done" if answer["outcome"] in DONE else "refused"
                db.execute(
                    "UPDATE outbox SET status = ?, attempts = attempts + 1, code = ?, reason = ? WHERE id = ?",
                    (status, str(answer.get("code") or ""), str(answer.get("reason") or "")[:300], row["id"]),
                )
                if status == "refused":
                    identity = Identity(*(row[name] for name in _IDENTITY))
                    self._owner.on_refused(db, identity, row["flag"], destination)
        if unanswered:
            self._postpone(unanswered, "not answered")

    def _postpone(self, rows: "list[sqlite3.Row]", why: str, *, singly: bool = False) -> None:
        now = time.time()
        with self._owner.storage.write() as db:
            for row in rows:
                attempts = max(row["attempts"] + 1, SINGLY_AFTER if singly else 0)
                pause = 0.0 if singly else min(LONGEST_PAUSE_SECONDS, 0.1 * 2 ** min(attempts, 6))
                db.execute(
                    "UPDATE outbox SET attempts = ?, next_attempt = ?, reason = ? WHERE id = ?",
                    (attempts, now + pause, why, row["id"]),
                )


def _answers(status: int, payload: Any, rows: "list[sqlite3.Row]") -> list[dict[str, Any] | None] | None:
    """One answer per row; None for a row that was not answered, None at all if the POST failed as a whole."""
    if not isinstance(payload, dict):
        raise ValueError("answer is not a JSON object")
    results = payload.get("results")
    if status == 200 and isinstance(results, list):
        found = {(*(str(r.get(name)) for name in _IDENTITY), r.get("flag"), r.get("digest")): r for r in results}
        return [found.get((*(row[name] for name in _IDENTITY), row["flag"], row["digest"])) for row in rows]
    if len(rows) > 1:
        return None
    if status in (200, 202):
        return [{"outcome": "applied" if status == 200 else "stored"}]
    return [
        {"outcome": "refused", "code": payload.get("code"), "reason": payload.get("detail") or payload.get("reason")}
    ]


def decode_envelope(text: str) -> bytes:
    """An envelope that came as base64 inside JSON."""
    return base64.b64decode(text, validate=True)
