"""Reading the lines of a 指标文: every finding at once, named by line and field; nothing is written here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from budget.codes import CodeKind
from budget.entries import Context
from budget.errors import CodeUnknown, DocumentInvalid
from budget.models import BudgetIndicator, DocumentKind, IndicatorLine, PaymentMode
from budget.payer_accounts import filed_accounts, payer_account_of
from budget.selectors import usable_code_names
from budget.terms import (
    COPIED,
    INHERITED,
    Benefit,
    BudgetClass,
    DirectFund,
    Layer,
    Sanbao,
    Source,
    Terms,
    labels_of,
)
from budget.transfer_rules import Side, transfer_findings
from core.errors import NotFound, TreasuryError, ValidationFailed
from core.money import check_positive
from parties.models import BankAccount, BudgetUnit

MOST_LINES = 2000
TAKES_AWAY = frozenset({DocumentKind.REDUCE, DocumentKind.RECOVER, DocumentKind.TAKE_BACK, DocumentKind.UNFREEZE})
MAKES_NEW = frozenset({DocumentKind.INITIAL, DocumentKind.ADD, DocumentKind.SPLIT})
CHOICES: dict[str, tuple[type, bool]] = {  # field → its choices, and whether it may be empty
    "layer": (Layer, False),
    "payment_mode": (PaymentMode, False),
    "source": (Source, False),
    "budget_class": (BudgetClass, True),
    "sanbao": (Sanbao, False),
    "direct_fund": (DirectFund, False),
    "benefit": (Benefit, False),
}
LENGTHS = {"project_code": 21, "project_name": 100, "upper_doc_no": 60, "payer_account_no": 32}


@dataclass(frozen=True)
class LineInput:
    """By how much an indicator changes, in yuan: of a transfer with its sign, else positive. A new indicator has
    `terms`; what is given on by a split names its `parent_id`, and from there takes over what may not change."""

    amount: Decimal
    indicator_id: UUID | None = None
    parent_id: UUID | None = None
    terms: Terms | None = None
    payer_account_no: str = ""


@dataclass(frozen=True)
class _Books:
    """What lines are checked against, read once for all of them."""

    context: Context
    units: dict[str, BudgetUnit]
    indicators: dict[UUID, BudgetIndicator]
    functions: dict[str, str]
    economic: dict[str, str]
    funds: dict[str, str]
    accounts: list[BankAccount]


def read_lines(kind: DocumentKind, inputs: Sequence[LineInput], context: Context) -> list[IndicatorLine]:
    """Return unsaved lines; the number of SQL statements does not depend on how many there are.

    :raises DocumentInvalid: for none or too many. :raises ValidationFailed: with every finding.
    """
    if not 1 <= len(inputs) <= MOST_LINES:
        raise DocumentInvalid(f"一份指标文应有 1 至 {MOST_LINES} 行。", field="lines")
    books = _read(inputs, context)
    lines: list[IndicatorLine] = []
    found: list[TreasuryError] = []
    for number, given in enumerate(inputs, start=1):
        try:
            lines.append(_line(kind, given, books))
        except ValidationFailed as several:
            found += [_at(number, finding) for finding in several.findings]
        except TreasuryError as finding:
            found.append(_at(number, finding))
    found = found or list(_together(kind, lines))
    if found:
        raise ValidationFailed(found)
    return lines


def side_of(line: IndicatorLine) -> Side:
    """Return a line as the transfer rules look at it."""
    return Side(
        amount=line.amount,
        unit_code=line.unit.code,
        fiscal_year=line.fiscal_year,
        fund_nature=line.fund_nature,
        function_code=line.function_code,
        gov_economic_code=line.gov_economic_code,
        budget_class=line.budget_class,
        sanbao=line.sanbao,
        direct_fund=line.direct_fund,
    )


def _read(inputs: Sequence[LineInput], context: Context) -> _Books:
    terms = [given.terms for given in inputs if given.terms is not None]
    units = BudgetUnit.objects.filter(adm_div_code=context.adm_div_code, code__in={t.unit_code for t in terms})
    wanted = {pk for given in inputs for pk in (given.indicator_id, given.parent_id) if pk is not None}
    rows = BudgetIndicator.objects.select_related("unit", "quota").filter(
        pk__in=wanted, adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year
    )
    year = context.fiscal_year
    return _Books(
        context=context,
        units={unit.code: unit for unit in units},
        indicators={row.id: row for row in rows},
        functions=usable_code_names(year, CodeKind.FUNCTION, [t.function_code for t in terms]),
        economic=usable_code_names(year, CodeKind.GOV_ECONOMIC, [t.gov_economic_code for t in terms]),
        funds=usable_code_names(year, CodeKind.FUND_NATURE, [t.fund_nature for t in terms]),
        accounts=filed_accounts(context.adm_div_code) if terms else [],
    )


def _line(kind: DocumentKind, given: LineInput, books: _Books) -> IndicatorLine:
    if kind == DocumentKind.TRANSFER and isinstance(given.amount, Decimal) and given.amount.is_finite():
        check_positive(abs(given.amount), field="amount")
        amount = given.amount
    else:
        check_positive(given.amount, field="amount")
        amount = -given.amount if kind in TAKES_AWAY else given.amount
    where = {"adm_div_code": books.context.adm_div_code, "fiscal_year": books.context.fiscal_year, "amount": amount}
    parent = _parent(kind, given, books)
    if given.indicator_id is None:
        return IndicatorLine(parent=parent, **where, **_new(kind, given, parent, books))
    indicator = books.indicators.get(given.indicator_id)
    if indicator is None:
        raise NotFound("指标不存在。", field="indicator_id")
    _check_existing(kind, indicator, given)
    return IndicatorLine(
        indicator=indicator,
        parent_id=indicator.parent_id,
        payment_mode=indicator.payment_mode,
        **{name: getattr(indicator, name) for name in COPIED},
        **where,
    )


def _check_existing(kind: DocumentKind, indicator: BudgetIndicator, given: LineInput) -> None:
    if kind == DocumentKind.INITIAL:
        raise DocumentInvalid("年初指标文只用于新指标；已有指标请用追加。", field="indicator_id")
    if kind == DocumentKind.SPLIT and (indicator.parent_id is None or indicator.parent_id != given.parent_id):
        raise DocumentInvalid("该指标不是由所选待分配指标分配的。", field="indicator_id")
    if kind == DocumentKind.TAKE_BACK and indicator.parent_id is None:
        raise DocumentInvalid("该指标不是由待分配指标分配的，请用追减。", field="indicator_id")
    if kind == DocumentKind.TRANSFER and indicator.layer == Layer.DEPARTMENT:
        raise DocumentInvalid("调剂只在单位可执行指标之间进行；待分配指标请用分配或收回分配。", field="indicator_id")


def _parent(kind: DocumentKind, given: LineInput, books: _Books) -> BudgetIndicator | None:
    if kind != DocumentKind.SPLIT:
        if given.parent_id is not None:
            raise DocumentInvalid("只有分配才填写待分配指标。", field="parent_id")
        return None
    parent = books.indicators.get(given.parent_id) if given.parent_id is not None else None
    if parent is None:
        raise NotFound("待分配指标不存在。", field="parent_id")
    if parent.layer != Layer.DEPARTMENT:
        raise DocumentInvalid("只能由待分配指标分配。", field="parent_id")
    return parent


def _new(kind: DocumentKind, given: LineInput, parent: BudgetIndicator | None, books: _Books) -> dict[str, Any]:
    """:raises ValidationFailed: with every field of the terms that cannot be taken."""
    if kind not in MAKES_NEW or given.terms is None:
        raise DocumentInvalid("请选择指标。", field="indicator_id")
    terms = given.terms
    values = {field.name: getattr(terms, field.name) for field in fields(Terms) if field.name != "unit_code"}
    if parent is not None:
        values |= {name: getattr(parent, name) for name in INHERITED} | {"layer": Layer.UNIT}
        values |= {
            name: values[name] or getattr(parent, name) for name in ("budget_class", "project_code", "project_name")
        }
    found: list[TreasuryError] = []
    unit = books.units.get(terms.unit_code)
    if unit is None:
        found.append(NotFound(f"预算单位 {terms.unit_code[:20]} 不存在。", field="unit_code"))
    elif parent is not None and unit.department_code != parent.unit.department_code:
        found.append(DocumentInvalid("只能分配给同一主管部门的单位；其他部门请用调剂。", field="unit_code"))
    found += _code_findings(values, parent, books)
    found += _choice_findings(values)
    found += [
        DocumentInvalid(f"过长（最多 {most} 字）或含有不可见字符。", field=name)
        for name, most in LENGTHS.items()
        for text in [given.payer_account_no if name == "payer_account_no" else values[name]]
        if len(text) > most or not text.isprintable()
    ]
    if values["source"] == Source.UPPER and not (values["upper_doc_no"] and isinstance(values["received_on"], date)):
        found.append(DocumentInvalid("上级资金须填写上级文号和收文日期。", field="upper_doc_no"))
    if values["source_level"] not in (None, 1, 2, 3, 4, 5):
        found.append(DocumentInvalid("来源级次应为 1 至 5。", field="source_level"))
    account = None
    if not found and unit is not None and values["layer"] == Layer.UNIT:
        account = payer_account_of(
            books.accounts, unit, values["payment_mode"], values["fund_nature"], given.payer_account_no
        )
    if found:
        raise ValidationFailed(found)
    line = {**values, "unit": unit, "payer_account": account}
    line["tags"] = labels_of(terms if parent is None else parent)
    return line


def _code_findings(values: dict[str, Any], parent: BudgetIndicator | None, books: _Books) -> list[TreasuryError]:
    found: list[TreasuryError] = []
    checks: tuple[tuple[str, str, dict[str, str], Callable[[str], bool]], ...] = (
        ("function_code", "功能分类科目", books.functions, lambda code: len(code) == 7),
        ("gov_economic_code", "政府经济分类科目", books.economic, lambda code: len(code) == 5),
    )
    for field, label, known, is_leaf in checks:
        code = values[field]
        if code not in known:
            found.append(CodeUnknown(f"{label} {code[:20]} 在本年度不存在或已停用。", field=field, given=code[:20]))
        elif not is_leaf(code):
            found.append(CodeUnknown(f"{label} {code} 不是末级，请用末级科目。", field=field, given=code))
    if parent is None and values["fund_nature"] not in books.funds:
        given = values["fund_nature"][:20]
        found.append(CodeUnknown(f"资金性质 {given} 在本年度不存在或已停用。", field="fund_nature", given=given))
    if parent is not None and values["function_code"] != parent.function_code:
        found.append(DocumentInvalid(f"功能分类须与待分配指标 {parent.function_code} 一致。", field="function_code"))
    return found


def _choice_findings(values: dict[str, Any]) -> list[TreasuryError]:
    return [
        DocumentInvalid(f"{field} 的值 {str(values[field])[:20]} 不在代码表内。", field=field)
        for field, (choices, may_be_empty) in CHOICES.items()
        if values[field] not in choices.values and not (may_be_empty and values[field] == "")  # type: ignore[attr-defined]
    ]


def _together(kind: DocumentKind, lines: Sequence[IndicatorLine]) -> list[TreasuryError]:
    """What only the lines together show."""
    named = [line.indicator_id for line in lines if line.indicator_id is not None]
    if len(named) != len(set(named)):
        return [DocumentInvalid("同一指标在一份指标文中只能出现一次。", field="lines")]
    if kind == DocumentKind.TRANSFER:
        return [*transfer_findings([side_of(line) for line in lines])]
    direct = {line.direct_fund != DirectFund.NONE for line in lines}
    if kind in (DocumentKind.INITIAL, DocumentKind.ADD) and len(direct) > 1:
        return [DocumentInvalid("直达资金须单独下达，不能与其他资金同列一份指标文。", field="direct_fund")]
    return []


def _at(number: int, finding: TreasuryError) -> TreasuryError:
    message = f"第 {number} 行：{finding.message}"
    return type(finding)(message, field=f"lines.{number}.{finding.field or 'amount'}", **finding.facts)
