from django.contrib import admin

from core.admin import ReadOnlyAdmin
from vouchers.models import Delivery, DeliveryAttempt, ExchangePartner, InboxMessage, InboxRejection, Voucher


@admin.register(ExchangePartner)
class ExchangePartnerAdmin(admin.ModelAdmin):
    list_display = ["organisation", "name", "exchange_mode", "endpoint_url", "enabled", "failures", "down_since"]
    readonly_fields = ["failures", "down_since", "open_until"]

    def has_delete_permission(self, request, obj=None):  # type: ignore[no-untyped-def]
        return False  # vouchers were exchanged with it


@admin.register(Voucher)
class VoucherAdmin(ReadOnlyAdmin):
    list_display = ["voucher_type", "voucher_no", "voucher_date", "sender", "receiver", "amount", "state"]
    search_fields = ["=voucher_no"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["voucher", "partner", "state", "attempts", "next_attempt_at", "last_error"]
    list_filter = ["state"]


@admin.register(InboxMessage)
class InboxMessageAdmin(ReadOnlyAdmin):
    list_display = ["sender", "voucher_type", "voucher_no", "flag", "state", "code", "received_at"]
    list_filter = ["state"]
    search_fields = ["=voucher_no"]


admin.site.register([DeliveryAttempt, InboxRejection], ReadOnlyAdmin)
