"""One simulator process with its own storage; it can be killed and started again at the same address."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "desk-token-of-the-fault-tests"


class BankProcess:
    """A bank on a fixed port. `desk` is its people's counter; `kill` is kill -9."""

    def __init__(self, code: str, storage: Path, pki: Path, api_url: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._arguments = ["bank", "--code", code, "--storage", str(storage), "--pki", str(pki), "--port", str(port)]
        self._arguments += ["--desk-token", TOKEN, *(["--api-url", api_url] if api_url else [])]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulators", *self._arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        self.url = found[0]

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def desk(self, name: str, **order: Any) -> Any:
        method = "GET" if name == "state" else "POST"
        answer = httpx2.request(
            method, f"{self.url}/desk/{name}", json=order, headers={"X-Desk-Token": TOKEN}, timeout=60, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def executions(self) -> dict[str, int]:
        """How often the bank's own ledger says each payment detail was paid: "8202 SZ0001/1" → times."""
        counts: dict[str, int] = self.desk("state")["execution_counts"]
        return counts
