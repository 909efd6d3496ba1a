"""Deadlines are configured here; rules change on their own page, by two persons, and are read here like alerts."""

from typing import Any

from django.contrib import admin

from monitoring.models import Alert, Case, CaseTerms, Disposition, MonitoringRule, RuleChange
from monitoring.registry import RULES


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(MonitoringRule)
class MonitoringRuleAdmin(ReadOnlyAdmin):
    list_display = ["code", "rule_name", "adm_div_code", "version", "severity", "action", "parameters", "enabled"]
    list_filter = ["adm_div_code", "enabled"]

    @admin.display(description="名称")
    def rule_name(self, rule: MonitoringRule) -> str:
        return RULES[rule.code].name


@admin.register(RuleChange)
class RuleChangeAdmin(ReadOnlyAdmin):
    list_display = ["code", "adm_div_code", "state", "proposer_name", "proposed_at", "decider_name", "version"]
    list_filter = ["adm_div_code", "state"]


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["document_no", "rule_code", "severity", "action", "amount", "state", "business_date", "raised_at"]
    list_filter = ["adm_div_code", "severity", "state", "rule_code"]
    search_fields = ["document_no", "unit_code"]


@admin.register(Disposition)
class DispositionAdmin(ReadOnlyAdmin):
    list_display = ["alert", "decision", "reason", "actor_name", "at"]
    list_select_related = ["alert"]


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    list_display = ["alert", "level", "state", "verdict", "due_on", "opened_on", "closed_at"]
    list_filter = ["adm_div_code", "level", "state"]
    list_select_related = ["alert"]


@admin.register(CaseTerms)
class CaseTermsAdmin(admin.ModelAdmin):
    list_display = ["adm_div_code", "yellow_days", "orange_days", "red_days", "repeat_times"]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("adm_div_code",)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False
