from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from budget.entries import Context
from core.actors import Actor
from core.calendar import open_day
from core.errors import IdempotencyMismatch

D = TypeVar("D")


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


def made_before(made: Mapping[str, D], keys: Sequence[str]) -> list[D]:
    """Return what an action made the first time, in order.

    :raises IdempotencyMismatch: if the same key now asks for more or fewer documents than it made.
    """
    if set(made) != set(keys):
        raise IdempotencyMismatch("同一操作键的内容不同，请刷新页面后重试。", field="action_key")
    return [made[key] for key in keys]
