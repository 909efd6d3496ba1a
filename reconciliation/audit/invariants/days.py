"""I12 and I22: a closed day ended with its accounts at nothing, said what the banks said, and has not changed since."""

from collections.abc import Iterator

from budget.methods import METHODS, Receiver
from core.models import BusinessDay
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from reconciliation.digest import day_digest
from reconciliation.sql import CURRENT

_CLOSED = f"SELECT adm_div_code, date FROM core_businessday b WHERE closed_at IS NOT NULL AND {in_region('b')}"

# Payments leave the account, their clearing refills it; a refund enters it, its clearing takes it away. What was taken
# over from before this system is cleared by definition; only refunds of it count.
_ZERO = f"""
WITH moves AS (
    SELECT account_id, on_date, sum(amount) AS amount FROM (
        SELECT r.payer_account_id AS account_id, l.paid_on AS on_date, -l.amount_paid AS amount
          FROM payments_receiptline l JOIN payments_paymentdetail d ON d.id = l.detail_id
          JOIN payments_paymentrequest r ON r.id = d.request_id WHERE NOT r.imported
        UNION ALL
        SELECT r.payer_account_id, f.refunded_on, f.amount
          FROM payments_refund f JOIN payments_paymentdetail d ON d.id = f.detail_id
          JOIN payments_paymentrequest r ON r.id = d.request_id
        UNION ALL
        SELECT r.payer_account_id, c.cleared_on, CASE WHEN k.refund_id IS NULL THEN k.amount ELSE -k.amount END
          FROM payments_clearing c JOIN payments_clearingline k ON k.clearing_id = c.id
          JOIN payments_paymentdetail d ON d.id = k.detail_id JOIN payments_paymentrequest r ON r.id = d.request_id
         WHERE k.refund_id IS NOT NULL OR NOT r.imported) x GROUP BY 1, 2
)
SELECT 'parties_bankaccount' AS "table", a.id::text AS id,
       concat('零余额账户 ', a.name, ' ', a.account_no, ' 在已日结的 ', c.date, ' 日终余额 ',
              sum(m.amount)) AS explanation,
       sum(m.amount) AS delta
  FROM ({_CLOSED}) c
  JOIN parties_bankaccount a ON a.adm_div_code = c.adm_div_code
   AND a.kind IN ('finance_zero_balance', 'unit_zero_balance')
  JOIN moves m ON m.account_id = a.id AND m.on_date <= c.date
 GROUP BY a.id, a.name, a.account_no, c.date HAVING sum(m.amount) <> 0
"""

# A bank may report a movement a day later than it dates it (a time difference, accepted by a person): what belongs to
# a closed day must be on the other side at some date, and by the same amount.
_SAID = f"""
WITH closed AS MATERIALIZED ({_CLOSED}), ours AS (
    SELECT r.adm_div_code,
           CASE WHEN r.payment_mode = ANY(%(cleared)s) THEN 'bank_payment' ELSE 'bank_funds' END AS pair,
           b.bank_no, r.voucher_type, r.voucher_no, d.seq::text AS detail_id,
           l.amount_paid AS amount, l.paid_on AS on_date
      FROM payments_receiptline l JOIN payments_paymentdetail d ON d.id = l.detail_id
      JOIN payments_paymentrequest r ON r.id = d.request_id JOIN parties_bankaccount a ON a.id = r.payer_account_id
      JOIN parties_agentbank b ON b.id = a.agent_bank_id WHERE l.amount_paid > 0 AND {in_region("r")}
    UNION ALL
    SELECT r.adm_div_code, 'bank_refund', b.bank_no, r.voucher_type, r.voucher_no, d.seq::text, f.amount, f.refunded_on
      FROM payments_refund f JOIN payments_paymentdetail d ON d.id = f.detail_id
      JOIN payments_paymentrequest r ON r.id = d.request_id JOIN parties_bankaccount a ON a.id = r.payer_account_id
      JOIN parties_agentbank b ON b.id = a.agent_bank_id WHERE {in_region("r")}
    UNION ALL
    SELECT r.adm_div_code, 'pboc_payment', '', x.kind, r.voucher_no, d.seq::text, x.amount, x.on_date
      FROM (SELECT detail_id, '5207' AS kind, amount_paid AS amount, paid_on AS on_date
              FROM payments_receiptline WHERE amount_paid > 0
            UNION ALL SELECT detail_id, '3208', amount, refunded_on FROM payments_refund) x
      JOIN payments_paymentdetail d ON d.id = x.detail_id JOIN payments_paymentrequest r ON r.id = d.request_id
     WHERE r.payment_mode = ANY(%(by_pboc)s) AND {in_region("r")}
), theirs AS (
    SELECT l.adm_div_code, l.pair, l.bank_no, l.voucher_type, l.voucher_no, l.detail_id, l.amount, l.date AS on_date
      FROM reconciliation_statementline l JOIN reconciliation_statement s ON s.id = l.statement_id
     WHERE l.pair IN ('bank_payment', 'bank_funds', 'bank_refund', 'pboc_payment')
       AND {in_region("l")} AND {CURRENT}
), sides AS (
    SELECT m.adm_div_code, m.pair, m.bank_no, m.voucher_type, m.voucher_no, m.detail_id,
           COALESCE(sum(amount) FILTER (WHERE side = 1), 0) AS ours,
           COALESCE(sum(amount) FILTER (WHERE side = 1 AND c.date IS NOT NULL), 0) AS ours_closed,
           COALESCE(sum(amount) FILTER (WHERE side = 2), 0) AS theirs,
           COALESCE(sum(amount) FILTER (WHERE side = 2 AND c.date IS NOT NULL), 0) AS theirs_closed
      FROM (SELECT *, 1 AS side FROM ours UNION ALL SELECT *, 2 FROM theirs) m
      LEFT JOIN closed c ON c.adm_div_code = m.adm_div_code AND c.date = m.on_date
     GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT 'reconciliation_statementline' AS "table", concat_ws('/', bank_no, voucher_type, voucher_no, detail_id) AS id,
       concat('已日结：', CASE pair WHEN 'bank_refund' THEN '退款 ' ELSE '支付 ' END, voucher_no, '/',
              detail_id, ' 我方 ',
              ours, '，对账单 ', theirs) AS explanation,
       theirs - ours AS delta
  FROM sides WHERE ours_closed > theirs OR theirs_closed > ours
"""

_SIDES = {
    "cleared": [row.code for row in METHODS.values() if row.is_cleared],
    "by_pboc": [row.code for row in METHODS.values() if row.receiver is Receiver.PBOC],
}
_SUMS = f"""
SELECT 'reconciliation_statement' AS "table", s.id::text AS id,
       concat('对账报文 ', s.voucher_type, ' ', s.sheet_no, ' 主单 ', s.line_count, ' 笔 ', s.amount,
              '，明细 ', count(l.id),
              ' 笔 ', COALESCE(sum(l.amount), 0)) AS explanation,
       (s.line_count - count(l.id))::numeric AS delta
  FROM reconciliation_statement s LEFT JOIN reconciliation_statementline l ON l.statement_id = s.id
 WHERE {in_region("s")} GROUP BY s.id
HAVING s.line_count <> count(l.id)
    OR s.voucher_type IN ('2205', '2206')
       AND s.amount <> COALESCE(sum(CASE l.pair WHEN 'bank_refund' THEN -l.amount ELSE l.amount END), 0)
"""

I12 = Invariant(
    "I12",
    "日结日零余额账户归零，对账单与回单逐笔相符",
    (
        SqlCheck("At the end of every closed day every zero-balance account stands at 0.00.", _ZERO),
        SqlCheck(
            "Payments and refunds of closed days are in the reports of banks and PBoC, one for one, and the reverse.",
            _SAID,
            _SIDES,
        ),
        SqlCheck("A report has as many lines as it says, and a bank's report is their sum.", _SUMS),
    ),
)


def _unchanged(scope: Scope) -> Iterator[Finding]:
    days = BusinessDay.objects.filter(closed_at__isnull=False)
    if scope.region is not None:
        days = days.filter(adm_div_code=scope.region)
    for day in days.order_by("adm_div_code", "date"):
        if day.digest != day_digest(day.adm_div_code, day.date):
            yield Finding("core_businessday", str(day.id), f"{day.date} 日结后，当日明细账有变动（摘要不符）")


I22 = Invariant(
    "I22",
    "已日结的账不再变动",
    (CodeCheck("The digest over a closed day's entries, computed anew, is the one stored at closing.", _unchanged),),
)
