"""The PBoC treasury (人民银行国库): keeps the single account and the clearing limits, reimburses agent banks.

A clearing limit belongs to (agent bank, payment method, fund). 5106 and 5108 raise or lower it, a 2301 uses it, a
2302 gives it back; in the integrated mode there are none. Checks, money and receipt of one voucher are one
transaction. Source: business.md §5.1-5.3.
"""

import sqlite3
from typing import Any

from simulators import appropriations
from simulators.config import FINANCE, Settings
from simulators.errors import Refusal
from simulators.money import fen, yuan
from simulators.participant import Participant
from simulators.rules import amount_field
from simulators.storage import balance, book, insert, savepoint, set_setting, setting
from simulators.wire import Body, Document

DIRECT, AUTHORISED = "11", "12"
APPROPRIATION = "91"
CORRECTIONS = {"5253", "5351"}
_LIMIT_OF = {"5106": AUTHORISED, "5108": DIRECT}


class CentralBank(Participant):
    """The treasury branch. ``cleared_details`` says which payment detail was reimbursed by which request, once."""

    signing_position = "rh_zzz"
    stamp_position = "rh_ywzqz"
    schema = """
    CREATE TABLE IF NOT EXISTS limit_entries (
        id INTEGER PRIMARY KEY, bank_no TEXT NOT NULL, pay_type TEXT NOT NULL, fund TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('opening', 'issued', 'cleared', 'refunded')),
        amount INTEGER NOT NULL, reference TEXT NOT NULL, booked_on TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS limit_key ON limit_entries (bank_no, pay_type, fund, amount);
    CREATE TABLE IF NOT EXISTS clearings (
        id INTEGER PRIMARY KEY, voucher_type TEXT NOT NULL, voucher_no TEXT NOT NULL, fiscal_year TEXT NOT NULL,
        bank_no TEXT NOT NULL, pay_type TEXT NOT NULL, fund TEXT NOT NULL, amount INTEGER NOT NULL,
        cleared_on TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS cleared_details (
        id INTEGER PRIMARY KEY, clearing_type TEXT NOT NULL, clearing_no TEXT NOT NULL, clearing_detail_id TEXT,
        bank_no TEXT NOT NULL, pay_type TEXT NOT NULL, fund TEXT NOT NULL, payment_type TEXT NOT NULL,
        payment_no TEXT NOT NULL, payment_detail_id TEXT NOT NULL, fiscal_year TEXT NOT NULL,
        amount INTEGER NOT NULL, refund_notice TEXT NOT NULL DEFAULT '', department TEXT NOT NULL DEFAULT '',
        department_name TEXT NOT NULL DEFAULT '', function TEXT NOT NULL DEFAULT '',
        function_name TEXT NOT NULL DEFAULT '', cleared_on TEXT NOT NULL);
    CREATE UNIQUE INDEX IF NOT EXISTS one_clearing_per_detail ON cleared_details
        (payment_no, payment_detail_id, payment_type, fiscal_year) WHERE clearing_type = '2301';
    CREATE INDEX IF NOT EXISTS refunds_of_detail ON cleared_details (payment_no, payment_detail_id);
    CREATE TABLE IF NOT EXISTS corrections (
        id INTEGER PRIMARY KEY, voucher_type TEXT NOT NULL, voucher_no TEXT NOT NULL, fiscal_year TEXT NOT NULL,
        department TEXT NOT NULL, function TEXT NOT NULL, amount INTEGER NOT NULL, executed INTEGER NOT NULL,
        dealt_on TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS external_movements (name TEXT PRIMARY KEY, applied_on TEXT NOT NULL);
    """
    schema += appropriations.SCHEMA

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.banks: dict[str, dict[str, Any]] = {row["bank_no"]: row for row in self.me["banks"]}
        self.treasury = {row["owner"]: row["no"] for row in self.me["accounts"]}  # fund -> account
        self.outside_accounts = frozenset(self.treasury.values())
        self.bad_accounts = {row["no"]: row["reason"] for row in self.me["bad_accounts"]}

    @property
    def limits_clearing(self) -> bool:
        """Whether banks are repaid within limits; not so in the integrated mode."""
        return bool(setting(self.storage.read(), "limits_clearing", self.me["limits_clearing"]))

    def open_books(self, db: sqlite3.Connection) -> None:
        set_setting(db, "limits_clearing", self.me["limits_clearing"])
        day = self.today(db)
        for row in self.me["limits"] if self.me["limits_clearing"] else []:
            key = (row["bank_no"], row["pay_type"], row["fund"])
            _enter_limit(db, key, "opening", fen(row["opening"]), "期初", day)
        for row in self.me["historic_clearings"]:
            known = {name: value for name, value in row.items() if name not in ("amount", "cleared_on")}
            on = row["cleared_on"].replace("-", "")
            insert(
                db,
                "cleared_details",
                clearing_type="2301",
                fiscal_year=on[:4],
                amount=fen(row["amount"]),
                cleared_on=on,
                **known,
            )

    def expected_signer(self, body: Body, document: Document, carrier: str) -> str:
        kind = (body.identity.voucher_type, body.flag)
        if kind in {(one, 0) for one in ("5106", "5108", "5207", *CORRECTIONS)} and carrier == FINANCE:
            return FINANCE
        if kind in {("2301", 0), ("2302", 0)}:
            bank = self._bank(document.main.get("PayBankNo", ""))
            if bank["organisation"] == carrier:
                return carrier
        raise Refusal("unexpected_voucher", f"{carrier} 不能向国库发送该 {kind[0]}(标志 {kind[1]})")

    def examine(self, body: Body, document: Document) -> None:
        main = document.main
        if body.identity.voucher_type in CORRECTIONS:
            if main.get("FundTypeCode") not in self.treasury:
                raise Refusal("bad_fund", f"资金性质 {main.get('FundTypeCode', '')!r} 没有对应的库款账户")
            return
        if main.get("TreCode") != self.me["tre_code"] or main.get("FinOrgCode") != self.me["fin_org_code"]:
            raise Refusal("not_addressed", "国库代码或财政机关代码不是本库登记的")
        if main.get("FundTypeCode") not in self.treasury:
            raise Refusal("bad_fund", f"资金性质 {main.get('FundTypeCode', '')!r} 没有对应的库款账户")
        if body.identity.voucher_type == "5207":
            self._examine_appropriation(main)
            return
        bank = self._bank(main.get("PayBankNo", ""))
        if body.identity.voucher_type not in ("2301", "2302"):
            return
        if main.get("PayTypeCode") not in (DIRECT, AUTHORISED):
            raise Refusal("bad_pay_type", "支付方式应为 11 或 12")
        if main.get("AgentAcctNo") != bank["clearing_account"]:
            raise Refusal("bad_agent_account", "收款账户不是该行登记的清算账户")
        if main.get("ClearAcctNo") != self.treasury[main["FundTypeCode"]]:
            raise Refusal("bad_treasury_account", "付款账户不是该资金性质的库款账户")

    def _examine_appropriation(self, main: dict[str, str]) -> None:
        if main.get("PayTypeCode") != APPROPRIATION:
            raise Refusal("bad_pay_type", "实拨的支付方式应为 91")
        if main.get("PayAcctNo") != self.treasury[main["FundTypeCode"]]:
            raise Refusal("bad_treasury_account", "付款账户不是该资金性质的库款账户")

    def act(self, db: sqlite3.Connection, received_id: int, body: Body, document: Document) -> None:
        kind = body.identity.voucher_type
        if kind in _LIMIT_OF:
            self._change_limit(db, kind, document)
        elif kind == "5207":
            number = body.identity.voucher_no
            order = insert(db, "appropriation_orders", received_id=received_id, voucher_no=number)
            if self.behaviour["auto_pay"]:
                appropriations.execute(db, self, order, document)
        elif kind in CORRECTIONS:
            self._correct(db, document)
        elif kind == "2301":
            self._clear(db, body, document)
        else:
            self._take_back(db, body, document)

    def _correct(self, db: sqlite3.Connection, document: Document) -> None:
        """Carry an amount under other codes: no money moves, no limit moves; both lines or neither."""
        main, today = document.main, self.today(db)
        done = bool(self.behaviour["execute_corrections"])
        why = "" if done else "科目不存在"
        for detail in document.details:
            insert(
                db,
                "corrections",
                voucher_type=main["VtCode"],
                voucher_no=main["VoucherNo"],
                fiscal_year=main["StYear"],
                department=detail.get("SupDepCode", ""),
                function=detail["ExpFuncCode"],
                amount=fen(detail["PayAmt"]),
                executed=int(done),
                dealt_on=today,
            )
            if main["VtCode"] == "5351":
                detail |= {"XDealResult": "1" if done else "0", "XAddWord": why}
            else:
                detail |= {"XPayAmt": detail["PayAmt"] if done else "0.00", "XPayDate": today, "XAddWord": why}
        main |= {"XAccDate": today} if main["VtCode"] == "5351" else {"XPayDate": today, "XPayAmt": "0.00"}
        self.issue(db, document, flag=1, destinations=[FINANCE])

    def _bank(self, bank_no: str) -> dict[str, Any]:
        if bank_no not in self.banks:
            raise Refusal("unknown_bank", f"代理银行行号 {bank_no[:20]!r} 未登记")
        return self.banks[bank_no]

    def _change_limit(self, db: sqlite3.Connection, kind: str, document: Document) -> None:
        main = document.main
        key = (main["PayBankNo"], _LIMIT_OF[kind], main["FundTypeCode"])
        amount = fen(main[amount_field(kind)])
        if limit_remaining(db, key) + amount < 0:
            raise Refusal(
                "limit_below_cleared", f"清算额度剩余 {yuan(limit_remaining(db, key))},不能再减 {yuan(-amount)}"
            )
        _enter_limit(db, key, "issued", amount, f"{kind} {main['VoucherNo']}", self.today(db))

    def _clear(self, db: sqlite3.Connection, body: Body, document: Document) -> None:
        main, today = document.main, self.today(db)
        key = (main["PayBankNo"], main["PayTypeCode"], main["FundTypeCode"])
        amount, account = fen(main["PayAmt"]), self.treasury[main["FundTypeCode"]]
        with savepoint(db):
            for detail in document.details:
                try:
                    self._record(db, document, detail, today)
                except sqlite3.IntegrityError as error:
                    raise Refusal(
                        "detail_already_cleared",
                        f"支付凭证 {detail['VoucherNo']} 明细 {detail['DAVoucherNo']} 已清算过",
                    ) from error
            if self.limits_clearing and amount > limit_remaining(db, key):
                raise Refusal(
                    "clearing_limit_exceeded", f"清算额度剩余 {yuan(limit_remaining(db, key))},申请 {yuan(amount)}"
                )
            if amount > balance(db, account):
                raise Refusal("treasury_balance_short", "库款余额不足")
            self._use_limit(db, key, "cleared", -amount, f"2301 {main['VoucherNo']}", today)
            self._finish(db, body, document, key, account, today)

    def _take_back(self, db: sqlite3.Connection, body: Body, document: Document) -> None:
        main, today = document.main, self.today(db)
        key = (main["PayBankNo"], main["PayTypeCode"], main["FundTypeCode"])
        with savepoint(db):
            for detail in document.details:
                self._check_refund(db, main, detail)
                self._record(db, document, detail, today)
            if main["StYear"] == today[:4]:  # money of an earlier year gives this year's limit nothing
                self._use_limit(db, key, "refunded", -fen(main["PayAmt"]), f"2302 {main['VoucherNo']}", today)
            self._finish(db, body, document, key, self.treasury[main["FundTypeCode"]], today)

    def _use_limit(
        self, db: sqlite3.Connection, key: tuple[str, str, str], kind: str, amount: int, reference: str, day: str
    ) -> None:
        if self.limits_clearing:
            _enter_limit(db, key, kind, amount, reference, day)

    def _check_refund(self, db: sqlite3.Connection, main: dict[str, str], detail: dict[str, str]) -> None:
        number, line = detail.get("OriVoucherNo", ""), detail.get("OriVouDetailNo", "")
        row = db.execute(
            "SELECT sum(CASE clearing_type WHEN '2301' THEN amount END) AS cleared, coalesce(sum(amount), 0) AS room"
            " FROM cleared_details WHERE payment_no = ? AND payment_detail_id = ? AND payment_type = ? AND bank_no = ?"
            " AND pay_type = ? AND fund = ?",
            (number, line, detail.get("Hold1", ""), main["PayBankNo"], main["PayTypeCode"], main["FundTypeCode"]),
        ).fetchone()
        if row["cleared"] is None:
            raise Refusal("original_not_cleared", f"支付凭证 {number} 明细 {line} 没有清算记录,不能退款")
        if row["room"] + fen(detail["PayAmt"]) < 0:
            raise Refusal("refund_exceeds_cleared", f"支付凭证 {number} 明细 {line} 可退 {yuan(row['room'])}")

    def _record(self, db: sqlite3.Connection, document: Document, detail: dict[str, str], today: str) -> None:
        main = document.main
        refund = main["VtCode"] == "2302"
        number, line = ("OriVoucherNo", "OriVouDetailNo") if refund else ("VoucherNo", "DAVoucherNo")
        if not detail.get(number) or not detail.get(line) or detail.get("Hold1") not in ("5201", "8202", "5214"):
            raise Refusal("bad_reference", f"明细 {detail['Id']} 缺少原支付凭证号、明细号或类型(Hold1)")
        insert(
            db,
            "cleared_details",
            clearing_type=main["VtCode"],
            clearing_no=main["VoucherNo"],
            clearing_detail_id=detail["Id"],
            bank_no=main["PayBankNo"],
            pay_type=main["PayTypeCode"],
            fund=main["FundTypeCode"],
            payment_type=detail["Hold1"],
            payment_no=detail[number],
            payment_detail_id=detail[line],
            fiscal_year=main["StYear"],
            amount=fen(detail["PayAmt"]),
            refund_notice=detail.get("VoucherNo", "") if refund else "",
            department=detail.get("AgencyCode") or detail.get("SupDepCode", ""),
            department_name=detail.get("AgencyName") or detail.get("SupDepName", ""),
            function=detail.get("ExpFuncCode", ""),
            function_name=detail.get("ExpFuncName", ""),
            cleared_on=today,
        )

    def _finish(
        self,
        db: sqlite3.Connection,
        body: Body,
        document: Document,
        key: tuple[str, str, str],
        account: str,
        today: str,
    ) -> None:
        """Move the money and send the receipt to the bank and to finance, beside the bank's own signature."""
        main = document.main
        amount = fen(main["PayAmt"])
        reference = f"{main['VtCode']} {main['VoucherNo']}"
        book(db, account=account, amount=-amount, kind="clearing", ref=reference, on=today)
        insert(
            db,
            "clearings",
            voucher_type=main["VtCode"],
            voucher_no=main["VoucherNo"],
            fiscal_year=main["StYear"],
            bank_no=key[0],
            pay_type=key[1],
            fund=key[2],
            amount=amount,
            cleared_on=today,
        )
        main |= {"XClearDate": today, "XPayAmt": main["PayAmt"]}
        for detail in document.details:
            filled = {"XPayAmt": detail["PayAmt"], "XPayDate": detail.get("PayDate", "")}
            detail |= {tag: value for tag, value in filled.items() if tag in detail}
        self.issue(
            db,
            document,
            flag=1,
            destinations=[self.banks[key[0]]["organisation"], FINANCE],
            keep_signatures=body.signatures,
        )


def limit_remaining(db: sqlite3.Connection, key: tuple[str, str, str]) -> int:
    """What the bank may still have reimbursed for this payment method and fund, in fen."""
    row = db.execute(
        "SELECT coalesce(sum(amount), 0) FROM limit_entries WHERE bank_no = ? AND pay_type = ? AND fund = ?", key
    ).fetchone()
    return int(row[0])


def _enter_limit(
    db: sqlite3.Connection, key: tuple[str, str, str], kind: str, amount: int, reference: str, day: str
) -> None:
    insert(
        db,
        "limit_entries",
        bank_no=key[0],
        pay_type=key[1],
        fund=key[2],
        kind=kind,
        amount=amount,
        reference=reference,
        booked_on=day,
    )


def limits(db: sqlite3.Connection, *, day: str | None = None) -> list[dict[str, Any]]:
    """Each limit with its sums in fen; with ``day`` (yyyyMMdd) the sums of that day, ``opening`` what was before it."""
    rows = db.execute(
        """SELECT bank_no, pay_type, fund,
                  sum(CASE WHEN kind = 'opening' OR booked_on < :day THEN amount ELSE 0 END) AS opening,
                  sum(CASE WHEN kind = 'issued' AND booked_on >= :day THEN amount ELSE 0 END) AS issued,
                  -sum(CASE WHEN kind = 'cleared' AND booked_on >= :day THEN amount ELSE 0 END) AS cleared,
                  sum(CASE WHEN kind = 'refunded' AND booked_on >= :day THEN amount ELSE 0 END) AS refunded,
                  sum(amount) AS remaining
             FROM limit_entries WHERE booked_on <= :until OR kind = 'opening'
            GROUP BY bank_no, pay_type, fund ORDER BY bank_no, pay_type, fund""",
        {"day": day or "", "until": day or "99999999"},
    )
    return [dict(row) for row in rows]
