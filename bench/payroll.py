"""Fifty thousand people's pay: a spreadsheet in, vouchers out, the bank's answers in. See bench/README.md.

    python3 run.py bench payroll --rows 50000

Every step runs in a process of its own, so that its peak memory is its own; what a step needs comes out of the
database. The bank is in this program's hand: its receipts are built, signed and stamped outside the clock.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import django

django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench import _meters, _payroll  # noqa: E402
from bench._office import ORIGIN, quiet_logging  # noqa: E402
from bench._waiting import say, wait_for  # noqa: E402
from budget.entries import Context  # noqa: E402
from budget.services import OpeningIndicator, import_indicator  # noqa: E402
from core.money import ZERO  # noqa: E402
from core.outcomes import CHUNK  # noqa: E402
from demo import world  # noqa: E402
from demo.hands import proof_of  # noqa: E402
from parties.models import BankAccount, BudgetUnit  # noqa: E402
from payments import services as payments  # noqa: E402
from payments.models import PaymentRequest  # noqa: E402
from payroll import progress, services  # noqa: E402
from payroll.models import SalaryBatch  # noqa: E402
from vouchers import inbox  # noqa: E402
from vouchers.models import ExchangePartner, InboxMessage  # noqa: E402

INDICATOR = "BENCH-PAYROLL"
CLERK, CHECKER = "u101002-jb", "bb-hd"
REVIEWERS = ("u101002-fh", "jkw-sh", "gk-sh", "gk-kz")
KEEPERS = ("gk-mz", "gk-yz")
FAILED = 17
MOST_RATIO, MOST_MB = 10.0, 600.0


# The steps ----------------------------------------------------------------------------------------------------------
# Each runs in a process of its own. It answers what the next one needs; the clock is around `measured` alone.


class Clock:
    """Seconds between `start` and `stop`, added up; what stands between is not under the clock."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._started


def import_step(clock: Clock, path: str) -> UUID:
    """Excel in: weighed, judged, COPYed, added up."""
    indicator = world.indicator(INDICATOR)
    with open(path, "rb") as content, clock:
        file = services.SourceFile(Path(path).name, os.path.getsize(path), content)
        header = services.SalaryHeader(indicator.id, world.DAY.month, "salary")
        batch = services.import_salary_batch(header=header, file=file, clerk=world.officer(CLERK), now=timezone.now())
    return batch.id


def decide_step(clock: Clock, batch_id: UUID) -> None:
    """Unit, establishment office and treasury agree."""
    people = {name: world.officer(name) for name in (CLERK, CHECKER, "jkw-sh")}
    now = timezone.now()
    with clock:
        services.submit_salary_batches(batch_ids=[batch_id], clerk=people[CLERK], now=now).raise_if_refused()
        services.check_salary_batches(batch_ids=[batch_id], checker=people[CHECKER], now=now).raise_if_refused()
        services.confirm_salary_batches(batch_ids=[batch_id], reviewer=people["jkw-sh"], now=now).raise_if_refused()


def generate_step(clock: Clock, batch_id: UUID) -> None:
    """All payment requests and their lines, compared with the rows."""
    clerk = world.officer(CLERK)
    with clock:
        services.generate_payments(model=SalaryBatch, roster_id=batch_id, clerk=clerk, now=timezone.now())


def submit_step(clock: Clock, batch_id: UUID) -> None:
    clerk = world.officer(CLERK)
    with clock:
        outcome = services.submit_payments(model=SalaryBatch, roster_id=batch_id, clerk=clerk, now=timezone.now())
    outcome.raise_if_refused()


def dispose_step(clock: Clock, batch_id: UUID) -> None:
    """What the rules hold (a salary voucher is a large payment) is looked at and let go."""
    officer = world.officer("gk-jk")
    for ids in _chunks(batch_id, "on_hold"):
        with clock:
            payments.dispose_held_requests(
                request_ids=ids, officer=officer, passed=True, reason="统发工资，已核定", now=timezone.now()
            ).raise_if_refused()


def approve_step(clock: Clock, batch_id: UUID, reviewer: str) -> None:
    """One reviewer of the chain, with one UKey signature for a chunk; the chief only where amounts are large."""
    officer = world.officer(reviewer)
    for ids in _chunks(batch_id, "in_review"):
        with clock:
            asked = payments.prepare_decision(
                request_ids=ids, reviewer=officer, action="approve", origin=ORIGIN, now=timezone.now()
            )
            payments.approve_payment_requests(
                request_ids=ids, reviewer=officer, now=timezone.now(), proof=proof_of(asked, reviewer)
            ).raise_if_refused()


def issue_step(clock: Clock, batch_id: UUID) -> None:
    """Vouchers out: numbers, texts, digests."""
    maker = world.officer("gk-zd")
    for ids in _chunks(batch_id, "approved"):
        with clock:
            payments.issue_payment_vouchers(request_ids=ids, maker=maker, now=timezone.now()).raise_if_refused()


def seal_step(clock: Clock, batch_id: UUID, keeper: str) -> None:
    """One keeper's seal, by the signer's process; with the last one the signature, and a 5108 for each voucher."""
    officer = world.officer(keeper)
    for ids in _chunks(batch_id, "vouchered"):
        with clock:
            asked = payments.prepare_sealing(request_ids=ids, sealer=officer, origin=ORIGIN, now=timezone.now())
            payments.seal_payment_vouchers(
                request_ids=ids, sealer=officer, now=timezone.now(), proof=proof_of(asked, keeper)
            ).raise_if_refused()


def receive_step(clock: Clock, batch_id: UUID, failing: list[str]) -> int:
    """The bank's receipts, an envelope after the other: verified, stored, applied."""
    bank = _payroll.Bank(Path(os.environ["GUOKU_RUN_FILE"]).parent)
    partner = ExchangePartner.objects.get(pk=world.BANK_A)
    count = 0
    for request in _sealed(batch_id):
        assert request.voucher is not None
        envelope = bank.receipt(request.voucher, failing)
        with clock:
            answers = inbox.receive(raw=envelope, sender=partner, now=timezone.now())
        assert all(answer.outcome in ("applied", "stored") for answer in answers), answers
        count += 1
    with clock:  # what the worker's sweep took in between
        wait_for("receipts to be applied", _not_applied, 0)
    return count


def _not_applied() -> int:
    return InboxMessage.objects.filter(voucher_type="5201", flag=1).exclude(state="applied").count()


def reissue_step(clock: Clock, batch_id: UUID, mended: dict[str, str]) -> int:
    """Everything that failed, repeated by one call with other cards."""
    clerk = world.officer(CLERK)
    failed = progress.failed_lines(SalaryBatch, batch_id, clerk)
    corrections = {line.detail.id: services.Correction(mended[line.detail.payee_account_no]) for line in failed}
    with clock:
        outcome = services.reissue_failed(
            model=SalaryBatch, roster_id=batch_id, corrections=corrections, clerk=clerk, now=timezone.now()
        )
    outcome.raise_if_refused()
    return sum(request.details.count() for request in outcome.accepted)


def limit_step(clock: Clock, path: str) -> None:
    """The same people built, signed, parsed and COPYed, with no rule at all."""
    people = _payroll.read_people(path)
    yardstick = _payroll.Yardstick(Path(os.environ["GUOKU_RUN_FILE"]).parent)
    with clock:
        yardstick.run(people)


def _chunks(batch_id: UUID, state: str) -> list[list[UUID]]:
    ids = progress.request_ids(SalaryBatch, batch_id, world.officer(CLERK), states=(state,))
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]


def _sealed(batch_id: UUID) -> list[PaymentRequest]:
    [ids] = _chunks(batch_id, "sealed")
    return list(
        PaymentRequest.objects.filter(pk__in=ids).select_related("voucher").order_by("pk").defer("voucher__text")
    )


# The run ------------------------------------------------------------------------------------------------------------


def measured(step: Callable[..., Any], *given: Any) -> tuple[Any, float, float, float]:
    """Run a step in this fresh process: its answer, seconds, peak memory in MB, and the memory it began with."""
    quiet_logging()
    world.officer(CLERK)  # connected, and everything imported
    before = _meters.peak_kb(os.getpid()) or 0
    clock = Clock()
    answer = step(clock, *given)
    connection.close()
    return answer, clock.seconds, (_meters.peak_kb(os.getpid()) or 0) / 1024, before / 1024


class Run:
    """One run: each step in its turn, measured."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, float] = {}
        self.baseline = 0.0
        self.processes = _meters.Processes(Path(os.environ["GUOKU_RUN_FILE"]))

    def run(self) -> dict[str, Any]:
        """Do it and return what the JSON line says."""
        people = _payroll.people(self.rows)
        failing = [person.card for person in people[:: max(1, self.rows // FAILED)]][:FAILED]
        mended = {card: "9" + card[1:] for card in failing}
        with TemporaryDirectory() as folder:
            path = str(Path(folder) / "工资.xlsx")
            say(f"writing {self.rows} rows")
            started = time.perf_counter()
            _payroll.write(people, path)
            written = time.perf_counter() - started
            size = os.path.getsize(path)
            total = _payroll.gross(people)
            prepare(total)
            limits = [self._limit(path)]
            batch_id = self.step("import", import_step, path)
            for name, step in (("decide", decide_step), ("generate", generate_step), ("submit", submit_step)):
                self.step(name, step, batch_id)
            self._through_the_treasury(batch_id)
            received = self.step("receive", receive_step, batch_id, failing)
            first = self._standing(batch_id)
            repeated = self.step("reissue", reissue_step, batch_id, mended)
            self._through_the_treasury(batch_id, "reissue ")
            self.step("reissue receive", receive_step, batch_id, [])
            last = self._standing(batch_id)
            limits.append(self._limit(path))
        wrong = faults(people, first, last, repeated, min(FAILED, len(failing)))
        return result(
            rows=self.rows,
            seconds=self.seconds,
            peaks=self.peaks,
            limits=limits,
            wrong=wrong,
            vouchers=received,
            file_mb=round(size / 1024 / 1024, 1),
            file_written_seconds=round(written, 2),
            baseline_mb=round(self.baseline, 1),
            services_peak_mb=self.processes.peak_rss_mb(),
            cpus=os.cpu_count(),
            python=sys.version.split()[0],
        )

    def _through_the_treasury(self, batch_id: UUID, prefix: str = "") -> None:
        """From submitted to sealed; every officer's act is a step of its own."""
        self.step(f"{prefix}dispose", dispose_step, batch_id)
        for reviewer in REVIEWERS:
            self.step(f"{prefix}approve {reviewer}", approve_step, batch_id, reviewer)
        self.step(f"{prefix}issue", issue_step, batch_id)
        for keeper in KEEPERS:
            self.step(f"{prefix}seal {keeper}", seal_step, batch_id, keeper)

    def step(self, name: str, step: Callable[..., Any], *given: Any) -> Any:
        say(f"{name} …")
        answer, self.seconds[name], self.peaks[name], self.baseline = alone(step, *given)
        self.processes.sample()
        say(f"  {self.seconds[name]:.2f} s, {self.peaks[name]:.0f} MB")
        return answer

    def _limit(self, path: str) -> float:
        _, seconds, peak, _ = alone(limit_step, path)
        say(f"the same without rules: {seconds:.2f} s, {peak:.0f} MB")
        self.peaks["limit"] = max(peak, self.peaks.get("limit", 0.0))
        return seconds

    @staticmethod
    def _standing(batch_id: UUID) -> progress.Progress:
        batch = SalaryBatch.objects.get(pk=batch_id)
        found = progress.progress_of(SalaryBatch, [batch])[batch_id]
        connection.close()
        return found


def alone(step: Callable[..., Any], *given: Any) -> tuple[Any, float, float, float]:
    """Run a step in a new process that ends with it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, step, *given).result()


def prepare(total: Decimal) -> None:
    """Give the school an indicator with so much to pay out; let nothing be sent while we measure."""
    ExchangePartner.objects.filter(adm_div_code=world.REGION).update(exchange_mode="pull")
    context = Context(world.REGION, world.YEAR, world.DAY, "bench", timezone.now())
    import_indicator(
        OpeningIndicator(
            indicator_no=INDICATOR,
            doc_no=INDICATOR,
            unit=BudgetUnit.objects.get(adm_div_code=world.REGION, code="101002"),
            fund_nature="11",
            function_code="2050204",
            gov_economic_code="50501",
            payment_mode="11",
            payer_account=BankAccount.objects.get(account_no=world.ACCOUNT_FINANCE_A),
            total=total,
            paid=ZERO,
            quota_left=total,
        ),
        context,
    )
    connection.close()


def faults(
    people: Sequence[_payroll.Paid], first: progress.Progress, last: progress.Progress, repeated: int, failing: int
) -> list[str]:
    """Everything that is not as foretold."""
    total, withheld = _payroll.gross(people), 4
    bad = sum((person.net for person in people[:: max(1, len(people) // FAILED)][:FAILED]), ZERO)
    wanted = [
        ("label after the first answers", first.label, "部分成功"),
        ("lines paid at first", first.paid.lines, len(people) + withheld - failing),
        ("paid at first", first.paid.amount, total - bad),
        ("lines failed", first.failed.lines, failing),
        ("failed", first.failed.amount, bad),
        ("lines repeated", repeated, failing),
        ("label at the end", last.label, "完成"),
        ("lines paid at the end", last.paid.lines, len(people) + withheld),
        ("paid at the end", last.paid.amount, total),
        ("waiting at the end", last.waiting.lines, 0),
    ]
    row = world.indicator(INDICATOR)
    wanted += [("indicator paid", row.amount_paid, total), ("indicator reserved", row.amount_reserved, ZERO)]
    return [f"{what}: {seen}, wanted {want}" for what, seen, want in wanted if seen != want]


def result(
    *,
    rows: int,
    seconds: dict[str, float],
    peaks: dict[str, float],
    limits: Sequence[float],
    wrong: list[str],
    **more: Any,
) -> dict[str, Any]:
    """The JSON line; ratios are to the mean of the limit before and after."""
    limit = sum(limits) / len(limits)
    ratios = {name: round(spent / limit, 2) for name, spent in seconds.items()}
    whole = sum(seconds.values())
    return {
        "bench": "payroll",
        "ok": not wrong,
        "rows": rows,
        "seconds": {name: round(spent, 2) for name, spent in seconds.items()},
        "whole_seconds": round(whole, 2),
        "rows_per_second": round(rows / whole, 1),
        "limit_seconds": [round(spent, 2) for spent in limits],
        "ratio": ratios,
        "peak_mb": {name: round(peak, 1) for name, peak in peaks.items()},
        "within": {
            "ratio": max(ratios.values()) <= MOST_RATIO,
            "memory": max(peaks.values()) <= MOST_MB,
        },
        **more,
        "wrong": wrong[:20],
    }


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench payroll", description="A payday by list, end to end.")
    parser.add_argument("--rows", type=int, default=50_000, help="how many people (default 50000)")
    chosen = parser.parse_args(given)
    if not 2 <= chosen.rows <= 50_000:
        parser.error("rows from 2 to 50000")
    return chosen


def main() -> int:
    """Run, print one line, and say by the exit code whether every figure is right."""
    chosen = arguments()
    quiet_logging()
    line = Run(chosen.rows).run()
    print(json.dumps(line, ensure_ascii=False), flush=True)
    for fault in line["wrong"]:
        say(f"✗ {fault}")
    return 0 if line["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
