"""委托: letting another person act at a reviewing post, and acting so. Source: docs/review-chains.md §delegation.

Whoever acts for another acts as himself: own log-in, own UKey, own name with 代 beside it. The conflicts of both
persons hold: when the delegation is given, when a step is taken, and once more in triggers.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from core.actors import Actor
from core.calendar import business_date
from core.errors import NotFound
from parties.duties import DELEGABLE, Post, conflicting_posts
from parties.errors import DelegationEnded, DelegationInvalid, IncompatiblePosts
from parties.models import Delegation, Person, PostAssignment, User

LONGEST = timedelta(days=90)


@transaction.atomic(durable=True)
def delegate_post(
    *,
    assignment_id: UUID,
    delegate_id: int,
    valid_from: date,
    valid_to: date,
    reason: str,
    by: Actor,
    now: datetime,
) -> Delegation:
    """Let another person act at one of the actor's own posts, from `valid_from` to `valid_to`, both included.

    Locks both persons, so that a post given to either at the same moment cannot slip past.

    :raises NotFound: if the post is not the actor's own, or the other log-in is not of this region.
    :raises DelegationInvalid: naming the field.
    :raises IncompatiblePosts: if either holds in that time what the other may not.
    """
    if by.person_id is None or by.delegation_id is not None:
        raise NotFound("只能委托您本人的岗位。", field="assignment")
    today = business_date(by.adm_div_code, now)
    assignment = (
        PostAssignment.objects.select_related("user__person")
        .filter(pk=assignment_id, adm_div_code=by.adm_div_code, user__person_id=by.person_id)
        .first()
    )
    other = User.objects.select_related("person").filter(
        pk=delegate_id, adm_div_code=by.adm_div_code, is_active=True, person__isnull=False
    )
    delegate = other.first()
    if assignment is None:
        raise NotFound("只能委托您本人的岗位。", field="assignment")
    if delegate is None or delegate.person is None or assignment.user.person is None:
        raise NotFound("受托人不存在或不在本区划。", field="delegate")
    _check_terms(assignment, delegate, valid_from, valid_to, reason, today)
    pair = sorted([assignment.user.person.pk, delegate.person.pk])
    list(Person.objects.select_for_update().filter(pk__in=pair).order_by("pk"))
    _check_conflicts(assignment, delegate, valid_from, valid_to)
    return Delegation.objects.create(
        adm_div_code=by.adm_div_code,
        assignment=assignment,
        post=assignment.post,
        delegator=assignment.user.person,
        delegate=delegate,
        delegate_person=delegate.person,
        valid_from=valid_from,
        valid_to=valid_to,
        reason=reason.strip(),
        granted_at=now,
    )


def _check_terms(
    assignment: PostAssignment, delegate: User, valid_from: date, valid_to: date, reason: str, today: date
) -> None:
    if assignment.post not in DELEGABLE:
        raise DelegationInvalid(
            f"「{Post(assignment.post).label}」不能委托：印章、制单、对账和管理岗位须另行授予岗位。", field="assignment"
        )
    if hasattr(assignment, "emergency"):
        raise DelegationInvalid("应急岗位不能委托。", field="assignment")
    if not 0 < len(reason.strip()) <= 100:
        raise DelegationInvalid("请填写委托事由（不超过 100 字）。", field="reason")
    if valid_from < today:
        raise DelegationInvalid("起始日期不能早于今天。", field="valid_from")
    if not valid_from <= valid_to <= valid_from + LONGEST:
        raise DelegationInvalid(f"截止日期须在起始日期之后 {LONGEST.days} 天之内。", field="valid_to")
    if assignment.valid_from > valid_from or (assignment.valid_to is not None and assignment.valid_to < valid_to):
        raise DelegationInvalid("委托期须在您任岗的期间之内。", field="valid_to")
    if delegate.person_id == assignment.user.person_id:
        raise DelegationInvalid("不能委托给本人。", field="delegate")
    there = _posts_within([delegate.person_id], valid_from, valid_to)
    if not any(row.unit_code == assignment.unit_code for row in there):
        raise DelegationInvalid("受托人须在同一单位（或同在财政部门）任职。", field="delegate")


def _check_conflicts(assignment: PostAssignment, delegate: User, valid_from: date, valid_to: date) -> None:
    same = Delegation.objects.filter(assignment=assignment, revoked_at=None)
    if same.filter(valid_from__lte=valid_to, valid_to__gte=valid_from).exists():
        raise DelegationInvalid("这段时间该岗位已委托他人，请先撤销。", field="valid_from")
    theirs = {row.post for row in _posts_within([delegate.person_id], valid_from, valid_to)}
    for mine in _posts_within([assignment.user.person_id], valid_from, valid_to):
        clash = conflicting_posts(theirs, mine.post)
        if clash:
            raise IncompatiblePosts(
                f"受托人任「{Post(clash[0]).label}」，与您的「{Post(mine.post).label}」不相容，不能代办。",
                field="delegate",
                held=clash[0],
                wanted=mine.post,
            )


def _posts_within(persons: Iterable[UUID | None], start: date, end: date) -> list[PostAssignment]:
    rows = PostAssignment.objects.filter(user__person_id__in=list(persons), valid_from__lte=end)
    return list(rows.exclude(valid_to__lt=start))


@transaction.atomic(durable=True)
def revoke_delegation(*, delegation_id: UUID, by: Actor, now: datetime) -> Delegation:
    """Take a delegation back, at once: either of the two may. What was decided under it stays decided.

    :raises NotFound: if it is neither's; :raises DelegationEnded: if it was revoked before.
    """
    rows = Delegation.objects.select_for_update(no_key=True).filter(adm_div_code=by.adm_div_code)
    mine = Q(delegator_id=by.person_id) | Q(delegate_person_id=by.person_id)
    row = rows.filter(mine, pk=delegation_id).first()
    if row is None:
        raise NotFound("没有这项委托，或与您无关。", field="id")
    if row.revoked_at is not None:
        raise DelegationEnded("该委托已撤销。", field="id")
    row.revoked_at, row.revoked_by = now, by.name[:60]
    row.save(update_fields=["revoked_at", "revoked_by"])
    return row


def delegations_to(person_id: UUID | None, *, on: date) -> QuerySet[Delegation]:
    """Return by which delegations this person may act today."""
    rows = Delegation.objects.select_related("assignment", "delegator", "delegate__person").filter(
        delegate_person_id=person_id, revoked_at=None, valid_from__lte=on, valid_to__gte=on
    )
    held = Q(assignment__valid_to=None) | Q(assignment__valid_to__gte=on)
    return rows.filter(held, assignment__user__is_active=True).order_by("valid_to", "pk")


def acting_for(own: Actor, delegation_id: UUID, *, on: date) -> Actor:
    """Return the officer as the one who acts for another: with the delegated post alone, where its holder has it.

    :raises DelegationEnded: if there is no such delegation to this log-in today.
    """
    row = delegations_to(own.person_id, on=on).filter(pk=delegation_id, delegate_id=own.user_id).first()
    if row is None:
        raise DelegationEnded("没有这项委托，或已撤销、已到期。", field="for")
    assignment = row.assignment
    return Actor(
        name=own.name,
        roles=frozenset({row.post}),
        adm_div_code=own.adm_div_code,
        person_id=own.person_id,
        user_id=own.user_id,
        units=frozenset({assignment.unit_code} - {""}),
        sections=frozenset({assignment.section} - {""}),
        delegation_id=row.pk,
        for_person_id=row.delegator_id,
        for_name=row.delegator.name,
    )


def acting_note(by: Actor) -> str:
    """What an officer who acts for another signs beside the documents."""
    return f"代{by.for_name}办理" if by.for_name else ""


def hold_delegation(by: Actor, *, at: datetime) -> None:
    """Hold what the actor acts by until the transaction ends: a revocation comes before it or after it, not between.

    :raises DelegationEnded: if it holds no more.
    """
    if by.delegation_id is None:
        return
    list(Delegation.objects.select_for_update(no_key=True).filter(pk=by.delegation_id).values_list("pk"))
    rows = delegations_to(by.person_id, on=business_date(by.adm_div_code, at))
    if not rows.filter(pk=by.delegation_id, delegator_id=by.for_person_id).exists():
        raise DelegationEnded(f"{by.for_name}的委托已撤销或到期，不能再代为办理。", field="for")
