"""ECDSA on NIST P-256 with SHA-256, by `cryptography`."""

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seals.errors import KeyNotUsable
from seals.suites import pkcs8
from seals.suites.base import PrivateKeyHandle, PublicKeyHandle, Suite

_ALGORITHM = ec.ECDSA(hashes.SHA256())


class EcdsaP256Sha256(Suite):
    """For partners without SM2. Note that ECDSA itself lets (r, n-s) stand for (r, s); SM2 does not."""

    id = "ecdsa-p256-sha256"
    digest_name = "sha256"
    curve_oid = "1.2.840.10045.3.1.7"
    signature_oid = "1.2.840.10045.4.3.2"

    def __init__(self) -> None:
        self._cached_public_key = lru_cache(maxsize=1024)(self._read_public_key)

    def digest(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    def sign(self, private_key: PrivateKeyHandle, data: bytes) -> bytes:
        signature: bytes = self._native(private_key).sign(data, _ALGORITHM)
        return signature

    def verify(self, public_key: PublicKeyHandle, data: bytes, signature: bytes) -> bool:
        try:
            self._native(public_key).verify(signature, data, _ALGORITHM)
        except InvalidSignature:
            return False
        return True

    def load_private_key(self, pem: bytes, password: bytes | None = None) -> PrivateKeyHandle:
        key = pkcs8.read(pem, password, self.id)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyNotUsable("私钥不在 P-256 曲线上。", suite=self.id)
        return self._handle(key)

    def load_public_key(self, spki_der: bytes) -> PublicKeyHandle:
        return self._cached_public_key(bytes(spki_der))

    def generate_private_key(self) -> PrivateKeyHandle:
        return self._handle(ec.generate_private_key(ec.SECP256R1()))

    def private_key_pem(self, private_key: PrivateKeyHandle, password: bytes | None = None) -> bytes:
        return pkcs8.write(self._native(private_key), password)

    def _handle(self, key: ec.EllipticCurvePrivateKey) -> PrivateKeyHandle:
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return PrivateKeyHandle(self.id, spki, key)

    def _read_public_key(self, spki: bytes) -> PublicKeyHandle:
        self._check_spki(spki)
        try:
            return PublicKeyHandle(self.id, spki, serialization.load_der_public_key(spki))
        except ValueError as error:
            raise KeyNotUsable("公钥不是 P-256 曲线上的点。", suite=self.id) from error
