"""I03 and I04: nothing is spent that was not granted, and nothing granted that nobody decided.

Both are asked of the entries, not of the balance columns: the columns are I02's business, and CHECK constraints hold
them already.
"""

from budget.methods import METHODS, PLANNED, Clearing, Control, controlled_by
from reconciliation.audit.findings import Invariant, SqlCheck, in_region

_PLANNED_CODES = {"planned": [row.code for row in METHODS.values() if row.control in PLANNED]}
_ENTRY_SUMS = """
SELECT indicator_id, sum(total_change) AS total, sum(frozen_change) AS frozen, sum(reserved_change) AS reserved,
       sum(paid_change) AS paid, sum(refunded_change) AS refunded, sum(planned_change) AS planned,
       sum(paid_change) FILTER (WHERE kind = 'opening') AS opening_paid
  FROM budget_indicatorentry GROUP BY 1
"""

_E1_E2 = f"""
SELECT 'budget_budgetindicator' AS "table", i.id::text AS id,
       concat('指标 ', i.indicator_no, ' ', c.what, '：', c.left_over) AS explanation, c.left_over AS delta
  FROM ({_ENTRY_SUMS}) e JOIN budget_budgetindicator i ON i.id = e.indicator_id
 CROSS JOIN LATERAL (VALUES
       ('可用余额为负（E1）', e.total - e.frozen - e.reserved - e.paid + e.refunded),
       ('可安排计划余额为负（E2）', e.total - e.frozen - e.planned),
       ('总额、冻结、在途、已付、退款或计划为负',
        LEAST(e.total, e.frozen, e.reserved, e.paid, e.refunded, e.planned)),
       ('退款多于已付', e.paid - e.refunded)) c (what, left_over)
 WHERE c.left_over < 0 AND {in_region("i")}
"""

_QUOTA_NOT_OVERDRAWN = f"""
SELECT 'budget_quota' AS "table", q.id::text AS id,
       concat('指标 ', i.indicator_no, ' 的额度透支：', e.left_over) AS explanation, e.left_over AS delta
  FROM (SELECT quota_id, sum(granted_change - reserved_change - spent_change + refunded_change) AS left_over
          FROM budget_quotaentry GROUP BY 1) e
  JOIN budget_quota q ON q.id = e.quota_id JOIN budget_budgetindicator i ON i.id = q.indicator_id
 WHERE e.left_over < 0 AND q.control = 'limit' AND {in_region("q")}
"""

# Only the integrated mode leaves an amount to the indicator alone, and a unit's own income limits in either mode.
_UNLIMITED = f"""
SELECT 'budget_quota' AS "table", q.id::text AS id,
       concat('指标 ', i.indicator_no, ' 在「计划+额度」模式下，或属单位资金，却没有额度控制') AS explanation,
       q.amount_spent AS delta
  FROM budget_quota q JOIN budget_budgetindicator i ON i.id = q.indicator_id
 WHERE q.control = 'none' AND {in_region("q")}
   AND (q.payment_mode <> ALL(%(planned)s)
        OR NOT EXISTS (SELECT 1 FROM budget_budgetyear y
                        WHERE y.adm_div_code = q.adm_div_code AND y.fiscal_year = q.fiscal_year
                          AND y.mode = 'integrated' AND NOT y.planned_funds ? i.fund_nature))
"""

_ADJUSTMENTS = f"""
WITH posted AS (
    SELECT document_id, indicator_id, sum(total_change) AS total, sum(frozen_change) AS frozen
      FROM budget_indicatorentry e
     WHERE kind <> 'opening' AND (total_change <> 0 OR frozen_change <> 0) AND {in_region("e")} GROUP BY 1, 2
), decided AS (
    SELECT id, indicator_id, doc_no,
           CASE kind WHEN 'add' THEN amount WHEN 'reduce' THEN -amount ELSE 0 END AS total,
           CASE kind WHEN 'freeze' THEN amount WHEN 'unfreeze' THEN -amount ELSE 0 END AS frozen
      FROM budget_indicatoradjustment a WHERE state = 'issued' AND {in_region("a")}
)
SELECT 'budget_indicatoradjustment' AS "table", COALESCE(d.id, p.document_id)::text AS id,
       concat('变动单 ', COALESCE(d.doc_no, '（不存在或未下达）'), ' 批准总额 ', COALESCE(d.total, 0), '、冻结 ',
              COALESCE(d.frozen, 0), '，记账总额 ', COALESCE(p.total, 0), '、冻结 ',
              COALESCE(p.frozen, 0)) AS explanation,
       COALESCE(d.total + d.frozen, 0) - COALESCE(p.total + p.frozen, 0) AS delta
  FROM decided d FULL JOIN posted p ON p.document_id = d.id AND p.indicator_id = d.indicator_id
 WHERE (COALESCE(d.total, 0), COALESCE(d.frozen, 0)) <> (COALESCE(p.total, 0), COALESCE(p.frozen, 0))
"""

I03 = Invariant(
    "I03",
    "指标与额度不透支，总额等于批准的变动",
    (
        SqlCheck(
            "From the entries alone: available (E1) and plannable (E2) of every indicator, and every column, are not "
            "negative, and no more came back than was paid.",
            _E1_E2,
        ),
        SqlCheck("From the entries alone: no quota that limits is overdrawn.", _QUOTA_NOT_OVERDRAWN),
        SqlCheck("Quota rows that do not limit stand only where the year is run without.", _UNLIMITED, _PLANNED_CODES),
        SqlCheck(
            "After the opening, total and frozen change only by issued adjustments, each once and by its amount.",
            _ADJUSTMENTS,
        ),
    ),
)

_LEVELS = f"""
SELECT 'budget_budgetindicator' AS "table", i.id::text AS id,
       concat('指标 ', i.indicator_no, ' ', c.what, '：上级 ', c.upper_level, '，下级 ', c.lower_level) AS explanation,
       c.upper_level - c.lower_level AS delta
  FROM ({_ENTRY_SUMS}) e JOIN budget_budgetindicator i ON i.id = e.indicator_id
  LEFT JOIN (SELECT q.indicator_id, sum(x.granted_change) AS granted
               FROM budget_quotaentry x JOIN budget_quota q ON q.id = x.quota_id GROUP BY 1) g
    ON g.indicator_id = i.id
 CROSS JOIN LATERAL (VALUES
       ('已安排计划超过指标', e.total - e.frozen, e.planned),
       ('额度（含期初已付）超过已安排计划', e.planned, COALESCE(g.granted, 0) + COALESCE(e.opening_paid, 0))
       ) c (what, upper_level, lower_level)
 WHERE c.lower_level > c.upper_level AND {in_region("i")} AND i.payment_mode = ANY(%(planned)s)
   AND NOT EXISTS (SELECT 1 FROM budget_quota q WHERE q.indicator_id = i.id AND q.control = 'none')
"""

_PLANNED = f"""
WITH posted AS (
    SELECT document_id, indicator_id, sum(planned_change) AS amount FROM budget_indicatorentry e
     WHERE kind <> 'opening' AND planned_change <> 0 AND {in_region("e")} GROUP BY 1, 2
), planned AS (
    SELECT id, indicator_id, plan_no, amount FROM budget_spendingplan p
     WHERE state IN ('in_review', 'approved', 'notified', 'arrived') AND {in_region("p")}
)
SELECT 'budget_spendingplan' AS "table", COALESCE(p.id, x.document_id)::text AS id,
       concat('计划 ', p.plan_no, ' 占用指标 ', COALESCE(p.amount, 0), '，记账 ', COALESCE(x.amount, 0)) AS explanation,
       COALESCE(p.amount, 0) - COALESCE(x.amount, 0) AS delta
  FROM planned p FULL JOIN posted x ON x.document_id = p.id AND x.indicator_id = p.indicator_id
 WHERE COALESCE(p.amount, 0) <> COALESCE(x.amount, 0)
"""

_AT_ONCE = {"at_once": controlled_by(Control.PLAN)}
_BY_PAYMENT = {"by_payment": [row.code for row in METHODS.values() if row.clearing is Clearing.BY_PAYMENT]}
_GRANTED = f"""
WITH posted AS (
    SELECT x.document_id, q.indicator_id, sum(granted_change) AS amount
      FROM budget_quotaentry x JOIN budget_quota q ON q.id = x.quota_id
     WHERE kind <> 'opening' AND granted_change <> 0 AND {in_region("x")} GROUP BY 1, 2
), plans AS (
    SELECT i.id, i.indicator_id, i.income_no AS plan_no, i.amount FROM budget_unitincome i
      JOIN budget_unitincomedecision d ON d.income_id = i.id AND d.confirmed WHERE {in_region("i")}
    UNION ALL
    SELECT id, indicator_id, plan_no, amount FROM budget_spendingplan p
     WHERE (state = 'arrived' OR state = 'approved'
            AND (payment_mode = ANY(%(at_once)s) OR EXISTS (SELECT 1 FROM budget_budgetyear y
                 WHERE y.adm_div_code = p.adm_div_code AND y.fiscal_year = p.fiscal_year AND y.mode = 'integrated')))
       AND {in_region("p")}
)
SELECT 'budget_spendingplan' AS "table", COALESCE(p.id, x.document_id)::text AS id,
       concat('计划或收入 ', p.plan_no, ' 应有额度 ', COALESCE(p.amount, 0), '，额度账 ',
              COALESCE(x.amount, 0)) AS explanation,
       COALESCE(p.amount, 0) - COALESCE(x.amount, 0) AS delta
  FROM plans p FULL JOIN posted x ON x.document_id = p.id AND x.indicator_id = p.indicator_id
 WHERE COALESCE(p.amount, 0) <> COALESCE(x.amount, 0)
"""

_NOTICES = f"""
SELECT 'budget_quotanotice' AS "table", n.id::text AS id,
       concat('额度通知单 ', n.amount, '，其计划合计 ', COALESCE(p.amount, 0)) AS explanation,
       n.amount - COALESCE(p.amount, 0) AS delta
  FROM budget_quotanotice n
  LEFT JOIN (SELECT notice_id, sum(amount) AS amount FROM budget_spendingplan GROUP BY 1) p ON p.notice_id = n.id
 WHERE n.amount <> COALESCE(p.amount, 0) AND {in_region("n")}
"""

# A 5106 raises the limit by its notice, each 5108 by its own amount (negative ones too); both once, when sealed.
_ISSUED = f"""
WITH posted AS (
    SELECT document_id, sum(issued_change) AS amount FROM budget_clearinglimitentry e
     WHERE kind <> 'opening' AND issued_change <> 0 AND {in_region("e")} GROUP BY 1
), notices AS (
    SELECT n.id, n.amount, v.voucher_no FROM budget_quotanotice n
      JOIN vouchers_voucher v ON v.id = n.limit_voucher_id AND v.signature <> '' WHERE {in_region("n")}
    UNION ALL
    SELECT l.voucher_id, l.amount, v.voucher_no FROM payments_limitnotice l
      JOIN vouchers_voucher v ON v.id = l.voucher_id WHERE {in_region("l")}
)
SELECT 'budget_clearinglimitentry' AS "table", COALESCE(n.id, x.document_id)::text AS id,
       concat('清算额度通知 ', n.voucher_no, ' 金额 ', COALESCE(n.amount, 0), '，额度账 ',
              COALESCE(x.amount, 0)) AS explanation,
       COALESCE(n.amount, 0) - COALESCE(x.amount, 0) AS delta
  FROM notices n FULL JOIN posted x ON x.document_id = n.id WHERE COALESCE(n.amount, 0) <> COALESCE(x.amount, 0)
"""

_PERMISSION = f"""
SELECT 'payments_paymentrequest' AS "table", r.id::text AS id,
       concat('直接支付 ', r.voucher_no, ' 的 5108 合计 ', COALESCE(l.amount, 0), '，应为 ', c.want) AS explanation,
       COALESCE(l.amount, 0) - c.want AS delta
  FROM payments_paymentrequest r
  LEFT JOIN (SELECT request_id, sum(amount) AS amount FROM payments_limitnotice GROUP BY 1) l ON l.request_id = r.id
  LEFT JOIN payments_paymentreceipt x ON x.request_id = r.id
 CROSS JOIN LATERAL (SELECT CASE WHEN x.id IS NOT NULL THEN x.amount_paid
                                 WHEN r.state IN ('sealed', 'on_paper', 'accepted', 'bank_refused') THEN r.amount
                                 ELSE 0 END AS want) c
 WHERE r.payment_mode = ANY(%(by_payment)s) AND NOT r.imported AND COALESCE(l.amount, 0) <> c.want AND {in_region("r")}
"""

I04 = Invariant(
    "I04",
    "下级额度不超过上级：指标→计划→额度→清算额度",
    (
        SqlCheck("Quota granted, with what was paid before, ≤ planned ≤ total − frozen.", _LEVELS, _PLANNED_CODES),
        SqlCheck("What is planned of an indicator is the plans under way or approved, each by its amount.", _PLANNED),
        SqlCheck(
            "Quota is granted by plans (arrived where a notice went to the bank, else approved) and confirmed incomes.",
            _GRANTED,
            _AT_ONCE,
        ),
        SqlCheck("A quota notice is the sum of its plans.", _NOTICES),
        SqlCheck("Clearing limits grow by sealed 5106 and 5108, each once and by its amount.", _ISSUED),
        SqlCheck(
            "PBoC may clear of a direct payment what is still to be paid or was paid, no more.",
            _PERMISSION,
            _BY_PAYMENT,
        ),
    ),
)
