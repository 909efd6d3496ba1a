"""Pull mode: the bank asks the finance system once a second what is addressed to it and says what became of it.

Source: messages.md §5.1 (readVoucherAgain, confirmVoucher, confirmVoucherFail). Pushes are taken as well.
"""

import json
import logging
import threading
from typing import Any
from urllib.parse import urlencode

import httpx2

from simulators.config import FINANCE
from simulators.errors import MalformedEnvelope, Unauthorised
from simulators.outbox import decode_envelope
from simulators.participant import Participant

log = logging.getLogger("simulators.pull")

PERIOD_SECONDS = 1.0
PAGE = 100
_IDENTITY = ("adm_div_code", "fiscal_year", "voucher_type", "voucher_no")


class Puller:
    """A thread that reads, processes, and confirms or fails."""

    def __init__(self, owner: Participant) -> None:
        self._owner = owner
        self._base = httpx2.URL(owner.settings.peers[FINANCE])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pull", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round under way and stop."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        with httpx2.Client(timeout=httpx2.Timeout(30, connect=3), trust_env=False) as client:
            while not self._stopping.wait(PERIOD_SECONDS):
                try:
                    self.round(client)
                except (httpx2.HTTPError, Unauthorised, ValueError, KeyError, TypeError) as error:
                    log.warning("pull: %s", error)

    def round(self, client: httpx2.Client) -> int:
        """Take everything that waits now; returns how many vouchers that was."""
        taken, cursor = 0, ""
        while True:
            page = self._call(client, "GET", "/api/v1/vouchers/", urlencode({"limit": PAGE, "cursor": cursor}))
            items = page["results"]
            self._report(client, [self._take(item) for item in items])
            taken += len(items)
            cursor = page.get("next") or ""
            if not cursor or not items:
                return taken

    def _take(self, item: dict[str, Any]) -> dict[str, Any]:
        try:
            (result,) = self._owner.receive(decode_envelope(item["envelope"]), FINANCE)
        except (MalformedEnvelope, ValueError) as error:
            result = {"outcome": "refused", "reason": str(error)[:90]}
        return {**{name: item[name] for name in _IDENTITY}, **result}

    def _report(self, client: httpx2.Client, results: list[dict[str, Any]]) -> None:
        good = [{n: r[n] for n in _IDENTITY} for r in results if r["outcome"] != "refused"]
        bad = [{n: r[n] for n in (*_IDENTITY, "reason")} for r in results if r["outcome"] == "refused"]
        for verb, items in (("confirm", good), ("fail", bad)):
            if items:
                self._call(client, "POST", f"/api/v1/vouchers/{verb}/", "", {"items": items})

    def _call(self, client: httpx2.Client, method: str, path: str, query: str, payload: Any = None) -> Any:
        keys = self._owner.keys
        path = self._base.path.rstrip("/") + path
        body = b"" if payload is None else json.dumps(payload, ensure_ascii=False).encode()
        headers, nonce = keys.sign_request(method, path, query, body, "application/json")
        target = str(self._base.copy_with(path=path)) + (f"?{query}" if query else "")
        answer = client.request(method, target, content=body, headers=headers)
        keys.check_answer(FINANCE, answer.status_code, answer.content, answer.headers, nonce)
        if answer.status_code != 200:
            raise ValueError(f"{method} {path}: HTTP {answer.status_code}")
        return json.loads(answer.content)
