"""Clearing: what PBoC may clear for each bank, and what it has cleared."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from budget.codes import CodeKind
from budget.models import ClearingLimit
from budget.selectors import code_names
from dashboards import selectors
from dashboards.acting import uuid_or_none
from dashboards.desk import BUREAU_READERS, Desk, officer
from payments.models import Clearing


@require_GET
@officer(*BUREAU_READERS)
def clearing_page(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show clearing limits with their entries, and clearings with their lines."""
    code, year = desk.actor.adm_div_code, desk.fiscal_year
    limits = list(
        ClearingLimit.objects.filter(adm_div_code=code, fiscal_year=year)
        .select_related("agent_bank")
        .prefetch_related("entries")
        .order_by("agent_bank__code", "payment_mode", "fund_nature")
    )
    clearings = Clearing.objects.filter(adm_div_code=code, fiscal_year=year).select_related("agent_bank")
    page = selectors.page_of(
        clearings.prefetch_related("lines__detail__request", "lines__refund"), uuid_or_none(request.GET.get("before"))
    )
    funds = {row.fund_nature for row in (*limits, *page.rows)}
    context = {
        "limits": limits,
        "clearings": page.rows,
        "following": page.following,
        "funds": code_names(year, CodeKind.FUND_NATURE, funds),
    }
    return render(request, "clearing.html", context)
