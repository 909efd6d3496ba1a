"""A button pressed: one service call, once, and its answer as a page or as JSON."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils.http import url_has_allowed_host_and_scheme

from core.errors import TreasuryError
from core.idempotency import Answer, run_once
from core.outcomes import CHUNK, Outcome
from dashboards.desk import Desk
from dashboards.errors import ActionIdInvalid, Busy, NothingSelected, TooManySelected
from dashboards.refusals import refuse, refused_items, wants_json

Item = dict[str, Any]
SHOWN = ("id", "no", "state", "notice")
_BESIDES = frozenset({"csrfmiddlewaretoken", "action_id", "next"})


@dataclass(frozen=True)
class Done:
    """What an action did, item by item, in words, and where to go from here. Kept as the answer to its action id."""

    message: str
    next: str
    accepted: list[Item] = field(default_factory=list)
    refused: list[Item] = field(default_factory=list)
    status: int = 200


def done(
    outcome: Outcome[Any], *, verb: str, next: str, numbers: Mapping[UUID, str] | None = None, no: str = "request_no"
) -> Done:
    """Return the answer of a batch service; `numbers` names refused documents the way people know them."""
    numbers = numbers or {}
    accepted = [accepted_item(document, getattr(document, no, "") or str(document)) for document in outcome.accepted]
    refused = [
        item
        for document_id, error in outcome.refused.items()
        for item in refused_items(error, document_id, numbers.get(document_id, ""))
    ]
    message = f"{verb}：{len(outcome.accepted)} 笔成功" + (f"，{len(outcome.refused)} 笔未办" if refused else "")
    status = 200 if outcome.accepted or not outcome.refused else next_status(outcome.refused.values())
    return Done(message, next, accepted, refused, status)


def next_status(errors: Iterable[TreasuryError]) -> int:
    return next(iter(errors)).http_status


def accepted_item(document: Any, no: str) -> Item:
    """Return a document as an item of the answer."""
    state = getattr(document, "state", "")
    label = document.get_state_display() if hasattr(document, "get_state_display") else ""
    return {"id": str(document.pk), "no": no, "state": str(state), "label": label}


def perform(
    request: HttpRequest,
    desk: Desk,
    do: Callable[[], Done],
    *,
    failed: Callable[[TreasuryError], HttpResponse] | None = None,
) -> HttpResponse:
    """Carry out what a form asks, at most once for its `action_id`, and answer.

    The same id with the same content gets the stored answer; with other content it is refused (409). A refusal of
    the whole is not stored, so a mended form may be sent again. `failed` draws the form again with the findings.
    """
    try:
        answer = _run(request, desk, do)
    except TreasuryError as refusal:
        if failed is not None and refusal.http_status == 422 and not wants_json(request):
            return failed(refusal)
        return refuse(request, refusal)
    if wants_json(request):
        shown = {
            "accepted": [{k: item[k] for k in SHOWN if k in item} for item in answer.body["accepted"]],
            "refused": [{k: item[k] for k in ("id", "code", "field", "message")} for item in answer.body["refused"]],
        }
        return JsonResponse(shown, status=answer.status)
    response = HttpResponseRedirect(with_query(answer.body["next"], done=request.POST["action_id"]))
    response.status_code = 303
    return response


def _run(request: HttpRequest, desk: Desk, do: Callable[[], Done]) -> Answer:
    def act() -> Answer:
        what = do()
        return Answer(what.status, asdict(what))

    try:
        return run_once(
            owner=f"user:{request.user.pk}", key=_action_id(request), payload=_payload(request), now=desk.now, act=act
        )
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) in ("55P03", "40P01", "40001"):  # lock timeout, deadlock
            raise Busy("其他人正在办理相关单据，请稍后再试。内容没有变动。") from error
        raise


def action_key(request: HttpRequest) -> str:
    """Return the key under which what this form creates is found again: whose it is and the form's action id."""
    return f"user:{request.user.pk}:{_action_id(request)}"


def _action_id(request: HttpRequest) -> str:
    try:
        return str(UUID(request.POST.get("action_id", "")))
    except ValueError:
        raise ActionIdInvalid("表单缺少操作编号，请刷新页面后重试。", field="action_id") from None


def _payload(request: HttpRequest) -> bytes:
    fields = sorted((name, values) for name, values in request.POST.lists() if name not in _BESIDES)
    files = sorted((name, file.name, _digest(file)) for name, sent in request.FILES.lists() for file in sent)
    return json.dumps([request.path, fields, files], ensure_ascii=False).encode()


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def chosen(request: HttpRequest) -> list[UUID]:
    """Return the ids a list form names.

    :raises NothingSelected, TooManySelected: for none, or for more than one transaction carries.
    """
    ids = [uuid_or_none(text) for text in request.POST.getlist("ids")]
    found = list(dict.fromkeys(pk for pk in ids if pk is not None))
    if not found:
        raise NothingSelected("请先勾选要办理的单据。", field="ids")
    if len(found) > CHUNK:
        raise TooManySelected(f"一次最多办理 {CHUNK} 笔，请分批。", field="ids", given=len(found))
    return found


def uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


def next_page(request: HttpRequest, default: str) -> str:
    """Return where the form wants to go afterwards, if that is one of our own pages."""
    wanted = request.POST.get("next", "")
    safe = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if safe else default


def with_query(address: str, **values: str) -> str:
    """Return an address with these query values set."""
    parts = urlsplit(address)
    kept = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in values]
    return urlunsplit(parts._replace(query="&".join([*kept, urlencode(values)])))
