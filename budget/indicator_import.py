"""Indicators from a file: its rows become the lines of one document, a draft that is submitted like any other."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from budget.documents import DocumentInput, save_document
from budget.errors import DocumentInvalid
from budget.lines import MOST_LINES, LineInput
from budget.models import DocumentKind, IndicatorDocument, PaymentMode
from budget.tables import RowsRefused, Table, TableInvalid, amount_in, date_in, read_table
from budget.terms import Benefit, BudgetClass, DirectFund, Layer, Sanbao, Source, Terms
from core.actors import Actor
from core.errors import RoleRequired, TreasuryError, ValidationFailed

REQUIRED = ("单位编码", "资金性质", "功能分类", "政府经济分类", "支付方式", "金额")
FIELDS = {  # column → field of the terms
    "单位编码": "unit_code",
    "资金性质": "fund_nature",
    "功能分类": "function_code",
    "政府经济分类": "gov_economic_code",
    "支付方式": "payment_mode",
    "层级": "layer",
    "项目编码": "project_code",
    "项目名称": "project_name",
    "资金来源": "source",
    "来源级次": "source_level",
    "上级文号": "upper_doc_no",
    "收文日期": "received_on",
    "预算类别": "budget_class",
    "三保": "sanbao",
    "直达资金": "direct_fund",
    "惠企利民": "benefit",
    "到人到企": "to_person_or_firm",
    "政府采购": "procurement",
}
OPTIONAL = (*(column for column in FIELDS if column not in REQUIRED), "付款账号")
_CHOICES = {
    "支付方式": PaymentMode,
    "层级": Layer,
    "资金来源": Source,
    "预算类别": BudgetClass,
    "三保": Sanbao,
    "直达资金": DirectFund,
    "惠企利民": Benefit,
}


def import_indicators(
    *, kind: str, doc_no: str, note: str, file_name: str, data: bytes, clerk: Actor, now: datetime, action_key: str = ""
) -> IndicatorDocument:
    """Make a draft of one document with a new indicator for each row of the file: all rows or none.

    A choice is written by its code or by its name. The same `action_key` returns the document it made.

    :raises RoleRequired, TableInvalid, DocumentInvalid, Conflict.
    :raises RowsRefused: with every row that is wrong, and a file that says so.
    """
    if "budget_clerk" not in clerk.roles:
        raise RoleRequired("该操作需要岗位：预算科经办。", field="role")
    if kind not in (DocumentKind.INITIAL, DocumentKind.ADD):
        raise DocumentInvalid("批量导入只用于年初和追加指标。", field="kind")
    table = read_table(name=file_name, data=data, required=REQUIRED, optional=OPTIONAL)
    if len(table.rows) > MOST_LINES:
        raise TableInvalid(f"一份指标文最多 {MOST_LINES} 行，请分文导入。", field="file")
    lines = _lines(table)
    given = DocumentInput(kind=kind, doc_no=doc_no, lines=tuple(lines), note=note)
    try:
        return save_document(given=given, clerk=clerk, now=now, action_key=action_key)
    except ValidationFailed as refused:
        raise _by_row(table, refused) from refused


def _lines(table: Table) -> list[LineInput]:
    """:raises RowsRefused: with every cell that cannot be read."""
    errors: dict[int, list[str]] = defaultdict(list)
    lines = []
    for index, row in enumerate(table.rows):

        def read(column: str, parse: Callable[[str], Any], wish: str, row: Any = row, index: int = index) -> Any:
            try:
                return parse(row[column]) if row.get(column) else None
            except ValueError:
                errors[index].append(f"{column}“{row[column][:30]}”{wish}")
                return None

        values: dict[str, Any] = {}
        for column, field in FIELDS.items():
            if not row.get(column):
                continue
            if column in _CHOICES:
                values[field] = read(column, _choice(column), "不在代码表内")
            elif column in ("到人到企", "政府采购"):
                values[field] = read(column, _yes, "应为“是”或“否”")
            elif column == "来源级次":
                values[field] = read(column, int, "应为 1 至 5")
            elif column == "收文日期":
                values[field] = read(column, date_in, "应为日期，如 2026-06-15")
            else:
                values[field] = row[column]
        errors[index] += [f"请填写{column}" for column in REQUIRED if not row[column]]
        amount = read("金额", amount_in, "应为不超过两位小数的金额")
        if not errors[index]:
            assert isinstance(amount, Decimal)
            lines.append(LineInput(amount=amount, terms=Terms(**values), payer_account_no=row.get("付款账号", "")))
    found = {index: texts for index, texts in errors.items() if texts}
    if found:
        raise RowsRefused(table, found)
    return lines


def _choice(column: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for value, label in _CHOICES[column].choices:
            if text in (value, label, f"{value}{label}", f"{value} {label}"):
                return str(value)
        raise ValueError(text)

    return parse


def _yes(text: str) -> bool:
    if text not in ("是", "否"):
        raise ValueError(text)
    return text == "是"


def _by_row(table: Table, refused: ValidationFailed) -> TreasuryError:
    """Return the findings beside their rows; those about the document as a whole as they are."""
    errors: dict[int, list[str]] = defaultdict(list)
    for finding in refused.findings:
        parts = (finding.field or "").split(".")
        if parts[0] != "lines" or len(parts) < 3:
            return refused
        errors[int(parts[1]) - 1].append(finding.message.split("：", 1)[-1])
    return RowsRefused(table, errors)
