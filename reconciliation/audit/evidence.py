"""Signed texts in bulk: read them in chunks, verify their signatures on every core, take their fields apart.

The audit judges signatures by itself, with nothing of the inbox or the outbox but the stored bytes and the register of
certificates.
"""

import base64
import binascii
import html
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any

from django.db import connection

from seals.certificates import parse_certificate, suites_for
from seals.models import Certificate
from seals.suites import get_suite
from seals.verifying import decode_signature
from vouchers.codec import decode_content
from vouchers.errors import VoucherError
from vouchers.messages import VoucherContent

CHUNK = 1000
CORES = os.cpu_count() or 1
_RECEIPT_FIELD = re.compile(rb"<(X\w+)>[^<]*</\1>")

Fields = dict[str, str]
Row = tuple[Any, ...]


def chunks(query: str, parameters: Mapping[str, Any]) -> Iterator[list[Row]]:
    """Read a query in chunks by a server-side cursor: a year of vouchers does not fit into memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, parameters)
        while rows := cursor.fetchmany(CHUNK):
            yield rows


# Signatures ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signed:
    """A text, who must have signed it and when; `marks` are (certificate serial, base64 signature) pairs."""

    organisation: str
    text: bytes
    marks: tuple[tuple[str, str], ...]
    at: datetime


def marks_of(signatures: str) -> tuple[tuple[str, str], ...]:
    """Return the marks of an inbox message, stored as JSON: [[position, serial, signature], …]."""
    return tuple((serial.lower(), value) for _position, serial, value in json.loads(signatures))


class Register:
    """Every registered certificate, read once."""

    def __init__(self) -> None:
        self._rows = {(row.organisation_code, row.serial_hex): row for row in Certificate.objects.all()}

    def fault(self, signed: Signed) -> str:
        """Return what is wrong with a text's signature, in Chinese; empty if the right party signed these bytes with
        a certificate that was valid at the time."""
        own = [(self._rows.get((signed.organisation, serial)), value) for serial, value in signed.marks]
        mine = [(row, value) for row, value in own if row is not None]
        if not mine:
            return f"没有 {signed.organisation} 已登记证书的签名"
        row, value = mine[0]
        if row.revoked_at is not None and row.revoked_at <= signed.at:
            return "签名证书当时已吊销"
        if not row.valid_from <= signed.at <= row.valid_to:
            return "签名证书当时不在有效期内"
        signature = decode_signature(value)
        certificate = parse_certificate(row.pem)
        if signature is None or not any(
            get_suite(suite_id).verify(certificate.public_key_for(suite_id), signed.text, signature)
            for suite_id in suites_for(certificate)
        ):
            return "签名与存储的原文不符"
        return ""


def judged(batches: Iterable[list[Row]], signed_of: Callable[[Row], Signed | None]) -> Iterator[tuple[Row, str]]:
    """Return each row with what is wrong with its signature ("" for nothing, or for a row without one).

    One batch ahead: the curve arithmetic runs outside Python's lock on every core, while the caller looks inside the
    batch before and the database sends the one after.
    """
    register = Register()

    def verify(items: list[Signed | None]) -> list[str]:
        return ["" if item is None else register.fault(item) for item in items]

    with ThreadPoolExecutor(max_workers=CORES, thread_name_prefix="audit") as pool:
        ahead: deque[tuple[list[Row], Iterator[list[str]]]] = deque()
        for rows in batches:
            items = [signed_of(row) for row in rows]
            size = -(-len(items) // CORES)
            ahead.append((rows, pool.map(verify, [items[i : i + size] for i in range(0, len(items), size)])))
            if len(ahead) > 1:
                yield from _finished(*ahead.popleft())
        while ahead:
            yield from _finished(*ahead.popleft())


def _finished(rows: list[Row], faults: Iterator[list[str]]) -> Iterator[tuple[Row, str]]:
    return zip(rows, chain.from_iterable(faults), strict=True)


# The inside of a text -----------------------------------------------------------------------------------------------


def inner_bytes(text: bytes) -> bytes:
    """Return the inner document of a signed text; empty if it is no base64."""
    try:
        return base64.b64decode(text, validate=False)
    except binascii.Error:
        return b""


def content_of(text: bytes) -> VoucherContent | None:
    """Return what a stored text says; None if somebody has made it unreadable."""
    try:
        return decode_content(text)[0]
    except VoucherError:
        return None


def without_receipt_fields(inner: bytes) -> bytes:
    """Return the document without its X-fields: equal bytes here mean that a receipt changed nothing it may not.

    The converse does not hold: a partner may write the same content in other bytes (see `codec.differing_fields`).
    """
    return _RECEIPT_FIELD.sub(b"", inner)


def own_fields(inner: bytes, tags: tuple[str, ...]) -> tuple[Fields, list[Fields]]:
    """Read some fields of a document in our own layout (GBK, plain leaves, main before details): (main, details).

    Many times as fast as the codec, and only for bytes that our codec wrote. GBK never uses `<` or `>` inside a
    character, so tags can be found in the bytes.
    """
    leaf = _leaf(tags)
    head, *rest = inner.split(b"<Detail>")
    return _fields(leaf, head), [_fields(leaf, part) for part in rest]


@cache
def _leaf(tags: tuple[str, ...]) -> re.Pattern[bytes]:
    return re.compile(rb"<(" + "|".join(tags).encode() + rb")>([^<]+)<")


def _fields(leaf: re.Pattern[bytes], part: bytes) -> Fields:
    return {tag.decode(): html.unescape(value.decode("gbk", "replace")) for tag, value in leaf.findall(part)}
