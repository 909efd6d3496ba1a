"""The world of the tests: 临江市 on the morning of the worked day, with real keys, on a real PostgreSQL."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo import world
from parties.models import Region

NOW = datetime(2026, 6, 15, 1, 0, tzinfo=UTC)  # 09:00 in Shanghai


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the days that are killed and restarted: they are the longest, and should not be left to one core."""
    items.sort(key=lambda item: "faults" not in item.path.parts)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo PKI, made once for the whole run."""
    directory = tmp_path_factory.mktemp("pki")
    world.make_keys(directory)
    return directory


@pytest.fixture(scope="session")
def sealing_pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo PKI with seals, seal makers and the time-stamp service; bank B with P-256."""
    directory = tmp_path_factory.mktemp("sealing-pki")
    world.make_keys(directory, suites={world.BANK_B: "ecdsa-p256-sha256"}, services=True)
    return directory


@pytest.fixture
def sealed_city(db, sealing_pki, settings):
    """The opening state with seal positions and filed seals; decisions need no UKey here."""
    return _sealed(sealing_pki, settings)


@pytest.fixture
def real_sealed_city(transactional_db, sealing_pki, settings):
    """The same, committed."""
    return _sealed(sealing_pki, settings)


def _sealed(pki, settings):
    settings.GUOKU_KEY_DIR = pki
    world.register_keys(pki)
    world.build_world(endpoints={}, sealed=True, now=NOW)
    world.register_seals(pki, NOW)
    Region.objects.update(ukey_required=False)
    return world


@pytest.fixture
def city(db, pki, settings):
    """The opening state, inside the test's transaction."""
    return _build(pki, settings)


@pytest.fixture
def real_city(transactional_db, pki, settings):
    """The opening state, committed: for threads and for use cases that must be outermost."""
    return _build(pki, settings)


def _build(pki, settings):
    settings.GUOKU_KEY_DIR = pki
    world.register_keys(pki)
    world.build_world(endpoints={}, now=NOW)
    return world
