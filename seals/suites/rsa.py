"""RSA signatures of PKCS#1 version 1.5, by `cryptography`: with SHA-256, and with SHA-1 to read old vouchers only.

Partners of 2024 still signed payment vouchers with RSA-1024 and SHA-1. Such a signature can be read and shown, but
never made; which partner may still come with one is said by its profile.
"""

import hashlib
from functools import lru_cache
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from seals import der
from seals.errors import KeyNotUsable, SuiteVerifyOnly
from seals.suites import pkcs8
from seals.suites.base import PrivateKeyHandle, PublicKeyHandle, Suite

LEAST_BITS, MOST_BITS = 1024, 8192
LEAST_EXPONENT, MOST_EXPONENT = 3, (1 << 32) - 1  # a huge exponent costs the verifier seconds and gains nobody anything
NEW_KEY_BITS = 3072

_ALGORITHM = der.write(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"), der.write(der.NULL))


def rsa_bits(spki: bytes) -> int:
    """Length in bits of the modulus of an RSA SubjectPublicKeyInfo in strict DER.

    :raises KeyNotUsable: if it is none (RSASSA-PSS keys are not), or modulus or exponent lie outside the limits.
    """
    try:
        outer, rest = der.read(spki)
        algorithm, key = der.read_all(outer.value)
        modulus, exponent = (int.from_bytes(item.value) for item in der.read_all(der.read(key.value[1:])[0].value))
    except ValueError as error:
        raise KeyNotUsable("公钥不是 RSA 公钥。", suite="rsa") from error
    numbers = der.write(der.SEQUENCE, der.integer(modulus), der.integer(exponent))
    rebuilt = der.write(der.SEQUENCE, _ALGORITHM, der.write(der.BIT_STRING, b"\0", numbers))
    if rest or algorithm.raw != _ALGORITHM or rebuilt != spki:  # one key, one spelling
        raise KeyNotUsable("公钥不是规范编码的 RSA 公钥。", suite="rsa")
    if not LEAST_BITS <= modulus.bit_length() <= MOST_BITS or modulus % 2 == 0:
        raise KeyNotUsable(
            f"RSA 模数须为 {LEAST_BITS} 至 {MOST_BITS} 位的奇数。", suite="rsa", bits=modulus.bit_length()
        )
    if not LEAST_EXPONENT <= exponent <= MOST_EXPONENT or exponent % 2 == 0:
        raise KeyNotUsable("RSA 公钥指数须为奇数，不小于 3，不超过 32 位。", suite="rsa")
    return modulus.bit_length()


class RsaSha256(Suite):
    """For partners with RSA certificates. A signature is exactly as long as the modulus, and there is one per text."""

    id = "rsa-sha256"
    digest_name = "sha256"
    signature_oid = "1.2.840.113549.1.1.11"
    longest_signature = MOST_BITS // 8
    least_bits = 2048

    _hash: hashes.HashAlgorithm = hashes.SHA256()

    def __init__(self) -> None:
        self._cached_public_key = lru_cache(maxsize=1024)(self._read_public_key)

    def digest(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    def sign(self, private_key: PrivateKeyHandle, data: bytes) -> bytes:
        signature: bytes = self._native(private_key).sign(data, padding.PKCS1v15(), self._hash)
        return signature

    def verify(self, public_key: PublicKeyHandle, data: bytes, signature: bytes) -> bool:
        try:
            self._native(public_key).verify(signature, data, padding.PKCS1v15(), self._hash)
        except InvalidSignature:
            return False
        return True

    def load_private_key(self, pem: bytes, password: bytes | None = None) -> PrivateKeyHandle:
        key = pkcs8.read(pem, password, self.id)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise KeyNotUsable("私钥不是 RSA 私钥。", suite=self.id)
        return self._handle(key)

    def load_public_key(self, spki_der: bytes) -> PublicKeyHandle:
        return self._cached_public_key(bytes(spki_der))

    def generate_private_key(self) -> PrivateKeyHandle:
        return self._handle(rsa.generate_private_key(65537, NEW_KEY_BITS))

    def private_key_pem(self, private_key: PrivateKeyHandle, password: bytes | None = None) -> bytes:
        return pkcs8.write(self._native(private_key), password)

    def _check_spki(self, spki: bytes) -> None:
        bits = rsa_bits(spki)
        if bits < self.least_bits:
            raise KeyNotUsable(f"套件 {self.id} 的密钥至少 {self.least_bits} 位。", suite=self.id, bits=bits)

    def _handle(self, key: rsa.RSAPrivateKey) -> PrivateKeyHandle:
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._check_spki(spki)
        return PrivateKeyHandle(self.id, spki, key)

    def _read_public_key(self, spki: bytes) -> PublicKeyHandle:
        self._check_spki(spki)
        try:
            return PublicKeyHandle(self.id, spki, serialization.load_der_public_key(spki))
        except ValueError as error:
            raise KeyNotUsable("公钥不是可用的 RSA 公钥。", suite=self.id) from error


class RsaSha1(RsaSha256):
    """Verify only: SHA-1 collisions can be bought, so what it signs anew would prove nothing."""

    id = "rsa-sha1"
    status: Literal["current", "verify-only"] = "verify-only"
    digest_name = "sha1"
    signature_oid = "1.2.840.113549.1.1.5"
    least_bits = LEAST_BITS

    _hash = hashes.SHA1()

    def digest(self, data: bytes) -> bytes:
        return hashlib.sha1(data, usedforsecurity=False).digest()

    def sign(self, private_key: PrivateKeyHandle, data: bytes) -> bytes:
        raise self._verify_only()

    def load_private_key(self, pem: bytes, password: bytes | None = None) -> PrivateKeyHandle:
        raise self._verify_only()

    def generate_private_key(self) -> PrivateKeyHandle:
        raise self._verify_only()

    def _verify_only(self) -> SuiteVerifyOnly:
        return SuiteVerifyOnly(f"套件 {self.id} 只能验证旧签名，不能再签名。", suite=self.id)
