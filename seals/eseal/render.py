"""Seal pictures as PNG with typst: apart from `seals.eseal.picture`, so that verifying needs no renderer."""

from collections.abc import Callable, Sequence
from pathlib import Path

import typst

from seals.eseal.picture import PictureRefused

_SOURCE = b"""#set page(width: auto, height: auto, margin: 0pt, fill: none)
#image(bytes(sys.inputs.svg), format: "svg")"""


def typst_renderer(font_folders: Sequence[Path], *, ppi: float = 200) -> Callable[[bytes], bytes]:
    """What `seal_png` needs: SVG to PNG with the fonts of these folders only, so that every machine draws the same.

    A character none of the fonts has is left out of the picture, as by every renderer; check once with the real font.
    """
    fonts = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(each) for each in font_folders]
    )

    def render(svg: bytes) -> bytes:
        try:
            return typst.compile(_SOURCE, format="png", ppi=ppi, font_paths=fonts, sys_inputs={"svg": svg.decode()})
        except typst.TypstError as error:
            raise PictureRefused("印章图样无法转为图片。") from error

    return render
