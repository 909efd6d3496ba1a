"""Scheduled rules: asked once a business day, of real sources; without a source a rule is silent and says so."""

import json
from datetime import date

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from core.models import BusinessDay, Transition
from core.money import yuan
from demo import world
from monitoring import sources
from monitoring.models import Alert, Case, MonitoringRule, ScheduledRun
from monitoring.registry import RULES
from monitoring.scheduled import run_all, run_day
from monitoring.tasks import run_scheduled
from payments.models import PaymentRequest
from tests import acts
from tests.bank import Partner
from tests.conftest import NOW
from tests.monitoring.rule_facts import forecast, pending

pytestmark = pytest.mark.usefixtures("city")


def on(*codes):
    MonitoringRule.objects.update(enabled=False)
    MonitoringRule.objects.filter(code__in=codes).update(enabled=True)


def run(day=None):
    if day is not None:
        BusinessDay.objects.filter(closed_at__isnull=True).update(date=day)
    return run_day(adm_div_code=world.REGION, now=NOW)


def found():
    return [
        (a.rule_code, a.document_no.split()[0], a.state) for a in Alert.objects.order_by("rule_code", "document_no")
    ]


def test_a_day_has_one_run():
    assert run() is not None
    assert run() is None
    assert run_all(now=NOW) == []
    assert ScheduledRun.objects.count() == 1
    BusinessDay.objects.update(closed_at=NOW)
    assert run() is None


def test_m21_direct_funds_that_lie_idle_are_urged_once_a_month():
    on("M21")

    assert run().found == 1
    assert found() == [("M21", "I4", "noted")]  # nothing paid of 1,200,000.00, day 166 of 365
    alert = Alert.objects.get()
    assert (alert.point, alert.action, alert.unit_code, alert.section) == ("scheduled", "remind", "101002", "教科文科")
    assert Case.objects.get().due_on == date(2026, 6, 18)
    assert run(date(2026, 6, 16)).found == 0
    assert run(date(2026, 7, 1)).found == 1


def test_m32_a_document_that_waits_three_working_days_at_a_node():
    on("M32")
    request = acts.draft("I1", "10.00")
    acts.submit(request).raise_if_refused()

    assert run(date(2026, 6, 17)).found == 0
    assert run(date(2026, 6, 18)).found == 1
    alert = Alert.objects.get()
    assert (alert.document_no, alert.facts) == (request.request_no, {"post": "单位复核", "work_days": 3, "days": 2})


def test_m32_the_clock_begins_anew_at_each_node():
    on("M32")
    request = acts.draft("I4", "10.00")
    acts.submit(request).raise_if_refused()
    acts.approve("u101002-fh", request).raise_if_refused()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_transition DISABLE TRIGGER USER")
        Transition.objects.filter(document_id=request.id, action="advance").update(at="2026-06-17T02:00:00Z")
        cursor.execute("ALTER TABLE core_transition ENABLE TRIGGER USER")

    assert run(date(2026, 6, 18)).found == 0
    assert run(date(2026, 6, 23)).found == 1  # 18, 22, 23
    assert Alert.objects.get().facts["post"] == "业务科审核"


def test_m28_money_that_keeps_coming_back(pki):
    on("M28")
    bank = Partner(pki, world.BANK_A)
    requests = [acts.sent("I1", "10.00") for _ in range(4)]
    for request in requests:
        bank.send(bank.receipt(request.voucher))
    paid = acts.fresh(*requests)
    for number, request in enumerate(paid[:3]):
        bank.send(bank.refund(f"TK{number}", request, 1, "10.00"))
    assert run().found == 0
    bank.send(bank.refund("TK9", paid[3], 1, "10.00"))

    assert run(date(2026, 6, 16)).found == 1
    alert = Alert.objects.get()
    assert (alert.rule_code, alert.unit_code, alert.amount, alert.action) == ("M28", "101001", yuan("40.00"), "record")
    assert not Case.objects.exists()  # it is kept for the record, nobody is asked
    assert run(date(2026, 7, 1)).found == 0


def test_a_rule_without_a_source_never_fires_and_says_so():
    on("M33", "M34")

    assert run().without_source == ["M33", "M34"]
    assert not Alert.objects.exists()
    assert sources.without_source(RULES["M33"]) and not sources.without_source(RULES["M32"])
    assert [code for code in RULES if sources.without_source(RULES[code])] == [
        *("M29", "M33", "M34"),
    ]


def test_an_app_that_has_the_facts_registers_them(monkeypatch):
    monkeypatch.setattr(sources, "_SOURCES", dict(sources._SOURCES))
    on("M33", "M34")
    sources.register("M33", lambda region, day: [pending(6)])
    sources.register("M34", lambda region, day: [forecast("999.99", "1000.00")])

    assert run().found == 2
    assert {a.rule_code: a.severity for a in Alert.objects.all()} == {"M33": "yellow", "M34": "orange"}
    for code in ("M01", "M33", "M99"):
        with pytest.raises(ValueError, match=code):
            sources.register(code, lambda region, day: [])


def test_a_rule_that_is_off_or_out_of_scope_asks_nothing():
    on()
    assert run().found == 0
    MonitoringRule.objects.filter(code="M21").update(enabled=True, scope={"units": ["205"]}, version=2)
    assert run(date(2026, 6, 16)).found == 0


def test_the_task_and_the_command_do_the_same(capsys):
    on("M21")
    call_command("run_monitoring", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "adm_div_code": world.REGION,
        "business_date": "2026-06-15",
        "found": 1,
        "escalated": 0,
        "without_source": [],
    }
    call_command("run_monitoring")
    assert "没有需要运行" in capsys.readouterr().out
    run_scheduled()
    assert ScheduledRun.objects.count() == 1


def test_the_past_of_a_run_stays():
    run()
    with pytest.raises(DatabaseError), transaction.atomic():
        ScheduledRun.objects.update(found=9)
    assert PaymentRequest.objects.exists()
