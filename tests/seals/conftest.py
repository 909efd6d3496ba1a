"""A demo PKI of three organisations, made once, and the register filled from it."""

from datetime import UTC, datetime

import pytest

from seals.pki import OrganisationSpec, make_demo_pki
from seals.services import import_demo_pki

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    make_demo_pki(
        directory,
        [
            OrganisationSpec("FIN-990100000", "临江市财政局", "sm2-sm3"),
            OrganisationSpec("BANK-A", "甲银行", "sm2-sm3"),
            OrganisationSpec("BANK-B", "乙银行", "ecdsa-p256-sha256"),
        ],
        START,
        END,
    )
    return directory


@pytest.fixture
def registered(db, pki, settings):
    """The register after the first start: three certificates, three profiles, two authorities."""
    settings.GUOKU_KEY_DIR = pki
    return {row.organisation_code: row for row in import_demo_pki(pki)}
