"""The agent on a socket: loopback only, a thread per connection, bounded bodies and waiting."""

import signal
import threading
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ukey_agent.app import MAX_BODY, Answer, App, log
from ukey_agent.store import TokenStore

IDLE_SECONDS = 20
_TOO_LARGE = '{"code": "body_too_large", "message": "请求过大或没有写明长度。"}'.encode()
_BROKEN = '{"code": "internal_error", "message": "UKey 程序出错，请重新办理。"}'.encode()


class Handler(BaseHTTPRequestHandler):
    """Reads a request, asks the app, writes the answer in one piece."""

    protocol_version = "HTTP/1.1"
    server_version = "guoku-ukey-agent"
    sys_version = ""
    timeout = IDLE_SECONDS
    wbufsize = 1 << 20
    disable_nagle_algorithm = True
    app: App

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        counted = length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= MAX_BODY
        if not counted or self.headers.get("Transfer-Encoding") or len(self.headers.get_all("Host", [])) != 1:
            self.close_connection = True  # the body was not read: what follows is no request
            self._write(Answer(413, _TOO_LARGE, {"Content-Type": "application/json"}))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # the caller went away in the middle
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            answer = self.app.handle(self.command, self.path, headers, body)
        except Exception:
            log("internal_error", trace=traceback.format_exc(limit=-3))
            answer = Answer(500, _BROKEN, {"Content-Type": "application/json"})
        self._write(answer)

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """The app logs what matters, and never a body."""


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1 and on nothing else; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, tokens: Path, port: int, origins: Sequence[str]) -> None:
        handler = type("BoundHandler", (Handler,), {})
        super().__init__(("127.0.0.1", port), handler)
        handler.app = App(TokenStore(tokens), origins, self.server_port, lambda: datetime.now(UTC))  # type: ignore[attr-defined]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes early is no event."""


def serve(tokens: Path, port: int, origins: Sequence[str]) -> None:
    """Run until SIGTERM or SIGINT."""
    server = Server(tokens, port, origins)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    log("listening", address=f"http://127.0.0.1:{server.server_port}", origins=list(origins))
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()
