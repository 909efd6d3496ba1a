"""Every kind of difference is found under its name, and none is invented."""

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.money import yuan
from reconciliation import services
from reconciliation.models import Discrepancy
from reconciliation.states import Pair
from tests.reconciliation.builders import (
    BANK_A,
    BANK_B,
    DAY,
    FRIDAY,
    NOW,
    RECONCILER,
    REGION,
    bank_line,
    bank_report,
    clear,
    clearing_line,
    clearing_statement,
    limit,
    limit_line,
    limit_statement,
    make_payment,
    receive,
    refund,
)

pytestmark = pytest.mark.django_db


def match():
    sheets = services.match_day(adm_div_code=REGION, date=DAY, by=RECONCILER, now=NOW)
    return {(sheet.pair, sheet.partner): sheet for sheet in sheets}


def found() -> list[tuple[str, str, str]]:
    """Type, key and pair of everything open."""
    rows = Discrepancy.objects.filter(state="open").select_related("sheet").order_by("sheet__pair", "pk")
    return [(row.type, row.key, row.sheet.pair) for row in rows]


def test_equal_books_match_and_every_pair_has_its_sheet(world):
    payment = make_payment(world, "B", "SZ1", ["98000.00", "15000.00"])
    receive(payment)
    back = refund(payment.details.get(seq=1), "3000.00")
    clear(world, "B", "HK1", list(payment.details.all()))
    clear(world, "B", "HT1", [back])
    limit(world, "B", issued="210000.00", cleared="113000.00", refunded="3000.00")
    lines = [bank_line("SZ1", 1, "98000.00"), bank_line("SZ1", 2, "15000.00"), bank_line("SZ1", 1, "-3000.00")]
    bank_report("B", lines)
    clearing_statement(
        [
            clearing_line(BANK_B, "HK1", 1, "98000.00", payment="SZ1"),
            clearing_line(BANK_B, "HK1", 2, "15000.00", payment="SZ1"),
            clearing_line(BANK_B, "HT1", 1, "-3000.00", payment="SZ1"),
        ]
    )
    limit_statement([limit_line(BANK_B, "90000.00", "120000.00", "110000.00", "100000.00")])

    sheets = match()

    assert found() == []
    assert {key: (s.our_count, s.our_amount, s.their_amount, s.state) for key, s in sheets.items()} == {
        ("bank_payment", "BANK-A"): (0, 0, 0, "matched"),
        ("bank_payment", "BANK-B"): (2, yuan("113000.00"), yuan("113000.00"), "matched"),
        ("bank_refund", "BANK-A"): (0, 0, 0, "matched"),
        ("bank_refund", "BANK-B"): (1, yuan("3000.00"), yuan("3000.00"), "matched"),
        ("pboc_clearing", "PBOC-990100"): (3, yuan("110000.00"), yuan("110000.00"), "matched"),
        ("pboc_limit", "PBOC-990100"): (1, yuan("100000.00"), yuan("100000.00"), "matched"),
        ("bank_funds", "BANK-A"): (0, 0, 0, "matched"),
        ("bank_funds", "BANK-B"): (0, 0, 0, "matched"),
        ("pboc_payment", "PBOC-990100"): (0, 0, 0, "matched"),
    }


def test_d1_ours_only(world):
    receive(make_payment(world, "B", "SZ1", ["98000.00", "15000.00"]))
    bank_report("B", [bank_line("SZ1", 1, "98000.00")])

    sheets = match()

    assert found() == [("D1", "SZ1/2", "bank_payment")]
    assert sheets["bank_payment", "BANK-B"].difference == -yuan("15000.00")
    assert "重发原凭证" in Discrepancy.objects.get().suggestion


def test_d2_the_bank_paid_and_the_receipt_is_missing(world):
    make_payment(world, "B", "SZ0006", ["15000.00"])
    receive(make_payment(world, "B", "SZ0004", ["98000.00"]))
    receive(make_payment(world, "B", "SZ0003", ["3000.00"]))
    bank_report(
        "B",
        [bank_line("SZ0003", 1, "3000.00"), bank_line("SZ0004", 1, "98000.00"), bank_line("SZ0006", 1, "15000.00")],
    )

    sheet = match()["bank_payment", "BANK-B"]

    assert found() == [("D2", "SZ0006/1", "bank_payment")]
    assert (sheet.our_amount, sheet.their_amount, sheet.difference, sheet.state) == (
        yuan("101000.00"),
        yuan("116000.00"),
        yuan("15000.00"),
        "different",
    )
    row = Discrepancy.objects.get()
    assert (row.our_amount, row.their_amount) == (None, yuan("15000.00"))
    assert row.explanation.startswith("银行有、财政无：凭证 SZ0006 明细 1 15,000.00 元")
    assert row.suggestion.startswith("补取回单")


@pytest.mark.parametrize("number", ["SZ9999", "SZ-A"])
def test_d2_a_payment_nobody_ordered_from_this_bank_asks_for_the_money_back(world, number):
    make_payment(world, "A", "SZ-A", ["1.00"])
    bank_report("B", [bank_line(number, 1, "15000.00")])

    match()

    assert found() == [("D2", f"{number}/1", "bank_payment")]
    assert "追回资金" in Discrepancy.objects.get().suggestion


def test_d3_another_amount_and_a_line_reported_twice(world):
    receive(make_payment(world, "B", "SZ1", ["100.00", "200.00"]))
    bank_report("B", [bank_line("SZ1", 1, "100.01"), bank_line("SZ1", 2, "200.00"), bank_line("SZ1", 2, "200.00")])

    match()

    assert found() == [("D3", "SZ1/1", "bank_payment"), ("D3", "SZ1/2", "bank_payment")]
    assert "列示 2 次" in Discrepancy.objects.get(detail_id="2").explanation


def test_d3_a_row_we_hold_for_failed(world):
    receive(make_payment(world, "B", "SZ1", ["100.00", "200.00"]), failed=(2,))
    bank_report("B", [bank_line("SZ1", 1, "100.00"), bank_line("SZ1", 2, "200.00")])

    match()

    assert found() == [("D3", "SZ1/2", "bank_payment")]
    assert Discrepancy.objects.get().our_amount == 0


def test_d4_the_bank_refunded_and_we_hold_it_for_paid(world):
    receive(make_payment(world, "B", "SZ1", ["100.00"]))
    bank_report("B", [bank_line("SZ1", 1, "100.00"), bank_line("SZ1", 1, "-100.00")])

    match()

    assert found() == [("D4", "SZ1/1", "bank_refund")]
    assert "2302" in Discrepancy.objects.get().suggestion


def test_d4_we_hold_it_for_refunded_and_the_bank_for_paid(world):
    payment = make_payment(world, "B", "SZ1", ["100.00"])
    receive(payment)
    refund(payment.details.get(), "100.00")
    bank_report("B", [bank_line("SZ1", 1, "100.00")])

    match()

    assert found() == [("D4", "SZ1/1", "bank_refund")]


def test_a_refund_of_a_payment_from_before_this_system_is_matched(world):
    old = make_payment(world, "B", "SZ20260612001", ["3000.00"], state="cleared", imported=True)
    old.details.update(state="paid")
    bank_report("B", [bank_line("SZ20260612001", 1, "-3000.00")])

    match()
    assert found() == [("D4", "SZ20260612001/1", "bank_refund")]

    refund(old.details.get(), "3000.00")
    sheet = match()["bank_refund", "BANK-B"]
    assert (found(), sheet.state, sheet.our_amount) == ([], "matched", yuan("3000.00"))


def test_d5_the_same_money_to_another_account(world):
    receive(make_payment(world, "B", "SZ1", ["100.00"]))
    bank_report("B", [bank_line("SZ1", 1, "100.00", payee="6239999")])

    sheet = match()["bank_payment", "BANK-B"]

    assert found() == [("D5", "SZ1/1", "bank_payment")]
    assert sheet.difference == 0
    assert sheet.state == "different"
    assert "收款账号我方 6231、对方 6239999" in Discrepancy.objects.get().explanation


def test_d6_booked_on_another_day(world):
    late = make_payment(world, "B", "SZ1", ["100.00"])
    receive(late, on=FRIDAY)
    receive(make_payment(world, "B", "SZ2", ["200.00"]))
    bank_report("B", [bank_line("SZ1", 1, "100.00"), bank_line("SZ2", 1, "200.00", on=FRIDAY)])

    match()

    assert found() == [("D6", "SZ1/1", "bank_payment"), ("D6", "SZ2/1", "bank_payment")]
    assert "我方记在 2026-06-12" in Discrepancy.objects.get(voucher_no="SZ1").explanation


def test_clearings_are_matched_by_bank_number_and_line(world):
    ours, theirs = make_payment(world, "A", "SZ1", ["10.00"]), make_payment(world, "B", "SZ2", ["20.00"])
    receive(ours)
    receive(theirs)
    clear(world, "A", "HK1", list(ours.details.all()))
    clear(world, "B", "HK1", list(theirs.details.all()))
    clearing_statement([clearing_line(BANK_A, "HK1", 1, "10.00", payment="SZ1")], check_no="DZ1")
    clearing_statement(
        [
            clearing_line(BANK_B, "HK1", 1, "20.00", payment="SZ9"),
            clearing_line(BANK_B, "HK2", 1, "30.00", payment="SZ3"),
        ],
        check_no="DZ2",
    )

    sheet = match()["pboc_clearing", "PBOC-990100"]

    assert [row for row in found() if row[2] == Pair.PBOC_CLEARING] == [
        ("D5", "HK1/1", "pboc_clearing"),
        ("D2", "HK2/1", "pboc_clearing"),
    ]
    assert (sheet.our_amount, sheet.their_amount) == (yuan("30.00"), yuan("60.00"))


def test_a_limit_balance_that_differs(world):
    limit(world, "A", issued="100.00", cleared="40.00")
    limit(world, "B", issued="0.00", cleared="0.00", mode="11")
    limit_statement([limit_line(BANK_A, "100.00", "0.00", "40.01", "59.99")])

    sheet = match()["pboc_limit", "PBOC-990100"]

    assert found() == [("D3", "12/11", "pboc_limit")]
    assert (sheet.our_amount, sheet.their_amount) == (yuan("60.00"), yuan("59.99"))


def test_a_report_that_never_came_is_one_finding_and_not_one_for_each_line(world):
    receive(make_payment(world, "B", "SZ1", ["100.00"] * 7))

    sheet = match()["bank_payment", "BANK-B"]

    assert (found(), sheet.state, sheet.unreported) == ([], "different", 7)


def test_a_corrected_report_replaces_the_wrong_one(world):
    receive(make_payment(world, "B", "SZ1", ["100.00"]))
    bank_report("B", [bank_line("SZ1", 1, "99.00")])
    bank_report("B", [bank_line("SZ1", 1, "100.00")])

    assert match()["bank_payment", "BANK-B"].state == "matched"


def test_a_report_in_packs_is_one_report(world):
    receive(make_payment(world, "B", "SZ1", ["100.00", "200.00"]))
    bank_report("B", [bank_line("SZ1", 2, "200.00")], pack="2/2")
    bank_report("B", [bank_line("SZ1", 1, "100.00")], pack="1/2")

    assert match()["bank_payment", "BANK-B"].state == "matched"


@pytest.mark.parametrize("planted", [0, 3])
def test_matching_takes_the_same_number_of_statements_for_10_and_for_500_lines(world, planted):
    taken = []
    for number, size in (("SZ1", 10), ("SZ2", 490)):
        receive(make_payment(world, "B", number, ["1.00"] * size))
        lines = [bank_line(number, seq, "1.00") for seq in range(1, size + 1 - planted)]
        bank_report("B", lines, FundTypeCode=number)
        match()
        with CaptureQueriesContext(connection) as queries:
            match()
        taken.append(len(queries))
        assert len(found()) == planted * len(taken)

    assert taken[0] == taken[1] <= 20


def test_another_regions_lines_are_not_seen(world):
    receive(make_payment(world, "B", "SZ1", ["100.00"]))
    bank_report("B", [bank_line("SZ1", 1, "100.00")])

    assert services.compare(Pair.BANK_PAYMENT, "990200000", DAY) == {}
    assert services.compare(Pair.BANK_PAYMENT, REGION, date(2026, 6, 16)) == {}
