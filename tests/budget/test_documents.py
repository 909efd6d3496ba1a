"""Indicator documents: written by one, approved by another, by a leader where needed, issued; exact at the limit."""

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from budget import services
from budget.models import BudgetIndicator, BudgetYear, IndicatorDocument, IndicatorEntry, IndicatorLine
from budget.terms import Terms
from core.errors import TreasuryError
from core.models import BusinessDay
from demo import world
from tests import acts
from tests.acts import changed, decide, document, issued
from tests.conftest import NOW

D = Decimal
DEPARTMENT = Terms(
    unit_code="101001",
    fund_nature="11",
    function_code="2050204",
    gov_economic_code="50502",
    payment_mode="12",
    layer="department",
    project_name="高中公用经费补助",
    source="upper",
    source_level=2,
    upper_doc_no="省财教〔2026〕15号",
    received_on=date(2026, 6, 1),
    budget_class="project",
    sanbao="running",
    direct_fund="01",
    benefit="people",
)


def saved(kind, *lines, doc_no="DJ-001", clerk="ys-jb"):
    given = services.DocumentInput(kind=kind, doc_no=doc_no, lines=lines)
    return services.save_document(given=given, clerk=world.officer(clerk), now=NOW)


def new(amount, terms=DEPARTMENT, **changes):
    values = {**terms.__dict__, **changes}
    return services.LineInput(amount=D(amount), terms=Terms(**values))


def split_line(parent, amount, unit="101002", **changes):
    terms = Terms(unit, "11", "2050204", "50502", "12")
    return services.LineInput(amount=D(amount), parent_id=parent.id, terms=Terms(**{**terms.__dict__, **changes}))


def refusals_of(act):
    with pytest.raises(TreasuryError) as refusal:
        act()
    return [(e.code, e.field) for e in getattr(refusal.value, "findings", [refusal.value])]


@pytest.fixture
def department(city):
    """A department-level indicator of 100,000.00, direct money from above."""
    return issued("add", new("100000.00"), doc_no="临财教〔2026〕1号").lines.get().indicator


# One line -----------------------------------------------------------------------------------------------------------


def test_an_addition_changes_nothing_until_it_is_issued(city):
    made = document("add", changed("I5", "50000.00"), doc_no="临财预〔2026〕88号")
    decide(made).raise_if_refused()
    assert world.indicator("I5").amount_total == D("800000.00")

    acts.issue_documents(made).raise_if_refused()

    row = world.indicator("I5")
    assert (row.amount_total, row.amount_available) == (D("850000.00"), D("550000.00"))
    [entry] = IndicatorEntry.objects.filter(kind="add")
    assert (entry.total_change, entry.note, entry.document_id) == (D("50000.00"), "临财预〔2026〕88号", made.id)


def test_a_freeze_takes_out_of_what_is_available(city):
    issued("freeze", changed("I6", "200000.00"))
    row = world.indicator("I6")
    assert (row.amount_frozen, row.amount_available) == (D("200000.00"), D("1800000.00"))


@pytest.mark.parametrize("kind", ["reduce", "freeze", "recover"])
@pytest.mark.parametrize(("amount", "accepted"), [("470000.00", True), ("470000.01", False)])
def test_it_takes_what_is_not_yet_planned_and_not_one_fen_more(city, kind, amount, accepted):
    """I5: 800,000.00 less 330,000.00 planned; 500,000.00 would be available."""
    made = saved(kind, changed("I5", amount))
    outcome = services.submit_documents(document_ids=[made.id], clerk=world.officer("ys-jb"), now=NOW)
    if accepted:
        decide(made).raise_if_refused()
        acts.issue_documents(made).raise_if_refused()
        assert world.indicator("I5").amount_plannable == D("0.00")
    else:
        refusal = outcome.refused[made.id]
        assert (refusal.code, refusal.field) == ("indicator_exceeded", "amount")
        assert refusal.facts == {"available": D("470000.00"), "asked": D("470000.01")}
        assert world.indicator("I5").amount_plannable == D("470000.00")


def test_what_was_there_at_submit_and_is_gone_at_issue_is_refused_then(city):
    first, second = (document("freeze", changed("I5", "470000.00"), doc_no=no) for no in ("1", "2"))
    for made in (first, second):
        decide(made).raise_if_refused()
    outcome = acts.issue_documents(first, second)
    assert [d.id for d in outcome.accepted] == [first.id]
    assert outcome.refused[second.id].facts == {"available": D("0.00"), "asked": D("470000.00")}
    assert acts.issue_documents(second).refused[second.id].code == "indicator_exceeded"
    decide(second, decision="return", reason="余额不足").raise_if_refused()
    assert world.indicator("I5").amount_frozen == D("470000.00")


@pytest.mark.parametrize(("amount", "accepted"), [("200000.00", True), ("200000.01", False)])
def test_no_more_is_unfrozen_than_was_frozen(city, amount, accepted):
    issued("freeze", changed("I6", "200000.00"))
    made = saved("unfreeze", changed("I6", amount), doc_no="DJ-002")
    outcome = services.submit_documents(document_ids=[made.id], clerk=world.officer("ys-jb"), now=NOW)
    assert (made.id not in outcome.refused) is accepted


def test_an_addition_beyond_what_a_ledger_holds_is_refused_not_a_crash(city):
    made = saved("add", changed("I5", "99999999999999.99"))
    refusal = services.submit_documents(document_ids=[made.id], clerk=world.officer("ys-jb"), now=NOW).refused[made.id]
    assert (refusal.code, refusal.field) == ("amount_invalid", "amount")


# Who ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ys-fz", "u205001-jb", "gk-kz", "ld-fg"])
def test_only_the_budget_clerk_writes(city, who):
    assert refusals_of(lambda: saved("add", changed("I5", "1.00"), clerk=who)) == [("role_required", "role")]
    assert IndicatorDocument.objects.count() == 0


@pytest.mark.parametrize("who", ["ys-jb", "gk-kz", "u205001-fz", "ld-fg"])
def test_only_the_budget_approver_approves_below_the_leaders_amount(city, who):
    made = document("add", changed("I5", "1.00"))
    assert decide(made, who=who).refused[made.id].code == "role_required"


@pytest.mark.parametrize(("amount", "state"), [("999999.99", "approved"), ("1000000.00", "leader")])
def test_from_a_million_on_the_leader_decides_as_well(city, amount, state):
    made = document("add", changed("I5", amount))
    decide(made).raise_if_refused()
    assert IndicatorDocument.objects.get().state == state
    if state == "leader":
        refused = acts.issue_documents(made).refused[made.id]
        assert refused.code == "transition_not_allowed"
        decide(made, who="ld-fg").raise_if_refused()
        acts.issue_documents(made).raise_if_refused()
        assert world.indicator("I5").amount_total == D("1800000.00")


def test_the_amount_from_which_a_leader_decides_is_the_regions(city):
    BudgetYear.objects.update(leader_from=D("1.00"))
    assert document("add", changed("I5", "1.00")).needs_leader
    assert not document("add", changed("I5", "0.99"), doc_no="2").needs_leader


def test_nobody_approves_an_own_document_or_twice(city):
    made = document("add", changed("I5", "1000000.00"))
    approver = world.officer("ys-fz")
    itself = type(approver)(**{**approver.__dict__, "person_id": made.created_by_id})
    [refusal] = services.decide_documents(
        document_ids=[made.id], officer=itself, decision="approve", now=NOW
    ).refused.values()
    assert (refusal.code, refusal.http_status) == ("acted_before", 403)
    decide(made).raise_if_refused()
    leader = world.officer("ld-fg")
    twice = type(leader)(**{**leader.__dict__, "person_id": approver.person_id})
    [refusal] = services.decide_documents(
        document_ids=[made.id], officer=twice, decision="approve", now=NOW
    ).refused.values()
    assert refusal.code == "acted_before"
    with pytest.raises(DatabaseError), transaction.atomic():
        IndicatorDocument.objects.update(leader_by=approver.person_id)
    with pytest.raises(DatabaseError), transaction.atomic():
        IndicatorDocument.objects.update(approved_by=made.created_by_id)


def test_returning_and_rejecting_need_a_reason_and_change_no_balance(city):
    made = document("add", changed("I5", "50000.00"))
    assert refusals_of(lambda: decide(made, decision="return")) == [("document_invalid", "reason")]
    decide(made, decision="return", reason="文号不符").raise_if_refused()
    given = services.DocumentInput(kind="add", doc_no="DJ-009", lines=(changed("I6", "7.00"),))
    revised = services.revise_document(document_id=made.id, given=given, clerk=world.officer("ys-jb"), now=NOW)
    assert (revised.doc_no, revised.amount, revised.lines.get().indicator) == (
        "DJ-009",
        D("7.00"),
        world.indicator("I6"),
    )
    services.submit_documents(document_ids=[made.id], clerk=world.officer("ys-jb"), now=NOW).raise_if_refused()
    decide(made, decision="reject", reason="不同意").raise_if_refused()
    assert decide(made).refused[made.id].code == "transition_not_allowed"
    assert acts.issue_documents(made).refused[made.id].code == "transition_not_allowed"
    assert world.indicator("I6").amount_total == D("3000000.00")


def test_a_number_counts_once_for_one_kind_until_it_is_given_up(city):
    first = saved("add", changed("I5", "1.00"), doc_no="88号")
    assert refusals_of(lambda: saved("add", changed("I6", "2.00"), doc_no="88号")) == [("conflict", "doc_no")]
    saved("freeze", changed("I6", "2.00"), doc_no="88号")
    services.cancel_documents(document_ids=[first.id], clerk=world.officer("ys-jb"), now=NOW).raise_if_refused()
    saved("add", changed("I6", "2.00"), doc_no="88号")


def test_the_same_key_returns_what_it_made(city):
    given = services.DocumentInput(kind="add", doc_no="1", lines=(changed("I5", "1.00"),))
    made = [
        services.save_document(given=given, clerk=world.officer("ys-jb"), now=NOW, action_key="k").id for _ in range(2)
    ]
    assert made[0] == made[1] and IndicatorDocument.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"kind": "gift"}, "document_invalid", "kind"),
        ({"doc_no": " "}, "document_invalid", "doc_no"),
        ({"doc_no": "x" * 61}, "document_invalid", "doc_no"),
        ({"amount": "0.00"}, "amount_invalid", "lines.1.amount"),
        ({"amount": "-1.00"}, "amount_invalid", "lines.1.amount"),
        ({"amount": "100.005"}, "amount_invalid", "lines.1.amount"),
        ({"amount": "NaN"}, "amount_invalid", "lines.1.amount"),
        ({"amount": "Infinity"}, "amount_invalid", "lines.1.amount"),
        ({"kind": "transfer", "amount": "NaN"}, "amount_invalid", "lines.1.amount"),
        ({"amount": "100000000000000.00"}, "amount_invalid", "lines.1.amount"),
    ],
)
def test_bad_fields_are_named_and_nothing_is_written(city, changes, code, field):
    values = {"kind": "add", "doc_no": "88号", "amount": "1.00"} | changes
    act = lambda: saved(values["kind"], changed("I5", values["amount"]), doc_no=values["doc_no"])  # noqa: E731
    assert refusals_of(act) == [(code, field)]
    assert IndicatorDocument.objects.count() == IndicatorLine.objects.count() == 0


def test_an_unknown_indicator_and_an_empty_document_are_refused(city):
    nobody = services.LineInput(amount=D("1.00"), indicator_id=uuid4())
    assert refusals_of(lambda: saved("add", nobody)) == [("not_found", "lines.1.indicator_id")]
    assert refusals_of(lambda: saved("add")) == [("document_invalid", "lines")]
    twice = [changed("I5", "1.00"), changed("I5", "2.00")]
    assert refusals_of(lambda: saved("add", *twice)) == [("document_invalid", "lines")]


def test_without_an_open_day_nothing_is_written_or_issued(city):
    made = document("add", changed("I5", "1.00"))
    decide(made).raise_if_refused()
    BusinessDay.objects.update(closed_at=NOW)
    for act in (lambda: saved("add", changed("I5", "1.00"), doc_no="2"), lambda: acts.issue_documents(made)):
        assert refusals_of(act)[0][0] == "day_closed"
    assert world.indicator("I5").amount_total == D("800000.00")


def test_an_approved_document_and_its_lines_are_never_changed(city):
    made = document("add", changed("I5", "1.00"))
    decide(made).raise_if_refused()
    for statement in (
        "UPDATE budget_indicatordocument SET amount = 2",
        "UPDATE budget_indicatordocument SET doc_no = 'x'",
        "UPDATE budget_indicatorline SET amount = 2",
        "DELETE FROM budget_indicatorline",
        "DELETE FROM budget_indicatordocument",
        "INSERT INTO budget_indicatorline SELECT gen_random_uuid(), * FROM budget_indicatorline",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


# New indicators and the two layers ----------------------------------------------------------------------------------


def test_a_new_indicator_is_made_when_its_document_is_issued(city):
    made = issued("initial", new("120000.00", layer="unit", unit_code="101002", direct_fund="99"), doc_no="年初1号")
    row = BudgetIndicator.objects.select_related("quota__payer_account", "unit").get(lines__document=made)
    assert (row.indicator_no, row.doc_no, row.amount_total) == ("ZB2026000001", "年初1号", D("120000.00"))
    assert (row.unit.code, row.sanbao, row.upper_doc_no, row.tags) == (
        *("101002", "running", "省财教〔2026〕15号"),
        ["保运转", "利民"],
    )
    assert row.quota.payer_account.account_no == world.ACCOUNTS["101002"]


def test_a_department_indicator_is_given_on_and_not_paid_from(department):
    assert not hasattr(BudgetIndicator.objects.get(pk=department.pk), "quota")
    made = issued(
        "split", split_line(department, "60000.00"), split_line(department, "40000.00", "101001"), doc_no="分1"
    )

    parent = BudgetIndicator.objects.get(pk=department.pk)
    children = list(parent.children.order_by("unit__code"))
    assert (parent.amount_total, parent.amount_planned, parent.amount_available) == (*[D("100000.00")] * 2, D("0.00"))
    assert [(c.unit.code, c.amount_total) for c in children] == [("101001", D("40000.00")), ("101002", D("60000.00"))]
    for child in children:  # what came from above goes down unchanged
        assert (child.direct_fund, child.sanbao, child.source, child.upper_doc_no, child.layer) == (
            *("01", "running", "upper", "省财教〔2026〕15号", "unit"),
        )
        assert child.tags == parent.tags == ["保运转", "01中央直达资金", "利民"]
    assert made.amount == D("100000.00")


@pytest.mark.parametrize(("amount", "accepted"), [("100000.00", True), ("100000.01", False)])
def test_children_never_exceed_their_parent(department, amount, accepted):
    made = saved("split", split_line(department, amount), doc_no="分1")
    outcome = services.submit_documents(document_ids=[made.id], clerk=world.officer("ys-jb"), now=NOW)
    if not accepted:
        assert outcome.refused[made.id].facts == {"available": D("100000.00"), "asked": D("100000.01")}
    else:
        assert outcome.refused == {}


def test_the_database_keeps_children_within_their_parent_and_departments_from_paying(department):
    issued("split", split_line(department, "60000.00"), doc_no="分1")
    for change in (
        "amount_total = amount_total + 0.01 WHERE parent_id IS NOT NULL",
        "amount_planned = amount_planned - 0.01 WHERE layer = 'department'",
        "amount_reserved = 1 WHERE layer = 'department'",
        "direct_fund = '99' WHERE layer = 'department'",
        "sanbao = 'none' WHERE parent_id IS NOT NULL",
        "parent_id = NULL WHERE parent_id IS NOT NULL",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE budget_budgetindicator SET {change}; SET CONSTRAINTS ALL IMMEDIATE")


def test_what_was_given_on_can_be_taken_back_while_it_is_free(department):
    issued("split", split_line(department, "60000.00"), doc_no="分1")
    child = BudgetIndicator.objects.get(parent=department)
    back = services.LineInput(amount=D("60000.01"), indicator_id=child.id)
    made = saved("take_back", back, doc_no="回1")
    assert services.submit_documents(document_ids=[made.id], clerk=world.officer("ys-jb"), now=NOW).refused
    issued("take_back", services.LineInput(amount=D("60000.00"), indicator_id=child.id), doc_no="回2")
    parent = BudgetIndicator.objects.get(pk=department.pk)
    assert (parent.amount_total, parent.amount_planned) == (D("100000.00"), D("0.00"))


def test_a_change_of_a_child_changes_its_parent_as_well(department):
    issued("split", split_line(department, "60000.00"), doc_no="分1")
    child = BudgetIndicator.objects.get(parent=department)
    issued("add", services.LineInput(amount=D("5000.00"), indicator_id=child.id), doc_no="追1")
    issued("reduce", services.LineInput(amount=D("15000.00"), indicator_id=child.id), doc_no="减1")
    parent = BudgetIndicator.objects.get(pk=department.pk)
    assert (parent.amount_total, parent.amount_planned, parent.amount_plannable) == (
        *(D("90000.00"), D("50000.00"), D("40000.00")),
    )


def test_faulty_terms_are_all_named_at_once(city):
    line = new(
        *["1.00"],
        unit_code="999999",
        function_code="205",
        gov_economic_code="59998",
        fund_nature="77",
        sanbao="x",
        payment_mode="99",
        upper_doc_no="",
    )
    assert sorted(refusals_of(lambda: saved("initial", line))) == [
        ("code_unknown", "lines.1.function_code"),
        ("code_unknown", "lines.1.fund_nature"),
        ("code_unknown", "lines.1.gov_economic_code"),
        ("document_invalid", "lines.1.payment_mode"),
        ("document_invalid", "lines.1.sanbao"),
        ("document_invalid", "lines.1.upper_doc_no"),
        ("not_found", "lines.1.unit_code"),
    ]


def test_direct_money_is_issued_in_a_document_of_its_own(city):
    lines = [new("1.00"), new("1.00", direct_fund="99")]
    assert refusals_of(lambda: saved("initial", *lines)) == [("document_invalid", "direct_fund")]


def test_a_department_gives_on_only_to_its_own_units_and_for_its_own_purpose(department):
    other = split_line(department, "1.00", "205001", function_code="2040220")
    assert refusals_of(lambda: saved("split", other, doc_no="分1")) == [
        ("document_invalid", "lines.1.unit_code"),
        ("document_invalid", "lines.1.function_code"),
    ]
    leaf = services.LineInput(amount=D("1.00"), parent_id=world.indicator("I1").id, terms=DEPARTMENT)
    assert refusals_of(lambda: saved("split", leaf, doc_no="分1")) == [("document_invalid", "lines.1.parent_id")]


# Transfers ----------------------------------------------------------------------------------------------------------


def test_a_transfer_moves_both_sides_or_none(city):
    made = document("transfer", changed("I5", "-1000.00"), changed("I6", "1000.00"))
    assert made.amount == D("1000.00") and not made.needs_leader
    decide(made).raise_if_refused()
    acts.issue_documents(made).raise_if_refused()
    assert [world.indicator(no).amount_total for no in ("I5", "I6")] == [D("799000.00"), D("3001000.00")]

    too_much = saved("transfer", changed("I5", "-469000.01"), changed("I6", "469000.01"), doc_no="2")
    assert services.submit_documents(document_ids=[too_much.id], clerk=world.officer("ys-jb"), now=NOW).refused


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ([("I5", "-1000.00"), ("I6", "999.99")], "lines"),
        ([("I4", "-1.00"), ("I3", "1.00")], "direct_fund"),
    ],
)
def test_a_transfer_that_a_rule_forbids_is_not_even_written(city, lines, field):
    found = refusals_of(lambda: saved("transfer", *[changed(no, amount) for no, amount in lines]))
    assert {code for code, _ in found} == {"transfer_forbidden"}
    assert field in [name for _, name in found] or found == [("transfer_forbidden", "amount")]


def test_a_transfer_to_another_unit_goes_to_the_leader(city):
    made = document("transfer", changed("I1", "-1.00"), changed("I5", "1.00"))
    assert made.needs_leader and made.leader_reasons == ["三保资金调出到非三保", "跨功能分类类级调剂", "跨单位调剂"]
    decide(made).raise_if_refused()
    assert IndicatorDocument.objects.get().state == "leader"


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
