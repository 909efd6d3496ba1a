"""I13: money that came back never exceeds what was paid, restores its quota once, and is in a bank's notice."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from django.db import connection

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
    SELECT COALESCE(d.request_id, e.document_id) AS document_id, sum(e.refunded_change) AS amount,
           bool_and(CASE WHEN c.id IS NULL THEN e.{account} = r.{account}
                         ELSE e.{account} IN (c.from_{account}, c.to_{account}) END) AS own
      FROM {entries} e LEFT JOIN payments_paymentrequest r ON r.id = e.document_id
      LEFT JOIN payments_correction c ON c.id = e.document_id LEFT JOIN payments_paymentdetail d ON d.id = c.detail_id
     WHERE e.kind <> 'opening' AND e.refunded_change <> 0 AND {in_region("e")} GROUP BY 1
), refunded AS (
    SELECT r.id, sum(f.amount) AS amount
      FROM payments_refund f JOIN payments_paymentdetail d ON d.id = f.detail_id
      JOIN payments_paymentrequest r ON r.id = d.request_id
     WHERE NOT EXISTS (SELECT 1 FROM payments_prioryearrefund y WHERE y.refund_id = f.id) AND {in_region("f")}
     GROUP BY 1
)
SELECT 'payments_paymentrequest' AS "table", COALESCE(f.id, p.document_id)::text AS id,
       concat('退款合计 ', COALESCE(f.amount, 0), '，恢复额度 ', COALESCE(p.amount, 0),
              CASE WHEN p.own IS FALSE THEN '，且不在原账或其更正的账上' ELSE '' END, '（{entries}）') AS explanation,
       COALESCE(f.amount, 0) - COALESCE(p.amount, 0) AS delta
  FROM refunded f FULL JOIN posted p ON p.document_id = f.id
 WHERE COALESCE(f.amount, 0) <> COALESCE(p.amount, 0) OR p.own IS NOT DISTINCT FROM false
"""


_STORED = """
SELECT f.id::text, f.notice_type, f.notice_no, r.voucher_no, d.seq::text, f.amount
  FROM payments_refund f JOIN payments_paymentdetail d ON d.id = f.detail_id
  JOIN payments_paymentrequest r ON r.id = d.request_id
 WHERE f.message_id = %(id)s AND NOT EXISTS (SELECT 1 FROM payments_refundcase c WHERE c.refund_id = f.id)
"""
_KEPT_AS_CASES = "SELECT amount FROM payments_refundcase WHERE message_id = %s"

# A case is a refund of the detail two persons named, and of what the notice said; one of an earlier year is listed.
_CASES = f"""
SELECT 'payments_refundcase' AS "table", c.id::text AS id,
       concat('待查退款 ', c.notice_no, '/', c.position, ' 的金额、明细或认定人与登记的退款不符') AS explanation,
       c.amount - COALESCE(f.amount, 0) AS delta
  FROM payments_refundcase c LEFT JOIN payments_refund f ON f.id = c.refund_id
 WHERE {in_region("c")}
   AND (c.state = 'identified') IS DISTINCT FROM
       (f.id IS NOT NULL AND (f.amount, f.detail_id, f.message_id) = (c.amount, c.detail_id, c.message_id)
        AND c.proposed_by_id IS DISTINCT FROM c.confirmed_by_id AND c.confirmed_by_id IS NOT NULL)
UNION ALL
SELECT 'payments_refund', f.id::text, concat('退款 ', f.notice_no, ' 属以前年度，与以前年度退款登记不符'),
       f.amount - COALESCE(y.amount, 0)
  FROM payments_refund f LEFT JOIN payments_prioryearrefund y ON y.refund_id = f.id
 WHERE {in_region("f")}
   AND (CASE WHEN extract(year FROM f.business_date) > f.fiscal_year THEN f.amount END) IS DISTINCT FROM y.amount
"""


def _as_signed(scope: Scope) -> Iterator[Finding]:
    for message in contents(scope, _TYPES, flag=0, states=("applied",), query=_STORED):
        kind, number = message.identity[2:]
        said = Counter(_lines(message.content)) if message.content else Counter()
        kept = Counter(row[3:] for row in message.rows)
        unplaced = Counter(amount for _, _, amount in (said - kept).elements())
        if kept - said or unplaced != _cases_of(message.id) or any(row[1:3] != (kind, number) for row in message.rows):
            delta = sum((row[5] for row in message.rows), ZERO) - sum((key[2] for key in said.elements()), ZERO)
            table, named = "vouchers_inboxmessage", message.id
            if message.rows:
                table, named = "payments_refund", message.rows[0][0]
            yield Finding(table, named, f"退款通知 {number} 的原文与登记的退款不同", delta)


def _lines(content: VoucherContent) -> Iterator[tuple[str, str, Decimal]]:
    """Voucher, detail and amount of each line; a 3208 says the voucher in its head, and need not name an only line."""
    kind = voucher_type(content.voucher_type)
    head = content.main.get("OriBillNo", "") if kind.code == "3208" else ""
    for line in content.details:
        yield (
            line.get("OriVoucherNo") or head,
            line.get("OriVouDetailNo") or "1",
            -wire_amount(line[kind.amount_detail]),
        )


def _cases_of(message_id: str) -> Counter[Decimal]:
    """The amounts of a notice's lines that nobody could place when it came."""
    with connection.cursor() as cursor:
        cursor.execute(_KEPT_AS_CASES, [message_id])
        return Counter(row[0] for row in cursor.fetchall())


def _signatures(scope: Scope) -> Iterator[Finding]:
    return signatures_hold(scope, _TYPES)


I13 = Invariant(
    "I13",
    "退款不超过已付，额度恢复一次",
    (
        SqlCheck("The refunds of a detail are no more than was paid, and are what the detail shows.", _WITHIN),
        SqlCheck(
            "Indicators got back exactly the refunds, where they are carried; of earlier years none.",
            _restored("budget_indicatorentry", "indicator_id"),
        ),
        SqlCheck("Quotas got back exactly the refunds.", _restored("budget_quotaentry", "quota_id")),
        SqlCheck("What two persons placed, and what is of an earlier year, is registered as such.", _CASES),
        CodeCheck("Each refund or case is a line of a bank's notice, and each line a refund.", _as_signed),
        CodeCheck("The bank's signature over each notice holds.", _signatures),
    ),
)
