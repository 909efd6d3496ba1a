"""I08: numbers run from 1 to the counter without a gap, a double or a stranger."""

import re
from collections import defaultdict
from collections.abc import Iterator
from string import Formatter

from django.db import connection

from core.models import NumberRule
from core.numbering import DEFAULT_PATTERN
from reconciliation.audit.findings import CodeCheck, Finding, Invariant, Scope, in_region

Series = tuple[str, int, str]

_COUNTERS = f"SELECT adm_div_code, fiscal_year, kind, last, id::text FROM core_numbercounter c WHERE {in_region('c')}"
_NUMBERS = f"""
SELECT adm_div_code, fiscal_year, voucher_type AS kind, voucher_no AS number, id::text, 'vouchers_voucher'
  FROM vouchers_voucher v WHERE {in_region("v")}
UNION ALL
SELECT adm_div_code, fiscal_year, 'request', request_no, id::text, 'payments_paymentrequest'
  FROM payments_paymentrequest r WHERE NOT imported AND {in_region("r")}
UNION ALL
SELECT adm_div_code, fiscal_year, 'plan', plan_no, id::text, 'budget_spendingplan'
  FROM budget_spendingplan p WHERE {in_region("p")}
UNION ALL
SELECT adm_div_code, fiscal_year, 'income', income_no, id::text, 'budget_unitincome'
  FROM budget_unitincome i WHERE {in_region("i")}
UNION ALL
SELECT adm_div_code, fiscal_year, 'salary', roster_no, id::text, 'payroll_salarybatch'
  FROM payroll_salarybatch b WHERE {in_region("b")}
UNION ALL
SELECT adm_div_code, fiscal_year, 'benefit', roster_no, id::text, 'payroll_benefitlist'
  FROM payroll_benefitlist l WHERE {in_region("l")}
UNION ALL
SELECT adm_div_code, fiscal_year, 'YJ', window_no, id::text, 'emergency_window'
  FROM emergency_window w WHERE {in_region("w")}
UNION ALL
SELECT adm_div_code, fiscal_year, 'indicator', indicator_no, id::text, 'budget_budgetindicator'
  FROM budget_budgetindicator i WHERE {in_region("i")}  -- those taken over at the opening keep the numbers they had
   AND NOT EXISTS (SELECT 1 FROM budget_indicatorentry e WHERE e.indicator_id = i.id AND e.kind = 'opening')
UNION ALL
SELECT adm_div_code, fiscal_year, 'correction', correction_no, id::text, 'payments_correction'
  FROM payments_correction k WHERE {in_region("k")}
UNION ALL
SELECT adm_div_code, fiscal_year, 'recall', recall_no, id::text, 'payments_recall'
  FROM payments_recall a WHERE {in_region("a")}
"""


def _without_gaps(scope: Scope) -> Iterator[Finding]:
    rules = {(rule.adm_div_code, rule.kind): rule.pattern for rule in NumberRule.objects.all()}
    seen: dict[Series, set[int]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(_COUNTERS, {"region": scope.region})
        counters = {row[:3]: row[3:] for row in cursor.fetchall()}
        cursor.execute(_NUMBERS, {"region": scope.region})
        patterns: dict[Series, re.Pattern[str]] = {}
        for region, year, kind, number, document_id, table in cursor:
            series = region, year, kind
            if series not in patterns:
                patterns[series] = number_pattern(rules.get((region, kind), DEFAULT_PATTERN), year, kind)
            found = patterns[series].fullmatch(number)
            last = counters.get(series, (0, ""))[0]
            if found is None:
                yield Finding(table, document_id, f"号码 {number} 不合 {kind} 的编号规则")
            elif not 1 <= (seq := int(found["seq"])) <= last:
                yield Finding(table, document_id, f"号码 {number} 超出 {kind} 已发出的号码（末号 {last}）")
            elif seq in seen[series]:
                yield Finding(table, document_id, f"号码 {number} 重复")
            else:
                seen[series].add(seq)
    for series, (last, counter_id) in sorted(counters.items()):
        missing = set(range(1, last + 1)) - seen[series]
        for seq in sorted(missing):
            yield Finding("core_numbercounter", counter_id, f"{series[2]} 缺第 {seq} 号（末号 {last}）")


def number_pattern(pattern: str, year: int, kind: str) -> re.Pattern[str]:
    """Turn `ZF{seq:04d}` into the expression that reads such numbers back, with the group `seq`."""
    parts = []
    for literal, name, _spec, _conversion in Formatter().parse(pattern):
        parts.append(re.escape(literal))
        if name is not None:
            known = {"year": str(year), "kind": re.escape(kind), "seq": "(?P<seq>[0-9]+)"}
            parts.append(known.get(name, "(?!)"))
    return re.compile("".join(parts), re.ASCII)


I08 = Invariant(
    "I08",
    "编号连续无缺号",
    (
        CodeCheck(
            "For every region, year and kind the numbers in use, voided ones included, are exactly 1 … the counter.",
            _without_gaps,
        ),
    ),
)
