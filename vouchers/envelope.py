"""The MOF envelope: vouchers in base64, with claimed identities, signatures and stamps. Source: docs/vouchers.md §1."""

import re
from collections.abc import Mapping, Sequence

from lxml import etree

from vouchers import errors, safe_xml
from vouchers.messages import EnvelopeBody, SignatureMark
from vouchers.schema import IDENTITY_PATTERNS
from vouchers.xml_parts import DECLARATION, escape, identity_value, leaf, refuse_attributes, refuse_text

MAX_ENVELOPE_BYTES = safe_xml.MAX_BYTES
MAX_BODIES = 100
MAX_MARKS = 20  # signatures, or stamps, of one body: parties times positions, with room
_ATTRIBUTES = ("AdmDivCode", "StYear", "VtCode", "VoucherNo")
_PARTS = frozenset({"VoucherFlag", "Return_Reason", "Attach", "Voucher", "SignStampList", "SignatureList"})
_LONG_TEXT = frozenset({"Voucher", "SignStamp", "Signature"})
_NAMES = _PARTS | {"MOF", "Root", "VoucherCount", "VoucherBody", "SignStamp", "Signature"}
_VISIBLE = re.compile(r"[!-~]*")  # a serial with blanks inside is another spelling of the same serial
_BASE64_LINES = re.compile(rb"[A-Za-z0-9+/=\n ]*")


def encode_envelope(bodies: Sequence[EnvelopeBody]) -> bytes:
    """Write a MOF envelope around these vouchers; their texts and signatures go in unchanged.

    :raises IdentityInvalid, Base64Invalid, CharacterNotAllowed, CharacterNotInGbk: naming the field.
    :raises XmlTooLarge: if the partner would have to refuse it.
    """
    parts = [DECLARATION, f"<MOF>\n<VoucherCount>{len(bodies)}</VoucherCount>\n"]
    for body in bodies:
        values = (body.adm_div_code, f"{body.fiscal_year:04d}", body.voucher_type, body.voucher_no)
        claims = [f' {tag}="{identity_value(tag, value)}"' for tag, value in zip(_ATTRIBUTES, values, strict=True)]
        parts += (
            f"<VoucherBody{''.join(claims)}>\n<VoucherFlag>{body.flag:d}</VoucherFlag>\n",
            f"<Return_Reason>{_note(body.return_reason, 'Return_Reason')}</Return_Reason>\n",
            f"<Attach>{_note(body.attach, 'Attach')}</Attach>\n",
            f"<Voucher>{_base64(body.text, 'Voucher')}</Voucher>\n",
        )
        _write_marks(parts, "SignStampList", "SignStamp", body.stamps)
        _write_marks(parts, "SignatureList", "Signature", body.signatures)
        parts.append("</VoucherBody>\n")
    parts.append("</MOF>\n")
    raw = "".join(parts).encode("gbk")
    if len(raw) > MAX_ENVELOPE_BYTES:
        raise errors.XmlTooLarge("报文超过允许的大小。", size=len(raw), limit=MAX_ENVELOPE_BYTES)
    return raw


def decode_envelope(raw: bytes, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> list[EnvelopeBody]:
    """Read an envelope. What its attributes claim is unproven until the inner document says the same.

    The contents are not looked at here, so that one bad voucher does not block the others (decode_content does).

    :raises XmlError: in its subclasses, for anything but the closed layout of docs/vouchers.md §1.
    :raises VoucherCountDiffers: if VoucherCount is not the number of bodies, or there is none.
    :raises XmlTooLarge: for more than 100 bodies.
    :raises XmlTooManyElements: for more than 20 signatures, or stamps, of one body.
    :raises VoucherFlagInvalid: if a flag is neither 0 (document) nor 1 (receipt).
    """
    root = safe_xml.parse(raw, max_bytes=max_bytes, long_text=_LONG_TEXT, names=_NAMES)
    if root.tag not in ("MOF", "Root"):
        raise errors.XmlUnknownElement("信封的根元素应为 MOF。", field=root.tag[:80])
    refuse_attributes(root, root.tag)
    count: str | None = None
    bodies: list[EnvelopeBody] = []
    for element in root:
        if element.tag == "VoucherBody":
            bodies.append(_read_body(element, f"VoucherBody[{len(bodies) + 1}]"))
        elif element.tag != "VoucherCount":
            raise errors.XmlUnknownElement("信封含未知元素。", field=element.tag[:80])
        elif count is not None:
            raise errors.XmlDuplicateElement("元素重复。", field="VoucherCount")
        else:
            count = leaf(element, "VoucherCount")
    if count is None:
        raise errors.XmlMissingElement("信封缺少 VoucherCount。", field="VoucherCount")
    if len(bodies) > MAX_BODIES:
        raise errors.XmlTooLarge("一个信封最多 100 张凭证。", field="VoucherCount", counted=len(bodies))
    if not bodies or count != str(len(bodies)):
        raise errors.VoucherCountDiffers(
            "VoucherCount 与凭证个数不符。", field="VoucherCount", stated=count[:20], counted=len(bodies)
        )
    return bodies


def _note(value: str, field: str) -> str:
    try:
        value.encode("gbk")
    except UnicodeEncodeError as error:
        character = f"U+{ord(value[error.start]):04X}"
        raise errors.CharacterNotInGbk("字段含 GBK 以外的字符。", field=field, character=character) from None
    return escape(value, field)


def _base64(value: bytes, field: str) -> str:
    if not _BASE64_LINES.fullmatch(value):
        raise errors.Base64Invalid("不是 Base64 文本。", field=field)
    return value.decode("ascii")


def _write_marks(parts: list[str], list_tag: str, tag: str, marks: Sequence[SignatureMark]) -> None:
    parts.append(f"<{list_tag}>")
    for mark in marks:
        claims = f'No="{_note(mark.position, tag)}" SN="{_note(mark.serial, tag)}"'
        parts.append(f"\n<{tag} {claims}>{_base64(mark.value.encode(), tag)}</{tag}>")
    parts.append(f"</{list_tag}>\n")


def _read_body(element: etree._Element, where: str) -> EnvelopeBody:
    region, year, code, number = _read_attributes(element, where)
    refuse_text(element, where)
    parts: dict[str, etree._Element] = {}
    for child in element:
        if child.tag not in _PARTS:
            raise errors.XmlUnknownElement("信封含未知元素。", field=f"{where}.{child.tag[:80]}")
        if child.tag in parts:
            raise errors.XmlDuplicateElement("元素重复。", field=f"{where}.{child.tag}")
        parts[child.tag] = child
    flag = _required(parts, "VoucherFlag", where)
    if flag not in ("0", "1"):
        raise errors.VoucherFlagInvalid("单据标志应为 0 或 1。", field=f"{where}.VoucherFlag", given=flag[:20])
    return EnvelopeBody(
        adm_div_code=region,
        fiscal_year=int(year),
        voucher_type=code,
        voucher_no=number,
        flag=int(flag),
        return_reason=_optional(parts, "Return_Reason", where),
        attach=_optional(parts, "Attach", where),
        text=_required(parts, "Voucher", where).encode("utf-8"),
        signatures=_read_marks(parts.get("SignatureList"), "Signature", where),
        stamps=_read_marks(parts.get("SignStampList"), "SignStamp", where),
    )


def _read_attributes(element: etree._Element, where: str) -> list[str]:
    if set(element.attrib) != set(_ATTRIBUTES):
        raise errors.XmlAttribute("VoucherBody 的属性应恰为四个。", field=where, given=sorted(element.attrib))
    values = [element.attrib[tag] for tag in _ATTRIBUTES]
    for tag, value in zip(_ATTRIBUTES, values, strict=True):
        if not IDENTITY_PATTERNS[tag].fullmatch(value):
            raise errors.XmlAttribute("属性格式错误。", field=f"{where}.{tag}", given=value[:40])
    return values


def _required(parts: Mapping[str, etree._Element], tag: str, where: str) -> str:
    if tag not in parts:
        raise errors.XmlMissingElement("信封缺少元素。", field=f"{where}.{tag}")
    return leaf(parts[tag], f"{where}.{tag}")


def _optional(parts: Mapping[str, etree._Element], tag: str, where: str) -> str:
    return leaf(parts[tag], f"{where}.{tag}") if tag in parts else ""


def _read_marks(element: etree._Element | None, tag: str, where: str) -> tuple[SignatureMark, ...]:
    if element is None:
        return ()
    field = f"{where}.{element.tag}"
    refuse_attributes(element, field)
    refuse_text(element, field)
    if len(element) > MAX_MARKS:
        raise errors.XmlTooManyElements("签名或签章过多。", field=field, limit=MAX_MARKS)
    marks: dict[tuple[str, str], SignatureMark] = {}
    for child in element:
        if child.tag != tag or len(child):
            raise errors.XmlUnknownElement("签名列表含未知元素。", field=field)
        if set(child.attrib) != {"No", "SN"}:
            raise errors.XmlAttribute("签名的属性应恰为 No 与 SN。", field=field)
        position, serial = child.attrib["No"], child.attrib["SN"]
        if not (_VISIBLE.fullmatch(position) and _VISIBLE.fullmatch(serial)):
            raise errors.XmlAttribute("签名的位置与证书号只能含可见 ASCII 字符。", field=field)
        if (position, serial) in marks:  # which of the two would count?
            raise errors.XmlDuplicateElement("同一位置的同一证书签名重复。", field=field, position=position)
        marks[position, serial] = SignatureMark(position, serial, child.text or "")
    return tuple(marks.values())
