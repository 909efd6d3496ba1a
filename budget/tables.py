"""Tables that people bring: Excel (.xlsx) or CSV (UTF-8 or GB18030), read as text, taken as a whole or not at all."""

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook

from core.errors import TreasuryError

MOST_BYTES = 5 * 1024 * 1024
MOST_UNPACKED = 60 * 1024 * 1024
MOST_ROWS = 20_000
ERROR_COLUMN = "错误"
_RISKY = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take for a formula


class TableInvalid(TreasuryError):
    """The file is no table of the kind asked for: nothing of it was read."""

    code = "table_invalid"


@dataclass(frozen=True)
class Table:
    """A file as text: its columns, and each row's cells by column; `numbers` are the lines of the rows in the file."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    numbers: tuple[int, ...]

    @property
    def is_csv(self) -> bool:
        return self.name.lower().endswith(".csv")


class RowsRefused(TreasuryError):
    """Rows of a table cannot be taken, so none was; `error_file` is the table with what to mend beside each row."""

    code = "rows_refused"

    def __init__(self, table: Table, errors: Mapping[int, Sequence[str]]) -> None:
        """:param errors: what is wrong with each row, by its index in `table.rows`."""
        super().__init__(
            f"{len(errors)} 行有误，未导入任何数据；请下载错误文件，改正后重新导入。", field="file", rows=len(errors)
        )
        self.table = table
        self.errors = {index: "；".join(texts) for index, texts in sorted(errors.items())}

    @property
    def error_file(self) -> tuple[str, bytes]:
        """Return the name and content of the file with errors, in the form the table came in."""
        stem = self.table.name.rsplit(".", 1)[0][:80]
        write = _csv_with_errors if self.table.is_csv else _xlsx_with_errors
        return f"{stem}-错误.{'csv' if self.table.is_csv else 'xlsx'}", write(self.table, self.errors)

    @property
    def shown(self) -> list[tuple[int, str]]:
        """Return the first errors with their lines in the file."""
        return [(self.table.numbers[index], text) for index, text in list(self.errors.items())[:50]]


def read_table(*, name: str, data: bytes, required: Iterable[str], optional: Iterable[str] = ()) -> Table:
    """Read the first sheet of a workbook, or a CSV; columns are found by their headings, in any order.

    :raises TableInvalid: naming what is wrong: too large, no such format, a heading missing, double or unknown.
    """
    if len(data) > MOST_BYTES:
        raise TableInvalid(f"文件过大（最多 {MOST_BYTES // 1024 // 1024} MB），请分批导入。", field="file")
    suffix = name.rsplit(".", 1)[-1].lower()
    if suffix not in ("xlsx", "csv"):
        raise TableInvalid("请导入 .xlsx 或 .csv 文件。", field="file")
    lines = _xlsx(data) if suffix == "xlsx" else _csv(data)
    filled = [(number, [cell.strip() for cell in cells]) for number, cells in enumerate(lines, start=1) if any(cells)]
    if not filled:
        raise TableInvalid("文件是空的。", field="file")
    columns = [cell for cell in filled[0][1] if cell and cell != ERROR_COLUMN]
    _check_columns(filled[0][1], list(required), list(optional))
    if len(filled) - 1 > MOST_ROWS:
        raise TableInvalid(f"最多 {MOST_ROWS} 行，请分批导入。", field="file")
    if len(filled) == 1:
        raise TableInvalid("表头之下没有数据。", field="file")
    place = {heading: position for position, heading in enumerate(filled[0][1]) if heading}
    rows, numbers = [], []
    for number, cells in filled[1:]:
        rows.append({c: cells[place[c]] if place[c] < len(cells) else "" for c in columns})
        numbers.append(number)
    return Table(name, tuple(columns), tuple(rows), tuple(numbers))


def amount_in(text: str) -> Decimal:
    """Return a typed amount: separators of thousands are allowed in a table, more than two decimals are not.

    :raises ValueError: for anything else.
    """
    plain = text.replace(",", "").replace("，", "")
    try:
        amount = Decimal(plain)
    except InvalidOperation as error:
        raise ValueError(text) from error
    if not plain.isascii() or "e" in plain.lower() or "_" in plain or not amount.is_finite():
        raise ValueError(text)
    if amount != amount.quantize(Decimal("0.01")):
        raise ValueError(text)
    return amount.quantize(Decimal("0.01"))


def date_in(text: str) -> date:
    """:raises ValueError: unless it reads 2026-06-15, 2026/6/15 or 20260615."""
    if len(text) == 8 and text.isascii() and text.isdigit():
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    year, month, day = text.replace("/", "-").split("-")
    return date(int(year), int(month), int(day))


def _check_columns(found: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    headings = [heading for heading in found if heading]
    missing = [name for name in required if name not in headings]
    unknown = [name for name in headings if name not in (*required, *optional, ERROR_COLUMN)]
    double = sorted({name for name in headings if headings.count(name) > 1})
    for what, names in (("缺少列", missing), ("有不认识的列", unknown), ("有重复的列", double)):
        if names:
            raise TableInvalid(f"表头{what}：{'、'.join(names)[:200]}。", field="file")


def _csv(data: bytes) -> list[list[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        try:
            return list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as error:
            raise TableInvalid(f"CSV 格式有误：{error}。", field="file") from error
    raise TableInvalid("CSV 须为 UTF-8 或 GB18030 编码的文本。", field="file")


def _xlsx(data: bytes) -> list[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_UNPACKED:
                raise TableInvalid("文件解压后过大。", field="file")
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0)
        return [[_text(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)]
    except (zipfile.BadZipFile, CalamineError, IndexError, ValueError) as error:
        raise TableInvalid("不是可以读取的 .xlsx 文件。", field="file") from error


def _text(cell: Any) -> str:
    """A code typed as a number is read as its digits; an amount as Excel shows it, to its 15 digits."""
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else format(Decimal(format(cell, ".15g")), "f")
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _xlsx_with_errors(table: Table, errors: Mapping[int, str]) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False}) as book:
        sheet, marked = book.add_worksheet(), book.add_format({"font_color": "#b42318"})
        for position, heading in enumerate((*table.columns, ERROR_COLUMN)):
            sheet.write_string(0, position, heading)
        for index, row in enumerate(table.rows):
            for position, heading in enumerate(table.columns):
                sheet.write_string(index + 1, position, row[heading])
            sheet.write_string(index + 1, len(table.columns), errors.get(index, ""), marked)
    return buffer.getvalue()


def _csv_with_errors(table: Table, errors: Mapping[int, str]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow((*table.columns, ERROR_COLUMN))
    for index, row in enumerate(table.rows):
        writer.writerow([_harmless(row[heading]) for heading in table.columns] + [errors.get(index, "")])
    return buffer.getvalue().encode("utf-8-sig")


def _harmless(text: str) -> str:
    if not text.startswith(_RISKY):
        return text
    try:
        amount_in(text)
    except ValueError:
        return "'" + text
    return text
