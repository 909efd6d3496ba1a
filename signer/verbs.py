"""What may be asked of the signer, from JSON to JSON. Shapes: `seals.signer_client`, docs/signer.md."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from evidence.selectors import latest_root
from seals.eseal.structures import Extension
from seals.signing import Mark, Order, Warrant
from signer import issuing, roots
from signer.errors import refused
from signer.facts import read_facts
from signer.identities import identity_of
from signer.keystore import trusted_authorities
from signer.marks import make_marks, root_extension, stream_of
from signer.message_bases import is_message_base
from signer.policy import judge

MOST_ORDERS = 5000
Question = Mapping[str, Any]


def answer(question: Question) -> dict[str, Any]:
    """Answer one question.

    :raises TreasuryError: whatever is refused.
    """
    verb = _VERBS.get(_text(question, "verb"))
    if verb is None:
        raise refused("verb_unknown", "签章服务没有这个操作。")
    return verb(question, timezone.now())


def _ping(_question: Question, now: datetime) -> dict[str, Any]:
    return {"ok": True, "at": now.isoformat()}


def _identity(question: Question, now: datetime) -> dict[str, Any]:
    identity, _key = identity_of(_text(question, "organisation_code"), now)
    return {"suite_id": identity.suite_id, "serial_hex": identity.serial_hex}


def _sign_message(question: Question, now: datetime) -> dict[str, Any]:
    identity, key = identity_of(_text(question, "organisation_code"), now)
    base = _bytes(question, "base")
    if identity.serial_hex != _text(question, "serial_hex") or not is_message_base(base, identity, now):
        raise refused("not_a_message", "只为本系统的报文签名，这不是报文的签名原文。")
    return {"value": _b64(key.sign(base))}


def _seal_vouchers(question: Question, now: datetime) -> dict[str, Any]:
    given = question.get("orders")
    if not isinstance(given, list) or not 0 < len(given) <= MOST_ORDERS:
        raise _malformed("orders")
    orders = [_order(one) for one in given]
    warrant = _warrant(question.get("warrant"))
    facts = read_facts(orders, warrant, on=timezone.localdate(now), now=now)
    judge(orders, warrant, facts, authorities=trusted_authorities(), now=now)
    signing = {order.organisation_code for order in orders if order.seal_id is None}
    marks = make_marks(
        orders,
        keys={code: identity_of(code, now)[1] for code in sorted(signing)},
        seals=facts.seals,
        roots=_roots(orders),
        now=now,
    )
    return {"marks": [_mark(mark) for mark in marks]}


def _roots(orders: Sequence[Order]) -> dict[str, Extension]:
    """The evidence roots that stamps carry; none before the first root of a stream."""
    found = {}
    for stream in sorted({stream_of(order) for order in orders if order.seal_id is not None}):
        root = latest_root(stream)
        if root is not None:
            found[stream] = root_extension(stream, root.size, root.root)
    return found


def _sign_root(question: Question, now: datetime) -> dict[str, Any]:
    organisation_code = _text(question, "organisation_code")
    path, earlier = question.get("path"), question.get("earlier")
    if not isinstance(path, list) or len(path) > 128 or type(earlier) is not int:
        raise _malformed("path")
    _identity_now, key = identity_of(organisation_code, now)
    value = roots.sign_root(
        organisation_code=organisation_code,
        text=_bytes(question, "text"),
        earlier=earlier,
        path=[_decoded(node, "path") for node in path],
        sign=key.sign,
        now=now,
    )
    return _mark(Mark(value, key.certificate.serial_hex))


def _issue_officer_certificate(question: Question, now: datetime) -> dict[str, Any]:
    days = question.get("days", 730)
    if type(days) is not int:
        raise _malformed("days")
    return {"pem": issuing.issue_officer_certificate(_uuid(question, "request_id"), days=days, now=now)}


def _issue_crl(question: Question, now: datetime) -> dict[str, Any]:
    return {"crl": _b64(issuing.issue_crl(_text(question, "suite_id"), now=now))}


_VERBS: dict[str, Callable[[Question, datetime], dict[str, Any]]] = {
    "ping": _ping,
    "identity": _identity,
    "sign_message": _sign_message,
    "seal_vouchers": _seal_vouchers,
    "sign_root": _sign_root,
    "issue_officer_certificate": _issue_officer_certificate,
    "issue_crl": _issue_crl,
}


# JSON ---------------------------------------------------------------------------------------------------------------


def _order(value: Any) -> Order:
    if not isinstance(value, Mapping) or type(value.get("fiscal_year")) is not int:
        raise _malformed("orders")
    try:
        text = _text(value, "text").encode("ascii")
    except UnicodeEncodeError as error:
        raise _malformed("text") from error
    return Order(
        voucher_id=_uuid(value, "voucher_id"),
        voucher_type=_text(value, "voucher_type"),
        adm_div_code=_text(value, "adm_div_code"),
        fiscal_year=value["fiscal_year"],
        voucher_no=_text(value, "voucher_no"),
        text=text,
        organisation_code=_text(value, "organisation_code"),
        position=_text(value, "position"),
        seal_id=_uuid(value, "seal_id") if value.get("seal_id") is not None else None,
    )


def _warrant(value: Any) -> Warrant:
    if not isinstance(value, Mapping) or not isinstance(value.get("items"), list):
        raise _malformed("warrant")
    items = value["items"]
    if not all(isinstance(item, str) for item in items):
        raise _malformed("items")
    return Warrant(
        person_id=_uuid(value, "person_id") if value.get("person_id") is not None else None,
        statement=_text(value, "statement"),
        items=tuple(items),
        signature=_bytes(value, "signature"),
        certificate_serial=_text(value, "certificate_serial"),
    )


def _mark(mark: Mark) -> dict[str, Any]:
    return {"value": _b64(mark.value), "serial_hex": mark.serial_hex}


def _text(value: Question, name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or "\0" in found:  # PostgreSQL has no NUL in text
        raise _malformed(name)
    return found


def _uuid(value: Question, name: str) -> UUID:
    try:
        return UUID(_text(value, name))
    except ValueError as error:
        raise _malformed(name) from error


def _bytes(value: Question, name: str) -> bytes:
    return _decoded(value.get(name), name)


def _decoded(text: Any, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise _malformed(name) from error


def _malformed(name: str) -> Exception:
    return refused("question_malformed", "签章请求的格式不正确。", field=name)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
