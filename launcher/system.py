"""All the processes of a run, in the order they start, and what each is told."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import struct
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from psycopg2.extensions import parse_dsn

from launcher import postgres, valkey
from launcher.environment import (
    LOOPBACK,
    ROOT,
    SIMULATORS,
    UKEY_AGENT,
    LaunchError,
    Run,
    free_port,
    is_listening,
    private,
)
from launcher.supervisor import Program, Supervisor

# What our processes may keep of the caller's environment; everything else they are told by us.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "GUOKU_DEBUG", "GUOKU_LOG_LEVEL", "GUOKU_DEMO_MODE")
OWNER_COMMANDS = {
    *("migrate", "makemigrations", "sqlmigrate", "showmigrations", "dbshell", "flush"),
    *("grant_app_role", "note_existing_facts"),
}
STATE_OF_THE_DAY = ("keys", "ukey", "demo-ca", "signer", "valkey", "static", *(f"sim-{name}" for name in SIMULATORS))


@dataclass
class System:
    """One run's services. Start them in the order of the methods below; `Supervisor.stop` ends them."""

    run: Run
    supervisor: Supervisor
    settings: str = "treasury.settings.dev"
    kind: str = "demo"  # GUOKU_ENVIRONMENT
    web_port: int = 0
    ports: dict[str, int] = field(default_factory=dict)
    stores: dict[str, str] = field(default_factory=dict)

    def start_stores(self, *, fresh: bool) -> None:
        """PostgreSQL and Valkey, unless DATABASE_URL and REDIS_URL name some. `fresh` forgets an earlier day.

        :raises LaunchError: if the given database is out of reach, or holds tables and a fresh day is wanted.
        """
        if fresh:
            for name in STATE_OF_THE_DAY:
                shutil.rmtree(self.run.state / name, ignore_errors=True)
        private(self.run.state / "static")
        self.ports = self._choose_ports()
        self.supervisor.on_change = self._remember
        if given := os.environ.get("DATABASE_URL"):
            owner_url = os.environ.get("DATABASE_OWNER_URL", given)
            if postgres.has_tables(owner_url) and fresh:
                raise LaunchError("DATABASE_URL names a database that already holds tables; give an empty one.")
            self.stores = {"DATABASE_URL": given, "DATABASE_OWNER_URL": owner_url}
        else:
            with timed("PostgreSQL"):
                server = postgres.start(self.run, self.supervisor, disposable=fresh)
                (postgres.recreate_database if fresh else postgres.create_database)(server)
            application, owner = server.url(postgres.APPLICATION), server.url(postgres.OWNER)
            self.stores = {"DATABASE_URL": application, "DATABASE_OWNER_URL": owner}
        if given := os.environ.get("REDIS_URL"):
            self.stores["REDIS_URL"] = given
        else:
            with timed("Valkey"):
                self.stores["REDIS_URL"] = valkey.start(self.run, self.supervisor).url
        self._remember(self.supervisor.pids())

    def prepare(self) -> None:
        """Tables, the application role's rights, the demo PKI and the opening data; all safe to repeat.

        :raises LaunchError: if a command fails; carries the end of its output.
        """
        commands = [["migrate", "--no-input"], ["seed_demo"]]
        if self.stores["DATABASE_OWNER_URL"] != self.stores["DATABASE_URL"]:
            role = parse_dsn(self.stores["DATABASE_URL"])["user"]
            commands.insert(1, ["grant_app_role", "--role", role])
        for command in commands:
            with timed(f"manage.py {command[0]}"):
                code = self.supervisor.run(manage(command), env=self.environment(command[0]), log=command[0])
            if code:
                raise LaunchError(f"manage.py {command[0]} failed ({code}).\n{self.supervisor.log_end(command[0])}")

    def start_processes(self) -> None:
        """Signer, simulators, the officers' agent, web, worker and beat, each awaited until it answers."""
        ours = (self._web(), self._worker(), self._beat())
        for program in (self._signer(), *self._simulators(), self._ukey_agent(), *ours):
            with timed(program.name):
                self.supervisor.start(program)

    def environment(self, command: str = "") -> dict[str, str]:
        """What a process of the finance side is told; `command` is the manage.py command it runs, if it does."""
        told = {name: os.environ[name] for name in INHERITED if name in os.environ}
        told |= self.stores | self._simulator_urls()
        told |= {
            "DJANGO_SETTINGS_MODULE": self.settings,
            "GUOKU_ENVIRONMENT": self.kind,
            "GUOKU_STATE_DIR": str(self.run.state),
            "GUOKU_SIGNER_SOCKET": str(self.run.signer_socket),
            "GUOKU_UKEY_URL": self.ukey_url,
            "GUOKU_TSA_URL": f"http://{LOOPBACK}:{self.ports['tsa']}",
            "GUOKU_ANCHOR_FILE": str(self.run.state / "anchors.jsonl"),
            "GUOKU_SECRET_KEY": self.run.secret("secret_key"),
            "PYTHONUNBUFFERED": "1",
        }
        if command:  # commands are the administrator's: they also lay out everybody's keys
            told |= {f"GUOKU_SIM_{spelled(name)}_PKI": str(self._pki(name)) for name in SIMULATORS}
            told |= self._keys() | {"GUOKU_UKEY_TOKENS": str(self.run.tokens)}
        if command in OWNER_COMMANDS:
            told["DATABASE_URL"] = told["DATABASE_OWNER_URL"]
        return told

    def driver_environment(self) -> dict[str, str]:
        """What the worked day, a benchmark or a test is told: everything, also where web, desks and processes are."""
        return self.environment("driver") | {
            "GUOKU_API_URL": self.web_url,
            "GUOKU_DESK_TOKEN": self.run.secret("desk_token"),
            "GUOKU_RUN_FILE": str(self.run.state / "run.json"),
            "GUOKU_LOG_DIR": str(self.run.logs),
            "GUOKU_PG_BIN": str(postgres.find_binaries()),
        }

    @property
    def web_url(self) -> str:
        """Where officers and banks find us."""
        return f"http://{LOOPBACK}:{self.ports['web']}"

    @property
    def ukey_url(self) -> str:
        """Where officers' browsers find the agent of their UKeys."""
        return f"http://{LOOPBACK}:{self.ports[UKEY_AGENT]}"

    def _keys(self) -> dict[str, str]:
        """Where our private keys lie and what opens them: told to the signer, and to who lays them out."""
        return {"GUOKU_KEY_DIR": str(self.run.keys), "GUOKU_KEY_PASSWORD": self.run.secret("key_password")}

    def _signer(self) -> Program:
        told = self.environment() | self._keys()
        told |= {
            "DJANGO_SETTINGS_MODULE": "treasury.settings.signer",
            "GUOKU_SIGNER_STATE": str(private(self.run.state / "signer")),
        }
        return Program("signer", [sys.executable, "-m", "signer"], told, lambda: signer_answers(self.run.signer_socket))

    def _ukey_agent(self) -> Program:
        told = {variable: os.environ[variable] for variable in ("PATH", "HOME", "LANG") if variable in os.environ}
        told["PYTHONUNBUFFERED"] = "1"
        origins = [self.web_url, self.web_url.replace(LOOPBACK, "localhost")]
        argv = [sys.executable, "-m", "ukey_agent", "--tokens", str(self.run.tokens)]
        argv += ["--port", str(self.ports[UKEY_AGENT]), *(part for origin in origins for part in ("--origin", origin))]
        return Program(UKEY_AGENT, argv, told, lambda: accepts(self.ports[UKEY_AGENT]))

    def _simulators(self) -> Iterator[Program]:
        for name, arguments in SIMULATORS.items():
            folder, port = self.run.simulator(name), self.ports[name]
            # Nothing of ours: no database, no key of ours, only addresses and its own folders.
            inherited = ("PATH", "HOME", "LANG", "GUOKU_DEMO_MODE")
            told = {variable: os.environ[variable] for variable in inherited if variable in os.environ}
            told |= self._simulator_urls() | {
                "GUOKU_API_URL": self.web_url,
                "GUOKU_SIM_PORT": str(port),
                "GUOKU_SIM_STORAGE": str(folder / "storage"),
                "GUOKU_SIM_PKI": str(self._pki(name)),
                "GUOKU_DESK_TOKEN": self.run.secret("desk_token"),
                "GUOKU_ENVIRONMENT": self.kind,
                "PYTHONUNBUFFERED": "1",
            }
            argv = [sys.executable, "-m", "simulators", *arguments]
            yield Program(f"sim-{name}", argv, told, partial(answers, f"http://{LOOPBACK}:{port}/healthz"))

    def _web(self) -> Program:
        bind = f"{LOOPBACK}:{self.ports['web']}"
        workers = ["--worker-class=gthread", "--workers=2", "--threads=8", "--timeout=60", "--graceful-timeout=5"]
        argv = [sys.executable, "-m", "gunicorn", "treasury.wsgi", f"--bind={bind}", *workers, "--no-control-socket"]
        return Program("web", argv, self.environment(), lambda: answers(f"{self.web_url}/healthz"))

    def _worker(self) -> Program:
        node = f"worker@{self.run.name}"
        celery = [sys.executable, "-m", "celery", "-A", "treasury", "worker", "-n", node, "-P", "threads", "-c", "4"]
        argv = [*celery, "--without-gossip", "--without-mingle", "--loglevel=INFO"]
        return Program("worker", argv, self.environment(), lambda: worker_answers(self.stores["REDIS_URL"], node))

    def _beat(self) -> Program:
        schedule = str(self.run.state / "celerybeat-schedule")
        argv = [sys.executable, "-m", "celery", "-A", "treasury", "beat", "-s", schedule, "--pidfile=", "-l", "INFO"]
        return Program("beat", argv, self.environment())

    def _simulator_urls(self) -> dict[str, str]:
        return {f"GUOKU_SIM_{spelled(name)}_URL": f"http://{LOOPBACK}:{self.ports[name]}" for name in SIMULATORS}

    def _pki(self, name: str) -> Any:
        return self.run.simulator(name) / "pki"

    def _choose_ports(self) -> dict[str, int]:
        """The ports of the last time where they are free, so that what was noted down then still holds."""
        remembered = read_state(self.run).get("ports", {})
        names = (*SIMULATORS, UKEY_AGENT)
        ports = {name: remembered.get(name, 0) for name in names} | {"web": self.web_port}
        for name, port in ports.items():
            if not port or is_listening(port):
                ports[name] = free_port()
        if self.web_port and ports["web"] != self.web_port:
            say(f"Port {self.web_port} is taken; using {ports['web']}.")
        return ports

    def _remember(self, pids: Mapping[str, int]) -> None:
        """Note down what runs, for `stop`, `manage` and the tests that kill a process by its id."""
        state = {"web": self.web_url, "ports": self.ports, "stores": self.stores}
        path = self.run.state / "run.json"
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps({**state, "processes": dict(pids)}, indent=1))
        draft.replace(path)


def manage(arguments: Sequence[str]) -> list[str]:
    """The command line of a manage.py command."""
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def spelled(name: str) -> str:
    """A simulator's name as it stands in variables: bank-a → BANK_A."""
    return name.upper().replace("-", "_")


def answers(url: str) -> bool:
    """Whether a GET of this loopback address gives 200."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def accepts(port: int) -> bool:
    """Whether somebody listens on this loopback port."""
    return is_listening(port)


def signer_answers(path: Path) -> bool:
    """Whether the signer answers a ping on its socket."""
    question = b'{"verb": "ping"}'
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(path))
            connection.sendall(struct.pack(">I", len(question)) + question)
            return len(connection.recv(4)) == 4
        except OSError:
            return False


def worker_answers(redis_url: str, node: str) -> bool:
    """Whether the worker of this name takes part on the broker."""
    from celery import Celery

    from treasury.settings.connections import broker

    with Celery(broker=broker(redis_url), set_as_current=False) as app:
        return bool(app.control.ping(destination=[node], timeout=0.5))


def read_state(run: Run) -> dict[str, Any]:
    """What was noted down about this run's last start; empty if there was none."""
    try:
        state: dict[str, Any] = json.loads((run.state / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return state


def holder(run: Run) -> int | None:
    """The process that holds this run just now, if there is one."""
    with open(run.state / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            return int(lock.read() or 0)
    return None


@contextmanager
def exclusive(run: Run) -> Iterator[None]:
    """Hold the run; the lock goes with the process, however it ends.

    :raises LaunchError: if it is held already.
    """
    with open(run.state / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LaunchError(f"`{run.name}` is running already (process {holder(run)}).") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what is being started, and how long it took."""
    started = time.monotonic()
    say(f"  {what} … ", end="")
    with contextlib.ExitStack() as failed:
        failed.callback(say, "failed")
        yield
        failed.pop_all()
    say(f"{time.monotonic() - started:.1f} s")


def say(text: str, end: str = "\n") -> None:
    """Tell the person at the keyboard; stdout belongs to what we run for them."""
    print(text, end=end, file=sys.stderr, flush=True)
