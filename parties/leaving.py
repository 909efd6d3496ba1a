"""离岗: a person leaves, and with him everything he could act by, in one act. Source: docs/duties.md."""

from collections.abc import Callable
from datetime import date, datetime
from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q

from core.actors import Actor
from core.errors import Conflict, NotFound, RoleRequired
from parties.duties import Post
from parties.models import Delegation, Person, PostAssignment, User

ADMINISTRATORS = frozenset({Post.SYSTEM_ADMIN, Post.SECURITY_ADMIN})
OnLeaving = Callable[[UUID, datetime], None]
_also: list[OnLeaving] = []


def also_on_leaving(act: OnLeaving) -> None:
    """Let an upper app end what it has given to a person (certificates); called in the same transaction."""
    if act not in _also:
        _also.append(act)


@transaction.atomic(durable=True)
def let_go(*, person_id: UUID, on: date, by: Actor, now: datetime) -> Person:
    """End a person's log-ins, sessions, posts, delegations in both directions and certificates, at once.

    Posts end with this day, because what was done today was done in them; nobody can act in them any more, since no
    log-in is left. A decision under way comes before this or is refused.

    :raises RoleRequired: if the actor is no administrator; :raises Conflict: for oneself, or one who has left.
    """
    if by.roles.isdisjoint(ADMINISTRATORS):
        raise RoleRequired("办理离岗需要岗位：系统管理员或安全保密员。", field="role", by=by.name)
    person = (
        Person.objects.select_for_update()
        .filter(pk=person_id, pk__in=User.objects.filter(adm_div_code=by.adm_div_code).values("person_id"))
        .first()
    )
    if person is None:
        raise NotFound("人员不存在或不在本区划。", field="person")
    if person.left_on is not None:
        raise Conflict("该人员已离岗。", field="person", left_on=person.left_on.isoformat())
    if person.pk == by.person_id:
        raise Conflict("本人的离岗须由另一名管理员办理。", field="person")
    person.left_on = on
    person.save(update_fields=["left_on"])
    User.objects.filter(person=person).update(is_active=False)
    open_ended = Q(valid_to__isnull=True) | Q(valid_to__gt=on)
    PostAssignment.objects.filter(open_ended, user__person=person).update(valid_to=on)
    both = Q(delegator=person) | Q(delegate_person=person)
    Delegation.objects.filter(both, revoked_at=None).update(revoked_at=now, revoked_by=by.name[:60])
    for act in _also:
        act(person.pk, now)
    end_sessions(person.pk, now)
    return person


def end_sessions(person_id: UUID, now: datetime) -> None:
    """Log every log-in of the person out."""
    users = {str(pk) for pk in User.objects.filter(person_id=person_id).values_list("pk", flat=True)}
    open_ones = Session.objects.filter(expire_date__gt=now)
    theirs = [one.pk for one in open_ones.iterator() if one.get_decoded().get(SESSION_KEY) in users]
    Session.objects.filter(pk__in=theirs).delete()
