"""Reconciliation is read only here: sheets are made by matching, differences settled by documents."""

from typing import Any

from django.contrib import admin

from reconciliation.models import Discrepancy, Sheet, Statement


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Sheet)
class SheetAdmin(ReadOnlyAdmin):
    list_display = ["date", "pair", "partner_name", "run", "our_amount", "their_amount", "difference", "state", "at"]
    list_filter = ["adm_div_code", "pair", "state"]
    date_hierarchy = "date"


@admin.register(Discrepancy)
class DiscrepancyAdmin(ReadOnlyAdmin):
    list_display = ["type", "voucher_no", "detail_id", "our_amount", "their_amount", "state", "resolution"]
    list_filter = ["adm_div_code", "type", "state"]
    search_fields = ["voucher_no"]


@admin.register(Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = ["voucher_type", "partner", "date", "pack", "packs", "line_count", "amount", "at"]
    list_filter = ["adm_div_code", "voucher_type", "partner"]
    date_hierarchy = "date"
