"""Read XML from strangers: one reading of the bytes or none at all.

Refuses before parsing whatever two parsers could read differently (DTD, entity, comment, CDATA, processing instruction,
namespace, a label that lies about the bytes), then parses with limits. Source: docs/vouchers.md §2.
"""

import re

from lxml import etree

from vouchers import errors

MEBIBYTE = 1024 * 1024
MAX_BYTES = 10 * MEBIBYTE
MAX_DEPTH = 30
MAX_ELEMENTS = 200_000
MAX_ATTRIBUTES = 8
MAX_ATTRIBUTE_CHARS = 64
MAX_TEXT_CHARS = 4096
MAX_FOREIGN_NAMES = 8
MAX_NAME_CHARS = 64

_BOM = b"\xef\xbb\xbf"
_DECLARATION = re.compile(
    rb"<\?xml[ \t\r\n]+version=(?P<q1>[\"'])(?P<version>[0-9.]{1,8})(?P=q1)"
    rb"[ \t\r\n]+encoding=(?P<q2>[\"'])(?P<encoding>[A-Za-z][A-Za-z0-9._-]{0,39})(?P=q2)"
    rb"(?:[ \t\r\n]+standalone=(?P<q3>[\"'])(?:yes|no)(?P=q3))?[ \t\r\n]*\?>"
)
_CODECS = {"gbk": "gbk", "gb18030": "gb18030", "utf-8": "utf-8"}
# Without a DTD only these references exist; anything else would need a declaration we refuse.
_ENTITY = re.compile(r"&(?!(?:lt|gt|amp|apos|quot|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_NAME = re.compile(r"<([^\s<>/]+)")
_DECLARES_NAMESPACE = re.compile(r"""<[^<>"']+(?:"[^"<]*"[^<>"']*|'[^'<]*'[^<>"']*)*?(?<=\s)xmlns[\s:=]""")
BLANK = " \t\r\n"  # what XML calls white space; U+3000 is text
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (MAX_DEPTH + 1)})")
_MIXED = etree.XPath("(//*[*][text()[normalize-space()]])[1]")
_HAS_ATTRIBUTES = etree.XPath("boolean(//@*)")

_PARSER_REFUSALS: dict[int, type[errors.XmlError]] = {
    5: errors.XmlTrailing,  # XML_ERR_DOCUMENT_END: extra content at the end of the document
    201: errors.XmlNamespace,  # XML_NS_ERR_UNDEFINED_NAMESPACE
}


def parse(
    raw: bytes,
    *,
    max_bytes: int = MAX_BYTES,
    long_text: frozenset[str] = frozenset(),
    names: frozenset[str] | None = None,
) -> etree._Element:
    """Return the root of a document that holds elements, attributes and text, and nothing else.

    `long_text` names the elements whose text may be as long as the document (base64 contents). `names` are those the
    caller knows: a document with more than a few others is refused unparsed, because libxml2 never forgets a name.

    :raises XmlError: in one of its subclasses, for everything else; never a raw parser exception.
    """
    text = _decode(raw, max_bytes=max_bytes)
    _refuse_markup(text)
    if names is not None:
        _refuse_foreign_names(text, names)
    root = _parse_text(text)
    _check_tree(root, text, long_text=long_text)
    return root


def _decode(raw: bytes, *, max_bytes: int) -> str:
    """Decode strictly by the declared encoding, and return the text after the XML declaration."""
    if len(raw) > max_bytes:
        raise errors.XmlTooLarge("报文超过允许的大小。", size=len(raw), limit=max_bytes)
    has_bom = raw.startswith(_BOM)
    start = len(_BOM) if has_bom else 0
    declaration = _DECLARATION.match(raw, start)
    if declaration is None:
        raise errors.XmlDeclaration("报文开头不是带编码的 XML 声明。")
    if declaration["version"] != b"1.0":
        raise errors.XmlDeclaration("只接受 XML 1.0。", version=declaration["version"].decode("ascii"))
    label = declaration["encoding"].decode("ascii").lower()
    codec = _CODECS.get(label)
    if codec is None:
        raise errors.XmlEncoding("编码不在允许范围（GBK、GB18030、UTF-8）。", label=label)
    if has_bom and codec != "utf-8":
        raise errors.XmlEncoding("字节序标记与声明的编码不一致。", label=label)
    body = raw[declaration.end() :]
    try:
        text = body.decode(codec)
    except UnicodeDecodeError as error:
        raise errors.XmlEncoding("字节与声明的编码不一致。", label=label, position=error.start) from None
    if codec != "utf-8" and not text.isascii() and _is_utf8_chinese(body):
        raise errors.XmlEncoding("声明为 GBK，字节却是 UTF-8。", label=label)
    return text


def _is_utf8_chinese(body: bytes) -> bool:
    """True if every byte fits UTF-8 and some character takes three or more bytes there.

    Two-byte sequences alone prove nothing: 目 in GBK is C4 BF, valid in UTF-8. Three-byte ones hardly occur by chance.
    """
    try:
        return max(body.decode("utf-8")) >= "\u0800"
    except UnicodeDecodeError:
        return False


def _refuse_markup(text: str) -> None:
    """Refuse by looking at the text: outside these constructs `<` and `&` can stand for markup only."""
    if (at := text.find("<!")) >= 0:
        if text.startswith("<!--", at):
            raise errors.XmlComment("报文含注释。", position=at)
        if text.startswith("<![CDATA[", at):
            raise errors.XmlCdata("报文含 CDATA 段。", position=at)
        raise errors.XmlDoctype("报文含 DOCTYPE 或声明。", position=at)
    if (at := text.find("<?")) >= 0:
        raise errors.XmlProcessingInstruction("报文含处理指令。", position=at)
    if "&" in text and (found := _ENTITY.search(text)):
        raise errors.XmlEntity("报文含实体引用。", position=found.start())
    if text.count("<") - text.count("</") > MAX_ELEMENTS:
        raise errors.XmlTooManyElements("报文元素过多。", limit=MAX_ELEMENTS)


def _refuse_foreign_names(text: str, names: frozenset[str]) -> None:
    """A few unknown names pass, so that the caller can say where they stand."""
    foreign = set(_NAME.findall(text)) - names
    if foreign and (len(foreign) > MAX_FOREIGN_NAMES or max(map(len, foreign)) > MAX_NAME_CHARS):
        raise errors.XmlUnknownElement("报文含未知元素。", field=min(foreign)[:80])


def _parse_text(text: str) -> etree._Element:
    parser = etree.XMLParser(  # a new one each time: parsers are not shared between threads, and cost 15 µs
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
    )
    try:
        return etree.fromstring(text.encode("utf-8"), parser)
    except etree.XMLSyntaxError as error:
        message = str(error)
        if "Excessive depth" in message:
            raise errors.XmlDepth("报文嵌套过深。", limit=MAX_DEPTH) from None
        if "too long" in message:
            raise errors.XmlTextTooLong("报文文本过长。") from None
        refusal = _PARSER_REFUSALS.get(error.code, errors.XmlError)
        raise refusal("报文不是格式良好的 XML。", line=error.lineno, column=error.offset) from None
    except (etree.LxmlError, ValueError):
        raise errors.XmlError("报文不是格式良好的 XML。") from None


def _check_tree(root: etree._Element, text: str, *, long_text: frozenset[str]) -> None:
    """Look at the whole tree in C (XPath); walk it in Python only where the text gives a reason to."""
    if "xmlns" in text and _DECLARES_NAMESPACE.search(text):  # nsmap is silent about the prefix xml declared again
        raise errors.XmlNamespace("报文含命名空间。", field=str(root.tag)[:80])
    if "xmlns" in text or "xml:" in text:  # without a declaration only the prefix xml exists
        for element in root.iter():
            names = [element.tag, *element.attrib]
            if element.nsmap or any(name.startswith("{") or ":" in name for name in names):
                raise errors.XmlNamespace("报文含命名空间。", field=str(element.tag)[:80])
    if _TOO_DEEP(root):
        raise errors.XmlDepth("报文嵌套过深。", limit=MAX_DEPTH)
    if mixed := _MIXED(root):
        raise errors.XmlMixedContent("元素与文字混排。", field=mixed[0].tag[:80])
    if _HAS_ATTRIBUTES(root):
        for element in root.iter():
            _check_attributes(element)
    if max(map(len, text.split("<"))) > MAX_TEXT_CHARS:  # no reference makes a text longer than it is written
        for element in root.iter():
            if len(element.text or "") > MAX_TEXT_CHARS and element.tag not in long_text:
                raise errors.XmlTextTooLong("字段过长。", field=element.tag[:80], limit=MAX_TEXT_CHARS)


def _check_attributes(element: etree._Element) -> None:
    if len(element.attrib) > MAX_ATTRIBUTES:
        raise errors.XmlAttribute("属性过多。", field=element.tag[:80], limit=MAX_ATTRIBUTES)
    for name, value in element.attrib.items():
        if len(value) > MAX_ATTRIBUTE_CHARS:
            raise errors.XmlAttribute("属性过长。", field=name[:80], limit=MAX_ATTRIBUTE_CHARS)
