"""Short ways through the services for tests: officers by log-in, a request from draft to the bank."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from demo import world
from payments import services
from payments.models import PaymentRequest
from tests.conftest import NOW

CLERK_OF = {"I1": "u101001", "I2": "u101002", "I3": "u101002", "I4": "u101002", "I5": "u205001", "I6": "u205001"}
ECONOMIC = {"I1": "30201", "I2": "30101", "I3": "30201", "I4": "31003", "I5": "30299", "I6": "31002"}
SECTION_OF = {"u101001": "jkw-sh", "u101002": "jkw-sh", "u205001": "xzzf-sh"}


def line(amount: str, **changes: Any) -> services.DetailInput:
    values = {
        "payee_name": "临江市晨光办公用品公司",
        "payee_account_no": "6230000000000001",
        "payee_bank_name": "丙银行临江支行",
        "payee_bank_no": "",
        "amount": Decimal(amount),
    } | changes
    return services.DetailInput(**values)


def wanted(indicator: str, *amounts: str, **changes: Any) -> services.RequestInput:
    values = {
        "indicator_id": world.indicator(indicator).id,
        "business_type": "1",
        "settlement": "2",
        "dept_economic_code": ECONOMIC[indicator],
        "purpose": "办公用品",
        "details": tuple(line(amount) for amount in amounts),
    } | changes
    return services.RequestInput(**values)


def draft(indicator: str, *amounts: str, **changes: Any) -> PaymentRequest:
    clerk = world.officer(f"{CLERK_OF[indicator]}-jb")
    return services.save_drafts(inputs=[wanted(indicator, *amounts, **changes)], clerk=clerk, now=NOW)[0]


def submit(*requests: PaymentRequest) -> Any:
    clerk = _unit_officer(requests[0], "jb")
    return services.submit_payment_requests(request_ids=ids(requests), clerk=clerk, now=NOW)


def approve(who: str, *requests: PaymentRequest) -> Any:
    return services.approve_payment_requests(request_ids=ids(requests), reviewer=world.officer(who), now=NOW)


def approve_all(*requests: PaymentRequest) -> None:
    """Let every needed reviewer approve."""
    prefix = _prefix(requests[0])
    direct = requests[0].payment_mode == "11"
    chain = [f"{prefix}-fh", SECTION_OF[prefix], "gk-sh", "gk-kz"] if direct else [f"{prefix}-fh", f"{prefix}-fz"]
    for who in chain:
        waiting = [r for r in fresh(*requests) if r.state == "in_review"]
        if waiting:
            approve(who, *waiting).raise_if_refused()


def issue(*requests: PaymentRequest) -> Any:
    maker = world.officer("gk-zd") if requests[0].payment_mode == "11" else _unit_officer(requests[0], "jb")
    return services.issue_payment_vouchers(request_ids=ids(requests), maker=maker, now=NOW)


def seal(*requests: PaymentRequest) -> Any:
    sealer = world.officer("gk-yz") if requests[0].payment_mode == "11" else _unit_officer(requests[0], "yz")
    return services.seal_payment_vouchers(request_ids=ids(requests), sealer=sealer, now=NOW)


def sent(indicator: str, *amounts: str, **changes: Any) -> PaymentRequest:
    """A request that has been sealed and put into the outbox."""
    request = draft(indicator, *amounts, **changes)
    submit(request).raise_if_refused()
    approve_all(request)
    issue(request).raise_if_refused()
    seal(request).raise_if_refused()
    return fresh(request)[0]


def fresh(*requests: PaymentRequest) -> list[PaymentRequest]:
    rows = PaymentRequest.objects.select_related("voucher", "unit", "indicator", "payer_account__agent_bank")
    by_id = rows.in_bulk(ids(requests))
    return [by_id[request.id] for request in requests]


def ids(requests: Any) -> list[UUID]:
    return [request.id for request in requests]


def _prefix(request: PaymentRequest) -> str:
    return f"u{request.unit.code}"


def _unit_officer(request: PaymentRequest, suffix: str) -> Any:
    return world.officer(f"{_prefix(request)}-{suffix}")
