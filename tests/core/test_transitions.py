"""One function moves documents; the table says which way; the database holds the same table."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from budget.document_states import DOCUMENT_FLOW
from budget.models import IndicatorDocument
from core.actors import Actor, system_actor
from core.audit import audit_context
from core.errors import Conflict, NotFound, RoleRequired, TransitionNotAllowed, ValidationFailed
from core.models import Transition
from core.outcomes import judge
from core.transitions import Move, StateMachine, check_move, move
from demo import world

NOW = datetime(2026, 6, 15, 1, 0, tzinfo=UTC)
APPROVER = Actor(name="韩明哲", roles=frozenset({"budget_approver"}), person_id=uuid4())


def document_in_review(doc_no="88号"):
    return IndicatorDocument.objects.create(
        adm_div_code=world.REGION,
        fiscal_year=2026,
        kind="add",
        doc_no=doc_no,
        amount="1.00",
        state="in_review",
        created_by_id=world.officer("ys-jb").person_id,
        created_at=NOW,
    )


def test_a_move_changes_the_state_and_leaves_one_event(city):
    document = document_in_review()

    with audit_context("req-1"):
        move(DOCUMENT_FLOW, [document], "reject", by=APPROVER, at=NOW, reason="同意")

    assert document.state == IndicatorDocument.objects.get().state == "rejected"
    [event] = Transition.objects.filter(document_id=document.id)
    assert (event.document_type, event.action, event.source, event.target) == (
        "budget.IndicatorDocument",
        "reject",
        "in_review",
        "rejected",
    )
    assert (event.actor_name, event.person_id, event.reason, event.request_id, event.at) == (
        "韩明哲",
        APPROVER.person_id,
        "同意",
        "req-1",
        NOW,
    )


@pytest.mark.parametrize(
    ("actor", "action", "refusal"),
    [
        (APPROVER, "submit", TransitionNotAllowed),
        (system_actor("x", "budget_clerk"), "reject", RoleRequired),
        (system_actor("x"), "reject", RoleRequired),
    ],
)
def test_a_refused_move_of_several_moves_none(city, actor, action, refusal):
    first, second = document_in_review("1"), document_in_review("2")

    with pytest.raises(refusal):
        move(DOCUMENT_FLOW, [first, second], action, by=actor, at=NOW)

    assert set(IndicatorDocument.objects.values_list("state", flat=True)) == {"in_review"}
    assert not Transition.objects.filter(document_type="budget.IndicatorDocument").exists()


def test_a_document_somebody_else_has_moved_meanwhile_is_a_conflict(city):
    mine, other = document_in_review(), None
    other = IndicatorDocument.objects.get()
    move(DOCUMENT_FLOW, [other], "reject", by=APPROVER, at=NOW)

    with pytest.raises(Conflict) as refusal, transaction.atomic():
        move(DOCUMENT_FLOW, [mine], "return", by=APPROVER, at=NOW)

    assert refusal.value.code == "conflict"
    assert IndicatorDocument.objects.get().state == "rejected"
    assert Transition.objects.filter(document_id=mine.id).count() == 1


def test_events_are_never_changed_or_deleted(city):
    move(DOCUMENT_FLOW, [document_in_review()], "reject", by=APPROVER, at=NOW)

    for statement in ("UPDATE core_transition SET actor_name = 'x'", "DELETE FROM core_transition"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)

    assert Transition.objects.filter(document_type="budget.IndicatorDocument").get().actor_name == "韩明哲"


def test_raw_sql_cannot_jump(city):
    document = document_in_review()
    move(DOCUMENT_FLOW, [document], "reject", by=APPROVER, at=NOW)

    for target in ("draft", "issued", "nonsense"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE budget_indicatordocument SET state = %s", [target])

    assert IndicatorDocument.objects.get().state == "rejected"


def test_a_move_that_is_not_in_the_table_names_state_and_action():
    flow = StateMachine(Move("close", "open", "closed", "chief|deputy"))

    with pytest.raises(TransitionNotAllowed) as refusal:
        flow.find("closed", "close")

    assert (refusal.value.code, refusal.value.field, refusal.value.http_status) == (
        "transition_not_allowed",
        "state",
        409,
    )
    assert refusal.value.facts == {"source": "closed", "action": "close"}
    assert flow.actions_from("open") == ["close"] and flow.actions_from("closed") == []


@pytest.mark.parametrize(("roles", "allowed"), [({"chief"}, True), ({"deputy", "x"}, True), ({"chief|deputy"}, False)])
def test_any_role_of_the_row_may_take_it(roles, allowed):
    flow = StateMachine(Move("close", "open", "closed", "chief|deputy"))
    document = type("Document", (), {"state": "open"})()
    actor = Actor(name="x", roles=frozenset(roles))

    if allowed:
        assert check_move(flow, document, "close", actor).target == "closed"
    else:
        with pytest.raises(RoleRequired):
            check_move(flow, document, "close", actor)


def test_two_rows_for_one_move_are_a_programming_error():
    with pytest.raises(AssertionError):
        StateMachine(Move("a", "x", "y", "r"), Move("a", "x", "z", "r"))


def test_a_batch_answers_for_every_id_once(city):
    good, bad, unknown = document_in_review("1"), document_in_review("2"), uuid4()

    def check(document):
        if document.id == bad.id:
            raise Conflict("nein")

    outcome = judge([bad, good], [unknown, good.id, bad.id, good.id], check)

    assert outcome.accepted == [good]
    assert {pk: error.code for pk, error in outcome.refused.items()} == {unknown: "not_found", bad.id: "conflict"}
    with pytest.raises(NotFound):
        outcome.raise_if_refused()


def test_several_findings_travel_together_under_the_first_ones_code():
    failed = ValidationFailed([NotFound("a", field="x", given=1), Conflict("b", field="y")])
    assert (failed.code, failed.field, failed.message, failed.facts) == ("not_found", "x", "a；b", {"given": 1})
