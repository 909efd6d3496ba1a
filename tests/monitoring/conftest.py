import pytest

from tests.standing import settle, standing_city  # noqa: F401 - a fixture


@pytest.fixture
def city(standing_city, db, pki, settings):  # noqa: F811
    return settle(pki, settings)
