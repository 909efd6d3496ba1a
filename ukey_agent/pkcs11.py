"""A token behind a PKCS#11 library: P-256 or RSA keys that never leave the device.

PKCS#11 has no SM2 mechanism; a vendor's numbers for it differ, so SM2 devices need their SKF library (docs/ukey.md).
The file beside it names module and device and keeps the certificate and our own count of tries, since some libraries
(SoftHSM) never lock; the device's own lock counts as well.
"""

import secrets
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from seals import der
from seals.suites import SPKI_HEAD
from ukey_agent.errors import PinLocked, TokenUnusable
from ukey_agent.tokens import FileToken, WrongPin

try:
    import pkcs11
    from pkcs11.util import ec as ec_util
    from pkcs11.util import rsa as rsa_util
except ImportError:  # the library is an option: software tokens do without it
    pkcs11 = None  # type: ignore[assignment]

SUITES = ("ecdsa-p256-sha256", "rsa-sha256")
_P256, _RSA_BITS = "secp256r1", 3072


class Pkcs11Token(FileToken):
    """`keys` hold {"suite", "spki", "key_id"}; the private key is found on the device by its id."""

    driver = "pkcs11"

    @classmethod
    def create(cls, folder: Path, label: str, holder: str, module: Path, device: str) -> "Pkcs11Token":
        """Name a device that has been initialised and has a user PIN. It gets its key by `generate_key`.

        :param device: the device's own label.
        :raises TokenExists, TokenUnusable: and nothing is made.
        """
        token = cls(folder, label)
        _device(str(module), device)
        token._create(holder, module=str(module), device=device)
        return token

    def _unlock(self, state: dict[str, Any], pin: str) -> Any:
        device = _device(state["module"], state["device"])
        try:
            return device.open(user_pin=pin, rw=True)
        except pkcs11.PinLocked as error:
            raise PinLocked from error
        except (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid) as error:
            raise WrongPin from error
        except pkcs11.PKCS11Error as error:
            raise TokenUnusable("UKey 设备没有响应。") from error

    def _close(self, opened: Any) -> None:
        opened.close()

    def _sign(self, opened: Any, key: dict[str, Any], data: bytes) -> bytes:
        try:
            private = opened.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, id=bytes.fromhex(key["key_id"]))
            if key["suite"] == "rsa-sha256":
                return bytes(private.sign(data, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))
            raw = private.sign(sha256(data).digest(), mechanism=pkcs11.Mechanism.ECDSA)
        except pkcs11.PKCS11Error as error:
            raise TokenUnusable("UKey 设备拒绝签名。") from error
        return der.signature_from_raw(bytes(raw))

    def _make_key(self, opened: Any, state: dict[str, Any], suite_id: str) -> dict[str, Any]:
        if suite_id not in SUITES:
            raise TokenUnusable("PKCS#11 UKey 不支持该密码套件。")
        key_id = secrets.token_bytes(8)
        fixed = {"id": key_id, "label": f"guoku {key_id.hex()}", "store": True}
        try:
            if suite_id == "rsa-sha256":
                public, _ = opened.generate_keypair(pkcs11.KeyType.RSA, _RSA_BITS, **fixed)
                spki = _spki_of_rsa(rsa_util.encode_rsa_public_key(public))
            else:
                curve = opened.create_domain_parameters(
                    pkcs11.KeyType.EC,
                    {pkcs11.Attribute.EC_PARAMS: ec_util.encode_named_curve_parameters(_P256)},
                    local=True,
                )
                public, _ = curve.generate_keypair(**fixed)
                point = der.read(bytes(public[pkcs11.Attribute.EC_POINT]))[0].value  # an OCTET STRING around the point
                spki = SPKI_HEAD[suite_id] + point[1:]
        except pkcs11.PKCS11Error as error:
            raise TokenUnusable("UKey 设备不能生成密钥。") from error
        return {"suite": suite_id, "spki": spki.hex(), "key_id": key_id.hex()}

    def _change_pin(self, opened: Any, state: dict[str, Any], pin: str, new_pin: str) -> None:
        try:
            opened.set_pin(pin, new_pin)
        except pkcs11.PKCS11Error as error:
            raise TokenUnusable("UKey 设备不接受新的 PIN。") from error


def _device(module: str, label: str) -> Any:
    """:raises TokenUnusable: if library or device is missing."""
    if pkcs11 is None:
        raise TokenUnusable("本机没有安装 PKCS#11 支持（python-pkcs11）。")
    try:
        return _library(module).get_token(token_label=label)
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise TokenUnusable("没有找到 UKey 设备，请插好后重试。") from error


@cache
def _library(module: str) -> Any:
    return pkcs11.lib(module)


def _spki_of_rsa(public_key: bytes) -> bytes:
    algorithm = der.write(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"), der.write(der.NULL))
    return der.write(der.SEQUENCE, algorithm, der.write(der.BIT_STRING, b"\0", public_key))
