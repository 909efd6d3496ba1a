"""That the day was right, not only fast: every payment once, every fen accounted for, on both sides."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Sum

from bench import _plan
from budget.models import BudgetIndicator, Quota
from core.money import ZERO
from demo import world
from payments.models import ClearingLine, PaymentRequest, ReceiptLine
from payments.states import RequestState
from reconciliation.models import Sheet
from reconciliation.states import SheetState
from vouchers.models import InboxMessage

Wrong = list[str]


def faults(
    planned: list[_plan.Payment],
    request_ids: Sequence[UUID],
    indicators: Mapping[str, UUID],
    sheets: Sequence[Sheet],
    banks: Iterable[Mapping[str, Any]],
    pboc: Mapping[str, Any],
) -> Wrong:
    """Everything that is not as it must be; an empty list if all is right."""
    vouchers = dict(PaymentRequest.objects.filter(pk__in=request_ids).values_list("voucher_no", "amount"))
    wrong = _our_books(planned, request_ids, indicators)
    wrong += executed_once(vouchers, [row for bank in banks for row in bank["executions"]])
    wrong += cleared_once(vouchers, pboc["cleared_details"])
    wrong += zero_balances(banks)
    wrong += [f"{s.pair} {s.partner}: {s.state}, {s.difference}" for s in sheets if s.state != SheetState.MATCHED]
    paid = sum((sheet.our_amount for sheet in sheets if sheet.pair == "bank_payment"), ZERO)
    return wrong + unequal({"paid on the sheets": (paid, _plan.total(planned))})


def _our_books(planned: list[_plan.Payment], request_ids: Sequence[UUID], indicators: Mapping[str, UUID]) -> Wrong:
    count, total = len(planned), _plan.total(planned)
    requests = PaymentRequest.objects.filter(pk__in=request_ids)
    rows = BudgetIndicator.objects.filter(pk__in=indicators.values())
    quotas = Quota.objects.filter(indicator__in=indicators.values())
    found: dict[str, tuple[Any, Any]] = {
        "cleared requests": (requests.filter(state=RequestState.CLEARED).count(), count),
        "paid by requests": (_sum(requests, "amount_paid"), total),
        "reserved on indicators": (_sum(rows, "amount_reserved"), ZERO),
        "paid on indicators": (_sum(rows, "amount_paid"), total),
        "reserved on quotas": (_sum(quotas, "amount_reserved"), ZERO),
        "spent on quotas": (_sum(quotas, "amount_spent"), total),
        "receipt lines": (ReceiptLine.objects.filter(detail__request__in=requests).count(), count),
        "clearing lines": (ClearingLine.objects.filter(detail__request__in=requests).count(), count),
        "inbound documents not applied": (InboxMessage.objects.exclude(state="applied").count(), 0),
    }
    for number, expected in _plan.totals_by_indicator(planned).items():
        found[f"paid on {number}"] = (_sum(rows.filter(indicator_no=number), "amount_paid"), expected)
    return unequal(found)


def _sum(rows: Any, column: str) -> Decimal:
    return Decimal(rows.aggregate(total=Sum(column))["total"] or ZERO)


def executed_once(vouchers: Mapping[str, Decimal], executions: Iterable[Mapping[str, Any]]) -> Wrong:
    """Compare the banks' ledger of money paid out with our vouchers: each once, with its own amount, and no others."""
    today = [row for row in executions if not row["historic"]]
    counts = Counter(row["voucher_no"] for row in today)
    wrong = [f"{number} executed {counts[number]} times" for number in vouchers if counts[number] != 1]
    wrong += [f"{number} executed, but not ours" for number in counts if number not in vouchers]
    wrong += [
        f"{row['voucher_no']} executed with {row['amount']}"
        for row in today
        if row["voucher_no"] in vouchers and Decimal(row["amount"]) != vouchers[row["voucher_no"]]
    ]
    executed = sum((Decimal(row["amount"]) for row in today), ZERO)
    return wrong + unequal({"executed by the banks": (executed, sum(vouchers.values(), ZERO))})


def cleared_once(vouchers: Mapping[str, Decimal], cleared: Iterable[Mapping[str, Any]]) -> Wrong:
    """Compare what PBoC reimbursed with our vouchers."""
    mine = [row for row in cleared if row["payment_no"] in vouchers]
    amount = sum((Decimal(row["amount"]) for row in mine), ZERO)
    return unequal(
        {
            "details cleared by PBoC": (len(mine), len(vouchers)),
            "vouchers cleared by PBoC": (len({row["payment_no"] for row in mine}), len(vouchers)),
            "amount cleared by PBoC": (amount, sum(vouchers.values(), ZERO)),
        }
    )


def zero_balances(banks: Iterable[Mapping[str, Any]]) -> Wrong:
    """The zero-balance accounts must be back at 0.00 once everything is cleared."""
    accounts = [row for bank in banks for row in bank["accounts"] if row["no"] in world.ACCOUNTS.values()]
    return unequal({f"balance of {row['no']}": (Decimal(row["balance"]), ZERO) for row in accounts})


def unequal(found: Mapping[str, tuple[Any, Any]]) -> Wrong:
    """Name what differs, as found and as wanted."""
    return [f"{name}: {actual}, wanted {wanted}" for name, (actual, wanted) in found.items() if actual != wanted]
