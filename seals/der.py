"""As much DER as certificates and signatures need: a tolerant reader and a strict writer.

The reader accepts long-form lengths that DER would shorten, because real certificates have them, and keeps the raw
bytes of each element, because signatures are checked over received bytes and never over a re-encoding.
Lengths are in bytes; every error is a ValueError.
"""

from datetime import UTC, datetime
from typing import NamedTuple

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, PRINTABLE_STRING, UTC_TIME, GENERALIZED_TIME = 0x0C, 0x13, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31


class Tlv(NamedTuple):
    """One element: its tag byte, its content, and the raw bytes of tag, length and content."""

    tag: int
    value: bytes
    raw: bytes


def read(data: bytes) -> tuple[Tlv, bytes]:
    """The first element of `data` and what follows it."""
    if len(data) < 2 or data[0] & 0x1F == 0x1F:
        raise ValueError("no single-byte tag and length here")
    length, start = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:  # 0x80 is the indefinite form, which no signed structure may use
            raise ValueError("length in a form that is not accepted")
        length, start = int.from_bytes(data[2 : 2 + count]), 2 + count
    end = start + length
    if len(data) < end:
        raise ValueError("element longer than its container")
    return Tlv(data[0], data[start:end], data[:end]), data[end:]


def read_all(data: bytes) -> list[Tlv]:
    """Every element of `data`, which is the content of a SEQUENCE or SET."""
    elements = []
    while data:
        element, data = read(data)
        elements.append(element)
    return elements


def write(tag: int, *contents: bytes) -> bytes:
    """One element in DER: the shortest length form."""
    value = b"".join(contents)
    if len(value) < 0x80:
        return bytes([tag, len(value)]) + value
    length = len(value).to_bytes((len(value).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + value


def integer(number: int) -> bytes:
    """A non-negative INTEGER."""
    return write(INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    body = b""
    for arc in [40 * first + second, *rest]:
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        body += bytes(reversed(septets))
    return write(OID, body)


def time(moment: datetime) -> bytes:
    """UTCTime until 2049 and GeneralizedTime after it. Source: RFC 5280 §4.1.2.5."""
    moment = moment.astimezone(UTC)
    if moment.year < 2050:
        return write(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return write(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def signature_to_raw(signature: bytes) -> bytes:
    """r and s of a DER signature value as 64 bytes, the form of RFC 9421 §3.3.4 and XML signatures."""
    sequence, rest = read(signature)
    numbers = read_all(sequence.value)
    if rest or sequence.tag != SEQUENCE or [number.tag for number in numbers] != [INTEGER, INTEGER]:
        raise ValueError("not a pair of integers")
    return b"".join(int.from_bytes(number.value).to_bytes(32) for number in numbers)


def signature_from_raw(raw: bytes) -> bytes:
    """The DER signature value of 64 bytes r and s."""
    if len(raw) != 64:
        raise ValueError("not 64 bytes")
    return write(SEQUENCE, integer(int.from_bytes(raw[:32])), integer(int.from_bytes(raw[32:])))
