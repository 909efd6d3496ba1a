"""A partner on a real socket whose answers a test decides: honest by default, then slow, silent, lying or garbled."""

import json
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from core.digests import sm3_hex
from demo import world
from seals.certificates import parse_certificate
from seals.httpsig import sign_response, verify_request
from seals.suites import get_suite
from tests.bank import Partner
from vouchers.codec import decode_envelope

Results = list[dict[str, Any]]


class PartnerServer:
    """Listens on `url`. `answer` makes the JSON payload; `status`, `delay`, `drop` and `mangle` spoil the answer."""

    def __init__(self, pki: Path, organisation: str) -> None:
        self.partner = Partner(pki, organisation)
        self.finance = parse_certificate((pki / world.FINANCE / "cert.pem").read_bytes())
        self.received: list[tuple[str, bytes]] = []  # (path, body) of requests whose signature held
        self.answer: Callable[[str, bytes], Any] = lambda path, raw: {"results": accepted(path, raw)}
        self.mangle: Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]] = lambda body, head: (body, head)
        self.status, self.delay, self.drop, self.dribble = 200, 0.0, False, 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.serve(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        raw = request.rfile.read(int(request.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        claim = verify_request(
            "POST",
            request.path,
            "",
            raw,
            headers,
            public_key=self.finance.public_key,
            suite=get_suite(self.finance.suite_id),
            now=int(time.time()),
        )
        self.received.append((request.path, raw))
        time.sleep(self.delay)
        if self.drop:
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        body = json.dumps(self.answer(request.path, raw)).encode()
        head = self.signed(body, claim.nonce)
        body, head = self.mangle(body, head)
        request.send_response(self.status)
        for name, value in head.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        for byte in [body[i : i + 1] for i in range(len(body))] if self.dribble else [body]:
            request.wfile.write(byte)
            request.wfile.flush()
            time.sleep(self.dribble)

    def signed(
        self, body: bytes, nonce: str, *, by: Partner | None = None, status: int | None = None
    ) -> dict[str, str]:
        signer = by or self.partner
        return sign_response(
            status or self.status,
            body,
            nonce,
            key_id=f"{signer.organisation}:{signer.certificate.serial_hex}",
            suite=signer.suite,
            sign=partial(signer.suite.sign, signer.key),
            created=int(time.time()),
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def accepted(path: str, raw: bytes, **changes: Any) -> Results:
    """Every voucher signed for, or (asked) signed for; `changes` go into each result."""
    if path.endswith("/query"):
        return [{**item, "status": 3, "digest": None, "reason": "", "receipt": None} | changes for item in items(raw)]
    return [
        {
            "adm_div_code": body.adm_div_code,
            "fiscal_year": body.fiscal_year,
            "voucher_type": body.voucher_type,
            "voucher_no": body.voucher_no,
            "flag": 0,
            "digest": sm3_hex(body.text),
            "outcome": "accepted",
            "code": "",
            "reason": "",
        }
        | changes
        for body in decode_envelope(raw)
    ]


def items(raw: bytes) -> Results:
    """What a /query asks for."""
    asked: Results = json.loads(raw)["items"]
    return asked
