"""委托: given within separation, acted under both names and both pasts, revoked at once; also by the database."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F

from core.errors import NotFound
from core.models import Transition
from demo import world
from parties.delegating import acting_for, delegate_post, revoke_delegation
from parties.duties import DELEGABLE, Post
from parties.errors import DelegationEnded, DelegationInvalid, IncompatiblePosts
from parties.models import Delegation, PostAssignment, ReviewDecision, User
from parties.services import end_post, grant_post
from payments import services
from tests import acts
from tests.conftest import NOW

END = world.DAY + timedelta(days=10)


def assignment(username):
    return PostAssignment.objects.get(user__username=username)


def delegate(who, to, **changes):
    values = {
        "assignment_id": changes.get("assignment_id") or assignment(who).pk,
        "delegate_id": User.objects.get(username=to).pk,
        "valid_from": world.DAY,
        "valid_to": END,
        "reason": "公差",
        "by": world.officer(who),
        "now": NOW,
    }
    return delegate_post(**values | changes)


def acting(delegation, to, on=world.DAY):
    return acting_for(world.officer(to), delegation.pk, on=on)


def approve(request, actor):
    return services.approve_payment_requests(request_ids=[request.id], reviewer=actor, now=NOW)


@pytest.fixture
def direct(city):
    """A direct payment that waits for the treasury's payment reviewer (third of three)."""
    request = acts.draft("I4", "1.00")
    acts.submit(request).raise_if_refused()
    for who in ("u101002-fh", "jkw-sh"):
        acts.approve(who, request).raise_if_refused()
    return request


def test_a_delegate_decides_as_himself_for_the_other(direct):
    delegation = delegate("gk-sh", "gk-kz")

    approve(direct, acting(delegation, "gk-kz")).raise_if_refused()

    decision = ReviewDecision.objects.get(document_id=direct.id, ordinal=3)
    assert (decision.person.name, decision.actor_name) == ("许国华", "许国华（代尤志远）")
    assert (decision.post, decision.delegation_id) == ("payment_reviewer", delegation.pk)
    event = Transition.objects.filter(document_id=direct.id).latest("id")
    assert (event.action, event.actor_name, event.person_id) == ("approve", "许国华（代尤志远）", decision.person_id)
    acts.issue(direct).raise_if_refused()
    acts.seal(direct).raise_if_refused()
    assert acts.fresh(direct)[0].state == "sealed"


def test_one_acts_with_the_delegated_post_alone_and_where_the_other_has_it(city):
    actor = acting(delegate("jkw-sh", "gk-sh"), "gk-sh")
    assert (actor.roles, actor.sections, actor.units) == ({"section_reviewer"}, {"教科文科"}, frozenset())
    assert actor.persons == {world.officer("gk-sh").person_id, world.officer("jkw-sh").person_id}


def test_only_the_log_in_it_was_given_to_acts_by_it_and_only_in_its_days(city):
    delegation = delegate("gk-sh", "gk-kz", valid_from=world.DAY + timedelta(days=1))
    for who, on in (("gk-kz", world.DAY), ("gk-kz", END + timedelta(days=1)), ("gk-zd", END)):
        with pytest.raises(DelegationEnded):
            acting(delegation, who, on)
    assert acting(delegation, "gk-kz", END).for_name == "尤志远"


# Whose past counts --------------------------------------------------------------------------------------------------


def test_what_the_delegate_did_himself_stands_in_the_way(direct):
    """The section reviewer has approved the second node; acting for another does not make him a third person."""
    refusal = approve(direct, acting(delegate("gk-sh", "jkw-sh"), "jkw-sh")).refused[direct.id]
    assert (refusal.code, refusal.http_status) == ("acted_before", 403)


def test_what_the_delegator_did_stands_in_the_way_too(city):
    acts.newcomer("gk-fh", "payment_reviewer")
    second = User.objects.get(username="u101002-fh").person
    login = User.objects.create(username="sh2", person=second, adm_div_code=world.REGION)
    grant_post(user=login, post="payment_reviewer", valid_from=date(2026, 1, 1), granted_by=world.officer("gk-kz"))
    request = acts.draft("I4", "1.00")
    acts.submit(request).raise_if_refused()
    acts.approve("u101002-fh", request).raise_if_refused()
    acts.approve("jkw-sh", request).raise_if_refused()
    delegation = delegate("sh2", "gk-kz")

    refusal = approve(request, acting(delegation, "gk-kz")).refused[request.id]

    assert refusal.code == "acted_before" and "吴志刚" in refusal.message
    approve(request, world.officer("gk-sh")).raise_if_refused()


def test_the_delegator_cannot_decide_again_after_his_delegate(city):
    """500,000.00 needs the chief as well, who is now also the payment reviewer's delegate."""
    acts.with_quota("I4", "900000.00")
    request = acts.draft("I4", "500000.00")
    acts.submit(request).raise_if_refused()
    services.dispose_held_requests(
        request_ids=[request.id], officer=world.officer("gk-jk"), passed=True, reason="已核实", now=NOW
    ).raise_if_refused()
    for who in ("u101002-fh", "jkw-sh"):
        acts.approve(who, request).raise_if_refused()
    approve(request, acting(delegate("gk-sh", "gk-jh"), "gk-jh")).raise_if_refused()
    chief = replace(world.officer("gk-sh"), roles=frozenset({"treasury_chief"}))
    assert approve(request, chief).refused[request.id].code == "acted_before"
    acts.approve("gk-kz", request).raise_if_refused()
    acts.issue(request).raise_if_refused()
    sealer = replace(world.officer("gk-sh"), roles=frozenset({"seal_keeper"}))
    answer = services.seal_payment_vouchers(request_ids=[request.id], sealer=sealer, now=NOW)
    assert answer.refused[request.id].code == "acted_before"


def test_the_clerk_of_a_document_cannot_review_it_for_another(city):
    request = acts.draft("I4", "1.00")
    acts.submit(request).raise_if_refused()
    actor = replace(
        world.officer("u101002-fh"), person_id=world.officer("u101002-jb").person_id, for_person_id=None
    )  # fmt: skip
    assert approve(request, actor).refused[request.id].code == "acted_before"
    other = replace(world.officer("u101002-fh"), for_person_id=world.officer("u101002-jb").person_id, for_name="李春梅")
    assert "李春梅" in approve(request, other).refused[request.id].message


# Giving -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "to"),
    [
        ("u101001-fz", "u101001-jb"),  # approve / make
        ("u101001-fh", "gk-sh"),  # another place
        ("gk-sh", "u101001-fh"),
        ("gk-kz", "gk-dz"),  # approve / reconcile
        ("gk-sh", "gk-zd"),
        ("gk-sh", "ys-jb"),
    ],
)
def test_nobody_acts_for_another_whose_post_he_may_not_hold_or_elsewhere(city, who, to):
    with pytest.raises((IncompatiblePosts, DelegationInvalid)) as refusal:
        delegate(who, to)
    assert refusal.value.field == "delegate"
    assert not Delegation.objects.exists()


def test_the_delegate_inherits_every_conflict_of_the_delegator(city):
    """The payment reviewer also keeps the seal: whoever acts for him may not make vouchers, though reviewing may."""
    reviewer = User.objects.get(username="jkw-sh")
    grant_post(user=reviewer, post="seal_keeper", valid_from=date(2026, 1, 1), granted_by=world.officer("gk-kz"))
    section = PostAssignment.objects.get(user=reviewer, post="section_reviewer")
    with pytest.raises(IncompatiblePosts) as refusal:
        delegate("jkw-sh", "gk-zd", assignment_id=section.pk)
    assert (refusal.value.facts["held"], refusal.value.facts["wanted"]) == ("voucher_maker", "seal_keeper")


@pytest.mark.parametrize("post", sorted(set(Post) - DELEGABLE))
def test_only_reviewing_posts_can_be_delegated(city, post):
    user = User.objects.create(username="n", person=acts_person("n"), adm_div_code=world.REGION)
    unit = "101001" if post.startswith("unit_") else ""
    row = grant_post(
        user=user, post=post, unit_code=unit, valid_from=date(2026, 1, 1), granted_by=world.officer("gk-kz")
    )
    other = "u101001-fh" if unit else "gk-jh"
    with pytest.raises(DelegationInvalid) as refusal:
        delegate("n", other, assignment_id=row.pk)
    assert refusal.value.field == "assignment"


def acts_person(name):
    from parties.models import Person

    return Person.objects.create(name=name, staff_no=name)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 101}, "reason"),
        ({"valid_from": world.DAY - timedelta(days=1)}, "valid_from"),
        ({"valid_to": world.DAY - timedelta(days=1)}, "valid_to"),
        ({"valid_to": world.DAY + timedelta(days=91)}, "valid_to"),
    ],
)
def test_terms_are_checked(city, changes, field):
    with pytest.raises(DelegationInvalid) as refusal:
        delegate("gk-sh", "gk-kz", **changes)
    assert refusal.value.field == field
    delegate("gk-sh", "gk-kz", valid_to=world.DAY + timedelta(days=90))


def test_nobody_delegates_anothers_post_or_what_was_delegated_to_him(city):
    with pytest.raises(NotFound):
        delegate("gk-sh", "gk-jh", by=world.officer("gk-kz"))
    actor = acting(delegate("gk-sh", "gk-kz"), "gk-kz")
    with pytest.raises(NotFound):
        delegate("gk-sh", "gk-jh", by=actor)
    with pytest.raises(DelegationInvalid):
        delegate("gk-sh", "gk-jh")  # already given for these days


def test_a_post_given_during_a_delegation_must_suit_both(city):
    delegate("gk-sh", "jkw-sh")
    user = User.objects.get(username="jkw-sh")
    with pytest.raises(IncompatiblePosts), transaction.atomic():
        grant_post(user=user, post="reconciler", valid_from=END, granted_by=world.officer("gk-kz"))
    with pytest.raises(DatabaseError), transaction.atomic():
        PostAssignment.objects.create(
            adm_div_code=world.REGION, user=user, post="reconciler", valid_from=END, granted_by="sql"
        )
    after = END + timedelta(days=1)
    assert grant_post(user=user, post="reconciler", valid_from=after, granted_by=world.officer("gk-kz")).pk


# Ending -------------------------------------------------------------------------------------------------------------


def test_revoked_means_at_once_even_for_a_page_that_is_open(direct):
    delegation = delegate("gk-sh", "gk-kz")
    actor = acting(delegation, "gk-kz")
    revoke_delegation(delegation_id=delegation.pk, by=world.officer("gk-sh"), now=NOW)

    with pytest.raises(DelegationEnded):
        approve(direct, actor)

    assert not ReviewDecision.objects.filter(ordinal=3).exists()
    assert acts.fresh(direct)[0].state == "in_review"
    with pytest.raises(DelegationEnded):
        revoke_delegation(delegation_id=delegation.pk, by=world.officer("gk-sh"), now=NOW)


def test_either_of_the_two_may_end_it_and_nobody_else(city):
    delegation = delegate("gk-sh", "gk-kz")
    with pytest.raises(NotFound):
        revoke_delegation(delegation_id=delegation.pk, by=world.officer("gk-jh"), now=NOW)
    revoke_delegation(delegation_id=delegation.pk, by=world.officer("gk-kz"), now=NOW)


def test_it_ends_with_the_post_it_is_of(direct):
    actor = acting(delegate("gk-sh", "gk-kz"), "gk-kz")
    end_post(assignment=assignment("gk-sh"), last_day=world.DAY - timedelta(days=1))
    with pytest.raises(DelegationEnded):
        approve(direct, actor)


# The database -------------------------------------------------------------------------------------------------------


def row(who, to, **changes):
    given = assignment(who)
    user = User.objects.get(username=to)
    values = {
        "adm_div_code": world.REGION, "assignment": given, "post": given.post, "delegator": given.user.person,
        "delegate": user, "delegate_person": user.person, "valid_from": world.DAY, "valid_to": END, "reason": "x",
        "granted_at": NOW,
    }  # fmt: skip
    with transaction.atomic():
        return Delegation.objects.create(**values | changes)


@pytest.mark.parametrize(
    ("who", "to"), [("gk-sh", "gk-zd"), ("gk-yz", "gk-jh"), ("gk-sh", "gk-sh"), ("u101001-fz", "u101001-jb")]
)
def test_raw_sql_cannot_delegate_what_may_not_be(city, who, to):
    with pytest.raises((DatabaseError, IntegrityError)):
        row(who, to)


def test_raw_sql_cannot_delegate_past_the_post_or_change_what_was_given(city):
    with pytest.raises(DatabaseError):
        row("gk-sh", "gk-kz", post="treasury_chief")
    given = row("gk-sh", "gk-kz")
    for change in ({"valid_to": END + timedelta(days=1)}, {"post": "plan_reviewer"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Delegation.objects.filter(pk=given.pk).update(**change)
    Delegation.objects.filter(pk=given.pk).update(revoked_at=NOW, revoked_by="x")
    with pytest.raises(DatabaseError), transaction.atomic():
        Delegation.objects.filter(pk=given.pk).update(revoked_at=None)
    with pytest.raises(DatabaseError), transaction.atomic():
        given.delete()


@pytest.mark.parametrize("fault", ["another person", "another post", "revoked", "over", "delegator reviewed"])
def test_a_decision_without_a_delegation_that_holds_is_refused_by_the_database(direct, fault):
    given = row("gk-sh", "gk-kz")
    person, post = world.officer("gk-kz").person_id, "payment_reviewer"
    if fault == "another person":
        person = world.officer("gk-jh").person_id
    if fault == "another post":
        post = "treasury_chief"
    if fault == "revoked":
        Delegation.objects.update(revoked_at=NOW)
    if fault == "over":
        given = row("jkw-sh", "gk-kz", valid_from=END, valid_to=END)
        post = "section_reviewer"
    if fault == "delegator reviewed":
        given, post = row("jkw-sh", "gk-kz"), "section_reviewer"
    with pytest.raises((DatabaseError, IntegrityError)), transaction.atomic():
        decide(direct, person, post, given)
    if fault == "another person":
        decide(direct, world.officer("gk-kz").person_id, "payment_reviewer", given)


def decide(request, person_id, post, delegation):
    return ReviewDecision.objects.create(
        adm_div_code=world.REGION, fiscal_year=2026, document_type="payments.PaymentRequest", document_id=request.id,
        revision=1, ordinal=3, post=post, decision="approve", content_digest=request.content_digest,
        person_id=person_id, actor_name="x", at=NOW, delegation=delegation,
    )  # fmt: skip


def test_two_decisions_want_the_same_seat(direct):
    first = decide(direct, world.officer("gk-kz").person_id, "payment_reviewer", None)
    assert first.seat == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        decide(direct, world.officer("gk-jh").person_id, "payment_reviewer", None)
    assert ReviewDecision.objects.filter(document_id=direct.id, ordinal=F("ordinal")).count() == 3
