"""Posting to the balances: entries by COPY, balances by one UPDATE … FROM (VALUES …) with the sums, in key order.

The caller holds the locks (`lock_balances`), has checked what is available, and calls this last: a hot row is
then locked for as short as possible.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from budget.models import (
    BudgetIndicator,
    ClearingLimit,
    ClearingLimitEntry,
    EntryModel,
    IndicatorEntry,
    Quota,
    QuotaEntry,
)
from core.batch import copy_rows, update_from_values
from core.money import ZERO

INDICATOR_COLUMNS = ("total", "frozen", "reserved", "paid", "refunded", "planned")
QUOTA_COLUMNS = ("granted", "reserved", "spent", "refunded")
LIMIT_COLUMNS = ("issued", "cleared", "refunded")

E = TypeVar("E", bound=EntryModel)


@dataclass(frozen=True)
class Posting:
    """What one document does to its indicator and quota: changes by column, in yuan."""

    indicator_id: UUID
    kind: str
    indicator: dict[str, Decimal]
    quota_id: UUID | None = None
    quota: dict[str, Decimal] | None = None
    document_type: str = ""
    document_id: UUID | None = None
    note: str = ""


@dataclass(frozen=True)
class Context:
    """Whose books, which day, who and when: the same for a whole batch."""

    adm_div_code: str
    fiscal_year: int
    business_date: date
    actor_name: str
    at: datetime


@dataclass(frozen=True)
class Balances:
    """Locked rows by id."""

    indicators: dict[UUID, BudgetIndicator]
    quotas: dict[UUID, Quota]


def lock_balances(indicator_ids: Iterable[UUID], quota_ids: Iterable[UUID] = ()) -> Balances:
    """Lock quotas, then indicators, each in key order. Lock order of the whole system: voucher, document, quota,
    indicator, clearing limit (docs/adr/0004)."""
    quotas = Quota.objects.select_for_update(no_key=True).filter(pk__in=set(quota_ids)).order_by("pk")
    by_quota = {quota.id: quota for quota in quotas}
    indicators = BudgetIndicator.objects.select_for_update(no_key=True).filter(pk__in=set(indicator_ids)).order_by("pk")
    return Balances({indicator.id: indicator for indicator in indicators}, by_quota)


def post(postings: Sequence[Posting], context: Context) -> None:
    """Write the entries and move the balances; four statements whatever the number of postings.

    :raises django.db.IntegrityError: if a balance would break E1, E2 or go below zero (a bug in the caller's check).
    """
    _post(
        [
            IndicatorEntry(indicator_id=p.indicator_id, **_common(p, context), **_changes(p.indicator))
            for p in postings
            if p.indicator
        ],
        BudgetIndicator,
        "indicator_id",
        INDICATOR_COLUMNS,
    )
    _post(
        [
            QuotaEntry(quota_id=p.quota_id, **_common(p, context), **_changes(p.quota))
            for p in postings
            if p.quota_id and p.quota
        ],
        Quota,
        "quota_id",
        QUOTA_COLUMNS,
    )


@dataclass(frozen=True)
class LimitPosting:
    """What one document does to a clearing limit."""

    limit_id: UUID
    kind: str
    changes: dict[str, Decimal]
    document_type: str = ""
    document_id: UUID | None = None
    note: str = ""


def post_limits(postings: Sequence[LimitPosting], context: Context) -> None:
    """Write clearing limit entries and move the limits; two statements."""
    _post(
        [ClearingLimitEntry(limit_id=p.limit_id, **_common(p, context), **_changes(p.changes)) for p in postings],
        ClearingLimit,
        "limit_id",
        LIMIT_COLUMNS,
    )


def _post(entries: Sequence[E], balance: type[Any], key: str, columns: tuple[str, ...]) -> None:
    sums: dict[UUID, list[Decimal]] = defaultdict(lambda: [ZERO] * len(columns))
    for entry in entries:
        row = sums[getattr(entry, key)]
        for index, column in enumerate(columns):
            row[index] += getattr(entry, f"{column}_change")
    copy_rows(entries)
    changed = {f"amount_{column}": "numeric" for column in columns}
    update_from_values(balance, changed, [(pk, *row) for pk, row in sorted(sums.items())], add=True)


def _common(posting: Posting | LimitPosting, context: Context) -> dict[str, Any]:
    return {
        "adm_div_code": context.adm_div_code,
        "fiscal_year": context.fiscal_year,
        "business_date": context.business_date,
        "actor_name": context.actor_name,
        "at": context.at,
        "kind": posting.kind,
        "document_type": posting.document_type,
        "document_id": posting.document_id,
        "note": posting.note,
    }


def _changes(changes: dict[str, Decimal] | None) -> dict[str, Decimal]:
    return {f"{column}_change": amount for column, amount in (changes or {}).items()}
