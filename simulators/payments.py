"""The bank's payment desk: execute, make the receipt in the same transaction, announce quotas, notify refunds."""

import json
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simulators import sandbox
from simulators.config import FINANCE
from simulators.errors import Refusal
from simulators.money import fen, yuan
from simulators.storage import balance, book, insert
from simulators.wire import Document, build_envelope, parse_document, parse_envelope

if TYPE_CHECKING:
    from simulators.bank import Bank

PAY_TYPES = {"11": "财政直接支付", "12": "财政授权支付", "81": "财政专户支付", "31": "单位资金支付"}
CLEARED = ("11", "12")  # out of a zero-balance account, which PBoC refills; the other accounts hold the money
REFUND_NOTICE = {"11": "2203", "81": "2203", "12": "2204", "31": "2204"}
PAY_BATCH = 100
WITHOUT_ACTUAL_PAYEE = ("5267",)  # its published field list has no XPayeeAcct…
# What a later document about this payment repeats of it; a detail's own value goes before the main document's.
_PAIRS = (
    "FundType", "BgtType", "ProCat", "PayKind", "MOFDep", "SupDep", "Agency", "ExpFunc", "ExpEco", "DepPro", "SetMode",
    "PaySummary", "PayMgr",
)  # fmt: skip
FACTS = (
    *(f"{stem}{ending}" for stem in _PAIRS for ending in ("Code", "Name")),
    *("PayAcctNo", "PayAcctName", "PayAcctBankName", "PayeeAcctNo", "PayeeAcctName", "PayeeAcctBankName"),
    *("PayeeAcctBankNo", "CheckNo"),
)


def pay(bank: "Bank", voucher_nos: list[str] | None) -> dict[str, Any]:
    """Execute waiting payment vouchers (all, or those named) and send their receipts, also ones held back until now."""
    wanted = set(voucher_nos) if voucher_nos is not None else None
    paid: list[str] = []
    last_id = 0
    while True:
        with bank.storage.write() as db:
            rows = db.execute(
                "SELECT o.id, o.voucher_no, r.body FROM orders o JOIN received r ON r.id = o.received_id"
                " WHERE o.kind = 'pay' AND o.done = 0 AND o.id > ? ORDER BY o.id LIMIT ?",
                (last_id, PAY_BATCH),
            ).fetchall()
            for row in rows:
                if wanted is None or row["voucher_no"] in wanted:
                    document = parse_document(parse_envelope(build_envelope([row["body"]]))[0])
                    execute(db, bank, row["id"], document, send_receipt=True)
                    paid.append(row["voucher_no"])
        bank.outbox.wake()
        if not rows:
            break
        last_id = rows[-1]["id"]
    return {"paid": paid, "receipts_released": _release_held(bank, wanted)}


def _release_held(bank: "Bank", wanted: set[str] | None) -> int:
    with bank.storage.write() as db:
        rows = db.execute(
            "SELECT o.id, i.voucher_no FROM outbox o JOIN issued i ON i.id = o.issued_id WHERE o.status = 'held'"
        ).fetchall()
        ids = [(row["id"],) for row in rows if wanted is None or row["voucher_no"] in wanted]
        db.executemany("UPDATE outbox SET status = 'pending' WHERE id = ?", ids)
    bank.outbox.wake()
    return len(ids)


def execute(db: sqlite3.Connection, bank: "Bank", order: int, document: Document, *, send_receipt: bool) -> None:
    """Pay every detail that can be paid, and store the receipt that says so. Caller holds the transaction."""
    today = bank.today(db)
    triggers = _triggers(bank, document)
    for position, detail in enumerate(document.details):
        reason = _obstacle(bank, document, detail, triggers[position], position) or _shortage(db, document, detail)
        serial = bank.number(db, "serial")
        paid = 0 if reason else fen(detail["PayAmt"])
        if paid:
            _book_payment(db, order, document, detail, serial, today)
        detail |= {
            "XPayDate": today,
            "XAgentBusinessNo": serial,
            "XPayAmt": yuan(paid),
            "XAddWord": reason,
        }
        if document.main["VtCode"] not in WITHOUT_ACTUAL_PAYEE:
            detail |= {f"XPayeeAcct{part}": _payee(document, detail, part) for part in ("No", "Name", "BankName")}
    db.execute("UPDATE orders SET done = 1 WHERE id = ?", (order,))
    _issue_receipt(db, bank, document, today, set(triggers), send_receipt=send_receipt)


def _triggers(bank: "Bank", document: Document) -> list[int]:
    if not bank.behaviour["sandbox"]:
        return [0] * len(document.details)
    return [sandbox.trigger(detail) for detail in document.details]


def _obstacle(bank: "Bank", document: Document, detail: Mapping[str, str], trigger: int, position: int) -> str:
    """Why this detail cannot be paid; empty if it can."""
    account = _payee(document, detail, "No")
    if account in bank.bad_accounts:
        return str(bank.bad_accounts[account])
    if trigger == sandbox.UNKNOWN_ACCOUNT:
        return "账户不存在"
    if trigger == sandbox.EVERY_TENTH and position % 10 == 9:
        return "收款行拒绝入账"
    return ""


def _shortage(db: sqlite3.Connection, document: Document, detail: Mapping[str, str]) -> str:
    """An account that holds its money cannot pay more than it has."""
    if _pay_type(document) in CLEARED or fen(detail["PayAmt"]) <= balance(db, document.main["PayAcctNo"]):
        return ""
    return "账户余额不足"


def _pay_type(document: Document) -> str:
    """Which of the methods; 5214 says it, the other types are of one method each."""
    one = {"5201": "11", "8202": "12", "5267": "81", "8231": "31"}
    return one.get(document.main["VtCode"]) or document.main["PayTypeCode"]


def _payee(document: Document, detail: Mapping[str, str], part: str) -> str:
    return detail.get(f"PayeeAcct{part}") or document.main.get(f"PayeeAcct{part}", "")


def _book_payment(
    db: sqlite3.Connection, order: int, document: Document, detail: Mapping[str, str], serial: str, today: str
) -> None:
    main = document.main
    pay_type = _pay_type(document)
    facts = {tag: detail.get(tag) or main.get(tag, "") for tag in FACTS}
    facts |= {"PayTypeCode": pay_type, "PayTypeName": PAY_TYPES[pay_type]}
    facts["SupDepCode"] = facts["SupDepCode"] or facts["AgencyCode"][:3]
    facts["SupDepName"] = facts["SupDepName"] or facts["AgencyName"]
    facts["ExpEcoCode"] = facts["ExpEcoCode"] or detail.get("GovExpEcoCode") or main.get("GovExpEcoCode", "")
    facts["ExpEcoName"] = facts["ExpEcoName"] or detail.get("GovExpEcoName") or main.get("GovExpEcoName", "")
    amount = fen(detail["PayAmt"])
    insert(
        db,
        "executions",
        serial=serial,
        order_id=order,
        fiscal_year=main["StYear"],
        voucher_type=main["VtCode"],
        voucher_no=main["VoucherNo"],
        detail_id=detail["Id"],
        payer_account=main["PayAcctNo"],
        amount=amount,
        pay_type=pay_type,
        fund=facts["FundTypeCode"],
        pay_date=today,
        facts=json.dumps(facts, ensure_ascii=False),
    )
    reference = f"{main['VtCode']} {main['VoucherNo']}/{detail['Id']}"
    book(db, account=main["PayAcctNo"], amount=-amount, kind="payment", ref=reference, on=today, note=serial)
    payee = facts["PayeeAcctNo"]
    if payee and db.execute("SELECT 1 FROM accounts WHERE no = ?", (payee,)).fetchone():
        book(db, account=payee, amount=amount, kind="payment", ref=reference, on=today, note=serial)


def _issue_receipt(
    db: sqlite3.Connection, bank: "Bank", document: Document, today: str, triggers: set[int], *, send_receipt: bool
) -> None:
    main, behaviour = document.main, bank.behaviour
    number = main["VoucherNo"]
    if behaviour.hits("wrong_amount_for", number) or sandbox.WRONG_AMOUNT in triggers:
        detail = next((d for d in document.details if d["XPayAmt"] != "0.00"), document.details[0])
        detail["XPayAmt"] = yuan(fen(detail["XPayAmt"]) + 1)
    main |= {
        "XPayDate": today,
        "XAgentBusinessNo": document.details[0]["XAgentBusinessNo"],
        "XPayAmt": yuan(sum(fen(detail["XPayAmt"]) for detail in document.details)),
    }
    if main["VtCode"] not in WITHOUT_ACTUAL_PAYEE:
        main |= {f"XPayeeAcct{part}": main.get(f"PayeeAcct{part}", "") for part in ("No", "Name", "BankName")}
    for ending in ("Code", "Name"):
        if f"XFundDealMode{ending}" in main:
            main[f"XFundDealMode{ending}"] = main.get(f"FundDealMode{ending}", "")
    lost = behaviour.hits("lose_receipt_for", number) or sandbox.LOST in triggers
    twice = behaviour.fault("duplicate_receipts") or sandbox.TWICE in triggers
    issued = bank.issue(
        db,
        document,
        flag=1,
        destinations=[FINANCE] * (2 if twice else 1),
        status="lost" if lost else "pending" if send_receipt else "held",
        position="yh_zzz",
        forged=behaviour.take("forged_signature_next") or sandbox.FORGED in triggers,
    )
    if sandbox.DELAYED in triggers:
        bank.outbox.delay(db, issued, sandbox.RECEIPT_DELAY_SECONDS)


def arrive(bank: "Bank", voucher_nos: list[str] | None) -> list[str]:
    """Announce the quotas of waiting 5105 notices by 2104; returns the numbers of the 2104s."""
    made = []
    with bank.storage.write() as db:
        rows = db.execute(
            "SELECT o.id, o.voucher_no, r.body FROM orders o JOIN received r ON r.id = o.received_id"
            " WHERE o.kind = 'arrive' AND o.done = 0 ORDER BY o.id"
        ).fetchall()
        for row in rows:
            if voucher_nos is None or row["voucher_no"] in voucher_nos:
                document = parse_document(parse_envelope(build_envelope([row["body"]]))[0])
                made.append(announce_quota(db, bank, row["id"], document))
    bank.outbox.wake()
    return made


def announce_quota(db: sqlite3.Connection, bank: "Bank", order: int, notice: Document) -> str:
    """Make the 2104 that repeats the lines of a 5105; returns its number."""
    agencies = {(row.get("AgencyCode", ""), row.get("AgencyName", "")) for row in notice.details}
    code, name = agencies.pop() if len(agencies) == 1 else ("", "")
    main = {tag: value for tag, value in notice.main.items() if tag not in ("Id", "VtCode", "VouDate", "VoucherNo")}
    main |= {"OriVtCode": "5105", "OriVoucherNo": notice.main["VoucherNo"], "AgencyCode": code, "AgencyName": name}
    document = bank.draft(db, "2104", main, notice.details)
    bank.issue(db, document, flag=0, destinations=[FINANCE])
    db.execute("UPDATE orders SET done = 1 WHERE id = ?", (order,))
    return document.main["VoucherNo"]


def refund(
    bank: "Bank", *, voucher_type: str, voucher_no: str, detail_id: str, amount: str, reason: str
) -> dict[str, str]:
    """Money of an executed payment has come back: credit the account it came from and notify finance (2203 or 2204).

    :raises Refusal: ``unknown_payment``, or ``refund_exceeds_payment`` if more would return than was paid.
    """
    back = fen(amount, "amount")
    if back <= 0:
        raise Refusal("bad_amount", "退款金额应大于 0")
    with bank.storage.write() as db:
        rows = db.execute(
            "SELECT *, amount - (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.execution_id = e.id) AS room"
            " FROM executions e WHERE voucher_type = ? AND voucher_no = ? AND detail_id = ? ORDER BY id",
            (voucher_type, voucher_no, detail_id),
        ).fetchall()
        if not rows:
            raise Refusal("unknown_payment", f"本行没有支付过 {voucher_type} {voucher_no} 明细 {detail_id}")
        paid = next((row for row in rows if row["room"] >= back), None)
        if paid is None:
            raise Refusal(
                "refund_exceeds_payment", f"可退金额 {yuan(max(r['room'] for r in rows))},要求退 {yuan(back)}"
            )
        number = _notify_refund(db, bank, paid, back, reason)
    bank.outbox.wake()
    return number


def report_unplaced(
    bank: "Bank", *, account: str, amount: str, reason: str, payee_name: str = "", payee_account: str = ""
) -> dict[str, str]:
    """Money has come into a zero-balance account and nobody can say what for: credit it, and tell finance so.

    :raises Refusal: ``payer_account_unknown`` or ``bad_amount``.
    """
    back = fen(amount, "amount")
    if back <= 0:
        raise Refusal("bad_amount", "退款金额应大于 0")
    row = next((row for row in bank.me["accounts"] if row["no"] == account and row["kind"] == "zero_balance"), None)
    if row is None:
        raise Refusal("payer_account_unknown", f"{account} 不是本行的零余额账户")
    kind = "2203" if row["owner"] == FINANCE else "2204"
    with bank.storage.write() as db:
        serial, today = bank.number(db, "serial"), bank.today(db)
        detail = {
            "Id": "1",
            "AgencyCode": "" if row["owner"] == FINANCE else row["owner"],
            "PayeeAcctNo": payee_account,
            "PayeeAcctName": payee_name,
            "AgentBusinessNo": serial,
            "PayAmt": yuan(-back),
            "Remark": reason,
        }
        main = {
            "PayBankCode": bank.me["bank_code"],
            "PayBankName": bank.me["name"],
            "AgentBusinessNo": serial,
            "RefundType": "2",
            "PayAcctNo": account,
            "PayAcctName": row["name"],
            "PayeeAcctNo": payee_account,
            "PayeeAcctName": payee_name,
            "PayAmt": yuan(-back),
            "Remark": reason,
            "PayDate": today,
        }
        document = bank.draft(db, kind, main, [detail])
        document.details[0]["VoucherBillId"] = document.main["Id"]
        number = document.main["VoucherNo"]
        insert(
            db,
            "unplaced",
            serial=serial,
            notice_type=kind,
            notice_no=number,
            account_no=account,
            amount=back,
            reason=reason,
            refunded_on=today,
        )
        book(db, account=account, amount=back, kind="refund", ref=f"{kind} {number}", on=today, note=serial)
        bank.issue(db, document, flag=0, destinations=[FINANCE])
    bank.outbox.wake()
    return {"voucher_type": kind, "voucher_no": number, "serial": serial}


def place(db: sqlite3.Connection, bank: "Bank", order: Document) -> None:
    """Finance says by 8252 which payment the money is of: from here on it is a refund the next 2302 hands over."""
    main, detail = order.main, order.details[0]
    money = db.execute(
        "SELECT * FROM unplaced WHERE notice_type = ? AND notice_no = ? AND refund_id IS NULL",
        (main.get("Hold1", ""), main.get("OriBillNo", "")),
    ).fetchone()
    if money is None or money["amount"] != -fen(main["PayAmt"]):
        raise Refusal("unknown_notice", f"本行没有待查的退款通知 {main.get('OriBillNo', '')},或金额不符")
    paid = db.execute(
        "SELECT *, amount - (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.execution_id = e.id) AS room"
        " FROM executions e WHERE voucher_type = ? AND voucher_no = ? AND detail_id = ? AND payer_account = ?"
        " ORDER BY room DESC LIMIT 1",
        (detail.get("Hold1", ""), detail["OriVoucherNo"], detail["OriVouDetailNo"], money["account_no"]),
    ).fetchone()
    if paid is None or paid["room"] < money["amount"]:
        raise Refusal("unknown_payment", f"本行没有从该账户支付过 {detail['OriVoucherNo']},或可退金额不足")
    refund_id = insert(
        db,
        "refunds",
        serial=money["serial"],
        execution_id=paid["id"],
        notice_type=money["notice_type"],
        notice_no=money["notice_no"],
        amount=money["amount"],
        reason=money["reason"],
        refunded_on=bank.today(db),
    )
    db.execute("UPDATE unplaced SET refund_id = ? WHERE id = ?", (refund_id, money["id"]))


def _notify_refund(db: sqlite3.Connection, bank: "Bank", paid: sqlite3.Row, back: int, reason: str) -> dict[str, str]:
    kind = REFUND_NOTICE[paid["pay_type"]]
    serial, today, facts = bank.number(db, "serial"), bank.today(db), json.loads(paid["facts"])
    detail = facts | {
        "Id": "1",
        "VoucherNo": paid["voucher_no"],
        "OriVoucherNo": paid["voucher_no"],
        "OriVouDetailNo": paid["detail_id"],
        "AgentBusinessNo": serial,
        "PayAmt": yuan(-back),
        "Remark": reason,
        "Hold1": paid["voucher_type"],
    }
    main = facts | {
        "PayBankCode": bank.me["bank_code"],
        "PayBankName": bank.me["name"],
        "AgentBusinessNo": paid["serial"],
        "OriBillNo": paid["voucher_no"],
        "RefundType": "1",
        "PayAmt": yuan(-back),
        "Remark": reason,
        "PayDate": today,
        "Hold1": paid["voucher_type"],
    }
    document = bank.draft(db, kind, main, [detail])
    document.details[0]["VoucherBillId"] = document.main["Id"]
    number = document.main["VoucherNo"]
    insert(
        db,
        "refunds",
        serial=serial,
        execution_id=paid["id"],
        notice_type=kind,
        notice_no=number,
        amount=back,
        reason=reason,
        refunded_on=today,
    )
    book(db, account=paid["payer_account"], amount=back, kind="refund", ref=f"{kind} {number}", on=today, note=serial)
    bank.issue(db, document, flag=0, destinations=[FINANCE])
    return {"voucher_type": kind, "voucher_no": number, "serial": serial}
