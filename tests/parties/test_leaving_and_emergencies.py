"""离岗 ends everything at once; 应急岗位 take two others and end by themselves within a day."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client

from core.errors import Conflict, RoleRequired
from demo import world
from parties.delegating import delegations_to
from parties.emergencies import ask_emergency_post, decide_emergency_post
from parties.errors import EmergencyInvalid, FourEyes, IncompatiblePosts
from parties.leaving import let_go
from parties.models import Delegation, EmergencyPost, Person, PostAssignment, User
from parties.selectors import actor_of
from parties.services import grant_post
from seals.models import OfficerCertificate
from signer.facts import _posts
from tests import acts
from tests.conftest import NOW
from tests.parties.test_delegating import delegate
from tests.ukeys import Hand


@pytest.fixture
def admins(city):
    return acts.newcomer("xt-gl", "system_admin"), acts.newcomer("aq-gl", "security_admin")


def user(username):
    return User.objects.select_related("person").get(username=username)


# Leaving ------------------------------------------------------------------------------------------------------------


def test_whoever_leaves_can_do_nothing_from_that_moment(admins):
    browser = Client()
    browser.force_login(user("gk-sh"))
    assert browser.get("/review/").status_code == 200
    delegate("gk-sh", "gk-kz")
    delegate("gk-kz", "gk-sh")

    person = let_go(person_id=user("gk-sh").person_id, on=world.DAY, by=admins[0], now=NOW)

    assert person.left_on == world.DAY and not user("gk-sh").is_active
    assert browser.get("/review/").status_code == 302
    assert not any(s.get_decoded().get("_auth_user_id") == str(user("gk-sh").pk) for s in Session.objects.all())
    assert set(Delegation.objects.values_list("revoked_at", flat=True)) == {NOW}
    assert not delegations_to(user("gk-kz").person_id, on=world.DAY).exists()
    assert PostAssignment.objects.get(user__username="gk-sh").valid_to == world.DAY
    assert actor_of(user("gk-sh"), on=world.DAY + timedelta(days=1)).roles == frozenset()
    assert _posts(person.pk, world.DAY, NOW) == frozenset()


def test_nobody_is_let_go_twice_or_by_himself_or_by_an_officer(admins):
    one, other = admins
    with pytest.raises(RoleRequired):
        let_go(person_id=user("gk-sh").person_id, on=world.DAY, by=world.officer("gk-kz"), now=NOW)
    with pytest.raises(Conflict):
        let_go(person_id=one.person_id, on=world.DAY, by=one, now=NOW)
    let_go(person_id=one.person_id, on=world.DAY, by=other, now=NOW)
    with pytest.raises(Conflict):
        let_go(person_id=one.person_id, on=world.DAY, by=other, now=NOW)


def test_who_has_left_gets_no_post(admins):
    let_go(person_id=user("gk-sh").person_id, on=world.DAY, by=admins[0], now=NOW)
    with pytest.raises(IncompatiblePosts), transaction.atomic():
        grant_post(user=user("gk-sh"), post="plan_reviewer", valid_from=world.DAY, granted_by=admins[0])


def test_the_certificate_goes_with_the_person(admins):
    Hand("gk-sh")
    row = OfficerCertificate.objects.get(person=user("gk-sh").person, status="active")
    let_go(person_id=row.person_id, on=world.DAY, by=admins[0], now=NOW)
    row.refresh_from_db()
    assert (row.status, row.revoke_reason, row.revoked_at) == ("revoked", "离岗", NOW)


# Emergencies --------------------------------------------------------------------------------------------------------


def ask(by, username="gk-jh", post="payment_reviewer", hours=24, **more):
    values = {"user_id": user(username).pk, "post": post, "hours": hours, "reason": "尤志远突发疾病", "by": by}
    return ask_emergency_post(**values | {"now": NOW} | more)


def test_an_emergency_post_takes_two_others_and_ends_by_the_hour(admins):
    one, other = admins
    wanted = ask(one)
    with pytest.raises(FourEyes):
        decide_emergency_post(ask_id=wanted.pk, agreed=True, by=one, now=NOW)
    assert "payment_reviewer" not in actor_of(user("gk-jh"), on=world.DAY, now=NOW).roles

    given = decide_emergency_post(ask_id=wanted.pk, agreed=True, by=other, now=NOW)

    last = NOW + timedelta(hours=24)
    assert (given.ends_at, given.asked_by_id, given.granted_by_id) == (last, one.person_id, other.person_id)
    person, tomorrow = user("gk-jh").person_id, world.DAY + timedelta(days=1)
    just_before = last - timedelta(seconds=1)
    assert "payment_reviewer" in actor_of(user("gk-jh"), on=tomorrow, now=just_before).roles
    assert "payment_reviewer" not in actor_of(user("gk-jh"), on=tomorrow, now=last).roles
    assert "payment_reviewer" not in actor_of(user("gk-jh"), on=world.DAY).roles
    held = (world.REGION, "payment_reviewer", "")
    assert held in _posts(person, tomorrow, just_before) and held not in _posts(person, tomorrow, last)
    assert held not in _posts(person, world.DAY, None)
    with pytest.raises(Conflict):
        decide_emergency_post(ask_id=wanted.pk, agreed=True, by=other, now=NOW)


def test_no_emergency_breaks_the_matrix_or_makes_an_administrator(admins):
    one, other = admins
    with pytest.raises(IncompatiblePosts):
        ask(one, username="gk-zd", post="seal_keeper")
    for changes, field in (
        ({"post": "system_admin"}, "post"),
        ({"hours": 25}, "hours"),
        ({"hours": 0}, "hours"),
        ({"reason": " "}, "reason"),
    ):
        with pytest.raises(EmergencyInvalid) as refusal:
            ask(one, **changes)
        assert refusal.value.field == field
    wanted = ask(one, post="seal_keeper", username="gk-jh")
    grant_post(user=user("gk-jh"), post="name_seal", valid_from=world.DAY, granted_by=one)
    with pytest.raises(IncompatiblePosts):
        decide_emergency_post(ask_id=wanted.pk, agreed=True, by=other, now=NOW)
    assert not EmergencyPost.objects.exists()


def test_nobody_asks_for_himself_and_an_officer_asks_for_nobody(admins):
    with pytest.raises(FourEyes):
        ask(admins[0], username="xt-gl")
    with pytest.raises(RoleRequired):
        ask(world.officer("gk-kz"))


def test_what_is_declined_gives_nothing(admins):
    one, other = admins
    assert decide_emergency_post(ask_id=ask(one).pk, agreed=False, by=other, now=NOW) is None
    assert not EmergencyPost.objects.exists()


@pytest.mark.parametrize("fault", ["one person", "the one who gets it", "25 hours", "no last day"])
def test_the_database_holds_to_two_others_and_a_day(admins, fault):
    one, other = admins
    last = None if fault == "no last day" else world.DAY + timedelta(days=1)
    held = grant_post(user=user("gk-jh"), post="payment_reviewer", valid_from=world.DAY, valid_to=last, granted_by=one)
    granted = one.person_id if fault == "one person" else other.person_id
    granted = user("gk-jh").person_id if fault == "the one who gets it" else granted
    hours = 25 if fault == "25 hours" else 24
    with pytest.raises((DatabaseError, IntegrityError)), transaction.atomic():
        EmergencyPost.objects.create(
            assignment=held, reason="x", asked_by_id=one.person_id, asked_at=NOW, granted_by_id=granted,
            granted_at=NOW, ends_at=NOW + timedelta(hours=hours),
        )  # fmt: skip
    assert Person.objects.filter(pk=one.person_id).exists()
