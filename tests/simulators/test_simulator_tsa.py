"""The time stamping authority as its own process: real time, numbers that never come twice, and faults at the desk."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from seals import timestamps
from seals.pki import authority_certificates, make_demo_pki
from seals.timestamps import Timestamp, TimestampNotGranted, TimestampOutOfTime, make_request, verify_response

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "desk-token-of-the-tests"
TEXT = b"GUOKU-ROOT-V1\0{}"


@pytest.fixture(scope="module")
def tsa_pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tsa-pki")
    now = datetime.now(UTC)
    make_demo_pki(folder, [], now - timedelta(days=1), now + timedelta(days=30), services=True)
    return folder


class Process:
    """The authority; ``kill`` is kill -9."""

    def __init__(self, pki: Path, storage: Path) -> None:
        self._roots = authority_certificates(pki)
        arguments = ["tsa", "--port", "0", "--storage", str(storage), "--pki", str(pki), "--desk-token", TOKEN]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulators", *arguments],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        found = re.search(r"http://\S+", self._process.stdout.readline())
        assert found
        self.url = found[0]

    def ask(self, body: bytes, content_type: str = timestamps.REQUEST_TYPE, timeout: float = 10) -> httpx2.Response:
        return httpx2.post(f"{self.url}/", content=body, headers={"Content-Type": content_type}, timeout=timeout)

    def stamp(self, text: bytes = TEXT) -> Timestamp:
        request = make_request(text)
        answer = self.ask(request.der)
        assert (answer.status_code, answer.headers["content-type"]) == (200, timestamps.REPLY_TYPE)
        return verify_response(answer.content, request, self._roots, datetime.now(UTC))

    def desk(self, token: str = TOKEN, **switches: Any) -> httpx2.Response:
        return httpx2.post(f"{self.url}/desk/behaviour", json=switches, headers={"X-Desk-Token": token}, timeout=10)

    def end(self, number: int) -> int:
        self._process.send_signal(number)
        return self._process.wait(timeout=15)


@pytest.fixture
def start(tsa_pki: Path, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    running: list[Process] = []

    def make() -> Process:
        running.append(Process(tsa_pki, tmp_path / "storage"))
        return running[-1]

    yield make
    for process in running:
        process.end(signal.SIGKILL)


def test_it_stamps_the_present_and_stops_when_told(start: Callable[[], Process]) -> None:
    process = start()
    assert httpx2.get(f"{process.url}/healthz").text == "ok"
    stamp = process.stamp()
    assert abs(stamp.at - datetime.now(UTC)) < timedelta(seconds=10)
    assert process.end(signal.SIGTERM) == 0


def test_numbers_never_come_twice_whatever_happens(start: Callable[[], Process]) -> None:
    first = start()
    with ThreadPoolExecutor(8) as pool:
        serials = [stamp.serial for stamp in pool.map(lambda n: first.stamp(b"%d" % n), range(40))]
    first.end(signal.SIGKILL)
    serials.append(start().stamp().serial)
    assert sorted(serials) == list(range(1, 42))


def test_it_serves_sm3_and_nothing_else(start: Callable[[], Process]) -> None:
    process = start()
    request = make_request(TEXT)
    for body, reason in ((b"junk", timestamps.BAD_FORMAT), (_sha256_request(), timestamps.BAD_ALGORITHM)):
        with pytest.raises(TimestampNotGranted) as refusal:
            verify_response(process.ask(body).content, request, [], datetime.now(UTC))
        assert refusal.value.facts["reasons"] == [reason]
    assert process.ask(request.der, "application/json").status_code == 415
    assert httpx2.get(f"{process.url}/").status_code == 404
    assert process.stamp().serial == 1  # none of these used up a number


def _sha256_request() -> bytes:
    der, cms = timestamps.der, timestamps.cms
    algorithm = der.write(der.SEQUENCE, der.oid(cms.SHA256_OID))
    return der.write(
        der.SEQUENCE, der.integer(1), der.write(der.SEQUENCE, algorithm, der.write(der.OCTET_STRING, bytes(32)))
    )


def test_the_desk_makes_it_refuse_slow_silent_or_wrong(start: Callable[[], Process]) -> None:
    process = start()
    process.desk(refuse=True)
    with pytest.raises(TimestampNotGranted) as refusal:
        process.stamp()
    assert refusal.value.facts["reasons"] == [timestamps.TIME_NOT_AVAILABLE]

    process.desk(reset=True, delay_ms=300)
    before = time.monotonic()
    process.stamp()
    assert time.monotonic() - before >= 0.3

    process.desk(reset=True, lose_answer=True)
    with pytest.raises(httpx2.TransportError):
        process.stamp()

    process.desk(reset=True, clock_ahead_seconds=400)
    with pytest.raises(TimestampOutOfTime):
        process.stamp()
    process.desk(clock_ahead_seconds=-400)
    with pytest.raises(TimestampOutOfTime):
        process.stamp()
    process.desk(reset=True)
    assert process.stamp()


def test_switches_outlive_a_crash(start: Callable[[], Process]) -> None:
    process = start()
    process.desk(refuse=True)
    process.end(signal.SIGKILL)
    with pytest.raises(TimestampNotGranted):
        start().stamp()


def test_the_desk_takes_orders_from_its_own_people_only(start: Callable[[], Process]) -> None:
    process = start()
    assert process.desk(token="wrong", refuse=True).status_code == 401
    for bad in ({"unheard_of": 1}, {"refuse": 1}, {"delay_ms": "300"}):
        assert process.desk(**bad).status_code == 422
    assert process.stamp()  # nothing was changed
