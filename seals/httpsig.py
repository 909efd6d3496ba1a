"""Signed HTTP messages between us and the banks: RFC 9421 with a fixed profile, RFC 9530 digests, our suites.

One profile, so there is nothing to negotiate:

- Request: `"@method" "@path" "@query" "content-digest"`, then `"content-type"` if and only if the body is not empty,
  then `"idempotency-key"` if and only if that header is sent. Content-Digest is always sent; without a body it is that
  of no bytes.
- Response: `"@status" "content-digest" "guoku-request-nonce"`; the last is the nonce of the request it answers.
- Parameters: created, nonce (requests), keyid `<organisation_code>:<serial_hex>`, alg (the suite's id), tag
  `guoku-v1`, and optionally expires. Exactly one signature, labelled as the sender likes.
- The signature value is r and s as 64 bytes for both suites, which for P-256 is what RFC 9421 §3.3.4 asks.

`path` and `query` are as they stand in the request line, percent-encoded, the query without its question mark. The
suite comes from the partner's profile. Whether a nonce was seen before is for the caller to store and to refuse.

Codes of MessageSignatureError: signature_missing, signature_malformed, signature_components,
signature_alg_not_allowed, signature_tag_unknown, signature_not_current, content_digest_missing,
content_digest_mismatch, request_nonce_mismatch, signature_invalid.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime

from seals import der
from seals.errors import MessageSignatureError
from seals.signature_input import KEY_ID, NONCE, TAG, SignatureInput, read_signature
from seals.suites import PublicKeyHandle, Suite

LABEL = "guoku"
MAX_SKEW_SECONDS = 300
NONCE_HEADER = "Guoku-Request-Nonce"

_REQUEST = ("@method", "@path", "@query", "content-digest")
_RESPONSE = ("@status", "content-digest", "guoku-request-nonce")
_DIGEST_NAMES = {"sm3": "sm3", "sha256": "sha-256"}  # `sm3` is ours; the IANA registry has no name for it yet


def sign_request(
    method: str,
    url_path: str,
    query: str,
    body: bytes,
    content_type: str,
    *,
    key_id: str,
    suite: Suite,
    sign: Callable[[bytes], bytes],
    created: datetime | int,
    nonce: str,
    expires: datetime | int | None = None,
    idempotency_key: str | None = None,
) -> dict[str, str]:
    """The headers to send with a request, the signed Content-Type and Idempotency-Key among them.

    :param sign: makes the DER signature value of the given bytes with the key that `key_id` names.
    :param nonce: 8 to 128 characters, never used before with this key.
    :param idempotency_key: the Idempotency-Key to send, if any; one that is added unsigned is refused.
    :raises ValueError: for a nonce, key id or header value the profile does not allow.
    """
    if not NONCE.fullmatch(nonce) or not KEY_ID.fullmatch(key_id):
        raise ValueError("nonce or key id outside the profile")
    headers = {"Content-Digest": _content_digest(suite, body)}
    if body:
        headers["Content-Type"] = content_type
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    components = _request_components(body, keyed=idempotency_key is not None)
    values = _request_values(method, url_path, query, _lower(headers))
    parameters = _parameters(components, created=created, expires=expires, nonce=nonce, key_id=key_id, suite=suite)
    return headers | _signature_headers(components, values, parameters, sign)


def parse_request_signature(headers: Mapping[str, str]) -> SignatureInput:
    """Read Signature-Input and Signature, so that the caller can find the key by `key_id`. Verifies nothing.

    :raises MessageSignatureError: signature_missing, signature_malformed, signature_tag_unknown.
    """
    claim = read_signature(_lower(headers))
    if not NONCE.fullmatch(claim.nonce):
        raise MessageSignatureError("signature_malformed", "A request needs a nonce of 8 to 128 characters.")
    return claim


def parse_response_signature(headers: Mapping[str, str]) -> SignatureInput:
    """The same for an answer. Verifies nothing.

    :raises MessageSignatureError: signature_missing, signature_malformed, signature_tag_unknown.
    """
    return read_signature(_lower(headers))


def verify_request(
    method: str,
    path: str,
    query: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    public_key: PublicKeyHandle,
    suite: Suite,
    now: datetime | int,
    max_skew: int = MAX_SKEW_SECONDS,
) -> SignatureInput:
    """Accept the request only if the key's owner signed exactly this, within `max_skew` seconds of `now`.

    The caller has chosen `public_key` and `suite` by the key id and the partner's profile, and stores the nonce.

    :raises MessageSignatureError: with the codes of this module.
    """
    claim, lowered = parse_request_signature(headers), _lower(headers)
    expected = _request_components(body, keyed="idempotency-key" in lowered)
    _check_claim(claim, expected, suite, now, max_skew)
    _check_digest(suite, body, lowered)
    _check_signature(claim, _request_values(method, path, query, lowered), suite, public_key)
    return claim


def sign_response(
    status: int,
    body: bytes,
    request_nonce: str,
    *,
    key_id: str,
    suite: Suite,
    sign: Callable[[bytes], bytes],
    created: datetime | int,
) -> dict[str, str]:
    """The headers to send with an answer, bound to the request by its nonce."""
    if not NONCE.fullmatch(request_nonce) or not KEY_ID.fullmatch(key_id):
        raise ValueError("nonce or key id outside the profile")
    headers = {"Content-Digest": _content_digest(suite, body), NONCE_HEADER: request_nonce}
    values = _response_values(status, _lower(headers))
    parameters = _parameters(_RESPONSE, created=created, expires=None, nonce=None, key_id=key_id, suite=suite)
    return headers | _signature_headers(_RESPONSE, values, parameters, sign)


def verify_response(
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    request_nonce: str,
    *,
    public_key: PublicKeyHandle,
    suite: Suite,
    now: datetime | int,
    max_skew: int = MAX_SKEW_SECONDS,
    key_id: str | None = None,
) -> SignatureInput:
    """Accept the answer only if the key's owner signed it for the request with this nonce.

    A caller that got a MessageSignatureError does not know what happened at the other side: the exchange is UNKNOWN.

    :param key_id: if given, the answer must name this key.
    :raises MessageSignatureError: with the codes of this module.
    """
    lowered = _lower(headers)
    claim = read_signature(lowered)
    if key_id is not None and claim.key_id != key_id:
        raise MessageSignatureError("signature_invalid", "The answer is signed with another key than expected.")
    _check_claim(claim, _RESPONSE, suite, now, max_skew)
    if lowered.get(NONCE_HEADER.lower()) != request_nonce:
        raise MessageSignatureError("request_nonce_mismatch", "The answer belongs to another request.")
    _check_digest(suite, body, lowered)
    _check_signature(claim, _response_values(status, lowered), suite, public_key)
    return claim


def _request_components(body: bytes, *, keyed: bool) -> tuple[str, ...]:
    typed = ("content-type",) if body else ()
    return _REQUEST + typed + (("idempotency-key",) if keyed else ())


def _request_values(method: str, path: str, query: str, lowered: Mapping[str, str]) -> dict[str, str]:
    return {**lowered, "@method": method.upper(), "@path": path or "/", "@query": f"?{query}"}


def _response_values(status: int, lowered: Mapping[str, str]) -> dict[str, str]:
    return {**lowered, "@status": str(int(status))}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value.strip() for name, value in headers.items()}


def _epoch(moment: datetime | int) -> int:
    return moment if isinstance(moment, int) else int(moment.timestamp())


def _content_digest(suite: Suite, body: bytes) -> str:
    return f"{_DIGEST_NAMES[suite.digest_name]}=:{base64.b64encode(suite.digest(body)).decode()}:"


def _parameters(
    components: tuple[str, ...],
    *,
    created: datetime | int,
    expires: datetime | int | None,
    nonce: str | None,
    key_id: str,
    suite: Suite,
) -> str:
    names = " ".join(f'"{name}"' for name in components)
    until = f";expires={_epoch(expires)}" if expires is not None else ""
    once = f';nonce="{nonce}"' if nonce is not None else ""
    return f'({names});created={_epoch(created)}{until}{once};keyid="{key_id}";alg="{suite.id}";tag="{TAG}"'


def _signature_base(components: tuple[str, ...], values: Mapping[str, str], parameters: str) -> bytes:
    """RFC 9421 §2.5: a line per component, then the parameters; a line break in a value would forge a line."""
    lines = []
    for name in components:
        value = values.get(name)
        if value is None:
            raise MessageSignatureError("signature_components", f"The signed {name} is not in the message.")
        if not value.isascii() or not value.isprintable():
            raise MessageSignatureError("signature_malformed", f"{name} holds characters that cannot be signed.")
        lines.append(f'"{name}": {value}')
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode("ascii")


def _signature_headers(
    components: tuple[str, ...],
    values: Mapping[str, str],
    parameters: str,
    sign: Callable[[bytes], bytes],
) -> dict[str, str]:
    try:
        signed = _signature_base(components, values, parameters)
    except MessageSignatureError as error:
        raise ValueError(error.detail) from error
    raw = der.signature_to_raw(sign(signed))
    return {"Signature-Input": f"{LABEL}={parameters}", "Signature": f"{LABEL}=:{base64.b64encode(raw).decode()}:"}


def _check_claim(
    claim: SignatureInput, expected: tuple[str, ...], suite: Suite, now: datetime | int, max_skew: int
) -> None:
    if claim.components != expected:
        wanted = " ".join(f'"{name}"' for name in expected)
        raise MessageSignatureError("signature_components", f"The signature must cover exactly ({wanted}).")
    if claim.alg != suite.id:
        raise MessageSignatureError("signature_alg_not_allowed", f"This partner signs with {suite.id}.")
    moment = _epoch(now)
    if abs(moment - claim.created) > max_skew:
        raise MessageSignatureError("signature_not_current", f"created is more than {max_skew} seconds off our clock.")
    if claim.expires is not None and moment > claim.expires:
        raise MessageSignatureError("signature_not_current", "The signature has expired.")


def _check_digest(suite: Suite, body: bytes, lowered: Mapping[str, str]) -> None:
    given = lowered.get("content-digest")
    if given is None:
        raise MessageSignatureError("content_digest_missing", "Content-Digest is required.")
    if given != _content_digest(suite, body):
        raise MessageSignatureError("content_digest_mismatch", "Content-Digest does not belong to the received body.")


def _check_signature(
    claim: SignatureInput, values: Mapping[str, str], suite: Suite, public_key: PublicKeyHandle
) -> None:
    if not suite.verify(public_key, _signature_base(claim.components, values, claim.parameters), claim.signature):
        raise MessageSignatureError("signature_invalid", "The signature does not hold for this message.")
