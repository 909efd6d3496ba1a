"""Tokens with certificates of a demo authority, statements made for them, and the agent as a real process."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ukey import officers
from tests.ukey.officers import PIN, SITE
from ukey_agent.files import write_durably
from ukey_agent.software import SoftwareToken


@dataclass
class Agent:
    """The program, listening: `port`, its tokens' folder and what it wrote so far."""

    port: int
    tokens: Path
    process: subprocess.Popen[str]

    @property
    def own(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        raw: bytes | None = None,
        drop: tuple[str, ...] = (),
        **headers: str,
    ) -> tuple[int, dict[str, str], Any]:
        """(status, headers in lower case, JSON or text). Headers default to those of the agent's own page."""
        sent = {"Host": f"127.0.0.1:{self.port}"}
        if method == "POST":
            sent |= {"Origin": self.own, "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if name not in drop}
        content = raw if raw is not None else (json.dumps(body).encode() if body is not None else b"")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if "Content-Length" not in sent and "Transfer-Encoding" not in sent and "Content-Length" not in drop:
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            response = connection.getresponse()
            text = response.read().decode()
            got = {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()
        return response.status, got, json.loads(text) if got.get("content-type") == "application/json" else text

    def post(self, path: str, body: Any, **more: Any) -> tuple[int, Any]:
        status, _, answer = self.request("POST", path, body, **more)
        return status, answer

    def stop(self) -> str:
        """End the program; everything it wrote."""
        self.process.terminate()
        return self.process.communicate(timeout=20)[0]


def _begin(tokens: Path, *origins: str) -> Agent:
    command = [sys.executable, "-m", "ukey_agent", "--tokens", str(tokens), "--port", "0"]
    for origin in origins or (SITE,):
        command += ["--origin", origin]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    return Agent(int(first["address"].rpartition(":")[2]), tokens, process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=20)


@pytest.fixture(scope="session")
def authority() -> officers.Authority:
    return officers.Authority()


@pytest.fixture(scope="session")
def one_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture
def tokens(one_folder: Path) -> Path:
    """An empty folder, always the same one: the agent reads it anew at each request."""
    one_folder.chmod(0o700)
    for path in one_folder.iterdir():
        path.unlink()
    return one_folder


@pytest.fixture(scope="session")
def wangs_file(tmp_path_factory: pytest.TempPathFactory, authority: officers.Authority) -> bytes:
    folder = tmp_path_factory.mktemp("wang")
    return officers.with_software_token(folder, authority, "wang", "王知远").token.path.read_bytes()


@pytest.fixture
def wang(tokens: Path, wangs_file: bytes) -> officers.Officer:
    """An officer with a software token and a certificate on it; all six tries are left."""
    write_durably(tokens / "wang.json", wangs_file)
    return officers.Officer(SoftwareToken(tokens, "wang"), PIN, "王知远")


@pytest.fixture
def start() -> Iterator[Callable[..., Agent]]:
    """Start an agent of the test's own over a folder and for some sites; it is ended after the test."""
    running: list[Agent] = []

    def begin(tokens: Path, *origins: str) -> Agent:
        running.append(_begin(tokens, *origins))
        return running[-1]

    yield begin
    for one in running:
        _end(one.process)


@pytest.fixture(scope="session")
def program(one_folder: Path) -> Iterator[Agent]:
    begun = _begin(one_folder)
    threading.Thread(target=lambda: [None for _ in begun.process.stdout or ()], daemon=True).start()  # drain the log
    yield begun
    begun.process.kill()
    begun.process.wait(timeout=20)


@pytest.fixture
def agent(program: Agent, wang: officers.Officer) -> Agent:
    """The agent with 王知远's token, running for all tests; one that ends it or reads its log starts its own."""
    return program


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=2)
