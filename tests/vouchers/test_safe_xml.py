import pytest

from vouchers import safe_xml
from vouchers.errors import VoucherError, XmlError

HEAD = '<?xml version="1.0" encoding="GBK"?>'
LONG = "x" * 5000
DEEP = "<a>" * 29 + "</a>" * 29


def gbk(body: str) -> bytes:
    return (HEAD + body).encode("gbk")


def utf8(body: str, label: str = "UTF-8") -> bytes:
    return f'<?xml version="1.0" encoding="{label}"?>{body}'.encode()


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))

ATTACKS = {
    # what an entity or a DTD can do
    "xxe file": (gbk('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'), "xml_doctype"),
    "xxe http": (gbk('<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]><a>&x;</a>'), "xml_doctype"),
    "xxe ftp": (gbk('<!DOCTYPE a [<!ENTITY x SYSTEM "ftp://127.0.0.1/x">]><a>&x;</a>'), "xml_doctype"),
    "xxe php": (gbk('<!DOCTYPE a [<!ENTITY x SYSTEM "php://filter/read=x">]><a>&x;</a>'), "xml_doctype"),
    "parameter entity": (gbk('<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///x"> %x;]><a/>'), "xml_doctype"),
    "billion laughs": (gbk(f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>'), "xml_doctype"),
    "quadratic blow-up": (gbk(f'<!DOCTYPE a [<!ENTITY x "{LONG}">]><a>{"&x;" * 2000}</a>'), "xml_doctype"),
    "external dtd": (gbk('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>'), "xml_doctype"),
    "default attribute": (gbk('<!DOCTYPE a [<!ATTLIST a Amt CDATA "999">]><a/>'), "xml_doctype"),
    "internal entity in the amount": (gbk('<!DOCTYPE a [<!ENTITY amt "999">]><a>&amt;</a>'), "xml_doctype"),
    "lower-case doctype": (gbk("<!doctype a><a/>"), "xml_doctype"),
    "doctype after the root": (gbk("<a/><!DOCTYPE a>"), "xml_doctype"),
    "undeclared entity": (gbk("<a>&amt;</a>"), "xml_entity"),
    "html entity": (gbk("<a>&nbsp;</a>"), "xml_entity"),
    "bare ampersand": (gbk("<a>1 & 2</a>"), "xml_entity"),
    "entity in an attribute": (gbk('<a b="&x;"/>'), "xml_entity"),
    # two readings of one text
    "comment in the amount": (gbk("<a>100<!-- -->0</a>"), "xml_comment"),
    "comment before the root": (gbk("<!-- x --><a/>"), "xml_comment"),
    "comment after the root": (gbk("<a/><!-- x -->"), "xml_comment"),
    "cdata in the amount": (gbk("<a><![CDATA[100]]>0</a>"), "xml_cdata"),
    "cdata all": (gbk("<a><![CDATA[<b>]]></a>"), "xml_cdata"),
    "processing instruction": (gbk("<a>100<?x y?>0</a>"), "xml_processing_instruction"),
    "stylesheet": (gbk('<?xml-stylesheet href="x.xsl"?><a/>'), "xml_processing_instruction"),
    "second declaration": (gbk(HEAD + "<a/>"), "xml_processing_instruction"),
    # namespaces
    "xinclude": (gbk('<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="x"/></a>'), "xml_namespace"),
    "default namespace": (gbk('<a xmlns="urn:x"/>'), "xml_namespace"),
    "relative namespace": (gbk('<a xmlns="u"/>'), "xml_namespace"),
    "unused namespace": (gbk('<a xmlns:b="urn:x"/>'), "xml_namespace"),
    "namespace below": (gbk('<a><b xmlns:c="urn:x"/></a>'), "xml_namespace"),
    "undeclared prefix": (gbk("<b:a/>"), "xml_namespace"),
    "xml:lang": (gbk('<a xml:lang="zh"/>'), "xml_namespace"),
    "xml:base": (gbk('<a xml:base="http://x/"/>'), "xml_namespace"),
    "xml:id": (gbk('<a xml:id="i1"/>'), "xml_namespace"),
    "duplicate by alias": (gbk('<a xmlns:b="urn:x" xmlns:c="urn:x" b:d="1" c:d="2"/>'), "xml_malformed"),
    "namespace bomb": (gbk("<a " + " ".join(f'xmlns:n{n}="urn:{n}"' for n in range(5000)) + "/>"), "xml_namespace"),
    # too much
    "too large": (gbk("<a>" + "x" * (10 * 1024 * 1024) + "</a>"), "xml_too_large"),
    "long text": (gbk(f"<a>{LONG}</a>"), "xml_text_too_long"),
    "thirty-one levels": (gbk(f"<a>{DEEP.replace('</a>', '<b/></a>', 1)}</a>"), "xml_depth"),
    "depth bomb": (gbk("<a>" * 2000 + "</a>" * 2000), "xml_depth"),
    "attribute bomb": (gbk("<a " + " ".join(f'b{n}="1"' for n in range(10_000)) + "/>"), "xml_attribute"),
    "long attribute": (gbk(f'<a b="{LONG}"/>'), "xml_attribute"),
    "element bomb": (gbk("<a>" + "<b/>" * 200_001 + "</a>"), "xml_too_many_elements"),
    # encodings
    "no declaration": (b"<a/>", "xml_declaration"),
    "no encoding": (b'<?xml version="1.0"?><a/>', "xml_declaration"),
    "blank before the declaration": (b" " + gbk("<a/>"), "xml_declaration"),
    "empty": (b"", "xml_declaration"),
    "xml 1.1": (b'<?xml version="1.1" encoding="GBK"?><a/>', "xml_declaration"),
    "utf-7": (b'<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-', "xml_encoding"),
    "utf-16 label": (b'<?xml version="1.0" encoding="UTF-16"?><a/>', "xml_encoding"),
    "utf-16 bytes": (gbk("<a/>").decode().encode("utf-16"), "xml_declaration"),
    "utf-32 bytes": (gbk("<a/>").decode().encode("utf-32"), "xml_declaration"),
    "ebcdic bytes": (gbk("<a/>").decode().encode("cp037"), "xml_declaration"),
    "gb2312 label": (utf8("<a/>", "GB2312"), "xml_encoding"),
    "latin label": (utf8("<a/>", "ISO-8859-1"), "xml_encoding"),
    "bom with gbk label": (b"\xef\xbb\xbf" + gbk("<a/>"), "xml_encoding"),
    "gbk label, utf-8 bytes": (utf8("<a>国库</a>", "GBK"), "xml_encoding"),
    "gbk label, odd utf-8 bytes": (utf8("<a>财政局</a>", "GBK"), "xml_encoding"),
    "utf-8 label, gbk bytes": (utf8("", "UTF-8") + "<a>国库</a>".encode("gbk"), "xml_encoding"),
    "gbk lead byte alone": (gbk("<a>") + b"\xb9" + b"</a>", "xml_encoding"),
    "gbk invalid pair": (gbk("<a>") + b"\xb9\x20" + b"</a>", "xml_encoding"),
    "gbk lead byte ff": (gbk("<a>") + b"\xff\xff" + b"</a>", "xml_encoding"),
    "gbk with a four-byte gb18030 character": (gbk("<a>") + "𠮷".encode("gb18030") + b"</a>", "xml_encoding"),
    "utf-8 overlong": (utf8("<a>") + b"\xc0\xbc" + b"</a>", "xml_encoding"),
    "utf-8 surrogate": (utf8("<a>") + b"\xed\xa0\x80" + b"</a>", "xml_encoding"),
    "gzip": (b"\x1f\x8b\x08\x00" + b"\0" * 30, "xml_declaration"),
    # not XML
    "nul": (gbk("<a>\0</a>"), "xml_malformed"),
    "control character": (gbk("<a>\x0b</a>"), "xml_malformed"),
    "nul by reference": (gbk("<a>&#0;</a>"), "xml_malformed"),
    "surrogate by reference": (gbk("<a>&#xD800;</a>"), "xml_malformed"),
    "non-character": (utf8("<a>\uffff</a>"), "xml_malformed"),
    "unclosed": (gbk("<a><b>"), "xml_malformed"),
    "crossed": (gbk("<a><b></a></b>"), "xml_malformed"),
    "duplicate attribute": (gbk('<a b="1" b="2"/>'), "xml_malformed"),
    "unquoted attribute": (gbk("<a b=1/>"), "xml_malformed"),
    "declaration only": (gbk(""), "xml_malformed"),
    "text only": (gbk("100.00"), "xml_malformed"),
    "text after the root": (gbk("<a/>100"), "xml_trailing"),
    "two roots": (gbk("<a/><a/>"), "xml_trailing"),
    "text beside an element": (gbk("<a>1<b/></a>"), "xml_mixed_content"),
    "text behind an element": (gbk("<a><b/>1</a>"), "xml_mixed_content"),
    "wide blank behind an element": (gbk("<a><b/>\u3000</a>"), "xml_mixed_content"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_is_refused_with_its_code(name):
    raw, code = ATTACKS[name]

    with pytest.raises(VoucherError) as refusal:
        safe_xml.parse(raw)

    assert refusal.value.code == code
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_the_codes_are_told_apart_by_class_too():
    with pytest.raises(XmlError):
        safe_xml.parse(b"")
    assert len(ATTACKS) >= 40
    codes = [error.code for error in every_subclass(VoucherError)]
    assert len(codes) == len(set(codes))


def every_subclass(parent):
    return [parent, *(below for child in parent.__subclasses__() for below in every_subclass(child))]


@pytest.mark.parametrize(
    "raw",
    [
        gbk("<a>国库</a>"),
        utf8("<a>国库</a>"),
        b"\xef\xbb\xbf" + utf8("<a>国库</a>"),
        utf8("", "gb18030") + "<a>国库</a>".encode("gb18030"),
        b"<?xml version='1.0' encoding='gbk' standalone='yes' ?>\r\n" + "<a>国库</a>\n".encode("gbk"),
        gbk("<a>&#x56FD;&#24211;</a>"),
    ],
)
def test_the_allowed_encodings_read_alike(raw):
    assert safe_xml.parse(raw).text == "国库"


def test_a_gbk_text_that_happens_to_be_valid_utf8_is_still_gbk():
    assert "目".encode("gbk").decode("utf-8") == "Ŀ"

    assert safe_xml.parse(gbk("<a>目</a>")).text == "目"


def test_the_limits_themselves_are_allowed():
    assert safe_xml.parse(gbk(f"<a>{DEEP}</a>")).tag == "a"
    assert len(safe_xml.parse(gbk("<a>" + "x" * 4096 + "</a>")).text) == 4096
    assert len(safe_xml.parse(gbk("<a>" + "<b/>" * 199_999 + "</a>"))) == 199_999
    size = len(gbk("<a></a>"))
    assert safe_xml.parse(gbk("<a></a>"), max_bytes=size).tag == "a"
    with pytest.raises(VoucherError, match="大小"):
        safe_xml.parse(gbk("<a></a>"), max_bytes=size - 1)


def test_only_named_elements_may_hold_long_text():
    raw = gbk("<a><b>" + "x" * 9_900_000 + "</b></a>")

    assert len(safe_xml.parse(raw, long_text=frozenset({"b"}))[0].text) == 9_900_000
    with pytest.raises(VoucherError) as refusal:
        safe_xml.parse(raw, long_text=frozenset({"c"}))
    assert (refusal.value.code, refusal.value.field) == ("xml_text_too_long", "b")


def test_escaped_characters_and_inner_blanks_are_kept():
    root = safe_xml.parse(gbk("<a>\n <b>&lt;1 &amp; 2&gt; &quot;&apos; </b>\n</a>"))

    assert root[0].text == "<1 & 2> \"' "


def test_a_document_of_many_unknown_names_is_refused_before_it_is_parsed():
    known = frozenset({"a", "b"})
    few = "".join(f"<x{n}/>" for n in range(8))

    assert len(safe_xml.parse(gbk(f"<a><b/>{few}</a>"), names=known)) == 9
    for body in (f"<a>{few}<x8/></a>", f"<a><{'n' * 65}/></a>"):
        with pytest.raises(VoucherError) as refusal:
            safe_xml.parse(gbk(body), names=known)
        assert refusal.value.code == "xml_unknown_element"
