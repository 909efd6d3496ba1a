"""Plans: exact against E2, reviewed by three different persons, and quota only when they have become quota."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from budget import services
from budget.models import SpendingPlan
from core.errors import TreasuryError
from demo import world
from tests import acts
from tests.conftest import NOW

D = Decimal
REVIEWERS = {"I5": ("u205001-fh", "xzzf-sh", "gk-jh"), "I2": ("u101002-fh", "jkw-sh", "gk-jh")}
REVIEWERS["I6"] = REVIEWERS["I5"]


def planned(no, *amounts, month=6, clerk=None):
    inputs = [services.PlanInput(world.indicator(no).id, month, D(amount)) for amount in amounts]
    who = clerk or world.officer(f"{acts.CLERK_OF[no]}-jb")
    return services.save_plans(inputs=inputs, clerk=who, now=NOW)


def submit(*plans, who="u205001-jb"):
    return services.submit_plans(plan_ids=[p.id for p in plans], clerk=world.officer(who), now=NOW)


def approve(who, *plans):
    reviewer = world.officer(who) if isinstance(who, str) else who
    return services.approve_plans(plan_ids=[p.id for p in plans], reviewer=reviewer, now=NOW)


def send_back(who, *plans, reason="计划过大"):
    return services.return_plans(
        plan_ids=[p.id for p in plans], reviewer=world.officer(who), reason_code="amount", reason=reason, now=NOW
    )


def approved(no, *amounts):
    plans = planned(no, *amounts)
    submit(*plans, who=f"{acts.CLERK_OF[no]}-jb").raise_if_refused()
    for who in REVIEWERS[no]:
        approve(who, *plans).raise_if_refused()
    return plans


def test_a_draft_plans_nothing_yet(city):
    [plan] = planned("I5", "120000.00")
    assert (plan.plan_no, plan.state, plan.payment_mode) == ("JH2026000001", "draft", "12")
    assert world.indicator("I5").amount_plannable == D("470000.00")


@pytest.mark.parametrize(("amount", "accepted"), [("470000.00", True), ("470000.01", False)])
def test_plans_take_what_e2_leaves_and_not_one_fen_more(city, amount, accepted):
    [plan] = planned("I5", amount)

    outcome = submit(plan)

    if accepted:
        assert outcome.accepted == [plan] and world.indicator("I5").amount_plannable == D("0.00")
    else:
        refusal = outcome.refused[plan.id]
        assert (refusal.code, refusal.field) == ("plan_exceeds_indicator", "amount")
        assert refusal.facts == {"available": D("470000.00"), "asked": D("470000.01")}
        assert SpendingPlan.objects.get().state == "draft"
        assert world.indicator("I5").amount_plannable == D("470000.00")


def test_several_in_one_batch_share_what_is_left(city):
    plans = planned("I5", "470000.00", "0.01")
    outcome = submit(*plans)
    assert (outcome.accepted, list(outcome.refused)) == ([plans[0]], [plans[1].id])


def test_a_direct_plan_is_quota_with_its_last_approval_and_not_before(city):
    [plan] = planned("I6", "700000.00")
    submit(plan).raise_if_refused()
    for who in ("u205001-fh", "xzzf-sh"):
        approve(who, plan).raise_if_refused()
        assert acts.books("I6")["quota"] == "600000.00"

    approve("gk-jh", plan).raise_if_refused()

    assert SpendingPlan.objects.get().state == "approved"
    assert acts.books("I6")["quota"] == "1300000.00"


def test_an_authorised_plan_is_no_quota_until_the_bank_says_so(city):
    approved("I5", "120000.00")
    assert acts.books("I5")["quota"] == "30000.00"


def test_a_returned_plan_frees_what_it_planned_and_may_come_again(city):
    [plan] = planned("I5", "470000.00")
    submit(plan).raise_if_refused()

    send_back("u205001-fh", plan).raise_if_refused()

    plan = SpendingPlan.objects.get()
    assert (plan.state, plan.revision) == ("returned", 2)
    assert world.indicator("I5").amount_plannable == D("470000.00")
    submit(plan).raise_if_refused()
    approve("u205001-fh", plan).raise_if_refused()  # the earlier decision does not count against the new revision


@pytest.mark.parametrize("reason", ["", "  ", "x" * 301])
def test_a_return_says_why_in_at_most_300_characters(city, reason):
    [plan] = planned("I5", "1.00")
    submit(plan).raise_if_refused()
    with pytest.raises(TreasuryError) as refusal:
        send_back("u205001-fh", plan, reason=reason)
    assert (refusal.value.code, refusal.value.field) == ("plan_invalid", "reason")
    assert SpendingPlan.objects.get().state == "in_review"


def test_the_chain_is_kept_in_order_by_role_and_section(city):
    [plan] = planned("I5", "1.00")
    submit(plan).raise_if_refused()

    for who, code in [
        ("xzzf-sh", "role_required"),  # not yet
        ("gk-jh", "role_required"),
        ("u205001-jb", "role_required"),
        ("u101001-fh", "not_found"),  # another unit's reviewer
        ("jkw-sh", "not_found"),  # another section's
        ("gk-sh", "role_required"),
    ]:
        assert approve(who, plan).refused[plan.id].code == code, who


@pytest.mark.parametrize("post", ["unit_reviewer", "section_reviewer", "plan_reviewer"])
def test_nobody_decides_on_an_own_plan_not_even_by_another_log_in(city, post):
    person = world.officer("u205001-jb").person_id
    [plan] = planned("I5", "1.00")
    submit(plan).raise_if_refused()
    for who, role in zip(REVIEWERS["I5"], ("unit_reviewer", "section_reviewer", "plan_reviewer"), strict=True):
        if role == post:
            actor = world.officer(who)
            same_person = type(actor)(**{**actor.__dict__, "person_id": person})
            assert approve(same_person, plan).refused[plan.id].code == "acted_before"
        approve(who, plan).raise_if_refused()


def test_one_person_does_not_review_at_two_nodes_by_two_log_ins(city):
    other = acts.second_login("u205001-fh", "section_reviewer", section="行政政法科")
    [plan] = planned("I5", "1.00")
    submit(plan).raise_if_refused()
    approve("u205001-fh", plan).raise_if_refused()

    refusal = approve(other, plan).refused[plan.id]

    assert (refusal.code, refusal.http_status) == ("acted_before", 403)


@pytest.mark.parametrize(
    ("month", "amount", "code", "field"),
    [
        (0, "1.00", "plan_invalid", "month"),
        (13, "1.00", "plan_invalid", "month"),
        (6, "0.00", "amount_invalid", "amount"),
        (6, "-1.00", "amount_invalid", "amount"),
        (6, "100.005", "amount_invalid", "amount"),
        (6, "NaN", "amount_invalid", "amount"),
        (6, "1e15", "amount_invalid", "amount"),
    ],
)
def test_bad_fields_are_named_and_no_number_is_used_up(city, month, amount, code, field):
    with pytest.raises(TreasuryError) as refusal:
        planned("I5", amount, month=month)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert planned("I5", "1.00")[0].plan_no == "JH2026000001"


def test_foreign_and_unknown_indicators_look_the_same(city):
    clerk = world.officer("u101001-jb")
    for indicator_id in (world.indicator("I5").id, uuid4()):
        with pytest.raises(TreasuryError) as refusal:
            services.save_plans(inputs=[services.PlanInput(indicator_id, 6, D("1.00"))], clerk=clerk, now=NOW)
        assert (refusal.value.code, refusal.value.field) == ("not_found", "indicator_id")


def test_only_a_unit_clerk_plans(city):
    with pytest.raises(TreasuryError) as refusal:
        planned("I5", "1.00", clerk=world.officer("u205001-fh"))
    assert refusal.value.code == "role_required"


def test_a_submitted_plan_is_frozen_by_the_database_too(city):
    [plan] = planned("I5", "1.00")
    submit(plan).raise_if_refused()
    for change in ("amount = 2", "month = 7", "indicator_id = gen_random_uuid()", "payment_mode = '11'"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE budget_spendingplan SET {change}")
    with pytest.raises(DatabaseError), transaction.atomic():
        SpendingPlan.objects.all().delete()


def test_the_same_action_key_makes_the_plan_once(city):
    inputs = [services.PlanInput(world.indicator("I5").id, 6, D("1.00"))]
    clerk = world.officer("u205001-jb")

    first = services.save_plans(inputs=inputs, clerk=clerk, now=NOW, action_key="k")
    again = services.save_plans(inputs=inputs, clerk=clerk, now=NOW, action_key="k")

    assert first == again and SpendingPlan.objects.count() == 1


def test_the_same_action_key_for_more_than_it_made_is_a_conflict_not_a_crash(city):
    one = services.PlanInput(world.indicator("I5").id, 6, D("1.00"))
    clerk = world.officer("u205001-jb")
    services.save_plans(inputs=[one], clerk=clerk, now=NOW, action_key="k")

    with pytest.raises(TreasuryError) as refusal:
        services.save_plans(inputs=[one, one], clerk=clerk, now=NOW, action_key="k")

    assert (refusal.value.code, refusal.value.http_status) == ("idempotency_mismatch", 409)
    assert SpendingPlan.objects.count() == 1
