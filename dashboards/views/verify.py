"""The public page: is this voucher genuine? Without log-in, without cookies but the form's, without a trace in logs."""

from typing import Any

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from core.errors import TreasuryError
from dashboards.genuine import Checked, check_body, check_code, shown_holder, shown_name
from dashboards.marks import Judged
from dashboards.reading_files import LARGEST, FileRefused, FileTooLarge, FileTypeRefused, read_file
from dashboards.refusals import wants_json
from dashboards.throttling import may_ask

FORM_ROOM = 64 * 1024  # what a form may add to the file
LONGEST_CODE = 120
ORDER = ("altered", "unknown", "void", "undecided", "genuine")  # of several answers the gravest is told first
BODIES = ("application/xml", "text/xml", "application/pdf")
TOO_OFTEN = "查询过于频繁，请一分钟后再试。"


class _InMemory(MemoryFileUploadHandler):
    """A stranger's file stays in memory: it names payees, and must not lie in a temporary folder."""

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        self.activated = True


@never_cache
@csrf_exempt  # only until the size is known; `_posted` protects again
@require_http_methods(["GET", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    """Show the form; answer the code on a paper (`?v=`), or a file."""
    code = request.GET.get("v", "")[:LONGEST_CODE]
    if (request.method == "POST" or code) and not may_ask(request):
        response = _refused(request, "too_many_requests", TOO_OFTEN, 429, code)
        response["Retry-After"] = "60"
        return response
    if request.method == "POST":
        if _length(request) > LARGEST + FORM_ROOM:
            return _refused(request, FileTooLarge.code, f"文件超过 {LARGEST // 1024 // 1024} MiB。", 413, code)
        request.upload_handlers = [_InMemory(request)]
        return _posted(request, code)
    if not code:
        return render(request, "verify/page.html", {"code": ""})
    return _answer(request, [check_code(code, timezone.now())], code)


@csrf_protect
def _posted(request: HttpRequest, code: str) -> HttpResponse:
    code = code or request.POST.get("v", "")[:LONGEST_CODE]
    try:
        bodies = read_file(_content(request))
        now = timezone.now()
        found = [check_body(body, code=code, now=now) for body in bodies]
    except TreasuryError as refusal:  # a document that cannot be read is no server's fault, nor a business conflict
        status = refusal.http_status if isinstance(refusal, FileRefused) else 400
        return _refused(request, refusal.code, refusal.message, status, code)
    return _answer(request, found, code)


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return LARGEST + FORM_ROOM + 1


def _content(request: HttpRequest) -> bytes:
    """The file of the form, or the body itself.

    :raises FileRefused, FileTypeRefused: if there is none.
    """
    if request.content_type in BODIES:
        return request.body
    if request.content_type != "multipart/form-data":
        raise FileTypeRefused("请以表单上传文件，或直接提交 XML、PDF。", field="file")
    file = request.FILES.get("file")
    if file is None or not file.size:
        raise FileRefused("请选择要验证的文件。", field="file")
    return bytes(file.read())


def _answer(request: HttpRequest, found: list[Checked], code: str) -> HttpResponse:
    found = sorted(found, key=lambda one: ORDER.index(one.result))
    at = timezone.now()
    if wants_json(request):
        return JsonResponse({"checked_at": at.isoformat(timespec="seconds"), "results": [_plain(one) for one in found]})
    shown = [(one, [(mark, shown_name(mark), shown_holder(mark)) for mark in one.marks]) for one in found]
    return render(request, "verify/page.html", {"found": shown, "checked_at": at, "code": code})


def _refused(request: HttpRequest, code_word: str, message: str, status: int, code: str) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"code": code_word, "message": message}, status=status)
    return render(request, "verify/page.html", {"problem": message, "code": code}, status=status)


def _plain(one: Checked) -> dict[str, Any]:
    return {
        "result": one.result,
        "headline": one.headline,
        "sentence": one.sentence,
        "title": one.title,
        "facts": [{"name": name, "value": value} for name, value in one.facts],
        "state": one.state,
        "business_state": one.business_state,
        "differences": [vars(difference) for difference in one.differences],
        "remarks": list(one.remarks),
        "marks": [_plain_mark(mark) for mark in one.marks],
        "evidence_root": {
            "stream": one.root.stream,
            "size": one.root.size,
            "at": one.root.at.isoformat(timespec="seconds"),
            "time_stamped": one.root.stamped,
        }
        if one.root is not None
        else None,
    }


def _plain_mark(mark: Judged) -> dict[str, Any]:
    return {
        "position": mark.position,
        "title": mark.title,
        "kind": "stamp" if mark.is_stamp else "signature",
        "name": shown_name(mark),
        "holder": shown_holder(mark),
        "certificate_serial": mark.serial,
        "at": mark.at.isoformat(timespec="seconds") if mark.at is not None else None,
        "indication": str(mark.verdict.indication),
        "sub_indication": str(mark.verdict.sub_indication or ""),
        "reason": mark.verdict.reason,
        "advice": mark.verdict.advice,
        "deviations": [deviation.text for deviation in mark.verdict.deviations],
    }
