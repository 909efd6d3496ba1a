from datetime import date

from django.db.models import Q

from core.actors import Actor
from parties.models import BudgetUnit, PostAssignment, Region, User


def actor_of(user: User, *, on: date) -> Actor:
    """Return the actor behind a log-in, with the posts that are valid on this day (one query)."""
    posts = list(
        PostAssignment.objects.filter(user=user, valid_from__lte=on).filter(
            Q(valid_to__isnull=True) | Q(valid_to__gte=on)
        )
    )
    return Actor(
        name=user.person.name if user.person else user.username,
        roles=frozenset(p.post for p in posts),
        adm_div_code=user.adm_div_code,
        person_id=user.person_id,
        user_id=user.pk,
        units=frozenset(p.unit_code for p in posts if p.unit_code),
        sections=frozenset(p.section for p in posts if p.section),
    )


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
