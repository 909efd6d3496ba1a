"""Bytes of a voucher: the inner document and its base64 text, both ways, and what makes a receipt of it.

    VoucherContent --encode_content--> inner GBK XML --content_text--> base64 text --(signed)--> EnvelopeBody
    EnvelopeBody --encode_envelope--> MOF envelope --decode_envelope--> EnvelopeBody --decode_content--> VoucherContent

Pure functions: no database, clock or network. Wrong bytes raise VoucherError; whether a well-formed voucher is
acceptable is for vouchers.checks. Source: docs/vouchers.md §1-2.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cache

from lxml import etree

from vouchers import errors, safe_xml
from vouchers.envelope import MAX_ENVELOPE_BYTES, decode_envelope, encode_envelope
from vouchers.messages import VoucherContent
from vouchers.schema import Field, VoucherType, known_tags, voucher_type
from vouchers.xml_parts import DECLARATION, at_most_one, escape, identity_value, leaf, refuse_text

__all__ = [
    "MAX_ENVELOPE_BYTES",
    "completed",
    "content_text",
    "decode_content",
    "decode_envelope",
    "differing_fields",
    "encode_content",
    "encode_envelope",
    "receipt_of",
]

_SPECIAL = re.compile(r"[&<>\"\x00-\x1f\x7f-\x9f]")
_HAS_ATTRIBUTES = etree.XPath("boolean(//@*)")
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")


def encode_content(content: VoucherContent) -> bytes:
    """Write the inner document: GBK, fields in schema order, empty ones as empty elements.

    Extension fields (schema) appear only when they have a value. The same content always gives the same bytes.

    :raises VoucherTypeUnknown: if the type has no field list.
    :raises FieldUnknown: if a tag is not in the field list.
    :raises IdentityInvalid: if the identity has the wrong form, or `main` repeats it with another value.
    :raises CharacterNotInGbk, CharacterNotAllowed: naming the field.
    """
    kind = voucher_type(content.voucher_type)
    main = _with_identity(content)
    parts = [DECLARATION, "<Voucher>"]
    _write(parts, kind, "main", main, where="")
    parts.append("<DetailList>")
    for position, detail in enumerate(content.details, start=1):
        parts.append("<Detail>")
        _write(parts, kind, "detail", detail, where=f"Detail[{position}].")
        parts.append("</Detail>")
    parts.append("</DetailList></Voucher>")
    try:
        return "".join(parts).encode("gbk")
    except UnicodeEncodeError:
        raise _not_in_gbk(main, content.details) from None


def content_text(inner: bytes) -> bytes:
    """Return the base64 text of an inner document, one ASCII line: this is what gets signed."""
    return base64.b64encode(inner)


def decode_content(text: bytes) -> tuple[VoucherContent, bytes]:
    """Read a voucher from its base64 text; return it with the decoded inner bytes.

    Every schema tag is a key of the result, "" where the document has it empty or not at all.

    :raises Base64Invalid: unless it is the one strict spelling of its content, with at most one newline at the end.
    :raises XmlError: in its subclasses, for anything but plain XML with known elements, each once.
    :raises VoucherTypeUnknown, IdentityInvalid: if the document does not say what it is.
    """
    inner = _strict_base64(text)
    root = safe_xml.parse(inner, names=known_tags())
    if root.tag != "Voucher":
        raise errors.XmlUnknownElement("凭证原文的根元素应为 Voucher。", field=root.tag[:80])
    if _HAS_ATTRIBUTES(root):
        raise errors.XmlAttribute("凭证原文不允许属性。", field=root.xpath("//*[@*]")[0].tag)
    kind = voucher_type(_read_type(root))
    main = _read(root, kind.main_by_tag, where="", besides="DetailList")
    content = VoucherContent(
        voucher_type=kind.code,
        voucher_no=identity_value("VoucherNo", main["VoucherNo"]),
        adm_div_code=identity_value("AdmDivCode", main["AdmDivCode"]),
        fiscal_year=int(identity_value("StYear", main["StYear"])),
        voucher_date=_voucher_date(main["VouDate"]),
        main=main,
        details=_read_details(at_most_one(root, "DetailList"), kind),
    )
    return content, inner


def completed(content: VoucherContent) -> VoucherContent:
    """Return the same content as decoding would give it: every schema tag present, the identity repeated in `main`."""
    kind = voucher_type(content.voucher_type)
    main = dict.fromkeys(kind.main_by_tag, "") | _with_identity(content)
    blank = dict.fromkeys(kind.detail_by_tag, "")
    return replace(content, main=main, details=tuple(blank | dict(detail) for detail in content.details))


def receipt_of(
    content: VoucherContent, x_main: Mapping[str, str], x_details: Mapping[str, Mapping[str, str]]
) -> VoucherContent:
    """Return the receipt: the same document with these `X…` fields filled, details named by their Id.

    :raises NotAReceiptField: if another field would change.
    :raises DetailUnknown: if no detail has that Id.
    """
    kind = voucher_type(content.voucher_type)
    _refuse_other_than_receipt_fields(kind.main_by_tag, x_main)
    for values in x_details.values():
        _refuse_other_than_receipt_fields(kind.detail_by_tag, values)
    unknown = x_details.keys() - {detail.get("Id", "") for detail in content.details}
    if unknown:
        raise errors.DetailUnknown("回单所指的明细不存在。", field="Detail.Id", given=min(unknown)[:40])
    details = tuple({**detail, **x_details.get(detail.get("Id", ""), {})} for detail in content.details)
    return replace(content, main={**content.main, **x_main}, details=details)


def differing_fields(sent: VoucherContent, receipt: VoucherContent) -> list[str]:
    """Name every field, other than the `X…` ones, in which a receipt differs from what was sent (F40).

    Details are matched by Id and numbered as sent, from 1. "DetailList" means details missing, added or doubled.
    """
    if receipt.voucher_type != sent.voucher_type:
        return ["VtCode"]
    kind = voucher_type(sent.voucher_type)
    names = _differences(kind.main, _with_identity(sent), _with_identity(receipt))
    answered = {detail.get("Id", ""): detail for detail in receipt.details}
    ids = [detail.get("Id", "") for detail in sent.details]
    if not len(ids) == len(set(ids)) == len(receipt.details) == len(answered) or set(ids) != answered.keys():
        return [*names, "DetailList"]
    for position, detail in enumerate(sent.details, start=1):
        differences = _differences(kind.detail, detail, answered[detail.get("Id", "")])
        names += [f"Detail[{position}].{tag}" for tag in differences]
    return names


# Writing ------------------------------------------------------------------------------------------------------------


@cache
def _tokens(code: str, part: str) -> tuple[tuple[str, str, str, str], ...]:
    """For each field: tag, what stands for it when empty, opening tag, closing tag."""
    kind = voucher_type(code)
    return tuple(
        (field.tag, "" if field.extension else f"<{field.tag}></{field.tag}>", f"<{field.tag}>", f"</{field.tag}>")
        for field in (kind.main if part == "main" else kind.detail)
    )


def _write(parts: list[str], kind: VoucherType, part: str, values: Mapping[str, str], *, where: str) -> None:
    by_tag = kind.main_by_tag if part == "main" else kind.detail_by_tag
    if not values.keys() <= by_tag.keys():
        raise errors.FieldUnknown("字段不在该凭证的字段表中。", field=where + min(values.keys() - by_tag.keys()))
    special = _SPECIAL.search
    for tag, empty, opening, closing in _tokens(kind.code, part):
        value = values.get(tag)
        if not value:
            parts.append(empty)
        elif special(value):
            parts.append(f"{opening}{escape(value, where + tag)}{closing}")
        else:
            parts.append(f"{opening}{value}{closing}")


def _with_identity(content: VoucherContent) -> dict[str, str]:
    """Return `main` with the five identity tags as the attributes of the content have them."""
    identity = content.identity
    for tag, value in identity.items():
        if tag != "VouDate":
            identity_value(tag, value)
        if content.main.get(tag, value) != value:
            raise errors.IdentityInvalid("主单字段与凭证标识不一致。", field=tag, given=content.main[tag][:40])
    return {**content.main, **identity}


def _not_in_gbk(main: Mapping[str, str], details: Sequence[Mapping[str, str]]) -> errors.CharacterNotInGbk:
    """Find the field that could not be written; only called when there is one."""
    rows = [("", main), *((f"Detail[{position}].", detail) for position, detail in enumerate(details, start=1))]
    for where, values in rows:
        for tag, value in values.items():
            try:
                value.encode("gbk")
            except UnicodeEncodeError as error:
                character = f"U+{ord(value[error.start]):04X}"
                return errors.CharacterNotInGbk("字段含 GBK 以外的字符。", field=where + tag, character=character)
    raise AssertionError("no field holds a character outside GBK")


def _refuse_other_than_receipt_fields(by_tag: Mapping[str, Field], values: Mapping[str, str]) -> None:
    for tag in values:
        if tag not in by_tag:
            raise errors.FieldUnknown("字段不在该凭证的字段表中。", field=tag)
        if not by_tag[tag].receipt:
            raise errors.NotAReceiptField("回单只能填写 X 字段。", field=tag)


def _differences(fields: Sequence[Field], ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """An absent tag and an empty one say the same."""
    return [f.tag for f in fields if not f.receipt and ours.get(f.tag, "") != theirs.get(f.tag, "")]


# Reading ------------------------------------------------------------------------------------------------------------


def _strict_base64(text: bytes) -> bytes:
    body = text.removesuffix(b"\n")
    try:
        inner = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise errors.Base64Invalid("凭证原文不是规范的 Base64。", field="Voucher") from None
    if not inner or base64.b64encode(inner) != body:  # b64decode takes non-zero pad bits: QR== and QQ== alike
        raise errors.Base64Invalid("凭证原文不是规范的 Base64。", field="Voucher")
    return inner


def _read_type(root: etree._Element) -> str:
    element = at_most_one(root, "VtCode")
    return identity_value("VtCode", "" if element is None else leaf(element, "VtCode"))


def _read_details(element: etree._Element | None, kind: VoucherType) -> tuple[dict[str, str], ...]:
    if element is None:
        return ()
    refuse_text(element, "DetailList")
    details = []
    for position, detail in enumerate(element, start=1):
        where = f"Detail[{position}]"
        if detail.tag != "Detail":
            raise errors.XmlUnknownElement("DetailList 只能含 Detail。", field=detail.tag[:80])
        refuse_text(detail, where)
        details.append(_read(detail, kind.detail_by_tag, where=f"{where}."))
    return tuple(details)


def _read(
    element: etree._Element, by_tag: Mapping[str, Field], *, where: str, besides: str | None = None
) -> dict[str, str]:
    values = dict.fromkeys(by_tag, "")
    seen: set[str] = set()
    for child in element:
        tag = child.tag
        if tag in values and tag not in seen:
            seen.add(tag)
            values[tag] = leaf(child, where + tag) if len(child) else child.text or ""
        elif tag in seen:
            raise errors.XmlDuplicateElement("字段重复。", field=where + tag)
        elif tag != besides:
            raise errors.XmlUnknownElement("凭证原文含未知字段。", field=f"{where}{tag[:80]}")
    return values


def _voucher_date(text: str) -> date:
    parts = _DATE.fullmatch(text)
    try:
        if parts is not None:
            return date(int(parts[1]), int(parts[2]), int(parts[3]))
    except ValueError:
        pass
    raise errors.IdentityInvalid("凭证日期不是真实日期（yyyyMMdd）。", field="VouDate", given=text[:40])
