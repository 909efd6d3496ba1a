"""The partners' side of the worked day: what they book must be the figures of the acceptance test, to the fen."""

from collections.abc import Callable

import pytest

from simulators.app import App
from simulators.wire import Identity
from tests.simulators.support import (
    A_101001,
    A_FINANCE,
    A_NO,
    B_101002,
    B_205001,
    B_NO,
    Party,
    balances,
    carry,
    desk,
    desk_answer,
    limit_notice,
    payment,
    quota_notice,
    sent,
)

TSA = "990100271000000001"
FIN = "FIN-990100000"
WANG_SAN, CORRECTED, CLOSED = "6230000000010003", "6230000000010033", "6230000000000808"
P1 = [("62301", "7184.44"), ("62302", "6323.08"), (WANG_SAN, "5964.18")]
P1 += [("62303", "3180.00"), ("62304", "530.00"), ("62305", "3180.00"), ("62306", "138.30")]
DIRECT = [
    payment("5201", "ZF0001", "101002", P1),
    payment("5201", "ZF0002", "101002", [(CORRECTED, "5964.18")]),
    payment("5201", "ZF0003", "101002", [("62310", "240000.00")]),
    payment("5201", "ZF0004", "205001", [("62311", "500000.00")]),
]
AUTHORISED = {
    "SZ0001": ("101001", [("62303", "12345.67")]),
    "SZ0002": ("101001", [("62304", "1280.00"), ("62305", "860.50")]),
    "SZ0003": ("101002", [("", "3000.00")]),
    "SZ0004": ("205001", [("62307", "98000.00")]),
    "SZ0005": ("205001", [(CLOSED, "20000.00")]),
    "SZ0006": ("205001", [("62308", "15000.00")]),
}
LIMITS = [
    limit_notice("5106", "QS0001", B_NO, "120000.00"),
    limit_notice("5108", "ZQ0001", A_NO, "26500.00"),
    limit_notice("5108", "ZQ0002", A_NO, "-5964.18"),
    limit_notice("5108", "ZQ0003", A_NO, "5964.18"),
    limit_notice("5108", "ZQ0004", A_NO, "240000.00"),
    limit_notice("5108", "ZQ0005", A_NO, "500000.00"),
]


@pytest.fixture
def paid(bank_a: App, bank_b: App, pboc: App, fin: Party, parties: dict[str, Party]) -> tuple[App, App, App]:
    """Everything up to the banks' cut-off: notices, payments, P13's lost receipt, refund R0."""
    assert {r["outcome"] for r in fin.push(pboc, *map(fin.body, LIMITS))} == {"accepted"}
    assert {r["outcome"] for r in fin.push(bank_a, *map(fin.body, DIRECT))} == {"accepted"}
    for number, (unit, rows) in AUTHORISED.items():
        body = parties[f"UNIT-{unit}"].body(payment("8202", number, unit, rows))
        assert fin.push(bank_a if unit == "101001" else bank_b, body)[0]["outcome"] == "accepted"
    desk(bank_b, "behaviour", faults={"lose_receipt_for": ["SZ0006"]})
    desk(bank_a, "pay")
    desk(bank_b, "pay")
    desk(
        bank_b,
        "refund",
        voucher_type="8202",
        voucher_no="SZ20260612001",
        detail_id="1",
        amount="3000.00",
        reason="账号有误退回",
    )
    return bank_a, bank_b, pboc


@pytest.fixture
def cleared(paid: tuple[App, App, App], parties: dict[str, Party]) -> tuple[App, App, App]:
    """After PBoC has answered every clearing request and the banks have its receipts."""
    bank_a, bank_b, pboc = paid
    for bank in (bank_a, bank_b):
        desk(bank, "clear")
        assert {r["outcome"] for r in carry(bank, pboc, parties, {"2301", "2302"})} == {"accepted"}
        assert {r["outcome"] for r in carry(pboc, bank, parties, {"2301", "2302"})} == {"accepted"}
    return paid


def test_receipts_say_what_was_paid(paid: tuple[App, App, App]) -> None:
    bank_a, bank_b, _pboc = paid
    salary = sent(bank_a, FIN, "5201")[0]
    assert salary.main["XPayAmt"] == "20535.82"
    assert salary.main["XPayDate"] == "20260615"
    assert (salary.details[2]["XPayAmt"], salary.details[2]["XAddWord"]) == ("0.00", "户名账号不符")
    assert len({detail["XAgentBusinessNo"] for detail in salary.details}) == 7
    closed = next(d for d in sent(bank_b, FIN, "8202") if d.main["VoucherNo"] == "SZ0005")
    assert (closed.main["XPayAmt"], closed.details[0]["XAddWord"]) == ("0.00", "账户已销户")
    assert balances(bank_a)[A_FINANCE] == "-766500.00"
    assert balances(bank_a)[A_101001] == "-14486.17"
    assert balances(bank_b)[B_205001] == "-110000.00"
    assert balances(bank_b)[B_101002] == "-3000.00"


def test_lost_receipt_is_found_by_asking(paid: tuple[App, App, App], fin: Party, parties: dict[str, Party]) -> None:
    bank_b = paid[1]
    state = desk(bank_b, "state")
    assert ("SZ0006", "lost") in {(row["voucher_no"], row["status"]) for row in state["issued"]}
    body = parties["UNIT-205001"].body(payment("8202", "SZ0006", "205001", [("62308", "15000.00")]))

    (answer,) = fin.query(bank_b, body)
    assert answer["status"] == 12
    assert answer["receipt"]

    assert desk(bank_b, "resend", kind="receipt", voucher_no="SZ0006")["queued"][0]["destination"] == FIN
    waiting = desk(bank_b, "state")["outbox"]
    assert [row["voucher_no"] for row in waiting if row["voucher_type"] == "8202"].count("SZ0006") == 1


def test_day_ends_with_the_worked_figures(cleared: tuple[App, App, App]) -> None:
    bank_a, bank_b, pboc = cleared
    desk(pboc, "external-movements")
    desk(pboc, "external-movements")  # a second time changes nothing

    zero = {A_FINANCE, A_101001, B_101002, B_205001}
    shown = balances(bank_a) | balances(bank_b)
    assert {shown[number] for number in zero} == {"0.00"}
    assert shown["6220001010020002"] == "66666.66"
    assert balances(pboc) == {TSA: "13247442.98", "990100271000000002": "2000000.00"}
    state = desk(pboc, "state")
    assert {
        (r["bank_no"], r["pay_type"]): (r["issued"], r["cleared"], r["refunded"], r["remaining"])
        for r in state["limits"]
    } == {
        (A_NO, "11"): ("766500.00", "766500.00", "0.00", "0.00"),
        (A_NO, "12"): ("0.00", "14486.17", "0.00", "65513.83"),
        (B_NO, "12"): ("120000.00", "116000.00", "3000.00", "97000.00"),
    }
    assert {row["voucher_no"]: row["amount"] for row in state["clearings"]} == {
        "HK-A-01": "766500.00",
        "HK-A-02": "14486.17",
        "HK-B-01": "116000.00",
        "HT-B-01": "-3000.00",
    }
    assert {row["cleared_on"] for bank in (bank_a, bank_b) for row in desk(bank, "state")["executions"]} == {
        "20260615",
        "20260612",
    }


def test_reports_and_statements_add_up(cleared: tuple[App, App, App]) -> None:
    bank_a, bank_b, pboc = cleared
    made = {
        (bank, row["voucher_type"]): row["amount"]
        for bank, app in (("A", bank_a), ("B", bank_b))
        for row in desk(app, "report", date="2026-06-15")["sent"]
    }
    assert made == {
        ("A", "2206"): "766500.00",
        ("A", "2205"): "14486.17",
        ("B", "2206"): "0.00",
        ("B", "2205"): "113000.00",
    }
    day = sent(bank_b, FIN, "2205")[0]
    assert (day.main["PosAmt"], day.main["NegAmt"], day.main["Hold1"]) == ("116000.00", "-3000.00", "1/1")
    assert [(d["VoucherNo"], d["VoucherBillId"], d["PayAmt"]) for d in day.details][-1] == (
        "SZ20260612001",
        "1",
        "-3000.00",
    )

    desk(pboc, "report", date="20260615")
    lines = {document.main["Hold1"]: document for document in sent(pboc, FIN, "3507")}
    assert {bank: d.main["AllAmt"] for bank, d in lines.items()} == {A_NO: "780986.17", B_NO: "113000.00"}
    (limits,) = sent(pboc, FIN, "3510")
    assert limits.main["CurDateMoney"] == "162513.83"


def test_bank_copies_clearing_requests_and_pboc_forwards_receipts(cleared: tuple[App, App, App]) -> None:
    bank_a, _bank_b, pboc = cleared
    assert [d.main["VoucherNo"] for d in sent(bank_a, FIN, "2301")] == ["HK-A-01", "HK-A-02"]
    receipts = sent(pboc, FIN, "2301")
    assert [(d.main["VoucherNo"], d.main["XPayAmt"], d.main["XClearDate"]) for d in receipts][:1] == [
        ("HK-A-01", "766500.00", "20260615")
    ]
    rows = pboc.owner.storage.read().execute("SELECT body FROM issued WHERE voucher_no = 'HK-A-01'").fetchall()
    assert 'No="yh_ywz"' in rows[0]["body"]
    assert 'No="rh_zzz"' in rows[0]["body"]


def test_replayed_clearing_and_receipt_change_nothing(cleared: tuple[App, App, App], parties: dict[str, Party]) -> None:
    bank_a, _bank_b, pboc = cleared
    before = (balances(pboc), balances(bank_a))
    desk(bank_a, "resend", kind="2301", voucher_no="HK-A-01")
    desk(pboc, "resend", kind="receipt", voucher_no="HK-A-01")

    assert carry(bank_a, pboc, parties, {"2301"})[0]["outcome"] == "duplicate"
    assert carry(pboc, bank_a, parties, {"2301"})[0]["outcome"] == "duplicate"

    assert (balances(pboc), balances(bank_a)) == before


def test_second_request_with_p13_is_refused(cleared: tuple[App, App, App], parties: dict[str, Party]) -> None:
    _bank_a, bank_b, pboc = cleared
    with bank_b.owner.storage.write() as db:  # the bank errs: it forgets that P13 was asked for already
        db.execute("UPDATE executions SET clearing_no = NULL, cleared_on = NULL WHERE voucher_no = 'SZ0006'")
    desk(bank_b, "clear")
    before = balances(pboc)

    (result,) = carry(bank_b, pboc, parties, {"2301"})

    assert (result["voucher_no"], result["code"]) == ("HK-B-02", "detail_already_cleared")
    assert balances(pboc) == before
    assert len(desk(pboc, "state")["clearings"]) == 4


def test_clearing_over_the_limit_is_refused_and_may_be_asked_again(
    bank_a: App, pboc: App, fin: Party, parties: dict[str, Party]
) -> None:
    unit = parties["UNIT-101001"]
    fin.push(bank_a, unit.body(payment("8202", "SZ1", "101001", [("62", "80000.01")])))
    desk(bank_a, "pay")
    desk(bank_a, "clear")

    (result,) = carry(bank_a, pboc, parties, {"2301"})

    assert result["code"] == "clearing_limit_exceeded"
    assert balances(pboc)[TSA] == "12345678.90"
    assert desk(bank_a, "state")["executions"][0]["clearing_no"] == "HK-A-01"
    with bank_a.owner.storage.write() as db:  # what the outbox does with such an answer
        identity = Identity(*(result[name] for name in Identity.__match_args__))
        bank_a.owner.on_refused(db, identity, 0, "PBOC-990100")
    fin.push(pboc, fin.body(limit_notice("5106", "QS2", A_NO, "0.01")))
    assert desk(bank_a, "clear")["sent"][0]["voucher_no"] == "HK-A-02"
    assert carry(bank_a, pboc, parties, {"2301"})[0]["outcome"] == "accepted"


def test_limit_cannot_fall_below_what_was_cleared(pboc: App, fin: Party) -> None:
    (result,) = fin.push(pboc, fin.body(limit_notice("5106", "QS9", A_NO, "-80000.01")))
    assert result["code"] == "limit_below_cleared"
    assert fin.push(pboc, fin.body(limit_notice("5106", "QS10", A_NO, "-80000.00")))[0]["outcome"] == "accepted"


def test_refunding_the_original_again_is_refused(cleared: tuple[App, App, App], parties: dict[str, Party]) -> None:
    _bank_a, bank_b, pboc = cleared
    again = {
        "voucher_type": "8202",
        "voucher_no": "SZ20260612001",
        "detail_id": "1",
        "amount": "0.01",
        "reason": "重复",
    }

    assert b"refund_exceeds_payment" in desk_answer(bank_b, "refund", **again).body

    with bank_b.owner.storage.write() as db:  # even if the bank asked PBoC a second time
        db.execute("UPDATE refunds SET clearing_no = NULL, cleared_on = NULL")
    desk(bank_b, "clear")
    assert carry(bank_b, pboc, parties, {"2302"})[0]["code"] == "refund_exceeds_cleared"


def test_refund_of_what_was_never_cleared_is_refused_by_pboc(
    bank_a: App, pboc: App, fin: Party, parties: dict[str, Party]
) -> None:
    fin.push(bank_a, parties["UNIT-101001"].body(payment("8202", "SZ1", "101001", [("62", "5.00")])))
    desk(bank_a, "pay")
    desk(bank_a, "refund", voucher_type="8202", voucher_no="SZ1", detail_id="1", amount="5.00", reason="退回")
    desk(bank_a, "clear")
    with bank_a.owner.storage.write() as db:
        db.execute(
            "UPDATE outbox SET status = 'done' WHERE issued_id IN (SELECT id FROM issued WHERE voucher_type = '2301')"
        )

    assert carry(bank_a, pboc, parties, {"2302"})[0]["code"] == "original_not_cleared"


@pytest.mark.parametrize("amount", ["120000.00", "-20000.00"])
def test_quota_notice_is_announced(bank_b: App, fin: Party, amount: str) -> None:
    """A grant, and a reduction."""
    assert fin.push(bank_b, fin.body(quota_notice("SQ0001", amount)))[0]["outcome"] == "accepted"
    assert desk(bank_b, "arrive") == {"sent": ["DZ0001"]}
    assert desk(bank_b, "arrive") == {"sent": []}
    (arrival,) = sent(bank_b, FIN, "2104")
    assert (arrival.main["OriVoucherNo"], arrival.main["PlanAmt"]) == ("SQ0001", amount)
    assert [line["PlanAmt"] for line in arrival.details] == [amount]


def test_automatic_bank_holds_receipts_until_told(bank_a: App, fin: Party, parties: dict[str, Party]) -> None:
    desk(bank_a, "behaviour", auto_pay=True)
    fin.push(bank_a, parties["UNIT-101001"].body(payment("8202", "SZ1", "101001", [("62", "5.00")])))
    assert desk(bank_a, "state")["execution_counts"] == {"8202 SZ1/1": 1}
    assert desk(bank_a, "state")["outbox"] == []

    assert desk(bank_a, "pay") == {"paid": [], "receipts_released": 1}
    assert [row["status"] for row in desk(bank_a, "state")["outbox"]] == ["pending"]


@pytest.mark.parametrize(
    ("faults", "copies", "amount"),
    [({"duplicate_receipts": True}, 2, "5.00"), ({"wrong_amount_for": ["SZ1"]}, 1, "5.01")],
)
def test_faulty_receipts(
    bank_a: App, fin: Party, parties: dict[str, Party], faults: dict[str, object], copies: int, amount: str
) -> None:
    desk(bank_a, "behaviour", faults=faults)
    fin.push(bank_a, parties["UNIT-101001"].body(payment("8202", "SZ1", "101001", [("62", "5.00")])))
    desk(bank_a, "pay")

    receipts = sent(bank_a, FIN, "8202")
    assert [receipt.main["XPayAmt"] for receipt in receipts] == [amount] * copies
    assert balances(bank_a)[A_101001] == "-5.00"


def test_numbers_go_on_after_a_restart(make_app: Callable[..., App], fin: Party) -> None:
    first = make_app("bank-B")
    fin.push(first, fin.body(quota_notice("SQ0001", "1.00")))
    desk(first, "arrive")
    first.owner.storage.close()

    second = make_app("bank-B")
    fin.push(second, fin.body(quota_notice("SQ0002", "1.00")))
    assert desk(second, "arrive") == {"sent": ["DZ0002"]}
