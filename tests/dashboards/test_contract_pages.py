"""The pages of contracts and projects: what people type, who decides, and what the payment form says of a contract."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contracts.models import Acceptance, Contract, InvestmentProject, ProgressCertificate, SupplementaryContract
from demo import world
from tests.acts import submit
from tests.contracts import builders as b

D = Decimal


def form(**changes):
    return {
        "contract_no": "C-1",
        "title": "实验耗材",
        "signed_on": "2026-06-01",
        "total": "100000.00",
        "procurement_id": "LJZC-1",
        "prepayment_cap": "30",
        "interim_cap": "97.5",
        "supplier_name": "临江市恒信物资公司",
        "supplier_credit_code": "91990100MA0HXWK808",
        "accounts-0-account_no": "6230000000000808",
        "accounts-0-bank_name": "丙银行临江支行",
        "terms-0-stage": "首付款",
        "terms-0-ratio": "30",
        "terms-0-condition": "signed",
        "terms-1-stage": "验收款",
        "terms-1-amount": "70000.00",
        "terms-1-condition": "accepted",
        "terms-2-condition": "signed",
        "allocations-0-indicator": "I4",
        "allocations-0-amount": "100000.00",
        "allocations-1-indicator": "",
        "allocations-1-amount": "",
    } | changes


def test_a_contract_is_written_filed_accepted_and_paid_on_the_pages(at):
    status, answer = at("u101002-jb").post_json("/contracts/new/", form())
    assert (status, answer["accepted"][0]["state"]) == (200, "draft")
    contract = Contract.objects.get(contract_no="C-1")
    assert (contract.interim_cap, [t.amount for t in contract.terms.all()]) == (
        D("0.9750"),
        [D("30000.00"), D("70000.00")],
    )

    page = at("jkw-sh").get("/").content.decode()
    assert "采购合同待备案" in page
    status, answer = at("jkw-sh").post_json("/contracts/decide/", {"ids": str(contract.pk), "step": "file"})
    assert (status, answer["accepted"][0]["state"]) == (200, "filed")

    payment = at("u101002-jb").get(f"/payments/new/?contract={contract.pk}").content.decode()
    for said in ("临江市恒信物资公司", "6230000000000808", "按条款现可支付", "办后合同还剩", "30,000.00"):
        assert said in payment
    fields = {"certificate_no": "YS-1", "amount": "100000.00", "accepted_on": "2026-06-15", "accepted_by": "陈志远"}
    status, _ = at("u101002-fh").post_json(f"/contracts/{contract.pk}/accept/", fields | {"final": "1"})
    assert (status, Acceptance.objects.get(contract=contract).final, b.fresh(contract).state) == (200, True, "accepted")
    page = at("u101002-jb").get(f"/contracts/{contract.pk}/").content.decode()
    assert "100,000.00" in page and "最终验收" in page


def test_the_form_comes_back_with_every_finding_at_its_field(at):
    response = at("u101002-jb").post(
        "/contracts/new/", form(total="1e5", **{"terms-1-ratio": "x", "allocations-0-amount": "-1.00"})
    )
    page = response.content.decode()
    assert response.status_code == 422
    for field in ("total", "terms-1-ratio", "allocations-0-amount"):
        assert f'href="#{field}"' in page and f'id="e-{field}"' in page
    assert 'value="1e5"' in page and 'value="实验耗材"' in page
    assert not Contract.objects.filter(contract_no="C-1").exists()


def test_a_row_more_is_drawn_and_nothing_is_saved(at):
    page = at("u101002-jb").post("/contracts/form-rows/", form(add="terms")).content.decode()
    assert 'name="terms-3-stage"' in page and 'name="terms-4-stage"' not in page and 'value="首付款"' in page
    page = at("u101002-jb").post("/contracts/form-rows/", form(add="accounts")).content.decode()
    assert 'name="accounts-1-account_no"' in page
    assert not Contract.objects.filter(contract_no="C-1").exists()


def test_a_draft_is_opened_as_it_was_written_and_a_filed_one_is_not_opened(at):
    at("u101002-jb").post_json("/contracts/new/", form())
    contract = Contract.objects.get(contract_no="C-1")
    page = at("u101002-jb").get(f"/contracts/{contract.pk}/edit/").content.decode()
    for value in ("C-1", "97.5", "2026-06-01", "70000.00", "6230000000000808"):
        assert f'value="{value}"' in page
    status, _ = at("u101002-jb").post_json(f"/contracts/{contract.pk}/edit/", form(title="改名"))
    assert (status, b.fresh(contract).title) == (200, "改名")
    b.decide("file", contract).raise_if_refused()
    assert at("u101002-jb").get(f"/contracts/{contract.pk}/edit/").status_code == 409


def test_another_units_contract_is_not_found_and_an_unknown_one_neither(at):
    contract = Contract.objects.get(contract_no="C-2026-009")
    for pk in (contract.pk, uuid4()):
        assert at("u101002-jb").get(f"/contracts/{pk}/").status_code == 404
        assert at("u101002-jb").get(f"/contracts/{pk}/edit/").status_code == 404
    page = at("u101002-jb").get("/contracts/").content.decode()
    assert "C-2026-017" in page and "C-2026-009" not in page
    assert "C-2026-009" in at("gk-sh").get(f"/contracts/{contract.pk}/").content.decode()


def test_an_acceptance_that_is_refused_says_why_on_the_same_page(at):
    contract = b.filed()
    fields = {"certificate_no": "YS-1", "amount": "100000.01", "accepted_on": "2026-06-15", "accepted_by": "陈志远"}
    response = at("u101002-fh").post(f"/contracts/{contract.pk}/accept/", fields)
    assert response.status_code == 422
    page = response.content.decode()
    assert 'value="YS-1"' in page and 'href="#accept-amount"' in page and 'id="e-accept-amount"' in page
    assert not Acceptance.objects.filter(contract=contract).exists()


def test_a_supplement_is_written_and_decided_on_the_pages(at):
    contract = b.filed()
    fields = {
        "supplement_no": "B-1",
        "signed_on": "2026-06-15",
        "reason": "增加品目",
        "amount_change": "-5000.00",
        "allocations-0-indicator": "I4",
        "allocations-0-amount": "-5000.00",
    }
    refused = at("u101002-jb").post(f"/contracts/{contract.pk}/supplement/", fields | {"amount_change": "-1"})
    assert refused.status_code == 422 and 'value="增加品目"' in refused.content.decode()
    status, _ = at("u101002-jb").post_json(f"/contracts/{contract.pk}/supplement/", fields)
    supplement = SupplementaryContract.objects.get()
    assert (status, supplement.amount_change) == (200, D("-5000.00"))

    assert "补充合同待审批" in at("jkw-sh").get("/").content.decode()
    assert contract.contract_no in at("jkw-sh").get("/contracts/?state=supplement").content.decode()
    decision = {"supplement": str(supplement.pk), "decision": "approve"}
    status, answer = at("jkw-sh").post_json(f"/contracts/{contract.pk}/supplement/decide/", decision)
    assert (status, answer["accepted"][0]["state"]) == (200, "approved")
    assert "95,000.00" in at("u101002-jb").get(f"/contracts/{contract.pk}/").content.decode()


def test_a_project_from_the_form_to_its_ledger(at):
    b.works_indicator()
    fields = {
        "code": "2026-990100-01",
        "name": "市一中教学楼",
        "approval_no": "临发改〔2026〕8号",
        "approved_estimate": "1000000.00",
        "retention_ratio": "5",
        "retention_until": "2027-12-31",
        "sources-0-source": "市本级预算",
        "sources-0-amount": "1000000.00",
        "indicators": "I11",
    }
    refused = at("u101002-jb").post("/projects/new/", fields | {"sources-0-amount": "1.00"})
    assert refused.status_code == 422 and "合计须等于批准概算" in refused.content.decode()
    status, _ = at("u101002-jb").post_json("/projects/new/", fields)
    project = InvestmentProject.objects.get()
    assert (status, project.retention_ratio) == (200, D("0.0500"))
    status, answer = at("jkw-sh").post_json(f"/projects/{project.pk}/decide/", {"step": "approve"})
    assert (status, answer["accepted"][0]["state"]) == (200, "approved")

    contract = b.works(of=project)
    fields = {
        "certificate_no": "JD-1",
        "period": "2026-05",
        "amount": "300000.00",
        "certified_on": "2026-06-10",
        "certified_by": "监理 方工",
    }
    refused = at("u101002-fh").post(f"/contracts/{contract.pk}/certify/", fields | {"period": "5月"})
    assert refused.status_code == 422
    status, _ = at("u101002-fh").post_json(f"/contracts/{contract.pk}/certify/", fields)
    assert (status, ProgressCertificate.objects.get().cumulative) == (200, D("300000.00"))
    submit(b.payment(contract, "200000.00", indicator="I11", business_type="9")).raise_if_refused()

    page = at("jkw-sh").get(f"/projects/{project.pk}/").content.decode()
    for said in ("1,000,000.00", "800,000.00", "300,000.00", "15,000.00", "200,000.00", "85,000.00", "JD-1"):
        assert said in page, said
    listed = at("u101002-jb").get("/projects/").content.decode()
    assert "2026-990100-01" in listed
    assert at("u205001-jb").get(f"/projects/{project.pk}/").status_code == 404


def test_the_panel_beside_the_payment_says_when_it_is_too_much(at):
    contract = b.filed()
    query = f"indicator={world.indicator('I4').pk}&contract_no={contract.contract_no}&lines-0-amount="
    page = at("u101002-jb").get(f"/payments/balance/?{query}30000.00").content.decode()
    assert "70,000.00" in page and "超过合同现可支付" not in page
    page = at("u101002-jb").get(f"/payments/balance/?{query}30000.01").content.decode()
    assert "超过合同现可支付" in page
    assert "合同金额" not in at("u101002-jb").get(f"/payments/balance/?{query}1.00&contract_no=X").content.decode()


@pytest.mark.parametrize(
    ("who", "path", "fields"),
    [
        ("u101002-fh", "/contracts/new/", form()),
        ("gk-sh", "/contracts/decide/", {"step": "file"}),
        ("u101002-jb", "/contracts/{pk}/accept/", {}),
        ("u101002-jb", "/contracts/{pk}/certify/", {}),
        ("u101002-fh", "/contracts/{pk}/supplement/", {}),
        ("u101002-jb", "/contracts/{pk}/supplement/decide/", {}),
        ("jkw-sh", "/projects/new/", {}),
        ("u101002-jb", "/projects/{pk}/decide/", {}),
    ],
)
def test_a_button_of_somebody_else_is_refused_with_the_post_it_needs(at, who, path, fields):
    contract = Contract.objects.get(contract_no="C-2026-017")
    status, answer = at(who).post_json(path.format(pk=contract.pk), fields | {"ids": str(contract.pk)})
    assert (status, answer["refused"][0]["code"]) == (403, "role_required")


@pytest.mark.parametrize("fields", [{}, {"step": "burn"}, {"step": "terminate"}])
def test_a_step_without_sense_is_answered_in_words(at, fields):
    contract = Contract.objects.get(contract_no="C-2026-017")
    status, answer = at("jkw-sh").post_json("/contracts/decide/", fields | {"ids": str(contract.pk)})
    assert status == 422 and answer["refused"][0]["message"]
    assert b.fresh(contract).state == "performing"


def test_pages_ask_the_database_no_more_for_many_contracts(at):
    b.filed()
    officer = at("u101002-jb")
    officer.get("/contracts/")
    with CaptureQueriesContext(connection) as few:
        officer.get("/contracts/")
    for number in range(2, 8):
        b.saved(f"C-{number}")
    with CaptureQueriesContext(connection) as many:
        officer.get("/contracts/")
    assert len(many) == len(few)
