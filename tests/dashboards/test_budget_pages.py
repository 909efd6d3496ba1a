"""The pages of the budget's life: forms that split, import, look back, give up plans, and end a year."""

import base64
import re
import uuid
from decimal import Decimal

import pytest

from budget import services
from budget.codes import ClassificationCode
from budget.models import BudgetIndicator, BudgetYear, CarryOver, IndicatorDocument, QuotaCancellation, SpendingPlan
from budget.terms import Terms
from demo import world
from tests import acts

D = Decimal


@pytest.fixture
def department(city):
    terms = Terms("101001", "11", "2050204", "50502", "12", layer="department")
    return acts.issued("add", services.LineInput(D("100.00"), terms=terms), doc_no="1").lines.get().indicator


def upload(officer, path, name, text, **fields):
    from django.core.files.uploadedfile import SimpleUploadedFile

    form = {**fields, "action_id": str(uuid.uuid4()), "file": SimpleUploadedFile(name, text.encode("utf-8-sig"))}
    return officer.client.post(path, form)


def test_a_department_indicator_is_split_on_its_page(at, department):
    clerk = at("ys-jb")
    path = f"/indicators/{department.pk}/split/"
    form = {
        "kind": "split",
        "doc_no": "分1号",
        "note": "",
        "unit": ["101002", "101001", ""],
        "gov_economic_code": ["50502", "50201", "50502"],
        "payment_mode": ["12", "12", "12"],
        "amount": ["60.00", "40.00", ""],
        "then": "submit",
    }
    assert "可分配 ¥ 100.00" in clerk.get(path).content.decode()
    status, answer = clerk.post_json(path, form)
    assert status == 200 and answer["accepted"][0]["state"] == "in_review"
    page = clerk.post(path, {**form, "doc_no": "分2号", "amount": ["60.00", "x", ""]}).content.decode()
    assert "第 2 行" in page and 'value="60.00"' in page
    assert at("ys-fz").get(path).status_code == 403
    assert clerk.get(f"/indicators/{world.indicator('I1').pk}/split/").status_code == 404


def test_one_new_indicator_is_written_on_its_page(at):
    form = {
        **{"kind": "initial", "doc_no": "初1", "note": "", "layer": "unit", "unit_code": "101002", "amount": "1.00"},
        **{"function_code": "2050204", "gov_economic_code": "50502", "fund_nature": "11", "payment_mode": "12"},
        **{"source": "upper", "source_level": "2", "upper_doc_no": "省1", "received_on": "2026-06-01"},
        **{"sanbao": "running", "direct_fund": "01", "benefit": "none", "budget_class": "", "procurement": "1"},
    }
    status, _ = at("ys-jb").post_json("/indicators/documents/new-indicator/", form)
    assert status == 200
    line = IndicatorDocument.objects.get().lines.get()
    assert (line.upper_doc_no, line.source_level, line.direct_fund, line.procurement) == ("省1", 2, "01", True)
    page = at("ys-jb").post("/indicators/documents/new-indicator/", {**form, "doc_no": "2", "received_on": "x"})
    assert page.status_code == 422 and "收文日期" in page.content.decode()


def test_faulty_rows_come_back_in_a_file_of_the_same_form(at):
    head = "单位编码,资金性质,功能分类,政府经济分类,支付方式,金额"
    rows = "101002,11,2050204,50502,12,100.00\n999999,11,2050204,50502,12,1.00\n"
    clerk = at("ys-jb")
    response = upload(
        clerk, "/indicators/import/", "指标.csv", f"{head}\n{rows}", kind="initial", doc_no="年初", note=""
    )
    page = response.content.decode()
    assert response.status_code == 422 and "预算单位 999999 不存在" in page and 'download="指标-错误.csv"' in page
    link = re.search(r'href="data:text/csv;base64,([^"]*)"', page)
    assert link is not None
    lines = base64.b64decode(link[1].replace("&#x2B;", "+")).decode("utf-8-sig").splitlines()
    assert lines[0] == head + ",错误" and lines[1].endswith("100.00,") and lines[2].endswith("不存在。")
    assert IndicatorDocument.objects.count() == 0

    rows = rows.splitlines()[0]
    response = upload(
        clerk, "/indicators/import/", "指标.csv", f"{head}\n{rows}", kind="initial", doc_no="年初", note=""
    )
    assert response.status_code == 303 and IndicatorDocument.objects.get().amount == D("100.00")
    assert clerk.post("/indicators/import/", {"kind": "initial", "doc_no": "x"}).status_code == 422


def test_code_tables_are_brought_and_copied_on_their_page(at):
    clerk = at("ys-jb")
    response = upload(clerk, "/codes/", "码.csv", "编码,名称\n30197,新\n", kind="dept_economic", year="2026")
    assert response.status_code == 303
    assert ClassificationCode.objects.get(fiscal_year=2026, code="30197").name == "新"
    assert "30197" in clerk.get("/codes/?year=2026&kind=dept_economic").content.decode()
    assert clerk.post("/codes/", {"from_year": "2026", "year": "2027"}).status_code == 303
    assert ClassificationCode.objects.filter(fiscal_year=2027, code="30197").exists()
    assert clerk.post("/codes/", {"from_year": "2026", "year": "x"}).status_code == 422
    assert upload(at("ys-fz"), "/codes/", "码.csv", "编码,名称\n1,x\n", kind="function", year="2026").status_code == 403


def test_the_ledger_shows_a_moment(at):
    path = f"/indicators/{world.indicator('I5').pk}/"
    clerk = at("u205001-jb")
    assert "可用 ¥ 500,000.00" in clerk.get(path).content.decode()
    before = clerk.get(path + "?at=2026-06-15T08:59:59").content.decode()
    assert "可用 ¥ 0.00" in before and "此后的 1 笔变动没有计入" in before
    assert "可用 ¥ 500,000.00" in clerk.get(path + "?at=2026-06-15T09:00").content.decode()
    for nonsense in ("x", "2026-13-45T99:99", "%00"):
        assert "时刻应写作" in clerk.get(f"{path}?at={nonsense}").content.decode()


def test_plans_are_reduced_and_given_up_on_their_page(at):
    clerk = at("u205001-jb")
    form = {"indicator": str(world.indicator("I6").pk), "month": "6", "amount": "100.00", "kind": "reduce"}
    pk = clerk.post_json("/plans/new/", form)[1]["accepted"][0]["id"]
    assert SpendingPlan.objects.get(pk=pk).kind == "reduce"
    assert "调减" in clerk.get("/plans/").content.decode()
    assert clerk.post_json("/plans/cancel/", {"ids": pk})[1]["accepted"][0]["state"] == "cancelled"
    assert clerk.post_json("/plans/new/", {**form, "kind": "x"})[0] == 422


def test_a_month_is_ended_on_the_page_of_plans_where_plans_do_not_roll_over(at):
    reconciler = at("gk-dz")
    assert "月末失效" not in reconciler.get("/plans/").content.decode()
    assert reconciler.post_json("/plans/lapse/", {"month": "6"})[0] == 409
    BudgetYear.objects.update(plan_validity="month")
    assert "月末失效" in reconciler.get("/plans/").content.decode()
    status, answer = reconciler.post_json("/plans/lapse/", {"month": "6"})
    assert status == 200 and len(answer["accepted"]) == 8
    assert "调减" in at("gk-jh").get("/plans/review/").content.decode()
    assert at("gk-jh").post_json("/plans/lapse/", {"month": "6"})[0] == 403


def test_a_year_is_ended_on_its_page(at):
    """Every button once: the list of quotas, the bank's and the unit's word, proposals, approval; and the refusal."""
    reconciler, clerk, approver = at("gk-dz"), at("ys-jb"), at("ys-fz")
    assert reconciler.post("/year-end/propose/", {"what": "cancellations"}).status_code == 303
    row = QuotaCancellation.objects.get(quota__indicator__indicator_no="I1")
    field = {f"amount-{row.pk}": "80000.00"}
    assert at("u101001-jb").post_json("/year-end/cancellations/", {"do": "unit", **field})[0] == 200
    assert reconciler.post_json("/year-end/cancellations/", {"do": "bank", "list_no": "ZX1", **field})[0] == 200
    assert reconciler.post_json("/year-end/cancellations/", {"do": "bank", "list_no": "ZX1"})[0] == 422
    done = reconciler.post_json("/year-end/cancellations/", {"do": "apply", "ids": str(row.pk)})
    assert done[0] == 200 and done[1]["accepted"][0]["no"] == "I1"
    assert "已注销" in reconciler.get("/year-end/").content.decode()

    assert clerk.post("/year-end/propose/", {}).status_code == 303
    carry = CarryOver.objects.get(indicator__indicator_no="I5")
    less = {"carry_over": str(carry.pk), "amount": "1.00", "reason": "尾款"}
    assert clerk.post_json("/year-end/carry-over/", less)[0] == 200
    assert (
        clerk.post_json("/year-end/carry-over/", {**less, "amount": "500000.01"})[1]["refused"][0]["field"] == "amount"
    )
    decided = approver.post_json("/year-end/decide/", {"ids": str(carry.pk), "decision": "approve"})
    assert decided[1]["accepted"][0]["no"] == "I5"

    chief = at("gk-kz")
    page = chief.get("/year-end/").content.decode()
    assert "还不能年结" in page and "本年度还有未办的工作日" in page
    assert chief.post_json("/year-end/close/", {})[1]["refused"][0]["code"] == "year_not_closable"
    assert chief.get("/year-end/?year=2025").status_code == 200
    assert BudgetYear.objects.get(fiscal_year=2026).state == "open"
    assert at("u205001-jb").get("/year-end/").content.decode().count("I1</a>") == 0


def test_a_department_indicator_is_neither_planned_nor_paid(at, department):
    clerk = at("u101001-jb")
    form = {"indicator": str(department.pk), "month": "6", "amount": "1.00"}
    assert clerk.post_json("/plans/new/", form)[0] == 404
    assert str(department.pk) not in clerk.get("/payments/new/").content.decode()
    assert BudgetIndicator.objects.get(pk=department.pk).amount_planned == D("0.00")
