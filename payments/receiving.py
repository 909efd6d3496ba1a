"""Receipts (回单): the sealed word of whoever paid, bank or PBoC. Store the fact, settle the reservation, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from budget.entries import Context, Posting, lock_balances, post
from core.actors import Actor, system_actor
from core.batch import copy_rows, update_from_values
from core.errors import TreasuryError
from core.money import ZERO
from core.transitions import move
from payments.content import details_of
from payments.errors import PaymentUnknown, ReceiptAmountDiffers, ReceiptIncomplete, ReceiptPayeeDiffers
from payments.issuing import issue_limit_notices
from payments.locking import context_for, lock_requests_of_vouchers
from payments.models import PaymentDetail, PaymentReceipt, PaymentRequest, ReceiptLine
from payments.recalls import note_recalls_answered
from payments.receipt_alerts import record_differences
from payments.states import REQUEST_FLOW, DetailState, RequestState
from vouchers.checks import wire_amount, wire_date
from vouchers.models import InboxMessage, Voucher
from vouchers.routing import Applied, InboundVoucher, Verdict
from vouchers.services import record_receipts

REFUSED_LINE = {"XPayAmt": "0.00", "XAddWord": "银行整单拒付，未说明原因"}


@dataclass(frozen=True)
class ReceiptRow:
    """What became of one detail: paid in full with the bank's serial, or 0.00 with the reason."""

    detail: PaymentDetail
    amount_paid: Decimal
    paid_on: date
    bank_serial: str
    reason: str


@dataclass(frozen=True)
class Receipt:
    """One receipt, read and checked against its request; without a message if it came on paper."""

    voucher: Voucher
    message: InboxMessage | None
    request: PaymentRequest
    lines: list[ReceiptRow]
    paid_on: date
    bank_serial: str

    @property
    def amount_paid(self) -> Decimal:
        return sum((line.amount_paid for line in self.lines), ZERO)

    @property
    def amount_failed(self) -> Decimal:
        return self.request.amount - self.amount_paid

    @property
    def action(self) -> str:
        if self.amount_failed == 0:
            return "pay_full"
        return "pay_part" if self.amount_paid > 0 else "fail"


def apply_payment_receipts(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Apply receipts of payment vouchers: details paid or failed, reserved → paid, failed rows released to exactly the
    same indicator and quota, a negative 5108 for what a direct payment failed to pay.

    The receipt's non-X fields have been compared with what was sent. Rows of a receipt are paid in full or 0.00.
    A step; runs in the inbox's transaction. The number of statements does not depend on the number of receipts.
    """
    context = context_for(messages[0].actor, now)
    requests = {r.voucher_id: r for r in lock_requests_of_vouchers(_voucher_ids(messages))}
    details = details_of(requests.values())
    verdicts: dict[UUID, Verdict] = {}
    receipts: list[Receipt] = []
    senders: dict[str, tuple[Actor, list[Receipt]]] = {}
    different: list[tuple[PaymentRequest, TreasuryError]] = []
    for inbound in messages:
        request = None
        try:
            request = requests.get(inbound.voucher.id) if inbound.voucher else None
            if request is None or request.state not in (RequestState.SEALED, RequestState.ACCEPTED):
                raise PaymentUnknown("没有等待该回单的支付。", field="VoucherNo")
            assert inbound.voucher is not None, "the request was found by it"
            receipt = _read(inbound, inbound.voucher, request, details[request.id], context.business_date)
            receipts.append(receipt)
            senders.setdefault(inbound.sender.organisation, (inbound.actor, []))[1].append(receipt)
            verdicts[inbound.message.pk] = Applied()
        except TreasuryError as refusal:
            verdicts[inbound.message.pk] = refusal
            if request is not None and isinstance(refusal, ReceiptAmountDiffers | ReceiptPayeeDiffers):
                different.append((request, refusal))
    record_differences(different, context)
    store_receipts(receipts, context)
    for bank, mine in senders.values():
        record_receipts([receipt.voucher for receipt in mine], by=bank, now=context.at)
        settle_receipts(mine, bank, context)
    return verdicts


def _voucher_ids(messages: Sequence[InboundVoucher]) -> list[UUID]:
    return [inbound.voucher.id for inbound in messages if inbound.voucher is not None]


def _read(
    inbound: InboundVoucher,
    voucher: Voucher,
    request: PaymentRequest,
    details: Sequence[PaymentDetail],
    today: date,
) -> Receipt:
    main = inbound.content.main
    stated = wire_amount(main.get("XPayAmt", ""), field="XPayAmt")
    # A bank may refuse the whole by 0.00 in the head alone, without a date and with the lines as they came.
    untouched = stated == 0 and not any(d.get("XPayAmt") or d.get("XAddWord") for d in inbound.content.details)
    dated = stated > 0 or main.get("XPayDate")
    paid_on = wire_date(main.get("XPayDate", ""), field="XPayDate", receipt=True) if dated else today
    if not inbound.content.voucher_date <= paid_on <= today:
        raise ReceiptIncomplete("支付日期须在凭证日期与业务日之间。", field="XPayDate")
    by_seq = {str(detail.seq): detail for detail in details}
    lines = [
        _line(position, {**values, **REFUSED_LINE} if untouched else values, by_seq[values["Id"]], paid_on)
        for position, values in enumerate(inbound.content.details, start=1)
    ]
    receipt = Receipt(voucher, inbound.message, request, lines, paid_on, main.get("XAgentBusinessNo", "")[:42])
    if stated != receipt.amount_paid:
        raise ReceiptAmountDiffers(
            "回单实付合计与明细之和不符。", field="XPayAmt", stated=stated, expected=receipt.amount_paid
        )
    if receipt.amount_paid > 0 and not receipt.bank_serial:
        raise ReceiptIncomplete("回单缺少银行交易流水号。", field="XAgentBusinessNo")
    return receipt


def _line(position: int, values: Mapping[str, str], detail: PaymentDetail, paid_on: date) -> ReceiptRow:
    where = f"Detail[{position}]"
    amount = wire_amount(values.get("XPayAmt", ""), field=f"{where}.XPayAmt")
    if amount not in (ZERO, detail.amount):
        raise ReceiptAmountDiffers(
            "明细实付金额须等于应付金额，失败为 0.00。", field=f"{where}.XPayAmt", stated=amount, expected=detail.amount
        )
    for tag, ours in (("XPayeeAcctNo", detail.payee_account_no), ("XPayeeAcctName", detail.payee_name)):
        if values.get(tag) and values[tag] != ours:
            raise ReceiptPayeeDiffers(
                "实际收款人与应付不符。", field=f"{where}.{tag}", stated=values[tag], expected=ours
            )
    if amount == 0 and not values.get("XAddWord"):
        raise ReceiptIncomplete("失败明细须写明原因。", field=f"{where}.XAddWord")
    if amount > 0 and not values.get("XAgentBusinessNo"):
        raise ReceiptIncomplete("已付明细缺少银行交易流水号。", field=f"{where}.XAgentBusinessNo")
    return ReceiptRow(
        detail, amount, paid_on, values.get("XAgentBusinessNo", "")[:42], values.get("XAddWord", "")[:100]
    )


def store_receipts(receipts: Sequence[Receipt], context: Context) -> None:
    """Write the facts: a receipt for each voucher, a line for each row; project them onto details and requests."""
    facts, lines = [], []
    for receipt in receipts:
        request = receipt.request
        fact = PaymentReceipt(
            adm_div_code=request.adm_div_code,
            fiscal_year=request.fiscal_year,
            request=request,
            voucher=receipt.voucher,
            message=receipt.message,
            amount_paid=receipt.amount_paid,
            paid_on=receipt.paid_on,
            bank_serial=receipt.bank_serial,
            business_date=context.business_date,
            at=context.at,
        )
        facts.append(fact)
        lines += [
            ReceiptLine(
                adm_div_code=request.adm_div_code,
                fiscal_year=request.fiscal_year,
                receipt=fact,
                detail=line.detail,
                amount_paid=line.amount_paid,
                paid_on=line.paid_on,
                bank_serial=line.bank_serial,
                reason=line.reason,
            )
            for line in receipt.lines
        ]
    copy_rows(facts)
    copy_rows(lines)
    for state, ids in (
        (DetailState.PAID, [line.detail.id for r in receipts for line in r.lines if line.amount_paid > 0]),
        (DetailState.FAILED, [line.detail.id for r in receipts for line in r.lines if line.amount_paid == 0]),
    ):
        PaymentDetail.objects.filter(pk__in=ids).update(state=state)
    rows = sorted((r.request.id, r.amount_paid, r.amount_failed) for r in receipts)
    update_from_values(PaymentRequest, {"amount_paid": "numeric", "amount_failed": "numeric"}, rows)
    for receipt in receipts:
        receipt.request.amount_paid, receipt.request.amount_failed = receipt.amount_paid, receipt.amount_failed


def settle_receipts(receipts: Sequence[Receipt], by: Actor, context: Context, *, on_paper: bool = False) -> None:
    """Turn what was reserved into paid and released, and move the requests; a step that follows `store_receipts`."""
    lock_balances([r.request.indicator_id for r in receipts], [r.request.quota_id for r in receipts])
    post([posting for receipt in receipts for posting in _postings(receipt)], context)
    failed = [(r.request, -r.amount_failed) for r in receipts if r.amount_failed > 0]
    issue_limit_notices(failed, by=system_actor("清算额度"), context=context, on_paper=on_paper)
    for action in ("pay_full", "pay_part", "fail"):
        members = [r.request for r in receipts if r.action == action]
        move(REQUEST_FLOW, members, action, by=by, at=context.at)
    note_recalls_answered(
        [r.request for r in receipts if r.action != "fail"],
        [r.request for r in receipts if r.action == "fail"],
        by=by,
        now=context.at,
    )


def _postings(receipt: Receipt) -> list[Posting]:
    def posting(kind: str, indicator: dict[str, Decimal], quota: dict[str, Decimal]) -> Posting:
        return Posting(
            indicator_id=receipt.request.indicator_id,
            kind=kind,
            indicator=indicator,
            quota_id=receipt.request.quota_id,
            quota=quota,
            document_type=receipt.request._meta.label,
            document_id=receipt.request.id,
        )

    paid, failed = receipt.amount_paid, receipt.amount_failed
    postings = []
    if paid > 0:
        postings.append(posting("pay", {"reserved": -paid, "paid": paid}, {"reserved": -paid, "spent": paid}))
    if failed > 0:
        postings.append(posting("release", {"reserved": -failed}, {"reserved": -failed}))
    return postings
