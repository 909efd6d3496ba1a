from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from core.actors import Actor
from parties.models import BudgetUnit, PostAssignment, Region, User


def actor_of(user: User, *, on: date, now: datetime | None = None) -> Actor:
    """Return the actor behind a log-in, with the posts that are valid on this day (one query).

    :param now: an emergency post ends by the hour: it counts up to its end, and not at all where no hour is told.
    """
    rows = valid_posts(on).filter(user=user)
    by_the_hour = Q(emergency__isnull=True) if now is None else Q(emergency=None) | Q(emergency__ends_at__gt=now)
    posts = list(rows.filter(by_the_hour))
    return Actor(
        name=user.person.name if user.person else user.username,
        roles=frozenset(p.post for p in posts),
        adm_div_code=user.adm_div_code,
        person_id=user.person_id,
        user_id=user.pk,
        units=frozenset(p.unit_code for p in posts if p.unit_code),
        sections=frozenset(p.section for p in posts if p.section),
    )


def valid_posts(on: date) -> QuerySet[PostAssignment]:
    """Return the assignments that count on this day."""
    return PostAssignment.objects.filter(valid_from__lte=on).filter(Q(valid_to__isnull=True) | Q(valid_to__gte=on))


@dataclass(frozen=True)
class Holders:
    """Who holds which posts in a region on a day."""

    by_post: dict[str, list[PostAssignment]]

    def of(self, post: str, unit: BudgetUnit) -> list[PostAssignment]:
        """Return the assignments by which somebody may act at this post on documents of this unit."""
        return [
            row
            for row in self.by_post.get(post, [])
            if row.unit_code in ("", unit.code) and row.section in ("", unit.section)
        ]


def holders(adm_div_code: str, posts: Iterable[str], on: date) -> Holders:
    """Read who holds these posts today and can log in (one query)."""
    found: dict[str, list[PostAssignment]] = defaultdict(list)
    rows = valid_posts(on).filter(adm_div_code=adm_div_code, post__in=set(posts), user__is_active=True)
    for row in rows.select_related("user__person").order_by("post", "user__username"):
        found[row.post].append(row)
    return Holders(dict(found))


def region(adm_div_code: str) -> Region:
    return Region.objects.get(adm_div_code=adm_div_code)


def visible_unit_codes(actor: Actor) -> list[str] | None:
    """Return the unit codes the actor may see, or None for every unit of the region."""
    if actor.units:
        return sorted(actor.units)
    if actor.sections:
        units = BudgetUnit.objects.filter(adm_div_code=actor.adm_div_code, section__in=actor.sections)
        return sorted(units.values_list("code", flat=True))
    return None


def persons_of(posts: Iterable[PostAssignment]) -> set[UUID]:
    return {row.user.person_id for row in posts if row.user.person_id is not None}
