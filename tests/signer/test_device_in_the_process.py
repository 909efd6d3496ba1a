"""The whole way with a unit's key in a device: the application asks, the device signs, the certificate verifies."""

import json
import os
import shutil

import pytest

from core.errors import TreasuryError
from seals.certificates import parse_certificate
from seals.pki import issue_certificate, load_issuer
from seals.services import register_certificate
from tests.signer.conftest import P256_UNIT
from tests.signer.device import MODULE, PIN, needs_device
from tests.signer.process import SignerProcess
from tests.signer.scene import by, holds, order_of, seal, vouchered


@pytest.fixture
def devices(asked, keys, tmp_path, token):
    """The same keys, but the unit's lies in the device, with a certificate of its own."""
    place = tmp_path / "keys"
    shutil.copytree(keys, place)
    authority = parse_certificate((keys / "ca" / "ecdsa-p256-sha256" / "sub" / "cert.pem").read_bytes())
    encoded = issue_certificate(
        load_issuer(keys, "ecdsa-p256-sha256"), subject_common_name="临江市教育局", unit=P256_UNIT, spki=token["p256"],
        not_before=authority.valid_from, not_after=authority.valid_to,
    )  # fmt: skip
    pem = parse_certificate(encoded).pem
    register_certificate(pem=pem, organisation_code=P256_UNIT)
    (place / P256_UNIT / "key.pem").unlink()
    (place / P256_UNIT / "cert.pem").write_text(pem)
    (place / P256_UNIT / "pkcs11.json").write_text(
        json.dumps({"module": MODULE, "token_label": "guoku", "key_label": "p256"})
    )
    return place


def started(folder, keys, pin):
    folder.mkdir()
    return SignerProcess(folder, keys, SOFTHSM2_CONF=os.environ["SOFTHSM2_CONF"], GUOKU_PKCS11_PIN=pin)


@needs_device
def test_a_voucher_is_signed_in_the_device(devices, settings, tmp_path):
    process = started(tmp_path / "s", devices, PIN)
    settings.GUOKU_SIGNER_SOCKET = str(process.socket)
    try:
        order = order_of(vouchered("I1").voucher)
        [mark] = seal(order, warrant=by("u101001-yz"))
        assert holds(mark, P256_UNIT, order.text)
    finally:
        process.end()


@needs_device
def test_with_a_wrong_pin_the_device_signs_nothing(devices, settings, tmp_path):
    process = started(tmp_path / "s", devices, "000000")
    settings.GUOKU_SIGNER_SOCKET = str(process.socket)
    try:
        with pytest.raises(TreasuryError) as found:
            seal(order_of(vouchered("I1").voucher), warrant=by("u101001-yz"))
        assert found.value.code == "key_not_usable"
        assert "000000" not in process.lines() and PIN not in process.lines()
    finally:
        process.end()
