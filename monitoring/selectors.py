"""Reading alerts: for a document's page, for the officer's queue, and as statistics."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from core.money import ZERO
from monitoring.levels import Severity
from monitoring.models import Alert
from monitoring.registry import RULES
from monitoring.states import AlertState


def alerts_of(document_id: UUID) -> QuerySet[Alert]:
    """Return a document's alerts, latest revision first, with what was decided."""
    alerts = Alert.objects.filter(document_id=document_id).select_related("disposition")
    return alerts.order_by("-revision", "rule_code")


def pending_alerts(adm_div_code: str) -> QuerySet[Alert]:
    """Return what waits for a monitoring officer, oldest first."""
    return Alert.objects.filter(adm_div_code=adm_div_code, state=AlertState.PENDING).order_by("raised_at", "pk")


@dataclass(frozen=True)
class SeverityRow:
    """Documents whose highest severity is this one, each once, and the sum of their amounts in yuan."""

    severity: Severity
    count: int
    amount: Decimal


@dataclass(frozen=True)
class RuleRow:
    """Hits of one rule, one for each document revision, and what became of them; `amount` in yuan."""

    code: str
    name: str
    count: int
    amount: Decimal
    pending: int
    passed: int
    rejected: int
    blocked: int


def statistics(adm_div_code: str, fiscal_year: int, on: date | None = None) -> list[SeverityRow]:
    """Return one row for each severity, mildest first, also where nothing was hit.

    A document counts once, under its highest severity and with the amount of its latest revision there.
    Source: docs/monitoring.md.
    """
    ranks = "CASE severity WHEN 'red' THEN 3 WHEN 'orange' THEN 2 ELSE 1 END"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT severity, count(*), sum(amount)
              FROM (SELECT DISTINCT ON (document_id) severity, amount
                      FROM monitoring_alert
                     WHERE adm_div_code = %s AND fiscal_year = %s AND (%s::date IS NULL OR business_date = %s)
                     ORDER BY document_id, {ranks} DESC, revision DESC) highest
             GROUP BY severity
            """,
            [adm_div_code, fiscal_year, on, on],
        )
        found = {severity: (count, amount) for severity, count, amount in cursor.fetchall()}
    return [SeverityRow(severity, *found.get(severity.value, (0, ZERO))) for severity in Severity]


def rule_statistics(adm_div_code: str, fiscal_year: int, on: date | None = None) -> list[RuleRow]:
    """Return one row for each rule that was hit, by code; a document counts under every rule it met."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT rule_code, count(*), sum(amount),
                   count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'passed'),
                   count(*) FILTER (WHERE state = 'rejected'), count(*) FILTER (WHERE state = 'blocked')
              FROM monitoring_alert
             WHERE adm_div_code = %s AND fiscal_year = %s AND (%s::date IS NULL OR business_date = %s)
             GROUP BY rule_code ORDER BY rule_code
            """,
            [adm_div_code, fiscal_year, on, on],
        )
        return [RuleRow(code, RULES[code].name, *rest) for code, *rest in cursor.fetchall()]
