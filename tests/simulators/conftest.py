"""A demo PKI for the whole run and fresh partners for each test. No Django, no database of ours."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seals.pki import OrganisationSpec, make_demo_pki
from simulators.app import App
from simulators.config import parse
from simulators.server import make_participant
from tests.simulators.support import DESK_TOKEN, Party

ORGANISATIONS = {
    "FIN-990100000": "sm2-sm3",
    "UNIT-101001": "sm2-sm3",
    "UNIT-101002": "sm2-sm3",
    "UNIT-205001": "ecdsa-p256-sha256",  # one signer on the other suite: the profile is data
    "BANK-A": "sm2-sm3",
    "BANK-B": "sm2-sm3",
    "PBOC-990100": "sm2-sm3",
}


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    now = datetime.now(UTC)
    specs = [OrganisationSpec(code, code, suite) for code, suite in ORGANISATIONS.items()]
    make_demo_pki(folder, specs, now - timedelta(days=1), now + timedelta(days=30))
    return folder


@pytest.fixture(scope="session")
def parties(pki: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Party]:
    """Every organisation as a caller: signs vouchers and requests with its own key."""
    return {code: Party(code, pki, tmp_path_factory.mktemp(code)) for code in ORGANISATIONS}


@pytest.fixture
def fin(parties: dict[str, Party]) -> Party:
    return parties["FIN-990100000"]


@pytest.fixture
def make_app(pki: Path, tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Builds the app of ``bank-A``, ``bank-B`` or ``pboc``; the same name gives the same storage folder."""
    apps: list[App] = []

    def build(name: str, *extra: str) -> App:
        role = ["pboc"] if name == "pboc" else ["bank", "--code", name[-1]]
        arguments = ["--storage", str(tmp_path / name), "--pki", str(pki), "--desk-token", DESK_TOKEN, *extra]
        app = App(make_participant(parse([*role, *arguments], {})))
        apps.append(app)
        return app

    yield build
    for app in apps:
        app.owner.outbox.stop()
        app.owner.storage.close()


@pytest.fixture
def bank_a(make_app: Callable[..., App]) -> App:
    return make_app("bank-A")


@pytest.fixture
def bank_b(make_app: Callable[..., App]) -> App:
    return make_app("bank-B")


@pytest.fixture
def pboc(make_app: Callable[..., App]) -> App:
    return make_app("pboc")


@pytest.fixture
def finance_server(fin: Party) -> Iterator[Any]:
    """A finance system that only collects what it is sent, on a real socket."""
    from tests.simulators.support import FinanceServer

    server = FinanceServer(fin)
    server.start()
    yield server
    server.stop()
