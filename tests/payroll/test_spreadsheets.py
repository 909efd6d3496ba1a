"""Files: weighed before they are read, formulas never evaluated, everything written for people inert."""

import io
import zipfile

import pytest
from python_calamine import CalamineWorkbook

from payroll import spreadsheets
from payroll.errors import FileRefused, RowError
from payroll.parsing import SALARY_TEMPLATE, SALARY_TEXTS
from payroll.spreadsheets import error_file, read_table, template
from tests.payroll.rosters import HEADER, csv_file, source, teachers, xlsx


def read(file):
    table = read_table(file.content, size=file.size, name=file.name)
    return table, list(table.rows)


def refused(file):
    with pytest.raises(FileRefused) as refusal:
        read(file)
    return refusal.value.message


def test_texts_stay_texts_and_numbers_numbers():
    table, rows = read(xlsx(HEADER, teachers()))
    assert (table.header, table.header_row) == (list(HEADER), 1)
    assert [number for number, _ in rows] == [2, 3, 4]
    assert rows[0][1][2] == "6230000000010001" and rows[0][1][9] == 67.56


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "gb18030"])
def test_csv_in_the_encodings_people_have(encoding):
    table, rows = read(csv_file(HEADER, teachers(), encoding=encoding))
    assert table.header == list(HEADER) and rows[2][1][0] == "王三"


def test_empty_rows_are_passed_over_and_rows_keep_their_numbers():
    table, rows = read(xlsx([""] * 3, [HEADER, teachers()[0], [""], teachers()[1]]))
    assert table.header_row == 2 and [number for number, _ in rows] == [3, 5]


def test_formulas_are_named_and_refused():
    message = refused(xlsx(HEADER, teachers(), formulas=("E3", "K4")))
    assert "E3、K4" in message and "选择性粘贴" in message


def test_a_formula_is_found_wherever_a_piece_ends(monkeypatch):
    monkeypatch.setattr(spreadsheets, "_PIECE", 97)
    assert "K4" in refused(xlsx(HEADER, teachers(), formulas=("K4",)))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "a.xlsx"),
        (b"PK\x03\x04", "a.xlsx"),
        (b"PK\x03\x04 not a zip file at all", "a.xlsx"),
        (b"%PDF-1.7", "a.xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.csv"),
        (b"a,b\n", "a.xls"),
        (b"a,b\n", "a.xlsx"),
        (b'a,"b\n', "a.csv"),
        (b"\xff\xfe\x00a", "a.csv"),
        (b"a\0,b\n", "a.csv"),
        (b"\n\n", "a.csv"),
    ],
)
def test_other_files_are_refused(data, name):
    assert refused(source(data, name))


def test_an_archive_that_is_no_spreadsheet_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "x")
    assert refused(source(buffer.getvalue(), "a.xlsx"))


def repacked(change):
    """P1's file with its members renamed or rewritten: `change` gives name and bytes for name and bytes."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(xlsx(HEADER, teachers(), formulas=("K4",)).content) as old,
        zipfile.ZipFile(buffer, "w") as new,
    ):
        for name in old.namelist():
            new.writestr(*change(name, old.read(name)))
    return source(buffer.getvalue(), "a.xlsx")


def test_a_worksheet_by_another_name_is_looked_into_as_well():
    def moved(name, data):
        data = data.replace(b"worksheets/sheet1.xml", b"charts/chart1.xml")
        return name.replace("worksheets/sheet1.xml", "charts/chart1.xml"), data

    assert "K4" in refused(repacked(moved))


def test_other_spreadsheets_in_disguise_are_refused():
    assert "不是 .xlsx" in refused(repacked(lambda name, data: (name.replace("workbook.xml", "other.xml"), data)))
    assert "不是 .xlsx" in refused(repacked(lambda name, data: (name.replace("sheet1.xml", "sheet1.bin"), data)))

    def wide(name, data):
        return name, data.decode().encode("utf-16") if name.endswith("sheet1.xml") else data

    assert "UTF-8" in refused(repacked(wide))


def test_a_large_file_is_refused_before_it_is_read():
    class Unread(io.BytesIO):
        def read(self, *_):
            raise AssertionError("read")

    with pytest.raises(FileRefused):
        read_table(Unread(), size=200 * 1024 * 1024, name="a.xlsx")


def bomb(size):
    buffer = io.BytesIO(xlsx(HEADER, teachers()).content.read())
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b"\0" * size)
    return source(buffer.getvalue(), "a.xlsx")


def test_a_file_that_unpacks_to_much_more_than_it_is_is_refused():
    assert "解压后过大" in refused(bomb(40 * 1024 * 1024))


def test_what_comes_out_counts_and_not_what_the_header_says(monkeypatch):
    monkeypatch.setattr(spreadsheets, "MOST_UNPACKED", 10_000)
    assert "解压后过大" in refused(xlsx(HEADER, teachers()))


def test_too_many_rows_or_columns_are_refused(monkeypatch):
    monkeypatch.setattr(spreadsheets, "MOST_ROWS", 2)
    assert "最多导入 2 行" in refused(xlsx(HEADER, teachers()))
    assert "最多导入 2 行" in refused(csv_file(HEADER, teachers()))
    monkeypatch.setattr(spreadsheets, "MOST_ROWS", 3)
    assert len(read(xlsx(HEADER, teachers()))[1]) == 3
    assert "100 列" in refused(xlsx(["x"] * 101, []))


def test_the_template_reads_as_its_own_columns():
    table, rows = read(source(template(SALARY_TEMPLATE, texts=SALARY_TEXTS, title="工资"), "t.xlsx"))
    assert table.header == list(SALARY_TEMPLATE) and rows == []


def test_the_error_file_holds_texts_only():
    data = error_file([RowError(2, "姓名", "=1+1"), RowError(3, "实发", "@x")])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")
    rows = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()
    assert rows[1:] == [[2.0, "姓名", "=1+1"], [3.0, "实发", "@x"]]
