"""Threads on a real database: a number goes out one way, a payment is settled once."""

from decimal import Decimal

from core.errors import TreasuryError
from core.outcomes import Outcome
from payments.models import PaymentReceipt
from tests import acts
from tests.emergency.conftest import approved, decide, enter, opened, print_out, printed
from vouchers.models import Delivery, Voucher


def test_of_printing_and_sealing_at_one_moment_exactly_one_happens(real_city):
    window = opened()
    for _ in range(4):
        request = approved("I1", "1.00")
        acts.issue(request).raise_if_refused()
        answers = acts.together(lambda r=request: print_out(window, r), lambda r=request: acts.seal(r))
        assert all(isinstance(answer, Outcome) for answer in answers), answers
        assert sum(len(answer.accepted) for answer in answers) == 1
        [refusal] = [error for answer in answers for error in answer.refused.values()]
        assert refusal.code == "transition_not_allowed"
        on_paper = acts.fresh(request)[0].state == "on_paper"
        sent = Delivery.objects.filter(voucher_id=acts.fresh(request)[0].voucher_id).exists()
        assert on_paper != sent
    assert not Voucher.objects.filter(state="paper").exclude(signature="").exists()


def test_eight_printings_of_one_request_take_one_number(real_city):
    window, request = opened(), approved("I1", "1.00")
    answers = acts.together(*[lambda: print_out(window, request)] * 8)
    assert sum(len(answer.accepted) for answer in answers) == 1
    assert Voucher.objects.filter(document_id=request.id).count() == 1


def test_of_confirmations_and_a_rogue_receipt_at_one_moment_one_settles(real_city, store, bank_a):
    request = printed(opened(), "I1", "1.00")
    enter(store, request)
    body = bank_a.receipt(request.voucher)
    answers = acts.together(*[lambda: decide(request)] * 3, lambda: bank_a.send(body))
    refused = [answer for answer in answers if isinstance(answer, TreasuryError)]
    assert {answer.code for answer in refused} == {"transition_not_allowed"} and len(refused) == 2
    assert answers[3][0].outcome == "refused"
    assert PaymentReceipt.objects.filter(request=request).count() == 1
    assert acts.fresh(request)[0].amount_paid == Decimal("1.00") and acts.books("I1")["reserved"] == "0.00"
