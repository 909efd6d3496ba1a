"""I09: a payment counts as answered if, and only if, the bank's signed receipt says so, line by line."""

import json
from collections.abc import Iterator
from decimal import Decimal

from core.money import ZERO
from reconciliation.audit.evidence import (
    Fields,
    Row,
    Signed,
    chunks,
    content_of,
    inner_bytes,
    judged,
    marks_of,
    own_fields,
    without_receipt_fields,
)
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from vouchers.checks import wire_amount
from vouchers.codec import completed, differing_fields
from vouchers.errors import WireAmountInvalid

_RECEIPTS = f"""
SELECT x.id::text, v.voucher_no, v.receiver, v.text, m.sender, m.text, m.signatures, m.received_at, x.amount_paid,
       x.bank_serial, x.paid_on,
       (SELECT jsonb_agg(jsonb_build_array(d.seq::text, l.amount_paid::text, l.bank_serial))
          FROM payments_receiptline l JOIN payments_paymentdetail d ON d.id = l.detail_id WHERE l.receipt_id = x.id)
  FROM payments_paymentreceipt x JOIN vouchers_voucher v ON v.id = x.voucher_id
  JOIN vouchers_inboxmessage m ON m.id = x.message_id
 WHERE {in_region("x")}
"""


def _receipts_hold(scope: Scope) -> Iterator[Finding]:
    for row, unsigned in judged(chunks(_RECEIPTS, {"region": scope.region}), _signed):
        fault = unsigned or _content_fault(row)
        if fault:
            yield Finding("payments_paymentreceipt", row[0], f"凭证 {row[1]} 的回单：{fault}")


def _signed(row: Row) -> Signed:
    _id, _number, receiver, _sent_text, _sender, text, signatures, received_at, *_ = row
    return Signed(receiver, bytes(text), marks_of(signatures), received_at)


def _content_fault(row: Row) -> str:
    _id, _number, receiver, sent_text, sender, text, _marks, _at, amount, serial, paid_on, lines = row
    if sender != receiver:
        return f"不是收款指令的接收方 {receiver} 发来的"
    sent, answered = inner_bytes(bytes(sent_text)), inner_bytes(bytes(text))
    if without_receipt_fields(sent) == without_receipt_fields(answered):
        main, details = own_fields(answered, ("Id", "XPayAmt", "XPayDate", "XAgentBusinessNo"))
    else:  # the same content in other bytes, or not the same
        receipt, original = content_of(bytes(text)), content_of(bytes(sent_text))
        if receipt is None or original is None:
            return "原文不能读取"
        changed = differing_fields(completed(original), receipt)
        if changed:
            return "改动了发送单的内容：" + "、".join(changed[:3])
        main, details = dict(receipt.main), [dict(detail) for detail in receipt.details]
    refused = _amount(main) == 0 and not any(d.get("XPayAmt") for d in details)  # by 0.00 in the head alone
    said = {d.get("Id"): (ZERO if refused else _amount(d), d.get("XAgentBusinessNo", "")[:42]) for d in details}
    kept = {seq: (Decimal(paid), serial_no) for seq, paid, serial_no in json.loads(lines or "[]")}
    if said != kept:
        return "明细实付金额或流水号与签名原文不同"
    stated = main.get("XPayDate", "").replace("-", "")[:8]
    if (_amount(main), main.get("XAgentBusinessNo", "")[:42]) != (amount, serial):
        return "实付金额或流水号与签名原文不同"
    dated = stated or amount > 0  # who refuses the whole need not date it
    return "支付日期与签名原文不同" if dated and stated != f"{paid_on:%Y%m%d}" else ""


def _amount(fields: Fields) -> Decimal | None:
    try:
        return wire_amount(fields.get("XPayAmt", ""))
    except WireAmountInvalid:
        return None


_LINES = f"""
SELECT 'payments_paymentreceipt' AS "table", x.id::text AS id,
       concat('回单实付 ', x.amount_paid, '，明细合计 ', COALESCE(sum(l.amount_paid), 0), '，申请 ',
              r.request_no, ' 有 ',
              count(d.id), ' 行、回单 ', count(l.id), ' 行') AS explanation,
       x.amount_paid - COALESCE(sum(l.amount_paid), 0) AS delta
  FROM payments_paymentreceipt x JOIN payments_paymentrequest r ON r.id = x.request_id
  JOIN payments_paymentdetail d ON d.request_id = r.id
  LEFT JOIN payments_receiptline l ON l.detail_id = d.id AND l.receipt_id = x.id
 WHERE {in_region("x")}
 GROUP BY x.id, r.id
HAVING x.amount_paid <> COALESCE(sum(l.amount_paid), 0) OR count(d.id) <> count(l.id) OR x.voucher_id <> r.voucher_id
    OR count(*) FILTER (WHERE l.amount_paid NOT IN (0, d.amount)) > 0
"""

_BOTH_WAYS = f"""
SELECT 'payments_paymentrequest' AS "table", r.id::text AS id,
       concat('支付申请 ', r.request_no, ' 为 ', r.state, '，金额 ', r.amount, '，',
              CASE WHEN x.id IS NULL THEN '没有回单' ELSE concat('回单实付 ', x.amount_paid) END) AS explanation,
       COALESCE(x.amount_paid, 0) - r.amount AS delta
  FROM payments_paymentrequest r LEFT JOIN payments_paymentreceipt x ON x.request_id = r.id
 WHERE NOT r.imported AND {in_region("r")}
   AND CASE r.state WHEN 'paid' THEN x.amount_paid IS DISTINCT FROM r.amount
                    WHEN 'partially_paid' THEN x.id IS NULL OR x.amount_paid NOT BETWEEN 0.01 AND r.amount - 0.01
                    WHEN 'failed' THEN x.amount_paid IS DISTINCT FROM 0
                    WHEN 'cleared' THEN x.id IS NULL OR x.amount_paid <= 0
                    ELSE x.id IS NOT NULL END
"""

_PAPER = f"""
SELECT 'payments_paymentreceipt' AS "table", x.id::text AS id,
       concat('纸质回单 ', r.voucher_no, CASE WHEN a.id IS NULL THEN ' 没有两人确认的补录'
                                              ELSE ' 与补录的金额、流水号、日期或明细不同' END) AS explanation,
       NULL::numeric AS delta
  FROM payments_paymentreceipt x JOIN payments_paymentrequest r ON r.id = x.request_id
  LEFT JOIN emergency_papervoucher p ON p.request_id = r.id AND p.voucher_id = x.voucher_id AND p.state = 'settled'
  LEFT JOIN emergency_paperanswer a ON a.paper_id = p.id AND a.state = 'confirmed'
                                   AND a.decided_by_id <> a.entered_by_id
 WHERE x.message_id IS NULL AND {in_region("x")}
   AND (a.id IS NULL OR (a.bank_serial, a.paid_on) IS DISTINCT FROM (x.bank_serial, x.paid_on)
        OR EXISTS (SELECT 1 FROM payments_receiptline l JOIN payments_paymentdetail d ON d.id = l.detail_id
                    WHERE l.receipt_id = x.id
                      AND NOT a.lines @> jsonb_build_array(jsonb_build_array(d.seq, l.amount_paid > 0, l.reason))))
 UNION ALL
SELECT 'emergency_papervoucher', p.id::text,
       concat('纸质凭证 ', v.voucher_no, '（', p.state, '）',
              CASE WHEN d.id IS NOT NULL OR v.signature <> '' THEN '又经电子渠道签章或发送'
                   WHEN x.message_id IS NOT NULL THEN '又有电子回单'
                   ELSE '的结清与回单不一致' END), NULL::numeric
  FROM emergency_papervoucher p JOIN vouchers_voucher v ON v.id = p.voucher_id
  LEFT JOIN vouchers_delivery d ON d.voucher_id = v.id
  LEFT JOIN payments_paymentreceipt x ON x.request_id = p.request_id
 WHERE {in_region("p")}
   AND (d.id IS NOT NULL OR v.signature <> '' OR x.message_id IS NOT NULL
        OR (p.state = 'settled') <> (x.id IS NOT NULL))
"""

I09 = Invariant(
    "I09",
    "已付⇔银行签名回单，逐行相等",
    (
        CodeCheck(
            "The bank's signature over each receipt holds; the receipt repeats our voucher and changed no field of it "
            "(amount, payee, account); what we keep of it is what it says.",
            _receipts_hold,
        ),
        SqlCheck("A receipt is the sum of its lines, one for each detail: paid in full, or 0.00.", _LINES),
        SqlCheck("A request is paid, partly paid, failed or cleared exactly when its receipt says so.", _BOTH_WAYS),
        SqlCheck(
            "An answer on paper is what one person entered and another confirmed; its voucher took no other way.",
            _PAPER,
        ),
    ),
)
