"""The register of seals: what there is, where it goes, and how a seal or a revocation list is taken in."""

from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from core.errors import NotFound, TreasuryError
from dashboards import seals_shown
from dashboards.acting import Done, perform, uuid_or_none
from dashboards.desk import Desk, action, officer
from dashboards.errors import ChoiceInvalid, FileRefused
from dashboards.forms import text_of
from dashboards.navigation import KEY_MANAGERS
from dashboards.refusals import findings_of
from dashboards.selectors import SEALERS
from parties.duties import Post
from parties.models import Person
from seals.eseal.verify import SealReport, verify_seal
from seals.models import ESeal, RevocationList, SealKind
from seals.services import import_revocation_list, register_seal, revoke_seal
from seals.stamps import Trust
from vouchers.schema import known_types

READERS = (*SEALERS, Post.SECURITY_AUDITOR, Post.SECURITY_ADMIN)
MOST_BYTES = 4 * 1024 * 1024
KINDS = [(kind.value, kind.label) for kind in SealKind if kind != SealKind.SIGNATURE]


@require_GET
@officer(*READERS)
def register(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show every seal, what goes on which voucher, and the revocation lists we have."""
    return _register(request, desk)


def _register(
    request: HttpRequest, desk: Desk, error: TreasuryError | None = None, report: SealReport | None = None
) -> HttpResponse:
    seals = seals_shown.seals_of(desk)
    context = {
        "seals": seals,
        "usable": sum(1 for one in seals if one.standing == "启用"),
        "soon": sum(1 for one in seals if one.tone == "warn"),
        "positions": seals_shown.positions(desk),
        "lists": _lists(),
        "now": desk.now,
        "manager": desk.holds(*KEY_MANAGERS),
        "organisations": seals_shown.organisations(desk),
        "kinds": KINDS,
        "report": report,
        "findings": [(finding.field, finding) for finding in findings_of(error)] if error else [],
    }
    return render(request, "seals/register.html", context, status=error.http_status if error else 200)


def _lists() -> list[RevocationList]:
    """The newest list of each authority."""
    rows = RevocationList.objects.filter(authority__active=True).select_related("authority").defer("der")
    return list(rows.order_by("authority", "-number").distinct("authority"))


@require_GET
@officer(*READERS)
def picture(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Send a seal's picture; nothing inside it may run or load anything."""
    names = seals_shown.organisations(desk)
    seal = ESeal.objects.filter(pk=pk, organisation_code__in=names).first()
    found = seals_shown.picture_of(seal) if seal is not None else None
    if found is None:
        raise NotFound("没有可以显示的印模。", field="id")
    media_type, content = found
    headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "private, max-age=3600"}
    return HttpResponse(content, content_type=media_type, headers=headers)


@action("seal-register")
@officer(*KEY_MANAGERS)
def file_seal(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Take in a seal file: verified first, and with `then=verify` no more than that."""
    if request.POST.get("then") == "verify":
        try:
            return _register(request, desk, report=_report(_upload(request), desk))
        except FileRefused as refusal:
            return _register(request, desk, refusal)

    def do() -> Done:
        data = _upload(request)
        fields = _fields(request, desk)
        seal = register_seal(der=data, now=desk.now, **fields)
        item = {"id": str(seal.pk), "no": seal.es_id, "state": seal.status, "label": seal.name}
        message = f"验证通过，已备案印章 {seal.es_id}「{seal.name}」，有效至 {seal.valid_to:%Y-%m-%d}"
        return Done(message, reverse("seal-register"), [item])

    def failed(error: TreasuryError) -> HttpResponse:
        report = _report(_upload(request), desk) if error.field == "der" else None
        return _register(request, desk, error, report)

    return perform(request, desk, do, failed=failed)


def _report(data: bytes, desk: Desk) -> SealReport:
    trust = Trust.now(desk.now)
    return verify_seal(
        data, maker_authorities=trust.authorities, makers=trust.makers, revocation=trust.lists, at=desk.now
    )


def _fields(request: HttpRequest, desk: Desk) -> dict[str, Any]:
    organisation, kind = request.POST.get("organisation_code", ""), request.POST.get("kind", "")
    if organisation not in seals_shown.organisations(desk):
        raise ChoiceInvalid("请选择印章属于哪个机构。", field="organisation_code")
    if kind not in dict(KINDS):
        raise ChoiceInvalid("请选择印章种类。", field="kind")
    staff_no = text_of(request.POST, "staff_no", "工号", most=30)
    person = Person.objects.filter(staff_no=staff_no, users__adm_div_code=desk.actor.adm_div_code).first()
    if kind == SealKind.PERSONAL and person is None:
        raise ChoiceInvalid("名章须填写本人的工号，且为本区划人员。", field="staff_no")
    types = text_of(request.POST, "voucher_types", "可盖凭证", most=200).replace("、", " ").replace(",", " ").split()
    unknown = [code for code in types if code not in known_types()]
    if unknown:
        raise ChoiceInvalid(f"没有这种凭证类型：{' '.join(unknown)}。", field="voucher_types")
    return {
        "organisation_code": organisation,
        "kind": kind,
        "person": person if kind == SealKind.PERSONAL else None,
        "voucher_types": list(dict.fromkeys(types)),
    }


@action("seal-register")
@officer(*KEY_MANAGERS)
def stop_seal(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Take a seal out of use for good."""

    def do() -> Done:
        reason = text_of(request.POST, "reason", "停用原因", most=200)
        if not reason:
            raise ChoiceInvalid("请填写停用原因。", field="reason")
        pk = uuid_or_none(request.POST.get("id"))
        known = ESeal.objects.filter(pk=pk, organisation_code__in=seals_shown.organisations(desk))
        if pk is None or not known.exists():
            raise NotFound("印章不存在或不在您的权限范围内。", field="id")
        seal = revoke_seal(seal_id=pk, reason=reason, now=desk.now)
        item = {"id": str(seal.pk), "no": seal.es_id, "state": seal.status, "label": "停用"}
        return Done(f"已停用印章 {seal.es_id}「{seal.name}」", reverse("seal-register"), [item])

    return perform(request, desk, do, failed=lambda error: _register(request, desk, error))


@action("seal-register")
@officer(*KEY_MANAGERS)
def take_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Take in a revocation list of a trusted authority."""

    def do() -> Done:
        row = import_revocation_list(data=_upload(request, "crl"), now=desk.now)
        item = {"id": str(row.pk), "no": str(row.number), "state": "received", "label": row.authority.subject}
        message = f"已收录吊销列表第 {row.number} 号，下次更新 {row.next_update:%Y-%m-%d}"
        return Done(message, reverse("seal-register") + "#lists", [item])

    return perform(request, desk, do, failed=lambda error: _register(request, desk, error))


def _upload(request: HttpRequest, name: str = "file") -> bytes:
    """:raises FileRefused: for no file, an empty one or a too large one."""
    file = request.FILES.get(name)
    if not isinstance(file, UploadedFile) or not file.size:
        raise FileRefused("请选择文件。", field=name)
    if file.size > MOST_BYTES:
        raise FileRefused("文件超过 4 MB。", field=name, given=file.size)
    file.seek(0)
    return bytes(file.read())
