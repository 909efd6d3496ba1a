"""The partner's own reader and writer of ``<MOF>`` envelopes (GBK), independent of the finance system's codec.

Source: messages.md §2.1. Hardened: GBK only, no markup declarations at all, size and depth bounded before lxml
sees a byte, every tag at most once, attributes equal to the inner fields.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from core.digests import sm3_hex
from simulators.errors import MalformedEnvelope, Refusal

MAX_ENVELOPE_BYTES = 32 * 1024 * 1024
MAX_TEXT_CHARS = 6 * 1024 * 1024
MAX_BODIES = 100

_DECLARATION = re.compile(
    r"""\A<\?xml\s+version=["']1\.0["']\s+encoding=["']GBK["']\s*\?>\s*""", re.ASCII | re.IGNORECASE
)
_HEADER = '<?xml version="1.0" encoding="GBK"?>\n'


@dataclass(frozen=True)
class Signature:
    """A mark: position, certificate serial (hex) and base64 of the DER signature; of a stamp, seal id and stamp."""

    position: str
    serial: str
    value: str


@dataclass(frozen=True)
class Identity:
    """What names a voucher for ever: region, year, type and number."""

    adm_div_code: str
    fiscal_year: str
    voucher_type: str
    voucher_no: str

    def as_dict(self) -> dict[str, str]:
        """The identity as it appears in JSON answers."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Body:
    """One ``<VoucherBody>``: flag 0 is a document, flag 1 its receipt; ``text`` is the exact signed base64 text."""

    identity: Identity
    flag: int
    text: str
    signatures: tuple[Signature, ...]
    stamps: tuple[Signature, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SM3 (hex) of the signed text: two bodies with one digest are one document."""
        return sm3_hex(self.text.encode("ascii"))

    def xml(self) -> str:
        """The element as sent; the same body always gives the same characters."""
        one = self.identity
        signatures, stamps = _marks("Signature", self.signatures), _marks("SignStamp", self.stamps)
        return (
            f"<VoucherBody AdmDivCode={quoteattr(one.adm_div_code)} StYear={quoteattr(one.fiscal_year)}"
            f" VtCode={quoteattr(one.voucher_type)} VoucherNo={quoteattr(one.voucher_no)}>"
            f"<VoucherFlag>{self.flag}</VoucherFlag><Return_Reason></Return_Reason><Attach></Attach>"
            f"<Voucher>{self.text}</Voucher><SignStampList>{stamps}</SignStampList>"
            f"<SignatureList>{signatures}</SignatureList></VoucherBody>"
        )


def _marks(tag: str, marks: Iterable[Signature]) -> str:
    return "".join(
        f"<{tag} No={quoteattr(mark.position)} SN={quoteattr(mark.serial)}>{escape(mark.value)}</{tag}>"
        for mark in marks
    )


@dataclass
class Document:
    """The inner document: main fields and details, each in wire order."""

    main: dict[str, str] = field(default_factory=dict)
    details: list[dict[str, str]] = field(default_factory=list)

    def text(self) -> str:
        """Base64 of the GBK bytes; this is what gets signed.

        :raises Refusal: ``not_gbk`` for a character the standard cannot carry.
        """
        parts = [_HEADER, "<Voucher>", *_elements(self.main), "<DetailList>"]
        for detail in self.details:
            parts += ["<Detail>", *_elements(detail), "</Detail>"]
        parts.append("</DetailList></Voucher>")
        try:
            return base64.b64encode("".join(parts).encode("gbk")).decode("ascii")
        except UnicodeEncodeError as error:
            raise Refusal("not_gbk", f"{error.object[error.start]!r} 不在 GBK 字符集内") from error


def _elements(fields: Mapping[str, str]) -> Iterable[str]:
    return (f"<{tag}>{escape(value)}</{tag}>" for tag, value in fields.items())


def build_envelope(bodies: Iterable[str]) -> bytes:
    """An envelope around bodies that were rendered by :meth:`Body.xml`."""
    listed = list(bodies)
    return f"{_HEADER}<MOF><VoucherCount>{len(listed)}</VoucherCount>{''.join(listed)}</MOF>".encode("gbk")


def parse_envelope(raw: bytes) -> list[Body]:
    """Every body of an envelope.

    :raises MalformedEnvelope: if it is too large, not GBK, not XML, or not the structure of messages.md §2.1.
    """
    if len(raw) > MAX_ENVELOPE_BYTES:
        raise MalformedEnvelope("envelope_too_large", f"报文超过 {MAX_ENVELOPE_BYTES} 字节")
    try:
        root = _tree(raw)
        return _bodies(root)
    except MalformedEnvelope:
        raise
    except Refusal as refusal:
        raise MalformedEnvelope(refusal.code, refusal.reason) from refusal


def parse_document(body: Body) -> Document:
    """The inner document of a body.

    :raises Refusal: if the text cannot be read or contradicts the envelope's attributes.
    """
    try:
        raw = base64.b64decode(body.text, validate=True)
    except binascii.Error as error:
        raise Refusal("bad_base64", "凭证内容不是有效的 base64") from error
    root = _tree(raw)
    if root.tag != "Voucher":
        raise Refusal("bad_document", f"凭证根元素应为 Voucher,实为 {root.tag}")
    lists = root.findall("DetailList")
    if len(lists) > 1:
        raise Refusal("bad_document", "DetailList 重复")
    rows = [row for element in lists for row in element]
    if any(row.tag != "Detail" for row in rows):
        raise Refusal("bad_document", "DetailList 只能包含 Detail")
    document = Document(_fields(root, skip="DetailList"), [_fields(row) for row in rows])
    pairs = zip(("AdmDivCode", "StYear", "VtCode", "VoucherNo"), body.identity.as_dict().values(), strict=True)
    for tag, outside in pairs:
        if document.main.get(tag) != outside:
            raise Refusal("identity_mismatch", f"{tag} 与信封属性不一致")
    return document


def _tree(raw: bytes) -> etree._Element:
    try:
        text = raw.decode("gbk")
    except UnicodeDecodeError as error:
        raise Refusal("bad_encoding", "报文不是 GBK 编码") from error
    declared = _DECLARATION.match(text)
    if not declared:
        raise Refusal("bad_encoding", "XML 声明必须为 version=1.0 encoding=GBK")
    content = text[declared.end() :]
    if any(mark in content for mark in ("<!", "<?", "&#")):
        raise Refusal("forbidden_markup", "报文不得包含 DOCTYPE、注释、CDATA、处理指令或字符引用")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Refusal("bad_xml", "报文不是格式良好的 XML") from error


def _fields(element: etree._Element, skip: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for child in element:
        if child.tag == skip:
            continue
        if len(child) or child.tag in found:
            raise Refusal("bad_document", f"元素 {child.tag} 重复或含有下级元素")
        found[child.tag] = child.text or ""
    return found


def _bodies(root: etree._Element) -> list[Body]:
    if root.tag not in ("MOF", "Root"):
        raise Refusal("bad_envelope", f"信封根元素应为 MOF,实为 {root.tag}")
    elements = root.findall("VoucherBody")
    if not 1 <= len(elements) <= MAX_BODIES:
        raise Refusal("bad_envelope", f"VoucherBody 数量 {len(elements)} 不在 1-{MAX_BODIES} 之间")
    if (root.findtext("VoucherCount") or "").strip() != str(len(elements)):
        raise Refusal("bad_envelope", "VoucherCount 与 VoucherBody 数量不符")
    return [_body(element) for element in elements]


def _body(element: etree._Element) -> Body:
    values = [element.get(name, "") for name in ("AdmDivCode", "StYear", "VtCode", "VoucherNo")]
    texts, flags = element.findall("Voucher"), element.findall("VoucherFlag")
    if not all(values) or len(texts) != 1 or len(flags) != 1 or flags[0].text not in ("0", "1"):
        raise Refusal("bad_envelope", "VoucherBody 缺少属性、VoucherFlag 或 Voucher")
    text = texts[0].text or ""
    if len(text) > MAX_TEXT_CHARS or not text.isascii():
        raise Refusal("bad_envelope", "Voucher 内容过长或含非 ASCII 字符")
    signatures, stamps = (
        tuple(
            Signature(mark.get("No", ""), mark.get("SN", ""), (mark.text or "").strip())
            for mark in element.findall(path)
        )
        for path in ("SignatureList/Signature", "SignStampList/SignStamp")
    )
    return Body(Identity(*values), int(flags[0].text), text, signatures, stamps)
