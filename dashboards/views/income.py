"""Units' own income: the clerk writes down what has come in, another person of the unit confirms it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from budget.income import DECIDERS, IncomeInput, decide_incomes, incomes_of, record_income
from budget.methods import Control, controlled_by
from budget.selectors import indicators_for
from core.errors import TreasuryError
from dashboards import selectors
from dashboards.acting import Done, accepted_item, chosen, done, perform, uuid_or_none
from dashboards.desk import Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import amount_of, text_of, uuid_of
from dashboards.navigation import INCOME_POSTS
from dashboards.refusals import findings_of


@require_GET
@officer(*INCOME_POSTS)
def income_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List the unit's incomes, newest first, with the form for the clerk and the ticks for who confirms."""
    return _page(request, desk)


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def new_income(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write down one income."""
    if request.method == "GET":
        return _page(request, desk)

    def do() -> Done:
        received_on = selectors.date_or_none(request.POST.get("received_on"))
        if received_on is None:
            raise ChoiceInvalid("请填写到账日期。", field="received_on")
        given = IncomeInput(
            indicator_id=uuid_of(request.POST, "indicator", "指标"),
            amount=amount_of(request.POST),
            received_on=received_on,
            payer=text_of(request.POST, "payer", "付款人"),
            bank_serial=text_of(request.POST, "bank_serial", "银行流水号"),
            note=text_of(request.POST, "note", "说明"),
        )
        saved = record_income(given=given, clerk=desk.actor, now=desk.now)
        return Done("收入已登记，待确认", reverse("income-list"), [accepted_item(saved, saved.income_no)])

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


@action("income-list")
@officer(*DECIDERS)
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Confirm or refuse (`decision=refuse`) incomes."""

    def do() -> Done:
        ids = chosen(request)
        confirm = request.POST.get("decision") != "refuse"
        outcome = decide_incomes(income_ids=ids, by=desk.actor, confirm=confirm, now=desk.now)
        numbers = dict(incomes_of(desk.actor).filter(pk__in=ids).values_list("pk", "income_no"))
        verb = "确认" if confirm else "否决"
        return done(outcome, verb=verb, next=reverse("income-list"), numbers=numbers, no="income_no")

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


def _page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    rows = incomes_of(desk.actor).filter(fiscal_year=desk.fiscal_year)
    page = selectors.page_of(rows, uuid_or_none(request.GET.get("before")))
    clerk = desk.holds("unit_clerk")
    mine = indicators_for(desk.actor, desk.fiscal_year).filter(payment_mode__in=controlled_by(Control.INCOME))
    findings = findings_of(error) if error else []
    named = [({"indicator_id": "indicator"}.get(f.field, f.field), f) for f in findings]
    context = {
        "rows": page.rows,
        "following": page.following,
        "clerk": clerk,
        "decider": desk.holds(*DECIDERS),
        "indicators": list(mine) if clerk else [],
        "today": (desk.day.date if desk.day else desk.now.date()).isoformat(),
        "findings": named,
        "errors": {name: finding.message for name, finding in named},
    }
    return render(request, "income/list.html", context, status=error.http_status if error else 200)
