"""The only code that opens a private key of an organisation, a seal or an authority; it runs in the signer alone.

`settings.GUOKU_KEY_DIR` holds a folder for each key: cert.pem, and key.pem or pkcs11.json (`signer.drivers`). A folder
named as an organisation holds the key it signs vouchers and messages with; keys of personal seals lie in folders of any
other name, and are found by their certificate. `ca/` holds our authorities, `trust/` the certificates of others.
`settings.GUOKU_KEY_PASSWORD` opens encrypted keys. Nobody else imports this module (import-linter).
"""

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from core.digests import sm3_hex
from seals.certificates import Issuer, ParsedCertificate, parse_certificate
from seals.errors import KeyNotUsable, NoSigningKey
from seals.revocation import RevokedEntry, parse_crl
from signer.drivers import Key, pkcs11, software

AUTHORITIES, TRUSTED = "ca", "trust"
CERTIFICATE_FILE, LIST_FILE = "cert.pem", "crl.der"


def private_key_for(organisation_code: str) -> Key:
    """The key an organisation signs with; read again when its files change.

    :raises NoSigningKey: if this process has no key of that organisation.
    :raises KeyNotUsable: if the key is open to others, cannot be read, or does not belong to the certificate.
    """
    root = Path(settings.GUOKU_KEY_DIR)
    folder = root / organisation_code
    if folder.name != organisation_code or folder.parent != root or organisation_code == AUTHORITIES:
        raise NoSigningKey("机构代码不能作为密钥目录。", field="organisation_code", organisation_code=organisation_code)
    try:
        return _key(folder)
    except OSError as error:
        raise NoSigningKey(
            f"本系统没有机构 {organisation_code} 的签名密钥。", organisation_code=organisation_code
        ) from error


def key_of(certificate: ParsedCertificate) -> Key:
    """The key that belongs to exactly this certificate, in whichever folder it lies.

    :raises NoSigningKey: if none does.
    """
    wanted = sm3_hex(certificate.der)
    for folder in sorted(Path(settings.GUOKU_KEY_DIR).iterdir()):
        if folder.name != AUTHORITIES and _fingerprint(folder) == wanted:
            return _key(folder)
    raise NoSigningKey("本系统没有该证书的私钥。", serial_hex=certificate.serial_hex)


def authority(path: str) -> tuple[ParsedCertificate, Issuer]:
    """An authority whose key lies in a file below `ca/`, e.g. `sm2-sm3/sub`, ready to issue.

    :raises NoSigningKey: if it is not here.
    """
    folder = Path(settings.GUOKU_KEY_DIR) / AUTHORITIES / path
    try:
        key = _key(folder)
    except OSError as error:
        raise NoSigningKey(f"本系统没有证书机构 {path} 的密钥。", authority=path) from error
    if not isinstance(key, software.SoftwareKey):
        raise KeyNotUsable("密码设备中的证书机构密钥不能在此签发证书。", authority=path)
    return key.certificate, Issuer(key.certificate.subject_name, key.certificate.spki, key.private_key)


def former_entries(path: str) -> tuple[int, dict[str, RevokedEntry]]:
    """Number and entries of the list that lies beside an authority's key; 0 and none if there is none."""
    try:
        former = parse_crl((Path(settings.GUOKU_KEY_DIR) / AUTHORITIES / path / LIST_FILE).read_bytes())
    except OSError:
        return 0, {}
    return former.number or 0, dict(former.entries)


def trusted_authorities() -> list[ParsedCertificate]:
    """Who may vouch for officers: the authorities below `ca/`, and certificates laid into `trust/` by the operator."""
    root = Path(settings.GUOKU_KEY_DIR)
    paths = [*(root / AUTHORITIES).glob(f"**/{CERTIFICATE_FILE}"), *(root / TRUSTED).glob("*.pem")]
    return [parse_certificate(path.read_bytes()) for path in sorted(paths)]


def _fingerprint(folder: Path) -> str:
    try:
        return sm3_hex(_certificate(folder).der)
    except (OSError, KeyNotUsable):
        return ""


def _certificate(folder: Path) -> ParsedCertificate:
    return parse_certificate((folder / CERTIFICATE_FILE).read_bytes())


def _key(folder: Path) -> Key:
    """:raises OSError: if there is no key or no certificate."""
    in_device = (folder / pkcs11.SETTINGS_FILE).exists()
    files = (folder / (pkcs11.SETTINGS_FILE if in_device else software.KEY_FILE), folder / CERTIFICATE_FILE)
    version = tuple((status.st_mtime_ns, status.st_ino, status.st_mode) for status in (path.stat() for path in files))
    return _opened(folder, getattr(settings, "GUOKU_KEY_PASSWORD", "") or "", version)


@lru_cache(maxsize=512)
def _opened(folder: Path, password: str, _version: tuple[tuple[int, ...], ...]) -> Key:
    certificate = _certificate(folder)
    if (folder / pkcs11.SETTINGS_FILE).exists():
        return pkcs11.open_key(folder, certificate)
    return software.open_key(folder, certificate, password)
