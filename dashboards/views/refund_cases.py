"""Money banks cannot place, and money of earlier years: who names it, who confirms, who gives it back."""

from datetime import date
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from budget.documents import OVER
from budget.selectors import indicators_for
from core.errors import NotFound, TreasuryError
from dashboards import selectors
from dashboards.acting import Done, accepted_item, chosen, done, perform, uuid_or_none
from dashboards.desk import READERS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.exception_queues import CASE_DECIDERS, NAMERS
from dashboards.forms import amount_of, text_of, uuid_of
from dashboards.refusals import findings_of
from parties.duties import Post
from payments.models import RefundCase
from payments.prior_years import prior_year_refunds
from payments.refund_cases import cases_for, suggestions
from payments.services import ask_to_give_back, decide_cases, propose_originals
from payments.states import RefundCaseState


@require_GET
@officer(*READERS)
def case_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List what banks could not place, the longest waiting first, with how long is left."""
    return _list(request, desk)


def _list(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    state = request.GET.get("state", "")
    rows = cases_for(desk.actor)
    rows = (
        rows.filter(state=state) if state in RefundCaseState.values else rows.exclude(state=RefundCaseState.IDENTIFIED)
    )
    today = desk.day.date if desk.day else desk.now.date()
    found = list(rows.order_by("due_on", "id")[: selectors.PAGE * 2])
    context = {
        "rows": [(case, _age(case, today)) for case in found],
        "total": sum((case.amount for case in found), 0),
        "states": RefundCaseState.choices,
        "state": state,
        "decides": desk.holds(*CASE_DECIDERS),
        "names": desk.holds(*NAMERS),
        "me": desk.actor.person_id,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "exceptions/cases.html", context, status=error.http_status if error else 200)


def _age(case: RefundCase, today: date) -> dict[str, Any]:
    """How long a case waits, in words, and whether it is late."""
    if case.state == RefundCaseState.IDENTIFIED:
        return {"text": "已核定", "late": False}
    left = (case.due_on - today).days
    text = f"逾期 {-left} 天" if left < 0 else "今日到期" if left == 0 else f"还有 {left} 天"
    return {"text": text, "late": left < 0, "soon": left == 0}


@require_GET
@officer(*READERS)
def case_page(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show one case with the payments it may belong to, the likeliest first."""
    return _case(request, desk, pk)


def _case(request: HttpRequest, desk: Desk, pk: UUID | None, error: TreasuryError | None = None) -> HttpResponse:
    case = cases_for(desk.actor).filter(pk=pk).first()
    if case is None:
        raise NotFound("没有这笔待查退款。", field="id")
    words = " ".join(request.GET.get("q", "").split())[:60].replace("\0", "")
    context = {
        "case": case,
        "age": _age(case, desk.day.date if desk.day else desk.now.date()),
        "q": words,
        "suggestions": suggestions(case, search=words) if case.state == RefundCaseState.OPEN else [],
        "names": desk.holds(*NAMERS) and case.state == RefundCaseState.OPEN,
        "decides": desk.holds(*CASE_DECIDERS)
        and case.state == RefundCaseState.PROPOSED
        and case.proposed_by_id != desk.actor.person_id,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "exceptions/case.html", context, status=error.http_status if error else 200)


@action("refund-case-list")
@officer(*NAMERS)
def propose(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Name the payment a case belongs to (`case`, `detail`, `note`), for somebody else to confirm."""

    def do() -> Done:
        case_id = uuid_of(request.POST, "case", "待查退款")
        outcome = propose_originals(
            choices=[(case_id, uuid_of(request.POST, "detail", "原支付"))],
            officer=desk.actor,
            note=text_of(request.POST, "note", "认定依据", most=200),
            now=desk.now,
        )
        return done(outcome, verb="认定，等待复核", next=reverse("refund-case-list"), no="notice_no")

    pk = uuid_or_none(request.POST.get("case"))
    return perform(request, desk, do, failed=lambda error: _case(request, desk, pk, error))


@action("refund-case-list")
@officer(*CASE_DECIDERS)
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Confirm what somebody else has named (`decision` confirm), or send it back (decline) with a reason."""

    def do() -> Done:
        decision = request.POST.get("decision", "")
        if decision not in ("confirm", "decline"):
            raise ChoiceInvalid("请选择核定或退回。", field="decision")
        ids = chosen(request)
        outcome = decide_cases(
            case_ids=ids,
            officer=desk.actor,
            confirm=decision == "confirm",
            reason=text_of(request.POST, "reason", "原因"),
            now=desk.now,
        )
        numbers = dict(RefundCase.objects.filter(pk__in=ids).values_list("pk", "notice_no"))
        verb = "核定" if decision == "confirm" else "退回"
        return done(outcome, verb=verb, next=reverse("refund-case-list"), numbers=numbers, no="notice_no")

    return perform(request, desk, do, failed=lambda error: _list(request, desk, error))


# Earlier years --------------------------------------------------------------------------------------------------------


@require_GET
@officer(*READERS)
def prior_years(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List what came back this year of earlier years' payments, and what became of it."""
    return _prior(request, desk)


def _prior(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    rows = list(prior_year_refunds(desk.actor, desk.fiscal_year).order_by("-received_on", "-id")[:200])
    clerk = desk.holds(Post.BUDGET_CLERK)
    findings = findings_of(error) if error else []
    context = {
        "rows": rows,
        "total": sum((row.amount for row in rows), 0),
        "clerk": clerk,
        "open": [row for row in rows if row.give_back is None or row.give_back.state in OVER],
        "indicators": list(indicators_for(desk.actor, desk.fiscal_year)) if clerk else [],
        "findings": [(_field(f.field), f) for f in findings],
        "errors": {_field(f.field): f.message for f in findings},
    }
    return render(request, "exceptions/prior_years.html", context, status=error.http_status if error else 200)


def _field(name: str) -> str:
    return {"indicator_id": "indicator", "id": "refund"}.get(name, name)


@action("prior-year-list")
@officer("budget_clerk")
def give_back(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Draft the document that gives recovered money back; it then goes the way of every document."""

    def do() -> Done:
        found = ask_to_give_back(
            refund_id=uuid_of(request.POST, "refund", "退款"),
            indicator_id=uuid_of(request.POST, "indicator", "指标"),
            amount=amount_of(request.POST),
            doc_no=text_of(request.POST, "doc_no", "文号", most=60),
            note=text_of(request.POST, "note", "说明", most=100),
            clerk=desk.actor,
            now=desk.now,
        )
        item = accepted_item(found, found.give_back.doc_no if found.give_back else "")
        return Done("返还单已存为指标文草稿，请在「指标文」核对后提交审批", reverse("prior-year-list"), [item])

    return perform(request, desk, do, failed=lambda error: _prior(request, desk, error))
