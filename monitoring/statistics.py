"""Figures of monitoring (§ statistics of docs/monitoring.md), and beneath each figure the list that adds up to it.

One row of a list is one document, under its highest level there and with its latest amount at that level; by rule it
is one hit. Figures are sums over the list, whichever is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import TextChoices

from monitoring.levels import Severity
from monitoring.registry import RULES


class By(TextChoices):
    """What the figures are grouped by."""

    LEVEL = "level", "级别"
    RULE = "rule", "规则"
    UNIT = "unit", "预算单位"
    SECTION = "section", "业务科室"
    MONTH = "month", "月份"


_KEY = {
    By.LEVEL: "''",  # a document has one level: its highest; set after it is chosen
    By.RULE: "a.rule_code",
    By.UNIT: "a.unit_code",
    By.SECTION: "a.section",
    By.MONTH: "to_char(a.business_date, 'YYYY-MM')",
}
_ONE = {
    By.LEVEL: "a.document_id",
    By.RULE: "a.rule_code, a.document_id, a.revision",  # a hit, and not a document, is counted once
}
_RANK = "CASE a.severity WHEN 'red' THEN 3 WHEN 'orange' THEN 2 ELSE 1 END"
_STATE = (
    "CASE a.state WHEN 'blocked' THEN 1 WHEN 'rejected' THEN 2 WHEN 'pending' THEN 3 WHEN 'passed' THEN 4 ELSE 5 END"
)


@dataclass(frozen=True)
class Filter:
    """Which alerts are counted: a region's and a year's, between two business days, both included."""

    adm_div_code: str
    fiscal_year: int
    since: date | None = None
    until: date | None = None
    units: Sequence[str] | None = None


@dataclass(frozen=True)
class Figure:
    """One row of the statistics; amounts in yuan.

    `hours` is the average time from a hit to its decision, `false_rate` the part of the decided ones that were found
    in order; None where nothing was decided. `blocked` counts what was not paid: stopped by a rule or sent back.
    """

    key: str
    label: str
    count: int
    amount: Decimal
    blocked: int
    blocked_amount: Decimal
    passed: int
    passed_amount: Decimal
    pending: int
    decided: int
    hours: Decimal | None
    false_rate: Decimal | None


@dataclass(frozen=True)
class Row:
    """One row of the list beneath a figure."""

    alert_id: UUID
    document_id: UUID
    document_type: str
    document_no: str
    revision: int
    rule_code: str
    severity: str
    state: str
    unit_code: str
    section: str
    business_date: date
    amount: Decimal
    raised_at: datetime
    decided_at: datetime | None
    false_alarm: bool

    @property
    def rule_name(self) -> str:
        return RULES[self.rule_code].name


def figures(by: By, where: Filter) -> list[Figure]:
    """Return the figures of each level (also where nothing was hit), rule, unit, section or month."""
    picked, arguments = _picked(by, where)
    key = "severity" if by == By.LEVEL else "key"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {key}, count(*), sum(amount),
                   count(*) FILTER (WHERE state IN ('blocked', 'rejected')),
                   COALESCE(sum(amount) FILTER (WHERE state IN ('blocked', 'rejected')), 0),
                   count(*) FILTER (WHERE state = 'passed'),
                   COALESCE(sum(amount) FILTER (WHERE state = 'passed'), 0),
                   count(*) FILTER (WHERE state = 'pending'), count(decided_at),
                   avg(extract(epoch FROM decided_at - raised_at) / 3600),
                   avg(CASE WHEN decided_at IS NULL THEN NULL WHEN false_alarm THEN 1 ELSE 0 END)
              FROM ({picked}) picked
             GROUP BY 1 ORDER BY 1
            """,
            arguments,
        )
        found = [_figure(by, row) for row in cursor.fetchall()]
    if by != By.LEVEL:
        return found
    known = {figure.key: figure for figure in found}
    return [known.get(level.value, _figure(by, (level.value, *_NOTHING))) for level in Severity]


_NOTHING = (0, Decimal("0.00"), 0, Decimal("0.00"), 0, Decimal("0.00"), 0, 0, None, None)


def _figure(by: By, row: Sequence[Any]) -> Figure:
    key, count, amount, blocked, blocked_amount, passed, passed_amount, pending, decided, hours, false_rate = row
    return Figure(
        key=key,
        label=_label(by, key),
        count=count,
        amount=amount,
        blocked=blocked,
        blocked_amount=blocked_amount,
        passed=passed,
        passed_amount=passed_amount,
        pending=pending,
        decided=decided,
        hours=None if hours is None else Decimal(hours).quantize(Decimal("0.1")),
        false_rate=None if false_rate is None else Decimal(false_rate).quantize(Decimal("0.0001")),
    )


def _label(by: By, key: str) -> str:
    if by == By.LEVEL:
        return str(Severity(key).label)
    if by == By.RULE:
        return f"{key} {RULES[key].name}" if key in RULES else key
    return key or "未注明"


def rows(by: By, key: str, where: Filter) -> list[Row]:
    """Return the list whose rows add up to the figure of this key, newest first; all of it."""
    picked, arguments = _picked(by, where)
    column = "severity" if by == By.LEVEL else "key"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT alert_id, document_id, document_type, document_no, revision, rule_code, severity, state, unit_code,
                   section, business_date, amount, raised_at, decided_at, false_alarm
              FROM ({picked}) picked WHERE {column} = %s ORDER BY raised_at DESC, alert_id DESC
            """,
            [*arguments, key],
        )
        return [Row(*row) for row in cursor.fetchall()]


def totals(where: Filter) -> Figure:
    """Return the figures over all documents, each counted once."""
    picked, arguments = _picked(By.LEVEL, where)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT 'all', count(*), COALESCE(sum(amount), 0),
                   count(*) FILTER (WHERE state IN ('blocked', 'rejected')),
                   COALESCE(sum(amount) FILTER (WHERE state IN ('blocked', 'rejected')), 0),
                   count(*) FILTER (WHERE state = 'passed'),
                   COALESCE(sum(amount) FILTER (WHERE state = 'passed'), 0),
                   count(*) FILTER (WHERE state = 'pending'), count(decided_at),
                   avg(extract(epoch FROM decided_at - raised_at) / 3600),
                   avg(CASE WHEN decided_at IS NULL THEN NULL WHEN false_alarm THEN 1 ELSE 0 END)
              FROM ({picked}) picked
            """,
            arguments,
        )
        return _figure(By.UNIT, cursor.fetchone())


def _picked(by: By, where: Filter) -> tuple[str, list[Any]]:
    """The SQL of the rows that are counted, each once, and its arguments."""
    one = _ONE.get(by, f"{_KEY[by]}, a.document_id")
    query = f"""
        SELECT DISTINCT ON ({one})
               {_KEY[by]} AS key, a.id AS alert_id, a.document_id, a.document_type, a.document_no, a.revision,
               a.rule_code, a.severity, a.state, a.unit_code, a.section, a.business_date, a.amount, a.raised_at,
               COALESCE(d.at, c.closed_at) AS decided_at,
               COALESCE(d.decision = 'pass', c.verdict = 'pass', false) AS false_alarm
          FROM monitoring_alert a
          LEFT JOIN monitoring_disposition d ON d.alert_id = a.id
          LEFT JOIN monitoring_case c ON c.alert_id = a.id
         WHERE a.adm_div_code = %s AND a.fiscal_year = %s
           AND (%s::date IS NULL OR a.business_date >= %s) AND (%s::date IS NULL OR a.business_date <= %s)
           AND (%s::text[] IS NULL OR a.unit_code = ANY(%s::text[]))
         ORDER BY {one}, {_RANK} DESC, a.revision DESC, {_STATE}, a.rule_code
    """
    units = None if where.units is None else list(where.units)
    return query, [
        *(where.adm_div_code, where.fiscal_year),
        *(where.since, where.since, where.until, where.until, units, units),
    ]
