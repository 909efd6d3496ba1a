from django.contrib import admin

from budget.codes import ClassificationCode, EconomicMapping, TableImport
from budget.models import (
    BudgetIndicator,
    BudgetYear,
    CarryOver,
    ClearingLimit,
    ClearingLimitEntry,
    IndicatorDocument,
    IndicatorEntry,
    IndicatorLine,
    Quota,
    QuotaCancellation,
    QuotaEntry,
    QuotaNotice,
    SpendingPlan,
)
from core.admin import ReadOnlyAdmin


@admin.register(ClassificationCode)
class ClassificationCodeAdmin(admin.ModelAdmin):
    list_display = ["fiscal_year", "kind", "code", "name", "ended"]
    list_filter = ["fiscal_year", "kind"]
    search_fields = ["code", "name"]

    def has_delete_permission(self, request, obj=None):  # type: ignore[no-untyped-def]
        return False  # a payment of an earlier year keeps its code


@admin.register(EconomicMapping)
class EconomicMappingAdmin(admin.ModelAdmin):
    list_display = ["fiscal_year", "gov_code", "dept_code", "unit_nature"]
    list_filter = ["fiscal_year"]
    search_fields = ["gov_code", "dept_code"]


@admin.register(BudgetYear)
class BudgetYearAdmin(admin.ModelAdmin):
    list_display = ["adm_div_code", "fiscal_year", "mode", "plan_validity", "leader_from", "issue_on_days", "state"]
    readonly_fields = ["state"]

    def get_readonly_fields(self, request, obj=None):  # type: ignore[no-untyped-def]
        return ["adm_div_code", "fiscal_year", "state"] if obj else ["state"]

    def has_delete_permission(self, request, obj=None):  # type: ignore[no-untyped-def]
        return False


@admin.register(BudgetIndicator)
class BudgetIndicatorAdmin(ReadOnlyAdmin):
    list_display = ["indicator_no", "unit", "function_code", "amount_total", "amount_reserved", "amount_paid"]
    search_fields = ["indicator_no", "doc_no"]


@admin.register(Quota)
class QuotaAdmin(ReadOnlyAdmin):
    list_display = ["indicator", "payment_mode", "amount_granted", "amount_reserved", "amount_spent"]


admin.site.register(
    [
        IndicatorEntry,
        QuotaEntry,
        ClearingLimitEntry,
        IndicatorDocument,
        IndicatorLine,
        CarryOver,
        QuotaCancellation,
        TableImport,
        SpendingPlan,
        QuotaNotice,
        ClearingLimit,
    ],
    ReadOnlyAdmin,
)
