"""Tables people bring: code tables and indicators, from Excel and CSV; all of a file or nothing of it."""

import csv
import io
from decimal import Decimal

import pytest
import xlsxwriter
from django.db import DatabaseError, connection, transaction
from python_calamine import CalamineWorkbook

from budget import services
from budget.codes import ClassificationCode, EconomicMapping, TableImport
from budget.models import BudgetIndicator, IndicatorDocument
from budget.tables import RowsRefused, TableInvalid, amount_in, read_table
from core.errors import TreasuryError
from demo import world
from tests import acts
from tests.conftest import NOW

D = Decimal


def as_csv(*rows, encoding="utf-8-sig"):
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(encoding)


def as_xlsx(*rows):
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return buffer.getvalue()


CODES = [
    ("编码", "名称"),
    ("301", "工资福利支出"),
    ("30198", "试行津贴"),
    ("330", "新设类"),
    ("33001", "新设款"),
]


def bring(data, name="科目.csv", kind="dept_economic", year=2026, who="ys-jb"):
    return services.import_codes(
        fiscal_year=year, kind=kind, file_name=name, data=data, clerk=world.officer(who), now=NOW
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("科目.csv", as_csv(*CODES)),
        ("科目.CSV", as_csv(*CODES, encoding="utf-8")),
        ("科目.csv", as_csv(*CODES, encoding="gb18030")),
        ("科目.xlsx", as_xlsx(*CODES)),
        ("科目.xlsx", as_xlsx(CODES[0], *[(int(code), text) for code, text in CODES[1:]])),  # numbers, as Excel likes
    ],
)
def test_new_codes_are_added_known_ones_stay_and_twice_changes_nothing(city, name, data):
    before = ClassificationCode.objects.count()
    done = bring(data, name)
    assert (done.added, done.changed, done.unchanged) == (3, 0, 1)
    assert ClassificationCode.objects.get(fiscal_year=2026, kind="dept_economic", code="33001").name == "新设款"
    assert (bring(data, name).unchanged, ClassificationCode.objects.count()) == (4, before + 3)
    assert list(TableImport.objects.order_by("id").values_list("added", flat=True)) == [3, 0]


def test_every_faulty_row_is_named_and_none_is_taken(city):
    before = acts.everything()
    rows = [
        ("编码", "名称"),
        ("39x", "乱"),
        ("33101", "没有上级"),
        ("302", ""),
        ("301", "一"),
        ("301", "二"),
        ("340", "好"),
    ]
    for name, data in (("科目.csv", as_csv(*rows)), ("科目.xlsx", as_xlsx(*rows))):
        with pytest.raises(RowsRefused) as refusal:
            bring(data, name)
        assert refusal.value.errors == {
            0: "编码应为 3、5 位数字",
            1: "上级科目 331 不存在",
            2: "名称应为 1 至 100 字",
            4: "编码与第 5 行重复",
        }
        file_name, content = refusal.value.error_file
        if name.endswith("csv"):
            back = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
        else:
            back = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
        assert file_name == f"科目-错误.{name[-4:].lstrip('.')}"
        assert (
            back[0] == ["编码", "名称", "错误"] and back[2][2] == "上级科目 331 不存在" and back[6][:2] == ["340", "好"]
        )
    assert acts.everything() == before


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("科目.xls", b"x", ".xlsx 或 .csv"),
        ("科目.xlsx", b"PK\x03\x04 nothing", "不是可以读取的"),
        ("科目.xlsx", b"", "不是可以读取的"),
        ("科目.csv", b"", "空的"),
        ("科目.csv", b"\xff\xfe\x00\x01", "编码的文本"),
        ("科目.csv", as_csv(("编码",), ("301",)), "缺少列：名称"),
        ("科目.csv", as_csv(("编码", "名称", "备注"), ("301", "x", "")), "不认识的列：备注"),
        ("科目.csv", as_csv(("编码", "名称", "名称"), ("301", "x", "y")), "重复的列：名称"),
        ("科目.csv", as_csv(("编码", "名称")), "没有数据"),
        ("科目.csv", b"x" * (5 * 1024 * 1024 + 1), "过大"),
    ],
)
def test_what_is_no_such_table_is_refused_in_words(city, name, data, says):
    with pytest.raises(TableInvalid, match=says) as refusal:
        bring(data, name)
    assert refusal.value.field == "file"


def test_formulas_do_not_come_alive_in_the_error_file(city):
    with pytest.raises(RowsRefused) as refusal:
        bring(as_csv(("编码", "名称"), ("x", '=HYPERLINK("http://x")')))
    assert b"'=HYPERLINK" in refusal.value.error_file[1]


@pytest.mark.parametrize("text", ["1e3", "NaN", "1.001", "１", "", "1_000", "abc", "Infinity"])
def test_an_amount_in_a_table_is_read_strictly(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the caller says which cell
        amount_in(text)


def test_an_amount_may_have_separators_and_what_excel_calculated_is_what_it_shows():
    assert amount_in("1,234.5") == D("1234.50")
    table = read_table(name="x.xlsx", data=as_xlsx(("金额",), (0.1 + 0.2,), (1234567.89,)), required=("金额",))
    assert [amount_in(row["金额"]) for row in table.rows] == [D("0.30"), D("1234567.89")]


def test_an_ended_code_makes_no_new_indicator_and_is_not_copied(city):
    bring(as_csv(("编码", "名称", "停用"), ("2050204", "高中教育", "是")), kind="function")
    with pytest.raises(RowsRefused) as ended:
        _import(HEAD, _row())
    assert ended.value.errors == {0: "功能分类科目 2050204 在本年度不存在或已停用。"}
    done = services.copy_codes(from_year=2026, to_year=2027, clerk=world.officer("ys-jb"), now=NOW)
    codes = ClassificationCode.objects.filter(fiscal_year=2027)
    assert done.added == codes.count() + EconomicMapping.objects.filter(fiscal_year=2027).count()
    assert not codes.filter(code="2050204").exists() and codes.filter(code="2050205").exists()
    with pytest.raises(TreasuryError) as refusal:
        services.copy_codes(from_year=2026, to_year=2027, clerk=world.officer("ys-jb"), now=NOW)
    assert refusal.value.code == "conflict"
    acts.submit(acts.draft("I2", "1.00")).raise_if_refused()  # what there is goes on being paid


def test_the_mapping_comes_in_by_the_same_door(city):
    head = ("政府经济", "部门经济", "单位性质")
    done = bring(as_csv(head, ("50101", "30101", "行政"), ("50101", "30107", "行政")), kind="economic_mapping")
    assert (done.added, done.unchanged) == (1, 1)
    with pytest.raises(RowsRefused) as refusal:
        bring(as_csv(head, ("50101", "39998", "军队")), kind="economic_mapping")
    assert refusal.value.errors == {0: "部门经济分类 39998 不存在；单位性质应为行政、事业、全部"}


def test_codes_are_never_deleted_and_only_the_clerk_brings_them(city):
    for statement in (
        "DELETE FROM budget_classificationcode",
        "UPDATE budget_classificationcode SET code = '999' WHERE code = '301'",
        "DELETE FROM budget_tableimport",
    ):
        TableImport.objects.create(
            adm_div_code="1", fiscal_year=2026, kind="x", file_name="x", digest="", added=0, changed=0, at=NOW
        )
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    with pytest.raises(TreasuryError) as refusal:
        bring(as_csv(*CODES), who="gk-kz")
    assert refusal.value.code == "role_required"


# Indicators ---------------------------------------------------------------------------------------------------------

HEAD = (
    *("单位编码", "资金性质", "功能分类", "政府经济分类", "支付方式", "金额", "三保", "直达资金"),
    *("资金来源", "上级文号", "收文日期", "政府采购", "项目名称"),
)


def _row(**changes):
    values = dict(
        zip(
            HEAD,
            (
                *("101002", "11", "2050204", "50502", "财政授权支付", "120,000.50", "保运转", "01"),
                *("上级", "省财教〔2026〕15号", "2026/6/1", "是", "公用经费"),
            ),
            strict=True,
        )
    )
    return tuple({**values, **changes}[column] for column in HEAD)


def _import(*rows, doc_no="年初1号", name="指标.xlsx", kind="initial", **given):
    data = as_xlsx(*rows) if name.endswith("xlsx") else as_csv(*rows)
    clerk = world.officer("ys-jb")
    return services.import_indicators(
        kind=kind, doc_no=doc_no, note="", file_name=name, data=data, clerk=clerk, now=NOW, **given
    )


@pytest.mark.parametrize("name", ["指标.xlsx", "指标.csv"])
def test_a_file_becomes_one_draft_that_makes_its_indicators_when_issued(city, name):
    made = _import(HEAD, _row(), _row(金额="0.01", 政府经济分类="50601", 支付方式="11"), name=name)
    assert (made.state, made.amount, made.lines.count()) == ("draft", D("120000.51"), 2)
    assert BudgetIndicator.objects.count() == len(world.INDICATORS)

    services.submit_documents(document_ids=[made.id], clerk=world.officer("ys-jb"), now=NOW).raise_if_refused()
    acts.decide(made).raise_if_refused()
    acts.issue_documents(made).raise_if_refused()

    first, second = (line.indicator for line in made.lines.select_related("indicator__quota").order_by("seq"))
    assert (first.amount_total, first.sanbao, first.direct_fund, first.source, first.procurement) == (
        *(D("120000.50"), "running", "01", "upper", True),
    )
    assert first.received_on.isoformat() == "2026-06-01" and first.tags == ["保运转", "01中央直达资金", "政府采购"]
    assert (second.payment_mode, second.quota.payer_account.account_no) == ("11", world.ACCOUNT_FINANCE_A)


def test_all_faults_of_a_file_are_beside_their_rows_and_nothing_is_written(city):
    rows = [_row(), _row(金额="1.005", 三保="x", 收文日期="昨天", 政府采购="也许"), _row(单位编码="")]
    with pytest.raises(RowsRefused) as refusal:
        _import(HEAD, *rows)
    assert refusal.value.errors == {
        1: "收文日期“昨天”应为日期，如 2026-06-15；三保“x”不在代码表内；政府采购“也许”应为“是”或“否”；"
        "金额“1.005”应为不超过两位小数的金额",
        2: "请填写单位编码",
    }
    with pytest.raises(RowsRefused) as refusal:
        _import(HEAD, _row(), _row(单位编码="999999", 功能分类="205"))
    assert refusal.value.errors == {
        1: "预算单位 999999 不存在。；功能分类科目 205 不是末级，请用末级科目。",
    }
    assert IndicatorDocument.objects.count() == 0


def test_the_same_key_makes_one_document(city):
    made = [_import(HEAD, _row(), action_key="k").id for _ in range(2)]
    assert made[0] == made[1]
