"""The life of plans, indicator documents and the year's end, against tables typed by hand,
and the same table in the database."""

import pytest
from django.db import DatabaseError, connection, transaction

from budget.document_states import (
    CANCELLATION_FLOW,
    CARRY_FLOW,
    DOCUMENT_FLOW,
    YEAR_FLOW,
    CancellationState,
    CarryOverState,
    DocumentState,
    YearState,
)
from budget.models import IndicatorDocument, SpendingPlan
from budget.states import PLAN_FLOW, PlanState
from core.actors import Actor
from core.errors import RoleRequired, TransitionNotAllowed
from core.transitions import check_move
from demo import world
from tests.conftest import NOW

CLERK = {"unit_clerk"}
REVIEWERS = {"unit_reviewer", "section_reviewer", "plan_reviewer"}
PLANS = {
    "draft": {
        "submit": ("in_review", CLERK),
        "cancel": ("cancelled", CLERK),
        "lapse": ("in_review", {"reconciler"}),
    },
    "in_review": {
        "advance": ("in_review", REVIEWERS),
        "countersign": ("in_review", REVIEWERS),
        "approve": ("approved", REVIEWERS),
        "return": ("returned", REVIEWERS),
    },
    "returned": {"submit": ("in_review", CLERK), "cancel": ("cancelled", CLERK)},
    "approved": {"notify": ("notified", {"voucher_maker"})},
    "notified": {"arrive": ("arrived", {"agent_bank"})},
    "arrived": {},
    "cancelled": {},
}
BUDGET, APPROVER, LEADER, CHIEF = {"budget_clerk"}, {"budget_approver"}, {"bureau_leader"}, {"treasury_chief"}
DOCUMENTS = {
    "draft": {"submit": ("in_review", BUDGET), "cancel": ("cancelled", BUDGET)},
    "in_review": {
        "approve": ("approved", APPROVER),
        "pass_on": ("leader", APPROVER),
        "return": ("returned", APPROVER),
        "reject": ("rejected", APPROVER),
    },
    "leader": {
        "approve": ("approved", LEADER),
        "return": ("returned", LEADER),
        "reject": ("rejected", LEADER),
    },
    "approved": {"issue": ("issued", BUDGET), "return": ("returned", APPROVER)},
    "returned": {"submit": ("in_review", BUDGET), "cancel": ("cancelled", BUDGET)},
    "issued": {},
    "rejected": {},
    "cancelled": {},
}
CARRY_OVERS = {
    "proposed": {"approve": ("approved", APPROVER)},
    "approved": {"return": ("proposed", APPROVER), "apply": ("applied", CHIEF)},
    "applied": {},
}
FLOWS = {
    "plan": (PLAN_FLOW, PLANS, PlanState),
    "document": (DOCUMENT_FLOW, DOCUMENTS, DocumentState),
    "carry-over": (CARRY_FLOW, CARRY_OVERS, CarryOverState),
    "cancellation": (
        CANCELLATION_FLOW,
        {"open": {"apply": ("applied", {"reconciler"})}, "applied": {}},
        CancellationState,
    ),
    "year": (
        YEAR_FLOW,
        {"open": {"begin": ("closing", CHIEF)}, "closing": {"close": ("closed", CHIEF)}, "closed": {}},
        YearState,
    ),
}
EVERY_ROLE = CLERK | REVIEWERS | BUDGET | APPROVER | LEADER | CHIEF
EVERY_ROLE |= {"voucher_maker", "agent_bank", "pboc", "reconciler", "system"}


@pytest.mark.parametrize("name", FLOWS)
def test_every_state_and_action_do_what_the_table_says(name):
    flow, table, states = FLOWS[name]
    assert set(table) == set(states.values)
    actions = {action for moves in table.values() for action in moves} | {move.action for move in flow.moves}
    for state in table:
        document = type("Document", (), {"state": state})()
        for action in actions:
            for role in EVERY_ROLE:
                actor = Actor(name="x", roles=frozenset({role}))
                target, roles = table[state].get(action, (None, set()))
                if target is None:
                    with pytest.raises(TransitionNotAllowed):
                        check_move(flow, document, action, actor)
                elif role not in roles:
                    with pytest.raises(RoleRequired):
                        check_move(flow, document, action, actor)
                else:
                    assert check_move(flow, document, action, actor).target == target, (state, action)


def rows(model, table, **values):
    person = world.officer("ys-jb").person_id
    common = {"adm_div_code": world.REGION, "fiscal_year": 2026, "amount": "1.00"}
    common |= {"created_by_id": person, "created_at": NOW}
    return {state: model.objects.create(**common, **values[state], state=state) for state in table}


@pytest.mark.parametrize("name", ["plan", "document"])
def test_raw_sql_moves_documents_only_along_the_table(city, name):
    table = FLOWS[name][1]
    if name == "plan":
        target = world.indicator("I5")
        common = {"indicator": target, "unit": target.unit, "month": 6, "payment_mode": "12"}
        values = {state: {"plan_no": f"X-{state}", **common} for state in table}
        model = SpendingPlan
    else:
        approver = world.officer("ys-fz").person_id
        values = {state: {"doc_no": f"X-{state}", "kind": "add", "approved_by_id": approver} for state in table}
        model = IndicatorDocument
    allowed = set()
    for source, row in rows(model, table, **values).items():
        for target in [*table, "nonsense"]:
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(f"UPDATE {model._meta.db_table} SET state = %s WHERE id = %s", [target, row.id])
                    allowed.add((source, target))
                    raise ZeroDivisionError
            except (ZeroDivisionError, DatabaseError):
                pass

    expected = {(state, target) for state, moves in table.items() for target, _ in moves.values() if target != state}
    assert {(a, b) for a, b in allowed if a != b} == expected
