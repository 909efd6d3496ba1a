"""The drawn voucher: what must be on it, where, and what must never be. Pure: no database, no PDF."""

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from dashboards.capital import capital_yuan
from tests.vouchers.example_contents import example
from tests.vouchers.paper_contents import DIGEST, PICTURE, answered, payment, payments_to, seal
from vouchers.errors import VoucherTypeUnknown
from vouchers.messages import VoucherContent
from vouchers.paper import glyphs
from vouchers.paper.cleaning import BROKEN, clean
from vouchers.paper.drawing import draw
from vouchers.paper.fitting import fit
from vouchers.paper.layouts import IDENTITY, drawable_types, layout
from vouchers.paper.model import Line, Outline, Page, Rect, Seal, Text
from vouchers.paper.pen import readable
from vouchers.paper.pressing import bounds
from vouchers.paper.qr import verify_url
from vouchers.paper.svg import page_svg
from vouchers.schema import known_types

SVG = "{http://www.w3.org/2000/svg}"


def drawn(content: VoucherContent, **given_: object) -> list[Page]:
    values: dict[str, object] = {"capital": capital_yuan, "environment": "prod"}
    return draw(content, **(values | given_))  # type: ignore[arg-type]


def texts(page: Page, role: str) -> list[Text]:
    return [item for item in page.items if isinstance(item, Text) and item.role == role]


def words(pages: list[Page]) -> str:
    """All text with line breaks and spaces gone: wrapping must not matter."""
    return "".join(page.text() for page in pages).replace("\n", "").replace(" ", "").replace("　", "")


def own_example(code: str) -> VoucherContent:
    """One detail; every field of the layout's own list has a value nobody else has."""
    plan = layout(code)
    kinds = {"amount": "200.00", "date": "20260615"}
    main, detail = (
        {tag: kinds.get(field.kind, f"{prefix}{n}号") for n, (tag, field) in enumerate(fields.items())}
        for prefix, fields in (("主", plan.main), ("明", plan.detail))
    )
    for tag in IDENTITY:
        del main[tag]
    return VoucherContent(code, "A1", "990100000", 2026, date(2026, 6, 15), main, (detail,))


# What stands on it --------------------------------------------------------------------------------------------------


def test_every_known_type_and_the_two_without_a_field_list_can_be_drawn():
    assert set(drawable_types()) == {*known_types(), "5207", "5214"}


@pytest.mark.parametrize("code", drawable_types())
def test_nothing_a_voucher_says_is_left_off(code):
    content = own_example(code)
    plan = layout(code)

    said = words(drawn(content))

    for tag, text in content.main.items():
        assert readable(plan.main.get(tag), text) in said, tag
    for tag, text in content.details[0].items():
        assert readable(plan.detail.get(tag), text) in said or content.main.get(tag), tag
    assert all(content.identity[tag] in said for tag in ("AdmDivCode", "StYear", "VtCode", "VoucherNo"))
    assert "2026年06月15日" in said


@pytest.mark.parametrize("code", known_types())
def test_the_label_of_every_required_field_is_printed_even_when_it_is_empty(code):
    content = replace(example(code), main={}, details=())
    page = drawn(content)[0]
    labels = {text.text for text in texts(page, "label")}
    plan = layout(code)

    for row in plan.rows[:8]:
        for cell in row:
            if any(tag in plan.main and plan.main[tag].required for tag in cell.tags):
                assert any(cell.label.startswith(label) or label.startswith(cell.label[:6]) for label in labels), cell


@pytest.mark.parametrize("code", known_types())
def test_a_list_repeats_every_field_of_every_detail_or_says_once_what_is_alike(code):
    content = example(code)
    changed = {tag: f"别{n}号" for n, (tag, field) in enumerate(layout(code).detail.items()) if field.kind == "text"}
    second = {**content.details[1], **{tag: text for tag, text in changed.items() if tag in content.details[1]}}
    content = replace(content, details=(content.details[0], second))

    said = words(drawn(content)[1:])

    for tag, text in second.items():
        assert readable(layout(code).detail[tag], text) in said, tag


def test_an_unknown_type_is_refused():
    with pytest.raises(VoucherTypeUnknown):
        drawn(replace(payment(), voucher_type="9999"))
    with pytest.raises(VoucherTypeUnknown):
        drawn(replace(payment(), voucher_type="../geometry"))
    with pytest.raises(VoucherTypeUnknown):
        drawn(replace(payment(), voucher_type="seals"))


@pytest.mark.parametrize(
    ("amount", "capital", "boxes"),
    [
        ("0.01", "壹分", "¥001"),
        ("10.00", "壹拾元整", "¥1000"),
        ("100500.07", "壹拾万零伍佰元零柒分", "¥10050007"),
        ("10000001.00", "壹仟万零壹元整", "¥1000000100"),
        ("99999999.99", "玖仟玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分", "¥9999999999"),
    ],
)
def test_the_amount_stands_twice_with_the_sign_directly_before_the_first_digit(amount, capital, boxes):
    page = drawn(payment(amount))[0]

    assert [text.text for text in texts(page, "capital")] == [capital]
    digits = texts(page, "digit")
    assert "".join(text.text for text in digits) == boxes
    heads = [text for text in texts(page, "label") if text.text in "亿千百十万元角分"]
    assert "".join(text.text for text in heads) == "亿千百十万千百十元角分"
    assert [text.x for text in digits] == [text.x for text in heads[-len(boxes) :]]  # right under its place
    steps = {round(right.x - left.x, 3) for left, right in pairwise(heads)}
    assert len(steps) == 1


def test_ten_digits_before_the_point_get_more_boxes_and_money_flowing_back_a_minus():
    wide = drawn(payment("1234567890.12"))[0]
    back = drawn(payment("-1200.50"))[0]

    assert "".join(text.text for text in texts(wide, "digit")) == "¥123456789012"
    assert "".join(text.text for text in texts(back, "digit")) == "-¥120050"
    assert texts(back, "capital")[0].text == capital_yuan(Decimal("-1200.50"))
    assert texts(back, "amount")[0].text == "（小写）-¥1,200.50"


def test_a_wrong_amount_is_said_to_be_wrong_and_not_made_up():
    page = drawn(payment("1e5"))[0]

    assert texts(page, "digit") == [] and texts(page, "amount") == []
    assert texts(page, "capital")[0].text == "1e5（金额格式不符）"


def test_the_bank_s_answer_stands_in_its_box_and_only_when_there_is_one():
    content = payment()

    before = drawn(content)[0]
    after = drawn(content, receipt=answered(content))[0]

    assert texts(before, "answer") == []
    assert [text.text for text in texts(after, "answer")] == ["2026-04-08", "A2026040800", "1,286,400.00"]


def test_what_the_receipt_adds_without_a_place_of_its_own_is_not_lost():
    content = payment()
    receipt = answered(content)
    receipt = replace(receipt, main={**receipt.main, "Hold2": "柜面补录", "XNew": "新要素"})

    [page] = drawn(content, receipt=receipt)

    assert "预留字段2：柜面补录" in page.text() and "XNew：新要素" in page.text()
    assert "预留字段2" not in drawn(content)[0].text()


def test_a_word_across_the_head_and_the_officers_at_the_foot():
    page = drawn(payment(), mark="已作废", officers=[("制单", "钱一"), ("审核", "孙二")])[0]

    assert [text.text for text in texts(page, "mark")] == ["已作废"]
    assert [text.text for text in texts(page, "officer")] == ["制单：钱一", "审核：孙二"]


# Lists --------------------------------------------------------------------------------------------------------------


def test_many_payees_are_listed_page_by_page_with_subtotals_that_add_up():
    content = payments_to(126)

    pages = drawn(content)

    assert "见清单，共126笔" in words(pages[:1])
    listed = [text.text for page in pages[1:] for text in texts(page, "value") if text.text.startswith("职工")]
    assert listed == [f"职工{n:03d}" for n in range(1, 127)]
    sums = [[text.text for text in texts(page, "sum")] for page in pages[1:]]
    subtotals = [Decimal(page[1].replace(",", "")) for page in sums]
    assert sum(subtotals) == Decimal(content.main["PayAmt"]) and len(subtotals) == len(pages) - 1 > 1
    assert sums[-1][2:] == ["合　计　126 笔", f"{sum(subtotals):,.2f}"]
    assert [f"第 {n} 页　共 {len(pages)} 页" for n in range(1, len(pages) + 1)] == [
        next(text.text for text in texts(page, "note") if text.text.startswith("第")) for page in pages
    ]


def test_a_failed_row_is_struck_with_its_reason_and_no_other_row_is():
    content = payments_to(3)

    page = drawn(content, receipt=answered(content, failed={"2"}))[1]

    assert [text.text for text in texts(page, "result")] == ["已付 2026-04-08", "未付：账号户名不符", "已付 2026-04-08"]
    red = [item for item in page.items if isinstance(item, Line) and item.colour == "#b3261e"]
    name = next(text for text in texts(page, "value") if text.text == "职工002")
    assert len(red) == 4 and red[0].x1 == name.x and red[0].x2 == pytest.approx(name.x + name.width, abs=0.01)
    assert all(name.y - name.size < line.y1 < name.y for line in red)
    assert "合　计　3 笔　其中已付 202.00，未付 1 笔" in [text.text for text in texts(page, "sum")]


def test_a_list_that_does_not_add_up_says_so():
    content = payments_to(2)

    page = drawn(replace(content, main={**content.main, "PayAmt": "999.00"}))[1]

    assert [text.text for text in texts(page, "warning")] == ["明细合计与凭证金额 999.00 不符"]
    assert texts(drawn(content)[1], "warning") == []


def test_499_rows_stay_between_head_and_foot():
    pages = drawn(payments_to(499))

    for page in pages[1:]:
        assert max(item.y + item.height for item in page.items if isinstance(item, Rect)) <= 284 + 0.01


# Staying inside -----------------------------------------------------------------------------------------------------

HOSTILE = '#let x = 1; "</svg><script>alert(1)</script>&amp; $x$ @a *b* _i_ \\ \n换行\u202e\u200b𠮷'


def everything_inside(page: Page) -> None:
    for item in page.items:
        if isinstance(item, Text):
            left = item.x - {"start": 0, "middle": item.width / 2, "end": item.width}[item.anchor]
            assert left >= 6.8 and left + item.width <= 203.2, item
            assert item.size <= item.y <= page.height, item


@pytest.mark.parametrize(
    "long",
    ["极" * 100, "W" * 200, "9" * 42, HOSTILE * 3, "a b " * 60, "，" * 90, "〓"],
    ids=["chinese", "wide", "number", "hostile", "words", "marks", "geta"],
)
def test_no_value_leaves_its_box_and_what_was_cut_stands_whole_on_the_last_sheet(long):
    tags = (
        "PayeeAcctName",
        "PayeeAcctNo",
        "PayeeAcctBankName",
        "PaySummaryName",
        "AgencyName",
        "FundTypeName",
        "Remark",
    )
    values = {tag: f"{number}号{long}" for number, tag in enumerate(tags)}
    content = replace(payment(**values), voucher_no="V" * 42)

    pages = drawn(content, receipt=answered(content), seals=[seal(ok=False, reason=long)], digest=DIGEST)

    for page in pages:
        everything_inside(page)
    for value in values.values():
        assert glyphs.shown(value).replace(" ", "").replace("　", "") in words(pages)
    party = [text for text in texts(pages[0], "party") if text.x > 105]
    assert all(text.x + text.width <= 202 for text in party)


def test_a_42_character_number_is_printed_whole_on_the_face():
    number = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdef"

    page = drawn(replace(payment(PayeeAcctNo=number), voucher_no=number))[0]

    assert [text.text for text in texts(page, "voucher-no")] == [number]
    assert number in [text.text for text in texts(page, "party")]


def test_fitting_shrinks_before_it_wraps_no_smaller_than_can_be_read():
    assert fit("国" * 10, 30, 4, 3.0).lines == ("国" * 10,)
    shrunk = fit("国" * 11, 30, 4, 3.0)
    assert (shrunk.lines, shrunk.size, shrunk.whole) == (("国" * 11,), 2.7, True)
    cut = fit("国" * 99, 30, 4, 3.0)
    assert cut.size == 1.9 and not cut.whole and cut.lines[-1].endswith("…")


def test_a_line_does_not_begin_with_a_full_stop():
    assert fit("国国国国国。国", 15, 20, 3.0).lines == ("国国国国", "国。国")


# Glyphs -------------------------------------------------------------------------------------------------------------


def test_the_font_has_a_glyph_for_every_character_of_the_wire_but_two():
    pairs = (bytes([a, b]) for a in range(0x81, 0xFF) for b in range(0x40, 0xFF))
    gbk = {text for pair in pairs if len(text := pair.decode("gbk", errors="ignore")) == 1}
    ascii_ = {chr(code) for code in range(0x20, 0x7F)}

    assert (gbk | ascii_) - glyphs.metrics("serif").widths.keys() == {"\x7f", "≒"}
    assert ascii_ <= glyphs.metrics("mono").widths.keys()
    assert {glyphs.metrics("mono").widths[character] for character in ascii_} == {0.5}
    assert glyphs.metrics("serif").widths["国"] == 1.0


def test_a_character_without_a_glyph_is_drawn_as_geta_and_named_at_the_foot():
    page = drawn(payment(PayeeAcctName="𠮷野商行\n", PaySummaryName="甲\u202e乙"))[0]

    assert [text.text for text in texts(page, "missing")] == ["〓 处的字符没有字形：U+20BB7、U+000A、U+202E"]
    assert "〓野商行〓" in page.text() and "甲〓乙" in page.text()
    assert not {"𠮷", "\u202e"} & set(page.text())
    assert texts(drawn(payment())[0], "missing") == []


# Seals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", drawable_types())
def test_no_seal_covers_the_amount_wherever_it_is_configured(code):
    plan = layout(code)
    content = example(code) if code in known_types() else own_example(code)
    seals = [seal(position) for position in plan.seals]
    seals += [
        seal(x_mm=x, y_mm=y, width_mm=42.0, height_mm=42.0, rotation=-6.0) for x in (-50, 60, 190) for y in (0, 40)
    ]

    page = drawn(content, seals=seals)[0]

    words_ = [*texts(page, "capital"), *texts(page, "digit"), *texts(page, "amount")]
    top, bottom = min(text.y - text.size for text in words_), max(text.y for text in words_)
    for item in page.items:
        if isinstance(item, Seal):
            wide, high = bounds(item.width, item.height, item.rotation)
            middle_x, middle_y = item.x + item.width / 2, item.y + item.height / 2
            assert middle_y - high / 2 >= bottom or middle_y + high / 2 <= top
            assert middle_x - wide / 2 >= -0.01 and middle_x + wide / 2 <= page.width + 0.01


def test_seals_stand_where_the_layout_or_the_configuration_says_and_link_to_their_verdicts():
    page = drawn(payment(), seals=[seal(), seal("yh_ywzqz", x_mm=120.0, rotation=0.0), seal("zz_unknown")])[0]

    found = [item for item in page.items if isinstance(item, Seal)]
    place = layout("5201").seals["yh_ywzqz"]
    assert (found[0].x, found[0].y, found[0].rotation) == (46, 99.5, -6)
    assert (found[1].x, found[1].y, found[1].width, found[1].rotation) == (120, place.y, place.width, 0)
    assert [item.link for item in found] == ["#seal-1", "#seal-2", "#seal-3"]
    assert found[0].label == "临江市国库支付中心，有效"


def test_the_sender_of_a_clearing_request_seals_on_the_left():
    assert layout("2301").seals["yh_ywzqz"].x < 105 < layout("2301").seals["rh_ywzqz"].x
    assert layout("2206").seals["yh_ywzqz"].x < 105 < layout("5201").seals["yh_ywzqz"].x
    assert layout("3507").seals["rh_ywzqz"].x < 105


def test_a_broken_seal_is_grey_torn_and_says_why():
    broken = seal(ok=False, verdict_word="无效", reason="摘要不符")

    page = drawn(payment(), seals=[broken])[0]
    svg = page_svg(page)

    assert [text.text for text in texts(page, "seal-reason")] == ["无效　摘要不符"]
    assert "#d0021b" not in svg and BROKEN in svg and "paper-seal-broken" in svg and "<polyline" in svg
    sound = page_svg(drawn(payment(), seals=[seal()])[0])
    assert "#d0021b" in sound and "paper-seal-broken" not in sound and "<polyline" not in sound


@pytest.mark.parametrize(
    "dirt",
    [
        "<script>alert(1)</script>",
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>',
        '<image href="https://example.org/a.png" width="9" height="9"/>',
        '<image href="data:image/svg+xml;base64,PHN2Zy8+" width="9" height="9"/>',
        '<use href="#x"/><style>*{fill:red}</style><animate attributeName="x"/>',
        '<rect onclick="alert(1)" style="fill:red" class="btn" id="x" fill="url(#p)" width="9" height="9"/>',
        '<a href="javascript:alert(1)"><text>x</text></a>',
    ],
)
def test_only_shapes_and_plain_text_of_a_seal_s_picture_reach_the_page(dirt):
    made = clean(PICTURE.replace("</svg>", dirt + "</svg>"))

    assert made is not None and "财务专用章" in made
    root = etree.fromstring(made)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {"svg", "circle", "text", "rect"}
    assert not {"onclick", "style", "class", "id", "href"} & {key for element in root.iter() for key in element.attrib}
    assert not any(word in made for word in ("script", "alert", "example.org", "url(", "javascript"))


@pytest.mark.parametrize("picture", ["", "no svg", "<svg", "<html/>", '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>'])
def test_a_picture_that_is_none_is_drawn_as_an_empty_frame(picture):
    page = drawn(payment(), seals=[seal(svg=picture)])[0]

    [item] = [item for item in page.items if isinstance(item, Seal)]
    assert "stroke-dasharray" in item.svg and "<text" not in item.svg


# QR code and watermark ----------------------------------------------------------------------------------------------


def test_the_code_carries_identity_and_the_first_sixteen_digits_of_the_digest():
    url = verify_url("https://guoku.example/", payment(), DIGEST)

    assert url == "https://guoku.example/verify/?v=370199000.2026.5201.ZF20260408001.7f3ce19a7f3ce19a"
    codes = [item for page in drawn(payments_to(2), qr_url=url) for item in page.items if isinstance(item, Outline)]
    assert [(item.role, item.x, item.y) for item in codes] == [("qr", 185, 4.5)] * 2


def test_outside_production_every_page_bears_the_specimen_mark_but_not_as_text():
    pages = drawn(payments_to(2), environment="demo")

    for page in pages:
        first = page.items[0]
        assert isinstance(first, Outline) and first.role == "watermark" and first.opacity < 0.1
        assert "票样" not in page.text() and "票样" not in page_svg(page)
    real = drawn(payments_to(2), environment="prod")
    assert not any(isinstance(item, Outline) for page in real for item in page.items)


def test_the_page_piece_shows_the_sheets_and_a_verdict_for_every_link():
    seals = [seal(), seal("yh_ywzqz", name="<b>", ok=False, verdict_word="无效", reason="摘要 <不符>")]
    pages = [mark_safe(page_svg(page)) for page in drawn(payment(), seals=seals)]

    html = render_to_string("vouchers/_paper.html", {"pages": pages, "verdicts": seals})

    assert pages[0] in html
    assert set(re.findall('href="#([^"]+)"', html)) == {"seal-1", "seal-2"} <= set(re.findall(' id="([^"]+)"', html))
    assert "&lt;b&gt;</b>" in html and "摘要 &lt;不符&gt;" in html and "style=" not in html


# SVG ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", drawable_types())
def test_the_svg_is_well_formed_real_text_and_needs_no_inline_style(code):
    content = example(code) if code in known_types() else own_example(code)

    for page in drawn(content, seals=[seal()], environment="demo", qr_url="https://guoku.example/verify/?v=1&a=<b>"):
        svg = page_svg(page)
        root = etree.fromstring(svg)
        assert not any({"style", "onload", "onclick"} & set(element.attrib) for element in root.iter())
        assert not any(element.tag in (f"{SVG}style", f"{SVG}script") for element in root.iter())
        found = "\n".join(element.text for element in root.iterfind(f"{SVG}text"))
        assert found == page.text()
        links = [(link.get("href"), link[0].get("role"), link[0].get("aria-label")) for link in root.iter(f"{SVG}a")]
        first = page is not None and page.height < 200
        assert links == ([("#seal-1", "img", "临江市国库支付中心，有效")] if first else [])


def test_markup_in_a_value_stays_text():
    page = drawn(payment(PayeeAcctName=HOSTILE), seals=[seal(name='"><script>', reason="'\"<x>", ok=False)])[0]

    root = etree.fromstring(page_svg(page))

    assert "</svg><script>alert(1)</script>" in "".join(element.text or "" for element in root.iter(f"{SVG}text"))
    assert not any("script" in element.tag for element in root.iter())


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_at_all_gives_a_page_and_well_formed_svg(text):
    [page, *_] = drawn(payment(PayeeAcctName=text, PaySummaryName=text, Remark=text))

    everything_inside(page)
    etree.fromstring(page_svg(page))
