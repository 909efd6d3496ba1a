"""Zero-balance accounts by our own books: money in, money out, and what is left."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection

from core.money import FEN

# Payments leave the account and their clearing refills it; a refund enters it and its clearing takes it away. What was
# taken over from before this system is cleared by definition; only refunds of it count.
_QUERY = """
WITH movements AS (
    SELECT r.payer_account_id AS account_id, x.paid_on AS on_date, 0 AS paid_in, x.amount_paid AS paid_out
      FROM payments_receiptline x JOIN payments_paymentdetail d ON d.id = x.detail_id
      JOIN payments_paymentrequest r ON r.id = d.request_id
     WHERE x.adm_div_code = %(region)s AND x.paid_on <= %(date)s AND x.amount_paid > 0 AND NOT r.imported
    UNION ALL
    SELECT r.payer_account_id, x.refunded_on, x.amount, 0
      FROM payments_refund x JOIN payments_paymentdetail d ON d.id = x.detail_id
      JOIN payments_paymentrequest r ON r.id = d.request_id
     WHERE x.adm_div_code = %(region)s AND x.refunded_on <= %(date)s
    UNION ALL
    SELECT r.payer_account_id, c.cleared_on,
           CASE WHEN l.refund_id IS NULL THEN l.amount ELSE 0 END,
           CASE WHEN l.refund_id IS NULL THEN 0 ELSE l.amount END
      FROM payments_clearing c JOIN payments_clearingline l ON l.clearing_id = c.id
      JOIN payments_paymentdetail d ON d.id = l.detail_id
      JOIN payments_paymentrequest r ON r.id = d.request_id
     WHERE c.adm_div_code = %(region)s AND c.cleared_on <= %(date)s AND (l.refund_id IS NOT NULL OR NOT r.imported)
)
SELECT a.account_no, a.name, b.name,
       COALESCE(sum(m.paid_in - m.paid_out) FILTER (WHERE m.on_date < %(date)s), 0),
       COALESCE(sum(m.paid_in) FILTER (WHERE m.on_date = %(date)s), 0),
       COALESCE(sum(m.paid_out) FILTER (WHERE m.on_date = %(date)s), 0),
       COALESCE(sum(m.paid_in - m.paid_out), 0)
  FROM parties_bankaccount a
  LEFT JOIN parties_agentbank b ON b.id = a.agent_bank_id
  LEFT JOIN movements m ON m.account_id = a.id
 WHERE a.adm_div_code = %(region)s AND a.kind IN ('finance_zero_balance', 'unit_zero_balance')
 GROUP BY a.id, a.account_no, a.name, b.name ORDER BY b.name, a.kind, a.account_no
"""


@dataclass(frozen=True)
class ZeroBalanceAccount:
    """One account on one day, in yuan; `closing` must be 0.00 before the day can close."""

    account_no: str
    name: str
    bank_name: str
    opening: Decimal
    paid_in: Decimal
    paid_out: Decimal
    closing: Decimal


def zero_balance_accounts(adm_div_code: str, day: date) -> list[ZeroBalanceAccount]:
    """Return every zero-balance account of the region (one query)."""
    with connection.cursor() as cursor:
        cursor.execute(_QUERY, {"region": adm_div_code, "date": day})
        return [
            ZeroBalanceAccount(no, name, bank or "", *(Decimal(amount).quantize(FEN) for amount in amounts))
            for no, name, bank, *amounts in cursor.fetchall()
        ]
