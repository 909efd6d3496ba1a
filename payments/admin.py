from django.contrib import admin

from core.admin import ReadOnlyAdmin
from payments.models import (
    Attachment,
    CashPurpose,
    Clearing,
    ClearingLine,
    ExtensionField,
    InvoiceUse,
    LimitNotice,
    PaymentDetail,
    PaymentReceipt,
    PaymentRequest,
    ReceiptLine,
    Refund,
    WithholdingPayee,
)


class _KeptForEver(admin.ModelAdmin):
    """Configuration a payment may quote: switched off, never deleted."""

    def has_delete_permission(self, request, obj=None):  # type: ignore[no-untyped-def]
        return False


@admin.register(CashPurpose)
class CashPurposeAdmin(_KeptForEver):
    list_display = ["adm_div_code", "code", "name", "cap", "active"]


@admin.register(WithholdingPayee)
class WithholdingPayeeAdmin(_KeptForEver):
    list_display = ["adm_div_code", "kind", "name", "account_no", "bank_name", "active"]
    list_filter = ["kind"]


@admin.register(ExtensionField)
class ExtensionFieldAdmin(_KeptForEver):
    list_display = ["adm_div_code", "key", "label", "kind", "required", "wire_tag", "active"]

    def get_readonly_fields(self, request, obj=None):  # type: ignore[no-untyped-def]
        return ["adm_div_code", "key", "kind"] if obj else []  # values entered so far keep their meaning


@admin.register(PaymentRequest)
class PaymentRequestAdmin(ReadOnlyAdmin):
    list_display = ["request_no", "unit", "amount", "state", "voucher_no"]
    search_fields = ["=request_no", "=voucher_no"]


admin.site.register(
    [PaymentDetail, Attachment, InvoiceUse, PaymentReceipt, ReceiptLine, Refund, Clearing, ClearingLine, LimitNotice],
    ReadOnlyAdmin,
)
