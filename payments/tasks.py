"""Celery's part: asking banks about recalls, releasing what they returned, ordering refunds. PostgreSQL knows what is
due; a tick that is lost costs seconds."""

import logging

from celery import shared_task
from django.utils import timezone

from core.errors import DayClosed
from payments import recalls
from payments.issuing import withdraw_returned_requests
from payments.refund_orders import cases_to_order, order_refunds
from vouchers.tasks import take_in
from vouchers.transport import ExchangeUnknown, NotSent, recall_vouchers

log = logging.getLogger(__name__)


@shared_task(name="payments.ask_recalls")
def ask(**_later_arguments: object) -> None:
    """Ask each bank about the recalls that are due, act on its answers, and release what it has returned."""
    ask_banks()
    release_returned()


@shared_task(name="payments.order_refunds")
def order(**_later_arguments: object) -> None:
    """Tell the banks which payment each identified refund belongs to."""
    for adm_div_code in cases_to_order():
        try:
            order_refunds(adm_div_code=adm_div_code, now=timezone.now())
        except DayClosed:
            continue  # with the next day


def ask_banks() -> int:
    """Ask about one batch for each bank; returns how many recalls were asked about."""
    asked = 0
    for question in recalls.claim_questions(now=timezone.now()):
        asked += len(question.recalls)
        try:
            answers = recall_vouchers(question.partner, question.items, timezone.now())
        except (NotSent, ExchangeUnknown) as error:
            recalls.note_silence(question, error)
            continue
        take_in(recalls.record_answers(question, answers, now=timezone.now()), question.partner)
    return asked


def release_returned() -> None:
    """Release what banks have returned; where no day is open, with the next one."""
    for adm_div_code in recalls.regions_to_release():
        try:
            withdraw_returned_requests(adm_div_code=adm_div_code, now=timezone.now())
        except DayClosed:
            log.info("returned payments wait for the next business day", extra={"region": adm_div_code})
