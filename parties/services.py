from datetime import date

from django.db import transaction

from core.actors import Actor
from parties.duties import UNIT_POSTS, Post, conflicting_posts
from parties.errors import IncompatiblePosts
from parties.models import PostAssignment, User


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
    """
    assert (post in UNIT_POSTS) == bool(unit_code), "a unit post names its unit, a bureau post does not"
    if user.person is None:
        raise IncompatiblePosts("该登录账号没有对应的人员，不能授予岗位。", field="user")
    type(user.person).objects.select_for_update().get(pk=user.person.pk)
    held = PostAssignment.objects.filter(user__person=user.person).exclude(valid_to__lt=valid_from)
    clash = conflicting_posts(held.values_list("post", flat=True), post)
    if clash:
        raise IncompatiblePosts(
            f"{user.person.name} 已任「{Post(clash[0]).label}」，不能兼任「{Post(post).label}」（不相容岗位）。",
            field="post",
            held=clash[0],
            wanted=post,
        )
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


@transaction.atomic(savepoint=False)
def end_post(*, assignment: PostAssignment, last_day: date) -> None:
    """Let a post end with this day; the row stays as history."""
    PostAssignment.objects.filter(pk=assignment.pk).update(valid_to=last_day)
