"""Real processes: killed at bad moments, with finance down, and how fast a bank takes vouchers."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from simulators.wire import Body, build_envelope
from tests.simulators.support import DESK_TOKEN, XML, FinanceServer, Party, payment

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """One simulator process; ``kill`` is kill -9."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulators", *self._arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
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

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(timeout=15)

    def desk(self, name: str, **order: Any) -> Any:
        headers = {"X-Desk-Token": DESK_TOKEN}
        method = "GET" if name == "state" else "POST"
        answer = httpx2.request(method, f"{self.url}/desk/{name}", json=order, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def push(self, sender: Party, *bodies: Body, client: httpx2.Client | None = None) -> list[dict[str, Any]]:
        raw = build_envelope(body.xml() for body in bodies)
        headers, nonce = sender.keys.sign_request("POST", "/vouchers", "", raw, XML)
        answer = (client or httpx2).post(f"{self.url}/vouchers", content=raw, headers=headers, timeout=60)
        sender.keys.check_answer("BANK-A", answer.status_code, answer.content, answer.headers, nonce)
        results: list[dict[str, Any]] = json.loads(answer.content)["results"]
        return results


@pytest.fixture
def start(pki: Path, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    running: list[Process] = []

    def make(*extra: str) -> Process:
        role = ["pboc"] if "pboc" in extra else ["bank", "--code", "A"]
        arguments = [*role, "--storage", str(tmp_path / role[0]), "--pki", str(pki), "--desk-token", DESK_TOKEN]
        running.append(Process([*arguments, "--port", str(_free_port()), *(a for a in extra if a != "pboc")]))
        return running[-1]

    yield make
    for process in running:
        process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _bodies(parties: dict[str, Party], count: int, first: int = 0) -> list[Body]:
    unit = parties["UNIT-101001"]
    numbers = range(first, first + count)
    return [unit.body(payment("8202", f"SZ{n:05d}", "101001", [("62", "1.00")])) for n in numbers]


def test_killed_after_the_answer_the_voucher_is_there_and_paid_once(
    start: Callable[..., Process], fin: Party, parties: dict[str, Party]
) -> None:
    bank = start()
    bodies = _bodies(parties, 3)
    bank.push(fin, *bodies)
    bank.kill()
    bank.start()

    assert [r["outcome"] for r in bank.push(fin, *bodies)] == ["duplicate"] * 3
    bank.desk("pay")
    bank.kill()
    bank.start()
    bank.desk("pay")

    state = bank.desk("state")
    assert set(state["execution_counts"].values()) == {1}
    assert len(state["execution_counts"]) == 3
    assert len({row["serial"] for row in state["executions"]}) == 3


def test_killed_while_paying_no_payment_lacks_its_receipt(
    start: Callable[..., Process], fin: Party, parties: dict[str, Party]
) -> None:
    bank = start()
    for first in range(0, 600, 100):
        bank.push(fin, *_bodies(parties, 100, first))
    with pytest.raises(httpx2.HTTPError), httpx2.Client(timeout=0.15) as client:
        client.post(f"{bank.url}/desk/pay", json={}, headers={"X-Desk-Token": DESK_TOKEN})
    bank.kill()
    bank.start()

    half = bank.desk("state")
    print(f"killed after {len(half['executions'])} of 600")
    receipts = {row["voucher_no"] for row in half["issued"]}
    assert receipts == {row["voucher_no"] for row in half["executions"]}
    bank.desk("pay")
    whole = bank.desk("state")
    assert len(whole["execution_counts"]) == 600
    assert whole["executed_more_than_once"] == {}


def test_what_was_queued_is_sent_after_a_restart_with_the_same_bytes(
    start: Callable[..., Process], finance_server: FinanceServer, fin: Party, parties: dict[str, Party]
) -> None:
    finance_server.down = True
    bank = start("--api-url", finance_server.url)
    bank.push(fin, *_bodies(parties, 2))
    bank.desk("pay")
    assert not bank.desk("flush", timeout_seconds=0.5)["empty"]
    digests = {row["digest"] for row in bank.desk("state")["issued"]}
    bank.kill()
    finance_server.down = False
    bank.start()

    assert bank.desk("flush", timeout_seconds=10)["empty"]
    assert {row[3] for row in finance_server.collected} == digests
    assert len(finance_server.collected) == 2
    assert all(finance_server.idempotency_keys)
    assert bank.stop() == 0


def test_pboc_killed_while_banks_clear_the_day_still_ends_at_nought(
    start: Callable[..., Process], finance_server: FinanceServer, fin: Party, parties: dict[str, Party]
) -> None:
    bank_port = _free_port()
    pboc = start("pboc", "--api-url", finance_server.url, "--bank-url", f"BANK-A=http://127.0.0.1:{bank_port}")
    bank = start("--api-url", finance_server.url, "--pboc-url", pboc.url, "--port", str(bank_port))
    bank.push(fin, *_bodies(parties, 20))
    bank.desk("pay")
    pboc.desk("behaviour", faults={"lose_next_answers": 2})
    bank.desk("clear")
    time.sleep(0.2)
    pboc.kill()
    pboc.start()

    assert bank.desk("flush", timeout_seconds=20)["empty"]
    assert pboc.desk("flush", timeout_seconds=20)["empty"]
    state = pboc.desk("state")
    assert [row["amount"] for row in state["clearings"]] == ["20.00"]
    accounts = bank.desk("state")["accounts"]
    assert {account["balance"] for account in accounts if account["kind"] == "zero_balance"} == {"0.00"}
    receipts = [row for row in finance_server.collected if row[:3] == ("2301", "HK-A-01", 1)]
    assert len({digest for *_, digest in receipts}) == 1


def test_pulling_bank_confirms_what_it_takes_and_fails_what_it_refuses(
    start: Callable[..., Process], finance_server: FinanceServer, fin: Party, parties: dict[str, Party]
) -> None:
    good, bad = _bodies(parties, 2)
    finance_server.waiting = [good, Body(bad.identity, 0, bad.text, good.signatures)]
    bank = start("--api-url", finance_server.url, "--exchange", "pull")

    deadline = time.monotonic() + 10
    while finance_server.waiting and time.monotonic() < deadline:
        time.sleep(0.05)

    assert finance_server.confirmed == ["SZ00000"]
    assert finance_server.failed == {"SZ00001": "UNIT-101001 的签名验证失败"}
    assert [row["status"] for row in bank.desk("state")["vouchers"]] == ["accepted", "refused"]
    assert bank.push(fin, good)[0]["outcome"] == "duplicate"


def test_refused_for_good_is_shown_and_does_not_block(
    start: Callable[..., Process], finance_server: FinanceServer, fin: Party, parties: dict[str, Party]
) -> None:
    finance_server.outcome = "refused"
    bank = start("--api-url", finance_server.url)
    bank.push(fin, *_bodies(parties, 2))
    bank.desk("pay")

    flushed = bank.desk("flush", timeout_seconds=10)
    assert flushed["empty"]
    assert len(flushed["refused"]) == 2


def test_bank_takes_three_hundred_vouchers_a_second(
    start: Callable[..., Process], fin: Party, parties: dict[str, Party]
) -> None:
    bank = start()
    batches = [_bodies(parties, 100, first) for first in range(0, 500, 100)]
    with httpx2.Client() as client:
        bank.push(fin, *batches[0], client=client)
        began = time.perf_counter()
        for batch in batches[1:]:
            bank.push(fin, *batch, client=client)
        taking = 400 / (time.perf_counter() - began)
    began = time.perf_counter()
    bank.desk("pay")
    paying = 500 / (time.perf_counter() - began)
    print(f"taken {taking:.0f}/s, paid {paying:.0f}/s")
    assert taking > 100
    assert paying > 100


def test_lost_answer_is_a_broken_connection_not_an_answer(
    start: Callable[..., Process], fin: Party, parties: dict[str, Party]
) -> None:
    bank = start()
    bank.desk("behaviour", faults={"lose_answer_every": 2})
    (body,) = _bodies(parties, 1)
    assert bank.push(fin, body)[0]["outcome"] == "accepted"

    with pytest.raises(httpx2.HTTPError):
        bank.push(fin, body)

    assert bank.push(fin, body)[0]["outcome"] == "duplicate"
    assert bank.desk("state")["vouchers"][0]["copies"] == 3


def test_keep_alive_answers_do_not_wait_for_delayed_acknowledgements(start: Callable[..., Process]) -> None:
    bank = start()
    with httpx2.Client(base_url=bank.url) as client:
        client.get("/healthz")
        times = []
        for _ in range(30):
            began = time.perf_counter()
            client.get("/healthz")
            times.append(time.perf_counter() - began)
    assert sorted(times)[15] < 0.02
