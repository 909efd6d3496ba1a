"""What every crypto suite offers. A suite is one signature algorithm with one digest and one kind of key."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

from seals.errors import KeyNotUsable

# SubjectPublicKeyInfo of a P-256 or SM2 key up to the point: SEQUENCE, id-ecPublicKey, curve OID, BIT STRING head.
# Comparing these bytes binds the curve to the suite before any library sees the key, and refuses explicit parameters.
SPKI_HEAD = {
    "sm2-sm3": bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004"),
    "ecdsa-p256-sha256": bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
}
SPKI_LENGTH = 91


@dataclass(frozen=True, eq=False)
class PublicKeyHandle:
    """A public key as the suite's library holds it. `spki` is the DER SubjectPublicKeyInfo."""

    suite_id: str
    spki: bytes
    native: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class PrivateKeyHandle:
    """A private key as the suite's library holds it; its number never enters Python. `spki` is the public half."""

    suite_id: str
    spki: bytes
    native: Any = field(repr=False)


class Suite(ABC):
    """One way of signing. Which suite applies follows from the partner's profile, never from the message.

    Signatures on a curve are the DER value SEQUENCE { r INTEGER, s INTEGER }, RSA's are as long as the modulus. Keys
    come back as handles that are bound to the suite, so a key of one suite is refused by the other instead of giving a
    signature of a third kind. A verify-only suite reads what partners signed long ago and makes nothing new.
    """

    id: str
    status: Literal["current", "verify-only"] = "current"
    digest_name: str  # as hashlib names it
    signature_oid: str
    longest_signature: int = 72  # bytes

    @abstractmethod
    def digest(self, data: bytes) -> bytes:
        """The suite's own digest of `data`: 32 bytes, 20 with SHA-1."""

    @abstractmethod
    def sign(self, private_key: PrivateKeyHandle, data: bytes) -> bytes:
        """Sign `data` (not its digest).

        :returns: the signature value, at most `longest_signature` bytes.
        :raises KeyNotUsable: if the key belongs to another suite.
        :raises SuiteVerifyOnly: if nothing may be signed with this suite any more.
        """

    @abstractmethod
    def verify(self, public_key: PublicKeyHandle, data: bytes, signature: bytes) -> bool:
        """True only if `signature`, in its one strict encoding, is a signature of `data`. Malformed bytes give False.

        :raises KeyNotUsable: if the key belongs to another suite.
        """

    @abstractmethod
    def load_private_key(self, pem: bytes, password: bytes | None = None) -> PrivateKeyHandle:
        """Read a PEM private key (PKCS#8, encrypted or not; also the older EC PRIVATE KEY).

        :raises KeyNotUsable: if it cannot be read, the password is wrong, or it is no key of this suite.
        :raises SuiteVerifyOnly: as `sign`.
        """

    @abstractmethod
    def load_public_key(self, spki_der: bytes) -> PublicKeyHandle:
        """Read a SubjectPublicKeyInfo: the suite's named curve with an uncompressed point, or RSA. Handles are cached.

        :raises KeyNotUsable: for any other curve or form, a point off the curve, an RSA key outside the limits.
        """

    @abstractmethod
    def generate_private_key(self) -> PrivateKeyHandle:
        """A new private key from the library's random generator.

        :raises SuiteVerifyOnly: as `sign`.
        """

    @abstractmethod
    def private_key_pem(self, private_key: PrivateKeyHandle, password: bytes | None = None) -> bytes:
        """The key as PKCS#8 PEM, encrypted if a password is given. For set-up tools; services have no use for it."""

    def public_key_of(self, private_key: PrivateKeyHandle) -> PublicKeyHandle:
        """The public half of a private key."""
        return self.load_public_key(private_key.spki)

    def _check_spki(self, spki: bytes) -> None:
        if len(spki) != SPKI_LENGTH or not spki.startswith(SPKI_HEAD[self.id]):
            raise KeyNotUsable(f"不是套件 {self.id} 所用曲线上的公钥（须为未压缩点）。", suite=self.id)

    def _native(self, key: PrivateKeyHandle | PublicKeyHandle) -> Any:
        if key.suite_id != self.id:
            raise KeyNotUsable(f"{key.suite_id} 的密钥不能用于 {self.id}。", suite=self.id, key_suite=key.suite_id)
        return key.native
