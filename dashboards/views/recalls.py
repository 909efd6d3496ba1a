"""Giving up, withdrawing, letting salaries through after the cut-off: buttons on a payment, and their queues."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from core.errors import TreasuryError
from dashboards import selectors
from dashboards.acting import Done, chosen, done, next_page, perform, uuid_or_none
from dashboards.desk import READERS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.exception_queues import RECALL_DECIDERS, waiting_exemptions, waiting_recalls
from dashboards.forms import text_of
from dashboards.refusals import findings_of
from dashboards.views.payments import numbers
from payments import services
from payments.models import Recall
from payments.recalls import recalls_for


@require_GET
@officer(*READERS)
def recall_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List recalls with what their banks said last, and the salaries that ask to be let through."""
    return _list(request, desk)


def _list(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    page = selectors.page_of(recalls_for(desk.actor), uuid_or_none(request.GET.get("before")))
    decides = desk.holds(*RECALL_DECIDERS)
    context = {
        "rows": page.rows,
        "following": page.following,
        "waiting": list(waiting_recalls(desk)[:200]) if decides else [],
        "exemptions": list(waiting_exemptions(desk)[:200]),
        "decides": decides,
        "me": desk.actor.person_id,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "exceptions/recalls.html", context, status=error.http_status if error else 200)


def _back(request: HttpRequest) -> str:
    return next_page(request, reverse("recall-list"))


@action("recall-list")
@officer("unit_clerk")
def ask(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Ask to withdraw payments that are with the bank."""

    def do() -> Done:
        ids, reason = chosen(request), text_of(request.POST, "reason", "撤回原因", most=200)
        outcome = services.ask_recalls(request_ids=ids, clerk=desk.actor, reason=reason, now=desk.now)
        return done(outcome, verb="申请撤回，等待财政批准", next=_back(request), numbers=numbers(ids))

    return perform(request, desk, do)


@action("recall-list")
@officer(*RECALL_DECIDERS)
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Agree that banks are asked (`decision` approve), or not (reject) with a reason."""

    def do() -> Done:
        decision = request.POST.get("decision", "")
        if decision not in ("approve", "reject"):
            raise ChoiceInvalid("请选择同意或不同意。", field="decision")
        ids = chosen(request)
        outcome = services.decide_recalls(
            recall_ids=ids,
            officer=desk.actor,
            approve=decision == "approve",
            reason=text_of(request.POST, "reason", "意见"),
            now=desk.now,
        )
        verb = "同意撤回，已请银行停付" if decision == "approve" else "不同意撤回"
        return done(outcome, verb=verb, next=reverse("recall-list"), numbers=_recall_numbers(ids), no="recall_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


def _recall_numbers(ids: list[UUID]) -> dict[UUID, str]:
    return dict(Recall.objects.filter(pk__in=ids).values_list("pk", "recall_no"))


@action("payment-list")
@officer("unit_clerk")
def give_up(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give up approved requests of which no voucher exists; what they held is released."""

    def do() -> Done:
        ids, reason = chosen(request), text_of(request.POST, "reason", "作废原因", most=300)
        outcome = services.give_up_payment_requests(request_ids=ids, clerk=desk.actor, reason=reason, now=desk.now)
        back = next_page(request, reverse("payment-list"))
        return done(outcome, verb="作废并释放额度", next=back, numbers=numbers(ids))

    return perform(request, desk, do)


@action("recall-list")
@officer("unit_clerk")
def ask_exemption(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Ask that salaries may still leave today."""

    def do() -> Done:
        ids, reason = chosen(request), text_of(request.POST, "reason", "放行理由", most=200)
        outcome = services.ask_exemptions(request_ids=ids, clerk=desk.actor, reason=reason, now=desk.now)
        return done(outcome, verb="申请截止后放行", next=_back(request), numbers=numbers(ids))

    return perform(request, desk, do)


@action("recall-list")
@officer(*RECALL_DECIDERS)
def approve_exemption(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Let salaries through that their units have asked for today."""

    def do() -> Done:
        ids = chosen(request)
        outcome = services.approve_exemptions(request_ids=ids, officer=desk.actor, now=desk.now)
        return done(outcome, verb="放行", next=reverse("recall-list"), numbers=numbers(ids))

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))
