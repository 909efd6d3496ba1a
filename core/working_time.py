"""Working time (工作时间): how much of it lies between two instants, and when so much of it will have passed.

A worked day has the hours of `GUOKU_WORKING_HOURS`; which days are worked says the calendar (`core.models.Workday`).
Eight working hours are a working day whatever the pattern's sum: deadlines are set in hours.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import accumulate
from typing import Self

from django.conf import settings
from django.utils import timezone

from core.models import Workday

HORIZON = timedelta(days=400)  # further than any deadline


@dataclass(frozen=True)
class WorkingTime:
    """The worked spans of a stretch of the calendar, in order, each with the working time before it."""

    opens: tuple[datetime, ...]
    closes: tuple[datetime, ...]
    before: tuple[timedelta, ...]

    @classmethod
    def of(cls, days: Iterable[date], periods: Sequence[tuple[time, time]]) -> Self:
        """The spans of these days; every worked day has the same periods."""
        zone = timezone.get_default_timezone()
        spans = [
            (datetime.combine(day, first, zone), datetime.combine(day, last, zone))
            for day in sorted(days)
            for first, last in periods
        ]
        before = accumulate((last - first for first, last in spans), initial=timedelta(0))
        return cls(tuple(s[0] for s in spans), tuple(s[1] for s in spans), tuple(before)[: len(spans)])

    def position(self, at: datetime) -> timedelta:
        """Return the working time from the beginning of the stretch to an instant."""
        index = bisect_right(self.opens, at) - 1
        if index < 0:
            return timedelta(0)
        return self.before[index] + min(at, self.closes[index]) - self.opens[index]

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return the working time from `start` to `end`; nothing if it is not later."""
        return max(timedelta(0), self.position(end) - self.position(start))

    def after(self, start: datetime, length: timedelta) -> datetime | None:
        """Return when so much working time will have passed since `start`; None beyond the calendar's end."""
        wanted = self.position(start) + length
        index = bisect_left(self.before, wanted) - 1 if wanted else 0
        if not self.opens or wanted > self.before[-1] + self.closes[-1] - self.opens[-1]:
            return None
        return max(start, self.opens[index] + wanted - self.before[index])


def working_time(start: date, end: date) -> WorkingTime:
    """Read the calendar from one date to another, with room for deadlines after it (one query)."""
    rows = Workday.objects.filter(date__gte=start, date__lte=end + HORIZON, worked=True)
    return WorkingTime.of(rows.values_list("date", flat=True), periods_of(settings.GUOKU_WORKING_HOURS))


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
