"""Pages as pictures: drawn anew from the bytes we keep, so that a browser never opens what somebody uploaded.

A picture is made when it is first asked for and kept in the store's `previews/` under digest and page. It can always be
made again; the original stays as it came.
"""

import io
import os
import threading
import uuid
from typing import BinaryIO

import pypdfium2
from PIL import Image, ImageOps

from attachments.limits import MOST_PIXELS
from attachments.models import StoredFile
from attachments.store import PREVIEWS, FileStore, file_store
from core.errors import NotFound

PDFIUM = threading.Lock()  # the library works for one thread at a time
LONGEST_SIDE = 1600  # pixels
MEDIA_TYPE = "image/webp"
PICTURES = ("image/png", "image/jpeg")


def preview(file: StoredFile, page: int) -> bytes:
    """Return page `page` (from 1) of a file as WebP.

    :raises NotFound: for a page that does not exist, or a file that cannot be drawn.
    """
    if not 1 <= page <= file.pages:
        raise NotFound("没有这一页。", field="page", given=page)
    store = file_store()
    kept = store.root / PREVIEWS / f"{file.digest}-{page}.webp"
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        drawn = _draw(store, file, page)
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = kept.with_name(uuid.uuid4().hex)
    temporary.write_bytes(drawn)
    os.replace(temporary, kept)
    return drawn


def _draw(store: FileStore, file: StoredFile, page: int) -> bytes:
    with store.open(file.digest) as opened:  # NotFound if the bytes are gone
        try:
            image = _picture(opened) if file.media_type in PICTURES else _pdf_page(opened, page)
        except (pypdfium2.PdfiumError, OSError, ValueError, SyntaxError) as error:
            raise NotFound("这一页不能显示，请下载原件查看。", field="page") from error
    written = io.BytesIO()
    image.save(written, "WEBP", quality=80, method=2)
    return written.getvalue()


def _picture(opened: BinaryIO) -> Image.Image:
    with Image.open(opened, formats=["PNG", "JPEG"]) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("too many pixels")
        image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # a JPEG may be read at a fraction of its size
        turned = ImageOps.exif_transpose(image)
        turned.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        if turned.mode in ("RGBA", "LA", "PA", "P"):
            over = turned.convert("RGBA")
            turned = Image.new("RGBA", over.size, "white")
            turned.alpha_composite(over)
        return turned.convert("RGB")


def _pdf_page(opened: BinaryIO, page: int) -> Image.Image:
    with PDFIUM:
        document = pypdfium2.PdfDocument(opened)
        try:
            sheet = document[page - 1]
            width, height = sheet.get_size()  # points of 1/72 inch
            scale = min(2.5, LONGEST_SIDE / max(width, height, 1.0))
            image: Image.Image = sheet.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
            sheet.close()
            return image
        finally:
            document.close()
