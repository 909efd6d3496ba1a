"""Refunds (退款): money of a paid detail that came back, by the bank's sealed 2203 or 2204, or by PBoC's 3208."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from budget.entries import Posting, lock_balances, post
from budget.methods import BY_TYPE, Receiver, method_of
from core.batch import copy_rows, update_from_values
from core.calendar import OpenDates, open_dates
from core.errors import TreasuryError
from core.money import ZERO
from parties.models import Region
from payments.errors import PaymentUnknown, ReceiptIncomplete, RefundExceeds, RefundRepeated
from payments.locking import context_for
from payments.models import PaymentDetail, PaymentRequest, Refund
from payments.states import DetailState
from vouchers.checks import wire_amount, wire_date
from vouchers.routing import Applied, InboundVoucher, Parked, Verdict
from vouchers.schema import voucher_type

# What a notice is of where its line does not say (Hold1): 2203 and 2204 serve more types than these.
ORIGINAL_TYPE = {"2203": "5201", "2204": "8202", "3208": "5207"}
DetailKey = tuple[str, str, str]


def apply_refunds(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Apply refund notices: restore the quota and raise `refunded` of the indicator, never above what was paid.

    A notice names its payment by voucher number and detail; one that comes before the payment's receipt waits. A
    notice is applied as a whole or not at all. A step; runs in the inbox's transaction.
    """
    context = context_for(messages[0].actor, now)
    keys = {key for inbound in messages for key in _keys(inbound)}
    details = lock_paid_details(context.adm_div_code, context.fiscal_year, keys)
    left = {d.id: d.amount - d.amount_refunded if d.state == DetailState.PAID else ZERO for d in details.values()}
    dates = open_dates(context.adm_div_code, context.business_date)
    region = Region.objects.get(adm_div_code=context.adm_div_code)
    verdicts: dict[UUID, Verdict] = {}
    facts: list[Refund] = []
    for inbound in messages:
        verdict, mine = _read(inbound, details, left, dates, region, now)
        verdicts[inbound.message.pk] = verdict
        for fact in mine:
            left[fact.detail_id] -= fact.amount
        facts += mine
    copy_rows(facts)
    _project(facts)
    requests = {fact.detail.request_id: fact.detail.request for fact in facts}
    lock_balances([r.indicator_id for r in requests.values()], [r.quota_id for r in requests.values()])
    post([_posting(fact) for fact in facts], context)
    return verdicts


def lock_paid_details(adm_div_code: str, fiscal_year: int, keys: set[DetailKey]) -> dict[DetailKey, PaymentDetail]:
    """Lock requests, then read details by (payment voucher type, number, detail id); two statements.

    An empty detail id means the only line of a voucher.
    """
    numbers = {(kind, number) for kind, number, _ in keys}
    wanted = Q(voucher_type__in={kind for kind, _ in numbers}, voucher_no__in={number for _, number in numbers})
    locked = (
        PaymentRequest.objects.select_for_update(of=("self",), no_key=True)
        .select_related("indicator", "payer_account__agent_bank", "unit")
        .filter(wanted, adm_div_code=adm_div_code, fiscal_year=fiscal_year)
        .order_by("pk")
    )
    requests = {r.id: r for r in locked}
    found: dict[DetailKey, PaymentDetail] = {}
    lines: dict[DetailKey, int] = defaultdict(int)
    for detail in PaymentDetail.objects.filter(request_id__in=requests):
        detail.request = requests[detail.request_id]
        key = (detail.request.voucher_type, detail.request.voucher_no, str(detail.seq))
        for one in (key, (*key[:2], "")):
            if one in keys:
                found[one] = detail
                lines[one] += 1
    return {key: detail for key, detail in found.items() if lines[key] == 1}


def _keys(inbound: InboundVoucher) -> list[DetailKey]:
    """Which payment detail each line is of. A 3208 names the voucher once, in the head."""
    notice, head = inbound.content.voucher_type, inbound.content.main.get("OriBillNo", "")
    keys = []
    for line in inbound.content.details:
        said = line.get("Hold1", "")
        serves = notice in {method.refund_type for method in BY_TYPE.get(said, ())}
        kind = said if serves else ORIGINAL_TYPE[notice]
        keys.append((kind, line.get("OriVoucherNo") or head, line.get("OriVouDetailNo", "")))
    return keys


def _read(
    inbound: InboundVoucher,
    details: Mapping[DetailKey, PaymentDetail],
    left: Mapping[UUID, Decimal],
    dates: OpenDates,
    region: Region,
    now: datetime,
) -> tuple[Verdict, list[Refund]]:
    tag = voucher_type(inbound.content.voucher_type).amount_detail
    facts: list[Refund] = []
    taken: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    try:
        main = inbound.content.main
        refunded_on = wire_date(main.get("PayDate") or f"{inbound.content.voucher_date:%Y%m%d}", field="PayDate")
        dates.check(refunded_on, field="PayDate")
        for position, (key, values) in enumerate(zip(_keys(inbound), inbound.content.details, strict=True), start=1):
            where = f"Detail[{position}]"
            detail = details.get(key)
            if detail is None or _payer_of(detail, region) != inbound.sender.organisation:
                raise PaymentUnknown("原支付凭证或明细不存在。", field=f"{where}.OriVoucherNo", given=key[1])
            if detail.state == DetailState.OPEN:
                return Parked("payment_not_confirmed", f"支付 {key[1]} 的回单尚未到达。"), []
            if main.get("PayAcctNo") != detail.request.payer_account.account_no:
                raise ReceiptIncomplete("原付款账号与支付凭证不符。", field="PayAcctNo")
            if detail.id in taken:  # one fact for each notice and detail, so that a 2302 can name it
                raise RefundRepeated(
                    "同一退款通知书重复列同一支付明细。", field=f"{where}.OriVouDetailNo", given=key[2]
                )
            amount = -wire_amount(values.get(tag, ""), field=f"{where}.{tag}")
            taken[detail.id] += amount
            if taken[detail.id] > left[detail.id]:
                raise RefundExceeds(
                    f"退款累计超过已付金额，最多还可退 {left[detail.id]:,.2f}。",
                    field=f"{where}.{tag}",
                    available=left[detail.id],
                    asked=taken[detail.id],
                )
            facts.append(
                Refund(
                    adm_div_code=detail.adm_div_code,
                    fiscal_year=detail.fiscal_year,
                    detail=detail,
                    message=inbound.message,
                    notice_type=inbound.content.voucher_type,
                    notice_no=inbound.content.voucher_no,
                    amount=amount,
                    refunded_on=refunded_on,
                    bank_serial=values.get("AgentBusinessNo", "")[:42],
                    reason=values.get("Remark", "")[:100],
                    business_date=dates.open_date,
                    at=now,
                )
            )
    except TreasuryError as refusal:
        return refusal, []
    return Applied(), facts


def _payer_of(detail: PaymentDetail, region: Region) -> str:
    """Who paid it and may say that it came back."""
    if method_of(detail.request.payment_mode).receiver is Receiver.PBOC:
        return region.pboc_organisation
    bank = detail.request.payer_account.agent_bank
    return bank.organisation if bank else ""


def _project(facts: Sequence[Refund]) -> None:
    by_detail: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    by_request: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    for fact in facts:
        by_detail[fact.detail_id] += fact.amount
        by_request[fact.detail.request_id] += fact.amount
    update_from_values(PaymentDetail, {"amount_refunded": "numeric"}, sorted(by_detail.items()), add=True)
    update_from_values(PaymentRequest, {"amount_refunded": "numeric"}, sorted(by_request.items()), add=True)


def _posting(fact: Refund) -> Posting:
    request = fact.detail.request
    return Posting(
        indicator_id=request.indicator_id,
        kind="refund",
        indicator={"refunded": fact.amount},
        quota_id=request.quota_id,
        quota={"refunded": fact.amount},
        document_type=request._meta.label,
        document_id=request.id,
        note=fact.notice_no,
    )
