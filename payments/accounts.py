"""Whether the account of a request may pay it: the nature of the money and the method decide (F1)."""

from collections.abc import Sequence
from uuid import UUID

from budget.methods import check_payer
from core.errors import TreasuryError
from payments.models import PaymentRequest


def refusals(requests: Sequence[PaymentRequest]) -> dict[UUID, list[TreasuryError]]:
    """Return what stands against the payer account of each request; reads nothing."""
    found: dict[UUID, list[TreasuryError]] = {}
    for request in requests:
        try:
            check_payer(request.payment_mode, request.indicator.fund_nature, request.payer_account)
        except TreasuryError as refusal:
            found[request.id] = [refusal]
    return found
