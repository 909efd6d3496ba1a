"""A bank as a program of its own, our tasks in this process, and a clock between them that tests may wind."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from tests.faults.bank_process import BankProcess
from vouchers import tasks
from vouchers.models import ExchangePartner


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "system: starts the whole system and kills parts of it")


class Clock:
    """The time our tasks see: real, and later by as much as a test says. Partners accept up to 300 s."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return timezone.now() + self.ahead

    def wind(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)
        assert self.ahead < timedelta(seconds=290), "partners would no longer accept our signatures"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tasks, "timezone", clock)
    settings.GUOKU_RESEND_AFTER = 2.0
    return clock


@pytest.fixture
def start_bank(real_city: Any, pki: Path, tmp_path: Path) -> Iterator[Callable[..., BankProcess]]:
    """Starts bank A or B with these desk switches and points the outbox at it."""
    running: list[BankProcess] = []

    def start(code: str = "A", *, api_url: str = "", **switches: Any) -> BankProcess:
        bank = BankProcess(code, tmp_path / code, pki, api_url)
        running.append(bank)
        bank.desk("behaviour", **switches)
        ExchangePartner.objects.filter(pk=f"BANK-{code}").update(endpoint_url=bank.url)
        return bank

    yield start
    for bank in running:
        bank.kill()
