"""I26: a correction moves a paid amount from one indicator to another by PBoC's word, and nets to nothing."""

from collections.abc import Iterator

from payments.states import CORRECTION_HOLDS
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, SqlCheck, in_region
from reconciliation.audit.invariants.messages import contents, signatures_hold

_TYPES = ("5253", "5351")
_HOLDS = {"holds": sorted(CORRECTION_HOLDS)}


def _carried(entries: str, account: str, sides: tuple[str, str], column: str) -> str:
    """What each correction did to either side: nothing before it was executed, its amount each way after."""
    return f"""
WITH wanted AS (
    SELECT c.id, s.account_id, s.amount FROM payments_correction c
     CROSS JOIN LATERAL (VALUES (c.{sides[0]}, -c.amount), (c.{sides[1]}, c.amount)) s (account_id, amount)
     WHERE c.state = 'executed' AND c.to_indicator_id <> c.from_indicator_id AND {in_region("c")}
), posted AS (
    SELECT document_id, {account} AS account_id, sum({column}_change) AS amount FROM {entries} e
     WHERE kind LIKE 'correct%%' AND {column}_change <> 0 AND {in_region("e")} GROUP BY 1, 2
)
SELECT 'payments_correction' AS "table", COALESCE(w.id, p.document_id)::text AS id,
       concat('更正 ', c.correction_no, '（', c.state, '）应记 ', COALESCE(w.amount, 0), '，账上 ',
              COALESCE(p.amount, 0), '（{entries}）') AS explanation,
       COALESCE(p.amount, 0) - COALESCE(w.amount, 0) AS delta
  FROM wanted w FULL JOIN posted p ON p.document_id = w.id AND p.account_id = w.account_id
  LEFT JOIN payments_correction c ON c.id = COALESCE(w.id, p.document_id)
 WHERE COALESCE(w.amount, 0) <> COALESCE(p.amount, 0)
"""


def _held(entries: str, account: str, target: str) -> str:
    return f"""
WITH held AS (
    SELECT id, {target} AS account_id, amount FROM payments_correction c
     WHERE state = ANY(%(holds)s) AND to_indicator_id <> from_indicator_id AND {in_region("c")}
), posted AS (
    SELECT document_id, {account} AS account_id, sum(reserved_change) AS amount FROM {entries} e
     WHERE kind LIKE 'correct%%' AND reserved_change <> 0 AND {in_region("e")} GROUP BY 1, 2
)
SELECT 'payments_correction' AS "table", COALESCE(h.id, p.document_id)::text AS id,
       concat('更正应占用 ', COALESCE(h.amount, 0), '，账上 ', COALESCE(p.amount, 0), '（{entries}）') AS explanation,
       COALESCE(p.amount, 0) - COALESCE(h.amount, 0) AS delta
  FROM held h FULL JOIN posted p ON p.document_id = h.id AND p.account_id = h.account_id
 WHERE COALESCE(h.amount, 0) <> COALESCE(p.amount, 0)
"""


_BY_RECEIPT = f"""
SELECT 'payments_correction' AS "table", c.id::text AS id,
       concat('更正 ', c.correction_no, ' 为 ', c.state, '，国库回单：',
              CASE WHEN x.id IS NULL THEN '无' WHEN x.executed THEN '已处理' ELSE '未处理' END) AS explanation,
       NULL::numeric AS delta
  FROM payments_correction c LEFT JOIN payments_correctionreceipt x ON x.correction_id = c.id
 WHERE {in_region("c")}
   AND (CASE WHEN x.executed THEN 'executed' WHEN x.id IS NOT NULL THEN 'failed' END)
       IS DISTINCT FROM (CASE WHEN c.state IN ('executed', 'failed') THEN c.state END)
"""

_WITHIN = f"""
SELECT 'payments_correction' AS "table", c.id::text AS id,
       concat('更正 ', c.correction_no, ' 换了单位、资金性质、支付方式，或超过原支付') AS explanation,
       c.amount - d.amount AS delta
  FROM payments_correction c JOIN payments_paymentdetail d ON d.id = c.detail_id
  JOIN payments_paymentrequest r ON r.id = d.request_id
  JOIN budget_budgetindicator f ON f.id = c.from_indicator_id
  JOIN budget_budgetindicator t ON t.id = c.to_indicator_id
 WHERE {in_region("c")}
   AND ((c.unit_id, f.id, f.fund_nature, f.payment_mode) IS DISTINCT FROM (r.unit_id, r.indicator_id, t.fund_nature,
                                                                           t.payment_mode)
        OR t.unit_id <> c.unit_id OR c.amount > d.amount)
"""

_STORED = """
SELECT c.id::text, x.executed FROM payments_correctionreceipt x JOIN payments_correction c ON c.id = x.correction_id
 WHERE x.message_id = %(id)s
"""


def _as_signed(scope: Scope) -> Iterator[Finding]:
    for message in contents(scope, _TYPES, flag=1, states=("applied",), query=_STORED):
        for correction_id, executed in message.rows:
            lines = message.content.details if message.content else ()
            if message.identity[2] == "5351":
                said = bool(lines) and all(line.get("XDealResult") == "1" for line in lines)
            else:
                said = bool(lines) and all(line.get("XPayAmt") == line["PayAmt"] for line in lines)
            if said is not executed:
                yield Finding(
                    "payments_correction", correction_id, f"更正回单 {message.identity[3]} 的原文与登记的不同"
                )


def _signatures(scope: Scope) -> Iterator[Finding]:
    return signatures_hold(scope, _TYPES)


_INDICATORS, _QUOTAS = ("budget_indicatorentry", "indicator_id"), ("budget_quotaentry", "quota_id")

I26 = Invariant(
    "I26",
    "更正净额为零，只凭国库回单",
    (
        SqlCheck(
            "An executed correction took its amount from one indicator's paid and gave it to the other's; none else.",
            _carried(*_INDICATORS, ("from_indicator_id", "to_indicator_id"), "paid"),
        ),
        SqlCheck("The same on the quotas.", _carried(*_QUOTAS, ("from_quota_id", "to_quota_id"), "spent")),
        SqlCheck(
            "A correction holds its amount on the target while it is under way, and nothing after.",
            _held(*_INDICATORS, "to_indicator_id"),
            _HOLDS,
        ),
        SqlCheck("The same on the quota.", _held(*_QUOTAS, "to_quota_id"), _HOLDS),
        SqlCheck("It is executed, or failed, exactly when PBoC's receipt says so.", _BY_RECEIPT),
        SqlCheck("Unit, fund and method stay, and it is no more than was paid.", _WITHIN),
        CodeCheck("What the receipt's signed text says is what was kept of it.", _as_signed),
        CodeCheck("PBoC's signature over each receipt holds.", _signatures),
    ),
)
