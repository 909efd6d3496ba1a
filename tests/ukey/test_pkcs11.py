"""A PKCS#11 device (SoftHSM2): keys that are made on it, sign on it and cannot be read from it."""

import os
from pathlib import Path

import pytest

from seals.pki import parse_csr
from seals.suites import get_suite
from tests.softhsm import new_token
from tests.ukey.officers import Officer
from ukey_agent.errors import PinLocked, PinWrong, TokenUnusable

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")

from ukey_agent.pkcs11 import Pkcs11Token  # noqa: E402

MODULE = Path(os.environ.get("GUOKU_SOFTHSM2", "/usr/lib/softhsm/libsofthsm2.so"))
PIN, SO_PIN, DEVICE = "280614", "87654321", "guoku-test"
DATA = b"GUOKU-STATEMENT-V1\0{}"

pytestmark = pytest.mark.skipif(not MODULE.exists(), reason="SoftHSM2 is not installed")


@pytest.fixture(scope="module")
def device() -> str:
    """An initialised SoftHSM2 token."""
    new_token(MODULE, DEVICE, PIN, SO_PIN)
    return DEVICE


@pytest.fixture
def token(device, tokens) -> Pkcs11Token:
    return Pkcs11Token.create(tokens, "yang", "杨帆", MODULE, device)


@pytest.mark.parametrize("suite_id", ["ecdsa-p256-sha256", "rsa-sha256"])
def test_a_key_made_on_the_device_signs_under_its_certificate(token, authority, suite_id) -> None:
    csr = token.generate_key(PIN, suite_id)
    token.install_certificate(authority.certify(csr))
    signature = token.sign(PIN, DATA)

    certificate = token.certificate()
    suite = get_suite(suite_id)
    public_key = suite.load_public_key(certificate.spki)
    assert parse_csr(csr.encode()).suite_id == suite_id
    assert suite.verify(public_key, DATA, signature) and not suite.verify(public_key, DATA + b".", signature)


def test_the_private_key_does_not_leave_the_device(token, device) -> None:
    token.generate_key(PIN, "ecdsa-p256-sha256")
    with pkcs11.lib(str(MODULE)).get_token(token_label=device).open(user_pin=PIN) as session:
        keys = list(session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}))
        assert keys
        for key in keys:
            assert (key[pkcs11.Attribute.SENSITIVE], key[pkcs11.Attribute.EXTRACTABLE]) == (True, False)
            secret = "PRIVATE_EXPONENT" if key.key_type == pkcs11.KeyType.RSA else "VALUE"
            with pytest.raises(pkcs11.AttributeSensitive):
                key[pkcs11.Attribute[secret]]


def test_six_wrong_pins_lock_though_the_device_would_not(token, authority) -> None:
    token.install_certificate(authority.certify(token.generate_key(PIN, "ecdsa-p256-sha256")))
    for left in (5, 4, 3, 2, 1):
        with pytest.raises(PinWrong) as refusal:
            token.sign("000000", DATA)
        assert refusal.value.facts == {"tries_left": left}
    with pytest.raises(PinLocked):
        token.sign("000000", DATA)
    with pytest.raises(PinLocked):
        token.sign(PIN, DATA)


def test_a_new_pin_is_the_devices(token, authority) -> None:
    token.install_certificate(authority.certify(token.generate_key(PIN, "ecdsa-p256-sha256")))
    officer = Officer(token, PIN, "杨帆")
    token.change_pin(PIN, "999999")
    try:
        assert officer.verify(DATA, token.sign("999999", DATA))
        with pytest.raises(PinWrong):
            token.sign(PIN, DATA)
    finally:
        token.change_pin("999999", PIN)


@pytest.mark.parametrize("suite_id", ["sm2-sm3", "rsa-sha1", ""])
def test_suites_no_device_has_by_pkcs11_are_refused(token, suite_id) -> None:
    with pytest.raises(TokenUnusable):
        token.generate_key(PIN, suite_id)
    assert token.info().tries_left == 6 and not token.info().awaits_certificate


@pytest.mark.parametrize(("module", "name"), [(MODULE, "another device"), (Path("/nowhere/lib.so"), DEVICE)])
def test_a_device_that_is_not_there_is_not_filed(device, tokens, module, name) -> None:
    with pytest.raises(TokenUnusable):
        Pkcs11Token.create(tokens, "yang", "杨帆", module, name)
    assert list(tokens.iterdir()) == []


def test_an_unplugged_device_costs_no_try(token) -> None:
    text = token.path.read_text()
    token.path.write_text(text.replace(DEVICE, "unplugged"))
    with pytest.raises(TokenUnusable):
        token.sign(PIN, DATA)
    assert token.info().tries_left == 6
