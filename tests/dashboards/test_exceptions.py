"""The pages for what does not go as ordered: each button does its one thing, refusals are shown in words."""

from decimal import Decimal

import pytest

from demo import world
from payments import services
from payments.models import Correction, CutOffExemption, PaymentRequest, Recall, RefundCase
from tests import acts, corrected
from tests.bank import Partner
from tests.conftest import NOW

D = Decimal


@pytest.fixture
def bank_a(pki):
    return Partner(pki, world.BANK_A)


@pytest.fixture
def bank_b(pki):
    return Partner(pki, world.BANK_B)


@pytest.fixture
def case(city, bank_b):
    original = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)
    main = {"Id": "TK1", "PayBankCode": "103", "PayAcctNo": original.payer_account.account_no, "PayAmt": "-500.00"}
    line = {"Id": "1", "PayAmt": "-500.00", "PayeeAcctNo": "6230000000000612"}
    bank_b.send(bank_b.body(bank_b.content("2204", "TK1", main, [line]), 0))
    return RefundCase.objects.get()


def detail_of(case):
    return PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER).details.get()


def test_a_case_is_named_on_its_page_and_confirmed_by_another(at, case):
    page = at("u205001-jb").get(f"/refund-cases/{case.pk}/").content.decode()
    assert "退款账号即收款账号" in page and str(detail_of(case).pk) in page
    form = {"case": case.pk, "detail": detail_of(case).pk, "note": "来函"}
    status, answer = at("u205001-jb").post_json("/refund-cases/propose/", form)
    assert (status, answer["accepted"][0]["state"]) == (200, "proposed")

    status, answer = at("u205001-fh").post_json("/refund-cases/decide/", {"ids": case.pk, "decision": "confirm"})
    assert (status, answer["accepted"][0]["state"]) == (200, "identified")
    assert "已核定" in at("u205001-fh").get("/refund-cases/?state=identified").content.decode()
    payment = at("u205001-jb").get(f"/payments/{detail_of(case).request_id}/").content.decode()
    assert "部分退款" in payment


def test_a_case_page_says_what_is_missing(at, case):
    answer = at("u205001-jb").post("/refund-cases/propose/", {"case": case.pk, "detail": detail_of(case).pk})
    assert answer.status_code == 422 and "请写明认定依据" in answer.content.decode()
    assert at("u205001-jb").post("/refund-cases/propose/", {"case": "x"}).status_code in (404, 422)
    assert at("u101001-jb").get(f"/refund-cases/{case.pk}/").status_code == 404
    answer = at("u205001-fh").post("/refund-cases/decide/", {"ids": case.pk, "decision": "perhaps"})
    assert answer.status_code == 422
    assert "没有找到" in at("u205001-jb").get(f"/refund-cases/{case.pk}/?q=nobody").content.decode()


def test_a_correction_from_the_payment_to_pboc(at, bank_a):
    target = corrected.second_indicator()
    request = corrected.paid(bank_a)
    detail = request.details.get()
    assert f"/corrections/new/?detail={detail.pk}" in at("u101001-jb").get(f"/payments/{request.pk}/").content.decode()
    assert at("u101001-jb").get(f"/corrections/new/?detail={detail.pk}").status_code == 200
    form = {
        "detail": detail.pk,
        "indicator": target.pk,
        "dept_economic_code": "30201",
        "amount": "600.00",
        "reason": "科目用错",
        "then": "submit",
    }
    status, answer = at("u101001-jb").post_json("/corrections/new/", form)
    assert (status, answer["accepted"][0]["state"]) == (200, "in_review"), answer
    pk = Correction.objects.get().pk
    for who, path, state in (
        ("u101001-fh", "approve", "in_review"),
        ("jkw-sh", "approve", "in_review"),
        ("gk-sh", "approve", "approved"),
        ("gk-zd", "make", "vouchered"),
        ("gk-yz", "seal", "sealed"),
    ):
        assert str(pk) in at(who).get("/corrections/").content.decode()
        status, answer = at(who).post_json(f"/corrections/{path}/", {"ids": pk})
        assert (status, answer["accepted"][0]["state"]) == (200, state), answer
    voucher = Correction.objects.get().voucher
    for who, status in (("u101001-jb", 200), ("gk-zd", 200), ("u205001-jb", 404)):
        assert at(who).get(f"/vouchers/{voucher.pk}/").status_code == status
    assert "授权支付调整书" in at("u101001-jb").get(f"/vouchers/{voucher.pk}/").content.decode()
    assert voucher.voucher_no in at("u101001-jb").get("/vouchers/").content.decode()
    assert at("gk-zd").get("/").status_code == 200


def test_a_correction_that_cannot_be_says_why_at_its_field(at, bank_a):
    target = corrected.second_indicator(left="1.00")
    detail = corrected.paid(bank_a).details.get()
    form = {"detail": detail.pk, "indicator": target.pk, "dept_economic_code": "30201", "amount": "1e3", "reason": "x"}
    answer = at("u101001-jb").post("/corrections/new/", form)
    assert answer.status_code == 422 and "金额须为两位小数" in answer.content.decode()
    status, answer = at("u101001-jb").post_json("/corrections/new/", form | {"amount": "2.00", "then": "submit"})
    assert (status, answer["refused"][0]["code"]) == (422, "quota_exceeded")
    assert at("u101001-jb").get("/corrections/new/?detail=%00").status_code == 404
    assert at("u205001-jb").get(f"/corrections/new/?detail={detail.pk}").status_code == 404


def test_a_recall_is_asked_on_the_payment_and_agreed_to_in_the_list(at):
    request = acts.sent("I1", "100.00")
    assert "申请撤回" in at("u101001-jb").get(f"/payments/{request.pk}/").content.decode()
    status, answer = at("u101001-jb").post_json("/recalls/ask/", {"ids": request.pk, "reason": "账号有误"})
    assert status == 200, answer
    recall = Recall.objects.get()
    assert str(recall.pk) in at("gk-sh").get("/recalls/").content.decode()
    assert at("gk-sh").post("/recalls/decide/", {"ids": recall.pk, "decision": "reject"}).status_code == 422
    status, answer = at("gk-sh").post_json("/recalls/decide/", {"ids": recall.pk, "decision": "approve"})
    assert (status, answer["accepted"][0]["state"]) == (200, "asking")
    page = at("u101001-jb").get(f"/payments/{request.pk}/").content.decode()
    assert "待银行答复" in page and "申请撤回" not in page


def test_an_approved_request_is_given_up_and_a_salary_let_through(at):
    request, salary = acts.draft("I1", "5.00"), acts.draft("I2", "2000.00", business_type="3")
    for one in (request, salary):
        acts.submit(one).raise_if_refused()
        acts.approve_all(one)
    status, answer = at("u101001-jb").post_json("/payments/give-up/", {"ids": request.pk, "reason": "不付了"})
    assert (status, answer["accepted"][0]["state"]) == (200, "voided")
    status, answer = at("u101002-jb").post_json("/cut-off/ask/", {"ids": salary.pk, "reason": "当日到账"})
    assert status == 200, answer
    assert salary.request_no in at("gk-kz").get("/recalls/").content.decode()
    status, answer = at("gk-kz").post_json("/cut-off/approve/", {"ids": salary.pk})
    assert status == 200 and CutOffExemption.objects.get().approved_by_id is not None


def test_what_came_back_can_be_paid_again_from_the_page(at, bank_a):
    request = corrected.paid(bank_a)
    bank_a.send(bank_a.refund("TK1", request, 1, "250.00"))
    assert request.request_no in at("u101001-jb").get("/payments/?state=reissuable").content.decode()
    page = at("u101001-jb").get(f"/payments/{request.pk}/reissue/").content.decode()
    assert 'value="250.00"' in page


def test_nothing_waits_for_those_who_have_nothing_to_do(at):
    for who in ("u101001-jb", "gk-sh", "gk-zd", "gk-yz", "ys-jb"):
        for path in ("/recalls/", "/corrections/", "/refund-cases/", "/prior-year-refunds/"):
            assert at(who).get(path).status_code == 200
    assert services.order_refunds(adm_div_code=world.REGION, now=NOW) == []
