"""临江市 built once for a whole file of tests instead of once for each: every test still undoes what it did."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from demo import world
from tests.conftest import NOW


@pytest.fixture(scope="module")
def standing_city(django_db_setup: None, django_db_blocker: Any, pki: Path) -> Iterator[None]:
    """The opening state, committed before the first test of a file and swept away after the last."""
    with django_db_blocker.unblock():
        world.register_keys(pki)
        world.build_world(endpoints={}, now=NOW)
    yield
    with django_db_blocker.unblock():
        call_command("flush", interactive=False, verbosity=0)


def settle(pki: Path, settings: Any) -> Any:
    """What one test needs of it besides its transaction."""
    settings.GUOKU_KEY_DIR = pki
    return world
