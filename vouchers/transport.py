"""The wire: signed HTTP to a partner. No transaction is open and no row is locked while this runs.

Three outcomes: an authenticated answer; NotSent, when nothing can have left this machine; and ExchangeUnknown for
everything else — a time-out, a reset, a 5xx, garbage, a bad signature: the partner may or may not have acted.
Nothing a partner answers raises anything but these two.
"""

import base64
import json
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx2 as httpx
from django.conf import settings

from parties.models import Region
from seals.errors import SealError
from seals.httpsig import sign_request, verify_response
from seals.message_keys import message_key
from seals.models import Stamp
from seals.signing import message_signer
from vouchers.codec import encode_envelope
from vouchers.messages import EnvelopeBody, SignatureMark
from vouchers.models import ExchangePartner, Voucher

_local = threading.local()
LONGEST_EXCHANGE = 20.0  # seconds, after which no further part of an answer is awaited; see delivery.LEASE
LONGEST_ANSWER = 64 * 1024 * 1024  # bytes: a hundred receipts in base64 within JSON


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
    """Return one voucher as it stands in an envelope."""
    return bodies_of([voucher])[0]


def bodies_of(vouchers: Sequence[Voucher]) -> list[EnvelopeBody]:
    """Return vouchers as they stand in an envelope: the stored bytes, signatures and stamps. One SQL statement."""
    stamps: dict[UUID, list[SignatureMark]] = {voucher.id: [] for voucher in vouchers}
    rows = Stamp.objects.filter(voucher_id__in=stamps).order_by("ordinal", "position")
    for voucher_id, position, number, value in rows.values_list("voucher_id", "position", "seal__es_id", "der"):
        stamps[voucher_id].append(SignatureMark(position, number, base64.b64encode(value).decode("ascii")))
    return [_body(voucher, tuple(stamps[voucher.id])) for voucher in vouchers]


def _body(voucher: Voucher, stamps: tuple[SignatureMark, ...]) -> EnvelopeBody:
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
        stamps=stamps,
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
    body = encode_envelope(bodies_of(vouchers))
    results = _call(partner, "/vouchers", body, "application/xml; charset=GBK", now)
    return _matched(vouchers, results)


def query_vouchers(partner: ExchangePartner, vouchers: Sequence[Voucher], now: datetime) -> list[PartnerAnswer | None]:
    """Ask what became of vouchers; asking changes nothing at the partner.

    :raises NotSent, ExchangeUnknown: the question is simply asked again later.
    """
    body = json.dumps({"items": [identity_of(voucher) for voucher in vouchers]}).encode()
    return _matched(vouchers, _call(partner, "/query", body, "application/json", now))


@dataclass(frozen=True)
class RecallItem:
    """A voucher the partner is asked not to pay, under the number of the recall."""

    voucher: Voucher
    recall_no: str
    reason: str


def recall_vouchers(partner: ExchangePartner, items: Sequence[RecallItem], now: datetime) -> list[PartnerAnswer | None]:
    """Ask a bank not to pay vouchers it may have. It answers like a query: returned (5), paid (12), or as before.

    A bank that answers 5 will not pay this voucher any more, even if it comes to it later.

    :raises NotSent, ExchangeUnknown: nothing is known then; asked again later.
    """
    body = json.dumps(
        {
            "items": [
                identity_of(item.voucher)
                | {"digest": item.voucher.digest, "recall_no": item.recall_no, "reason": item.reason}
                for item in items
            ]
        }
    ).encode()
    return _matched([item.voucher for item in items], _call(partner, "/recall", body, "application/json", now))


def _matched(vouchers: Sequence[Voucher], results: list[dict[str, Any]]) -> list[PartnerAnswer | None]:
    """Pair answers with vouchers by full identity; an answer for something else is nobody's answer.

    Neither is one about a receipt of this number (`flag` 1), nor one of two that contradict each other.
    """
    by_identity: dict[tuple[str, ...], PartnerAnswer | None] = {}
    for result in results:
        if result.get("flag", 0) != 0:
            continue
        key = tuple(str(result.get(name)) for name in ("adm_div_code", "fiscal_year", "voucher_type", "voucher_no"))
        answer = _answer(result)
        by_identity[key] = answer if by_identity.get(key, answer) == answer else None
    return [by_identity.get(tuple(str(value) for value in identity_of(voucher).values())) for voucher in vouchers]


def _answer(result: dict[str, Any]) -> PartnerAnswer:
    digest, status = result.get("digest"), result.get("status")
    return PartnerAnswer(
        outcome=str(result.get("outcome", "")),
        digest=digest if isinstance(digest, str) else None,
        reason=_printable(" ".join(str(result.get(name) or "") for name in ("code", "reason")).strip())[:200],
        status=status if type(status) is int else None,  # true is no status
        receipt=_decoded(result.get("receipt")),
    )


def _printable(text: str) -> str:
    """Replace what the database cannot hold (NUL, lone surrogates) or a reader cannot see."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _decoded(receipt: Any) -> bytes | None:
    """Return the bytes of a receipt that came along; one that is not base64 is as good as none."""
    try:
        return base64.b64decode(receipt, validate=True) if receipt else None
    except (ValueError, TypeError):
        return None


def _call(partner: ExchangePartner, path: str, body: bytes, content_type: str, now: datetime) -> list[dict[str, Any]]:
    nonce = secrets.token_urlsafe(18)
    url = partner.endpoint_url.rstrip("/") + path
    try:
        headers = _signed_headers(partner, url, body, content_type, nonce, now)
    except (SealError, Region.DoesNotExist, ValueError) as error:
        raise NotSent(f"cannot sign: {error}"[:200]) from error
    try:
        status, content, answered = _post(url, body, headers)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotSent(f"{type(error).__name__}: {error}"[:200]) from error
    except httpx.HTTPError as error:
        raise ExchangeUnknown(f"{type(error).__name__}: {error}"[:200]) from error
    if status != 200:
        raise ExchangeUnknown(f"HTTP {status}")
    try:
        suite, public_key, key_id = message_key(partner.organisation, answered, at=now)
        verify_response(200, content, answered, nonce, public_key=public_key, suite=suite, now=now, key_id=key_id)
        results = json.loads(content)["results"]
    except (SealError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExchangeUnknown(f"answer not accepted: {error}"[:200]) from error
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise ExchangeUnknown("answer not accepted: results is no list of objects")
    return results


def _signed_headers(
    partner: ExchangePartner, url: str, body: bytes, content_type: str, nonce: str, now: datetime
) -> dict[str, str]:
    region = Region.objects.get(adm_div_code=partner.adm_div_code)
    identity, sign = message_signer(region.finance_organisation)
    return sign_request(
        "POST",
        urlsplit(url).path,
        "",
        body,
        content_type,
        key_id=identity.key_id,
        suite=identity.suite,
        sign=sign,
        created=now,
        nonce=nonce,
    )


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers of the answer; a partner that dribbles or floods is cut off.

    :raises httpx.HTTPError, httpx.InvalidURL: no answer, or none that ended within bounds.
    """
    until = time.monotonic() + LONGEST_EXCHANGE
    content = bytearray()
    with _client().stream("POST", url, content=body, headers=headers) as response:
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > LONGEST_ANSWER or time.monotonic() > until:
                raise httpx.ReadTimeout("the answer is too long or takes too long")
        return response.status_code, bytes(content), dict(response.headers)


def _client() -> httpx.Client:
    """One client for each thread: connections are kept alive, time is bounded."""
    if not hasattr(_local, "client"):
        _local.client = httpx.Client(
            timeout=httpx.Timeout(connect=3.0, read=settings.GUOKU_READ_TIMEOUT, write=10.0, pool=5.0), trust_env=False
        )
    client: httpx.Client = _local.client
    return client
