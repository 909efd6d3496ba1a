"""Rules are configured here; alerts and dispositions are read only."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Max

from monitoring.models import Alert, Disposition, MonitoringRule
from monitoring.registry import RULES

_CONTENT = ("severity", "action", "parameters")


class MonitoringRuleForm(forms.ModelForm):
    """The parameters are checked by the model; here the rule is chosen from the catalogue."""

    code = forms.ChoiceField(label="规则", choices=[(rule.code, f"{rule.code} {rule.name}") for rule in RULES.values()])

    class Meta:
        model = MonitoringRule
        fields = ["adm_div_code", "code", *_CONTENT, "enabled", "valid_from", "valid_to"]


@admin.register(MonitoringRule)
class MonitoringRuleAdmin(admin.ModelAdmin):
    form = MonitoringRuleForm
    list_display = ["code", "rule_name", "adm_div_code", "version", "severity", "action", "parameters", "enabled"]
    list_filter = ["adm_div_code", "enabled"]

    @admin.display(description="名称")
    def rule_name(self, rule: MonitoringRule) -> str:
        return RULES[rule.code].name

    def get_readonly_fields(self, request: Any, obj: Any = None) -> tuple[str, ...]:
        return ("version",) if obj is None else ("version", "adm_div_code")

    def save_model(self, request: Any, obj: MonitoringRule, form: Any, change: bool) -> None:
        """What the rule does changes only with a new version number, so that old alerts keep their meaning."""
        before = MonitoringRule.objects.filter(pk=obj.pk).values("code", *_CONTENT).first()
        if before != {name: getattr(obj, name) for name in ("code", *_CONTENT)}:
            same = MonitoringRule.objects.filter(adm_div_code=obj.adm_div_code, code=obj.code)
            obj.version = (same.aggregate(latest=Max("version"))["latest"] or 0) + 1
        super().save_model(request, obj, form, change)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False  # switched off, never removed: alerts name it


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["document_no", "rule_code", "severity", "action", "amount", "state", "business_date", "raised_at"]
    list_filter = ["adm_div_code", "severity", "state", "rule_code"]
    search_fields = ["document_no", "unit_code"]


@admin.register(Disposition)
class DispositionAdmin(ReadOnlyAdmin):
    list_display = ["alert", "decision", "reason", "actor_name", "at"]
    list_select_related = ["alert"]
