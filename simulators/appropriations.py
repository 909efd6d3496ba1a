"""PBoC pays appropriations (5207) straight out of the treasury account, answers with its receipt, and reports what came
back (3208). Nothing of this is cleared: there is no bank to repay.
"""

import json
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simulators.config import FINANCE
from simulators.errors import Refusal
from simulators.money import fen, yuan
from simulators.storage import balance, book, insert
from simulators.wire import Document, build_envelope, parse_document, parse_envelope

if TYPE_CHECKING:
    from simulators.pboc import CentralBank

SCHEMA = """
    CREATE TABLE IF NOT EXISTS appropriation_orders (
        id INTEGER PRIMARY KEY, received_id INTEGER NOT NULL REFERENCES received, voucher_no TEXT NOT NULL,
        done INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS appropriations (
        id INTEGER PRIMARY KEY, serial TEXT NOT NULL UNIQUE, order_id INTEGER REFERENCES appropriation_orders,
        voucher_no TEXT NOT NULL, detail_id TEXT NOT NULL, fund TEXT NOT NULL, account TEXT NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0), paid_on TEXT NOT NULL, facts TEXT NOT NULL,
        UNIQUE (order_id, detail_id));
    CREATE TABLE IF NOT EXISTS returned_appropriations (
        id INTEGER PRIMARY KEY, appropriation_id INTEGER NOT NULL REFERENCES appropriations, serial TEXT NOT NULL,
        notice_no TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0), returned_on TEXT NOT NULL);
"""
FACTS = (
    *("FundTypeCode", "FundTypeName", "PayTypeCode", "PayTypeName", "BgtTypeCode", "BgtTypeName"),
    *("ProCatCode", "ProCatName", "AgencyCode", "AgencyName", "ExpFuncCode", "ExpFuncName", "ExpEcoCode", "ExpEcoName"),
    *("PayAcctNo", "PayAcctName", "PayAcctBankName", "PayeeAcctNo", "PayeeAcctName", "PayeeAcctBankName"),
    *("PayeeAcctBankNo", "PaySummaryName"),
)


def pay(pboc: "CentralBank", voucher_nos: list[str] | None) -> list[str]:
    """Execute waiting appropriations (all, or those named) and send their receipts; returns the numbers."""
    paid = []
    with pboc.storage.write() as db:
        rows = db.execute(
            "SELECT o.id, o.voucher_no, r.body FROM appropriation_orders o JOIN received r ON r.id = o.received_id"
            " WHERE o.done = 0 ORDER BY o.id"
        ).fetchall()
        for row in rows:
            if voucher_nos is None or row["voucher_no"] in voucher_nos:
                document = parse_document(parse_envelope(build_envelope([row["body"]]))[0])
                execute(db, pboc, row["id"], document)
                paid.append(row["voucher_no"])
    pboc.outbox.wake()
    return paid


def execute(db: sqlite3.Connection, pboc: "CentralBank", order: int, document: Document) -> None:
    """Pay every line that can be paid, and issue the receipt that says so. Caller holds the transaction."""
    main, today = document.main, pboc.today(db)
    account = pboc.treasury[main["FundTypeCode"]]
    for detail in document.details:
        amount, serial = fen(detail["PayAmt"]), pboc.number(db, "serial")
        payee = detail.get("PayeeAcctNo") or main.get("PayeeAcctNo", "")
        reason = pboc.bad_accounts.get(payee, "")
        if not reason and amount > balance(db, account):
            reason = "库款余额不足"
        if not reason:
            facts = {tag: detail.get(tag) or main.get(tag, "") for tag in FACTS}
            insert(
                db,
                "appropriations",
                serial=serial,
                order_id=order,
                voucher_no=main["VoucherNo"],
                detail_id=detail["Id"],
                fund=main["FundTypeCode"],
                account=account,
                amount=amount,
                paid_on=today,
                facts=json.dumps(facts, ensure_ascii=False),
            )
            reference = f"5207 {main['VoucherNo']}/{detail['Id']}"
            book(db, account=account, amount=-amount, kind="appropriation", ref=reference, on=today, note=serial)
        detail |= {
            "XPayDate": today,
            "XAgentBusinessNo": serial,
            "XPayAmt": yuan(0 if reason else amount),
            "XAddWord": reason,
        }
    main |= {
        "XPayDate": today,
        "XAgentBusinessNo": document.details[0]["XAgentBusinessNo"],
        "XPayAmt": yuan(sum(fen(detail["XPayAmt"]) for detail in document.details)),
    }
    db.execute("UPDATE appropriation_orders SET done = 1 WHERE id = ?", (order,))
    lost = pboc.behaviour.hits("lose_receipt_for", main["VoucherNo"])
    pboc.issue(db, document, flag=1, destinations=[FINANCE], status="lost" if lost else "pending")


def give_back(pboc: "CentralBank", *, voucher_no: str, detail_id: str, amount: str, reason: str) -> dict[str, str]:
    """An appropriation has come back: credit the treasury account and notify finance (3208).

    :raises Refusal: ``unknown_payment``, or ``refund_exceeds_payment`` if more would return than was paid.
    """
    back = fen(amount, "amount")
    with pboc.storage.write() as db:
        row = db.execute(
            "SELECT *, amount - (SELECT coalesce(sum(r.amount), 0) FROM returned_appropriations r"
            " WHERE r.appropriation_id = a.id) AS room FROM appropriations a WHERE voucher_no = ? AND detail_id = ?",
            (voucher_no, detail_id),
        ).fetchone()
        if row is None:
            raise Refusal("unknown_payment", f"本库没有拨付过 5207 {voucher_no} 明细 {detail_id}")
        if not 0 < back <= row["room"]:
            raise Refusal("refund_exceeds_payment", f"可退金额 {yuan(row['room'])},要求退 {amount}")
        number = _notify(db, pboc, row, back, reason)
    pboc.outbox.wake()
    return {"voucher_type": "3208", "voucher_no": number}


def _notify(db: sqlite3.Connection, pboc: "CentralBank", row: sqlite3.Row, back: int, reason: str) -> str:
    facts: dict[str, str] = json.loads(row["facts"])
    serial, today = pboc.number(db, "serial"), pboc.today(db)
    main = facts | {
        "AgentBusinessNo": row["serial"],
        "OriBillNo": row["voucher_no"],
        "OriPayDate": row["paid_on"],
        "CurrencyCode": "CNY",
        "CurrencyName": "人民币",
        "PeriodType": "正常业务",
        "PeriodTypeCode": "01",
        "PayAmt": yuan(-back),
        "Remark": reason,
    }
    detail = facts | {
        "Id": "1",
        "OriVouDetailNo": row["detail_id"],
        "AgentBusinessNo": serial,
        "Amt": yuan(-back),
        "Remark": reason,
    }
    document = pboc.draft(db, "3208", main, [detail])
    document.details[0]["VoucherBillId"] = document.main["Id"]
    number = document.main["VoucherNo"]
    insert(
        db,
        "returned_appropriations",
        appropriation_id=row["id"],
        serial=serial,
        notice_no=number,
        amount=back,
        returned_on=today,
    )
    book(db, account=row["account"], amount=back, kind="appropriation", ref=f"3208 {number}", on=today, note=serial)
    pboc.issue(db, document, flag=0, destinations=[FINANCE])
    return number


_LINES = """
SELECT a.id, a.voucher_no, a.detail_id, a.amount, a.paid_on AS day, a.facts, a.serial, '' AS notice
  FROM appropriations a WHERE a.paid_on = :day
UNION ALL
SELECT a.id, a.voucher_no, a.detail_id, -r.amount, r.returned_on, a.facts, r.serial, r.notice_no
  FROM returned_appropriations r JOIN appropriations a ON a.id = r.appropriation_id WHERE r.returned_on = :day
 ORDER BY 1"""


def lines_of_day(db: sqlite3.Connection, day: str) -> list[dict[str, str]]:
    """What a 3508 says of a day: a positive line was paid, a negative one came back."""
    lines = []
    for row in db.execute(_LINES, {"day": day}).fetchall():
        facts: Mapping[str, str] = json.loads(row["facts"])
        lines.append(
            {
                **facts,
                "PayDetailId": row["detail_id"],
                "VoucherNo": row["voucher_no"],
                "PayAmt": yuan(row["amount"]),
                "PayDate": row["day"],
                "Hold2": row["serial"],
                "Hold3": row["notice"],
            }
        )
    return lines


def state(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """Every line paid, for the desk."""
    rows = [dict(row) for row in db.execute("SELECT * FROM appropriations ORDER BY id")]
    return [
        {name: row[name] for name in ("voucher_no", "detail_id", "fund", "paid_on", "serial")}
        | {"amount": yuan(row["amount"])}
        for row in rows
    ]
