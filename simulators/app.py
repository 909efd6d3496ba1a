"""The partner's HTTP face: ``/vouchers``, ``/query``, ``/recall`` signed both ways; ``/desk/…`` by token; ``/healthz``.

A plain function from request to answer; ``server`` puts it on a socket.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from simulators import desk
from simulators.errors import AnswerLost, MalformedEnvelope, Refusal, Unauthorised
from simulators.participant import Participant

log = logging.getLogger("simulators.app")

MAX_QUERY_ITEMS = 1000


@dataclass
class Answer:
    """Status, body and headers of one answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json; charset=utf-8"})


class App:
    """One participant on HTTP."""

    def __init__(self, owner: Participant) -> None:
        self.owner = owner

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request. Header names are lower case.

        :raises AnswerLost: if a fault says the caller must hear nothing.
        """
        url = urlsplit(target)
        try:
            if url.path == "/healthz":
                return Answer(200, b"ok", {"Content-Type": "text/plain"})
            if url.path.startswith("/desk/"):
                order = json.loads(body) if body else {}
                if not isinstance(order, dict):
                    raise Refusal("bad_order", "柜台操作应为 JSON 对象")
                return _json(200, desk.handle(self.owner, method, url.path, headers.get("x-desk-token", ""), order))
            return self._exchange(method, url.path, url.query, headers, body)
        except Unauthorised as error:
            return _json(401, {"code": error.code, "reason": error.reason})
        except Refusal as error:
            return _json(422, {"code": error.code, "reason": error.reason})
        except (ValueError, RecursionError) as error:
            return _json(400, {"code": "bad_json", "reason": str(error)[:200]})

    def _exchange(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if (method, path.rstrip("/")) not in (("POST", "/vouchers"), ("POST", "/query"), ("POST", "/recall")):
            return _json(404, {"code": "not_found", "reason": f"{method} {path}"})
        carrier, nonce = self.owner.keys.check_request(method, path, query, body, headers)
        if path.rstrip("/") == "/query":
            return self._signed(200, {"results": self.owner.query(_items(body))}, nonce)
        if path.rstrip("/") == "/recall":
            return self._signed(200, {"results": self.owner.recall(_items(body))}, nonce)
        faults = self.owner.behaviour
        if faults.take("answer_500_next"):
            return self._signed(500, {"code": "fault", "reason": "服务异常(故障注入)"}, nonce)
        try:
            answer = self._signed(200, {"results": self.owner.receive(body, carrier)}, nonce)
        except MalformedEnvelope as error:
            answer = self._signed(400, {"code": error.code, "reason": error.reason}, nonce)
        time.sleep(faults.fault("delay_ms") / 1000)
        if faults.loses_this_answer():
            raise AnswerLost
        if faults.take("answer_garbage_next"):
            return Answer(200, b"<html><body>Gateway OK</body></html>", {"Content-Type": "text/html"})
        return answer

    def _signed(self, status: int, payload: Any, nonce: str) -> Answer:
        answer = _json(status, payload)
        answer.headers |= self.owner.keys.sign_answer(status, answer.body, nonce)
        return answer


def _items(body: bytes) -> list[dict[str, str]]:
    payload = json.loads(body)
    items = payload.get("items") if isinstance(payload, dict) else None
    if not isinstance(items, list) or len(items) > MAX_QUERY_ITEMS or not all(isinstance(i, dict) for i in items):
        raise Refusal("bad_query", f"items 应为对象数组,至多 {MAX_QUERY_ITEMS} 项")
    return items


def _json(status: int, payload: Any) -> Answer:
    return Answer(status, json.dumps(payload, ensure_ascii=False).encode())
