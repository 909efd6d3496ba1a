"""Counting what did not go as ordered, for rules (M28) and reports. Reads only."""

from datetime import date
from decimal import Decimal
from typing import TypedDict

from django.db.models import Count, Sum

from core.money import ZERO
from parties.models import BudgetUnit
from payments.models import CorrectionReceipt, ReceiptLine, Refund


class MonthOfExceptions(TypedDict):
    """How much of a unit's month had to be corrected or came back, beside what was paid; yuan."""

    corrections: int
    corrected: Decimal
    refunds: int
    refunded: Decimal
    payments: int
    paid: Decimal


def corrections_and_refunds(unit: BudgetUnit, month: int, *, fiscal_year: int) -> MonthOfExceptions:
    """Return a unit's executed corrections, refunds and paid details of one month, by their own dates (three queries).

    A refund counts in the month it came back, a correction in the month PBoC executed it.
    """
    first = date(fiscal_year, month, 1)
    last = date(fiscal_year + month // 12, month % 12 + 1, 1)
    region = unit.adm_div_code
    corrections = CorrectionReceipt.objects.filter(
        adm_div_code=region, executed=True, dealt_on__gte=first, dealt_on__lt=last, correction__unit=unit
    ).aggregate(number=Count("id"), amount=Sum("correction__amount"))
    refunds = Refund.objects.filter(
        adm_div_code=region, refunded_on__gte=first, refunded_on__lt=last, detail__request__unit=unit
    ).aggregate(number=Count("id"), amount=Sum("amount"))
    payments = ReceiptLine.objects.filter(
        adm_div_code=region,
        paid_on__gte=first,
        paid_on__lt=last,
        amount_paid__gt=0,
        detail__request__unit=unit,
    ).aggregate(number=Count("id"), amount=Sum("amount_paid"))
    return {
        "corrections": corrections["number"],
        "corrected": corrections["amount"] or ZERO,
        "refunds": refunds["number"],
        "refunded": refunds["amount"] or ZERO,
        "payments": payments["number"],
        "paid": payments["amount"] or ZERO,
    }
