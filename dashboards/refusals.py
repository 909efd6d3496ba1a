"""Refusals in words for people: which rule, which post, which state; as a page or as JSON."""

import re
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from budget.document_states import DocumentState
from budget.states import PlanState
from contracts.states import ContractState, ProjectState, SupplementState
from core.errors import TransitionNotAllowed, TreasuryError, ValidationFailed
from parties.duties import Post
from payments.states import RequestState
from payroll.states import BatchState, ListState
from vouchers.states import VoucherState

_POST = re.compile(r"\b(" + "|".join(Post.values) + r")\b")
_STATES = {
    str(value): label
    for states in (
        *(SupplementState, ProjectState, ContractState, VoucherState, DocumentState, PlanState),
        *(ListState, BatchState, RequestState),
    )
    for value, label in states.choices
}
_TITLES = {403: "没有权限", 404: "没有找到", 409: "现在不能这样办", 422: "内容需要修改"}


@dataclass(frozen=True)
class Finding:
    """One thing to mend: its stable code, the field of the form it is about, and the sentence."""

    code: str
    field: str
    message: str


def sentence(error: TreasuryError) -> str:
    """Return the refusal's sentence with posts and states by their names."""
    if isinstance(error, TransitionNotAllowed):
        state = _STATES.get(str(error.facts.get("source", "")), "")
        return f"单据当前为「{state}」，不能这样办理；可能已被他人办过，请刷新。" if state else error.message
    return _POST.sub(lambda match: Post(match[0]).label, error.message).replace("|", "、")


def findings_of(error: TreasuryError) -> list[Finding]:
    """Return every finding of a refusal, one for each."""
    errors = error.findings if isinstance(error, ValidationFailed) else [error]
    return [Finding(e.code, e.field or "", sentence(e)) for e in errors]


def refused_items(error: TreasuryError, document_id: UUID | str | None, no: str = "") -> list[dict[str, str | None]]:
    """Return a refusal as items of the JSON answer, one for each finding."""
    key = None if document_id is None else str(document_id)
    return [
        {"id": key, "no": no, "code": f.code, "field": f.field or None, "message": f.message}
        for f in findings_of(error)
    ]


def wants_json(request: HttpRequest) -> bool:
    """Whether the caller asked for JSON and not for a page."""
    return request.headers.get("Accept", "").split(",")[0].split(";")[0].strip() == "application/json"


def refuse(request: HttpRequest, error: TreasuryError) -> HttpResponse:
    """Answer with the refusal: a page with the rule behind it and a way back, or JSON."""
    if wants_json(request):
        refused = [{key: value for key, value in item.items() if key != "no"} for item in refused_items(error, None)]
        return JsonResponse({"accepted": [], "refused": refused}, status=error.http_status)
    context = {
        "title": _TITLES.get(error.http_status, "不能办理"),
        "status": error.http_status,
        "findings": findings_of(error),
        "code": error.code,
    }
    return render(request, "refused.html", context, status=error.http_status)
