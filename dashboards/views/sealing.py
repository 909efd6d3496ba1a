"""Making out vouchers and sealing them: by the treasury for direct payments, by the unit for authorised ones."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from budget.models import QuotaNotice
from budget.services import seal_quota_notices
from core.errors import TreasuryError
from dashboards import selectors
from dashboards.acting import Done, chosen, done, perform
from dashboards.desk import Desk, action, officer
from dashboards.errors import TextInvalid
from dashboards.forms import text_of
from dashboards.refusals import findings_of
from dashboards.selectors import KEEPERS, MAKERS, SEALERS
from dashboards.signing import proof_of
from dashboards.views.payments import numbers
from payments.services import (
    cancel_payment_vouchers,
    issue_payment_vouchers,
    seal_payment_vouchers,
    void_refused_requests,
)
from vouchers.models import Voucher

AT_ONCE = 200


@require_http_methods(["GET", "POST"])
@officer(*MAKERS)
def make_page(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show approved requests, unsealed vouchers and what banks refused; POST makes out vouchers."""
    if request.method == "GET":
        return _make(request, desk)

    def do() -> Done:
        ids = chosen(request)
        outcome = issue_payment_vouchers(request_ids=ids, maker=desk.actor, now=desk.now)
        return done(outcome, verb="制单", next=reverse("voucher-make"), numbers=numbers(ids))

    return perform(request, desk, do, failed=lambda error: _make(request, desk, error))


@action("voucher-make")
@officer(*MAKERS)
def cancel_vouchers(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Void vouchers that are not sealed yet; the requests wait for a new one."""

    def do() -> Done:
        ids = chosen(request)
        reason = _reason(request)
        outcome = cancel_payment_vouchers(request_ids=ids, maker=desk.actor, reason=reason, now=desk.now)
        return done(outcome, verb="撤销制单", next=reverse("voucher-make"), numbers=numbers(ids))

    return perform(request, desk, do, failed=lambda error: _make(request, desk, error))


@action("voucher-make")
@officer(*MAKERS)
def void_refused(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give up requests whose voucher the bank refused; what they held is released."""

    def do() -> Done:
        ids = chosen(request)
        outcome = void_refused_requests(request_ids=ids, maker=desk.actor, reason=_reason(request), now=desk.now)
        return done(outcome, verb="作废", next=reverse("voucher-make"), numbers=numbers(ids))

    return perform(request, desk, do, failed=lambda error: _make(request, desk, error))


def _reason(request: HttpRequest) -> str:
    reason = text_of(request.POST, "reason", "原因", most=200)
    if not reason:
        raise TextInvalid("请填写原因。", field="reason")
    return reason


def _make(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    refused = list(selectors.bank_refused_queue(desk)[:AT_ONCE])
    why = selectors.latest_reasons([r.pk for r in refused], ["bank_refuse"])
    approved = list(selectors.make_queue(desk)[:AT_ONCE])
    context = {
        "approved": selectors.queue_rows(approved),
        "total": selectors.total_of(approved),
        "unsealed": list(selectors.unsealed_queue(desk, MAKERS)[:AT_ONCE]),
        "refused": [(r, why.get(r.pk)) for r in refused],
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "vouchers/make.html", context, status=error.http_status if error else 200)


@require_http_methods(["GET", "POST"])
@officer(*SEALERS)
def seal_page(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show what waits for a seal; POST seals payment vouchers, which sends them."""
    if request.method == "GET":
        return _seal(request, desk)

    def do() -> Done:
        ids = chosen(request)
        outcome = seal_payment_vouchers(request_ids=ids, sealer=desk.actor, now=desk.now, proof=proof_of(request))
        return done(outcome, verb="签章发送", next=reverse("voucher-seal"), numbers=numbers(ids))

    return perform(request, desk, do, failed=lambda error: _seal(request, desk, error))


@action("voucher-seal")
@officer(*KEEPERS)
def seal_notices(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Seal quota notices (5105 with its 5106), which sends them to the bank and to PBoC."""

    def do() -> Done:
        ids = chosen(request)
        outcome = seal_quota_notices(notice_ids=ids, sealer=desk.actor, now=desk.now, proof=proof_of(request))
        numbers_of = dict(Voucher.objects.filter(pk__in=_vouchers(ids)).values_list("pk", "voucher_no"))
        for notice in outcome.accepted:
            notice.voucher_no = numbers_of.get(notice.voucher_id, "")
        return done(outcome, verb="签章下达", next=reverse("voucher-seal"), no="voucher_no")

    return perform(request, desk, do, failed=lambda error: _seal(request, desk, error))


def _vouchers(notice_ids: list) -> list:
    return list(QuotaNotice.objects.filter(pk__in=notice_ids).values_list("voucher_id", flat=True))


def _seal(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    requests = list(selectors.unsealed_queue(desk, SEALERS)[:AT_ONCE])
    context = {
        "rows": selectors.queue_rows(requests),
        "total": selectors.total_of(requests),
        "notices": list(selectors.notices_to_seal(desk)) if desk.holds(*KEEPERS) else [],
        "keeper": desk.holds(*KEEPERS),
        "last": desk.holds("seal_keeper", "unit_sealer"),
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "vouchers/seal.html", context, status=error.http_status if error else 200)
