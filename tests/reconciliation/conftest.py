import pytest

from tests.reconciliation.builders import World, make_world


@pytest.fixture
def world(db) -> World:
    return make_world()
