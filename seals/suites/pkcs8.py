"""Private keys in PEM, read and written by `cryptography`, for the suites whose keys it holds."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from seals.errors import KeyNotUsable


def read(pem: bytes, password: bytes | None, suite_id: str) -> PrivateKeyTypes:
    """:raises KeyNotUsable: if it cannot be read, or the password is wrong, missing or needless."""
    try:
        return serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyNotUsable("私钥无法读取，或口令不对。", suite=suite_id) from error


def write(key: PrivateKeyTypes, password: bytes | None) -> bytes:
    """PKCS#8 PEM, encrypted if a password is given."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
