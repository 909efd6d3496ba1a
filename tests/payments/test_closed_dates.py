"""Closed books do not change: what banks and PBoC report for a closed day is refused, by date and by field."""

from datetime import timedelta

import pytest

from core.calendar import open_dates, start_day
from core.errors import DateNotOpen
from core.models import BusinessDay
from demo import world
from payments.models import PaymentRequest, Refund
from tests.bank import Partner
from tests.conftest import NOW

TUESDAY = world.DAY + timedelta(days=1)


@pytest.fixture
def tuesday(city):
    BusinessDay.objects.update(closed_at=NOW)
    return start_day(adm_div_code=world.REGION, day=TUESDAY, cut_off="16:00", by=world.officer("gk-dz"), now=NOW)


def refund(pki, pay_date):
    bank = Partner(pki, world.BANK_B)
    original = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)
    [answer] = bank.send(bank.refund("TK0001", original, 1, "3000.00", PayDate=pay_date))
    return answer


def test_a_refund_dated_on_a_closed_day_is_refused_and_changes_nothing(tuesday, pki):
    answer = refund(pki, "20260615")

    assert (answer.outcome, answer.error.code, answer.error.field) == ("refused", "date_not_open", "PayDate")
    assert not Refund.objects.exists() and str(world.indicator("I5").amount_refunded) == "0.00"


def test_a_refund_dated_on_the_open_day_is_applied(tuesday, pki):
    assert refund(pki, "20260616").outcome == "applied"
    assert str(world.indicator("I5").amount_refunded) == "3000.00"


@pytest.mark.parametrize(("day", "open_"), [(world.DAY, False), (TUESDAY, True), (TUESDAY + timedelta(days=1), False)])
def test_facts_may_bear_dates_after_the_closed_day_up_to_the_open_one(tuesday, day, open_):
    dates = open_dates(world.REGION, tuesday.date)

    if open_:
        dates.check(day, field="XClearDate")
    else:
        with pytest.raises(DateNotOpen) as refusal:
            dates.check(day, field="XClearDate")
        assert refusal.value.field == "XClearDate"
