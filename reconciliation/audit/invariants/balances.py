"""I02: a balance is the sum of its entries, column by column, and what is reserved is what open requests hold."""

from payments.states import CORRECTION_HOLDS, RESERVING
from reconciliation.audit.findings import Invariant, SqlCheck, in_region

_RESERVING = {"reserving": sorted(RESERVING), "holds": sorted(CORRECTION_HOLDS)}


def _sums(table: str, entries: str, key: str, columns: tuple[str, ...], name: str) -> str:
    sums = ", ".join(f"sum({column}_change) AS {column}" for column in columns)
    pairs = ", ".join(f"('{column}', b.amount_{column}, COALESCE(e.{column}, 0))" for column in columns)
    return f"""
SELECT '{table}' AS "table", b.id::text AS id,
       concat({name}, ' 的 amount_', c.name, ' 为 ', c.have, '，明细账合计 ', c.want) AS explanation,
       c.have - c.want AS delta
  FROM {table} b
  LEFT JOIN (SELECT {key} AS account_id, {sums} FROM {entries} GROUP BY 1) e ON e.account_id = b.id
 CROSS JOIN LATERAL (VALUES {pairs}) c (name, have, want)
 WHERE c.have <> c.want AND {in_region("b")}
"""


def _held(table: str, key: str, name: str) -> str:
    return f"""
SELECT '{table}' AS "table", b.id::text AS id,
       concat({name}, ' 的在途额为 ', b.amount_reserved, '，未结支付申请和更正占用合计 ',
              COALESCE(o.amount, 0)) AS explanation,
       b.amount_reserved - COALESCE(o.amount, 0) AS delta
  FROM {table} b
  LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM (
                 SELECT {key} AS account_id, amount - amount_paid - amount_failed AS amount
                   FROM payments_paymentrequest WHERE state = ANY(%(reserving)s)
                 UNION ALL
                 SELECT to_{key}, amount FROM payments_correction
                  WHERE state = ANY(%(holds)s) AND to_indicator_id <> from_indicator_id) h GROUP BY 1) o
    ON o.account_id = b.id
 WHERE b.amount_reserved <> COALESCE(o.amount, 0) AND {in_region("b")}
"""


_INDICATOR = "'指标 ', b.indicator_no"
_QUOTA = "'额度 ', (SELECT indicator_no FROM budget_budgetindicator i WHERE i.id = b.indicator_id)"
_LIMIT = """
       '清算额度 ', (SELECT name FROM parties_agentbank a WHERE a.id = b.agent_bank_id), ' ', b.payment_mode, '/',
       b.fund_nature"""

I02 = Invariant(
    "I02",
    "余额等于明细账合计",
    (
        SqlCheck(
            "Every amount column of an indicator equals the sum of that column's changes in its entries.",
            _sums(
                *("budget_budgetindicator", "budget_indicatorentry", "indicator_id"),
                ("total", "frozen", "reserved", "paid", "refunded", "planned"),
                _INDICATOR,
            ),
        ),
        SqlCheck(
            "The same for quotas.",
            _sums(
                "budget_quota", "budget_quotaentry", "quota_id", ("granted", "reserved", "spent", "refunded"), _QUOTA
            ),
        ),
        SqlCheck(
            "The same for clearing limits.",
            _sums(
                *("budget_clearinglimit", "budget_clearinglimitentry", "limit_id"),
                ("issued", "cleared", "refunded"),
                _LIMIT,
            ),
        ),
        SqlCheck(
            "What an indicator has reserved is what the requests that hold money on it have left to pay.",
            _held("budget_budgetindicator", "indicator_id", _INDICATOR),
            _RESERVING,
        ),
        SqlCheck("The same for quotas.", _held("budget_quota", "quota_id", _QUOTA), _RESERVING),
    ),
)
