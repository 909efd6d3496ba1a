"""Purchases with official cards: what is still to be repaid, and the way into a repayment."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards import selectors
from dashboards.acting import uuid_or_none
from dashboards.cards import purchases_for, with_repayments
from dashboards.desk import READERS, Desk, officer


@require_GET
@officer(*READERS)
def card_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List the purchases the officer may see, newest first; a clerk ticks what a new payment is to repay."""
    page = selectors.page_of(purchases_for(desk), uuid_or_none(request.GET.get("before")))
    context = {
        "rows": with_repayments(desk, page.rows),
        "following": page.following,
        "clerk": desk.holds("unit_clerk"),
    }
    return render(request, "payments/cards.html", context)
