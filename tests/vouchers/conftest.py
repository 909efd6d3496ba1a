"""Banks A and B and PBoC at the door of a city on the morning of its day."""

import pytest
from django.core.cache import cache

from demo import world
from tests.vouchers.api_partner import ApiPartner


@pytest.fixture(autouse=True)
def _fresh_rates():
    cache.clear()


@pytest.fixture
def bank_a(city, pki):
    return ApiPartner(pki, world.BANK_A)


@pytest.fixture
def bank_b(city, pki):
    return ApiPartner(pki, world.BANK_B)


@pytest.fixture
def pboc(city, pki):
    return ApiPartner(pki, world.PBOC)
