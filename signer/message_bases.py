"""Whether bytes are the signature base of one of our HTTP messages, and nothing else.

The key that seals vouchers also signs messages. A base has a form that no voucher text, statement, root text or
certificate can have, so whoever may ask for message signatures cannot have anything else signed. Source:
`seals.httpsig`, RFC 9421 §2.5.
"""

import re
from datetime import datetime

from seals.httpsig import MAX_SKEW_SECONDS
from seals.signature_input import NONCE, TAG
from seals.signing import Identity

LONGEST_BASE = 16 * 1024

_DIGEST = r"(?:sm3=:[A-Za-z0-9+/]{43}=:|sha-256=:[A-Za-z0-9+/]{43}=:)"
_VALUES = {
    "@method": re.compile(r"[A-Z]{3,10}"),
    "@path": re.compile(r"/[!-~]*"),
    "@query": re.compile(r"\?[!-~]*"),
    "@status": re.compile(r"[1-5][0-9]{2}"),
    "content-digest": re.compile(_DIGEST),
    "content-type": re.compile(r"[!-~](?:[ -~]*[!-~])?"),
    "idempotency-key": re.compile(r"[!-~](?:[ -~]*[!-~])?"),
    "guoku-request-nonce": NONCE,
}
_REQUEST = ("@method", "@path", "@query", "content-digest")
_SHAPES = {
    _REQUEST,
    (*_REQUEST, "content-type"),
    (*_REQUEST, "idempotency-key"),
    (*_REQUEST, "content-type", "idempotency-key"),
    ("@status", "content-digest", "guoku-request-nonce"),
}
_LINE = re.compile(r'"([@a-z-]+)": (.+)')
_PARAMETERS = re.compile(
    r'\(("[@a-z-]+"(?: "[@a-z-]+")*)\);created=([0-9]{1,12})(?:;expires=([0-9]{1,12}))?'
    r'(?:;nonce="([^"]+)")?;keyid="([^"]+)";alg="([a-z0-9-]+)";tag="([a-z0-9-]+)"'
)


def is_message_base(base: bytes, identity: Identity, now: datetime) -> bool:
    """Whether `base` is what our profile signs, in its one spelling, by this identity and just now."""
    if len(base) > LONGEST_BASE:
        return False
    try:
        *lines, last = base.decode("ascii").split("\n")
    except UnicodeDecodeError:
        return False
    head, _, parameters = last.partition(": ")
    match = _PARAMETERS.fullmatch(parameters)
    if head != '"@signature-params"' or match is None:
        return False
    names, created, expires, nonce, key_id, alg, tag = match.groups()
    components = tuple(names.replace('"', "").split(" "))
    moment = int(now.timestamp())
    return (
        components in _SHAPES
        and _covers(lines, components)
        and (key_id, alg, tag) == (identity.key_id, identity.suite_id, TAG)
        and abs(moment - int(created)) <= MAX_SKEW_SECONDS
        and (expires is None or int(expires) > moment)
        and (nonce is not None and NONCE.fullmatch(nonce) is not None) == (components[0] == "@method")
        and (nonce is None) == (components[0] == "@status")
    )


def _covers(lines: list[str], components: tuple[str, ...]) -> bool:
    """One line for each component, in order, each with a value of its form."""
    if len(lines) != len(components):
        return False
    for line, name in zip(lines, components, strict=True):
        match = _LINE.fullmatch(line)
        if match is None or match[1] != name or not _VALUES[name].fullmatch(match[2]):
            return False
    return True
