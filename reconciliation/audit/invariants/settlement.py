"""I05: money held by a request is held once, and settled once: paid or released, on exactly the rows it was held on."""

from payments.states import RESERVING
from reconciliation.audit.findings import Invariant, SqlCheck, in_region


def _held(entries: str, account: str) -> str:
    return f"""
WITH posted AS (
    SELECT document_id, {account} AS account_id, sum(reserved_change) AS amount FROM {entries} e
     WHERE reserved_change <> 0 AND kind NOT LIKE 'correct%%' AND {in_region("e")} GROUP BY 1, 2
), held AS (
    SELECT id, {account} AS account_id, amount FROM payments_paymentrequest r
     WHERE state = ANY(%(reserving)s) AND {in_region("r")}
)
SELECT 'payments_paymentrequest' AS "table", COALESCE(h.id, p.document_id)::text AS id,
       concat('支付申请 ', r.request_no, '（', r.state, '）应占用 ', COALESCE(h.amount, 0), '，账上占用 ',
              COALESCE(p.amount, 0), '（{entries}）') AS explanation,
       COALESCE(p.amount, 0) - COALESCE(h.amount, 0) AS delta
  FROM held h FULL JOIN posted p ON p.document_id = h.id AND p.account_id = h.account_id
  LEFT JOIN payments_paymentrequest r ON r.id = COALESCE(h.id, p.document_id)
 WHERE COALESCE(h.amount, 0) <> COALESCE(p.amount, 0)
"""


def _paid(entries: str, account: str, column: str) -> str:
    return f"""
WITH posted AS (
    SELECT document_id, {account} AS account_id, sum({column}_change) AS amount, count(*) AS entries FROM {entries} e
     WHERE kind <> 'opening' AND kind NOT LIKE 'correct%%' AND {column}_change <> 0 AND {in_region("e")} GROUP BY 1, 2
), paid AS (
    SELECT r.id, r.{account} AS account_id, x.amount_paid AS amount
      FROM payments_paymentreceipt x JOIN payments_paymentrequest r ON r.id = x.request_id
     WHERE x.amount_paid <> 0 AND {in_region("x")}
)
SELECT 'payments_paymentrequest' AS "table", COALESCE(d.id, p.document_id)::text AS id,
       concat('支付申请 ', r.request_no, ' 回单实付 ', COALESCE(d.amount, 0), '，账上已付 ',
              COALESCE(p.amount, 0), '，',
              COALESCE(p.entries, 0), ' 笔（{entries}）') AS explanation,
       COALESCE(p.amount, 0) - COALESCE(d.amount, 0) AS delta
  FROM paid d FULL JOIN posted p ON p.document_id = d.id AND p.account_id = d.account_id
  LEFT JOIN payments_paymentrequest r ON r.id = COALESCE(d.id, p.document_id)
 WHERE COALESCE(d.amount, 0) <> COALESCE(p.amount, 0) OR COALESCE(p.entries, 1) <> 1
"""


_INDICATOR, _QUOTA = ("budget_indicatorentry", "indicator_id"), ("budget_quotaentry", "quota_id")
_RESERVING = {"reserving": sorted(RESERVING)}

I05 = Invariant(
    "I05",
    "每笔占用恰好结清一次",
    (
        SqlCheck(
            "The entries of a request reserve its amount while it is under way, and nothing once it is settled, "
            "returned or voided; on its own indicator, and on no other.",
            _held(*_INDICATOR),
            _RESERVING,
        ),
        SqlCheck("The same on its quota.", _held(*_QUOTA), _RESERVING),
        SqlCheck(
            "What the indicator counts as paid for a request is what its receipt says was paid, in one entry.",
            _paid(*_INDICATOR, "paid"),
        ),
        SqlCheck("The same on its quota.", _paid(*_QUOTA, "spent")),
    ),
)
