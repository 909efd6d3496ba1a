"""Submit reserves: exactly at the limit, never one fen beyond, all findings at once, each item for itself."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection

from budget.models import BudgetIndicator
from core.errors import TreasuryError
from core.models import BusinessDay, Transition
from demo import world
from monitoring.models import Alert
from parties.models import ReviewChain
from payments import services
from tests import acts
from tests.conftest import NOW

D = Decimal


def codes(refusal):
    return [(f.code, f.field) for f in refusal.findings]


@pytest.mark.parametrize(("amount", "accepted"), [("80000.00", True), ("80000.01", False)])
def test_the_quota_is_spent_to_the_fen_and_no_further(city, amount, accepted):
    """I1: 80,000.00 of quota, 390,000.00 of indicator."""
    request = acts.draft("I1", amount)

    outcome = acts.submit(request)

    if accepted:
        assert outcome.refused == {} and acts.books("I1")["quota"] == "0.00"
        assert acts.books("I1")["available"] == "310000.00"
    else:
        refusal = outcome.refused[request.id]
        assert codes(refusal) == [("quota_exceeded", "amount")]
        assert refusal.findings[0].facts == {"available": D("80000.00"), "asked": D("80000.01")}
        assert acts.fresh(request)[0].state == "draft"
        assert acts.books("I1")["quota_reserved"] == "0.00"


@pytest.mark.parametrize(("amount", "accepted"), [("70000.00", True), ("70000.01", False)])
def test_the_indicator_is_spent_to_the_fen_and_no_further(city, amount, accepted):
    """I1 with only 70,000.00 available under 80,000.00 of quota: E1 decides."""
    BudgetIndicator.objects.filter(indicator_no="I1").update(amount_frozen=D("310000.00"))
    BudgetIndicator.objects.filter(indicator_no="I1").update(amount_reserved=D("10000.00"))
    request = acts.draft("I1", amount)

    outcome = acts.submit(request)

    if accepted:
        assert outcome.refused == {} and acts.books("I1")["available"] == "0.00"
    else:
        assert codes(outcome.refused[request.id]) == [("indicator_exceeded", "amount")]
        assert acts.books("I1")["available"] == "70000.00"


def test_a_request_over_both_says_both(city):
    request = acts.draft("I1", "390000.01")
    refusal = acts.submit(request).refused[request.id]
    assert codes(refusal) == [("indicator_exceeded", "amount"), ("quota_exceeded", "amount")]
    assert (refusal.code, refusal.http_status) == ("indicator_exceeded", 422)


def test_a_batch_cannot_overspend_what_one_request_would_not(city):
    first, second, third = (acts.draft("I1", amount) for amount in ("79999.99", "0.02", "0.01"))

    outcome = acts.submit(first, second, third)

    assert outcome.accepted == [first, third]
    assert outcome.refused[second.id].findings[0].facts == {"available": D("0.01"), "asked": D("0.02")}
    assert acts.books("I1")["quota"] == "0.00"


def test_each_item_of_a_mixed_batch_gets_its_own_answer_and_good_ones_stay(city):
    good, too_much, again = acts.draft("I1", "1.00"), acts.draft("I1", "80000.01"), acts.draft("I1", "2.00")
    unknown_code = acts.draft("I1", "1.00", dept_economic_code="39998")
    foreign, unknown = acts.draft("I5", "1.00"), uuid4()
    acts.submit(again).raise_if_refused()
    ids = [unknown, foreign.id, unknown_code.id, again.id, too_much.id, good.id]

    outcome = services.submit_payment_requests(request_ids=ids, clerk=world.officer("u101001-jb"), now=NOW)

    assert [r.id for r in outcome.accepted] == [good.id]
    assert {pk: error.code for pk, error in outcome.refused.items()} == {
        unknown: "not_found",
        foreign.id: "not_found",
        unknown_code.id: "code_unknown",
        again.id: "transition_not_allowed",
        too_much.id: "quota_exceeded",
    }
    assert [r.state for r in acts.fresh(good, too_much, unknown_code, foreign)] == [
        "in_review",
        "draft",
        "draft",
        "draft",
    ]
    assert acts.books("I1")["reserved"] == "3.00"


def test_an_accepted_submit_leaves_its_track(city):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()

    [request] = acts.fresh(request)
    assert (request.state, request.node, request.submitted_on) == ("in_review", 1, world.DAY)
    assert len(request.content_digest) == 64
    [event] = Transition.objects.filter(document_id=request.id)
    assert (event.action, event.source, event.target, event.actor_name) == ("submit", "draft", "in_review", "王小燕")


@pytest.mark.parametrize("who", ["u101001-fh", "u101001-yz", "gk-sh"])
def test_only_the_clerk_submits(city, who):
    request = acts.draft("I1", "1.00")
    outcome = services.submit_payment_requests(request_ids=[request.id], clerk=world.officer(who), now=NOW)
    assert outcome.refused[request.id].code == "role_required"


# Codes --------------------------------------------------------------------------------------------------------------


def test_an_unknown_department_code_is_refused(city):
    request = acts.draft("I1", "1.00", dept_economic_code="39998")
    assert codes(acts.submit(request).refused[request.id]) == [("code_unknown", "dept_economic_code")]


def test_codes_that_do_not_belong_together_are_refused(city):
    request = acts.draft("I1", "1.00", dept_economic_code="30101")
    assert codes(acts.submit(request).refused[request.id]) == [("economic_mapping_missing", "dept_economic_code")]
    assert acts.books("I1")["reserved"] == "0.00"


def test_the_mapping_depends_on_the_kind_of_unit(city):
    fits = acts.draft("I1", "1.00")
    acts.submit(fits).raise_if_refused()
    fits.unit.nature = "参公"
    fits.unit.save()
    civil = acts.draft("I1", "1.00")
    acts.submit(civil).raise_if_refused()
    fits.unit.nature = "事业"
    fits.unit.save()
    institution = acts.draft("I1", "1.00")
    assert codes(acts.submit(institution).refused[institution.id]) == [
        ("economic_mapping_missing", "dept_economic_code")
    ]


def test_a_code_of_another_year_does_not_count(city):
    with connection.cursor() as cursor:  # a code never changes its year; here it must
        cursor.execute("ALTER TABLE budget_classificationcode DISABLE TRIGGER USER")
        cursor.execute("UPDATE budget_classificationcode SET fiscal_year = 2025 WHERE code IN ('30201', '2050101')")
        cursor.execute("ALTER TABLE budget_classificationcode ENABLE TRIGGER USER")
    request = acts.draft("I1", "1.00")
    assert codes(acts.submit(request).refused[request.id]) == [
        ("code_unknown", "function_code"),
        ("code_unknown", "dept_economic_code"),
    ]


# The whole batch ----------------------------------------------------------------------------------------------------


def test_without_an_open_day_nothing_is_submitted(city):
    request = acts.draft("I1", "1.00")
    BusinessDay.objects.update(closed_at=NOW)
    before = acts.everything()
    with pytest.raises(TreasuryError) as refusal:
        acts.submit(request)
    assert refusal.value.code == "day_closed"
    assert acts.everything() == before


def test_without_a_chain_nothing_is_submitted(city):
    request = acts.draft("I1", "1.00")
    ReviewChain.objects.filter(document_kind="payment_authorized").update(state="retired")
    before = acts.everything()
    with pytest.raises(TreasuryError) as refusal:
        acts.submit(request)
    assert (refusal.value.code, refusal.value.facts) == ("review_chain_missing", {"kind": "payment_authorized"})
    assert acts.everything() == before


def test_more_than_500_at_once_are_refused_not_a_crash(city):
    with pytest.raises(TreasuryError) as refusal:
        services.submit_payment_requests(
            request_ids=[uuid4() for _ in range(501)], clerk=world.officer("u101001-jb"), now=NOW
        )
    assert (refusal.value.code, refusal.value.field) == ("field_invalid", "ids")


def test_an_empty_batch_does_nothing(city):
    outcome = services.submit_payment_requests(request_ids=[], clerk=world.officer("u101001-jb"), now=NOW)
    assert (outcome.accepted, outcome.refused) == ([], {})


def test_a_running_request_keeps_the_chain_it_started_with(city):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    ReviewChain.objects.filter(document_kind="payment_authorized").update(state="retired")
    newer = ReviewChain.objects.create(
        adm_div_code=world.REGION, document_kind="payment_authorized", version=2, imported=True
    )
    newer.nodes.create(ordinal=1, post="unit_leader")
    ReviewChain.objects.filter(pk=newer.pk).update(state="active", activated_at=NOW)

    assert acts.approve("u101001-fz", request).refused[request.id].code == "role_required"
    acts.approve("u101001-fh", request).raise_if_refused()
    assert acts.fresh(request)[0].state == "approved"
    assert Alert.objects.count() == 0
