"""待查退款: saying whose money it is. One person proposes the original, another confirms; then it is a refund like any
other, and the bank is told by an order which payment its 2302 has to name. Source: docs/exceptions.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from budget.entries import Context
from core.actors import Actor
from core.errors import NotFound
from core.money import ZERO
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore
from parties.selectors import visible_unit_codes
from payments.errors import CaseRefused, FieldInvalid, ReasonRequired
from payments.exception_models import RefundCase
from payments.locking import check_reason, context_for
from payments.models import PaymentDetail, PaymentRequest, Refund
from payments.refunding import ORIGINAL_TYPE, check_room, record_refunds
from payments.states import REFUND_CASE_FLOW, DetailState

MOST_SUGGESTIONS = 10
MOST_CANDIDATES = 500


def cases_for(actor: Actor) -> QuerySet[RefundCase]:
    """Return the cases the actor may see: the bureau's officers all, a unit those of its own account."""
    rows = RefundCase.objects.select_related("agent_bank", "unit", "detail__request__unit", "voucher").filter(
        adm_div_code=actor.adm_div_code
    )
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


@dataclass(frozen=True)
class Suggestion:
    """A paid detail the money may have come from; `score` counts what speaks for it, `reasons` says it in words."""

    detail: PaymentDetail
    left: Decimal
    score: int
    reasons: tuple[str, ...]


def suggestions(case: RefundCase, *, search: str = "") -> list[Suggestion]:
    """Rank the details this money may belong to by amount, account, name, number and date; the best first.

    Only details of the bank and account where the money is, of this year or an earlier one, that have so much left to
    come back. `search` narrows by number or payee.
    """
    rows = (
        PaymentDetail.objects.select_related("request__unit", "request__payer_account")
        .filter(
            adm_div_code=case.adm_div_code,
            fiscal_year__lte=case.fiscal_year,
            state=DetailState.PAID,
            request__voucher_type=ORIGINAL_TYPE[case.notice_type],
            request__payer_account__account_no=case.payer_account_no,
            request__payer_account__agent_bank_id=case.agent_bank_id,
        )
        .annotate(left=F("amount") - F("amount_refunded"))
        .filter(left__gte=case.amount)
    )
    if search:
        named = Q(request__voucher_no__icontains=search) | Q(request__request_no__icontains=search)
        rows = rows.filter(named | Q(payee_name__icontains=search) | Q(payee_account_no=search))
    else:
        likely = Q(amount=case.amount) | Q(left=case.amount)
        if case.returned_account_no:
            likely |= Q(payee_account_no=case.returned_account_no)
        if case.returned_by:
            likely |= Q(payee_name=case.returned_by)
        if case.named_voucher_no:
            likely |= Q(request__voucher_no=case.named_voucher_no)
        rows = rows.filter(likely)
    candidates = list(rows.order_by("-id")[:MOST_CANDIDATES])
    paid_on = dict(
        PaymentDetail.objects.filter(pk__in=[row.pk for row in candidates], receipt_line__isnull=False).values_list(
            "pk", "receipt_line__paid_on"
        )
    )
    ranked = [_suggestion(case, row, paid_on.get(row.pk)) for row in candidates]
    return sorted(ranked, key=lambda s: (-s.score, s.detail.request.voucher_no))[:MOST_SUGGESTIONS]


def _suggestion(case: RefundCase, detail: PaymentDetail, paid_on: date | None) -> Suggestion:
    left: Decimal = detail.amount - detail.amount_refunded
    signs = [
        (50, case.named_voucher_no == detail.request.voucher_no, "凭证号相同"),
        (40, case.returned_account_no == detail.payee_account_no, "退款账号即收款账号"),
        (30, case.amount == detail.amount, "金额与原支付相同"),
        (20, case.amount == left and left != detail.amount, "金额等于尚未退回的部分"),
        (20, bool(case.returned_by) and case.returned_by == detail.payee_name, "退款人即收款人"),
        (10, paid_on is not None and 0 <= (case.refunded_on - paid_on).days <= 30, "支付在 30 日内"),
    ]
    given = [(points, word) for points, holds, word in signs if holds]
    return Suggestion(detail, left, sum(points for points, _ in given), tuple(word for _, word in given))


@transaction.atomic(durable=True)
def propose_originals(
    *, choices: Sequence[tuple[UUID, UUID]], officer: Actor, note: str, now: datetime
) -> Outcome[RefundCase]:
    """Say for each case (case id, detail id) which paid detail its money belongs to; somebody else has to confirm.

    Refused per item: not_found, transition_not_allowed, role_required, case_refused, refund_exceeds_payment.
    :raises ReasonRequired: without a word on what it rests.
    """
    if not note.strip():
        raise ReasonRequired("请写明认定依据。", field="note")
    if len(note) > 200:
        raise FieldInvalid("认定依据不超过 200 字。", field="note")
    context = context_for(officer, now)
    wanted = dict(choices)
    details = _lock_details(wanted.values())
    cases = _lock(list(wanted), officer)
    taken = _taken(details)

    def check(case: RefundCase) -> None:
        check_move(REFUND_CASE_FLOW, case, "propose", officer)
        _check_original(case, details.get(wanted[case.id]), context, taken)

    outcome = judge(cases, list(wanted), check)
    for case in outcome.accepted:  # a person identifies a handful, each its own original
        RefundCase.objects.filter(pk=case.pk).update(
            detail_id=wanted[case.id], proposed_by_id=officer.person_id, note=note.strip()
        )
        case.detail, case.proposed_by_id, case.note = details[wanted[case.id]], officer.person_id, note.strip()
    move(REFUND_CASE_FLOW, outcome.accepted, "propose", by=officer, at=now, reason=note.strip())
    return outcome


@transaction.atomic(durable=True)
def decide_cases(
    *, case_ids: Sequence[UUID], officer: Actor, confirm: bool, reason: str = "", now: datetime
) -> Outcome[RefundCase]:
    """Confirm what somebody else has proposed — the money is then a refund of that detail — or send it back.

    Refused per item: not_found, transition_not_allowed, role_required, acted_before, case_refused,
    refund_exceeds_payment. :raises ReasonRequired: for sending back without a word.
    """
    if not confirm and not reason.strip():
        raise ReasonRequired("请写明退回原因。", field="reason")
    check_reason(reason)
    context = context_for(officer, now)
    action = "confirm" if confirm else "decline"
    ids = cases_for(officer).filter(pk__in=set(case_ids)).values_list("detail_id", flat=True)
    details = _lock_details(pk for pk in ids if pk is not None)
    cases = _lock(case_ids, officer)
    taken = _taken(details)
    asked: dict[UUID, Decimal] = defaultdict(lambda: ZERO)

    def check(case: RefundCase) -> None:
        check_move(REFUND_CASE_FLOW, case, action, officer)
        if case.proposed_by_id == officer.person_id:
            raise ActedBefore("您是认定人，不能复核（岗位分离）。", field="officer")
        if confirm:
            assert case.detail_id is not None
            _check_original(case, details.get(case.detail_id), context, taken)
            taken.add((case.detail_id, case.notice_type, case.notice_no))
            asked[case.detail_id] += case.amount
            left = details[case.detail_id].amount - details[case.detail_id].amount_refunded
            check_room(asked[case.detail_id], left, field="detail")

    outcome = judge(cases, case_ids, check)
    if confirm:
        _confirm(outcome.accepted, details, officer, context)
        move(REFUND_CASE_FLOW, outcome.accepted, action, by=officer, at=now, reason=reason)
    else:
        move(REFUND_CASE_FLOW, outcome.accepted, action, by=officer, at=now, reason=reason)
        ids_open = [case.pk for case in outcome.accepted]
        RefundCase.objects.filter(pk__in=ids_open).update(detail=None, proposed_by=None, note="")
    return outcome


def _confirm(cases: Sequence[RefundCase], details: dict[UUID, PaymentDetail], officer: Actor, context: Context) -> None:
    facts = []
    for case in cases:
        assert case.detail_id is not None
        detail = details[case.detail_id]
        fact = Refund(
            adm_div_code=detail.adm_div_code,
            fiscal_year=detail.fiscal_year,
            detail=detail,
            message_id=case.message_id,
            notice_type=case.notice_type,
            notice_no=case.notice_no,
            amount=case.amount,
            refunded_on=max(case.refunded_on, context.business_date),
            bank_serial=case.bank_serial,
            reason=case.remark,
            business_date=context.business_date,
            at=context.at,
        )
        facts.append(fact)
    record_refunds(facts, context)
    for case, fact in zip(cases, facts, strict=True):
        RefundCase.objects.filter(pk=case.pk).update(refund=fact, confirmed_by_id=officer.person_id)
        case.refund, case.confirmed_by_id = fact, officer.person_id


def _check_original(
    case: RefundCase, detail: PaymentDetail | None, context: Context, taken: set[tuple[UUID, str, str]]
) -> None:
    if detail is None or detail.adm_div_code != case.adm_div_code:
        raise NotFound("没有这笔支付明细。", field="detail")
    request = detail.request
    if detail.fiscal_year > context.fiscal_year or detail.state != DetailState.PAID:
        raise CaseRefused("只能认定为已支付的明细。", field="detail")
    if request.voucher_type != ORIGINAL_TYPE[case.notice_type]:
        raise CaseRefused("支付方式与退款通知书不符。", field="detail")
    if (request.payer_account.account_no, request.payer_account.agent_bank_id) != (
        case.payer_account_no,
        case.agent_bank_id,
    ):
        raise CaseRefused("该笔支付不是从款项所在的账户付出的。", field="detail")
    if (detail.id, case.notice_type, case.notice_no) in taken:  # a 2302 could not tell the two apart
        raise CaseRefused("同一退款通知书已有一行认定为该笔支付，请分别核对。", field="detail")
    check_room(case.amount, detail.amount - detail.amount_refunded, field="detail")


def _taken(details: dict[UUID, PaymentDetail]) -> set[tuple[UUID, str, str]]:
    """Which details have come back by which notices already (one query)."""
    rows = Refund.objects.filter(detail_id__in=details)
    return set(rows.values_list("detail_id", "notice_type", "notice_no"))


def _lock_details(ids: Iterable[UUID]) -> dict[UUID, PaymentDetail]:
    """Lock the requests, then read their details: the order in which a bank's refund notice comes to them as well."""
    wanted = set(ids)
    requests = (
        PaymentRequest.objects.select_for_update(of=("self",), no_key=True)
        .select_related("indicator", "payer_account__agent_bank", "unit")
        .filter(details__pk__in=wanted)
        .order_by("pk")
    )
    by_id = {request.id: request for request in requests}
    found = {}
    for detail in PaymentDetail.objects.filter(pk__in=wanted, request_id__in=by_id):
        detail.request = by_id[detail.request_id]
        found[detail.id] = detail
    return found


def _lock(ids: Sequence[UUID], officer: Actor) -> list[RefundCase]:
    rows = cases_for(officer).filter(pk__in=set(ids)).order_by("pk")
    return list(rows.select_for_update(of=("self",), no_key=True))
