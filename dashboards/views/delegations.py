"""委托: what an officer has let others do, what others let him do, and the way into it."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from core.actors import Actor
from core.errors import NotFound, TreasuryError
from dashboards import selectors
from dashboards.acting import Done, perform, uuid_or_none
from dashboards.desk import BUSINESS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of, uuid_of
from dashboards.navigation import REVIEW_POSTS
from dashboards.refusals import findings_of
from parties.delegating import acting_for, delegate_post, delegations_to, revoke_delegation
from parties.duties import DELEGABLE
from parties.models import Delegation, PostAssignment, User
from parties.selectors import valid_posts


@require_GET
@officer(*BUSINESS)
def delegations(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the officer's delegations in both directions, and the form to give one."""
    return _page(request, desk)


def _page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    me = desk.actor.person_id
    rows = Delegation.objects.select_related("assignment", "delegator", "delegate_person")
    own = _own_posts(desk.actor, desk)
    context = {
        "to_me": [(one, *_queues(desk, one)) for one in delegations_to(me, on=desk.today)],
        "rows": list(rows.filter(Q(delegator_id=me) | Q(delegate_person_id=me)).order_by("-granted_at")[:50]),
        "me": me,
        "own": own,
        "colleagues": _colleagues(desk, own),
        "today": desk.today,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "delegations/page.html", context, status=error.http_status if error else 200)


def _queues(desk: Desk, one: Delegation) -> tuple[str, int]:
    """The page on which a delegation is used, and how much waits there."""
    acting = acting_for(desk.actor, one.pk, on=desk.today)
    other = Desk(acting, desk.day, desk.region, desk.now, desk.with_key)
    found = []
    if one.post in REVIEW_POSTS:
        found.append(("review-queue", selectors.review_queue(other).order_by().count()))
    plans = selectors.plan_queue(other).order_by().count()
    if plans or not found:
        found.append(("plan-review", plans))
    return max(found, key=lambda pair: pair[1])


def _own_posts(actor: Actor, desk: Desk) -> list[PostAssignment]:
    rows = valid_posts(desk.today).filter(user__person_id=actor.person_id, post__in=DELEGABLE, emergency=None)
    return list(rows.filter(adm_div_code=actor.adm_div_code).order_by("post"))


def _colleagues(desk: Desk, own: list[PostAssignment]) -> list[tuple[User, str]]:
    """Who may be asked: those at the same units, or in the bureau as well; the service has the last word."""
    places = {row.unit_code for row in own}
    rows = valid_posts(desk.today).filter(adm_div_code=desk.actor.adm_div_code, user__is_active=True)
    rows = rows.filter(unit_code__in=places).exclude(user__person_id=desk.actor.person_id)
    found: dict[int, tuple[User, list[str]]] = {}
    for row in rows.select_related("user__person").order_by("user__username")[:500]:
        if row.user.person is not None:
            found.setdefault(row.user.pk, (row.user, []))[1].append(row.get_post_display())
    return [(user, "、".join(posts)) for user, posts in found.values()]


@action("delegations")
@officer(*BUSINESS)
def give(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Let another person act at one of the officer's posts."""

    def do() -> Done:
        delegate = request.POST.get("delegate", "")
        first = selectors.date_or_none(request.POST.get("valid_from"))
        last = selectors.date_or_none(request.POST.get("valid_to"))
        if not (delegate.isascii() and delegate.isdigit() and len(delegate) < 10):
            raise ChoiceInvalid("请选择受托人。", field="delegate")
        if first is None or last is None:
            raise ChoiceInvalid("请填写起止日期。", field="valid_from" if first is None else "valid_to")
        row = delegate_post(
            assignment_id=uuid_of(request.POST, "assignment", "岗位"),
            delegate_id=int(delegate),
            valid_from=first,
            valid_to=last,
            reason=text_of(request.POST, "reason", "事由", most=100),
            by=desk.actor,
            now=desk.now,
        )
        item = {"id": str(row.pk), "no": row.get_post_display(), "state": "granted", "label": "已委托"}
        name = row.delegate_person.name
        message = f"已委托 {name} 于 {row.valid_from} 至 {row.valid_to} 代办「{row.get_post_display()}」"
        return Done(message, reverse("delegations"), [item])

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


@action("delegations")
@officer(*BUSINESS)
def revoke(request: HttpRequest, desk: Desk) -> HttpResponse:
    """End a delegation at once; either of the two may."""

    def do() -> Done:
        pk = uuid_or_none(request.POST.get("id"))
        if pk is None:
            raise NotFound("没有这项委托。", field="id")
        row = revoke_delegation(delegation_id=pk, by=desk.actor, now=desk.now)
        item = {"id": str(row.pk), "no": row.get_post_display(), "state": "revoked", "label": "已撤销"}
        return Done("委托已撤销，立即生效", reverse("delegations"), [item])

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))
