"""M35 实付与申请不一致: a receipt that is refused because it says something else than the voucher also raises an alert.

The alert is written with the refusal of the message, in one transaction: neither is there without the other. The
refusal stands whatever the rule says; the inbox keeps the message, nothing is booked and nothing cleared.
"""

from collections.abc import Sequence
from decimal import Decimal

from budget.entries import Context
from core.errors import TreasuryError
from monitoring.facts import ReceiptFacts
from monitoring.points import Point
from monitoring.services import record_hits, screen
from payments.models import PaymentRequest


def record_differences(different: Sequence[tuple[PaymentRequest, TreasuryError]], context: Context) -> None:
    """Ask the rules about receipts that differ from their vouchers, once for each request. A step."""
    facts = {request.id: _facts(request, refusal, context) for request, refusal in reversed(different)}
    subjects = [facts[request.id] for request in dict(different)]
    if subjects:
        hits = screen(subjects, point=Point.RECEIPT)
        record_hits(facts=subjects, hits=hits, at=context.at, point=Point.RECEIPT)


def _facts(request: PaymentRequest, refusal: TreasuryError, context: Context) -> ReceiptFacts:
    return ReceiptFacts(
        document_id=request.id,
        document_type=request._meta.label,
        document_no=request.request_no,
        revision=request.revision,
        adm_div_code=request.adm_div_code,
        fiscal_year=request.fiscal_year,
        unit_code=request.unit.code,
        section=request.unit.section,
        amount=request.amount,
        business_date=context.business_date,
        field=refusal.field or "",
        stated=_text(refusal.facts.get("stated")),
        expected=_text(refusal.facts.get("expected")),
    )


def _text(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, Decimal) else str(value)
