"""From a voucher's content to pages: its face, a list of its payees, and a sheet for whatever found no room.

Nothing the voucher says is left off: a field the layout does not place stands under 其他要素, a value too long for its
box is repeated whole on the last sheet (要素附页). Source: docs/paper.md.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from core.money import format_yuan
from vouchers.messages import VoucherContent
from vouchers.paper.fitting import Fitted
from vouchers.paper.glyphs import width
from vouchers.paper.layouts import IDENTITY, Cell, Layout, Party, Signatory, geometry, layout
from vouchers.paper.listing import list_sheets
from vouchers.paper.model import GREY, RED, Line, Outline, Page, Rect, SealOnPaper, Sheet
from vouchers.paper.pen import PADDING, Style, amount_of, fill, fitted, frame, labelled, lines, readable, rule, write
from vouchers.paper.pressing import press
from vouchers.paper.qr import qr_path

Capital = Callable[[Decimal], str]

_DIGIT = Style(3.4, "mono", role="digit")
_SMALL = Style(2.3, colour=GREY, role="note")
_OTHER = Style(2.3, role="other")


@dataclass
class Form:
    """One voucher while it is drawn."""

    content: VoucherContent
    layout: Layout
    receipt: VoucherContent | None
    overflow: list[tuple[str, str]] = field(default_factory=list)  # label and value for the last sheet

    @property
    def only_detail(self) -> Mapping[str, str]:
        return self.content.details[0] if len(self.content.details) == 1 else {}

    def value(self, tag: str) -> str:
        """What the document says; a document with one detail says of itself what its detail says."""
        if tag in IDENTITY:
            return self.content.identity[tag]
        return readable(self.layout.main.get(tag), self.content.main.get(tag) or self.only_detail.get(tag, ""))

    def answer(self, tag: str) -> str:
        """What the receiver filled in."""
        if self.receipt is None:
            return readable(self.layout.main.get(tag), self.content.main.get(tag, ""))
        return readable(self.layout.main.get(tag), self.receipt.main.get(tag, ""))

    def joined(self, cell: Cell) -> str:
        """The values of a cell: code and name with a space between, several such pairs further apart."""
        texts = [self.value(tag) for tag in cell.tags]
        couples = [" ".join(filter(None, texts[place : place + 2])) for place in range(0, len(texts), 2)]
        return "　".join(filter(None, couples))


def draw(
    content: VoucherContent,
    *,
    capital: Capital,
    environment: str,
    receipt: VoucherContent | None = None,
    seals: Sequence[SealOnPaper] = (),
    qr_url: str = "",
    digest: str = "",
    officers: Sequence[tuple[str, str]] = (),
    mark: str = "",
) -> list[Page]:
    """Draw a voucher of any known type.

    `capital` writes an amount in capitals. `receipt` is the answer whose `X…` fields stand in the receiver's box.
    `officers` are pairs of post and name for the foot. `mark` is a word across the head, such as 已作废. Outside `prod`
    every page bears the watermark of a specimen.

    :raises VoucherTypeUnknown: if there is neither a layout nor a field list for the type.
    """
    form = Form(content, layout(content.voucher_type), receipt)
    face = _face(form, capital, seals, officers, digest, mark)
    sheets = [face]
    if len(content.details) > 1:
        sheets += list_sheets(content, form.layout, receipt)
    sheets += _annex(form)
    for number, sheet in enumerate(sheets, start=1):
        _finish(sheet, number, len(sheets), environment, qr_url)
    return [sheet.page() for sheet in sheets]


# The face -----------------------------------------------------------------------------------------------------------


def _face(
    form: Form,
    capital: Capital,
    seals: Sequence[SealOnPaper],
    officers: Sequence[tuple[str, str]],
    digest: str,
    mark: str,
) -> Sheet:
    shape = geometry()["face"]
    title = f"{form.layout.title} {form.content.voucher_no}"
    sheet = Sheet(shape["width"], shape["height"], title)
    _head(sheet, form, mark)
    y = shape["top"]
    if form.layout.parties:
        y = _parties(sheet, form, y)
    amount = _amount(sheet, form, capital, y)
    y = amount.y + amount.height
    y = _rows(sheet, form, y)
    _sign(sheet, form, y)
    _foot(sheet, officers, digest, seals)
    press(sheet, seals, form.layout.seals, keep_clear=amount)
    return sheet


def _head(sheet: Sheet, form: Form, mark: str) -> None:
    shape, ink, content = geometry()["face"], form.layout.ink, form.content
    left, right, middle = shape["left"], shape["right"] - geometry()["qr"] - 2, sheet.width / 2
    fill(sheet, Rect(left - PADDING, 5, 60, 4.4), f"行政区划：{content.adm_div_code}", Style(2.8))
    fill(sheet, Rect(left - PADDING, 9.4, 60, 4.4), f"业务年度：{content.fiscal_year}", Style(2.8))
    style = Style(6.4, colour=ink, role="title", bold=True, letter_spacing=0.9)
    found = fitted(form.layout.title, 66, 8, style)
    write(sheet, middle, 14.6, form.layout.title, Style(found.size, "serif", ink, "title", True, 0.9), "middle")
    half = len(form.layout.title) * (found.size + 0.9) / 2 + 1
    for y in (16.6, 17.2):
        rule(sheet, middle - half, y, middle + half, y, ink)
    fill(sheet, Rect(right - 44, 5, 44 + PADDING, 4.4), f"凭证类型：{content.voucher_type}", Style(2.8), "end")
    number = Style(2.8, "mono", role="voucher-no")
    size = fitted(content.voucher_no, 42, 4.4, number).size
    write(sheet, right, 12.6, content.voucher_no, Style(size, "mono", role="voucher-no"), "end")
    write(sheet, right - width(content.voucher_no, size, "mono") - 1, 12.6, "№", Style(2.8), "end")
    day = content.voucher_date
    write(sheet, middle, 22.6, f"{day.year} 年 {day.month:02d} 月 {day.day:02d} 日", Style(3), "middle")
    fill(sheet, Rect(right - 62, 19.6, 62 + PADDING, 4.2), form.layout.copy, Style(2.5), "end")
    if mark:
        box = frame(sheet, Rect(left, 15, 34, 7, RED, line=0.5))
        fill(sheet, box, mark, Style(4, colour=RED, role="mark", bold=True), "middle")


def _parties(sheet: Sheet, form: Form, top: float) -> float:
    shape = geometry()["face"]
    half = (shape["right"] - shape["left"]) / 2
    for number, party in enumerate(form.layout.parties):
        _party(sheet, form, party, shape["left"] + number * half, top, half, absent=number == 1)
    return float(top + 3 * shape["party_row"])


def _party(sheet: Sheet, form: Form, party: Party, x: float, top: float, wide: float, *, absent: bool) -> None:
    """Three rows beside a label set downwards; a payee named only in the list is referred to there."""
    row, ink, side = geometry()["face"]["party_row"], form.layout.ink, 7.0
    label = Style(2.8, colour=ink, role="label")
    frame(sheet, Rect(x, top, side, 3 * row, ink))
    for number, character in enumerate(party.label):
        fill(sheet, Rect(x, top + (number + 0.5) * row - 2.2, side, 4.4), character, label, "middle")
    referred = absent and len(form.content.details) > 1 and not any(form.value(tag) for tag in party.name)
    rows = (("全　称", party.name, "serif"), ("账　号", party.account, "mono"), ("开户银行", party.bank, "serif"))
    for number, (word, tags, face) in enumerate(rows):
        y, inner = top + number * row, geometry()["label"] - side
        fill(sheet, frame(sheet, Rect(x + side, y, inner, row, ink)), word, label, "middle")
        text = f"见清单，共 {len(form.content.details)} 笔" if referred and number == 0 else ""
        text = text or "　".join(filter(None, (form.value(tag) for tag in tags)))
        box = frame(sheet, Rect(x + side + inner, y, wide - side - inner, row, ink))
        style = Style(face="mono" if face == "mono" else "serif", role="party")
        if not fill(sheet, box, text, style):
            form.overflow.append((party.label + word.replace("　", ""), text))


def _amount(sheet: Sheet, form: Form, capital: Capital, top: float) -> Rect:
    """Capitals, then the same in ruled boxes with ¥ directly before the first digit; return the place they take."""
    shape, ink = geometry()["face"], form.layout.ink
    left, right = shape["left"], shape["right"]
    high = shape["amount_head"] + shape["amount_row"]
    text = form.content.main.get(form.layout.amount, "")
    amount = amount_of(text)
    signs = _signs(amount)
    count = max(geometry()["boxes"], len(signs))
    start = right - count * geometry()["digit"]
    fill(
        sheet,
        frame(sheet, Rect(left, top, geometry()["label"], high, ink)),
        "人民币（大写）",
        Style(2.8, colour=ink),
        "middle",
    )
    cell = frame(sheet, Rect(left + geometry()["label"], top, start - left - geometry()["label"], high, ink))
    words = capital(amount) if amount is not None else f"{text}（金额格式不符）"
    fill(sheet, Rect(cell.x, cell.y, cell.width, 6), words, Style(4, role="capital"))
    figure = "" if amount is None else f"（小写）{'-' if amount < 0 else ''}¥{format_yuan(abs(amount))}"
    fill(sheet, Rect(cell.x, cell.y + 5.6, cell.width, high - 5.6), figure, Style(2.6, role="amount"), "end")
    _boxes(sheet, form.layout.ink, start, top, signs, count)
    return Rect(left, top, right - left, high)


def _signs(amount: Decimal | None) -> str:
    """The digits down to fen behind ¥, and − before it where money flows back: one sign a box."""
    if amount is None:
        return ""
    return f"{'-' if amount < 0 else ''}¥{abs(amount):.2f}".replace(".", "")


def _boxes(sheet: Sheet, ink: str, start: float, top: float, signs: str, count: int) -> None:
    shape, digit = geometry()["face"], geometry()["digit"]
    places = geometry()["places"].rjust(count)[-count:]
    for number, (place, sign) in enumerate(zip(places, signs.rjust(count), strict=True)):
        x, bottom = start + number * digit, top + shape["amount_head"]
        head = frame(sheet, Rect(x, top, digit, shape["amount_head"], ink))
        fill(sheet, head, place.strip(), Style(2.5, colour=ink, role="label"), "middle")
        box = frame(sheet, Rect(x, bottom, digit, shape["amount_row"], ink))
        fill(
            sheet, box, sign.strip(), Style(3.4, "mono", RED if signs[:1] == "-" else _DIGIT.colour, "digit"), "middle"
        )
    for behind in (2, 6, 10):  # before 角, before 万, before 亿: where the eye counts
        x = start + (count - behind) * digit
        rule(sheet, x, top, x, top + shape["amount_head"] + shape["amount_row"], ink, 0.6)


def _rows(sheet: Sheet, form: Form, top: float) -> float:
    """The rows of the layout that say something or must be there, then what it does not place."""
    shape = geometry()["face"]
    last = shape["sign_bottom"] - shape["sign_height"] - shape["other_row"]
    y = top
    for row in form.layout.rows:
        kept = [cell for cell in row if any(form.value(tag) for tag in cell.tags) or _required(form, cell)]
        if not kept:
            continue
        if y + shape["row"] > last + 0.01:
            form.overflow += [(cell.label, form.joined(cell)) for cell in kept]
            continue
        _row(sheet, form, row if len(row) == len(kept) else tuple(kept), y)
        y += shape["row"]
    return _others(sheet, form, y)


def _required(form: Form, cell: Cell) -> bool:
    return any(found.required for tag in cell.tags if (found := form.layout.main.get(tag)))


def _row(sheet: Sheet, form: Form, row: Sequence[Cell], y: float) -> None:
    shape, ink, inner = geometry()["face"], form.layout.ink, geometry()["label"]
    wide = (shape["right"] - shape["left"]) / len(row)
    for number, cell in enumerate(row):
        x = shape["left"] + number * wide
        label = frame(sheet, Rect(x, y, inner, shape["row"], ink))
        fill(sheet, label, cell.label, Style(2.7, colour=ink, role="label"), "middle")
        text = form.joined(cell)
        if not fill(sheet, frame(sheet, Rect(x + inner, y, wide - inner, shape["row"], ink)), text, Style(2.8)):
            form.overflow.append((cell.label, text))


def _others(sheet: Sheet, form: Form, y: float) -> float:
    """One row for the fields without a place; too many of them go to the last sheet together."""
    shape, ink, inner = geometry()["face"], form.layout.ink, geometry()["label"]
    found = _unplaced(form)
    if not found:
        return y
    label = frame(sheet, Rect(shape["left"], y, inner, shape["other_row"], ink))
    fill(sheet, label, "其他要素", Style(2.7, colour=ink, role="label"), "middle")
    box = frame(sheet, Rect(label.x + inner, y, shape["right"] - shape["left"] - inner, shape["other_row"], ink))
    text = "　".join(f"{word}：{value}" for word, value in found)
    if fitted(text, box.width - 2 * PADDING, box.height, _OTHER).whole:
        fill(sheet, box, text, _OTHER)
    else:
        fill(sheet, box, f"共 {len(found)} 项，见要素附页", _OTHER)
        form.overflow += found
    return float(y + shape["other_row"])


def _unplaced(form: Form) -> list[tuple[str, str]]:
    """Label and value of every non-empty field that neither the layout nor the identity shows."""
    plan = form.layout
    placed = {tag for row in plan.rows for cell in row for tag in cell.tags}
    placed |= {tag for party in plan.parties for tag in (*party.name, *party.account, *party.bank)}
    placed |= {tag for signatory in plan.signatories for cell in signatory.facts for tag in cell.tags}
    placed |= {*IDENTITY, plan.amount}
    found = labelled(plan.main, {tag: text for tag, text in form.content.main.items() if tag not in placed})
    if form.receipt is not None:
        answers = {tag: text for tag, text in form.receipt.main.items() if text != form.content.main.get(tag, "")}
        found += labelled(plan.main, {tag: text for tag, text in answers.items() if tag not in placed})
    answered = form.receipt.details if form.receipt is not None and len(form.receipt.details) == 1 else ()
    for detail in (form.only_detail, *(answered if form.only_detail else ())):
        own = {tag: text for tag, text in detail.items() if not _told(form, tag, text, placed)}
        found += [pair for pair in labelled(plan.detail, own, "明细") if pair not in found]
    return found


def _told(form: Form, tag: str, text: str, placed: set[str]) -> bool:
    """Whether the face already says this of the only detail: with the document's words, or in their place."""
    main = form.content.main
    said = {**main, **form.content.identity, **(form.receipt.main if form.receipt else {})}
    same = {"VoucherBillId": main.get("Id", ""), "VoucherBillNo": form.content.voucher_no}.get(tag, said.get(tag, ""))
    instead = tag in placed and tag not in IDENTITY and not main.get(tag) and text == form.only_detail.get(tag)
    return text == same or (instead and not tag.startswith("X"))


def _sign(sheet: Sheet, form: Form, top: float) -> None:
    shape, ink = geometry()["face"], form.layout.ink
    half, high = (shape["right"] - shape["left"]) / 2, shape["sign_bottom"] - top
    for number, signatory in enumerate(form.layout.signatories):
        box = frame(sheet, Rect(shape["left"] + number * half, top, half, high, ink))
        write(sheet, box.x + PADDING, top + 4, signatory.label, Style(2.8, role="label", bold=True))
        _answers(sheet, form, signatory, box)


def _answers(sheet: Sheet, form: Form, signatory: Signatory, box: Rect) -> None:
    """What the receiver filled in, on dotted lines: left of its seal, from under the heading down."""
    step, wide = 4.4, 53.0
    cells = [cell for cell in signatory.facts if any(form.answer(tag) for tag in cell.tags)]
    for number, cell in enumerate(cells or signatory.facts[:3]):
        y = box.y + 5.2 + number * step
        if y + step > box.y + box.height:
            form.overflow += [
                (cell.label, " ".join(filter(None, map(form.answer, cell.tags)))) for cell in cells[number:]
            ]
            return
        fill(sheet, Rect(box.x, y, 20, step), cell.label, Style(2.5, colour=form.layout.ink, role="label"))
        text = " ".join(filter(None, map(form.answer, cell.tags)))
        if not fill(sheet, Rect(box.x + 19, y, wide - 19, step), text, Style(2.5, role="answer")):
            form.overflow.append((cell.label, text))
        sheet.items.append(Line(box.x + 20, y + step, box.x + wide, y + step, GREY, 0.15, "0.5 0.5"))


def _foot(sheet: Sheet, officers: Sequence[tuple[str, str]], digest: str, seals: Sequence[SealOnPaper]) -> None:
    shape = geometry()["face"]
    posts = officers or (("制单", ""), ("审核", ""), ("复核", ""), ("记账", ""))
    wide = (shape["right"] - shape["left"]) / max(len(posts), 4)
    for number, (post, name) in enumerate(posts):
        box = Rect(shape["left"] - PADDING + number * wide, shape["sign_bottom"] + 0.6, wide, 4.4)
        fill(sheet, box, f"{post}：{name}", Style(2.8, role="officer"))
    told = "；".join(f"{seal.name} {seal.verdict_word}" for seal in seals)
    parts = [f"摘要 SM3 {digest[:16]}…" if digest else "", f"签章：{told}" if told else "", "扫码验真，以电子原文为准"]
    box = Rect(shape["left"] - PADDING, shape["sign_bottom"] + 4.3, shape["right"] - shape["left"] - 24, 2.8)
    fill(sheet, box, "　".join(filter(None, parts)), _SMALL)


# The last sheet, and what every sheet bears -------------------------------------------------------------------------


def _annex(form: Form) -> list[Sheet]:
    """Label and value, one under the other, whole."""
    shape, ink = geometry()["list"], form.layout.ink
    sheets: list[Sheet] = []
    y, inner, style = shape["bottom"], 44.0, Style(2.8)
    for label, text in form.overflow:
        rows = list(fitted(text, shape["right"] - shape["left"] - inner - 2 * PADDING, 10_000, style).lines)
        while rows:
            if not sheets or y + 5.2 > shape["bottom"]:
                sheets.append(_annex_sheet(form))
                y = shape["top"]
            room = max(1, int((shape["bottom"] - y - 1.6) / (style.size * 1.22)))
            part, rows = rows[:room], rows[room:]
            high = max(5.2, len(part) * style.size * 1.22 + 1.6)
            sheet = sheets[-1]
            fill(sheet, frame(sheet, Rect(shape["left"], y, inner, high, ink)), label, Style(2.7, colour=ink), "middle")
            box = frame(sheet, Rect(shape["left"] + inner, y, shape["right"] - shape["left"] - inner, high, ink))
            lines(sheet, box.x + PADDING, y + 0.8, Fitted(tuple(part), style.size, True), style)
            y += high
    return sheets


def _annex_sheet(form: Form) -> Sheet:
    shape = geometry()["list"]
    sheet = Sheet(shape["width"], shape["height"], f"{form.layout.title} {form.content.voucher_no} 要素附页")
    write(
        sheet,
        sheet.width / 2,
        15,
        f"{form.layout.title}　要素附页",
        Style(5, colour=form.layout.ink, role="title", bold=True),
        "middle",
    )
    fill(sheet, Rect(shape["left"] - PADDING, 19, 120, 5), f"№ {form.content.voucher_no}", Style(2.8))
    return sheet


def _finish(sheet: Sheet, number: int, count: int, environment: str, qr_url: str) -> None:
    """Watermark below, QR code, page number and the note about characters above."""
    right = geometry()["face"]["right"]
    if environment != "prod":
        drawn = _watermark()
        scale = sheet.width * 0.62 / drawn["width"]
        y = sheet.height / 2 + scale * 0.75
        sheet.items.insert(0, Outline(drawn["path"], sheet.width * 0.21, y, scale, "#000000", "watermark", 0.07, -16))
    if qr_url:
        path, modules = qr_path(qr_url)
        side = geometry()["qr"]
        sheet.items.append(Outline(path, right - side, 4.5, side / modules, "#000000", "qr", label="凭证验真二维码"))
    bottom = sheet.height - 4.2
    write(sheet, right, bottom, f"第 {number} 页　共 {count} 页", _SMALL, "end")
    if sheet.missing:
        note = f"〓 处的字符没有字形：{'、'.join(sheet.missing)}"
        fill(sheet, Rect(8 - PADDING, sheet.height - 3.3, 190, 3), note, Style(2.3, colour=RED, role="missing"))


@cache
def _watermark() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((Path(__file__).parent / "watermark.json").read_text(encoding="utf-8"))
    return data
