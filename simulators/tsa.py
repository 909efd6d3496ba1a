"""A time stamping authority (时间戳服务) of its own: RFC 3161 over HTTP, with a P-256 key that does nothing else.

``POST /`` takes ``application/timestamp-query`` and answers ``application/timestamp-reply``; ``/healthz`` is open. Its
serial numbers are never given out twice, whatever kills it: a number is on the disk before its token leaves. The desk
(``POST /desk/behaviour`` with ``X-Desk-Token``) makes it refuse, slow, silent, or wrong about the time.
"""

import hmac
import json
import signal
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from seals import timestamps
from seals.certificates import ParsedCertificate, parse_certificate
from seals.suites import PrivateKeyHandle, get_suite
from seals.timestamps import TimestampOfOtherContent, TimestampRefused
from simulators.app import Answer
from simulators.config import Settings
from simulators.errors import AnswerLost, Refusal, Unauthorised
from simulators.server import Handler, Server
from simulators.storage import Storage, next_number, set_setting, setting

SWITCHES: dict[str, Any] = {
    "refuse": False,  # answers "time not available"
    "lose_answer": False,  # stamps, and lets the caller hear nothing
    "delay_ms": 0,
    "clock_ahead_seconds": 0,  # also negative
}


class TimestampAuthority:
    """Its key, its numbers and today's switches, behind the same face as a partner's app."""

    def __init__(self, settings: Settings) -> None:
        self._desk_token = settings.desk_token
        self.storage = Storage(settings.storage)
        self.certificate, self._key = _own_key(settings.pki)
        self._switches: dict[str, Any] = SWITCHES | setting(self.storage.read(), "behaviour", {})

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request. Header names are lower case.

        :raises AnswerLost: if the desk asked for silence.
        """
        if target == "/healthz":
            return Answer(200, b"ok", {"Content-Type": "text/plain"})
        try:
            if target == "/desk/behaviour" and method == "POST":
                return _json(200, self._change(headers.get("x-desk-token", ""), body))
        except Unauthorised as error:
            return _json(401, {"code": error.code, "reason": error.reason})
        except Refusal as error:
            return _json(422, {"code": error.code, "reason": error.reason})
        if (method, target) != ("POST", "/"):
            return _json(404, {"code": "not_found", "reason": f"{method} {target}"})
        if headers.get("content-type", "") != timestamps.REQUEST_TYPE:
            return _json(415, {"code": "unsupported_media_type", "reason": timestamps.REQUEST_TYPE})
        time.sleep(self._switches["delay_ms"] / 1000)
        reply = self._stamp(body)
        if self._switches["lose_answer"]:
            raise AnswerLost
        return Answer(200, reply, {"Content-Type": timestamps.REPLY_TYPE})

    def _stamp(self, body: bytes) -> bytes:
        if self._switches["refuse"]:
            return timestamps.rejection(timestamps.TIME_NOT_AVAILABLE, "时钟未同步(故障注入)")
        try:
            request = timestamps.parse_request(body)
        except TimestampOfOtherContent as error:
            return timestamps.rejection(timestamps.BAD_ALGORITHM, error.message)
        except TimestampRefused as error:
            return timestamps.rejection(timestamps.BAD_FORMAT, error.message)
        with self.storage.write() as db:
            serial = next_number(db, "timestamp")
        at = datetime.now(UTC) + timedelta(seconds=self._switches["clock_ahead_seconds"])
        token = timestamps.build_token(request, serial=serial, at=at, certificate=self.certificate, key=self._key)
        return timestamps.granted(token)

    def _change(self, token: str, body: bytes) -> dict[str, Any]:
        if not self._desk_token or not hmac.compare_digest(token.encode(), self._desk_token.encode()):
            raise Unauthorised("desk_token", "柜台口令不符")
        try:
            asked = json.loads(body)
        except ValueError as error:
            raise Refusal("bad_json", str(error)[:200]) from error
        if not isinstance(asked, dict):
            raise Refusal("bad_order", "柜台操作应为 JSON 对象")
        base = SWITCHES if asked.pop("reset", False) else self._switches
        for name, value in asked.items():
            if name not in SWITCHES or type(value) is not type(SWITCHES[name]):
                raise Refusal("bad_switch", f"没有开关 {name},或取值类型不符")
        with self.storage.write() as db:
            self._switches = base | asked
            set_setting(db, "behaviour", self._switches)
        return self._switches


class TimestampServer(Server):
    """The authority listening; ``port`` 0 takes a free one."""

    def __init__(self, settings: Settings, authority: TimestampAuthority) -> None:
        handler = type("BoundHandler", (Handler,), {"app": authority})
        ThreadingHTTPServer.__init__(self, (settings.host, settings.port), handler)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    authority = TimestampAuthority(settings)
    server = TimestampServer(settings, authority)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    print(f"{settings.organisation} listening on http://{settings.host}:{server.server_port}", flush=True)
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()
        authority.storage.close()


def _own_key(pki: Path) -> tuple[ParsedCertificate, PrivateKeyHandle]:
    """From a folder of its own (key.pem, cert.pem) or from ``tsa/`` of the demo PKI."""
    own = pki / "tsa" if (pki / "tsa" / "key.pem").exists() else pki
    certificate = parse_certificate((own / "cert.pem").read_bytes())
    return certificate, get_suite(certificate.suite_id).load_private_key((own / "key.pem").read_bytes())


def _json(status: int, payload: Any) -> Answer:
    return Answer(status, json.dumps(payload, ensure_ascii=False).encode())
