"""撤回: asking a bank not to pay what it has been sent. The unit asks, the treasury agrees, the bank is asked until it
answers. Only its signed word ends it: returned, and the money is released; paid, and the receipt wins. Silence changes
nothing: the money stays reserved. Source: docs/exceptions.md, docs/adr/0031.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from core.actors import Actor
from core.batch import copy_rows
from core.errors import TreasuryError
from core.numbering import take_numbers
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore
from parties.selectors import visible_unit_codes
from payments.errors import ReasonRequired, RecallRefused
from payments.exception_models import Recall
from payments.locking import check_reason, context_for, lock_requests, require_role
from payments.models import PaymentRequest
from payments.states import OPEN_RECALLS, RECALL_FLOW, RecallState, RequestState
from vouchers.models import ExchangePartner, Voucher
from vouchers.pulling import AnsweredItem, answer_pulled
from vouchers.transport import PartnerAnswer, RecallItem

REACHABLE = (RequestState.SEALED, RequestState.ACCEPTED)
AT_ONCE = 100
LONGEST_PAUSE = timedelta(minutes=10)
REFUSED, RETURNED, RECEIPTED = 4, 5, 12  # the library's numbers


def recalls_for(actor: Actor) -> QuerySet[Recall]:
    """Return the recalls the actor may see."""
    rows = Recall.objects.select_related("request__unit", "voucher", "asked_by", "decided_by").filter(
        adm_div_code=actor.adm_div_code
    )
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(request__unit__code__in=codes)


@transaction.atomic(durable=True)
def ask_recalls(*, request_ids: Sequence[UUID], clerk: Actor, reason: str, now: datetime) -> Outcome[PaymentRequest]:
    """Ask to withdraw payments that are with the bank and have no receipt; nothing changes until the bank answers.

    Refused per item: not_found, recall_refused. :raises RoleRequired, ReasonRequired.
    """
    require_role(clerk, "unit_clerk")
    assert clerk.person_id is not None, "a clerk is a person"
    if not 0 < len(reason.strip()) <= len(reason) <= 200:
        raise ReasonRequired("请填写撤回原因（不超过 200 字）。", field="reason")
    context = context_for(clerk, now)
    requests = lock_requests(request_ids, clerk)
    open_ones = lock_open_recalls(requests)

    def check(request: PaymentRequest) -> None:
        if request.state not in REACHABLE:
            raise RecallRefused("只有已发送银行、尚无回单的支付可以撤回。", field="state", state=request.state)
        if request.id in open_ones:
            raise RecallRefused("该笔支付已有撤回申请。", field="id", recall_no=open_ones[request.id].recall_no)

    outcome = judge(requests, request_ids, check)
    numbers = take_numbers(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        kind="recall",
        count=len(outcome.accepted),
    )
    recalls = []
    for request, number in zip(outcome.accepted, numbers, strict=True):
        assert request.voucher_id is not None, "what was sent has a voucher"
        recalls.append(
            Recall(
                adm_div_code=request.adm_div_code,
                fiscal_year=request.fiscal_year,
                recall_no=number,
                request=request,
                voucher_id=request.voucher_id,
                reason=reason.strip(),
                asked_by_id=clerk.person_id,
                created_at=now,
            )
        )
    copy_rows(recalls)
    return outcome


@transaction.atomic(durable=True)
def decide_recalls(
    *, recall_ids: Sequence[UUID], officer: Actor, approve: bool, reason: str = "", now: datetime
) -> Outcome[Recall]:
    """Agree that the banks are asked, or not. From here on each bank is asked until it answers.

    Refused per item: not_found, transition_not_allowed, role_required, acted_before, recall_refused.
    :raises ReasonRequired: for a refusal without a word.
    """
    if not approve and not reason.strip():
        raise ReasonRequired("请写明不同意的原因。", field="reason")
    check_reason(reason)
    context_for(officer, now)
    action = "approve" if approve else "reject"
    ids = recalls_for(officer).filter(pk__in=set(recall_ids)).values_list("request_id", flat=True)
    requests = {request.id: request for request in lock_requests(list(ids), officer)}
    rows = recalls_for(officer).filter(pk__in=set(recall_ids)).order_by("pk")
    recalls = list(rows.select_for_update(of=("self",), no_key=True))

    def check(recall: Recall) -> None:
        check_move(RECALL_FLOW, recall, action, officer)
        if recall.asked_by_id == officer.person_id:
            raise ActedBefore("您是申请人，不能审批（岗位分离）。", field="officer")
        if approve and requests[recall.request_id].state not in REACHABLE:
            raise RecallRefused("该笔支付已有银行答复，不必撤回。", field="state")

    outcome = judge(recalls, recall_ids, check)
    Recall.objects.filter(pk__in=[recall.pk for recall in outcome.accepted]).update(
        decided_by_id=officer.person_id, decided_at=now, next_attempt_at=now if approve else None
    )
    move(RECALL_FLOW, outcome.accepted, action, by=officer, at=now, reason=reason.strip())
    return outcome


# What others tell recalls; the caller has locked the requests --------------------------------------------------------


def lock_open_recalls(requests: Sequence[PaymentRequest], *states: str) -> dict[UUID, Recall]:
    """Lock the open recalls (in `states`, if given) of locked requests, by request; at most one each."""
    rows = Recall.objects.select_for_update(no_key=True).filter(
        request_id__in=[request.id for request in requests], state__in=states or sorted(OPEN_RECALLS)
    )
    return {recall.request_id: recall for recall in rows.order_by("pk")}


def note_recalls_returned(requests: Sequence[PaymentRequest], *, by: Actor, now: datetime) -> None:
    """The bank has refused or returned these: an approved recall will release them, one not yet decided lapses."""
    recalls = lock_open_recalls(requests)
    asked = [recall for recall in recalls.values() if recall.state == RecallState.REQUESTED]
    move(RECALL_FLOW, asked, "lapse", by=by, at=now, reason="银行已退回凭证")


def note_recalls_answered(
    paid: Sequence[PaymentRequest], failed: Sequence[PaymentRequest], *, by: Actor, now: datetime
) -> None:
    """The bank's receipt is here: what it paid is paid, whatever was asked."""
    recalls = lock_open_recalls([*paid, *failed])
    paid_ids = {request.id for request in paid}
    overtaken = [r for r in recalls.values() if r.state == RecallState.ASKING and r.request_id in paid_ids]
    done = {recall.id for recall in overtaken}
    move(RECALL_FLOW, overtaken, "overtake", by=by, at=now, reason="银行回单：已支付")
    others = [recall for recall in recalls.values() if recall.id not in done]
    move(RECALL_FLOW, others, "lapse", by=by, at=now, reason="银行已有回单")


def lapse_recalls(requests: Sequence[PaymentRequest], *, by: Actor, now: datetime) -> None:
    """Close the open recalls of requests that were given up by another way."""
    move(RECALL_FLOW, list(lock_open_recalls(requests).values()), "lapse", by=by, at=now, reason="已作废")


# Asking the banks ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What one partner is asked about in one call."""

    partner: ExchangePartner
    recalls: list[Recall]
    vouchers: list[Voucher]

    @property
    def items(self) -> list[RecallItem]:
        return [
            RecallItem(voucher, recall.recall_no, recall.reason)
            for recall, voucher in zip(self.recalls, self.vouchers, strict=True)
        ]


@transaction.atomic(durable=True)
def claim_questions(*, now: datetime) -> list[Question]:
    """Choose what is to be asked now, at most AT_ONCE of each partner, and note the attempt before the call is made.

    A bank that reads its vouchers from us is not called: it returns what it has not paid by its own answer.
    """
    partners = {
        p.organisation: p for p in ExchangePartner.objects.filter(enabled=True, exchange_mode=ExchangePartner.Mode.PUSH)
    }
    due = (
        Recall.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("voucher")
        .filter(
            state=RecallState.ASKING,
            next_attempt_at__lte=now,
            request__state__in=REACHABLE,
            voucher__receiver__in=partners,
        )
        .order_by("next_attempt_at", "pk")[:AT_ONCE]
    )
    by_partner: dict[str, list[Recall]] = defaultdict(list)
    for recall in due:
        by_partner[recall.voucher.receiver].append(recall)
        pause = min(timedelta(seconds=5 * 2 ** min(recall.attempts, 7)), LONGEST_PAUSE)
        Recall.objects.filter(pk=recall.pk).update(attempts=F("attempts") + 1, next_attempt_at=now + pause)
    return [
        Question(partners[organisation], recalls, [recall.voucher for recall in recalls])
        for organisation, recalls in by_partner.items()
    ]


def record_answers(question: Question, answers: Sequence[PartnerAnswer | None], *, now: datetime) -> list[bytes]:
    """Act on what a bank said, and return the receipts that came along. Anything but a plain word changes nothing.

    "Returned" and "refused" count only for the very bytes we sent; the same way as the bank's own answer does.
    """
    receipts: list[bytes] = []
    words: dict[str, list[UUID]] = defaultdict(list)
    settled: dict[str, list[AnsweredItem]] = {"return": [], "refuse": []}
    for recall, voucher, answer in zip(question.recalls, question.vouchers, answers, strict=True):
        if answer is None:
            words["没有可信的答复"].append(recall.pk)
            continue
        action = {RETURNED: "return", REFUSED: "refuse"}.get(answer.status or 0)
        if answer.status == RECEIPTED and answer.receipt is not None:
            receipts.append(answer.receipt)
            words["银行答复已支付，随附回单"].append(recall.pk)
        elif action and answer.digest == voucher.digest:
            identity = voucher.adm_div_code, voucher.fiscal_year, voucher.voucher_type, voucher.voucher_no
            settled[action].append(AnsweredItem(*identity, reason=answer.reason or f"应 {recall.recall_no} 撤回"))
            words["银行答复未支付，已退回"].append(recall.pk)
        else:
            words[f"银行未作答复（状态 {answer.status}）"].append(recall.pk)
    for action, items in settled.items():
        if items:
            answer_pulled(partner=question.partner, items=items, action=action, now=now)
    note_words(words)
    return receipts


@transaction.atomic(durable=True)
def note_words(words: dict[str, list[UUID]]) -> None:
    """Keep for the officers what was answered last."""
    for word, ids in words.items():
        Recall.objects.filter(pk__in=ids).update(last_answer=word[:200])


def note_silence(question: Question, error: TreasuryError | Exception) -> None:
    """The bank could not be asked, or its answer is not to be trusted: everything stays as it is."""
    note_words({f"没有答复：{error}": [recall.pk for recall in question.recalls]})


def regions_to_release() -> list[str]:
    """Return the regions in which banks have returned something to an approved recall."""
    rows = Recall.objects.filter(state=RecallState.ASKING, request__state=RequestState.BANK_REFUSED)
    return sorted(set(rows.values_list("adm_div_code", flat=True)))
