"""I13: money that came back never exceeds what was paid, restores its quota once, and is in a bank's notice."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from budget.methods import METHODS
from core.money import ZERO
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from reconciliation.audit.invariants.messages import contents, signatures_hold
from vouchers.checks import wire_amount
from vouchers.messages import VoucherContent
from vouchers.schema import voucher_type

_TYPES = sorted({method.refund_type for method in METHODS.values()})

_WITHIN = f"""
SELECT 'payments_paymentdetail' AS "table", d.id::text AS id,
       concat('支付明细 ', r.request_no, '/', d.seq, ' 已付 ', c.paid, '，退款合计 ', c.refunded, '，列示 ',
              d.amount_refunded) AS explanation,
       c.refunded - d.amount_refunded AS delta
  FROM payments_paymentdetail d JOIN payments_paymentrequest r ON r.id = d.request_id
  LEFT JOIN payments_receiptline l ON l.detail_id = d.id
  LEFT JOIN (SELECT detail_id, sum(amount) AS amount FROM payments_refund GROUP BY 1) f ON f.detail_id = d.id
 CROSS JOIN LATERAL (SELECT COALESCE(f.amount, 0) AS refunded,
                            CASE WHEN r.imported THEN d.amount ELSE COALESCE(l.amount_paid, 0) END AS paid) c
 WHERE (c.refunded > c.paid OR c.refunded <> d.amount_refunded) AND {in_region("d")}
"""


def _restored(entries: str, account: str) -> str:
    return f"""
WITH posted AS (
    SELECT document_id, {account} AS account_id, sum(refunded_change) AS amount FROM {entries} e
     WHERE kind <> 'opening' AND refunded_change <> 0 AND {in_region("e")} GROUP BY 1, 2
), refunded AS (
    SELECT r.id, r.{account} AS account_id, sum(f.amount) AS amount
      FROM payments_refund f JOIN payments_paymentdetail d ON d.id = f.detail_id
      JOIN payments_paymentrequest r ON r.id = d.request_id WHERE {in_region("f")} GROUP BY 1, 2
)
SELECT 'payments_paymentrequest' AS "table", COALESCE(f.id, p.document_id)::text AS id,
       concat('退款合计 ', COALESCE(f.amount, 0), '，恢复额度 ', COALESCE(p.amount, 0), '（{entries}）') AS explanation,
       COALESCE(f.amount, 0) - COALESCE(p.amount, 0) AS delta
  FROM refunded f FULL JOIN posted p ON p.document_id = f.id AND p.account_id = f.account_id
 WHERE COALESCE(f.amount, 0) <> COALESCE(p.amount, 0)
"""


_STORED = """
SELECT f.id::text, f.notice_type, f.notice_no, r.voucher_no, d.seq::text, f.amount
  FROM payments_refund f JOIN payments_paymentdetail d ON d.id = f.detail_id
  JOIN payments_paymentrequest r ON r.id = d.request_id WHERE f.message_id = %(id)s
"""


def _as_signed(scope: Scope) -> Iterator[Finding]:
    for message in contents(scope, _TYPES, flag=0, states=("applied",), query=_STORED):
        kind, number = message.identity[2:]
        said = Counter(_lines(message.content)) if message.content else Counter()
        kept = Counter(row[3:] for row in message.rows)
        if said != kept or any(row[1:3] != (kind, number) for row in message.rows):
            delta = sum((row[5] for row in message.rows), ZERO) - sum((key[2] for key in said.elements()), ZERO)
            table, named = "vouchers_inboxmessage", message.id
            if message.rows:
                table, named = "payments_refund", message.rows[0][0]
            yield Finding(table, named, f"退款通知 {number} 的原文与登记的退款不同", delta)


def _lines(content: VoucherContent) -> Iterator[tuple[str, str, Decimal]]:
    """Voucher, detail and amount of each line; a 3208 says the voucher in its head, and need not name an only line."""
    tag, head = voucher_type(content.voucher_type).amount_detail, content.main.get("OriBillNo", "")
    for line in content.details:
        yield line.get("OriVoucherNo") or head, line.get("OriVouDetailNo") or "1", -wire_amount(line[tag])


def _signatures(scope: Scope) -> Iterator[Finding]:
    return signatures_hold(scope, _TYPES)


I13 = Invariant(
    "I13",
    "退款不超过已付，额度恢复一次",
    (
        SqlCheck("The refunds of a detail are no more than was paid, and are what the detail shows.", _WITHIN),
        SqlCheck(
            "Indicators got back exactly the refunds, on the row they were paid from.",
            _restored("budget_indicatorentry", "indicator_id"),
        ),
        SqlCheck("Quotas got back exactly the refunds.", _restored("budget_quotaentry", "quota_id")),
        CodeCheck("Each refund is a line of a bank's notice, and each line a refund.", _as_signed),
        CodeCheck("The bank's signature over each notice holds.", _signatures),
    ),
)
