"""What a run costs: CPU seconds and peak memory of each process, bytes in the database, signatures made and checked."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from seals.models import SealUse
from vouchers.models import DeliveryAttempt, InboxMessage, RequestNonce

TICKS = os.sysconf("SC_CLK_TCK")
SHARING_MEMORY = "postgres"  # its processes share the buffers: their peaks cannot be added up


# Processes ----------------------------------------------------------------------------------------------------------


class Processes:
    """The processes of the run file with all their children, and this one with its own."""

    def __init__(self, run_file: Path) -> None:
        self._run_file = run_file
        self._peaks: dict[str, dict[int, int]] = {}
        self._cpu: dict[str, dict[int, float]] = {}

    def sample(self) -> None:
        """Look once; what a process showed before it ended is kept."""
        parents = _parents()
        started: dict[str, int] = json.loads(self._run_file.read_text())["processes"]
        for name, root in {**started, "bench": os.getpid()}.items():
            for pid in _family(root, parents):
                peak, cpu = peak_kb(pid), cpu_seconds(pid)
                if peak is not None and cpu is not None:
                    self._peaks.setdefault(name, {})[pid] = peak
                    self._cpu.setdefault(name, {})[pid] = cpu

    def peak_rss_mb(self) -> dict[str, float]:
        """Peak resident memory (VmHWM) by process name: children added up; for PostgreSQL its largest process."""
        return {
            name: round((max if name == SHARING_MEMORY else sum)(peaks.values()) / 1024, 1)
            for name, peaks in self._peaks.items()
        }

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far by process name."""
        return {name: round(sum(used.values()), 2) for name, used in self._cpu.items()}


def _parents() -> dict[int, int]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (fields := _stat(int(folder.name))):
            found[int(folder.name)] = int(fields[1])
    return found


def _family(root: int, parents: Mapping[int, int]) -> list[int]:
    members = [root]
    for member in members:  # grows while it is walked
        members += [pid for pid, parent in parents.items() if parent == member]
    return members


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def peak_kb(pid: int) -> int | None:
    """VmHWM in kB; None if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def cpu_seconds(pid: int) -> float | None:
    """User and system time; None if the process is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else None


def machine_busy_seconds() -> float:
    """CPU seconds anything on this machine has used since it started (all cores)."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / TICKS


# Database and signatures --------------------------------------------------------------------------------------------


def stored_bytes() -> int:
    """Tables with their indexes and TOAST, of the application alone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables WHERE schemaname = 'public'")
        return int(cursor.fetchone()[0])


@dataclass(frozen=True)
class Signatures:
    """Counts of signatures made and checked, by us and by the partners."""

    ours_sign: int = 0
    ours_verify: int = 0
    partners_sign: int = 0
    partners_verify: int = 0

    def since(self, before: "Signatures") -> "Signatures":
        return Signatures(**{name: value - vars(before)[name] for name, value in vars(self).items()})

    def per_payment(self, count: int) -> dict[str, float]:
        return {
            "sign": round((self.ours_sign + self.partners_sign) / count, 3),
            "verify": round((self.ours_verify + self.partners_verify) / count, 3),
            **{name: round(value / count, 3) for name, value in vars(self).items()},
        }


def signatures(desks: Iterable[Mapping[str, Any]]) -> Signatures:
    """Count from what is stored on both sides: seals and inbound documents, and HTTP messages.

    A voucher is signed once and checked by each receiver. An exchange over HTTP is four operations more: the request
    signed and checked, the answer signed and checked. Requests of partners among themselves (bank to PBoC and back)
    are counted as vouchers only, not as HTTP messages.
    """
    received = RequestNonce.objects.count()  # partners' requests to us
    sent = DeliveryAttempt.objects.exclude(step=DeliveryAttempt.Step.ANSWERED).values("delivery__partner", "at")
    posted = sent.distinct().count()  # our requests to partners: one for each claimed batch
    states = list(desks)
    messages = received + posted
    return Signatures(
        ours_sign=SealUse.objects.count() + messages,
        ours_verify=InboxMessage.objects.count() + messages,
        partners_sign=sum(issued_documents(state) for state in states) + messages,
        partners_verify=sum(row["copies"] for state in states for row in state["vouchers"]) + messages,
    )


def issued_documents(state: Mapping[str, Any]) -> int:
    """Documents a partner has signed; its desk lists one row for each destination."""
    return len({(row["voucher_type"], row["voucher_no"], row["flag"]) for row in state["issued"]})
