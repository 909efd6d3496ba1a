"""The inbox: judge, store — commit — and only then act. Every stored document ends applied, parked, refused or with a
person; a partner's mistake always leaves a trace. Source: docs/reliability.md, inbox.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import DatabaseError, IntegrityError, transaction

from core.batch import copy_rows
from core.digests import sm3_hex
from core.errors import TreasuryError
from vouchers import errors
from vouchers.applying import InboxAnswer, answer_to, apply_waiting
from vouchers.codec import decode_envelope
from vouchers.judging import judge_bodies
from vouchers.messages import EnvelopeBody
from vouchers.models import ExchangePartner, InboxMessage, InboxRejection
from vouchers.states import InboxState

log = logging.getLogger(__name__)
KEEP_RAW_BYTES = 1024 * 1024


def receive(*, raw: bytes, sender: ExchangePartner, now: datetime) -> list[InboxAnswer]:
    """Store every body of an envelope, then apply what can be applied. Not inside a transaction.

    :raises VoucherError: if the envelope itself cannot be read; the bytes are kept as an InboxRejection.
    """
    return receive_bodies(bodies=open_envelope(raw=raw, sender=sender, now=now), sender=sender, now=now)


def open_envelope(*, raw: bytes, sender: ExchangePartner, now: datetime) -> list[EnvelopeBody]:
    """Return the bodies of an envelope; nothing in them is proven yet.

    :raises VoucherError: if it cannot be read; the bytes are kept as an InboxRejection.
    """
    try:
        return decode_envelope(raw)
    except TreasuryError as error:
        _reject(raw, sender, error, now)
        raise


def receive_bodies(*, bodies: Sequence[EnvelopeBody], sender: ExchangePartner, now: datetime) -> list[InboxAnswer]:
    """The same for bodies out of several envelopes of one sender; answers in their order."""
    answers = _store(bodies, sender, now)
    fresh = [answer.message_id for answer in answers if answer.outcome == "stored" and answer.message_id]
    try:
        settled = apply_waiting(now=now, only=fresh) if fresh else {}
    except DatabaseError:
        log.exception("stored, not yet applied: the sweep will")  # committed already, so the sender is told "stored"
        settled = {}
    return [settled.get(answer.message_id, answer) if answer.message_id else answer for answer in answers]


def _reject(raw: bytes, sender: ExchangePartner, error: TreasuryError, now: datetime) -> None:
    with transaction.atomic():
        InboxRejection.objects.create(
            sender=sender.organisation,
            raw=raw[:KEEP_RAW_BYTES],
            size=len(raw),
            code=error.code,
            field=(error.field or "")[:80],
            reason=error.message[:300],
            at=now,
        )


# Storing ------------------------------------------------------------------------------------------------------------


def _store(bodies: Sequence[EnvelopeBody], sender: ExchangePartner, now: datetime) -> list[InboxAnswer]:
    try:
        return _store_once(bodies, sender, now)
    except IntegrityError:  # the same document arrived at the same moment elsewhere: look again, it is there now
        return _store_once(bodies, sender, now)


@transaction.atomic(durable=True)
def _store_once(bodies: Sequence[EnvelopeBody], sender: ExchangePartner, now: datetime) -> list[InboxAnswer]:
    judged = judge_bodies(bodies, sender, now)
    seen = _seen_before([body for body, _, _ in judged], sender)
    answers: list[InboxAnswer] = []
    rows: list[InboxMessage] = []
    in_this_envelope: dict[tuple[str, int, str, str, int], str] = {}
    for body, content, refusal in judged:
        digest = sm3_hex(body.text)
        earlier = seen.get(_key(body))
        if refusal is None and _key(body) in in_this_envelope:
            refusal = errors.DuplicateIdentity("同一信封内凭证号重复。", field="VoucherNo", given=body.voucher_no)
        if refusal is None and earlier is not None and earlier.digest == digest:
            answers.append(answer_to(body, digest, "duplicate", earlier.pk))
            continue
        if refusal is None and earlier is not None:
            refusal = errors.DuplicateIdentity(
                "该凭证号已收到过内容不同的报文。",
                field="VoucherNo",
                given=body.voucher_no,
                earlier_digest=earlier.digest,
            )
        if refusal is not None and content is None:
            _reject(body.text, sender, refusal, now)
            answers.append(answer_to(body, digest, "refused", None, refusal))
            continue
        row = _row(body, digest, sender, now, refusal)
        rows.append(row)
        if refusal is None:
            in_this_envelope[_key(body)] = digest
        answers.append(answer_to(body, digest, "stored" if refusal is None else "refused", row.pk, refusal))
    rows.sort(key=_key)  # in one order: two envelopes never wait for each other in a circle
    copy_rows(rows)
    return answers


def _row(
    body: EnvelopeBody, digest: str, sender: ExchangePartner, now: datetime, refusal: TreasuryError | None
) -> InboxMessage:
    return InboxMessage(
        adm_div_code=body.adm_div_code,
        fiscal_year=body.fiscal_year,
        sender=sender.organisation,
        voucher_type=body.voucher_type,
        voucher_no=body.voucher_no,
        flag=body.flag,
        text=body.text,
        digest=digest,
        signatures=[[mark.position, mark.serial, mark.value] for mark in body.signatures],
        stamps=[[mark.position, mark.serial, mark.value] for mark in body.stamps],
        state=InboxState.RECEIVED if refusal is None else InboxState.REFUSED,
        code=refusal.code if refusal else "",
        field=(refusal.field or "")[:80] if refusal else "",
        reason=refusal.message[:300] if refusal else "",
        received_at=now,
        next_attempt_at=now if refusal is None else None,
    )


def _key(body: EnvelopeBody | InboxMessage) -> tuple[str, int, str, str, int]:
    return body.adm_div_code, body.fiscal_year, body.voucher_type, body.voucher_no, body.flag


def _seen_before(
    bodies: Sequence[EnvelopeBody], sender: ExchangePartner
) -> dict[tuple[str, int, str, str, int], InboxMessage]:
    rows = InboxMessage.objects.filter(
        adm_div_code=sender.adm_div_code,
        voucher_no__in={body.voucher_no for body in bodies},
        voucher_type__in={body.voucher_type for body in bodies},
        sender=sender.organisation,
    ).exclude(state=InboxState.REFUSED)
    return {_key(row): row for row in rows.defer("text", "signatures", "stamps")}
