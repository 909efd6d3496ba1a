"""From the unit's desk to the treasury's: submit, check, confirm, return, void; each by another person."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.outcomes import Outcome, judge
from core.transitions import StateMachine, check_move, move
from parties.errors import ActedBefore
from parties.selectors import visible_unit_codes
from payments.locking import check_reason, context_for
from payroll.errors import PublicNoticeRunning, RosterFieldInvalid, RosterNotVoidable
from payroll.models import BenefitList, RosterPayment, SalaryBatch
from payroll.states import BATCH_FLOW, LIST_FLOW

R = TypeVar("R", SalaryBatch, BenefitList)
FLOW_OF: dict[type[Any], StateMachine] = {SalaryBatch: BATCH_FLOW, BenefitList: LIST_FLOW}
LINK_OF = {SalaryBatch: "salary_batch", BenefitList: "benefit_list"}


def lock_rosters(model: type[R], ids: Sequence[UUID], actor: Actor) -> list[R]:
    """Lock the rosters the actor may see, in key order; before any payment request."""
    rows = model.objects.select_for_update(of=("self",), no_key=True).select_related("unit", "indicator")
    rows = rows.filter(pk__in=set(ids), adm_div_code=actor.adm_div_code).order_by("pk")
    codes = visible_unit_codes(actor)
    return list(rows if codes is None else rows.filter(unit__code__in=codes))


@transaction.atomic(durable=True)
def submit_salary_batches(*, batch_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[SalaryBatch]:
    """Hand batches over to the establishment office (编办) and human resources (人社)."""
    return _decide(SalaryBatch, "submit", batch_ids, clerk, now)


@transaction.atomic(durable=True)
def check_salary_batches(*, batch_ids: Sequence[UUID], checker: Actor, now: datetime) -> Outcome[SalaryBatch]:
    """Agree to head counts and items. Refused per item: acted_before for whoever imported the batch."""
    return _decide(SalaryBatch, "check", batch_ids, checker, now, noted="checked_by_id")


@transaction.atomic(durable=True)
def confirm_salary_batches(*, batch_ids: Sequence[UUID], reviewer: Actor, now: datetime) -> Outcome[SalaryBatch]:
    """Confirm batches for the treasury. Refused per item: acted_before for whoever imported or checked it."""
    return _decide(SalaryBatch, "confirm", batch_ids, reviewer, now, noted="confirmed_by_id")


@transaction.atomic(durable=True)
def publish_benefit_lists(*, list_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[BenefitList]:
    """Begin the public notice."""
    return _decide(BenefitList, "publish", list_ids, clerk, now)


@transaction.atomic(durable=True)
def confirm_benefit_lists(*, list_ids: Sequence[UUID], reviewer: Actor, now: datetime) -> Outcome[BenefitList]:
    """Confirm lists whose public notice has ended. Refused per item: public_notice_running, acted_before."""
    today = context_for(reviewer, now).business_date

    def ended(found: BenefitList) -> None:
        _check_notice(found, today)

    return _decide(BenefitList, "confirm", list_ids, reviewer, now, noted="confirmed_by_id", check=ended)


def _check_notice(found: BenefitList, today: date) -> None:
    if found.notice_to >= today:
        raise PublicNoticeRunning(f"公示到 {found.notice_to:%Y-%m-%d} 止，期满后才能核定。", field="notice_to")


@transaction.atomic(durable=True)
def return_rosters(*, model: type[R], ids: Sequence[UUID], officer: Actor, reason: str, now: datetime) -> Outcome[R]:
    """Send rosters back to the unit, with why; earlier agreement no longer counts.

    :raises RosterFieldInvalid: without words.
    """
    if not reason.strip():
        raise RosterFieldInvalid("请写明退回原因。", field="reason")
    outcome = _decide(model, "return", ids, officer, now, reason=reason)
    if model is SalaryBatch:
        SalaryBatch.objects.filter(pk__in=[row.pk for row in outcome.accepted]).update(checked_by=None)
    return outcome


@transaction.atomic(durable=True)
def void_rosters(*, model: type[R], ids: Sequence[UUID], clerk: Actor, reason: str, now: datetime) -> Outcome[R]:
    """Give up rosters, so that others may take their place: before payments exist, or when all of them are voided.

    Refused per item: roster_not_voidable.
    """
    paying = _with_payments(model, ids)

    def check(roster: R) -> None:
        if roster.pk in paying:
            raise RosterNotVoidable("该批次的支付申请未全部作废，不能作废批次。", field="state")

    return _decide(model, "void", ids, clerk, now, reason=reason, check=check)


def _with_payments(model: type[Any], ids: Sequence[UUID]) -> set[UUID]:
    """Of these rosters, those with a payment that is not voided. A voided request stays voided: no lock is needed."""
    link = LINK_OF[model]
    live = RosterPayment.objects.filter(**{f"{link}__in": set(ids)}).exclude(request__state="voided")
    return set(live.values_list(f"{link}_id", flat=True))


def _decide(
    model: type[R],
    action: str,
    ids: Sequence[UUID],
    officer: Actor,
    now: datetime,
    *,
    noted: str = "",
    reason: str = "",
    check: Callable[[R], None] | None = None,
) -> Outcome[R]:
    check_reason(reason)
    context_for(officer, now)
    flow = FLOW_OF[model]

    def may(roster: R) -> None:
        check_move(flow, roster, action, officer)
        if noted and officer.person_id in (roster.created_by_id, getattr(roster, "checked_by_id", None)):
            raise ActedBefore("您编制或核定过该批次，不能再核定（岗位分离）。", field="officer")
        if check is not None:
            check(roster)

    outcome = judge(lock_rosters(model, ids, officer), ids, may)
    if noted and outcome.accepted:
        model.objects.filter(pk__in=[row.pk for row in outcome.accepted]).update(**{noted: officer.person_id})
    move(flow, outcome.accepted, action, by=officer, at=now, reason=reason)
    return outcome
