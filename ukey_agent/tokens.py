"""What a token offers, and what tokens that keep a file have in common: tries, certificate, the key in wait for one.

A driver for a vendor's SKF library (GM/T 0016) takes its place here as another `Token`: `info` from SKF_GetDevInfo and
SKF_GetPINInfo, `certificate` from SKF_ExportCertificate, `sign` as SKF_VerifyPIN and SKF_ECCSignData over
SM3(Z ‖ data), `generate_key` as SKF_GenECCKeyPair. There is none: no device was there to test it with (docs/ukey.md).
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.digests import sm3_hex
from seals.certificates import DIGITAL_SIGNATURE, ParsedCertificate, parse_certificate
from ukey_agent.csr import build_csr
from ukey_agent.errors import (
    CertificateNotOurs,
    NoCertificate,
    PinLocked,
    PinMalformed,
    PinWrong,
    TokenExists,
    TokenUnusable,
)
from ukey_agent.files import check_private_folder, exclusive, read_private, write_durably

MOST_TRIES = 6
FORMAT = "guoku-token/1"
LABEL = re.compile(r"[A-Za-z0-9_\u4e00-\u9fff][A-Za-z0-9_.\u4e00-\u9fff-]{0,39}")  # also the file's name
_PIN = re.compile(r"[!-~]{6,32}")


@dataclass(frozen=True)
class TokenInfo:
    """What may be shown of a token without its PIN. `problem` says why it cannot be used, or is empty."""

    label: str
    driver: str
    holder: str = ""
    tries_left: int = 0
    suite_id: str = ""
    certificate_serial: str = ""
    certificate_sm3: str = ""
    subject: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    awaits_certificate: bool = False
    problem: str = ""


class Token(ABC):
    """One UKey. Every verb with a PIN costs a try, which a right PIN gives back."""

    label: str

    @abstractmethod
    def info(self) -> TokenInfo:
        """:raises TokenUnusable: if the token cannot be read."""

    @abstractmethod
    def certificate(self) -> ParsedCertificate:
        """The certificate it signs with.

        :raises NoCertificate: if none is installed yet.
        """

    @abstractmethod
    def sign(self, pin: str, data: bytes) -> bytes:
        """The DER signature value over `data` (not a digest), with the suite of the certificate.

        :raises PinWrong, PinLocked, PinMalformed: and nothing is signed.
        """

    @abstractmethod
    def generate_key(self, pin: str, suite_id: str) -> str:
        """A new key in wait for its certificate, and its request (PEM). The key in use stays until then.

        :raises PinWrong, PinLocked, PinMalformed: and no key is made.
        """

    @abstractmethod
    def install_certificate(self, pem: str) -> None:
        """Use the key in wait, or the one in use, under this certificate from now on.

        :raises CertificateNotOurs: if it certifies neither.
        """

    @abstractmethod
    def change_pin(self, pin: str, new_pin: str) -> None:
        """:raises PinWrong, PinLocked, PinMalformed: and the old PIN stays."""


class WrongPin(Exception):
    """From a driver to `FileToken`, which knows how many tries are left."""


class FileToken(Token):
    """A token that keeps a JSON file `<label>.json`: tries, keys by role ("current", "pending") and certificates.

    A driver adds what it needs to find or hold its private keys. The count of failed tries is on the disk before a
    PIN is looked at, so that killing the program in between costs a try instead of giving one.
    """

    driver: str

    def __init__(self, folder: Path, label: str) -> None:
        self.path = path_of(folder, label)
        self.label = label

    @abstractmethod
    def _unlock(self, state: dict[str, Any], pin: str) -> Any:
        """What opens the private keys.

        :raises WrongPin: costs the try.
        :raises TokenUnusable: before the PIN was looked at; costs none.
        """

    @abstractmethod
    def _sign(self, opened: Any, key: dict[str, Any], data: bytes) -> bytes: ...

    @abstractmethod
    def _make_key(self, opened: Any, state: dict[str, Any], suite_id: str) -> dict[str, Any]:
        """A new private key: {"suite", "spki": hex, and what the driver needs}."""

    @abstractmethod
    def _change_pin(self, opened: Any, state: dict[str, Any], pin: str, new_pin: str) -> None: ...

    def _close(self, opened: Any) -> None:
        """Let go of what `_unlock` gave."""

    def info(self) -> TokenInfo:
        state = self._read()
        pending = bool(state["keys"].get("pending"))
        shown = {
            "label": self.label, "driver": self.driver, "holder": state["holder"],
            "tries_left": max(0, MOST_TRIES - state["failed_tries"]), "awaits_certificate": pending,
        }  # fmt: skip
        try:
            certificate = _certificate_of(state)
        except NoCertificate:
            return TokenInfo(**shown)
        return TokenInfo(
            **shown,
            suite_id=certificate.suite_id,
            certificate_serial=certificate.serial_hex,
            certificate_sm3=sm3_hex(certificate.der),
            subject=certificate.subject,
            valid_from=certificate.valid_from,
            valid_to=certificate.valid_to,
        )

    def certificate(self) -> ParsedCertificate:
        return _certificate_of(self._read())

    def sign(self, pin: str, data: bytes) -> bytes:
        with self._opened(pin) as (state, opened):
            _certificate_of(state)
            return self._sign(opened, state["keys"]["current"], data)

    def generate_key(self, pin: str, suite_id: str) -> str:
        with self._opened(pin) as (state, opened):
            key = self._make_key(opened, state, suite_id)
            spki = bytes.fromhex(key["spki"])
            request = build_csr(state["holder"], spki, suite_id, lambda data: self._sign(opened, key, data))
            state["keys"]["pending"] = key
            self._write(state)
            return request

    def install_certificate(self, pem: str) -> None:
        certificate = parse_certificate(pem)
        if certificate.is_authority or DIGITAL_SIGNATURE not in (certificate.key_usage or ()):
            raise CertificateNotOurs("不是签名证书（密钥用途须含数字签名）。")
        with exclusive(self.path):
            state = self._read()
            keys = state["keys"]
            for role in ("pending", "current"):
                if keys.get(role) and bytes.fromhex(keys[role]["spki"]) == certificate.spki:
                    keys["current"] = keys.pop(role) | {"certificate": certificate.pem}
                    self._write(state)
                    return
        raise CertificateNotOurs("证书中的公钥不在此 UKey 上。")

    def change_pin(self, pin: str, new_pin: str) -> None:
        check_pin(new_pin)
        with self._opened(pin) as (state, opened):
            self._change_pin(opened, state, pin, new_pin)
            self._write(state)

    @contextmanager
    def _opened(self, pin: str) -> Iterator[tuple[dict[str, Any], Any]]:
        """The state and the opened keys, for a right PIN."""
        check_pin(pin)
        with exclusive(self.path):
            state = self._read()
            before = state["failed_tries"]
            if before >= MOST_TRIES:
                raise PinLocked
            self._write(state | {"failed_tries": before + 1})
            try:
                opened = self._unlock(state, pin)
            except WrongPin:
                left = MOST_TRIES - before - 1
                raise (PinWrong(left) if left else PinLocked()) from None
            except TokenUnusable:
                self._write(state)
                raise
            state["failed_tries"] = 0
            self._write(state)
            try:
                yield state, opened
            finally:
                self._close(opened)

    def _read(self) -> dict[str, Any]:
        try:
            state = json.loads(read_private(self.path))
            sound = (
                state["format"] == FORMAT
                and state["driver"] == self.driver
                and isinstance(state["holder"], str)
                and type(state["failed_tries"]) is int
                and isinstance(state["keys"], dict)
            )
        except (ValueError, KeyError, TypeError) as error:
            raise TokenUnusable("UKey 文件已损坏。") from error
        if not sound:
            raise TokenUnusable("UKey 文件已损坏。")
        return dict(state)

    def _write(self, state: dict[str, Any]) -> None:
        write_durably(self.path, json.dumps(state, ensure_ascii=False, indent=1).encode("utf-8"))

    def _create(self, holder: str, **own: Any) -> dict[str, Any]:
        """The file of a new token.

        :raises TokenExists: if there is one of that label.
        """
        if not holder.strip() or len(holder) > 60 or not holder.isprintable():
            raise TokenUnusable("请填写持有人姓名。")
        check_private_folder(self.path.parent)
        with exclusive(self.path):
            if self.path.exists():
                raise TokenExists("已有同名的 UKey。", label=self.label)
            state = {"format": FORMAT, "driver": self.driver, "holder": holder, "failed_tries": 0, "keys": {}} | own
            self._write(state)
        return state


def path_of(folder: Path, label: str) -> Path:
    """The file of a token.

    :raises TokenUnusable: if the label cannot be a file's name.
    """
    if not LABEL.fullmatch(label):
        raise TokenUnusable("UKey 名称只能含中文、字母、数字、点、横线和下划线，最多 40 个字。")
    return folder / f"{label}.json"


def check_pin(pin: str) -> None:
    """:raises PinMalformed: unless it has 6 to 32 visible ASCII characters."""
    if not _PIN.fullmatch(pin):
        raise PinMalformed("PIN 须为 6 至 32 位字母、数字或符号。")


def _certificate_of(state: dict[str, Any]) -> ParsedCertificate:
    key = state["keys"].get("current") or {}
    if not key.get("certificate"):
        raise NoCertificate("此 UKey 还没有证书。")
    certificate = parse_certificate(str(key["certificate"]))
    if certificate.spki.hex() != key["spki"]:
        raise TokenUnusable("UKey 文件已损坏：证书与密钥不是一对。")
    return certificate
