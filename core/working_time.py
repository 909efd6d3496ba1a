"""Working time (工作时间): how much of it lies between two instants, and when so much of it will have passed.

A worked day has the hours of `GUOKU_WORKING_HOURS`; which days are worked says the calendar (`core.models.Workday`).
Eight working hours are a working day whatever the pattern's sum: deadlines are set in hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property

from django.conf import settings
from django.utils import timezone

from core.models import Workday

HORIZON = timedelta(days=400)  # further than any deadline


@dataclass(frozen=True)
class WorkingTime:
    """The worked days of a stretch of the calendar and the hours of each."""

    days: frozenset[date]
    periods: Sequence[tuple[time, time]]

    @cached_property
    def _ordered(self) -> list[date]:
        return sorted(self.days)

    def _spans(self, day: date) -> list[tuple[datetime, datetime]]:
        zone = timezone.get_default_timezone()
        return [(datetime.combine(day, a, zone), datetime.combine(day, b, zone)) for a, b in self.periods]

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return the working time from `start` to `end`; nothing if it is not later."""
        first, last = timezone.localdate(start), timezone.localdate(end)
        total = timedelta(0)
        for day in self._ordered:
            if first <= day <= last:
                for opens, closes in self._spans(day):
                    total += max(timedelta(0), min(end, closes) - max(start, opens))
        return total

    def after(self, start: datetime, length: timedelta) -> datetime | None:
        """Return when so much working time has passed since `start`; None if the calendar does not reach so far."""
        left = length
        for day in self._ordered:
            if day >= timezone.localdate(start):
                for opens, closes in self._spans(day):
                    here = max(timedelta(0), closes - max(start, opens))
                    if left <= here:
                        return max(start, opens) + left
                    left -= here
        return None


def working_time(start: date, end: date) -> WorkingTime:
    """Read the calendar from one date to another, with room for deadlines after it (one query)."""
    rows = Workday.objects.filter(date__gte=start, date__lte=end + HORIZON, worked=True)
    return WorkingTime(frozenset(rows.values_list("date", flat=True)), periods_of(settings.GUOKU_WORKING_HOURS))


def periods_of(text: str) -> list[tuple[time, time]]:
    """Read e.g. "08:30-12:00,13:30-18:00".

    :raises ValueError: if the hours are not in order.
    """
    periods = []
    for part in text.split(","):
        opens, closes = (time.fromisoformat(one.strip()) for one in part.split("-"))
        periods.append((opens, closes))
    bounds = [moment for period in periods for moment in period]
    if bounds != sorted(set(bounds)):
        raise ValueError(f"working hours are not in order: {text}")
    return periods
