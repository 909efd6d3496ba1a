"""The queries of the matching. One statement a comparison: both sides and the differences come from one snapshot.

Every statement joins the two sides as sets; only exceptions leave the database, nothing is marked.
"""

from collections.abc import Callable

from budget.methods import METHODS, UNIT, Method, Receiver

# Our payments and refunds under the key the bank reports them by: the payment voucher and the detail's number.
_OUR_DETAIL = """
       b.bank_no, r.voucher_type, r.voucher_no, d.seq::text AS detail_id
"""
_DETAIL_JOINS = """
  JOIN payments_paymentdetail d ON d.id = x.detail_id
  JOIN payments_paymentrequest r ON r.id = d.request_id
  JOIN parties_budgetunit u ON u.id = r.unit_id
  JOIN parties_bankaccount a ON a.id = r.payer_account_id
  JOIN parties_agentbank b ON b.id = a.agent_bank_id
"""
_PAYMENTS = f"""
SELECT {_OUR_DETAIL}, x.amount_paid AS amount, x.paid_on,
       jsonb_build_object('unit_code', u.code, 'payee_account_no', d.payee_account_no) AS elements,
       r.payment_mode
  FROM payments_receiptline x {_DETAIL_JOINS}
 WHERE x.adm_div_code = %(region)s AND x.paid_on = %(date)s AND x.amount_paid > 0
"""


def _codes(wanted: Callable[[Method], bool]) -> str:
    return ", ".join(f"'{row.code}'" for row in METHODS.values() if wanted(row))


OUR_PAYMENTS = f"{_PAYMENTS} AND r.payment_mode IN ({_codes(lambda row: row.is_cleared)})"
OUR_FUNDS = f"{_PAYMENTS} AND r.payment_mode NOT IN ({_codes(lambda row: row.is_cleared)})"
OUR_REFUNDS = f"""
SELECT {_OUR_DETAIL}, x.amount, x.refunded_on AS paid_on, jsonb_build_object('unit_code', u.code) AS elements,
       r.payment_mode
  FROM payments_refund x {_DETAIL_JOINS}
 WHERE x.adm_div_code = %(region)s AND x.refunded_on = %(date)s
"""
# What PBoC paid out of the treasury account itself, and what of it came back (3208), both by the 5207's number.
OUR_APPROPRIATIONS = f"""
SELECT '' AS bank_no, x.voucher_type, r.voucher_no, d.seq::text AS detail_id, x.amount, x.on_date AS paid_on,
       jsonb_build_object('unit_code', u.code, 'payee_account_no', d.payee_account_no) AS elements, r.payment_mode
  FROM (SELECT detail_id, adm_div_code, '5207' AS voucher_type, amount_paid AS amount, paid_on AS on_date
          FROM payments_receiptline WHERE amount_paid > 0
        UNION ALL
        SELECT detail_id, adm_div_code, '3208', amount, refunded_on FROM payments_refund) x
  JOIN payments_paymentdetail d ON d.id = x.detail_id
  JOIN payments_paymentrequest r ON r.id = d.request_id
  JOIN parties_budgetunit u ON u.id = r.unit_id
 WHERE x.adm_div_code = %(region)s AND x.on_date = %(date)s
   AND r.payment_mode IN ({_codes(lambda row: row.receiver is Receiver.PBOC)})
"""
OUR_CLEARINGS = """
SELECT b.bank_no, c.voucher_type, c.voucher_no, l.line_id AS detail_id, l.amount, NULL::date AS paid_on,
       jsonb_build_object('payment_no', r.voucher_no, 'payment_mode', c.payment_mode) AS elements, r.payment_mode
  FROM payments_clearing c
  JOIN payments_clearingline l ON l.clearing_id = c.id
  JOIN payments_paymentdetail d ON d.id = l.detail_id
  JOIN payments_paymentrequest r ON r.id = d.request_id
  JOIN parties_agentbank b ON b.id = c.agent_bank_id
 WHERE c.adm_div_code = %(region)s AND c.cleared_on = %(date)s
"""
# The balance at the end of the date: what it is now, less what later days did to it.
OUR_LIMITS = """
SELECT b.bank_no, '' AS voucher_type, l.payment_mode AS voucher_no, l.fund_nature AS detail_id,
       l.amount_issued - l.amount_cleared + l.amount_refunded
         - COALESCE((SELECT sum(e.issued_change - e.cleared_change + e.refunded_change)
                       FROM budget_clearinglimitentry e
                      WHERE e.limit_id = l.id AND e.business_date > %(date)s), 0) AS amount,
       NULL::date AS paid_on, '{}'::jsonb AS elements, l.payment_mode
  FROM budget_clearinglimit l JOIN parties_agentbank b ON b.id = l.agent_bank_id
 WHERE l.adm_div_code = %(region)s AND l.fiscal_year = %(year)s
"""

# A partner's latest word: no later message of the same report that is another edition or the same pack again.
CURRENT = """
NOT EXISTS (SELECT 1 FROM reconciliation_statement n
             WHERE n.adm_div_code = s.adm_div_code AND n.date = s.date AND n.voucher_type = s.voucher_type
               AND n.partner = s.partner AND n.scope = s.scope AND n.fund_nature = s.fund_nature
               AND n.message_id > s.message_id AND (n.sheet_no <> s.sheet_no OR n.pack = s.pack))
"""

# %(types)s are the report types of the pair; {ours}, {group}, {sign}, {reported} and {differs} its own parts.
COMPARE = f"""
WITH ours AS (
    SELECT bank_no, voucher_type, voucher_no, detail_id, sum(amount) AS amount, count(*) AS lines,
           min(paid_on) AS paid_on, (array_agg(elements))[1] AS elements, min(payment_mode) AS payment_mode
      FROM ({{ours}}) o GROUP BY 1, 2, 3, 4
), latest AS MATERIALIZED (
    SELECT s.id, s.scope, s.voucher_type FROM reconciliation_statement s
     WHERE s.adm_div_code = %(region)s AND s.date = %(date)s AND s.voucher_type = ANY(%(types)s) AND {CURRENT}
), reported AS MATERIALIZED (
    SELECT DISTINCT scope AS bank_no, voucher_type AS report FROM latest
), theirs AS (
    SELECT l.bank_no, l.voucher_type, l.voucher_no, l.detail_id, sum(l.amount) AS amount, count(*) AS lines,
           min(l.paid_on) AS paid_on, (array_agg(l.elements))[1] AS elements
      FROM reconciliation_statementline l JOIN latest ON latest.id = l.statement_id
     WHERE l.pair = %(pair)s GROUP BY 1, 2, 3, 4
), both_sides AS (
    SELECT bank_no, voucher_type, voucher_no, detail_id, o.amount AS our_amount, t.amount AS their_amount,
           o.lines AS our_lines, t.lines AS their_lines, o.paid_on AS our_date, t.paid_on AS their_date,
           o.elements AS our_elements, t.elements AS their_elements,
           t.lines IS NULL AND NOT ({{reported}}) AS unreported,
           {{differs}} AS differs
      FROM ours o FULL JOIN theirs t USING (bank_no, voucher_type, voucher_no, detail_id)
)
SELECT {{group}} AS bank_no,
       COALESCE(sum(our_lines), 0), COALESCE(sum({{sign}} our_amount), 0),
       COALESCE(sum(their_lines), 0), COALESCE(sum({{sign}} their_amount), 0),
       count(*) FILTER (WHERE unreported),
       jsonb_agg(to_jsonb(both_sides) || jsonb_build_object('our_amount', our_amount::text,
                                                            'their_amount', their_amount::text)
                 ORDER BY bank_no, voucher_no, detail_id) FILTER (WHERE differs AND NOT unreported)
  FROM both_sides GROUP BY 1
"""
# Which day report a bank lists a payment in: what the bureau orders in 2206, what units order in 2205.
REPORT_OF = f"CASE WHEN payment_mode IN ({_codes(lambda row: row.office is UNIT)}) THEN '2205' ELSE '2206' END"
BANK_REPORTED = f"(bank_no, {REPORT_OF}) IN (SELECT bank_no, report FROM reported)"
PBOC_REPORTED = "EXISTS (SELECT 1 FROM reported)"
LINES_DIFFER = """
(o.amount IS DISTINCT FROM t.amount OR COALESCE(o.paid_on <> t.paid_on, false)
 OR COALESCE(NOT o.elements @> t.elements, false))
"""
BALANCES_DIFFER = "COALESCE(o.amount, 0) <> COALESCE(t.amount, 0)"
NET_OF_REFUNDS = "CASE WHEN voucher_type IN ('2302', '3208') THEN -1 ELSE 1 END *"

# What either side has under these keys on any date: tells a missing document from a late one.
_KEYS = (
    """
WITH keys AS (
    SELECT * FROM unnest(%(bank_nos)s::text[], %(types)s::text[], %(numbers)s::text[], %(details)s::text[])
             AS k(bank_no, voucher_type, voucher_no, detail_id)
), theirs AS (
    SELECT k.bank_no, k.voucher_type, k.voucher_no, k.detail_id,
           COALESCE(sum(l.amount) FILTER (WHERE l.pair = %(pair)s), 0) AS amount,
           COALESCE(sum(l.amount) FILTER (WHERE l.pair IN ('bank_payment', 'bank_funds', 'pboc_payment')), 0)
             AS paid,
           max(l.date) FILTER (WHERE l.pair = %(pair)s AND l.date <> %(date)s) AS other_date
      FROM keys k
      JOIN reconciliation_statementline l
        ON l.adm_div_code = %(region)s AND l.voucher_no = k.voucher_no AND l.detail_id = k.detail_id
       AND l.voucher_type = k.voucher_type AND l.bank_no = k.bank_no
      JOIN reconciliation_statement s ON s.id = l.statement_id
     WHERE """
    + CURRENT
    + """
     GROUP BY 1, 2, 3, 4
)
"""
)
ELSEWHERE_PAYMENT = (
    _KEYS
    + """
SELECT k.bank_no, k.voucher_type, k.voucher_no, k.detail_id, d.id IS NOT NULL,
       COALESCE(d.state = 'failed', false), CASE d.state WHEN 'paid' THEN d.amount ELSE 0 END, x.paid_on,
       COALESCE(f.amount, 0), f.other_date, COALESCE(t.amount, 0), COALESCE(t.paid, 0), t.other_date
  FROM keys k
  LEFT JOIN theirs t USING (bank_no, voucher_type, voucher_no, detail_id)
  LEFT JOIN payments_paymentrequest r ON r.adm_div_code = %(region)s AND r.fiscal_year = %(year)s
       AND r.voucher_no = k.voucher_no AND r.voucher_type = k.voucher_type
       AND r.payer_account_id IN (SELECT a.id FROM parties_bankaccount a
                                    JOIN parties_agentbank b ON b.id = a.agent_bank_id
                                   WHERE a.adm_div_code = %(region)s AND b.bank_no = k.bank_no)
  LEFT JOIN payments_paymentdetail d ON d.request_id = r.id AND d.seq::text = k.detail_id
  LEFT JOIN payments_receiptline x ON x.detail_id = d.id
  LEFT JOIN LATERAL (SELECT sum(amount) AS amount, max(refunded_on) FILTER (WHERE refunded_on <> %(date)s) AS other_date
                       FROM payments_refund WHERE detail_id = d.id) f ON true
"""
)
ELSEWHERE_APPROPRIATION = (
    _KEYS
    + """
SELECT k.bank_no, k.voucher_type, k.voucher_no, k.detail_id, d.id IS NOT NULL,
       COALESCE(d.state = 'failed', false), CASE d.state WHEN 'paid' THEN d.amount ELSE 0 END, x.paid_on,
       COALESCE(f.amount, 0), f.other_date, COALESCE(t.amount, 0), COALESCE(t.paid, 0), t.other_date
  FROM keys k
  LEFT JOIN theirs t USING (bank_no, voucher_type, voucher_no, detail_id)
  LEFT JOIN payments_paymentrequest r ON r.adm_div_code = %(region)s AND r.fiscal_year = %(year)s
       AND r.voucher_no = k.voucher_no AND r.voucher_type = '5207'
  LEFT JOIN payments_paymentdetail d ON d.request_id = r.id AND d.seq::text = k.detail_id
  LEFT JOIN payments_receiptline x ON x.detail_id = d.id
  LEFT JOIN LATERAL (SELECT sum(amount) AS amount, max(refunded_on) FILTER (WHERE refunded_on <> %(date)s) AS other_date
                       FROM payments_refund WHERE detail_id = d.id) f ON true
"""
)
ELSEWHERE_CLEARING = (
    _KEYS
    + """
SELECT k.bank_no, k.voucher_type, k.voucher_no, k.detail_id, c.id IS NOT NULL,
       false, COALESCE(l.amount, 0), c.cleared_on, 0, NULL::date,
       COALESCE(t.amount, 0), COALESCE(t.paid, 0), t.other_date
  FROM keys k
  LEFT JOIN theirs t USING (bank_no, voucher_type, voucher_no, detail_id)
  LEFT JOIN parties_agentbank b ON b.adm_div_code = %(region)s AND b.bank_no = k.bank_no
  LEFT JOIN payments_clearing c ON c.adm_div_code = %(region)s AND c.fiscal_year = %(year)s
       AND c.voucher_type = k.voucher_type AND c.voucher_no = k.voucher_no AND c.agent_bank_id = b.id
  LEFT JOIN payments_clearingline l ON l.clearing_id = c.id AND l.line_id = k.detail_id
"""
)
