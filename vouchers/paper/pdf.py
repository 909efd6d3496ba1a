"""Pages as PDF/A-3b (ISO 19005-3) with the signed originals inside. Our own fonts only, nothing of the machine.

The text of the voucher reaches the typesetter as data, never as source: no name or purpose can become a command.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import typst

from vouchers.paper.glyphs import FONTS
from vouchers.paper.model import Item, Line, Outline, Page, Rect, Seal, Text
from vouchers.paper.pressing import frame_only
from vouchers.paper.svg import outline_svg, sized, tear_svg

_SOURCE = Path(__file__).parent / "paper.typ"
_LARGE = 20  # pages of one job
_REMEMBERED = 10  # jobs
_ONE_AT_A_TIME = threading.Lock()  # the compiler holds the inputs of its last job


@dataclass(frozen=True)
class Original:
    """A file inside the PDF: the signed document itself (`source`) or what proves it (`supplement`)."""

    name: str
    data: bytes
    mime_type: str
    description: str
    relationship: Literal["source", "data", "supplement"] = "supplement"


def paper(
    pages: Sequence[Page], *, title: str, made_at: datetime, originals: Sequence[Original] = (), author: str = ""
) -> bytes:
    """Return the PDF. The same pages, originals and aware instant give the same bytes.

    :raises ValueError: if two originals bear one name.
    """
    if len({original.name for original in originals}) < len(originals):
        raise ValueError("every original needs a name of its own")
    moment = made_at.astimezone(UTC)
    job = {
        "title": title,
        "author": author,
        "date": [moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second],
        "pages": [_page(page) for page in pages],
        "files": [_file(original) for original in originals],
    }
    try:
        return _compile(job, moment)
    except typst.TypstError:
        whole = [replace(page, items=tuple(_without_raster(item) for item in page.items)) for page in pages]
        if whole == list(pages):
            raise
        return _compile(job | {"pages": [_page(page) for page in whole]}, moment)


def paper_of_many(
    papers: Sequence[tuple[Sequence[Page], Sequence[Original]]], *, title: str, made_at: datetime, author: str = ""
) -> bytes:
    """Return one PDF of several vouchers one after the other, for printing; originals keep their order and names."""
    pages = [page for drawn, _ in papers for page in drawn]
    originals = [original for _, inside in papers for original in inside]
    return paper(pages, title=title, made_at=made_at, originals=originals, author=author)


def _compile(job: Mapping[str, Any], moment: datetime) -> bytes:
    with _ONE_AT_A_TIME:
        try:
            made = _compiler().compile(
                sys_inputs={"job": json.dumps(job)}, format="pdf", pdf_standards="a-3b", timestamp=moment
            )
        finally:
            if len(job["pages"]) > _LARGE:
                _forget()
    assert isinstance(made, bytes)
    return made


def _forget() -> None:
    """The typesetter remembers what it laid out for its next ten jobs: after a large one, give it ten empty ones.

    Without this, ten batches of a hundred vouchers leave 0.7 GB in the process; with it, 0.2 GB (docs/paper.md).
    """
    empty = {"title": "", "author": "", "date": [2000, 1, 1, 0, 0, 0], "pages": [], "files": []}
    for _ in range(_REMEMBERED + 1):
        _compiler().compile(sys_inputs={"job": json.dumps(empty)}, format="pdf")


def _without_raster(item: Item) -> Item:
    """A partner's picture may be a damaged PNG: its seal becomes an empty frame, the voucher is still printed."""
    if isinstance(item, Seal) and "<image" in item.svg:
        return replace(item, svg=frame_only(item.width, item.height))
    return item


@cache
def _compiler() -> typst.Compiler:
    """One a process: it keeps the fonts open and the source parsed."""
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(FONTS)])
    return typst.Compiler(str(_SOURCE), root=str(_SOURCE.parent), font_paths=fonts, ignore_system_fonts=True)


def _file(original: Original) -> Mapping[str, Any]:
    return {
        "name": original.name,
        "data": list(original.data),
        "mime": original.mime_type,
        "description": original.description,
        "relationship": original.relationship,
    }


def _page(page: Page) -> dict[str, Any]:
    return {
        "width": page.width,
        "height": page.height,
        "items": [made for item in page.items if (made := _item(page, item))],
    }


def _item(page: Page, item: Item) -> dict[str, Any] | None:
    match item:
        case Line():
            dash = [float(part) for part in item.dash.split()] if item.dash else None
            return {**vars(item), "kind": "line", "dash": dash}
        case Rect():
            return {**vars(item), "kind": "rect"} if item.stroke or item.fill else None
        case Text():
            return _text(item)
        case Outline():
            body = outline_svg(item)
            return _picture(0, 0, page.width, page.height, 0, item.label, _wrapped(body, page.width, page.height))
        case Seal():
            tear = "" if item.ok else tear_svg(item.width, item.height)
            svg = _wrapped(sized(item.svg, item.width, item.height) + tear, item.width, item.height)
            return _picture(item.x, item.y, item.width, item.height, item.rotation, item.label, svg)


def _text(item: Text) -> dict[str, Any]:
    """Place a text by its left end: its width in our font is known."""
    shift = {"start": 0.0, "middle": item.width / 2, "end": item.width}[item.anchor]
    return {
        "kind": "text",
        "x": item.x - shift,
        "y": item.y,
        "text": item.text,
        "size": item.size,
        "font": item.font,
        "colour": item.colour,
        "spacing": item.letter_spacing,
        "bold": item.bold,
    }


def _picture(x: float, y: float, width: float, height: float, rotation: float, label: str, svg: str) -> dict[str, Any]:
    return {
        "kind": "picture",
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "rotation": rotation,
        "label": label,
        "svg": svg,
    }


def _wrapped(body: str, width: float, height: float) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">{body}</svg>'
