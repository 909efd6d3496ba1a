"""The business date is data. Code that needs "today" asks for the region's open day."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from core.actors import Actor
from core.errors import Conflict, DateNotOpen, DayClosed, NotFound
from core.models import BusinessDay, Workday


def open_day(adm_div_code: str) -> BusinessDay:
    """Return the region's open day, locked in share mode so that it cannot close under a running use case.

    :raises DayClosed: if no day is open.
    """
    day = (
        BusinessDay.objects.raw(
            "SELECT * FROM core_businessday WHERE adm_div_code = %s AND closed_at IS NULL FOR SHARE", [adm_div_code]
        )
    )[:1]
    if not day:
        raise DayClosed("当前没有开放的业务日，不能办理业务。", field="business_date", adm_div_code=adm_div_code)
    return day[0]


def peek_day(adm_div_code: str) -> BusinessDay | None:
    """Return the open day without a lock, for pages."""
    return BusinessDay.objects.filter(adm_div_code=adm_div_code, closed_at__isnull=True).first()


def business_date(adm_div_code: str, now: datetime) -> date:
    """Return the region's open day, or the calendar's where none is open: what "today" means for posts."""
    day = peek_day(adm_div_code)
    return day.date if day is not None else timezone.localdate(now)


@dataclass(frozen=True)
class OpenDates:
    """The dates a fact that arrives now may bear: after the last closed day, up to the open one."""

    closed_until: date | None
    open_date: date

    def check(self, day: date, *, field: str) -> None:
        """:raises DateNotOpen: for a date to come, and for one whose day is closed: closed books do not change."""
        if day > self.open_date:
            raise DateNotOpen(
                "日期晚于业务日。", field=field, given=day.isoformat(), open_date=self.open_date.isoformat()
            )
        if self.closed_until is not None and day <= self.closed_until:
            raise DateNotOpen("该日期已日结，请按当前业务日办理。", field=field, given=day.isoformat())


def open_dates(adm_div_code: str, open_date: date) -> OpenDates:
    """Return the dates facts may bear while `open_date` is the region's open day (one query)."""
    closed = BusinessDay.objects.filter(adm_div_code=adm_div_code, closed_at__isnull=False)
    return OpenDates(closed.aggregate(last=Max("date"))["last"], open_date)


@transaction.atomic(savepoint=False)
def start_day(*, adm_div_code: str, day: date, cut_off: str, by: Actor, now: datetime) -> BusinessDay:
    """Open a business day; the fiscal year is the date's.

    :raises Conflict: if another day is still open, or this one was closed before.
    :raises NotFound: if the calendar has no row for the date.
    """
    if not is_workday(day):
        raise Conflict("该日不是工作日，不能开日。", field="date", date=day.isoformat())
    if BusinessDay.objects.filter(adm_div_code=adm_div_code, closed_at__isnull=True).exists():
        raise Conflict("上一业务日尚未日结。", field="date")
    if BusinessDay.objects.filter(adm_div_code=adm_div_code, date=day).exists():
        raise Conflict("该业务日已日结，不能重开。", field="date", date=day.isoformat())
    return BusinessDay.objects.create(
        adm_div_code=adm_div_code, date=day, fiscal_year=day.year, cut_off=datetime.strptime(cut_off, "%H:%M").time()
    )


def is_workday(day: date) -> bool:
    """:raises NotFound: if nobody has entered the year into the calendar."""
    row = Workday.objects.filter(date=day).first()
    if row is None:
        raise NotFound("工作日历没有该日期，请先维护日历。", field="date", date=day.isoformat())
    return row.worked


def next_workday(day: date) -> date:
    """Return the next worked date after `day`.

    :raises NotFound: at the end of what the calendar knows.
    """
    following = day + timedelta(days=1)
    while not is_workday(following):
        following += timedelta(days=1)
    return following
