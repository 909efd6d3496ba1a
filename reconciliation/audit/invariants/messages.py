"""Inbound messages for the invariants that look inside them: their signatures, and their content beside our rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from reconciliation.audit.evidence import Row, Signed, chunks, content_of, judged, marks_of
from reconciliation.audit.findings import Finding, Scope, in_region
from vouchers.messages import VoucherContent

_MESSAGES = f"""
SELECT m.id, m.adm_div_code, m.fiscal_year, m.voucher_type, m.voucher_no, m.sender, m.text, m.signatures, m.received_at
  FROM vouchers_inboxmessage m
 WHERE m.state = ANY(%(states)s) AND (m.voucher_type = ANY(%(types)s)) = %(among)s
   AND (%(flag)s::int IS NULL OR m.flag = %(flag)s) AND {in_region("m")}
"""


@dataclass(frozen=True)
class Message:
    """One message with what its stored bytes say (None: unreadable), and the rows that came of it."""

    id: str
    identity: tuple[Any, ...]
    content: VoucherContent | None
    rows: list[tuple[Any, ...]]


def contents(
    scope: Scope, types: Sequence[str], *, flag: int, states: Sequence[str], query: str = ""
) -> Iterator[Message]:
    """Decode every message of these types; `query` reads the rows each led to, by %(id)s."""
    parameters = {"region": scope.region, "types": list(types), "among": True, "flag": flag, "states": list(states)}
    for rows in chunks(_MESSAGES, parameters):
        for message_id, *identity, _sender, text, _signatures, _at in rows:
            found: list[tuple[Any, ...]] = []
            if query:
                with connection.cursor() as cursor:
                    cursor.execute(query, {"id": message_id})
                    found = cursor.fetchall()
            yield Message(str(message_id), tuple(identity), content_of(bytes(text)), found)


def signatures_hold(scope: Scope, types: Sequence[str], *, among: bool = True) -> Iterator[Finding]:
    """Verify the sender's signature over applied messages of these types (with `among` false: of all others)."""
    parameters = {"region": scope.region, "types": list(types), "among": among, "flag": None, "states": ["applied"]}
    for row, fault in judged(chunks(_MESSAGES, parameters), _signed):
        if fault:
            yield Finding("vouchers_inboxmessage", str(row[0]), f"来文 {row[3]} {row[4]}：{fault}")


def _signed(row: Row) -> Signed:
    *_, sender, text, signatures, received_at = row
    return Signed(sender, bytes(text), marks_of(signatures), received_at)
