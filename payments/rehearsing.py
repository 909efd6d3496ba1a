"""Rehearsing a changed rule (试运行): what it would have met among the documents of the last months, before it counts.

The same facts and the same evaluation as at submit, as of the day each document was submitted.
"""

from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.calendar import peek_day
from core.errors import DayClosed
from core.transitions import check_move
from monitoring.changes import MOST_MONTHS, as_rule, lock_change, record_rehearsal
from monitoring.errors import SettingsInvalid
from monitoring.facts import Hit, PaymentFacts, Subject
from monitoring.models import RuleChange
from monitoring.points import Point
from monitoring.registry import RULES
from monitoring.services import judge
from monitoring.sources import source_of
from monitoring.states import CHANGE_FLOW
from payments.content import details_of
from payments.models import PaymentRequest
from payments.screening import past_facts

AT_ONCE = 500


@transaction.atomic(durable=True)
def rehearse_change(*, change_id: UUID, months: int, by: Actor, now: datetime) -> RuleChange:
    """Ask the rule, as it is proposed, about every request submitted in the last `months` months; keep what it found.

    A scheduled rule is asked about what its source says of the open day. Nothing else is written: no alert, no hold.

    :raises SettingsInvalid: for less than 1 month or more than 24. :raises DayClosed: if the region has no open day.
    """
    if not 1 <= months <= MOST_MONTHS:
        raise SettingsInvalid(f"试运行月数应为 1 至 {MOST_MONTHS}。", field="months")
    change = lock_change(change_id, by)
    check_move(CHANGE_FLOW, change, "rehearse", by)
    day = peek_day(change.adm_div_code)
    if day is None:
        raise DayClosed("当前没有开放的业务日，不能试运行。", field="business_date")
    rule, setting = RULES[change.code], as_rule(change)
    judged, found = 0, list[tuple[PaymentFacts | Subject, Hit]]()

    def ask(document: PaymentFacts | Subject) -> None:
        hit = judge(rule, setting, document)
        if hit is not None:
            found.append((document, hit))

    if rule.scheduled:
        source = source_of(rule.code)
        for subject in source(change.adm_div_code, day.date) if source is not None else ():
            judged += 1
            ask(subject)
    elif Point.PAYMENT_SUBMIT in rule.points:
        ids = _submitted_since(change.adm_div_code, months_before(day.date, months))
        for start in range(0, len(ids), AT_ONCE):
            rows = PaymentRequest.objects.select_related("unit", "indicator").filter(
                pk__in=ids[start : start + AT_ONCE]
            )
            requests = list(rows.order_by("submitted_on", "pk"))
            for facts in past_facts(requests, details_of(requests), [(rule, setting)]):
                judged += 1
                ask(facts)
    return record_rehearsal(change, judged=judged, found=found, months=months, by=by, now=now)


def _submitted_since(adm_div_code: str, first: date) -> list[UUID]:
    rows = PaymentRequest.objects.filter(adm_div_code=adm_div_code, submitted_on__gte=first)
    return list(rows.order_by("submitted_on", "pk").values_list("pk", flat=True))


def months_before(day: date, months: int) -> date:
    """Return the same day so many months before, or the last day of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has a 28th")
