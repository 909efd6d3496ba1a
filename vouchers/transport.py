"""The wire: signed HTTP to a partner. No transaction is open and no row is locked while this runs.

Three outcomes: an authenticated answer; NotSent, when nothing can have left this machine; and ExchangeUnknown for
everything else — a time-out, a reset, a 5xx, garbage, a bad signature: the partner may or may not have acted.
"""

import base64
import json
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
from django.conf import settings

from parties.models import Region
from seals.errors import MessageSignatureError
from seals.httpsig import sign_request, verify_response
from seals.keystore import private_key_for
from seals.message_keys import message_key
from seals.suites import get_suite
from vouchers.codec import encode_envelope
from vouchers.messages import EnvelopeBody, SignatureMark
from vouchers.models import ExchangePartner, Voucher

_local = threading.local()


class NotSent(Exception):
    """No connection came about: the bytes have not left."""


class ExchangeUnknown(Exception):
    """We do not know whether the partner has acted; only a query or a sealed document can tell."""


@dataclass(frozen=True)
class PartnerAnswer:
    """What a partner says of one voucher; `receipt` is a stored envelope with its receipt, if it has one."""

    outcome: str
    digest: str | None
    reason: str = ""
    status: int | None = None
    receipt: bytes | None = None


def body_of(voucher: Voucher) -> EnvelopeBody:
    """Return the voucher as it stands in an envelope: the stored bytes and the stored signature."""
    return EnvelopeBody(
        adm_div_code=voucher.adm_div_code,
        fiscal_year=voucher.fiscal_year,
        voucher_type=voucher.voucher_type,
        voucher_no=voucher.voucher_no,
        flag=0,
        return_reason="",
        attach="",
        text=bytes(voucher.text),
        signatures=(SignatureMark(voucher.position, voucher.signature_serial, voucher.signature),),
    )


def identity_of(voucher: Voucher) -> dict[str, Any]:
    return {
        "adm_div_code": voucher.adm_div_code,
        "fiscal_year": voucher.fiscal_year,
        "voucher_type": voucher.voucher_type,
        "voucher_no": voucher.voucher_no,
    }


def post_vouchers(partner: ExchangePartner, vouchers: Sequence[Voucher], now: datetime) -> list[PartnerAnswer | None]:
    """Send up to 100 vouchers in one envelope; the answer for each, None where the partner gave none.

    :raises NotSent: nothing left. :raises ExchangeUnknown: anything may have happened.
    """
    body = encode_envelope([body_of(voucher) for voucher in vouchers])
    results = _call(partner, "/vouchers", body, "application/xml; charset=GBK", now)
    return _matched(vouchers, results)


def query_vouchers(partner: ExchangePartner, vouchers: Sequence[Voucher], now: datetime) -> list[PartnerAnswer | None]:
    """Ask what became of vouchers; asking changes nothing at the partner.

    :raises NotSent, ExchangeUnknown: the question is simply asked again later.
    """
    body = json.dumps({"items": [identity_of(voucher) for voucher in vouchers]}).encode()
    return _matched(vouchers, _call(partner, "/query", body, "application/json", now))


def _matched(vouchers: Sequence[Voucher], results: list[dict[str, Any]]) -> list[PartnerAnswer | None]:
    """Pair answers with vouchers by full identity; an answer for something else is nobody's answer."""
    by_identity = {}
    for result in results:
        key = tuple(str(result.get(name)) for name in ("adm_div_code", "fiscal_year", "voucher_type", "voucher_no"))
        by_identity[key] = result
    answers: list[PartnerAnswer | None] = []
    for voucher in vouchers:
        found = by_identity.get(tuple(str(value) for value in identity_of(voucher).values()))
        answers.append(None if found is None else _answer(found))
    return answers


def _answer(result: dict[str, Any]) -> PartnerAnswer:
    receipt = result.get("receipt")
    status = result.get("status")
    return PartnerAnswer(
        outcome=str(result.get("outcome", "")),
        digest=result.get("digest"),
        reason=" ".join(str(result.get(name) or "") for name in ("code", "reason")).strip()[:200],
        status=status if isinstance(status, int) else None,
        receipt=base64.b64decode(receipt, validate=True) if receipt else None,
    )


def _call(partner: ExchangePartner, path: str, body: bytes, content_type: str, now: datetime) -> list[dict[str, Any]]:
    region = Region.objects.get(adm_div_code=partner.adm_div_code)
    suite_id, private_key, certificate = private_key_for(region.finance_organisation)
    nonce = secrets.token_urlsafe(18)
    url = partner.endpoint_url.rstrip("/") + path
    headers = sign_request(
        "POST",
        urlsplit(url).path,
        "",
        body,
        content_type,
        key_id=f"{region.finance_organisation}:{certificate.serial_hex}",
        suite=get_suite(suite_id),
        private_key=private_key,
        created=now,
        nonce=nonce,
    )
    try:
        response = _client().post(url, content=body, headers=headers)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotSent(f"{type(error).__name__}: {error}"[:200]) from error
    except httpx.HTTPError as error:
        raise ExchangeUnknown(f"{type(error).__name__}: {error}"[:200]) from error
    if response.status_code != 200:
        raise ExchangeUnknown(f"HTTP {response.status_code}")
    try:
        headers = dict(response.headers)
        suite, public_key, key_id = message_key(partner.organisation, headers, at=now)
        verify_response(
            200, response.content, headers, nonce, public_key=public_key, suite=suite, now=now, key_id=key_id
        )
        results = json.loads(response.content)["results"]
        assert isinstance(results, list) and all(isinstance(result, dict) for result in results)
    except (MessageSignatureError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise ExchangeUnknown(f"answer not accepted: {error}"[:200]) from error
    return results


def _client() -> httpx.Client:
    """One client for each thread: connections are kept alive, time is bounded."""
    if not hasattr(_local, "client"):
        _local.client = httpx.Client(
            timeout=httpx.Timeout(connect=3.0, read=settings.GUOKU_READ_TIMEOUT, write=10.0, pool=5.0), trust_env=False
        )
    client: httpx.Client = _local.client
    return client
