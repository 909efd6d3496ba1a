"""Each figure is the sum of the list beneath it, counted by hand here."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from core.money import ZERO, yuan
from demo import world
from monitoring import casework, services
from monitoring.models import Case
from monitoring.statistics import By, Filter, figures, rows, totals
from tests.conftest import NOW
from tests.monitoring.rule_facts import OWN, payment

HERE = Filter(world.REGION, 2026)


def document(number, amount="3000.00", **changes):
    return payment(amount, document_id=UUID(int=number), document_no=f"SQ{number}", **changes)


CASH = document(1, "3000.00", settlement="3")
OWN_ACCOUNT = document(2, "50000.00", payee={"account_no": OWN})
NEAR = document(3, "98000.00", unit_code="205001", section="行政政法科")
LARGE = document(4, "500000.00", contract_no="HT-1", unit_code="205001", section="行政政法科")
BOTH = document(5, "600000.00", payee={"account_no": OWN}, business_date=date(2026, 7, 1))


@pytest.fixture(autouse=True)
def a_day_of_alerts(city):
    """NEAR passed after two hours, LARGE sent back after four and then asked for again, BOTH blocked by one rule."""
    documents = [CASH, OWN_ACCOUNT, NEAR, LARGE, BOTH]
    services.record_hits(facts=documents, hits=services.screen(documents), at=NOW)
    officer = world.officer("gk-jk")
    for found, decision, hours in ((NEAR, "pass", 2), (LARGE, "reject", 4)):
        services.dispose(
            document_ids=[found.document_id],
            decision=decision,
            reason="已核实",
            by=officer,
            at=NOW + timedelta(hours=hours),
        )
    again = [replace(LARGE, revision=2, amount=yuan("550000.00"))]
    services.record_hits(facts=again, hits=services.screen(again), at=NOW + timedelta(hours=5))


def shown(by, **changes):
    return {
        f.key: (f.count, f"{f.amount:.2f}", f.blocked, f"{f.blocked_amount:.2f}", f.passed, f.pending)
        for f in figures(by, replace(HERE, **changes))
    }


def test_by_level_each_document_counts_once_under_its_highest_with_its_latest_amount():
    assert shown(By.LEVEL) == {
        "yellow": (1, "3000.00", 0, "0.00", 0, 0),
        "orange": (2, "648000.00", 0, "0.00", 1, 1),
        "red": (2, "650000.00", 2, "650000.00", 0, 0),
    }


def test_by_rule_each_hit_of_each_revision_counts():
    assert shown(By.RULE) == {
        "M01": (3, "1650000.00", 2, "1100000.00", 0, 1),
        "M04": (1, "3000.00", 0, "0.00", 0, 0),
        "M07": (2, "650000.00", 2, "650000.00", 0, 0),
        "M10": (1, "98000.00", 0, "0.00", 1, 0),
    }


def test_by_unit_section_and_month():
    assert shown(By.UNIT) == {
        "101002": (3, "653000.00", 2, "650000.00", 0, 0),
        "205001": (2, "648000.00", 0, "0.00", 1, 1),
    }
    assert {key: row[0] for key, row in shown(By.SECTION).items()} == {"教科文科": 3, "行政政法科": 2}
    assert {key: row[:2] for key, row in shown(By.MONTH).items()} == {
        "2026-06": (4, "701000.00"),
        "2026-07": (1, "600000.00"),
    }


def test_the_total_counts_each_document_once():
    total = totals(HERE)
    assert (total.count, total.amount, total.blocked, total.blocked_amount) == (
        *(5, yuan("1301000.00"), 2, yuan("650000.00")),
    )


def test_time_and_false_alarms_are_of_what_was_decided():
    by_rule = {f.key: f for f in figures(By.RULE, HERE)}

    assert (by_rule["M10"].hours, by_rule["M10"].false_rate) == (Decimal("2.0"), Decimal("1.0000"))
    assert (by_rule["M01"].hours, by_rule["M01"].false_rate, by_rule["M01"].decided) == (Decimal("4.0"), ZERO, 1)
    assert (by_rule["M04"].hours, by_rule["M04"].false_rate) == (None, None)
    case = Case.objects.get(alert__document_no="SQ2")
    casework.decide_case(
        case_id=case.id, verdict="pass", text="属实", verifier=world.officer("gk-jk"), now=NOW + timedelta(hours=1)
    )
    m07 = {f.key: f for f in figures(By.RULE, HERE)}["M07"]
    assert (m07.hours, m07.false_rate, m07.decided) == (Decimal("1.0"), Decimal("1.0000"), 1)


@pytest.mark.parametrize("by", By)
@pytest.mark.parametrize(
    "changes",
    [{}, {"since": date(2026, 7, 1)}, {"until": date(2026, 6, 30)}, {"units": ["205001"]}, {"units": []}],
    ids=["all", "since", "until", "unit", "none"],
)
def test_every_figure_is_the_sum_of_its_list(by, changes):
    where = replace(HERE, **changes)
    for figure in figures(by, where):
        found = rows(by, figure.key, where)
        stopped = [row for row in found if row.state in ("blocked", "rejected")]
        decided = [row for row in found if row.decided_at is not None]

        assert figure.count == len(found)
        assert figure.amount == sum((row.amount for row in found), ZERO)
        assert (figure.blocked, figure.blocked_amount) == (len(stopped), sum((row.amount for row in stopped), ZERO))
        assert figure.passed == sum(row.state == "passed" for row in found)
        assert figure.decided == len(decided)
    if by != By.RULE and changes == {}:
        assert sum(f.count for f in figures(by, where)) == totals(where).count


def test_another_region_and_year_have_nothing():
    assert totals(Filter("990200000", 2026)).count == totals(Filter(world.REGION, 2025)).count == 0
    assert [f.count for f in figures(By.LEVEL, Filter(world.REGION, 2025))] == [0, 0, 0]
