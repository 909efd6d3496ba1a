"""Alerts: held requests that wait for a monitoring officer, all alerts, and the statistics by level."""

from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from core.errors import TreasuryError
from dashboards import selectors
from dashboards.acting import Done, chosen, done, perform, uuid_or_none
from dashboards.desk import BUREAU_READERS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of
from dashboards.refusals import findings_of
from dashboards.views.payments import numbers
from monitoring.levels import Severity
from monitoring.models import Alert
from monitoring.selectors import rule_statistics, statistics
from payments.models import PaymentRequest
from payments.services import dispose_held_requests

PASS, REJECT = "pass", "reject"


@require_GET
@officer(*BUREAU_READERS, "unit_clerk")
def alert_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show held requests with the facts each rule saw, the year's alerts, and counts by level and rule."""
    return _page(request, desk)


def _page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    officer_here = desk.holds("monitor_officer")
    severity = request.GET.get("severity", "")
    mine = PaymentRequest.objects.filter(pk=OuterRef("document_id"), pk__in=selectors.visible_requests(desk.actor))
    alerts = Alert.objects.filter(
        Exists(mine), adm_div_code=desk.actor.adm_div_code, fiscal_year=desk.fiscal_year
    ).select_related("disposition")
    if severity in Severity.values:
        alerts = alerts.filter(severity=severity)
    page = selectors.page_of(alerts, uuid_or_none(request.GET.get("before")))
    bureau = desk.holds(*BUREAU_READERS)
    context = {
        "held": selectors.queue_rows(list(selectors.held_queue(desk)[:100])) if officer_here else [],
        "officer_here": officer_here,
        "alerts": page.rows,
        "following": page.following,
        "severities": Severity.choices,
        "severity": severity,
        "levels": statistics(desk.actor.adm_div_code, desk.fiscal_year) if bureau else [],
        "rules": rule_statistics(desk.actor.adm_div_code, desk.fiscal_year) if bureau else [],
        "ticked": {uuid_or_none(text) for text in request.POST.getlist("ids")},
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "monitoring/alerts.html", context, status=error.http_status if error else 200)


@action("alert-list")
@officer("monitor_officer")
def dispose(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Let held requests pass or send them back, with a reason."""

    def do() -> Done:
        ids, decision = chosen(request), request.POST.get("decision", "")
        if decision not in (PASS, REJECT):
            raise ChoiceInvalid("请选择放行或退回。", field="decision")
        outcome = dispose_held_requests(
            request_ids=ids,
            officer=desk.actor,
            passed=decision == PASS,
            reason=text_of(request.POST, "reason", "处置意见"),
            now=desk.now,
        )
        verb = "放行" if decision == PASS else "退回"
        return done(outcome, verb=verb, next=reverse("alert-list"), numbers=numbers(ids))

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))
