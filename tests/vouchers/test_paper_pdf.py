"""The PDF/A-3b: archival form, our own fonts, the originals inside byte for byte, and a text layer that can be read."""

import base64
import io
import re
import struct
import subprocess
import sys
import zlib
from datetime import timedelta
from pathlib import Path

import pypdf
import pytest
from lxml import etree

from dashboards.capital import capital_yuan
from tests.vouchers.paper_contents import DIGEST, MADE_AT, PICTURE, answered, payment, payments_to, seal
from tests.vouchers.test_paper import HOSTILE
from vouchers.codec import encode_content
from vouchers.messages import VoucherContent
from vouchers.paper.drawing import draw
from vouchers.paper.model import Page
from vouchers.paper.pdf import Original, paper, paper_of_many

GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(body: bytes) -> str:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")).decode()


def raster(kind: str, data: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">'
        f'<image width="40" height="40" href="data:image/{kind};base64,{data}"/></svg>'
    )


def pages_of(content: VoucherContent, **given: object) -> list[Page]:
    values: dict[str, object] = {"capital": capital_yuan, "environment": "demo", "digest": DIGEST}
    return draw(content, **(values | given))  # type: ignore[arg-type]


def originals_of(content: VoucherContent) -> list[Original]:
    inner = encode_content(content)
    return [
        Original("voucher.xml", inner, "application/xml", "凭证原文", "source"),
        Original("voucher.txt", base64.b64encode(inner), "text/plain", "签名所覆盖的文本", "source"),
        Original("cz_dwgz.der", bytes(range(256)) * 9, "application/octet-stream", "电子签章"),
    ]


def read(made: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(made), strict=True)


def text_of(reader: pypdf.PdfReader) -> str:
    return "".join(page.extract_text() for page in reader.pages)


def pictures(page: pypdf.PageObject) -> int:
    """Raster pictures on a page, wherever it keeps them."""

    def count(resources: pypdf.generic.DictionaryObject) -> int:
        inside = [entry.get_object() for entry in resources.get("/XObject", {}).values()]
        return sum(x["/Subtype"] == "/Image" or count(x.get("/Resources", {})) for x in inside)

    return count(page["/Resources"])


@pytest.fixture(scope="module")
def made() -> bytes:
    content = payment()
    pages = pages_of(content, receipt=answered(content), seals=[seal()], qr_url="https://guoku.example/verify/?v=1")
    return paper(pages, title="财政直接支付凭证 ZF20260408001", made_at=MADE_AT, originals=originals_of(content))


def test_the_originals_are_inside_byte_for_byte_as_associated_files(made):
    reader = read(made)

    expected = {original.name: original for original in originals_of(payment())}
    assert {name: data for name, [data] in reader.attachments.items()} == {n: o.data for n, o in expected.items()}
    associated = [reference.get_object() for reference in reader.trailer["/Root"]["/AF"]]
    kinds = {"source": "/Source", "supplement": "/Supplement"}
    found = {entry["/UF"]: (entry["/AFRelationship"], entry["/Desc"]) for entry in associated}
    assert found == {name: (kinds[o.relationship], o.description) for name, o in expected.items()}
    types = {entry["/UF"]: entry["/EF"]["/F"].get_object()["/Subtype"] for entry in associated}
    assert types["voucher.xml"] == "/application/xml"


def test_it_says_that_it_is_pdf_a_3b_and_when_it_was_made(made):
    root = read(made).trailer["/Root"]

    metadata = etree.fromstring(root["/Metadata"].get_data())
    facts = {element.tag.rpartition("}")[2]: element.text for element in metadata.iter() if element.text}
    assert (facts["part"], facts["conformance"]) == ("3", "B")
    assert facts["CreateDate"].startswith("2026-04-08T01:02:03")
    [intent] = root["/OutputIntents"]
    assert intent.get_object()["/S"] == "/GTS_PDFA1" and intent.get_object()["/DestOutputProfile"].get_object()
    assert root["/Lang"].lower().startswith("zh")
    assert not {"/JavaScript", "/AA", "/OpenAction"} & root.keys()


def test_only_our_own_fonts_are_used_and_they_are_embedded(made):
    names = set()
    for page in read(made).pages:
        for font in page["/Resources"]["/Font"].values():
            [descendant] = font.get_object()["/DescendantFonts"]
            descriptor = descendant.get_object()["/FontDescriptor"].get_object()
            assert {"/FontFile2", "/FontFile3"} & descriptor.keys()
            assert "/ToUnicode" in font.get_object()
            names.add(descriptor["/FontName"].partition("+")[2])
    assert names == {"GuokuSerif-Regular", "GuokuMono-Regular"}


def test_the_text_layer_can_be_searched_and_has_no_watermark(made):
    text = text_of(read(made))

    assert "临江市第一建筑工程有限公司" in text and "62000000000000000017" in text
    assert "壹佰贰拾捌万陆仟肆佰元整" in text and "1,286,400.00" in text
    assert "演示" not in text and "票样" not in text and "无效" not in text


def test_the_same_voucher_and_instant_give_the_same_bytes(made):
    content = payment()
    pages = pages_of(content, receipt=answered(content), seals=[seal()], qr_url="https://guoku.example/verify/?v=1")
    title = "财政直接支付凭证 ZF20260408001"

    again = paper(pages, title=title, made_at=MADE_AT, originals=originals_of(content))
    later = paper(pages, title=title, made_at=MADE_AT + timedelta(seconds=1), originals=originals_of(content))

    assert again == made != later


def test_a_machine_without_fonts_makes_the_same_file(made, tmp_path):
    nothing = tmp_path / "fonts.conf"
    nothing.write_text('<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig></fontconfig>')
    program = (
        "import sys; from tests.vouchers import test_paper_pdf as t; c = t.payment();"
        "p = t.pages_of(c, receipt=t.answered(c), seals=[t.seal()], qr_url='https://guoku.example/verify/?v=1');"
        "sys.stdout.buffer.write(t.paper(p, title='财政直接支付凭证 ZF20260408001', made_at=t.MADE_AT,"
        " originals=t.originals_of(c)))"
    )
    environment = {
        "FONTCONFIG_FILE": str(nothing),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONUTF8": "1",
    }

    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, timeout=60)

    assert done.stdout == made


def test_commands_of_the_typesetter_stay_text():
    content = payment(
        PayeeAcctName='#read("/etc/passwd")', PaySummaryName='"] #panic("x") //', Remark="$a$ *b* @c <d> \\"
    )
    pages = pages_of(content, seals=[seal(name='#panic("y")')])

    text = text_of(read(paper(pages, title='#panic("z") "', made_at=MADE_AT)))

    assert '#read("/etc/passwd")' in text and '"] #panic("x") //' in text and "$a$ *b* @c <d> \\" in text


def test_what_no_font_can_draw_is_still_archival():
    pages = pages_of(payment(PayeeAcctName=HOSTILE), seals=[seal(svg=PICTURE.replace("财务", "𠮷\u202e"))])

    text = text_of(read(paper(pages, title=HOSTILE, made_at=MADE_AT)))

    assert "U+20BB7" in text and "〓" in text and "𠮷" not in text


@pytest.mark.parametrize("svg", [raster("png", png(zlib.compress(b"\0\xd0\2\x1b\xff"))), raster("gif", GIF)])
def test_a_seal_given_as_a_raster_picture_is_drawn(svg):
    reader = read(paper(pages_of(payment(), seals=[seal(svg=svg)]), title="t", made_at=MADE_AT))

    assert pictures(reader.pages[0]) == 1


def test_a_damaged_picture_of_a_seal_does_not_keep_the_voucher_from_being_printed():
    bad = seal("yh_ywzqz", svg=raster("png", png(b"no zlib stream")))

    reader = read(paper(pages_of(payment(), seals=[seal(), bad]), title="t", made_at=MADE_AT))

    assert pictures(reader.pages[0]) == 0 and "财务专用章" in reader.pages[0].extract_text()


def test_a_broken_seal_says_so_in_the_text_layer():
    pages = pages_of(payment(), seals=[seal(ok=False, verdict_word="未通过", reason="摘要不符")])

    text = text_of(read(paper(pages, title="t", made_at=MADE_AT)))

    assert re.search("未通过\\s*摘要不符", text)


def test_pages_keep_their_sizes_in_millimetres():
    reader = read(paper(pages_of(payments_to(40)), title="t", made_at=MADE_AT))

    sizes = [
        (round(float(p.mediabox.width) / 72 * 25.4, 1), round(float(p.mediabox.height) / 72 * 25.4, 1))
        for p in reader.pages
    ]
    assert sizes[0] == (210, 148.5) and set(sizes[1:]) == {(210, 297)}


def test_several_vouchers_in_one_file_keep_their_order():
    first, second = payment(PayeeAcctName="甲公司"), payment(PayeeAcctName="乙公司")
    one, two = (
        Original(f"{n}.xml", encode_content(c), "application/xml", "原文", "source")
        for n, c in enumerate((first, second))
    )

    reader = read(paper_of_many([(pages_of(first), [one]), (pages_of(second), [two])], title="批量", made_at=MADE_AT))

    assert ["甲公司" in reader.pages[0].extract_text(), "乙公司" in reader.pages[1].extract_text()] == [True, True]
    assert {name: data for name, [data] in reader.attachments.items()} == {"0.xml": one.data, "1.xml": two.data}


def test_two_originals_of_one_name_are_refused():
    twin = Original("voucher.xml", b"<a/>", "application/xml", "原文")

    with pytest.raises(ValueError, match="name of its own"):
        paper(pages_of(payment()), title="t", made_at=MADE_AT, originals=[twin, twin])
