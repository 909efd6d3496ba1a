"""The pages of an emergency from declaration to the end, the paper itself, and the public check of its code."""

import io
import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pypdf import PdfReader

from emergency.codes import verification_code
from emergency.models import PaperVoucher, Window
from tests import acts
from tests.attachments import files
from tests.emergency.conftest import approved, declared, opened


@pytest.fixture
def now_window(city):
    """A window that is open by the wall clock, as pages see it."""
    return opened(timezone.now() - timedelta(minutes=1), hours=24)


def text_of(pdf: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).replace(" ", "")


def test_from_declaration_to_the_end_by_the_pages(at, store):
    chief, second, maker, enterer = at("gk-kz"), at("gk-yz"), at("gk-zd"), at("gk-dz")
    fields = {"reason": "甲银行专线中断", "hours": "4", "parties": ["reconciler", "voucher_maker"]}
    status, answer = chief.post_json("/emergency/declare/", fields)
    assert status == 200
    page = f"/emergency/{answer['accepted'][0]['id']}/"
    assert "应急窗口待确认" in second.get("/").content.decode()
    assert chief.post(f"{page}decide/", {"decision": "confirm"}).status_code == 403
    assert second.post(f"{page}decide/", {"decision": "confirm"}).status_code == 303
    request = approved("I4", "60.00", "40.00")
    assert request.request_no in maker.get(page).content.decode()
    assert maker.post(f"{page}print/", {"ids": str(request.pk)}).status_code == 303
    paper = PaperVoucher.objects.get()
    assert "纸质凭证在途" in maker.get(f"/payments/{request.pk}/").content.decode()
    assert "纸质凭证待补录" in enterer.get("/").content.decode()
    day = paper.voucher.voucher_date.isoformat()
    sent = {"paid_on": day, "bank_serial": "ZZ1", "failed": "2", "reason-2": "账号不符"}
    scan = SimpleUploadedFile("回单.jpg", files.picture("JPEG"))
    enter = f"/emergency/papers/{paper.pk}/enter/"
    assert enterer.post(enter, sent).status_code == 422  # without the scan
    bad = SimpleUploadedFile("回单.jpg", b"MZ")
    response = enterer.post(enter, sent | {"file": bad})
    assert response.status_code == 422 and "「回单.jpg」" in response.content.decode()
    assert enterer.post(enter, sent | {"file": scan}).status_code == 303
    assert "纸质回单待复核" in chief.get("/").content.decode()
    shown = chief.get(page).content.decode()
    assert "第 2 行" in shown and "账号不符" in shown and "ZZ1" in shown
    assert b"".join(chief.get(f"/emergency/papers/{paper.pk}/scan/").streaming_content) == files.picture("JPEG")
    assert chief.post(f"/emergency/papers/{paper.pk}/decide/", {"decision": "refuse"}).status_code == 422
    assert chief.post(f"/emergency/papers/{paper.pk}/decide/", {"decision": "confirm"}).status_code == 303
    assert acts.fresh(request)[0].state == "partially_paid"
    assert chief.post(f"{page}close/", {}).status_code == 409
    for officer in (enterer, maker):
        digest = re.search(r'name="digest" value="([0-9a-f]{64})"', officer.get(page).content.decode())[1]
        assert officer.post(f"{page}confirm/", {"digest": digest}).status_code == 303
    assert chief.post(f"{page}close/", {}).status_code == 303
    assert Window.objects.get().state == "closed" and "已结束" in chief.get(page).content.decode()


def test_the_paper_is_the_official_layout_with_number_code_and_mark(at, now_window):
    direct = approved("I4", "1234.50")
    assert at("gk-zd").post(f"/emergency/{now_window.pk}/print/", {"ids": str(direct.pk)}).status_code == 303
    paper = PaperVoucher.objects.get()
    answer = at("gk-zd").get(f"/emergency/papers/{paper.pk}/pdf/")
    assert answer["content-type"] == "application/pdf" and "attachment" in answer["content-disposition"]
    said = text_of(answer.content)
    for text in (paper.voucher.voucher_no, verification_code(paper.voucher), "应急", "1,234.50", now_window.window_no):
        assert text in said, text
    assert "5108" in said  # what PBoC needs goes along
    names = [file.name for file in PdfReader(io.BytesIO(answer.content)).attachment_list]
    assert f"5201-{paper.voucher.voucher_no}.xml" in names and len(names) == 2
    assert at("u205001-jb").get(f"/emergency/papers/{paper.pk}/pdf/").status_code == 404


def test_a_drill_prints_a_void_specimen(at, city):
    window = opened(timezone.now() - timedelta(minutes=1), drill=True)
    request = approved("I4", "100.00")
    assert at("gk-zd").post(f"/emergency/{window.pk}/print/", {"ids": str(request.pk)}).status_code == 303
    said = text_of(at("gk-zd").get(f"/emergency/{window.pk}/drill/{request.pk}/pdf/").content)
    assert "演练无效" in said and acts.fresh(request)[0].state == "approved"
    other = approved("I4", "2.00")
    assert at("gk-zd").get(f"/emergency/{window.pk}/drill/{other.pk}/pdf/").status_code == 404
    assert "演练" in at("gk-kz").get(f"/emergency/{window.pk}/").content.decode()


def test_anybody_may_check_a_code_and_learns_nothing_from_a_number(at, now_window):
    request = approved()
    at("u101001-jb").post(f"/emergency/{now_window.pk}/print/", {"ids": str(request.pk)})
    voucher = acts.fresh(request)[0].voucher
    number = f"{voucher.adm_div_code}.{voucher.fiscal_year}.{voucher.voucher_type}.{voucher.voucher_no}"
    client = Client(REMOTE_ADDR="10.1.1.1")
    assert client.get("/paper/").status_code == 200
    good = client.get("/paper/", {"n": number, "c": verification_code(voucher)}).content.decode()
    assert "编号与验证码相符" in good and "100.00" in good
    for asked in (
        {"n": number},
        {"n": number, "c": "AAAA-AAAA-AAAA-AAAA"},
        {"n": number + "9", "c": verification_code(voucher)},
        {"n": "x.y.z\0", "c": "1"},
        {"n": "1.20２6.5201.1", "c": "1"},
    ):
        page = client.get("/paper/", asked).content.decode()
        assert "编号与验证码不相符" in page and "100.00" not in page


def test_the_public_check_may_not_be_asked_without_end(city, settings):
    settings.GUOKU_VERIFY_RATE = "2/min"
    client = Client(REMOTE_ADDR="10.1.1.2")
    assert [client.get("/paper/?n=a&c=b").status_code for _ in range(3)] == [200, 200, 429]


def test_a_units_clerk_sees_the_own_papers_only(at, now_window):
    mine, other = approved("I1"), approved("I5")
    at("u101001-jb").post(f"/emergency/{now_window.pk}/print/", {"ids": str(mine.pk)})
    at("u205001-jb").post(f"/emergency/{now_window.pk}/print/", {"ids": str(other.pk)})
    assert PaperVoucher.objects.count() == 2
    page = at("u101001-jb").get(f"/emergency/{now_window.pk}/").content.decode()
    assert mine.request_no in page and other.request_no not in page


def test_nonsense_is_answered_in_words(at, city):
    window = declared()
    nil = "00000000-0000-0000-0000-000000000000"
    chief = at("gk-kz")
    for path in (f"/emergency/{nil}/", f"/emergency/papers/{nil}/pdf/", f"/emergency/papers/{nil}/scan/"):
        assert chief.get(path).status_code == 404
    assert chief.post("/emergency/declare/", {"hours": "x", "reason": "", "unit": "x"}).status_code == 422
    assert chief.post("/emergency/declare/", {"hours": "²", "reason": "a", "parties": ["x", "y"]}).status_code == 422
    assert at("gk-dz").post(f"/emergency/{window.pk}/confirm/", {"digest": "x"}).status_code == 409
