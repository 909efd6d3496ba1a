"""临江市, committed once for each file, and a real signer process that reads it; P-256 for one unit, else SM2."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from demo import world
from demo.keys import hand_out_to_signer
from seals.signer_client import _forget
from seals.suites import PrivateKeyHandle
from tests.conftest import NOW
from tests.signer.device import make_token
from tests.signer.officers import enrol_everybody
from tests.signer.process import SignerProcess

PASSWORD = "of-the-tests-only"
P256_UNIT = "UNIT-101001"


@pytest.fixture(scope="session")
def plain_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finance side's keys, as the signer holds them."""
    directory = tmp_path_factory.mktemp("keys")
    world.make_keys(directory, suites={P256_UNIT: "ecdsa-p256-sha256"})
    return directory


@pytest.fixture(scope="session")
def issuing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demonstration's authorities and seal makers work: everything is there, encrypted."""
    directory = tmp_path_factory.mktemp("issuing")
    world.make_keys(directory, suites={P256_UNIT: "ecdsa-p256-sha256"}, password=PASSWORD.encode(), services=True)
    return directory


@pytest.fixture(scope="module")
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this file's signer is given: with `SEALED = True` in the file, encrypted and with personal seals."""
    if not getattr(request.module, "SEALED", False):
        return Path(request.getfixturevalue("plain_keys"))
    directory = tmp_path_factory.mktemp("given")
    hand_out_to_signer(request.getfixturevalue("issuing"), directory)
    return directory


@pytest.fixture(scope="module")
def town(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any, keys: Path
) -> Iterator[dict[str, PrivateKeyHandle]]:
    """Everything is committed, because the signer sees nothing else; swept away after the file's last test.

    With `SEALED = True` in the file: seals at their positions and UKeys for everybody, whose keys are the value.
    """
    officers: dict[str, PrivateKeyHandle] = {}
    with django_db_blocker.unblock():
        assert connection.settings_dict["NAME"].startswith("test_"), "never sweep another database"
        if getattr(request.module, "SEALED", False):
            issuing = request.getfixturevalue("issuing")
            world.register_keys(issuing)
            world.build_world(endpoints={}, sealed=True, now=NOW)
            world.register_seals(issuing, timezone.now())
            officers = enrol_everybody(issuing, PASSWORD.encode())
        else:
            world.register_keys(keys)
            world.build_world(endpoints={}, now=NOW)
        yield officers
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def db(town: Any) -> None:
    """In place of pytest-django's, which would undo or sweep after every test what the signer is to see."""


@pytest.fixture(scope="module")
def signer(town: Any, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignerProcess]:
    process = SignerProcess(tmp_path_factory.mktemp("s"), keys, GUOKU_KEY_PASSWORD=PASSWORD)
    yield process
    process.end()


@pytest.fixture
def asked(db: None, signer: SignerProcess, keys: Path, settings: Any) -> Iterator[SignerProcess]:
    """The process, reached by the production client."""
    settings.GUOKU_SIGNER = "seals.signer_client.SocketSigner"
    settings.GUOKU_SIGNER_SOCKET = str(signer.socket)
    settings.GUOKU_KEY_DIR = keys
    _forget()
    yield signer
    _forget()


@pytest.fixture(scope="session")
def token() -> dict[str, bytes]:
    """A device with a P-256 key and one on the SM2 curve, neither of which leaves it; label → public key."""
    return make_token()
