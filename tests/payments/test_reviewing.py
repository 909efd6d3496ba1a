"""Review: the chain in order, by the right post of the right unit or section, every step another person."""

from decimal import Decimal

import pytest

from core.errors import TreasuryError
from core.models import Transition
from demo import world
from monitoring.models import Alert, MonitoringRule
from parties.models import ReviewDecision
from payments import services
from tests import acts
from tests.conftest import NOW

D = Decimal


def submitted(no, *amounts, **changes):
    request = acts.draft(no, *amounts, **changes)
    acts.submit(request).raise_if_refused()
    return request


def as_person(who, person_of):
    """The same post in the hands of another natural person."""
    actor = world.officer(who)
    return type(actor)(**{**actor.__dict__, "person_id": world.officer(person_of).person_id})


def approve_as(actor, *requests):
    return services.approve_payment_requests(request_ids=acts.ids(requests), reviewer=actor, now=NOW)


def send_back(who, *requests, code="payee", reason="", how=services.return_payment_requests):
    return how(request_ids=acts.ids(requests), reviewer=world.officer(who), reason_code=code, reason=reason, now=NOW)


@pytest.mark.parametrize(
    ("no", "amount", "chain"),
    [
        ("I1", "49999.99", ["u101001-fh"]),
        ("I1", "50000.00", ["u101001-fh", "u101001-fz"]),
        ("I6", "499999.99", ["u205001-fh", "xzzf-sh", "gk-sh"]),
    ],
)
def test_the_amount_decides_how_many_nodes_there_are(city, no, amount, chain):
    request = submitted(no, amount)
    for who in chain:
        assert acts.fresh(request)[0].state == "in_review"
        acts.approve(who, request).raise_if_refused()
    assert acts.fresh(request)[0].state == "approved"
    assert list(ReviewDecision.objects.order_by("ordinal").values_list("actor_name", flat=True)) == [
        world.officer(who).name for who in chain
    ]


def test_from_500000_on_the_treasury_chief_approves_too(city):
    request = submitted("I6", "500000.00")
    services.dispose_held_requests(
        request_ids=[request.id], officer=world.officer("gk-jk"), passed=True, reason="已核", now=NOW
    ).raise_if_refused()
    for who in ("u205001-fh", "xzzf-sh", "gk-sh"):
        acts.approve(who, request).raise_if_refused()
    assert acts.fresh(request)[0].state == "in_review"
    acts.approve("gk-kz", request).raise_if_refused()
    assert acts.fresh(request)[0].state == "approved"


@pytest.mark.parametrize(
    ("who", "code", "status"),
    [
        ("u205001-jb", "role_required", 403),
        ("u205001-fz", "role_required", 403),
        ("xzzf-sh", "role_required", 403),
        ("gk-sh", "role_required", 403),
        ("gk-kz", "role_required", 403),
        ("gk-zd", "role_required", 403),
        ("gk-yz", "role_required", 403),
        ("gk-dz", "role_required", 403),
        ("ys-fz", "role_required", 403),
        ("u101001-fh", "not_found", 404),
        ("u101002-fh", "not_found", 404),
        ("jkw-sh", "not_found", 404),
    ],
)
def test_at_its_first_node_only_the_units_own_reviewer_decides(city, who, code, status):
    request = submitted("I6", "1.00")
    before = acts.everything()

    for act in (lambda: acts.approve(who, request), lambda: send_back(who, request)):
        refusal = act().refused[request.id]
        assert (refusal.code, refusal.http_status) == (code, status)

    assert acts.everything() == before


def test_the_section_node_belongs_to_the_units_own_section(city):
    request = submitted("I6", "1.00")
    acts.approve("u205001-fh", request).raise_if_refused()
    assert acts.approve("jkw-sh", request).refused[request.id].code == "not_found"
    acts.approve("xzzf-sh", request).raise_if_refused()


def test_a_clerk_does_not_review_the_own_p3(city):
    """Negative test 9."""
    request = submitted("I1", "12345.67", purpose="办公用品")
    before = acts.everything()

    assert acts.approve("u101001-jb", request).refused[request.id].code == "role_required"
    second = acts.second_login("u101001-jb", "unit_reviewer", unit="101001")
    refusal = approve_as(second, request).refused[request.id]

    assert (refusal.code, refusal.field, refusal.http_status) == ("acted_before", "reviewer", 403)
    after = acts.everything()
    for table in ("payments.PaymentRequest", "parties.ReviewDecision", "core.Transition", "budget.IndicatorEntry"):
        assert after[table] == before[table]


@pytest.mark.parametrize(("node", "who"), [(0, "u205001-fh"), (1, "xzzf-sh"), (2, "gk-sh")])
def test_at_no_node_does_the_maker_decide(city, node, who):
    request = submitted("I6", "1.00")
    for earlier in ["u205001-fh", "xzzf-sh", "gk-sh"][:node]:
        acts.approve(earlier, request).raise_if_refused()
    assert approve_as(as_person(who, "u205001-jb"), request).refused[request.id].code == "acted_before"


@pytest.mark.parametrize(
    ("first", "post", "section"),
    [("u205001-fh", "section_reviewer", "行政政法科"), ("xzzf-sh", "payment_reviewer", "")],
)
def test_one_person_decides_once_even_by_two_log_ins(city, first, post, section):
    other = acts.second_login(first, post, section=section)
    request = submitted("I6", "1.00")
    for who in ["u205001-fh", "xzzf-sh"]:
        acts.approve(who, request).raise_if_refused()
        if who == first:
            break

    refusal = approve_as(other, request).refused[request.id]

    assert refusal.code == "acted_before"
    assert ReviewDecision.objects.filter(person_id=other.person_id).count() == 1


def test_not_even_at_two_nodes_apart(city):
    other = acts.second_login("u205001-fh", "payment_reviewer")
    request = submitted("I6", "1.00")
    for who in ("u205001-fh", "xzzf-sh"):
        acts.approve(who, request).raise_if_refused()
    assert approve_as(other, request).refused[request.id].code == "acted_before"


def test_a_decision_is_a_fact_with_what_was_seen(city):
    request = submitted("I1", "1.00")
    acts.approve("u101001-fh", request).raise_if_refused()
    [decision] = ReviewDecision.objects.all()
    [request] = acts.fresh(request)
    assert (decision.document_id, decision.revision, decision.ordinal, decision.post) == (
        request.id,
        1,
        1,
        "unit_reviewer",
    )
    assert decision.content_digest == request.content_digest


def test_content_that_is_not_what_was_submitted_is_not_approved(city):
    request = submitted("I1", "1.00")
    type(request).objects.filter(pk=request.pk).update(content_digest="0" * 64)
    assert acts.approve("u101001-fh", request).refused[request.id].code == "content_changed"


def test_each_item_of_a_mixed_batch_gets_its_own_answer(city):
    good, done, foreign = submitted("I1", "1.00"), submitted("I1", "2.00"), submitted("I5", "3.00")
    draft = acts.draft("I1", "4.00")
    acts.approve("u101001-fh", done).raise_if_refused()

    outcome = acts.approve("u101001-fh", good, done, foreign, draft)

    assert [r.id for r in outcome.accepted] == [good.id]
    assert {pk: e.code for pk, e in outcome.refused.items()} == {
        done.id: "transition_not_allowed",
        foreign.id: "not_found",
        draft.id: "transition_not_allowed",
    }
    assert acts.fresh(good)[0].state == "approved"


# Return and reject --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "state", "revision"),
    [(services.return_payment_requests, "returned", 2), (services.reject_payment_requests, "voided", 1)],
)
def test_what_is_returned_or_rejected_holds_nothing_any_more(city, how, state, revision):
    untouched = acts.books("I1")
    request = submitted("I1", "100.00")

    send_back("u101001-fh", request, code="payee", reason="户名不符", how=how).raise_if_refused()

    [request] = acts.fresh(request)
    assert (request.state, request.revision) == (state, revision)
    assert acts.books("I1") == untouched
    event = Transition.objects.filter(document_id=request.id).latest("id")
    assert (event.reason_code, event.reason) == ("payee", "户名不符")


@pytest.mark.parametrize("how", [services.return_payment_requests, services.reject_payment_requests])
@pytest.mark.parametrize(
    ("code", "reason", "error", "field"),
    [
        ("", "", "reason_required", "reason_code"),
        ("nonsense", "x", "reason_required", "reason_code"),
        ("other", " ", "reason_required", "reason"),
        ("payee", "长" * 301, "field_invalid", "reason"),
    ],
)
def test_a_reason_from_the_list_is_needed(city, how, code, reason, error, field):
    request = submitted("I1", "1.00")
    with pytest.raises(TreasuryError) as refusal:
        send_back("u101001-fh", request, code=code, reason=reason, how=how)
    assert (refusal.value.code, refusal.value.field) == (error, field)
    assert acts.fresh(request)[0].state == "in_review"


def test_decisions_on_a_returned_revision_no_longer_count(city):
    request = submitted("I1", "60000.00")
    acts.approve("u101001-fh", request).raise_if_refused()
    send_back("u101001-fz", request).raise_if_refused()
    acts.submit(request).raise_if_refused()

    assert acts.fresh(request)[0].node == 1
    acts.approve("u101001-fh", request).raise_if_refused()  # again: the other revision is another document
    acts.approve("u101001-fz", request).raise_if_refused()
    assert acts.fresh(request)[0].state == "approved"


def test_a_reviewer_cannot_take_back_what_is_finally_approved(city):
    request = submitted("I1", "1.00")
    acts.approve("u101001-fh", request).raise_if_refused()
    assert send_back("u101001-fh", request).refused[request.id].code == "transition_not_allowed"


def test_a_clerk_gives_up_a_draft_but_not_what_is_under_way(city):
    draft, going = acts.draft("I1", "1.00"), submitted("I1", "1.00")
    clerk = world.officer("u101001-jb")

    outcome = services.cancel_payment_requests(request_ids=acts.ids([draft, going]), clerk=clerk, now=NOW)

    assert [r.id for r in outcome.accepted] == [draft.id]
    assert outcome.refused[going.id].code == "transition_not_allowed"
    assert acts.fresh(draft)[0].state == "voided"


# Monitoring ---------------------------------------------------------------------------------------------------------


def dispose(*requests, passed=True, reason="材料齐全", who="gk-jk"):
    officer = world.officer(who) if isinstance(who, str) else who
    return services.dispose_held_requests(
        request_ids=acts.ids(requests), officer=officer, passed=passed, reason=reason, now=NOW
    )


def near_limit():
    acts.with_quota("I5", "123000.00")
    return submitted("I5", "98000.00", purpose="鉴定服务费")


def to_own_account():
    given = acts.wanted("I3", details=(acts.line("50000.00", payee_account_no=world.BASIC_ACCOUNT_101002),))
    clerk = world.officer("u101002-jb")
    [request] = services.save_drafts(inputs=[given], clerk=clerk, now=NOW)
    return request


def test_p6_is_blocked_nothing_reserved_no_voucher_the_alert_kept(city):
    untouched = acts.books("I3")
    request = to_own_account()

    outcome = acts.submit(request)

    assert [r.state for r in outcome.accepted] == ["blocked"]
    assert acts.books("I3") == untouched
    [alert] = Alert.objects.all()
    assert (alert.rule_code, alert.severity, alert.action, alert.state, alert.amount) == (
        "M07",
        "red",
        "block",
        "blocked",
        D("50000.00"),
    )
    assert acts.issue(request).refused[request.id].code == "transition_not_allowed"
    assert acts.fresh(request)[0].voucher is None


def test_a_blocked_request_goes_on_only_after_it_was_revised(city):
    request = to_own_account()
    acts.submit(request).raise_if_refused()
    assert acts.submit(request).refused[request.id].code == "transition_not_allowed"
    assert dispose(request).refused[request.id].code == "transition_not_allowed"

    services.revise_draft(
        request_id=request.id, given=acts.wanted("I3", "50000.00"), clerk=world.officer("u101002-jb"), now=NOW
    )
    acts.submit(request).raise_if_refused()

    [request] = acts.fresh(request)
    assert (request.state, request.revision) == ("in_review", 2)


def test_p7_is_held_with_its_money_reserved_and_goes_on_when_passed(city):
    request = near_limit()
    assert acts.fresh(request)[0].state == "on_hold"
    assert acts.books("I5")["quota"] == "55000.00"
    assert acts.approve("u205001-fh", request).refused[request.id].code == "transition_not_allowed"

    dispose(request).raise_if_refused()

    assert acts.fresh(request)[0].state == "in_review" and Alert.objects.get().state == "passed"
    acts.approve_all(request)
    assert acts.fresh(request)[0].state == "approved"  # what was passed is not held again at the last node


def test_p9_is_held_for_its_amount(city):
    request = submitted("I6", "500000.00")
    assert acts.fresh(request)[0].state == "on_hold"
    assert [(a.rule_code, a.severity, a.state) for a in Alert.objects.all()] == [("M01", "orange", "pending")]
    assert acts.fresh(submitted("I6", "99999.99"))[0].state == "in_review"


def test_a_rejected_hold_goes_back_to_the_clerk_and_frees_its_money(city):
    request = near_limit()

    dispose(request, passed=False, reason="补采购合同").raise_if_refused()

    [request] = acts.fresh(request)
    assert (request.state, request.revision, Alert.objects.get().state) == ("returned", 2, "rejected")
    assert acts.books("I5") | {"refunded": ""} == {
        "reserved": "0.00",
        "paid": "300000.00",
        "refunded": "",
        "available": "500000.00",
        "quota": "153000.00",
        "quota_reserved": "0.00",
    }
    acts.submit(request).raise_if_refused()
    assert acts.fresh(request)[0].state == "on_hold"  # an earlier disposition does not carry over


@pytest.mark.parametrize(
    ("reason", "code"), [("", "reason_required"), ("  ", "reason_required"), ("x" * 301, "field_invalid")]
)
def test_a_disposition_is_always_explained(city, reason, code):
    request = near_limit()
    with pytest.raises(TreasuryError) as refusal:
        dispose(request, reason=reason)
    assert (refusal.value.code, refusal.value.field) == (code, "reason")
    assert acts.fresh(request)[0].state == "on_hold"


@pytest.mark.parametrize("who", ["u205001-jb", "u205001-fh", "gk-sh", "gk-kz"])
def test_only_the_monitoring_officer_disposes(city, who):
    request = near_limit()
    assert dispose(request, who=who).refused[request.id].code == "role_required"


def test_nobody_disposes_of_an_own_request(city):
    request = near_limit()
    refusal = dispose(request, who=as_person("gk-jk", "u205001-jb")).refused[request.id]
    assert (refusal.code, refusal.http_status) == ("acted_before", 403)


def change_rule(code, **changes):
    rule = MonitoringRule.objects.get(code=code)
    rule.pk, rule.version = None, rule.version + 1
    rule.pk = MonitoringRule._meta.pk.get_default()
    for name, value in changes.items():
        setattr(rule, name, value)
    rule.save(force_insert=True)


def test_the_rules_are_asked_again_before_the_last_approval(city):
    request = submitted("I1", "40000.00")
    change_rule("M01", parameters={"amount_from": "30000.00"})

    outcome = acts.approve("u101001-fh", request)

    assert [r.id for r in outcome.accepted] == [request.id]
    assert acts.fresh(request)[0].state == "on_hold" and ReviewDecision.objects.count() == 0
    assert acts.books("I1")["reserved"] == "40000.00"
    dispose(request).raise_if_refused()
    acts.approve("u101001-fh", request).raise_if_refused()
    assert acts.fresh(request)[0].state == "approved"


def test_a_new_block_refuses_the_last_approval_and_changes_nothing(city):
    request = submitted("I1", "40000.00")
    change_rule("M01", parameters={"amount_from": "30000.00"}, action="block", severity="red")
    before = acts.everything()

    refusal = acts.approve("u101001-fh", request).refused[request.id]

    assert (refusal.code, refusal.facts["rule"]) == ("monitoring_blocks", "M01")
    assert acts.everything() == before


def test_a_reminder_that_has_become_a_hold_since_submit_does_not_strand_the_request(city):
    """One alert per rule and revision: a hold without a waiting alert could never be disposed of."""
    cheque = acts.line("3000.00", reference="XJZP0001")
    cash = {"business_type": "5", "settlement": "3", "cash_purpose": "02", "cash_reason": "差旅备用金"}
    request = submitted("I3", details=(cheque,), **cash)
    assert [a.state for a in Alert.objects.all()] == ["noted"]
    change_rule("M04", action="hold", severity="orange")

    acts.approve("u101002-fh", request).raise_if_refused()

    assert acts.fresh(request)[0].state == "approved"  # it keeps what the rule said when it was submitted
