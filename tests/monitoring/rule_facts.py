"""Facts for tests of rules: an ordinary payment that no rule minds, to be changed in one place."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from core.money import yuan
from monitoring.facts import (
    AnnualFacts,
    ContractFacts,
    DwellFacts,
    EarlierPayment,
    ExpenseFacts,
    ForecastFacts,
    HistoryFacts,
    InvoiceFacts,
    MonthlyFacts,
    PayeeFacts,
    PayerFacts,
    PaymentFacts,
    PendingReceiptFacts,
    ProgressFacts,
    ReceiptFacts,
    RosterFacts,
)

REGION, DAY = "990100000", date(2026, 6, 15)
OWN, SUPPLIER = "6220001010020002", "6230000000000001"
PAYEE = PayeeFacts("临江办公用品公司", SUPPLIER, yuan("2345.67"))


def payment(amount: str = "2345.67", *, payee: dict[str, Any] | None = None, **changes: Any) -> PaymentFacts:
    """An ordinary purchase of office goods; `payee` changes its one payee."""
    one = replace(PAYEE, **{"amount": yuan(amount), **(payee or {})})
    values: dict[str, Any] = {
        "document_id": UUID(int=1),
        "document_type": "payments.PaymentRequest",
        "document_no": "SQ1",
        "revision": 1,
        "adm_div_code": REGION,
        "fiscal_year": 2026,
        "unit_code": "101002",
        "amount": yuan(amount),
        "payment_mode": "12",
        "business_type": "1",
        "settlement": "2",
        "purpose": "办公用品",
        "contract_no": "",
        "cash_reason": "",
        "payees": (one,),
        "own_accounts": frozenset({OWN}),
        "is_reissue": False,
        "business_date": DAY,
        "section": "教科文科",
        "fund_nature": "11",
        "function_code": "2050204",
        "gov_economic_code": "50201",
        "dept_economic_code": "30201",
        "entered_on": DAY,
    }
    return PaymentFacts(**{**values, **changes})


def earlier(amount: str, *, days: int, work_days: int, account: str = SUPPLIER, number: int = 2) -> EarlierPayment:
    return EarlierPayment(UUID(int=number), f"SQ{number}", account, yuan(amount), days, work_days)


def history(*payments: EarlierPayment, cash: str = "0.00", spent: str = "0.00", average: str | None = None):
    return HistoryFacts(payments, yuan(cash), yuan(spent), None if average is None else yuan(average))


def contract(**changes: Any) -> ContractFacts:
    values: dict[str, Any] = {
        "contract_no": "HT-1",
        "supplier_name": PAYEE.name,
        "supplier_accounts": frozenset({SUPPLIER}),
        "total": yuan("100000.00"),
        "paid": yuan("40000.00"),
        "in_transit": yuan("20000.00"),
        "refunded": yuan("5000.00"),
        "prepayment_cap": yuan("0.00"),
        "payments_before": 1,
        "accepted": False,
    }
    return ContractFacts(**{**values, **changes})


def first_payment(**changes: Any) -> ContractFacts:
    nothing = {"paid": yuan("0.00"), "in_transit": yuan("0.00"), "refunded": yuan("0.00"), "payments_before": 0}
    return contract(**{**nothing, **changes})


def roster(**changes: Any) -> RosterFacts:
    values: dict[str, Any] = {
        "kind": "工资",
        "month": "2026-06",
        "head_count": 100,
        "total": yuan("800000.00"),
        "last_head_count": 100,
        "last_total": yuan("800000.00"),
    }
    return RosterFacts(**{**values, **changes})


def invoice(number: str = "00000001", used_by: str = "") -> InvoiceFacts:
    return InvoiceFacts("4400", number, yuan("100.00"), used_by)


def annual(spent: str, limit: str = "10000.00", code: str = "50206") -> AnnualFacts:
    return AnnualFacts(code, yuan(limit), yuan(spent))


def expense(**changes: Any) -> ExpenseFacts:
    values: dict[str, Any] = {"approval_no": "SP-1", "heads": 20, "days": 2, "standard": yuan("450.00")}
    return ExpenseFacts(**{**values, **changes})


def payer(fault: str = "") -> PayerFacts:
    return PayerFacts("6220", fault)


_SUBJECT: dict[str, Any] = {
    "document_id": UUID(int=9),
    "document_type": "budget.BudgetIndicator",
    "document_no": "I4",
    "revision": 6,
    "adm_div_code": REGION,
    "fiscal_year": 2026,
    "unit_code": "101002",
    "section": "教科文科",
    "amount": yuan("1000.00"),
    "business_date": DAY,
}


def progress(**changes: Any) -> ProgressFacts:
    values: dict[str, Any] = {
        "tags": ("01中央直达资金",),
        "total": yuan("1000.00"),
        "paid": yuan("400.00"),
        "issued_on": date(2026, 1, 5),
        "elapsed": yuan("0.50"),
    }
    return ProgressFacts(**{**_SUBJECT, **values, **changes})


def monthly(times: int) -> MonthlyFacts:
    return MonthlyFacts(**_SUBJECT, month=6, times=times)


def dwell(work_days: int) -> DwellFacts:
    return DwellFacts(**_SUBJECT, post="单位复核", work_days=work_days)


def pending(work_days: int) -> PendingReceiptFacts:
    return PendingReceiptFacts(**_SUBJECT, work_days=work_days)


def forecast(balance: str, demand: str) -> ForecastFacts:
    return ForecastFacts(**{**_SUBJECT, "amount": yuan(balance)}, days=30, demand=yuan(demand))


def receipt(stated: str, expected: str, field: str = "XPayAmt") -> ReceiptFacts:
    return ReceiptFacts(**_SUBJECT, field=field, stated=stated, expected=expected)
