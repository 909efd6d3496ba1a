"""Reviewing: approve, return, reject; the disposition of held requests; giving up a draft."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from budget.entries import lock_balances, post
from core.actors import Actor
from core.batch import update_from_values
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from monitoring.errors import AttachmentRequired
from monitoring.facts import Hit
from monitoring.levels import Action
from monitoring.models import Alert, CaseStep
from monitoring.points import Point
from monitoring.services import dispose, passed_rules, record_hits
from monitoring.states import AlertState
from parties.delegating import acting_note
from parties.errors import ActedBefore
from parties.review import check_reviewer, earlier_deciders, load_chains, record_decisions, seat_of
from payments.content import details_of, shown_request
from payments.drafting import unlink_reissues
from payments.errors import ContentChanged, MonitoringBlocks, ReasonRequired
from payments.locking import check_reason, context_for, lock_requests, read_requests
from payments.models import PaymentRequest
from payments.screening import Screened, screened
from payments.states import REQUEST_FLOW
from payments.submitting import reservation
from seals.approvals import Prepared, Proof, Shown, prepare_for, take

RETURN_REASONS = {
    "payee": "收款人信息有误",
    "amount": "金额有误",
    "codes": "科目或指标有误",
    "purpose": "用途不明或不合规",
    "attachment": "附件不全或不清",
    "contract": "与合同不符",
    "duplicate": "疑似重复支付",
    "other": "其他",
}


class _Waiting:
    """Requests that wait for a decision, with all that is needed to judge and to show them."""

    def __init__(self, requests: Sequence[PaymentRequest]) -> None:
        self.requests = requests
        self.chains = load_chains({r.chain_id for r in requests if r.chain_id is not None}, requests)
        self._deciders = earlier_deciders(requests)
        self.details = details_of(requests)

    def shown(self, request: PaymentRequest) -> Shown:
        """The request as the officer sees it, digested from what the database says now."""
        return shown_request(request, self.details[request.id])

    def post(self, request: PaymentRequest) -> str:
        return str(self.chains.node(request).post)

    def seat(self, request: PaymentRequest) -> int:
        return seat_of(request, self._deciders[request.id])

    def completes(self, request: PaymentRequest) -> bool:
        """Whether one more approval is the last that the node waits for."""
        return self.seat(request) >= self.chains.node(request).countersign

    def is_last(self, request: PaymentRequest) -> bool:
        """Whether one more approval is the last that the request waits for."""
        return self.completes(request) and self.chains.following(request) is None

    def check(self, request: PaymentRequest, action: str, reviewer: Actor) -> None:
        """:raises TransitionNotAllowed, RoleRequired, ActedBefore, ContentChanged: unless this officer may now."""
        check_move(REQUEST_FLOW, request, action, reviewer)
        check_reviewer(request, self.chains.node(request), reviewer, self._deciders[request.id])
        if action == "approve" and self.shown(request).digest != request.content_digest:
            raise ContentChanged("单据内容与提交时不一致，请联系管理员。", field="content_digest")


@transaction.atomic(durable=True)
def prepare_decision(
    *,
    request_ids: Sequence[UUID],
    reviewer: Actor,
    action: str,
    origin: str,
    now: datetime,
    reason_code: str = "",
    reason: str = "",
) -> Prepared:
    """Issue the statement by which this officer approves, returns or rejects those of the requests that may be.

    :param action: approve, return or reject; `origin` is the page's own, as the officer's agent will compare it.
    :raises NoOfficerCertificate: if the officer has no key to sign with.
    """
    if action != "approve":
        _require_reason(reason_code, reason)
    waiting = _Waiting(read_requests(request_ids, reviewer))
    outcome = judge(waiting.requests, request_ids, lambda r: waiting.check(r, action, reviewer))
    return prepare_for(
        outcome.accepted,
        shown=waiting.shown,
        post=waiting.post,
        refused=outcome.refused,
        action=action,
        by=reviewer,
        origin=origin,
        now=now,
        note=_note(reason_code, reason, reviewer) if action != "approve" else acting_note(reviewer),
    )


@transaction.atomic(durable=True)
def approve_payment_requests(
    *, request_ids: Sequence[UUID], reviewer: Actor, now: datetime, proof: Proof | None = None
) -> Outcome[PaymentRequest]:
    """Approve requests at the node each waits at; after the last needed node a request is 已终审.

    At the last node the monitoring rules are asked again: a new 挂起 holds the request, a 拦截 refuses the approval.
    At most CHUNK ids; the number of SQL statements does not depend on how many.

    :param proof: the officer's signature over the statement of `prepare_decision`, where the region asks for one.

    Refused per item: not_found, transition_not_allowed, role_required, acted_before, content_changed,
    statement_outdated, monitoring_blocks. :raises DayClosed: if no business day is open.
    :raises SignatureRequired, StatementRefused: for a proof that is missing or does not count; nothing moves then.
    """
    context = context_for(reviewer, now)
    waiting = _Waiting(lock_requests(request_ids, reviewer))
    requests, chains, details = waiting.requests, waiting.chains, waiting.details
    taken = take(proof, action="approve", by=reviewer, now=now, note=acting_note(reviewer))
    taken.prepare_check([(r.id, r.revision) for r in requests])

    def check(request: PaymentRequest) -> None:
        waiting.check(request, "approve", reviewer)
        taken.check(waiting.shown(request))

    outcome = judge(requests, request_ids, check)
    last = [r for r in outcome.accepted if waiting.is_last(r)]
    asked = screened(last, details, context, Point.FINAL_APPROVAL)
    held, new_hits = _screen_again(outcome, last, asked)
    held_ids, last_ids = {r.id for r in held}, {r.id for r in last}
    decided = [r for r in outcome.accepted if r.id not in held_ids]
    record_decisions(
        decided,
        "approve",
        posts={r.id: chains.node(r).post for r in decided},
        by=reviewer,
        at=now,
        signatures=taken.record(decided, revision=_revision, post=waiting.post, now=now),
        seats={r.id: waiting.seat(r) for r in decided},
    )
    move(REQUEST_FLOW, held, "hold", by=reviewer, at=now)
    record_hits(facts=asked.of(held), hits={r.id: new_hits[r.id] for r in held}, at=now, point=Point.FINAL_APPROVAL)
    final_ids = last_ids - held_ids
    final = [r for r in outcome.accepted if r.id in final_ids]
    staying = [r for r in outcome.accepted if r.id not in last_ids and not waiting.completes(r)]
    staying_ids = {r.id for r in staying}
    onward = [r for r in outcome.accepted if r.id not in last_ids and r.id not in staying_ids]
    for request in onward:
        following = chains.following(request)
        assert following is not None
        request.node = following
    update_from_values(PaymentRequest, {"node": "smallint"}, sorted((r.id, r.node) for r in onward))
    move(REQUEST_FLOW, staying, "countersign", by=reviewer, at=now)
    move(REQUEST_FLOW, onward, "advance", by=reviewer, at=now)
    move(REQUEST_FLOW, final, "approve", by=reviewer, at=now)
    return outcome


def _revision(request: PaymentRequest) -> int:
    return request.revision


def _screen_again(
    outcome: Outcome[PaymentRequest], last: list[PaymentRequest], asked: Screened
) -> tuple[list[PaymentRequest], dict[UUID, list[Hit]]]:
    """Ask the rules again before the final approval; what a disposition has passed for this revision stays passed."""
    if not last:
        return [], {}
    hits = asked.hits
    passed = passed_rules([r.id for r in last])
    known = _alerted_rules(last)
    held = []
    for request in list(last):
        new = [h for h in hits.get(request.id, []) if (request.revision, h.rule_code) not in passed.get(request.id, ())]
        # One alert per rule and revision: a rule that has reminded before cannot hold now, nobody could dispose of it.
        new = [h for h in new if h.action == Action.BLOCK or (request.id, request.revision, h.rule_code) not in known]
        blocking = [h for h in new if h.action == Action.BLOCK]
        if blocking:
            outcome.refused[request.id] = MonitoringBlocks(
                blocking[0].told, field="monitoring", rule=blocking[0].rule_code
            )
            outcome.accepted.remove(request)
        elif any(h.action == Action.HOLD for h in new):
            held.append(request)
            hits[request.id] = [h for h in new if h.action == Action.HOLD]
    return held, hits


def _alerted_rules(requests: Sequence[PaymentRequest]) -> set[tuple[UUID, int, str]]:
    rows = Alert.objects.filter(document_id__in=[request.id for request in requests])
    return set(rows.values_list("document_id", "revision", "rule_code"))


@transaction.atomic(durable=True)
def return_payment_requests(
    *,
    request_ids: Sequence[UUID],
    reviewer: Actor,
    reason_code: str,
    reason: str,
    now: datetime,
    proof: Proof | None = None,
) -> Outcome[PaymentRequest]:
    """Return requests to their clerks with a coded reason; what they held goes back to exactly the same rows.

    :raises ReasonRequired: without a known reason code, or with `other` and no words.
    """
    _require_reason(reason_code, reason)
    outcome = _decide(request_ids, reviewer, "return", reason_code, reason, now, proof)
    _raise_revision(outcome.accepted)
    return outcome


@transaction.atomic(durable=True)
def reject_payment_requests(
    *,
    request_ids: Sequence[UUID],
    reviewer: Actor,
    reason_code: str,
    reason: str,
    now: datetime,
    proof: Proof | None = None,
) -> Outcome[PaymentRequest]:
    """Reject requests for good (否决); what they held is released.

    :raises ReasonRequired: as for a return.
    """
    _require_reason(reason_code, reason)
    outcome = _decide(request_ids, reviewer, "reject", reason_code, reason, now, proof)
    unlink_reissues(outcome.accepted)
    return outcome


def _decide(
    request_ids: Sequence[UUID],
    reviewer: Actor,
    action: str,
    reason_code: str,
    reason: str,
    now: datetime,
    proof: Proof | None,
) -> Outcome[PaymentRequest]:
    """Return or reject: the decision and the move bear the same name."""
    context = context_for(reviewer, now)
    waiting = _Waiting(lock_requests(request_ids, reviewer))
    taken = take(proof, action=action, by=reviewer, now=now, note=_note(reason_code, reason, reviewer))
    taken.prepare_check([(r.id, r.revision) for r in waiting.requests])

    def check(request: PaymentRequest) -> None:
        waiting.check(request, action, reviewer)
        taken.check(waiting.shown(request))

    outcome = judge(waiting.requests, request_ids, check)
    posts = {r.id: waiting.post(r) for r in outcome.accepted}
    signatures = taken.record(outcome.accepted, revision=_revision, post=waiting.post, now=now)
    record_decisions(
        outcome.accepted,
        action,
        posts=posts,
        by=reviewer,
        at=now,
        reason_code=reason_code,
        reason=reason,
        signatures=signatures,
        seats={r.id: waiting.seat(r) for r in outcome.accepted},
    )
    move(REQUEST_FLOW, outcome.accepted, action, by=reviewer, at=now, reason_code=reason_code, reason=reason)
    lock_balances([r.indicator_id for r in outcome.accepted], [r.quota_id for r in outcome.accepted])
    post([reservation(r, -1, "release", RETURN_REASONS[reason_code]) for r in outcome.accepted], context)
    return outcome


@transaction.atomic(durable=True)
def dispose_held_requests(
    *, request_ids: Sequence[UUID], officer: Actor, passed: bool, reason: str, now: datetime
) -> Outcome[PaymentRequest]:
    """Let held requests go on to review (`passed`), or send them back and release what they held; this revision only.

    :raises ReasonRequired: without words: a disposition is always explained.
    """
    if not reason.strip():
        raise ReasonRequired("请填写处置意见。", field="reason")
    check_reason(reason)
    context = context_for(officer, now)
    action = "pass_hold" if passed else "reject_hold"

    def check(request: PaymentRequest) -> None:
        check_move(REQUEST_FLOW, request, action, officer)
        if officer.person_id == request.created_by_id:
            raise ActedBefore("您是本单录入人，不能处置本单的预警（岗位分离）。", field="officer")

    outcome = judge(lock_requests(request_ids, officer), request_ids, check)
    if passed:
        _refuse_without_attachments(outcome)
    if not outcome.accepted:
        return outcome
    dispose(
        document_ids=[r.id for r in outcome.accepted],
        decision="pass" if passed else "reject",
        reason=reason,
        by=officer,
        at=now,
    )
    move(REQUEST_FLOW, outcome.accepted, action, by=officer, at=now, reason=reason)
    if not passed:
        lock_balances([r.indicator_id for r in outcome.accepted], [r.quota_id for r in outcome.accepted])
        post([reservation(r, -1, "release", "监控退回") for r in outcome.accepted], context)
        _raise_revision(outcome.accepted)
    return outcome


def _refuse_without_attachments(outcome: Outcome[PaymentRequest]) -> None:
    """A hold whose rule asks for files is not passed without any (one query).

    The files of a request under way are frozen: what is still asked for comes with the unit's words in the case.
    """
    answered = CaseStep.objects.filter(case__alert=OuterRef("pk")).exclude(attachments=[])
    asked = Alert.objects.filter(document_id=OuterRef("pk"), state=AlertState.PENDING, attachment_required=True)
    asked = asked.filter(~Exists(answered))
    bare = PaymentRequest.objects.filter(pk__in=[r.id for r in outcome.accepted], attachments=None)
    for pk in bare.filter(Exists(asked)).values_list("pk", flat=True):
        outcome.refused[pk] = AttachmentRequired(
            "该规则要求附件，单据和案件说明都没有附件，不能放行。请单位在预警案件中说明并上传附件。",
            field="attachments",
        )
    outcome.accepted[:] = [r for r in outcome.accepted if r.id not in outcome.refused]


@transaction.atomic(durable=True)
def cancel_payment_requests(*, request_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[PaymentRequest]:
    """Give up drafts, returned or blocked requests; they hold nothing."""
    context_for(clerk, now)
    outcome = judge(
        lock_requests(request_ids, clerk), request_ids, lambda r: check_move(REQUEST_FLOW, r, "cancel", clerk)
    )
    unlink_reissues(outcome.accepted)
    move(REQUEST_FLOW, outcome.accepted, "cancel", by=clerk, at=now)
    return outcome


@transaction.atomic(durable=True)
def give_up_payment_requests(
    *, request_ids: Sequence[UUID], clerk: Actor, reason: str, now: datetime
) -> Outcome[PaymentRequest]:
    """Give up finally approved requests of which no voucher exists yet; what they held is released.

    Refused per item: not_found, transition_not_allowed, role_required. :raises ReasonRequired: without a word.
    """
    if not reason.strip():
        raise ReasonRequired("请填写作废原因。", field="reason")
    check_reason(reason)
    context = context_for(clerk, now)
    outcome = judge(
        lock_requests(request_ids, clerk), request_ids, lambda r: check_move(REQUEST_FLOW, r, "give_up", clerk)
    )
    lock_balances([r.indicator_id for r in outcome.accepted], [r.quota_id for r in outcome.accepted])
    post([reservation(r, -1, "release", "作废") for r in outcome.accepted], context)
    unlink_reissues(outcome.accepted)
    move(REQUEST_FLOW, outcome.accepted, "give_up", by=clerk, at=now, reason=reason.strip())
    return outcome


def _require_reason(reason_code: str, reason: str) -> None:
    if reason_code not in RETURN_REASONS:
        raise ReasonRequired("请选择退回原因。", field="reason_code")
    if reason_code == "other" and not reason.strip():
        raise ReasonRequired("选择「其他」时请写明原因。", field="reason")
    check_reason(reason)


def _note(reason_code: str, reason: str, reviewer: Actor) -> str:
    """The reason as the officer signs it, and for whom."""
    return f"{acting_note(reviewer)} {RETURN_REASONS[reason_code]} {reason}".strip()


def _raise_revision(requests: Sequence[PaymentRequest]) -> None:
    """A returned document is a new version: decisions and dispositions on the old one no longer count."""
    PaymentRequest.objects.filter(pk__in=[r.id for r in requests]).update(revision=F("revision") + 1)
    for request in requests:
        request.revision += 1
