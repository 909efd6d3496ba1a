"""The content of a request as reviewers see and approve it: one digest, and one line of an officer's statement."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from core.digests import sm3_hex
from core.money import wire_yuan
from payments.models import PaymentDetail, PaymentRequest
from seals.approvals import Shown, summary_of_payees


def details_of(requests: Iterable[PaymentRequest]) -> dict[UUID, list[PaymentDetail]]:
    """Return the details of many requests in one query, in order."""
    found: dict[UUID, list[PaymentDetail]] = defaultdict(list)
    for detail in PaymentDetail.objects.filter(request_id__in=[r.id for r in requests]).order_by("request_id", "seq"):
        found[detail.request_id].append(detail)
    return found


def content_digest(request: PaymentRequest, details: Sequence[PaymentDetail]) -> str:
    """Return the SM3 (hex) of everything that decides where money goes, in one canonical spelling."""
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
    # What only some kinds of payment have stands there only where it says something.
    content |= {
        name: value
        for name, value in (
            ("cash_purpose", request.cash_purpose),
            ("beneficiary_unit", str(request.beneficiary_unit_id or "")),
            ("extra", request.extra),
        )
        if value
    }
    return sm3_hex(json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


def shown_request(request: PaymentRequest, details: Sequence[PaymentDetail]) -> Shown:
    """The request as its officers are shown it when they sign."""
    return Shown(
        document_id=request.id,
        document_no=request.request_no,
        revision=request.revision,
        digest=content_digest(request, details),
        amount=wire_yuan(request.amount),
        payee=summary_of_payees(details),
    )
