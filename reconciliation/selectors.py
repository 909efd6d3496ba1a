"""Reading sheets for pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Prefetch, QuerySet

from reconciliation.blockers import latest_sheets
from reconciliation.models import Discrepancy, Sheet, Statement
from reconciliation.states import DiscrepancyState, Pair

_ORDER = {pair.value: index for index, pair in enumerate(Pair)}


def sheets_of_day(adm_div_code: str, day: date) -> list[Sheet]:
    """Return the last run of each comparison of a day, in the order of `Pair`, with `discrepancies` read along."""
    ids = [sheet.id for sheet in latest_sheets(adm_div_code, day).values()]
    rows = _with_discrepancies(Sheet.objects.filter(pk__in=ids))
    return sorted(rows, key=lambda sheet: (_ORDER[sheet.pair], sheet.partner))


def runs_of(sheet: Sheet) -> QuerySet[Sheet]:
    """Return every run of the same comparison, first run first."""
    runs = Sheet.objects.filter(
        adm_div_code=sheet.adm_div_code, date=sheet.date, pair=sheet.pair, partner=sheet.partner
    )
    return _with_discrepancies(runs).order_by("run")


def open_discrepancies(adm_div_code: str) -> QuerySet[Discrepancy]:
    """Return what waits for somebody, oldest first."""
    rows = Discrepancy.objects.filter(adm_div_code=adm_div_code, state=DiscrepancyState.OPEN)
    return rows.select_related("sheet").order_by("pk")


def statements_of_day(adm_div_code: str, day: date) -> QuerySet[Statement]:
    """Return the reports that came for a day, in the order they came."""
    return Statement.objects.filter(adm_div_code=adm_div_code, date=day).order_by("message_id")


@dataclass(frozen=True)
class SheetRow:
    """One line of the day's reconciliation table, in yuan."""

    pair: str
    partner_name: str
    our_amount: Decimal
    their_amount: Decimal
    difference: Decimal
    state: str


def summary(sheets: Sequence[Sheet]) -> list[SheetRow]:
    """Return the table of a day's sheets for print and comparison."""
    return [
        SheetRow(
            sheet.get_pair_display(),
            sheet.partner_name,
            sheet.our_amount,
            sheet.their_amount,
            sheet.difference,
            sheet.get_state_display(),
        )
        for sheet in sheets
    ]


def _with_discrepancies(sheets: QuerySet[Sheet]) -> QuerySet[Sheet]:
    return sheets.prefetch_related(Prefetch("discrepancies", Discrepancy.objects.order_by("type", "voucher_no", "pk")))
