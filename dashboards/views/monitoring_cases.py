"""Cases: the list by what waits for whom, one case with all that was said, and the supervisors' view of level one."""

from typing import Any
from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET

from attachments.keeping import keep_files
from attachments.receiving import IncomingHandler, incoming
from attachments.store import file_store
from core.errors import NotFound, TreasuryError, ValidationFailed
from dashboards.acting import Done, perform, uuid_or_none
from dashboards.desk import BUREAU_READERS, Desk, action, officer
from dashboards.forms import text_of, uuid_of
from dashboards.masking import mask_name
from dashboards.refusals import findings_of
from dashboards.selectors import BUREAUS_TURN, UNITS_TURN, cases_for, page_of
from monitoring.casework import Filed, answer_case, close_case, decide_case, explain_case
from monitoring.levels import Severity
from monitoring.models import Case, CaseStep
from monitoring.states import CASE_FLOW, OPEN_CASES, UNIT_SIDE, VERIFIERS, AlertState, CaseState, Verdict
from parties.duties import Post
from parties.models import BudgetUnit

UNIT_POSTS, VERIFIER_POSTS = tuple(UNIT_SIDE.split("|")), tuple(VERIFIERS.split("|"))
READERS = (*BUREAU_READERS, *UNIT_POSTS)
SUPERVISORS = (Post.SUPERVISOR, Post.SECURITY_AUDITOR)
FILTERS = (
    ("open", "未办结", OPEN_CASES),
    ("unit", "等单位", UNITS_TURN),
    ("bureau", "等核实或核销", BUREAUS_TURN),
    ("closed", "已核销", (CaseState.CLOSED,)),
)


@require_GET
@officer(*READERS)
def case_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the cases by state and level, newest first; what is overdue is marked."""
    chosen, level = request.GET.get("state", "open"), request.GET.get("level", "")
    states = next((states for key, _, states in FILTERS if key == chosen), OPEN_CASES)
    rows = cases_for(desk).filter(state__in=states)
    if level in Severity.values:
        rows = rows.filter(level=level)
    page = page_of(rows, uuid_or_none(request.GET.get("before")))
    context = {
        "rows": page.rows,
        "following": page.following,
        "filters": [(key, label) for key, label, _ in FILTERS],
        "chosen": chosen,
        "level": level,
        "levels": Severity.choices,
        "today": desk.day.date if desk.day is not None else None,
        "units": _unit_names(desk),
    }
    return render(request, "monitoring/cases.html", context)


def _unit_names(desk: Desk) -> dict[str, str]:
    return dict(BudgetUnit.objects.filter(adm_div_code=desk.actor.adm_div_code).values_list("code", "name"))


@require_GET
@officer(*READERS)
def case_page(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show one case: the alert with its facts, everything that was said, and what may be done next."""
    return _page(request, desk, _find(desk, pk))


def _find(desk: Desk, pk: UUID | None) -> Case:
    case = cases_for(desk).filter(pk=pk).first()
    if case is None:
        raise NotFound("案件不存在或不在您的权限范围内。", field="id")
    return case


def _page(request: HttpRequest, desk: Desk, case: Case, error: TreasuryError | None = None) -> HttpResponse:
    actions = set(CASE_FLOW.actions_from(case.state))
    unit, verifier = desk.holds(*UNIT_POSTS), desk.holds(*VERIFIER_POSTS)
    held = case.alert.state == AlertState.PENDING
    verdicts = [
        (verdict.value, verdict.label)
        for verdict in Verdict
        if verdict in actions
        and not (held and verdict in (Verdict.PASS, Verdict.VOID))
        and not (verdict == Verdict.ESCALATE and case.level == Severity.RED)
        and not (verdict in (Verdict.RECTIFY, Verdict.RECOVER) and not case.alert.unit_code)
    ]
    context = {
        "case": case,
        "alert": case.alert,
        "unit_name": _unit_names(desk).get(case.alert.unit_code, ""),
        "steps": list(CaseStep.objects.filter(case=case).order_by("id")),
        "today": desk.day.date if desk.day is not None else None,
        "held": held,
        "is_payment": case.alert.document_type == "payments.PaymentRequest",
        "may_explain": unit and "explain" in actions,
        "may_answer": unit and "feedback" in actions,
        "may_decide": verifier and bool(verdicts) and case.state in (CaseState.AWAITING, CaseState.EXPLAINED),
        "verdicts": verdicts,
        "may_close": verifier and "close" in actions,
        "findings": [(_target(f.field), f) for f in findings_of(error)] if error else [],
    }
    return render(request, "monitoring/case.html", context, status=error.http_status if error else 200)


def _target(field: str) -> str:
    return field if field in ("text", "file", "verdict") else ""


def _kept(desk: Desk, arriving: IncomingHandler) -> list[Filed]:
    """Keep the files that came along with a word; none is fine. :raises ValidationFailed: if one is not kept."""
    if arriving.refused:
        raise ValidationFailed([*arriving.refused])
    files = keep_files(
        [file.received for file in arriving.arrived],
        store=arriving.store,
        adm_div_code=desk.actor.adm_div_code,
        fiscal_year=desk.fiscal_year,
        now=desk.now,
    )
    return [Filed(f.received.digest, f.received.name, f.checked.media_type, f.received.size) for f in files]


def _act(request: HttpRequest, desk: Desk, verb: str, do: Any) -> HttpResponse:
    case = _find(desk, uuid_of(request.POST, "id", "案件"))

    def act() -> Done:
        changed = do(case.id, text_of(request.POST, "text", "内容", most=500))
        item = {"id": str(case.pk), "no": case.alert.document_no, "state": changed.state}
        item["label"] = changed.get_state_display()
        return Done(f"{case.alert.document_no}：{verb}", reverse("case-page", args=[case.pk]), [item])

    return perform(request, desk, act, failed=lambda error: _page(request, desk, _find(desk, case.pk), error))


@csrf_exempt  # only until the size of the files is known; `_say` protects again
@action("case-list")
@officer(*UNIT_POSTS)
def explain(request: HttpRequest, desk: Desk) -> HttpResponse:
    """The unit explains itself, with files."""
    with incoming(request) as arriving:
        return _say(request, desk, arriving, "已提交说明", explain_case)


@csrf_exempt
@action("case-list")
@officer(*UNIT_POSTS)
def answer(request: HttpRequest, desk: Desk) -> HttpResponse:
    """The unit reports what it has put right."""
    with incoming(request) as arriving:
        return _say(request, desk, arriving, "已提交整改反馈", answer_case)


@csrf_protect
def _say(request: HttpRequest, desk: Desk, arriving: IncomingHandler, verb: str, say: Any) -> HttpResponse:
    def do(pk: UUID, text: str) -> Case:
        found: Case = say(case_id=pk, text=text, files=_kept(desk, arriving), unit_officer=desk.actor, now=desk.now)
        return found

    return _act(request, desk, verb, do)


@action("case-list")
@officer(*VERIFIER_POSTS)
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Verify the case."""
    verdict = request.POST.get("verdict", "")
    label = dict(Verdict.choices).get(verdict, "核实")
    return _act(
        request,
        desk,
        f"已核实，{label}",
        lambda pk, text: decide_case(case_id=pk, verdict=verdict, text=text, verifier=desk.actor, now=desk.now),
    )


@action("case-list")
@officer(*VERIFIER_POSTS)
def close(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Write the case off, or ask again."""
    closed = request.POST.get("then") == "close"
    return _act(
        request,
        desk,
        "已核销" if closed else "已退回重新整改",
        lambda pk, text: close_case(case_id=pk, closed=closed, text=text, verifier=desk.actor, now=desk.now),
    )


@require_GET
@officer(*READERS)
def case_file(request: HttpRequest, desk: Desk, pk: UUID, digest: str) -> HttpResponseBase:
    """Send a file of a case to whoever may see the case."""
    case = _find(desk, pk)
    for attachments in CaseStep.objects.filter(case=case).values_list("attachments", flat=True):
        for file in attachments:
            if file["digest"] == digest:
                return FileResponse(
                    file_store().open(digest),
                    as_attachment=not file["media_type"].startswith("image/"),
                    filename=file["file_name"],
                    content_type=file["media_type"],
                )
    raise NotFound("附件不存在。", field="id")


# Supervisors --------------------------------------------------------------------------------------------------------


@require_GET
@officer(*SUPERVISORS)
def supervision(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the cases of level one and what became of them; persons and accounts are masked, nothing can be changed."""
    rows = Case.objects.select_related("alert").filter(adm_div_code=desk.actor.adm_div_code, level=Severity.RED)
    page = page_of(rows, uuid_or_none(request.GET.get("before")))
    units = _unit_names(desk)
    told = (CaseStep.Kind.FEEDBACK, CaseStep.Kind.CLOSE)
    steps: dict[UUID, list[CaseStep]] = {case.pk: [] for case in page.rows}
    for step in CaseStep.objects.filter(case__in=page.rows, kind__in=told).order_by("id"):
        step.actor_name = mask_name(step.actor_name)
        steps[step.case_id].append(step)
    context = {
        "rows": [(case, units.get(case.alert.unit_code, ""), steps[case.pk]) for case in page.rows],
        "following": page.following,
        "open": rows.exclude(state=CaseState.CLOSED).count(),
        "total": rows.count(),
        "today": desk.day.date if desk.day is not None else None,
    }
    return render(request, "monitoring/supervision.html", context)
