"""Read the signature headers of an HTTP message: one strict form, everything else is refused.

A general parser of structured fields would accept many spellings of one meaning; here there is one, so that what is
checked and what was signed cannot differ. The profile stands in `seals.httpsig`.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from seals import der
from seals.errors import MessageSignatureError

TAG = "guoku-v1"
NONCE = re.compile(r"[A-Za-z0-9._~+/=-]{8,128}")
KEY_ID = re.compile(r"(?P<organisation>[A-Za-z0-9][A-Za-z0-9_-]{0,63}):(?P<serial>[0-9a-f]{2,40})")
_INPUT = re.compile(
    r'(?P<label>[a-z*][a-z0-9_.*-]{0,63})=(?P<parameters>\((?P<components>"[@a-z0-9-]+"(?: "[@a-z0-9-]+")*)\)'
    r'(?P<pairs>(?:;[a-z]+=(?:[0-9]{1,15}|"[ !#-\[\]-~]{0,160}"))*))'
)
_PAIR = re.compile(r';([a-z]+)=(?:([0-9]+)|"([^"]*)")')


@dataclass(frozen=True)
class SignatureInput:
    """What a signed message says of its signature. Claims only, until `verify_request` returns it."""

    components: tuple[str, ...]
    created: int  # seconds since 1970-01-01 UTC
    expires: int | None
    nonce: str  # of the request; in a response empty
    key_id: str
    organisation_code: str
    serial_hex: str
    alg: str
    parameters: str  # as received: they are signed too
    signature: bytes  # DER


def read_signature(lowered: Mapping[str, str]) -> SignatureInput:
    """Read Signature-Input and Signature from headers whose names are lower case. Nothing is verified.

    :raises MessageSignatureError: signature_missing, signature_malformed, signature_tag_unknown.
    """
    given, signature = lowered.get("signature-input"), lowered.get("signature")
    if not given or not signature:
        raise MessageSignatureError("signature_missing", "Signature-Input and Signature are required.")
    match = _INPUT.fullmatch(given)  # fullmatch: a second signature, or a form outside the profile, is refused
    if match is None:
        raise MessageSignatureError("signature_malformed", "Signature-Input is not exactly one signature in our form.")
    pairs = _PAIR.findall(match["pairs"])
    given_parameters = {name: number or text for name, number, text in pairs}
    kinds = {name: bool(number) for name, number, _text in pairs}
    required = {"created", "keyid", "alg", "tag"}
    if (
        len(given_parameters) != len(pairs)
        or not required <= given_parameters.keys() <= required | {"expires", "nonce"}
        or any(kinds[name] != (name in ("created", "expires")) for name in kinds)
    ):
        raise MessageSignatureError("signature_malformed", "Signature parameters are missing, doubled or unknown.")
    if given_parameters["tag"] != TAG:
        raise MessageSignatureError("signature_tag_unknown", f'The tag must be "{TAG}".')
    key_id = KEY_ID.fullmatch(given_parameters["keyid"])
    if key_id is None:
        raise MessageSignatureError("signature_malformed", "keyid must be <organisation_code>:<serial_hex>.")
    return SignatureInput(
        components=tuple(match["components"].replace('"', "").split(" ")),
        created=int(given_parameters["created"]),
        expires=int(given_parameters["expires"]) if "expires" in given_parameters else None,
        nonce=given_parameters.get("nonce", ""),
        key_id=key_id[0],
        organisation_code=key_id["organisation"],
        serial_hex=key_id["serial"],
        alg=given_parameters["alg"],
        parameters=match["parameters"],
        signature=_signature_value(match["label"], signature),
    )


def _signature_value(label: str, header: str) -> bytes:
    match = re.fullmatch(re.escape(label) + r"=:([A-Za-z0-9+/]{86}==):", header)
    try:
        raw = base64.b64decode(match[1], validate=True) if match else b""
        if not match or base64.b64encode(raw).decode() != match[1]:  # the unused bits must be zero: one text per value
            raise ValueError("not canonical base64 of 64 bytes")
        return der.signature_from_raw(raw)
    except (ValueError, binascii.Error) as error:
        raise MessageSignatureError("signature_malformed", "Signature is not one value of 64 bytes.") from error
