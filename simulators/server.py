"""One process on one port: keep-alive, a thread per connection, each answer in a single write.

The standard library's server is enough here and has one property the tests need: no master process stays behind when
it is killed. Writes are buffered and Nagle is off, so that no answer waits 40 ms for a delayed acknowledgement.
"""

import logging
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simulators.app import Answer, App
from simulators.bank import Bank
from simulators.config import Settings
from simulators.errors import AnswerLost
from simulators.participant import Participant
from simulators.pboc import CentralBank
from simulators.pull import Puller
from simulators.wire import MAX_ENVELOPE_BYTES

log = logging.getLogger("simulators.server")

IDLE_SECONDS = 75


class Handler(BaseHTTPRequestHandler):
    """Reads a request, asks the app, writes the answer."""

    protocol_version = "HTTP/1.1"
    server_version = "guoku-simulator"
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
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_ENVELOPE_BYTES or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._write(Answer(413, b'{"code": "body_too_large", "reason": "Content-Length"}'))
            return
        body = self.rfile.read(length)
        if len(body) < length:  # the caller went away in the middle
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            answer = self.app.handle(self.command, self.path, headers, body)
        except AnswerLost:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        except Exception:
            log.exception("%s %s", self.command, self.path)
            answer = Answer(500, b'{"code": "internal_error", "reason": ""}')
        self._write(answer)

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class Server(ThreadingHTTPServer):
    """A partner listening; ``port`` 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, settings: Settings, owner: Participant) -> None:
        handler = type("BoundHandler", (Handler,), {"app": App(owner)})
        super().__init__((settings.host, settings.port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("connection from %s broke", client_address, exc_info=True)


def make_participant(settings: Settings) -> Participant:
    """The bank or the PBoC of these settings, with its storage opened."""
    return CentralBank(settings) if settings.role == "pboc" else Bank(settings)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    owner = make_participant(settings)
    server = Server(settings, owner)
    puller = Puller(owner) if settings.pull else None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    owner.outbox.start()
    if puller:
        puller.start()
    print(f"{settings.organisation} listening on http://{settings.host}:{server.server_port}", flush=True)
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()
        if puller:
            puller.stop()
        owner.outbox.stop()
        owner.storage.close()
