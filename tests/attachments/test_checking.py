"""Ending, first bytes and content must agree; containers and pictures stay within their limits."""

import stat
import zipfile

import pytest

from attachments import limits
from attachments.checking import check_file
from attachments.errors import FileRefused
from attachments.receiving import clean_name
from attachments.store import Received
from core.digests import sm3_hex
from tests.attachments import files


@pytest.fixture
def received(tmp_path):
    def receive(name: str, content: bytes) -> Received:
        path = tmp_path / "arrived"
        path.write_bytes(content)
        return Received(path, name, len(content), sm3_hex(content))

    return receive


def why(received_file: Received) -> str:
    with pytest.raises(FileRefused) as refusal:
        check_file(received_file)
    assert refusal.value.code == "file_refused" and refusal.value.field == "file"
    assert f"「{received_file.name}」" in refusal.value.message and refusal.value.message.endswith("未保存。")
    return refusal.value.message


@pytest.mark.parametrize(
    ("name", "content", "media_type", "pages"),
    [
        ("合同.pdf", files.pdf(3), "application/pdf", 3),
        ("照片.JPG", files.picture("JPEG"), "image/jpeg", 1),
        ("截图.png", files.picture(), "image/png", 1),
        ("电子发票.ofd", files.ofd(), "application/ofd", 0),
        ("清单.xlsx", files.xlsx(), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 0),
        ("数电票.xml", files.XML, "application/xml", 0),
        ("宽字符.xml", "<?xml version='1.0' encoding='UTF-16'?><a/>".encode("utf-16"), "application/xml", 0),
    ],
)
def test_every_kind_we_keep_is_recognised(received, name, content, media_type, pages):
    checked = check_file(received(name, content))
    assert (checked.media_type, checked.pages) == (media_type, pages)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("冒充.pdf", b"MZ\x90\x00" + b"\0" * 600, "扩展名是 pdf，内容却不是"),
        ("改名.png", files.pdf(), "扩展名是 png，内容却是 PDF"),
        ("改名.pdf", files.picture(), "扩展名是 pdf，内容却是 PNG"),
        ("表格.ofd", files.xlsx(), "里面没有 OFD.xml"),
        ("版式.xlsx", files.ofd(), "里面没有 [Content_Types].xml"),
        ("程序.exe", b"MZ", "不是可以保存的类型"),
        ("没有扩展名", files.pdf(), "不是可以保存的类型"),
        ("空.pdf", b"", "是空文件"),
        ("断.pdf", b"%PDF-1.7 and nothing more", "不是完好的 PDF"),
        ("断.jpg", files.picture("JPEG", (400, 400))[:200], "不是完好的图片"),
        ("断.png", files.picture()[:-20], "不是完好的图片"),
        ("断.xlsx", files.xlsx()[:-30], "不是完好的压缩容器"),
        ("断.xml", b"<a>", "不是完好的 XML"),
        ("网页.xml", b"<!DOCTYPE html><html/>", "带有 DTD"),
        ("外部.xml", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "带有 DTD"),
    ],
)
def test_content_that_is_not_what_the_name_says_is_refused_with_the_reason(received, name, content, reason):
    assert reason in why(received(name, content))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"xl/炸弹.xml": b"0" * (10 * 1024 * 1024)}, "疑为压缩炸弹"),
        ({"../../etc/passwd": b"x"}, "带有路径"),
        ({"/etc/passwd": b"x"}, "带有路径"),
        ({"xl\\..\\a.xml": b"x"}, "带有路径"),
        ({"C:a.xml": b"x"}, "带有路径"),
        ({"xl/media/setup.exe": b"x"}, "可执行文件 setup.exe"),
        ({"xl/media/image1.png": b"MZ\x90\x00rest"}, "可执行文件 image1.png"),
        ({"xl/media/image1.png": b"\x7fELFrest"}, "可执行文件 image1.png"),
        ({"xl/vbaProject.bin": b"x"}, "带有宏"),
        ({"xl/embeddings/inner.dat": files.xlsx()}, "又套着压缩包"),
    ],
)
def test_a_container_with_something_dangerous_inside_is_refused(received, more, reason):
    assert reason in why(received("清单.xlsx", files.xlsx(**more)))


def test_what_every_spreadsheet_program_leaves_for_the_printer_is_no_program(received):
    check_file(received("清单.xlsx", files.xlsx(**{"xl/printerSettings/printerSettings1.bin": b"\0\1"})))


def test_the_limits_of_a_container_hold_to_the_entry_and_the_byte(received, monkeypatch):
    monkeypatch.setattr("attachments.checking.MOST_ENTRIES", 4)
    more = {"a": b"", "b": b""}
    check_file(received("a.xlsx", files.xlsx(**more)))
    assert "超过 4 个文件" in why(received("a.xlsx", files.xlsx(**more, c=b"")))
    inside = sum(map(len, files.XLSX_MEMBERS.values()))
    monkeypatch.setattr("attachments.checking.MOST_UNPACKED", inside + 10)
    check_file(received("a.xlsx", files.xlsx(a=b"x" * 10)))
    assert "解开后超过" in why(received("a.xlsx", files.xlsx(a=b"x" * 11)))


def test_a_container_with_links_secrets_or_two_of_one_name_is_refused(received, tmp_path):
    def with_entry(change) -> bytes:
        path = tmp_path / "made"
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in files.XLSX_MEMBERS.items():
                packed.writestr(name, content)
            change(packed)
        return path.read_bytes()

    def link(packed):
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(entry, "/etc/passwd")

    assert "符号链接" in why(received("a.xlsx", with_entry(link)))
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = with_entry(lambda packed: packed.writestr("xl/workbook.xml", b"<other/>"))
    assert "重名" in why(received("a.xlsx", twice))
    secret = bytearray(files.xlsx())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        secret[secret.index(signature) + offset] |= 1
    assert "加密" in why(received("a.xlsx", bytes(secret)))


def test_pixels_and_pages_are_limited_before_anything_is_drawn(received, monkeypatch):
    monkeypatch.setattr("attachments.checking.MOST_PIXELS", 1200)
    check_file(received("a.png", files.picture(size=(40, 30))))
    assert "41 × 30 个像素" in why(received("a.png", files.picture(size=(41, 30))))
    monkeypatch.setattr("attachments.checking.MOST_PAGES", 2)
    check_file(received("a.pdf", files.pdf(2)))
    assert "超过 2 页" in why(received("a.pdf", files.pdf(3)))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/发票.pdf", "发票.pdf"),
        ("C:\\Users\\a\\发票.pdf", "发票.pdf"),
        ("发\x00票\r\n\u202egnp.pdf", "发票gnp.pdf"),
        ("", "未命名"),
        ("x" * 200 + ".pdf", "x" * 116 + ".pdf"),
        ("x" * 200, "x" * 120),
    ],
)
def test_a_name_is_kept_without_path_control_characters_and_length(given, kept):
    assert clean_name(given) == kept and len(kept) <= limits.LONGEST_NAME
