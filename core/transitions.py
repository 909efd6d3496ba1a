"""State machines as tables of moves, and the one function that moves documents."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import pgtrigger
from django.db import models

from core.actors import Actor
from core.audit import current_request_id
from core.batch import copy_rows
from core.errors import Conflict, RoleRequired, TransitionNotAllowed
from core.models import Transition

D = TypeVar("D", bound=models.Model)


@dataclass(frozen=True)
class Move:
    """One row of a table: `role` names who may take it; several roles are separated by `|`."""

    action: str
    source: str
    target: str
    role: str


class StateMachine:
    """A table of allowed moves. What is not in the table is refused, never skipped."""

    def __init__(self, *moves: Move) -> None:
        self.moves = moves
        self._by_move = {(m.source, m.action): m for m in moves}
        assert len(self._by_move) == len(moves), "two rows for one move"

    def find(self, source: str, action: str) -> Move:
        """:raises TransitionNotAllowed: if the table has no such row."""
        try:
            return self._by_move[source, action]
        except KeyError:
            raise TransitionNotAllowed(
                f"当前状态不允许该操作（{source} / {action}）。", field="state", source=source, action=action
            ) from None

    def actions_from(self, source: str) -> list[str]:
        return [m.action for m in self.moves if m.source == source]

    def trigger(self, name: str, field: str = "state") -> pgtrigger.FSM:
        """Return the database trigger with the same edges, so that a bug or raw SQL cannot jump."""
        edges = sorted({(str(m.source), str(m.target)) for m in self.moves if m.source != m.target})
        return pgtrigger.FSM(name=name, field=field, transitions=edges)

    def guard(self, name: str) -> pgtrigger.Protect:
        """Return a trigger with the same edges for rows that move by the ten thousand: what is allowed is judged by
        its condition, in C, and only what is not reaches a function."""
        allowed = pgtrigger.Q(old__state=pgtrigger.F("new__state"))
        for source in sorted({str(m.source) for m in self.moves}):
            targets = sorted({str(m.target) for m in self.moves if str(m.source) == source})
            allowed |= pgtrigger.Q(old__state=source, new__state__in=targets)
        return pgtrigger.Protect(name=name, operation=pgtrigger.Update, condition=~allowed)


def check_move(flow: StateMachine, document: Any, action: str, by: Actor) -> Move:
    """Return the row of the table for this move.

    :raises TransitionNotAllowed: if the document is in no state for it.
    :raises RoleRequired: if the row belongs to somebody else.
    """
    step = flow.find(document.state, action)
    if by.roles.isdisjoint(step.role.split("|")):
        raise RoleRequired(f"该操作需要岗位：{step.role}。", field="role", role=step.role, by=by.name)
    return step


def move(
    flow: StateMachine,
    documents: Sequence[D],
    action: str,
    *,
    by: Actor,
    at: datetime,
    reason_code: str = "",
    reason: str = "",
) -> None:
    """Take one row of the table for many locked documents of one model and leave one event row for each.

    One UPDATE for each distinct (source, target), one COPY of events; the caller holds the row locks.

    :raises TransitionNotAllowed, RoleRequired: see `check_move`; nothing is written then.
    :raises Conflict: if a row is no longer in the state it was read in.
    """
    if not documents:
        return
    model = type(documents[0])
    groups: dict[tuple[str, str], list[D]] = defaultdict(list)
    events = []
    for document in documents:
        step = check_move(flow, document, action, by)
        groups[step.source, step.target].append(document)
        events.append(
            Transition(
                adm_div_code=document.adm_div_code,  # type: ignore[attr-defined]
                fiscal_year=document.fiscal_year,  # type: ignore[attr-defined]
                document_type=model._meta.label,
                document_id=document.pk,
                action=action,
                source=step.source,
                target=step.target,
                person_id=by.person_id,
                actor_name=by.written[:60],
                reason_code=reason_code,
                reason=reason,
                request_id=current_request_id(),
                at=at,
            )
        )
    for (source, target), members in groups.items():
        ids = [document.pk for document in members]
        moved = model._default_manager.filter(pk__in=ids, state=source).update(state=target)
        if moved != len(ids):
            raise Conflict("单据状态已被他人改变，请刷新后重试。", field="state")
        for document in members:
            document.state = target  # type: ignore[attr-defined]
    copy_rows(events)
