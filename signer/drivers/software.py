"""A key in `key.pem`: PKCS#8, encrypted or not, closed to other users."""

import stat
from dataclasses import dataclass, field
from pathlib import Path

from seals.certificates import ParsedCertificate
from seals.errors import KeyNotUsable
from seals.suites import PrivateKeyHandle, get_suite

KEY_FILE = "key.pem"


@dataclass(frozen=True)
class SoftwareKey:
    """A private key in this process."""

    certificate: ParsedCertificate
    private_key: PrivateKeyHandle = field(repr=False)

    @property
    def suite_id(self) -> str:
        return self.certificate.suite_id

    def sign(self, data: bytes) -> bytes:
        """See `Key`."""
        return get_suite(self.certificate.suite_id).sign(self.private_key, data)


def open_key(folder: Path, certificate: ParsedCertificate, password: str) -> SoftwareKey:
    """The key of this folder.

    :raises KeyNotUsable: if it is open to others, cannot be read, or does not belong to the certificate.
    """
    path = folder / KEY_FILE
    if stat.S_IMODE(path.stat().st_mode) & 0o007:
        raise KeyNotUsable("私钥文件可被其他用户访问，拒绝使用。", folder=folder.name)
    pem = path.read_bytes()
    opener = password.encode() if b"ENCRYPTED" in pem else None  # a plain key with a password is refused by some suites
    private_key = get_suite(certificate.suite_id).load_private_key(pem, opener)
    if private_key.spki != certificate.spki:
        raise KeyNotUsable("私钥与证书不是一对。", folder=folder.name)
    return SoftwareKey(certificate, private_key)
