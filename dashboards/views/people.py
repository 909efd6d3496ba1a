"""人员与应急岗位 for the administrators: who has which posts, letting a person go, posts for an emergency."""

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from core.errors import NotFound, TreasuryError
from dashboards.acting import Done, perform, uuid_or_none
from dashboards.desk import Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of
from dashboards.refusals import findings_of
from parties.duties import ADMIN_POSTS, Post
from parties.emergencies import MOST_HOURS, ask_emergency_post, decide_emergency_post
from parties.leaving import let_go
from parties.models import EmergencyAsk, EmergencyPost, Person, PostAssignment, User
from parties.selectors import valid_posts

READERS = (Post.SYSTEM_ADMIN, Post.SECURITY_ADMIN, Post.SECURITY_AUDITOR)
WRITERS = (Post.SYSTEM_ADMIN, Post.SECURITY_ADMIN)
SHOWN = 200


@require_GET
@officer(*READERS)
def people(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show persons with their posts, and emergency posts asked for and given."""
    return _page(request, desk)


def _page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    region = desk.actor.adm_div_code
    words = text_of(request.GET, "q", "查找", most=40)
    posts = valid_posts(desk.today).select_related("emergency").order_by("post")
    users = User.objects.filter(adm_div_code=region).prefetch_related(Prefetch("posts", posts))
    persons = Person.objects.filter(users__adm_div_code=region).prefetch_related(Prefetch("users", users)).distinct()
    if words:
        persons = persons.filter(name__icontains=words) | persons.filter(staff_no__icontains=words)
    found = list(persons.order_by("left_on", "staff_no")[: SHOWN + 1])
    asked = EmergencyAsk.objects.filter(adm_div_code=region, closed_at=None)
    given = EmergencyPost.objects.filter(assignment__adm_div_code=region).order_by("-granted_at")
    context = {
        "persons": [(person, _posts_of(person)) for person in found[:SHOWN]],
        "more": len(found) > SHOWN,
        "shown": SHOWN,
        "q": words,
        "asked": list(asked.select_related("user__person", "asked_by").order_by("asked_at")),
        "given": list(given.select_related("assignment__user__person", "asked_by", "granted_by")[:20]),
        "users": list(
            User.objects.filter(adm_div_code=region, is_active=True, person__isnull=False)
            .select_related("person")
            .order_by("username")[:500]
        ),
        "posts": [(post.value, post.label) for post in Post if post not in ADMIN_POSTS],
        "most_hours": MOST_HOURS,
        "me": desk.actor.person_id,
        "writer": desk.holds(*WRITERS),
        "now": desk.now,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "people/page.html", context, status=error.http_status if error else 200)


def _posts_of(person: Person) -> list[PostAssignment]:
    return [row for user in person.users.all() for row in user.posts.all()]


@action("people")
@officer(*WRITERS)
def leave(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Let a person go: log-ins, sessions, posts, delegations and certificates end at once."""

    def do() -> Done:
        pk = uuid_or_none(request.POST.get("id"))
        if pk is None:
            raise NotFound("请选择人员。", field="id")
        person = let_go(person_id=pk, on=desk.today, by=desk.actor, now=desk.now)
        item = {"id": str(person.pk), "no": person.staff_no, "state": "left", "label": "已离岗"}
        return Done(f"{person.name} 已离岗：登录、岗位、委托、证书和名章即时失效", reverse("people"), [item])

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


@action("people")
@officer(*WRITERS)
def ask(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Ask for an emergency post for somebody else."""

    def do() -> Done:
        user, hours = request.POST.get("user", ""), request.POST.get("hours", "")
        if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in (user, hours)):
            raise ChoiceInvalid("请选择登录账号并填写小时数。", field="user")
        row = ask_emergency_post(
            user_id=int(user),
            post=request.POST.get("post", ""),
            hours=int(hours),
            reason=text_of(request.POST, "reason", "事由", most=200),
            unit_code=text_of(request.POST, "unit_code", "单位", most=15),
            section=text_of(request.POST, "section", "科室", most=20),
            by=desk.actor,
            now=desk.now,
        )
        item = {"id": str(row.pk), "no": row.get_post_display(), "state": "asked", "label": "待核准"}
        return Done("应急岗位已申请，须由另一名管理员核准", reverse("people") + "#emergency", [item])

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


@action("people")
@officer(*WRITERS)
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Give or decline an emergency post that another administrator asked for."""

    def do() -> Done:
        pk = uuid_or_none(request.POST.get("id"))
        agreed = {"yes": True, "no": False}.get(request.POST.get("decision", ""))
        if pk is None or agreed is None:
            raise ChoiceInvalid("请选择核准或不予核准。", field="decision")
        given = decide_emergency_post(ask_id=pk, agreed=agreed, by=desk.actor, now=desk.now)
        message = "应急岗位已授予，到时自行失效" if given else "未核准该应急岗位"
        item = {"id": str(pk), "no": "应急岗位", "state": "given" if given else "declined", "label": message}
        return Done(message, reverse("people") + "#emergency", [item])

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))
