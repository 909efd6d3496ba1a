"""What a page is made of. All lengths in millimetres from the upper left corner; `y` of a text is its baseline."""

from dataclasses import dataclass, field
from typing import Literal

Anchor = Literal["start", "middle", "end"]
Face = Literal["serif", "mono"]

PAPER = "#fffdf6"
BLACK = "#1a1a1a"
GREY = "#6b7280"
RED = "#b3261e"


@dataclass(frozen=True)
class Line:
    """A straight stroke; `dash` as in SVG, "" for a full line."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    width: float = 0.25
    dash: str = ""


@dataclass(frozen=True)
class Rect:
    """A rectangle, filled, framed or both; "" means not."""

    x: float
    y: float
    width: float
    height: float
    stroke: str = ""
    fill: str = ""
    line: float = 0.25


@dataclass(frozen=True)
class Text:
    """One line of text. `width` is its advance in our own font, to which a viewer's other font is pressed."""

    x: float
    y: float
    text: str
    size: float
    width: float
    anchor: Anchor = "start"
    font: Face = "serif"
    colour: str = BLACK
    letter_spacing: float = 0.0
    role: str = "value"
    bold: bool = False


@dataclass(frozen=True)
class Outline:
    """A filled path that is a picture, not text: the QR code, the watermark. Rotated about (x, y), then scaled."""

    path: str
    x: float
    y: float
    scale: float
    colour: str
    role: Literal["qr", "watermark"]
    opacity: float = 1.0
    rotation: float = 0.0
    label: str = ""


@dataclass(frozen=True)
class Seal:
    """A seal where it was pressed. `svg` is clean and fills the box; `label` is what a screen reader says of it."""

    svg: str
    x: float
    y: float
    width: float
    height: float
    rotation: float
    label: str
    ok: bool
    link: str


Item = Line | Rect | Text | Outline | Seal


@dataclass(frozen=True)
class Page:
    """One sheet: its size, its name for screen readers, and what is drawn on it, in the order it is read."""

    width: float
    height: float
    title: str
    items: tuple[Item, ...]

    def text(self) -> str:
        """What can be read on it, line by line."""
        return "\n".join(item.text for item in self.items if isinstance(item, Text))


@dataclass(frozen=True)
class SealOnPaper:
    """A seal to draw, and what verification said of it.

    Without coordinates it stands where the layout puts its `position`; `width_mm` and `height_mm` likewise.
    """

    position: str
    name: str
    svg: str
    verdict_word: str
    ok: bool
    reason: str = ""
    x_mm: float | None = None
    y_mm: float | None = None
    width_mm: float | None = None
    height_mm: float | None = None
    rotation: float | None = None


@dataclass
class Sheet:
    """A page being drawn, with what must be said at its foot: characters without a glyph."""

    width: float
    height: float
    title: str
    items: list[Item] = field(default_factory=list)
    missing: dict[str, None] = field(default_factory=dict)

    def page(self) -> Page:
        return Page(self.width, self.height, self.title, tuple(self.items))
