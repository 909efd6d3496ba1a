"""The officer's own UKey, and officers' certificates as their managers see them."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from core.errors import NotFound, TreasuryError
from dashboards.acting import Done, accepted_item, perform, uuid_or_none
from dashboards.desk import BUSINESS, Desk, action, desk_of, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of
from dashboards.navigation import KEY_MANAGERS
from dashboards.refusals import findings_of, sentence
from dashboards.views.session import PENDING
from parties.duties import Post
from parties.models import PostAssignment, User
from seals import enrolment
from seals.models import OfficerCertificate

WARN_DAYS = 30
MOST_ROWS = 200
SUITES = (("sm2-sm3", "国密 SM2（推荐）"), ("ecdsa-p256-sha256", "P-256（PKCS#11 设备）"))
_State = OfficerCertificate.Status


@dataclass(frozen=True)
class Held:
    """A certificate as a page shows it: the days it still has, and the posts of its holder."""

    row: OfficerCertificate
    days_left: int | None
    posts: str = ""

    @property
    def tone(self) -> str:
        """`bad` once it has ended, `warn` in the last 30 days, else `ok`; `off` for one that is not in use."""
        if self.row.status != _State.ACTIVE or self.days_left is None:
            return "off"
        return "bad" if self.days_left < 0 else "warn" if self.days_left <= WARN_DAYS else "ok"

    @property
    def fingerprint(self) -> str:
        """The first 16 digits of the key's SM3 in groups of four, for two people to compare by voice."""
        return " ".join(self.row.spki_sm3[at : at + 4] for at in range(0, 16, 4))


def _held(row: OfficerCertificate, desk: Desk, posts: str = "") -> Held:
    left = (row.valid_to - desk.now).days if row.valid_to is not None else None
    return Held(row, left, posts)


# One's own ----------------------------------------------------------------------------------------------------------


@require_GET
@officer(*BUSINESS, keyless=True)
def my_key(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the officer's certificate, and the way to one: key, approval, installation."""
    return _mine(request, desk)


def _mine(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    rows = OfficerCertificate.objects.filter(person_id=desk.actor.person_id).order_by("-requested_at", "-id")
    mine = [_held(row, desk) for row in rows[:20]]
    active = next((one for one in mine if one.row.status == _State.ACTIVE), None)
    request_now = next((one for one in mine if one.row.status in (_State.REQUESTED, _State.APPROVED)), None)
    refused = mine[0] if mine and mine[0].row.status == _State.REFUSED else None
    due = active is None or active.days_left is None or active.days_left <= WARN_DAYS
    context = {
        "owes_key": desk.owes_key,
        "active": active,
        "due": due,
        "steps": _steps(asked=request_now is not None, held=active is not None, due=due),
        "request_now": request_now,
        "refused": refused,
        "history": mine,
        "holder": desk.actor.name,
        "agent_url": settings.GUOKU_UKEY_URL,
        "suites": SUITES,
        "deciders": _deciders(desk) if request_now else [],
        "findings": [(finding.field, finding) for finding in findings_of(error)] if error else [],
    }
    return render(request, "keys/mine.html", context, status=error.http_status if error else 200)


def _steps(*, asked: bool, held: bool, due: bool) -> tuple[str, str, str]:
    """Where the officer stands on the way to a certificate: each of the three steps is done, now or todo."""
    if asked:
        return "done", "now", "todo"
    if due:
        return "now", "todo", "todo"
    return "done", "done", "now" if held else "todo"


def _deciders(desk: Desk) -> list[str]:
    """The names of those who may decide on this officer's request."""
    rows = _assignments(desk).filter(post__in=KEY_MANAGERS).exclude(user__person_id=desk.actor.person_id)
    return list(rows.order_by("user__person__name").values_list("user__person__name", flat=True).distinct())


@action("my-key")
@officer(*BUSINESS, keyless=True)
def ask(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Ask for a certificate with the request (CSR) that the officer's agent made."""

    def do() -> Done:
        row = enrolment.request_certificate(csr=request.POST.get("csr", ""), by=desk.actor, now=desk.now)
        message = f"申请已提交，公钥指纹 {_held(row, desk).fingerprint}。请与核准人核对后等待核准。"
        return Done(message, reverse("my-key"), [_item(row)])

    return perform(request, desk, do, failed=lambda error: _mine(request, desk, error))


def _item(row: OfficerCertificate) -> dict[str, Any]:
    item = accepted_item(row, row.person.name)
    return item | {"state": row.status, "label": row.get_status_display()}


@never_cache
@require_GET
def my_certificate(request: HttpRequest) -> JsonResponse:
    """The officer's active certificate (PEM), to be put onto the UKey.

    Also for who has just given the password and owes the signature: with the certificate issued and not yet on the
    UKey, that signature could never be made.
    """
    if request.user.is_authenticated:
        person_id = desk_of(request).actor.person_id
    else:
        pending = User.objects.filter(pk=request.session.get(PENDING), is_active=True).first()
        person_id = pending.person_id if pending is not None else None
    row = OfficerCertificate.objects.filter(person_id=person_id, status=_State.ACTIVE).select_related("person").first()
    if person_id is None or row is None:
        return JsonResponse({"code": "no_officer_certificate", "message": "没有可以装入的证书。"}, status=404)
    return JsonResponse({"certificate": row.pem, "subject": row.person.name, "certificate_serial": row.serial_hex})


# Everybody's --------------------------------------------------------------------------------------------------------


@require_GET
@officer(*KEY_MANAGERS)
def officer_keys(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show requests to decide on, certificates with their expiry, and who has none."""
    return _officers(request, desk)


def _officers(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    status, name = request.GET.get("status", "active"), request.GET.get("q", "").strip().replace("\0", "")[:40]
    region = OfficerCertificate.objects.filter(adm_div_code=desk.actor.adm_div_code).select_related("person")
    rows = _filtered(region, status, desk)
    if name:
        rows = rows.filter(Q(person__name__icontains=name) | Q(person__staff_no=name) | Q(serial_hex=name.lower()))
    waiting = list(region.filter(status=_State.REQUESTED).order_by("requested_at"))
    approved = list(region.filter(status=_State.APPROVED).order_by("decided_at"))
    shown = list(rows[:MOST_ROWS])
    posts = _posts_of(desk, [row.person_id for row in (*waiting, *approved, *shown)])
    without = _without(desk)
    context = {
        "waiting": [
            (_held(row, desk, posts[row.person_id]), row.person_id == desk.actor.person_id, row.person_id in renewing)
            for renewing in [_holders(waiting)]
            for row in waiting
        ],
        "approved": [_held(row, desk, posts[row.person_id]) for row in approved],
        "rows": [_held(row, desk, posts[row.person_id]) for row in shown],
        "cut_off_at": MOST_ROWS if len(shown) == MOST_ROWS else 0,
        "without": without[:50],
        "without_count": len(without),
        "status": status,
        "q": name,
        "statuses": _FILTERS,
        "soon": region.filter(status=_State.ACTIVE, valid_to__lt=desk.now + timedelta(days=WARN_DAYS)).count(),
        "findings": [(finding.field, finding) for finding in findings_of(error)] if error else [],
    }
    return render(request, "keys/officers.html", context, status=error.http_status if error else 200)


_FILTERS = (("active", "有效"), ("soon", "30 天内到期"), ("revoked", "已吊销"), ("refused", "未核准"))


def _filtered(rows: QuerySet[OfficerCertificate], status: str, desk: Desk) -> QuerySet[OfficerCertificate]:
    if status == "soon":
        soon = rows.filter(status=_State.ACTIVE, valid_to__lt=desk.now + timedelta(days=WARN_DAYS))
        return soon.order_by("valid_to")
    if status in (_State.REVOKED, _State.REFUSED):
        return rows.filter(status=status).order_by("-requested_at")
    return rows.filter(status=_State.ACTIVE).order_by("valid_to", "person__name")


def _holders(rows: Iterable[OfficerCertificate]) -> set[UUID]:
    """Who of them has an active certificate already: for whom it is a renewal."""
    ids = [row.person_id for row in rows]
    held = OfficerCertificate.objects.filter(person_id__in=ids, status=_State.ACTIVE)
    return set(held.values_list("person_id", flat=True))


def _assignments(desk: Desk) -> QuerySet[PostAssignment]:
    """The posts of the region that are held today."""
    today: date = timezone.localdate(desk.now)
    rows = PostAssignment.objects.filter(adm_div_code=desk.actor.adm_div_code, user__is_active=True)
    rows = rows.filter(valid_from__lte=today, user__person__isnull=False)
    return rows.filter(Q(valid_to__isnull=True) | Q(valid_to__gte=today))


def _posts_of(desk: Desk, person_ids: Iterable[UUID]) -> dict[UUID, str]:
    found: dict[UUID, list[str]] = defaultdict(list)
    rows = _assignments(desk).filter(user__person_id__in=set(person_ids)).order_by("post")
    for person_id, post, unit in rows.values_list("user__person_id", "post", "unit_code"):
        label = f"{Post(post).label} {unit}".strip()
        if label not in found[person_id]:
            found[person_id].append(label)
    return defaultdict(str, {person_id: "、".join(labels) for person_id, labels in found.items()})


def _without(desk: Desk) -> list[tuple[str, str]]:
    """Names and posts of officers with a business post and no certificate to sign with."""
    held = OfficerCertificate.objects.filter(
        person_id=OuterRef("user__person_id"), status=_State.ACTIVE, valid_to__gt=desk.now
    )
    rows = _assignments(desk).filter(~Exists(held), post__in=BUSINESS)
    found = rows.values_list("user__person__name", "post", "user__person__staff_no").distinct()
    return [(name, Post(post).label) for name, post, _staff_no in found.order_by("user__person__staff_no", "post")]


@action("officer-keys")
@officer(*KEY_MANAGERS)
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Approve a request, which issues the certificate, or refuse it with a reason."""

    def do() -> Done:
        decision = request.POST.get("decision", "")
        if decision not in ("approve", "refuse"):
            raise ChoiceInvalid("请选择核准或不予核准。", field="decision")
        row = enrolment.decide_request(
            certificate_id=_id(request),
            approve=decision == "approve",
            by=desk.actor,
            now=desk.now,
            reason=text_of(request.POST, "reason", "原因", most=enrolment.LONGEST_REASON),
        )
        if decision == "refuse":
            return Done(f"已不予核准 {row.person.name} 的申请", reverse("officer-keys"), [_item(row)])
        try:
            return _issued(row.pk, desk)
        except TreasuryError as refusal:  # approved it stays: the page offers to issue it again
            message = (
                f"已核准 {row.person.name} 的申请，但证书还没有签发：{sentence(refusal)}请稍后在「待签发」中再试。"
            )
            return Done(message, reverse("officer-keys"), [_item(row)])

    return _managed(request, desk, do)


@action("officer-keys")
@officer(*KEY_MANAGERS)
def issue(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Have an approved request's certificate issued, after the signer did not answer the first time."""
    return _managed(request, desk, lambda: _issued(_mine_to_manage(request, desk), desk))


def _issued(pk: UUID, desk: Desk) -> Done:
    row = enrolment.issue(certificate_id=pk, now=desk.now)
    message = f"已核准并签发 {row.person.name} 的证书，请通知本人到「我的 UKey」装入"
    return Done(message, reverse("officer-keys"), [_item(row)])


@action("officer-keys")
@officer(*KEY_MANAGERS)
def revoke(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Revoke a certificate at once."""

    def do() -> Done:
        reason = text_of(request.POST, "reason", "吊销原因", most=enrolment.LONGEST_REASON)
        row = enrolment.revoke_certificate(certificate_id=_id(request), reason=reason, by=desk.actor, now=desk.now)
        message = f"已吊销 {row.person.name} 的证书，其登录已全部退出"
        return Done(message, reverse("officer-keys"), [_item(row)])

    return _managed(request, desk, do)


def _managed(request: HttpRequest, desk: Desk, do: Callable[[], Done]) -> HttpResponse:
    return perform(request, desk, do, failed=lambda error: _officers(request, desk, error))


def _id(request: HttpRequest) -> UUID:
    pk = uuid_or_none(request.POST.get("id"))
    if pk is None:
        raise NotFound("证书不存在或不在您的权限范围内。", field="id")
    return pk


def _mine_to_manage(request: HttpRequest, desk: Desk) -> UUID:
    pk = _id(request)
    if not OfficerCertificate.objects.filter(pk=pk, adm_div_code=desk.actor.adm_div_code).exists():
        raise NotFound("证书不存在或不在您的权限范围内。", field="id")
    return pk
