"""The bank's day report: every detail paid or refunded, in a 2206 what the bureau ordered, in a 2205 what units did."""

import json
import sqlite3
from itertools import groupby
from typing import TYPE_CHECKING, Any

from simulators.config import FINANCE
from simulators.money import yuan
from simulators.rules import MAX_DETAILS

if TYPE_CHECKING:
    from simulators.bank import Bank

REPORTS = {
    "11": ("2206", "财政直接支付"),
    "12": ("2205", "财政授权支付"),
    "81": ("2206", "财政专户支付"),
    "31": ("2205", "单位资金支付"),
}
ALWAYS = ("11", "12")  # these say so if there was nothing
DEFAULT_FUND = ("11", "一般公共预算资金")  # of a report that says "nothing today"
_LINES = """
SELECT fund, voucher_type, voucher_no, detail_id, amount, serial, pay_date, facts, '' AS remark, '' AS notice
  FROM executions WHERE pay_type = :pay_type AND pay_date = :day
UNION ALL
SELECT e.fund, e.voucher_type, e.voucher_no, e.detail_id, -r.amount, r.serial, r.refunded_on, e.facts, r.reason,
       r.notice_no
  FROM refunds r JOIN executions e ON e.id = r.execution_id WHERE e.pay_type = :pay_type AND r.refunded_on = :day
 ORDER BY fund"""


def report(bank: "Bank", day: str) -> list[dict[str, Any]]:
    """Send a day's reports (yyyyMMdd), per payment method and fund; direct and authorised also where nothing was."""
    made = []
    with bank.storage.write() as db:
        for pay_type in REPORTS:
            rows = db.execute(_LINES, {"pay_type": pay_type, "day": day}).fetchall()
            funds = [(fund, list(group)) for fund, group in groupby(rows, key=lambda row: row["fund"])]
            for fund, lines in funds or ([(DEFAULT_FUND[0], [])] if pay_type in ALWAYS else []):
                packs = [lines[i : i + MAX_DETAILS] for i in range(0, len(lines), MAX_DETAILS)] or [[]]
                for number, pack in enumerate(packs, 1):
                    made.append(_one(db, bank, pay_type, fund, pack, day, f"{number}/{len(packs)}"))
    bank.outbox.wake()
    return made


def _one(
    db: sqlite3.Connection, bank: "Bank", pay_type: str, fund: str, rows: list[sqlite3.Row], day: str, pack: str
) -> dict[str, Any]:
    kind, pay_type_name = REPORTS[pay_type]
    fund_name = json.loads(rows[0]["facts"])["FundTypeName"] if rows else DEFAULT_FUND[1]
    paid = sum(row["amount"] for row in rows if row["amount"] > 0)
    refunded = sum(row["amount"] for row in rows if row["amount"] < 0)
    main = {
        "PayAmt": yuan(paid + refunded),
        "PosAmt": yuan(paid),
        "NegAmt": yuan(refunded),
        "FundTypeCode": fund,
        "FundTypeName": fund_name,
        "PayTypeCode": pay_type,
        "PayTypeName": pay_type_name,
        "PayBankCode": bank.me["bank_code"],
        "PayBankName": bank.me["name"],
        "Hold1": pack,
    }
    document = bank.draft(db, kind, main, [_line(bank, number, row) for number, row in enumerate(rows, 1)])
    document.main["VouDate"] = day
    for line in document.details:
        line["DayBillNo"] = document.main["VoucherNo"]
    bank.issue(db, document, flag=0, destinations=[FINANCE])
    return {
        "voucher_type": kind,
        "voucher_no": document.main["VoucherNo"],
        "amount": main["PayAmt"],
        "details": len(rows),
        "pack": pack,
    }


def _line(bank: "Bank", number: int, row: sqlite3.Row) -> dict[str, str]:
    facts: dict[str, str] = json.loads(row["facts"])
    return facts | {
        "Id": str(number),
        "VoucherBillId": row["detail_id"],
        "VoucherNo": row["voucher_no"],
        "PayBankCode": bank.me["bank_code"],
        "PayBankName": bank.me["name"],
        "PayDate": row["pay_date"],
        "PayAmt": yuan(row["amount"]),
        "Remark": row["remark"],
        "Hold1": row["voucher_type"],
        "Hold2": row["serial"],
        "Hold3": row["notice"],
    }
