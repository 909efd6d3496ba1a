"""Business days are opened and closed by people; the clock opens none."""

from datetime import UTC, date, datetime, time

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from core.actors import system_actor
from core.calendar import is_workday, next_workday, open_day, peek_day, start_day
from core.errors import Conflict, DayClosed, NotFound
from core.models import BusinessDay
from demo import world
from tests import acts

NOW = datetime(2026, 6, 15, 1, 0, tzinfo=UTC)
BY = system_actor("test")


def start(day, region=world.REGION):
    with transaction.atomic():
        return _start(day, region)


def _start(day, region):
    return start_day(adm_div_code=region, day=day, cut_off="16:00", by=BY, now=NOW)


def close():
    BusinessDay.objects.filter(adm_div_code=world.REGION, closed_at=None).update(closed_at=NOW, closed_by="test")


def test_the_open_day_is_the_regions(city):
    day = open_day(world.REGION)
    assert (day.date, day.fiscal_year, day.cut_off) == (date(2026, 6, 15), 2026, time(16, 0))
    assert peek_day(world.REGION) == day
    assert peek_day("990200000") is None


def test_without_an_open_day_nothing_is_done(city):
    close()

    with pytest.raises(DayClosed) as refusal:
        open_day(world.REGION)

    assert (refusal.value.code, refusal.value.field, refusal.value.http_status) == ("day_closed", "business_date", 409)


def test_a_second_day_waits_for_the_first_to_be_closed(city):
    with pytest.raises(Conflict):
        start(date(2026, 6, 16))

    close()
    assert start(date(2026, 6, 16)).date == date(2026, 6, 16)
    with pytest.raises(IntegrityError), transaction.atomic():
        BusinessDay.objects.create(
            adm_div_code=world.REGION, date=date(2026, 6, 17), fiscal_year=2026, cut_off=time(16, 0)
        )


def test_a_closed_day_is_not_opened_again(city):
    close()
    with pytest.raises(Conflict) as refusal:
        start(date(2026, 6, 15))
    assert refusal.value.field == "date"


@pytest.mark.parametrize("change", [{"closed_at": None}, {"digest": "0" * 64}, {"date": date(2026, 6, 14)}])
def test_a_closed_day_cannot_be_changed_at_all(city, change):
    close()
    with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
        BusinessDay.objects.update(**change)
    with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
        BusinessDay.objects.all().delete()
    assert BusinessDay.objects.get().closed_at == NOW


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (date(2026, 6, 15), True),
        (date(2026, 6, 13), False),  # Saturday
        (date(2026, 6, 19), False),  # Dragon Boat festival, a Friday
        (date(2026, 1, 4), True),  # a Sunday worked for New Year
    ],
)
def test_the_calendar_knows_holidays_and_make_up_days(city, day, worked):
    assert is_workday(day) is worked


def test_a_day_that_is_not_worked_is_not_opened(city):
    close()
    with pytest.raises(Conflict) as refusal:
        start(date(2026, 6, 20))
    assert refusal.value.facts == {"date": "2026-06-20"}
    assert BusinessDay.objects.count() == 1


def test_a_year_nobody_has_entered_is_refused_not_guessed(city):
    close()
    with pytest.raises(NotFound):
        start(date(2030, 6, 17))
    with pytest.raises(NotFound):
        next_workday(date(2026, 12, 31))


def test_the_next_workday_skips_weekend_and_holiday(city):
    assert next_workday(date(2026, 6, 18)) == date(2026, 6, 22)
    assert next_workday(date(2026, 6, 15)) == date(2026, 6, 16)


@pytest.mark.django_db(transaction=True)
def test_a_running_step_keeps_the_day_open_until_it_has_committed(real_city):
    import threading

    inside, closed = threading.Event(), []

    def step():
        with transaction.atomic():
            open_day(world.REGION)
            inside.set()
            threading.Event().wait(0.4)
            closed.append(BusinessDay.objects.filter(closed_at=None).count())

    def closing():
        inside.wait(5)
        close()

    assert acts.together(step, closing) == [None, None]
    assert closed == [1]
    assert peek_day(world.REGION) is None
