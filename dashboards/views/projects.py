"""Investment projects: the list, the form, and the ledger of one: estimate, contracts, certified, paid, kept back."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from budget.selectors import indicators_for
from contracts.models import Contract, InvestmentProject
from contracts.projects import ACTIONS
from contracts.selectors import Execution, executions, visible_projects
from contracts.services import decide_project, save_project
from contracts.states import PROJECT_FLOW, ProjectState
from core.errors import NotFound, TreasuryError
from core.models import Transition
from core.money import ZERO
from dashboards import selectors
from dashboards.acting import Done, accepted_item, perform, uuid_or_none
from dashboards.contract_forms import PROJECT_ROWS, RowsForm, project_of, row_id
from dashboards.desk import READERS, Desk, action, officer
from dashboards.forms import text_of
from dashboards.refusals import findings_of
from parties.models import BudgetUnit


@dataclass(frozen=True)
class Line:
    """One contract of a project in its ledger; `payable` is what may still be paid on certificates now."""

    execution: Execution
    certified: Decimal
    retained: Decimal
    payable: Decimal


@dataclass(frozen=True)
class Ledger:
    """A project with its contracts and their sums, in yuan."""

    project: InvestmentProject
    lines: list[Line]
    contracted: Decimal
    certified: Decimal
    paid: Decimal
    in_transit: Decimal
    retained: Decimal
    payable: Decimal

    @property
    def net(self) -> Decimal:
        return sum((line.execution.use.net for line in self.lines), ZERO)

    @property
    def estimate_left(self) -> Decimal:
        return self.project.approved_estimate - self.net


def ledgers(projects: list[InvestmentProject], desk: Desk) -> list[Ledger]:
    """Return the ledgers of these projects; a fixed number of statements."""
    contracts = list(
        Contract.objects.select_related("project", "unit").filter(project__in=projects).exclude(filed_at__isnull=True)
    )
    on = desk.day.date if desk.day else desk.now.date()
    lines: dict[UUID, list[Line]] = {project.id: [] for project in projects}
    for execution in executions(contracts):
        standing = execution.standing
        retained = standing.retained(on)
        payable = max(standing.certified - retained - execution.use.net, ZERO)
        assert standing.contract.project_id is not None
        lines[standing.contract.project_id].append(Line(execution, standing.certified, retained, payable))
    return [_ledger(project, lines[project.id]) for project in projects]


def _ledger(project: InvestmentProject, lines: list[Line]) -> Ledger:
    def total(value: Any) -> Decimal:
        return sum((value(line) for line in lines), ZERO)

    return Ledger(
        project,
        lines,
        contracted=total(lambda line: line.execution.standing.total),
        certified=total(lambda line: line.certified),
        paid=total(lambda line: line.execution.use.paid - line.execution.use.refunded),
        in_transit=total(lambda line: line.execution.use.in_transit),
        retained=total(lambda line: line.retained),
        payable=total(lambda line: line.payable),
    )


@require_GET
@officer(*READERS)
def project_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List investment projects with what is certified and paid of each."""
    page = selectors.page_of(visible_projects(desk.actor), uuid_or_none(request.GET.get("before")))
    context = {
        "rows": ledgers(page.rows, desk),
        "following": page.following,
        "clerk": desk.holds("unit_clerk"),
    }
    return render(request, "projects/list.html", context)


@require_GET
@officer(*READERS)
def project_ledger(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show the ledger of one project."""
    return _show(request, desk, pk)


def _show(request: HttpRequest, desk: Desk, pk: UUID, error: TreasuryError | None = None) -> HttpResponse:
    project = visible_projects(desk.actor).filter(pk=pk).first()
    if project is None:
        raise NotFound("项目不存在或不在您的权限范围内。", field="id")
    [ledger] = ledgers([project], desk)
    steps = [
        (move.action, ACTIONS[move.action])
        for move in PROJECT_FLOW.moves
        if move.source == project.state and desk.holds(*move.role.split("|"))
    ]
    context = {
        "project": project,
        "ledger": ledger,
        "sources": list(project.sources.order_by("id")),
        "indicators": [link.indicator for link in project.indicator_links.select_related("indicator").order_by("id")],
        "certificates": list(project.certificates.select_related("contract").order_by("id")),
        "events": list(Transition.objects.filter(document_id=project.id).order_by("id")),
        "steps": steps,
        "own": project.created_by_id == desk.actor.person_id,
        "approved": project.state == ProjectState.APPROVED,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "projects/ledger.html", context, status=error.http_status if error else 200)


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def new_project(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write down an investment project, for the finance section to approve."""
    if request.method == "GET":
        return _page(request, desk, RowsForm({"retention_ratio": "3"}))
    form = RowsForm.from_post(request.POST, PROJECT_ROWS)

    def do() -> Done:
        saved = save_project(
            unit_code=form.values.get("unit", "") or next(iter(sorted(desk.actor.units)), ""),
            given=project_of(form, request.POST.getlist("indicators")),
            clerk=desk.actor,
            now=desk.now,
        )
        return Done(
            "投资项目已保存，待批准", reverse("project-ledger", args=[saved.pk]), [accepted_item(saved, saved.code)]
        )

    return perform(request, desk, do, failed=lambda error: _page(request, desk, form, error))


def _page(request: HttpRequest, desk: Desk, form: RowsForm, error: TreasuryError | None = None) -> HttpResponse:
    findings = findings_of(error) if error else []
    form.at_least("sources", 3, {"source": "", "amount": ""})
    units = BudgetUnit.objects.filter(adm_div_code=desk.actor.adm_div_code, code__in=desk.actor.units, active=True)
    context = {
        "form": form,
        "units": list(units.order_by("code")),
        "indicators": list(indicators_for(desk.actor, desk.fiscal_year)),
        "chosen": request.POST.getlist("indicators"),
        "sources": list(enumerate(form.rows["sources"])),
        "findings": [(row_id(f.field), f) for f in findings],
        "errors": {row_id(f.field): f.message for f in findings},
    }
    return render(request, "projects/form.html", context, status=error.http_status if error else 200)


@action("project-list")
@officer("section_reviewer")
def decide(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Approve, reject or close a project that somebody else wrote down."""

    def do() -> Done:
        step = request.POST.get("step", "")
        decided = decide_project(
            project_id=pk,
            action=step,
            officer=desk.actor,
            reason=text_of(request.POST, "reason", "意见"),
            now=desk.now,
        )
        verb = ACTIONS.get(step, "")
        return Done(f"项目已{verb}", reverse("project-ledger", args=[pk]), [accepted_item(decided, decided.code)])

    return perform(request, desk, do, failed=lambda error: _show(request, desk, pk, error))
