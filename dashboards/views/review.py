"""The review queue: a list with a pane beside it, and decisions on one or many."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from core.errors import TreasuryError
from core.outcomes import Outcome
from dashboards import selectors
from dashboards.acting import Done, chosen, done, next_page, perform, uuid_or_none
from dashboards.desk import Desk, action, officer
from dashboards.forms import text_of
from dashboards.navigation import REVIEW_POSTS
from dashboards.refusals import findings_of
from dashboards.signing import proof_of
from dashboards.views.payments import find_request, numbers, track_context
from payments.deadlines import waiting_reviews
from payments.models import PaymentRequest
from payments.services import (
    RETURN_REASONS,
    approve_payment_requests,
    reject_payment_requests,
    return_payment_requests,
)

AT_ONCE = 200


@require_GET
@officer(*REVIEW_POSTS, delegable=True)
def review_queue(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show what waits for the officer, oldest first, and the selected request (`?sel=`) beside it."""
    if request.htmx and request.htmx.target == "pane":
        return render(request, "review/_pane.html", _pane(desk, uuid_or_none(request.GET.get("sel"))))
    return _page(request, desk)


def _page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    after = uuid_or_none(request.GET.get("after"))
    queue = selectors.review_queue(desk)
    waiting = list((queue.filter(id__gt=after) if after else queue)[: AT_ONCE + 1])
    rows = selectors.queue_rows(waiting[:AT_ONCE], reviewer=desk.actor)
    ticked = {uuid_or_none(text) for text in request.POST.getlist("ids")}
    ids = [row.request.id for row in rows]
    selected = uuid_or_none(request.GET.get("sel")) or next((pk for pk in ids if pk in ticked), None)
    if selected not in ids and "sel" not in request.GET:
        selected = ids[0] if ids else None
    deadlines = waiting_reviews(
        desk.actor.adm_div_code, now=desk.now, requests=PaymentRequest.objects.filter(pk__in=ids)
    )
    context = {
        "deadlines": {one.document_id: one for one in deadlines},
        "now": desk.now,
        "rows": rows,
        "total": selectors.total_of(row.request for row in rows),
        "following": str(ids[-1]) if len(waiting) > AT_ONCE else "",
        "ticked": ticked if error else set(),
        "selected": selected,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
        **_pane(desk, selected, rows),
    }
    return render(request, "review/queue.html", context, status=error.http_status if error else 200)


def _pane(desk: Desk, selected: UUID | None, rows: list[selectors.QueueRow] | None = None) -> dict[str, Any]:
    """Return the selected request with its track; one that is no longer in the queue is shown with its state."""
    if selected is None:
        return {"payment": None, "reasons": RETURN_REASONS}
    payment = find_request(desk, selected)
    waiting = selectors.review_queue(desk).filter(pk=selected)
    row = next((row for row in rows or [] if row.request.id == selected), None)
    if row is None:
        row = next(iter(selectors.queue_rows(list(waiting), reviewer=desk.actor)), None)
    barred = row.barred if row else f"本单当前为「{payment.get_state_display()}」，不在您的待审之列。"
    return track_context(desk, payment) | {"barred": barred, "selected": selected}


@action("review-queue")
@officer(*REVIEW_POSTS, delegable=True)
def approve(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Approve requests at the node each waits at, and say for each what became of it."""
    return _decide(
        request, desk, "通过", lambda ids: approve_payment_requests(request_ids=ids, **_common(request, desk))
    )


@action("review-queue")
@officer(*REVIEW_POSTS, delegable=True)
def send_back(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Return requests to their clerks with a coded reason."""
    return _decide(
        request,
        desk,
        "退回",
        lambda ids: return_payment_requests(request_ids=ids, **_common(request, desk), **_reason(request)),
    )


@action("review-queue")
@officer(*REVIEW_POSTS, delegable=True)
def reject(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Reject requests for good with a coded reason."""
    return _decide(
        request,
        desk,
        "否决",
        lambda ids: reject_payment_requests(request_ids=ids, **_common(request, desk), **_reason(request)),
    )


def acting_query(desk: Desk) -> str:
    """Return what keeps a page with whoever acts for another."""
    return f"?for={desk.actor.delegation_id}" if desk.actor.delegation_id else ""


def _common(request: HttpRequest, desk: Desk) -> dict[str, Any]:
    return {"reviewer": desk.actor, "now": desk.now, "proof": proof_of(request)}


def _reason(request: HttpRequest) -> dict[str, str]:
    return {"reason_code": request.POST.get("reason_code", ""), "reason": text_of(request.POST, "reason", "意见")}


def _decide(
    request: HttpRequest, desk: Desk, verb: str, service: Callable[[list[UUID]], Outcome[PaymentRequest]]
) -> HttpResponse:
    def do() -> Done:
        ids = chosen(request)
        back = next_page(request, reverse("review-queue") + acting_query(desk))
        return done(service(ids), verb=verb, next=back, numbers=numbers(ids))

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))
