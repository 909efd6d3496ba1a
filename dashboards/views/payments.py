"""Payment requests: the list, one request with its whole track, and the buttons a clerk has on them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from budget.codes import CodeKind
from budget.selectors import code_names
from core.errors import NotFound
from core.models import Transition
from dashboards import selectors
from dashboards.acting import chosen, done, next_page, perform, uuid_or_none
from dashboards.attached import attached_context
from dashboards.desk import READERS, Desk, action, officer
from dashboards.track import stops_of
from monitoring.selectors import alerts_of
from parties.models import ReviewDecision
from payments.business_types import RULES
from payments.drafting import reissuable_amount
from payments.models import (
    BusinessType,
    CashPurpose,
    ClearingLine,
    Correction,
    ExtensionField,
    LimitNotice,
    PaymentRequest,
)
from payments.services import RETURN_REASONS, cancel_payment_requests, submit_payment_requests
from payments.states import EDITABLE, OPEN_RECALLS, RequestState
from vouchers.models import Delivery

S = RequestState
FILTERS: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("draft", "草稿", (S.DRAFT,)),
    ("returned", "退回", (S.RETURNED,)),
    ("blocked", "拦截", (S.BLOCKED,)),
    ("on_hold", "挂起", (S.ON_HOLD,)),
    ("in_review", "待审核", (S.IN_REVIEW,)),
    ("approved", "已终审", (S.APPROVED, S.VOUCHERED)),
    ("sealed", "已发银行", (S.SEALED, S.ACCEPTED)),
    ("on_paper", "纸质在途", (S.ON_PAPER,)),
    ("bank_refused", "银行退回", (S.BANK_REFUSED,)),
    ("paid", "已支付", (S.PAID,)),
    ("failed", "部分/失败", (S.PARTIALLY_PAID, S.FAILED)),
    ("cleared", "已清算", (S.CLEARED,)),
    ("voided", "作废/撤回", (S.VOIDED, S.WITHDRAWN)),
)


@require_GET
@officer(*READERS)
def payment_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List the requests the officer may see; filtered by state or words, by keyset pages."""
    state, words = request.GET.get("state", ""), " ".join(request.GET.get("q", "").split())[:60].replace("\0", "")
    rows = selectors.requests_for(desk.actor, desk.fiscal_year)
    states = next((states for key, _, states in FILTERS if key == state), None)
    if state == "reissuable":
        rows = selectors.reissuable(desk)
    elif states is not None:
        rows = rows.filter(state__in=states)
    else:
        state = ""
    if words:
        rows = selectors.matching(rows, words)
    page = selectors.page_of(rows, uuid_or_none(request.GET.get("before")))
    context = {
        "rows": selectors.queue_rows(page.rows),
        "following": page.following,
        "continued": "before" in request.GET,
        "filters": [(key, label) for key, label, _ in FILTERS],
        "state": state,
        "q": words,
        "editable": EDITABLE,
        "clerk": desk.holds("unit_clerk"),
        "here": request.get_full_path(),
    }
    return render(request, "payments/list.html", context)


@require_GET
@officer(*READERS, delegable=True)
def payment_detail(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show one request: content, details, and everything that ever happened to it."""
    payment = find_request(desk, pk)
    return render(request, "payments/detail.html", track_context(desk, payment))


def find_request(desk: Desk, pk: UUID | None) -> PaymentRequest:
    """Return a request the officer may see, of whatever year.

    :raises NotFound: for an unknown one and for one of somebody else.
    """
    rows = selectors.visible_requests(desk.actor).select_related(
        "unit",
        "indicator",
        "quota",
        "payer_account__agent_bank",
        "created_by",
        "reissue_of",
        "voucher",
        "beneficiary_unit",
    )
    found = rows.filter(pk=pk).first()
    if found is None:
        raise NotFound("单据不存在或不在您的权限范围内。", field="id")
    return found


def _special(payment: PaymentRequest) -> dict[str, Any]:
    """What only some kinds of payment have, in words."""
    code, rules = payment.adm_div_code, RULES.get(payment.business_type)
    labels: dict[str, str] = {}
    if payment.extra:
        labels = dict(ExtensionField.objects.filter(adm_div_code=code).values_list("key", "label"))
    purpose = ""
    if payment.cash_purpose:
        row = CashPurpose.objects.filter(adm_div_code=code, code=payment.cash_purpose).first()
        purpose = row.name if row else payment.cash_purpose
    return {
        "cash_purpose": purpose,
        "extra": [(labels.get(key, key), value) for key, value in payment.extra.items()],
        "reference_label": rules.reference if rules else "",
    }


def track_context(desk: Desk, payment: PaymentRequest) -> dict[str, Any]:
    """Return what the page and the pane show about one request; a fixed number of queries."""
    rows = payment.details.select_related("receipt_line", "reissued_as__request").prefetch_related("refunds")
    details = list(rows.order_by("seq"))
    events = list(Transition.objects.filter(document_id=payment.id).order_by("id"))
    decisions = list(ReviewDecision.objects.filter(document_id=payment.id).order_by("at"))
    alerts = list(alerts_of(payment.id))
    year, indicator = payment.fiscal_year, payment.indicator
    clerk = desk.holds("unit_clerk")
    failed = [d for d in details if reissuable_amount(d) and d.reissued_as_id is None]
    recalls = list(payment.recalls.order_by("id")) if payment.voucher_id else []
    in_queue = payment.state in (S.IN_REVIEW, S.ON_HOLD, S.APPROVED)
    return {
        "payment": payment,
        "details": details,
        "refunds": [refund for detail in details for refund in detail.refunds.all()],
        "events": events,
        "decisions": decisions,
        "alerts": alerts,
        "current_alerts": [a for a in alerts if a.revision == payment.revision],
        "stops": stops_of(payment, events, decisions),
        **attached_context(desk, payment),
        "invoices": list(payment.invoices.all()),
        "receipt": getattr(payment, "receipt", None) if payment.amount_paid or payment.amount_failed else None,
        "delivery": Delivery.objects.filter(voucher=payment.voucher_id).first() if payment.voucher_id else None,
        "clearings": list(
            ClearingLine.objects.filter(detail__request=payment).select_related("clearing__agent_bank").order_by("id")
        ),
        "limit_notices": list(LimitNotice.objects.filter(request=payment).select_related("voucher").order_by("id")),
        "function_name": code_names(year, CodeKind.FUNCTION, [indicator.function_code]).get(indicator.function_code),
        "gov_name": code_names(year, CodeKind.GOV_ECONOMIC, [indicator.gov_economic_code]).get(
            indicator.gov_economic_code
        ),
        "dept_name": code_names(year, CodeKind.DEPT_ECONOMIC, [payment.dept_economic_code]).get(
            payment.dept_economic_code
        ),
        "last_return": next((e for e in reversed(events) if e.action in ("return", "reject_hold", "block")), None),
        "reasons": RETURN_REASONS,
        **_special(payment),
        "may_edit": clerk and payment.state in EDITABLE,
        "may_submit": clerk and payment.state in (S.DRAFT, S.RETURNED),
        "may_reissue": clerk and bool(failed),
        "failed": failed,
        "recalls": recalls,
        "corrections": list(
            Correction.objects.filter(detail__request=payment)
            .select_related("detail", "from_indicator", "to_indicator")
            .order_by("id")
        )
        if payment.amount_paid
        else [],
        "may_correct": clerk and payment.amount_paid > payment.amount_refunded and year == desk.fiscal_year,
        "may_give_up": clerk and payment.state == S.APPROVED,
        "may_recall": clerk
        and payment.state in (S.SEALED, S.ACCEPTED)
        and not any(recall.state in OPEN_RECALLS for recall in recalls),
        "may_ask_exemption": clerk and in_queue and payment.business_type == BusinessType.SALARY,
    }


@action("payment-list")
@officer("unit_clerk")
def submit(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Submit drafts and returned requests; each is answered for: in review, on hold, blocked, or refused with why."""

    def do() -> Any:
        ids = chosen(request)
        outcome = submit_payment_requests(request_ids=ids, clerk=desk.actor, now=desk.now)
        back = next_page(request, reverse("payment-list"))
        return done(outcome, verb="提交", next=back, numbers=numbers(ids))

    return perform(request, desk, do)


@action("payment-list")
@officer("unit_clerk")
def cancel(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give up drafts, returned or blocked requests; their numbers stay used."""

    def do() -> Any:
        ids = chosen(request)
        outcome = cancel_payment_requests(request_ids=ids, clerk=desk.actor, now=desk.now)
        return done(outcome, verb="作废", next=next_page(request, reverse("payment-list")), numbers=numbers(ids))

    return perform(request, desk, do)


def numbers(ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the request numbers of these ids, for the answer."""
    return dict(PaymentRequest.objects.filter(pk__in=ids).values_list("pk", "request_no"))
