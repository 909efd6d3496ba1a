"""Writing down a payment request: a new one, a change, the repetition of failed rows, and the live balance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from budget.methods import method_of
from budget.models import Quota
from budget.selectors import dept_codes_for, indicators_for
from cards.models import CardTransaction
from core.errors import TransitionNotAllowed, TreasuryError
from core.models import IdempotencyKey
from core.money import wire_yuan
from dashboards import contract_choice
from dashboards.acting import Done, accepted_item, action_key, perform, uuid_or_none
from dashboards.attached import attached_context
from dashboards.cards import chosen_purchases
from dashboards.desk import Desk, action, officer
from dashboards.forms import EXTRA, INVOICE_FIELDS, LINE_FIELDS, PaymentForm, at_line, html_id
from dashboards.refusals import Finding, findings_of, refused_items
from dashboards.selectors import latest_reasons
from dashboards.views.payments import find_request
from parties.models import BudgetUnit
from payments.business_types import RULES as BUSINESS_RULES
from payments.business_types import BusinessRules
from payments.drafting import reissuable_amount
from payments.errors import ReissueRefused
from payments.extensions import Extensions
from payments.models import BusinessType, CashPurpose, ExtensionField, PaymentRequest, Settlement
from payments.services import RETURN_REASONS, revise_draft, save_drafts, submit_payment_requests
from payments.states import EDITABLE, RequestState

_WITH_CONTRACT = (BusinessType.ORDINARY, BusinessType.PROCUREMENT, BusinessType.INVESTMENT)
_SUBMITTED: dict[str, str] = {
    RequestState.ON_HOLD: "已提交，触发监控规则，等待监控岗处置",
    RequestState.BLOCKED: "未能提交：被监控规则拦截",
}


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def new_payment(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write down a new request; `then=submit` submits it right away."""
    if request.method == "GET":
        form = contract_choice.begin(request.GET, desk)
        purchases = chosen_purchases(desk, request.GET.getlist("ids"))
        form.lines = [_repayment(each) for each in purchases] or form.lines
        return _page(request, desk, form)

    def save() -> PaymentRequest:
        return _store(request, desk, PaymentForm.from_post(request.POST))

    return _save(request, desk, save, None)


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def edit_payment(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Change a draft, a returned or a blocked request; `then=submit` submits it right away."""
    payment = find_request(desk, pk)
    if request.method == "GET":
        if payment.state not in EDITABLE:
            raise TransitionNotAllowed(f"单据当前为「{payment.get_state_display()}」，不能修改。", field="state")
        return _page(request, desk, PaymentForm.from_request(payment), payment)

    def save() -> PaymentRequest:
        given = PaymentForm.from_post(request.POST).parse()
        return revise_draft(request_id=pk, given=given, clerk=desk.actor, now=desk.now)

    return _save(request, desk, save, payment)


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def reissue_payment(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Repeat what failed or came back of a request in a new one; posted fields go over what the old request says.

    `lines-N-left_out` leaves the Nth such row out.
    """
    payment = find_request(desk, pk)
    rows = payment.details.filter(reissued_as__isnull=True).order_by("seq")
    failed = [detail for detail in rows if reissuable_amount(detail)]
    form = PaymentForm.repeating(payment, failed)
    if request.method == "GET":
        if not failed:
            raise ReissueRefused("本单没有可以重发的失败或退回的明细。", field="reissue_of")
        return _page(request, desk, form, repeats=payment)
    given = form.overlaid(request.POST)

    def save() -> PaymentRequest:
        if not failed:
            raise ReissueRefused("本单没有可以重发的失败明细。", field="reissue_of")
        return _store(request, desk, given)

    return _save(request, desk, save, None, form=given, repeats=payment)


@action("payment-new")
@officer("unit_clerk")
def form_lines(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Draw the form again with one payee line more (`add`) or less (`remove=N`), or one invoice (`add_invoice`,
    `remove_invoice=N`); nothing is saved."""
    form = PaymentForm.from_post(request.POST)
    removed = request.POST.get("remove", "")
    if removed.isdigit() and int(removed) < len(form.lines):
        del form.lines[int(removed)]
    if "add" in request.POST:
        form.lines.append(dict.fromkeys(LINE_FIELDS, ""))
    removed = request.POST.get("remove_invoice", "")
    if removed.isdigit() and int(removed) < len(form.invoices):
        del form.invoices[int(removed)]
    if "add_invoice" in request.POST:
        form.invoices.append(dict.fromkeys(INVOICE_FIELDS, ""))
    pk = uuid_or_none(request.POST.get("pk"))
    return _page(request, desk, form, find_request(desk, pk) if pk else None)


@require_GET
@officer("unit_clerk")
def balance(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Return the panel beside the form: what the indicator and its quota leave, before and after this request."""
    form = PaymentForm.from_post(request.GET)
    context = _balance(desk, form) | {"form": form, "swap": True} | contract_choice.panel(form, desk)
    return render(request, "payments/_balance.html", context)


def _balance(desk: Desk, form: PaymentForm) -> dict[str, Any]:
    pk = uuid_or_none(form.values.get("indicator"))
    indicator = None
    if pk is not None:
        indicator = indicators_for(desk.actor, desk.fiscal_year).filter(pk=pk).first()
    if indicator is None:
        return {"indicator": None, "total": form.total, "dept_codes": []}
    quota = getattr(indicator, "quota", None)
    left = indicator.amount_available - form.total
    is_limited = quota is not None and quota.control == Quota.Control.LIMIT
    quota_left = quota.amount_available - form.total if quota is not None and is_limited else None
    return {
        "indicator": indicator,
        "quota": quota,
        "limit": method_of(indicator.payment_mode).control if is_limited else "",
        "total": form.total,
        "left": left,
        "quota_left": quota_left,
        "short": left < 0 or (quota_left is not None and quota_left < 0),
        "dept_codes": dept_codes_for(indicator),
    }


def _save(
    request: HttpRequest,
    desk: Desk,
    save: Callable[[], PaymentRequest],
    payment: PaymentRequest | None,
    form: PaymentForm | None = None,
    repeats: PaymentRequest | None = None,
) -> HttpResponse:
    def do() -> Done:
        saved = save()
        address = reverse("payment-detail", args=[saved.pk])
        if request.POST.get("then") != "submit":
            return Done("草稿已保存", address, [accepted_item(saved, saved.request_no)])
        return _submit(saved, desk, address)

    def failed(error: TreasuryError) -> HttpResponse:
        return _page(request, desk, form or PaymentForm.from_post(request.POST), payment, error, repeats)

    return perform(request, desk, do, failed=failed)


def _store(request: HttpRequest, desk: Desk, form: PaymentForm) -> PaymentRequest:
    """Save a new request under the form's action id: asked again after a crash, it is found and not made twice."""
    key = action_key(request)
    return save_drafts(inputs=[form.parse()], clerk=desk.actor, now=desk.now, action_key=key)[0]


def _submit(saved: PaymentRequest, desk: Desk, address: str) -> Done:
    """Submit what was just saved. A refusal leaves the draft and leads back to the form, with every finding."""
    # anything else: this very form had submitted it already, when its answer was lost
    if saved.state not in (RequestState.DRAFT, RequestState.RETURNED):
        return Done(_SUBMITTED.get(saved.state, "已提交，进入审核"), address, [accepted_item(saved, saved.request_no)])
    try:
        outcome = submit_payment_requests(request_ids=[saved.pk], clerk=desk.actor, now=desk.now)
        outcome.raise_if_refused()
    except TreasuryError as refusal:
        refused = refused_items(refusal, saved.pk, saved.request_no)
        item = accepted_item(saved, saved.request_no)
        back = reverse("payment-edit", args=[saved.pk])
        return Done("草稿已保存，但没有提交成功", back, [item], refused, refusal.http_status)
    submitted = outcome.accepted[0]
    message = _SUBMITTED.get(submitted.state, "已提交，进入审核")
    return Done(message, address, [accepted_item(submitted, submitted.request_no)])


def _page(
    request: HttpRequest,
    desk: Desk,
    form: PaymentForm,
    payment: PaymentRequest | None = None,
    error: TreasuryError | None = None,
    repeats: PaymentRequest | None = None,
) -> HttpResponse:
    """Draw the form with what was typed, and each finding at its field."""
    found = findings_of(error) if error else _findings_of_submit(request)
    findings = [(html_id(f.field), Finding(f.code, f.field, at_line(f.field, f.message))) for f in found]
    if not form.lines:
        form.lines = [dict.fromkeys(LINE_FIELDS, "")]
    kind = form.values.get("business_type", "")
    rules = BUSINESS_RULES.get(kind, BUSINESS_RULES[BusinessType.ORDINARY])
    settlements = [choice for choice in Settlement.choices if choice[0] in rules.settlements]
    errors = {field: finding.message for field, finding in reversed(findings)}
    indicators = indicators_for(desk.actor, desk.fiscal_year).filter(quota__isnull=False)
    returned = None
    if payment is not None and payment.state in EDITABLE:
        returned = latest_reasons([payment.pk], ["return", "reject_hold"]).get(payment.pk)
    context = {
        "form": form,
        "lines": list(enumerate(form.lines)),
        "invoices": list(enumerate(form.invoices)),
        "payment": payment,
        "repeats": repeats,
        "indicators": list(indicators),
        "business_types": BusinessType.choices,
        "settlements": settlements,
        "rules": rules,
        "shows_contract": kind in _WITH_CONTRACT or bool(form.values.get("contract_no")),
        **_registers(desk, form, rules, errors),
        "findings": findings,
        "errors": errors,
        "returned": returned,
        "returned_for": RETURN_REASONS.get(returned.reason_code, "") if returned else "",
        "post_to": _address(payment, repeats),
        **_balance(desk, form),
        **contract_choice.panel(form, desk),
        **(attached_context(desk, payment) if payment is not None else {}),
    }
    return render(request, "payments/form.html", context, status=error.http_status if error else 200)


def _registers(desk: Desk, form: PaymentForm, rules: BusinessRules, errors: Mapping[str, str]) -> dict[str, Any]:
    """What the fields of this kind of payment are chosen from."""
    code = desk.actor.adm_div_code
    found: dict[str, Any] = {}
    if "cash_purpose" in rules.asks:
        found["cash_purposes"] = CashPurpose.objects.filter(adm_div_code=code, active=True)
    if "beneficiary_unit_id" in rules.asks:
        units = BudgetUnit.objects.filter(adm_div_code=code, active=True, finance_agent=False)
        found["units"] = units.order_by("code")
    unit_code = min(desk.actor.units, default="")
    found["extensions"] = [
        ShownExtension(each, EXTRA + each.key, form.extra.get(each.key, ""), errors.get(EXTRA + each.key, ""))
        for each in Extensions(code).of(business_type=rules.code, unit_code=unit_code)
    ]
    return found


@dataclass(frozen=True)
class ShownExtension:
    """One extension field in the form."""

    field: ExtensionField
    html_name: str
    value: str
    error: str


def _repayment(purchase: CardTransaction) -> dict[str, str]:
    """The payee line that repays a purchase; the amount may be lowered by what the holder bears."""
    return dict.fromkeys(LINE_FIELDS, "") | {
        "payee_name": purchase.holder_name,
        "payee_account_no": purchase.card_no,
        "payee_bank_name": purchase.bank_name,
        "payee_bank_no": purchase.bank_no,
        "amount": wire_yuan(purchase.amount),
        "reference": purchase.transaction_no,
    }


def _address(payment: PaymentRequest | None, repeats: PaymentRequest | None) -> str:
    if payment is not None:
        return reverse("payment-edit", args=[payment.pk])
    return reverse("payment-reissue", args=[repeats.pk]) if repeats else reverse("payment-new")


def _findings_of_submit(request: HttpRequest) -> list[Finding]:
    """Return why the submission that led here (`?done=`) was refused, to be shown at the fields."""
    key = request.GET.get("done", "")
    if not uuid_or_none(key):
        return []
    stored = IdempotencyKey.objects.filter(owner=f"user:{request.user.pk}", key=key).first()
    refused = stored.answer["refused"] if stored else []
    return [Finding(item["code"], item["field"] or "", item["message"]) for item in refused]
