"""X.509 certificates on the SM2 and P-256 curves: read them, and decide whether a trusted authority vouches for them.

`cryptography` reads names and dates but not SM2 keys, and stops at extensions that are not strict DER, which real
Chinese certificates have; key and extensions are therefore taken from the received bytes. Path validation is the part
of RFC 5280 §6 that these certificates use.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from seals import der
from seals.errors import (
    CertificateExpired,
    CertificateKeyNotSupported,
    CertificateMalformed,
    CertificateNotYetValid,
    CertificateRefused,
    CertificateSignatureInvalid,
    CertificateUnknownIssuer,
    CertificateWrongUsage,
    KeyNotUsable,
)
from seals.suites import SPKI_HEAD, PublicKeyHandle, get_suite

LONGEST_CERTIFICATE = 16 * 1024
LONGEST_CHAIN = 4
DIGITAL_SIGNATURE, KEY_CERT_SIGN = 0, 5  # bits of keyUsage

_BASIC_CONSTRAINTS, _KEY_USAGE = der.oid("2.5.29.19"), der.oid("2.5.29.15")
_KNOWN_WHEN_CRITICAL = {_BASIC_CONSTRAINTS, _KEY_USAGE}


@dataclass(frozen=True)
class ParsedCertificate:
    """What a certificate says, as received; nothing here is verified. Instants are aware UTC."""

    serial_hex: str  # lower case, whole bytes, without a leading sign byte
    subject: str  # RFC 4514
    issuer: str
    valid_from: datetime
    valid_to: datetime
    suite_id: str
    spki: bytes = field(repr=False)
    der: bytes = field(repr=False)
    tbs: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signature_oid: str
    subject_name: bytes = field(repr=False)
    issuer_name: bytes = field(repr=False)
    is_authority: bool
    path_length: int | None
    key_usage: frozenset[int] | None  # bit numbers; None if the extension is absent
    unknown_critical: bool

    @property
    def public_key(self) -> PublicKeyHandle:
        return get_suite(self.suite_id).load_public_key(self.spki)

    @property
    def pem(self) -> str:
        return x509.load_der_x509_certificate(self.der).public_bytes(Encoding.PEM).decode()

    @property
    def self_issued(self) -> bool:
        return self.subject_name == self.issuer_name


def canonical_serial(serial_hex: str) -> str:
    """The way we write a serial: lower-case hexadecimal, whole bytes, no leading zero byte.

    :raises ValueError: if it is not hexadecimal.
    """
    number = bytes.fromhex(serial_hex if len(serial_hex) % 2 == 0 else "0" + serial_hex)
    if len(serial_hex) != len(serial_hex.strip()) or " " in serial_hex:  # fromhex skips blanks
        raise ValueError("blanks in a serial")
    return (number.lstrip(b"\0") or b"\0").hex()


def parse_certificate(data: bytes | str) -> ParsedCertificate:
    """Read one certificate, PEM or DER; cached by its bytes.

    :raises CertificateMalformed: if it is not exactly one well-formed certificate.
    :raises CertificateKeyNotSupported: if no suite uses its key.
    """
    if isinstance(data, str):
        data = data.encode("ascii", "replace")
    if len(data) > LONGEST_CERTIFICATE:
        raise CertificateMalformed("证书过长。", field="pem", bytes=len(data))
    return _parse(bytes(data))


@lru_cache(maxsize=1024)
def _parse(data: bytes) -> ParsedCertificate:
    try:
        if b"-----BEGIN" in data:
            (loaded,) = x509.load_pem_x509_certificates(data)
        else:
            loaded = x509.load_der_x509_certificate(data)
        return _read(loaded)
    except ValueError as error:
        raise CertificateMalformed("证书格式不正确，须为一张 PEM 或 DER 证书。", field="pem") from error


def _read(loaded: x509.Certificate) -> ParsedCertificate:
    encoded = loaded.public_bytes(Encoding.DER)
    tbs, outer_algorithm, _ = der.read_all(der.read(encoded)[0].value)
    fields = der.read_all(tbs.value)
    if fields[0].tag == 0xA0:  # [0] version; absent in version 1
        fields = fields[1:]
    _serial, inner_algorithm, issuer, _validity, subject, spki, *optional = fields
    if inner_algorithm.raw != outer_algorithm.raw:  # else the signed and the stated algorithm could differ
        raise ValueError("two signature algorithms")
    authority, path_length, key_usage, unknown_critical = _extensions(optional)
    return ParsedCertificate(
        serial_hex=canonical_serial(f"{loaded.serial_number:x}"),
        subject=loaded.subject.rfc4514_string(),
        issuer=loaded.issuer.rfc4514_string(),
        valid_from=loaded.not_valid_before_utc,
        valid_to=loaded.not_valid_after_utc,
        suite_id=_suite_of(spki.raw),
        spki=spki.raw,
        der=encoded,
        tbs=tbs.raw,
        signature=loaded.signature,
        signature_oid=loaded.signature_algorithm_oid.dotted_string,
        subject_name=subject.raw,
        issuer_name=issuer.raw,
        is_authority=authority,
        path_length=path_length,
        key_usage=key_usage,
        unknown_critical=unknown_critical,
    )


def _suite_of(spki: bytes) -> str:
    for suite_id, head in SPKI_HEAD.items():
        if spki.startswith(head):
            return suite_id
    raise CertificateKeyNotSupported("证书公钥不是 SM2 或 P-256 曲线上的未压缩点。", field="pem")


def _extensions(optional: Sequence[der.Tlv]) -> tuple[bool, int | None, frozenset[int] | None, bool]:
    """(is an authority, path length, key usage bits, has a critical extension we do not know)."""
    authority, path_length, key_usage, unknown, seen = False, None, None, False, set()
    for name, critical, value in _each_extension(optional):
        if name in seen:
            raise ValueError("an extension twice")
        seen.add(name)
        unknown = unknown or (critical and name not in _KNOWN_WHEN_CRITICAL)
        if name == _BASIC_CONSTRAINTS:
            constraints = der.read_all(der.read(value)[0].value)
            authority = any(item.tag == der.BOOLEAN and item.value != b"\0" for item in constraints)
            path_length = next((int.from_bytes(item.value) for item in constraints if item.tag == der.INTEGER), None)
        elif name == _KEY_USAGE:
            bits = der.read(value)[0].value[1:]  # the first byte counts unused bits
            key_usage = frozenset(n for n in range(8 * len(bits)) if bits[n // 8] & (0x80 >> n % 8))
    return authority, path_length, key_usage, unknown


def _each_extension(optional: Sequence[der.Tlv]) -> Iterator[tuple[bytes, bool, bytes]]:
    for container in optional:
        if container.tag != 0xA3:  # [3] extensions
            continue
        for extension in der.read_all(der.read(container.value)[0].value):
            name, *flag, value = der.read_all(extension.value)
            yield name.raw, bool(flag) and flag[0].value != b"\0", value.value


def verify_certificate_signature(certificate: ParsedCertificate, issuer: ParsedCertificate) -> bool:
    """True if the issuer's key, with the issuer's own suite, signed the certificate. Dates and usage do not count."""
    suite = get_suite(issuer.suite_id)
    if certificate.signature_oid != suite.signature_oid:
        return False
    try:
        return suite.verify(issuer.public_key, certificate.tbs, certificate.signature)
    except KeyNotUsable:
        return False


def check_validity(certificate: ParsedCertificate, at: datetime) -> None:
    """:raises CertificateNotYetValid, CertificateExpired: if `at` lies outside the certificate's dates."""
    if at < certificate.valid_from:
        raise CertificateNotYetValid(
            f"证书 {certificate.serial_hex} 尚未生效。", valid_from=certificate.valid_from.isoformat()
        )
    if at > certificate.valid_to:
        raise CertificateExpired(f"证书 {certificate.serial_hex} 已过期。", valid_to=certificate.valid_to.isoformat())


def validate_chain(
    certificate: ParsedCertificate, ca_certificates: Iterable[ParsedCertificate], at: datetime
) -> tuple[ParsedCertificate, ...]:
    """The path from a signing certificate up to a self-signed authority among `ca_certificates`, all valid at `at`.

    Revocation is the register's business (`seals.models.Certificate`).

    :raises CertificateExpired, CertificateNotYetValid: for the certificate or an authority above it.
    :raises CertificateWrongUsage: if it may not sign, or an authority may not certify.
    :raises CertificateUnknownIssuer: if no trusted authority bears the issuer's name.
    :raises CertificateSignatureInvalid: if one does, but did not sign it.
    """
    authorities = tuple(ca_certificates)
    check_validity(certificate, at)
    if certificate.is_authority or certificate.key_usage is None or DIGITAL_SIGNATURE not in certificate.key_usage:
        raise CertificateWrongUsage("该证书不是签名证书（密钥用途须含数字签名）。", serial_hex=certificate.serial_hex)
    _refuse_unknown_critical(certificate)
    path = [certificate]
    while len(path) <= LONGEST_CHAIN:
        issuer = _issuer_of(path[-1], authorities)
        check_validity(issuer, at)
        _check_may_certify(issuer, below=len(path) - 1)
        path.append(issuer)
        if issuer.self_issued:
            return tuple(path)
    raise CertificateUnknownIssuer("证书链过长，未到达受信任的根。", serial_hex=certificate.serial_hex)


def _issuer_of(certificate: ParsedCertificate, authorities: Sequence[ParsedCertificate]) -> ParsedCertificate:
    namesakes = [authority for authority in authorities if authority.subject_name == certificate.issuer_name]
    if not namesakes:
        raise CertificateUnknownIssuer(f"签发者不受信任：{certificate.issuer}。", issuer=certificate.issuer)
    for authority in namesakes:  # two authorities may share a name; the signature tells them apart
        if verify_certificate_signature(certificate, authority):
            return authority
    raise CertificateSignatureInvalid("证书签名不是所称签发者所签。", issuer=certificate.issuer)


def _check_may_certify(authority: ParsedCertificate, *, below: int) -> None:
    """`below` counts the authorities between this one and the leaf."""
    usage = authority.key_usage
    if not authority.is_authority or usage is None or KEY_CERT_SIGN not in usage:
        raise CertificateWrongUsage("签发者证书无权签发证书。", serial_hex=authority.serial_hex)
    if authority.path_length is not None and below > authority.path_length:
        raise CertificateWrongUsage("证书链超过签发者允许的长度。", serial_hex=authority.serial_hex)
    if authority.self_issued and not verify_certificate_signature(authority, authority):
        raise CertificateSignatureInvalid("根证书自签名无效。", serial_hex=authority.serial_hex)
    _refuse_unknown_critical(authority)


def _refuse_unknown_critical(certificate: ParsedCertificate) -> None:
    if certificate.unknown_critical:
        raise CertificateWrongUsage("证书含有不认识的关键扩展。", serial_hex=certificate.serial_hex)


__all__ = [
    "CertificateRefused",
    "ParsedCertificate",
    "canonical_serial",
    "check_validity",
    "parse_certificate",
    "validate_chain",
    "verify_certificate_signature",
]
