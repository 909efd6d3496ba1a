"""The only code of a running service that opens a private key.

`settings.GUOKU_KEY_DIR` holds a folder per organisation with key.pem and cert.pem; `settings.GUOKU_KEY_PASSWORD` is
the password of encrypted keys, if they are. The signer process takes this module's place behind the same function.
"""

import stat
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from seals.certificates import ParsedCertificate, parse_certificate
from seals.errors import KeyNotUsable, NoSigningKey
from seals.suites import PrivateKeyHandle, get_suite


class SigningKey(NamedTuple):
    """The suite, the private key and the certificate an organisation signs with."""

    suite_id: str
    private_key: PrivateKeyHandle
    certificate: ParsedCertificate


def private_key_for(organisation_code: str) -> SigningKey:
    """The organisation's signing key; read again when either file changes.

    :raises NoSigningKey: if this process has no key of that organisation.
    :raises KeyNotUsable: if the key is open to others, cannot be read, or does not belong to the certificate.
    """
    folder = Path(settings.GUOKU_KEY_DIR) / organisation_code
    if folder.name != organisation_code or folder.parent != Path(settings.GUOKU_KEY_DIR):
        raise NoSigningKey("机构代码不能作为密钥目录。", field="organisation_code", organisation_code=organisation_code)
    try:
        key, certificate = (folder / "key.pem").stat(), (folder / "cert.pem").stat()
    except OSError as error:
        raise NoSigningKey(
            f"本系统没有机构 {organisation_code} 的签名密钥。", organisation_code=organisation_code
        ) from error
    if stat.S_IMODE(key.st_mode) & 0o007:
        raise KeyNotUsable("私钥文件可被其他用户访问，拒绝使用。", organisation_code=organisation_code)
    password = getattr(settings, "GUOKU_KEY_PASSWORD", "") or ""
    return _read(folder, password, (key.st_mtime_ns, key.st_ino, certificate.st_mtime_ns, certificate.st_ino))


@lru_cache(maxsize=64)
def _read(folder: Path, password: str, _version: tuple[int, ...]) -> SigningKey:
    certificate = parse_certificate((folder / "cert.pem").read_bytes())
    suite = get_suite(certificate.suite_id)
    private_key = suite.load_private_key((folder / "key.pem").read_bytes(), password.encode() or None)
    if private_key.spki != certificate.spki:
        raise KeyNotUsable("私钥与证书不是一对。", organisation_code=folder.name)
    return SigningKey(certificate.suite_id, private_key, certificate)
