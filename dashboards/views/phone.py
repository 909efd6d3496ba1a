"""The page on a phone that may add files to one document, and nothing else. Without log-in; see docs/attachments.md."""

from datetime import date, datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from attachments.errors import PhoneLinkUnknown
from attachments.models import PhoneLink
from attachments.phones import UNKNOWN, claim_phone_link, find_phone_link
from attachments.receiving import IncomingHandler, incoming
from core.calendar import peek_day
from core.errors import TreasuryError
from dashboards.refusals import findings_of
from dashboards.throttling import may_send
from parties.selectors import actor_of
from payments.services import attach_files

COOKIE = "guoku_phone"
TOO_OFTEN = "发送过于频繁，请一分钟后再试。"


@never_cache
@csrf_exempt  # only until the size is known; `_posted` protects again
@require_http_methods(["GET", "POST"])
def phone(request: HttpRequest, token: str) -> HttpResponse:
    """Show the form to the phone that holds the token; keep what it sends. The first that sends is the only one."""
    if not may_send(request):
        response = _page(request, None, problems=[TOO_OFTEN], status=429)
        response["Retry-After"] = "60"
        return response
    now = timezone.now()
    link = None
    try:
        link = find_phone_link(token, request.COOKIES.get(COOKIE, ""), now=now)
        if request.method == "GET":
            return _page(request, link)
        with incoming(request) as arriving:
            return _posted(request, link, arriving, now)
    except TreasuryError as refusal:
        known = None if isinstance(refusal, PhoneLinkUnknown) else link
        return _page(request, known, problems=[f.message for f in findings_of(refusal)], status=refusal.http_status)


@csrf_protect
def _posted(request: HttpRequest, link: PhoneLink, arriving: IncomingHandler, now: datetime) -> HttpResponse:
    if not request.FILES and not arriving.refused:  # reading them lets them stream in
        return _page(request, link, problems=["请先拍照或选择文件。"], status=422)
    if not link.user.is_active:
        raise PhoneLinkUnknown(UNKNOWN, field="token")
    secret = "" if link.phone_digest else claim_phone_link(link, now=now)
    day = peek_day(link.adm_div_code)
    response = _kept(request, link, arriving, now, day.date if day is not None else timezone.localdate(now))
    if secret:
        response.set_cookie(
            COOKIE,
            secret,
            max_age=settings.GUOKU_PHONE_MINUTES * 60,
            path=request.path,
            secure=request.is_secure(),
            httponly=True,
            samesite="Strict",
        )
    return response


def _kept(request: HttpRequest, link: PhoneLink, arriving: IncomingHandler, now: datetime, on: date) -> HttpResponse:
    try:
        attached = attach_files(
            request_id=link.document_id,
            files=[file.received for file in arriving.arrived],
            store=arriving.store,
            clerk=actor_of(link.user, on=on),  # with the posts held now: an officer who left adds nothing
            now=now,
            refused=arriving.refused,
        )
    except TreasuryError as refusal:
        problems = [finding.message for finding in findings_of(refusal)]
        return _page(request, link, problems=problems, status=refusal.http_status)
    names = [attachment.file_name for attachment in attached.accepted]
    return _page(request, link, added=names, problems=[refusal.message for refusal in attached.refused])


def _page(
    request: HttpRequest,
    link: PhoneLink | None,
    *,
    added: list[str] | None = None,
    problems: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    return render(request, "phone.html", {"link": link, "added": added, "problems": problems}, status=status)
