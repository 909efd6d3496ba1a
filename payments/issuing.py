"""From approval to the bank: generate vouchers, seal them, hear whether the bank signed for them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from budget.entries import Context, LimitPosting, lock_balances, post, post_limits
from budget.limits import LimitKey, lock_limits
from budget.methods import Clearing, method_of, year_of
from core.actors import Actor, system_actor
from core.batch import copy_rows, update_from_values
from core.errors import TreasuryError
from core.money import wire_yuan
from core.outcomes import CHUNK, Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore
from payments.approvals import Approvals
from payments.content import Details, content_digest, details_of
from payments.cut_off import voucher_dates
from payments.drafting import unlink_reissues
from payments.errors import CutOffPassed
from payments.locking import (
    check_reason,
    context_for,
    lock_requests,
    lock_requests_and_vouchers,
    lock_requests_of_vouchers,
    read_requests,
    require_role,
)
from payments.messages import Names, limit_notice_draft, load_names, payment_voucher_draft
from payments.models import LimitNotice, PaymentDetail, PaymentRequest, Recall
from payments.recalls import lapse_recalls, lock_open_recalls, note_recalls_returned
from payments.screening import check_payer, record_payer_refusals
from payments.states import RECALL_FLOW, REQUEST_FLOW, RecallState, RequestState
from payments.submitting import reservation
from seals.approvals import Prepared, Proof, Shown, prepare_for, summary_of_payees, take
from seals.signing import Warrant
from vouchers.models import Voucher
from vouchers.sealing import Steps, affix, seal_at_once
from vouchers.services import generate_vouchers, lock_vouchers, turn_to_paper, void_vouchers

LINES_AT_ONCE = 5000  # of payment details that are written as vouchers in one go


@transaction.atomic(durable=True)
def issue_payment_vouchers(*, request_ids: Sequence[UUID], maker: Actor, now: datetime) -> Outcome[PaymentRequest]:
    """Generate the payment voucher of each finally approved request: number allotted, bytes frozen, not yet sealed.

    Who makes it out, the treasury or the unit, follows from the payment method. After the region's cut-off vouchers
    bear the next working day's date and leave on that day. At most CHUNK ids.

    Refused per item: not_found, transition_not_allowed, role_required, acted_before, approvals_incomplete,
    content_changed, cut_off_passed, monitoring_blocks (M31: the account may not pay; the alert is kept).
    :raises DayClosed: if no business day is open.
    """
    context = context_for(maker, now)
    requests = lock_requests(request_ids, maker)
    approvals = Approvals(requests)
    details = details_of(requests)
    dates = voucher_dates(requests, now)

    def check(request: PaymentRequest) -> None:
        check_move(REQUEST_FLOW, request, "issue", maker)
        require_role(maker, method_of(request.payment_mode).office.maker)
        if maker.person_id in approvals.persons(request):
            raise ActedBefore("您审核过本单，不能制单（岗位分离）。", field="maker")
        approvals.check(request, content_digest(request, details[request.id]))
        check_payer(request)
        _day(dates[request.id])

    outcome = judge(requests, request_ids, check)
    record_payer_refusals(requests, outcome.refused, context)
    days = {request.id: _day(dates[request.id]) for request in outcome.accepted}
    make_out(outcome.accepted, details, days=days, by=maker, context=context)
    return outcome


def make_out(
    requests: Sequence[PaymentRequest],
    details: Mapping[UUID, Details],
    *,
    days: Mapping[UUID, date] | None = None,
    by: Actor,
    context: Context,
) -> None:
    """Give locked and judged requests their vouchers, dated today unless `days` says another day; a step."""
    if not requests:
        return
    names = load_names(requests)
    days = days or dict.fromkeys((request.id for request in requests), context.business_date)
    for part in _by_lines(requests, details):
        drafts = [payment_voucher_draft(r, details[r.id], names, days[r.id]) for r in part]
        for request, voucher in zip(part, generate_vouchers(drafts, by=by, now=context.at), strict=True):
            request.voucher = voucher
            request.voucher_type, request.voucher_no = voucher.voucher_type, voucher.voucher_no
    columns = {"voucher_id": "uuid", "voucher_type": "text", "voucher_no": "text"}
    rows = sorted((r.id, r.voucher_id, r.voucher_type, r.voucher_no) for r in requests)
    update_from_values(PaymentRequest, columns, rows)
    move(REQUEST_FLOW, requests, "issue", by=by, at=context.at)


def _day(found: date | TreasuryError) -> date:
    """:raises TreasuryError: if no voucher can be made out now."""
    if isinstance(found, TreasuryError):
        raise found
    return found


def _by_lines(
    requests: Sequence[PaymentRequest], details: Mapping[UUID, Sequence[PaymentDetail]]
) -> Iterator[list[PaymentRequest]]:
    """Cut a batch where it would hold more than LINES_AT_ONCE: a payroll's lines are not all wanted in memory."""
    part: list[PaymentRequest] = []
    lines = 0
    for request in requests:
        if part and lines + len(details[request.id]) > LINES_AT_ONCE:
            yield part
            part, lines = [], 0
        part.append(request)
        lines += len(details[request.id])
    yield part


@transaction.atomic(durable=True)
def cancel_payment_vouchers(
    *, request_ids: Sequence[UUID], maker: Actor, reason: str, now: datetime
) -> Outcome[PaymentRequest]:
    """Void vouchers that are not sealed yet; the requests are 已终审 again, the numbers stay used."""
    check_reason(reason)
    context_for(maker, now)

    def check(request: PaymentRequest) -> None:
        check_move(REQUEST_FLOW, request, "cancel_voucher", maker)
        require_role(maker, method_of(request.payment_mode).office.maker)

    requests, vouchers = lock_requests_and_vouchers(request_ids, maker)
    outcome = judge(requests, request_ids, check)
    void_vouchers(_of(outcome.accepted, vouchers), by=maker, now=now, reason=reason)
    ids = [r.id for r in outcome.accepted]
    PaymentRequest.objects.filter(pk__in=ids).update(voucher=None, voucher_type="", voucher_no="")
    move(REQUEST_FLOW, outcome.accepted, "cancel_voucher", by=maker, at=now, reason=reason)
    return outcome


class _ToSeal:
    """Requests with vouchers that wait for a seal, with all that is needed to judge and to show them."""

    def __init__(self, requests: Sequence[PaymentRequest], vouchers: Mapping[UUID, Voucher], now: datetime) -> None:
        self.requests = requests
        self.vouchers = vouchers
        self.approvals = Approvals(requests)
        self.details = details_of(requests)
        self.steps = Steps(list(vouchers.values()))
        self.dates = voucher_dates(requests, now)

    def voucher(self, request: PaymentRequest) -> Voucher:
        assert request.voucher_id is not None
        return self.vouchers[request.voucher_id]

    def post(self, request: PaymentRequest) -> str:
        step = self.steps.next(self.voucher(request))
        return (step.post if step is not None else "") or method_of(request.payment_mode).office.sealer

    def shown(self, request: PaymentRequest) -> Shown:
        """The voucher as its sealer is shown it; what is signed is the digest of the text that will be sealed."""
        voucher = self.voucher(request)
        return Shown(
            document_id=request.id,
            document_no=f"{voucher.voucher_type}/{voucher.voucher_no}",
            revision=request.revision,
            digest=voucher.digest,
            amount=wire_yuan(voucher.amount),
            payee=summary_of_payees(self.details[request.id]),
        )

    def check(self, request: PaymentRequest, sealer: Actor) -> None:
        """Whether this person may take the next step of sealing: neither clerk, reviewer, maker nor earlier sealer."""
        REQUEST_FLOW.find(request.state, "seal")
        self.steps.check(self.voucher(request), sealer, method_of(request.payment_mode).office.sealer)
        involved = {*self.approvals.persons(request), request.created_by_id, self.voucher(request).made_by_id}
        if sealer.person_id in involved:
            raise ActedBefore("您经办、审核或制作过本单，不能签章（岗位分离）。", field="sealer")
        self.approvals.check(request, content_digest(request, self.details[request.id]))
        if self.voucher(request).voucher_date < _day(self.dates[request.id]):
            raise CutOffPassed(
                "已过截止时间，本凭证的日期不能再发送。请撤销凭证后重新制单，新凭证为下一工作日。", field="voucher_date"
            )


@transaction.atomic(durable=True)
def prepare_sealing(*, request_ids: Sequence[UUID], sealer: Actor, origin: str, now: datetime) -> Prepared:
    """Issue the statement by which this officer seals those of the vouchers that may be sealed now.

    :raises NoOfficerCertificate: if the officer has no key to sign with.
    """
    requests = read_requests(request_ids, sealer)
    ids = [request.voucher_id for request in requests if request.voucher_id]
    vouchers = Voucher.objects.filter(pk__in=ids).defer("text")
    to_seal = _ToSeal(requests, {voucher.id: voucher for voucher in vouchers}, now)
    outcome = judge(requests, request_ids, lambda r: to_seal.check(r, sealer))
    return prepare_for(
        outcome.accepted,
        shown=to_seal.shown,
        post=to_seal.post,
        refused=outcome.refused,
        action="seal",
        by=sealer,
        origin=origin,
        now=now,
    )


@transaction.atomic(durable=True)
def seal_payment_vouchers(
    *, request_ids: Sequence[UUID], sealer: Actor, now: datetime, proof: Proof | None = None
) -> Outcome[PaymentRequest]:
    """Take the next step of sealing; the last one puts vouchers into the outbox, for direct payments with the 5108
    that lets PBoC clear them.

    The approvals are read again from the database, here and by the signer: every needed node, distinct persons, over
    the content as it is now. The sealer is neither clerk, reviewer, maker nor earlier sealer. At most CHUNK ids.

    What was made out before the cut-off and not sealed until after it is refused: its date has passed.

    Refused per item: as for issuing, and statement_outdated. :raises DayClosed: if no business day is open.
    :raises SignatureRequired, StatementRefused: for a proof that is missing or does not count.
    :raises SealMissing, SealingRefused, SignerUnavailable: if a mark cannot be made; nothing is sealed then.
    """
    context = context_for(sealer, now)
    to_seal = _ToSeal(*lock_requests_and_vouchers(request_ids, sealer), now)
    taken = take(proof, action="seal", by=sealer, now=now)
    taken.prepare_check([(r.id, r.revision) for r in to_seal.requests])

    def check(request: PaymentRequest) -> None:
        to_seal.check(request, sealer)
        taken.check(to_seal.shown(request))

    outcome = judge(to_seal.requests, request_ids, check)
    if not outcome.accepted:
        return outcome
    taken.record(outcome.accepted, revision=lambda r: r.revision, post=to_seal.post, now=now)
    vouchers = _of(outcome.accepted, to_seal.vouchers)
    sealed = {v.id for v in affix(vouchers, to_seal.steps, by=sealer, warrant=taken.warrant, now=now)}
    finished = [r for r in outcome.accepted if r.voucher_id in sealed]
    issue_limit_notices([(r, r.amount) for r in finished], by=sealer, context=context, warrant=taken.warrant)
    move(REQUEST_FLOW, [r for r in outcome.accepted if r.voucher_id not in sealed], "stamp", by=sealer, at=now)
    move(REQUEST_FLOW, finished, "seal", by=sealer, at=now)
    return outcome


def issue_limit_notices(
    changes: Sequence[tuple[PaymentRequest, Decimal]],
    *,
    by: Actor,
    context: Context,
    warrant: Warrant | None = None,
    on_paper: bool = False,
) -> None:
    """Generate and seal a 5108 for each (request, change of what PBoC may clear), where the payment method is cleared
    payment by payment; a step.

    A negative one after a failed payment is sealed by the system: it only takes permission away. One `on_paper` goes
    with a payment on paper: it is printed, not sealed, and never sent.
    """
    changes = [(r, amount) for r, amount in changes if method_of(r.payment_mode).clearing is Clearing.BY_PAYMENT]
    if not changes or not year_of(context.adm_div_code, context.fiscal_year).limits_clearing:
        return
    names: Names = load_names([request for request, _ in changes])
    drafts = [limit_notice_draft(r, amount, names, context.business_date) for r, amount in changes]
    vouchers = generate_vouchers(drafts, by=system_actor("清算额度"), now=context.at)
    if on_paper:
        turn_to_paper(vouchers, by=system_actor("清算额度"), now=context.at)
    else:
        seal_at_once(vouchers, by=by, warrant=warrant or Warrant(None), now=context.at)
    copy_rows(
        [
            LimitNotice(
                adm_div_code=request.adm_div_code,
                fiscal_year=request.fiscal_year,
                request=request,
                voucher=voucher,
                amount=amount,
                at=context.at,
            )
            for (request, amount), voucher in zip(changes, vouchers, strict=True)
        ]
    )
    limits = lock_limits(context.adm_div_code, context.fiscal_year, [limit_key(r) for r, _ in changes])
    post_limits(
        [
            LimitPosting(
                limit_id=limits[limit_key(request)].id,
                kind="notice_5108",
                changes={"issued": amount},
                document_type=voucher._meta.label,
                document_id=voucher.id,
            )
            for (request, amount), voucher in zip(changes, vouchers, strict=True)
        ],
        context,
    )


def _of(requests: Sequence[PaymentRequest], vouchers: Mapping[UUID, Voucher]) -> list[Voucher]:
    return [vouchers[request.voucher_id] for request in requests if request.voucher_id]


def limit_key(request: PaymentRequest) -> LimitKey:
    """Return which clearing limit a payment uses."""
    bank_id = request.payer_account.agent_bank_id
    assert bank_id is not None
    return bank_id, request.payment_mode, request.indicator.fund_nature


# What the bank says of the voucher as a document --------------------------------------------------------------------


def on_voucher_answer(vouchers: Sequence[Voucher], action: str, *, by: Actor, reason: str, now: datetime) -> None:
    """Move requests when the bank signs for, refuses or returns their voucher. Refused money stays reserved until
    the maker gives the voucher up or it is sent anew."""
    requests = lock_requests_of_vouchers([v.id for v in vouchers])
    verb = "accept" if action == "sign_for" else "bank_refuse"
    movable = [r for r in requests if verb in REQUEST_FLOW.actions_from(r.state)]
    move(REQUEST_FLOW, movable, verb, by=by, at=now, reason=reason[:300])
    if verb == "bank_refuse":
        note_recalls_returned(movable, by=by, now=now)


@transaction.atomic(durable=True)
def void_refused_requests(
    *, request_ids: Sequence[UUID], maker: Actor, reason: str, now: datetime
) -> Outcome[PaymentRequest]:
    """Give up requests whose voucher the bank refused or returned under its signature: void the voucher, release."""
    check_reason(reason)
    context = context_for(maker, now)

    def check(request: PaymentRequest) -> None:
        check_move(REQUEST_FLOW, request, "void_refused", maker)
        require_role(maker, method_of(request.payment_mode).office.maker)

    requests, vouchers = lock_requests_and_vouchers(request_ids, maker)
    outcome = judge(requests, request_ids, check)
    void_vouchers(_of(outcome.accepted, vouchers), by=maker, now=now, reason=reason)
    lock_balances([r.indicator_id for r in outcome.accepted], [r.quota_id for r in outcome.accepted])
    post([reservation(r, -1, "release", "银行退回作废") for r in outcome.accepted], context)
    issue_limit_notices([(r, -r.amount) for r in outcome.accepted], by=system_actor("清算额度"), context=context)
    unlink_reissues(outcome.accepted)
    move(REQUEST_FLOW, outcome.accepted, "void_refused", by=maker, at=now, reason=reason)
    lapse_recalls(outcome.accepted, by=system_actor("撤回"), now=now)
    return outcome


@transaction.atomic(durable=True)
def withdraw_returned_requests(*, adm_div_code: str, now: datetime) -> list[PaymentRequest]:
    """Release what banks have returned to an approved recall: their signed word that it is not and will not be paid.

    Runs with the sweep of recalls; a return heard while no day is open waits for the next one. At most CHUNK.

    :raises DayClosed: if no business day is open.
    """
    system = Actor(name="撤回", roles=frozenset({"system"}), adm_div_code=adm_div_code)
    context = context_for(system, now)
    recalls = Recall.objects.filter(
        adm_div_code=adm_div_code, state=RecallState.ASKING, request__state=RequestState.BANK_REFUSED
    )
    ids = list(recalls.order_by("pk").values_list("voucher_id", flat=True)[:CHUNK])
    lock_vouchers(ids)
    requests = [r for r in lock_requests_of_vouchers(ids) if r.state == RequestState.BANK_REFUSED]
    open_recalls = lock_open_recalls(requests, RecallState.ASKING)
    requests = [r for r in requests if r.id in open_recalls]
    lock_balances([r.indicator_id for r in requests], [r.quota_id for r in requests])
    post([reservation(r, -1, "release", "撤回") for r in requests], context)
    issue_limit_notices([(r, -r.amount) for r in requests], by=system_actor("清算额度"), context=context)
    unlink_reissues(requests)
    move(REQUEST_FLOW, requests, "withdraw", by=system, at=now)
    move(RECALL_FLOW, [open_recalls[r.id] for r in requests], "withdraw", by=system, at=now)
    return requests
