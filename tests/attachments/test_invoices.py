"""An invoice is used once among live requests; who uses it is derived, and frozen with what reviewers approve."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from attachments.models import Invoice
from core.errors import TreasuryError, ValidationFailed
from demo import world
from monitoring.facts import InvoiceFacts
from monitoring.models import MonitoringRule
from payments import services
from payments.content import content_digest, details_of
from payments.invoice_use import InvoiceInput, invoice_facts
from payments.models import InvoiceUse
from reconciliation.audit.findings import Scope
from reconciliation.audit.runner import choose, examine
from tests import acts
from tests.bank import Partner
from tests.conftest import NOW

D = Decimal
CLERK = "u101001-jb"
CODE, NUMBER, ELECTRONIC = "3700221130", "12345678", "25372000000012345678"


def invoice(number=ELECTRONIC, **changes):
    values = {
        "number": number,
        "code": "" if len(number) == 20 else CODE,
        "amount": D("100.00"),
        "seller_name": "临江市晨光办公用品公司",
        "seller_tax_id": "91370100MA3C000000",
        "issued_on": date(2026, 6, 1),
    }
    return InvoiceInput(**(values | changes))


def draft(*invoices, no="I1", amount="100.00"):
    return acts.draft(no, amount, invoices=invoices)


def state(request):
    return acts.fresh(request)[0].state


def refused_by(outcome, request):
    error = outcome.refused[request.id]
    assert isinstance(error, ValidationFailed)
    return [(e.code, e.field, e.facts.get("used_by")) for e in error.findings]


# Used once ----------------------------------------------------------------------------------------------------------


def test_a_second_request_with_the_same_invoice_is_refused_and_told_by_whom(city):
    first, second = draft(invoice()), draft(invoice(NUMBER), invoice())
    acts.submit(first).raise_if_refused()
    outcome = acts.submit(second)
    assert refused_by(outcome, second) == [("invoice_used", "invoices.2.number", first.request_no)]
    assert ELECTRONIC in outcome.refused[second.id].message
    assert state(second) == "draft" and acts.books("I1")["reserved"] == "100.00"


def test_in_one_batch_the_first_has_it(city):
    first, second, third = draft(invoice()), draft(invoice()), draft(invoice(NUMBER))
    outcome = acts.submit(first, second, third)
    assert {r.id for r in outcome.accepted} == {first.id, third.id}
    assert refused_by(outcome, second) == [("invoice_used", "invoices.1.number", first.request_no)]


@pytest.mark.parametrize("same", [{"code": "3700221131"}, {"number": "12345679"}])
def test_code_and_number_together_are_the_invoice(city, same):
    first, second = draft(invoice(NUMBER)), draft(invoice(**({"number": NUMBER, "code": CODE} | same)))
    acts.submit(first, second).raise_if_refused()
    assert Invoice.objects.count() == 2


def hold_by_rule(request):
    rule = MonitoringRule.objects.get(code="M01")
    rule.parameters, rule.version = {"amount_from": "0.01"}, 2
    rule.save()
    acts.submit(request).raise_if_refused()
    return "on_hold"


def in_review(request):
    acts.submit(request).raise_if_refused()
    return "in_review"


def returned(request):
    in_review(request)
    services.return_payment_requests(
        request_ids=[request.id], reviewer=world.officer("u101001-fh"), reason_code="payee", reason="", now=NOW
    ).raise_if_refused()
    return "returned"


def rejected(request):
    in_review(request)
    services.reject_payment_requests(
        request_ids=[request.id], reviewer=world.officer("u101001-fh"), reason_code="payee", reason="", now=NOW
    ).raise_if_refused()
    return "voided"


def sealed(request):
    in_review(request)
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    acts.seal(request).raise_if_refused()
    return "sealed"


def answered(failed):
    def act(request, bank):
        sealed(request)
        bank.send(bank.receipt(acts.fresh(request)[0].voucher, failed=failed))
        return "failed" if failed else "paid"

    return act


def refunded(request, bank):
    answered({})(request, bank)
    bank.send(bank.refund("TK1", acts.fresh(request)[0], 1, "100.00", kind="2204"))
    assert acts.fresh(request)[0].amount_refunded == D("100.00")
    return "paid"


@pytest.mark.parametrize(
    ("act", "taken"),
    [
        (lambda r, b: "draft", False),
        (lambda r, b: hold_by_rule(r), True),
        (lambda r, b: in_review(r), True),
        (lambda r, b: returned(r), False),
        (lambda r, b: rejected(r), False),
        (lambda r, b: sealed(r), True),
        (answered({}), True),
        (answered({"1": "账号不符"}), False),
        (refunded, True),
    ],
    ids=["draft", "held", "in review", "returned", "rejected", "sealed", "paid", "failed", "refunded"],
)
def test_live_requests_hold_their_invoices_and_others_give_them_back(city, pki, act, taken):
    first, second = draft(invoice()), draft(invoice())
    expected = act(first, Partner(pki, world.BANK_A))
    assert state(first) == expected
    outcome = acts.submit(second)
    assert (second.id in outcome.refused) == taken
    facts = invoice_facts([second])[second.id]
    assert facts == (InvoiceFacts("", ELECTRONIC, D("100.00"), first.request_no if taken else ""),)


def test_what_repeats_the_failed_rows_rests_on_the_same_invoice(city, pki):
    bank = Partner(pki, world.BANK_A)
    first = acts.draft("I1", "60.00", "40.00", invoices=(invoice(),))
    sealed(first)
    bank.send(bank.receipt(acts.fresh(first)[0].voucher, failed={"2": "账号不符"}))
    assert state(first) == "partially_paid"
    failed = first.details.get(seq=2)
    again = services.save_drafts(
        inputs=[acts.wanted("I1", invoices=(invoice(),), details=(acts.line("40.00", reissue_of=failed.id),))],
        clerk=world.officer(CLERK),
        now=NOW,
    )[0]
    acts.submit(again).raise_if_refused()
    assert invoice_facts([again])[again.id][0].used_by == ""
    stranger = draft(invoice())
    assert refused_by(acts.submit(stranger), stranger) == [("invoice_used", "invoices.1.number", first.request_no)]


def test_the_number_of_statements_does_not_depend_on_how_many(city):
    def used(count, start):
        requests = [draft(invoice(f"2537200000{start + i:010d}"), amount="0.01") for i in range(count)]
        with acts.statements() as seen:
            acts.submit(*requests).raise_if_refused()
        return len(seen)

    used(2, 0)
    assert used(3, 100) == used(30, 200)


# Frozen, and part of what is approved ---------------------------------------------------------------------------------


def test_the_invoices_are_part_of_the_digest_and_frozen_from_submission_on(city):
    request = draft(invoice())
    acts.submit(request).raise_if_refused()
    [kept] = acts.fresh(request)
    details = details_of([kept])[kept.id]
    assert content_digest(kept, details) == kept.content_digest
    for change in ({"amount": D("100.01")}, {"number": "0" * 20}, {"issued_on": date(2026, 6, 2)}):
        changed = details_of([kept])[kept.id]
        for name, value in change.items():
            setattr(changed.invoices[0], name, value)
        assert content_digest(kept, changed) != kept.content_digest
    use = InvoiceUse.objects.get()
    for attempt in (
        lambda: InvoiceUse.objects.filter(pk=use.pk).update(amount=D("1.00")),
        lambda: InvoiceUse.objects.filter(pk=use.pk).delete(),
    ):
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            attempt()


def test_a_voucher_with_invoices_is_approved_sealed_and_audited(city, pki):
    request = draft(invoice(), no="I4", amount="100.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    acts.seal(request).raise_if_refused()
    assert state(request) == "sealed"
    [approvals] = choose(["I06"])
    assert examine(approvals, Scope(None, NOW)).status == "ok"


def test_a_revision_replaces_the_invoices_and_submission_writes_the_register(city):
    request = draft(invoice(amount=D("1.00")), invoice(NUMBER))
    services.revise_draft(
        request_id=request.id,
        given=acts.wanted("I1", "100.00", invoices=(invoice(amount=D("99.00")),)),
        clerk=world.officer(CLERK),
        now=NOW,
    )
    assert [(u.number, u.amount) for u in request.invoices.all()] == [(ELECTRONIC, D("99.00"))]
    acts.submit(request).raise_if_refused()
    assert Invoice.objects.get(number=ELECTRONIC).amount == D("99.00")


# What cannot be written down ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"number": "1234567"}, "invoices.1.number"),
        ({"number": "１２３４５６７８"}, "invoices.1.number"),
        ({"number": NUMBER, "code": ""}, "invoices.1.code"),
        ({"number": ELECTRONIC, "code": CODE}, "invoices.1.code"),
        ({"number": NUMBER, "code": "37002211"}, "invoices.1.code"),
        ({"seller_tax_id": "9137"}, "invoices.1.seller_tax_id"),
        ({"seller_name": " "}, "invoices.1.seller_name"),
        ({"seller_name": "店" * 61}, "invoices.1.seller_name"),
        ({"amount": D("0.00")}, "invoices.1.amount"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_written(city, change, field):
    before = acts.everything()
    with pytest.raises(TreasuryError) as refusal:
        draft(invoice(**change))
    assert refusal.value.field == field
    assert acts.everything() == before and not Invoice.objects.exists()


def test_the_same_invoice_twice_on_one_request_is_a_mistake(city):
    with pytest.raises(TreasuryError) as refusal:
        draft(invoice(), invoice(amount=D("2.00")))
    assert refusal.value.field == "invoices" and "填了两次" in refusal.value.message


# The form -------------------------------------------------------------------------------------------------------------


def form(**changes):
    fields = {
        "indicator": str(world.indicator("I1").pk),
        **{"business_type": "1", "settlement": "2", "dept_economic_code": "30201", "purpose": "办公用品"},
        **{"lines-0-payee_name": "临江市晨光办公用品公司", "lines-0-payee_account_no": "6230000000000001"},
        **{"lines-0-payee_bank_name": "丙银行临江支行", "lines-0-amount": "100.00"},
        **{"invoices-3-number": ELECTRONIC, "invoices-3-amount": "100.00", "invoices-3-issued_on": "2026-06-01"},
        **{"invoices-3-seller_name": "临江市晨光办公用品公司", "invoices-3-seller_tax_id": "91370100MA3C000000"},
    }
    return fields | changes


def test_the_form_keeps_shows_and_repeats_invoices(at):
    officer = at(CLERK)
    status, answer = officer.post_json("/payments/new/", form(then="submit"))
    assert status == 200
    pk = answer["accepted"][0]["id"]
    assert InvoiceUse.objects.get(request_id=pk).number == ELECTRONIC
    assert ELECTRONIC in officer.get(f"/payments/{pk}/").content.decode()
    assert ELECTRONIC in at("u101001-fh").get(f"/review/?sel={pk}").content.decode()
    status, answer = officer.post_json("/payments/new/", form(then="submit"))
    assert status == 422
    assert [(item["code"], item["field"]) for item in answer["refused"]] == [("invoice_used", "invoices.1.number")]
    page = officer.get(f"/payments/{answer['accepted'][0]['id']}/edit/").content.decode()
    assert f'value="{ELECTRONIC}"' in page and 'value="2026-06-01"' in page


def test_the_form_says_at_which_invoice_something_is_wrong(at):
    officer = at(CLERK)
    wrong = form(**{"invoices-3-amount": "1e9", "invoices-3-issued_on": "昨天", "invoices-3-number": "1"})
    response = officer.post("/payments/new/", wrong)
    page = response.content.decode()
    assert response.status_code == 422 and "第 1 张发票：" in page
    assert 'href="#invoices-0-amount"' in page and 'href="#invoices-0-issued_on"' in page
    assert 'value="昨天"' in page


def test_invoices_are_added_and_removed_without_saving(at):
    officer = at(CLERK)
    page = officer.post("/payments/form-lines/", form(add_invoice="1")).content.decode()
    assert 'name="invoices-1-number"' in page and f'value="{ELECTRONIC}"' in page
    page = officer.post("/payments/form-lines/", form(remove_invoice="0")).content.decode()
    assert 'name="invoices-0-number"' not in page
    assert not InvoiceUse.objects.exists()
