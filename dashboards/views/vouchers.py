"""The voucher library: every document of ours, what stands in it, and what became of it."""

import io
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET

from core.errors import NotFound, TreasuryError
from core.models import Transition
from dashboards import selectors
from dashboards.acting import uuid_or_none
from dashboards.desk import READERS, Desk, officer
from dashboards.signing import origin_of
from dashboards.voucher_paper import OnPaper, pdf_of, put_on_paper
from parties.selectors import visible_unit_codes
from payments.correcting import corrections_for
from payments.models import Correction, PaymentRequest, RefundCase
from payments.refund_cases import cases_for
from reconciliation.bundles.exporting import export_bundle
from vouchers.codec import decode_content
from vouchers.models import Delivery, InboxMessage, Voucher
from vouchers.paper.svg import page_svg
from vouchers.schema import Field, known_types, voucher_type
from vouchers.states import LIBRARY_CODE, InboxState, VoucherState


def vouchers_for(desk: Desk) -> QuerySet[Voucher]:
    """Return the vouchers the officer may see: a unit's are those of its own payments, corrections and cases."""
    rows = Voucher.objects.filter(adm_div_code=desk.actor.adm_div_code)
    if visible_unit_codes(desk.actor) is None:
        return rows
    mine = {
        PaymentRequest: selectors.visible_requests(desk.actor),
        Correction: corrections_for(desk.actor),
        RefundCase: cases_for(desk.actor),
    }
    own = Q(pk__in=[])
    for model, documents in mine.items():
        own |= Q(document_type=model._meta.label, document_id__in=documents.order_by().values("pk"))
    return rows.filter(own)


def find_voucher(desk: Desk, pk: UUID) -> Voucher:
    """:raises NotFound: for an unknown one and for one of somebody else."""
    found = vouchers_for(desk).filter(pk=pk).first()
    if found is None:
        raise NotFound("凭证不存在或不在您的权限范围内。", field="id")
    return found


@require_GET
@officer(*READERS)
def voucher_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List vouchers, newest first, filtered by type, state or number."""
    kind, state = request.GET.get("type", ""), request.GET.get("state", "")
    number = request.GET.get("q", "").strip().replace("\0", "")[:40]
    rows = vouchers_for(desk).filter(fiscal_year=desk.fiscal_year).defer("text", "signature")
    if kind in known_types():
        rows = rows.filter(voucher_type=kind)
    if state in VoucherState.values:
        rows = rows.filter(state=state)
    if number:
        rows = rows.filter(voucher_no__icontains=number)
    page = selectors.page_of(rows.select_related("delivery"), uuid_or_none(request.GET.get("before")))
    ours = [voucher_type(code) for code in known_types() if voucher_type(code).sender in ("finance", "unit")]
    context = {
        "rows": page.rows,
        "following": page.following,
        "types": [(t.code, t.cn) for t in ours],
        "type_names": {t.code: t.cn for t in ours},
        "states": VoucherState.choices,
        "type": kind,
        "state": state,
        "q": number,
    }
    return render(request, "vouchers/list.html", context)


@dataclass(frozen=True)
class Shown:
    """One field as a person reads it: its Chinese name, its tag and its text."""

    cn: str
    tag: str
    value: str
    receipt: bool
    kind: str


def _fields(fields: tuple[Field, ...], values: dict[str, str]) -> list[Shown]:
    return [Shown(f.cn, f.tag, values[f.tag], f.receipt, f.kind) for f in fields if values.get(f.tag)]


def _read(text: bytes) -> tuple[list[Shown], list[list[Shown]]]:
    """Return the filled fields of a document and of each of its details."""
    content, _ = decode_content(text)
    kind = voucher_type(content.voucher_type)
    return _fields(kind.main, dict(content.main)), [_fields(kind.detail, dict(d)) for d in content.details]


@require_GET
@officer(*READERS)
def voucher_detail(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show one voucher: its paper, fields, signatures and stamps verified now, sendings, receipt, history."""
    voucher = find_voucher(desk, pk)
    main, details = _read(bytes(voucher.text))
    receipt = receipt_of(voucher)
    answer: list[Shown] = []
    if receipt is not None:
        try:
            answer = [field for field in _read(bytes(receipt.text))[0] if field.receipt]
        except TreasuryError:  # a refused receipt may be unreadable; its reason is shown instead
            answer = []
    delivery = Delivery.objects.filter(voucher=voucher).select_related("partner").first()
    on_paper = _on_paper(request, desk, voucher, receipt)
    context = {
        "voucher": voucher,
        # Written by vouchers.paper.svg, which lets nothing of a seal's picture through but shapes and escaped text.
        "pages": [mark_safe(page_svg(page)) for page in on_paper.pages],
        "judged": on_paper.numbered(),
        "type_name": voucher_type(voucher.voucher_type).cn,
        "library_code": LIBRARY_CODE[VoucherState(voucher.state)],
        "main": main,
        "details": details,
        "receipt": receipt,
        "answer": answer,
        "delivery": delivery,
        "tries": list(delivery.tries.order_by("id")) if delivery else [],
        "events": list(Transition.objects.filter(document_id=voucher.pk).order_by("id")),
        "payment": PaymentRequest.objects.filter(pk=voucher.document_id).first(),
    }
    return render(request, "vouchers/detail.html", context)


def receipt_of(voucher: Voucher) -> InboxMessage | None:
    """Return the latest receipt that came for a voucher, an accepted one before a refused one."""
    rows = InboxMessage.objects.filter(
        adm_div_code=voucher.adm_div_code,
        fiscal_year=voucher.fiscal_year,
        voucher_type=voucher.voucher_type,
        voucher_no=voucher.voucher_no,
        flag=1,
    ).order_by("-id")
    return rows.exclude(state=InboxState.REFUSED).first() or rows.first()


def _on_paper(request: HttpRequest, desk: Desk, voucher: Voucher, receipt: InboxMessage | None) -> OnPaper:
    return put_on_paper(voucher, receipt, base_url=origin_of(request), now=desk.now)


@require_GET
@officer(*READERS)
def voucher_pdf(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Send the paper as PDF/A with the signed originals inside."""
    voucher = find_voucher(desk, pk)
    receipt = receipt_of(voucher)
    made = pdf_of(voucher, receipt, _on_paper(request, desk, voucher, receipt), made_at=desk.now)
    return _file(made, "application/pdf", f"{voucher.voucher_type}-{voucher.voucher_no}.pdf")


@require_GET
@officer(*READERS)
def voucher_bundle(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Send the voucher with everything that proves it, to be verified anywhere (docs/verifying.md)."""
    voucher = find_voucher(desk, pk)
    out = io.BytesIO()
    export_bundle([voucher.pk], out, now=desk.now)
    return _file(out.getvalue(), "application/zip", f"{voucher.voucher_type}-{voucher.voucher_no}-evidence.zip")


@require_GET
@officer(*READERS)
def voucher_xml(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Send the inner document, exactly the bytes whose base64 text was signed (GBK)."""
    voucher = find_voucher(desk, pk)
    return _xml(decode_content(bytes(voucher.text))[1], f"{voucher.voucher_type}-{voucher.voucher_no}.xml")


@require_GET
@officer(*READERS)
def receipt_xml(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Send the inner document of the receipt."""
    voucher = find_voucher(desk, pk)
    receipt = receipt_of(voucher)
    if receipt is None:
        raise NotFound("该凭证还没有回单。", field="id")
    return _xml(decode_content(bytes(receipt.text))[1], f"{voucher.voucher_type}-{voucher.voucher_no}-receipt.xml")


def _xml(inner: bytes, name: str) -> HttpResponse:
    return _file(inner, "application/xml; charset=GBK", name)


def _file(content: bytes, content_type: str, name: str) -> HttpResponse:
    return HttpResponse(
        content, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
