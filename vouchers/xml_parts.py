"""Small moves shared by the inner document and the envelope: escape a text, read a leaf, refuse what is too much."""

import re

from lxml import etree

from vouchers import errors
from vouchers.safe_xml import BLANK
from vouchers.schema import IDENTITY_PATTERNS

DECLARATION = '<?xml version="1.0" encoding="GBK"?>\n'
# Control characters are illegal in XML or, as carriage return and tab in attributes, changed by every parser.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def escape(value: str, field: str) -> str:
    """Return the text for element or attribute content.

    :raises CharacterNotAllowed: if it holds a control character.
    """
    if found := _CONTROL.search(value):
        raise errors.CharacterNotAllowed("字段含控制字符。", field=field, character=f"U+{ord(found[0]):04X}")
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def identity_value(tag: str, value: str) -> str:
    """Return a region, year, type or number that has the form it must have.

    :raises IdentityInvalid: if it has not.
    """
    if not IDENTITY_PATTERNS[tag].fullmatch(value):
        raise errors.IdentityInvalid("凭证标识字段缺失或格式错误。", field=tag, given=value[:40])
    return value


def leaf(element: etree._Element, field: str) -> str:
    """Return the text of an element that must hold text and nothing else."""
    if len(element):
        raise errors.XmlUnknownElement("字段含子元素。", field=field)
    refuse_attributes(element, field)
    return element.text or ""


def refuse_attributes(element: etree._Element, field: str) -> None:
    if element.attrib:
        raise errors.XmlAttribute("此处不允许属性。", field=field)


def refuse_text(element: etree._Element, field: str) -> None:
    """Refuse text where elements belong. With children present safe_xml has refused it already."""
    if element.text is not None and element.text.strip(BLANK):
        raise errors.XmlMixedContent("此处不允许文字。", field=field)


def at_most_one(parent: etree._Element, tag: str) -> etree._Element | None:
    found = parent.findall(tag)
    if len(found) > 1:
        raise errors.XmlDuplicateElement("元素重复。", field=tag)
    return found[0] if found else None
