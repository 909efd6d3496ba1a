"""The balance at any moment, with who used it; and money from above that was not given on in time."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from budget import services
from budget.ledgers import entries_until, figures_at, overdue_indicators
from budget.models import BudgetIndicator, BudgetYear
from budget.terms import Terms
from demo import world
from tests import acts
from tests.conftest import NOW

D = Decimal
AT_0930, AT_1005 = NOW + timedelta(minutes=30), NOW + timedelta(minutes=65)


def changed_at(kind, amount, doc_no, moment):
    clerk, approver = world.officer("ys-jb"), world.officer("ys-fz")
    given = services.DocumentInput(kind, doc_no, (acts.changed("I5", amount),))
    made = services.save_document(given=given, clerk=clerk, now=moment)
    services.submit_documents(document_ids=[made.id], clerk=clerk, now=moment).raise_if_refused()
    services.decide_documents(document_ids=[made.id], officer=approver, decision="approve", now=moment)
    services.issue_documents(document_ids=[made.id], clerk=clerk, now=moment).raise_if_refused()
    return made


def test_the_balance_at_ten_past_five_and_who_used_it(city):
    added = changed_at("add", "50000.00", "88号", AT_0930)
    frozen = changed_at("freeze", "20000.00", "89号", AT_1005)
    row = world.indicator("I5")

    def at(moment):
        found = figures_at(row, moment)
        return found.available, found.plannable, found.quota_available

    opening = (D("500000.00"), D("470000.00"), D("30000.00"))
    assert at(NOW - timedelta(microseconds=1)) == (D("0.00"), D("0.00"), D("0.00"))
    assert at(NOW) == at(AT_0930 - timedelta(microseconds=1)) == opening
    assert at(AT_0930) == at(AT_1005 - timedelta(microseconds=1)) == (D("550000.00"), D("520000.00"), D("30000.00"))
    assert at(AT_1005) == at(None) == (D("530000.00"), D("500000.00"), D("30000.00"))
    assert at(None)[0] == world.indicator("I5").amount_available
    found = [(e.kind, e.document_id, e.actor_name) for e in entries_until(row, AT_1005)]
    assert found[1:] == [("add", added.id, "沈思远"), ("freeze", frozen.id, "沈思远")]


def from_above(received_on, amount="100.00", doc_no="1"):
    terms = Terms(
        *("101001", "11", "2050204", "50502", "12"),
        layer="department",
        source="upper",
        upper_doc_no="省1号",
        received_on=received_on,
    )
    return acts.issued("add", services.LineInput(D(amount), terms=terms), doc_no=doc_no).lines.get().indicator


@pytest.mark.parametrize(("days", "late"), [(30, []), (31, [1])])
def test_what_came_from_above_is_late_after_thirty_days(city, days, late):
    row = from_above(world.DAY - timedelta(days=days))
    found = overdue_indicators(world.officer("ys-jb"), 2026, world.DAY)
    assert [(o.indicator, o.days_late) for o in found] == [(row, n) for n in late]


def test_what_was_given_on_or_is_our_own_is_not_late(city):
    row = from_above(date(2026, 1, 5))
    BudgetYear.objects.update(issue_on_days=10)
    below = Terms("101002", "11", "2050204", "50502", "12")
    acts.issued("split", services.LineInput(D("99.99"), parent_id=row.id, terms=below), doc_no="2")
    assert [o.indicator for o in overdue_indicators(world.officer("ys-jb"), 2026, world.DAY)] == [row]
    assert overdue_indicators(world.officer("u205001-jb"), 2026, world.DAY) == []
    child = BudgetIndicator.objects.get(parent=row)
    more = services.LineInput(D("0.01"), parent_id=row.id, indicator_id=child.id)
    acts.issued("split", more, doc_no="3")
    assert overdue_indicators(world.officer("ys-jb"), 2026, world.DAY) == []
