from datetime import datetime

from budget.entries import Context
from core.actors import Actor
from core.calendar import open_day


def context_for(actor: Actor, now: datetime) -> Context:
    """Return whose books and which open day this is; holds the day open until the transaction ends.

    :raises DayClosed: if no day is open.
    """
    day = open_day(actor.adm_div_code)
    return Context(
        adm_div_code=actor.adm_div_code,
        fiscal_year=day.fiscal_year,
        business_date=day.date,
        actor_name=actor.name,
        at=now,
    )


def action_keys(action_key: str, count: int) -> list[str]:
    """Return one key for each document an action makes; none if the caller gave no key."""
    return [f"{action_key}#{number}" for number in range(count)] if action_key else []
