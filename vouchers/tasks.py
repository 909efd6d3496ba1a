"""Celery carries batches of the outbox and inbox; PostgreSQL knows what is due. Task arguments are ids only."""

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from core.errors import TreasuryError
from seals.httpsig import MAX_SKEW_SECONDS
from vouchers import applying, delivery, inbox
from vouchers.messages import EnvelopeBody
from vouchers.models import ExchangePartner, RequestNonce
from vouchers.services import on_wake
from vouchers.states import DeliveryState
from vouchers.transport import ExchangeUnknown, NotSent, post_vouchers, query_vouchers

log = logging.getLogger(__name__)
LONGEST_TURN = 30.0  # seconds one partner's sender holds a worker


@shared_task(name="vouchers.relay")
def relay(**_later_arguments: object) -> None:
    """Find partners with something due and wake their senders; runs every second, whatever happened to the broker."""
    for organisation in delivery.due_partners(now=timezone.now(), states=[DeliveryState.QUEUED]):
        send_to(organisation)


@shared_task(name="vouchers.send")
def send(organisation: str, **_later_arguments: object) -> None:
    """Send to one partner until nothing is due. Two at once share the rows by SKIP LOCKED."""
    until = time.monotonic() + LONGEST_TURN  # then others have their turn; the relay rings again
    while send_batch(organisation) and time.monotonic() < until:
        pass


@shared_task(name="vouchers.resolve_unknown")
def resolve_unknown(**_later_arguments: object) -> None:
    """Wake somebody to ask each push partner about its UNKNOWN vouchers: one that is slow must not delay the others."""
    for organisation in delivery.due_partners(now=timezone.now(), states=[DeliveryState.UNKNOWN]):
        _ring(ask, organisation)


@shared_task(name="vouchers.ask")
def ask(organisation: str, **_later_arguments: object) -> None:
    """Ask one partner about a batch of UNKNOWN vouchers."""
    ask_batch(organisation)


@shared_task(name="vouchers.sweep_inbox")
def sweep_inbox(**_later_arguments: object) -> None:
    """Apply what was stored and not yet acted on, and try again what waits for something else."""
    applying.apply_waiting(now=timezone.now())


@shared_task(name="vouchers.forget_nonces")
def forget_nonces(**_later_arguments: object) -> None:
    """Let go of nonces that the clock window refuses by itself."""
    RequestNonce.objects.filter(at__lt=timezone.now() - 2 * timedelta(seconds=MAX_SKEW_SECONDS)).delete()


def send_batch(organisation: str) -> int:
    """Send one batch; returns how many rows it carried."""
    claimed = delivery.claim(organisation=organisation, state=DeliveryState.QUEUED, now=timezone.now())
    if claimed is None:
        return 0
    try:
        answers = post_vouchers(claimed.partner, claimed.vouchers, timezone.now())
    except NotSent as error:
        delivery.record_not_sent(claimed, str(error), now=timezone.now())
        return 0
    except ExchangeUnknown as error:
        delivery.record_unknown(claimed, str(error), now=timezone.now())
        return 0
    delivery.record_sent(claimed, answers, now=timezone.now())
    return len(claimed.deliveries)


def ask_batch(organisation: str) -> int:
    """Ask about one batch of UNKNOWN rows and apply the receipts that come along; returns how many were asked."""
    claimed = delivery.claim(organisation=organisation, state=DeliveryState.UNKNOWN, now=timezone.now())
    if claimed is None:
        return 0
    try:
        answers = query_vouchers(claimed.partner, claimed.vouchers, timezone.now())
    except NotSent as error:
        delivery.record_not_sent(claimed, str(error), now=timezone.now())
        return 0
    except ExchangeUnknown as error:
        delivery.record_unknown(claimed, str(error), now=timezone.now())
        return 0
    take_in(delivery.record_queried(claimed, answers, now=timezone.now()), claimed.partner)
    return len(claimed.deliveries)


def pull_receipts(voucher_ids: list[UUID]) -> int:
    """Ask the banks for the receipts of these vouchers and take them in; returns how many receipts came.

    A bank that cannot be asked, or whose answer is not to be trusted, is left out: its receipts stay missing.
    """
    found = 0
    for partner, vouchers in applying.unanswered_by_partner(voucher_ids):
        try:
            answers = query_vouchers(partner, vouchers, timezone.now())
        except (NotSent, ExchangeUnknown) as error:
            log.warning("receipts not pulled", extra={"partner": partner.pk, "error": str(error)})
            continue
        found += take_in([answer.receipt for answer in answers if answer is not None and answer.receipt], partner)
    return found


def take_in(receipts: Sequence[bytes], partner: ExchangePartner) -> int:
    """Give receipts that came along with an answer to the inbox, which keeps what it cannot read; how many it could."""
    bodies: list[EnvelopeBody] = []
    readable = 0
    for receipt in receipts:
        try:
            bodies += inbox.open_envelope(raw=receipt, sender=partner, now=timezone.now())
            readable += 1
        except TreasuryError as error:
            log.warning("a receipt that came along cannot be read", extra={"partner": partner.pk, "code": error.code})
    if bodies:
        inbox.receive_bodies(bodies=bodies, sender=partner, now=timezone.now())
    return readable


def send_to(organisation: str) -> None:
    """Ring for a partner's sender."""
    _ring(send, organisation)


def _ring(task: Any, organisation: str) -> None:
    """Put a task on the broker. A dead, full or read-only broker is no reason to fail: the next tick finds the rows."""
    try:
        task.delay(organisation)
    except Exception:
        log.warning("broker did not take the task", exc_info=True, extra={"partner": organisation})


on_wake(send_to)
