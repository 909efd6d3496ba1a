"""The supervisor's promises, kept with real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.environment import LaunchError
from launcher.supervisor import Program, Supervisor, spawn

PYTHON = sys.executable
ENV = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path, announce=lambda text: None)
    yield supervisor
    supervisor.stop()


def program(name: str, code: str, **more: object) -> Program:
    return Program(name, [PYTHON, "-c", code], ENV, **more)  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_killed_program_comes_back(supervisor: Supervisor) -> None:
    supervisor.start(program("sleeper", "import time; time.sleep(60)"))
    before = supervisor.pids()["sleeper"]

    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 10
    supervisor.watch(until=lambda: supervisor.pids()["sleeper"] != before or time.monotonic() > deadline)

    assert supervisor.pids()["sleeper"] != before
    assert is_alive(supervisor.pids()["sleeper"])


def test_a_program_that_dies_at_once_is_reported_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    with pytest.raises(LaunchError, match="no such quota"):
        supervisor.start(program("broken", "import sys; sys.exit('no such quota')", is_ready=lambda: False))


def test_stopping_leaves_no_grandchild(supervisor: Supervisor, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *a: sys.exit())\n"
        f"child = subprocess.Popen([{PYTHON!r}, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    supervisor.start(program("parent", code, is_ready=lambda: note.exists() and bool(note.read_text())))
    grandchild = int(note.read_text())

    supervisor.stop()

    assert wait_for(lambda: not is_alive(grandchild))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_a_child_dies_with_its_parent_even_if_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "child"
    code = (
        "import sys, time; from pathlib import Path; from launcher.supervisor import spawn\n"
        "child = spawn([sys.executable, '-c', 'import time; time.sleep(60)'], env={}, cwd=Path('/'))\n"
        f"open({str(note)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    parent = subprocess.Popen([PYTHON, "-c", code], cwd=Path(__file__).parents[2])
    assert wait_for(lambda: note.exists() and bool(note.read_text()))
    child = int(note.read_text())
    assert is_alive(child)

    parent.kill()
    parent.wait()

    assert wait_for(lambda: not is_alive(child))


def test_a_commands_exit_code_and_output_are_kept(supervisor: Supervisor) -> None:
    code = supervisor.run([PYTHON, "-c", "print('three ledgers'); raise SystemExit(3)"], env=ENV, log="day")

    assert code == 3
    assert supervisor.log_end("day") == "three ledgers"


def test_spawned_processes_have_a_session_of_their_own() -> None:
    child = spawn([PYTHON, "-c", "import time; time.sleep(60)"], env=ENV, cwd=Path("/"))

    try:
        assert os.getsid(child.pid) == child.pid  # so that Ctrl-C at the terminal reaches only the supervisor
    finally:
        child.kill()
        child.wait()
