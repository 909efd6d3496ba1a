"""Corrections of codes: asked for by units, reviewed, made out and sealed by the treasury, executed by PBoC."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from budget.selectors import dept_codes_for, indicators_for
from core.errors import NotFound, TreasuryError
from dashboards import selectors
from dashboards.acting import Done, accepted_item, chosen, done, perform, uuid_or_none
from dashboards.desk import READERS, Desk, action, officer
from dashboards.exception_queues import (
    REVIEW_POSTS,
    corrections_to_make,
    corrections_to_review,
    corrections_to_seal,
)
from dashboards.forms import amount_of, text_of, uuid_of
from dashboards.refusals import findings_of
from dashboards.signing import proof_of
from payments import services
from payments.correcting import corrections_for
from payments.models import Correction, PaymentDetail
from payments.services import CorrectionInput
from payments.states import CorrectionState, DetailState

MAKER, KEEPERS = "voucher_maker", ("seal_keeper", "name_seal")
S = CorrectionState


@require_GET
@officer(*READERS)
def correction_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List corrections; what waits for the officer stands above the list."""
    return _list(request, desk)


def _list(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    state = request.GET.get("state", "")
    rows = corrections_for(desk.actor).filter(fiscal_year=desk.fiscal_year)
    if state in S.values:
        rows = rows.filter(state=state)
    page = selectors.page_of(rows, uuid_or_none(request.GET.get("before")))
    reviewing = list(corrections_to_review(desk)[:200]) if desk.holds(*REVIEW_POSTS) else []
    making = list(corrections_to_make(desk)[:200]) if desk.holds(MAKER) else []
    vouchered = corrections_for(desk.actor).filter(fiscal_year=desk.fiscal_year, state=S.VOUCHERED)
    context = {
        "rows": page.rows,
        "following": page.following,
        "states": S.choices,
        "state": state,
        "clerk": desk.holds("unit_clerk"),
        "editable": (S.DRAFT, S.RETURNED),
        "reviewing": reviewing,
        "barred": selectors.barred_for(reviewing, desk.actor),
        "making": [c for c in making if c.state == S.APPROVED],
        "refused": [c for c in making if c.state == S.PBOC_REFUSED],
        "unsealed": list(vouchered.order_by("id")[:200]) if desk.holds(MAKER) else [],
        "sealing": list(corrections_to_seal(desk)[:200]) if desk.holds(*KEEPERS) else [],
        "last": desk.holds("seal_keeper"),
        "reasons": selectors.latest_reasons([c.pk for c in page.rows], ["return", "fail", "pboc_refuse", "reject"]),
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "exceptions/corrections.html", context, status=error.http_status if error else 200)


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def new_correction(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Ask that a paid detail (`detail`) be carried by another indicator or code; `then=submit` submits it."""
    detail_id = uuid_or_none(request.POST.get("detail") or request.GET.get("detail"))
    if request.method == "GET":
        return _form(request, desk, detail_id)

    def do() -> Done:
        given = CorrectionInput(
            detail_id=uuid_of(request.POST, "detail", "支付明细"),
            to_indicator_id=uuid_of(request.POST, "indicator", "目标指标"),
            dept_economic_code=text_of(request.POST, "dept_economic_code", "部门经济分类", most=5),
            amount=amount_of(request.POST),
            reason=text_of(request.POST, "reason", "更正原因", most=200),
        )
        [saved] = services.save_corrections(inputs=[given], clerk=desk.actor, now=desk.now)
        address = reverse("correction-list")
        if request.POST.get("then") != "submit":
            return Done("更正申请已保存", address, [accepted_item(saved, saved.correction_no)])
        outcome = services.submit_corrections(correction_ids=[saved.pk], clerk=desk.actor, now=desk.now)
        numbers = {saved.pk: saved.correction_no}
        return done(outcome, verb="保存并提交", next=address, numbers=numbers, no="correction_no")

    return perform(request, desk, do, failed=lambda error: _form(request, desk, detail_id, error))


def _form(request: HttpRequest, desk: Desk, detail_id: UUID | None, error: TreasuryError | None = None) -> HttpResponse:
    detail = (
        PaymentDetail.objects.select_related("request__indicator", "request__unit")
        .filter(pk=detail_id, adm_div_code=desk.actor.adm_div_code, request__unit__code__in=desk.actor.units)
        .filter(state=DetailState.PAID)
        .first()
    )
    if detail is None:
        raise NotFound("没有这笔已支付的明细。", field="detail")
    request_row = detail.request
    targets = indicators_for(desk.actor, desk.fiscal_year).filter(
        quota__isnull=False,
        unit=request_row.unit,
        payment_mode=request_row.payment_mode,
        fund_nature=request_row.indicator.fund_nature,
    )
    findings = findings_of(error) if error else []
    names = {"to_indicator_id": "indicator", "detail_id": "detail"}
    context = {
        "detail": detail,
        "payment": request_row,
        "targets": list(targets),
        "left": detail.amount - detail.amount_refunded,
        "codes": _codes(desk, list(targets)),
        "findings": [(names.get(f.field, f.field), f) for f in findings],
        "errors": {names.get(f.field, f.field): f.message for f in findings},
    }
    return render(request, "exceptions/correction_form.html", context, status=error.http_status if error else 200)


def _codes(desk: Desk, targets: list) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for target in targets:
        found |= {row.code: row.name for row in dept_codes_for(target)}
    return sorted(found.items())


def _numbers(ids: list[UUID]) -> dict[UUID, str]:
    return dict(Correction.objects.filter(pk__in=ids).values_list("pk", "correction_no"))


def _done(outcome: object, verb: str, ids: list[UUID]) -> Done:
    back = reverse("correction-list")
    return done(outcome, verb=verb, next=back, numbers=_numbers(ids), no="correction_no")  # type: ignore[arg-type]


@action("correction-list")
@officer("unit_clerk")
def submit(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Submit corrections for review; their amounts are held on the targets."""

    def do() -> Done:
        ids = chosen(request)
        return _done(services.submit_corrections(correction_ids=ids, clerk=desk.actor, now=desk.now), "提交", ids)

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("correction-list")
@officer("unit_clerk")
def cancel(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give up drafts and returned corrections."""

    def do() -> Done:
        ids = chosen(request)
        return _done(services.cancel_corrections(correction_ids=ids, clerk=desk.actor, now=desk.now), "作废", ids)

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


def _decide(request: HttpRequest, desk: Desk, decision: str, verb: str) -> HttpResponse:
    def do() -> Done:
        ids = chosen(request)
        outcome = services.decide_corrections(
            correction_ids=ids,
            reviewer=desk.actor,
            action=decision,
            reason=text_of(request.POST, "reason", "意见"),
            now=desk.now,
            proof=proof_of(request),
        )
        return _done(outcome, verb, ids)

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("correction-list")
@officer(*REVIEW_POSTS)
def approve(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Approve corrections at the node each waits at."""
    return _decide(request, desk, "approve", "通过")


@action("correction-list")
@officer(*REVIEW_POSTS)
def send_back(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Return corrections to their clerks with a reason."""
    return _decide(request, desk, "return", "退回")


@action("correction-list")
@officer(*REVIEW_POSTS)
def reject(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Reject corrections for good."""
    return _decide(request, desk, "reject", "否决")


@action("correction-list")
@officer(MAKER)
def make(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Make out the 5253 or 5351 of approved corrections."""

    def do() -> Done:
        ids = chosen(request)
        outcome = services.issue_correction_vouchers(correction_ids=ids, maker=desk.actor, now=desk.now)
        return _done(outcome, "制单", ids)

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("correction-list")
@officer(MAKER)
def unmake(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Void vouchers that are not sealed yet."""

    def do() -> Done:
        ids, reason = chosen(request), text_of(request.POST, "reason", "原因", most=200)
        outcome = services.cancel_correction_vouchers(correction_ids=ids, maker=desk.actor, reason=reason, now=desk.now)
        return _done(outcome, "撤销制单", ids)

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("correction-list")
@officer(MAKER)
def void(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give up what PBoC refused or returned; what was held is released."""

    def do() -> Done:
        ids, reason = chosen(request), text_of(request.POST, "reason", "原因", most=200)
        outcome = services.void_refused_corrections(correction_ids=ids, maker=desk.actor, reason=reason, now=desk.now)
        return _done(outcome, "作废", ids)

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("correction-list")
@officer(*KEEPERS)
def seal(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Take the next step of sealing; the last one sends the voucher to PBoC."""

    def do() -> Done:
        ids = chosen(request)
        outcome = services.seal_correction_vouchers(
            correction_ids=ids, sealer=desk.actor, now=desk.now, proof=proof_of(request)
        )
        return _done(outcome, "签章", ids)

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))
