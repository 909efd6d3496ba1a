"""Attaching files to a request, from this machine or a phone, and reading them again."""

from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET

from attachments.phones import Document, close_phone_links, open_phone_link
from attachments.receiving import IncomingHandler, incoming
from attachments.rendering import MEDIA_TYPE, preview
from attachments.store import file_store
from core.errors import NotFound, TransitionNotAllowed
from dashboards.acting import Done, perform
from dashboards.attached import attached_context
from dashboards.desk import READERS, Desk, action, officer
from dashboards.refusals import refused_items
from dashboards.signing import origin_of
from dashboards.views.payments import find_request
from payments.models import Attachment, PaymentRequest
from payments.services import attach_files, remove_attachment
from payments.states import EDITABLE
from vouchers.paper.qr import qr_path

STOP_POLLING = 286  # htmx's own: the answer is shown, and nobody asks again


@csrf_exempt  # only until the size is known; `_attach` protects again
@action("payment-list")
@officer("unit_clerk")
def attach(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Keep the files of a form (`file`, repeated) with a request that is still the clerk's; each is answered for."""
    payment = find_request(desk, pk)
    with incoming(request) as arriving:
        return _attach(request, desk, payment, arriving)


@csrf_protect
def _attach(request: HttpRequest, desk: Desk, payment: PaymentRequest, arriving: IncomingHandler) -> HttpResponse:
    def do() -> Done:
        attached = attach_files(
            request_id=payment.pk,
            files=[file.received for file in arriving.arrived],
            store=arriving.store,
            clerk=desk.actor,
            now=desk.now,
            refused=arriving.refused,
        )
        accepted = [
            {"id": str(one.pk), "no": one.file_name, "state": payment.state, "label": "已上传"}
            for one in attached.accepted
        ]
        refused = [
            item
            for refusal in attached.refused
            for item in refused_items(refusal, None, str(refusal.facts.get("given", "")))
        ]
        message = f"已上传 {len(accepted)} 个附件" + (f"，{len(refused)} 个未保存" if refused else "")
        return Done(message, reverse("payment-detail", args=[payment.pk]) + "#attachments", accepted, refused)

    return perform(request, desk, do)


@action("payment-list")
@officer("unit_clerk")
def remove(request: HttpRequest, desk: Desk, pk: UUID, attachment_pk: UUID) -> HttpResponse:
    """Take a file off a request that is still the clerk's."""

    def do() -> Done:
        gone = remove_attachment(request_id=pk, attachment_id=attachment_pk, clerk=desk.actor, now=desk.now)
        item = {"id": str(gone.pk), "no": gone.file_name, "state": "", "label": "已移除"}
        return Done("附件已移除", reverse("payment-detail", args=[pk]) + "#attachments", [item])

    return perform(request, desk, do)


# Reading ------------------------------------------------------------------------------------------------------------


@require_GET
@officer(*READERS)
def attached_list(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Draw the list of files alone, for a page that waits for what a phone sends."""
    context = {"payment": (payment := find_request(desk, pk)), **attached_context(desk, payment)}
    waiting = context["phone_open"] or "phone" not in request.GET
    return render(request, "payments/_attached.html", context, status=200 if waiting else STOP_POLLING)


@require_GET
@officer(*READERS, delegable=True)
def download(request: HttpRequest, desk: Desk, pk: UUID, attachment_pk: UUID) -> HttpResponseBase:
    """Send a file to whoever may see its request, always to be saved and never to be opened in the page."""
    attachment = _find(desk, pk, attachment_pk)
    return FileResponse(
        file_store().open(attachment.digest),
        as_attachment=True,
        filename=attachment.file_name,
        content_type=attachment.media_type,
    )


@require_GET
@officer(*READERS)
def page(request: HttpRequest, desk: Desk, pk: UUID, attachment_pk: UUID, page: int) -> HttpResponse:
    """Show one page of a file as a picture of our own."""
    return HttpResponse(preview(_find(desk, pk, attachment_pk).file, page), content_type=MEDIA_TYPE)


def _find(desk: Desk, pk: UUID, attachment_pk: UUID) -> Attachment:
    found = find_request(desk, pk).attachments.select_related("file").filter(pk=attachment_pk).first()
    if found is None:
        raise NotFound("附件不存在。", field="id")
    return found


# A phone ------------------------------------------------------------------------------------------------------------


@action("payment-list")
@officer("unit_clerk")
def open_phone(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show the picture by which one phone may add files to this request for some minutes."""
    payment = find_request(desk, pk)
    if payment.state not in EDITABLE:
        raise TransitionNotAllowed(f"单据当前为「{payment.get_state_display()}」，不能添加附件。", field="state")
    document = Document(payment.id, payment.request_no, payment.adm_div_code, payment.fiscal_year)
    assert desk.actor.user_id is not None, "an officer at a page has a log-in"
    link, token = open_phone_link(document, user_id=desk.actor.user_id, now=desk.now)
    address = origin_of(request) + reverse("phone", args=[token])
    path, side = qr_path(address)
    context = {"payment": payment, "link": link, "address": address, "path": path, "side": side}
    template = "payments/_phone.html" if request.htmx else "payments/phone.html"
    return render(request, template, context)


@action("payment-list")
@officer("unit_clerk")
def close_phone(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """End the phone's page."""
    payment = find_request(desk, pk)
    assert desk.actor.user_id is not None, "an officer at a page has a log-in"
    close_phone_links(payment.id, user_id=desk.actor.user_id, now=desk.now)
    if request.htmx:
        return render(request, "payments/_phone_button.html", {"payment": payment})
    return redirect(reverse("payment-detail", args=[pk]) + "#attachments")
