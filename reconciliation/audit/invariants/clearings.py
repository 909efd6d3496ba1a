"""I10 and I11: what banks paid is what PBoC cleared or has still to clear, line by line, under both signatures."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from budget.methods import METHODS
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from reconciliation.audit.invariants.messages import contents, signatures_hold
from vouchers.checks import wire_amount, wire_date
from vouchers.codec import differing_fields
from vouchers.messages import VoucherContent

# Three ways to the bank, so that none can be bent alone: the voucher's receiver, the clearing's bank, the account's.
_THREE_WAY = f"""
WITH paid AS (
    SELECT x.adm_div_code, b.id AS bank_id, l.paid_on, sum(l.amount_paid) AS amount
      FROM payments_receiptline l JOIN payments_paymentreceipt x ON x.id = l.receipt_id
      JOIN vouchers_voucher v ON v.id = x.voucher_id
      JOIN payments_paymentrequest r ON r.id = x.request_id
      JOIN parties_agentbank b ON b.adm_div_code = x.adm_div_code AND b.organisation = v.receiver
     WHERE l.amount_paid > 0 AND r.payment_mode = ANY(%(cleared)s) AND {in_region("x")} GROUP BY 1, 2, 3
), cleared AS (
    SELECT c.adm_div_code, c.agent_bank_id AS bank_id, l.paid_on, sum(k.amount) AS amount
      FROM payments_clearingline k JOIN payments_clearing c ON c.id = k.clearing_id
      JOIN payments_receiptline l ON l.detail_id = k.detail_id
     WHERE k.refund_id IS NULL AND {in_region("c")} GROUP BY 1, 2, 3
), waiting AS (
    SELECT d.adm_div_code, a.agent_bank_id AS bank_id, l.paid_on, sum(d.amount) AS amount
      FROM payments_paymentdetail d JOIN payments_paymentrequest r ON r.id = d.request_id
      JOIN parties_bankaccount a ON a.id = r.payer_account_id JOIN payments_receiptline l ON l.detail_id = d.id
     WHERE l.amount_paid > 0 AND {in_region("d")} AND r.payment_mode = ANY(%(cleared)s)
       AND NOT EXISTS (SELECT 1 FROM payments_clearingline k WHERE k.detail_id = d.id AND k.refund_id IS NULL)
     GROUP BY 1, 2, 3
), sides AS (
    SELECT adm_div_code, bank_id, paid_on, sum(paid) AS paid, sum(accounted) AS accounted FROM (
        SELECT adm_div_code, bank_id, paid_on, amount AS paid, 0 AS accounted FROM paid
        UNION ALL SELECT adm_div_code, bank_id, paid_on, 0, amount FROM cleared
        UNION ALL SELECT adm_div_code, bank_id, paid_on, 0, amount FROM waiting) x GROUP BY 1, 2, 3
)
SELECT 'parties_agentbank' AS "table", o.bank_id::text AS id,
       concat(b.name, ' ', o.paid_on, ' 回单实付 ', o.paid, '，已清算加待清算 ', o.accounted) AS explanation,
       o.paid - o.accounted AS delta
  FROM sides o LEFT JOIN parties_agentbank b ON b.id = o.bank_id WHERE o.paid <> o.accounted
"""

_CLEARED_MODES = {"cleared": [row.code for row in METHODS.values() if row.is_cleared]}

I10 = Invariant(
    "I10",
    "每行每日：已付 = 已清算 + 待清算",
    (
        SqlCheck(
            "For every bank and day of payment: what its receipts say was paid is what was cleared for that bank plus "
            "what still waits to be cleared from its accounts. What needs no clearing has none.",
            _THREE_WAY,
            _CLEARED_MODES,
        ),
    ),
)

_LINES = f"""
SELECT 'payments_clearingline' AS "table", k.id::text AS id,
       concat('清算 ', c.voucher_no, ' 第 ', k.line_id, ' 行 ', k.amount, '，',
              CASE WHEN k.refund_id IS NULL THEN concat('支付回单实付 ', COALESCE(l.amount_paid, 0))
                   ELSE concat('退款 ', COALESCE(f.amount, 0)) END) AS explanation,
       k.amount - COALESCE(f.amount, l.amount_paid, 0) AS delta
  FROM payments_clearingline k JOIN payments_clearing c ON c.id = k.clearing_id
  LEFT JOIN payments_receiptline l ON l.detail_id = k.detail_id
  LEFT JOIN payments_refund f ON f.id = k.refund_id
 WHERE {in_region("k")}
   AND ((c.voucher_type = '2302') <> (k.refund_id IS NOT NULL)
        OR k.refund_id IS NULL AND k.amount IS DISTINCT FROM l.amount_paid
        OR k.refund_id IS NOT NULL AND (k.amount, k.detail_id) IS DISTINCT FROM (f.amount, f.detail_id))
"""

_ONCE = f"""
SELECT 'payments_paymentdetail' AS "table", k.detail_id::text AS id,
       concat('支付明细清算了 ', count(*), ' 次') AS explanation, sum(k.amount) AS delta
  FROM payments_clearingline k WHERE k.refund_id IS NULL AND {in_region("k")} GROUP BY k.detail_id HAVING count(*) > 1
"""

_HEADERS = f"""
SELECT 'payments_clearing' AS "table", c.id::text AS id,
       concat('清算 ', c.voucher_no, ' 主单 ', c.amount, '，明细合计 ', COALESCE(k.amount, 0), '，清算额度账 ',
              COALESCE(e.amount, 0)) AS explanation,
       c.amount - COALESCE(k.amount, 0) AS delta
  FROM payments_clearing c
 CROSS JOIN LATERAL (SELECT CASE WHEN EXISTS (
                            SELECT 1 FROM payments_clearingline k JOIN payments_prioryearrefund y USING (refund_id)
                             WHERE k.clearing_id = c.id)
                         OR EXISTS (SELECT 1 FROM budget_budgetyear y WHERE y.adm_div_code = c.adm_div_code
                                       AND y.fiscal_year = c.fiscal_year AND y.mode = 'integrated')
                         THEN NULL ELSE c.amount END AS limited) w
  LEFT JOIN (SELECT clearing_id, sum(amount) AS amount FROM payments_clearingline GROUP BY 1) k ON k.clearing_id = c.id
  LEFT JOIN (SELECT document_id, sum(cleared_change + refunded_change) AS amount FROM budget_clearinglimitentry
              WHERE kind LIKE 'clearing%%' GROUP BY 1) e ON e.document_id = c.id
 WHERE {in_region("c")} AND (c.amount IS DISTINCT FROM k.amount OR w.limited IS DISTINCT FROM e.amount)
"""

_CLEARED = f"""
SELECT 'payments_paymentrequest' AS "table", r.id::text AS id,
       concat('支付申请 ', r.request_no, ' 为 ', r.state, '，已付 ', count(l.id), ' 行、已清算 ', count(k.id),
              ' 行') AS explanation,
       (count(l.id) - count(k.id))::numeric AS delta
  FROM payments_paymentrequest r JOIN payments_paymentdetail d ON d.request_id = r.id
  JOIN payments_receiptline l ON l.detail_id = d.id AND l.amount_paid > 0
  LEFT JOIN payments_clearingline k ON k.detail_id = d.id AND k.refund_id IS NULL
 WHERE NOT r.imported AND {in_region("r")}
 GROUP BY r.id
HAVING (r.state = 'cleared') <> (count(l.id) = count(k.id) AND r.payment_mode = ANY(%(cleared)s))
    OR count(k.id) > 0 AND r.payment_mode <> ALL(%(cleared)s)
"""

_STORED = """
SELECT c.id::text, c.amount, c.cleared_on,
       (SELECT jsonb_agg(jsonb_build_array(k.line_id, round(k.amount, 2)::text, r.voucher_no, d.seq::text))
          FROM payments_clearingline k JOIN payments_paymentdetail d ON d.id = k.detail_id
          JOIN payments_paymentrequest r ON r.id = d.request_id WHERE k.clearing_id = c.id)
  FROM payments_clearing c WHERE c.message_id = %(id)s
"""


def _as_signed(scope: Scope) -> Iterator[Finding]:
    copies: dict[tuple[Any, ...], VoucherContent | None] = {}
    for message in contents(scope, ("2301", "2302"), flag=0, states=("applied",)):
        copies[message.identity] = message.content
    for message in contents(scope, ("2301", "2302"), flag=1, states=("applied",), query=_STORED):
        for clearing_id, *kept in message.rows:
            fault = _fault(message.content, copies.get(message.identity), *kept)
            if fault:
                yield Finding("payments_clearing", clearing_id, f"清算 {message.identity[3]}：{fault}")


def _fault(
    done: VoucherContent | None, asked: VoucherContent | None, amount: Decimal, cleared_on: date, kept: str | None
) -> str:
    if asked is None or done is None:
        return "没有银行签名的原件，或原文不能读取"
    if differing_fields(asked, done):
        return "与银行签名的原件不同"
    sign, number, detail = (
        (-1, "OriVoucherNo", "OriVouDetailNo") if done.voucher_type == "2302" else (1, "VoucherNo", "DAVoucherNo")
    )
    if sign * wire_amount(done.main["PayAmt"]) != amount:
        return "金额与签名原文不同"
    if wire_date(done.main["XClearDate"], receipt=True) != cleared_on:
        return "清算日期与签名原文不同"
    said = Counter((d["Id"], f"{sign * wire_amount(d['PayAmt']):.2f}", d[number], d[detail]) for d in done.details)
    return "" if said == Counter(map(tuple, json.loads(kept or "[]"))) else "明细与签名原文不同"


def _signatures(scope: Scope) -> Iterator[Finding]:
    return signatures_hold(scope, ("2301", "2302"))


I11 = Invariant(
    "I11",
    "清算逐行对应支付，合计相符，双方签名有效",
    (
        SqlCheck("Each line clears one paid detail, or one refund, by exactly its amount.", _LINES),
        SqlCheck("No detail is cleared twice.", _ONCE),
        SqlCheck(
            "A clearing is the sum of its lines, and moved its limit by that sum, where the year has limits.", _HEADERS
        ),
        SqlCheck("A request is cleared exactly when every paid detail of it is.", _CLEARED, _CLEARED_MODES),
        CodeCheck("Amount, date and lines are those of PBoC's text, which repeats the bank's.", _as_signed),
        CodeCheck("The bank's signature over its document and PBoC's over the executed one hold.", _signatures),
    ),
)
