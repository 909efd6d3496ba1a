"""Child processes: started one after the other, brought back when they die, stopped in reverse order."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from launcher.environment import ROOT, LaunchError

PR_SET_PDEATHSIG = 1
RESTART_AFTER = 0.5  # seconds, doubled for a program that dies again at once, up to RESTART_AT_MOST
RESTART_AT_MOST = 8.0
STEADY_AFTER = 10.0  # seconds of life after which a death counts as the first again
TICK = 0.05


@dataclass(frozen=True)
class Owner:
    """The user a program runs as when it is not our own."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """What to start, and how to know that it answers."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    is_ready: Callable[[], bool] = lambda: True
    stop_signal: int = signal.SIGTERM
    stop_within: float = 10.0
    owner: Owner | None = None
    cwd: Path = ROOT


@dataclass
class Child:
    """A started program; `process` changes when it is brought back."""

    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    deaths: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """Owns every child of a run. Single-threaded: a child's death signal is tied to the thread that forked it."""

    logs: Path
    announce: Callable[[str], None] = print
    on_change: Callable[[dict[str, int]], None] = lambda pids: None
    children: list[Child] = field(default_factory=list)

    def start(self, program: Program, *, within: float = 60) -> None:
        """Start a program and wait until it answers.

        :raises LaunchError: if it dies or does not answer within so many seconds; carries the end of its log.
        """
        child = Child(program, self._spawn(program, truncate=True), time.monotonic())
        self.children.append(child)
        self.on_change(self.pids())
        deadline = time.monotonic() + within
        while not program.is_ready():
            if child.process.poll() is not None:
                raise LaunchError(f"{program.name} ended with {child.process.returncode}.\n{self._log_end(program)}")
            if time.monotonic() > deadline:
                raise LaunchError(f"{program.name} did not answer in {within:.0f} s.\n{self._log_end(program)}")
            self.keep_alive(but=child)
            time.sleep(TICK)

    def keep_alive(self, *, but: Child | None = None) -> None:
        """Bring back whoever has died, each after a short delay. Never waits; call it often."""
        now = time.monotonic()
        for child in self.children:
            if child is but or child.process.poll() is None:
                continue
            if child.restart_at is None:
                child.deaths = 0 if now - child.started_at > STEADY_AFTER else child.deaths + 1
                child.restart_at = now + min(RESTART_AFTER * 2**child.deaths, RESTART_AT_MOST)
                self.announce(f"{child.program.name} ended with {child.process.returncode}, starting it again")
                kill_group(child.process)  # what a killed gunicorn leaves behind still holds the port
            elif now >= child.restart_at:
                child.process = self._spawn(child.program)
                child.started_at, child.restart_at = now, None
                self.on_change(self.pids())

    def run(self, argv: Sequence[str], *, env: Mapping[str, str], log: str | None = None) -> int:
        """Run a command to its end while keeping the children alive; its exit code. `log` takes it off the screen."""
        with open(self.logs / f"{log}.log", "wb") if log else contextlib.nullcontext() as output:
            command = spawn(argv, env=env, cwd=ROOT, output=output, own_session=False)
            try:
                while command.poll() is None:
                    self.keep_alive()
                    time.sleep(TICK)
            finally:
                end(command, signal.SIGTERM, within=10)
        return int(command.returncode)

    def watch(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Keep the children alive until the condition holds, or for ever."""
        while not until():
            self.keep_alive()
            time.sleep(TICK)

    def stop(self) -> None:
        """Stop every child, the last started first, and leave nothing running."""
        while self.children:
            child = self.children.pop()
            end(child.process, child.program.stop_signal, within=child.program.stop_within)
            kill_group(child.process)

    def pids(self) -> dict[str, int]:
        """The process of each running program, by name."""
        return {child.program.name: child.process.pid for child in self.children}

    def log_end(self, name: str, lines: int = 20) -> str:
        """The last lines that a program or command wrote."""
        path = self.logs / f"{name}.log"
        if not path.exists():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def _log_end(self, program: Program) -> str:
        return f"The end of {self.logs / (program.name + '.log')}:\n{self.log_end(program.name)}"

    def _spawn(self, program: Program, *, truncate: bool = False) -> subprocess.Popen[bytes]:
        with open(self.logs / f"{program.name}.log", "wb" if truncate else "ab") as output:
            return spawn(
                program.argv,
                env=program.env,
                cwd=program.cwd,
                output=output,
                owner=program.owner,
                death_signal=program.stop_signal,
            )


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    output: object = None,
    owner: Owner | None = None,
    death_signal: int = signal.SIGTERM,
    own_session: bool = True,
) -> subprocess.Popen[bytes]:
    """Start a process that gets `death_signal` when we die, whatever kills us (Linux)."""
    # Changing the user clears the death signal; subprocess calls preexec_fn after that change, just before exec.
    identity: dict[str, object] = {}
    if owner:
        identity = {"user": owner.uid, "group": owner.gid, "extra_groups": []}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL if own_session else None,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=own_session,
        preexec_fn=_die_with_parent(death_signal),
        **identity,
    )


def end(process: subprocess.Popen[bytes], stop_signal: int, *, within: float) -> None:
    """Ask a process to stop, and kill it when it does not within so many seconds."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of an ended process's own session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def stop_on_signals() -> None:
    """Let Ctrl-C, SIGTERM and a closed terminal all unwind the stack, so that `finally` stops the children."""

    def unwind(number: int, frame: FrameType | None) -> None:
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(again, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the stopping
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)


def _die_with_parent(death_signal: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def in_child() -> None:
        # The parent ignores or catches these; a child starts with the default.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)

    return in_child
