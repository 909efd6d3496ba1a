"""A rehearsal finds what evaluation finds: the same documents, amounts and words, before the rule counts."""

from decimal import Decimal

import pytest

from core.errors import DayClosed
from core.models import BusinessDay
from demo import world
from monitoring import changes
from monitoring.changes import Settings
from monitoring.errors import SettingsInvalid
from monitoring.models import Alert, MonitoringRule, RehearsalHit
from monitoring.registry import RULES
from payments.models import PaymentRequest
from payments.rehearsing import months_before, rehearse_change
from tests import acts
from tests.conftest import NOW

BY_LOOKING = ["M03", "M07", "M09", "M10", "M19", "M20", "M26"]
SMALL = {
    "M03": {"single": "30.00", "month": "45.00"},
    "M09": {"threshold": "100.00", "days": "5"},
    "M10": {"limit": "60.00", "ratio_from": "0.95"},
    "M26": {"amount_from": "20.00"},
}


def rehearsed(code, parameters, **changed):
    rule = RULES[code]
    settings = Settings(rule.severity, rule.action, parameters, **changed)
    change = changes.propose_change(code=code, settings=settings, note="试", by=world.officer("gk-jk"), now=NOW)
    return rehearse_change(change_id=change.id, months=1, by=world.officer("gk-jk"), now=NOW)


def cheque(amount, number):
    cash = {"business_type": "5", "settlement": "3", "cash_purpose": "03", "cash_reason": "慰问"}
    return cash | {"details": (acts.line(amount, reference=number),)}


def a_busy_morning():
    """Requests of every kind, submitted one after the other, so that each has those before it behind it."""
    person = acts.line("20.00", payee_name="王建国", payee_account_no="6217")
    inside = acts.line("10.00", payee_account_no=world.BASIC_ACCOUNT_101002, payee_name="市第一中学基本户")
    wanted = [
        *[("I1", ("59.00",), {}), ("I1", ("59.00",), {}), ("I1", (), cheque("30.00", "XJ1"))],
        *[("I1", (), cheque("30.01", "XJ2")), ("I1", (), cheque("15.00", "XJ3"))],
        *[("I1", (), {"details": (person,)}), ("I4", (), {"details": (inside,), "contract_no": "C-OWN"})],
        *[("I3", (), {"details": (inside,)}), ("I1", ("41.00",), {}), ("I1", ("20.00", "20.00"), {})],
    ]
    acts.own_account_contract()
    for no, amounts, changed in wanted:
        acts.submit(acts.draft(no, *amounts, **changed)).raise_if_refused()


@pytest.mark.parametrize("code", BY_LOOKING)
def test_a_rehearsal_finds_what_evaluation_finds(city, code):
    parameters = RULES[code].defaults | SMALL.get(code, {})
    MonitoringRule.objects.update(enabled=False)
    MonitoringRule.objects.filter(code=code).update(enabled=True, parameters=parameters, action="record", version=2)
    a_busy_morning()
    raised = Alert.objects.order_by("document_no").values_list("document_no", "amount", "message", "business_date")

    change = rehearsed(code, parameters)

    found = change.hits.order_by("document_no").values_list("document_no", "amount", "message", "business_date")
    assert list(found) == list(raised) != []
    assert (change.hit_count, change.hit_amount) == (len(raised), sum(row[1] for row in raised))
    assert change.judged == PaymentRequest.objects.filter(submitted_on__isnull=False).count()


def test_what_would_have_been_stopped_is_counted_apart_and_nothing_else_changes(city):
    MonitoringRule.objects.update(enabled=False)
    a_busy_morning()
    before = acts.everything()

    change = rehearsed("M01", {"amount_from": "40.00"})

    assert (change.hit_count, change.hit_amount) == (4, Decimal("199.00"))  # 59 + 59 + 41 + 40
    assert (change.stopped_count, change.stopped_amount) == (4, Decimal("199.00"))
    after = acts.everything()
    for label in before:
        if label not in ("monitoring.RuleChange", "monitoring.RehearsalHit", "core.Transition"):
            assert after[label] == before[label], label
    assert {r.state for r in PaymentRequest.objects.filter(imported=False)} == {"in_review"}


def test_a_reminder_stops_nothing_and_a_second_rehearsal_replaces_the_first(city):
    MonitoringRule.objects.update(enabled=False)
    a_busy_morning()
    change = rehearsed("M17", {"words": "办公"})
    assert (change.hit_count, change.stopped_count) == (10, 10)

    again = rehearse_change(change_id=change.id, months=2, by=world.officer("gk-kz"), now=NOW)

    assert (again.months, again.rehearsed_by_name, RehearsalHit.objects.count()) == (2, "许国华", 10)


def test_the_scope_and_the_months_narrow_it(city):
    MonitoringRule.objects.update(enabled=False)
    a_busy_morning()

    assert rehearsed("M17", {"words": "办公"}, scope={"units": ["101002"]}).hit_count == 2
    PaymentRequest.objects.filter(imported=False).update(submitted_on="2026-05-14")
    assert rehearsed("M01", {"amount_from": "0.01"}).judged == 0


def test_a_scheduled_rule_is_asked_about_today(city):
    change = rehearsed("M21", RULES["M21"].defaults)

    assert change.judged == sum(bool(row.tags) for row in world.INDICATORS)
    assert [hit.document_no for hit in change.hits.all()] == ["I4"]
    assert change.stopped_count == 0


@pytest.mark.parametrize("months", [0, 25, -1])
def test_the_months_have_limits(city, months):
    rule = Settings("orange", "hold", {"amount_from": "1.00"})
    change = changes.propose_change(code="M01", settings=rule, note="试", by=world.officer("gk-jk"), now=NOW)
    with pytest.raises(SettingsInvalid):
        rehearse_change(change_id=change.id, months=months, by=world.officer("gk-jk"), now=NOW)


def test_without_an_open_day_there_is_nothing_to_count_back_from(city):
    rule = Settings("orange", "hold", {"amount_from": "1.00"})
    change = changes.propose_change(code="M01", settings=rule, note="试", by=world.officer("gk-jk"), now=NOW)
    BusinessDay.objects.update(closed_at=NOW)
    with pytest.raises(DayClosed):
        rehearse_change(change_id=change.id, months=1, by=world.officer("gk-jk"), now=NOW)


def test_months_are_counted_back_to_a_day_there_is():
    from datetime import date

    assert months_before(date(2026, 6, 15), 1) == date(2026, 5, 15)
    assert months_before(date(2026, 3, 31), 1) == date(2026, 2, 28)
    assert months_before(date(2026, 1, 31), 2) == date(2025, 11, 30)
    assert months_before(date(2024, 2, 29), 12) == date(2023, 2, 28)
