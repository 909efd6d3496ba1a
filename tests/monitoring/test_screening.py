"""Screening, keeping alerts, disposing of them, and the statistics of the worked day."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from core.actors import Actor
from core.errors import RoleRequired
from core.models import Transition
from core.money import yuan
from monitoring import selectors, services
from monitoring.errors import NothingPending, ReasonRequired
from monitoring.facts import PayeeFacts, PaymentFacts
from monitoring.models import Alert, Case, Disposition, MonitoringRule
from parties.models import Person

REGION, DAY = "990100000", date(2026, 6, 15)
NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
OWN = "6220001010020002"

pytestmark = pytest.mark.django_db


def payment(number: int, amount: str, *, settlement: str = "2", account: str = "623", contract: str = "", revision=1):
    return PaymentFacts(
        document_id=UUID(int=number),
        document_type="payments.PaymentRequest",
        document_no=f"P{number}",
        revision=revision,
        adm_div_code=REGION,
        fiscal_year=2026,
        unit_code="101002",
        amount=yuan(amount),
        payment_mode="12",
        business_type="1",
        settlement=settlement,
        purpose="",
        contract_no=contract,
        cash_reason="",
        payees=(PayeeFacts("收款人", account, yuan(amount)),),
        own_accounts=frozenset({OWN}),
        is_reissue=False,
        business_date=DAY,
    )


P5 = payment(5, "3000.00", settlement="3")
P6 = payment(6, "50000.00", account=OWN)
P7 = payment(7, "98000.00")
P9 = payment(9, "500000.00", contract="C-2026-009")
PLAIN = payment(3, "12345.67")


@pytest.fixture
def rules(db):
    services.seed_rules(adm_div_code=REGION)


@pytest.fixture
def officer(db):
    person = Person.objects.create(name="监控员", staff_no="M1")
    return Actor(name="监控员", roles=frozenset({"monitor_officer"}), person_id=person.id)


def raise_alerts(*documents):
    services.record_hits(facts=documents, hits=services.screen(documents), at=NOW)


def test_seeding_twice_gives_every_rule_once(rules):
    services.seed_rules(adm_div_code=REGION)

    seeded = MonitoringRule.objects.order_by("code").values_list("code", "enabled")
    assert [code for code, _ in seeded] == [f"M{n:02d}" for n in range(1, 36) if n not in (12, 14, 15, 31)]
    off = [code for code, enabled in seeded if not enabled]
    assert off == ["M05", "M08", "M09", "M11", "M19", "M21", "M23", "M24", "M26", "M29"]


def test_every_rule_is_evaluated_and_every_document_answered(rules):
    both = payment(1, "500000.00", account=OWN)

    hits = services.screen([both, PLAIN])

    assert [(hit.rule_code, hit.severity, hit.action) for hit in hits[both.document_id]] == [
        ("M01", "orange", "hold"),
        ("M07", "red", "block"),
    ]
    assert hits[PLAIN.document_id] == []


@pytest.mark.parametrize("size", [10, 500])
def test_screening_takes_one_query_and_recording_two(rules, size):
    batch = [payment(number, "98000.00") for number in range(1, size + 1)]

    with CaptureQueriesContext(
        connection,
    ) as queries:
        hits = services.screen(batch)
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        services.record_hits(facts=batch, hits=hits, at=NOW)
    assert len(queries) <= 4  # what is kept already; the terms and the calendar for the cases
    assert Alert.objects.count() == size
    assert Case.objects.count() == size


def test_switched_off_expired_and_other_regions_rules_are_silent(rules):
    MonitoringRule.objects.filter(code="M01").update(enabled=False)
    MonitoringRule.objects.filter(code="M07").update(valid_to=date(2026, 6, 14))
    MonitoringRule.objects.filter(code="M10").update(adm_div_code="990200000")

    hits = services.screen([P6, P7, P9])

    assert all(not found for found in hits.values())


def test_the_latest_valid_version_applies(rules):
    MonitoringRule.objects.create(
        adm_div_code=REGION,
        code="M01",
        version=2,
        severity="red",
        action="block",
        parameters={"amount_from": "600000.00"},
        valid_from=DAY,
    )

    assert services.screen([P9])[P9.document_id] == []
    earlier = replace(P9, business_date=date(2026, 6, 12))
    assert services.screen([earlier])[P9.document_id][0].rule_version == 1


def test_alerts_keep_the_facts_and_take_their_state_from_the_action(rules):
    raise_alerts(P5, P6, P7, P9)

    found = {alert.rule_code: alert for alert in Alert.objects.all()}

    assert {code: alert.state for code, alert in found.items()} == {
        "M04": "noted",
        "M07": "blocked",
        "M10": "pending",
        "M01": "pending",
    }
    assert found["M10"].facts["limit"] == "100000.00"
    assert found["M10"].business_date == DAY


def test_a_hold_on_a_blocked_document_waits_for_nobody(rules):
    raise_alerts(payment(1, "500000.00", account=OWN))

    assert set(Alert.objects.values_list("rule_code", "state")) == {("M01", "blocked"), ("M07", "blocked")}
    assert not selectors.pending_alerts(REGION).exists()


def test_screened_again_a_passed_rule_is_not_raised_again_but_a_new_revision_is(rules, officer):
    raise_alerts(P7)
    services.dispose(document_ids=[P7.document_id], decision="pass", reason="已核实", by=officer, at=NOW)

    raise_alerts(P7)
    assert Alert.objects.count() == 1
    assert services.passed_rules([P7.document_id]) == {P7.document_id: {(1, "M10")}}

    raise_alerts(replace(P7, revision=2))
    assert set(Alert.objects.values_list("revision", "state")) == {(1, "passed"), (2, "pending")}


def test_a_disposition_decides_all_waiting_alerts_and_leaves_its_trace(rules, officer):
    raise_alerts(P7, P9)

    ids = [P7.document_id, P9.document_id]
    services.dispose(document_ids=ids, decision="reject", reason=" 依据不足 ", by=officer, at=NOW)

    assert set(Alert.objects.values_list("state", flat=True)) == {"rejected"}
    assert set(Disposition.objects.values_list("reason", "person_id")) == {("依据不足", officer.person_id)}
    assert Transition.objects.filter(document_type="monitoring.Alert", action="reject").count() == 2
    assert services.passed_rules(ids) == {P7.document_id: set(), P9.document_id: set()}


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301])
def test_a_disposition_needs_a_reason(rules, officer, reason):
    raise_alerts(P7)

    with pytest.raises(ReasonRequired) as refusal, transaction.atomic():
        services.dispose(document_ids=[P7.document_id], decision="pass", reason=reason, by=officer, at=NOW)

    assert refusal.value.code == "reason_required"
    assert Alert.objects.get().state == "pending"


def test_only_a_monitoring_officer_disposes(rules, officer):
    raise_alerts(P7)

    with pytest.raises(RoleRequired), transaction.atomic():
        services.dispose(
            document_ids=[P7.document_id],
            decision="pass",
            reason="好",
            by=replace(officer, roles=frozenset({"unit_clerk"})),
            at=NOW,
        )


def test_one_document_without_a_waiting_alert_refuses_the_whole_batch(rules, officer):
    raise_alerts(P6, P7)

    with pytest.raises(NothingPending) as refusal, transaction.atomic():
        services.dispose(
            document_ids=[P7.document_id, P6.document_id], decision="pass", reason="好", by=officer, at=NOW
        )

    assert refusal.value.facts["document_ids"] == [str(P6.document_id)]
    assert not Disposition.objects.exists()


def test_the_statistics_of_the_worked_day(rules):
    raise_alerts(P5, P6, P7, P9, PLAIN)

    rows = selectors.statistics(REGION, 2026, on=DAY)

    assert [(row.severity, row.count, row.amount) for row in rows] == [
        ("yellow", 1, yuan("3000.00")),
        ("orange", 2, yuan("598000.00")),
        ("red", 1, yuan("50000.00")),
    ]
    assert sum(row.amount for row in rows) == yuan("651000.00")
    assert [row.count for row in selectors.statistics(REGION, 2026, on=date(2026, 6, 16))] == [0, 0, 0]


def test_a_document_with_several_hits_counts_once_by_level_and_once_in_each_rule(rules):
    both = payment(1, "500000.00", account=OWN)
    raise_alerts(both, replace(both, revision=2, amount=yuan("600000.00")))

    rows = selectors.statistics(REGION, 2026)
    by_rule = {row.code: row for row in selectors.rule_statistics(REGION, 2026)}

    assert [(row.count, row.amount) for row in rows] == [(0, 0), (0, 0), (1, yuan("600000.00"))]
    assert (by_rule["M01"].count, by_rule["M01"].amount, by_rule["M07"].blocked) == (2, yuan("1100000.00"), 2)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE monitoring_alert SET amount = 1",
        "UPDATE monitoring_alert SET state = 'noted'",
        "UPDATE monitoring_alert SET facts = '{}'",
        "DELETE FROM monitoring_alert",
        "UPDATE monitoring_monitoringrule SET parameters = '{}' WHERE code = 'M01'",
        "UPDATE monitoring_monitoringrule SET action = 'record'",
        "DELETE FROM monitoring_monitoringrule",
    ],
)
def test_raw_sql_cannot_touch_what_is_frozen(rules, sql):
    raise_alerts(P7)

    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_rule_with_bad_parameters_does_not_pass_validation(rules):
    rule = MonitoringRule.objects.get(code="M10")
    rule.parameters = {"limit": "100000.00", "ratio_from": 0.95}

    with pytest.raises(ValidationError) as refusal:
        rule.full_clean()

    assert "parameters" in refusal.value.message_dict
