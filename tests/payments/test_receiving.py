"""Receipts: the bank's word on each row, believed only when it is about exactly what we sent."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from core.actors import system_actor
from core.models import BusinessDay
from demo import world
from payments.models import LimitNotice, PaymentReceipt, ReceiptLine
from tests import acts
from tests.conftest import NOW
from vouchers.codec import decode_content
from vouchers.inbox import apply_waiting
from vouchers.models import InboxMessage
from vouchers.services import lock_vouchers, record_answer

D = Decimal
REASON = "户名账号不符"


def test_a_full_receipt_moves_reserved_to_paid(city, bank_a):
    request = acts.sent("I1", "100.00", "23.45")
    before = acts.books("I1")

    [answer] = bank_a.send(bank_a.receipt(request.voucher))

    assert answer.outcome == "applied"
    [request] = acts.fresh(request)
    assert (request.state, request.amount_paid, request.amount_failed) == ("paid", D("123.45"), D("0.00"))
    assert (request.voucher.state, [d.state for d in request.details.all()]) == ("receipted", ["paid", "paid"])
    after = acts.books("I1")
    assert after == before | {"reserved": "0.00", "quota_reserved": "0.00", "paid": "210123.45"}


def test_a_partial_receipt_pays_some_and_releases_the_rest_to_the_same_rows(city, bank_a):
    """P1: six rows paid, one failed; the clearing limit shrinks by exactly what failed."""
    amounts = ("7184.44", "6323.08", "5964.18", "3180.00", "530.00", "3180.00", "138.30")
    request = acts.sent("I2", *amounts, business_type="3")
    assert acts.limit(world.BANK_A, "11") == "26500.00"

    bank_a.send(bank_a.receipt(request.voucher, failed={"3": REASON}))

    [request] = acts.fresh(request)
    assert (request.state, request.amount_paid, request.amount_failed) == (
        "partially_paid",
        D("20535.82"),
        D("5964.18"),
    )
    assert acts.books("I2") == {
        "reserved": "0.00",
        "paid": "2020535.82",
        "refunded": "0.00",
        "available": "2779464.18",
        "quota": "379464.18",
        "quota_reserved": "0.00",
    }
    failed = ReceiptLine.objects.get(amount_paid=0)
    assert (failed.detail.seq, failed.reason, failed.detail.state) == (3, REASON, "failed")
    assert acts.limit(world.BANK_A, "11") == "20535.82"
    [more, less] = LimitNotice.objects.order_by("id")
    assert (less.amount, less.voucher.voucher_no, less.voucher.state) == (D("-5964.18"), "ZQ0002", "sealed")
    assert more.amount == D("26500.00")


@pytest.mark.parametrize("no", ["I1", "I4"])
def test_a_failed_receipt_puts_everything_back(city, bank_a, no):
    untouched = acts.books(no)
    request = acts.sent(no, "20.00", "30.00")

    bank_a.send(bank_a.receipt(request.voucher, failed={"1": REASON, "2": "账户已销户"}))

    [request] = acts.fresh(request)
    assert (request.state, request.amount_failed) == ("failed", D("50.00"))
    assert acts.books(no) == untouched
    assert acts.limit(world.BANK_A, "11") == "0.00"
    assert PaymentReceipt.objects.get().amount_paid == D("0.00")


def test_a_bank_may_refuse_the_whole_by_the_head_alone(city, bank_a):
    """No date, the lines as they came: F39, mode 0. It is final all the same."""
    untouched = acts.books("I1")
    request = acts.sent("I1", "20.00", "30.00")
    empty = {"XPayAmt": "", "XPayDate": "", "XAgentBusinessNo": "", "XAddWord": ""}

    [answer] = bank_a.send(
        bank_a.receipt(
            request.voucher,
            failed={"1": "x", "2": "x"},
            line_changes={"1": empty, "2": empty},
            XPayDate="",
            XAgentBusinessNo="",
        )
    )

    assert answer.outcome == "applied", answer
    assert acts.fresh(request)[0].state == "failed"
    assert acts.books("I1") == untouched


def _books():
    """Everything but the alert that a differing receipt raises (test_receipt_alerts.py)."""
    return {label: rows for label, rows in acts.everything().items() if not label.startswith("monitoring.")}


@pytest.mark.parametrize(
    ("receipt", "code", "field"),
    [
        ({"XPayAmt": "99.99"}, None, "XPayAmt"),
        ({"XPayAmt": "100.01"}, None, "XPayAmt"),
        ({"XPayAmt": ""}, None, "XPayAmt"),
        ({"XPayAmt": "-100.00"}, None, "XPayAmt"),
        ({"XPayAmt": "1e2"}, "amount_invalid", "XPayAmt"),
        ({"XPayDate": "20260616"}, "date_in_future", "XPayDate"),
        ({"XPayDate": "20260631"}, "date_invalid", "XPayDate"),
        ({"XPayDate": ""}, None, "XPayDate"),
        ({"XAgentBusinessNo": ""}, "receipt_incomplete", "XAgentBusinessNo"),
        (
            {"XPayAmt": "50.00", "line_changes": {"2": {"XPayAmt": "10.00"}}},
            "receipt_amount_differs",
            "Detail[2].XPayAmt",
        ),
        (
            {"XPayAmt": "120.00", "line_changes": {"2": {"XPayAmt": "80.00"}}},
            "receipt_amount_differs",
            "Detail[2].XPayAmt",
        ),
        ({"line_changes": {"1": {"XAgentBusinessNo": ""}}}, "receipt_incomplete", "Detail[1].XAgentBusinessNo"),
        ({"failed": {"2": ""}}, "receipt_incomplete", "Detail[2].XAddWord"),
    ],
)
def test_a_receipt_about_something_else_is_refused_kept_and_changes_nothing(city, bank_a, receipt, code, field):
    request = acts.sent("I1", "40.00", "60.00")
    before = _books()

    [answer] = bank_a.send(bank_a.receipt(request.voucher, **receipt))

    assert answer.outcome == "refused", answer
    assert code is None or answer.error.code == code
    assert field is None or answer.error.field == field
    assert answer.error.code and answer.error.field
    assert _books() == before
    message = InboxMessage.objects.get()
    assert (message.state, message.code, message.field) == ("refused", answer.error.code, answer.error.field)
    assert bank_a.send(bank_a.receipt(request.voucher))[0].outcome == "applied"  # the honest one is still welcome


@pytest.mark.parametrize(
    ("main", "line", "field"),
    [
        ({}, {"PayeeAcctNo": "999"}, "Detail[1].PayeeAcctNo"),
        ({}, {"PayeeAcctName": "别人"}, "Detail[1].PayeeAcctName"),
        ({"PayAcctNo": "999"}, {}, "PayAcctNo"),
        ({"PaySummaryName": "别的用途"}, {}, "PaySummaryName"),
    ],
)
def test_a_receipt_that_rewrites_what_we_sent_is_refused(city, bank_a, main, line, field):
    request = acts.sent("I1", "40.00")
    content, _ = decode_content(bytes(bank_a.receipt(request.voucher).text))
    forged = replace(content, main={**content.main, **main}, details=({**content.details[0], **line},))
    before = acts.everything()

    [answer] = bank_a.send(bank_a.body(forged, 1))

    assert (answer.outcome, answer.error.code, answer.error.field) == ("refused", "receipt_altered", field)
    assert acts.everything() == before


def test_payment_to_another_payee_is_refused(city, bank_a):
    request = acts.sent("I1", "40.00")
    [answer] = bank_a.send(bank_a.receipt(request.voucher, line_changes={"1": {"XPayeeAcctNo": "999"}}))
    assert (answer.outcome, answer.error.code) == ("refused", "receipt_payee_differs")


def test_another_banks_receipt_is_refused(city, bank_a, bank_b):
    request = acts.sent("I1", "40.00")
    before = acts.everything()
    [answer] = bank_b.send(bank_b.receipt(request.voucher))
    assert (answer.outcome, answer.error.code) == ("refused", "original_unknown")
    assert acts.everything() == before


def test_a_replayed_receipt_changes_nothing(city, bank_a):
    """Negative test 5."""
    request = acts.sent("I1", "40.00", "60.00")
    body = bank_a.receipt(request.voucher, failed={"2": REASON})
    bank_a.send(body)
    before = acts.everything()

    assert [bank_a.send(body)[0].outcome for _ in range(3)] == ["duplicate"] * 3

    assert acts.everything() == before


def test_a_second_receipt_with_other_content_changes_nothing(city, bank_a):
    request = acts.sent("I1", "40.00", "60.00")
    bank_a.send(bank_a.receipt(request.voucher, failed={"2": REASON}))
    before = acts.everything()

    [answer] = bank_a.send(bank_a.receipt(request.voucher))

    assert (answer.outcome, answer.error.code) == ("refused", "conflicting_duplicate")
    assert acts.everything() == before


def test_good_and_bad_receipts_in_one_envelope_are_each_for_themselves(city, bank_a):
    first, second, third = (acts.sent("I1", amount) for amount in ("1.00", "2.00", "3.00"))

    answers = bank_a.send(
        bank_a.receipt(first.voucher),
        bank_a.receipt(second.voucher, failed={"1": ""}),
        bank_a.receipt(third.voucher, failed={"1": REASON}),
    )

    assert [a.outcome for a in answers] == ["applied", "refused", "applied"]
    assert [r.state for r in acts.fresh(first, second, third)] == ["paid", "sealed", "failed"]
    assert acts.books("I1")["reserved"] == "2.00"


def test_a_receipt_before_the_bank_signed_for_the_voucher_counts(city, bank_a):
    request = acts.sent("I1", "1.00")
    bank_a.send(bank_a.receipt(request.voucher))
    record_answer(
        lock_vouchers([request.voucher_id]), "sign_for", by=system_actor("x", "agent_bank"), reason="", now=NOW
    )
    assert acts.fresh(request)[0].state == "paid"


def test_a_receipt_while_no_day_is_open_waits_and_is_not_given_up(city, bank_a):
    """The bank pays in the morning of the 16th, before finance has opened the day."""
    request = acts.sent("I1", "1.00")
    day = BusinessDay.objects.get()
    BusinessDay.objects.update(closed_at=NOW)
    morning, dated = NOW + timedelta(days=1), {"XPayDate": "20260616"}

    bank_a.send(bank_a.receipt(request.voucher, line_changes={"1": dated}, **dated), now=morning)
    for minute in range(1, 12):
        apply_waiting(now=morning + timedelta(minutes=minute))

    assert acts.fresh(request)[0].state == "sealed"
    assert InboxMessage.objects.get().state == "parked"
    BusinessDay.objects.create(
        adm_div_code=day.adm_div_code, date=day.date.replace(day=16), fiscal_year=2026, cut_off=day.cut_off
    )
    apply_waiting(now=morning + timedelta(hours=1))
    assert acts.fresh(request)[0].state == "paid"
    assert PaymentReceipt.objects.get().business_date == day.date.replace(day=16)
