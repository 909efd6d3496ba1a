"""What a stranger hands in: a MOF envelope, an inner voucher or a PDF with either inside, as vouchers to be checked.

Hostile by assumption: XML is read by `vouchers.safe_xml` alone; of a PDF only the attachments are read, never a page.
"""

import base64
import io
import logging
from collections.abc import Iterator
from dataclasses import replace

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from core.errors import TreasuryError
from seals.errors import SealError
from seals.eseal.structures import parse_stamp
from vouchers.codec import content_text, decode_content, decode_envelope
from vouchers.messages import EnvelopeBody, SignatureMark

LARGEST = 10 * 1024 * 1024
MOST_BODIES = 20
MOST_ATTACHMENTS, LARGEST_ATTACHMENTS = 100, 20 * 1024 * 1024
logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it would log what it finds inside


class FileRefused(TreasuryError):
    """The file cannot be read as any of ours."""

    code = "file_unreadable"
    http_status = 400


class FileTypeRefused(FileRefused):
    """Neither XML nor PDF."""

    code = "file_type_not_supported"
    http_status = 415


class FileTooLarge(FileRefused):
    code = "file_too_large"
    http_status = 413


def read_file(data: bytes) -> list[EnvelopeBody]:
    """The vouchers in a file; an inner voucher alone has no marks.

    :raises FileTooLarge, FileTypeRefused: by its size and first bytes.
    :raises FileRefused, VoucherError: if nothing of ours is in it, or it is not as ours are.
    """
    if len(data) > LARGEST:
        raise FileTooLarge(f"文件超过 {LARGEST // 1024 // 1024} MiB。", field="file", size=len(data))
    if data.startswith(b"%PDF-"):
        return _most(_of_pdf(data))
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _most(_of_xml(data))
    raise FileTypeRefused("只能验证凭证的 XML 或 PDF 文件。", field="file")


def _most(bodies: list[EnvelopeBody]) -> list[EnvelopeBody]:
    if len(bodies) > MOST_BODIES:
        raise FileRefused(f"一次最多验证 {MOST_BODIES} 张凭证，请分开提交。", field="file", counted=len(bodies))
    return bodies


def _of_xml(data: bytes) -> list[EnvelopeBody]:
    if b"<VoucherBody" in data:
        return decode_envelope(data, max_bytes=LARGEST)
    return [_bare(data)]


def _bare(inner: bytes) -> EnvelopeBody:
    text = content_text(inner)
    content = decode_content(text)[0]
    return EnvelopeBody(
        adm_div_code=content.adm_div_code,
        fiscal_year=content.fiscal_year,
        voucher_type=content.voucher_type,
        voucher_no=content.voucher_no,
        flag=-1,  # it does not say whether it is a document or a receipt
        return_reason="",
        attach="",
        text=text,
    )


def _of_pdf(data: bytes) -> list[EnvelopeBody]:
    attached = dict(_attachments(data))
    found: dict[bytes, EnvelopeBody] = {}
    for name, content in attached.items():
        if name.lower().endswith(".xml") and b"<VoucherBody" in content:
            found |= {body.text: body for body in decode_envelope(content, max_bytes=LARGEST)}
    for name, content in attached.items():
        if name.lower().endswith(".xml") and b"<VoucherBody" not in content and b"<Voucher" in content:
            bare = _bare(content)
            found.setdefault(bare.text, bare)
    if not found:
        raise FileRefused("PDF 里没有附带凭证原文，只是一张图，无法验证。", field="file")
    if len(found) == 1 and not any(body.stamps for body in found.values()):
        [body] = found.values()
        return [replace(body, stamps=tuple(_loose_stamps(attached)))]
    return list(found.values())


def _loose_stamps(attached: dict[str, bytes]) -> Iterator[SignatureMark]:
    """Stamps attached as files of their own; each says itself where it belongs."""
    for name, content in attached.items():
        if name.lower().endswith((".der", ".dat")):
            try:
                stamp = parse_stamp(content)
            except SealError:
                continue
            position = stamp.property_info.rpartition("/")[2]
            yield SignatureMark(position, stamp.seal.es_id, base64.b64encode(content).decode("ascii"))


def _attachments(data: bytes) -> Iterator[tuple[str, bytes]]:
    """:raises FileRefused: for a PDF that is encrypted, broken, or holds two files of one name."""
    names: set[str] = set()
    size = 0
    try:
        reader = PdfReader(io.BytesIO(data), strict=True)
        if reader.is_encrypted:
            raise FileRefused("PDF 已加密，无法读取。", field="file")
        for attachment in reader.attachment_list:
            name, content = str(attachment.name), bytes(attachment.content)
            size += len(content)
            if name in names or len(names) >= MOST_ATTACHMENTS or size > LARGEST_ATTACHMENTS:
                raise FileRefused("PDF 的附件重名、过多或过大。", field="file")
            names.add(name)
            yield name, content
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise FileRefused("PDF 无法读取，可能已损坏。", field="file") from error
