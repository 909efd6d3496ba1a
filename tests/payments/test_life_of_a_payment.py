"""A payment from draft to cleared, with exact figures, through real bytes and signatures."""

from decimal import Decimal

import pytest

from demo import world
from payments.models import ClearingLine, PaymentReceipt
from tests import acts
from tests.bank import Partner, clearing

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal


@pytest.fixture
def bank_a(pki):
    return Partner(pki, world.BANK_A)


@pytest.fixture
def bank_b(pki):
    return Partner(pki, world.BANK_B)


@pytest.fixture
def pboc(pki):
    return Partner(pki, world.PBOC)


def balances(no):
    row = world.indicator(no)
    return row.amount_reserved, row.amount_paid, row.amount_available, row.quota.amount_available


def test_submit_reserves_and_receipt_pays(real_city, bank_a):
    request = acts.draft("I1", "12345.67")
    assert balances("I1") == (D("0.00"), D("210000.00"), D("390000.00"), D("80000.00"))

    acts.submit(request).raise_if_refused()
    assert balances("I1") == (D("12345.67"), D("210000.00"), D("377654.33"), D("67654.33"))

    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    acts.seal(request).raise_if_refused()
    (request,) = acts.fresh(request)
    assert request.state == "sealed" and request.voucher_no == "SZ0001"
    [answer] = bank_a.send(bank_a.receipt(request.voucher))

    assert answer.outcome == "applied", answer
    (request,) = acts.fresh(request)
    assert request.state == "paid" and request.voucher.state == "receipted"
    assert balances("I1") == (D("0.00"), D("222345.67"), D("377654.33"), D("67654.33"))
    assert PaymentReceipt.objects.get().amount_paid == D("12345.67")


def test_cleared_by_pboc_once_the_banks_own_document_is_here(real_city, bank_a, pboc):
    request = acts.sent("I1", "12345.67")
    bank_a.send(bank_a.receipt(request.voucher))

    asked, executed = clearing(bank_a, pboc, "HK-A-02", [(request, 1)])

    [early] = pboc.send(executed)
    assert early.outcome == "parked"
    bank_a.send(asked)

    assert acts.fresh(request)[0].state == "cleared"
    assert ClearingLine.objects.get().amount == D("12345.67")


def test_refund_restores_quota_and_never_exceeds_the_payment(real_city, bank_b):
    from payments.models import PaymentRequest

    original = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)

    [answer] = bank_b.send(bank_b.refund("TK0001", original, 1, "3000.00"))

    assert answer.outcome == "applied", answer
    assert balances("I5") == (D("0.00"), D("300000.00"), D("503000.00"), D("33000.00"))
    [again] = bank_b.send(bank_b.refund("TK0002", original, 1, "0.01"))
    assert again.outcome == "refused" and again.error.code == "refund_exceeds_payment"
    assert balances("I5") == (D("0.00"), D("300000.00"), D("503000.00"), D("33000.00"))
