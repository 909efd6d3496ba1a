"""From cells to rows: headers recognised by name, money and numbers read strictly, every error with its place.

Pure: no database. Amounts are whole fen inside, so that fifty thousand rows add up exactly and quickly.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from payroll.errors import RowError
from payroll.models import Withholding
from payroll.persons import is_identity_no

MOST_ERRORS = 1000
MOST_FEN = 10**11  # a person's row stays below a thousand million yuan
PERSON_COLUMNS = ("姓名", "证件号码", "卡号", "开户银行", "行号")
SALARY_TEXTS = PERSON_COLUMNS
ITEM_NAMES = {"30101": "基本工资", "30102": "津贴补贴", "30103": "奖金", "30107": "绩效工资"}
SALARY_TEMPLATE = (
    *PERSON_COLUMNS,
    *(f"{name}({code})" for code, name in ITEM_NAMES.items()),
    *Withholding.labels,
    "实发",
)
BENEFIT_TEMPLATE = (*PERSON_COLUMNS, "补贴标准", "数量", "金额")
UNIT_CONTRIBUTIONS = frozenset({"30108", "30109", "30110", "30111", "30112", "30113"})

_SYNONYMS = {
    "name": ("姓名", "人员姓名", "户名"),
    "identity": ("证件号码", "身份证号", "身份证号码", "证件号", "公民身份号码"),
    "card": ("卡号", "银行卡号", "账号", "银行账号", "一卡通账号", "工资卡号"),
    "bank": ("开户银行", "开户行", "银行名称"),
    "bank_no": ("行号", "联行号", "开户行号"),
    "gross": ("应发", "应发合计", "应发工资", "应发数"),
    "withheld": ("扣款合计", "代扣合计", "扣发合计"),
    "net": ("实发", "实发合计", "实发工资", "实发数"),
    "standard": ("补贴标准", "标准", "发放标准"),
    "quantity": ("数量", "面积", "补贴数量", "份数"),
    "amount": ("金额", "补贴金额", "发放金额"),
    **{
        str(kind): names
        for kind, names in {
            Withholding.PENSION: ("养老保险", "基本养老保险", "养老", "个人养老保险"),
            Withholding.ANNUITY: ("职业年金", "年金", "个人职业年金"),
            Withholding.MEDICAL: ("医疗保险", "基本医疗保险", "医疗", "医保"),
            Withholding.UNEMPLOYMENT: ("失业保险", "失业"),
            Withholding.HOUSING: ("住房公积金", "公积金"),
            Withholding.TAX: ("个人所得税", "个税", "所得税"),
            Withholding.OTHER: ("其他扣款", "其他代扣", "其他"),
        }.items()
    },
}
_FIELD_OF = {name: key for key, names in _SYNONYMS.items() for name in names}
_LABEL = {key: names[0] for key, names in _SYNONYMS.items()}
_CODE = re.compile(r"(?<![0-9])(30[0-9]{3})(?![0-9])", re.ASCII)
_IGNORED = frozenset({"序号", "备注"})
_MONEY = re.compile(r"(0|[1-9][0-9]{0,10})(?:\.([0-9]{1,2}))?", re.ASCII)
_QUANTITY = re.compile(r"(?:0|[1-9][0-9]{0,7})(?:\.[0-9]{1,3})?", re.ASCII)
_ACCOUNT = re.compile(r"[0-9A-Z-]{1,32}", re.ASCII)
_BANK_NO = re.compile(r"[0-9]{12}", re.ASCII)
_DANGEROUS = tuple("=+-@＝＋－＠")  # what a spreadsheet would take for the beginning of a formula

Cells = Sequence[Any]


@dataclass(frozen=True)
class Columns:
    """Where each field stands: `fields` by name, `items` by department economic code; `titles` as the file has them."""

    fields: Mapping[str, int]
    items: Mapping[str, int]
    titles: Sequence[str]

    def title(self, name: str) -> str:
        return self.titles[self.fields[name]] if name in self.fields else _LABEL.get(name, name)


@dataclass
class Errors:
    """What is wrong so far; only the first MOST_ERRORS are kept, all are counted."""

    kept: list[RowError] = field(default_factory=list)
    counted: int = 0

    def add(self, row: int, column: str, message: str) -> None:
        self.counted += 1
        if len(self.kept) < MOST_ERRORS:
            self.kept.append(RowError(row, column[:60], message[:200]))


@dataclass(frozen=True, slots=True)
class Person:
    """Who is paid, where; texts as they will stand on the voucher."""

    name: str
    identity: str
    card: str
    bank: str
    bank_no: str


@dataclass(frozen=True, slots=True)
class SalaryLine:
    """One row of pay; all amounts in fen. `withheld` in the order of `Withholding`."""

    row_no: int
    person: Person
    items: tuple[tuple[str, int], ...]
    gross: int
    withheld: tuple[int, ...]
    net: int


@dataclass(frozen=True, slots=True)
class BenefitLine:
    """One row of a benefit list; standard and amount in fen."""

    row_no: int
    person: Person
    standard: int
    quantity: Decimal
    amount: int


# Headers ------------------------------------------------------------------------------------------------------------


def salary_columns(header: Cells, row: int, *, codes: Mapping[str, str], errors: Errors) -> Columns:
    """Recognise the columns of a salary roster. Items are named by code or by the name of a code of `codes`.

    A column nobody knows is an error: it might be money that would be lost.
    """
    by_name = {_bare(name): code for code, name in codes.items()}
    columns = _columns(header, row, lambda title: _item_code(title, by_name), errors)
    for code, position in columns.items.items():
        title = columns.titles[position]
        if code in UNIT_CONTRIBUTIONS:
            errors.add(row, title, "单位缴费不随工资发放，请另行申请支付。")
        elif code not in codes:
            errors.add(row, title, f"部门经济分类 {code} 与所选指标没有对照关系。")
    _require(columns, row, ("name", "identity", "card", "bank", "net"), errors)
    if not columns.items:
        errors.add(row, "", "没有应发项目列，例如「基本工资(30101)」。")
    return columns


def benefit_columns(header: Cells, row: int, *, errors: Errors) -> Columns:
    """Recognise the columns of a benefit list."""
    columns = _columns(header, row, lambda title: "", errors)
    _require(columns, row, ("name", "identity", "card", "bank", "standard", "quantity", "amount"), errors)
    return columns


def _columns(header: Cells, row: int, item_code: Callable[[str], str], errors: Errors) -> Columns:
    titles = [cell.strip() if isinstance(cell, str) else "" for cell in header]
    fields: dict[str, int] = {}
    items: dict[str, int] = {}
    for position, title in enumerate(titles):
        if not title:
            if header[position] not in ("", None):
                errors.add(row, str(header[position])[:30], "列名须是文本。")
            continue
        bare = _bare(title)
        if bare in _IGNORED:
            continue
        code, name = item_code(title), _FIELD_OF.get(bare, "")
        known, key = (items, code) if code else (fields, name)
        if not key:
            errors.add(row, title, "不认识的列名；请使用模板的列名，或删去该列。")
        elif key in known:
            errors.add(row, title, f"该列重复，前面已有「{titles[known[key]]}」。")
        else:
            known[key] = position
    return Columns(fields, items, titles)


def _item_code(title: str, by_name: Mapping[str, str]) -> str:
    found = _CODE.search(title)
    if found:
        return found[1]
    bare = _bare(title)
    return "" if bare in _FIELD_OF else by_name.get(bare, "")


def _bare(title: str) -> str:
    return "".join(title.split()).replace("（", "(").replace("）", ")").removesuffix("(元)")


def _require(columns: Columns, row: int, names: Iterable[str], errors: Errors) -> None:
    for name in names:
        if name not in columns.fields:
            errors.add(row, _LABEL[name], "缺少该列。")


# Rows ---------------------------------------------------------------------------------------------------------------


class PersonReader:
    """Reads who is paid, and sees to it that nobody stands in a file twice."""

    def __init__(self, columns: Columns, errors: Errors) -> None:
        self._columns, self._errors = columns, errors
        self._at = {name: columns.fields.get(name, -1) for name in ("name", "identity", "card", "bank", "bank_no")}
        self._rows_of: dict[str, int] = {}
        self._good_texts: set[str] = set()

    def read(self, row: int, cells: Cells) -> Person | None:
        """The person of a row; None if something is wrong, which is noted then."""
        before = self._errors.counted
        at = self._at
        name = self._text(row, "name", cells[at["name"]])
        bank = self._text(row, "bank", cells[at["bank"]])
        identity = self._number(row, "identity", cells[at["identity"]]).upper()
        card = self._number(row, "card", cells[at["card"]])
        bank_no = self._number(row, "bank_no", cells[at["bank_no"]]) if at["bank_no"] >= 0 else ""
        if identity and not is_identity_no(identity):
            self._wrong(row, "identity", "证件号码有误（18 位身份证号的校验位不符，或不是证件号）。")
        elif identity:
            earlier = self._rows_of.setdefault(identity, row)
            if earlier != row:
                self._wrong(row, "identity", f"该人员与第 {earlier} 行重复。")
        if card and not _ACCOUNT.fullmatch(card):
            self._wrong(row, "card", "卡号应为 1–32 位数字、大写字母或短横。")
        if bank_no and not _BANK_NO.fullmatch(bank_no):
            self._wrong(row, "bank_no", "行号应为 12 位数字。")
        if not identity and before == self._errors.counted:
            self._wrong(row, "identity", "请填写证件号码。")
        if not card and before == self._errors.counted:
            self._wrong(row, "card", "请填写卡号。")
        return Person(name, identity, card, bank, bank_no) if before == self._errors.counted else None

    def _wrong(self, row: int, name: str, message: str) -> None:
        self._errors.add(row, self._columns.title(name), message)

    def _text(self, row: int, name: str, cell: Any) -> str:
        text = cell.strip() if isinstance(cell, str) else ""
        if text in self._good_texts:  # most banks, and many names, come again
            return text
        problem = _text_problem(text, cell)
        if problem:
            self._wrong(row, name, problem)
        else:
            self._good_texts.add(text)
        return text

    def _number(self, row: int, name: str, cell: Any) -> str:
        if isinstance(cell, str):
            return cell.strip()
        if cell is not None:
            self._wrong(row, name, "该列须为文本格式：按数值存放的长号码会丢失末尾的数字。")
        return ""


def _text_problem(text: str, cell: Any) -> str:
    if not text:
        return "须填写文字。" if cell in ("", None) or isinstance(cell, str) else "该列须为文字。"
    if text.startswith(_DANGEROUS):
        return "不得以 = + - @ 开头。"
    if not text.isprintable():
        return "含有不可见字符。"
    try:
        length = len(text.encode("gbk"))
    except UnicodeEncodeError:
        return "含有凭证不能表示的字符（GBK 以外的生僻字），请按银行户名的写法填写。"
    return "过长（最多 60 字节，一个汉字 2 字节）。" if length > 60 else ""


class SalaryReader:
    """Reads rows of pay: Σ items − Σ withholdings = net, to the fen, and never below zero."""

    def __init__(self, columns: Columns, errors: Errors) -> None:
        self._columns, self._errors = columns, errors
        self._persons = PersonReader(columns, errors)
        self._items = sorted(columns.items.items())
        self._withheld = [(str(kind), columns.fields.get(str(kind), -1)) for kind in Withholding]
        self._checks = [(name, columns.fields[name]) for name in ("gross", "withheld") if name in columns.fields]
        self._net = columns.fields.get("net", -1)
        self._wide = len(columns.titles)

    def read(self, row: int, cells: Cells) -> SalaryLine | None:
        """The row, or None if something in it is wrong."""
        errors = self._errors
        before = errors.counted
        if len(cells) < self._wide:
            cells = [*cells, *[""] * (self._wide - len(cells))]
        elif len(cells) > self._wide and any(cell not in ("", None) for cell in cells[self._wide :]):
            errors.add(row, "", "表头以外的列里有内容。")
        person = self._persons.read(row, cells)
        items = tuple((code, amount) for code, at in self._items if (amount := self._money(row, at, cells[at])) != 0)
        withheld = tuple([self._money(row, at, cells[at]) if at >= 0 else 0 for _, at in self._withheld])
        net = self._money(row, self._net, cells[self._net], blank=False)
        gross, kept = sum([amount for _, amount in items]), sum(withheld)
        if before != errors.counted or person is None:
            return None
        if gross <= 0:
            errors.add(row, "", "应发合计为 0.00。")
        if kept > gross:
            errors.add(row, self._columns.title("net"), f"代扣 {yuan_text(kept)} 超过应发 {yuan_text(gross)}。")
        elif gross - kept != net:
            expected = yuan_text(gross - kept)
            errors.add(row, self._columns.title("net"), f"应发 − 代扣 = {expected}，表中实发为 {yuan_text(net)}。")
        for name, at in self._checks:
            stated, computed = self._money(row, at, cells[at]), gross if name == "gross" else kept
            if stated != computed:
                errors.add(
                    row, self._columns.titles[at], f"各项之和为 {yuan_text(computed)}，表中为 {yuan_text(stated)}。"
                )
        if before != errors.counted:
            return None
        return SalaryLine(row, person, items, gross, withheld, net)

    def _money(self, row: int, at: int, cell: Any, *, blank: bool = True) -> int:
        return _fen(row, self._columns.titles[at], cell, self._errors, blank=blank)


class BenefitReader:
    """Reads rows of benefits: standard × quantity = amount, to the fen, without rounding."""

    def __init__(self, columns: Columns, errors: Errors) -> None:
        self._columns, self._errors = columns, errors
        self._persons = PersonReader(columns, errors)
        self._at = {name: columns.fields.get(name, -1) for name in ("standard", "quantity", "amount")}
        self._wide = len(columns.titles)

    def read(self, row: int, cells: Cells) -> BenefitLine | None:
        """The row, or None if something in it is wrong."""
        errors, at = self._errors, self._at
        before = errors.counted
        if len(cells) < self._wide:
            cells = [*cells, *[""] * (self._wide - len(cells))]
        person = self._persons.read(row, cells)
        titles = self._columns.titles
        standard = _fen(row, titles[at["standard"]], cells[at["standard"]], errors, blank=False)
        quantity = self._quantity(row, cells[at["quantity"]])
        amount = _fen(row, titles[at["amount"]], cells[at["amount"]], errors, blank=False)
        if before != errors.counted or person is None:
            return None
        if standard == 0 or quantity == 0 or amount == 0:
            errors.add(row, titles[at["amount"]], "标准、数量、金额都须大于零。")
        elif standard * quantity != amount:
            expected = f"{standard * quantity / 100:f}"
            errors.add(
                row,
                titles[at["amount"]],
                f"标准 × 数量 = {expected.rstrip('0').rstrip('.')}，表中金额为 {yuan_text(amount)}；两者须分毫不差。",
            )
        if before != errors.counted:
            return None
        return BenefitLine(row, person, standard, quantity, amount)

    def _quantity(self, row: int, cell: Any) -> Decimal:
        text = (f"{cell:.10f}".rstrip("0").rstrip(".") if type(cell) in (float, int) else cell) if cell != "" else ""
        if isinstance(text, str) and _QUANTITY.fullmatch(text.strip()):
            return Decimal(text.strip())
        self._errors.add(row, self._columns.title("quantity"), "数量须为数字，最多三位小数。")
        return Decimal(0)


def _fen(row: int, title: str, cell: Any, errors: Errors, *, blank: bool = True) -> int:
    """Money in fen; 0 with a note for anything that is not money of at most two decimals.

    A number of the spreadsheet is a binary fraction: it counts if it is the one nearest to a whole fen.
    """
    kind = type(cell)
    if kind is float:
        if 0.0 <= cell < MOST_FEN / 100:
            fen: int = round(cell * 100)
            if fen / 100 == cell:
                return fen
        errors.add(row, title, f"金额须不小于零、最多两位小数：{cell!r}。")
        return 0
    if kind is int and 0 <= cell < MOST_FEN // 100:
        return int(cell) * 100
    if cell == "" or cell is None:
        if not blank:
            errors.add(row, title, "请填写金额。")
        return 0
    if kind is str:
        match = _MONEY.fullmatch(cell.strip())
        if match:
            fen = int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))
            if fen < MOST_FEN:
                return fen
    errors.add(row, title, "金额须为数字，如 1234.50，不带逗号和货币符号。")
    return 0


def yuan_text(fen: int) -> str:
    """ "1234.50" of 123450."""
    return f"{fen // 100}.{fen % 100:02d}"
