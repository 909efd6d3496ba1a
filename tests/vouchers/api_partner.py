"""A partner at our door: requests with real signatures, answers whose signature is checked before they are believed."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.test import Client
from django.utils import timezone

from core.actors import system_actor
from demo import world
from seals.certificates import parse_certificate
from seals.httpsig import sign_request, verify_response
from seals.signing import Warrant
from seals.suites import get_suite
from tests.bank import Partner
from tests.conftest import NOW
from tests.vouchers.example_contents import example
from vouchers.codec import encode_envelope
from vouchers.messages import EnvelopeBody
from vouchers.models import Voucher
from vouchers.sealing import seal_at_once
from vouchers.services import Draft, generate_vouchers

VOUCHERS = "/api/v1/vouchers/"
XML = "application/xml; charset=GBK"
JSON = "application/json"


@dataclass
class Reply:
    """An answer: `signed` is None if it carries no signature, else whether ours holds for exactly these bytes."""

    status: int
    json: Any
    headers: dict[str, str]
    signed: bool | None = field(default=None)

    @property
    def code(self) -> str:
        return str(self.json["code"])


class ApiPartner(Partner):
    """One organisation calling the API over Django's test client."""

    def __init__(self, pki: Path, organisation: str) -> None:
        super().__init__(pki, organisation)
        self._pki = pki
        self.client = Client(raise_request_exception=False)

    def get(self, path: str = VOUCHERS, query: str = "") -> Reply:
        return self.call("GET", path, query)

    def post_json(self, path: str, payload: Any, **more: Any) -> Reply:
        return self.call("POST", path, body=json.dumps(payload).encode(), content_type=JSON, **more)

    def post(self, *bodies: EnvelopeBody, key: str | None = "new", **more: Any) -> Reply:
        return self.post_raw(encode_envelope(bodies), key=key, **more)

    def post_raw(self, raw: bytes, *, key: str | None = "new", content_type: str = XML, **more: Any) -> Reply:
        key = secrets.token_hex(8) if key == "new" else key
        return self.call("POST", VOUCHERS, body=raw, content_type=content_type, key=key, **more)

    def call(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        body: bytes = b"",
        nonce: str | None = None,
        sent_body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **signing: Any,
    ) -> Reply:
        """Sign and send. `sent_body` and `headers` alter what was signed on its way."""
        nonce = nonce or secrets.token_hex(12)
        signed = self.signed_headers(method, path, query, body, nonce, **signing) | (headers or {})
        return self.send_signed(method, path, query, body if sent_body is None else sent_body, signed, nonce)

    def signed_headers(
        self,
        method: str,
        path: str,
        query: str,
        body: bytes,
        nonce: str,
        *,
        content_type: str = "",
        key: str | None = None,
        age: int = 0,
    ) -> dict[str, str]:
        """The headers of one request; `age` dates its signature back (seconds)."""
        return sign_request(
            method,
            path,
            query,
            body,
            content_type,
            key_id=f"{self.organisation}:{self.certificate.serial_hex}",
            suite=self.suite,
            sign=partial(self.suite.sign, self.key),
            created=int(timezone.now().timestamp()) - age,
            nonce=nonce,
            idempotency_key=key,
        )

    def send_signed(
        self, method: str, path: str, query: str, body: bytes, headers: dict[str, str], nonce: str = ""
    ) -> Reply:
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        content_type = environ.pop("HTTP_CONTENT_TYPE", "")
        if "HTTP_CONTENT_LENGTH" in environ:
            environ["CONTENT_LENGTH"] = environ.pop("HTTP_CONTENT_LENGTH")
        answer = self.client.generic(method, path, body, content_type, QUERY_STRING=query, **environ)
        reply = Reply(answer.status_code, json.loads(answer.content or b"null"), dict(answer.headers))
        if "Signature" in answer.headers:
            finance = parse_certificate((self._pki / world.FINANCE / "cert.pem").read_bytes())
            verify_response(
                answer.status_code,
                answer.content,
                dict(answer.headers),
                nonce,
                public_key=finance.public_key,
                suite=get_suite(finance.suite_id),
                now=timezone.now(),
                key_id=f"{world.FINANCE}:{finance.serial_hex}",
            )
            reply.signed = True
        return reply


def sealed_vouchers(count: int, *, receiver: str = world.BANK_A, kind: str = "8202") -> list[Voucher]:
    """Vouchers in the outbox with real bytes and seals, without a business document behind them."""
    content = example(kind)
    draft = Draft(
        voucher_type=kind,
        adm_div_code=world.REGION,
        fiscal_year=world.YEAR,
        voucher_date=date(2026, 6, 15),
        sender="UNIT-101001",
        receiver=receiver,
        amount=Decimal("200.00"),
        main={tag: value for tag, value in content.main.items() if tag != "Id"},
        details=tuple(dict(detail) for detail in content.details),
        document_type="tests.Nothing",
        document_id=uuid4(),
    )
    vouchers = generate_vouchers([draft] * count, by=system_actor("制单"), now=NOW)
    seal_at_once(vouchers, by=system_actor("签章"), warrant=Warrant(None), now=NOW)
    return vouchers


def identity(voucher: Voucher, **more: str) -> dict[str, Any]:
    names = ("adm_div_code", "fiscal_year", "voucher_type", "voucher_no")
    return {name: getattr(voucher, name) for name in names} | more


def outcomes(reply: Reply) -> Sequence[str]:
    return [item["outcome"] for item in reply.json["results"]]
