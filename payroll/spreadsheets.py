"""Tables in and out: a file is weighed before anything reads it, formulas are refused and never evaluated, and what
is written for people holds typed texts only. Knows nothing of pay.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from python_calamine import CalamineError, CalamineWorkbook
from xlsxwriter import Workbook

from payroll.errors import FileRefused, RowError

MOST_BYTES = 10 * 1024 * 1024
MOST_UNPACKED = 160 * 1024 * 1024  # 50,000 rows of twenty columns unpack to some 50 MB
MOST_RATIO = 100
MOST_MEMBERS = 200
MOST_ROWS = 60_000
MOST_COLUMNS = 100
MOST_FORMULAS = 20  # so many are named; the rest are the same work for whoever mends the file
_PIECE = 1 << 20
_WORKBOOK = "xl/workbook.xml"
_BINARY = re.compile(r"xl/(?:workbook|worksheets/.*)\.bin", re.IGNORECASE)  # .xlsb in disguise
_SHEET_DATA = re.compile(rb"<(?:\w+:)?sheetData[\s/>]")  # a worksheet may have any name
_FORMULA = re.compile(rb'<(?:\w+:)?c\b[^>]*?\br="([A-Z]{1,3})([0-9]{1,7})"[^>]*>\s*<(?:\w+:)?f[\s/>]')
_ANY_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
_TAIL = 4096  # of a piece, looked at again with the next: a cell's opening is shorter

Cells = Sequence[Any]


@dataclass(frozen=True)
class Table:
    """The first sheet of a file: `rows` pairs each row that holds anything with its number in the spreadsheet."""

    header: Cells
    header_row: int
    rows: Iterator[tuple[int, Cells]]


def read_table(file: IO[bytes], *, size: int, name: str) -> Table:
    """Read the first sheet of an .xlsx file, or a CSV file in UTF-8 or GB 18030.

    The first row that holds anything is the header. Cells are texts, floats, or whatever else the spreadsheet held.

    :raises FileRefused: before a cell is read, for a file that is too large, unpacks to too much, has too many rows,
        holds formulas or is of another kind.
    """
    if size > MOST_BYTES:
        raise FileRefused(f"文件超过 {MOST_BYTES // 1024 // 1024} MB，请分成几个批次。", field="file", given=size)
    magic = file.read(4)
    file.seek(0)
    if not magic:
        raise FileRefused("文件是空的。", field="file")
    if magic == b"PK\x03\x04" and name.lower().endswith(".xlsx"):
        return _with_header(_of_xlsx(file))
    if name.lower().endswith(".csv") and not magic.startswith(b"PK") and not magic.startswith(b"\xd0\xcf\x11\xe0"):
        return _with_header(_of_csv(file))
    raise FileRefused("只接受 .xlsx 或 .csv 文件，且内容须与扩展名相符。", field="file")


def _with_header(rows: Iterator[tuple[int, Cells]]) -> Table:
    number, header = next(rows, (0, ()))
    if not header:
        raise FileRefused("文件里没有内容。", field="file")
    if len(header) > MOST_COLUMNS:
        raise FileRefused(f"表格超过 {MOST_COLUMNS} 列。", field="file", given=len(header))
    return Table(header, number, rows)


# .xlsx --------------------------------------------------------------------------------------------------------------


def _of_xlsx(file: IO[bytes]) -> Iterator[tuple[int, Cells]]:
    _weigh(file)
    file.seek(0)
    try:
        sheet = CalamineWorkbook.from_filelike(file).get_sheet_by_index(0)
        start = sheet.start
    except (CalamineError, OSError, ValueError) as error:
        raise FileRefused("文件无法读取，可能已损坏或加密。", field="file") from error
    first = start[0] if start else 0
    return _filled(sheet.iter_rows(), first + 1 if sheet.height < sheet.total_height else 1)


def _weigh(file: IO[bytes]) -> None:
    """Unpack every member once, counting what really comes out: a header may say anything."""
    unpacked = rows = 0
    formulas: list[str] = []
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or any(member.flag_bits & 1 for member in members):
                raise FileRefused("文件结构异常或已加密。", field="file")
            names = [member.filename for member in members]
            if _WORKBOOK not in names or any(map(_BINARY.fullmatch, names)):
                raise FileRefused("不是 .xlsx 表格。", field="file")
            for member in members:
                sheet = False
                came = 0
                tail = b""
                with archive.open(member) as stream:
                    while piece := stream.read(_PIECE):
                        if not came and piece.startswith((b"\xff\xfe", b"\xfe\xff")):
                            raise FileRefused("表格的编码不是 UTF-8。", field="file")
                        came += len(piece)
                        unpacked += len(piece)
                        if unpacked > MOST_UNPACKED or came > max(MOST_RATIO * member.compress_size, _PIECE):
                            raise FileRefused("文件解压后过大，不像正常的表格。", field="file", unpacked=unpacked)
                        seen = tail + piece
                        tail = piece[-_TAIL:]
                        sheet = sheet or _SHEET_DATA.search(seen) is not None
                        if sheet:
                            rows += len(_ROW.findall(piece))
                            formulas += _formulas(seen, formulas)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise FileRefused("文件无法读取，可能已损坏。", field="file") from error
    if formulas:
        raise FileRefused(
            "文件含有公式（"
            + "、".join(formulas[:MOST_FORMULAS])
            + " 等）。系统不计算公式，请全选后「选择性粘贴—数值」再导入。",
            field="file",
        )
    if rows > MOST_ROWS + 1:
        raise FileRefused(f"一次最多导入 {MOST_ROWS:,} 行。", field="file", given=rows)


def _formulas(seen: bytes, known: Sequence[str]) -> list[str]:
    if len(known) >= MOST_FORMULAS or _ANY_FORMULA.search(seen) is None:
        return []
    found = [f"{column.decode()}{row.decode()}" for column, row in _FORMULA.findall(seen)]
    return [cell for cell in dict.fromkeys(found or ["位置不明"]) if cell not in known]


# CSV ----------------------------------------------------------------------------------------------------------------


def _of_csv(file: IO[bytes]) -> Iterator[tuple[int, Cells]]:
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise FileRefused(f"文件超过 {MOST_BYTES // 1024 // 1024} MB。", field="file")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise FileRefused("CSV 文件的编码须为 UTF-8 或 GB 18030。", field="file")
    if "\0" in text:
        raise FileRefused("文件不是文本。", field="file")
    return _filled(_csv_rows(text), 1)


def _csv_rows(text: str) -> Iterator[Cells]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise FileRefused("CSV 文件的引号或分隔符有误。", field="file", line=reader.line_num) from error


def _filled(rows: Iterable[Cells], first: int) -> Iterator[tuple[int, Cells]]:
    """Number the rows and leave out empty ones."""
    counted = 0
    for number, cells in enumerate(rows, start=first):
        if any(cell is not None and cell != "" for cell in cells):
            counted += 1
            if counted > MOST_ROWS + 1:
                raise FileRefused(f"一次最多导入 {MOST_ROWS:,} 行。", field="file")
            yield number, cells


# Out ----------------------------------------------------------------------------------------------------------------


def template(columns: Sequence[str], *, texts: Sequence[str], title: str) -> bytes:
    """Return an empty .xlsx with these column names; those in `texts` are formatted as text, the others as money."""
    buffer = io.BytesIO()
    with Workbook(buffer, {"constant_memory": True}) as book:
        sheet = book.add_worksheet(title[:31])
        head = book.add_format({"bold": True, "bg_color": "#E8EEF7", "border": 1, "num_format": "@"})
        text, money = book.add_format({"num_format": "@"}), book.add_format({"num_format": "0.00"})
        for position, name in enumerate(columns):
            sheet.set_column(position, position, 22 if name in texts else 13, text if name in texts else money)
            sheet.write_string(0, position, name, head)
        sheet.freeze_panes(1, 0)
    return buffer.getvalue()


def error_file(errors: Iterable[RowError]) -> bytes:
    """Return an .xlsx with one line for each error. Every cell is a typed text: what somebody typed stays inert."""
    buffer = io.BytesIO()
    with Workbook(buffer, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("错误")
        bold = book.add_format({"bold": True})
        for position, (name, width) in enumerate((("行号", 8), ("列", 20), ("错误", 80))):
            sheet.set_column(position, position, width)
            sheet.write_string(0, position, name, bold)
        for line, error in enumerate(errors, start=1):
            sheet.write_number(line, 0, error.row)
            sheet.write_string(line, 1, error.column)
            sheet.write_string(line, 2, error.message)
        sheet.freeze_panes(1, 0)
    return buffer.getvalue()
