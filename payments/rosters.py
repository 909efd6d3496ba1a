"""Who knows the list behind a payment. Rosters lie above payments, so they register themselves here (`ready()`)."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from monitoring.facts import RosterFacts
from payments.models import PaymentRequest

Source = Callable[[Sequence[PaymentRequest]], Mapping[UUID, RosterFacts]]
_sources: list[Source] = []


def register(source: Source) -> None:
    """Name a function that tells, for requests, what the rules should know of the salary or benefit list behind each.

    It answers only for requests that have a list of its own, in a number of statements that does not depend on how
    many requests there are.
    """
    if source not in _sources:
        _sources.append(source)


def rosters_behind(requests: Sequence[PaymentRequest]) -> dict[UUID, RosterFacts]:
    """Return the list behind each request that has one, by request id."""
    found: dict[UUID, RosterFacts] = {}
    for source in _sources if requests else ():
        found |= source(requests)
    return found
