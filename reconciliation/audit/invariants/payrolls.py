"""I29: a roster is the sum of its rows, and what it pays is its rows, line by line, to the fen and to the card."""

from payroll.models import Withholding
from reconciliation.audit.findings import Invariant, SqlCheck, in_region

_WITHHELD = " + ".join(Withholding.values)


def _sums(table: str, rows: str, owner: str, total: str, row_total: str) -> str:
    return f"""
SELECT '{table}' AS "table", b.id::text AS id,
       concat('批次 ', b.roster_no, ' 记 ', b.head_count, ' 人、', b.{total}, '，明细为 ', count(r.id), ' 人、',
              COALESCE(sum(r.{row_total}), 0)) AS explanation,
       b.{total} - COALESCE(sum(r.{row_total}), 0) AS delta
  FROM {table} b LEFT JOIN {rows} r ON r.{owner} = b.id
 WHERE {in_region("b")}
 GROUP BY b.id
HAVING b.head_count <> count(r.id) OR b.{total} <> COALESCE(sum(r.{row_total}), 0)
"""


_ROW_ADDS_UP = f"""
SELECT 'payroll_salaryrow' AS "table", r.id::text AS id,
       concat('第 ', r.row_no, ' 行应发 ', r.gross, '，各项之和 ', i.total, '，代扣加实发 ',
              r.net + {_WITHHELD}) AS explanation,
       r.gross - i.total AS delta
  FROM payroll_salaryrow r
 CROSS JOIN LATERAL (SELECT COALESCE(sum(e.value::numeric), 0) AS total FROM jsonb_each_text(r.items) e) i
 WHERE {in_region("r")} AND (r.gross <> i.total OR r.gross <> r.net + {_WITHHELD})
"""


def _paid_by_its_rows(table: str, rows: str, owner: str, total: str, amount: str, link: str) -> str:
    return f"""
WITH asked AS (
    SELECT p.{link}_id AS id, sum(q.amount) AS total FROM payroll_rosterpayment p
      JOIN payments_paymentrequest q ON q.id = p.request_id WHERE p.{link}_id IS NOT NULL GROUP BY 1
), wrong AS (
    SELECT r.{owner} AS id, count(*) AS rows FROM {rows} r JOIN {table} b ON b.id = r.{owner}
      LEFT JOIN payments_paymentdetail d ON d.id = r.detail_id
      LEFT JOIN payroll_rosterpayment p ON p.request_id = d.request_id AND p.{link}_id = r.{owner}
     WHERE {in_region("b")} AND r.{amount} > 0 AND EXISTS (SELECT 1 FROM asked a WHERE a.id = b.id)
       AND (p.id IS NULL OR d.amount <> r.{amount} OR d.payee_account_no <> r.card_no OR d.payee_name <> r.name)
     GROUP BY 1
)
SELECT '{table}' AS "table", b.id::text AS id,
       concat('批次 ', b.roster_no, ' 合计 ', b.{total}, '，支付申请合计 ', COALESCE(a.total, 0), '，不符的行 ',
              COALESCE(w.rows, 0)) AS explanation,
       b.{total} - COALESCE(a.total, 0) AS delta
  FROM {table} b LEFT JOIN asked a ON a.id = b.id LEFT JOIN wrong w ON w.id = b.id
 WHERE {in_region("b")}
   AND (w.rows > 0 OR a.total <> b.{total} OR b.state = 'generated' AND a.total IS NULL
        OR b.state NOT IN ('generated', 'voided') AND a.total IS NOT NULL)
"""


I29 = Invariant(
    "I29",
    "工资、补贴批次 = 明细 = 支付行",
    (
        SqlCheck(
            "A salary batch is the sum of its rows.",
            _sums("payroll_salarybatch", "payroll_salaryrow", "batch_id", "gross", "gross"),
        ),
        SqlCheck(
            "A benefit list is the sum of its rows.",
            _sums("payroll_benefitlist", "payroll_benefitrow", "list_id", "amount", "amount"),
        ),
        SqlCheck("Each row of pay: Σ items = gross = net + withholdings.", _ROW_ADDS_UP),
        SqlCheck(
            "A salary batch with payments pays its rows and withholdings, each row to its own card.",
            _paid_by_its_rows("payroll_salarybatch", "payroll_salaryrow", "batch_id", "gross", "net", "salary_batch"),
        ),
        SqlCheck(
            "A benefit list with payments pays its rows, each to its own card.",
            _paid_by_its_rows(
                "payroll_benefitlist", "payroll_benefitrow", "list_id", "amount", "amount", "benefit_list"
            ),
        ),
    ),
)
