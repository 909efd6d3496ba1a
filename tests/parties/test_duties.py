"""Which duties one natural person may not combine: the matrix, typed out by hand."""

from datetime import date

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from core.actors import system_actor
from core.ids import new_id
from parties.duties import (
    DUTY_OF,
    Post,
    apart_as_posts,
    apart_on_document,
    conflicting_posts,
    forbidden_pairs,
    of_side,
)
from parties.errors import IncompatiblePosts, PostPlaceInvalid
from parties.models import Person, PostAssignment, User
from parties.services import end_post, grant_post
from tests import acts

MAKERS = {"unit_clerk", "budget_clerk", "voucher_maker"}
REVIEWERS = {"unit_reviewer", "section_reviewer", "plan_reviewer", "monitor_officer", "roster_checker"}
APPROVERS = {"unit_leader", "budget_approver", "payment_reviewer", "treasury_chief", "bureau_leader"}
SEALERS = {"unit_sealer", "unit_name_seal", "seal_keeper", "name_seal"}
RECONCILERS = {"reconciler"}
ADMINS = {"system_admin", "security_admin", "security_auditor"}
WATCHERS = {"security_auditor", "supervisor"}  # both only read, so one person may be both
BUSINESS = MAKERS | REVIEWERS | APPROVERS | SEALERS | RECONCILERS

APART = [
    (MAKERS, APPROVERS),
    (MAKERS, SEALERS),
    (MAKERS, RECONCILERS),
    (APPROVERS, RECONCILERS),
    (SEALERS, RECONCILERS),
    (ADMINS, BUSINESS),
    ({"supervisor"}, BUSINESS | ADMINS - WATCHERS),
]
FORBIDDEN = {frozenset({a, b}) for left, right in APART for a in left for b in right}
FORBIDDEN |= {frozenset({a, b}) for a in ADMINS for b in ADMINS if a != b}
FORBIDDEN |= {frozenset({"seal_keeper", "name_seal"}), frozenset({"unit_sealer", "unit_name_seal"})}

# The matrix between duties, typed from docs/duties.md: X = never one person, v = never on one document, "" = free.
DUTIES = ("make", "review", "approve", "seal", "send", "reconcile", "payee", "system", "security", "audit")
MATRIX = """
make       - v X X v X v X X X
review     v - v v . v v X X X
approve    X v - v v X X X X X
seal       X v v - v X X X X X
send       v . v v - X . X X X
reconcile  X v X X X - X X X X
payee      v v X X . X - X X X
system     X X X X X X X - X X
security   X X X X X X X X - X
audit      X X X X X X X X X -
"""

UNIT_OF = dict.fromkeys(("unit_clerk", "unit_reviewer", "unit_leader", "unit_sealer", "unit_name_seal"), "101001")
START = date(2026, 1, 1)
BY = system_actor("test")


def login(name, person=None):
    person = person or Person.objects.create(name=name, staff_no=name)
    return User.objects.create(username=name, person=person, adm_div_code="990100000")


def grant(user, post, **changes):
    with transaction.atomic():
        return grant_post(
            **{"user": user, "post": post, "unit_code": UNIT_OF.get(post, ""), "valid_from": START, "granted_by": BY}
            | changes
        )


def insert(user, post, *, unit=None, valid_from=START, valid_to=None):
    """Past every service, as somebody with the database in his hands."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO parties_postassignment (id, adm_div_code, user_id, post, unit_code, section, valid_from, "
            "valid_to, granted_by) VALUES (%s, '990100000', %s, %s, %s, '', %s, %s, 'sql')",
            [new_id(), user.pk, post, UNIT_OF.get(post, "") if unit is None else unit, valid_from, valid_to],
        )


def test_every_post_stands_in_the_matrix():
    assert set(Post.values) == BUSINESS | ADMINS | WATCHERS
    assert len(FORBIDDEN) == 3 * 5 + 3 * 4 + 3 + 5 + 4 + 3 * 18 + 3 + 2 + 18 + 2


def test_every_cell_of_the_matrix_of_duties():
    rows = {line.split()[0]: line.split()[1:] for line in MATRIX.strip().splitlines()}
    assert tuple(rows) == DUTIES
    for one, cells in rows.items():
        for other, cell in zip(DUTIES, cells, strict=True):
            assert apart_as_posts(one, other) is (cell == "X"), (one, other)
            assert apart_on_document(one, other) is (cell in "Xv"), (one, other)
            assert cell == rows[other][DUTIES.index(one)], (one, other)


def test_every_post_has_a_duty_of_the_matrix():
    assert set(DUTY_OF) == set(Post) and set(DUTY_OF.values()) <= set(DUTIES)


def test_the_code_forbids_exactly_the_pairs_of_the_matrix():
    assert {frozenset(pair) for pair in forbidden_pairs()} == FORBIDDEN
    for held in Post.values:
        for wanted in Post.values:
            assert bool(conflicting_posts([held], wanted)) == (frozenset({held, wanted}) in FORBIDDEN), (held, wanted)


@pytest.mark.parametrize("same_login", [True, False], ids=["one log-in", "two log-ins of one person"])
@pytest.mark.parametrize("give", [grant, insert], ids=["by the service", "by raw SQL"])
def test_every_forbidden_pair_is_refused_whichever_comes_first(db, give, same_login):
    wrong = (IncompatiblePosts,) if give is grant else (DatabaseError,)
    for number, (held, wanted) in enumerate((a, b) for a in Post.values for b in Post.values):
        first = login(f"p{number}")
        second = first if same_login else login(f"q{number}", first.person)
        give(first, held)
        if frozenset({held, wanted}) in FORBIDDEN:
            with pytest.raises(wrong):
                give(second, wanted)
            assert PostAssignment.objects.filter(user__person=first.person).count() == 1
        elif held != wanted:
            give(second, wanted)


def test_the_refusal_names_the_post_that_stands_in_the_way(db):
    user = login("u")
    grant(user, "unit_clerk")

    with pytest.raises(IncompatiblePosts) as refusal:
        grant(user, "unit_sealer")

    assert (refusal.value.code, refusal.value.field, refusal.value.http_status) == ("incompatible_posts", "post", 403)
    assert refusal.value.facts == {"held": "unit_clerk", "wanted": "unit_sealer"}


def test_a_post_that_has_ended_stands_in_nobodys_way(db):
    user = login("u")
    end_post(assignment=grant(user, "unit_clerk"), last_day=date(2026, 3, 31))

    with pytest.raises(IncompatiblePosts):
        grant(user, "unit_sealer", valid_from=date(2026, 3, 31))
    assert grant(user, "unit_sealer", valid_from=date(2026, 4, 1)).post == "unit_sealer"


def test_an_ended_post_cannot_be_prolonged_over_its_successor_by_raw_sql(db):
    user = login("u")
    insert(user, "unit_clerk", valid_to=date(2026, 3, 31))
    insert(user, "unit_sealer", valid_from=date(2026, 4, 1))

    with pytest.raises(DatabaseError), transaction.atomic():
        PostAssignment.objects.filter(post="unit_clerk").update(valid_to=None)


def test_a_log_in_without_a_person_gets_no_post(db):
    user = User.objects.create(username="machine", adm_div_code="990100000")
    with pytest.raises(IncompatiblePosts) as refusal:
        grant(user, "unit_clerk")
    assert refusal.value.field == "user"


@pytest.mark.parametrize(("post", "unit"), [("unit_clerk", ""), ("voucher_maker", "101001")])
def test_a_unit_post_names_its_unit_and_a_bureau_post_does_not(db, post, unit):
    """A unit officer without a unit would see every unit of the region."""
    user = login("u")
    with pytest.raises(PostPlaceInvalid) as refusal:
        grant(user, post, unit_code=unit)
    assert (refusal.value.code, refusal.value.field) == ("post_place_invalid", "unit_code")
    with pytest.raises(IntegrityError):
        insert(user, post, unit=unit)


@pytest.mark.parametrize("give", [grant, insert], ids=["by the service", "by raw SQL"])
def test_different_posts_at_different_units_need_different_log_ins(db, give):
    """A log-in acts with all its posts at all its units: clerk here and reviewer there would be both at both."""
    user = login("u")
    give(user, "unit_clerk")
    place = {"unit_code": "101002"} if give is grant else {"unit": "101002"}

    with pytest.raises((IncompatiblePosts, DatabaseError)):
        give(user, "unit_reviewer", **place)

    give(user, "unit_clerk", **place)
    give(login("u2", user.person), "unit_reviewer", **place)
    assert PostAssignment.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_grants_at_the_same_moment_cannot_slip_past_each_other():
    user = login("u")
    second = login("u2", user.person)

    answers = acts.together(lambda: grant(user, "unit_clerk"), lambda: grant(second, "unit_sealer"))

    assert sorted(type(answer).__name__ for answer in answers) == ["IncompatiblePosts", "PostAssignment"]
    assert PostAssignment.objects.count() == 1


def test_seals_of_a_type_both_issue_are_those_of_the_senders_side():
    both = ["name_seal", "seal_keeper", "unit_name_seal", "unit_sealer", ""]
    assert of_side(both, unit=False) == [True, True, False, False, True]
    assert of_side(both, unit=True) == [False, False, True, True, True]
    for one in (["name_seal", "seal_keeper"], ["unit_sealer", ""], ["", ""], []):
        assert of_side(one, unit=True) == of_side(one, unit=False) == [True] * len(one)
