"""What `python3 run.py …` can do."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from launcher import checks
from launcher.environment import ROOT, LaunchError, Run, temporary_folder
from launcher.supervisor import Supervisor, stop_on_signals
from launcher.system import System, exclusive, holder, manage, read_state, say

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


NEEDS_NO_SERVICES = {"verify", "help", "--help", "--version"}  # commands of manage.py
ALL_CORES = ["-q", "-rs", "-n", str(max(2, os.cpu_count() or 1)), "--dist", "worksteal"]


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Ctrl-C stops everything that was started and gives 130."""
    parser = _parser()
    # What follows these belongs to pytest, manage.py or the benchmark, options and all.
    passing_on = {"test", "manage", "bench"}
    if arguments and arguments[0] in passing_on:
        chosen, rest = parser.parse_args(arguments[:1]), list(arguments[1:])
    else:
        chosen, rest = parser.parse_args(arguments), []
    stop_on_signals()
    try:
        return int(chosen.command(chosen, rest))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except LaunchError as problem:
        print(f"run.py: {problem}", file=sys.stderr)
        return 1


def demo(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """A clean day: start everything, run the worked day, compare; then stay up, or leave with --check."""
    with _system(Run("demo"), web_port=chosen.port) as system:
        os.environ["GUOKU_DEMO_MODE"] = chosen.mode
        system.start_stores(fresh=True)
        system.prepare()
        system.start_processes()
        driver = [sys.executable, "-m", "demo.worked_day", "--check" if chosen.check else "--serve"]
        code = system.supervisor.run(driver, env=system.driver_environment())
        if not chosen.check:
            say(f"Up at {system.web_url} (logs in {system.run.logs}); Ctrl-C stops everything.")
            system.supervisor.watch()
        return code


def up(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Services and web with the data of the last time; no worked day."""
    with _system(Run("demo"), web_port=chosen.port) as system:
        system.start_stores(fresh=False)
        system.prepare()
        system.start_processes()
        say(f"Up at {system.web_url} (logs in {system.run.logs}); Ctrl-C stops everything.")
        system.supervisor.watch()
    return 0


def stop(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """End a `demo` or `up` that runs somewhere else."""
    run = Run("demo")
    pid = holder(run)
    if pid is None:
        say("Nothing is running.")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while holder(run) is not None:
        if time.monotonic() > deadline:
            raise LaunchError(f"Process {pid} does not stop.")
        time.sleep(0.1)
    say("Stopped.")
    return 0


def test(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """pytest on a PostgreSQL and a Valkey of its own (or DATABASE_URL, REDIS_URL); arguments go to pytest.

    Without arguments every test runs, on all cores at once.
    """
    with _system(Run("test"), settings="treasury.settings.test", kind="test") as system:
        system.start_stores(fresh=not os.environ.get("DATABASE_URL"))
        told = os.environ | system.driver_environment() | {"NO_PROXY": "127.0.0.1,localhost"}
        if chromium := find_chromium():
            told["GUOKU_CHROMIUM"] = chromium
        else:
            say("No Chromium found (GUOKU_CHROMIUM, or `chromium` on PATH): the browser tests are left out.")
        return system.supervisor.run([sys.executable, "-m", "pytest", *(rest or ALL_CORES)], env=told)


def manage_command(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Any manage.py command, in the environment of the running demo, or of one started for the occasion."""
    run = Run("demo")
    name = rest[0] if rest else "help"
    system = None
    if holder(run) is not None:
        state = read_state(run)
        system = System(run, Supervisor(run.logs), ports=state["ports"], stores=state["stores"])
    if name in NEEDS_NO_SERVICES:  # run where the caller stands: a file to verify may be named from there
        told = system.environment(name) if system else {"DJANGO_SETTINGS_MODULE": "treasury.settings.dev"}
        return subprocess.call(manage(rest), env=os.environ | told)
    if system is not None:
        return system.supervisor.run(manage(rest), env=os.environ | system.environment(name))
    with _system(run) as system:
        system.start_stores(fresh=False)
        return system.supervisor.run(manage(rest), env=os.environ | system.environment(name))


def bench(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """A benchmark of `bench/` against the whole system, on data of its own."""
    names = sorted(path.stem for path in (ROOT / "bench").glob("*.py") if not path.stem.startswith("_"))
    if not rest or rest[0] not in names:
        raise LaunchError(f"Which benchmark? {', '.join(names) or 'none here'}")
    with _system(Run("bench"), kind="demo") as system:
        system.start_stores(fresh=True)
        system.prepare()
        system.start_processes()
        module = [sys.executable, "-m", f"bench.{rest[0]}", *rest[1:]]
        return system.supervisor.run(module, env=system.driver_environment())


def services(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """PostgreSQL and Valkey alone, for work at the keyboard; prints what to export."""
    with _system(Run("dev"), settings="treasury.settings.test", kind="test") as system:
        system.start_stores(fresh=False)
        for variable, value in system.driver_environment().items():
            if variable.startswith(("DATABASE", "REDIS", "DJANGO", "GUOKU")):
                print(f"export {variable}='{value}'")
        sys.stdout.flush()
        system.supervisor.watch()
    return 0


def lint(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Style, types, import order, migrations and deployment checks."""
    return checks.run_all()


def clean(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    """Remove the state of every run; the installed packages stay."""
    for name in ("demo", "test", "bench", "dev"):
        with exclusive(Run(name)):
            pass
    shutil.rmtree(ROOT / ".state", ignore_errors=True)
    if os.getuid() == 0:
        shutil.rmtree(temporary_folder())
    say("Removed.")
    return 0


def find_chromium() -> str | None:
    """GUOKU_CHROMIUM, else the first Chromium on PATH."""
    chosen = os.environ.get("GUOKU_CHROMIUM")
    return chosen or next((found for name in CHROMIUM if (found := shutil.which(name))), None)


@contextmanager
def _system(
    run: Run, *, settings: str = "treasury.settings.dev", kind: str = "demo", web_port: int = 0
) -> Iterator[System]:
    """A run held by us alone; whatever was started in it has stopped when the block ends, however it ends."""
    with exclusive(run):
        supervisor = Supervisor(run.logs, announce=lambda text: say(f"  [{text}]"))
        try:
            yield System(run, supervisor, settings, kind, web_port)
        finally:
            supervisor.stop()


@dataclass(frozen=True)
class Command:
    """A word on the command line; its help is the first line of what it calls."""

    name: str
    call: Callable[[argparse.Namespace, Sequence[str]], int]


COMMANDS = (
    Command("demo", demo),
    Command("up", up),
    Command("stop", stop),
    Command("test", test),
    Command("manage", manage_command),
    Command("bench", bench),
    Command("services", services),
    Command("lint", lint),
    Command("clean", clean),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description="Guoku 国库集中支付 on one machine.")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        verb = verbs.add_parser(command.name, help=(command.call.__doc__ or "").splitlines()[0])
        verb.set_defaults(command=command.call)
        if command.name in ("demo", "up"):
            verb.add_argument("--port", type=int, default=8000, help="where the web listens (default 8000)")
        if command.name == "demo":
            verb.add_argument("--check", action="store_true", help="leave after the comparison: 0 if all is equal")
            verb.add_argument(
                "--mode", choices=["classic", "integrated"], default="classic", help="how money is released to units"
            )
    return parser
