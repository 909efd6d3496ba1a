from datetime import date

from django.db import transaction
from django.db.models import Q

from core.actors import Actor
from parties.duties import UNIT_POSTS, Post, conflicting_posts
from parties.errors import IncompatiblePosts, PostPlaceInvalid
from parties.models import Delegation, Person, PostAssignment, User


@transaction.atomic(savepoint=False)
def grant_post(
    *,
    user: User,
    post: str,
    valid_from: date,
    granted_by: Actor,
    unit_code: str = "",
    section: str = "",
    valid_to: date | None = None,
) -> PostAssignment:
    """Give a log-in a post, unless its natural person holds one that may not be combined with it.

    Locks the person's row, so that two grants at once cannot slip past each other; a trigger checks again.

    :raises IncompatiblePosts: naming the post that stands in the way.
    :raises PostPlaceInvalid: if a unit post names no unit, or a bureau post does.
    """
    if user.person is not None:
        type(user.person).objects.select_for_update().get(pk=user.person.pk)
    check_grant(user=user, post=post, unit_code=unit_code, valid_from=valid_from, valid_to=valid_to)
    return PostAssignment.objects.create(
        adm_div_code=user.adm_div_code,
        user=user,
        post=post,
        unit_code=unit_code,
        section=section,
        valid_from=valid_from,
        valid_to=valid_to,
        granted_by=granted_by.name,
    )


def check_grant(
    *,
    user: User,
    post: str,
    unit_code: str,
    valid_from: date,
    valid_to: date | None = None,
    instead_of: PostAssignment | None = None,
) -> None:
    """Check a post to be given, or (`instead_of`) changed; the same rules as the trigger and constraint beneath.

    :raises IncompatiblePosts, PostPlaceInvalid: see `grant_post`.
    """
    if (post in UNIT_POSTS) != bool(unit_code):
        raise PostPlaceInvalid("单位岗位须指明单位，财政岗位不得指明单位。", field="unit_code")
    if user.person is None:
        raise IncompatiblePosts("该登录账号没有对应的人员，不能授予岗位。", field="user")
    if user.person.left_on is not None:
        raise IncompatiblePosts(f"{user.person.name} 已离岗，不能授予岗位。", field="user")
    held = PostAssignment.objects.filter(user__person=user.person).exclude(valid_to__lt=valid_from)
    if valid_to is not None:
        held = held.exclude(valid_from__gt=valid_to)
    if instead_of is not None:
        held = held.exclude(pk=instead_of.pk)
    clash = conflicting_posts(held.values_list("post", flat=True), post)
    if clash:
        raise IncompatiblePosts(
            f"{user.person.name} 已任「{Post(clash[0]).label}」，不能兼任「{Post(post).label}」（不相容岗位）。",
            field="post",
            held=clash[0],
            wanted=post,
        )
    _check_partners(user.person, post, valid_from, valid_to)
    elsewhere = held.filter(user=user).exclude(unit_code="").exclude(unit_code=unit_code).exclude(post=post).first()
    if unit_code and elsewhere is not None:  # a log-in acts with all its posts at all its units
        raise IncompatiblePosts(
            "同一登录账号不能在不同单位任不同岗位，请另开登录账号。", field="post", held=elsewhere.post, wanted=post
        )


def _check_partners(person: Person, post: str, valid_from: date, valid_to: date | None) -> None:
    """While one acts for the other (委托) two persons count as one: neither may get what the other may not hold."""
    last = valid_to or date.max
    bound = Delegation.objects.filter(
        Q(delegator=person) | Q(delegate_person=person), revoked_at=None, valid_from__lte=last, valid_to__gte=valid_from
    )
    for delegation in bound.select_related("delegator", "delegate_person"):
        other = delegation.delegate_person if delegation.delegator_id == person.pk else delegation.delegator
        theirs = PostAssignment.objects.filter(
            user__person=other, valid_from__lte=min(last, delegation.valid_to)
        ).exclude(valid_to__lt=max(valid_from, delegation.valid_from))
        clash = conflicting_posts(theirs.values_list("post", flat=True), post)
        if clash:
            raise IncompatiblePosts(
                f"{person.name} 与 {other.name} 之间有委托，{other.name} 任「{Post(clash[0]).label}」，"
                f"委托期内不能授予「{Post(post).label}」（不相容岗位）。",
                field="post",
                held=clash[0],
                wanted=post,
            )


@transaction.atomic(savepoint=False)
def end_post(*, assignment: PostAssignment, last_day: date) -> None:
    """Let a post end with this day; the row stays as history."""
    PostAssignment.objects.filter(pk=assignment.pk).update(valid_to=last_day)
