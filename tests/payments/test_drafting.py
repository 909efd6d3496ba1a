"""Writing a request down: every bad field named, foreign money invisible, drafts changeable and nothing else."""

from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from core.errors import TreasuryError, ValidationFailed
from demo import world
from payments import services
from payments.models import PaymentDetail, PaymentRequest
from tests import acts
from tests.conftest import NOW

D = Decimal


def save(*inputs, who="u101001-jb", **more):
    return services.save_drafts(inputs=inputs, clerk=world.officer(who), now=NOW, **more)


def refused(act, *arguments, **named):
    with pytest.raises(TreasuryError) as refusal:
        act(*arguments, **named)
    return refusal.value


def test_a_draft_takes_unit_account_and_method_from_the_indicator(city):
    request = acts.draft("I4", "1.00", "2.50")

    assert (request.request_no, request.state, request.amount) == ("SQD2026000001", "draft", D("3.50"))
    assert (request.unit.code, request.payment_mode, request.payer_account.account_no) == (
        "101002",
        "11",
        world.ACCOUNT_FINANCE_A,
    )
    assert [d.seq for d in request.details.all()] == [1, 2]
    assert acts.books("I4")["reserved"] == "0.00"


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        ({"amount": D("0.00")}, "amount_invalid", "details.1.amount"),
        ({"amount": D("-1.00")}, "amount_invalid", "details.1.amount"),
        ({"amount": D("100.005")}, "amount_invalid", "details.1.amount"),
        ({"amount": D("NaN")}, "amount_invalid", "details.1.amount"),
        ({"amount": D("Infinity")}, "amount_invalid", "details.1.amount"),
        ({"amount": D("1e14")}, "amount_invalid", "details.1.amount"),
        ({"amount": 1.5}, "amount_invalid", "details.1.amount"),
        ({"payee_name": ""}, "field_invalid", "details.1.payee_name"),
        ({"payee_name": "   "}, "field_invalid", "details.1.payee_name"),
        ({"payee_name": "甲" * 31}, "field_invalid", "details.1.payee_name"),
        ({"payee_name": "a\nb"}, "field_invalid", "details.1.payee_name"),
        ({"payee_name": "甲\u200b乙"}, "field_invalid", "details.1.payee_name"),
        ({"payee_name": "🙂"}, "field_invalid", "details.1.payee_name"),
        ({"payee_name": "a\x00b"}, "field_invalid", "details.1.payee_name"),
        ({"payee_account_no": ""}, "field_invalid", "details.1.payee_account_no"),
        ({"payee_account_no": "62 30"}, "field_invalid", "details.1.payee_account_no"),
        ({"payee_account_no": "６２３０"}, "field_invalid", "details.1.payee_account_no"),
        ({"payee_account_no": "1" * 33}, "field_invalid", "details.1.payee_account_no"),
        ({"payee_account_no": "1234\n"}, "field_invalid", "details.1.payee_account_no"),
        ({"payee_bank_name": ""}, "field_invalid", "details.1.payee_bank_name"),
        ({"payee_bank_no": "12345"}, "field_invalid", "details.1.payee_bank_no"),
        ({"remark": "甲" * 31}, "field_invalid", "details.1.remark"),
        ({"remark": "🙂"}, "field_invalid", "details.1.remark"),
        ({"remark": "a\nb"}, "field_invalid", "details.1.remark"),
    ],
)
def test_a_bad_line_is_refused_with_its_field_and_nothing_is_stored(city, line, code, field):
    honest = acts.wanted("I1", "1.00")
    given = replace(honest, details=(replace(honest.details[0], **line),))

    refusal = refused(save, given)

    assert (refusal.code, refusal.field, refusal.http_status) == (code, field, 422)
    assert PaymentDetail.objects.filter(request__imported=False).count() == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"business_type": "99"}, "business_type"),
        ({"settlement": "x"}, "settlement"),
        ({"purpose": ""}, "purpose"),
        ({"purpose": "长" * 51}, "purpose"),
        ({"dept_economic_code": ""}, "dept_economic_code"),
        ({"dept_economic_code": "302011"}, "dept_economic_code"),
        ({"details": ()}, "details"),
        ({"settlement": "3"}, "settlement"),
        ({"business_type": "2"}, "settlement"),
        ({"business_type": "7"}, "contract_no"),
        ({"contract_no": "C" * 41}, "contract_no"),
        ({"contract_no": "a\x00"}, "contract_no"),
        ({"cash_reason": "理" * 51}, "cash_reason"),
    ],
)
def test_a_bad_field_is_refused_by_name(city, changes, field):
    refusal = refused(save, acts.wanted("I1", "1.00", **changes))
    assert (refusal.code, refusal.field) == ("field_invalid", field)


def test_every_finding_is_named_at_once(city):
    bad = acts.wanted("I1", purpose="", details=(acts.line("1.00"), acts.line("0.00", payee_name="")))
    with pytest.raises(ValidationFailed) as refusal:
        save(bad)
    assert [f.field for f in refusal.value.findings] == ["purpose", "details.2.payee_name", "details.2.amount"]


def test_a_cash_cheque_is_for_authorised_payment_only(city):
    cash = {"business_type": "5", "settlement": "3", "cash_purpose": "02", "cash_reason": "差旅"}
    given = acts.wanted("I4", details=(acts.line("1.00", reference="XJZP0001"),), **cash)
    assert refused(save, given, who="u101002-jb").field == "settlement"


def test_499_payees_fit_and_500_do_not(city):
    save(acts.wanted("I1", *["0.01"] * 499))
    refusal = refused(save, acts.wanted("I1", *["0.01"] * 500))
    assert (refusal.field, refusal.facts) == ("details", {"given": 500})


def test_lines_that_add_up_to_more_than_a_column_holds_are_refused(city):
    refusal = refused(save, acts.wanted("I1", "60000000000000.00", "60000000000000.00"))
    assert (refusal.code, refusal.field) == ("amount_invalid", "amount")


@pytest.mark.parametrize("indicator", ["I5", None])
def test_foreign_and_unknown_indicators_look_the_same(city, indicator):
    pk = world.indicator(indicator).id if indicator else uuid4()
    refusal = refused(save, acts.wanted("I1", "1.00", indicator_id=pk))
    assert (refusal.code, refusal.field, refusal.http_status) == ("not_found", "indicator_id", 404)


@pytest.mark.parametrize("who", ["u101001-fh", "u101001-yz", "gk-zd", "ys-jb"])
def test_only_the_units_clerk_writes_requests(city, who):
    assert refused(save, acts.wanted("I1", "1.00"), who=who).code == "role_required"


def test_one_bad_request_keeps_all_from_being_stored_and_uses_up_no_number(city):
    refused(save, acts.wanted("I1", "1.00"), acts.wanted("I1", "0.00"))
    assert PaymentRequest.objects.filter(imported=False).count() == 0
    assert save(acts.wanted("I1", "1.00"))[0].request_no == "SQD2026000001"


def test_the_same_action_key_returns_what_it_made_the_first_time(city):
    [first] = save(acts.wanted("I1", "1.00"), action_key="k")
    [again] = save(acts.wanted("I1", "1.00"), action_key="k")
    assert first == again and PaymentRequest.objects.filter(imported=False).count() == 1
    refusal = refused(save, acts.wanted("I1", "1.00"), acts.wanted("I1", "1.00"), action_key="k")
    assert (refusal.code, refusal.http_status) == ("idempotency_mismatch", 409)


# Changing -----------------------------------------------------------------------------------------------------------


def revise(request, given, who="u101001-jb"):
    return services.revise_draft(request_id=request.id, given=given, clerk=world.officer(who), now=NOW)


def test_a_draft_takes_its_new_content_whole(city):
    request = acts.draft("I1", "1.00", "2.00", purpose="旧")

    revise(request, acts.wanted("I1", "7.50", purpose="新"))

    [request] = acts.fresh(request)
    assert (request.amount, request.purpose, request.state, request.revision) == (D("7.50"), "新", "draft", 1)
    assert [(d.seq, d.amount) for d in request.details.all()] == [(1, D("7.50"))]


def test_a_draft_may_move_to_another_indicator_of_the_unit(city):
    request = acts.draft("I3", "1.00")
    revise(request, acts.wanted("I4", "1.00"), who="u101002-jb")
    [request] = acts.fresh(request)
    assert (request.indicator.indicator_no, request.payment_mode) == ("I4", "11")
    assert request.quota_id == world.indicator("I4").quota.id


@pytest.mark.parametrize(("given", "code"), [({"indicator_id": None}, "not_found"), ({"purpose": ""}, "field_invalid")])
def test_a_refused_revision_leaves_the_draft_as_it_was(city, given, code):
    request = acts.draft("I1", "1.00", "2.00")
    before = acts.everything()
    if "indicator_id" in given:
        given = {"indicator_id": world.indicator("I5").id}

    refusal = refused(revise, request, acts.wanted("I1", "9.00", **given))

    assert refusal.code == code
    assert acts.everything() == before


def test_what_is_under_review_is_not_revised(city):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    before = acts.everything()

    refusal = refused(revise, request, acts.wanted("I1", "2.00"))

    assert (refusal.code, refusal.http_status) == ("transition_not_allowed", 409)
    assert acts.everything() == before


def test_another_units_draft_is_not_found(city):
    request = acts.draft("I1", "1.00")
    refusal = refused(revise, request, acts.wanted("I5", "1.00"), who="u205001-jb")
    assert refusal.code == "not_found"


def test_a_returned_request_is_revised_and_comes_again_under_its_new_revision(city):
    request = acts.draft("I1", "5.00")
    acts.submit(request).raise_if_refused()
    services.return_payment_requests(
        request_ids=[request.id], reviewer=world.officer("u101001-fh"), reason_code="amount", reason="", now=NOW
    ).raise_if_refused()

    revise(request, acts.wanted("I1", "4.00"))
    acts.submit(request).raise_if_refused()

    [request] = acts.fresh(request)
    assert (request.state, request.revision, request.amount) == ("in_review", 2, D("4.00"))
    assert acts.books("I1")["reserved"] == "4.00"
    acts.approve("u101001-fh", request).raise_if_refused()
