"""以前年度退款: what came back of earlier years' payments counts as recovered funds, until a document gives it back.

The document is an ordinary 指标文 (追加): the budget section writes and submits it, its head approves it, and it is
issued like any other. Nothing of this year moves before that. Source: docs/exceptions.md.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from budget.documents import OVER, DocumentInput, LineInput, write_document
from budget.locking import context_for
from budget.models import BudgetIndicator, DocumentKind
from core.actors import Actor
from core.errors import NotFound
from core.money import check_positive, format_yuan
from parties.selectors import visible_unit_codes
from payments.errors import GiveBackRefused
from payments.exception_models import PriorYearRefund
from payments.locking import require_role


def prior_year_refunds(actor: Actor, fiscal_year: int) -> QuerySet[PriorYearRefund]:
    """Return what came back in a year of earlier years' payments, as far as the actor may see it."""
    rows = (
        PriorYearRefund.objects.filter(adm_div_code=actor.adm_div_code, fiscal_year=fiscal_year)
        .select_related("unit", "refund__detail__request__indicator", "give_back")
        .prefetch_related("give_back__lines__indicator")
    )
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


@transaction.atomic(durable=True)
def ask_to_give_back(
    *, refund_id: UUID, indicator_id: UUID, amount: Decimal, doc_no: str, note: str, clerk: Actor, now: datetime
) -> PriorYearRefund:
    """Draft the document that gives recovered money back to an indicator of the same unit, for its clerk to submit.

    :raises RoleRequired, NotFound, DocumentInvalid, AmountInvalid, Conflict: naming the field.
    :raises GiveBackRefused: if one is under way or was issued, for more than came back, or to another unit.
    """
    require_role(clerk, "budget_clerk")
    context = context_for(clerk, now)
    check_positive(amount, field="amount")
    rows = PriorYearRefund.objects.select_for_update(of=("self",), no_key=True).select_related("give_back")
    found = rows.filter(pk=refund_id, adm_div_code=clerk.adm_div_code, fiscal_year=context.fiscal_year).first()
    if found is None:
        raise NotFound("没有这笔以前年度退款。", field="id")
    if found.give_back is not None and found.give_back.state not in OVER:
        raise GiveBackRefused("该笔退款已有返还单。", field="id", doc_no=found.give_back.doc_no)
    if amount > found.amount:
        raise GiveBackRefused(
            f"返还不得超过收回的 {format_yuan(found.amount)}。", field="amount", available=found.amount
        )
    indicator = BudgetIndicator.objects.filter(
        pk=indicator_id, adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year
    ).first()
    if indicator is None or indicator.unit_id != found.unit_id:
        raise GiveBackRefused("只能返还到同一单位本年的指标。", field="indicator_id")
    given = DocumentInput(
        kind=DocumentKind.ADD,
        doc_no=doc_no,
        lines=(LineInput(amount, indicator_id=indicator.id),),
        note=f"以前年度退款返还 {found.refund.notice_no} {note}".strip(),
    )
    found.give_back = write_document(given, clerk, now)
    found.save(update_fields=["give_back"])
    return found
