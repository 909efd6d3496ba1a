"""The demonstration PKI, made at the first start: a root authority per suite and a signing key per organisation.

Never for production, where certificates come from a licensed authority. Certificates are built here in DER, because
`cryptography` cannot sign with SM2; both suites go the same way.
"""

import hashlib
import os
import re
import secrets
from base64 import encodebytes
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from seals import der
from seals.certificates import DIGITAL_SIGNATURE, KEY_CERT_SIGN, ParsedCertificate, parse_certificate
from seals.errors import KeyNotUsable
from seals.suites import SUITE_IDS, PrivateKeyHandle, get_suite

AUTHORITIES = "ca"  # the folder beside those of the organisations; below it one folder per suite
KEY_FILE, CERTIFICATE_FILE = "key.pem", "cert.pem"

_NON_REPUDIATION, _CRL_SIGN = 1, 6
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class OrganisationSpec:
    """Who gets a key: its code (also its folder's name), its name as the certificate shows it, and its suite."""

    code: str
    name: str
    suite_id: str


@dataclass(frozen=True)
class Issuer:
    """What signs a certificate: its name (DER), its public key (DER) and its private key."""

    name: bytes
    spki: bytes
    key: PrivateKeyHandle


def make_demo_pki(
    directory: Path, organisations: Sequence[OrganisationSpec], not_before: datetime, not_after: datetime
) -> None:
    """Make `ca/<suite>/` and `<code>/` below `directory`, each with key.pem (PKCS#8, mode 0600) and cert.pem.

    What exists is kept, so it may run at every start. A folder holds one organisation's key only, so that a simulator
    can be given its own and nothing else.

    :raises KeyNotUsable: if a kept key is of another suite than asked for.
    :raises ValueError: for a code that cannot be a folder name.
    """
    for spec in organisations:
        if not _CODE.fullmatch(spec.code) or spec.code == AUTHORITIES:
            raise ValueError(f"{spec.code!r} cannot be the folder of an organisation")
    issuers = {
        suite_id: _authority(directory / AUTHORITIES / suite_id, suite_id, not_before, not_after)
        for suite_id in SUITE_IDS
    }
    for spec in organisations:
        _organisation(directory / spec.code, spec, issuers[spec.suite_id], not_before, not_after)


def authority_certificates(directory: Path) -> list[ParsedCertificate]:
    """The root certificates of a demo PKI."""
    return [
        parse_certificate(path.read_bytes()) for path in sorted((directory / AUTHORITIES).glob(f"*/{CERTIFICATE_FILE}"))
    ]


def _authority(folder: Path, suite_id: str, not_before: datetime, not_after: datetime) -> Issuer:
    key = _key(folder, suite_id)
    issuer = Issuer(_name("Guoku demo", f"Guoku demo root {suite_id}"), key.spki, key)
    if not (folder / CERTIFICATE_FILE).exists():
        extensions = _extensions(key.spki, issuer, {KEY_CERT_SIGN, _CRL_SIGN}, authority=True)
        certificate = build_certificate(issuer, issuer.name, key.spki, not_before, not_after, extensions)
        _write(folder / CERTIFICATE_FILE, _pem(certificate), mode=0o644)
    return issuer


def _organisation(
    folder: Path, spec: OrganisationSpec, issuer: Issuer, not_before: datetime, not_after: datetime
) -> None:
    key = _key(folder, spec.suite_id)
    if not (folder / CERTIFICATE_FILE).exists():
        extensions = _extensions(key.spki, issuer, {DIGITAL_SIGNATURE, _NON_REPUDIATION}, authority=False)
        subject = _name("Guoku demo", spec.name, unit=spec.code)
        certificate = build_certificate(issuer, subject, key.spki, not_before, not_after, extensions)
        _write(folder / CERTIFICATE_FILE, _pem(certificate), mode=0o644)


def _key(folder: Path, suite_id: str) -> PrivateKeyHandle:
    suite, path = get_suite(suite_id), folder / KEY_FILE
    if path.exists():
        try:
            return suite.load_private_key(path.read_bytes())
        except KeyNotUsable as error:
            raise KeyNotUsable(f"{path} 已有的私钥不属于 {suite_id}。", suite=suite_id) from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = suite.generate_private_key()
    _write(path, suite.private_key_pem(key), mode=0o600)
    return key


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


def _extensions(spki: bytes, issuer: Issuer, usage: set[int], *, authority: bool) -> bytes:
    """basicConstraints, keyUsage (both critical) and the two key identifiers. Source: RFC 5280 §4.2.1, GB/T 20518."""
    constraints = der.write(der.BOOLEAN, b"\xff") + der.integer(0) if authority else b""
    bits = sum(0x80 >> bit for bit in usage)
    unused = 7 - max(usage)
    return der.write(
        der.SEQUENCE,
        _extension("2.5.29.19", der.write(der.SEQUENCE, constraints), critical=True),
        _extension("2.5.29.15", der.write(der.BIT_STRING, bytes([unused, bits])), critical=True),
        _extension("2.5.29.14", der.write(der.OCTET_STRING, _key_identifier(spki))),
        _extension("2.5.29.35", der.write(der.SEQUENCE, der.write(0x80, _key_identifier(issuer.spki)))),
    )


def _extension(name: str, value: bytes, *, critical: bool = False) -> bytes:
    flag = der.write(der.BOOLEAN, b"\xff") if critical else b""
    return der.write(der.SEQUENCE, der.oid(name), flag, der.write(der.OCTET_STRING, value))


def _key_identifier(spki: bytes) -> bytes:
    return hashlib.sha256(spki).digest()[:20]  # RFC 7093 §2: any digest of the key will do


def _pem(certificate: bytes) -> bytes:
    lines = encodebytes(certificate).replace(b"\n", b"")
    body = b"\n".join(lines[start : start + 64] for start in range(0, len(lines), 64))
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----\n"
