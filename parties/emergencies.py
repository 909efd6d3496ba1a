"""应急岗位: a post given by two administrators for at most a day, that ends by itself. Source: docs/duties.md."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.calendar import business_date
from core.errors import Conflict, NotFound, RoleRequired
from parties.duties import ADMIN_POSTS, Post
from parties.errors import EmergencyInvalid, FourEyes
from parties.leaving import ADMINISTRATORS
from parties.models import EmergencyAsk, EmergencyPost, User
from parties.services import check_grant, grant_post

MOST_HOURS = 24


@transaction.atomic(durable=True)
def ask_emergency_post(
    *,
    user_id: int,
    post: str,
    hours: int,
    reason: str,
    by: Actor,
    now: datetime,
    unit_code: str = "",
    section: str = "",
) -> EmergencyAsk:
    """Ask that a log-in be given a post for some hours; another administrator has to agree.

    :raises EmergencyInvalid, IncompatiblePosts, PostPlaceInvalid: naming the field: no emergency breaks the matrix.
    :raises FourEyes: for oneself.
    """
    _check_administrator(by)
    assert by.person_id is not None
    user = User.objects.select_related("person").filter(pk=user_id, adm_div_code=by.adm_div_code, is_active=True)
    wanted = user.first()
    if wanted is None:
        raise NotFound("登录账号不存在或不在本区划。", field="user")
    if post not in Post.values or post in ADMIN_POSTS:
        raise EmergencyInvalid("应急岗位只限业务岗位。", field="post")
    if not 1 <= hours <= MOST_HOURS:
        raise EmergencyInvalid(f"应急岗位须为 1–{MOST_HOURS} 小时。", field="hours")
    if not 0 < len(reason.strip()) <= 200:
        raise EmergencyInvalid("请填写事由（不超过 200 字）。", field="reason")
    if wanted.person_id == by.person_id:
        raise FourEyes("不能为本人申请应急岗位。", field="user")
    day = business_date(by.adm_div_code, now)
    check_grant(user=wanted, post=post, unit_code=unit_code, valid_from=day, valid_to=day + timedelta(days=1))
    return EmergencyAsk.objects.create(
        adm_div_code=by.adm_div_code,
        user=wanted,
        post=post,
        unit_code=unit_code,
        section=section,
        hours=hours,
        reason=reason.strip(),
        asked_by_id=by.person_id,
        asked_at=now,
    )


@transaction.atomic(durable=True)
def decide_emergency_post(*, ask_id: UUID, agreed: bool, by: Actor, now: datetime) -> EmergencyPost | None:
    """Give the post that another administrator asked for, from now on for its hours; or decline it.

    :raises FourEyes: for whoever asked, and for whoever would get it.
    :raises Conflict: if it was decided before.
    """
    _check_administrator(by)
    assert by.person_id is not None
    ask = (
        EmergencyAsk.objects.select_for_update(of=("self",))
        .select_related("user__person")
        .filter(pk=ask_id, adm_div_code=by.adm_div_code)
        .first()
    )
    if ask is None:
        raise NotFound("没有这项应急申请。", field="id")
    if ask.closed_at is not None:
        raise Conflict("该应急申请已有人办理。", field="id")
    if agreed and by.person_id in (ask.asked_by_id, ask.user.person_id):
        raise FourEyes("应急岗位须由另一名管理员核准。", field="id", by=by.name)
    ask.closed_at = now
    ask.save(update_fields=["closed_at"])
    if not agreed:
        return None
    day = business_date(by.adm_div_code, now)
    assignment = grant_post(
        user=ask.user,
        post=ask.post,
        unit_code=ask.unit_code,
        section=ask.section,
        valid_from=day,
        valid_to=day + timedelta(days=1),
        granted_by=by,
    )
    return EmergencyPost.objects.create(
        assignment=assignment,
        reason=ask.reason,
        asked_by_id=ask.asked_by_id,
        asked_at=ask.asked_at,
        granted_by_id=by.person_id,
        granted_at=now,
        ends_at=now + timedelta(hours=ask.hours),
    )


def _check_administrator(by: Actor) -> None:
    if by.roles.isdisjoint(ADMINISTRATORS):
        raise RoleRequired("办理应急岗位需要岗位：系统管理员或安全保密员。", field="role", by=by.name)
