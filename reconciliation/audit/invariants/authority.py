"""I03 and I04: nothing is spent that was not granted, and nothing granted that nobody decided.

Both are asked of the entries, not of the balance columns: the columns are I02's business, and CHECK constraints hold
them already.
"""

from budget.methods import METHODS, PLANNED, Clearing, Control, controlled_by
from budget.terms import INHERITED
from reconciliation.audit.findings import Invariant, SqlCheck, in_region

_PLANNED_CODES = {"planned": [row.code for row in METHODS.values() if row.control in PLANNED]}
_ENTRY_SUMS = """
SELECT indicator_id, sum(total_change) AS total, sum(frozen_change) AS frozen, sum(reserved_change) AS reserved,
       sum(paid_change) AS paid, sum(refunded_change) AS refunded, sum(planned_change) AS planned,
       sum(paid_change) FILTER (WHERE kind = 'opening') AS opening_paid
  FROM budget_indicatorentry GROUP BY 1
"""


def _terms(alias: str) -> str:
    names = ("fund_nature", "function_code", "gov_economic_code", "unit_id", "layer", "tags", *INHERITED[1:])
    return ", ".join(f"{alias}.{name}" for name in names)


def _inherited(alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in INHERITED)


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

# What an issued document does to an indicator: its own lines, and the lines of the indicators below it.
_DOCUMENTED = """
SELECT document_id, indicator_id, sum(total) AS total, sum(frozen) AS frozen, sum(planned) AS planned FROM (
    SELECT l.document_id, l.indicator_id, l.amount AS total, 0 AS frozen, 0 AS planned
      FROM budget_indicatorline l JOIN budget_indicatordocument d ON d.id = l.document_id
     WHERE d.state = 'issued' AND d.kind NOT IN ('freeze', 'unfreeze')
    UNION ALL
    SELECT l.document_id, l.indicator_id, 0, l.amount, 0
      FROM budget_indicatorline l JOIN budget_indicatordocument d ON d.id = l.document_id
     WHERE d.state = 'issued' AND d.kind IN ('freeze', 'unfreeze')
    UNION ALL
    SELECT l.document_id, l.parent_id, CASE WHEN d.kind IN ('split', 'take_back') THEN 0 ELSE l.amount END, 0, l.amount
      FROM budget_indicatorline l JOIN budget_indicatordocument d ON d.id = l.document_id
     WHERE d.state = 'issued' AND d.kind NOT IN ('freeze', 'unfreeze') AND l.parent_id IS NOT NULL) x
 GROUP BY 1, 2
"""
# Total and frozen move by documents and by the year's end (I23), by nothing else.
_DOCUMENTS = f"""
WITH posted AS (
    SELECT document_id, indicator_id, sum(total_change) AS total, sum(frozen_change) AS frozen,
           sum(planned_change) AS planned
      FROM budget_indicatorentry e
     WHERE kind <> 'opening' AND (document_type = 'budget.IndicatorDocument'
            OR (total_change <> 0 OR frozen_change <> 0) AND document_type <> 'budget.CarryOver')
       AND {in_region("e")} GROUP BY 1, 2
), decided AS (
    SELECT d.id, x.indicator_id, d.doc_no, x.total, x.frozen, x.planned
      FROM ({_DOCUMENTED}) x JOIN budget_indicatordocument d ON d.id = x.document_id
     WHERE (x.total, x.frozen, x.planned) <> (0, 0, 0) AND {in_region("d")}
)
SELECT 'budget_indicatordocument' AS "table", COALESCE(d.id, p.document_id)::text AS id,
       concat('指标文 ', COALESCE(d.doc_no, '（不存在或未下达）'), ' 批准总额 ', COALESCE(d.total, 0), '、冻结 ',
              COALESCE(d.frozen, 0), '、分配 ', COALESCE(d.planned, 0), '，记账总额 ', COALESCE(p.total, 0), '、冻结 ',
              COALESCE(p.frozen, 0), '、分配 ', COALESCE(p.planned, 0)) AS explanation,
       COALESCE(d.total + d.frozen, 0) - COALESCE(p.total + p.frozen, 0) AS delta
  FROM decided d FULL JOIN posted p ON p.document_id = d.id AND p.indicator_id = d.indicator_id
 WHERE (COALESCE(d.total, 0), COALESCE(d.frozen, 0), COALESCE(d.planned, 0))
       <> (COALESCE(p.total, 0), COALESCE(p.frozen, 0), COALESCE(p.planned, 0))
"""

# A transfer gives out what it takes in, of one fund nature; a document is the sum of its lines.
_WHOLE = f"""
SELECT 'budget_indicatordocument' AS "table", d.id::text AS id,
       concat('指标文 ', d.doc_no, ' 记 ', d.amount, '，调入 ', l.given, '，调出 ', l.taken) AS explanation,
       d.amount - CASE d.kind WHEN 'transfer' THEN l.given ELSE l.given + l.taken END AS delta
  FROM budget_indicatordocument d
 CROSS JOIN LATERAL (SELECT COALESCE(sum(amount) FILTER (WHERE amount > 0), 0) AS given,
                            COALESCE(-sum(amount) FILTER (WHERE amount < 0), 0) AS taken,
                            count(DISTINCT fund_nature) AS funds
                       FROM budget_indicatorline x WHERE x.document_id = d.id) l
 WHERE {in_region("d")}
   AND CASE d.kind WHEN 'transfer' THEN l.given <> l.taken OR d.amount <> l.given OR l.funds <> 1
                   ELSE d.amount <> l.given + l.taken END
"""

# What an indicator says of itself is what the document that made it said, and what came from above stays so below.
_TERMS = f"""
SELECT 'budget_budgetindicator' AS "table", i.id::text AS id,
       concat('指标 ', i.indicator_no, ' 的要素或标识与', c.what, '不一致') AS explanation, NULL::numeric AS delta
  FROM budget_budgetindicator i
 CROSS JOIN LATERAL (
    SELECT concat('指标文 ', d.doc_no) AS what FROM budget_indicatorline l
      JOIN budget_indicatordocument d ON d.id = l.document_id AND d.state = 'issued'
     WHERE l.indicator_id = i.id AND ({_terms("l")}) IS DISTINCT FROM ({_terms("i")})
    UNION ALL
    SELECT concat('待分配指标 ', p.indicator_no) FROM budget_budgetindicator p
     WHERE p.id = i.parent_id AND ({_inherited("p")}) IS DISTINCT FROM ({_inherited("i")})) c
 WHERE {in_region("i")}
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
            "After the opening, total, frozen and what is given on change only by issued documents and the year's end, "
            "each once and by its lines.",
            _DOCUMENTS,
        ),
        SqlCheck("A document is the sum of its lines; a transfer gives what it takes, of one fund nature.", _WHOLE),
        SqlCheck("Codes and tags are those of the documents, and of the indicator above.", _TERMS),
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

_CHILDREN = f"""
SELECT 'budget_budgetindicator' AS "table", i.id::text AS id,
       concat('待分配指标 ', i.indicator_no, ' 已分配 ', e.planned, '，下级指标合计 ',
              COALESCE(c.total, 0)) AS explanation,
       e.planned - COALESCE(c.total, 0) AS delta
  FROM budget_budgetindicator i JOIN ({_ENTRY_SUMS}) e ON e.indicator_id = i.id
  LEFT JOIN (SELECT x.parent_id, sum(n.total_change) AS total
               FROM budget_indicatorentry n JOIN budget_budgetindicator x ON x.id = n.indicator_id
              WHERE x.parent_id IS NOT NULL GROUP BY 1) c ON c.parent_id = i.id
 WHERE (i.layer = 'department' AND e.planned <> COALESCE(c.total, 0)
        OR i.layer = 'department' AND (e.reserved, e.paid, e.refunded) <> (0, 0, 0)
        OR i.layer <> 'department' AND c.total IS NOT NULL) AND {in_region("i")}
"""

# Documents that move plan or quota besides plans; what they do is asked by I03 and I23.
_GIVEN_UP = "'budget.CarryOver', 'budget.QuotaCancellation'"
_NOT_PLANS = f"'budget.IndicatorDocument', {_GIVEN_UP}"

_PLANNED = f"""
WITH posted AS (
    SELECT document_id, indicator_id, sum(planned_change) AS amount FROM budget_indicatorentry e
     WHERE kind <> 'opening' AND planned_change <> 0 AND document_type NOT IN ({_NOT_PLANS}) AND {in_region("e")}
     GROUP BY 1, 2
), planned AS (
    SELECT id, indicator_id, plan_no, amount FROM budget_spendingplan p
     WHERE kind <> 'reduce' AND state IN ('in_review', 'approved', 'notified', 'arrived') AND {in_region("p")}
    UNION ALL
    SELECT id, indicator_id, plan_no, -amount FROM budget_spendingplan p
     WHERE kind = 'reduce' AND {in_region("p")}
       AND (state = 'arrived' OR state = 'approved' AND payment_mode = ANY(%(at_once)s))
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
     WHERE kind <> 'opening' AND granted_change <> 0 AND document_type NOT IN ({_GIVEN_UP}) AND {in_region("x")}
     GROUP BY 1, 2
), plans AS (
    SELECT i.id, i.indicator_id, i.income_no AS plan_no, i.amount FROM budget_unitincome i
      JOIN budget_unitincomedecision d ON d.income_id = i.id AND d.confirmed WHERE {in_region("i")}
    UNION ALL
    SELECT id, indicator_id, plan_no, amount FROM budget_spendingplan p
     WHERE kind <> 'reduce'
       AND (state = 'arrived' OR state = 'approved'
            AND (payment_mode = ANY(%(at_once)s) OR EXISTS (SELECT 1 FROM budget_budgetyear y
                 WHERE y.adm_div_code = p.adm_div_code AND y.fiscal_year = p.fiscal_year AND y.mode = 'integrated')))
       AND {in_region("p")}
    UNION ALL
    SELECT id, indicator_id, plan_no, -amount FROM budget_spendingplan p
     WHERE kind = 'reduce' AND state IN ('in_review', 'approved', 'notified', 'arrived') AND {in_region("p")}
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
  LEFT JOIN (SELECT notice_id, sum(CASE kind WHEN 'reduce' THEN -amount ELSE amount END) AS amount
               FROM budget_spendingplan GROUP BY 1) p ON p.notice_id = n.id
 WHERE n.amount <> COALESCE(p.amount, 0) AND {in_region("n")}
"""

# A 5106 raises the limit by its notice, each 5108 by its own amount (negative ones too); both once, when sealed. What a
# year's close let lapse is no notice; that nothing is left after it, I23 sees.
_ISSUED = f"""
WITH posted AS (
    SELECT document_id, sum(issued_change) AS amount FROM budget_clearinglimitentry e
     WHERE kind <> 'opening' AND issued_change <> 0 AND document_type <> 'budget.QuotaCancellation'
       AND NOT (kind = 'lapse' AND EXISTS (SELECT 1 FROM budget_budgetyear y
                                            WHERE y.id = e.document_id AND y.state = 'closed'
                                              AND (y.adm_div_code, y.fiscal_year) = (e.adm_div_code, e.fiscal_year)))
       AND {in_region("e")} GROUP BY 1
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
        SqlCheck("Σ children = what the indicator above has given on; that one pays nothing itself.", _CHILDREN),
        SqlCheck("Quota granted, with what was paid before, ≤ planned ≤ total − frozen.", _LEVELS, _PLANNED_CODES),
        SqlCheck(
            "What is planned of an indicator is the plans under way or approved, each by its amount.",
            _PLANNED,
            _AT_ONCE,
        ),
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
