"""Which characters our fonts can draw and how wide they are, read from the font files (ISO/IEC 14496-22).

A character without a glyph is drawn as 〓 and named at the foot of the page: never an empty box, never a neighbour.
"""

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vouchers.paper.model import Face

FONTS = Path(__file__).parent / "fonts"
FAMILIES: dict[Face, str] = {"serif": "Guoku Serif", "mono": "Guoku Mono"}
FILES: dict[Face, Path] = {"serif": FONTS / "GuokuSerif-Regular.otf", "mono": FONTS / "GuokuMono-Regular.otf"}
GETA = "〓"


@dataclass(frozen=True)
class Metrics:
    """Advance widths in em by character; a character that is no key has no glyph."""

    widths: dict[str, float]


@cache
def metrics(face: Face) -> Metrics:
    """Read `cmap` and `hmtx` of one font; once a process, about 20 ms."""
    data = FILES[face].read_bytes()
    tables = {
        data[place : place + 4]: struct.unpack_from(">II", data, place + 8)
        for place in range(12, 12 + 16 * struct.unpack_from(">H", data, 4)[0], 16)
    }
    units = struct.unpack_from(">H", data, tables[b"head"][0] + 18)[0]
    long_metrics = struct.unpack_from(">H", data, tables[b"hhea"][0] + 34)[0]
    advances = struct.unpack_from(">" + "Hh" * long_metrics, data, tables[b"hmtx"][0])[::2]
    glyphs = _characters(data, tables[b"cmap"][0])
    return Metrics({chr(code): advances[min(glyph, long_metrics - 1)] / units for code, glyph in glyphs.items()})


def _characters(data: bytes, cmap: int) -> dict[int, int]:
    """Return glyph by code point from the subtable of format 4: the wire has no character beyond U+FFFF."""
    count = struct.unpack_from(">H", data, cmap + 2)[0]
    starts = {cmap + struct.unpack_from(">I", data, cmap + 8 + 8 * number)[0] for number in range(count)}
    start = next(place for place in sorted(starts) if struct.unpack_from(">H", data, place)[0] == 4)
    segments = struct.unpack_from(">H", data, start + 6)[0] // 2
    ends, firsts, deltas, offsets = (
        struct.unpack_from(f">{segments}H", data, start + 14 + 2 * segments * part + (2 if part else 0))
        for part in range(4)
    )
    found: dict[int, int] = {}
    for number in range(segments):
        at = start + 16 + 6 * segments + 2 * number
        for code in range(firsts[number], min(ends[number], 0xFFFE) + 1):
            glyph = code
            if offsets[number]:
                glyph = struct.unpack_from(">H", data, at + offsets[number] + 2 * (code - firsts[number]))[0]
                if not glyph:
                    continue
            glyph = (glyph + deltas[number]) & 0xFFFF
            if glyph:
                found[code] = glyph
    return found


def missing(text: str) -> list[str]:
    """Return the characters of a text that the serif font cannot draw, each once: control characters among them."""
    widths = metrics("serif").widths
    return [character for character in dict.fromkeys(text) if character not in widths]


def shown(text: str) -> str:
    """Return the text with 〓 for every character that cannot be drawn."""
    widths = metrics("serif").widths
    return "".join(character if character in widths else GETA for character in text)


def face_of(text: str, wanted: Face) -> Face:
    """Return the wanted face, or the serif one where the other lacks a character."""
    widths = metrics(wanted).widths
    return wanted if all(character in widths for character in text) else "serif"


def width(text: str, size: float, face: Face = "serif", letter_spacing: float = 0.0) -> float:
    """Return the advance of a text in millimetres; every character must have a glyph."""
    widths = metrics(face).widths
    return size * sum(widths[character] for character in text) + letter_spacing * max(0, len(text) - 1)
