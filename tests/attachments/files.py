"""Files as honest people send them, and as others do."""

import io
import zipfile

import pypdfium2
from PIL import Image

OFD_MEMBERS = {"OFD.xml": b"<OFD/>", "Doc_0/Document.xml": b"<Document/>"}
XLSX_MEMBERS = {"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"}


def pdf(pages: int = 1, note: int = 0) -> bytes:
    """An empty PDF; `note` makes the bytes another file."""
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(595 + note, 842)
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30), colour: str = "navy") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, form)
    return written.getvalue()


def container(members: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return written.getvalue()


def xlsx(**more: bytes) -> bytes:
    return container(XLSX_MEMBERS | more)


def ofd(**more: bytes) -> bytes:
    return container(OFD_MEMBERS | more)


XML = '<?xml version="1.0" encoding="UTF-8"?><发票 号码="25112000000000000001"/>'.encode()
