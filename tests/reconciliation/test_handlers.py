"""Statements that do not add up are refused, naming the field; nothing of them is kept."""

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from core.money import yuan
from reconciliation import handlers
from reconciliation.models import Statement, StatementLine
from tests.reconciliation.builders import (
    BANK_A,
    BANK_B,
    FRIDAY,
    NOW,
    bank_line,
    bank_report,
    clearing_line,
    clearing_statement,
    inbound,
    limit_line,
    limit_statement,
)
from vouchers.routing import Applied, handler_for

pytestmark = pytest.mark.django_db

PAID, BACK = bank_line("SZ1", 1, "100.00"), bank_line("SZ0", 1, "-30.00")


def test_the_handlers_are_registered():
    assert handler_for("2205", 0) is handler_for("2206", 0) is handlers.on_bank_report
    assert handler_for("3507", 0) is handlers.on_clearing_statement
    assert handler_for("3510", 0) is handlers.on_limit_statement


def test_a_day_report_becomes_payments_and_refunds(world):
    verdict = bank_report("B", [PAID, BACK], kind="2206")

    assert verdict == Applied("对账明细 2 笔")
    statement = Statement.objects.get()
    assert (statement.scope, statement.amount, statement.sheet_no) == (BANK_B, yuan("70.00"), "20260615/1")
    lines = StatementLine.objects.order_by("amount")
    assert [(line.pair, line.voucher_type, line.voucher_no, line.amount) for line in lines] == [
        ("bank_refund", "5201", "SZ0", yuan("30.00")),
        ("bank_payment", "5201", "SZ1", yuan("100.00")),
    ]


def test_an_empty_report_says_that_nothing_happened(world):
    assert isinstance(bank_report("A", []), Applied)
    assert isinstance(clearing_statement([], Hold1=BANK_A), Applied)
    assert Statement.objects.get(voucher_type="3507").scope == BANK_A
    assert not StatementLine.objects.exists()


def test_pboc_statements_become_clearings_and_balances(world):
    clearing_statement([clearing_line(BANK_A, "HK1", 1, "10.00"), clearing_line(BANK_A, "HT1", 1, "-3.00")])
    limit_statement([limit_line(BANK_B, "90000.00", "120000.00", "113000.00", "97000.00")])

    lines = StatementLine.objects.order_by("pair", "amount")
    assert [(line.pair, line.bank_no, line.voucher_type, line.amount) for line in lines] == [
        ("pboc_clearing", BANK_A, "2302", yuan("3.00")),
        ("pboc_clearing", BANK_A, "2301", yuan("10.00")),
        ("pboc_limit", BANK_B, "", yuan("97000.00")),
    ]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"PayAmt": "70.01"}, "statement_totals_differ", "PayAmt"),
        ({"PosAmt": "99.99"}, "statement_totals_differ", "PosAmt"),
        ({"NegAmt": "30.00"}, "statement_totals_differ", "NegAmt"),
        ({"PayAmt": "７０.00"}, "amount_invalid", "PayAmt"),
        ({"PayBankCode": "102"}, "statement_bank_foreign", "PayBankCode"),
        ({"PayTypeCode": "11"}, "statement_line_invalid", "PayTypeCode"),
        ({"Hold1": "2/1"}, "statement_pack_invalid", "Hold1"),
        ({"Hold1": "1"}, "statement_pack_invalid", "Hold1"),
        ({"Hold1": "０/１"}, "statement_pack_invalid", "Hold1"),
    ],
)
def test_a_day_report_with_a_wrong_head_is_refused(world, changes, code, field):
    verdict = bank_report("B", [PAID, BACK], **changes)

    assert (verdict.code, verdict.field) == (code, field)
    assert not Statement.objects.exists()


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (bank_line("SZ1", 1, "0.00"), "Detail[1].PayAmt"),
        (bank_line("", 1, "1.00"), "Detail[1].VoucherNo"),
        ({**PAID, "VoucherBillId": ""}, "Detail[1].VoucherBillId"),
        ({**PAID, "PayDate": "20260631"}, "Detail[1].PayDate"),
    ],
)
def test_a_day_report_with_a_wrong_line_is_refused(world, line, field):
    assert bank_report("B", [line]).field == field
    assert not StatementLine.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"AllNum": "2"}, "statement_totals_differ"),
        ({"AllAmt": "10.01"}, "statement_totals_differ"),
        ({"EndDate": "20260616"}, "statement_line_invalid"),
        ({"CurPackNo": "0"}, "statement_pack_invalid"),
        ({"BeginDate": "20260616", "EndDate": "20260616"}, "statement_date_unknown"),
        ({"BeginDate": "20260612", "EndDate": "20260612"}, "day_closed"),
    ],
)
def test_a_clearing_statement_with_a_wrong_head_is_refused(world, changes, code):
    assert clearing_statement([clearing_line(BANK_A, "HK1", 1, "10.00")], **changes).code == code
    assert not Statement.objects.exists()


def test_a_bank_nobody_registered_is_refused(world):
    assert clearing_statement([clearing_line("999999999999", "HK1", 1, "10.00")]).code == "statement_bank_foreign"
    assert limit_statement([limit_line("999999999999", "0.00", "0.00", "0.00", "0.00")]).field == "Detail[1].PayBankNo"


@pytest.mark.parametrize(
    "lines",
    [
        [limit_line(BANK_A, "100.00", "0.00", "40.00", "60.01")],
        [limit_line(BANK_A, "1.00", "0.00", "0.00", "1.00")] * 2,
    ],
)
def test_a_limit_that_does_not_add_up_or_comes_twice_is_refused(world, lines):
    assert limit_statement(lines).code in ("statement_totals_differ", "statement_line_invalid")


def test_a_report_of_a_closed_day_is_refused(world):
    assert bank_report("B", [bank_line("SZ1", 1, "1.00", on=FRIDAY)], on=FRIDAY).code == "day_closed"


def test_one_bad_message_does_not_stop_the_others_and_a_batch_takes_four_statements(world):
    def message(amount, number):
        main = {"PayAmt": "5.00", "PosAmt": "5.00", "NegAmt": "0.00", "PayBankCode": "103", "FundTypeCode": number}
        return inbound("BANK-B", "2205", main, [bank_line(number, 1, amount)])

    batch = [message("5.00" if number != 7 else "5.01", f"SZ{number}") for number in range(20)]
    with CaptureQueriesContext(connection) as queries:
        verdicts = handlers.on_bank_report(batch, NOW)

    assert len(queries) == 2  # and two COPY, which Django does not count
    assert sum(isinstance(verdict, Applied) for verdict in verdicts.values()) == 19
    assert StatementLine.objects.count() == 19


@pytest.mark.parametrize("table", ["statement", "statementline"])
def test_statements_are_append_only(world, table):
    bank_report("B", [PAID])

    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(f"UPDATE reconciliation_{table} SET amount = 1")
