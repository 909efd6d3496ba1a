"""Officers of the tests: an authority of their own, tokens, and statements over invented documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.digests import sm3_hex
from seals import der
from seals.certificates import Issuer, ParsedCertificate, parse_certificate
from seals.pki import build_certificate, parse_csr
from seals.statements import Item, Statement, build_statement, item_text, statement_text
from seals.suites import get_suite
from ukey_agent.software import SoftwareToken
from ukey_agent.tokens import FileToken

SITE = "http://127.0.0.1:8000"
PIN = "280614"
SIGNING, CERTIFYING, ENCIPHERING = b"\x06\xc0", b"\x02\x04", b"\x04\x30"  # keyUsage: unused bits, bits


class Authority:
    """Issues certificates for requests: the test's stand-in for the enrolment service."""

    def __init__(self) -> None:
        self.key = get_suite("sm2-sm3").generate_private_key()
        self.name = name("测试证书机构")

    def certify(
        self,
        csr: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        usage: bytes = SIGNING,
        authority: bool = False,
    ) -> str:
        """A certificate (PEM) for the key of the request, whose own signature must hold."""
        start = start or datetime.now(UTC) - timedelta(days=1)
        basic = der.write(der.SEQUENCE, der.write(der.BOOLEAN, b"\xff") if authority else b"")
        extensions = der.write(
            der.SEQUENCE,
            _extension("2.5.29.19", basic),
            _extension("2.5.29.15", der.write(der.BIT_STRING, usage)),
        )
        spki = parse_csr(csr.encode()).spki
        issuer = Issuer(self.name, self.key.spki, self.key)
        made = build_certificate(
            issuer, name("测试办理人"), spki, start, end or start + timedelta(days=700), extensions
        )
        return parse_certificate(made).pem


def name(common_name: str) -> bytes:
    part = der.write(der.SEQUENCE, der.oid("2.5.4.3"), der.write(der.UTF8_STRING, common_name.encode()))
    return der.write(der.SEQUENCE, der.write(der.SET, part))


def _extension(kind: str, value: bytes) -> bytes:
    return der.write(der.SEQUENCE, der.oid(kind), der.write(der.BOOLEAN, b"\xff"), der.write(der.OCTET_STRING, value))


@dataclass
class Officer:
    """A person with a token and the certificate on it."""

    token: FileToken
    pin: str
    holder: str

    @property
    def certificate(self) -> ParsedCertificate:
        return self.token.certificate()

    @property
    def serial(self) -> str:
        return self.certificate.serial_hex

    def verify(self, data: bytes, signature: bytes) -> bool:
        certificate = self.certificate
        return get_suite(certificate.suite_id).verify(certificate.public_key, data, signature)


def with_software_token(
    folder: Path, authority: Authority, label: str, holder: str, suite_id: str = "sm2-sm3", **certificate: Any
) -> Officer:
    token, csr = SoftwareToken.create(folder, label, holder, PIN, suite_id)
    token.install_certificate(authority.certify(csr, **certificate))
    return Officer(token, PIN, holder)


def item(number: int = 1, **changed: Any) -> Item:
    """Document `number`, of `number` hundred yuan and one fen."""
    fields: dict[str, Any] = {
        "amount": f"{number}00.01",
        "digest": sm3_hex(f"document {number}".encode()),
        "document_id": f"0197a0b0-0000-7000-8000-{number:012d}",
        "document_no": f"ZF2026{number:06d}",
        "former": "",
        "payee": f"临江市第{number}供水有限公司",
        "revision": 1,
    }
    return Item(**fields | changed)


def statement(items: Sequence[Item], *, certificate_sm3: str = "c" * 64, at: datetime, **changed: Any) -> Statement:
    fields: dict[str, Any] = {
        "action": "approve",
        "adm_div_code": "990100000",
        "certificate_sm3": certificate_sm3,
        "issued_at": at,
        "nonce": "0123456789abcdef0123456789abcdef",
        "officer": "王知远",
        "origin": SITE,
        "person_id": "P-0007",
        "post": "payment_reviewer",
        "items": items,
    }
    return build_statement(**fields | changed)


def order(officer: Officer, items: Sequence[Item], *, at: datetime, **changed: Any) -> dict[str, Any]:
    """What our site's page hands to the agent: a statement for this officer's certificate, and its items."""
    made = statement(items, certificate_sm3=sm3_hex(officer.certificate.der), at=at, **changed)
    return {
        "statement": statement_text(made),
        "items": [item_text(one) for one in items],
        "certificate_serial": officer.serial,
        "origin": SITE,
    }
