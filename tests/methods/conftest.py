from collections.abc import Iterator

import pytest
from django.core.management import call_command

from demo import world
from tests.bank import Partner
from tests.conftest import NOW
from tests.standing import settle, standing_city  # noqa: F401 - a fixture


@pytest.fixture
def city(standing_city, db, pki, settings):  # noqa: F811
    return settle(pki, settings)


@pytest.fixture(scope="module")
def standing_integrated(django_db_setup, django_db_blocker, pki) -> Iterator[None]:
    """The opening state of a year run in the integrated mode, as `standing_city` has it of a classic one."""
    with django_db_blocker.unblock():
        world.register_keys(pki)
        world.build_world(endpoints={}, mode="integrated", now=NOW)
    yield
    with django_db_blocker.unblock():
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def integrated(standing_integrated, db, pki, settings):
    return settle(pki, settings)


@pytest.fixture
def bank_a(pki):
    return Partner(pki, world.BANK_A)


@pytest.fixture
def bank_b(pki):
    return Partner(pki, world.BANK_B)


@pytest.fixture
def pboc(pki):
    return Partner(pki, world.PBOC)
