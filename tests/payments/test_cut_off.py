"""After the cut-off a voucher bears the next working day and waits for it; salaries may be let through by two."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from core.calendar import start_day
from core.models import BusinessDay
from demo import world
from payments import services
from payments.cut_off import is_past
from payments.models import CutOffExemption
from reconciliation.blockers import day_blockers
from tests import acts
from tests.conftest import NOW
from vouchers import delivery
from vouchers.library_reads import waiting_vouchers
from vouchers.models import Delivery, ExchangePartner

D = Decimal
CUT_OFF = datetime(2026, 6, 15, 8, 0, tzinfo=UTC)  # 16:00 in Shanghai
EVENING = CUT_OFF + timedelta(hours=1)


@pytest.fixture
def clock(city, settings):
    settings.GUOKU_CUT_OFF = True
    return city


def approved(no="I1", *amounts, **changes):
    request = acts.draft(no, *(amounts or ("10.00",)), **changes)
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    return acts.fresh(request)[0]


def issue(request, now):
    maker = world.officer("gk-zd" if request.payment_mode == "11" else f"u{request.unit.code}-jb")
    services.issue_payment_vouchers(request_ids=[request.id], maker=maker, now=now).raise_if_refused()
    return acts.fresh(request)[0]


def seal(request, now):
    sealer = world.officer("gk-yz" if request.payment_mode == "11" else f"u{request.unit.code}-yz")
    return services.seal_payment_vouchers(request_ids=[request.id], sealer=sealer, now=now)


def claimed(now):
    found = delivery.claim(organisation=world.BANK_A, state="queued", now=now)
    return [row.voucher.voucher_no for row in found.deliveries] if found else []


@pytest.mark.parametrize(
    ("now", "day"),
    [(CUT_OFF - timedelta(seconds=1), date(2026, 6, 15)), (CUT_OFF, date(2026, 6, 16)), (EVENING, date(2026, 6, 16))],
)
def test_the_second_of_the_cut_off_belongs_to_the_next_day(clock, now, day):
    assert issue(approved(), now).voucher.voucher_date == day


@pytest.mark.parametrize(
    ("today", "following"),
    [
        (date(2026, 6, 18), date(2026, 6, 22)),  # 端午: 19 June, then a weekend
        (date(2026, 2, 13), date(2026, 2, 14)),  # Saturday the 14th is a make-up day (调休)
        (date(2026, 2, 14), date(2026, 2, 24)),  # 春节 from the 15th to the 23rd
    ],
)
def test_the_next_day_follows_the_calendar_with_its_make_up_days(clock, today, following):
    BusinessDay.objects.update(date=today)
    now = datetime.combine(today, time(9, 0), tzinfo=UTC)
    assert issue(approved(), now).voucher.voucher_date == following


def test_no_voucher_of_the_old_year_leaves_in_the_new_one(clock):
    BusinessDay.objects.update(date=date(2026, 12, 31))
    from core.models import Workday

    Workday.objects.create(date=date(2027, 1, 1), worked=True)
    request = approved()
    outcome = services.issue_payment_vouchers(
        request_ids=[request.id], maker=world.officer("u101001-jb"), now=datetime(2026, 12, 31, 9, 0, tzinfo=UTC)
    )
    assert outcome.refused[request.id].code == "cut_off_passed"


def test_a_day_left_open_past_midnight_stays_past_its_cut_off(clock):
    day = BusinessDay.objects.get()
    assert is_past(day, EVENING + timedelta(hours=12)) and not is_past(day, NOW)


def test_without_the_setting_the_clock_is_not_held_against_the_day(city):
    assert issue(approved(), EVENING).voucher.voucher_date == world.DAY


def test_what_is_sealed_after_the_cut_off_waits_for_its_day(clock):
    early, late = issue(approved(), NOW), issue(approved(), EVENING)
    seal(early, NOW).raise_if_refused()
    seal(late, EVENING).raise_if_refused()

    assert claimed(EVENING) == [early.voucher_no]
    partner = ExchangePartner.objects.get(pk=world.BANK_A)
    waiting = waiting_vouchers(partner=partner, after=None, limit=10).vouchers
    assert [v.voucher_no for v in waiting] == [early.voucher_no]
    blocking = {b.code: b.count for b in day_blockers(world.REGION, world.DAY)}
    assert blocking["payments_unanswered"] == 1 and "deliveries_queued" not in blocking

    BusinessDay.objects.update(closed_at=EVENING)
    start_day(adm_div_code=world.REGION, day=date(2026, 6, 16), cut_off="16:00", by=world.officer("gk-dz"), now=EVENING)
    assert claimed(EVENING) == [late.voucher_no]
    assert Delivery.objects.get(voucher=late.voucher).state == "sending"


def test_made_before_and_sealed_after_is_refused_until_made_out_anew(clock):
    request = issue(approved(), NOW)
    outcome = seal(request, EVENING)
    assert (outcome.refused[request.id].code, outcome.refused[request.id].field) == ("cut_off_passed", "voucher_date")

    maker = world.officer("u101001-jb")
    services.cancel_payment_vouchers(
        request_ids=[request.id], maker=maker, reason="过截止时间", now=EVENING
    ).raise_if_refused()
    again = issue(request, EVENING)
    assert again.voucher.voucher_date == date(2026, 6, 16)
    seal(again, EVENING).raise_if_refused()


# Salaries -------------------------------------------------------------------------------------------------------------


def exempt(request, who="u101002-jb", reason="工资须当日到账"):
    return services.ask_exemptions(request_ids=[request.id], clerk=world.officer(who), reason=reason, now=EVENING)


def let_through(request, who="gk-kz"):
    return services.approve_exemptions(request_ids=[request.id], officer=world.officer(who), now=EVENING)


def test_a_salary_let_through_leaves_today(clock):
    request = approved("I2", business_type="3")
    exempt(request).raise_if_refused()
    assert issue_date(request) == date(2026, 6, 16)
    let_through(request).raise_if_refused()

    vouchered = issue(request, EVENING)
    seal(vouchered, EVENING).raise_if_refused()

    assert vouchered.voucher.voucher_date == world.DAY and claimed(EVENING) == [vouchered.voucher_no]


def issue_date(request):
    from payments.cut_off import voucher_dates

    return voucher_dates([request], EVENING)[request.id]


def test_only_salaries_are_let_through(clock):
    request = approved("I2")
    assert exempt(request).refused[request.id].code == "exemption_refused"


def test_whoever_asks_does_not_let_through_and_nothing_unasked_is(clock):
    request = approved("I2", business_type="3")
    assert let_through(request).refused[request.id].code == "exemption_refused"
    exempt(request).raise_if_refused()
    from core.errors import RoleRequired

    with pytest.raises(RoleRequired):
        let_through(request, "gk-zd")
    let_through(request).raise_if_refused()
    assert let_through(request).refused[request.id].code == "exemption_refused"


def test_yesterdays_exemption_is_not_todays(clock):
    request = approved("I2", business_type="3")
    exempt(request).raise_if_refused()
    let_through(request).raise_if_refused()
    BusinessDay.objects.update(date=date(2026, 6, 16))
    tomorrow = EVENING + timedelta(days=1)
    assert issue(request, tomorrow).voucher.voucher_date == date(2026, 6, 17)
    assert CutOffExemption.objects.count() == 1
