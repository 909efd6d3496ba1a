"""Identity numbers: checked once, then kept only as a mask for people and a keyed digest for comparisons."""

import re
from collections.abc import Callable
from operator import mul

from django.conf import settings

from core.digests import sm3

_RESIDENT = re.compile(r"[0-9]{17}[0-9X]", re.ASCII)
_OTHER = re.compile(r"[A-Z][A-Z0-9]{5,19}", re.ASCII)  # passports and the like begin with a letter
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_BLOCK = 64


def is_identity_no(text: str) -> bool:
    """Whether this is a resident identity number with a right check digit (GB 11643), or another document's number."""
    if _RESIDENT.fullmatch(text):
        return _CHECK[sum(map(mul, _WEIGHTS, map(int, text[:17]))) % 11] == text[17]
    return _OTHER.fullmatch(text) is not None


def masked_identity(text: str) -> str:
    """ "990101199001011234" → "990***********1234"; an official reading a list knows whom it is about, no more."""
    return f"{text[:3]}{'*' * (len(text) - 7)}{text[-4:]}" if len(text) > 10 else f"{'*' * (len(text) - 2)}{text[-2:]}"


def identity_digester(adm_div_code: str) -> Callable[[str], str]:
    """Return the function that spells a number as its HMAC-SM3 (64 hexadecimal digits) under the region's key.

    Equal numbers have equal digests within one region; without the key nobody can try all numbers that exist.
    """
    secret = (settings.GUOKU_PERSON_KEY or settings.SECRET_KEY).encode()
    key = sm3(b"guoku identity digest\0" + adm_div_code.encode() + b"\0" + secret).ljust(_BLOCK, b"\0")
    inner, outer = bytes(byte ^ 0x36 for byte in key), bytes(byte ^ 0x5C for byte in key)

    def digest(text: str) -> str:
        return sm3(outer + sm3(inner + text.encode())).hex()

    return digest
