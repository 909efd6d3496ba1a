"""The bank asks PBoC to reimburse the day's payments (2301) and hands refunds back (2302), and books the answers."""

import json
import sqlite3
from itertools import groupby
from typing import TYPE_CHECKING, Any

from simulators.config import FINANCE
from simulators.money import yuan
from simulators.rules import MAX_DETAILS
from simulators.storage import book
from simulators.wire import Document

if TYPE_CHECKING:
    from simulators.bank import Bank

PBOC = "PBOC-990100"
_UNCLEARED = """
SELECT id, serial, voucher_type, voucher_no, detail_id, amount, pay_type, fund, fiscal_year, pay_date, facts
  FROM executions WHERE clearing_no IS NULL AND pay_type IN ('11', '12') ORDER BY pay_type, fund, fiscal_year, id"""
_UNCLEARED_REFUNDS = """
SELECT r.id, r.serial, e.voucher_type, e.voucher_no, e.detail_id, r.amount, e.pay_type, e.fund, e.fiscal_year,
       r.refunded_on AS pay_date, e.facts, r.notice_no, r.reason
  FROM refunds r JOIN executions e ON e.id = r.execution_id WHERE r.clearing_no IS NULL AND e.pay_type IN ('11', '12')
 ORDER BY e.pay_type, e.fund, e.fiscal_year, r.id"""


def clear(bank: "Bank") -> list[dict[str, Any]]:
    """One 2301 (2302) per payment method, fund and year for everything not asked for yet, at most 499 details each."""
    made = []
    with bank.storage.write() as db:
        for kind, sql in (("2301", _UNCLEARED), ("2302", _UNCLEARED_REFUNDS)):
            rows = db.execute(sql).fetchall()
            for _key, group in groupby(rows, key=lambda row: (row["pay_type"], row["fund"], row["fiscal_year"])):
                members = list(group)
                for start in range(0, len(members), MAX_DETAILS):
                    made.append(_request(db, bank, kind, members[start : start + MAX_DETAILS]))
    bank.outbox.wake()
    return made


def _request(db: sqlite3.Connection, bank: "Bank", kind: str, rows: list[sqlite3.Row]) -> dict[str, Any]:
    sign = 1 if kind == "2301" else -1
    facts = json.loads(rows[0]["facts"])
    total = sign * sum(row["amount"] for row in rows)
    today = bank.today(db)
    document = bank.draft(
        db,
        kind,
        _header(bank, facts, rows[0]["fund"], total, today, kind),
        [_detail(kind, number, row, sign) for number, row in enumerate(rows, 1)],
    )
    document.main["StYear"] = rows[0]["fiscal_year"]  # the budget year of the money, not of the clock
    number = document.main["VoucherNo"]
    table = "executions" if kind == "2301" else "refunds"
    db.executemany(f"UPDATE {table} SET clearing_no = ? WHERE id = ?", [(number, row["id"]) for row in rows])
    bank.issue(db, document, flag=0, destinations=[PBOC, FINANCE])
    return {"voucher_type": kind, "voucher_no": number, "amount": yuan(total), "details": len(rows)}


def _header(bank: "Bank", facts: dict[str, str], fund: str, total: int, today: str, kind: str) -> dict[str, str]:
    agent = bank.me["clearing_account"]
    treasury = bank.me["treasury_accounts"].get(fund, bank.me["treasury_accounts"]["11"])
    return facts | {
        "AgentAcctNo": agent["no"],
        "AgentAcctName": agent["name"],
        "AgentAcctBankName": agent["bank_name"],
        "ClearAcctNo": treasury["no"],
        "ClearAcctName": treasury["name"],
        "ClearAcctBankName": treasury["bank_name"],
        "PayAmt": yuan(total),
        "PayBankName": bank.me["name"],
        "PayBankNo": bank.me["bank_no"],
        "TKLX": "1" if kind == "2302" else "",
        "ReturnDate": today if kind == "2302" else "",
    }


def _detail(kind: str, number: int, row: sqlite3.Row, sign: int) -> dict[str, str]:
    facts: dict[str, str] = json.loads(row["facts"])
    common = facts | {
        "Id": str(number),
        "VoucherNo": row["voucher_no"],
        "DAVoucherNo": row["detail_id"],
        "PayAmt": yuan(sign * row["amount"]),
        "AgentBusinessNo": row["serial"],
        "PayDate": row["pay_date"],
        "Hold1": row["voucher_type"],
    }
    if kind == "2301":
        return common
    return common | {
        "VoucherNo": row["notice_no"],
        "DAVoucherNo": "1",
        "OriVoucherNo": row["voucher_no"],
        "OriVouDetailNo": row["detail_id"],
        "ReturnDate": row["pay_date"],
        "Remark": row["reason"],
    }


def settle(db: sqlite3.Connection, bank: "Bank", receipt: Document) -> None:
    """PBoC has moved the money: the zero-balance accounts come back to nought, detail by detail."""
    kind, number = receipt.main["VtCode"], receipt.main["VoucherNo"]
    cleared_on = receipt.main.get("XClearDate") or bank.today(db)
    if kind == "2301":
        sql = "SELECT id, payer_account, amount FROM executions WHERE clearing_no = ? AND cleared_on IS NULL"
        table, sign = "executions", 1
    else:
        sql = (
            "SELECT r.id, e.payer_account, r.amount FROM refunds r JOIN executions e ON e.id = r.execution_id"
            " WHERE r.clearing_no = ? AND r.cleared_on IS NULL"
        )
        table, sign = "refunds", -1
    for row in db.execute(sql, (number,)).fetchall():
        db.execute(f"UPDATE {table} SET cleared_on = ? WHERE id = ?", (cleared_on, row["id"]))
        book(
            db,
            account=row["payer_account"],
            amount=sign * row["amount"],
            kind="clearing",
            ref=f"{kind} {number}",
            on=cleared_on,
        )


def release(db: sqlite3.Connection, kind: str, number: str) -> None:
    """PBoC refused the request: its payments (refunds) may go into a new one."""
    if kind in ("2301", "2302"):
        table = "executions" if kind == "2301" else "refunds"
        db.execute(f"UPDATE {table} SET clearing_no = NULL WHERE clearing_no = ? AND cleared_on IS NULL", (number,))
