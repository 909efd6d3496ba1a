"""Where a rule applies: lists of codes for each dimension; an empty or missing one does not narrow it."""

from collections.abc import Iterable, Mapping
from typing import Any

DIMENSIONS = {
    "sections": "业务科室",
    "units": "预算单位",
    "fund_natures": "资金性质",
    "tags": "资金标识",
    "payment_methods": "支付方式",
    "business_types": "业务类型",
}
_FACT_OF = {
    "sections": "section",
    "units": "unit_code",
    "fund_natures": "fund_nature",
    "payment_methods": "payment_mode",
    "business_types": "business_type",
}


def scope_findings(scope: object) -> list[str]:
    """Return what is wrong with a scope, in Chinese; empty if nothing is."""
    if not isinstance(scope, dict):
        return ["适用范围须为 JSON 对象。"]
    found = [f"适用范围没有「{name}」这一项。" for name in scope if name not in DIMENSIONS]
    for name, values in scope.items():
        if name not in DIMENSIONS:
            continue
        if not isinstance(values, list) or not all(isinstance(v, str) and v and len(v) <= 60 for v in values):
            found.append(f"适用范围「{DIMENSIONS[name]}」须为文本列表。")
    return found


def in_scope(scope: Mapping[str, Any], facts: Any) -> bool:
    """Whether a document lies within the scope; a dimension the document does not have cannot be narrowed to."""
    for name, wanted in scope.items():
        if not wanted:
            continue
        if name == "tags":
            if not any(word in tag for word in wanted for tag in getattr(facts, "tags", ())):
                return False
        elif not _fits(name, str(getattr(facts, _FACT_OF[name], "")), wanted):
            return False
    return True


def _fits(name: str, value: str, wanted: Iterable[str]) -> bool:
    """A unit is meant with the units below it: codes begin with the code of the unit above."""
    return value.startswith(tuple(wanted)) if name == "units" else value in wanted


def scope_text(scope: Mapping[str, Any]) -> str:
    """Return a scope in words."""
    said = [
        f"{DIMENSIONS[name]}：{'、'.join(values)}" for name, values in scope.items() if values and name in DIMENSIONS
    ]
    return "；".join(said) or "全部"
