"""Texts that must stay inside their boxes: shrunk a little, then wrapped, at last cut with a sign that they are."""

import re
from dataclasses import dataclass

from vouchers.paper.glyphs import width
from vouchers.paper.model import Face

SMALLEST = 1.9  # mm: about 5.4 points, what still reads on paper
LEADING = 1.22
CUT = "…"
_NEVER_FIRST = "，。；：、！？）》〉】〕」』”’…,.;:!?)"
_WORDS = re.compile(r"[!-~]+ ?|.", re.DOTALL)


@dataclass(frozen=True)
class Fitted:
    """Lines of one size; `whole` is False where the end had to go."""

    lines: tuple[str, ...]
    size: float
    whole: bool


def fit(text: str, wide: float, high: float, size: float, face: Face = "serif", smallest: float = SMALLEST) -> Fitted:
    """Fit a text into `wide` × `high` mm, at `size` or as little smaller as needed. Characters must have glyphs."""
    while True:
        room = max(1, int((high + 0.01) / (size * LEADING)))
        lines = wrap(text, wide, size, face)
        if len(lines) <= room:
            return Fitted(tuple(lines), size, whole=True)
        if size <= smallest:
            return Fitted((*lines[: room - 1], _cut(lines[room - 1], wide, size, face)), size, whole=False)
        size = max(smallest, round(size - 0.1, 2))


def wrap(text: str, wide: float, size: float, face: Face = "serif") -> list[str]:
    """Break a text into lines no wider than `wide`: between Chinese characters, after Latin words, else anywhere."""
    if width(text, size, face) <= wide:
        return [text]
    lines, line, used = [], "", 0.0
    for word in _WORDS.findall(text):
        for piece in [word] if width(word, size, face) <= wide else word:
            advance = width(piece, size, face)
            if line and used + width(piece.rstrip(" ") or piece, size, face) > wide:
                kept = line[:-1] if piece in _NEVER_FIRST and len(line) > 1 else line
                lines.append(kept)
                line, used = line[len(kept) :], width(line[len(kept) :], size, face)
            line, used = line + piece, used + advance
    return [*lines, line] if line else lines


def _cut(line: str, wide: float, size: float, face: Face) -> str:
    mark = CUT if face == "serif" else "..."
    while line and width(line + mark, size, face) > wide:
        line = line[:-1]
    return line + mark
