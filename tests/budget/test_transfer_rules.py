"""What money may not become when it moves: each rule alone, at its edge. Pure, no database."""

from dataclasses import replace
from decimal import Decimal

import pytest

from budget.transfer_rules import THREE_PUBLIC, Side, leader_reasons, transfer_findings

D = Decimal
PLAIN = Side(D("0.00"), "101001", 2026, "11", "2050204", "50502", "public", "none", "99")


def out(amount, **changes):
    return replace(PLAIN, amount=-D(amount), **changes)


def into(amount, **changes):
    return replace(PLAIN, amount=D(amount), **changes)


def fields(*sides):
    return [finding.field for finding in transfer_findings(sides)]


def test_equal_sides_of_one_kind_pass_without_a_leader():
    sides = out("10.00"), into("4.00"), into("6.00")
    assert fields(*sides) == [] and leader_reasons(sides) == []


@pytest.mark.parametrize("amount", ["9.99", "10.01"])
def test_out_and_in_are_equal_to_the_fen(amount):
    assert fields(out("10.00"), into(amount)) == ["amount"]


def test_one_side_alone_is_no_transfer():
    assert fields(into("10.00")) == ["amount"] and fields(out("10.00")) == ["amount"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fund_nature": "12"}, "fund_nature"),
        ({"fiscal_year": 2025}, "fiscal_year"),
    ],
)
def test_fund_nature_and_year_are_one(changes, field):
    assert fields(out("1.00", **changes), into("1.00")) == [field]


def test_direct_money_stays_under_its_own_tag():
    assert fields(out("1.00", direct_fund="01"), into("1.00")) == ["direct_fund"]
    assert fields(out("1.00", direct_fund="01"), into("1.00", direct_fund="03")) == ["direct_fund"]
    assert fields(out("1.00", direct_fund="01"), into("1.00", direct_fund="01")) == []
    assert fields(out("1.00"), into("1.00", direct_fund="01")) == []
    half = out("2.00", direct_fund="01"), into("1.00", direct_fund="01"), into("1.00")
    assert fields(*half) == ["direct_fund"]


def test_money_for_persons_goes_to_no_other_class():
    for other in ("public", "other", "project", ""):
        assert fields(out("1.00", budget_class="personnel"), into("1.00", budget_class=other)) == ["budget_class"]
    assert fields(out("1.00", budget_class="personnel"), into("1.00", budget_class="personnel")) == []
    assert fields(out("1.00"), into("1.00", budget_class="personnel")) == []


@pytest.mark.parametrize("code", THREE_PUBLIC)
def test_the_three_public_expenses_do_not_grow_within_a_unit(code):
    assert fields(out("1.00"), into("1.00", gov_economic_code=code)) == ["gov_economic_code"]
    assert fields(out("1.00", gov_economic_code=code), into("1.00")) == []
    elsewhere = out("1.00"), into("1.00", gov_economic_code=code, unit_code="101002")
    assert fields(*elsewhere) == [] and leader_reasons(elsewhere) == ["跨单位调剂"]


def test_each_refusal_says_what_to_do_instead():
    worst = out("1.00", fund_nature="12", direct_fund="01", budget_class="personnel")
    for finding in transfer_findings([worst, into("2.00")]):
        assert finding.code == "transfer_forbidden" and "请" in finding.message


@pytest.mark.parametrize(
    ("source", "target", "reasons"),
    [
        ({"sanbao": "wages"}, {}, ["三保资金调出到非三保"]),
        ({"sanbao": "wages"}, {"sanbao": "running"}, []),
        ({}, {"sanbao": "wages"}, []),
        ({}, {"function_code": "2050302"}, []),
        ({}, {"function_code": "2060404"}, ["跨功能分类类级调剂"]),
        ({}, {"unit_code": "101002"}, ["跨单位调剂"]),
    ],
)
def test_a_leader_is_asked_where_the_rules_say(source, target, reasons):
    assert leader_reasons([out("1.00", **source), into("1.00", **target)]) == reasons
