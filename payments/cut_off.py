"""截止时间: what is made out after the region's cut-off leaves on the next working day; salaries may be let through.

The cut-off is the open day's own; the clock comes in as an argument. A voucher of the next day bears that day's date
and lies in the outbox until that day is open. Source: docs/exceptions.md.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from core.actors import Actor
from core.calendar import next_workday, open_day
from core.errors import TreasuryError
from core.models import BusinessDay
from core.outcomes import Outcome, judge
from core.transitions import check_move
from parties.errors import ActedBefore
from payments.errors import CutOffPassed, ExemptionRefused, ReasonRequired
from payments.exception_models import CutOffExemption
from payments.locking import context_for, lock_requests, require_role
from payments.models import BusinessType, PaymentRequest
from payments.states import REQUEST_FLOW, RequestState

SHANGHAI = ZoneInfo("Asia/Shanghai")


def is_past(day: BusinessDay, now: datetime) -> bool:
    """Whether the day's payments are closed. A day kept open past midnight stays past its cut-off."""
    if not settings.GUOKU_CUT_OFF:
        return False
    return now >= datetime.combine(day.date, day.cut_off, tzinfo=SHANGHAI)


def voucher_dates(requests: Sequence[PaymentRequest], now: datetime) -> dict[UUID, date | TreasuryError]:
    """Return for each request the date its voucher bears if it is made out now, or why none can be.

    After the cut-off that is the next working day, make-up days included; today for salaries let through. Two
    queries, however many requests.
    """
    if not requests:
        return {}
    day = open_day(requests[0].adm_div_code)
    if not is_past(day, now):
        return {request.id: day.date for request in requests}
    exempt = set(
        CutOffExemption.objects.filter(
            request_id__in=[request.id for request in requests], business_date=day.date, approved_by__isnull=False
        ).values_list("request_id", flat=True)
    )
    later = _next_day(day)
    return {request.id: day.date if request.id in exempt else later for request in requests}


def _next_day(day: BusinessDay) -> date | TreasuryError:
    try:
        following = next_workday(day.date)
    except TreasuryError as refusal:
        return refusal
    if following.year != day.fiscal_year:  # a voucher of the old year must not leave in the new one
        return CutOffPassed("已过截止时间，下一工作日已是新年度，不能再制单。", field="cut_off")
    return following


@transaction.atomic(durable=True)
def ask_exemptions(*, request_ids: Sequence[UUID], clerk: Actor, reason: str, now: datetime) -> Outcome[PaymentRequest]:
    """Ask that salaries may still leave today, although the cut-off has passed or may pass.

    Refused per item: not_found, transition_not_allowed, exemption_refused. :raises RoleRequired, ReasonRequired.
    """
    require_role(clerk, "unit_clerk")
    assert clerk.person_id is not None, "a clerk is a person"
    if not 0 < len(reason.strip()) <= len(reason) <= 200:
        raise ReasonRequired("请填写放行理由（不超过 200 字）。", field="reason")
    context = context_for(clerk, now)
    requests = lock_requests(request_ids, clerk)
    asked = {row.request_id: row for row in CutOffExemption.objects.filter(request_id__in=[r.id for r in requests])}

    def check(request: PaymentRequest) -> None:
        if request.business_type != BusinessType.SALARY:
            raise ExemptionRefused("只有统一工资发放可以申请截止后放行。", field="business_type")
        if request.state not in (RequestState.IN_REVIEW, RequestState.ON_HOLD):
            check_move(REQUEST_FLOW, request, "give_up", clerk)  # approved, and no voucher yet
        earlier = asked.get(request.id)
        if earlier is not None and (earlier.approved_by_id or earlier.business_date == context.business_date):
            raise ExemptionRefused("该单已申请过放行。", field="id")

    outcome = judge(requests, request_ids, check)
    for request in outcome.accepted:
        CutOffExemption.objects.update_or_create(
            request=request,
            defaults={
                "adm_div_code": request.adm_div_code,
                "fiscal_year": request.fiscal_year,
                "business_date": context.business_date,
                "reason": reason.strip(),
                "asked_by_id": clerk.person_id,
                "created_at": now,
            },
        )
    return outcome


@transaction.atomic(durable=True)
def approve_exemptions(*, request_ids: Sequence[UUID], officer: Actor, now: datetime) -> Outcome[PaymentRequest]:
    """Let salaries through that their units have asked for today; the treasury chief or payment reviewer decides.

    Refused per item: not_found, exemption_refused, acted_before. :raises RoleRequired.
    """
    require_role(officer, "treasury_chief", "payment_reviewer")
    context = context_for(officer, now)
    requests = lock_requests(request_ids, officer)
    rows = CutOffExemption.objects.select_for_update(no_key=True).filter(request_id__in=[r.id for r in requests])
    asked = {row.request_id: row for row in rows.order_by("pk")}

    def check(request: PaymentRequest) -> None:
        row = asked.get(request.id)
        if row is None or row.business_date != context.business_date or row.approved_by_id:
            raise ExemptionRefused("没有待批的放行申请。", field="id")
        if officer.person_id in (row.asked_by_id, request.created_by_id):
            raise ActedBefore("您是申请人，不能批准放行（岗位分离）。", field="officer")

    outcome = judge(requests, request_ids, check)
    CutOffExemption.objects.filter(request__in=outcome.accepted).update(
        approved_by_id=officer.person_id, approved_at=now
    )
    return outcome
