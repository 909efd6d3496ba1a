"""The scheduled rules, asked once each business day of a region; then cases that are late rise."""

from datetime import datetime

from django.db import IntegrityError, transaction

from core.actors import system_actor
from core.models import BusinessDay
from monitoring.casework import escalate_cases
from monitoring.models import ScheduledRun
from monitoring.points import Point
from monitoring.services import record_hits, rules_of, screen
from monitoring.sources import source_of


@transaction.atomic(durable=True)
def run_day(*, adm_div_code: str, now: datetime) -> ScheduledRun | None:
    """Ask every scheduled rule that is on for the region's open day, keep what it finds, and raise late cases.

    :return: the run, or None if no day is open or the day has had its run.
    """
    day = BusinessDay.objects.filter(adm_div_code=adm_div_code, closed_at__isnull=True).first()
    if day is None or ScheduledRun.objects.filter(adm_div_code=adm_div_code, business_date=day.date).exists():
        return None
    rules = rules_of([adm_div_code])
    missing, found = [], 0
    for rule, _ in rules.at(Point.SCHEDULED, adm_div_code, day.date):
        source = source_of(rule.code)
        if source is None:
            missing.append(rule.code)
            continue
        only = type(rules)({adm_div_code: {rule.code: rules.regions[adm_div_code][rule.code]}})
        subjects = source(adm_div_code, day.date)
        hits = screen(subjects, point=Point.SCHEDULED, rules=only)
        found += len(record_hits(facts=subjects, hits=hits, at=now, point=Point.SCHEDULED))
    escalated = escalate_cases(
        adm_div_code=adm_div_code,
        fiscal_year=day.fiscal_year,
        today=day.date,
        by=system_actor("定时监控"),
        at=now,
    )
    return ScheduledRun.objects.create(
        adm_div_code=adm_div_code,
        fiscal_year=day.fiscal_year,
        business_date=day.date,
        found=found,
        escalated=escalated,
        without_source=sorted(missing),
        at=now,
    )


def run_all(*, now: datetime) -> list[ScheduledRun]:
    """Run every region whose open day has not had its run; a run somebody else makes at this moment is left to them."""
    made = []
    regions = BusinessDay.objects.filter(closed_at__isnull=True).order_by("adm_div_code")
    for adm_div_code in list(regions.values_list("adm_div_code", flat=True)):
        try:
            run = run_day(adm_div_code=adm_div_code, now=now)
        except IntegrityError:  # one_run_a_day: the other one counts
            continue
        if run is not None:
            made.append(run)
    return made
