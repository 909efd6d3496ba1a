from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from django.db import connection

from budget.document_states import YearState
from budget.entries import Context
from budget.errors import YearClosed
from core.actors import Actor
from core.calendar import open_day
from core.errors import IdempotencyMismatch

D = TypeVar("D")


def context_for(actor: Actor, now: datetime) -> Context:
    """Return whose books and which open day this is; holds the day and its budget year open until the transaction ends.

    :raises DayClosed: if no day is open. :raises YearClosed: if the year is being closed or is closed.
    """
    day = open_day(actor.adm_div_code)
    hold_year(actor.adm_div_code, day.fiscal_year)
    return Context(
        adm_div_code=actor.adm_div_code,
        fiscal_year=day.fiscal_year,
        business_date=day.date,
        actor_name=actor.name,
        at=now,
    )


def hold_year(adm_div_code: str, fiscal_year: int) -> None:
    """Lock the budget year in share mode, so that nobody begins to close it under a running use case.

    :raises YearClosed: unless it is open; a region without a row for the year has not begun to keep one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state FROM budget_budgetyear WHERE adm_div_code = %s AND fiscal_year = %s FOR SHARE",
            [adm_div_code, fiscal_year],
        )
        row = cursor.fetchone()
    if row is not None and row[0] != YearState.OPEN:
        raise YearClosed(f"{fiscal_year} 年度正在年结或已年结，不能再办理该年度业务。", field="fiscal_year")


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
