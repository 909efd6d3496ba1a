"""Coming and going."""

from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from dashboards.desk import action
from dashboards.refusals import wants_json

WRONG = "用户名或密码不正确。"


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
    login(request, user)
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
