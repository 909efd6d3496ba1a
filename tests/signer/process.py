"""The real signer, as a process of its own, on the test database."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from psycopg2.extensions import make_dsn

from seals.signer_client import _forget, ask

ROOT = Path(__file__).resolve().parents[2]


def database_dsn() -> str:
    """How another process reaches the database of this test run."""
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return make_dsn(
        **{ours: connection.settings_dict[name] for name, ours in names.items() if connection.settings_dict[name]}
    )


class SignerProcess:
    """`python -m signer` with these keys. `kill` is kill -9; `start` again uses the same socket and memory."""

    def __init__(self, folder: Path, keys: Path, **environment: str) -> None:
        self.socket = folder / "s.sock"
        self.state = folder / "state"
        self.log = folder / "signer.log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "treasury.settings.signer",
            "DATABASE_URL": database_dsn(),
            "GUOKU_ENVIRONMENT": "test",
            "GUOKU_STATE_DIR": str(folder),
            "GUOKU_KEY_DIR": str(keys),
            "GUOKU_SIGNER_SOCKET": str(self.socket),
            "GUOKU_SIGNER_STATE": str(self.state),
            **environment,
        }
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens. :raises AssertionError: with its log, if it ends instead."""
        before = self.lines().count('"listening"') if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "signer"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        until = time.monotonic() + 60
        while self.lines().count('"listening"') == before:
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"the signer does not listen: {self.lines()}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return self._process.wait(timeout=20)

    def end(self) -> None:
        """Make sure that it is gone, however the test left it."""
        if self._process.poll() is None:
            self.kill()

    def lines(self) -> str:
        return self.log.read_text()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an operator's command as the signer's user would."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.environment, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def ask(self, verb: str, **question: Any) -> Any:
        """One question on a connection of its own."""
        before, settings.GUOKU_SIGNER_SOCKET = settings.GUOKU_SIGNER_SOCKET, str(self.socket)
        _forget()
        try:
            return ask(verb, **question)
        finally:
            settings.GUOKU_SIGNER_SOCKET = before
            _forget()
