"""Coming and going."""

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from core.actors import Actor
from core.errors import TreasuryError
from core.models import BusinessDay
from dashboards.desk import WITH_KEY, action
from dashboards.refusals import wants_json
from dashboards.signing import origin_of, proof_of
from parties.models import Region, User
from parties.selectors import actor_of
from seals.approvals import certificate_of, prepare, take
from seals.errors import NoOfficerCertificate
from seals.models import Statement

WRONG = "用户名或密码不正确。"
PENDING = "ukey_pending"  # who has given the password and owes the signature


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """Ask for name and password; the answer to a wrong pair does not tell which of the two was wrong."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        wanted = reverse("workbench")
    if request.method == "GET":
        if request.user.is_authenticated:
            return HttpResponseRedirect(wanted)
        return render(request, "login.html", {"next": wanted})
    form = AuthenticationForm(request, request.POST)
    if not form.is_valid():
        if wants_json(request):
            refused = [{"id": None, "code": "login_failed", "field": "username", "message": WRONG}]
            return JsonResponse({"accepted": [], "refused": refused}, status=401)
        context = {"next": wanted, "wrong": WRONG, "username": request.POST.get("username", "")[:150]}
        return render(request, "login.html", context, status=401)
    user = form.get_user()
    statement = _challenge(request, user)
    if statement is not None:
        return _ask_for_key(request, statement, wanted)
    return _enter(request, user, wanted)


@never_cache
@require_http_methods(["POST"])
def log_in_with_key(request: HttpRequest) -> HttpResponse:
    """The second half of logging in: the challenge, signed with the officer's UKey."""
    wanted = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        wanted = reverse("workbench")
    user = User.objects.filter(pk=request.session.get(PENDING), is_active=True).select_related("person").first()
    if user is None:
        return _again(request, "登录已超时，请重新输入用户名和密码。", "", wanted)
    try:
        with transaction.atomic():
            taken = take(proof_of(request), action="login", by=_visitor(user), now=timezone.now())
            taken.record_alone(fiscal_year=_fiscal_year(user), now=timezone.now())
    except TreasuryError as refusal:
        return _again(request, refusal.message, refusal.code, wanted)
    return _enter(request, user, wanted, with_key=True)


def _challenge(request: HttpRequest, user: User) -> Statement | None:
    """A log-in to be signed, where the region asks for UKeys and the person has one.

    Who has none yet comes in with the password alone, and gets no further than the page to ask for one.
    """
    region = Region.objects.filter(adm_div_code=user.adm_div_code, ukey_required=True).first()
    if region is None or user.person_id is None:
        return None
    try:
        with transaction.atomic():
            statement, _certificate = prepare(
                action="login", by=_visitor(user), shown=[], post="", origin=origin_of(request), now=timezone.now()
            )
    except NoOfficerCertificate:
        return None
    request.session[PENDING] = user.pk
    return statement


def _visitor(user: User) -> Actor:
    return actor_of(user, on=timezone.localdate())


def _fiscal_year(user: User) -> int:
    day = BusinessDay.objects.filter(adm_div_code=user.adm_div_code).order_by("-date").first()
    return day.fiscal_year if day is not None else timezone.localdate().year


def _ask_for_key(request: HttpRequest, statement: Statement, wanted: str) -> HttpResponse:
    certificate = certificate_of(statement.person_id, at=timezone.now())
    context = {
        "next": wanted,
        "statement_id": str(statement.pk),
        "statement": statement.text,
        "agent_url": settings.GUOKU_UKEY_URL,
        "certificate_serial": certificate.serial_hex,
    }
    if wants_json(request):
        return JsonResponse({"accepted": [], "refused": [], "ukey": context | {"items": []}})
    return render(request, "login_ukey.html", context)


def _again(request: HttpRequest, message: str, code: str, wanted: str) -> HttpResponse:
    if wants_json(request):
        refused = [{"id": None, "code": code or "login_failed", "field": "signature", "message": message}]
        return JsonResponse({"accepted": [], "refused": refused}, status=401)
    return render(request, "login.html", {"next": wanted, "wrong": message}, status=401)


def _enter(request: HttpRequest, user: User, wanted: str, *, with_key: bool = False) -> HttpResponse:
    login(request, user)
    request.session.pop(PENDING, None)
    request.session[WITH_KEY] = with_key
    if wants_json(request):
        accepted = [{"id": str(user.pk), "no": user.get_username(), "state": "logged_in"}]
        return JsonResponse({"accepted": accepted, "refused": []})
    response = HttpResponseRedirect(wanted)
    response.status_code = 303
    return response


@action("workbench")
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session; only by a form, so that no link or picture can do it."""
    logout(request)
    if wants_json(request):
        return JsonResponse({"accepted": [], "refused": []})
    return HttpResponseRedirect(reverse("login"))
