from django.contrib import admin

from core.admin import ReadOnlyAdmin
from payments.models import (
    Attachment,
    Clearing,
    ClearingLine,
    LimitNotice,
    PaymentDetail,
    PaymentReceipt,
    PaymentRequest,
    ReceiptLine,
    Refund,
)


@admin.register(PaymentRequest)
class PaymentRequestAdmin(ReadOnlyAdmin):
    list_display = ["request_no", "unit", "amount", "state", "voucher_no"]
    search_fields = ["=request_no", "=voucher_no"]


admin.site.register(
    [PaymentDetail, Attachment, PaymentReceipt, ReceiptLine, Refund, Clearing, ClearingLine, LimitNotice],
    ReadOnlyAdmin,
)
