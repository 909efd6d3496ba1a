"""I25: what is copied for convenience can be rebuilt from the facts, and is equal."""

from reconciliation.audit.findings import Invariant, SqlCheck, in_region

_REQUESTS = f"""
SELECT 'payments_paymentrequest' AS "table", r.id::text AS id,
       concat('支付申请 ', r.request_no, ' 的 ', c.name, ' 为 ', c.have, '，按事实应为 ', c.want) AS explanation,
       c.have - c.want AS delta
  FROM payments_paymentrequest r
  LEFT JOIN (SELECT d.request_id, sum(x.amount_paid) AS paid,
                    sum(d.amount) FILTER (WHERE x.amount_paid = 0) AS failed
               FROM payments_receiptline x JOIN payments_paymentdetail d ON d.id = x.detail_id GROUP BY 1) x
    ON x.request_id = r.id
  LEFT JOIN (SELECT d.request_id, sum(f.amount) AS refunded
               FROM payments_refund f JOIN payments_paymentdetail d ON d.id = f.detail_id GROUP BY 1) f
    ON f.request_id = r.id
 CROSS JOIN LATERAL (VALUES
       ('amount_paid', r.amount_paid, CASE WHEN r.imported THEN r.amount ELSE COALESCE(x.paid, 0) END),
       ('amount_failed', r.amount_failed, COALESCE(x.failed, 0)),
       ('amount_refunded', r.amount_refunded, COALESCE(f.refunded, 0))) c (name, have, want)
 WHERE c.have <> c.want AND {in_region("r")}
"""

_DETAILS = f"""
SELECT 'payments_paymentdetail' AS "table", d.id::text AS id,
       concat('支付明细 ', r.request_no, '/', d.seq, ' 状态 ', d.state, '，按回单应为 ', c.want) AS explanation,
       NULL::numeric AS delta
  FROM payments_paymentdetail d JOIN payments_paymentrequest r ON r.id = d.request_id
  LEFT JOIN payments_receiptline x ON x.detail_id = d.id
 CROSS JOIN LATERAL (SELECT CASE WHEN r.imported OR x.amount_paid > 0 THEN 'paid'
                                 WHEN x.id IS NOT NULL THEN 'failed' ELSE 'open' END AS want) c
 WHERE d.state <> c.want AND {in_region("d")}
"""

_COPIES = f"""
SELECT 'payments_paymentrequest' AS "table", r.id::text AS id,
       concat('支付申请 ', r.request_no, ' 记 ', r.voucher_type, ' ', r.voucher_no, ' ', r.amount, '，凭证为 ',
              v.voucher_type, ' ', v.voucher_no, ' ', v.amount) AS explanation,
       r.amount - v.amount AS delta
  FROM payments_paymentrequest r LEFT JOIN vouchers_voucher v ON v.id = r.voucher_id
 WHERE NOT r.imported AND {in_region("r")}
   AND (r.voucher_type, r.voucher_no, r.amount, r.id)
       IS DISTINCT FROM (COALESCE(v.voucher_type, ''), COALESCE(v.voucher_no, ''), COALESCE(v.amount, r.amount),
                         COALESCE(v.document_id, r.id))
"""

_TOTALS = f"""
SELECT 'payments_paymentrequest' AS "table", r.id::text AS id,
       concat('支付申请 ', r.request_no, ' 金额 ', r.amount, '，明细合计 ', COALESCE(d.amount, 0)) AS explanation,
       r.amount - COALESCE(d.amount, 0) AS delta
  FROM payments_paymentrequest r
  LEFT JOIN (SELECT request_id, sum(amount) AS amount FROM payments_paymentdetail GROUP BY 1) d ON d.request_id = r.id
 WHERE r.amount <> COALESCE(d.amount, 0) AND {in_region("r")}
"""

I25 = Invariant(
    "I25",
    "汇总列可由事实重建",
    (
        SqlCheck("A request's amounts paid, failed and refunded are the sums of receipt lines and refunds.", _REQUESTS),
        SqlCheck("A detail is paid, failed or open as its receipt line says.", _DETAILS),
        SqlCheck("The voucher type, number and amount noted on a request are its voucher's.", _COPIES),
        SqlCheck("A request is the sum of its details.", _TOTALS),
    ),
)
