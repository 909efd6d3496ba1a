"""Money that came back, and PBoC's word that the bank was repaid: each once, never more than was paid."""

from decimal import Decimal
from itertools import permutations

import pytest

from demo import world
from payments.models import Clearing, ClearingLine, PaymentRequest, Refund, RefundCase
from tests import acts
from tests.bank import clearing, refund_clearing
from vouchers.models import InboxMessage

D = Decimal


@pytest.fixture
def original(city):
    """R0's payment of 12 June: 3,000.00 of I5."""
    return PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)


def paid(bank, no, *amounts, failed=None):
    request = acts.sent(no, *amounts)
    [answer] = bank.send(bank.receipt(request.voucher, failed=failed))
    assert answer.outcome == "applied"
    return acts.fresh(request)[0]


def both(bank, pboc, bodies):
    """The bank's own document first, then PBoC's receipt; returns the latter's answer."""
    asked, executed = bodies
    bank.send(asked)
    return pboc.send(executed)[0]


# Refunds ------------------------------------------------------------------------------------------------------------


def test_one_payment_may_come_back_in_parts_up_to_the_fen(original, bank_b):
    for number, amount in (("TK1", "1000.00"), ("TK2", "1999.99"), ("TK3", "0.01")):
        assert bank_b.send(bank_b.refund(number, original, 1, amount))[0].outcome == "applied"
    before = acts.everything()

    [answer] = bank_b.send(bank_b.refund("TK4", original, 1, "0.01"))

    assert (answer.outcome, answer.error.code, answer.error.field) == (
        "refused",
        "refund_exceeds_payment",
        "Detail[1].PayAmt",
    )
    assert acts.everything() == before
    assert acts.books("I5")["refunded"] == "3000.00" and acts.books("I5")["quota"] == "33000.00"
    assert acts.fresh(original)[0].amount_refunded == D("3000.00")


def test_refunding_r0_again_is_refused(original, bank_b):
    """Negative test 7."""
    body = bank_b.refund("TK0001", original, 1, "3000.00")
    bank_b.send(body)
    before = acts.everything()

    assert bank_b.send(body)[0].outcome == "duplicate"
    again = bank_b.send(bank_b.refund("TK0002", original, 1, "3000.00"))[0]

    assert (again.outcome, again.error.code) == ("refused", "refund_exceeds_payment")
    assert acts.everything() == before


def test_a_direct_payment_gives_its_plan_back(city, bank_a):
    request = paid(bank_a, "I4", "1000.00")
    before = acts.books("I4")
    [answer] = bank_a.send(bank_a.refund("TK1", request, 1, "400.00", kind="2203"))
    assert answer.outcome == "applied"
    assert acts.books("I4") == before | {"refunded": "400.00", "available": "1199400.00", "quota": "299400.00"}


def test_a_failed_row_cannot_come_back(city, bank_a):
    request = paid(bank_a, "I1", "10.00", "20.00", failed={"2": "账号不符"})
    [answer] = bank_a.send(bank_a.refund("TK1", request, 2, "0.01"))
    assert (answer.outcome, answer.error.code) == ("refused", "refund_exceeds_payment")


def test_a_refund_before_the_receipt_waits_for_it(city, bank_a):
    request = acts.sent("I1", "10.00")
    [early] = bank_a.send(bank_a.refund("TK1", request, 1, "4.00"))
    assert (early.outcome, acts.books("I1")["refunded"]) == ("parked", "0.00")

    bank_a.send(bank_a.receipt(request.voucher))

    assert acts.books("I1")["refunded"] == "4.00"
    assert set(InboxMessage.objects.values_list("state", flat=True)) == {"applied"}


def test_another_bank_cannot_refund_it(original, bank_a):
    before = acts.everything()
    [answer] = bank_a.send(bank_a.refund("TK1", original, 1, "1.00"))
    assert (answer.outcome, answer.error.code, answer.error.http_status) == ("refused", "payment_unknown", 404)
    assert acts.everything() == before


def test_a_detail_that_does_not_exist_is_kept_as_a_case(original, bank_b):
    [answer] = bank_b.send(bank_b.refund("TK1", original, 2, "1.00"))
    assert (answer.outcome, Refund.objects.count(), acts.books("I5")["refunded"]) == ("applied", 0, "0.00")
    case = RefundCase.objects.get()
    assert (case.named_voucher_no, case.amount, case.state) == (original.voucher_no, D("1.00"), "open")


def test_three_partial_refunds_and_not_one_fen_beyond(city, bank_a):
    """The sum of what came back never exceeds what was paid, whatever came in which order."""
    request = paid(bank_a, "I1", "100.00", "50.00")
    for number, amount in (("TK1", "33.33"), ("TK2", "33.33"), ("TK3", "33.34")):
        assert bank_a.send(bank_a.refund(number, request, 1, amount))[0].outcome == "applied"
    before = acts.everything()
    [answer] = bank_a.send(bank_a.refund("TK4", request, 1, "0.01"))
    assert (answer.outcome, answer.error.code) == ("refused", "refund_exceeds_payment")
    assert answer.error.facts == {"available": D("0.00"), "asked": D("0.01")}
    assert acts.everything() == before
    [request] = acts.fresh(request)
    assert (request.amount_refunded, request.amount_paid) == (D("100.00"), D("150.00"))
    assert [d.amount_refunded for d in request.details.all()] == [D("100.00"), D("0.00")]
    assert acts.books("I1")["refunded"] == "100.00"


def test_one_notice_names_a_detail_once(original, bank_b):
    """Two facts under one notice and detail could not be told apart by the 2302."""
    before = acts.everything()
    line = {"AgencyCode": "205001", "PayAmt": "-1.00", "OriVoucherNo": original.voucher_no, "OriVouDetailNo": "1"}
    main = {
        "Id": "TK1",
        "PayBankCode": "103",
        "PayAcctNo": original.payer_account.account_no,
        "PayAmt": "-2.00",
        "PayDate": "20260615",
    }
    body = bank_b.body(bank_b.content("2204", "TK1", main, [line | {"Id": "1"}, line | {"Id": "2"}]), 0)

    [answer] = bank_b.send(body)

    assert (answer.outcome, answer.error.code, answer.error.field) == (
        "refused",
        "refund_repeated",
        "Detail[2].OriVouDetailNo",
    )
    assert acts.everything() == before


def test_refunds_in_one_envelope_share_what_is_left(original, bank_b):
    answers = bank_b.send(bank_b.refund("TK1", original, 1, "2000.00"), bank_b.refund("TK2", original, 1, "1000.01"))
    assert [a.outcome for a in answers] == ["applied", "refused"]
    assert acts.books("I5")["refunded"] == "2000.00"


# Clearing -----------------------------------------------------------------------------------------------------------


def test_a_clearing_moves_the_limit_and_the_request(city, bank_a, pboc):
    one, two = paid(bank_a, "I1", "12345.67"), paid(bank_a, "I1", "1280.00", "860.50")

    answer = both(bank_a, pboc, clearing(bank_a, pboc, "HK-A-02", [(one, 1), (two, 1), (two, 2)]))

    assert answer.outcome == "applied", answer
    assert [r.state for r in acts.fresh(one, two)] == ["cleared", "cleared"]
    assert Clearing.objects.get().amount == D("14486.17") and ClearingLine.objects.count() == 3
    assert acts.limit(world.BANK_A, "12") == "65513.83"


def test_a_request_is_cleared_when_its_last_paid_row_is(city, bank_a, pboc):
    request = paid(bank_a, "I1", "1.00", "2.00", "4.00", failed={"3": "账号不符"})
    both(bank_a, pboc, clearing(bank_a, pboc, "HK1", [(request, 1)]))
    assert acts.fresh(request)[0].state == "partially_paid"
    both(bank_a, pboc, clearing(bank_a, pboc, "HK2", [(request, 2)]))
    assert acts.fresh(request)[0].state == "cleared"


def test_what_is_cleared_is_not_cleared_again(city, bank_a, pboc):
    """Negative test 6: a second 2301 containing P13; nothing of it counts, not even its good line."""
    p13, good = paid(bank_a, "I1", "15000.00"), paid(bank_a, "I1", "1.00")
    both(bank_a, pboc, clearing(bank_a, pboc, "HK1", [(p13, 1)]))
    asked, executed = clearing(bank_a, pboc, "HK2", [(good, 1), (p13, 1)])
    bank_a.send(asked)
    before = acts.everything()

    [answer] = pboc.send(executed)

    assert (answer.outcome, answer.error.code, answer.error.field) == (
        "refused",
        "already_cleared",
        "Detail[2].VoucherNo",
    )
    assert answer.error.http_status == 409
    assert acts.everything() == before


def test_one_clearing_names_a_payment_once(city, bank_a, pboc):
    request = paid(bank_a, "I1", "5.00")
    answer = both(bank_a, pboc, clearing(bank_a, pboc, "HK1", [(request, 1), (request, 1)]))
    assert (answer.outcome, answer.error.code) == ("refused", "already_cleared")
    assert Clearing.objects.count() == 0


def test_a_replayed_clearing_changes_nothing(city, bank_a, pboc):
    request = paid(bank_a, "I1", "5.00")
    asked, executed = clearing(bank_a, pboc, "HK1", [(request, 1)])
    both(bank_a, pboc, (asked, executed))
    before = acts.everything()
    assert (bank_a.send(asked)[0].outcome, pboc.send(executed)[0].outcome) == ("duplicate", "duplicate")
    assert acts.everything() == before


def test_a_failed_row_is_not_cleared(city, bank_a, pboc):
    request = paid(bank_a, "I1", "5.00", "7.00", failed={"2": "账号不符"})
    answer = both(bank_a, pboc, clearing(bank_a, pboc, "HK1", [(request, 2)]))
    assert (answer.outcome, answer.error.code) == ("refused", "payment_unknown")


def test_a_clearing_before_the_receipt_waits_for_it(city, bank_a, pboc):
    """P13: the bank has paid, our receipt is lost."""
    request = acts.sent("I1", "15000.00")
    answer = both(bank_a, pboc, clearing(bank_a, pboc, "HK1", [(request, 1)]))
    assert (answer.outcome, InboxMessage.objects.get(flag=1).code) == ("parked", "payment_not_confirmed")
    assert acts.limit(world.BANK_A, "12") == "80000.00"

    bank_a.send(bank_a.receipt(request.voucher))

    assert acts.fresh(request)[0].state == "cleared"
    assert acts.limit(world.BANK_A, "12") == "65000.00"


def test_another_banks_payment_is_unknown(city, bank_a, bank_b, pboc):
    foreign = paid(bank_b, "I5", "5.00")
    own = paid(bank_a, "I1", "5.00")
    asked, executed = clearing(bank_a, pboc, "HK1", [(own, 1), (foreign, 1)])
    assert both(bank_a, pboc, (asked, executed)).error.code == "payment_unknown"
    assert Clearing.objects.count() == 0


def test_direct_and_authorised_do_not_travel_together(city, bank_a, pboc):
    authorised, direct = paid(bank_a, "I1", "5.00"), paid(bank_a, "I4", "5.00")
    answer = both(bank_a, pboc, clearing(bank_a, pboc, "HK1", [(authorised, 1), (direct, 1)]))
    assert (answer.outcome, answer.error.code, answer.error.field) == (
        "refused",
        "clearing_amount_differs",
        "PayTypeCode",
    )


def test_pboc_cannot_execute_another_amount_than_was_asked(city, bank_a, pboc):
    request = paid(bank_a, "I1", "5.00")
    answer = both(bank_a, pboc, clearing(bank_a, pboc, "HK1", [(request, 1)], XPayAmt="4.99"))
    assert answer.outcome == "refused" and answer.error.field == "XPayAmt"
    assert acts.fresh(request)[0].state == "paid"


def test_a_2302_needs_the_refund_it_clears_and_clears_it_once(original, bank_b, pboc):
    bank_b.send(bank_b.refund("TK0001", original, 1, "3000.00"))
    refund = Refund.objects.get()

    answer = both(bank_b, pboc, refund_clearing(bank_b, pboc, "HT-B-01", [refund]))

    assert answer.outcome == "applied", answer
    assert acts.limit(world.BANK_B, "12") == "93000.00"
    before = acts.everything()
    again = both(bank_b, pboc, refund_clearing(bank_b, pboc, "HT-B-02", [refund]))
    assert (again.outcome, again.error.code) == ("refused", "already_cleared")
    assert acts.everything() == before


def test_a_clearing_that_overtook_the_refund_it_lives_on_waits(city, bank_a, pboc):
    """Quota that came back is spent again before PBoC has taken the refund: its limit is short until the 2302."""
    first = paid(bank_a, "I1", "80000.00")
    both(bank_a, pboc, clearing(bank_a, pboc, "HK1", [(first, 1)]))
    bank_a.send(bank_a.refund("TK1", first, 1, "3000.00"))
    second = paid(bank_a, "I1", "3000.00")
    assert (acts.books("I1")["quota"], acts.limit(world.BANK_A, "12")) == ("0.00", "0.00")

    early = both(bank_a, pboc, clearing(bank_a, pboc, "HK2", [(second, 1)]))
    assert (early.outcome, InboxMessage.objects.get(voucher_no="HK2", flag=1).code) == (
        "parked",
        "clearing_limit_exceeded",
    )
    both(bank_a, pboc, refund_clearing(bank_a, pboc, "HT1", [Refund.objects.get()]))

    assert acts.fresh(second)[0].state == "cleared"
    assert acts.limit(world.BANK_A, "12") == "0.00"


# Order --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=lambda order: "".join(map(str, order)))
def test_receipt_refund_and_both_clearings_end_the_same_in_every_order(city, bank_a, pboc, order):
    request = acts.sent("I1", "10.00", "20.00")
    asked, cleared = clearing(bank_a, pboc, "HK1", [(request, 1), (request, 2)])
    stand_in = Refund(notice_no="TK1", amount=D("4.00"), detail=request.details.get(seq=1))
    refund_asked, refund_cleared = refund_clearing(bank_a, pboc, "HT1", [stand_in])
    for body in (asked, refund_asked):
        bank_a.send(body)
    steps = [
        lambda: bank_a.send(bank_a.receipt(request.voucher)),
        lambda: bank_a.send(bank_a.refund("TK1", request, 1, "4.00")),
        lambda: pboc.send(cleared),
        lambda: pboc.send(refund_cleared),
    ]

    for step in order:
        [answer] = steps[step]()
        assert answer.outcome in ("applied", "parked")

    assert set(InboxMessage.objects.values_list("state", flat=True)) == {"applied"}
    [request] = acts.fresh(request)
    assert (request.state, request.amount_paid, request.amount_refunded) == ("cleared", D("30.00"), D("4.00"))
    assert acts.books("I1") == {
        "reserved": "0.00",
        "paid": "210030.00",
        "refunded": "4.00",
        "available": "389974.00",
        "quota": "79974.00",
        "quota_reserved": "0.00",
    }
    assert acts.limit(world.BANK_A, "12") == "79974.00"
