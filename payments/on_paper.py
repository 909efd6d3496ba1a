"""Payment vouchers that go out on paper in an emergency, and the answers that come back on paper. Steps of `emergency`.

The money takes the same way: reserved since submission, settled once by the same entries. Only the voucher's way
differs: it is neither sealed nor sent, and the database refuses both (docs/paper-fallback.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db import transaction

from budget.entries import Context
from budget.methods import method_of
from core.actors import Actor
from core.money import ZERO
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore
from payments.approvals import Approvals
from payments.content import content_digest, details_of
from payments.errors import PaymentUnknown, ReceiptIncomplete
from payments.issuing import issue_limit_notices, make_out
from payments.locking import lock_requests_and_vouchers, require_role
from payments.models import PaymentRequest
from payments.receiving import Receipt, ReceiptRow, settle_receipts, store_receipts
from payments.states import REQUEST_FLOW, RequestState
from vouchers.models import Voucher
from vouchers.services import turn_to_paper


@transaction.atomic(savepoint=False)
def issue_on_paper(
    *, request_ids: Sequence[UUID], maker: Actor, context: Context, may: Callable[[PaymentRequest], None]
) -> Outcome[PaymentRequest]:
    """Make out vouchers on paper: for finally approved requests a new number, for vouchers that wait for a seal their
    own. The approvals are read again as for any voucher; direct payments get their 5108 on paper as well.

    :param may: raises a TreasuryError for a request that must not go out on paper.
    """
    requests, vouchers = lock_requests_and_vouchers(request_ids, maker)
    approvals, details = Approvals(requests), details_of(requests)

    def check(request: PaymentRequest) -> None:
        check_move(REQUEST_FLOW, request, "issue" if request.state == RequestState.APPROVED else "print", maker)
        require_role(maker, method_of(request.payment_mode).office.maker)
        if maker.person_id in approvals.persons(request):
            raise ActedBefore("您审核过本单，不能制单（岗位分离）。", field="maker")
        approvals.check(request, content_digest(request, details[request.id]))
        may(request)

    outcome = judge(requests, request_ids, check)
    if not outcome.accepted:
        return outcome
    make_out([r for r in outcome.accepted if r.voucher_id is None], details, by=maker, context=context)
    turn_to_paper(_vouchers_of(outcome.accepted, vouchers), by=maker, now=context.at)
    move(REQUEST_FLOW, outcome.accepted, "print", by=maker, at=context.at)
    issue_limit_notices([(r, r.amount) for r in outcome.accepted], by=maker, context=context, on_paper=True)
    return outcome


def _vouchers_of(requests: Sequence[PaymentRequest], locked: Mapping[UUID, Voucher]) -> list[Voucher]:
    found = []
    for request in requests:
        assert request.voucher_id is not None, "made out before"
        voucher = locked.get(request.voucher_id) or request.voucher
        assert voucher is not None
        found.append(voucher)
    return found


@dataclass(frozen=True)
class PaperLine:
    """What the bank wrote beside one line: paid in full, or why not."""

    seq: int
    paid: bool
    reason: str = ""


@dataclass(frozen=True)
class PaperReceipt:
    """The bank's answer on paper to one voucher; `lines` name every line of it."""

    request_id: UUID
    paid_on: date
    bank_serial: str
    lines: tuple[PaperLine, ...]


def check_paper_receipt(answer: PaperReceipt, request: PaymentRequest, voucher_date: date, today: date) -> None:
    """Hold an answer to its request.

    :raises PaymentUnknown: if the request does not wait for an answer on paper.
    :raises ReceiptIncomplete: for a line that is missing, a reason that is missing, a serial or a date that cannot be.
    """
    if request.state != RequestState.ON_PAPER:
        raise PaymentUnknown("没有等待纸质回单的支付。", field="request")
    seqs = sorted(request.details.values_list("seq", flat=True))
    if sorted(line.seq for line in answer.lines) != seqs:
        raise ReceiptIncomplete("须逐行补录，每行一次。", field="lines")
    for line in answer.lines:
        if not line.paid and not line.reason:
            raise ReceiptIncomplete("失败明细须写明原因。", field=f"lines.{line.seq}.reason")
    if any(line.paid for line in answer.lines) and not answer.bank_serial:
        raise ReceiptIncomplete("已付须有银行流水号。", field="bank_serial")
    if not voucher_date <= answer.paid_on <= today:
        raise ReceiptIncomplete("支付日期须在凭证日期与业务日之间。", field="paid_on")


@transaction.atomic(savepoint=False)
def settle_on_paper(answers: Sequence[PaperReceipt], *, by: Actor, context: Context) -> list[PaymentRequest]:
    """Settle requests exactly as a bank's receipt would: once, by the same entries.

    Locks vouchers, then requests, as the inbox does: an electronic receipt at the same moment waits and is refused.

    :raises PaymentUnknown, ReceiptIncomplete: as `check_paper_receipt` says; nothing is settled then.
    """
    requests, vouchers = lock_requests_and_vouchers([answer.request_id for answer in answers], by)
    by_id = {request.id: request for request in requests}
    details = details_of(requests)
    receipts = []
    for answer in answers:
        request = by_id.get(answer.request_id)
        if request is None or request.voucher_id is None:
            raise PaymentUnknown("没有等待纸质回单的支付。", field="request")
        voucher = vouchers[request.voucher_id]
        check_paper_receipt(answer, request, voucher.voucher_date, context.business_date)
        said = {line.seq: line for line in answer.lines}
        rows = [
            ReceiptRow(
                detail,
                detail.amount if said[detail.seq].paid else ZERO,
                answer.paid_on,
                answer.bank_serial if said[detail.seq].paid else "",
                said[detail.seq].reason if not said[detail.seq].paid else "",
            )
            for detail in details[request.id]
        ]
        receipts.append(Receipt(voucher, None, request, rows, answer.paid_on, answer.bank_serial))
    store_receipts(receipts, context)
    settle_receipts(receipts, by, context, on_paper=True)
    return [receipt.request for receipt in receipts]
