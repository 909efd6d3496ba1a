"""I28: no contract, share of an indicator or project is paid beyond what is in force, or procurement without one.

Asked of the requests themselves, as the check at submission does: nothing about it is stored (docs/adr/0028).
"""

from contracts.states import SupplementState
from payments.contract_use import BOUND
from payments.states import PAID_STATES, RESERVING
from reconciliation.audit.findings import Invariant, SqlCheck, in_region

_STATES = {
    "reserving": sorted(str(state) for state in RESERVING),
    "paid": sorted(str(state) for state in PAID_STATES),
    "approved": str(SupplementState.APPROVED),
    "bound": sorted(str(kind) for kind in BOUND),
}
_USED = """
used AS (
    SELECT c.id AS contract_id, u.indicator_id, sum(u.net) AS net
      FROM contracts_contract c CROSS JOIN LATERAL (
           SELECT r.indicator_id, r.amount_paid - r.amount_refunded
                  + CASE WHEN r.state = ANY(%(reserving)s) THEN r.amount ELSE 0 END AS net
             FROM payments_paymentrequest r
            WHERE r.adm_div_code = c.adm_div_code AND r.unit_id = c.unit_id AND r.contract_no = c.contract_no
              AND r.contract_no <> '' AND (r.state = ANY(%(reserving)s) OR r.state = ANY(%(paid)s))
           UNION ALL
           SELECT a.indicator_id, a.opening_paid FROM contracts_contractallocation a WHERE a.contract_id = c.id) u
     WHERE c.filed_at IS NOT NULL OR c.state <> 'terminated'
     GROUP BY 1, 2
)
"""
_WITHIN_CONTRACT = f"""
WITH {_USED}
SELECT 'contracts_contract' AS "table", c.id::text AS id,
       concat('合同 ', c.contract_no, ' 有效金额 ', f.total, '，已付及在途 ', u.net) AS explanation,
       u.net - f.total AS delta
  FROM (SELECT contract_id, sum(net) AS net FROM used GROUP BY 1) u
  JOIN contracts_contract c ON c.id = u.contract_id
 CROSS JOIN LATERAL (SELECT c.total + COALESCE(sum(s.amount_change), 0) AS total FROM contracts_supplementarycontract s
                      WHERE s.contract_id = c.id AND s.state = %(approved)s) f
 WHERE u.net > f.total AND {in_region("c")}
"""
_WITHIN_SHARE = f"""
WITH {_USED}
SELECT 'contracts_contract' AS "table", c.id::text AS id,
       concat('合同 ', c.contract_no, ' 在指标 ', i.indicator_no, ' 分摊 ', f.amount, '，已付及在途 ', u.net)
       AS explanation,
       u.net - f.amount AS delta
  FROM used u JOIN contracts_contract c ON c.id = u.contract_id
  JOIN budget_budgetindicator i ON i.id = u.indicator_id
 CROSS JOIN LATERAL (
       SELECT COALESCE(sum(amount), 0) AS amount FROM (
              SELECT a.amount FROM contracts_contractallocation a
               WHERE a.contract_id = c.id AND a.indicator_id = u.indicator_id
              UNION ALL
              SELECT a.amount FROM contracts_supplementallocation a
                JOIN contracts_supplementarycontract s ON s.id = a.supplement_id
               WHERE s.contract_id = c.id AND s.state = %(approved)s AND a.indicator_id = u.indicator_id) parts) f
 WHERE u.net > f.amount AND {in_region("c")}
"""
_WITHIN_ESTIMATE = f"""
WITH {_USED}
SELECT 'contracts_investmentproject' AS "table", p.id::text AS id,
       concat('项目 ', p.code, ' 批准概算 ', p.approved_estimate, '，已付及在途 ', sum(u.net)) AS explanation,
       sum(u.net) - p.approved_estimate AS delta
  FROM used u JOIN contracts_contract c ON c.id = u.contract_id
  JOIN contracts_investmentproject p ON p.id = c.project_id
 WHERE {in_region("p")}
 GROUP BY p.id HAVING sum(u.net) > p.approved_estimate
"""
_NAMED = f"""
SELECT 'payments_paymentrequest' AS "table", r.id::text AS id,
       concat('支付申请 ', r.request_no, ' 的合同「', r.contract_no, '」不存在') AS explanation, r.amount AS delta
  FROM payments_paymentrequest r
 WHERE (r.contract_no <> '' OR r.business_type = ANY(%(bound)s))
   AND (r.state = ANY(%(reserving)s) OR r.state = ANY(%(paid)s)) AND NOT r.imported
   AND NOT EXISTS (SELECT 1 FROM contracts_contract c
                    WHERE c.adm_div_code = r.adm_div_code AND c.unit_id = r.unit_id AND c.contract_no = r.contract_no
                      AND c.filed_at IS NOT NULL)
   AND {in_region("r")}
"""
_ADDED_UP = f"""
SELECT 'contracts_contract' AS "table", c.id::text AS id,
       concat('合同 ', c.contract_no, ' 金额 ', c.total, '，条款合计 ', t.amount, '，分摊合计 ', a.amount)
       AS explanation,
       t.amount - c.total AS delta
  FROM contracts_contract c
 CROSS JOIN LATERAL (SELECT COALESCE(sum(amount), 0) AS amount FROM contracts_contractterm WHERE contract_id = c.id) t
 CROSS JOIN LATERAL (
       SELECT COALESCE(sum(amount), 0) AS amount FROM contracts_contractallocation WHERE contract_id = c.id) a
 WHERE (t.amount <> c.total OR a.amount <> c.total) AND {in_region("c")}
"""
_CERTIFIED = f"""
SELECT 'contracts_progresscertificate' AS "table", k.id::text AS id,
       concat('进度证书 ', k.certificate_no, ' 累计 ', k.cumulative, '，应为 ', k.sum) AS explanation,
       k.cumulative - k.sum AS delta
  FROM (SELECT k.*, sum(k.amount) OVER (PARTITION BY k.contract_id ORDER BY k.id) AS sum
          FROM contracts_progresscertificate k WHERE {in_region("k")}) k
 WHERE k.cumulative <> k.sum
"""

I28 = Invariant(
    "I28",
    "合同、分摊与项目概算内付款",
    (
        SqlCheck("No contract is paid beyond its amount in force.", _WITHIN_CONTRACT, _STATES),
        SqlCheck("No indicator bears more of a contract than its share.", _WITHIN_SHARE, _STATES),
        SqlCheck("No project is paid beyond its approved estimate.", _WITHIN_ESTIMATE, _STATES),
        SqlCheck("What is paid as procurement or investment is paid on a filed contract.", _NAMED, _STATES),
        SqlCheck("Terms and shares of a contract add up to its amount.", _ADDED_UP, _STATES),
        SqlCheck("Certificates add up to the sum each one states.", _CERTIFIED, _STATES),
    ),
)
