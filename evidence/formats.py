"""The bytes of the log: payloads, entries and root texts. Source: docs/signatures.md §2 and §6."""

import json
from datetime import UTC, datetime
from typing import Any

from core.digests import sm3_hex
from core.merkle import leaf_hash

SYSTEM_STREAM = "system/0"
ROOT_PREFIX = b"GUOKU-ROOT-V1\0"
VANISHED = "null"  # the payload of a fact that is no longer there


def canonical(value: Any) -> str:
    """Canonical JSON: the one spelling of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def instant(moment: datetime) -> str:
    """UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def entry_text(*, stream: str, seq: int, kind: str, subject: str, at: datetime, payload_sm3: str, prev: str) -> str:
    """The entry as canonical JSON; `subject` is `<table>/<row id>`, `prev` the former entry's hash or ""."""
    return canonical(
        {
            "at": instant(at),
            "kind": kind,
            "payload_sm3": payload_sm3,
            "prev": prev,
            "seq": seq,
            "stream": stream,
            "subject": subject,
        }
    )


def entry_hash(text: str) -> str:
    """The Merkle leaf of an entry, 64 hexadecimal digits."""
    return leaf_hash(text.encode()).hex()


def payload_hash(payload: str) -> str:
    """64 hexadecimal digits."""
    return sm3_hex(payload.encode())


def root_text(*, stream: str, size: int, root: str, at: datetime) -> bytes:
    """What is signed and time-stamped: the prefix, which no other signed text has, and the root as canonical JSON."""
    return ROOT_PREFIX + canonical({"at": instant(at), "root": root, "size": size, "stream": stream}).encode()
