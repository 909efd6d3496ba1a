"""A key in a device reached by PKCS#11 (HSM, 签名服务器, UKey): the private key never enters this process.

`pkcs11.json` beside the certificate: {"module": path, "token_label", "key_label"}, if needed "mechanism" (a number).
The PIN comes from the environment, `GUOKU_PKCS11_PIN`, or the variable named by "pin_variable".

P-256 needs nothing more: CKM_ECDSA over the SHA-256 digest, r and s turned into DER. PKCS#11 has no SM2: a maker's
device signs it with a mechanism of the maker's own, whose number stands in "mechanism". It is given the digest
SM3(Z ‖ data) of GB/T 32918.2 and must answer r ‖ s; a device that does something else is found out, because the first
signature of each key is verified under its certificate before anything is given out. CKM_ECDSA on an SM2 key is such a
case: SoftHSM2 signs, and the result is no SM2 signature.
"""

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.digests import sm3
from seals import der
from seals.certificates import ParsedCertificate
from seals.errors import KeyNotUsable
from seals.suites import get_suite

SETTINGS_FILE = "pkcs11.json"
PIN_VARIABLE = "GUOKU_PKCS11_PIN"
CKM_ECDSA = 0x1041

_SM2_USER_ID = b"1234567812345678"  # GM/T 0009 §10
# a, b and the base point of the SM2 curve: part of Z. Source: GB/T 32918.5 §2.
_SM2_CURVE = bytes.fromhex(
    "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc"
    "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"
    "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
)


@dataclass
class DeviceKey:
    """A key behind PKCS#11. A session serves one operation at a time, and is opened anew when the device was away."""

    certificate: ParsedCertificate
    settings: dict[str, Any]
    _pin: str = field(repr=False)
    _key: Any = field(default=None, repr=False)
    _proved: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def sign(self, data: bytes) -> bytes:
        """See `Key`."""
        with self._lock:
            signature = self._signed(_digest(self.certificate, data))
            if not self._proved:
                suite = get_suite(self.certificate.suite_id)
                if not suite.verify(self.certificate.public_key, data, signature):
                    raise KeyNotUsable(
                        "密码设备的签名不能用证书验证：密钥标签、机制号或证书不对。",
                        key_label=self.settings["key_label"],
                        mechanism=self._mechanism,
                    )
                self._proved = True
            return signature

    @property
    def _mechanism(self) -> int:
        return int(self.settings.get("mechanism", CKM_ECDSA))

    def _signed(self, digest: bytes) -> bytes:
        import pkcs11  # optional: only a bureau with a device has it

        try:
            try:
                raw = self._private_key().sign(digest, mechanism=_named(self._mechanism))
            except (pkcs11.SessionHandleInvalid, pkcs11.DeviceRemoved, pkcs11.SessionClosed, pkcs11.UserNotLoggedIn):
                self._key = None
                raw = self._private_key().sign(digest, mechanism=_named(self._mechanism))
            return der.signature_from_raw(bytes(raw))
        except (pkcs11.PKCS11Error, ValueError, RuntimeError) as error:
            self._key = None
            raise KeyNotUsable(
                f"密码设备没有签名：{type(error).__name__}。", key_label=self.settings["key_label"]
            ) from error

    def _private_key(self) -> Any:
        import pkcs11

        if self._key is None:
            token = pkcs11.lib(self.settings["module"]).get_token(token_label=self.settings["token_label"])
            try:
                session = token.open(user_pin=self._pin)
            except pkcs11.UserAlreadyLoggedIn:  # by another key of the same token: the log-in is the process's
                session = token.open()
            self._key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=self.settings["key_label"])
        return self._key


def open_key(folder: Path, certificate: ParsedCertificate) -> DeviceKey:
    """The key that `pkcs11.json` in this folder names; the device itself is asked at the first signature.

    :raises KeyNotUsable: if the file, the PIN or the library is missing.
    """
    try:
        settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        for name in ("module", "token_label", "key_label"):
            if not isinstance(settings[name], str):
                raise ValueError(name)
        if certificate.suite_id == "sm2-sm3" and not isinstance(settings.get("mechanism"), int):
            raise KeyNotUsable("SM2 密钥须在 pkcs11.json 中写明厂商的机制号（mechanism）。", folder=folder.name)
        pin = os.environ[str(settings.get("pin_variable", PIN_VARIABLE))]
    except KeyNotUsable:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyNotUsable(f"密码设备的设置或 PIN 不完整：{error}", folder=folder.name) from error
    try:
        import pkcs11  # noqa: F401
    except ImportError as error:
        raise KeyNotUsable("没有安装 python-pkcs11，不能使用密码设备。", folder=folder.name) from error
    return DeviceKey(certificate, settings, pin)


def _digest(certificate: ParsedCertificate, data: bytes) -> bytes:
    """What the device is given: the digest that the suite's signature equation takes."""
    if certificate.suite_id == "sm2-sm3":
        point = certificate.spki[-64:]
        z = sm3((len(_SM2_USER_ID) * 8).to_bytes(2) + _SM2_USER_ID + _SM2_CURVE + point)
        return sm3(z + data)
    if certificate.suite_id == "ecdsa-p256-sha256":
        return hashlib.sha256(data).digest()
    raise KeyNotUsable(f"密码设备不支持套件 {certificate.suite_id}。", suite=certificate.suite_id)


def _named(mechanism: int) -> Any:
    """The number as python-pkcs11 takes it. A maker's own is none of its names, so a nameless member is made of it."""
    from pkcs11 import Mechanism

    try:
        return Mechanism(mechanism)
    except ValueError:
        member = int.__new__(Mechanism, mechanism)
        member._name_, member._value_ = f"VENDOR_{mechanism:#x}", mechanism
        return member
