"""One key, one effect: the key is stored in the same transaction as what it caused."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction

from core.errors import IdempotencyMismatch
from core.models import IdempotencyKey


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    replayed: bool = False


def payload_digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def run_once(*, owner: str, key: str, payload: bytes, now: datetime, act: Callable[[], Answer]) -> Answer:
    """Run `act` once for this owner and key; the same key and payload get the stored answer again.

    `act` opens its own transactions; a crash between it and the stored answer is healed by `act` itself being
    safe to run twice (unique keys beneath). A session advisory lock makes two simultaneous calls take turns.

    :raises IdempotencyMismatch: if the key came before with another payload.
    """
    digest = payload_digest(payload)
    lock = int.from_bytes(hashlib.sha256(f"{owner}\0{key}".encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [lock])
    try:
        stored = IdempotencyKey.objects.filter(owner=owner, key=key).first()
        if stored is not None:
            if stored.payload_digest != digest:
                raise IdempotencyMismatch("同一幂等键的内容不同，请换新的键。", field="Idempotency-Key", key=key)
            return Answer(stored.status, stored.answer, replayed=True)
        answer = act()
        try:
            with transaction.atomic():
                IdempotencyKey.objects.create(
                    owner=owner,
                    key=key,
                    payload_digest=digest,
                    status=answer.status,
                    answer=answer.body,
                    created_at=now,
                )
        except IntegrityError:  # only if the lock was lost with the connection; the effect itself is safe twice
            pass
        return answer
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])
