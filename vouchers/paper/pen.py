"""Putting values on a sheet: formatted, kept to the glyphs we have, kept inside their boxes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.money import format_yuan
from vouchers.paper.fitting import LEADING, Fitted, fit
from vouchers.paper.glyphs import face_of, missing, shown, width
from vouchers.paper.layouts import pairs
from vouchers.paper.model import BLACK, Anchor, Face, Line, Rect, Sheet, Text
from vouchers.schema import Field

PADDING = 1.1
_AMOUNT = re.compile(r"-?[0-9]{1,14}\.[0-9]{2}", re.ASCII)
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})", re.ASCII)
_MIDDLE = 0.36  # em from the middle of a line of Chinese text down to its baseline


@dataclass(frozen=True)
class Style:
    """How a text looks; the defaults are those of a filled-in value."""

    size: float = 2.9
    face: Face = "serif"
    colour: str = BLACK
    role: str = "value"
    bold: bool = False
    letter_spacing: float = 0.0


def amount_of(text: str) -> Decimal | None:
    """Return the amount of a wire text, None unless it is one."""
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def readable(field: Field | None, text: str) -> str:
    """Write amounts with separators and dates with hyphens; whatever has another form stays as it is."""
    kind = field.kind if field else "text"
    if kind == "amount" and (amount := amount_of(text)) is not None:
        return format_yuan(amount)
    if kind == "date" and (parts := _DATE.fullmatch(text)):
        return "-".join(parts.groups())
    return text


def labelled(fields: Mapping[str, Field], values: Mapping[str, str], before: str = "") -> list[tuple[str, str]]:
    """Name the values that are not empty, in the order of the field list, codes with their names.

    A tag the list does not know is its own label. `before` says whose they are: 明细.
    """
    told = {tag: text for tag, text in values.items() if text}
    known = [
        (before + cell.label.removeprefix(before), " ".join(readable(fields[tag], told[tag]) for tag in cell.tags))
        for cell in pairs({tag: fields[tag] for tag in fields if tag in told})
    ]
    return known + [(before + tag, text) for tag, text in told.items() if tag not in fields]


def write(sheet: Sheet, x: float, y: float, text: str, style: Style, anchor: Anchor = "start") -> None:
    """Write one line with its baseline at `y`, as wide as it is; nothing where there is nothing to say."""
    if not text:
        return
    for character in missing(text):
        sheet.missing.setdefault(f"U+{ord(character):04X}")
    drawn = shown(text)
    face = face_of(drawn, style.face)
    advance = width(drawn, style.size, face, style.letter_spacing)
    sheet.items.append(
        Text(
            round(x, 3),
            round(y, 3),
            drawn,
            style.size,
            round(advance, 3),
            anchor,
            face,
            style.colour,
            style.letter_spacing,
            style.role,
            style.bold,
        )
    )


def fitted(text: str, wide: float, high: float, style: Style) -> Fitted:
    """Fit what can be drawn of a text into a box without padding."""
    drawn = shown(text)
    return fit(drawn, wide, high, style.size, face_of(drawn, style.face))


def fill(sheet: Sheet, box: Rect, text: str, style: Style, anchor: Anchor = "start") -> bool:
    """Write a value into a box, in the middle of its height; return whether all of it found room."""
    if not text:
        return True
    for character in missing(text):
        sheet.missing.setdefault(f"U+{ord(character):04X}")
    found = fitted(text, box.width - 2 * PADDING, box.height, style)
    place = {"start": box.x + PADDING, "middle": box.x + box.width / 2, "end": box.x + box.width - PADDING}[anchor]
    lines(sheet, place, box.y + (box.height - len(found.lines) * found.size * LEADING) / 2, found, style, anchor)
    return found.whole


def lines(sheet: Sheet, x: float, top: float, found: Fitted, style: Style, anchor: Anchor = "start") -> None:
    """Write fitted lines downwards from `top`."""
    sized = Style(found.size, style.face, style.colour, style.role, style.bold, style.letter_spacing)
    for number, line in enumerate(found.lines):
        write(
            sheet, x, top + found.size * (LEADING * (number + 0.5) + _MIDDLE), line.rstrip(" ") or line, sized, anchor
        )


def frame(sheet: Sheet, box: Rect) -> Rect:
    """Draw a box and return it."""
    sheet.items.append(box)
    return box


def rule(sheet: Sheet, x1: float, y1: float, x2: float, y2: float, colour: str, line: float = 0.25) -> None:
    sheet.items.append(Line(round(x1, 3), round(y1, 3), round(x2, 3), round(y2, 3), colour, line))
