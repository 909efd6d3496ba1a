"""A rule changes by two persons: proposed, rehearsed, enabled by another one; and the registers likewise."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from core.errors import NotFound, RoleRequired, TransitionNotAllowed, ValidationFailed
from demo import world
from evidence import kinds
from monitoring import changes, registers, services
from monitoring.changes import Settings
from monitoring.errors import ChangeOpen, ReasonRequired, RuleIsHard, SecondPersonNeeded
from monitoring.models import AnnualLimit, ListedPayee, MonitoringRule, RuleChange
from payments.rehearsing import rehearse_change
from tests import acts
from tests.conftest import NOW
from tests.monitoring.rule_facts import payment

pytestmark = pytest.mark.usefixtures("city")

LOWER = Settings("orange", "hold", {"amount_from": "300000.00"})


def propose(code="M01", settings=LOWER, who="gk-jk", note="本年支出结构变化"):
    return changes.propose_change(code=code, settings=settings, note=note, by=world.officer(who), now=NOW)


def rehearse(change, who="gk-jk"):
    return rehearse_change(change_id=change.id, months=3, by=world.officer(who), now=NOW)


def enable(change, who="gk-kz"):
    return changes.enable_change(change_id=change.id, by=world.officer(who), now=NOW)


def hits(amount, **facts):
    return [hit.rule_code for hit in services.screen([payment(amount, **facts)])[payment().document_id]]


def test_a_change_counts_only_when_a_second_person_enables_it():
    change = propose()
    assert hits("300000.00") == []
    with pytest.raises(TransitionNotAllowed):
        enable(change)  # not rehearsed
    rehearse(change)
    with pytest.raises(SecondPersonNeeded):
        enable(change, "gk-jk")
    assert hits("300000.00") == []

    rule = enable(change)

    assert (rule.version, hits("300000.00"), hits("299999.99")) == (2, ["M01"], [])
    change.refresh_from_db()
    assert (change.state, change.version, change.decider_name) == ("enabled", 2, "许国华")
    assert MonitoringRule.objects.get(code="M01", version=1).parameters == {"amount_from": "500000.00"}


def test_two_log_ins_of_one_person_are_one_person():
    second = acts.second_login("gk-jk", "section_reviewer")
    third = acts.second_login("gk-kz", "monitor_officer")
    change = rehearse(propose(who="gk-kz"), "gk-kz")

    with pytest.raises(SecondPersonNeeded):
        changes.enable_change(change_id=change.id, by=third, now=NOW)
    with pytest.raises(RoleRequired):
        changes.enable_change(change_id=change.id, by=second, now=NOW)


def test_a_rule_is_switched_off_in_the_same_way():
    change = rehearse(propose(settings=replace(LOWER, enabled=False)))

    enable(change)

    assert hits("500000.00") == []


def test_a_change_may_begin_later():
    enable(rehearse(propose(settings=replace(LOWER, valid_from=date(2026, 7, 1)))))

    assert hits("300000.00") == []
    assert hits("500000.00") == ["M01"]  # version 1 until then
    assert hits("300000.00", business_date=date(2026, 7, 1)) == ["M01"]


@pytest.mark.parametrize("code", ["M12", "M14", "M15", "M31"])
def test_a_hard_rule_cannot_be_changed_or_switched_off(code):
    with pytest.raises(RuleIsHard):
        propose(code, replace(LOWER, parameters={}, enabled=False))
    assert not MonitoringRule.objects.filter(code=code).exists()


@pytest.mark.parametrize(
    ("code", "wished", "field"),
    [
        ("M01", replace(LOWER, parameters={"amount_from": "3e5"}), "parameters"),
        ("M01", replace(LOWER, severity="purple"), "severity"),
        ("M01", replace(LOWER, scope={"unit": ["101"]}), "scope"),
        ("M01", replace(LOWER, scope={"units": "101"}), "scope"),
        ("M01", replace(LOWER, valid_from=date(2026, 7, 1), valid_to=date(2026, 6, 30)), "valid_to"),
        ("M01", replace(LOWER, hint="字" * 201), "hint"),
        ("M28", Settings("red", "block", {"times": "3"}), "action"),
        ("M28", Settings("red", "hold", {"times": "3"}), "action"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(code, wished, field):
    with pytest.raises(ValidationFailed) as refusal:
        propose(code, wished)
    assert refusal.value.field == field
    assert not RuleChange.objects.exists()


def test_one_change_of_a_rule_at_a_time_and_it_may_be_withdrawn():
    change = propose()
    with pytest.raises(ChangeOpen):
        propose(who="gk-kz")

    changes.withdraw_change(change_id=change.id, reason="标准未定", by=world.officer("gk-jk"), now=NOW)
    assert propose().state == "proposed"
    with pytest.raises(TransitionNotAllowed):
        rehearse(change)


@pytest.mark.parametrize("who", ["u101001-jb", "gk-sh", "gk-zd", "jkw-sh"])
def test_only_keepers_of_rules_change_them(who):
    with pytest.raises(RoleRequired):
        propose(who=who)


def test_a_change_says_why():
    with pytest.raises(ReasonRequired):
        propose(note="  ")
    with pytest.raises(NotFound):
        propose("M99")


@pytest.mark.parametrize(
    ("scope", "facts", "hit"),
    [
        ({}, {}, True),
        ({"units": []}, {}, True),
        ({"units": ["101"]}, {}, True),
        ({"units": ["205"]}, {}, False),
        ({"sections": ["教科文科"]}, {}, True),
        ({"sections": ["行政政法科"]}, {}, False),
        ({"fund_natures": ["12"]}, {}, False),
        ({"fund_natures": ["12", "11"]}, {}, True),
        ({"tags": ["直达"]}, {"tags": ("01中央直达资金",)}, True),
        ({"tags": ["直达"]}, {}, False),
        ({"payment_methods": ["11"]}, {}, False),
        ({"payment_methods": ["12"], "business_types": ["7"]}, {}, False),
        ({"payment_methods": ["12"], "business_types": ["1"]}, {}, True),
    ],
)
def test_a_rule_is_asked_within_its_scope(scope, facts, hit):
    MonitoringRule.objects.filter(code="M01").update(scope=scope, version=2)

    assert (hits("500000.00", **facts) == ["M01"]) is hit


def test_the_regions_own_words_and_what_it_asks_for_travel_with_the_hit():
    changed = replace(LOWER, hint="请附党组会议纪要。", attachment_required=True)
    enable(rehearse(propose(settings=changed)))

    [hit] = services.screen([payment("300000.00")])[payment().document_id]

    assert (hit.hint, hit.attachment_required, hit.rule_version) == ("请附党组会议纪要。", True, 2)
    assert hit.told.endswith("请附党组会议纪要。")


def test_raw_sql_cannot_enable_alone_or_change_what_was_proposed():
    change = propose()
    for sql in (
        "UPDATE monitoring_rulechange SET parameters = '{}'",
        "UPDATE monitoring_rulechange SET state = 'enabled'",
        "UPDATE monitoring_rulechange SET version = 2, decided_by_id = proposed_by_id, rehearsed_at = now()",
        "UPDATE monitoring_rulechange SET version = 2, rehearsed_at = now()",
        "DELETE FROM monitoring_rulechange",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    change.refresh_from_db()
    assert change.state == "proposed"


def test_facts_noted_before_rules_had_a_scope_still_have_the_same_columns():
    """Their proof is over exactly these; what came later is a kind of its own."""
    first = {"id", "adm_div_code", "code", "version", "severity", "action", "parameters", "enabled"}
    about = {"pgh_id", "pgh_created_at", "pgh_label"}
    before, later = kinds.find("changed.monitoring_monitoringrule"), kinds.find("changed.monitoring_rule_reach")

    assert set(before.columns) == about | first | {"valid_from", "valid_to"}
    assert {"scope", "attachment_required", "hint", "basis"} <= set(later.columns)


# Registers ----------------------------------------------------------------------------------------------------------


def listed(colour="black", who="gk-jk", **changes):
    values = {"name": "某某商行", "account_no": "", "credit_code": "", "reason": "虚开发票"}
    values |= {"valid_from": date(2026, 6, 1), "valid_to": None}
    return registers.propose_listed_payee(colour=colour, by=world.officer(who), now=NOW, **(values | changes))


def test_a_listed_payee_counts_from_the_second_persons_word_on():
    entry = listed()
    with pytest.raises(SecondPersonNeeded):
        registers.decide_listed_payee(entry_id=entry.id, action="approve", by=world.officer("gk-jk"), now=NOW)
    assert entry.state == "proposed"

    registers.decide_listed_payee(entry_id=entry.id, action="approve", by=world.officer("gk-kz"), now=NOW)
    registers.decide_listed_payee(entry_id=entry.id, action="end", by=world.officer("gk-jk"), now=NOW)

    entry.refresh_from_db()
    assert (entry.state, entry.decider_name) == ("ended", "许国华")


@pytest.mark.parametrize(
    ("colour", "given", "field"),
    [
        ("white", {}, "account_no"),
        ("black", {"name": ""}, "name"),
        ("grey", {}, "colour"),
        ("black", {"credit_code": "123"}, "credit_code"),
        ("black", {"account_no": "62 30"}, "account_no"),
        ("black", {"reason": " "}, "reason"),
        ("black", {"valid_to": date(2026, 5, 31)}, "valid_to"),
    ],
)
def test_an_entry_that_is_incomplete_is_refused_by_name(colour, given, field):
    with pytest.raises(ValidationFailed) as refusal:
        listed(colour, **given)
    assert refusal.value.field == field
    assert not ListedPayee.objects.exists()


def limit(amount, code="50206", **changes):
    values = {"fiscal_year": 2026, "unit_code": "101001", "code": code, "amount": Decimal(amount), "reason": "年初预算"}
    return registers.propose_annual_limit(by=world.officer("gk-jk"), now=NOW, **(values | changes))


def test_a_new_limit_takes_the_place_of_the_one_before():
    for amount in ("10000.00", "12000.00"):
        entry = limit(amount)
        registers.decide_annual_limit(entry_id=entry.id, action="approve", by=world.officer("gk-kz"), now=NOW)

    found = AnnualLimit.objects.order_by("made_at", "id").values_list("amount", "state")
    assert list(found) == [(Decimal("10000.00"), "ended"), (Decimal("12000.00"), "active")]
    with pytest.raises(DatabaseError), transaction.atomic():
        AnnualLimit.objects.filter(state="ended").update(amount=1)


@pytest.mark.parametrize(
    ("changed", "field"), [({"code": "50201"}, "code"), ({"unit_code": "999"}, "unit_code"), ({"reason": ""}, "reason")]
)
def test_a_limit_that_makes_no_sense_is_refused_by_name(changed, field):
    with pytest.raises(ValidationFailed) as refusal:
        limit("1.00", **changed)
    assert refusal.value.field == field


def test_a_limit_needs_two_people_and_may_be_refused():
    entry = limit("1.00")
    with pytest.raises(SecondPersonNeeded):
        registers.decide_annual_limit(entry_id=entry.id, action="approve", by=world.officer("gk-jk"), now=NOW)
    with pytest.raises(RoleRequired):
        registers.decide_annual_limit(entry_id=entry.id, action="approve", by=world.officer("gk-sh"), now=NOW)
    registers.decide_annual_limit(entry_id=entry.id, action="refuse", by=world.officer("gk-kz"), now=NOW)
    assert AnnualLimit.objects.get().state == "refused"
