"""The list of a voucher with several details: page by page with subtotals, failed rows struck with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.money import ZERO, format_yuan
from vouchers.messages import VoucherContent
from vouchers.paper.fitting import CUT, LEADING, Fitted, wrap
from vouchers.paper.glyphs import face_of, missing, shown, width
from vouchers.paper.layouts import Column, Layout, geometry, pairs
from vouchers.paper.model import GREY, RED, Line, Rect, Sheet
from vouchers.paper.pen import PADDING, Style, amount_of, fill, frame, labelled, lines, readable, rule, write

_ROW = Style(2.5)
_SIDE = Style(2.1, colour=GREY)
_MOST_LINES = 12  # of one cell; only a document no check has passed has more
_ANSWERS = ("XPayAmt", "XAddWord", "XPayDate")
_UNTOLD = ("VoucherBillId", "VoucherBillNo")
_LEAD = ("PayeeAcctName", "AgencyCode", "SupDepCode", "VoucherNo", "VoucherDetailNo", "ExpFuncCode", "PayeeAcctNo")


@dataclass(frozen=True)
class Row:
    """One detail, ready to set: lines by column, what else it says, and how it ended."""

    cells: tuple[tuple[str, ...], ...]
    side: tuple[str, ...]
    result: str
    failed: bool
    amount: Decimal | None
    paid: Decimal | None
    characters: str

    @property
    def upper(self) -> float:
        """Height of the columns, without the line below them."""
        return max(5.0, max(len(cell) for cell in self.cells) * _ROW.size * LEADING + 1.5)

    @property
    def height(self) -> float:
        return self.upper + (len(self.side) * _SIDE.size * LEADING + 0.6 if self.side else 0.0)


def list_sheets(content: VoucherContent, plan: Layout, receipt: VoucherContent | None) -> list[Sheet]:
    """Set every detail in order, with a subtotal a page and the totals at the end."""
    columns = plan.columns or _columns(content, plan)
    columns = (*columns, Column("结果", (), geometry()["list"]["result"]))
    answers = {detail.get("Id", ""): detail for detail in receipt.details} if receipt is not None else {}
    common = _common(content, columns)
    rows = [
        _row(detail, answers.get(detail.get("Id", ""), {}), columns, plan, common, content, str(number))
        for number, detail in enumerate(content.details, start=1)
    ]
    sheets, start = [], 0
    while start < len(rows):
        sheet = _sheet(content, plan, columns, common, first=start == 0)
        start = _fill_page(sheet, rows, start, columns, plan, content)
        sheets.append(sheet)
    return sheets


def _columns(content: VoucherContent, plan: Layout) -> tuple[Column, ...]:
    """Choose columns for a type without a layout: the three that say most, and the amount."""
    used = {tag for detail in content.details for tag, text in detail.items() if text}
    fields = {
        tag: field
        for tag, field in plan.detail.items()
        if tag in used and not field.receipt and tag not in ("Id", *_UNTOLD, plan.amount_detail) and tag[:4] != "Hold"
    }
    cells = sorted(pairs(fields), key=lambda cell: min(_rank(tag) for tag in cell.tags))[:3]
    label = plan.detail[plan.amount_detail].cn if plan.amount_detail in plan.detail else "金额"
    total = geometry()["list"]["right"] - geometry()["list"]["left"] - geometry()["list"]["number"]
    each = (total - geometry()["list"]["result"] - 30) / max(1, len(cells))
    chosen = [Column(cell.label, cell.tags, each) for cell in cells]
    return (*chosen, Column(label, (plan.amount_detail,), 30 if cells else 30 + each, "amount"))


def _rank(tag: str) -> int:
    return _LEAD.index(tag) if tag in _LEAD else len(_LEAD)


def _common(content: VoucherContent, columns: tuple[Column, ...]) -> dict[str, str]:
    """What every row says alike, outside the columns: said once above the table."""
    placed = {tag for column in columns for tag in column.tags}
    first = content.details[0]
    return {
        tag: text
        for tag, text in first.items()
        if text and tag not in placed and tag != "Id" and all(d.get(tag, "") == text for d in content.details)
    }


def _row(
    detail: Mapping[str, str],
    answer: Mapping[str, str],
    columns: tuple[Column, ...],
    plan: Layout,
    common: Mapping[str, str],
    content: VoucherContent,
    number: str,
) -> Row:
    said = {**detail, **{tag: text for tag, text in answer.items() if text}}
    amount = amount_of(detail.get(plan.amount_detail, ""))
    result, failed, paid = _result(said, amount, plan)
    texts = [
        " ".join(filter(None, (readable(plan.detail.get(tag), detail.get(tag, "")) for tag in column.tags)))
        for column in columns[:-1]
    ]
    cells = [
        _lines(text, column.width - 2 * PADDING, _ROW) for text, column in zip([*texts, result], columns, strict=True)
    ]
    placed = {tag for column in columns for tag in column.tags}
    rest = {
        tag: text
        for tag, text in said.items()
        if text
        and tag not in placed
        and tag not in common
        and tag not in _ANSWERS
        and not _same(tag, text, said, content, number)
    }
    side = "　".join(f"{label}：{text}" for label, text in labelled(plan.detail, rest))
    wide = geometry()["list"]["right"] - geometry()["list"]["left"] - geometry()["list"]["number"] - 2 * PADDING
    return Row(
        tuple(cells),
        _lines(side, wide, _SIDE) if side else (),
        result,
        failed,
        amount,
        paid,
        "".join([*texts, result, side]),
    )


def _result(said: Mapping[str, str], amount: Decimal | None, plan: Layout) -> tuple[str, bool, Decimal | None]:
    """What became of a row: nothing yet, paid, paid otherwise, or not paid and why."""
    paid, word = amount_of(said.get("XPayAmt", "")), said.get("XAddWord", "")
    if paid is None:
        return word, False, None
    day = readable(plan.detail.get("XPayDate"), said.get("XPayDate", ""))
    if paid == ZERO and amount != ZERO:
        return f"未付：{word or '未说明原因'}", True, paid
    if paid == amount:
        return " ".join(filter(None, ("已付", day, word))), False, paid
    return " ".join(filter(None, (f"实付 {format_yuan(paid)}", day, word))), False, paid


def _same(tag: str, text: str, said: Mapping[str, str], content: VoucherContent, number: str) -> bool:
    """Whether a tag only repeats another: the row's number, the document's, or the payee the receipt confirms."""
    if tag == "Id":
        return text == number
    if tag in _UNTOLD:
        return text in (content.voucher_no, content.main.get("Id"))
    return tag.startswith("XPayee") and said.get(tag[1:]) == text


def _lines(text: str, wide: float, style: Style) -> tuple[str, ...]:
    drawn = shown(text)
    found = wrap(drawn, wide, style.size, face_of(drawn, style.face))
    return tuple(found) if len(found) <= _MOST_LINES else (*found[: _MOST_LINES - 1], found[_MOST_LINES - 1][:-1] + CUT)


# Setting ------------------------------------------------------------------------------------------------------------


def _sheet(
    content: VoucherContent, plan: Layout, columns: tuple[Column, ...], common: Mapping[str, str], *, first: bool
) -> Sheet:
    shape, ink = geometry()["list"], plan.ink
    sheet = Sheet(shape["width"], shape["height"], f"{plan.title} {content.voucher_no} 清单")
    write(sheet, sheet.width / 2, 13, f"{plan.title}　清单", Style(5, colour=ink, role="title", bold=True), "middle")
    fill(sheet, Rect(shape["left"] - PADDING, 16, 100, 4), f"№ {content.voucher_no}", Style(2.8))
    day = content.voucher_date.isoformat()
    note = f"行政区划 {content.adm_div_code}　{day}　共 {len(content.details)} 笔　单位：元"
    fill(sheet, Rect(shape["left"] - PADDING, 20, 160, 4), note, Style(2.6))
    y = shape["top"]
    if first and common:
        text = "各笔相同：" + "　".join(f"{label} {value}" for label, value in labelled(plan.detail, common))
        wide = shape["right"] - shape["left"]
        found = _lines(text, wide - 2 * PADDING, _SIDE)
        box = frame(sheet, Rect(shape["left"], y, wide, len(found) * _SIDE.size * LEADING + 1.2, ink))
        for character in missing(text):
            sheet.missing.setdefault(f"U+{ord(character):04X}")
        lines(sheet, box.x + PADDING, y + 0.6, Fitted(found, _SIDE.size, whole=True), _SIDE)
        y += box.height
    x = shape["left"]
    for label, wide in [("序号", shape["number"]), *((column.label, column.width) for column in columns)]:
        head = frame(sheet, Rect(x, y, wide, shape["head_row"], ink))
        fill(sheet, head, label, Style(2.7, colour=ink, role="label"), "middle")
        x += wide
    sheet.items.append(Line(shape["left"], y + shape["head_row"], shape["right"], y + shape["head_row"], ink, 0.5))
    return sheet


def _fill_page(
    sheet: Sheet, rows: list[Row], start: int, columns: tuple[Column, ...], plan: Layout, content: VoucherContent
) -> int:
    """Set rows from `start` while they fit; return the first that did not."""
    shape = geometry()["list"]
    y = next(item.y1 for item in reversed(sheet.items) if isinstance(item, Line))
    number = start
    while number < len(rows):
        foot = 6.4 + (13.0 if number == len(rows) - 1 else 0.0)
        if number > start and y + rows[number].height + foot > shape["bottom"]:
            break
        _set_row(sheet, rows[number], number + 1, y, columns, plan.ink)
        y += rows[number].height
        number += 1
    y = _sum_row(sheet, f"本页小计　{number - start} 笔", rows[start:number], y, columns, plan.ink)
    if number == len(rows):
        _totals(sheet, rows, y, columns, plan, content)
    return number


def _set_row(sheet: Sheet, row: Row, number: int, y: float, columns: tuple[Column, ...], ink: str) -> None:
    shape = geometry()["list"]
    for character in missing(row.characters):
        sheet.missing.setdefault(f"U+{ord(character):04X}")
    fill(sheet, frame(sheet, Rect(shape["left"], y, shape["number"], row.height, ink)), str(number), _ROW, "middle")
    frame(
        sheet,
        Rect(shape["left"] + shape["number"], y, shape["right"] - shape["left"] - shape["number"], row.height, ink),
    )
    x = shape["left"] + shape["number"]
    for place, (column, cell) in enumerate(zip(columns, row.cells, strict=True)):
        last = place == len(columns) - 1
        if not last:
            rule(sheet, x + column.width, y, x + column.width, y + row.upper, ink)
        style = Style(_ROW.size, colour=RED if last and row.failed else _ROW.colour, role="result" if last else "value")
        end = column.kind == "amount"
        at = x + column.width - PADDING if end else x + PADDING
        lines(sheet, at, y + 0.75, Fitted(cell, _ROW.size, whole=True), style, "end" if end else "start")
        if row.failed and not last:
            _strike(sheet, cell, at, y, end)
        x += column.width
    side = Fitted(row.side, _SIDE.size, whole=True)
    lines(sheet, shape["left"] + shape["number"] + PADDING, y + row.upper - 0.2, side, _SIDE)


def _strike(sheet: Sheet, cell: tuple[str, ...], at: float, y: float, end: bool) -> None:
    for number, line in enumerate(cell):
        if line:
            middle = y + 0.75 + _ROW.size * LEADING * (number + 0.5)
            advance = width(line, _ROW.size, face_of(line, "serif"))
            x1, x2 = (at - advance, at) if end else (at, at + advance)
            sheet.items.append(Line(round(x1, 3), round(middle, 3), round(x2, 3), round(middle, 3), RED, 0.3))


def _sum_row(sheet: Sheet, label: str, rows: list[Row], y: float, columns: tuple[Column, ...], ink: str) -> float:
    total = sum((row.amount for row in rows if row.amount is not None), ZERO)
    return _figures(sheet, label, format_yuan(total), y, columns, ink)


def _figures(sheet: Sheet, label: str, figure: str, y: float, columns: tuple[Column, ...], ink: str) -> float:
    shape, high = geometry()["list"], 6.0
    frame(sheet, Rect(shape["left"], y, shape["right"] - shape["left"], high, ink))
    before = shape["number"] + sum(column.width for column in columns[:-2])
    fill(sheet, Rect(shape["left"], y, before, high), label, Style(2.7, bold=True, role="sum"))
    box = Rect(shape["left"] + before - 10, y, columns[-2].width + 10, high)
    fill(sheet, box, figure, Style(2.7, bold=True, role="sum"), "end")
    return y + high


def _totals(
    sheet: Sheet, rows: list[Row], y: float, columns: tuple[Column, ...], plan: Layout, content: VoucherContent
) -> None:
    total = sum((row.amount for row in rows if row.amount is not None), ZERO)
    label = f"合　计　{len(rows)} 笔"
    failed = sum(row.failed for row in rows)
    if any(row.paid is not None for row in rows):
        paid = sum((row.paid for row in rows if row.paid is not None), ZERO)
        label += f"　其中已付 {format_yuan(paid)}，未付 {failed} 笔"
    y = _figures(sheet, label, format_yuan(total), y, columns, plan.ink)
    stated = amount_of(content.main.get(plan.amount, ""))
    if stated is not None and stated != total:
        wide = geometry()["list"]["right"] - geometry()["list"]["left"]
        text = f"明细合计与凭证金额 {format_yuan(stated)} 不符"
        fill(sheet, Rect(geometry()["list"]["left"], y, wide, 5), text, Style(2.7, colour=RED, role="warning"))
