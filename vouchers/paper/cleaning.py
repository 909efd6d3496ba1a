"""Seal pictures come from others: only shapes, plain text and raster pictures get onto our page.

An allow-list, because an inline SVG is part of the page that shows it: no script, style, link, handler or foreign
element passes, and what is left is written anew. Source: docs/paper.md.
"""

import re
from functools import lru_cache

from lxml import etree

from vouchers.paper.glyphs import FAMILIES, shown

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_HREFS = ("href", "{http://www.w3.org/1999/xlink}href")
_ELEMENTS = frozenset("svg g path circle ellipse rect line polyline polygon text tspan image".split())  # noqa: SIM905
_ATTRIBUTES = frozenset(
    "viewBox width height x y x1 y1 x2 y2 cx cy r rx ry d points transform fill fill-opacity fill-rule stroke "  # noqa: SIM905
    "stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-dasharray opacity font-size font-weight "
    "text-anchor letter-spacing dominant-baseline preserveAspectRatio textLength lengthAdjust dx dy rotate".split()
)
_INHERITED = frozenset({"fill", "stroke", "stroke-width", "font-size", "font-weight", "text-anchor", "opacity"})
_RASTER = re.compile(r"data:image/(png|gif|jpeg);base64,[A-Za-z0-9+/=\s]+")
_REFERENCE = re.compile(r"url|[<>&]", re.IGNORECASE)
_PLAIN = frozenset({"none", "#fff", "#ffffff", "white", "transparent"})
MAX_CHARACTERS = 2_000_000
MAX_ELEMENTS = 5_000
BROKEN = "#8a8f98"


@lru_cache(maxsize=256)
def clean(svg: str, *, broken: bool = False) -> str | None:
    """Return the picture as an <svg> written by us, without its size, grey where broken; None if it is no picture."""
    if len(svg) > MAX_CHARACTERS:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(svg.encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    view = _view(root)
    if root.tag not in (f"{_NAMESPACE}svg", "svg") or view is None or sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        return None
    target = etree.Element(f"{_NAMESPACE}svg", nsmap={None: _NAMESPACE[1:-1]})
    target.set("viewBox", view)
    for key in sorted(_INHERITED.intersection(root.attrib)):
        if not _REFERENCE.search(root.attrib[key]):
            target.set(key, _grey(key, root.attrib[key]) if broken else root.attrib[key])
    _copy(root, target, broken)
    text: str = etree.tostring(target, encoding="unicode")
    return text


def _view(root: etree._Element) -> str | None:
    """The viewBox, or one made of width and height where there is none."""
    numbers = re.findall(r"-?[0-9.]+(?:e-?[0-9]+)?", root.get("viewBox", ""))
    if len(numbers) == 4:
        return " ".join(numbers)
    sides = [re.match(r"[0-9]+(?:\.[0-9]+)?", root.get(name, "")) for name in ("width", "height")]
    return f"0 0 {sides[0][0]} {sides[1][0]}" if sides[0] and sides[1] else None


def _copy(source: etree._Element, target: etree._Element, broken: bool) -> None:
    for child in source:
        name = child.tag.removeprefix(_NAMESPACE) if isinstance(child.tag, str) else ""
        if name not in _ELEMENTS or name == "svg":
            continue
        made = etree.SubElement(target, f"{_NAMESPACE}{name}")
        for key, value in child.attrib.items():
            if key in _ATTRIBUTES and not _REFERENCE.search(value):
                made.set(key, _grey(key, value) if broken else value)
        if broken and "fill" not in made.attrib and name in ("path", "circle", "ellipse", "rect", "polygon", "text"):
            made.attrib.update({} if _inherits(child) else {"fill": BROKEN})
        if name in ("text", "tspan"):
            made.set("font-family", f"{FAMILIES['serif']}, Noto Serif CJK SC, SimSun, serif")
            made.text, made.tail = shown(child.text or ""), shown((child.tail or "") if name == "tspan" else "")
        if name == "image":
            link = next((child.get(key, "") for key in _HREFS if child.get(key)), "")
            if not _RASTER.fullmatch(link):
                target.remove(made)
                continue
            made.set("href", link)
            if broken:
                made.set("opacity", "0.35")
        _copy(child, made, broken)


def _inherits(element: etree._Element) -> bool:
    return any("fill" in ancestor.attrib for ancestor in element.iterancestors())


def _grey(key: str, value: str) -> str:
    return BROKEN if key in ("fill", "stroke") and value.strip().lower() not in _PLAIN else value
