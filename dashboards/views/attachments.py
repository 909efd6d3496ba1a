"""Attaching files to a request and reading them again."""

from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_GET

from core.errors import NotFound
from dashboards.acting import Done, perform
from dashboards.attachments import attachment_storage, read_upload, store
from dashboards.desk import READERS, Desk, action, officer
from dashboards.views.payments import find_request
from payments.services import add_attachment


@action("payment-list")
@officer("unit_clerk")
def attach(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Store one file (pdf, png, jpg, at most 10 MB) and note it with a request that is still the clerk's."""
    payment = find_request(desk, pk)

    def do() -> Done:
        content, media_type, name = read_upload(request.FILES.get("file"))
        digest = store(content)
        attachment = add_attachment(
            request_id=pk,
            file_name=_name(name),
            media_type=media_type,
            size=len(content),
            digest=digest,
            clerk=desk.actor,
            now=desk.now,
        )
        item = {"id": str(attachment.pk), "no": attachment.file_name, "state": payment.state, "label": "已上传"}
        return Done("附件已上传", reverse("payment-detail", args=[pk]) + "#attachments", [item])

    return perform(request, desk, do)


def _name(name: str) -> str:
    """Return a file name without a path or control characters, of at most 120 characters, its ending kept."""
    clean = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())
    stem, dot, suffix = clean.rpartition(".")
    return f"{stem[: 119 - len(suffix)]}{dot}{suffix}"


@require_GET
@officer(*READERS)
def download(request: HttpRequest, desk: Desk, pk: UUID, attachment_pk: UUID) -> HttpResponseBase:
    """Send a file to whoever may see its request; pictures may be shown in the page, everything else is saved."""
    attachment = find_request(desk, pk).attachments.filter(pk=attachment_pk).first()
    if attachment is None or not attachment_storage().exists(attachment.digest):
        raise NotFound("附件不存在。", field="id")
    return FileResponse(
        attachment_storage().open(attachment.digest),
        as_attachment=not attachment.media_type.startswith("image/"),
        filename=attachment.file_name,
        content_type=attachment.media_type,
    )
