"""The worked day while its processes are killed with -9 and its broker is emptied: the figures stay the same.

Takes a whole system of its own; `-m "not system"` leaves it out.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from launcher.environment import ROOT, Run, private, temporary_folder
from launcher.supervisor import Supervisor, end, spawn
from launcher.system import System, manage
from tests.signer.memory import children_of, keys_below, search_process

pytestmark = pytest.mark.system

LONGEST_DAY_SECONDS = 300
FLUSH = "valkey is flushed"
# Finished steps of the day → what happens a moment later, inside the next step.
KILLS = {
    1: "worker",
    2: "web",
    3: FLUSH,
    4: "sim-bank-b",
    5: "postgres",
    6: "signer",
    7: "ukey-agent",
    8: "sim-bank-b",
    9: FLUSH,
    10: "web",
    11: "worker",  # a voucher it was sending waits for the end of its lease
    12: "postgres",
    13: "sim-bank-b",
    14: FLUSH,
    15: "sim-pboc",
    16: "web",
    17: "sim-tsa",
}


@dataclass(frozen=True)
class ScratchRun(Run):
    """A run whose files lie in a folder of the test's."""

    folder: Path

    @property
    def state(self) -> Path:
        return private(self.folder)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A whole system with fresh data, up and answering; everything it started ends with the test."""
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"):  # of the test run itself
        monkeypatch.delenv(name, raising=False)
    run = ScratchRun("crash", tmp_path / "state")
    supervisor = Supervisor(run.logs, announce=print)
    try:
        system = System(run, supervisor)
        system.start_stores(fresh=True)
        system.prepare()
        system.start_processes()
        yield system
    finally:
        supervisor.stop()
        if os.getuid() == 0:  # root's PostgreSQL lives outside the test's folder
            shutil.rmtree(temporary_folder() / run.name, ignore_errors=True)


def flush(system: System) -> None:
    with redis.Redis.from_url(system.stores["REDIS_URL"]) as broker:
        broker.flushall()


def kill(system: System, name: str) -> None:
    os.kill(system.supervisor.pids()[name], signal.SIGKILL)


def drive(system: System, steps: Path, output: Path, between: Callable[[int], None]) -> int:
    """Run the day's driver; `between` is called once for each finished step with their number. Its exit code."""
    told = system.driver_environment() | {"GUOKU_DEMO_STEPS_FILE": str(steps)}
    with output.open("wb") as log:
        driver = spawn([sys.executable, "-m", "demo.worked_day", "--check"], env=told, cwd=ROOT, output=log)
    until, seen = time.monotonic() + LONGEST_DAY_SECONDS, 0
    try:
        while driver.poll() is None and time.monotonic() < until:
            system.supervisor.keep_alive()
            finished = len(steps.read_text().splitlines()) if steps.exists() else 0
            while seen < finished:
                seen += 1
                between(seen)
            time.sleep(0.02)
    finally:
        end(driver, signal.SIGTERM, within=5)
    return int(driver.returncode)


def test_the_day_completes_with_the_same_figures_whatever_is_killed(system: System, tmp_path: Path) -> None:
    chance = random.Random(20260615)
    done: list[str] = []

    def strike(finished: int) -> None:
        victim = KILLS.get(finished)
        if victim is None:
            return
        # Somewhere inside the next step, which has a dozen requests; children are looked after meanwhile.
        moment = time.monotonic() + chance.uniform(0.02, 0.6)
        system.supervisor.watch(until=lambda: time.monotonic() >= moment)
        if victim == FLUSH:
            flush(system)
        else:
            kill(system, victim)
        done.append(victim)

    output = tmp_path / "day.log"
    code = drive(system, tmp_path / "steps", output, strike)

    print(output.read_text())
    assert code == 0, output.read_text()[-4000:]
    assert len(done) == len(KILLS) and {"worker", "web", "signer", "sim-bank-b", "postgres", FLUSH} <= set(done)
    for argv in ([sys.executable, "-m", "tests.journeys.after_the_day"], manage(["audit"])):
        told = os.environ | system.driver_environment()
        assert system.supervisor.run(argv, env=told, log="after") == 0, system.supervisor.log_end("after")
    assert_only_the_signer_holds_keys(system)


def assert_only_the_signer_holds_keys(system: System) -> None:
    """Walk through the memory of every process of ours, in which the day has left what it left."""
    needles = keys_below(system.run.keys, system.run.secret("key_password"))
    pids = system.supervisor.pids()
    for name in ("web", "worker", "beat"):
        for pid in (pids[name], *children_of(pids[name])):
            assert search_process(pid, needles) == [], f"{name} {pid}"
    assert search_process(pids["signer"], needles) != []  # else the walk would prove nothing
