"""Loading a year's classification codes from the tables beside this file. Source: 政府收支分类科目 (subset)."""

import csv
from collections.abc import Iterator
from pathlib import Path

from django.db import transaction

from budget.codes import ClassificationCode, CodeKind, EconomicMapping
from core.batch import copy_rows

TABLES = Path(__file__).parent / "code_tables"
FILES = {
    CodeKind.FUNCTION: "expenditure_function.csv",
    CodeKind.GOV_ECONOMIC: "gov_economic.csv",
    CodeKind.DEPT_ECONOMIC: "dept_economic.csv",
    CodeKind.FUND_NATURE: "fund_nature.csv",
}


@transaction.atomic(savepoint=False)
def load_codes(*, fiscal_year: int) -> None:
    """Load every code table of a year that has none yet; a year already loaded is left as it is."""
    if ClassificationCode.objects.filter(fiscal_year=fiscal_year).exists():
        return
    codes = [
        ClassificationCode(fiscal_year=fiscal_year, kind=kind, code=row["code"], name=row["name"])
        for kind, file_name in FILES.items()
        for row in _rows(file_name)
    ]
    copy_rows(codes)
    copy_rows([EconomicMapping(fiscal_year=fiscal_year, **row) for row in _rows("economic_mapping.csv")])


def _rows(file_name: str) -> Iterator[dict[str, str]]:
    with (TABLES / file_name).open(encoding="utf-8-sig", newline="") as table:
        yield from csv.DictReader(table)
