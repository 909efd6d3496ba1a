from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from django.db import models

from core.errors import NotFound, TreasuryError

CHUNK = 500


T = TypeVar("T", bound=models.Model)


@dataclass
class Outcome(Generic[T]):
    """What a batch did, item by item: the documents it accepted, and for each other id why not."""

    accepted: list[T] = field(default_factory=list)
    refused: dict[UUID, TreasuryError] = field(default_factory=dict)

    def raise_if_refused(self) -> None:
        """Turn the answer of a batch of one into an exception.

        :raises TreasuryError: the first refusal, if there is one.
        """
        for refusal in self.refused.values():
            raise refusal


def judge(found: Iterable[T], asked: Iterable[UUID], check: Callable[[T], object]) -> Outcome[T]:
    """Sort documents into accepted and refused; `check` raises a TreasuryError for a document it refuses.

    Ids that were asked for and not found (or not visible) are refused as not_found.
    """
    outcome: Outcome[T] = Outcome()
    by_id = {document.pk: document for document in found}
    for wanted in dict.fromkeys(asked):
        document = by_id.get(wanted)
        if document is None:
            outcome.refused[wanted] = NotFound("单据不存在或不在您的权限范围内。", field="id")
            continue
        try:
            check(document)
        except TreasuryError as refusal:
            outcome.refused[wanted] = refusal
        else:
            outcome.accepted.append(document)
    return outcome
