"""The books at a moment: what an indicator and its quota had at, say, 10:05, and which document brought them there."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, QuerySet, Sum

from budget.entries import INDICATOR_COLUMNS, QUOTA_COLUMNS
from budget.models import BudgetIndicator, BudgetYear, IndicatorEntry, Quota, QuotaEntry
from budget.terms import Layer, Source
from core.actors import Actor
from core.money import ZERO
from parties.selectors import visible_unit_codes


@dataclass(frozen=True)
class Moment:
    """The figures of an indicator at one instant (yuan), as its entries up to then say."""

    indicator: dict[str, Decimal]
    quota: dict[str, Decimal] | None
    layer: str

    @property
    def available(self) -> Decimal:
        """E1 at that instant."""
        now = self.indicator
        if self.layer == Layer.DEPARTMENT:
            return self.plannable
        return now["total"] - now["frozen"] - now["reserved"] - now["paid"] + now["refunded"]

    @property
    def plannable(self) -> Decimal:
        """E2 at that instant."""
        return self.indicator["total"] - self.indicator["frozen"] - self.indicator["planned"]

    @property
    def quota_available(self) -> Decimal | None:
        if self.quota is None:
            return None
        return self.quota["granted"] - self.quota["reserved"] - self.quota["spent"] + self.quota["refunded"]


def figures_at(indicator: BudgetIndicator, moment: datetime | None) -> Moment:
    """Return an indicator's figures at a moment, both ends included; None means now (two queries)."""
    quota = Quota.objects.filter(indicator=indicator).first()
    return Moment(
        indicator=_sums(entries_until(indicator, moment), INDICATOR_COLUMNS),
        quota=None if quota is None else _sums(quota_entries_until(quota, moment), QUOTA_COLUMNS),
        layer=indicator.layer,
    )


def entries_until(indicator: BudgetIndicator, moment: datetime | None) -> QuerySet[IndicatorEntry]:
    """Return the entries of an indicator up to a moment, in the order they were made."""
    rows = indicator.entries.order_by("at", "id")
    return rows if moment is None else rows.filter(at__lte=moment)


def quota_entries_until(quota: Quota, moment: datetime | None) -> QuerySet[QuotaEntry]:
    rows = quota.entries.order_by("at", "id")
    return rows if moment is None else rows.filter(at__lte=moment)


def _sums(entries: QuerySet[Any], columns: tuple[str, ...]) -> dict[str, Decimal]:
    found = entries.order_by().aggregate(**{column: Sum(f"{column}_change") for column in columns})
    return {column: found[column] or ZERO for column in columns}


@dataclass(frozen=True)
class Overdue:
    """Money from above that was not given on in time, with the days it is late."""

    indicator: BudgetIndicator
    due_on: date
    days_late: int


def overdue_indicators(actor: Actor, fiscal_year: int, today: date) -> list[Overdue]:
    """Return what was received from above and not wholly given on within the region's term, the oldest first.

    Source: Budget Law art. 52 (30 days); docs/budget.md §overdue.
    """
    year = BudgetYear.objects.filter(adm_div_code=actor.adm_div_code, fiscal_year=fiscal_year).first() or BudgetYear()
    rows = BudgetIndicator.objects.select_related("unit").filter(
        adm_div_code=actor.adm_div_code,
        fiscal_year=fiscal_year,
        layer=Layer.DEPARTMENT,
        source=Source.UPPER,
        received_on__lt=today - timedelta(days=year.issue_on_days),
        amount_total__gt=F("amount_planned"),
    )
    codes = visible_unit_codes(actor)
    found = []
    for row in (rows if codes is None else rows.filter(unit__code__in=codes)).order_by("received_on", "indicator_no"):
        assert row.received_on is not None, "asked for by its date"
        due = row.received_on + timedelta(days=year.issue_on_days)
        found.append(Overdue(row, due, (today - due).days))
    return found
