"""The desk (柜台): what a partner's own people see and do, as JSON over HTTP with ``X-Desk-Token``.

It is the control plane of tests and demonstrations and no part of the message standard.
"""

import hmac
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

from simulators import appropriations, clearing, payments, reports, statements
from simulators.bank import Bank
from simulators.errors import Refusal, Unauthorised
from simulators.money import yuan
from simulators.participant import Participant
from simulators.pboc import CentralBank, limits
from simulators.storage import balance, set_setting

Order = dict[str, Any]


def handle(owner: Participant, method: str, path: str, token: str, order: Order) -> Any:
    """Carry out one desk order and return what it says.

    :raises Unauthorised: without the right token.
    :raises Refusal: ``unknown_order``, ``bad_order`` or whatever the order itself refuses.
    """
    wanted = owner.settings.desk_token
    if not wanted or not hmac.compare_digest(token.encode(), wanted.encode()):
        raise Unauthorised("desk_token", "柜台口令不符")
    name = f"{method} {path.removeprefix('/desk/').rstrip('/')}"
    orders = COMMON | (BANK if isinstance(owner, Bank) else PBOC)
    if name not in orders:
        raise Refusal("unknown_order", f"没有这个柜台操作:{name};可用:{', '.join(sorted(orders))}")
    return orders[name](owner, order)


def _text(order: Order, name: str) -> str:
    value = order.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal("bad_order", f"缺少 {name}(字符串)")
    return value


def _day(order: Order, name: str = "date") -> str:
    day = _text(order, name).replace("-", "")
    if len(day) != 8 or not day.isdecimal() or not day.isascii():
        raise Refusal("bad_order", f"{name} 应为 yyyy-MM-dd")
    return day


def _numbers(order: Order) -> list[str] | None:
    numbers = order.get("voucher_nos")
    if numbers is not None and not (isinstance(numbers, list) and all(isinstance(n, str) for n in numbers)):
        raise Refusal("bad_order", "voucher_nos 应为字符串数组")
    return numbers


def _rows(db: sqlite3.Connection, sql: str, *amounts: str) -> list[dict[str, Any]]:
    rows = [dict(row) for row in db.execute(sql)]
    for row in rows:
        row |= {name: yuan(row[name]) for name in amounts}
    return rows


def _state(owner: Participant) -> dict[str, Any]:
    db = owner.storage.read()
    accounts = [dict(row) for row in db.execute("SELECT no, name, kind, owner, opening FROM accounts ORDER BY no")]
    for account in accounts:
        account |= {"opening": yuan(account["opening"]), "balance": yuan(balance(db, account["no"]))}
    return {
        "organisation": owner.settings.organisation,
        "business_date": owner.today(db),
        "behaviour": owner.behaviour.as_dict(),
        "accounts": accounts,
        "movements": _rows(
            db, "SELECT account_no, amount, kind, reference, booked_on, note FROM movements ORDER BY id", "amount"
        ),
        "vouchers": _rows(
            db,
            "SELECT voucher_type, voucher_no, flag, sender, status, code, reason, copies, digest, received_on"
            " FROM received ORDER BY id",
        ),
        "issued": _rows(
            db,
            "SELECT i.voucher_type, i.voucher_no, i.flag, i.digest, o.destination, o.status FROM issued i"
            " LEFT JOIN outbox o ON o.issued_id = i.id ORDER BY i.id, o.id",
        ),
        "outbox": owner.outbox.pending(),
    }


def _bank_state(bank: Bank, _order: Order) -> dict[str, Any]:
    db = bank.storage.read()
    executions = _rows(
        db,
        "SELECT serial, voucher_type, voucher_no, detail_id, payer_account, amount, pay_type, fund, pay_date,"
        " clearing_no, cleared_on, order_id IS NULL AS historic FROM executions ORDER BY id",
        "amount",
    )
    today = [row for row in executions if not row["historic"]]
    counts = Counter(f"{row['voucher_type']} {row['voucher_no']}/{row['detail_id']}" for row in today)
    return _state(bank) | {
        "executions": executions,
        "execution_counts": counts,
        "executed_more_than_once": {name: count for name, count in counts.items() if count > 1},
        "refunds": _rows(
            db,
            "SELECT r.notice_type, r.notice_no, e.voucher_type, e.voucher_no, e.detail_id, r.amount, r.reason,"
            " r.refunded_on, r.clearing_no, r.cleared_on FROM refunds r JOIN executions e ON e.id = r.execution_id"
            " ORDER BY r.id",
            "amount",
        ),
        "unplaced": _rows(
            db,
            "SELECT notice_type, notice_no, account_no, amount, reason, refunded_on, refund_id IS NOT NULL AS placed"
            " FROM unplaced ORDER BY id",
            "amount",
        ),
        "recalled": _rows(
            db, "SELECT voucher_type, voucher_no, recall_no, reason, recalled_on FROM recalled ORDER BY recall_no"
        ),
        "waiting": _rows(db, "SELECT kind, voucher_no FROM orders WHERE done = 0 ORDER BY id"),
    }


def _pboc_state(pboc: CentralBank, _order: Order) -> dict[str, Any]:
    db = pboc.storage.read()
    held = limits(db)
    for row in held:
        row |= {name: yuan(row[name]) for name in ("opening", "issued", "cleared", "refunded", "remaining")}
    return _state(pboc) | {
        "limits": held,
        "clearings": _rows(
            db,
            "SELECT voucher_type, voucher_no, bank_no, pay_type, fund, amount, cleared_on FROM clearings ORDER BY id",
            "amount",
        ),
        "cleared_details": _rows(
            db,
            "SELECT clearing_type, clearing_no, clearing_detail_id, payment_type, payment_no, payment_detail_id,"
            " amount, bank_no, cleared_on FROM cleared_details ORDER BY id",
            "amount",
        ),
        "appropriations": appropriations.state(db),
        "corrections": _rows(
            db,
            "SELECT voucher_type, voucher_no, function, amount, executed, dealt_on FROM corrections ORDER BY id",
            "amount",
        ),
        "external_movements": _rows(db, "SELECT name, applied_on FROM external_movements ORDER BY name"),
    }


def _date(owner: Participant, order: Order) -> dict[str, str]:
    day = _day(order)
    with owner.storage.write() as db:
        set_setting(db, "business_date", day)
    return {"business_date": day}


def _flush(owner: Participant, order: Order) -> dict[str, Any]:
    left = owner.outbox.flush(float(order.get("timeout_seconds", 30)))
    remaining = [row for row in left if row["status"] == "pending"]
    return {"empty": not remaining, "remaining": remaining, "refused": [r for r in left if r["status"] == "refused"]}


def _refund(bank: Bank, order: Order) -> dict[str, str]:
    names = ("voucher_type", "voucher_no", "detail_id", "amount", "reason")
    return payments.refund(bank, **{name: _text(order, name) for name in names})


def _give_back(pboc: CentralBank, order: Order) -> dict[str, str]:
    names = ("voucher_no", "detail_id", "amount", "reason")
    return appropriations.give_back(pboc, **{name: _text(order, name) for name in names})


def _unplaced(bank: Bank, order: Order) -> dict[str, str]:
    names = {name: _text(order, name) for name in ("account", "amount", "reason")}
    optional = {name: str(order.get(name, "")) for name in ("payee_name", "payee_account")}
    return payments.report_unplaced(bank, **names, **optional)


def _external(owner: Bank | CentralBank, order: Order) -> dict[str, Any]:
    rows = order.get("rows")
    if rows is not None and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise Refusal("bad_order", "rows 应为对象数组")
    return {"booked": statements.apply_external_movements(owner, rows)}


COMMON: dict[str, Callable[[Any, Order], Any]] = {
    "POST behaviour": lambda owner, order: owner.behaviour.change(order),
    "POST date": _date,
    "POST flush": _flush,
    "POST resend": lambda owner, order: {"queued": owner.resend(_text(order, "kind"), _text(order, "voucher_no"))},
}
BANK: dict[str, Callable[[Any, Order], Any]] = {
    "GET state": _bank_state,
    "POST pay": lambda bank, order: payments.pay(bank, _numbers(order)),
    "POST arrive": lambda bank, order: {"sent": payments.arrive(bank, _numbers(order))},
    "POST refund": _refund,
    "POST unplaced-refund": _unplaced,
    "POST clear": lambda bank, order: {"sent": clearing.clear(bank)},
    "POST external-movements": _external,
    "POST report": lambda bank, order: {"sent": reports.report(bank, _day(order))},
}
PBOC: dict[str, Callable[[Any, Order], Any]] = {
    "GET state": _pboc_state,
    "POST external-movements": _external,
    "POST pay": lambda pboc, order: {"paid": appropriations.pay(pboc, _numbers(order))},
    "POST refund": _give_back,
    "POST report": lambda pboc, order: {"sent": statements.report(pboc, _day(order))},
}
