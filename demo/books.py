"""Reading the finance bureau's own books while the day runs; survives a database that was just killed."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.models import Sum

from budget.models import BudgetIndicator, ClearingLimit, Quota, SpendingPlan
from core.money import ZERO
from demo.clients import PATIENCE_SECONDS
from demo.world import REGION
from monitoring.selectors import statistics
from payments.models import LimitNotice, PaymentRequest, Refund
from reconciliation.models import Discrepancy, Sheet
from reconciliation.states import DiscrepancyState
from vouchers.models import Delivery, InboxMessage, Voucher

T = TypeVar("T")


class TooSlow(Exception):
    """What the day waits for did not happen in time."""


def read(query: Callable[[], T]) -> T:
    """Run a read; a lost connection is opened again until the database is back."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return query()
        except (DatabaseError, InterfaceError):
            if time.monotonic() > until:
                raise
            time.sleep(0.3)
            connection.close()
            close_old_connections()


def wait_until(what: str, true: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Look again and again until it is so.

    :raises TooSlow: naming what did not happen.
    """
    until = time.monotonic() + seconds
    while not read(true):
        if time.monotonic() > until:
            raise TooSlow(what)
        time.sleep(0.1)


def indicator(no: str) -> BudgetIndicator:
    return read(lambda: BudgetIndicator.objects.select_related("quota").get(adm_div_code=REGION, indicator_no=no))


def quota(no: str) -> Decimal:
    row: Quota = indicator(no).quota
    return row.amount_available


def request(request_id: str) -> PaymentRequest:
    return read(lambda: PaymentRequest.objects.select_related("voucher").get(pk=request_id))


def limit(organisation: str, mode: str) -> Decimal:
    rows = ClearingLimit.objects.filter(adm_div_code=REGION, agent_bank__organisation=organisation, payment_mode=mode)
    return read(lambda: rows.get()).amount_available


def voucher_amount(kind: str, number: str) -> Decimal:
    """Return the amount of one of our vouchers, zero if there is none; a 5108 keeps its sign."""
    row = read(lambda: Voucher.objects.filter(voucher_type=kind, voucher_no=number).first())
    return row.amount if row else ZERO


def inbound(kind: str, number: str, flag: int) -> InboxMessage | None:
    return read(lambda: InboxMessage.objects.filter(voucher_type=kind, voucher_no=number, flag=flag).first())


def alerts() -> dict[str, tuple[str, str]]:
    """Return count and amount by severity, and in total."""
    rows = read(lambda: statistics(REGION, 2026))
    return {row.severity: (str(row.count), str(row.amount)) for row in rows}


def last_sheet(pair: str, partner: str) -> Sheet | None:
    return read(lambda: Sheet.objects.filter(pair=pair, partner=partner).order_by("-run").first())


def refunded() -> Decimal:
    return read(lambda: Refund.objects.aggregate(total=Sum("amount"))["total"] or ZERO)


def limit_notices(request_id: str) -> list[Decimal]:
    rows = LimitNotice.objects.filter(request_id=request_id).order_by("pk")
    return read(lambda: list(rows.values_list("amount", flat=True)))


def notice_of(plan_id: str) -> str:
    return str(read(lambda: SpendingPlan.objects.get(pk=plan_id)).notice_id)


def open_differences() -> list[str]:
    rows = Discrepancy.objects.filter(adm_div_code=REGION, state=DiscrepancyState.OPEN)
    return [str(pk) for pk in read(lambda: list(rows.values_list("pk", flat=True)))]


def outbox_is_empty() -> bool:
    return read(lambda: not Delivery.objects.exclude(state__in=["delivered", "refused"]).exists())
