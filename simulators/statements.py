"""PBoC's daily reconciliation statements to finance: 3507 (every cleared detail, per bank), 3510 (limits)
and 3508 (appropriations).

Also the movements of accounts that come from outside: they are fixture input and are booked as such.
"""

import sqlite3
from typing import TYPE_CHECKING, Any

from simulators import appropriations
from simulators.config import FINANCE
from simulators.errors import Refusal
from simulators.money import fen, yuan
from simulators.pboc import limits
from simulators.rules import MAX_DETAILS
from simulators.storage import book

if TYPE_CHECKING:
    from simulators.bank import Bank
    from simulators.pboc import CentralBank

PAY_TYPE_NAMES = {"11": "财政直接支付", "12": "财政授权支付"}
FUND_NAMES = {"11": "一般公共预算资金", "12": "政府性基金预算资金"}
ALL_DEPARTMENTS = {"SupDepCode": "000", "SupDepName": "全部单位", "ExpFuncCode": "000", "ExpFuncName": "全部科目"}


def report(pboc: "CentralBank", day: str) -> list[dict[str, Any]]:
    """Send 3507 for each bank (empty for one without clearings), one 3510 and one 3508, for a day yyyyMMdd."""
    made = []
    with pboc.storage.write() as db:
        for bank in pboc.banks.values():
            rows = db.execute(
                "SELECT * FROM cleared_details WHERE bank_no = ? AND cleared_on = ? ORDER BY id", (bank["bank_no"], day)
            ).fetchall()
            details = [_cleared_line(bank, row) for row in rows]
            made += _packages(db, pboc, "3507", details, "PayAmt", day, {"Hold1": bank["bank_no"]})
        lines = [_limit_line(pboc, row) for row in limits(db, day=day)]
        sums = {
            tag: yuan(sum(fen(line[tag]) for line in lines))
            for tag in ("PreDateMoney", "ClearAmt", "CurReckMoney", "CurDateMoney")
        }
        made += _packages(db, pboc, "3510", lines, "ClearAmt", day, sums)
        made += _packages(db, pboc, "3508", appropriations.lines_of_day(db, day), "PayAmt", day, {})
    pboc.outbox.wake()
    return made


def _packages(
    db: sqlite3.Connection,
    pboc: "CentralBank",
    kind: str,
    details: list[dict[str, str]],
    amount_tag: str,
    day: str,
    extra: dict[str, str],
) -> list[dict[str, Any]]:
    packs = [details[i : i + MAX_DETAILS] for i in range(0, len(details), MAX_DETAILS)] or [[]]
    whole = yuan(sum(fen(line[amount_tag]) for line in details))  # the head counts the whole statement, not its packet
    check_no, made = "", []
    for number, pack in enumerate(packs, 1):
        treasury = pboc.me["accounts"][0]
        main = extra | {
            "ChildPackNum": str(len(packs)),
            "CurPackNo": str(number),
            "ClearBankCode": pboc.me["clear_bank_code"],
            "ClearBankName": pboc.me["name"],
            "ClearAccNo": treasury["no"],
            "ClearAccNanme": treasury["name"],
            "BeginDate": day,
            "EndDate": day,
            "AllNum": str(len(details)),
            "AllAmt": whole,
        }
        numbered = [line | {"Id": str(index)} for index, line in enumerate(pack, 1)]
        document = pboc.draft(db, kind, main, numbered)
        check_no = check_no or document.main["VoucherNo"]
        document.main |= {"VouDate": day, "VoucherCheckNo": check_no}
        pboc.issue(db, document, flag=0, destinations=[FINANCE])
        made.append(
            {"voucher_type": kind, "voucher_no": document.main["VoucherNo"], "amount": whole, "details": len(pack)}
        )
    return made


def _cleared_line(bank: dict[str, Any], row: sqlite3.Row) -> dict[str, str]:
    return {
        "PayAgentBillNo": row["clearing_no"],
        "PayDetailId": row["clearing_detail_id"],
        "VoucherNo": row["payment_no"],
        "SupDepCode": row["department"],
        "SupDepName": row["department_name"] or row["department"],
        "FundTypeCode": row["fund"],
        "FundTypeName": FUND_NAMES.get(row["fund"], ""),
        "PayBankCode": bank["bank_code"],
        "PayBankName": bank["name"],
        "PayBankNo": bank["bank_no"],
        "ExpFuncCode": row["function"],
        "ExpFuncName": row["function_name"] or row["function"],
        "PayTypeCode": row["pay_type"],
        "PayTypeName": PAY_TYPE_NAMES[row["pay_type"]],
        "PayAmt": yuan(row["amount"]),
        "PlanAmt": "0.00",
        "RefundAmt": "0.00",
        "PlanRemainAmt": "0.00",
        "Hold1": row["payment_type"],
        "Hold2": row["payment_detail_id"],
        "Hold3": row["clearing_type"],
        "Hold4": row["refund_notice"],
    }


def _limit_line(pboc: "CentralBank", row: dict[str, Any]) -> dict[str, str]:
    bank = pboc.banks[row["bank_no"]]
    return ALL_DEPARTMENTS | {
        "FundTypeCode": row["fund"],
        "FundTypeName": FUND_NAMES.get(row["fund"], ""),
        "PayBankCode": bank["bank_code"],
        "PayBankName": bank["name"],
        "PayBankNo": bank["bank_no"],
        "PayTypeCode": row["pay_type"],
        "PayTypeName": PAY_TYPE_NAMES[row["pay_type"]],
        "PreDateMoney": yuan(row["opening"]),
        "ClearAmt": yuan(row["issued"]),
        "CurReckMoney": yuan(row["cleared"] - row["refunded"]),
        "CurDateMoney": yuan(row["remaining"]),
    }


def apply_external_movements(owner: "CentralBank | Bank", rows: list[dict[str, str]] | None) -> list[dict[str, str]]:
    """Book the fixture's movements (or the given ones: name, account, amount, note), each name once per storage.

    :raises Refusal: ``bad_movement`` or ``bad_amount``; nothing is booked then.
    """
    booked = []
    with owner.storage.write() as db:
        today = owner.today(db)
        for row in owner.me["external_movements"] if rows is None else rows:
            if not {"name", "account", "amount"} <= row.keys() or row["account"] not in owner.outside_accounts:
                raise Refusal("bad_movement", f"外部收支需有 name、account(库款账户或有余额的账户)、amount:{row}")
            new = db.execute("INSERT OR IGNORE INTO external_movements VALUES (?, ?)", (row["name"], today)).rowcount
            if new:
                note = row.get("note") or "fixture input"
                book(
                    db,
                    account=row["account"],
                    amount=fen(row["amount"], "amount"),
                    kind="external",
                    ref=row["name"],
                    on=today,
                    note=note,
                )
                booked.append({"name": row["name"], "amount": row["amount"], "note": note})
    return booked
