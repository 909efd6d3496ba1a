"""Family A: bytes that two readers could read differently, that reach out, or that cost more than they weigh.

Most constructs are tried twice, because they meet two parsers' doors: in the envelope, and inside the signed document,
where the bank's own true signature covers them. Source: docs/attacks.md.
"""

import gzip
import zlib
from collections.abc import Callable

import pytest

from core.errors import AmountInvalid, ValidationFailed
from core.money import yuan
from demo import world
from tests import acts
from tests.attacks.forging import (
    Attack,
    Scene,
    after_declaration,
    everything_else,
    once,
    put,
    read_purely,
    refusal_with_trace,
    send,
)
from tests.vouchers.api_partner import ApiPartner
from vouchers.codec import decode_content
from vouchers.models import InboxMessage, InboxRejection

LAUGHS = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
MEGABYTE = 1024 * 1024

# Constructs that fit anywhere: what is done to a document and the text of which leaf it is done to --------------------

Construct = tuple[str, str, str, Callable[[bytes, str], bytes]]


def before_root(text: bytes) -> Callable[[bytes, str], bytes]:
    return lambda raw, leaf: after_declaration(raw, text)


def at_the_end(text: bytes) -> Callable[[bytes, str], bytes]:
    return lambda raw, leaf: raw.rstrip(b"\n") + text


def in_leaf(text: bytes) -> Callable[[bytes, str], bytes]:
    return lambda raw, leaf: put(raw, leaf, text)


def on_leaf(attributes: bytes) -> Callable[[bytes, str], bytes]:
    return lambda raw, leaf: once(raw, b"<" + leaf.encode(), b"<" + leaf.encode() + b" " + attributes)


def on_root(attributes: bytes) -> Callable[[bytes, str], bytes]:
    def change(raw: bytes, leaf: str) -> bytes:
        root = b"<MOF>" if b"<MOF>" in raw else b"<Voucher>"
        return once(raw, root, root[:-1] + b" " + attributes + b">")

    return change


def doctype(declarations: bytes, leaf_text: bytes) -> Callable[[bytes, str], bytes]:
    return lambda raw, leaf: after_declaration(put(raw, leaf, leaf_text), b"<!DOCTYPE MOF " + declarations + b">")


def declared(declaration: bytes) -> Callable[[bytes, str], bytes]:
    return lambda raw, leaf: declaration + raw.partition(b"?>")[2]


def relabelled(label: str, codec: str) -> Callable[[bytes, str], bytes]:
    """Truly re-encoded and truly labelled; only that the encoding is none of ours."""

    def change(raw: bytes, leaf: str) -> bytes:
        return raw.decode("gbk").replace('encoding="GBK"', f'encoding="{label}"').encode(codec)

    return change


def mislabelled(label: bytes, text: str, codec: str) -> Callable[[bytes, str], bytes]:
    """The label says one encoding, a payee's worth of characters is written in another."""

    def change(raw: bytes, leaf: str) -> bytes:
        whole = put(raw, leaf, text.encode("gbk")).decode("gbk").encode(codec)
        return once(whole, b"GBK", label)

    return change


NEEDS_DTD = "a DTD can fetch, expand or default values that no signature covers"
REFERS = "reaches for a file or an address of the server's network"
EXPANDS = "a few bytes grow to gigabytes"
TWO_READINGS = "one parser sees a value, another sees a different one, under one signature"
NAMESPACES = "names that look alike mean different things, and canonical forms differ"
COSTS = "costs far more than it weighs"
LABEL_LIES = "another decoder would read another payee"
NOT_XML = "parsers that repair it repair it differently"

CONSTRUCTS: list[Construct] = [
    ("xxe file", "xml_doctype", REFERS, doctype(b'[<!ENTITY x SYSTEM "file:///etc/passwd">]', b"&x;")),
    ("xxe http", "xml_doctype", REFERS, doctype(b'[<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]', b"&x;")),
    ("xxe ftp", "xml_doctype", REFERS, doctype(b'[<!ENTITY x SYSTEM "ftp://127.0.0.1/x">]', b"&x;")),
    ("xxe php", "xml_doctype", REFERS, doctype(b'[<!ENTITY x SYSTEM "php://filter/read=x">]', b"&x;")),
    ("xxe public identifier", "xml_doctype", REFERS, doctype(b'[<!ENTITY x PUBLIC "-//x" "jar:file:/x!/y">]', b"&x;")),
    ("blind xxe by parameter entity", "xml_doctype", REFERS,
     doctype(b'[<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]', b"1")),
    ("billion laughs", "xml_doctype", EXPANDS, doctype(b'[<!ENTITY l0 "ha">' + LAUGHS + b"]", b"&l9;")),
    ("quadratic blow-up", "xml_doctype", EXPANDS,
     doctype(b'[<!ENTITY x "' + b"x" * 5000 + b'">]', b"&x;" * 2000)),
    ("recursive entity", "xml_doctype", EXPANDS, doctype(b'[<!ENTITY x "&y;"><!ENTITY y "&x;">]', b"&x;")),
    ("external dtd", "xml_doctype", REFERS, doctype(b'SYSTEM "http://127.0.0.1:9/a.dtd"', b"1")),
    ("dtd default attribute", "xml_doctype", NEEDS_DTD, doctype(b'[<!ATTLIST Voucher Amt CDATA "999">]', b"1")),
    ("internal entity in the value", "xml_doctype", NEEDS_DTD, doctype(b'[<!ENTITY amt "999.00">]', b"&amt;")),
    ("unparsed entity and notation", "xml_doctype", NEEDS_DTD,
     doctype(b'[<!NOTATION n SYSTEM "x"><!ENTITY x SYSTEM "y" NDATA n>]', b"1")),
    ("empty doctype", "xml_doctype", NEEDS_DTD, before_root(b"<!DOCTYPE MOF>")),
    ("lower-case doctype", "xml_doctype", NEEDS_DTD, before_root(b"<!doctype MOF>")),
    ("doctype after the root", "xml_doctype", NEEDS_DTD, at_the_end(b"<!DOCTYPE MOF>")),
    ("conditional section", "xml_doctype", NEEDS_DTD, in_leaf(b"<![INCLUDE[1]]>")),
    ("undeclared entity", "xml_entity", TWO_READINGS, in_leaf(b"1&amt;")),
    ("html entity", "xml_entity", TWO_READINGS, in_leaf(b"1&nbsp;")),
    ("bare ampersand", "xml_entity", NOT_XML, in_leaf(b"1 & 2")),
    ("reference without semicolon", "xml_entity", NOT_XML, in_leaf(b"&#49")),
    ("reference of endless digits", "xml_entity", TWO_READINGS, in_leaf(b"&#" + b"0" * 4000 + b"49;")),
    ("reference with a capital x", "xml_entity", TWO_READINGS, in_leaf(b"&#X31;")),
    ("comment in the value", "xml_comment", "libxml2's text is 100 where the canonical form signs 1000",
     in_leaf(b"1<!-- -->0")),
    ("comment before the root", "xml_comment", TWO_READINGS, before_root(b"<!-- x -->")),
    ("comment after the root", "xml_comment", TWO_READINGS, at_the_end(b"<!-- x -->")),
    ("cdata in the value", "xml_cdata", TWO_READINGS, in_leaf(b"<![CDATA[1]]>0")),
    ("cdata hiding elements", "xml_cdata", TWO_READINGS, in_leaf(b"<![CDATA[</Voucher><Voucher>]]>")),
    ("processing instruction in the value", "xml_processing_instruction", TWO_READINGS, in_leaf(b"1<?x y?>0")),
    ("stylesheet", "xml_processing_instruction", "a viewer would show what the sheet says, not what is signed",
     before_root(b'<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>')),
    ("second declaration", "xml_processing_instruction", TWO_READINGS,
     before_root(b'<?xml version="1.0" encoding="UTF-8"?>')),
    ("xinclude", "xml_namespace", REFERS,
     in_leaf(b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>')),
    ("default namespace", "xml_namespace", NAMESPACES, on_root(b'xmlns="urn:other"')),
    ("relative namespace", "xml_namespace", "parses, but has no canonical form", on_root(b'xmlns="u"')),
    ("unused prefix", "xml_namespace", NAMESPACES, on_root(b'xmlns:b="urn:x"')),
    ("prefix xml declared again", "xml_namespace", "the one declaration libxml2 does not report",
     on_root(b'xmlns:xml="http://www.w3.org/XML/1998/namespace"')),
    ("prefix xml bound to another name", "xml_malformed", NAMESPACES, on_root(b'xmlns:xml="urn:x"')),
    ("undeclared prefix on an attribute", "xml_namespace", NAMESPACES, on_leaf(b'b:c="1"')),
    ("name with two colons", "xml_malformed", NAMESPACES, in_leaf(b"<a:b:c/>")),
    ("xml:lang", "xml_namespace", "inherited by everything below, also into what is signed", on_root(b'xml:lang="zh"')),
    ("xml:base", "xml_namespace", REFERS, on_root(b'xml:base="http://127.0.0.1:9/"')),
    ("xml:id", "xml_namespace", "gives a part an identity that a reference can move to", on_leaf(b'xml:id="i1"')),
    ("xml:space", "xml_namespace", TWO_READINGS, on_leaf(b'xml:space="preserve"')),
    ("attribute twice", "xml_malformed", TWO_READINGS, on_leaf(b'a="1" a="2"')),
    ("attribute twice by namespace alias", "xml_malformed", TWO_READINGS,
     on_leaf(b'xmlns:b="urn:x" xmlns:c="urn:x" b:d="1" c:d="2"')),
    ("attribute where none belongs", "xml_attribute", TWO_READINGS, on_leaf(b'currency="USD"')),
    ("attribute without quotes", "xml_malformed", NOT_XML, on_leaf(b"a=1")),
    ("attribute holding markup", "xml_malformed", NOT_XML, on_leaf(b"a='<b>'")),
    ("entity in an attribute", "xml_entity", NEEDS_DTD, on_leaf(b'a="&x;"')),
    ("depth bomb", "xml_depth", COSTS, in_leaf(b"<a>" * 5000 + b"</a>" * 5000)),
    ("thirty-one levels", "xml_depth", COSTS, in_leaf(b"<Voucher>" * 30 + b"</Voucher>" * 30)),
    ("element bomb", "xml_too_many_elements", COSTS, in_leaf(b"<Voucher/>" * 200_001)),
    ("name bomb", "xml_unknown_element", "libxml2 never forgets a name it has seen",
     in_leaf(b"".join(b"<n%d/>" % n for n in range(20_000)))),
    ("one endless name", "xml_unknown_element", COSTS, in_leaf(b"<" + b"n" * MEGABYTE + b"/>")),
    ("attribute bomb", "xml_attribute", COSTS, on_leaf(b" ".join(b'b%d="1"' % n for n in range(100_000)))),
    ("endless attribute", "xml_attribute", COSTS, on_leaf(b'a="' + b"x" * MEGABYTE + b'"')),
    ("namespace bomb", "xml_namespace", COSTS, on_root(b" ".join(b'xmlns:n%d="urn:%d"' % (n, n) for n in range(5000)))),
    ("eleven megabytes of text", "xml_too_large", COSTS, in_leaf(b"x" * (11 * MEGABYTE))),
    ("four megabytes in a short field", "xml_text_too_long", COSTS, in_leaf(b"x" * (4 * MEGABYTE))),
    ("utf-7", "xml_encoding", LABEL_LIES, declared(b'<?xml version="1.0" encoding="UTF-7"?>')),
    ("utf-16 label", "xml_encoding", LABEL_LIES, declared(b'<?xml version="1.0" encoding="UTF-16"?>')),
    ("utf-16 truly", "xml_declaration", LABEL_LIES, relabelled("UTF-16", "utf-16")),
    ("utf-16 without a mark", "xml_declaration", LABEL_LIES, relabelled("UTF-16BE", "utf-16-be")),
    ("utf-32 truly", "xml_declaration", LABEL_LIES, relabelled("UTF-32", "utf-32")),
    ("ebcdic", "xml_declaration", LABEL_LIES,
     lambda raw, leaf: raw.decode("gbk").encode("cp037", errors="replace")),
    ("gb2312 label", "xml_encoding", LABEL_LIES, relabelled("GB2312", "gbk")),
    ("big5 label", "xml_encoding", LABEL_LIES, declared(b'<?xml version="1.0" encoding="Big5"?>')),
    ("latin label", "xml_encoding", LABEL_LIES, declared(b'<?xml version="1.0" encoding="ISO-8859-1"?>')),
    ("byte order mark with gbk", "xml_encoding", "read as UTF-8 by parsers that believe the mark",
     lambda raw, leaf: b"\xef\xbb\xbf" + raw),
    ("gbk label on utf-8", "xml_encoding", LABEL_LIES, mislabelled(b"GBK", "临江市财政局", "utf-8")),
    ("utf-8 label on gbk", "xml_encoding", LABEL_LIES, mislabelled(b"UTF-8", "临江市财政局", "gbk")),
    ("gbk lead byte alone", "xml_encoding", "swallows the bracket after it in a careless decoder", in_leaf(b"1\xb9")),
    ("gbk lead byte before a bracket", "xml_encoding", "swallows the bracket after it", in_leaf(b"\x81<b/>")),
    ("gbk lead byte ff", "xml_encoding", LABEL_LIES, in_leaf(b"\xff\xff")),
    ("four-byte gb18030 under gbk", "xml_encoding", LABEL_LIES, in_leaf("𠮷".encode("gb18030"))),
    ("overlong utf-8 bracket", "xml_encoding", "a bracket that a filter does not see",
     lambda raw, leaf: put(relabelled("UTF-8", "utf-8")(raw, leaf), leaf, b"\xc0\xbcb/\xc0\xbe")),
    ("surrogate in utf-8", "xml_encoding", NOT_XML,
     lambda raw, leaf: put(relabelled("UTF-8", "utf-8")(raw, leaf), leaf, b"\xed\xa0\x80")),
    ("five-byte utf-8", "xml_encoding", NOT_XML,
     lambda raw, leaf: put(relabelled("UTF-8", "utf-8")(raw, leaf), leaf, b"\xf8\x88\x80\x80\x80")),
    ("xml 1.1", "xml_declaration", "allows control characters and other line ends",
     declared(b'<?xml version="1.1" encoding="GBK"?>')),
    ("no declaration", "xml_declaration", LABEL_LIES, declared(b"")),
    ("no encoding", "xml_declaration", LABEL_LIES, declared(b'<?xml version="1.0"?>')),
    ("encoding before version", "xml_declaration", NOT_XML, declared(b'<?xml encoding="GBK" version="1.0"?>')),
    ("blank before the declaration", "xml_declaration", NOT_XML, lambda raw, leaf: b" " + raw),
    ("gzip", "xml_declaration", EXPANDS, lambda raw, leaf: gzip.compress(raw)),
    ("gzip bomb", "xml_declaration", EXPANDS, lambda raw, leaf: gzip.compress(raw + b" " * (50 * MEGABYTE))),
    ("nul", "xml_malformed", "ends the text for whoever reads C strings", in_leaf(b"1\x000")),
    ("nul by reference", "xml_malformed", "ends the text for whoever reads C strings", in_leaf(b"1&#0;0")),
    ("nul in a name", "xml_malformed", NOT_XML, in_leaf(b"<Voucher\x00/>")),
    ("surrogate by reference", "xml_malformed", NOT_XML, in_leaf(b"&#xD800;&#xDC00;")),
    ("non-character by reference", "xml_malformed", NOT_XML, in_leaf(b"&#xFFFE;")),
    ("reference beyond unicode", "xml_malformed", NOT_XML, in_leaf(b"&#x110000;")),
    ("control character", "xml_malformed", NOT_XML, in_leaf(b"1\x0b0")),
    ("end of cdata in text", "xml_malformed", NOT_XML, in_leaf(b"1]]>0")),
    ("bracket in text", "xml_malformed", NOT_XML, in_leaf(b"1 < 2")),
    ("crossed elements", "xml_malformed", NOT_XML, in_leaf(b"<a><b></a></b>")),
    ("unclosed root", "xml_malformed", NOT_XML, lambda raw, leaf: raw.rstrip(b"\n")[:-3]),
    ("nothing after the declaration", "xml_malformed", NOT_XML, lambda raw, leaf: raw.partition(b"\n")[0]),
    ("text after the root", "xml_trailing", "hidden from whoever stops at the end", at_the_end(b"100.00")),
    ("nul after the root", "xml_trailing", "hidden from whoever stops at the end", at_the_end(b"\x00")),
    ("second root", "xml_trailing", "hidden from whoever stops at the end", at_the_end(b"<MOF/>")),
    ("text beside an element", "xml_mixed_content", TWO_READINGS, in_leaf(b"1<Voucher/>0")),
    ("element in the value", "xml_unknown_element", TWO_READINGS, in_leaf(b"<Voucher>1</Voucher>")),
    ("full-width element name", "xml_unknown_element", "looks like the field it is not",
     lambda raw, leaf: once(raw, b"</" + leaf.encode() + b">",
                            b"</%b><%b/>" % (leaf.encode(), "ＶｏｕｃｈｅｒＮｏ".encode("gbk")))),
    ("element name in other case", "xml_unknown_element", TWO_READINGS,
     lambda raw, leaf: once(raw, b"</" + leaf.encode() + b">",
                            b"</%b><%b>9</%b>" % ((leaf.encode(),) + (leaf.upper().encode(),) * 2))),
    ("value twice", "xml_duplicate_element", "the first counts for one reader, the last for another",
     lambda raw, leaf: once(raw, b"</" + leaf.encode() + b">",
                            b"</%b><%b>9</%b>" % ((leaf.encode(),) * 3))),
    ("empty value twice", "xml_duplicate_element", "the first counts for one reader, the last for another",
     lambda raw, leaf: once(raw, b"<" + leaf.encode(), b"<%b/><%b" % ((leaf.encode(),) * 2))),
]  # fmt: skip


def in_envelope(construct: Construct) -> Attack:
    name, code, why, change = construct

    def build(scene: Scene) -> bytes:
        return change(scene.envelope, "VoucherFlag")

    return Attack("A", f"envelope: {name}", code, why, build, code)


def in_document(construct: Construct) -> Attack:
    name, code, why, change = construct

    def build(scene: Scene) -> bytes:
        return scene.enclose(change(scene.inner, "PayAmt"))

    return Attack("A", f"document: {name}", code, why, build, code)


# Values: what a signed and well-formed receipt may not say ------------------------------------------------------------


def value(tag: str, text: str | Callable[[str], str], name: str, code: str, why: str, *, utf8: bool = False) -> Attack:
    """Give a field another text, written as a character reference where GBK has no such character."""

    def build(scene: Scene) -> bytes:
        content, _ = decode_content(scene.receipt.text)
        changed = text(content.main[tag]) if callable(text) else text
        assert changed != content.main[tag]
        if utf8:
            inner = scene.inner.decode("gbk").replace('encoding="GBK"', 'encoding="UTF-8"').encode()
            return scene.enclose(put(inner, tag, changed.encode()))
        return scene.enclose(put(scene.inner, tag, changed.encode("gbk", errors="xmlcharrefreplace")))

    return Attack("A", name, code, why, build, code)


def payee(old: str, new: str, name: str, code: str, why: str, *, utf8: bool = False) -> Attack:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return value("PayeeAcctName", change, f"payee: {name}", code, why, utf8=utf8)


LOOKS_ALIKE = "two names that look alike are two payees"
UNSEEN = "nobody can see it, so two names look like one"
REORDERS = "the name is shown in another order than it is stored"
DIGITS = "int() and Decimal() of some languages take it for digits"
ONE_SPELLING = "an amount has one spelling"

VALUES = [
    payee("郎", "\uf92c", "compatibility ideograph", "receipt_altered", LOOKS_ALIKE),
    payee("A", "А", "cyrillic letter", "receipt_altered", LOOKS_ALIKE),
    payee("A", "Α", "greek letter", "receipt_altered", LOOKS_ALIKE),
    payee("A", "Ａ", "full-width letter", "receipt_altered", LOOKS_ALIKE),
    payee("（", "(", "ascii bracket", "receipt_altered", LOOKS_ALIKE),
    payee("é", "e", "accent dropped", "receipt_altered", LOOKS_ALIKE),
    payee("é", "e\u0301", "decomposed letter (nfd)", "character_not_in_gbk", LOOKS_ALIKE),
    payee("é", "e\u0301", "decomposed letter (nfd) in utf-8", "character_not_in_gbk", LOOKS_ALIKE, utf8=True),
    payee("é", "é\u0301", "combining mark added", "character_not_in_gbk", LOOKS_ALIKE),
    payee("具", "具\ufe00", "variation selector", "character_not_in_gbk", LOOKS_ALIKE),
    payee("店", "店\u200b", "zero-width space", "character_not_in_gbk", UNSEEN),
    payee("店", "店\u200b", "zero-width space in utf-8", "character_not_in_gbk", UNSEEN, utf8=True),
    payee("店", "店\u200c", "zero-width non-joiner", "character_not_in_gbk", UNSEEN),
    payee("店", "店\u200d", "zero-width joiner", "character_not_in_gbk", UNSEEN),
    payee("店", "店\u2060", "word joiner", "character_not_in_gbk", UNSEEN),
    payee("店", "店\ufeff", "byte order mark inside", "character_not_in_gbk", UNSEEN),
    payee("店", "店\u00ad", "soft hyphen", "character_not_in_gbk", UNSEEN),
    payee("店", "店\U000e0041", "tag character", "character_not_in_gbk", UNSEEN),
    payee("店", "店\u00a0", "no-break space", "character_not_in_gbk", UNSEEN),
    payee("店", "店 ", "blank inside", "receipt_altered", UNSEEN),
    payee("店", "店\u3000", "ideographic space", "receipt_altered", UNSEEN),
    payee("店", "店\t", "tab", "character_not_allowed", UNSEEN),
    payee("店", "店\n", "line break", "character_not_allowed", UNSEEN),
    payee("店", "店\x7f", "delete character", "character_not_allowed", UNSEEN),
    payee("店", "店\x85", "next line", "character_not_in_gbk", UNSEEN),
    payee("文具", "\u202e具文\u202c", "right-to-left override", "character_not_in_gbk", REORDERS),
    payee("文具", "\u2067文具\u2069", "bidi isolate", "character_not_in_gbk", REORDERS),
    payee("文具", "\u200f文具", "right-to-left mark", "character_not_in_gbk", REORDERS),
    payee("店", "\ue000", "private use character", "character_not_in_gbk", "every font shows it differently"),
    payee("店", "&", "ampersand by itself is nothing", "xml_entity", NOT_XML),
    value("PayAmt", "１２３４５.６７", "amount: full-width digits", "amount_invalid", DIGITS),
    value("PayAmt", "12345．67", "amount: full-width point", "amount_invalid", DIGITS),
    value("PayAmt", "١٢٣٤٥.٦٧", "amount: arabic digits", "character_not_in_gbk", DIGITS),
    value("PayAmt", "①②.③④", "amount: circled digits", "amount_invalid", DIGITS),
    value("PayAmt", "一二三.四五", "amount: chinese digits", "amount_invalid", DIGITS),
    value("PayAmt", "1.23e4", "amount: exponent", "amount_invalid", ONE_SPELLING),
    value("PayAmt", "12,345.67", "amount: thousands separator", "amount_invalid", ONE_SPELLING),
    value("PayAmt", "12_345.67", "amount: underscore", "amount_invalid", ONE_SPELLING),
    value("PayAmt", "12345.670", "amount: three decimals", "amount_invalid", ONE_SPELLING),
    value("PayAmt", "12345", "amount: no decimals", "amount_invalid", ONE_SPELLING),
    value("PayAmt", "NaN", "amount: not a number", "amount_invalid", "compares false with every limit"),
    value("PayAmt", "Infinity", "amount: infinity", "amount_invalid", "exceeds every sum"),
    value("PayAmt", "999999999999999.00", "amount: more than a column holds", "amount_invalid", "wraps or is cut"),
    value("PayAmt", lambda amount: f" {amount}", "amount: leading blank", "amount_invalid", ONE_SPELLING),
    value("PayAmt", lambda amount: f"{amount}\n", "amount: trailing line break", "character_not_allowed", ONE_SPELLING),
    value("PayAmt", lambda amount: f"{amount}\u200b", "amount: zero-width space", "character_not_in_gbk", UNSEEN),
    value("PayAmt", lambda amount: f"－{amount}", "amount: full-width minus", "amount_invalid", DIGITS),
    value("PayAmt", lambda amount: f"-{amount}", "amount: turned negative", "amount_sign", "pays the other way"),
    value("PayAmt", lambda amount: f"+{amount}", "amount: plus sign", "receipt_altered", ONE_SPELLING),
    value("PayAmt", lambda amount: f"0{amount}", "amount: leading zero", "receipt_altered", ONE_SPELLING),
    value("PayAmt", "", "amount: empty", "required", "none is not nought"),
    value("XPayAmt", "１２３４５.６７", "paid amount: full-width digits", "amount_invalid", DIGITS),
    value("XPayAmt", "NaN", "paid amount: not a number", "amount_invalid", "compares false with every limit"),
    value("PayeeAcctNo", "６２３００００００００００００１", "account: full-width digits", "account_invalid", DIGITS),
    value("PayeeAcctNo", "6230 0000 0000 0001", "account: blanks", "account_invalid", "not the account we sent"),
    value("PayeeAcctNo", "6230000000000001\u200b", "account: zero-width space", "character_not_in_gbk", UNSEEN),
    value("XPayDate", "２０２６０６１５", "date: full-width digits", "date_invalid", DIGITS),
    value("XPayDate", "20260231", "date: no such day", "date_invalid", "normalised to another day by some libraries"),
    value("VoucherNo", "ＳＺ０００１", "number: full-width", "voucher_identity_invalid", LOOKS_ALIKE),
    value("VoucherNo", "SZ\u041e001", "number: cyrillic letter", "voucher_identity_invalid", LOOKS_ALIKE),
    value("StYear", "２０２６", "year: full-width", "voucher_identity_invalid", DIGITS),
    value("VtCode", "../8202", "type: path", "voucher_identity_invalid", "a type is looked up as a file name"),
    value("VtCode", "8202\n", "type: trailing line break", "voucher_identity_invalid", "a `$` would let it pass"),
]

ATTACKS = [
    *(in_envelope(construct) for construct in CONSTRUCTS),
    *(in_document(construct) for construct in CONSTRUCTS),
    *VALUES,
]
each = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)


def test_the_honest_receipt_is_taken_so_that_a_refusal_means_the_attack(paper, scene):
    assert read_purely(paper.envelope, paper.ours) is None
    assert read_purely(scene.envelope, scene.ours) is None
    assert [answer.outcome for answer in send(scene.enclose(scene.inner))] == ["applied"]


@each
def test_the_codec_refuses_by_the_bytes_alone(attack, paper):
    assert read_purely(attack.build(paper), paper.ours) == attack.codec == attack.code


@each
def test_the_inbox_refuses_keeps_the_bytes_and_does_nothing(attack, scene):
    assert refusal_with_trace(attack.build(scene)) == attack.code


# Over HTTP -----------------------------------------------------------------------------------------------------------

OVER_HTTP = [
    "envelope: xxe file",
    "envelope: billion laughs",
    "envelope: comment in the value",
    "envelope: byte order mark with gbk",
    "envelope: gzip",
    "envelope: second root",
    "document: internal entity in the value",
    "document: comment in the value",
    "payee: right-to-left override",
    "payee: compatibility ideograph",
    "amount: full-width digits",
]


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.name in OVER_HTTP], ids=lambda attack: attack.id)
def test_the_api_answers_with_the_same_code_and_signs_the_answer(attack, scene, bank_a):
    raw, before = attack.build(scene), everything_else()

    reply = bank_a.post_raw(raw)

    assert (reply.status, reply.code, reply.signed) == (422, attack.code, True)
    assert everything_else() == before
    assert InboxRejection.objects.count() + InboxMessage.objects.filter(state="refused").count() == 1


def test_the_names_of_attacks_over_http_are_names_of_attacks():
    assert set(OVER_HTTP) <= {attack.name for attack in ATTACKS}


COMPRESSED = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("br", bytes),
    ("identity, gzip", gzip.compress),
    ("GZIP", gzip.compress),
]


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSED, ids=[name for name, _ in COMPRESSED])
def test_a_compressed_body_is_refused_unread(encoding, compress, scene, bank_a: ApiPartner):
    bomb, before = compress(scene.envelope + b" " * MEGABYTE), everything_else()

    reply = bank_a.post_raw(bomb, headers={"Content-Encoding": encoding})

    assert (reply.status, reply.code) == (415, "content_encoding_not_supported")
    assert everything_else() == before and not InboxMessage.objects.exists()
    trace = InboxRejection.objects.get()
    assert (trace.sender, trace.size, trace.code) == (world.BANK_A, len(bomb), "content_encoding_not_supported")


# Our own pen ---------------------------------------------------------------------------------------------------------


UNDRAFTABLE = {
    "zero-width space": "晨\u200b光",
    "right-to-left override": "\u202e光晨",
    "bidi isolate": "晨\u2067光",
    "line break": "晨\n光",
    "nul": "晨\x00光",
    "soft hyphen": "晨\u00ad光",
    "decomposed letter": "e\u0301",
    "ideographic space": "晨\u3000光",
    "byte order mark": "\ufeff晨",
}


@pytest.mark.parametrize("name", UNDRAFTABLE.values(), ids=UNDRAFTABLE)
def test_no_clerk_can_draft_a_payee_with_characters_nobody_sees(name, scene):
    before = everything_else()

    with pytest.raises(ValidationFailed) as refusal:
        acts.draft("I1", "1.00", details=(acts.line("1.00", payee_name=name),))

    assert {(finding.code, finding.field) for finding in refusal.value.findings} == {
        ("field_invalid", "details.1.payee_name")
    }
    assert everything_else() == before


@pytest.mark.parametrize(
    "text", ["１.００", "١.٠٠", "1.0０", "1．00", "1.00\n", " 1.00", "1e2", "NaN", "+1.00", "1_0.00"]
)
def test_no_form_reads_an_amount_in_another_spelling(text):
    with pytest.raises(AmountInvalid):
        yuan(text)
