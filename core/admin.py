"""Django admin configures; it never touches money, decisions, vouchers or events: those are shown and nothing else."""

from typing import Any

from django.contrib import admin

from core.models import BusinessDay, IdempotencyKey, NumberCounter, NumberRule, Transition, Workday


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows rows; offers no way to add, change or delete them, not even to a superuser."""

    show_full_result_count = False

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Workday)
class WorkdayAdmin(admin.ModelAdmin):
    list_display = ["date", "worked", "note"]
    list_filter = ["worked"]
    date_hierarchy = "date"


@admin.register(NumberRule)
class NumberRuleAdmin(admin.ModelAdmin):
    list_display = ["adm_div_code", "kind", "pattern"]

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(BusinessDay)
class BusinessDayAdmin(ReadOnlyAdmin):
    list_display = ["adm_div_code", "date", "cut_off", "closed_at", "closed_by"]


@admin.register(Transition)
class TransitionAdmin(ReadOnlyAdmin):
    list_display = ["at", "document_type", "document_id", "action", "source", "target", "actor_name"]
    search_fields = ["=document_id"]


admin.site.register([IdempotencyKey, NumberCounter], ReadOnlyAdmin)
