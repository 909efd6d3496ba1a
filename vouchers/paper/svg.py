"""A page as inline SVG: real text, presentation attributes only (the page's CSP allows no style), seals as links."""

from xml.sax.saxutils import escape, quoteattr

from vouchers.paper.glyphs import FAMILIES
from vouchers.paper.model import PAPER, Face, Item, Line, Outline, Page, Rect, Seal, Text

_STACKS: dict[Face, str] = {
    "serif": f"{FAMILIES['serif']}, Noto Serif CJK SC, Source Han Serif SC, SimSun, Songti SC, serif",
    "mono": f"{FAMILIES['mono']}, Noto Sans Mono CJK SC, Consolas, Menlo, monospace",
}
_TEAR = (0.42, 0.30, 0.38, 0.24, 0.36, 0.26, 0.40, 0.28)  # of the height, from left to right


def page_svg(page: Page) -> str:
    """Return one <svg> element in millimetres, safe to put into a page as it is."""
    size = f'viewBox="0 0 {page.width:g} {page.height:g}" width="{page.width:g}mm" height="{page.height:g}mm"'
    body = "".join(_item(item) for item in page.items)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="paper-page" {size} role="group" '
        f"aria-label={quoteattr(page.title)}>"
        f'<rect width="{page.width:g}" height="{page.height:g}" fill="{PAPER}"/>{body}</svg>'
    )


def outline_svg(item: Outline) -> str:
    """Return the element of a picture made of one path."""
    spoken = f'role="img" aria-label={quoteattr(item.label)}' if item.label else 'aria-hidden="true"'
    turn = f" rotate({item.rotation:g})" if item.rotation else ""
    opacity = f' fill-opacity="{item.opacity:g}"' if item.opacity < 1 else ""
    return (
        f'<path class="paper-{item.role}" {spoken} '
        f'transform="translate({item.x:g} {item.y:g}){turn} scale({item.scale:.5f})" '
        f'fill="{item.colour}"{opacity} d="{item.path}"/>'
    )


def tear_svg(width: float, height: float) -> str:
    """Return the tear across a broken seal, in its own box."""
    step = width / (len(_TEAR) - 1)
    points = " ".join(f"{number * step:.2f},{height * share:.2f}" for number, share in enumerate(_TEAR))
    edge = f'<polyline points="{points}" fill="none" stroke="#8a8f98" stroke-width="{height * 0.07:.2f}"/>'
    return edge + f'<polyline points="{points}" fill="none" stroke="{PAPER}" stroke-width="{height * 0.05:.2f}"/>'


def sized(svg: str, width: float, height: float) -> str:
    """Give a clean picture its size on the page."""
    return svg.replace("<svg ", f'<svg width="{width:g}" height="{height:g}" ', 1)


def _item(item: Item) -> str:
    match item:
        case Line():
            dash = f' stroke-dasharray="{item.dash}"' if item.dash else ""
            return (
                f'<line x1="{item.x1:g}" y1="{item.y1:g}" x2="{item.x2:g}" y2="{item.y2:g}" stroke="{item.colour}" '
                f'stroke-width="{item.width:g}"{dash}/>'
            )
        case Rect():
            return _rect(item)
        case Text():
            return _text(item)
        case Outline():
            return outline_svg(item)
        case Seal():
            return _seal(item)


def _rect(item: Rect) -> str:
    if not item.stroke and not item.fill:
        return ""
    paint = f'fill="{item.fill or "none"}"' + (
        f' stroke="{item.stroke}" stroke-width="{item.line:g}"' if item.stroke else ""
    )
    return f'<rect x="{item.x:g}" y="{item.y:g}" width="{item.width:g}" height="{item.height:g}" {paint}/>'


def _text(item: Text) -> str:
    """A text of Latin letters is pressed to the width it has in our font: another one must not leave the box."""
    extra = f' text-anchor="{item.anchor}"' if item.anchor != "start" else ""
    if item.letter_spacing:
        extra += f' letter-spacing="{item.letter_spacing:g}"'
    elif len(item.text) > 1 and any(character < "\u2000" for character in item.text):
        extra += f' textLength="{item.width:g}" lengthAdjust="spacingAndGlyphs"'
    if item.bold:
        extra += f' stroke="{item.colour}" stroke-width="{item.size * 0.03:.3f}"'
    return (
        f'<text x="{item.x:g}" y="{item.y:g}" font-family="{_STACKS[item.font]}" font-size="{item.size:g}" '
        f'fill="{item.colour}"{extra} xml:space="preserve">{escape(item.text)}</text>'
    )


def _seal(item: Seal) -> str:
    middle_x, middle_y = item.x + item.width / 2, item.y + item.height / 2
    turn = f"rotate({item.rotation:g} {middle_x:g} {middle_y:g}) translate({item.x:g} {item.y:g})"
    tear = "" if item.ok else tear_svg(item.width, item.height)
    kind = "paper-seal" if item.ok else "paper-seal paper-seal-broken"
    return (
        f"<a href={quoteattr(item.link)} aria-label={quoteattr(item.label)}>"
        f'<g class="{kind}" role="img" aria-label={quoteattr(item.label)} transform="{turn}">'
        f'<rect width="{item.width:g}" height="{item.height:g}" fill="none" pointer-events="all"/>'
        f"{sized(item.svg, item.width, item.height)}{tear}</g></a>"
    )
