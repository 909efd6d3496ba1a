"""The demonstration PKI, made at the first start: authorities per suite, and a signing key per organisation.

Never for production, where certificates come from a licensed authority. Certificates are built here in DER, because
`cryptography` cannot sign with SM2; all suites go the same way. Below each root stands a sub-authority that issues to
organisations, officers, the seal maker and the time-stamp service, as licensed authorities do.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from cryptography import x509

from seals import der
from seals.certificates import (
    CRL_SIGN,
    DATA_ENCIPHERMENT,
    DIGITAL_SIGNATURE,
    KEY_AGREEMENT,
    KEY_CERT_SIGN,
    KEY_ENCIPHERMENT,
    NON_REPUDIATION,
    TIME_STAMPING,
    Issuer,
    ParsedCertificate,
    algorithm_oid,
    parse_certificate,
    suite_of_key,
)
from seals.errors import CertificateKeyNotSupported, CsrRefused, KeyNotUsable
from seals.revocation import ParsedCrl, RevokedEntry, build_crl, parse_crl
from seals.suites import SIGNING_SUITE_IDS, PrivateKeyHandle, get_suite

AUTHORITIES = "ca"  # the folder beside those of the organisations; below it one folder per suite
SUB_AUTHORITY = "sub"  # inside a suite's folder: who issues to organisations and officers
TIMESTAMP_SERVICE, SEAL_MAKER = "tsa", "maker-"  # the folders of services; a maker per suite
BAD = "bad"  # certificates for tests that must be refused
KEY_FILE, CERTIFICATE_FILE, LIST_FILE = "key.pem", "cert.pem", "crl.der"
LONGEST_CSR = 16 * 1024

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DEMO = "Guoku demo"


class Usage(Enum):
    """What a certificate is for, as bits of keyUsage. UKeys hold two: one to sign, one to decrypt. GB/T 20518."""

    SIGNING = frozenset({DIGITAL_SIGNATURE, NON_REPUDIATION})
    ENCRYPTION = frozenset({KEY_ENCIPHERMENT, DATA_ENCIPHERMENT, KEY_AGREEMENT})
    TIMESTAMP = frozenset({DIGITAL_SIGNATURE})
    AUTHORITY = frozenset({KEY_CERT_SIGN, CRL_SIGN})


@dataclass(frozen=True)
class OrganisationSpec:
    """Who gets a key: its code (also its folder's name), its name as the certificate shows it, and its suite."""

    code: str
    name: str
    suite_id: str


@dataclass(frozen=True)
class Csr:
    """A certificate request whose maker has shown to hold the private key. The subject is a wish, nothing more."""

    spki: bytes
    subject: str  # RFC 4514
    suite_id: str


@dataclass(frozen=True)
class _Maker:
    """What one run of `make_demo_pki` is asked for."""

    not_before: datetime
    not_after: datetime
    password: bytes | None


def make_demo_pki(
    directory: Path,
    organisations: Sequence[OrganisationSpec],
    not_before: datetime,
    not_after: datetime,
    *,
    password: bytes | None = None,
    services: bool = False,
) -> None:
    """Make `ca/<suite>/`, `ca/<suite>/sub/` and `<code>/` below `directory`, each with key.pem and cert.pem.

    Keys are PKCS#8, mode 0600, encrypted if a password is given; authorities also have crl.der. What exists is kept,
    but a plain key is encrypted once there is a password, so it may run at every start. A folder holds one
    organisation's key only, so that a simulator can be given its own and nothing else.

    :param services: also make `maker-<suite>/` (seal makers) and `tsa/` (time-stamps, P-256).
    :raises KeyNotUsable: if a kept key is of another suite than asked for, or the password does not open it.
    :raises ValueError: for a code that cannot be a folder name.
    """
    for spec in organisations:
        if not _CODE.fullmatch(spec.code) or not is_organisation_folder(spec.code):
            raise ValueError(f"{spec.code!r} cannot be the folder of an organisation")
    maker = _Maker(not_before, not_after, password)
    issuers = {suite_id: _authorities(directory / AUTHORITIES, suite_id, maker) for suite_id in SIGNING_SUITE_IDS}
    for spec in organisations:
        _holder(directory / spec.code, issuers[spec.suite_id], spec.name, spec.code, Usage.SIGNING, maker)
    if services:
        for suite_id, issuer in issuers.items():
            _holder(directory / f"{SEAL_MAKER}{suite_id}", issuer, "电子印章制章人", "SEAL-MAKER", Usage.SIGNING, maker)
        stamping = issuers["ecdsa-p256-sha256"]
        _holder(directory / TIMESTAMP_SERVICE, stamping, "时间戳服务", "TSA", Usage.TIMESTAMP, maker)


def is_organisation_folder(name: str) -> bool:
    """Whether a folder of the demo PKI is an organisation's, and not one of authorities, services or bad examples."""
    return name not in (AUTHORITIES, TIMESTAMP_SERVICE, BAD) and not name.startswith(SEAL_MAKER)


def authority_certificates(directory: Path) -> list[ParsedCertificate]:
    """The roots and sub-authorities of a demo PKI."""
    folders = directory / AUTHORITIES
    paths = [*folders.glob(f"*/{CERTIFICATE_FILE}"), *folders.glob(f"*/{SUB_AUTHORITY}/{CERTIFICATE_FILE}")]
    return [parse_certificate(path.read_bytes()) for path in sorted(paths)]


def revocation_lists(directory: Path) -> list[ParsedCrl]:
    """The current revocation lists of a demo PKI's roots and sub-authorities."""
    return [parse_crl(path.read_bytes()) for path in sorted((directory / AUTHORITIES).glob(f"**/{LIST_FILE}"))]


def load_issuer(directory: Path, suite_id: str, password: bytes | None = None) -> Issuer:
    """The sub-authority that issues certificates of a suite. For the service that enrols officers, and for tests.

    :raises KeyNotUsable: if the password is wrong.
    :raises OSError: if the demo PKI has none.
    """
    folder = directory / AUTHORITIES / suite_id / SUB_AUTHORITY
    certificate = parse_certificate((folder / CERTIFICATE_FILE).read_bytes())
    return Issuer(certificate.subject_name, certificate.spki, _open(folder / KEY_FILE, suite_id, password))


def issue_certificate(
    issuer: Issuer,
    *,
    subject_common_name: str,
    unit: str,
    spki: bytes,
    not_before: datetime,
    not_after: datetime,
    usage: Usage = Usage.SIGNING,
) -> bytes:
    """An end-entity certificate in DER. The caller has checked who asks, and that they hold the key (`parse_csr`).

    :param unit: the code of the person or organisation, shown as OU.
    """
    subject = _name(_DEMO, subject_common_name, unit=unit)
    extended = [_time_stamping()] if usage is Usage.TIMESTAMP else []
    extensions = _extensions(spki, issuer, usage.value, authority=False, further=extended)
    return build_certificate(issuer, subject, spki, not_before, not_after, extensions)


def publish_crl(
    directory: Path,
    suite_id: str,
    *,
    revoked: Iterable[RevokedEntry],
    this_update: datetime,
    next_update: datetime,
    password: bytes | None = None,
) -> ParsedCrl:
    """Put the next list of a suite's sub-authority in place: the former entries, the new ones, the next number."""
    path = directory / AUTHORITIES / suite_id / SUB_AUTHORITY / LIST_FILE
    former = parse_crl(path.read_bytes())
    entries = {entry.serial_hex: entry for entry in revoked} | dict(former.entries)  # the first revocation stands
    crl = build_crl(
        load_issuer(directory, suite_id, password),
        number=(former.number or 0) + 1,
        this_update=this_update,
        next_update=next_update,
        revoked=entries.values(),
    )
    _write(path, crl, mode=0o644)
    return parse_crl(crl)


def build_csr(private_key: PrivateKeyHandle, common_name: str, *, unit: str = "") -> bytes:
    """A PKCS#10 request in PEM, signed with the key it asks a certificate for. Source: RFC 2986."""
    suite = get_suite(private_key.suite_id)
    info = der.write(
        der.SEQUENCE, der.integer(0), _name(_DEMO, common_name, unit=unit), private_key.spki, der.write(0xA0)
    )
    algorithm = der.write(der.SEQUENCE, der.oid(suite.signature_oid))
    signature = der.write(der.BIT_STRING, b"\0", suite.sign(private_key, info))
    return der.pem("CERTIFICATE REQUEST", der.write(der.SEQUENCE, info, algorithm, signature))


def parse_csr(data: bytes) -> Csr:
    """Read a PKCS#10 request, PEM or DER, and check by its signature that its maker holds the key.

    Extensions it asks for are not read: what a certificate is for, the authority decides.

    :raises CsrRefused: if it is malformed, for a key no current suite uses, or the signature does not hold.
    """
    try:
        if len(data) > LONGEST_CSR:
            raise ValueError("too long")
        encoded = der.from_pem("CERTIFICATE REQUEST", bytes(data))
        outer, rest = der.read(encoded)
        info, algorithm, signature = der.read_all(outer.value)
        _version, _subject, spki, *_attributes = der.read_all(info.value)
        subject = x509.load_der_x509_csr(encoded).subject.rfc4514_string()
        if rest or signature.tag != der.BIT_STRING or signature.value[:1] != b"\0":
            raise ValueError("not one signed request")
        suite = get_suite(suite_of_key(spki.raw))
        public_key, oid = suite.load_public_key(spki.raw), algorithm_oid(algorithm)
    except (ValueError, CertificateKeyNotSupported, KeyNotUsable) as error:
        raise CsrRefused("证书申请格式不正确，或公钥不被支持。", field="csr") from error
    if suite.status != "current" or oid != suite.signature_oid:
        raise CsrRefused("证书申请的算法不被接受。", field="csr", suite=suite.id)
    if not suite.verify(public_key, info.raw, signature.value[1:]):
        raise CsrRefused("证书申请的签名无效，不能证明申请人持有私钥。", field="csr", suite=suite.id)
    return Csr(spki.raw, subject, suite.id)


def make_bad_certificates(
    directory: Path, suite_id: str = "sm2-sm3", password: bytes | None = None
) -> dict[str, ParsedCertificate]:
    """Certificates that must be refused, below `bad/<suite>/<name>/` with their keys, for tests and demonstrations.

    Issued by the sub-authority of a demo PKI. At any instant from the second to the last but one day of the
    authority's validity, `expired` is over and `not-yet-valid` has not begun; `revoked` has been revoked one day after
    the authority began, and stands on its list. `namesake` was issued by an impostor that took the authority's name,
    whose own certificate is `namesake-authority`.
    """
    issuer = load_issuer(directory, suite_id, password)
    authority = parse_certificate((directory / AUTHORITIES / suite_id / SUB_AUTHORITY / CERTIFICATE_FILE).read_bytes())
    start, end, day = authority.valid_from, authority.valid_to, timedelta(days=1)
    suite = get_suite(suite_id)
    impostor_key = suite.generate_private_key()
    impostor = Issuer(issuer.name, impostor_key.spki, impostor_key)
    signing, authority_usage = Usage.SIGNING.value, Usage.AUTHORITY.value
    unknown = [der.extension("1.2.156.10197.9.9", der.write(der.NULL), critical=True)]
    # name: issuer, key usage, an authority?, further extensions, first and last instant
    wanted = {
        "expired": (issuer, signing, False, [], start, start + day - timedelta(seconds=1)),
        "not-yet-valid": (issuer, signing, False, [], end - day + timedelta(seconds=1), end),
        "revoked": (issuer, signing, False, [], start, end),
        "wrong-usage": (issuer, {KEY_ENCIPHERMENT}, False, [], start, end),
        "authority-as-leaf": (issuer, authority_usage, True, [], start, end),
        "unknown-critical": (issuer, signing, False, unknown, start, end),
        "namesake": (impostor, signing, False, [], start, end),
    }
    made = {}
    for name, (by, usage, is_authority, further, first, last) in wanted.items():
        key = suite.generate_private_key()
        extensions = _extensions(key.spki, by, usage, authority=is_authority, further=further)
        encoded = build_certificate(by, _name(_DEMO, name, unit="BAD"), key.spki, first, last, extensions)
        made[name] = _keep_bad(directory / BAD / suite_id / name, encoded, key, password)
    extensions = _extensions(impostor.spki, impostor, authority_usage, authority=True)
    encoded = build_certificate(impostor, impostor.name, impostor.spki, start, end, extensions)
    made["namesake-authority"] = _keep_bad(
        directory / BAD / suite_id / "namesake-authority", encoded, impostor_key, password
    )
    publish_crl(
        directory,
        suite_id,
        revoked=[RevokedEntry(made["revoked"].serial_hex, start + day, "keyCompromise")],
        this_update=start + day,
        next_update=end,
        password=password,
    )
    return made


def _keep_bad(folder: Path, encoded: bytes, key: PrivateKeyHandle, password: bytes | None) -> ParsedCertificate:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / KEY_FILE, get_suite(key.suite_id).private_key_pem(key, password), mode=0o600)
    _write(folder / CERTIFICATE_FILE, der.pem("CERTIFICATE", encoded), mode=0o644)
    return parse_certificate(encoded)


def _authorities(folder: Path, suite_id: str, maker: _Maker) -> Issuer:
    """The root and the sub-authority of a suite, each with its list; returned is the one that issues."""
    root_key = _key(folder / suite_id, suite_id, maker.password)
    root = Issuer(_name(_DEMO, f"Guoku demo root {suite_id}"), root_key.spki, root_key)
    _authority(folder / suite_id, root, root, maker, path_length=1)
    sub_key = _key(folder / suite_id / SUB_AUTHORITY, suite_id, maker.password)
    sub = Issuer(_name(_DEMO, f"Guoku demo CA {suite_id}"), sub_key.spki, sub_key)
    _authority(folder / suite_id / SUB_AUTHORITY, sub, root, maker, path_length=0)
    return sub


def _authority(folder: Path, holder: Issuer, issuer: Issuer, maker: _Maker, *, path_length: int) -> None:
    path = folder / CERTIFICATE_FILE
    # Roots of earlier versions allowed no authority below them: their certificate is made anew for the same key, so
    # that what they issued still leads up to them.
    if not path.exists() or parse_certificate(path.read_bytes()).path_length != path_length:
        extensions = _extensions(holder.spki, issuer, Usage.AUTHORITY.value, authority=True, path_length=path_length)
        certificate = build_certificate(issuer, holder.name, holder.spki, maker.not_before, maker.not_after, extensions)
        _write(path, der.pem("CERTIFICATE", certificate), mode=0o644)
    if not (folder / LIST_FILE).exists():
        crl = build_crl(holder, number=1, this_update=maker.not_before, next_update=maker.not_after)
        _write(folder / LIST_FILE, crl, mode=0o644)


def _holder(folder: Path, issuer: Issuer, name: str, unit: str, usage: Usage, maker: _Maker) -> None:
    key = _key(folder, issuer.key.suite_id, maker.password)
    if not (folder / CERTIFICATE_FILE).exists():
        certificate = issue_certificate(
            issuer,
            subject_common_name=name,
            unit=unit,
            spki=key.spki,
            not_before=maker.not_before,
            not_after=maker.not_after,
            usage=usage,
        )
        _write(folder / CERTIFICATE_FILE, der.pem("CERTIFICATE", certificate), mode=0o644)


def _key(folder: Path, suite_id: str, password: bytes | None) -> PrivateKeyHandle:
    suite, path = get_suite(suite_id), folder / KEY_FILE
    if path.exists():
        key = _open(path, suite_id, password)
        if not password or _is_encrypted(path.read_bytes()):
            return key
    else:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = suite.generate_private_key()
    _write(path, suite.private_key_pem(key, password), mode=0o600)
    return key


def _open(path: Path, suite_id: str, password: bytes | None) -> PrivateKeyHandle:
    pem = path.read_bytes()
    try:
        return get_suite(suite_id).load_private_key(pem, password if _is_encrypted(pem) else None)
    except KeyNotUsable as error:
        raise KeyNotUsable(f"{path} 已有的私钥不属于 {suite_id}，或口令不对。", suite=suite_id) from error


def _is_encrypted(pem: bytes) -> bool:
    return b"ENCRYPTED" in pem


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Whole or not at all, and never readable by others in between: a start may be killed at any moment."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    draft.replace(path)


def build_certificate(
    issuer: Issuer, subject: bytes, spki: bytes, not_before: datetime, not_after: datetime, extensions: bytes
) -> bytes:
    """A version 3 certificate in DER with a random serial of 16 bytes, signed with the issuer's suite."""
    suite = get_suite(issuer.key.suite_id)
    algorithm = der.write(der.SEQUENCE, der.oid(suite.signature_oid))  # no parameters, as RFC 8998 and RFC 5758 ask
    serial = (1 << 126) | secrets.randbits(126)
    tbs = der.write(
        der.SEQUENCE,
        der.write(0xA0, der.integer(2)),
        der.integer(serial),
        algorithm,
        issuer.name,
        der.write(der.SEQUENCE, der.time(not_before), der.time(not_after)),
        subject,
        spki,
        der.write(0xA3, extensions),
    )
    signature = suite.sign(issuer.key, tbs)
    return der.write(der.SEQUENCE, tbs, algorithm, der.write(der.BIT_STRING, b"\0", signature))


def _name(organisation: str, common_name: str, *, unit: str = "") -> bytes:
    parts = [("2.5.4.6", der.PRINTABLE_STRING, "CN"), ("2.5.4.10", der.UTF8_STRING, organisation)]
    if unit:
        parts.append(("2.5.4.11", der.UTF8_STRING, unit))
    parts.append(("2.5.4.3", der.UTF8_STRING, common_name))
    return der.write(
        der.SEQUENCE,
        *(
            der.write(der.SET, der.write(der.SEQUENCE, der.oid(kind), der.write(tag, text.encode())))
            for kind, tag, text in parts
        ),
    )


def _extensions(
    spki: bytes,
    issuer: Issuer,
    usage: Collection[int],
    *,
    authority: bool,
    path_length: int = 0,
    further: Sequence[bytes] = (),
) -> bytes:
    """basicConstraints, keyUsage (both critical) and the two key identifiers. Source: RFC 5280 §4.2.1, GB/T 20518."""
    constraints = der.write(der.BOOLEAN, b"\xff") + der.integer(path_length) if authority else b""
    bits = sum(0x80 >> bit for bit in usage)
    unused = 7 - max(usage)
    return der.write(
        der.SEQUENCE,
        der.extension("2.5.29.19", der.write(der.SEQUENCE, constraints), critical=True),
        der.extension("2.5.29.15", der.write(der.BIT_STRING, bytes([unused, bits])), critical=True),
        der.extension("2.5.29.14", der.write(der.OCTET_STRING, _key_identifier(spki))),
        der.extension("2.5.29.35", der.write(der.SEQUENCE, der.write(0x80, _key_identifier(issuer.spki)))),
        *further,
    )


def _time_stamping() -> bytes:
    return der.extension("2.5.29.37", der.write(der.SEQUENCE, der.oid(TIME_STAMPING)), critical=True)


def _key_identifier(spki: bytes) -> bytes:
    return hashlib.sha256(spki).digest()[:20]  # RFC 7093 §2: any digest of the key will do
