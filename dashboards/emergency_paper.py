"""A voucher on paper as its official layout, marked 应急, with the code a bank checks before it pays; and its drill."""

from collections.abc import Sequence
from datetime import date, datetime
from urllib.parse import urlencode

from django.conf import settings

from dashboards.capital import capital_yuan
from emergency.codes import verification_code
from emergency.models import PaperVoucher, Window
from payments.content import details_of
from payments.messages import load_names, payment_voucher_draft
from payments.models import LimitNotice, PaymentRequest
from vouchers.codec import decode_content
from vouchers.messages import VoucherContent
from vouchers.models import Voucher
from vouchers.paper.drawing import draw
from vouchers.paper.model import Page
from vouchers.paper.pdf import Original, paper

MARK, DRILL_MARK = "应急 手工盖章", "演练 无效"


def pdf_of_paper(one: PaperVoucher, *, base_url: str, made_at: datetime) -> bytes:
    """The voucher, and for a direct payment its 5108, as one PDF/A with the frozen texts inside."""
    notices = LimitNotice.objects.filter(request=one.request, amount__gt=0).select_related("voucher")
    vouchers = [one.voucher, *(notice.voucher for notice in notices)]
    name = one.printed_by.name if one.printed_by else ""
    officers = [("制单", name), ("窗口", one.window.window_no)]
    return paper(
        [page for voucher in vouchers for page in _pages(voucher, officers, base_url)],
        title=f"应急纸质凭证 {one.voucher.voucher_no}",
        made_at=made_at.replace(microsecond=0),
        originals=[_original(voucher) for voucher in vouchers],
    )


def check_url(base_url: str, voucher: Voucher) -> str:
    """Where the code on the paper is asked about."""
    number = ".".join([voucher.adm_div_code, str(voucher.fiscal_year), voucher.voucher_type, voucher.voucher_no])
    return f"{base_url.rstrip('/')}/paper/?{urlencode({'n': number, 'c': verification_code(voucher)})}"


def _pages(voucher: Voucher, officers: Sequence[tuple[str, str]], base_url: str) -> list[Page]:
    return draw(
        decode_content(bytes(voucher.text))[0],
        capital=capital_yuan,
        environment=settings.GUOKU_ENVIRONMENT,
        qr_url=check_url(base_url, voucher),
        digest=voucher.digest,
        officers=[*officers, ("验证码", verification_code(voucher))],
        mark=MARK,
    )


def _original(voucher: Voucher) -> Original:
    name = f"{voucher.voucher_type}-{voucher.voucher_no}.xml"
    return Original(name, decode_content(bytes(voucher.text))[1], "application/xml", "凭证原文", "source")


def pdf_of_drill(window: Window, request: PaymentRequest, *, on: date, made_at: datetime) -> bytes:
    """What would have been printed: no number, no code, marked as void."""
    drafted = payment_voucher_draft(request, details_of([request])[request.id], load_names([request]), on)
    content = VoucherContent(
        voucher_type=drafted.voucher_type,
        voucher_no="YANLIAN",
        adm_div_code=drafted.adm_div_code,
        fiscal_year=drafted.fiscal_year,
        voucher_date=drafted.voucher_date,
        main=drafted.main,
        details=drafted.details,
    )
    pages = draw(
        content,
        capital=capital_yuan,
        environment=settings.GUOKU_ENVIRONMENT,
        officers=[("演练", window.window_no)],
        mark=DRILL_MARK,
    )
    return paper(pages, title=f"应急演练 {request.request_no}", made_at=made_at.replace(microsecond=0))
