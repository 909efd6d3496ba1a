"""A cryptographic device for tests: SoftHSM2, in a folder of its own."""

from pathlib import Path

import pytest

from seals.suites import SPKI_HEAD
from tests.softhsm import new_token

_PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
MODULE = next((path for path in _PLACES if Path(path).exists()), "")
PIN = "648219"
SM2_CURVE = bytes.fromhex("06082a811ccf5501822d")  # 1.2.156.10197.1.301

needs_device = pytest.mark.skipif(not MODULE, reason="SoftHSM2 is not installed")


def make_token() -> dict[str, bytes]:
    """A token with a P-256 key and one on the SM2 curve, neither of which leaves it; label → SubjectPublicKeyInfo."""
    pkcs11 = pytest.importorskip("pkcs11")
    from pkcs11.util.ec import encode_named_curve_parameters

    new_token(MODULE, "guoku", PIN, PIN)
    keys = {}
    with pkcs11.lib(MODULE).get_token(token_label="guoku").open(user_pin=PIN, rw=True) as session:
        for label, curve in (("p256", encode_named_curve_parameters("secp256r1")), ("sm2", SM2_CURVE)):
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
            )
            public, private = parameters.generate_keypair(
                mechanism_param=None, store=True, label=label,
                private_template={pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SENSITIVE: True},
            )  # fmt: skip
            point = bytes(public[pkcs11.Attribute.EC_POINT])[-64:]
            suite_id = {"p256": "ecdsa-p256-sha256", "sm2": "sm2-sm3"}[label]
            keys[label] = SPKI_HEAD[suite_id] + point
            assert private[pkcs11.Attribute.EXTRACTABLE] is False
    return keys
