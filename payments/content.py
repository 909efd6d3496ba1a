"""The content of a request as reviewers see and approve it: one digest, and one line of an officer's statement."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from core.digests import sm3_hex
from core.money import wire_yuan
from payments.models import Attachment, InvoiceUse, PaymentDetail, PaymentRequest
from seals.approvals import Shown, summary_of_payees


class Details(list[PaymentDetail]):
    """The payee lines of a request in order, and what it rests on: its invoices, and its files by their digests."""

    def __init__(self) -> None:
        super().__init__()
        self.invoices: list[InvoiceUse] = []
        self.files: list[str] = []


def details_of(requests: Iterable[PaymentRequest]) -> dict[UUID, Details]:
    """Return the details of many requests in three queries, in order."""
    found = {request.id: Details() for request in requests}
    for detail in PaymentDetail.objects.filter(request_id__in=list(found)).order_by("request_id", "seq"):
        found[detail.request_id].append(detail)
    for use in InvoiceUse.objects.filter(request_id__in=list(found)).order_by("request_id", "seq"):
        found[use.request_id].invoices.append(use)
    files = Attachment.objects.filter(request_id__in=list(found)).order_by("digest")
    for request_id, digest in files.values_list("request_id", "digest"):
        found[request_id].files.append(digest)
    return found


def content_digest(request: PaymentRequest, details: Details) -> str:
    """Return the SM3 (hex) of everything that decides where money goes and on what ground, in one canonical spelling.

    What a request does not have is not spelled, so that the digests of those without it stay what they were.
    """
    content: dict[str, Any] = {
        "request_no": request.request_no,
        "revision": request.revision,
        "unit": str(request.unit_id),
        "indicator": str(request.indicator_id),
        "quota": str(request.quota_id),
        "payer_account": str(request.payer_account_id),
        "payment_mode": request.payment_mode,
        "business_type": request.business_type,
        "settlement": request.settlement,
        "dept_economic_code": request.dept_economic_code,
        "purpose": request.purpose,
        "contract_no": request.contract_no,
        "amount": wire_yuan(request.amount),
        "details": [
            [
                *(d.seq, d.payee_name, d.payee_account_no, d.payee_bank_name, d.payee_bank_no, wire_yuan(d.amount)),
                d.remark,
                *([d.reference] if d.reference else []),
            ]
            for d in details
        ],
    }
    content |= {
        name: value
        for name, value in (
            ("cash_purpose", request.cash_purpose),
            ("beneficiary_unit", str(request.beneficiary_unit_id or "")),
            ("extra", request.extra),
            ("files", details.files),
        )
        if value
    }
    if details.invoices:
        content["invoices"] = [
            [u.seq, u.code, u.number, wire_yuan(u.amount), u.seller_name, u.seller_tax_id, u.issued_on.isoformat()]
            for u in details.invoices
        ]
    return sm3_hex(json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


def shown_request(request: PaymentRequest, details: Details) -> Shown:
    """The request as its officers are shown it when they sign."""
    return Shown(
        document_id=request.id,
        document_no=request.request_no,
        revision=request.revision,
        digest=content_digest(request, details),
        amount=wire_yuan(request.amount),
        payee=summary_of_payees(details),
    )
