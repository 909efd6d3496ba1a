"""What keeps a budget year open: everything in one list, so that it can be cleared away at one go. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from budget.methods import Control, controlled_by
from core.errors import Conflict


@dataclass(frozen=True)
class YearBlocker:
    """One reason a year cannot be closed: a stable code, a sentence, how many, a few names, where it is dealt with."""

    code: str
    text: str
    count: int
    names: tuple[str, ...]
    url_name: str


class YearNotClosable(Conflict):
    """The year cannot be closed yet; `blockers` has every reason there is."""

    code = "year_not_closable"

    def __init__(self, blockers: Sequence[YearBlocker]) -> None:
        super().__init__(
            "不能年结：" + "；".join(blocker.text for blocker in blockers),
            field="fiscal_year",
            blockers=[blocker.code for blocker in blockers],
        )
        self.blockers = list(blockers)


def year_blockers(adm_div_code: str, fiscal_year: int) -> list[YearBlocker]:
    """Return everything that keeps this year open, each with up to five names; empty if it may be closed."""
    found = []
    with connection.cursor() as cursor:
        for code, text, url_name, query in _QUERIES:
            cursor.execute(
                f"SELECT count(*), (array_agg(name ORDER BY name))[1:5] FROM ({query}) x (name)",
                {
                    "region": adm_div_code,
                    "year": fiscal_year,
                    "next": fiscal_year + 1,
                    "by_notice": controlled_by(Control.QUOTA),
                },
            )
            count, names = cursor.fetchone()
            if count:
                shown = "、".join(names) + ("等" if count > len(names) else "")
                found.append(YearBlocker(code, f"{text} {count} 项：{shown}", count, tuple(names), url_name))
    return found


_OF_YEAR = "adm_div_code = %(region)s AND fiscal_year = %(year)s"


def _of_year(alias: str) -> str:
    return f"{alias}.adm_div_code = %(region)s AND {alias}.fiscal_year = %(year)s"


_UNUSED = """
CASE i.layer WHEN 'department' THEN i.amount_total - i.amount_frozen - i.amount_planned
             ELSE i.amount_total - i.amount_frozen - i.amount_reserved - i.amount_paid + i.amount_refunded END"""

# code, sentence, page, a query of one column of names; each looks at one kind of thing still under way.
_QUERIES: tuple[tuple[str, str, str, str], ...] = (
    (
        "days_left",
        "本年度还有未办的工作日",
        "day-list",
        """SELECT to_char(w.date, 'YYYY-MM-DD') FROM core_workday w
            WHERE w.worked AND extract(year FROM w.date) = %(year)s
              AND w.date > (SELECT max(date) FROM core_businessday WHERE adm_div_code = %(region)s)""",
    ),
    (
        "in_transit",
        "指标有在途支付",
        "payment-list",
        f"SELECT indicator_no FROM budget_budgetindicator WHERE {_OF_YEAR} AND amount_reserved <> 0",
    ),
    (
        "quota_in_transit",
        "额度有在途支付",
        "payment-list",
        f"""SELECT i.indicator_no FROM budget_quota q JOIN budget_budgetindicator i ON i.id = q.indicator_id
             WHERE {_of_year("q")} AND q.amount_reserved <> 0""",
    ),
    (
        "frozen",
        "指标仍有冻结，须先解冻或收回",
        "document-list",
        f"SELECT indicator_no FROM budget_budgetindicator WHERE {_OF_YEAR} AND amount_frozen <> 0",
    ),
    (
        "documents_pending",
        "指标文未办结",
        "document-list",
        f"""SELECT doc_no FROM budget_indicatordocument
             WHERE {_OF_YEAR} AND state IN ('in_review', 'leader', 'approved')""",
    ),
    (
        "plans_pending",
        "用款计划未办结",
        "plan-list",
        f"""SELECT plan_no FROM budget_spendingplan
             WHERE {_OF_YEAR} AND (state IN ('in_review', 'notified') OR state = 'approved'
                                   AND payment_mode = ANY(%(by_notice)s))""",
    ),
    (
        "quota_left",
        "授权额度尚未注销",
        "year-end",
        f"""SELECT i.indicator_no FROM budget_quota q JOIN budget_budgetindicator i ON i.id = q.indicator_id
             WHERE {_of_year("q")} AND q.payment_mode = ANY(%(by_notice)s)
               AND q.amount_granted - q.amount_reserved - q.amount_spent + q.amount_refunded <> 0""",
    ),
    (
        "limits_left",
        "清算额度仍有余额（有已支付未清算，或额度未注销）",
        "clearing",
        # A direct limit has room for what was paid and not cleared; what a refund gave back to it is no quota that
        # could be cancelled, and lapses when the year is closed.
        f"""SELECT concat(b.name, ' ', l.payment_mode, '/', l.fund_nature) FROM budget_clearinglimit l
              JOIN parties_agentbank b ON b.id = l.agent_bank_id
             WHERE {_of_year("l")}
               AND l.amount_issued - l.amount_cleared
                   + CASE WHEN l.payment_mode = ANY(%(by_notice)s) THEN l.amount_refunded ELSE 0 END <> 0""",
    ),
    (
        "deliveries_open",
        "凭证尚未送达对方",
        "exchange-monitor",
        """SELECT v.voucher_no FROM vouchers_delivery d JOIN vouchers_voucher v ON v.id = d.voucher_id
            WHERE d.adm_div_code = %(region)s AND v.fiscal_year = %(year)s
              AND d.state IN ('queued', 'sending', 'unknown')""",
    ),
    (
        "inbox_open",
        "来文尚未处理",
        "exchange-monitor",
        f"SELECT voucher_no FROM vouchers_inboxmessage WHERE {_OF_YEAR} AND state IN ('received', 'parked')",
    ),
    (
        "carry_overs_missing",
        "未用余额尚无已审批的结转",
        "year-end",
        f"""SELECT i.indicator_no FROM budget_budgetindicator i
              LEFT JOIN budget_carryover c ON c.indicator_id = i.id AND c.state IN ('approved', 'applied')
                                          AND c.unused = {_UNUSED}
             WHERE {_of_year("i")} AND c.id IS NULL AND {_UNUSED} <> 0""",
    ),
    (
        "carry_overs_outdated",
        "结转已审批而余额已变",
        "year-end",
        f"""SELECT i.indicator_no FROM budget_carryover c JOIN budget_budgetindicator i ON i.id = c.indicator_id
             WHERE {_of_year("c")} AND c.state = 'approved'
               AND c.unused <> {_UNUSED}""",
    ),
    (
        "next_year_missing",
        "下一预算年度尚未建立",
        "admin:index",
        """SELECT %(next)s::text WHERE NOT EXISTS (SELECT 1 FROM budget_budgetyear
            WHERE adm_div_code = %(region)s AND fiscal_year = %(next)s AND state = 'open')""",
    ),
    (
        "codes_missing",
        "下一年度没有结转指标所用的科目",
        "code-tables",
        f"""SELECT DISTINCT x.code FROM budget_carryover c JOIN budget_budgetindicator i ON i.id = c.indicator_id
             CROSS JOIN LATERAL (VALUES ('function', i.function_code), ('gov_economic', i.gov_economic_code),
                                        ('fund_nature', i.fund_nature)) x (kind, code)
             WHERE {_of_year("c")} AND c.state = 'approved' AND c.amount > 0
               AND NOT EXISTS (SELECT 1 FROM budget_classificationcode k
                                WHERE k.fiscal_year = %(next)s AND k.kind = x.kind AND k.code = x.code)""",
    ),
)
