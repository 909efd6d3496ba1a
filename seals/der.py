"""As much DER as certificates and signatures need: a tolerant reader and a strict writer.

The reader accepts long-form lengths that DER would shorten, because real certificates have them, and keeps the raw
bytes of each element, because signatures are checked over received bytes and never over a re-encoding.
Lengths are in bytes; every error is a ValueError.
"""

import re
from base64 import b64decode, encodebytes
from collections.abc import Iterator
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


def each(data: bytes) -> Iterator[Tlv]:
    """As `read_all`, one at a time and in linear time: a revocation list may hold 100,000 entries."""
    position = 0
    while position < len(data):
        window = data[position : position + 6]  # tag and the longest length that is accepted
        count = window[1] & 0x7F if len(window) > 1 and window[1] & 0x80 else 0
        length = int.from_bytes(window[2 : 2 + count]) if count else (window[1] if len(window) > 1 else 0)
        element, _ = read(data[position : position + 2 + count + length])
        position += len(element.raw)
        yield element


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


def instant(element: Tlv) -> datetime:
    """The aware UTC instant of a UTCTime or GeneralizedTime, to the second and in Z. Source: RFC 5280 §4.1.2.5."""
    form = {UTC_TIME: "%y%m%d%H%M%SZ", GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(element.tag)
    digits = element.value[:-1]
    if form is None or not digits.isdigit() or len(digits) != (12 if element.tag == UTC_TIME else 14):
        raise ValueError("not an instant of RFC 5280")
    moment = datetime.strptime(element.value.decode("ascii"), form).replace(tzinfo=UTC)
    if element.tag == UTC_TIME and moment.year >= 2050:  # strptime turns at 69, X.509 at 50
        moment = moment.replace(year=moment.year - 100)
    return moment


def dotted(element: Tlv) -> str:
    """The dotted form of an OBJECT IDENTIFIER."""
    if element.tag != OID or not element.value or element.value[-1] & 0x80:
        raise ValueError("not an object identifier")
    arcs, arc = [], 0
    for septet in element.value:
        arc = arc << 7 | septet & 0x7F
        if not septet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def extension(name: str, value: bytes, *, critical: bool = False) -> bytes:
    """An X.509 Extension with the dotted `name`; `value` is the DER inside its OCTET STRING."""
    flag = write(BOOLEAN, b"\xff") if critical else b""
    return write(SEQUENCE, oid(name), flag, write(OCTET_STRING, value))


def pem(label: str, content: bytes) -> bytes:
    """`content` in PEM, 64 characters a line. Source: RFC 7468."""
    text = encodebytes(content).replace(b"\n", b"")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join([f"-----BEGIN {label}-----".encode(), *lines, f"-----END {label}-----".encode(), b""])


def from_pem(label: str, data: bytes) -> bytes:
    """The content of exactly one PEM block of that label, whatever text stands around it; DER comes back as it is."""
    if b"-----BEGIN" not in data:
        return data
    name = re.escape(label.encode())
    blocks = re.findall(rb"-----BEGIN %b-----\s([A-Za-z0-9+/=\s]*)-----END %b-----" % (name, name), data)
    if len(blocks) != 1 or data.count(b"-----BEGIN") != 1:
        raise ValueError(f"not one {label}")
    return b64decode(b"".join(blocks[0].split()), validate=True)


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
