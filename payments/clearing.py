"""Clearing (清算): PBoC's sealed word that it has repaid the bank (2301), or taken a refund back (2302)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from budget.entries import Context, LimitPosting, post_limits
from budget.limits import LimitKey, lock_limits
from budget.methods import method_of, year_of
from budget.models import ClearingLimit
from core.batch import copy_rows
from core.calendar import OpenDates, open_dates
from core.errors import TreasuryError
from core.transitions import move
from parties.models import AgentBank
from payments.errors import AlreadyCleared, ClearingAmountDiffers, PaymentUnknown
from payments.locking import context_for
from payments.models import Clearing, ClearingLine, PaymentDetail, Refund
from payments.refunding import DetailKey, lock_paid_details
from payments.states import REQUEST_FLOW, DetailState, RequestState
from vouchers.checks import wire_amount, wire_date
from vouchers.routing import Applied, InboundVoucher, Parked, Verdict


@dataclass(frozen=True)
class _Books:
    """What a batch of clearings may refer to."""

    details: Mapping[DetailKey, PaymentDetail]
    cleared: set[UUID]
    refunds: Mapping[tuple[str, UUID], Refund]
    cleared_refunds: set[UUID]
    banks: Mapping[str, AgentBank]
    dates: OpenDates
    year: int


def apply_clearings(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Apply 2301 or 2302 that PBoC has executed; the inbox has held them to the bank's own signed document.

    All lines or none: a line whose payment has no receipt yet, or whose refund notice is not here, lets the whole
    document wait; a payment cleared before refuses it. A step; runs in the inbox's transaction.
    """
    context = context_for(messages[0].actor, now)
    books = _books(messages, context)
    verdicts: dict[UUID, Verdict] = {}
    clearings: list[Clearing] = []
    lines: list[ClearingLine] = []
    for inbound in messages:
        verdict, clearing, mine = _read(inbound, books, context)
        verdicts[inbound.message.pk] = verdict
        if clearing is not None:
            clearings.append(clearing)
            lines += mine
            books.cleared.update(line.detail_id for line in mine if line.refund_id is None)
            books.cleared_refunds.update(line.refund_id for line in mine if line.refund_id is not None)
    prior = _prior_years(clearings, lines, context)
    limits: dict[LimitKey, ClearingLimit] = {}
    limited: list[Clearing] = []
    if year_of(context.adm_div_code, context.fiscal_year).limits_clearing:
        limited = [clearing for clearing in clearings if clearing.id not in prior]
        limits = lock_limits(context.adm_div_code, context.fiscal_year, {_limit_key(c) for c in limited})
        limited = _within_limits(limited, limits, verdicts)
        clearings = [clearing for clearing in clearings if clearing.id in prior or clearing in limited]
    lines = [line for line in lines if line.clearing in clearings]
    if not clearings:
        return verdicts
    copy_rows(clearings)
    copy_rows(lines)
    _move_cleared(lines, books, messages[0], now)
    _post(limited, limits, context)
    return verdicts


def _prior_years(clearings: Sequence[Clearing], lines: Sequence[ClearingLine], context: Context) -> set[UUID]:
    """The clearings of money of earlier years: it goes to the treasury and gives this year's limits nothing."""
    return {line.clearing_id for line in lines if line.detail.fiscal_year < context.fiscal_year} & {
        clearing.id for clearing in clearings
    }


def _within_limits(
    clearings: Sequence[Clearing], limits: Mapping[LimitKey, ClearingLimit], verdicts: dict[UUID, Verdict]
) -> list[Clearing]:
    """Let a 2301 wait that overtook what makes room for it: a 5106, or the 2302 of a refund that was spent again."""
    left = {key: limit.amount_available for key, limit in limits.items()}
    kept = []
    for clearing in clearings:
        change = clearing.amount if clearing.voucher_type == "2302" else -clearing.amount
        key = _limit_key(clearing)
        if left[key] + change < 0:
            verdicts[clearing.message_id] = Parked("clearing_limit_exceeded", f"清算额度只有 {left[key]:,.2f}。")
            continue
        left[key] += change
        kept.append(clearing)
    return kept


def _books(messages: Sequence[InboundVoucher], context: Context) -> _Books:
    keys = {key for inbound in messages for key in _keys(inbound, context.fiscal_year)}
    details = lock_paid_details(context.adm_div_code, keys, or_earlier=messages[0].content.voucher_type == "2302")
    ids = [detail.id for detail in details.values()]
    request_ids = {detail.request_id for detail in details.values()}
    siblings = ClearingLine.objects.filter(detail__request_id__in=request_ids)
    refunds = Refund.objects.filter(detail_id__in=ids)
    return _Books(
        details=details,
        cleared=set(siblings.filter(refund__isnull=True).values_list("detail_id", flat=True)),
        refunds={(refund.notice_no, refund.detail_id): refund for refund in refunds},
        cleared_refunds=set(siblings.filter(refund__isnull=False).values_list("refund_id", flat=True)),
        banks={bank.bank_no: bank for bank in AgentBank.objects.filter(adm_div_code=context.adm_div_code)},
        dates=open_dates(context.adm_div_code, context.business_date),
        year=context.fiscal_year,
    )


def _keys(inbound: InboundVoucher, year: int) -> list[DetailKey]:
    """Name the details; a refund may be of an earlier year, what is paid out is of the open one."""
    refund = inbound.content.voucher_type == "2302"
    number, detail = ("OriVoucherNo", "OriVouDetailNo") if refund else ("VoucherNo", "DAVoucherNo")
    year = inbound.content.fiscal_year if refund else year
    return [
        (year, line.get("Hold1", ""), line.get(number, ""), line.get(detail, "")) for line in inbound.content.details
    ]


def _read(
    inbound: InboundVoucher, books: _Books, context: Context
) -> tuple[Verdict, Clearing | None, list[ClearingLine]]:
    content, sign = inbound.content, (-1 if inbound.content.voucher_type == "2302" else 1)
    try:
        total = sign * wire_amount(content.main["PayAmt"], field="PayAmt")
        if sign * abs(wire_amount(content.main.get("XPayAmt", ""), field="XPayAmt")) not in (total, sign * total):
            raise ClearingAmountDiffers("清算金额与申请金额不符。", field="XPayAmt")
        cleared_on = wire_date(content.main.get("XClearDate", ""), field="XClearDate", receipt=True)
        books.dates.check(cleared_on, field="XClearDate")
        bank = books.banks[content.main["PayBankNo"]]
        clearing = _clearing(inbound, bank, total, cleared_on, context)
        lines: list[ClearingLine] = []
        named = _keys(inbound, books.year)
        for position, (key, values) in enumerate(zip(named, content.details, strict=True), start=1):
            amount = sign * wire_amount(values["PayAmt"], field=f"Detail[{position}].PayAmt")
            found = _line(f"Detail[{position}]", key, values, amount, clearing, books)
            if isinstance(found, Parked):
                return found, None, []
            lines.append(found)
        if len({(line.detail_id, line.refund_id) for line in lines}) != len(lines):
            raise AlreadyCleared("同一支付在清算明细中出现两次。", field="Detail")
        if len({books.details[key].fiscal_year for key in named}) != 1:
            raise ClearingAmountDiffers("以前年度退款与本年退款不能列在同一张清算凭证。", field="Detail")
        keys = {(bank.id, books.details[key].request.payment_mode, clearing.fund_nature) for key in named}
        if len(keys) != 1 or next(iter(keys))[1] != content.main.get("PayTypeCode"):
            raise ClearingAmountDiffers("清算明细的支付方式与主单不一致。", field="PayTypeCode")
    except TreasuryError as refusal:
        return refusal, None, []
    return Applied(), clearing, lines


def _clearing(inbound: InboundVoucher, bank: AgentBank, total: Decimal, cleared_on: date, context: Context) -> Clearing:
    content = inbound.content
    return Clearing(
        adm_div_code=content.adm_div_code,
        fiscal_year=content.fiscal_year,
        voucher_type=content.voucher_type,
        voucher_no=content.voucher_no,
        agent_bank=bank,
        payment_mode=content.main.get("PayTypeCode", ""),
        fund_nature=content.main.get("FundTypeCode", ""),
        amount=total,
        cleared_on=cleared_on,
        message=inbound.message,
        business_date=context.business_date,
        at=context.at,
    )


def _line(
    where: str, key: DetailKey, values: Mapping[str, str], amount: Decimal, clearing: Clearing, books: _Books
) -> ClearingLine | Parked:
    detail = books.details.get(key)
    if detail is None or detail.request.payer_account.agent_bank_id != clearing.agent_bank.id:
        raise PaymentUnknown("清算明细指向的支付不存在。", field=f"{where}.VoucherNo", given=key[2])
    if not method_of(detail.request.payment_mode).is_cleared:
        raise PaymentUnknown("该支付方式不经国库清算。", field=f"{where}.VoucherNo", given=key[2])
    if detail.request.indicator.fund_nature != clearing.fund_nature:
        raise ClearingAmountDiffers("清算明细的资金性质与主单不一致。", field="FundTypeCode")
    refund: Refund | None = None
    if clearing.voucher_type == "2302":
        refund = books.refunds.get((values.get("VoucherNo", ""), detail.id))
        if refund is None:
            return Parked("refund_not_confirmed", f"退款通知 {values.get('VoucherNo', '')} 尚未到达。")
        if refund.id in books.cleared_refunds:
            raise AlreadyCleared("该退款已经清算。", field=f"{where}.OriVoucherNo", given=key[2])
    else:
        if detail.id in books.cleared:
            raise AlreadyCleared("该支付明细已经清算。", field=f"{where}.VoucherNo", given=key[2])
        if detail.state == DetailState.OPEN:
            return Parked("payment_not_confirmed", f"支付 {key[2]} 的回单尚未到达。")
        if detail.state == DetailState.FAILED:
            raise PaymentUnknown("该支付明细银行答复为失败，不能清算。", field=f"{where}.VoucherNo", given=key[2])
    if amount != (refund.amount if refund else detail.amount):
        raise ClearingAmountDiffers("清算金额与支付金额不符。", field=f"{where}.PayAmt", stated=amount)
    return ClearingLine(
        adm_div_code=clearing.adm_div_code,
        fiscal_year=clearing.fiscal_year,
        clearing=clearing,
        detail=detail,
        refund=refund,
        line_id=values.get("Id", "")[:38],
        amount=amount,
    )


def _move_cleared(lines: Sequence[ClearingLine], books: _Books, first: InboundVoucher, now: datetime) -> None:
    """Move the requests all of whose paid details are now cleared (one query for their details)."""
    requests = {line.detail.request_id: line.detail.request for line in lines if line.refund_id is None}
    open_requests = [r for r in requests.values() if r.state in (RequestState.PAID, RequestState.PARTIALLY_PAID)]
    paid = PaymentDetail.objects.filter(request__in=[r.id for r in open_requests], state=DetailState.PAID)
    waiting = {request_id for request_id, pk in paid.values_list("request_id", "pk") if pk not in books.cleared}
    move(REQUEST_FLOW, [r for r in open_requests if r.id not in waiting], "clear", by=first.actor, at=now)


def _limit_key(clearing: Clearing) -> LimitKey:
    return clearing.agent_bank.id, clearing.payment_mode, clearing.fund_nature


def _post(clearings: Sequence[Clearing], limits: Mapping[LimitKey, ClearingLimit], context: Context) -> None:
    post_limits(
        [
            LimitPosting(
                limit_id=limits[_limit_key(clearing)].id,
                kind=f"clearing_{clearing.voucher_type}",
                changes={("refunded" if clearing.voucher_type == "2302" else "cleared"): clearing.amount},
                document_type=clearing._meta.label,
                document_id=clearing.id,
                note=clearing.voucher_no,
            )
            for clearing in (clearings if limits else [])
        ],
        context,
    )
