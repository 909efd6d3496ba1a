"""An agent bank (代理银行): receives orders to pay and quota notices, and books what PBoC reimburses.

What its people do by hand (pay, notify, refund, clear, report) is in ``payments``, ``clearing`` and ``reports``.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from simulators import clearing, payments, recalls
from simulators.config import FINANCE, Settings
from simulators.errors import Refusal
from simulators.money import fen
from simulators.participant import Participant
from simulators.rules import same_but_receipt_fields
from simulators.storage import insert
from simulators.wire import Body, Document, Identity, build_envelope, parse_document, parse_envelope

PBOC = "PBOC-990100"
# Voucher type -> the payment methods it may order: direct, authorised, special account, a unit's own funds.
PAYMENTS = {"5201": ("11",), "8202": ("12",), "5214": ("11", "12"), "5267": ("81",), "8231": ("31",)}
BY_UNIT = ("12", "31")  # the unit signs; the others are the bureau's
ACCOUNTS = {
    "11": ("zero_balance", "零余额账户"),
    "12": ("zero_balance", "零余额账户"),
    "81": ("special", "财政专户"),
    "31": ("basic", "单位实有资金账户"),
}
CARRIED_BY = {
    FINANCE: {("5105", 0), ("8252", 0), *((kind, 0) for kind in PAYMENTS)},
    PBOC: {("2301", 1), ("2302", 1)},
}


class Bank(Participant):
    """One agent bank. ``executions`` is its ledger of money paid out: a row is a payment that really happened."""

    signing_position = "yh_ywz"
    stamp_position = "yh_ywzqz"
    schema = """
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY, received_id INTEGER NOT NULL REFERENCES received, kind TEXT NOT NULL,
        voucher_no TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX IF NOT EXISTS open_orders ON orders (kind, id) WHERE done = 0;
    CREATE TABLE IF NOT EXISTS executions (
        id INTEGER PRIMARY KEY, serial TEXT NOT NULL UNIQUE, order_id INTEGER REFERENCES orders,
        fiscal_year TEXT, voucher_type TEXT, voucher_no TEXT, detail_id TEXT, payer_account TEXT NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0), pay_type TEXT NOT NULL, fund TEXT NOT NULL,
        pay_date TEXT NOT NULL, facts TEXT NOT NULL, clearing_no TEXT, cleared_on TEXT, UNIQUE (order_id, detail_id));
    CREATE INDEX IF NOT EXISTS uncleared ON executions (pay_type, fund) WHERE clearing_no IS NULL;
    CREATE INDEX IF NOT EXISTS execution_clearing ON executions (clearing_no);
    CREATE INDEX IF NOT EXISTS execution_voucher ON executions (voucher_no, detail_id);
    CREATE TABLE IF NOT EXISTS external_movements (name TEXT PRIMARY KEY, applied_on TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS refunds (
        id INTEGER PRIMARY KEY, serial TEXT NOT NULL UNIQUE, execution_id INTEGER NOT NULL REFERENCES executions,
        notice_type TEXT NOT NULL, notice_no TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0),
        reason TEXT NOT NULL, refunded_on TEXT NOT NULL, clearing_no TEXT, cleared_on TEXT);
    CREATE TABLE IF NOT EXISTS unplaced (
        id INTEGER PRIMARY KEY, serial TEXT NOT NULL UNIQUE, notice_type TEXT NOT NULL, notice_no TEXT NOT NULL,
        account_no TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0), reason TEXT NOT NULL,
        refunded_on TEXT NOT NULL, refund_id INTEGER REFERENCES refunds);
    CREATE TABLE IF NOT EXISTS recalled (
        adm_div_code TEXT, fiscal_year TEXT, voucher_type TEXT, voucher_no TEXT, digest TEXT NOT NULL,
        recall_no TEXT NOT NULL, reason TEXT NOT NULL, recalled_on TEXT NOT NULL,
        PRIMARY KEY (voucher_no, voucher_type, fiscal_year, adm_div_code));
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.bad_accounts = {row["no"]: row["reason"] for row in self.me["bad_accounts"]}
        self._accounts = {row["no"]: row for row in self.me["accounts"]}
        self.outside_accounts = frozenset(no for no, row in self._accounts.items() if row["kind"] != "zero_balance")

    def open_books(self, db: sqlite3.Connection) -> None:
        for row in self.me["historic_payments"]:
            known = {name: row[name] for name in ("serial", "fiscal_year", "voucher_type", "voucher_no", "detail_id")}
            insert(
                db,
                "executions",
                **known,
                payer_account=row["payer_account"],
                amount=fen(row["amount"]),
                pay_type=row["pay_type"],
                fund=row["fund"],
                pay_date=row["pay_date"].replace("-", ""),
                facts=json.dumps(row["facts"], ensure_ascii=False),
                clearing_no=row["clearing_no"],
                cleared_on=row["pay_date"].replace("-", ""),
            )

    def expected_signer(self, body: Body, document: Document, carrier: str) -> str:
        kind = (body.identity.voucher_type, body.flag)
        if kind not in CARRIED_BY.get(carrier, set()):
            raise Refusal("unexpected_voucher", f"{carrier} 不能向本行发送 {kind[0]}(标志 {kind[1]})")
        if kind[0] in PAYMENTS and pay_type(document) in BY_UNIT:
            return f"UNIT-{document.main.get('AgencyCode', '')}"
        return carrier

    def examine(self, body: Body, document: Document) -> None:
        kind, main = body.identity.voucher_type, document.main
        bank = main.get("PayBankNo") or main.get("PayBankCode", "")
        if bank and bank not in (self.me["bank_no"], self.me["bank_code"]):
            raise Refusal("not_addressed", f"凭证的代理银行 {bank} 不是本行")
        if kind in PAYMENTS:
            method = pay_type(document)
            owner = main["AgencyCode"] if method in BY_UNIT else FINANCE
            self._check_account(main.get("PayAcctNo", ""), owner, *ACCOUNTS[method])
            if method in BY_UNIT and any(row.get("AgencyCode", owner) != owner for row in document.details):
                raise Refusal("agency_mismatch", "支付明细的预算单位与主单不符")
        elif kind == "5105":
            for row in document.details:
                self._check_account(row.get("AgencyAccoCode", ""), row.get("AgencyCode", ""), *ACCOUNTS["12"])
        elif kind == "8252":
            if main.get("PayAcctNo", "") not in self._accounts:
                raise Refusal("payer_account_unknown", "款项所在账户不是本行的零余额账户")
        else:
            self._check_clearing_receipt(body, document)

    def act(self, db: sqlite3.Connection, received_id: int, body: Body, document: Document) -> None:
        kind = body.identity.voucher_type
        if body.flag == 1:
            clearing.settle(db, self, document)
            return
        if kind == "8252":
            payments.place(db, self, document)
            return
        if recalls.stopped(db, body.identity):
            raise Refusal("recalled", "该凭证已应财政要求停付")
        order = insert(
            db,
            "orders",
            received_id=received_id,
            kind="arrive" if kind == "5105" else "pay",
            voucher_no=body.identity.voucher_no,
        )
        if kind == "5105" and self.behaviour["auto_arrival"]:
            payments.announce_quota(db, self, order, document)
        elif kind in PAYMENTS and self.behaviour["auto_pay"]:
            payments.execute(db, self, order, document, send_receipt=self.behaviour["auto_receipt"])

    def recall(self, items: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
        asked = list(items)
        if self.behaviour["answer_recalls"]:
            recalls.stop(self, asked)
        return self.query(asked)

    def on_refused(self, db: sqlite3.Connection, identity: Identity, flag: int, destination: str) -> None:
        if destination == PBOC and flag == 0:
            clearing.release(db, identity.voucher_type, identity.voucher_no)

    def _check_account(self, number: str, owner: str, kind: str, name: str) -> None:
        account = self._accounts.get(number)
        if account is None or account["kind"] != kind:
            raise Refusal("payer_account_unknown", f"{number or '空账号'} 不是本行的{name}")
        if account["owner"] != owner:
            raise Refusal("payer_not_owner", f"{name} {number} 不属于 {owner}")

    def _check_clearing_receipt(self, body: Body, document: Document) -> None:
        one = body.identity
        row = (
            self.storage.read()
            .execute(
                "SELECT body FROM issued WHERE voucher_no = ? AND voucher_type = ? AND fiscal_year = ? AND flag = 0",
                (one.voucher_no, one.voucher_type, one.fiscal_year),
            )
            .fetchone()
        )
        if row is None:
            raise Refusal("unknown_original", f"本行没有发出过 {one.voucher_type} {one.voucher_no}")
        if not same_but_receipt_fields(stored_document(row["body"]), document):
            raise Refusal("receipt_mismatch", "回单与本行发出的凭证不一致")
        if document.main.get("XPayAmt") != document.main["PayAmt"]:
            raise Refusal("receipt_mismatch", "回单金额 XPayAmt 与申请金额不符")


def pay_type(document: Document) -> str:
    """The payment method a voucher orders.

    :raises Refusal: if its type does not order that one.
    """
    allowed = PAYMENTS[document.main["VtCode"]]
    said = document.main.get("PayTypeCode", "") if len(allowed) > 1 else allowed[0]
    if said not in allowed:
        raise Refusal("bad_pay_type", f"支付方式 {said!r} 不能用 {document.main['VtCode']}")
    return said


def stored_document(body_xml: str) -> Document:
    """The document inside a body we have stored."""
    return parse_document(parse_envelope(build_envelope([body_xml]))[0])
