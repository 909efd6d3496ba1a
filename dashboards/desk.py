"""Who sits at the page: the officer behind a log-in, the region and its business day."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from core.actors import Actor
from core.errors import RoleRequired, TreasuryError
from core.models import BusinessDay
from dashboards.refusals import refuse, wants_json
from parties.delegating import acting_for
from parties.duties import ADMIN_POSTS, OUTSIDE_POSTS, UNIT_POSTS, Post
from parties.errors import DelegationEnded
from parties.models import Region
from parties.selectors import actor_of

P = ParamSpec("P")
WITH_KEY = "with_ukey"  # in the session: this log-in was signed with the UKey

UNIT = tuple(sorted(UNIT_POSTS))
BUSINESS = tuple(post for post in Post if post not in ADMIN_POSTS | OUTSIDE_POSTS)
OTHER_OFFICES = (Post.ROSTER_CHECKER,)  # they see what they check, and nothing else
BUREAU = tuple(post for post in BUSINESS if post not in UNIT and post not in OTHER_OFFICES)
READERS = (*(post for post in BUSINESS if post not in OTHER_OFFICES), Post.SECURITY_AUDITOR)
BUREAU_READERS = (*BUREAU, Post.SECURITY_AUDITOR)


@dataclass(frozen=True)
class Desk:
    """What a page knows about its user. `day` is the latest business day of the region, open or closed."""

    actor: Actor
    day: BusinessDay | None
    region: Region | None
    now: datetime
    with_key: bool = False

    @property
    def owes_key(self) -> bool:
        """Whether the region asks for UKeys and this officer with a business post has come in without one."""
        return self.region is not None and self.region.ukey_required and not self.with_key and self.holds(*BUSINESS)

    @property
    def open_day(self) -> BusinessDay | None:
        return self.day if self.day is not None and self.day.closed_at is None else None

    @property
    def today(self) -> date:
        """The day on which posts and delegations count."""
        return self.open_day.date if self.open_day is not None else timezone.localdate(self.now)

    @property
    def fiscal_year(self) -> int:
        return self.day.fiscal_year if self.day is not None else timezone.localdate(self.now).year

    @property
    def posts(self) -> list[str]:
        """The labels of the officer's posts."""
        return [Post(role).label for role in Post if role in self.actor.roles]

    @property
    def reads(self) -> bool:
        """Whether the officer may look at business documents at all."""
        return self.holds(*READERS)

    def holds(self, *posts: str) -> bool:
        return not self.actor.roles.isdisjoint(posts)


def desk_of(request: HttpRequest) -> Desk:
    """Return the desk of a logged-in user; read once for each request."""
    if not hasattr(request, "_desk"):
        now = timezone.now()
        code = request.user.adm_div_code
        day = BusinessDay.objects.filter(adm_div_code=code).order_by("-date").first()
        on = day.date if day is not None and day.closed_at is None else timezone.localdate(now)
        region = Region.objects.filter(adm_div_code=code).first()
        with_key = bool(request.session.get(WITH_KEY))
        request._desk = Desk(actor_of(request.user, on=on, now=now), day, region, now, with_key)
    return request._desk


def officer(
    *posts: str, keyless: bool = False, delegable: bool = False
) -> Callable[
    [Callable[Concatenate[HttpRequest, Desk, P], HttpResponse]], Callable[Concatenate[HttpRequest, P], HttpResponse]
]:
    """Let a view be used by officers who hold one of these posts (by every log-in if none is named).

    The services check again; this only keeps people away from pages on which they could do nothing. A refusal of
    any kind becomes a page that says why, or JSON where that was asked for.

    :param keyless: also for a log-in without the UKey that the region asks for: the page on which one is asked for.
    :param delegable: with `for` naming a delegation to this officer, the view is used as the one who acts for another:
        with the delegated post alone. No other view knows of delegations.
    """

    def decorate(
        view: Callable[Concatenate[HttpRequest, Desk, P], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @never_cache
        @wraps(view)
        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                if wants_json(request):
                    return JsonResponse(_LOGGED_OUT, status=401)
                return redirect_to_login(request.get_full_path() if request.method == "GET" else reverse("workbench"))
            desk = desk_of(request)
            if desk.owes_key and not keyless:
                if wants_json(request):
                    return JsonResponse(_NO_KEY, status=403)
                return HttpResponseRedirect(reverse("my-key"))
            try:
                if delegable:
                    desk = _acting(request, desk)
                if posts and not desk.holds(*posts):
                    raise RoleRequired(f"该页面需要岗位：{'|'.join(posts)}。", field="role", by=desk.actor.name)
                return view(request, desk, *args, **kwargs)
            except TreasuryError as refusal:
                return refuse(request, refusal)

        return page

    return decorate


def _acting(request: HttpRequest, desk: Desk) -> Desk:
    """The desk of whoever acts for another, if the address or the form says so.

    :raises DelegationEnded: if there is no such delegation to this officer today.
    """
    wanted = request.POST.get("for") or request.GET.get("for")
    if not wanted:
        return desk
    try:
        delegation_id = UUID(wanted)
    except ValueError:
        raise DelegationEnded("没有这项委托。", field="for") from None
    actor = acting_for(desk.actor, delegation_id, on=desk.today)
    request._acting = actor
    return replace(desk, actor=actor)


def action(back: str) -> Callable[[Callable[P, HttpResponse]], Callable[P, HttpResponse]]:
    """Let a view be posted to only; whoever opens its address (reload, bookmark) is led to the page it belongs to."""

    def decorate(view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
        @wraps(view)
        def posted(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            request = args[0]
            if isinstance(request, HttpRequest) and request.method != "POST":
                return HttpResponseRedirect(reverse(back))
            return view(*args, **kwargs)

        return posted

    return decorate


_NO_KEY = {
    "accepted": [],
    "refused": [{"id": None, "code": "ukey_required", "field": None, "message": "请用 UKey 登录后办理。"}],
}
_LOGGED_OUT = {
    "accepted": [],
    "refused": [{"id": None, "code": "login_required", "field": None, "message": "请先登录。"}],
}
