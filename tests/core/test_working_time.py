"""Working time: counted by hand over a night, a weekend, a holiday and a make-up day."""

from datetime import date, datetime, timedelta

import pytest
from django.utils import timezone

from core.models import Workday
from core.working_time import WorkingTime, periods_of, working_time

HOURS = periods_of("08:30-12:00,13:30-18:00")
# Friday 2026-06-12, Monday 15 to Wednesday 17; Friday 19 is a holiday, Sunday 21 is worked instead.
DAYS = [date(2026, 6, day) for day in (12, 15, 16, 17, 18, 21, 22)]
CALENDAR = WorkingTime.of(DAYS, HOURS)


def at(day, clock):
    return datetime.fromisoformat(f"2026-06-{day:02d}T{clock}:00").replace(tzinfo=timezone.get_default_timezone())


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ((15, "09:00"), (15, "10:30"), 1.5),
        ((15, "11:00"), (15, "14:00"), 1.5),  # lunch
        ((15, "12:10"), (15, "13:20"), 0),
        ((15, "17:00"), (16, "09:30"), 2),  # a night
        ((12, "17:00"), (15, "09:30"), 2),  # a weekend
        ((18, "17:00"), (22, "09:30"), 10),  # the make-up Sunday counts whole
        ((15, "06:00"), (15, "23:00"), 8),
        ((13, "10:00"), (14, "10:00"), 0),
        ((15, "10:00"), (15, "09:00"), 0),
    ],
)
def test_what_is_worked_between_two_moments(start, end, hours):
    assert CALENDAR.between(at(*start), at(*end)) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ((15, "09:00"), 2, (15, "11:00")),
        ((15, "11:00"), 2, (15, "14:30")),
        ((15, "08:30"), 3.5, (15, "12:00")),
        ((15, "08:30"), 8, (15, "18:00")),
        ((15, "17:00"), 8, (16, "17:00")),
        ((12, "17:00"), 2, (15, "09:30")),
        ((13, "10:00"), 1, (15, "09:30")),
        ((18, "09:00"), 16, (22, "09:00")),
    ],
)
def test_when_so_much_will_have_been_worked(start, hours, due):
    end = CALENDAR.after(at(*start), timedelta(hours=hours))
    assert end == at(*due)
    assert CALENDAR.between(at(*start), end) == timedelta(hours=hours)


def test_beyond_the_calendar_nothing_is_guessed():
    assert CALENDAR.after(at(22, "09:00"), timedelta(hours=8)) is None
    assert WorkingTime.of([], HOURS).after(at(22, "09:00"), timedelta(hours=1)) is None
    assert WorkingTime.of([], HOURS).between(at(1, "09:00"), at(22, "09:00")) == timedelta(0)


@pytest.mark.parametrize("text", ["12:00-08:30", "08:30-12:00,11:00-18:00", "08:30-08:30"])
def test_hours_out_of_order_are_refused(text):
    with pytest.raises(ValueError, match="order"):
        periods_of(text)


def test_the_calendar_of_the_region_is_read_once(db, django_assert_num_queries):
    for day in DAYS:
        Workday.objects.create(date=day, worked=day.day != 16)
    with django_assert_num_queries(1):
        calendar = working_time(date(2026, 6, 15), date(2026, 6, 17))
    assert calendar.between(at(15, "08:30"), at(17, "18:00")) == timedelta(hours=16)
    assert calendar.between(at(12, "08:30"), at(15, "08:30")) == timedelta(0)
