"""临江市 with two payments waiting at bank A, standing for a whole file; every test undoes what it did."""

from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import override_settings

from demo import world
from tests import acts
from tests.attacks.forging import PAYEE, Scene, scene_on_paper
from tests.bank import Partner
from tests.standing import settle, standing_city  # noqa: F401 - a fixture
from tests.vouchers.api_partner import ApiPartner
from vouchers.transport import body_of


@pytest.fixture(scope="session")
def paper(pki: Path) -> Scene:
    """The honest bytes without a database behind them."""
    return scene_on_paper(pki)


@pytest.fixture(scope="module")
def standing_scene(standing_city: None, django_db_blocker: Any, pki: Path) -> Scene:  # noqa: F811
    with django_db_blocker.unblock(), override_settings(GUOKU_KEY_DIR=pki):
        first, second = (
            acts.sent("I1", amount, details=(acts.line(amount, payee_name=PAYEE),)) for amount in ("12345.67", "89.10")
        )
        bank = Partner(pki, world.BANK_A)
        scene = Scene(
            bank,
            Partner(pki, world.BANK_B),
            Partner(pki, world.PBOC),
            body_of(first.voucher),
            bank.receipt(first.voucher),
            bank.receipt(second.voucher),
        )
    return scene


@pytest.fixture
def scene(standing_scene: Scene, db: None, pki: Path, settings: Any) -> Scene:
    """Two vouchers sealed and sent, and the honest receipts of both."""
    settle(pki, settings)
    cache.clear()
    return standing_scene


@pytest.fixture
def bank_a(scene: Scene, pki: Path) -> ApiPartner:
    return ApiPartner(pki, world.BANK_A)


@pytest.fixture
def bank_b(scene: Scene, pki: Path) -> ApiPartner:
    return ApiPartner(pki, world.BANK_B)


@pytest.fixture
def pboc(scene: Scene, pki: Path) -> ApiPartner:
    return ApiPartner(pki, world.PBOC)
