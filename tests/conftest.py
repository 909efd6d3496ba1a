"""The world of the tests: 临江市 on the morning of the worked day, with real keys, on a real PostgreSQL."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo import world

NOW = datetime(2026, 6, 15, 1, 0, tzinfo=UTC)  # 09:00 in Shanghai


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo PKI, made once for the whole run."""
    directory = tmp_path_factory.mktemp("pki")
    world.make_keys(directory)
    return directory


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
