"""Celery carries batches of the outbox and inbox; PostgreSQL knows what is due. Task arguments are ids only."""

import logging
from uuid import UUID

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from vouchers import delivery, inbox
from vouchers.services import on_wake
from vouchers.states import DeliveryState
from vouchers.transport import ExchangeUnknown, NotSent, post_vouchers, query_vouchers

log = logging.getLogger(__name__)


@shared_task(name="vouchers.relay")
def relay(**_later_arguments: object) -> None:
    """Find partners with something due and wake their senders; runs every second, whatever happened to the broker."""
    for organisation in delivery.due_partners(now=timezone.now()):
        send_to(organisation)


@shared_task(name="vouchers.send")
def send(organisation: str, **_later_arguments: object) -> None:
    """Send to one partner until nothing is due. Two at once share the rows by SKIP LOCKED."""
    for _ in range(20):
        if not send_batch(organisation):
            return


@shared_task(name="vouchers.resolve_unknown")
def resolve_unknown(**_later_arguments: object) -> None:
    """Ask every push partner about its UNKNOWN vouchers."""
    for organisation in delivery.due_partners(now=timezone.now()):
        ask_batch(organisation)


@shared_task(name="vouchers.sweep_inbox")
def sweep_inbox(**_later_arguments: object) -> None:
    """Apply what was stored and not yet acted on, and try again what waits for something else."""
    inbox.apply_waiting(now=timezone.now())


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
    for receipt in delivery.record_queried(claimed, answers, now=timezone.now()):
        inbox.receive(raw=receipt, sender=claimed.partner, now=timezone.now())
    return len(claimed.deliveries)


def pull_receipts(voucher_ids: list[UUID]) -> int:
    """Ask the banks for the receipts of these vouchers and take them in; returns how many receipts came."""
    found = 0
    for partner, vouchers in inbox.unanswered_by_partner(voucher_ids):
        for answer in query_vouchers(partner, vouchers, timezone.now()):
            if answer is not None and answer.receipt is not None:
                inbox.receive(raw=answer.receipt, sender=partner, now=timezone.now())
                found += 1
    return found


def send_to(organisation: str) -> None:
    """Ring for a partner's sender. A dead broker is no reason to fail: the relay finds the rows."""
    try:
        send.delay(organisation)
    except OperationalError:
        log.warning("broker not reachable; the relay will send", extra={"partner": organisation})


on_wake(send_to)

