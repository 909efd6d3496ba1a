"""From cells to rows: names of columns, strict money, one person once, every error with its row and column."""

from decimal import Decimal

import pytest

from payroll.parsing import (
    MOST_ERRORS,
    BenefitReader,
    Errors,
    SalaryReader,
    _fen,
    benefit_columns,
    salary_columns,
    yuan_text,
)
from payroll.persons import identity_digester, is_identity_no, masked_identity
from tests.payroll.rosters import BENEFIT_HEADER, HEADER, identity, teachers

CODES = {"30101": "基本工资", "30102": "津贴补贴", "30107": "绩效工资", "30108": "机关事业单位基本养老保险缴费"}


def salary(*rows, header=HEADER):
    errors = Errors()
    columns = salary_columns(header, 1, codes=CODES, errors=errors)
    if errors.counted:
        return [], said(errors)
    reader = SalaryReader(columns, errors)
    lines = [reader.read(number, row) for number, row in enumerate(rows, start=2)]
    return [line for line in lines if line is not None], said(errors)


def said(errors):
    return [(error.row, error.column, error.message) for error in errors.kept]


def teacher(**changes):
    """P1's first teacher with some cells changed."""
    row = teachers()[0]
    for name, value in changes.items():
        row[{"name": 0, "identity": 1, "card": 2, "bank": 3, "base": 4, "pension": 5, "tax": 9, "net": 10}[name]] = (
            value
        )
    return row


def test_p1_is_read_to_the_fen():
    lines, wrong = salary(*teachers())
    assert wrong == []
    assert [(line.gross, line.net, line.row_no) for line in lines] == [
        (980000, 718444, 2), (860000, 632308, 3), (810000, 596418, 4)
    ]  # fmt: skip
    assert lines[0].withheld == (78400, 39200, 19600, 0, 117600, 6756, 0)


@pytest.mark.parametrize(
    "titles",
    [
        ("基本工资", "养老"),
        ("30101", "个人养老保险"),
        ("基本工资（30101）", "基本养老保险(元)"),
        (" 基 本 工 资 ", "养老保险"),
    ],
)
def test_columns_are_known_by_several_names(titles):
    header = [*HEADER[:4], *titles, *HEADER[6:]]
    lines, wrong = salary(*teachers(), header=header)
    assert wrong == [] and len(lines) == 3


def test_the_order_of_columns_is_free_and_some_do_not_matter():
    order = [10, 3, 0, 7, 1, 5, 9, 2, 4, 6, 8]
    header = ["序号", *(HEADER[at] for at in order), "备注"]
    rows = [[1.0, *(row[at] for at in order), "无"] for row in teachers()]
    lines, wrong = salary(*rows, header=header)
    assert wrong == [] and [line.net for line in lines] == [718444, 632308, 596418]


@pytest.mark.parametrize(
    ("header", "column", "says"),
    [
        ((*HEADER, "通讯费"), "通讯费", "不认识的列名"),
        ((*HEADER, "养老"), "养老", "重复，前面已有「养老保险」"),
        ((*HEADER, "30101"), "30101", "重复"),
        ((*HEADER, "养老缴费(30108)"), "养老缴费(30108)", "单位缴费不随工资发放"),
        ((*HEADER, "抚恤金(30304)"), "抚恤金(30304)", "没有对照关系"),
        (HEADER[:10], "实发", "缺少该列"),
        ((*HEADER[1:],), "姓名", "缺少该列"),
        ((*HEADER[:4], *HEADER[5:]), "", "没有应发项目列"),
        ((*HEADER, 30102.0), "30102.0", "列名须是文本"),
    ],
)
def test_a_header_that_might_lose_money_is_refused(header, column, says):
    lines, wrong = salary(*teachers(), header=header)
    assert lines == []
    assert any(row == 1 and at == column and says in text for row, at, text in wrong), wrong


@pytest.mark.parametrize("cell", [9800.0, 9800, "9800", "9800.0", "9800.00", " 9800.00 "])
def test_money_may_be_a_number_or_a_plain_text(cell):
    [line], wrong = salary(teacher(base=cell))
    assert (wrong, line.gross) == ([], 980000)


@pytest.mark.parametrize(
    "cell",
    [
        *(9800.001, -9800.0, float("nan"), float("inf"), 1e9, True, "9,800.00", "¥9800", "9.8e3", "+9800", "９８００"),
        *("09800", "9800.000", "=9800", "9800元", "1000000000.00", "-0.01", object()),
    ],
)
def test_anything_else_is_not_money(cell):
    lines, [(row, column, message)] = salary(teacher(base=cell))
    assert lines == [] and (row, column) == (2, "基本工资(30101)") and message.startswith("金额须")


def test_the_largest_amount_and_one_fen_beyond():
    most = 999999999.99
    [line], wrong = salary(["张一", identity(1), "6230000000010001", "丙银行", most, *[""] * 5, most])
    assert wrong == [] and yuan_text(line.gross) == "999999999.99"
    assert salary(teacher(base=1000000000.00))[0] == []


def test_every_cent_a_spreadsheet_can_hold_is_read_exactly():
    for fen in [*range(0, 100_000, 7), 1_234_567_89, 99_999_999_999]:
        errors = Errors()
        assert _fen(1, "x", fen / 100, errors) == fen and not errors.counted


@pytest.mark.parametrize(("net", "fits"), [(7184.44, True), (7184.43, False), (7184.45, False), (0.0, False)])
def test_items_less_withholdings_are_the_net(net, fits):
    lines, wrong = salary(teacher(net=net))
    assert bool(lines) == fits
    if not fits:
        assert wrong == [(2, "实发", f"应发 − 代扣 = 7184.44，表中实发为 {net:.2f}。")]


def test_withholdings_may_take_everything_and_not_one_fen_more():
    row = ["张一", identity(1), "6230000000010001", "丙银行", 100.0, 100.0, "", "", "", "", 0.0]
    [line], wrong = salary(row)
    assert (wrong, line.net) == ([], 0)
    lines, wrong = salary([*row[:5], 100.01, *row[6:]])
    assert lines == [] and wrong == [(2, "实发", "代扣 100.01 超过应发 100.00。")]


def test_a_row_without_pay_is_refused():
    assert salary(teacher(base=0.0, pension=0.0, net=0.0))[0] == []
    row = ["张一", identity(1), "6230000000010001", "丙银行", 0.0, *[""] * 5, 0.0]
    assert salary(row) == ([], [(2, "", "应发合计为 0.00。")])


@pytest.mark.parametrize(("stated", "fits"), [(9800.0, True), (9800.01, False)])
def test_stated_sums_are_held_to_the_items(stated, fits):
    lines, wrong = salary([*teacher(), stated], header=(*HEADER, "应发合计"))
    assert bool(lines) == fits
    assert fits or wrong == [(2, "应发合计", "各项之和为 9800.00，表中为 9800.01。")]


@pytest.mark.parametrize(
    ("changes", "column", "says"),
    [
        ({"identity": "990101199001010013"}, "证件号码", "校验位"),
        ({"identity": "99010119900101"}, "证件号码", "校验位"),
        ({"identity": 990101199001010012.0}, "证件号码", "文本格式"),
        ({"identity": ""}, "证件号码", "请填写"),
        ({"card": 6230000000010001.0}, "卡号", "文本格式"),
        ({"card": "6230 0000"}, "卡号", "数字"),
        ({"card": ""}, "卡号", "请填写"),
        ({"name": ""}, "姓名", "须填写"),
        ({"name": "=cmd|' /C calc'!A0"}, "姓名", "开头"),
        ({"name": "＝张一"}, "姓名", "开头"),
        ({"name": "张\u200b一"}, "姓名", "不可见"),
        ({"name": "张\U00020000"}, "姓名", "GBK"),
        ({"name": "张" * 31}, "姓名", "过长"),
        ({"name": 7.0}, "姓名", "文字"),
        ({"bank": "x" * 61}, "开户银行", "过长"),
    ],
)
def test_who_is_paid_must_be_writable_on_a_voucher(changes, column, says):
    lines, wrong = salary(teacher(**changes))
    assert lines == [] and any(at == column and says in text for _, at, text in wrong), wrong


def test_a_name_of_sixty_bytes_still_fits():
    assert salary(teacher(name="张" * 30))[1] == []


def test_one_person_stands_in_a_file_once():
    again = teachers()[1]
    again[1] = teachers()[0][1]
    lines, wrong = salary(teachers()[0], again)
    assert len(lines) == 1 and wrong == [(3, "证件号码", "该人员与第 2 行重复。")]


def test_two_persons_may_share_a_card_that_is_for_the_rules_to_judge():
    other = teachers()[1]
    other[2] = teachers()[0][2]
    assert salary(teachers()[0], other)[1] == []


def test_every_error_is_counted_and_the_first_thousand_are_kept():
    errors = Errors()
    reader = SalaryReader(salary_columns(HEADER, 1, codes=CODES, errors=errors), errors)
    for number in range(MOST_ERRORS + 5):
        reader.read(number, teacher(identity=identity(number % 9000), base="x"))
    assert errors.counted >= MOST_ERRORS + 5 and len(errors.kept) == MOST_ERRORS


@pytest.mark.parametrize(
    ("standard", "quantity", "amount", "fits"),
    [
        (85.5, 3.0, 256.5, True),
        ("85.50", "3.2", "273.60", True),
        (85.5, 3.0, 256.51, False),
        (85.5, 3.001, 256.59, False),  # 256.5855: no rounding decides what somebody gets
        (0.0, 3.0, 0.0, False),
        (85.5, 3.0001, 256.5, False),
        (85.5, "", 256.5, False),
    ],
)
def test_benefits_are_standard_times_quantity(standard, quantity, amount, fits):
    errors = Errors()
    reader = BenefitReader(benefit_columns(BENEFIT_HEADER, 1, errors=errors), errors)
    line = reader.read(2, ["赵四", identity(4), "6230000000040004", "丙银行", standard, quantity, amount])
    assert (line is not None) == fits == (errors.counted == 0)
    if line is not None:
        assert Decimal(line.standard) * line.quantity == line.amount


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("11010519491231002X", True),  # the example of GB 11643
        ("11010519491231002x", False),
        ("110105194912310021", False),
        ("110105491231002", False),
        ("E12345678", True),
        ("H0812345678", True),
        ("e12345678", False),
        ("123456", False),
        ("", False),
    ],
)
def test_identity_numbers(text, good):
    assert is_identity_no(text) is good


def test_of_an_identity_number_only_a_mask_and_a_keyed_digest_remain(settings):
    assert masked_identity("11010519491231002X") == "110***********002X"
    assert masked_identity("E12345678") == "*******78"
    first = identity_digester("990100000")("11010519491231002X")
    assert len(first) == 64 and first == identity_digester("990100000")("11010519491231002X")
    assert first != identity_digester("990200000")("11010519491231002X")
    settings.GUOKU_PERSON_KEY = "another"
    assert first != identity_digester("990100000")("11010519491231002X")
