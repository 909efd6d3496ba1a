"""Spending plans: written by units, reviewed along their chain, notified to the bank by the treasury."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from budget.models import BudgetYear, SpendingPlan
from budget.selectors import indicators_for
from budget.services import (
    PlanInput,
    approve_plans,
    cancel_plans,
    issue_quota_notices,
    lapse_unused_plans,
    return_plans,
    save_plans,
    submit_plans,
)
from budget.states import PlanState
from core.errors import TreasuryError
from dashboards import selectors
from dashboards.acting import Done, accepted_item, action_key, chosen, done, next_page, perform, uuid_or_none
from dashboards.desk import READERS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import amount_of, month_of, text_of, uuid_of
from dashboards.navigation import PLAN_POSTS
from dashboards.refusals import findings_of, refused_items
from dashboards.signing import proof_of
from dashboards.views.review import acting_query
from payments.services import RETURN_REASONS

AT_ONCE = 200


@require_GET
@officer(*READERS)
def plan_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List the plans the officer may see, with the form for a new one beside it for clerks."""
    return _list(request, desk)


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def new_plan(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write down one plan or several (`indicator`, `month`, `amount`, each repeated); `then=submit` submits them."""
    if request.method == "GET":
        return _list(request, desk)

    def do() -> Done:
        key = action_key(request)
        saved = save_plans(inputs=_inputs(request), clerk=desk.actor, now=desk.now, action_key=key)
        address = reverse("plan-list")
        if request.POST.get("then") != "submit":
            return Done("用款计划已保存", address, [accepted_item(plan, plan.plan_no) for plan in saved])
        ids = [plan.pk for plan in saved]
        if all(plan.state not in (PlanState.DRAFT, PlanState.RETURNED) for plan in saved):
            # this very form had submitted them already, when its answer was lost
            return Done("用款计划已保存并提交", address, [accepted_item(plan, plan.plan_no) for plan in saved])
        try:
            outcome = submit_plans(plan_ids=ids, clerk=desk.actor, now=desk.now)
        except TreasuryError as refusal:
            items = [item for plan in saved for item in refused_items(refusal, plan.pk, plan.plan_no)]
            kept = [accepted_item(plan, plan.plan_no) for plan in saved]
            return Done("用款计划已保存，但没有提交成功", address, kept, items, refusal.http_status)
        return done(outcome, verb="保存并提交", next=address, numbers=_numbers(ids), no="plan_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


def _inputs(request: HttpRequest) -> list[PlanInput]:
    """:raises ChoiceInvalid, AmountInvalid: naming the field."""
    columns = [request.POST.getlist(name) for name in ("indicator", "month", "amount")]
    if not columns[0] or len({len(column) for column in columns}) != 1:
        raise ChoiceInvalid("每条计划都要有指标、月份和金额。", field="indicator")
    rows = [dict(zip(("indicator", "month", "amount"), row, strict=True)) for row in zip(*columns, strict=True)]
    kinds = request.POST.getlist("kind") or [SpendingPlan.Kind.NORMAL.value] * len(rows)
    if len(kinds) != len(rows):
        raise ChoiceInvalid("每条计划都要有类型。", field="kind")
    return [
        PlanInput(uuid_of(row, "indicator", "指标"), month_of(row), amount_of(row), kind)
        for row, kind in zip(rows, kinds, strict=True)
    ]


def _list(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    state = request.GET.get("state", "")
    rows = selectors.plans_for(desk)
    if state in PlanState.values:
        rows = rows.filter(state=state)
    page = selectors.page_of(rows, uuid_or_none(request.GET.get("before")))
    clerk = desk.holds("unit_clerk")
    findings = findings_of(error) if error else []
    context = {
        "rows": page.rows,
        "following": page.following,
        "returned": selectors.latest_reasons([plan.pk for plan in page.rows], ["return"]),
        "states": PlanState.choices,
        "state": state,
        "clerk": clerk,
        "indicators": list(indicators_for(desk.actor, desk.fiscal_year).filter(quota__isnull=False)) if clerk else [],
        "kinds": SpendingPlan.Kind.choices,
        "lapses": desk.holds("reconciler") and _lapses(desk),
        "months": range(1, 13),
        "month_now": desk.day.date.month if desk.day else desk.now.month,
        "submittable": (PlanState.DRAFT, PlanState.RETURNED),
        "findings": [(_field(f.field), f) for f in findings],
        "errors": {_field(f.field): f.message for f in findings},
    }
    return render(request, "plans/list.html", context, status=error.http_status if error else 200)


def _lapses(desk: Desk) -> bool:
    """Whether the region's plans are good for their month only."""
    valid = BudgetYear.PlanValidity.MONTH
    rows = BudgetYear.objects.filter(adm_div_code=desk.actor.adm_div_code, fiscal_year=desk.fiscal_year)
    return rows.filter(plan_validity=valid, state="open").exists()


def _field(name: str) -> str:
    return {"indicator_id": "indicator"}.get(name, name)


def _numbers(ids: list[Any]) -> dict[Any, str]:
    return dict(SpendingPlan.objects.filter(pk__in=ids).values_list("pk", "plan_no"))


@action("plan-list")
@officer("unit_clerk")
def submit(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Submit plans for review."""

    def do() -> Done:
        ids = chosen(request)
        outcome = submit_plans(plan_ids=ids, clerk=desk.actor, now=desk.now)
        return done(outcome, verb="提交", next=reverse("plan-list"), numbers=_numbers(ids), no="plan_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("plan-list")
@officer("unit_clerk")
def cancel(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give up drafts and returned plans."""

    def do() -> Done:
        ids = chosen(request)
        outcome = cancel_plans(plan_ids=ids, clerk=desk.actor, now=desk.now)
        return done(outcome, verb="作废", next=reverse("plan-list"), numbers=_numbers(ids), no="plan_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@action("plan-list")
@officer("reconciler")
def lapse(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Take back what is unused of the plans of a month that has ended."""

    def do() -> Done:
        plans = lapse_unused_plans(month=month_of(request.POST), reconciler=desk.actor, now=desk.now)
        items = [accepted_item(plan, plan.plan_no) for plan in plans]
        return Done(f"月末失效：生成 {len(plans)} 条调减，待计划审核", reverse("plan-list"), items)

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


@require_GET
@officer(*PLAN_POSTS, delegable=True)
def plan_review(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the plans that wait for the officer."""
    return _review(request, desk)


def _review(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    plans = list(selectors.plan_queue(desk)[:AT_ONCE])
    context = {
        "rows": plans,
        "barred": selectors.barred_for(plans, desk.actor),
        "total": selectors.total_of(plans),
        "reasons": RETURN_REASONS,
        "ticked": {uuid_or_none(text) for text in request.POST.getlist("ids")},
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "plans/review.html", context, status=error.http_status if error else 200)


@action("plan-review")
@officer(*PLAN_POSTS, delegable=True)
def approve(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Approve plans at the node each waits at."""

    def do() -> Done:
        ids = chosen(request)
        outcome = approve_plans(plan_ids=ids, reviewer=desk.actor, now=desk.now, proof=proof_of(request))
        return done(outcome, verb="通过", next=_back(request, desk), numbers=_numbers(ids), no="plan_no")

    return perform(request, desk, do, failed=lambda error: _review(request, desk, error))


@action("plan-review")
@officer(*PLAN_POSTS, delegable=True)
def send_back(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Return plans to their clerks with a reason."""

    def do() -> Done:
        ids = chosen(request)
        code = request.POST.get("reason_code", "")
        if code not in RETURN_REASONS:
            raise ChoiceInvalid("请选择退回原因。", field="reason_code")
        outcome = return_plans(
            plan_ids=ids,
            reviewer=desk.actor,
            reason_code=code,
            reason=text_of(request.POST, "reason", "意见"),
            now=desk.now,
            proof=proof_of(request),
        )
        return done(outcome, verb="退回", next=_back(request, desk), numbers=_numbers(ids), no="plan_no")

    return perform(request, desk, do, failed=lambda error: _review(request, desk, error))


def _back(request: HttpRequest, desk: Desk) -> str:
    return next_page(request, reverse("plan-review") + acting_query(desk))


@require_GET
@officer("voucher_maker", *selectors.KEEPERS)
def notices(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show approved authorised plans and the notices made so far."""
    return _notices(request, desk)


@action("plan-notices")
@officer("voucher_maker")
def issue_notices(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Merge approved plans (`ids`) into notices; each accepted plan says which `notice` it went into."""

    def do() -> Done:
        ids = chosen(request)
        outcome = issue_quota_notices(plan_ids=ids, maker=desk.actor, now=desk.now)
        made = done(outcome, verb="生成额度通知单", next=reverse("plan-notices"), numbers=_numbers(ids), no="plan_no")
        for item, plan in zip(made.accepted, outcome.accepted, strict=True):
            item["notice"] = str(plan.notice_id)
        return made

    return perform(request, desk, do, failed=lambda error: _notices(request, desk, error))


def _notices(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    plans = list(selectors.plans_to_notify(desk)[:AT_ONCE])
    context = {
        "plans": plans,
        "total": selectors.total_of(plans),
        "notices": list(selectors.notices(desk)[:100]),
        "maker": desk.holds("voucher_maker"),
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "plans/notices.html", context, status=error.http_status if error else 200)
