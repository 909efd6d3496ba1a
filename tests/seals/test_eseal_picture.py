"""What is drawn: the right shape and words, nothing a strict page refuses, and never a broken seal as a whole one."""

from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from seals.eseal.picture import GREY, RED, PictureRefused, broken_svg, check_picture, seal_png, seal_size, seal_svg
from seals.eseal.render import typst_renderer
from tests.seals.eseal_world import png

SVG = "{http://www.w3.org/2000/svg}"
SIZES = {
    "official": (42, 42),
    "finance": (38, 38),
    "personal": (20, 20),
    "signature": (20, 10),
    "transfer": (34, 22),
    "bank_transfer": (34, 22),
    "pboc": (34, 22),
}
ALLOWED = {"svg", "text", "circle", "rect", "polygon", "polyline", "path"}
FONT_FOLDERS = [Path(__file__).parents[2] / "vouchers" / "paper" / "fonts"]


def drawn(kind, name="临江市财政局", code="9901000000017", **options):
    return ElementTree.fromstring(seal_svg(kind, name, code, **options))


def words(tree):
    return [text.text for text in tree.iter(f"{SVG}text")]


@pytest.mark.parametrize("kind", SIZES)
def test_seal_has_its_size_and_the_words_that_it_is_a_demonstration(kind):
    tree = drawn(kind)
    width, height = SIZES[kind]

    assert (tree.get("width"), tree.get("height")) == (f"{width}mm", f"{height}mm")
    assert seal_size(kind) == SIZES[kind]
    assert "演示·无效" in words(tree)
    assert tree.get("role") == "img" and "演示·无效" in tree.get("aria-label")


@pytest.mark.parametrize("kind", SIZES)
def test_seal_may_stand_inline_on_a_page_with_a_strict_content_policy(kind):
    for text in (
        seal_svg(kind, "甲", "1"),
        broken_svg(kind, "甲", "1", "内容被改动"),
        seal_svg(kind, "甲", "1", void=True),
    ):
        tree = ElementTree.fromstring(text)
        for element in tree.iter():
            assert element.tag.removeprefix(SVG) in ALLOWED
            assert not {"style", "class", "id", "href", "filter", "clip-path"} & element.attrib.keys()
            assert not [name for name in element.attrib if name.startswith("on")]
        assert "url(" not in text


def test_every_character_around_an_official_seal_is_its_own_text_and_upright_at_the_top():
    tree = drawn("official", "临江市财政局办公室")
    letters = [text for text in tree.iter(f"{SVG}text") if text.text in set("临江市财政局办公室")]

    assert [letter.text for letter in letters] == list("临江市财政局办公室")
    turns = [float(letter.get("transform", "rotate(0 ").split("(")[1].split()[0]) for letter in letters]
    assert turns == sorted(turns) and turns[0] == -turns[-1] and turns[4] == 0
    assert [float(letter.get("x")) for letter in letters][4] == 21


def test_code_below_reads_from_left_to_right():
    tree = drawn("official", "临", "12345")
    digits = [text for text in tree.iter(f"{SVG}text") if text.text in set("12345")]
    assert [digit.text for digit in digits] == list("12345")
    places = [float(digit.get("x")) for digit in digits]
    assert places == sorted(places) and min(float(digit.get("y")) for digit in digits) > 30


def test_names_of_any_length_stay_inside_the_rim():
    for name in ("临", "临江市财政局", "临" * 40):
        for letter in drawn("official", name).iter(f"{SVG}text"):
            x, y, size = (float(letter.get(key)) for key in ("x", "y", "font-size"))
            assert ((x - 21) ** 2 + (y - 0.36 * size - 21) ** 2) ** 0.5 + size / 2 <= 21


def test_finance_seal_says_what_it_is_for_and_transfer_seals_say_so():
    assert "财务专用章" in words(drawn("finance")) and "财务专用章" not in words(drawn("official"))
    assert {"转讫", "2026.06.15"} <= set(words(drawn("bank_transfer", on=date(2026, 6, 15))))
    assert {"转讫", "9901000000017"} <= set(words(drawn("pboc")))


def test_personal_seal_reads_in_columns_from_the_right_with_yin_last():
    tree = drawn("personal", "李明远")
    letters = {text.text: (float(text.get("x")), float(text.get("y"))) for text in tree.iter(f"{SVG}text")}
    assert letters["李"][0] == letters["明"][0] > letters["远"][0] == letters["印"][0]
    assert letters["李"][1] < letters["明"][1] and letters["远"][1] < letters["印"][1]


def test_text_from_outside_cannot_become_markup():
    hostile = '</text><script>alert(1)</script>"onload="x'
    for text in (seal_svg("official", hostile[:40], "1"), broken_svg("official", "甲", "1", hostile)):
        tree = ElementTree.fromstring(text)
        assert {element.tag.removeprefix(SVG) for element in tree.iter()} <= ALLOWED
        assert "onload" not in tree.attrib and "<script" not in text


def test_void_seal_is_grey_and_says_so():
    text = seal_svg("official", "甲", "1", void=True)
    assert RED not in text and GREY in text and "作废" in words(ElementTree.fromstring(text))
    assert "作废" not in seal_svg("official", "甲", "1")


@pytest.mark.parametrize("kind", SIZES)
def test_broken_seal_is_grey_torn_crossed_and_says_why(kind):
    text = broken_svg(kind, "临江市财政局", "1", "验签不通过：内容被改动")
    tree = ElementTree.fromstring(text)

    assert RED not in text and text != seal_svg(kind, "临江市财政局", "1")
    assert len(list(tree.iter(f"{SVG}polyline"))) == 1 and len(list(tree.iter(f"{SVG}path"))) == 1
    assert words(tree)[-1] == "验签不通过：内容被改动"
    assert "未通过验证：验签不通过" in tree.get("aria-label")


@pytest.mark.parametrize(("kind", "name"), [("emblem", "甲"), ("official", ""), ("official", "临" * 41)])
def test_what_cannot_be_drawn_is_refused(kind, name):
    with pytest.raises(PictureRefused):
        seal_svg(kind, name, "1")


def test_seal_without_the_word_that_it_is_invalid_is_not_drawn():
    for word in ("", "  "):
        with pytest.raises(PictureRefused):
            seal_svg("official", "甲", "1", invalid_word=word)
        with pytest.raises(PictureRefused):
            broken_svg("official", "甲", "1", "内容被改动", invalid_word=word)


def test_renderer_is_injected_and_its_result_checked():
    asked = []

    def render(svg):
        asked.append(svg)
        return png(64, 64)

    svg = seal_svg("personal", "李明远", "1")
    assert seal_png(svg, render) == png(64, 64) and asked == [svg.encode()]
    for wrong in (b"", b"<svg/>", png(5000, 5000)):
        with pytest.raises(PictureRefused):
            seal_png(svg, lambda _, wrong=wrong: wrong)


def test_typst_renders_a_seal_in_its_size():
    made = seal_png(seal_svg("official", "临江市财政局", "9901000000017"), typst_renderer(FONT_FOLDERS, ppi=127))
    size = check_picture("PNG", made, 42, 42)
    assert (size.format, size.width, size.height) == ("png", 210, 210)  # 42 mm at 5 pixels a millimetre


def test_typst_draws_the_characters_with_the_fonts_given_and_with_no_others():
    svg = seal_svg("signature", "李明远", "1")
    assert len(seal_png(svg, typst_renderer(FONT_FOLDERS))) > len(seal_png(svg, typst_renderer([])))


def test_renderer_refuses_what_is_no_svg():
    with pytest.raises(PictureRefused):
        typst_renderer([])(b"no picture")
