"""Reads on codes, indicators and quotas."""

from collections.abc import Iterable

from django.db.models import QuerySet

from budget.codes import ClassificationCode, EconomicMapping
from budget.models import BudgetIndicator, Quota
from core.actors import Actor
from parties.selectors import visible_unit_codes


def code_names(fiscal_year: int, kind: str, codes: Iterable[str]) -> dict[str, str]:
    """Return the names of these codes in this year; a code that does not exist is missing (one query)."""
    rows = ClassificationCode.objects.filter(fiscal_year=fiscal_year, kind=kind, code__in=set(codes))
    return dict(rows.values_list("code", "name"))


def usable_code_names(fiscal_year: int, kind: str, codes: Iterable[str]) -> dict[str, str]:
    """Return the names of those of these codes that may still make new indicators (one query)."""
    rows = ClassificationCode.objects.filter(fiscal_year=fiscal_year, kind=kind, code__in=set(codes), ended=False)
    return dict(rows.values_list("code", "name"))


def legal_economic_pairs(fiscal_year: int, gov_codes: Iterable[str]) -> set[tuple[str, str, str]]:
    """Return the legal (government code, department code, unit nature) triples of these codes (one query)."""
    rows = EconomicMapping.objects.filter(fiscal_year=fiscal_year, gov_code__in=set(gov_codes))
    return set(rows.values_list("gov_code", "dept_code", "unit_nature"))


def is_legal_pair(pairs: set[tuple[str, str, str]], gov_code: str, dept_code: str, nature: str) -> bool:
    """参公 units follow the rows of administrative units."""
    nature = {"参公": "行政"}.get(nature, nature)
    return (gov_code, dept_code, nature) in pairs or (gov_code, dept_code, "全部") in pairs


def dept_codes_for(indicator: BudgetIndicator) -> list[ClassificationCode]:
    """Return the department economic codes a request on this indicator may choose from."""
    pairs = legal_economic_pairs(indicator.fiscal_year, [indicator.gov_economic_code])
    nature = indicator.unit.nature
    legal = {dept for gov, dept, _ in pairs if is_legal_pair(pairs, gov, dept, nature)}
    rows = ClassificationCode.objects.filter(fiscal_year=indicator.fiscal_year, kind="dept_economic", code__in=legal)
    return list(rows.order_by("code"))


def indicators_for(actor: Actor, fiscal_year: int) -> QuerySet[BudgetIndicator]:
    """Return the indicators the actor may see, with their quota."""
    rows = BudgetIndicator.objects.select_related("unit", "quota").filter(
        adm_div_code=actor.adm_div_code, fiscal_year=fiscal_year
    )
    codes = visible_unit_codes(actor)
    return (rows if codes is None else rows.filter(unit__code__in=codes)).order_by("indicator_no")


def quotas_for(actor: Actor, fiscal_year: int) -> QuerySet[Quota]:
    """Return the quotas the actor may see."""
    rows = Quota.objects.select_related("unit", "indicator", "payer_account").filter(
        adm_div_code=actor.adm_div_code, fiscal_year=fiscal_year
    )
    codes = visible_unit_codes(actor)
    return (rows if codes is None else rows.filter(unit__code__in=codes)).order_by("indicator__indicator_no")
