"""Seal pictures: draw the demonstration's own, and let in nobody's without a look at its header.

Drawn seals carry 演示·无效 and no emblem: a ready tool for real seals would serve forgers. They are SVG with
presentation attributes only, so that a page with a strict content policy may show them inline; every character on an
arc is its own rotated text, because not every renderer knows text on a path. A seal that does not verify is never
drawn whole: `broken_svg`.

Received pictures are measured by walking their blocks without decoding any, so a decompression bomb stays shut.
"""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from xml.sax.saxutils import escape, quoteattr

from seals.errors import SealError
from seals.verdicts import Deviation

LONGEST_PICTURE = 512 * 1024
MOST_PIXELS_ACROSS = 4096
MOST_PIXELS = 4_000_000
LARGEST_MM = 100
LONGEST_METADATA = 64 * 1024  # compressed text or colour profile inside a PNG

RED, GREY = "#d0021b", "#8a8a8a"
FONTS = "Guoku Serif, Noto Serif CJK SC, Source Han Serif SC, SimSun, serif"
INVALID_WORD = "演示·无效"

PICTURE_OFD = Deviation("picture_ofd", "印模为 OFD 图形，本系统不显示，只按字节校验。")


class PictureRefused(SealError):
    """A picture of a kind, size or shape that is not accepted."""

    code = "picture_refused"


# --- looking at received pictures


@dataclass(frozen=True)
class PictureSize:
    """What a picture's header says: its format (png, gif, jpeg, ofd) and pixels; OFD is not opened and has 0."""

    format: str
    width: int
    height: int


def check_picture(kind: str, data: bytes, width_mm: int, height_mm: int) -> PictureSize:
    """Accept a seal's picture by its stated type, its bytes and its stated size.

    :raises PictureRefused: if type and bytes disagree, it is SVG, animated, too large, cut off or has a tail.
    """
    if len(data) > LONGEST_PICTURE:
        raise PictureRefused("印模图片过大。", bytes=len(data))
    if not (1 <= width_mm <= LARGEST_MM and 1 <= height_mm <= LARGEST_MM):
        raise PictureRefused(f"印模尺寸须在 1 至 {LARGEST_MM} 毫米之间。", width_mm=width_mm, height_mm=height_mm)
    measure = _MEASURES.get(kind.lower())
    if measure is None:
        raise PictureRefused("印模图片只接受 PNG、GIF、JPEG 和 OFD。", type=kind)
    try:
        size = measure(data)
    except (ValueError, IndexError, struct.error) as error:
        raise PictureRefused(f"印模图片的内容不是完整的 {kind}：{error}", type=kind) from error
    if size.format != "ofd" and not (
        0 < size.width <= MOST_PIXELS_ACROSS
        and 0 < size.height <= MOST_PIXELS_ACROSS
        and size.width * size.height <= MOST_PIXELS
    ):
        raise PictureRefused("印模图片的像素数超过限制。", width=size.width, height=size.height)
    return size


def _measure_png(data: bytes) -> PictureSize:
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG signature")
    chunks = list(_png_chunks(data, 8))
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13 or chunks[-1][0] != b"IEND":
        raise ValueError("first or last chunk missing")
    names = [name for name, _ in chunks]
    if b"acTL" in names or names.count(b"IHDR") != 1 or b"IDAT" not in names:
        raise ValueError("not one still picture")
    if any(len(body) > LONGEST_METADATA for name, body in chunks if name in (b"zTXt", b"iTXt", b"iCCP")):
        raise ValueError("long compressed metadata")
    width, height = struct.unpack(">II", chunks[0][1][:8])
    return PictureSize("png", width, height)


def _png_chunks(data: bytes, position: int) -> Iterator[tuple[bytes, bytes]]:
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ValueError("cut off")
        yield name, data[position + 8 : position + 8 + length]
        position = end
        if name == b"IEND" and position != len(data):
            raise ValueError("bytes behind the end")


def _measure_gif(data: bytes) -> PictureSize:
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("no GIF signature")
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    frames = 0
    while data[position] != 0x3B:
        if data[position] == 0x21:  # an extension: its label, then blocks
            position = _gif_blocks(data, position + 2)
            continue
        if data[position] != 0x2C:
            raise ValueError("unknown block")
        left, top, across, down, local = struct.unpack_from("<HHHHB", data, position + 1)
        if left + across > width or top + down > height:
            raise ValueError("frame outside the picture")
        frames += 1
        table = 3 << (local & 7) + 1 if local & 0x80 else 0
        position = _gif_blocks(data, position + 10 + table + 1)
    if frames != 1:
        raise ValueError("not one still picture")
    if position + 1 != len(data):
        raise ValueError("bytes behind the end")
    return PictureSize("gif", width, height)


def _gif_blocks(data: bytes, position: int) -> int:
    while data[position]:
        position += data[position] + 1
    return position + 1


def _measure_jpeg(data: bytes) -> PictureSize:
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        raise ValueError("no JPEG start or end")
    position = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        if marker >> 8 != 0xFF or length < 2:
            raise ValueError("segments broken")
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):  # a frame header
            height, width = struct.unpack_from(">HH", data, position + 5)
            return PictureSize("jpeg", width, height)
        if marker == 0xFFDA:
            raise ValueError("no frame header")
        position += 2 + length


def _measure_ofd(data: bytes) -> PictureSize:
    if data[:4] != b"PK\x03\x04":
        raise ValueError("no OFD package")
    return PictureSize("ofd", 0, 0)


_MEASURES: dict[str, Callable[[bytes], PictureSize]] = {
    "png": _measure_png,
    "gif": _measure_gif,
    "jpg": _measure_jpeg,
    "jpeg": _measure_jpeg,
    "ofd": _measure_ofd,
}


# --- drawing


@dataclass(frozen=True)
class Shape:
    """Size in millimetres of a kind of seal, and what draws its inside."""

    width: int
    height: int
    draw: Callable[["_Texts"], list[str]]


@dataclass(frozen=True)
class _Texts:
    name: str
    code: str
    invalid_word: str
    ink: str
    on: date | None


def seal_size(kind: str) -> tuple[int, int]:
    """Width and height in millimetres of a kind of seal.

    :raises PictureRefused: for a kind nobody draws.
    """
    shape = _shape(kind)
    return shape.width, shape.height


def seal_svg(
    kind: str,
    name: str,
    code: str,
    *,
    void: bool = False,
    invalid_word: str = INVALID_WORD,
    on: date | None = None,
) -> str:
    """A seal as SVG, in millimetres.

    :param kind: official (circle 42), finance (circle 38), personal (square 20), signature (20 by 10), bank_transfer
        or transfer (转讫, 34 by 22) or pboc (转讫 of the People's Bank, 34 by 22).
    :param void: draw it in grey under the word 作废.
    :param on: the date on a 转讫 seal.
    :raises PictureRefused: for a kind nobody draws, or a name too long to be read.
    """
    ink = GREY if void else RED
    marks = [_text("作废", *_middle(kind), 9, GREY, turned=-20)] if void else []
    label = f"{name} 印章图样，{invalid_word}" + ("，已作废" if void else "")
    return _picture_of(kind, _Texts(name, code, invalid_word, ink, on), label, marks)


def broken_svg(
    kind: str, name: str, code: str, reason: str, *, invalid_word: str = INVALID_WORD, on: date | None = None
) -> str:
    """The same seal torn and crossed in grey, with the reason it does not hold: never to be taken for a valid one."""
    shape = _shape(kind)
    width, height = shape.width, shape.height
    teeth = [(width * (0.62 if i % 2 else 0.5), height * i / 8) for i in range(9)]
    tear = " ".join(f"{x:.2f},{y:.2f}" for x, y in teeth)
    size = max(1.2, min(3.0, (width - 2) / max(len(reason), 1)))
    marks = [
        f'<polyline points="{tear}" fill="none" stroke="#ffffff" stroke-width="1.6"/>',
        f'<path d="M2 2 L{width - 2} {height - 2} M{width - 2} 2 L2 {height - 2}" fill="none" stroke="{GREY}" '
        f'stroke-width="1"/>',
        f'<rect x="0" y="{height / 2 - size * 0.8:.2f}" width="{width}" height="{size * 1.6:.2f}" fill="#ffffff"/>',
        _text(reason, width / 2, height / 2, size, "#333333"),
    ]
    return _picture_of(kind, _Texts(name, code, invalid_word, GREY, on), f"{name} 印章未通过验证：{reason}", marks)


def seal_png(svg: str, render: Callable[[bytes], bytes]) -> bytes:
    """The SVG as PNG, by an injected renderer (`seals.eseal.render`), since text needs a font.

    :raises PictureRefused: if what came back is no acceptable PNG.
    """
    png = render(svg.encode())
    check_picture("PNG", png, 1, 1)
    return png


def _picture_of(kind: str, texts: _Texts, label: str, marks: list[str]) -> str:
    shape = _shape(kind)
    if not 1 <= len(texts.name) <= 40:
        raise PictureRefused("印章名称须为 1 至 40 字。", name=texts.name)
    if not texts.invalid_word.strip():
        raise PictureRefused("演示印章必须写明无效。", name=texts.name)
    width, height = shape.width, shape.height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label={quoteattr(label)} font-family={quoteattr(FONTS)}>'
        + "".join([*shape.draw(texts), *marks])
        + "</svg>"
    )


def _shape(kind: str) -> Shape:
    if kind not in _SHAPES:
        raise PictureRefused(f"没有 {kind!r} 这种印章图样。", kind=kind)
    return _SHAPES[kind]


def _middle(kind: str) -> tuple[float, float]:
    shape = _shape(kind)
    return shape.width / 2, shape.height / 2


def _official(texts: _Texts) -> list[str]:
    return _round(42, texts, star=5.2, rim=1.0, plate="")


def _finance(texts: _Texts) -> list[str]:
    return _round(38, texts, star=3.6, rim=0.8, plate="财务专用章")


def _round(size: int, texts: _Texts, *, star: float, rim: float, plate: str) -> list[str]:
    middle, radius = size / 2, size / 2 - rim
    parts = [_circle(middle, radius, rim, texts.ink), _star(middle, middle - 1.5, star, texts.ink)]
    if plate:
        parts.append(_circle(middle, radius - 1.1, 0.2, texts.ink))
        parts.append(_text(plate, middle, middle + 6.2, 3.0, texts.ink))
    letter = min(4.6, math.radians(250) * (radius - 4) / len(texts.name))
    parts += _arc(texts.name, middle, radius - 0.9 - letter / 2 - (0.6 if plate else 0), 250, letter, texts.ink)
    parts.append(_text(texts.invalid_word, middle, middle + 9.6, 2.6, texts.ink))
    parts += _arc(texts.code, middle, radius - 2.2, 70, 1.6, texts.ink, below=True)
    return parts


def _personal(texts: _Texts) -> list[str]:
    """Characters in two columns from right to left, 印 last, as name seals are cut."""
    letters = texts.name + "印"
    rows = math.ceil(len(letters) / 2)
    letter = min(6.5, 13.5 / rows)
    parts = [_box(20, 20, 0.9, texts.ink)]
    for index, character in enumerate(letters):
        column, row = divmod(index, rows)
        parts.append(
            _text(character, 14.3 - 8.6 * column, 9.0 + (row - (rows - 1) / 2) * (13.5 / rows), letter, texts.ink)
        )
    parts.append(_text(texts.invalid_word, 10, 17.8, 2.0, texts.ink))
    return parts


def _signature(texts: _Texts) -> list[str]:
    letter = min(4.2, 17 / len(texts.name))
    return [
        _text(texts.name, 10, 4.2, letter, texts.ink),
        _text(texts.invalid_word, 10, 8.3, 1.9, texts.ink),
    ]


def _bank_transfer(texts: _Texts) -> list[str]:
    return _plate(texts, "转讫")


def _pboc(texts: _Texts) -> list[str]:
    return [*_plate(texts, "转讫"), _box(34, 22, 0.25, texts.ink, inset=1.4)]


def _plate(texts: _Texts, word: str) -> list[str]:
    letter = min(3.4, 29 / len(texts.name))
    return [
        _box(34, 22, 0.8, texts.ink),
        _text(texts.name, 17, 4.6, letter, texts.ink),
        _text(texts.on.strftime("%Y.%m.%d") if texts.on else texts.code, 17, 9.2, 2.8, texts.ink),
        _text(word, 17, 14.0, 4.8, texts.ink, spacing=4),
        _text(texts.invalid_word, 17, 18.8, 2.2, texts.ink),
    ]


_SHAPES = {
    "official": Shape(42, 42, _official),
    "finance": Shape(38, 38, _finance),
    "personal": Shape(20, 20, _personal),
    "signature": Shape(20, 10, _signature),
    "transfer": Shape(34, 22, _bank_transfer),
    "bank_transfer": Shape(34, 22, _bank_transfer),
    "pboc": Shape(34, 22, _pboc),
}


def _arc(
    text: str, middle: float, radius: float, span: float, size: float, ink: str, *, below: bool = False
) -> list[str]:
    """Characters on an arc of `span` degrees around the top, or upright along the bottom; each its own text."""
    step = span / max(len(text), 2)
    parts = []
    for index, character in enumerate(text):
        degrees = (index - (len(text) - 1) / 2) * step
        angle = math.radians(degrees)
        sign = 1 if below else -1
        x, y = middle + radius * math.sin(angle), middle + sign * radius * math.cos(angle)
        parts.append(_text(character, x, y, size, ink, turned=-degrees if below else degrees))
    return parts


def _text(text: str, x: float, y: float, size: float, ink: str, *, turned: float = 0, spacing: float = 0) -> str:
    """Centred at (x, y): the baseline lies about a third of the size below, which every renderer honours."""
    place = f'x="{x:.2f}" y="{y + size * 0.36:.2f}"'
    turn = f' transform="rotate({turned:.2f} {x:.2f} {y:.2f})"' if turned else ""
    space = f' letter-spacing="{spacing}"' if spacing else ""
    return f'<text {place} font-size="{size:.2f}" fill="{ink}" text-anchor="middle"{space}{turn}>{escape(text)}</text>'


def _circle(middle: float, radius: float, stroke: float, ink: str) -> str:
    return f'<circle cx="{middle}" cy="{middle}" r="{radius:.2f}" fill="none" stroke="{ink}" stroke-width="{stroke}"/>'


def _box(width: int, height: int, stroke: float, ink: str, *, inset: float = 0) -> str:
    edge = stroke / 2 + inset
    return (
        f'<rect x="{edge:.2f}" y="{edge:.2f}" width="{width - 2 * edge:.2f}" height="{height - 2 * edge:.2f}" '
        f'fill="none" stroke="{ink}" stroke-width="{stroke}"/>'
    )


def _star(x: float, y: float, radius: float, ink: str) -> str:
    points = []
    for index in range(10):
        reach = radius * (0.382 if index % 2 else 1)  # the inner corners of a regular five-pointed star
        angle = math.radians(36 * index)
        points.append(f"{x + reach * math.sin(angle):.2f},{y - reach * math.cos(angle):.2f}")
    return f'<polygon points="{" ".join(points)}" fill="{ink}"/>'
