"""Seals on the face: where layout or configuration puts them, never over the amount, broken ones seen to be broken."""

import math
from collections.abc import Mapping, Sequence

from vouchers.paper.cleaning import clean
from vouchers.paper.fitting import LEADING, fit
from vouchers.paper.glyphs import shown
from vouchers.paper.layouts import SealPlace
from vouchers.paper.model import PAPER, RED, Rect, Seal, SealOnPaper, Sheet
from vouchers.paper.pen import Style, lines

FREE = SealPlace(118.0, 108.0, 30.0, 24.0, 0.0)  # a position the layout does not know


def press(sheet: Sheet, seals: Sequence[SealOnPaper], places: Mapping[str, SealPlace], keep_clear: Rect) -> None:
    """Put each seal at its place, below the amount where it would cover it; number the links from 1."""
    for number, seal in enumerate(seals, start=1):
        place = _place(seal, places.get(seal.position, FREE))
        x, y = _within(place, sheet, keep_clear)
        said = f"{seal.name}，{seal.verdict_word}" + (f"：{seal.reason}" if seal.reason else "")
        picture = clean(seal.svg, broken=not seal.ok)
        svg = picture if picture is not None else frame_only(place.width, place.height)
        sheet.items.append(
            Seal(svg, x, y, place.width, place.height, place.rotation, shown(said), seal.ok, f"#seal-{number}")
        )
        if not seal.ok:
            _say_why(sheet, seal, Rect(x, y, place.width, place.height))


def bounds(width: float, height: float, rotation: float) -> tuple[float, float]:
    """Return the sides of the upright box around a rotated one."""
    turn = math.radians(rotation)
    across, along = abs(math.cos(turn)), abs(math.sin(turn))
    return width * across + height * along, width * along + height * across


def _place(seal: SealOnPaper, default: SealPlace) -> SealPlace:
    return SealPlace(
        default.x if seal.x_mm is None else seal.x_mm,
        default.y if seal.y_mm is None else seal.y_mm,
        default.width if seal.width_mm is None else seal.width_mm,
        default.height if seal.height_mm is None else seal.height_mm,
        default.rotation if seal.rotation is None else seal.rotation,
    )


def _within(place: SealPlace, sheet: Sheet, keep_clear: Rect) -> tuple[float, float]:
    """The corner of the unrotated box: on the sheet, and clear of the amount."""
    wide, high = bounds(place.width, place.height, place.rotation)
    over_x, over_y = (wide - place.width) / 2, (high - place.height) / 2
    x = min(max(place.x, over_x), sheet.width - place.width - over_x)
    y = min(max(place.y, over_y), sheet.height - place.height - over_y)
    covers_x = x - over_x < keep_clear.x + keep_clear.width and x + place.width + over_x > keep_clear.x
    covers_y = y - over_y < keep_clear.y + keep_clear.height and y + place.height + over_y > keep_clear.y
    if covers_x and covers_y:
        y = keep_clear.y + keep_clear.height + over_y
    return round(x, 3), round(y, 3)


def _say_why(sheet: Sheet, seal: SealOnPaper, box: Rect) -> None:
    """The verdict and its reason below the tear: what cannot be overlooked cannot be passed on."""
    wide = max(box.width * 0.9, 24.0)
    found = fit(shown(f"{seal.verdict_word}　{seal.reason}".strip()), wide - 2, 9.6, 2.8)
    high = len(found.lines) * found.size * LEADING + 1.2
    left = min(max(box.x + (box.width - wide) / 2, 1.0), sheet.width - wide - 1.0)
    label = Rect(round(left, 3), round(box.y + box.height * 0.66 - high / 2, 3), wide, high, RED, PAPER, 0.3)
    sheet.items.append(label)
    lines(sheet, label.x + wide / 2, label.y + 0.6, found, Style(found.size, colour=RED, role="seal-reason"), "middle")


def frame_only(width: float, height: float) -> str:
    """What stands for a picture that is none: an empty dashed frame."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"><rect x="0.5" y="0.5" '
        f'width="{width - 1:g}" height="{height - 1:g}" fill="none" stroke="#8a8f98" stroke-width="0.4" '
        'stroke-dasharray="1.5 1"/></svg>'
    )
