"""Is this file what its name says, and is it harmless to keep and to draw? Ending, first bytes and content must agree.

Nothing is taken from the sender but name and bytes; the media type a browser states is ignored.
"""

import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pypdfium2
from lxml import etree
from PIL import Image

from attachments.errors import FileRefused
from attachments.limits import MIB, MOST_ENTRIES, MOST_PAGES, MOST_PIXELS, MOST_RATIO, MOST_UNPACKED
from attachments.rendering import PDFIUM
from attachments.store import Received

_PIECE = 256 * 1024
_EXECUTABLE_ENDINGS = frozenset(
    (
        *("apk", "app", "bat", "bin", "class", "cmd", "com", "cpl", "dll", "dylib", "elf", "exe", "hta", "jar", "js"),
        *("jse", "lnk", "msi", "ocx", "pif", "ps1", "py", "reg", "scr", "sh", "so", "sys", "vb", "vbe", "vbs", "wsf"),
    )
)
_EXECUTABLE_STARTS = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")
_ARCHIVE_STARTS = (b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\xd0\xcf\x11\xe0")


@dataclass(frozen=True)
class Checked:
    """What a file turned out to be."""

    media_type: str
    pages: int


@dataclass(frozen=True)
class _Kind:
    label: str
    media_type: str
    endings: tuple[str, ...]
    starts: tuple[bytes, ...]
    pages: Callable[[Path], int]  # reads the content; raises _Bad


class _Bad(Exception):
    """What is wrong, in words to be put after the file's name."""


def check_file(received: Received) -> Checked:
    """Read a file and return what it is.

    :raises FileRefused: with the file's name and what is wrong with it.
    """
    try:
        return _check(received)
    except _Bad as bad:
        raise FileRefused(f"「{received.name}」{bad}，未保存。", field="file", given=received.name) from bad


def _check(received: Received) -> Checked:
    if not received.size:
        raise _Bad("是空文件")
    ending = received.name.rpartition(".")[2].lower()
    named = next((kind for kind in KINDS if ending in kind.endings), None)
    if named is None:
        raise _Bad("不是可以保存的类型（PDF、OFD、XLSX、XML、PNG、JPG）")
    with received.path.open("rb") as file:
        first = file.read(512)
    if not first.startswith(named.starts) and not (named is _XML and _looks_like_xml(first)):
        other = next((kind.label for kind in KINDS if kind.starts and first.startswith(kind.starts)), "")
        raise _Bad(f"扩展名是 {ending}，内容却{'是 ' + other if other else '不是'}")
    return Checked(named.media_type, named.pages(received.path))


# PDF and pictures ---------------------------------------------------------------------------------------------------


def _pdf(path: Path) -> int:
    with PDFIUM:  # the library works for one thread at a time
        try:
            document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            raise _Bad("有密码" if "password" in str(error).lower() else "不是完好的 PDF") from None
        try:
            pages = len(document)
            if not pages:
                raise _Bad("没有一页")
            if pages > MOST_PAGES:
                raise _Bad(f"超过 {MOST_PAGES} 页")
            document[0].close()
        except pypdfium2.PdfiumError:
            raise _Bad("不是完好的 PDF") from None
        finally:
            document.close()
    return pages


def _picture(form: str) -> Callable[[Path], int]:
    def check(path: Path) -> int:
        try:
            with Image.open(path, formats=[form]) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise _Bad(f"有 {width} × {height} 个像素，超过 {MOST_PIXELS // 1_000_000} 百万")
                image.verify()
            with Image.open(path, formats=[form]) as image:  # verifying leaves it unusable
                image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            raise _Bad("不是完好的图片") from None
        return 1

    return check


# Zip containers: OFD, XLSX ------------------------------------------------------------------------------------------


def _container(*members: str) -> Callable[[Path], int]:
    def check(path: Path) -> int:
        try:
            with zipfile.ZipFile(path) as container:
                entries = container.infolist()
                _check_entries(entries)
                missing = [name for name in members if name not in {entry.filename for entry in entries}]
                if missing:
                    raise _Bad(f"里面没有 {missing[0]}，内容与扩展名不符")
                for entry in entries:
                    _read_entry(container, entry)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError):
            raise _Bad("不是完好的压缩容器") from None
        return 0

    return check


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise _Bad(f"里面超过 {MOST_ENTRIES} 个文件")
    unpacked, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    if unpacked > MOST_UNPACKED:
        raise _Bad(f"解开后超过 {MOST_UNPACKED // MIB} MB")
    if unpacked > MOST_RATIO * max(packed, 1):
        raise _Bad(f"压缩比超过 {MOST_RATIO}，疑为压缩炸弹")
    if len({entry.filename for entry in entries}) < len(entries):
        raise _Bad("里面有重名的文件")
    for entry in entries:
        _check_entry(entry)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts or not name.isprintable():
        raise _Bad("里面的文件名带有路径（如 ../ 或盘符）")
    if entry.flag_bits & 0x1:
        raise _Bad("里面有加密的文件")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _Bad("里面有符号链接")
    if name.endswith("vbaProject.bin"):
        raise _Bad("带有宏")
    if name.rpartition(".")[2].lower() in _EXECUTABLE_ENDINGS and not _printer_settings(name):
        raise _Bad(f"里面有可执行文件 {name.rpartition('/')[2][:40]}")


def _printer_settings(name: str) -> bool:
    """What every spreadsheet program leaves in an XLSX: data for a printer, no code."""
    return name.startswith("xl/printerSettings/printerSettings") and name.endswith(".bin")


def _read_entry(container: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Unpack an entry to nowhere: the library stops at the stated size and checks the CRC at the end."""
    if entry.is_dir():
        return
    with container.open(entry) as file:
        first = file.read(_PIECE)
        if first.startswith(_EXECUTABLE_STARTS):
            raise _Bad(f"里面有可执行文件 {entry.filename.rpartition('/')[2][:40]}")
        if first.startswith(_ARCHIVE_STARTS):
            raise _Bad(f"里面又套着压缩包或文档 {entry.filename.rpartition('/')[2][:40]}")
        while file.read(_PIECE):
            pass


# XML ----------------------------------------------------------------------------------------------------------------


def _looks_like_xml(first: bytes) -> bool:
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "latin-1")):
        if first.startswith(mark):
            text = first[: len(first) & ~1].decode(encoding, errors="replace").removeprefix("ï»¿")
            return text.lstrip().startswith("<")
    return False


def _xml(path: Path) -> int:
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        tree = etree.parse(str(path), parser)
    except (etree.XMLSyntaxError, OSError, ValueError):
        raise _Bad("不是完好的 XML") from None
    if tree.docinfo.doctype or tree.docinfo.internalDTD is not None:
        raise _Bad("带有 DTD")
    return 0


_XML = _Kind("XML", "application/xml", ("xml",), (), _xml)
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
KINDS: tuple[_Kind, ...] = (
    _Kind("PDF", "application/pdf", ("pdf",), (b"%PDF-",), _pdf),
    _Kind("PNG", "image/png", ("png",), (b"\x89PNG\r\n\x1a\n",), _picture("PNG")),
    _Kind("JPG", "image/jpeg", ("jpg", "jpeg"), (b"\xff\xd8\xff",), _picture("JPEG")),
    _Kind("OFD", "application/ofd", ("ofd",), (b"PK\x03\x04",), _container("OFD.xml")),
    _Kind("XLSX", _XLSX, ("xlsx",), (b"PK\x03\x04",), _container("[Content_Types].xml", "xl/workbook.xml")),
    _XML,
)
