"""Procurement contracts: the list, one contract with all that hangs on it, its form, and the steps of its life."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from budget.selectors import indicators_for
from contracts import services
from contracts.deciding import ACTIONS
from contracts.models import Contract, ContractTerm, SupplementaryContract
from contracts.rules import MAX_TERMS
from contracts.selectors import executions, visible_contracts, visible_projects
from contracts.states import CONTRACT_FLOW, PAYABLE, ContractState, ProjectState, SupplementState
from core.errors import NotFound, TransitionNotAllowed, TreasuryError
from core.models import Transition
from dashboards import selectors
from dashboards.acting import Done, accepted_item, chosen, done, next_page, perform, uuid_or_none
from dashboards.contract_forms import (
    CONTRACT_ROWS,
    SUPPLEMENT_ROWS,
    TERM_FIELDS,
    Reader,
    RowsForm,
    contract_of,
    form_of,
    row_id,
    supplement_of,
)
from dashboards.contract_queues import open_supplements
from dashboards.desk import READERS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of, uuid_of
from dashboards.refusals import findings_of
from parties.models import BudgetUnit

_FRESH = {"prepayment_cap": "30", "interim_cap": "100"}
_MOST_ROWS = MAX_TERMS  # of any kind: what is more is refused when it is saved
_BLANK_TERM = dict.fromkeys(TERM_FIELDS, "")
_STATES = dict(ContractState.choices)
WAITING = "supplement"  # the filter of contracts with a supplement that waits for a decision


@require_GET
@officer(*READERS)
def contract_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List contracts with what is paid and left of each; drafts can be filed from here."""
    state, words = request.GET.get("state", ""), " ".join(request.GET.get("q", "").split())[:60].replace("\0", "")
    rows: QuerySet[Contract] = visible_contracts(desk.actor)
    if state == WAITING:
        rows = open_supplements(desk)
    elif state in _STATES:
        rows = rows.filter(state=state)
    if words:
        rows = rows.filter(
            Q(contract_no__icontains=words)
            | Q(title__icontains=words)
            | Q(supplier_name__icontains=words)
            | Q(unit__name__icontains=words)
        )
    page = selectors.page_of(rows, uuid_or_none(request.GET.get("before")))
    context = {
        "rows": executions(page.rows),
        "following": page.following,
        "states": [*ContractState.choices, (WAITING, "补充待审")],
        "state": state if state in _STATES or state == WAITING else "",
        "q": words,
        "clerk": desk.holds("unit_clerk"),
        "filing": desk.holds("section_reviewer") and any(r.state == ContractState.DRAFT for r in page.rows),
        "me": desk.actor.person_id,
    }
    return render(request, "contracts/list.html", context)


@require_GET
@officer(*READERS)
def contract_detail(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show one contract: terms, shares, supplements, acceptances, certificates, payments and what is left."""
    return _detail(request, desk, pk)


def _find(desk: Desk, pk: UUID) -> Contract:
    """:raises NotFound: for an unknown contract and for one of somebody else."""
    found = visible_contracts(desk.actor).filter(pk=pk).first()
    if found is None:
        raise NotFound("合同不存在或不在您的权限范围内。", field="id")
    return found


def _detail(
    request: HttpRequest, desk: Desk, pk: UUID, error: TreasuryError | None = None, at: str = ""
) -> HttpResponse:
    contract = _find(desk, pk)
    [execution] = executions([contract])
    supplements = list(
        SupplementaryContract.objects.filter(contract=contract)
        .select_related("created_by", "decided_by")
        .prefetch_related("allocations__indicator")
        .order_by("id")
    )
    payments = list(
        selectors.visible_requests(desk.actor)
        .filter(unit=contract.unit, contract_no=contract.contract_no)
        .order_by("-id")[:100]
    )
    findings = findings_of(error) if error else []
    reviewer, clerk = desk.holds("unit_reviewer"), desk.holds("unit_clerk")
    payable = contract.state in PAYABLE
    form = RowsForm.from_post(request.POST, SUPPLEMENT_ROWS) if at == "supplement" else RowsForm()
    form.at_least("allocations", 2, {"indicator": "", "amount": ""})
    form.at_least("accounts", 1, {"account_no": "", "bank_name": "", "bank_no": ""})
    due = execution.standing.due(desk.day.date) if desk.day and contract.state != ContractState.DRAFT else None
    context = {
        "contract": contract,
        "execution": execution,
        "standing": execution.standing,
        "use": execution.use,
        "due": due,
        "terms": list(contract.terms.all()),
        "shares": _shares(contract, execution),
        "supplements": supplements,
        "acceptances": list(contract.acceptances.select_related("person").order_by("id")),
        "certificates": list(contract.certificates.order_by("id")),
        "payments": payments,
        "events": list(Transition.objects.filter(document_id=contract.id).order_by("id")),
        "steps": _steps(desk, contract),
        "own": contract.created_by_id is not None and contract.created_by_id == desk.actor.person_id,
        "may_edit": clerk and contract.state == ContractState.DRAFT and not contract.source,
        "may_accept": reviewer and payable and not execution.standing.accepted,
        "may_certify": reviewer and payable and contract.project_id is not None,
        "may_supplement": clerk and payable,
        "may_pay": clerk and payable,
        "may_decide_supplement": desk.holds("section_reviewer"),
        "waiting_supplement": SupplementState.DRAFT,
        "me": desk.actor.person_id,
        "indicators": list(indicators_for(desk.actor, desk.fiscal_year)) if clerk else [],
        "form": form,
        "findings": [(_id_at(at, f.field), f) for f in findings],
        "errors": {_id_at(at, f.field): f.message for f in findings},
        "at": at,
    }
    return render(request, "contracts/detail.html", context, status=error.http_status if error else 200)


def _id_at(form: str, field: str) -> str:
    """The id of an input: acceptance and certificate stand on one page and have fields of the same name."""
    return f"{form}-{field}" if form in ("accept", "certify") else row_id(field)


def _shares(contract: Contract, execution: Any) -> list[dict[str, Any]]:
    names = {row.indicator_id: row.indicator for row in contract.allocations.select_related("indicator")}
    for supplement in contract.supplements.prefetch_related("allocations__indicator"):
        names |= {row.indicator_id: row.indicator for row in supplement.allocations.all()}
    used = execution.use.by_indicator
    return [
        {
            "indicator": names[pk],
            "amount": amount,
            "used": used.get(pk, 0),
            "left": amount - used.get(pk, 0),
        }
        for pk, amount in execution.standing.allocations.items()
    ]


def _steps(desk: Desk, contract: Contract) -> list[tuple[str, str]]:
    """The steps this officer may take from here, with their labels."""
    return [
        (move.action, ACTIONS[move.action])
        for move in CONTRACT_FLOW.moves
        if move.source == contract.state and move.action in ACTIONS and desk.holds(*move.role.split("|"))
    ]


# The form ------------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def new_contract(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write down a new contract as a draft."""
    if request.method == "GET":
        return _page(request, desk, RowsForm(dict(_FRESH)))
    form = RowsForm.from_post(request.POST, CONTRACT_ROWS)

    def save() -> Contract:
        unit = form.values.get("unit", "") or _only_unit(desk)
        return services.save_contract(unit_code=unit, given=contract_of(form), clerk=desk.actor, now=desk.now)

    return _save(request, desk, form, save, None)


@require_http_methods(["GET", "POST"])
@officer("unit_clerk")
def edit_contract(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Change a draft."""
    contract = _find(desk, pk)
    if request.method == "GET":
        if contract.state != ContractState.DRAFT:
            raise TransitionNotAllowed(
                f"合同当前为「{contract.get_state_display()}」，不能修改；金额变动请签补充合同。", field="state"
            )
        return _page(request, desk, form_of(contract), contract)
    form = RowsForm.from_post(request.POST, CONTRACT_ROWS)

    def save() -> Contract:
        return services.revise_contract(contract_id=pk, given=contract_of(form), clerk=desk.actor, now=desk.now)

    return _save(request, desk, form, save, contract)


@action("contract-new")
@officer("unit_clerk")
def form_rows(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Draw the form again with one row more of the kind in `add`; nothing is saved."""
    form = RowsForm.from_post(request.POST, CONTRACT_ROWS)
    kind = request.POST.get("add", "")
    if kind in CONTRACT_ROWS:
        rows = min(RowsForm.drawn(request.POST, kind) + 1, _MOST_ROWS)
        form.at_least(kind, rows, dict.fromkeys(CONTRACT_ROWS[kind], ""))
    pk = uuid_or_none(request.POST.get("pk"))
    return _page(request, desk, form, _find(desk, pk) if pk else None)


def _only_unit(desk: Desk) -> str:
    return next(iter(sorted(desk.actor.units)), "")


def _save(
    request: HttpRequest, desk: Desk, form: RowsForm, save: Callable[[], Contract], contract: Contract | None
) -> HttpResponse:
    def do() -> Done:
        saved = save()
        item = accepted_item(saved, saved.contract_no)
        return Done("合同已保存，待财政业务科备案", reverse("contract-detail", args=[saved.pk]), [item])

    return perform(request, desk, do, failed=lambda error: _page(request, desk, form, contract, error))


def _page(
    request: HttpRequest,
    desk: Desk,
    form: RowsForm,
    contract: Contract | None = None,
    error: TreasuryError | None = None,
) -> HttpResponse:
    findings = findings_of(error) if error else []
    form.at_least("terms", 3, _BLANK_TERM)
    form.at_least("allocations", 2, {"indicator": "", "amount": ""})
    form.at_least("accounts", 1, {"account_no": "", "bank_name": "", "bank_no": ""})
    units = BudgetUnit.objects.filter(adm_div_code=desk.actor.adm_div_code, code__in=desk.actor.units, active=True)
    context = {
        "form": form,
        "contract": contract,
        "units": list(units.order_by("code")),
        "indicators": list(indicators_for(desk.actor, desk.fiscal_year)),
        "projects": list(visible_projects(desk.actor).filter(state=ProjectState.APPROVED).order_by("code")),
        "conditions": ContractTerm.Condition.choices,
        "terms": list(enumerate(form.rows["terms"])),
        "shares": list(enumerate(form.rows["allocations"])),
        "accounts": list(enumerate(form.rows["accounts"])),
        "findings": [(row_id(f.field), f) for f in findings],
        "errors": {row_id(f.field): f.message for f in findings},
        "post_to": reverse("contract-edit", args=[contract.pk]) if contract else reverse("contract-new"),
    }
    return render(request, "contracts/form.html", context, status=error.http_status if error else 200)


# The steps -----------------------------------------------------------------------------------------------------------


@action("contract-list")
@officer("unit_clerk", "section_reviewer")
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Take one step of their life for the chosen contracts."""

    def do() -> Done:
        ids, step = chosen(request), request.POST.get("step", "")
        if step not in ACTIONS:
            raise ChoiceInvalid("请选择要办理的事项。", field="step")
        outcome = services.decide_contracts(
            contract_ids=ids,
            action=step,
            officer=desk.actor,
            reason=text_of(request.POST, "reason", "意见"),
            now=desk.now,
        )
        numbers = dict(Contract.objects.filter(pk__in=ids).values_list("pk", "contract_no"))
        back = next_page(request, reverse("contract-list"))
        return done(outcome, verb=ACTIONS[step], next=back, numbers=numbers, no="contract_no")

    return perform(request, desk, do)


@action("contract-list")
@officer("unit_reviewer")
def accept(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Note an acceptance of goods or works."""

    def do() -> Done:
        reader = Reader(request.POST)
        given: dict[str, Any] = {
            "certificate_no": reader.text("certificate_no").strip(),
            "amount": reader.amount("amount"),
            "accepted_on": reader.day("accepted_on"),
            "accepted_by": reader.text("accepted_by").strip(),
        }
        reader.check()
        acceptance = services.accept_contract(
            contract_id=pk, final=bool(request.POST.get("final")), officer=desk.actor, now=desk.now, **given
        )
        return _done("验收已登记", pk, acceptance, acceptance.certificate_no)

    return perform(request, desk, do, failed=lambda error: _detail(request, desk, pk, error, "accept"))


@action("contract-list")
@officer("unit_reviewer")
def certify(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Note a certificate of progress."""

    def do() -> Done:
        reader = Reader(request.POST)
        given: dict[str, Any] = {
            "certificate_no": reader.text("certificate_no").strip(),
            "period": reader.text("period").strip(),
            "amount": reader.change("amount"),
            "certified_on": reader.day("certified_on"),
            "certified_by": reader.text("certified_by").strip(),
        }
        reader.check()
        made = services.certify_progress(contract_id=pk, officer=desk.actor, now=desk.now, **given)
        return _done("进度证书已登记", pk, made, made.certificate_no)

    return perform(request, desk, do, failed=lambda error: _detail(request, desk, pk, error, "certify"))


@action("contract-list")
@officer("unit_clerk")
def supplement(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Write down a supplementary contract, for somebody else to approve."""

    def do() -> Done:
        given = supplement_of(RowsForm.from_post(request.POST, SUPPLEMENT_ROWS))
        made = services.save_supplement(contract_id=pk, given=given, clerk=desk.actor, now=desk.now)
        return _done("补充合同已保存，待审批", pk, made, made.supplement_no)

    return perform(request, desk, do, failed=lambda error: _detail(request, desk, pk, error, "supplement"))


@action("contract-list")
@officer("section_reviewer")
def decide_supplement(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Approve or reject a supplement that somebody else wrote."""

    def do() -> Done:
        decision = request.POST.get("decision", "")
        if decision not in ("approve", "reject"):
            raise ChoiceInvalid("请选择批准或否决。", field="decision")
        decided = services.decide_supplement(
            supplement_id=uuid_of(request.POST, "supplement", "补充合同"),
            approve=decision == "approve",
            officer=desk.actor,
            reason=text_of(request.POST, "reason", "意见"),
            now=desk.now,
        )
        return _done(
            "补充合同已批准" if decision == "approve" else "补充合同已否决", pk, decided, decided.supplement_no
        )

    return perform(request, desk, do, failed=lambda error: _detail(request, desk, pk, error))


def _done(message: str, pk: UUID, document: Any, no: str) -> Done:
    return Done(message, reverse("contract-detail", args=[pk]), [accepted_item(document, no)])
