"""Make the two fonts of the vouchers, and the outlines of the watermark, from Noto CJK.

Run by hand, never by the system: it needs fontTools, which the system itself does not. docs/paper.md has the command;
the same input gives the same bytes.
"""

import json
import sys
from pathlib import Path

from fontTools.pens.svgPathPen import SVGPathPen  # type: ignore[import-not-found]
from fontTools.pens.transformPen import TransformPen  # type: ignore[import-not-found]
from fontTools.subset import Options, Subsetter  # type: ignore[import-not-found]
from fontTools.ttLib import TTFont  # type: ignore[import-not-found]

HERE = Path(__file__).parent
ASCII = set(range(0x20, 0x7F))
WATERMARK = "演示票样 无效"
SIMPLIFIED_SERIF, SIMPLIFIED_SANS, SIMPLIFIED_MONO = 2, 2, 7  # places inside the collections


def gbk() -> set[int]:
    """Every character the wire can carry, and the sign ¥, which it cannot."""
    pairs = (bytes([high, low]) for high in range(0x81, 0xFF) for low in range(0x40, 0xFF))
    texts = (pair.decode("gbk", errors="ignore") for pair in pairs)
    return ASCII | {0xA5} | {ord(text) for text in texts if len(text) == 1}


def subset(font: TTFont, codepoints: set[int], family: str, target: Path) -> None:
    """Keep these characters and no layout rules; name the font anew, because it is no longer what Noto published."""
    options = Options(layout_features=[], hinting=False, notdef_outline=True, name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14])
    options.drop_tables += ["BASE", "VORG", "vhea", "vmtx"]  # nothing is set vertically
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=codepoints)
    subsetter.subset(font)
    for record in list(font["name"].names):
        if (record.platformID, record.langID) != (3, 0x409):
            font["name"].removeNames(record.nameID, record.platformID, record.platEncID, record.langID)
    postscript = family.replace(" ", "") + "-Regular"
    for name_id, text in ((1, family), (2, "Regular"), (3, postscript), (4, family), (6, postscript)):
        font["name"].setName(text, name_id, 3, 1, 0x409)
    cff = font["CFF "].cff
    cff.fontNames = [postscript]
    cff[0].FullName = cff[0].FamilyName = family
    font.save(target)
    missing = codepoints - font.getBestCmap().keys()
    print(target.name, target.stat().st_size, "bytes; without a glyph:", sorted(f"U+{c:04X}" for c in missing))


def outline(font: TTFont, text: str) -> dict[str, object]:
    """The text as one SVG path, one unit an em, the baseline at y = 0: it can be seen but not read as text."""
    glyphs, cmap, pen = font.getGlyphSet(), font.getBestCmap(), SVGPathPen(None, ntos=lambda number: f"{number:.3f}")
    x = 0.0
    for character in text:
        glyph = glyphs[cmap[ord(character)]]
        glyph.draw(TransformPen(pen, (0.001, 0, 0, -0.001, x, 0)))
        x += glyph.width / 1000
    return {"width": round(x, 3), "path": pen.getCommands()}


def main(source: Path) -> None:
    serif, sans = source / "NotoSerifCJK-Regular.ttc", source / "NotoSansCJK-Regular.ttc"
    subset(
        TTFont(serif, fontNumber=SIMPLIFIED_SERIF, recalcTimestamp=False),
        gbk(),
        "Guoku Serif",
        HERE / "GuokuSerif-Regular.otf",
    )
    subset(
        TTFont(sans, fontNumber=SIMPLIFIED_MONO, recalcTimestamp=False),
        ASCII,
        "Guoku Mono",
        HERE / "GuokuMono-Regular.otf",
    )
    drawn = outline(TTFont(source / "NotoSansCJK-Bold.ttc", fontNumber=SIMPLIFIED_SANS), WATERMARK)
    (HERE.parent / "watermark.json").write_text(json.dumps(drawn), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
