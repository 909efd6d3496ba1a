"""A payday from request to reconciliation, against TPC-B on the same server in the same run. See bench/README.md.

    python3 run.py bench payday --payments 5000

Officers' steps are called as services, in batches; everything after the seal is done by the real worker, the real web
and the real banks and PBoC, each a process of its own.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import django

django.setup()

from django.db import connection  # noqa: E402
from django.db.models import Count, QuerySet  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench import _meters, _office, _plan, _proof, _town  # noqa: E402
from bench._office import Seconds, Work, clients, draft_batch, office, quiet_logging  # noqa: E402
from bench._tpcb import TpcB  # noqa: E402
from bench._waiting import Stuck, say, wait_for  # noqa: E402
from core.outcomes import CHUNK  # noqa: E402
from demo import world  # noqa: E402
from demo.clients import Desk  # noqa: E402
from payments.models import PaymentRequest  # noqa: E402
from payments.states import RequestState  # noqa: E402
from reconciliation.models import Sheet  # noqa: E402
from reconciliation.services import match_day  # noqa: E402
from vouchers.models import Delivery, InboxMessage, InboxRejection  # noqa: E402

SECONDS_OF_TPCB = 5
PHASES = (*_office.PHASES, "paid", "cleared", "reconciled")


class Payday:
    """One run: the payments, the desks, the meters."""

    def __init__(self, count: int, size: int, clients: int) -> None:
        token = os.environ["GUOKU_DESK_TOKEN"]
        self.banks = [Desk(os.environ[f"GUOKU_SIM_{name}_URL"], token) for name in ("BANK_A", "BANK_B")]
        self.pboc = Desk(os.environ["GUOKU_SIM_PBOC_URL"], token)
        self.planned = _plan.payments(count)
        self.batches = _plan.batches(self.planned, size)
        self.clients = clients
        self.processes = _meters.Processes(Path(os.environ["GUOKU_RUN_FILE"]))
        self.seconds: Seconds = dict.fromkeys(PHASES, 0.0)

    def run(self, tpcb: TpcB) -> dict[str, Any]:
        """Do the day and return what the JSON line says."""
        say(f"preparing the town for {len(self.planned)} payments of {_plan.total(self.planned):,.2f} yuan")
        indicators = _town.prepare(self.planned, self.banks, self.pboc)
        signed_before = _meters.signatures(self._states())
        with clients(self.clients) as work:
            rate_before = self._tpcb(tpcb, "before")
            bytes_before = _meters.stored_bytes()
            requests = self._draft(work, indicators)
            self.processes.sample()
            cpu_before, busy_before = self.processes.cpu(), _meters.machine_busy_seconds()
            started = time.monotonic()
            self._through_the_office(work, requests)
            ids = [request_id for batch in requests for request_id in batch]
            self._wait_paid()
            self._clear()
            sheets = self._reconcile()
            seconds = time.monotonic() - started
            self.processes.sample()
        cpu = {name: round(used - cpu_before.get(name, 0.0), 2) for name, used in self.processes.cpu().items()}
        foreign = _meters.machine_busy_seconds() - busy_before - sum(cpu.values())
        stored = _meters.stored_bytes() - bytes_before
        rate_after = self._tpcb(tpcb, "after")
        *banks, pboc = states = self._states()
        signed = _meters.signatures(states).since(signed_before)
        wrong = _proof.faults(self.planned, ids, indicators, sheets, banks, pboc)
        return result(
            count=len(self.planned),
            seconds=seconds,
            rates=(rate_before, rate_after),
            tpcb_by=tpcb.made_by,
            wrong=wrong,
            phases={name: round(self.seconds[name], 2) for name in PHASES},
            sm2_per_payment=signed.per_payment(len(self.planned)),
            bytes_per_payment=round(stored / len(self.planned)),
            peak_rss_mb=self.processes.peak_rss_mb(),
            cpu_seconds=cpu,
            foreign_cpu=round(max(foreign, 0.0) / (seconds * (os.cpu_count() or 1)), 3),
            cpus=os.cpu_count(),
            batch=max(len(batch.payments) for batch in self.batches),
            clients=self.clients,
            python=sys.version.split()[0],
            postgresql=_server_version(),
        )

    # The office: every batch is one unit's ---------------------------------------------------------------------------

    def _draft(self, work: Work, indicators: dict[str, UUID]) -> list[list[UUID]]:
        """Write the requests down. Not under the clock: a payday starts with a full in-tray."""
        say(f"drafting {len(self.batches)} batches")
        drafted = work(draft_batch, [(batch, indicators) for batch in self.batches])
        self._add(seconds for _, seconds in drafted)
        return [ids for ids, _ in drafted]

    def _through_the_office(self, work: Work, requests: list[list[UUID]]) -> None:
        """Submit, approve, issue and seal batch after batch, while the worker sends what is sealed already."""
        say("submit → approve → issue → seal")
        self._add(work(office, [(batch.unit.code, ids) for batch, ids in zip(self.batches, requests, strict=True)]))

    def _add(self, measured: Iterable[Seconds]) -> None:
        for seconds in measured:
            for name, spent in seconds.items():
                self.seconds[name] += spent

    # What the others do ----------------------------------------------------------------------------------------------

    def _wait_paid(self) -> None:
        with self._timed("paid"):
            self._wait("receipts", lambda: _count(RequestState.PAID), len(self.planned))

    def _clear(self) -> None:
        with self._timed("cleared"):
            together([partial(desk.post, "clear") for desk in self.banks])
            self._wait("clearings", lambda: _count(RequestState.CLEARED), len(self.planned))

    def _reconcile(self) -> list[Sheet]:
        """Let banks and PBoC report, take the reports in, and match the day."""
        with self._timed("reconciled"):
            day = world.DAY.isoformat()
            before = InboxMessage.objects.filter(state="applied").count()
            made = together([partial(desk.post, "report", date=day) for desk in (*self.banks, self.pboc)])
            reports = sum(len(answer["sent"]) for answer in made)
            applied = InboxMessage.objects.filter(state="applied")
            self._wait("reports", lambda: applied.count() - before, reports)
            return match_day(adm_div_code=world.REGION, date=world.DAY, by=world.officer("gk-dz"), now=timezone.now())

    def _wait(self, what: str, measure: Callable[[], int], target: int) -> None:
        wait_for(what, measure, target, meanwhile=self.processes.sample)

    def whereabouts(self) -> list[str]:
        """Where everything is, for a day that got stuck."""
        found: list[tuple[str, QuerySet]] = [
            ("requests", PaymentRequest.objects.values_list("state")),
            ("outbox", Delivery.objects.values_list("partner_id", "state", "last_error")),
            ("inbox", InboxMessage.objects.values_list("voucher_type", "flag", "state", "code", "field", "reason")),
            ("rejected", InboxRejection.objects.values_list("sender", "code", "field", "reason")),
        ]
        lines = [f"{name}: {row}" for name, rows in found for row in rows.annotate(count=Count("pk")).order_by()]
        return lines + [f"{state['organisation']} sends: {row}" for state in self._states() for row in state["outbox"]]

    def _states(self) -> list[dict[str, Any]]:
        return [desk.state() for desk in (*self.banks, self.pboc)]

    def _tpcb(self, tpcb: TpcB, when: str) -> float:
        say(f"TPC-B {when}, {SECONDS_OF_TPCB} s, by {tpcb.made_by}")
        return tpcb.measure(SECONDS_OF_TPCB)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[phase] += time.monotonic() - started


def result(
    *, count: int, seconds: float, rates: tuple[float, float], tpcb_by: str, wrong: list[str], **more: Any
) -> dict[str, Any]:
    """The JSON line; the ratio is to the mean of the two TPC-B rates."""
    rate = count / seconds
    return {
        "bench": "payday",
        "ok": not wrong,
        "payments": count,
        "seconds": round(seconds, 2),
        "payments_per_second": round(rate, 1),
        "tpcb_tps": [round(tps, 1) for tps in rates],
        "tpcb_by": tpcb_by,
        "ratio": round(rate / (sum(rates) / len(rates)), 4),
        **more,
        "wrong": wrong[:20],
    }


# Small things -------------------------------------------------------------------------------------------------------


def together(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do several desks' orders at the same time."""
    with ThreadPoolExecutor(len(acts)) as pool:
        return [done.result() for done in [pool.submit(act) for act in acts]]


def _count(state: str) -> int:
    """How many requests of the day are in this state."""
    return PaymentRequest.objects.filter(adm_div_code=world.REGION, state=state, imported=False).count()


def _server_version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench payday", description="A payday, end to end.")
    parser.add_argument("--payments", type=int, default=5000, help="how many (default 5000)")
    parser.add_argument("--batch", type=int, default=CHUNK, help=f"requests a step takes at once, at most {CHUNK}")
    parser.add_argument(
        "--clients", type=int, default=2, help="processes in which officers work side by side (default 2)"
    )
    chosen = parser.parse_args(given)
    if chosen.payments < 1 or not 1 <= chosen.batch <= CHUNK or chosen.clients < 1:
        parser.error(f"payments and clients from 1, batch from 1 to {CHUNK}")
    return chosen


def main() -> int:
    """Run, print one line, and say by the exit code whether every figure is right."""
    chosen = arguments()
    quiet_logging()
    day = Payday(chosen.payments, chosen.batch, chosen.clients)
    with TpcB(os.environ["DATABASE_OWNER_URL"]) as tpcb:
        try:
            line = day.run(tpcb)
        except Stuck as stuck:
            say(f"✗ {stuck}")
            for place in day.whereabouts():
                say(f"  {place}")
            return 1
    print(json.dumps(line, ensure_ascii=False), flush=True)
    for fault in line["wrong"]:
        say(f"✗ {fault}")
    return 0 if line["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
