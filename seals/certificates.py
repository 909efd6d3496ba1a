"""X.509 certificates with SM2, P-256 or RSA keys: read them, and decide whether a trusted authority vouches for them.

`cryptography` reads no SM2 keys, and stops at what is not strict DER, which real Chinese certificates have; it is given
the names to read, and everything else is taken from the received bytes. Path validation is the part
of RFC 5280 §6 that these certificates use.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from cryptography import x509

from seals import der
from seals.errors import (
    CertificateAlgorithmRefused,
    CertificateExpired,
    CertificateKeyNotSupported,
    CertificateKeyShared,
    CertificateMalformed,
    CertificateNotYetValid,
    CertificateRefused,
    CertificateRevoked,
    CertificateSignatureInvalid,
    CertificateUnknownIssuer,
    CertificateWrongUsage,
    KeyNotUsable,
    RevocationUnknown,
)
from seals.suites import SPKI_HEAD, SUITE_BY_SIGNATURE_OID, PrivateKeyHandle, PublicKeyHandle, Suite, get_suite
from seals.suites.rsa import RsaSha256, rsa_bits

if TYPE_CHECKING:
    from seals.revocation import RevocationSource

LONGEST_CERTIFICATE = 16 * 1024
LONGEST_CHAIN = 4
# Bits of keyUsage. Source: RFC 5280 §4.2.1.3; which certificate bears which: GB/T 20518.
DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_ENCIPHERMENT, DATA_ENCIPHERMENT, KEY_AGREEMENT = 0, 1, 2, 3, 4
KEY_CERT_SIGN, CRL_SIGN = 5, 6
TIME_STAMPING = "1.3.6.1.5.5.7.3.8"

Purpose = Literal["signing", "timestamping"]

_BASIC_CONSTRAINTS, _KEY_USAGE, _EXTENDED_KEY_USAGE = "2.5.29.19", "2.5.29.15", "2.5.29.37"
_LIST_POINTS = "2.5.29.31"
_KNOWN_WHEN_CRITICAL = frozenset({_BASIC_CONSTRAINTS, _KEY_USAGE})


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
    extended_key_usage: frozenset[str] | None  # dotted; None if the extension is absent
    critical_extensions: frozenset[str]
    list_points: frozenset[bytes] = field(repr=False)  # GeneralNames (DER) where its issuer publishes revocations

    @property
    def public_key(self) -> PublicKeyHandle:
        return get_suite(self.suite_id).load_public_key(self.spki)

    def public_key_for(self, suite_id: str) -> PublicKeyHandle:
        """The key for one of `suites_for(self)`: an RSA key may be asked for either RSA suite.

        :raises KeyNotUsable: for any other suite.
        """
        if suite_id not in suites_for(self):
            raise KeyNotUsable(f"证书 {self.serial_hex} 的密钥不能用于 {suite_id}。", suite=suite_id)
        return get_suite(suite_id).load_public_key(self.spki)

    @property
    def pem(self) -> str:
        return der.pem("CERTIFICATE", self.der).decode()

    @property
    def self_issued(self) -> bool:
        return self.subject_name == self.issuer_name


@dataclass(frozen=True)
class Issuer:
    """What signs certificates and revocation lists: its name (DER), its public key (DER) and its private key."""

    name: bytes
    spki: bytes
    key: PrivateKeyHandle


def suites_for(certificate: ParsedCertificate) -> tuple[str, ...]:
    """The suites the certificate's key may be verified with. Which of them applies, the partner's profile decides."""
    if certificate.suite_id == RsaSha256.id:
        return ("rsa-sha256", "rsa-sha1")
    return (certificate.suite_id,)


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
        return _read(der.from_pem("CERTIFICATE", data))
    except ValueError as error:
        raise CertificateMalformed("证书格式不正确，须为一张 PEM 或 DER 证书。", field="pem") from error


def _read(encoded: bytes) -> ParsedCertificate:
    outer, rest = der.read(encoded)
    tbs, outer_algorithm, signature = der.read_all(outer.value)
    fields = der.read_all(tbs.value)
    if fields[0].tag == 0xA0:  # [0] version; absent in version 1
        fields = fields[1:]
    serial, inner_algorithm, issuer, validity, subject, spki, *optional = fields
    if inner_algorithm.raw != outer_algorithm.raw:  # else the signed and the stated algorithm could differ
        raise ValueError("two signature algorithms")
    if rest or outer.tag != der.SEQUENCE or signature.tag != der.BIT_STRING or signature.value[:1] != b"\0":
        raise ValueError("not one signed certificate")
    if serial.tag != der.INTEGER or not serial.value or serial.value[0] & 0x80:
        raise ValueError("not a serial")
    valid_from, valid_to = map(der.instant, der.read_all(validity.value))
    named = _names(validity.raw, issuer.raw, subject.raw)
    extensions = _extensions(optional)
    authority, path_length = _basic_constraints(extensions)
    return ParsedCertificate(
        serial_hex=canonical_serial(serial.value.hex()),
        subject=named.subject.rfc4514_string(),
        issuer=named.issuer.rfc4514_string(),
        valid_from=valid_from,
        valid_to=valid_to,
        suite_id=suite_of_key(spki.raw),
        spki=spki.raw,
        der=encoded,
        tbs=tbs.raw,
        signature=signature.value[1:],
        signature_oid=algorithm_oid(outer_algorithm),
        subject_name=subject.raw,
        issuer_name=issuer.raw,
        is_authority=authority,
        path_length=path_length,
        key_usage=_key_usage(extensions),
        extended_key_usage=_extended_key_usage(extensions),
        critical_extensions=frozenset(name for name, (critical, _value) in extensions.items() if critical),
        list_points=_list_points(extensions),
    )


def _names(validity: bytes, issuer: bytes, subject: bytes) -> x509.Certificate:
    """A certificate with these names and nothing else of note, for `cryptography` to read them.

    It would refuse the whole certificate for an explicit default value or the NULL parameters that real ones have.
    """
    algorithm = der.write(der.SEQUENCE, der.oid("1.2.840.10045.4.3.2"))
    spki = SPKI_HEAD["ecdsa-p256-sha256"] + bytes(64)
    tbs = der.write(der.SEQUENCE, der.integer(1), algorithm, issuer, validity, subject, spki)
    return x509.load_der_x509_certificate(der.write(der.SEQUENCE, tbs, algorithm, der.write(der.BIT_STRING, b"\0")))


def algorithm_oid(identifier: der.Tlv) -> str:
    """The signature algorithm of an AlgorithmIdentifier. Parameters may be absent or NULL: real files have both.

    :raises ValueError: for a suite's algorithm with other parameters.
    """
    name, *parameters = der.read_all(identifier.value)
    oid = der.dotted(name)
    if oid in SUITE_BY_SIGNATURE_OID and [item.raw for item in parameters] not in ([], [der.write(der.NULL)]):
        raise ValueError("parameters where none belong")
    return oid


def suite_of_key(spki: bytes) -> str:
    """The suite of a SubjectPublicKeyInfo; of an RSA key the strongest it is long enough for.

    :raises CertificateKeyNotSupported: if no suite uses such keys.
    """
    for suite_id, head in SPKI_HEAD.items():
        if spki.startswith(head):
            return suite_id
    try:
        return "rsa-sha256" if rsa_bits(spki) >= RsaSha256.least_bits else "rsa-sha1"
    except KeyNotUsable as error:
        raise CertificateKeyNotSupported(
            "证书公钥不是 SM2 或 P-256 曲线上的未压缩点，也不是可用的 RSA 公钥。", field="pem"
        ) from error


def _extensions(optional: Sequence[der.Tlv]) -> dict[str, tuple[bool, bytes]]:
    """Dotted name → (critical, the DER inside)."""
    return read_extensions(next((item.value for item in optional if item.tag == 0xA3), b""))  # [3] extensions


def read_extensions(container: bytes) -> dict[str, tuple[bool, bytes]]:
    """Dotted name → (critical, the DER inside), of an Extensions value in DER; of no bytes, none.

    An explicitly encoded `critical FALSE` is not DER, but real certificates have it.

    :raises ValueError: if one comes twice, or the structure is another.
    """
    found: dict[str, tuple[bool, bytes]] = {}
    if not container:
        return found
    sequence, rest = der.read(container)
    if rest or sequence.tag != der.SEQUENCE:
        raise ValueError("not one sequence of extensions")
    for extension in der.read_all(sequence.value):
        name, *flag, value = der.read_all(extension.value)
        if der.dotted(name) in found or value.tag != der.OCTET_STRING or any(f.tag != der.BOOLEAN for f in flag):
            raise ValueError("an extension twice, or malformed")
        found[der.dotted(name)] = (bool(flag) and flag[0].value != b"\0", value.value)
    return found


def _basic_constraints(extensions: dict[str, tuple[bool, bytes]]) -> tuple[bool, int | None]:
    if _BASIC_CONSTRAINTS not in extensions:
        return False, None
    items = der.read_all(der.read(extensions[_BASIC_CONSTRAINTS][1])[0].value)
    authority = any(item.tag == der.BOOLEAN and item.value != b"\0" for item in items)
    return authority, next((int.from_bytes(item.value) for item in items if item.tag == der.INTEGER), None)


def _key_usage(extensions: dict[str, tuple[bool, bytes]]) -> frozenset[int] | None:
    if _KEY_USAGE not in extensions:
        return None
    bits = der.read(extensions[_KEY_USAGE][1])[0].value[1:]  # the first byte counts unused bits
    return frozenset(n for n in range(8 * len(bits)) if bits[n // 8] & (0x80 >> n % 8))


def _extended_key_usage(extensions: dict[str, tuple[bool, bytes]]) -> frozenset[str] | None:
    if _EXTENDED_KEY_USAGE not in extensions:
        return None
    return frozenset(map(der.dotted, der.read_all(der.read(extensions[_EXTENDED_KEY_USAGE][1])[0].value)))


def _list_points(extensions: dict[str, tuple[bool, bytes]]) -> frozenset[bytes]:
    if _LIST_POINTS not in extensions:
        return frozenset()
    points = der.read_all(der.read(extensions[_LIST_POINTS][1])[0].value)
    return frozenset(name for point in points for name in full_names(der.read_all(point.value)))


def full_names(point: Sequence[der.Tlv]) -> Iterator[bytes]:
    """The GeneralNames (DER) in the [0] fullName of a distribution point. Source: RFC 5280 §4.2.1.13, §5.2.5."""
    for item in point:
        if item.tag == 0xA0:  # [0] distributionPoint
            for form in der.read_all(item.value):
                if form.tag == 0xA0:  # [0] fullName
                    yield from (name.raw for name in der.read_all(form.value))


def verify_certificate_signature(
    certificate: ParsedCertificate, issuer: ParsedCertificate, *, verify_only: bool = False
) -> bool:
    """True if the issuer's key signed the certificate, by one of the issuer's suites. Dates and usage do not count.

    The answer depends on the two certificates' bytes alone and is remembered: a stamp asks it four times over.

    :param verify_only: also by suites that sign nothing new (SHA-1), which only old chains may use.
    """
    return _certificate_signature_holds(certificate, issuer, verify_only)


@lru_cache(maxsize=4096)
def _certificate_signature_holds(certificate: ParsedCertificate, issuer: ParsedCertificate, verify_only: bool) -> bool:
    suite = _signing_suite(certificate)
    if suite is None or suite.id not in suites_for(issuer) or (suite.status == "verify-only" and not verify_only):
        return False
    try:
        return suite.verify(issuer.public_key_for(suite.id), certificate.tbs, certificate.signature)
    except KeyNotUsable:
        return False


def _signing_suite(certificate: ParsedCertificate) -> Suite | None:
    suite_id = SUITE_BY_SIGNATURE_OID.get(certificate.signature_oid)
    return get_suite(suite_id) if suite_id else None


def check_validity(certificate: ParsedCertificate, at: datetime) -> None:
    """:raises CertificateNotYetValid, CertificateExpired: if `at` lies outside the certificate's dates."""
    if at < certificate.valid_from:
        raise CertificateNotYetValid(
            f"证书 {certificate.serial_hex} 尚未生效。", valid_from=certificate.valid_from.isoformat()
        )
    if at > certificate.valid_to:
        raise CertificateExpired(f"证书 {certificate.serial_hex} 已过期。", valid_to=certificate.valid_to.isoformat())


def validate_chain(
    certificate: ParsedCertificate,
    ca_certificates: Iterable[ParsedCertificate],
    at: datetime,
    *,
    revocation: "RevocationSource | None" = None,
    purpose: Purpose = "signing",
) -> tuple[ParsedCertificate, ...]:
    """The path from a signing certificate up to a self-signed authority among `ca_certificates`, all valid at `at`.

    Without `revocation` that is the register's business (`seals.models.Certificate`). With it, every certificate below
    the root must be known good, or revoked later than `at`: for a signature with proof that it existed at `at`, give
    that instant; the freshness of the lists is counted from the source's own clock.

    :param purpose: "signing" a text, or "timestamping" (RFC 3161: extended key usage exactly that, and critical).
    :raises CertificateExpired, CertificateNotYetValid: for the certificate or an authority above it.
    :raises CertificateWrongUsage: if it may not sign, or an authority may not certify.
    :raises CertificateKeyNotSupported: if its key is no point of the curve it names.
    :raises CertificateUnknownIssuer: if no trusted authority bears the issuer's name.
    :raises CertificateSignatureInvalid: if one does, but did not sign it.
    :raises CertificateAlgorithmRefused: if it was signed with what no suite has, or with SHA-1 for a current key.
    :raises CertificateRevoked: with `revoked_at` and `reason`, if revoked at `at` or before.
    :raises RevocationUnknown: with `reason`, if the lists do not tell.
    """
    check_validity(certificate, at)
    _check_may_sign(certificate, purpose)
    try:
        _key = certificate.public_key  # a point off its curve is found here, not when a signature has to be judged
    except KeyNotUsable as error:
        raise CertificateKeyNotSupported(error.message, serial_hex=certificate.serial_hex) from error
    verify_only = get_suite(certificate.suite_id).status == "verify-only"
    path = _path_from((certificate,), tuple(ca_certificates), at, verify_only)
    if revocation is not None:
        for subject, issuer in pairwise(path):
            _refuse_revoked(subject, issuer, revocation, at)
    return path


def check_key_not_shared(certificate: ParsedCertificate, others: Iterable[ParsedCertificate]) -> None:
    """Two names for one key would let either disown a signature. A renewal under the same name may keep its key.

    :raises CertificateKeyShared: if another subject's certificate has the same public key.
    """
    for other in others:
        if other.spki == certificate.spki and other.subject_name != certificate.subject_name:
            raise CertificateKeyShared("同一公钥已有另一名称的证书。", serial_hex=other.serial_hex)


def _path_from(
    path: tuple[ParsedCertificate, ...], authorities: Sequence[ParsedCertificate], at: datetime, verify_only: bool
) -> tuple[ParsedCertificate, ...]:
    """The first complete path; if there is none, the refusal of the first candidate."""
    if len(path) > LONGEST_CHAIN:
        raise CertificateUnknownIssuer("证书链过长，未到达受信任的根。", serial_hex=path[0].serial_hex)
    refusals = []
    for issuer in _issuers_of(path[-1], authorities, verify_only):
        try:
            check_validity(issuer, at)
            _check_may_certify(issuer, below=len(path) - 1, verify_only=verify_only)
            return (*path, issuer) if issuer.self_issued else _path_from((*path, issuer), authorities, at, verify_only)
        except CertificateRefused as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _issuers_of(
    certificate: ParsedCertificate, authorities: Sequence[ParsedCertificate], verify_only: bool
) -> list[ParsedCertificate]:
    """Every authority that signed it. Authorities may share a name, and a key may be certified twice."""
    suite = _signing_suite(certificate)
    if suite is None or (suite.status == "verify-only" and not verify_only):
        raise CertificateAlgorithmRefused("证书的签名算法不被接受。", algorithm=certificate.signature_oid)
    namesakes = [authority for authority in authorities if authority.subject_name == certificate.issuer_name]
    if not namesakes:
        raise CertificateUnknownIssuer(f"签发者不受信任：{certificate.issuer}。", issuer=certificate.issuer)
    signers = [
        authority
        for authority in namesakes
        if verify_certificate_signature(certificate, authority, verify_only=verify_only)
    ]
    if not signers:
        raise CertificateSignatureInvalid("证书签名不是所称签发者所签。", issuer=certificate.issuer)
    return signers


def _check_may_sign(certificate: ParsedCertificate, purpose: Purpose) -> None:
    usage, extended = certificate.key_usage, certificate.extended_key_usage
    if certificate.is_authority or usage is None or DIGITAL_SIGNATURE not in usage:
        raise CertificateWrongUsage("该证书不是签名证书（密钥用途须含数字签名）。", serial_hex=certificate.serial_hex)
    if purpose == "timestamping":
        if extended != frozenset({TIME_STAMPING}) or _EXTENDED_KEY_USAGE not in certificate.critical_extensions:
            raise CertificateWrongUsage("该证书不是时间戳证书。", serial_hex=certificate.serial_hex)
        _refuse_unknown_critical(certificate, _KNOWN_WHEN_CRITICAL | {_EXTENDED_KEY_USAGE})
        return
    if extended is not None and TIME_STAMPING in extended:
        raise CertificateWrongUsage("时间戳证书不能用于签名。", serial_hex=certificate.serial_hex)
    _refuse_unknown_critical(certificate)


def _check_may_certify(authority: ParsedCertificate, *, below: int, verify_only: bool) -> None:
    """`below` counts the authorities between this one and the leaf."""
    usage = authority.key_usage
    if not authority.is_authority or usage is None or KEY_CERT_SIGN not in usage:
        raise CertificateWrongUsage("签发者证书无权签发证书。", serial_hex=authority.serial_hex)
    if authority.path_length is not None and below > authority.path_length:
        raise CertificateWrongUsage("证书链超过签发者允许的长度。", serial_hex=authority.serial_hex)
    if authority.self_issued and not verify_certificate_signature(authority, authority, verify_only=verify_only):
        raise CertificateSignatureInvalid("根证书自签名无效。", serial_hex=authority.serial_hex)
    _refuse_unknown_critical(authority)


def _refuse_unknown_critical(certificate: ParsedCertificate, known: frozenset[str] = _KNOWN_WHEN_CRITICAL) -> None:
    if not certificate.critical_extensions <= known:
        raise CertificateWrongUsage("证书含有不认识的关键扩展。", serial_hex=certificate.serial_hex)


def _refuse_revoked(
    certificate: ParsedCertificate, issuer: ParsedCertificate, revocation: "RevocationSource", at: datetime
) -> None:
    status = revocation.status(certificate, issuer)
    if status.state == "unknown":
        raise RevocationUnknown(
            f"无法确定证书 {certificate.serial_hex} 是否已吊销（{status.reason}）。",
            serial_hex=certificate.serial_hex,
            reason=status.reason,
        )
    if status.revoked_at is not None and status.revoked_at <= at:
        raise CertificateRevoked(
            f"证书 {certificate.serial_hex} 已于 {status.revoked_at:%Y-%m-%d %H:%M:%S} (UTC) 吊销。",
            serial_hex=certificate.serial_hex,
            revoked_at=status.revoked_at.isoformat(),
            reason=status.reason,
        )


__all__ = [
    "CertificateRefused",
    "Issuer",
    "ParsedCertificate",
    "canonical_serial",
    "check_key_not_shared",
    "check_validity",
    "parse_certificate",
    "suites_for",
    "validate_chain",
    "verify_certificate_signature",
]
