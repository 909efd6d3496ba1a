"""I23: what one year carries over is what the next one opens with, and a closed year has nothing left."""

from budget.terms import INHERITED
from reconciliation.audit.findings import Invariant, SqlCheck, in_region

_KEPT = ("unit_id", "function_code", "gov_economic_code", "payment_mode", "layer", "tags")
_SAME = ", ".join(f"{{alias}}.{name}" for name in (*_KEPT, *(n for n in INHERITED if n != "carry_over_year")))

# Each carry-over: out of the old year what was approved, recovered the rest, into the new year what went out.
_CARRIED = f"""
WITH posted AS (
    SELECT e.document_id,
           -COALESCE(sum(e.total_change) FILTER (WHERE e.kind = 'carry_out' AND e.indicator_id = c.indicator_id),
                     0) AS gone,
           -COALESCE(sum(e.total_change) FILTER (WHERE e.kind = 'recover_unused' AND e.indicator_id = c.indicator_id),
                     0) AS recovered,
           COALESCE(sum(e.total_change) FILTER (WHERE e.kind = 'carry_in' AND e.indicator_id = c.next_indicator_id),
                    0) AS came,
           COALESCE(sum(e.total_change) FILTER (WHERE e.kind = 'carry_in'), 0) AS came_anywhere
      FROM budget_indicatorentry e LEFT JOIN budget_carryover c ON c.id = e.document_id
     WHERE e.kind IN ('carry_out', 'recover_unused', 'carry_in') AND {in_region("e")} GROUP BY 1
), decided AS (
    SELECT id, CASE state WHEN 'applied' THEN amount ELSE 0 END AS amount,
           CASE state WHEN 'applied' THEN unused - amount ELSE 0 END AS recovered
      FROM budget_carryover c WHERE {in_region("c")}
)
SELECT 'budget_carryover' AS "table", COALESCE(d.id, p.document_id)::text AS id,
       concat('结转批准 ', COALESCE(d.amount, 0), '、收回 ', COALESCE(d.recovered, 0), '；转出 ', COALESCE(p.gone, 0),
              '、收回 ', COALESCE(p.recovered, 0), '、下年转入 ', COALESCE(p.came_anywhere, 0)) AS explanation,
       COALESCE(p.came_anywhere, 0) - COALESCE(d.amount, 0) AS delta
  FROM decided d FULL JOIN posted p ON p.document_id = d.id
 WHERE (COALESCE(d.amount, 0), COALESCE(d.recovered, 0), COALESCE(d.amount, 0), COALESCE(d.amount, 0))
       <> (COALESCE(p.gone, 0), COALESCE(p.recovered, 0), COALESCE(p.came, 0), COALESCE(p.came_anywhere, 0))
"""

# What is posted for a carry-over touches its indicator, the one above, and the next year's: nothing else, and only once
# it is applied. The one above loses as much as the one below.
_STRAY = f"""
SELECT 'budget_indicatorentry' AS "table", min(e.id::text) AS id,
       concat('结转 ', e.document_id, ' 的记账落在其他指标、未经执行，或与上级指标不一致') AS explanation,
       COALESCE(sum(e.total_change) FILTER (WHERE e.indicator_id = i.parent_id), 0)
           - COALESCE(sum(e.total_change) FILTER (WHERE e.indicator_id = i.id), 0) AS delta
  FROM budget_indicatorentry e
  LEFT JOIN budget_carryover c ON c.id = e.document_id AND c.state = 'applied'
  LEFT JOIN budget_budgetindicator i ON i.id = c.indicator_id
 WHERE (e.document_type = 'budget.CarryOver' OR e.kind IN ('carry_out', 'recover_unused', 'carry_in', 'lapse'))
   AND {in_region("e")}
 GROUP BY e.document_id, i.id
HAVING bool_or(c.id IS NULL OR e.document_type <> 'budget.CarryOver'
               OR e.kind NOT IN ('carry_out', 'recover_unused', 'carry_in', 'lapse'))
    OR bool_or(e.indicator_id IS DISTINCT FROM i.id AND e.indicator_id IS DISTINCT FROM i.parent_id
               AND e.indicator_id IS DISTINCT FROM c.next_indicator_id)
    OR i.parent_id IS NOT NULL AND (sum(e.total_change) FILTER (WHERE e.indicator_id = i.parent_id),
                                    sum(e.planned_change) FILTER (WHERE e.indicator_id = i.parent_id))
       IS DISTINCT FROM (sum(e.total_change) FILTER (WHERE e.indicator_id = i.id),
                         sum(e.total_change) FILTER (WHERE e.indicator_id = i.id))
"""

_SUMS = f"""
SELECT 'budget_budgetyear' AS "table", y.id::text AS id,
       concat(y.fiscal_year, ' 年度结转 ', s.gone, '，下一年度期初结转 ', s.came) AS explanation,
       s.came - s.gone AS delta
  FROM budget_budgetyear y
 CROSS JOIN LATERAL (
    SELECT (SELECT COALESCE(sum(amount), 0) FROM budget_carryover c
             WHERE (c.adm_div_code, c.fiscal_year) = (y.adm_div_code, y.fiscal_year) AND c.state = 'applied') AS gone,
           (SELECT COALESCE(sum(e.total_change), 0) FROM budget_indicatorentry e
              JOIN budget_budgetindicator i ON i.id = e.indicator_id
             WHERE e.kind = 'carry_in' AND i.adm_div_code = y.adm_div_code
               AND i.fiscal_year = y.fiscal_year + 1) AS came) s
 WHERE s.gone <> s.came AND {in_region("y")}
"""

_SAME_MONEY = f"""
SELECT 'budget_carryover' AS "table", c.id::text AS id,
       concat('结转后的指标 ', n.indicator_no, ' 的科目、标识或年度与原指标 ', o.indicator_no,
              ' 不一致') AS explanation,
       NULL::numeric AS delta
  FROM budget_carryover c JOIN budget_budgetindicator o ON o.id = c.indicator_id
  JOIN budget_budgetindicator n ON n.id = c.next_indicator_id
 WHERE {in_region("c")}
   AND (({_SAME.format(alias="o")}) IS DISTINCT FROM ({_SAME.format(alias="n")})
        OR n.carry_over_year IS DISTINCT FROM o.fiscal_year OR n.fiscal_year <> o.fiscal_year + 1)
"""

_CLOSED = f"""
SELECT x."table", x.id::text AS id,
       concat(y.fiscal_year, ' 年度已年结，', x.what, ' 仍有余额 ', x.left_over) AS explanation,
       x.left_over AS delta
  FROM budget_budgetyear y
 CROSS JOIN LATERAL (
    SELECT 'budget_budgetindicator' AS "table", i.id, concat('指标 ', i.indicator_no) AS what,
           sum(e.total_change - e.paid_change + e.refunded_change)
               - CASE i.layer WHEN 'department' THEN sum(e.planned_change) ELSE 0 END AS left_over
      FROM budget_budgetindicator i JOIN budget_indicatorentry e ON e.indicator_id = i.id
     WHERE (i.adm_div_code, i.fiscal_year) = (y.adm_div_code, y.fiscal_year) GROUP BY i.id
    UNION ALL
    SELECT 'budget_budgetindicator', i.id, concat('指标 ', i.indicator_no, ' 的在途或冻结'),
           sum(e.reserved_change + e.frozen_change)
      FROM budget_budgetindicator i JOIN budget_indicatorentry e ON e.indicator_id = i.id
     WHERE (i.adm_div_code, i.fiscal_year) = (y.adm_div_code, y.fiscal_year) GROUP BY i.id
    UNION ALL
    SELECT 'budget_budgetindicator', i.id, concat('指标 ', i.indicator_no, ' 的计划'),
           GREATEST(sum(e.planned_change - e.paid_change + e.refunded_change), 0)
      FROM budget_budgetindicator i JOIN budget_indicatorentry e ON e.indicator_id = i.id
     WHERE (i.adm_div_code, i.fiscal_year) = (y.adm_div_code, y.fiscal_year) AND i.layer = 'unit' GROUP BY i.id
    UNION ALL
    SELECT 'budget_quota', q.id, '额度',
           sum(e.granted_change - e.reserved_change - e.spent_change + e.refunded_change)
      FROM budget_quota q JOIN budget_quotaentry e ON e.quota_id = q.id
     WHERE (q.adm_div_code, q.fiscal_year) = (y.adm_div_code, y.fiscal_year) GROUP BY q.id
    UNION ALL
    SELECT 'budget_clearinglimit', l.id, '清算额度', sum(e.issued_change - e.cleared_change + e.refunded_change)
      FROM budget_clearinglimit l JOIN budget_clearinglimitentry e ON e.limit_id = l.id
     WHERE (l.adm_div_code, l.fiscal_year) = (y.adm_div_code, y.fiscal_year) GROUP BY l.id) x
 WHERE y.state = 'closed' AND x.left_over <> 0 AND {in_region("y")}
"""

_CANCELLED = f"""
WITH posted AS (
    SELECT document_id, -sum(granted) AS quota, -sum(planned) AS plan, -sum(issued) AS clearing FROM (
        SELECT document_id, granted_change AS granted, 0 AS planned, 0 AS issued FROM budget_quotaentry e
         WHERE document_type = 'budget.QuotaCancellation' AND {in_region("e")}
        UNION ALL
        SELECT document_id, 0, planned_change, 0 FROM budget_indicatorentry e
         WHERE document_type = 'budget.QuotaCancellation' AND {in_region("e")}
        UNION ALL
        SELECT document_id, 0, 0, issued_change FROM budget_clearinglimitentry e
         WHERE document_type = 'budget.QuotaCancellation' AND {in_region("e")}) x GROUP BY 1
), agreed AS (
    SELECT id, amount FROM budget_quotacancellation c
     WHERE state = 'applied' AND bank_amount = amount AND unit_amount = amount AND {in_region("c")}
)
SELECT 'budget_quotacancellation' AS "table", COALESCE(a.id, p.document_id)::text AS id,
       concat('额度注销：三方一致 ', COALESCE(a.amount, 0), '，额度 ', COALESCE(p.quota, 0), '、计划 ',
              COALESCE(p.plan, 0), '、清算额度 ', COALESCE(p.clearing, 0)) AS explanation,
       COALESCE(p.quota, 0) - COALESCE(a.amount, 0) AS delta
  FROM agreed a FULL JOIN posted p ON p.document_id = a.id
 WHERE (COALESCE(a.amount, 0), COALESCE(a.amount, 0), COALESCE(a.amount, 0))
       <> (COALESCE(p.quota, 0), COALESCE(p.plan, 0), COALESCE(p.clearing, 0))
"""

I23 = Invariant(
    "I23",
    "跨年结转相等，已年结年度无余额",
    (
        SqlCheck("Each carry-over goes out, is recovered and comes in as approved, once.", _CARRIED),
        SqlCheck("Entries of a carry-over stand on its own indicators, equal above and below.", _STRAY),
        SqlCheck("Σ carried out of a year = Σ carried into the next.", _SUMS),
        SqlCheck("What is carried over keeps its codes and tags and names the year it comes from.", _SAME_MONEY),
        SqlCheck("A closed year has no balance, reservation, freeze, quota or clearing limit left.", _CLOSED),
        SqlCheck(
            "A quota is cancelled as bank, unit and finance agreed; plan and clearing limit by as much.", _CANCELLED
        ),
    ),
)
