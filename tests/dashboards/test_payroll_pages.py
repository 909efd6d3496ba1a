"""Rosters on the pages: a file in with its errors, the way to the bank, failed rows again; persons masked."""

import io
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from python_calamine import CalamineWorkbook

from demo import world
from payments.models import PaymentRequest
from payroll.models import BenefitList, ImportRejection, SalaryBatch
from tests import acts
from tests.bank import Partner
from tests.payroll import rosters

D = Decimal


def upload(file):
    return SimpleUploadedFile(file.name, file.content.getvalue())


def salary_form(rows=None, **changes):
    file = rosters.xlsx(rosters.HEADER, rosters.teachers() if rows is None else rows)
    given = {"indicator": world.indicator("I2").id, "month": "6", "kind": "newcomers", "file": upload(file)}
    return given | changes


def press(at, username, step, roster, folder="payroll", **more):
    return at(username).post_json(f"/{folder}/step/", {"ids": roster.pk, "step": step, **more})


def confirmed(at):
    at(rosters.CLERK).post("/payroll/import/", salary_form())
    batch = SalaryBatch.objects.get()
    for username, step in ((rosters.CLERK, "submit"), (rosters.CHECKER, "check"), (rosters.SECTION, "confirm")):
        assert press(at, username, step, batch)[0] == 200
    return batch


def test_a_file_becomes_a_batch_and_pressing_twice_makes_one(at):
    action = "00000000-0000-7000-8000-000000000001"
    response = at(rosters.CLERK).post("/payroll/import/", salary_form(), action_id=action)
    batch = SalaryBatch.objects.get()
    assert response.status_code == 303 and response["location"].startswith(f"/payroll/{batch.pk}/?done=")
    page = at(rosters.CLERK).get(response["location"]).content.decode()
    assert "已导入 3 人，2026年6月新增人员" in page and "26,500.00" in page and "养老保险" in page
    again = at(rosters.CLERK).post("/payroll/import/", salary_form(), action_id=action)
    assert again.status_code in (303, 409) and SalaryBatch.objects.count() == 1


def test_persons_are_masked(at):
    at(rosters.CLERK).post("/payroll/import/", salary_form())
    page = at(rosters.CLERK).get(f"/payroll/{SalaryBatch.objects.get().pk}/").content.decode()
    assert "张**" in page and "6230****0001" in page and rosters.identity(1)[-4:] in page
    assert "张一" not in page and "6230000000010001" not in page and rosters.identity(1) not in page


def test_errors_are_shown_by_row_and_can_be_fetched_as_a_spreadsheet(at):
    rows = rosters.teachers()
    rows[0][10], rows[2][2] = 7184.45, "6230 0000"
    response = at(rosters.CLERK).post("/payroll/import/", salary_form(rows))
    page = response.content.decode()
    assert response.status_code == 422 and SalaryBatch.objects.count() == 0
    assert "第 2 行「实发」：应发 − 代扣 = 7184.44，表中实发为 7184.45。" in page and "第 4 行「卡号」" in page
    kept = ImportRejection.objects.get()
    assert f"/payroll/errors/{kept.pk}/" in page
    data = at(rosters.CLERK).get(f"/payroll/errors/{kept.pk}/")
    assert data["content-type"].endswith("sheet")
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(data.content)).get_sheet_by_index(0).to_python()
    assert [row[:2] for row in sheet] == [["行号", "列"], [2.0, "实发"], [4.0, "卡号"]]
    assert at("u101001-jb").get(f"/payroll/errors/{kept.pk}/").status_code == 404


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"file": ""}, "请选择要导入的文件"),
        ({"file": SimpleUploadedFile("a.pdf", b"%PDF-1.7")}, "只接受 .xlsx 或 .csv"),
        ({"month": "13"}, "月份应为"),
        ({"kind": "x"}, "批次类别"),
        ({"indicator": "x"}, "请选择指标"),
    ],
)
def test_a_form_that_is_not_complete_comes_back(at, changes, says):
    response = at(rosters.CLERK).post("/payroll/import/", salary_form(**changes))
    assert response.status_code == 422 and says in response.content.decode()
    assert SalaryBatch.objects.count() == 0 and ImportRejection.objects.count() == 0


def test_the_template_is_a_spreadsheet_of_our_columns(at):
    for folder, first in (("payroll", "姓名"), ("benefits", "姓名")):
        data = at(rosters.CLERK).get(f"/{folder}/template/").content
        assert CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()[0][0] == first


def test_from_the_file_to_the_bank_and_failed_rows_once_more(at, pki):
    batch = confirmed(at)
    code, answer = at(rosters.CLERK).post_json(f"/payroll/{batch.pk}/generate/", {})
    assert code == 200 and [item["state"] for item in answer["accepted"]] == ["in_review"]
    [request] = rosters.to_the_bank(batch)
    bank = Partner(pki, world.BANK_A)
    bank.send(bank.receipt(request.voucher, failed={"3": "户名账号不符"}))

    page = at(rosters.CLERK).get(f"/payroll/{batch.pk}/").content.decode()
    assert "部分成功" in page and 'value="6"' in page and 'max="7"' in page and "户名账号不符" in page
    assert "重发失败行" in page and "王三" not in page
    line = request.details.get(seq=3)
    form = {"ids": line.pk, f"card-{line.pk}": "6230000000010033", f"bank-{line.pk}": ""}
    assert "重发失败行" not in at("gk-sh").get(f"/payroll/{batch.pk}/").content.decode()
    code, answer = at(rosters.CLERK).post_json(f"/payroll/{batch.pk}/reissue/", form)
    assert code == 200 and len(answer["accepted"]) == 1
    again = PaymentRequest.objects.get(reissue_of=request)
    assert (again.amount, again.details.get().payee_account_no) == (D("5964.18"), "6230000000010033")
    code, answer = at(rosters.CLERK).post_json(f"/payroll/{batch.pk}/reissue/", form)
    assert (code, answer["refused"][0]["code"]) == (409, "nothing_failed")
    assert "发放中" in at(rosters.CLERK).get("/payroll/").content.decode()


def test_a_refused_submission_leaves_drafts_that_are_submitted_later(at):
    batch = confirmed(at)
    acts.with_quota("I2", "-399999.00")
    code, answer = at(rosters.CLERK).post_json(f"/payroll/{batch.pk}/generate/", {})
    assert code == 422 and answer["refused"][0]["code"] == "quota_exceeded"
    page = at(rosters.CLERK).get(f"/payroll/{batch.pk}/").content.decode()
    assert "提交未提交的支付申请" in page
    acts.with_quota("I2", "399999.00")
    code, _ = at(rosters.CLERK).post_json(f"/payroll/{batch.pk}/submit/", {})
    assert code == 200 and acts.books("I2")["reserved"] == "26500.00"


def test_a_return_wants_a_reason_and_others_cannot_press(at):
    at(rosters.CLERK).post("/payroll/import/", salary_form())
    batch = SalaryBatch.objects.get()
    press(at, rosters.CLERK, "submit", batch)
    assert press(at, rosters.CHECKER, "return", batch)[0] == 422
    assert press(at, "gk-sh", "check", batch)[0] == 403
    assert press(at, rosters.CHECKER, "nonsense", batch)[0] == 422
    assert press(at, rosters.CHECKER, "return", batch, reason="人数不符")[0] == 200
    page = at(rosters.CLERK).get(f"/payroll/{batch.pk}/").content.decode()
    assert "退回" in page and "人数不符" in page


def test_the_checker_sees_batches_and_nothing_else(at):
    batch = confirmed(at)
    assert at(rosters.CHECKER).get(f"/payroll/{batch.pk}/").status_code == 200
    at(rosters.CLERK).post(f"/payroll/{batch.pk}/generate/", {})
    request = PaymentRequest.objects.get(imported=False)
    for path in ("/payments/", "/benefits/", f"/payments/{request.pk}/", "/vouchers/", "/quotas/"):
        assert at(rosters.CHECKER).get(path).status_code == 403
    assert f"/payments/{request.pk}/" not in at(rosters.CHECKER).get(f"/payroll/{batch.pk}/").content.decode()


def test_another_unit_does_not_find_it(at):
    batch = confirmed(at)
    assert at("u205001-jb").get(f"/payroll/{batch.pk}/").status_code == 404
    assert at("u205001-jb").post_json(f"/payroll/{batch.pk}/generate/", {})[0] == 404
    nil = "00000000-0000-0000-0000-000000000000"
    for path in (f"/payroll/{nil}/", f"/benefits/{batch.pk}/"):
        assert at(rosters.CLERK).get(path).status_code == 404
    assert at(rosters.CLERK).get(f"/payroll/{batch.pk}/?after=%00x").status_code == 200
    assert at(rosters.CLERK).get(f"/payroll/{batch.pk}/generate/")["location"] == f"/payroll/{batch.pk}/"


def test_a_benefit_list_goes_the_same_way_after_its_notice(at):
    file = rosters.xlsx(
        rosters.BENEFIT_HEADER, [["赵四", rosters.identity(4), "6230000000040004", rosters.BANK, 85.5, 3.2, 273.6]]
    )
    form = {
        "indicator": world.indicator("I2").id,
        "dept_economic_code": "30101",
        "policy": "耕地地力保护补贴",
        "period": "2026年度",
        "township": "城关镇",
        "notice_from": "2026-06-01",
        "notice_to": "2026-06-14",
        "file": upload(file),
    }
    assert at(rosters.CLERK).post("/benefits/import/", {**form, "notice_to": "x"}).status_code == 422
    form["file"].seek(0)
    assert at(rosters.CLERK).post("/benefits/import/", form).status_code == 303
    found = BenefitList.objects.get()
    assert press(at, rosters.CLERK, "publish", found, "benefits")[0] == 200
    assert "公示中" in at(rosters.CLERK).get("/benefits/").content.decode()
    assert press(at, rosters.SECTION, "confirm", found, "benefits")[0] == 200
    code, _ = at(rosters.CLERK).post_json(f"/benefits/{found.pk}/generate/", {})
    page = at(rosters.CLERK).get(f"/benefits/{found.pk}/").content.decode()
    assert code == 200 and "85.50 × 3.200" in page and "赵四" not in page


def test_more_rows_than_a_page_are_paged(at):
    header = (*rosters.HEADER[:5], "实发")
    rows = [[f"教师{n}", rosters.identity(n), f"62310{n:011d}", rosters.BANK, 100.0, 100.0] for n in range(60)]
    file = rosters.xlsx(header, rows)
    at(rosters.CLERK).post("/payroll/import/", salary_form(file=upload(file)))
    batch = SalaryBatch.objects.get()
    first = at(rosters.CLERK).get(f"/payroll/{batch.pk}/").content.decode()
    assert "?after=51" in first and "62310****"[:4] in first
    second = at(rosters.CLERK).get(f"/payroll/{batch.pk}/?after=51").content.decode()
    assert second.count('<br><span class="muted mono">') == 10 and "‹ 第一页" in second
