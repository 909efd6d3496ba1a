"""Refunds (退款): money of a paid detail that came back, by the bank's sealed 2203 or 2204, or by PBoC's 3208.

Money of this year restores quota and indicator; money of an earlier year's payment restores nothing of this year
(以前年度退款); money whose original the bank cannot name waits as a case (待查退款). Source: docs/exceptions.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from budget.entries import Context, Posting, lock_balances, post
from budget.methods import BY_TYPE, Receiver, method_of
from core.batch import copy_rows, update_from_values
from core.calendar import OpenDates, next_workday, open_dates
from core.errors import TreasuryError
from core.money import ZERO
from parties.models import BankAccount, Region
from payments.errors import PaymentUnknown, ReceiptIncomplete, RefundExceeds, RefundRepeated
from payments.exception_models import Correction, PriorYearRefund, RefundCase
from payments.locking import context_for
from payments.models import PaymentDetail, PaymentRequest, Refund
from payments.states import CorrectionState, DetailState
from vouchers.checks import wire_amount, wire_date
from vouchers.routing import Applied, InboundVoucher, Parked, Verdict
from vouchers.schema import voucher_type

# What a notice is of where its line does not say (Hold1): 2203 and 2204 serve more types than these.
ORIGINAL_TYPE = {"2203": "5201", "2204": "8202", "3208": "5207"}
APPROPRIATION_RETURN = "3208"
DetailKey = tuple[int, str, str, str]  # year, payment voucher type, number, detail id
WORKDAYS_TO_IDENTIFY = 2  # how long a bank may be kept waiting for the name of an original


@dataclass(frozen=True)
class _Books:
    """What a batch of notices may refer to."""

    details: Mapping[DetailKey, PaymentDetail]
    left: dict[UUID, Decimal]  # what may still come back of each detail
    accounts: Mapping[str, BankAccount]  # that a notice names as where the money is
    dates: OpenDates
    due_on: date | None
    region: Region


@dataclass
class _Read:
    """What one notice says: refunds of payments we know, and money nobody can place yet."""

    refunds: list[Refund]
    cases: list[RefundCase]


def apply_refunds(messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]:
    """Apply refund notices: restore the quota and raise `refunded` of the indicator, never above what was paid.

    A notice names its payment by voucher number and detail; one that comes before the payment's receipt waits. A line
    that names no payment, or one that does not exist, becomes a case. Otherwise a notice is applied as a whole or not
    at all. A step; runs in the inbox's transaction.
    """
    context = context_for(messages[0].actor, now)
    books = _books(messages, context)
    verdicts: dict[UUID, Verdict] = {}
    refunds: list[Refund] = []
    cases: list[RefundCase] = []
    for inbound in messages:
        verdict, read = _read(inbound, books, now)
        verdicts[inbound.message.pk] = verdict
        for fact in read.refunds:
            books.left[fact.detail_id] -= fact.amount
        refunds += read.refunds
        cases += read.cases
    record_refunds(refunds, context)
    copy_rows(cases)
    return verdicts


def record_refunds(facts: Sequence[Refund], context: Context) -> None:
    """Store refunds of locked details and let them have their effect; a step. What is of an earlier year is only
    listed: it reaches the treasury, no quota of this year.
    """
    if not facts:
        return
    copy_rows(facts)
    _project(facts)
    copy_rows([_prior_year(fact, context) for fact in facts if fact.fiscal_year < context.fiscal_year])
    mine = [fact for fact in facts if fact.fiscal_year == context.fiscal_year]
    corrections = _corrections(mine)
    requests = {fact.detail.request_id: fact.detail.request for fact in mine}
    targets = [correction for group in corrections.values() for correction in group]
    lock_balances(
        [r.indicator_id for r in requests.values()] + [c.to_indicator_id for c in targets],
        [r.quota_id for r in requests.values()] + [c.to_quota_id for c in targets],
    )
    post([posting for fact in mine for posting in _postings(fact, corrections[fact.detail_id])], context)
    rows = sorted((c.id, c.amount_refunded) for c in targets)
    update_from_values(Correction, {"amount_refunded": "numeric"}, rows)


def lock_paid_details(
    adm_div_code: str, keys: Iterable[DetailKey], *, or_earlier: bool = False
) -> dict[DetailKey, PaymentDetail]:
    """Lock requests, then read details by (year, payment voucher type, number, detail id); two statements.

    An empty detail id means the only line of a voucher. With `or_earlier`, a key whose year has no such payment finds
    the latest earlier year's.
    """
    keys = set(keys)
    years = {year for year, *_ in keys}
    of_years = Q(fiscal_year__lte=max(years, default=0)) if or_earlier else Q(fiscal_year__in=years)
    wanted = Q(voucher_type__in={kind for _, kind, _, _ in keys}, voucher_no__in={key[2] for key in keys} - {""})
    locked = (
        PaymentRequest.objects.select_for_update(of=("self",), no_key=True)
        .select_related("indicator", "payer_account__agent_bank", "unit")
        .filter(wanted, of_years, adm_div_code=adm_div_code)
        .order_by("pk")
    )
    requests = {r.id: r for r in locked}
    exact: dict[DetailKey, PaymentDetail] = {}
    lines: dict[tuple[int, str, str], list[PaymentDetail]] = defaultdict(list)
    for detail in PaymentDetail.objects.filter(request_id__in=requests):
        detail.request = requests[detail.request_id]
        request = detail.request
        voucher = request.fiscal_year, request.voucher_type, request.voucher_no
        exact[*voucher, str(detail.seq)] = detail
        lines[voucher].append(detail)
    exact |= {(*voucher, ""): details[0] for voucher, details in lines.items() if len(details) == 1}
    found = {key: exact[key] for key in keys if key in exact}
    if or_earlier:
        numbers = {key[:3] for key in exact}
        for key in keys - found.keys():
            if key[:3] in numbers:
                continue  # this year has the voucher, though not that line: nobody else's line is meant
            earlier = [other for other in exact if other[1:] == key[1:] and other[0] < key[0]]
            if earlier:
                found[key] = exact[max(earlier)]
    return found


def _books(messages: Sequence[InboundVoucher], context: Context) -> _Books:
    details = lock_paid_details(
        context.adm_div_code, {key for inbound in messages for key in _keys(inbound)}, or_earlier=True
    )
    numbers = {inbound.content.main.get("PayAcctNo", "") for inbound in messages}
    unnamed = any(key not in details for inbound in messages for key in _keys(inbound))
    accounts = BankAccount.objects.select_related("agent_bank", "unit").filter(
        adm_div_code=context.adm_div_code, account_no__in=numbers, agent_bank__isnull=False
    )
    return _Books(
        details=details,
        left={d.id: d.amount - d.amount_refunded if d.state == DetailState.PAID else ZERO for d in details.values()},
        accounts={account.account_no: account for account in accounts} if unnamed else {},
        dates=open_dates(context.adm_div_code, context.business_date),
        due_on=_due_on(context.business_date) if unnamed else None,
        region=Region.objects.get(adm_div_code=context.adm_div_code),
    )


def _due_on(day: date) -> date:
    for _ in range(WORKDAYS_TO_IDENTIFY):
        day = next_workday(day)
    return day


def _keys(inbound: InboundVoucher) -> list[DetailKey]:
    """Which payment detail each line is of. A 3208 names the voucher once, in the head."""
    notice, year = inbound.content.voucher_type, inbound.content.fiscal_year
    head = inbound.content.main.get("OriBillNo", "") if notice == APPROPRIATION_RETURN else ""
    keys = []
    for line in inbound.content.details:
        said = line.get("Hold1", "")
        serves = notice in {method.refund_type for method in BY_TYPE.get(said, ())}
        kind = said if serves else ORIGINAL_TYPE[notice]
        keys.append((year, kind, line.get("OriVoucherNo") or head, line.get("OriVouDetailNo", "")))
    return keys


def _read(inbound: InboundVoucher, books: _Books, now: datetime) -> tuple[Verdict, _Read]:
    read = _Read([], [])
    tag = voucher_type(inbound.content.voucher_type).amount_detail
    taken: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    try:
        main = inbound.content.main
        refunded_on = wire_date(main.get("PayDate") or f"{inbound.content.voucher_date:%Y%m%d}", field="PayDate")
        books.dates.check(refunded_on, field="PayDate")
        for position, (key, values) in enumerate(zip(_keys(inbound), inbound.content.details, strict=True), start=1):
            where = f"Detail[{position}]"
            detail = books.details.get(key)
            if detail is None:
                read.cases.append(_case(inbound, position, values, refunded_on, books, now))
                continue
            if _payer_of(detail, books.region) != inbound.sender.organisation:
                raise PaymentUnknown("原支付凭证或明细不存在。", field=f"{where}.OriVoucherNo", given=key[2])
            if detail.state == DetailState.OPEN:
                return Parked("payment_not_confirmed", f"支付 {key[2]} 的回单尚未到达。"), _Read([], [])
            if main.get("PayAcctNo") != detail.request.payer_account.account_no:
                raise ReceiptIncomplete("原付款账号与支付凭证不符。", field="PayAcctNo")
            if detail.id in taken:  # one fact for each notice and detail, so that a 2302 can name it
                raise RefundRepeated(
                    "同一退款通知书重复列同一支付明细。", field=f"{where}.OriVouDetailNo", given=key[3]
                )
            amount = -wire_amount(values.get(tag, ""), field=f"{where}.{tag}")
            taken[detail.id] += amount
            check_room(taken[detail.id], books.left[detail.id], field=f"{where}.{tag}")
            read.refunds.append(_refund(inbound, detail, values, amount, refunded_on, books, now))
    except TreasuryError as refusal:
        return refusal, _Read([], [])
    return Applied(f"{len(read.cases)} 笔待查" if read.cases else ""), read


def check_room(asked: Decimal, left: Decimal, *, field: str) -> None:
    """:raises RefundExceeds: if more would come back than is still out."""
    if asked > left:
        raise RefundExceeds(f"退款累计超过已付金额，最多还可退 {left:,.2f}。", field=field, available=left, asked=asked)


def _refund(
    inbound: InboundVoucher,
    detail: PaymentDetail,
    values: Mapping[str, str],
    amount: Decimal,
    refunded_on: date,
    books: _Books,
    now: datetime,
) -> Refund:
    return Refund(
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
        business_date=books.dates.open_date,
        at=now,
    )


def _case(
    inbound: InboundVoucher,
    position: int,
    values: Mapping[str, str],
    refunded_on: date,
    books: _Books,
    now: datetime,
) -> RefundCase:
    """A line nobody can place. The bank must at least say in which of its accounts of ours the money is."""
    main = inbound.content.main
    account = books.accounts.get(main.get("PayAcctNo", ""))
    if account is None or account.agent_bank is None or account.agent_bank.organisation != inbound.sender.organisation:
        raise PaymentUnknown("到账账户不是该行的零余额账户。", field="PayAcctNo", given=main.get("PayAcctNo", ""))
    assert books.due_on is not None, "asked for because a line is unnamed"
    return RefundCase(
        adm_div_code=inbound.content.adm_div_code,
        fiscal_year=books.dates.open_date.year,
        message=inbound.message,
        position=position,
        notice_type=inbound.content.voucher_type,
        notice_no=inbound.content.voucher_no,
        agent_bank=account.agent_bank,
        unit=account.unit,
        payer_account_no=account.account_no,
        returned_by=(values.get("PayeeAcctName") or main.get("PayeeAcctName", ""))[:60],
        returned_account_no=(values.get("PayeeAcctNo") or main.get("PayeeAcctNo", ""))[:32],
        named_voucher_no=values.get("OriVoucherNo", "")[:42],
        amount=-wire_amount(values.get("PayAmt", ""), field=f"Detail[{position}].PayAmt"),
        refunded_on=refunded_on,
        bank_serial=values.get("AgentBusinessNo", "")[:42],
        remark=values.get("Remark", "")[:100],
        opened_on=books.dates.open_date,
        due_on=books.due_on,
        created_at=now,
    )


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


def _prior_year(fact: Refund, context: Context) -> PriorYearRefund:
    return PriorYearRefund(
        adm_div_code=fact.adm_div_code,
        fiscal_year=context.fiscal_year,
        refund=fact,
        original_year=fact.fiscal_year,
        unit_id=fact.detail.request.unit_id,
        amount=fact.amount,
        received_on=fact.refunded_on,
        at=context.at,
    )


# Which indicator gets it back ---------------------------------------------------------------------------------------


def _corrections(facts: Sequence[Refund]) -> dict[UUID, list[Correction]]:
    """Lock the corrections that carry parts of these details now, oldest first."""
    found: dict[UUID, list[Correction]] = {fact.detail_id: [] for fact in facts}
    rows = Correction.objects.select_for_update(no_key=True).filter(detail_id__in=found, state=CorrectionState.EXECUTED)
    for correction in rows.order_by("pk"):
        found[correction.detail_id].append(correction)
    return found


def own_share(detail: PaymentDetail, corrections: Sequence[Correction]) -> Decimal:
    """Return what of a paid detail its own indicator still carries, after corrections and what came back to it."""
    moved = sum((c.amount for c in corrections), ZERO)
    came_back = detail.amount_refunded - sum((c.amount_refunded for c in corrections), ZERO)
    return detail.amount - moved - came_back


def _postings(fact: Refund, corrections: Sequence[Correction]) -> list[Posting]:
    """Give money back to whoever carries it: first the payment's own indicator, then what it was corrected to."""
    postings: list[Posting] = []
    request, left = fact.detail.request, fact.amount
    mine = min(left, own_share(fact.detail, corrections))
    if mine > 0:
        postings.append(_posting(fact, mine, request.indicator_id, request.quota_id, request._meta.label, request.id))
        left -= mine
    for correction in corrections:
        part = min(left, correction.amount - correction.amount_refunded)
        if part > 0:
            correction.amount_refunded += part
            left -= part
            target = correction.to_indicator_id, correction.to_quota_id
            postings.append(_posting(fact, part, *target, correction._meta.label, correction.id))
    assert left == 0, "no more comes back than was paid"
    fact.detail.amount_refunded += fact.amount
    return postings


def _posting(
    fact: Refund, amount: Decimal, indicator_id: UUID, quota_id: UUID, document_type: str, document_id: UUID
) -> Posting:
    return Posting(
        indicator_id=indicator_id,
        kind="refund",
        indicator={"refunded": amount},
        quota_id=quota_id,
        quota={"refunded": amount},
        document_type=document_type,
        document_id=document_id,
        note=fact.notice_no,
    )
