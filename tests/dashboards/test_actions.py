"""Buttons: once and only once, findings at their fields, what was typed kept, answers for people and for programs."""

import uuid
from decimal import Decimal
from typing import Any

import pytest

from demo import world
from payments.models import PaymentDetail, PaymentRequest
from tests.acts import books, draft, fresh, statements, submit


def payment_form(indicator: str, amount: str = "100.00", **changes: str) -> dict[str, str]:
    return {
        "indicator": str(world.indicator(indicator).pk),
        "business_type": "1",
        "settlement": "2",
        "dept_economic_code": "30201",
        "purpose": "办公用品",
        "lines-0-payee_name": "临江市晨光办公用品公司",
        "lines-0-payee_account_no": "6230000000000101",
        "lines-0-payee_bank_name": "丙银行临江支行",
        "lines-0-amount": amount,
    } | changes


# Logging in ---------------------------------------------------------------------------------------------------------


def test_a_wrong_password_does_not_tell_what_was_wrong(client, city):
    for username in ("u101001-jb", "nobody", "\0"):
        response = client.post("/login/", {"username": username, "password": "wrong"})
        assert response.status_code == 401 and "用户名或密码不正确" in response.content.decode()


def test_logging_in_leads_back_to_our_own_pages_only(client, city):
    form = {"username": "u101001-jb", "password": world.PASSWORD}
    assert client.post("/login/", form | {"next": "/payments/"})["location"] == "/payments/"
    client.post("/logout/")
    assert client.post("/login/", form | {"next": "https://elsewhere.example/"})["location"] == "/"


def test_a_program_logs_in_with_the_same_form(client, city):
    form = {"username": "gk-sh", "password": world.PASSWORD}
    answer = client.post("/login/", form, headers={"accept": "application/json"})
    assert answer.json()["accepted"][0]["state"] == "logged_in" and "sessionid" in client.cookies


# Writing down -------------------------------------------------------------------------------------------------------


def test_a_clerk_writes_a_request_down_and_submits_it(at):
    response = at("u101001-jb").post("/payments/new/", payment_form("I1", then="submit"))
    request = PaymentRequest.objects.get(state="in_review")
    assert response.status_code == 303 and response["location"].startswith(f"/payments/{request.pk}/?done=")
    page = at("u101001-jb").get(response["location"]).content.decode()
    assert "已提交，进入审核" in page and "壹佰元整" in page and "单位复核" in page


def test_pressing_twice_acts_once(at):
    action, form = str(uuid.uuid4()), payment_form("I1", then="submit")
    first = at("u101001-jb").post_json("/payments/new/", form, action_id=action)
    again = at("u101001-jb").post_json("/payments/new/", form, action_id=action)
    assert first == again and first[0] == 200
    assert PaymentRequest.objects.filter(imported=False).count() == 1
    assert books("I1")["reserved"] == "100.00"


def test_the_same_id_with_other_content_is_refused(at):
    action = str(uuid.uuid4())
    at("u101001-jb").post("/payments/new/", payment_form("I1"), action_id=action)
    status, answer = at("u101001-jb").post_json("/payments/new/", payment_form("I1", "999.00"), action_id=action)
    assert status == 409 and answer["refused"][0]["code"] == "idempotency_mismatch"
    assert at("u101001-jb").post("/payments/new/", payment_form("I1", "999.00"), action_id=action).status_code == 409


@pytest.mark.parametrize("action", ["", "1", "not-a-uuid", "\0"])
def test_a_form_without_its_id_does_nothing(at, action):
    officer = at("u101001-jb")
    response = officer.client.post("/payments/new/", payment_form("I1") | {"action_id": action})
    assert response.status_code == 422
    assert not PaymentRequest.objects.filter(imported=False).exists()


@pytest.mark.parametrize("amount", ["1e3", "1,000.00", "１００.00", "100", "100.005", "-1.00", "NaN", "", "9" * 20])
def test_an_odd_amount_is_named_and_what_was_typed_stays(at, amount):
    response = at("u101001-jb").post("/payments/new/", payment_form("I1", amount, purpose="保留的用途"))
    page = response.content.decode()
    assert response.status_code == 422
    assert 'href="#lines-0-amount"' in page and "保留的用途" in page and "6230000000000101" in page
    status, answer = at("u101001-jb").post_json("/payments/new/", payment_form("I1", amount))
    assert status == 422 and answer["refused"][0]["field"] == "details.1.amount"


def test_every_finding_is_shown_at_its_field(at):
    form = payment_form("I1", purpose=" ", **{"lines-0-payee_name": "", "lines-0-payee_account_no": "账号"})
    page = at("u101001-jb").post("/payments/new/", form).content.decode()
    assert "有 3 处需要修改" in page
    for field in ("purpose", "lines-0-payee_name", "lines-0-payee_account_no"):
        assert f'href="#{field}"' in page


@pytest.mark.parametrize("field", ["purpose", "contract_no", "cash_reason", "lines-0-remark", "lines-0-payee_name"])
def test_control_characters_are_a_finding_not_an_error(at, field):
    assert at("u101001-jb").post("/payments/new/", payment_form("I1", **{field: "a\0b"})).status_code == 422


def test_too_little_money_keeps_the_draft_and_says_how_much_there_is(at):
    officer = at("u101001-jb")
    response = officer.post("/payments/new/", payment_form("I1", "99999999.00", then="submit"))
    request = PaymentRequest.objects.get(state="draft")
    assert response["location"].startswith(f"/payments/{request.pk}/edit/")
    page = officer.get(response["location"]).content.decode()
    assert "指标可用余额" in page and "授权额度余额" in page and "99999999.00" in page
    status, answer = officer.post_json("/payments/submit/", {"ids": str(request.pk)})
    assert status == 422 and [item["code"] for item in answer["refused"]] == ["indicator_exceeded", "quota_exceeded"]


def test_another_units_indicator_is_not_found(at):
    status, answer = at("u205001-jb").post_json("/payments/new/", payment_form("I1"))
    assert (status, answer["refused"][0]["code"]) == (404, "not_found")


def test_lines_come_and_go_without_being_saved(at):
    officer = at("u101001-jb")
    more = officer.client.post("/payments/form-lines/", payment_form("I1") | {"add": "1"}).content.decode()
    assert 'name="lines-1-amount"' in more and "6230000000000101" in more
    two = payment_form("I1") | {"lines-1-payee_name": "第二人", "remove": "0"}
    fewer = officer.client.post("/payments/form-lines/", two).content.decode()
    assert "第二人" in fewer and "6230000000000101" not in fewer
    assert not PaymentRequest.objects.filter(imported=False).exists()


def test_the_balance_shows_what_is_left_after_this_request(at):
    indicator = world.indicator("I1")
    path = f"/payments/balance/?indicator={indicator.pk}&lines-0-amount=1000.50&lines-1-amount=x"
    page = at("u101001-jb").get(path).content.decode()
    assert f"{indicator.amount_available:,.2f}" in page and "1,000.50" in page
    assert f"{indicator.amount_available - Decimal('1000.50'):,.2f}" in page
    assert "壹仟元伍角整" in page and 'hx-swap-oob="true"' in page


def test_a_draft_is_changed_and_given_up(at):
    request = draft("I1", "100.00")
    officer = at("u101001-jb")
    assert officer.get(f"/payments/{request.pk}/edit/").status_code == 200
    officer.post(f"/payments/{request.pk}/edit/", payment_form("I1", "70.00"))
    assert str(fresh(request)[0].amount) == "70.00"
    officer.post("/payments/cancel/", {"ids": str(request.pk)})
    assert fresh(request)[0].state == "voided"
    assert officer.get(f"/payments/{request.pk}/edit/").status_code == 409


def test_failed_rows_are_repeated_with_a_correction(at):
    request = draft("I2", "10.00", "20.00")
    details = list(PaymentDetail.objects.filter(request=request).order_by("seq"))
    PaymentDetail.objects.filter(pk=details[1].pk).update(state="failed")
    officer = at("u101002-jb")
    page = officer.get(f"/payments/{request.pk}/reissue/").content.decode()
    assert str(details[1].pk) in page and str(details[0].pk) not in page
    status, answer = officer.post_json(
        f"/payments/{request.pk}/reissue/", {"lines-0-payee_account_no": "6230000000010033", "purpose": "重发"}
    )
    assert status == 200
    again = PaymentRequest.objects.get(pk=answer["accepted"][0]["id"])
    assert again.reissue_of_id == request.pk and str(again.amount) == "20.00"
    assert again.details.get().payee_account_no == "6230000000010033"
    assert officer.get(f"/payments/{request.pk}/reissue/").status_code == 409


# Deciding -----------------------------------------------------------------------------------------------------------


def test_many_are_approved_at_once_and_each_is_answered_for(at):
    good, other = draft("I1", "100.00"), draft("I1", "200.00")
    submit(good, other)
    missing = str(uuid.uuid4())
    reviewer = at("u101001-fh")
    response = reviewer.post("/review/approve/", {"ids": [str(good.pk), str(other.pk), missing]})
    page = reviewer.get(response["location"]).content.decode()
    assert "2 笔成功，1 笔未办" in page and good.request_no in page and "not_found" in page
    assert {r.state for r in fresh(good, other)} == {"approved"}


def test_a_return_needs_a_coded_reason_and_keeps_what_was_ticked(at):
    request = draft("I1", "100.00")
    submit(request)
    reviewer = at("u101001-fh")
    response = reviewer.post("/review/return/", {"ids": str(request.pk), "reason_code": "other", "reason": ""})
    assert response.status_code == 422 and "请写明原因" in response.content.decode()
    reviewer.post("/review/return/", {"ids": str(request.pk), "reason_code": "attachment", "reason": "缺发票"})
    assert fresh(request)[0].state == "returned"
    page = at("u101001-jb").get(f"/payments/{request.pk}/edit/").content.decode()
    assert "附件不全或不清" in page and "缺发票" in page


def test_the_pane_alone_comes_for_htmx(at):
    request = draft("I1", "100.00")
    submit(request)
    pane = at("u101001-fh").get(f"/review/?sel={request.pk}", hx_request="true", hx_target="pane").content.decode()
    assert pane.lstrip().startswith('<section id="pane"') and "壹佰元整" in pane and "<html" not in pane


def test_nothing_ticked_or_too_much_is_said_in_words(at):
    for path in ("/review/approve/", "/review/reject/"):
        status, answer = at("u101001-fh").post_json(path, {})
        assert (status, answer["refused"][0]["code"]) == (422, "nothing_selected")
    many = {"ids": [str(uuid.uuid4()) for _ in range(501)]}
    status, answer = at("u101001-fh").post_json("/review/approve/", many)
    assert (status, answer["refused"][0]["code"]) == (422, "too_many_selected")


def test_somebody_elses_button_is_refused_with_the_post_it_needs(at):
    request = draft("I1", "100.00")
    submit(request)
    status, answer = at("u101001-jb").post_json("/review/approve/", {"ids": str(request.pk)})
    assert status == 403 and "单位复核" in answer["refused"][0]["message"]


def test_the_queue_asks_the_database_the_same_number_of_questions_for_any_number_of_rows(at):
    reviewer = at("u101001-fh")
    first = draft("I1", "10.00")
    submit(first)
    reviewer.get("/review/")
    with statements() as few:
        reviewer.get(f"/review/?sel={first.pk}")
    submit(*[draft("I1", "10.00", "5.00") for _ in range(12)])
    with statements() as many:
        page = reviewer.get(f"/review/?sel={first.pk}").content.decode()
    assert page.count("data-row") == 13
    assert len(many) == len(few)


# Budget and days ----------------------------------------------------------------------------------------------------


def change(**changes: Any) -> dict[str, str]:
    form = {"indicator": str(world.indicator("I5").pk), "kind": "add", "doc_no": "临财预88号", "amount": "50000.00"}
    return form | {"note": "", "then": "submit", **changes}


def test_one_writes_a_document_another_approves_and_it_is_issued(at):
    status, answer = at("ys-jb").post_json("/indicators/documents/new/", change())
    pk = answer["accepted"][0]["id"]
    ids = {"ids": pk, "decision": "approve"}
    assert status == 200
    assert at("ys-jb").post_json("/indicators/documents/decide/", ids)[0] == 403
    assert "临财预88号" in at("ys-fz").get("/indicators/documents/").content.decode()
    assert at("ys-fz").post_json("/indicators/documents/decide/", ids)[1]["accepted"][0]["state"] == "approved"
    assert at("ys-jb").post_json("/indicators/documents/issue/", ids)[1]["accepted"][0]["state"] == "issued"
    page = at("ys-fz").get(f"/indicators/documents/{pk}/").content.decode()
    assert "韩明哲" in page and "下达" in page
    assert str(world.indicator("I5").amount_total) == "850000.00"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"kind": "x"}, "kind"), ({"doc_no": ""}, "doc_no"), ({"amount": "1,0"}, "lines.1.amount")],
)
def test_a_faulty_document_names_its_field(at, changes, field):
    status, answer = at("ys-jb").post_json("/indicators/documents/new/", change(**changes))
    assert status == 422 and answer["refused"][0]["field"] == field
    response = at("ys-jb").post("/indicators/documents/new/", change(**changes) | {"note": "保留的说明"})
    assert response.status_code == 422 and "保留的说明" in response.content.decode()


def test_a_plan_goes_from_the_unit_to_a_sealed_notice(at):
    form = {"indicator": str(world.indicator("I5").pk), "month": "6", "amount": "120000.00", "then": "submit"}
    plan = at("u205001-jb").post_json("/plans/new/", form)[1]["accepted"][0]["id"]
    for reviewer in ("u205001-fh", "xzzf-sh", "gk-jh"):
        assert at(reviewer).get("/plans/review/").status_code == 200
        assert at(reviewer).post_json("/plans/review/approve/", {"ids": plan})[0] == 200
    made = at("gk-zd").post_json("/plans/notices/issue/", {"ids": plan})[1]["accepted"][0]
    status, answer = at("gk-yz").post_json("/plans/notices/seal/", {"ids": made["notice"]})
    assert status == 200 and len(answer["accepted"]) == 1
    assert "等待银行到账通知" in at("gk-zd").get("/plans/notices/").content.decode()


def test_a_day_that_cannot_be_closed_says_everything_that_is_in_the_way(at):
    status, answer = at("gk-dz").post_json("/reconciliation/close/", {"date": world.DAY.isoformat()})
    assert (status, answer["refused"][0]["code"]) == (409, "day_not_closable")
    page = at("gk-dz").get("/reconciliation/").content.decode()
    assert "还不能日结" in page and "sheets_missing" in page
    assert at("gk-dz").post_json("/reconciliation/match/", {"date": "2026-06-16"})[0] == 409
    assert at("gk-dz").post_json("/reconciliation/match/", {})[0] == 200
    assert at("gk-kz").post_json("/reconciliation/match/", {})[0] == 403


def test_a_second_day_waits_for_the_first(real_at):
    at = real_at
    status, answer = at("gk-dz").post_json("/days/", {"date": "2026-06-16", "cut_off": "14:00"})
    assert (status, answer["refused"][0]["code"]) == (409, "conflict")
    for form in ({"date": "x"}, {"date": "2026-06-16", "cut_off": "25:00"}, {"date": "2026-06-16", "cut_off": "１:00"}):
        assert at("gk-dz").post("/days/", form).status_code == 422


def test_interactive_steps_take_few_questions(at):
    """Opening the queue, and approving one request from it; sessions and savepoints included."""
    request = draft("I1", "10.00")
    submit(request)
    reviewer = at("u101001-fh")
    reviewer.get("/review/")
    with statements() as opening:
        reviewer.get("/review/")
    with statements() as approving:
        reviewer.post("/review/approve/", {"ids": str(request.pk)})
    assert len(opening) <= 36 and len(approving) <= 38, (len(opening), len(approving))
