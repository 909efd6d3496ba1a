"""Additions, reductions and freezes: written by one person, approved by another, exact at the limit."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from budget import services
from budget.models import BudgetIndicator, IndicatorAdjustment, IndicatorEntry
from core.errors import TreasuryError
from core.models import BusinessDay
from demo import world
from tests import acts
from tests.conftest import NOW

D = Decimal


def written(no, kind, amount, doc_no="DJ-001", clerk="ys-jb", note=""):
    return services.create_adjustment(
        indicator_id=world.indicator(no).id,
        kind=kind,
        doc_no=doc_no,
        amount=D(amount),
        note=note,
        clerk=world.officer(clerk),
        now=NOW,
    )


def decide(*adjustments, approve=True, who="ys-fz", reason=""):
    return services.decide_adjustments(
        adjustment_ids=[a.id for a in adjustments],
        approver=who if not isinstance(who, str) else world.officer(who),
        approve=approve,
        reason=reason,
        now=NOW,
    )


def test_an_addition_changes_nothing_until_it_is_approved(city):
    adjustment = written("I5", "add", "50000.00", "临财预〔2026〕88号")
    assert world.indicator("I5").amount_total == D("800000.00")

    decide(adjustment).raise_if_refused()

    row = world.indicator("I5")
    assert (row.amount_total, row.amount_available) == (D("850000.00"), D("550000.00"))
    [entry] = IndicatorEntry.objects.filter(kind="add")
    assert (entry.total_change, entry.note, entry.document_id) == (
        D("50000.00"),
        "临财预〔2026〕88号",
        adjustment.id,
    )


def test_a_freeze_takes_out_of_what_is_available(city):
    decide(written("I6", "freeze", "200000.00")).raise_if_refused()
    row = world.indicator("I6")
    assert (row.amount_frozen, row.amount_available) == (D("200000.00"), D("1800000.00"))


def test_a_rejected_one_changes_nothing_ever(city):
    adjustment = written("I5", "add", "50000.00")
    decide(adjustment, approve=False, reason="文号不符").raise_if_refused()

    assert world.indicator("I5").amount_total == D("800000.00")
    assert decide(adjustment).refused[adjustment.id].code == "transition_not_allowed"


@pytest.mark.parametrize("kind", ["reduce", "freeze"])
@pytest.mark.parametrize(("amount", "accepted"), [("470000.00", True), ("470000.01", False)])
def test_it_takes_what_is_not_yet_planned_and_not_one_fen_more(city, kind, amount, accepted):
    """I5: 800,000.00 less 330,000.00 planned; 500,000.00 would be available."""
    adjustment = written("I5", kind, amount)

    outcome = decide(adjustment)

    if accepted:
        assert outcome.refused == {}
        assert world.indicator("I5").amount_plannable == D("0.00")
    else:
        refusal = outcome.refused[adjustment.id]
        assert (refusal.code, refusal.field) == ("indicator_exceeded", "amount")
        assert refusal.facts == {"available": D("470000.00"), "asked": D("470000.01")}
        assert world.indicator("I5").amount_plannable == D("470000.00")


def test_money_under_way_cannot_be_frozen(city):
    acts.submit(acts.draft("I5", "30000.00")).raise_if_refused()
    adjustment = written("I5", "freeze", "470000.01")
    assert decide(adjustment).refused[adjustment.id].code == "indicator_exceeded"


@pytest.mark.parametrize(("amount", "accepted"), [("200000.00", True), ("200000.01", False)])
def test_no_more_is_unfrozen_than_was_frozen(city, amount, accepted):
    decide(written("I6", "freeze", "200000.00")).raise_if_refused()
    adjustment = written("I6", "unfreeze", amount, "DJ-002")

    outcome = decide(adjustment)

    assert (adjustment.id not in outcome.refused) is accepted
    assert world.indicator("I6").amount_frozen == (D("0.00") if accepted else D("200000.00"))


def test_a_batch_is_taken_in_order_against_what_is_left(city):
    first, second = written("I5", "freeze", "470000.00", "1"), written("I5", "freeze", "0.01", "2")
    outcome = decide(first, second)
    assert outcome.accepted == [first]
    assert outcome.refused[second.id].facts["available"] == D("0.00")


def test_the_one_who_wrote_it_does_not_approve_it_not_even_by_another_log_in(city):
    adjustment = written("I5", "add", "1.00")
    with pytest.raises(DatabaseError), transaction.atomic():  # four eyes, in the database too
        IndicatorAdjustment.objects.filter(pk=adjustment.pk).update(decided_by_id=adjustment.created_by_id)

    approver = world.officer("ys-fz")
    same_person = type(approver)(**{**approver.__dict__, "person_id": adjustment.created_by_id})
    refusal = decide(adjustment, who=same_person).refused[adjustment.id]

    assert (refusal.code, refusal.http_status) == ("acted_before", 403)
    assert world.indicator("I5").amount_total == D("800000.00")


@pytest.mark.parametrize("who", ["ys-fz", "u205001-jb", "gk-kz"])
def test_only_the_budget_clerk_writes(city, who):
    with pytest.raises(TreasuryError) as refusal:
        written("I5", "add", "1.00", clerk=who)
    assert (refusal.value.code, refusal.value.http_status) == ("role_required", 403)
    assert IndicatorAdjustment.objects.count() == 0


@pytest.mark.parametrize("who", ["ys-jb", "gk-kz", "u205001-fz"])
def test_only_the_budget_approver_approves(city, who):
    adjustment = written("I5", "add", "1.00")
    assert decide(adjustment, who=who).refused[adjustment.id].code == "role_required"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"kind": "gift"}, "adjustment_invalid", "kind"),
        ({"doc_no": " "}, "adjustment_invalid", "doc_no"),
        ({"doc_no": "x" * 61}, "adjustment_invalid", "doc_no"),
        ({"amount": "0.00"}, "amount_invalid", "amount"),
        ({"amount": "-1.00"}, "amount_invalid", "amount"),
        ({"amount": "100.005"}, "amount_invalid", "amount"),
        ({"amount": "NaN"}, "amount_invalid", "amount"),
        ({"amount": "Infinity"}, "amount_invalid", "amount"),
        ({"amount": "100000000000000.00"}, "amount_invalid", "amount"),
    ],
)
def test_bad_fields_are_named_and_nothing_is_written(city, changes, code, field):
    values = {"kind": "add", "doc_no": "88号", "amount": "1.00"} | changes
    with pytest.raises(TreasuryError) as refusal:
        written("I5", **values)
    assert (refusal.value.code, refusal.value.field, refusal.value.http_status) == (code, field, 422)
    assert IndicatorAdjustment.objects.count() == 0


def test_an_unknown_indicator_is_not_found(city):
    with pytest.raises(TreasuryError) as refusal:
        services.create_adjustment(
            indicator_id=uuid4(),
            kind="add",
            doc_no="1",
            amount=D("1.00"),
            note="",
            clerk=world.officer("ys-jb"),
            now=NOW,
        )
    assert (refusal.value.code, refusal.value.field) == ("not_found", "indicator_id")


def test_a_document_number_counts_once_for_one_kind(city):
    written("I5", "add", "1.00", "88号")
    with pytest.raises(TreasuryError) as refusal:
        written("I6", "add", "2.00", "88号")
    assert (refusal.value.code, refusal.value.field, refusal.value.http_status) == ("conflict", "doc_no", 409)
    written("I6", "freeze", "2.00", "88号")
    assert IndicatorAdjustment.objects.count() == 2


def test_an_addition_beyond_what_a_ledger_holds_is_refused_not_a_crash(city):
    adjustment = written("I5", "add", "99999999999999.99")
    refusal = decide(adjustment).refused[adjustment.id]
    assert (refusal.code, refusal.field) == ("amount_invalid", "amount")


def test_without_an_open_day_nothing_is_written_or_approved(city):
    adjustment = written("I5", "add", "1.00")
    BusinessDay.objects.update(closed_at=NOW)
    for act in (lambda: written("I5", "add", "1.00", "2"), lambda: decide(adjustment)):
        with pytest.raises(TreasuryError) as refusal:
            act()
        assert refusal.value.code == "day_closed"
    assert world.indicator("I5").amount_total == D("800000.00")


def test_an_approved_document_is_never_changed(city):
    adjustment = written("I5", "add", "1.00")
    decide(adjustment).raise_if_refused()
    for change in ("amount = 2", "doc_no = 'x'", "kind = 'freeze'"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE budget_indicatoradjustment SET {change}")


# The database beneath -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"amount_reserved": D("500000.01")},  # E1
        {"amount_frozen": D("470000.01")},  # E2
        {"amount_planned": D("800000.01")},  # E2
        {"amount_reserved": D("-0.01")},
        {"amount_paid": D("-0.01")},
        {"amount_refunded": D("300000.01")},
    ],
)
def test_the_database_holds_e1_and_e2_whatever_the_code_does(city, change):
    with pytest.raises(IntegrityError), transaction.atomic():
        BudgetIndicator.objects.filter(indicator_no="I5").update(**change)


@pytest.mark.parametrize(
    "change",
    [{"amount_reserved": D("500000.00")}, {"amount_frozen": D("470000.00")}, {"amount_planned": D("800000.00")}],
)
def test_and_lets_pass_what_is_exactly_at_the_limit(city, change):
    assert BudgetIndicator.objects.filter(indicator_no="I5").update(**change) == 1


def test_an_indicator_keeps_its_codes_and_is_never_deleted(city):
    for statement in (
        "UPDATE budget_budgetindicator SET tags = '[]' WHERE indicator_no = 'I4'",
        "UPDATE budget_budgetindicator SET fund_nature = '2'",
        "UPDATE budget_budgetindicator SET unit_id = (SELECT id FROM parties_budgetunit WHERE code = '205001')",
        "DELETE FROM budget_budgetindicator",
        "DELETE FROM budget_quota",
        "DELETE FROM budget_clearinglimit",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.parametrize("table", ["indicatorentry", "quotaentry", "clearinglimitentry"])
def test_entries_are_never_changed_or_deleted(city, table):
    for statement in (f"UPDATE budget_{table} SET note = 'x'", f"DELETE FROM budget_{table}"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
