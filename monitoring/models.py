"""A region's rules, the alerts they raised, and what a monitoring officer decided."""

from typing import Any

import pghistory
import pgtrigger
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import RegionYearModel, append_only
from core.money import MoneyField
from evidence.history import recorded
from monitoring.levels import Action, Severity
from monitoring.registry import RULES
from monitoring.states import ALERT_FLOW, AlertState
from parties.models import Person


@pghistory.track(meta=recorded("monitoring_monitoringrule"))
class MonitoringRule(models.Model):
    """监控规则: how one region applies one rule of the catalogue.

    Whoever changes what it does raises `version`, so that an alert names exactly the rule that raised it; the
    history table keeps every version.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    code = models.CharField("规则", max_length=8)
    version = models.PositiveSmallIntegerField("版本", default=1)
    severity = models.CharField("级别", max_length=8, choices=Severity)
    action = models.CharField("处理", max_length=8, choices=Action)
    parameters = models.JSONField("参数", default=dict, blank=True)
    enabled = models.BooleanField("启用", default=True)
    valid_from = models.DateField("生效日", null=True, blank=True)
    valid_to = models.DateField("失效日", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "监控规则"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "code", "version"], name="rule_version_once"),
            models.CheckConstraint(
                name="rule_ends_after_it_begins",
                condition=Q(valid_from__isnull=True) | Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="a_change_is_a_new_version",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__version=pgtrigger.F("new__version"))
                & (
                    pgtrigger.Q(old__severity__df=pgtrigger.F("new__severity"))
                    | pgtrigger.Q(old__action__df=pgtrigger.F("new__action"))
                    | pgtrigger.Q(old__parameters__df=pgtrigger.F("new__parameters"))
                    | pgtrigger.Q(old__code__df=pgtrigger.F("new__code"))
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"

    def clean(self) -> None:
        rule = RULES.get(self.code)
        if rule is None:
            raise ValidationError({"code": "没有这条规则。"})
        findings: list[Any] = rule.findings(self.parameters)
        if findings:
            raise ValidationError({"parameters": findings})


class Alert(RegionYearModel):
    """预警: one rule met by one revision of one document, with the facts the rule saw. `amount` is the document's."""

    document_type = models.CharField("单据类型", max_length=40)
    document_id = models.UUIDField()
    document_no = models.CharField("单据号", max_length=30)
    revision = models.PositiveSmallIntegerField("版本")
    unit_code = models.CharField("预算单位", max_length=15)
    business_date = models.DateField("业务日")
    rule_code = models.CharField("规则", max_length=8)
    rule_version = models.PositiveSmallIntegerField("规则版本")
    severity = models.CharField("级别", max_length=8, choices=Severity)
    action = models.CharField("处理", max_length=8, choices=Action)
    message = models.TextField("说明")
    facts = models.JSONField("判断依据")
    amount = MoneyField("单据金额")
    state = models.CharField("状态", max_length=8, choices=AlertState)
    raised_at = models.DateTimeField("触发时间")

    class Meta:
        verbose_name = verbose_name_plural = "预警"
        constraints = [
            models.UniqueConstraint(
                fields=["document_id", "revision", "rule_code"], name="one_alert_per_rule_and_revision"
            )
        ]
        indexes = [
            models.Index(
                fields=["adm_div_code", "raised_at"], condition=Q(state=AlertState.PENDING), name="alert_queue"
            ),
            models.Index(fields=["adm_div_code", "fiscal_year", "business_date"], name="alert_day"),
        ]
        triggers = [
            ALERT_FLOW.trigger("alert_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="alert_frozen", exclude=["state"]),
        ]

    def __str__(self) -> str:
        return f"{self.rule_code} {self.document_no}"

    @property
    def rule_name(self) -> str:
        return RULES[self.rule_code].name

    @property
    def hint(self) -> str:
        """What the clerk should do."""
        return RULES[self.rule_code].hint


class Disposition(RegionYearModel):
    """处置: who let a held document go on or sent it back, and why. Append-only."""

    class Decision(models.TextChoices):
        PASS = "pass", "放行"
        REJECT = "reject", "退回"

    alert = models.OneToOneField(Alert, models.PROTECT, related_name="disposition")
    decision = models.CharField("决定", max_length=6, choices=Decision)
    reason = models.CharField("理由", max_length=300)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+")
    actor_name = models.CharField("处置人", max_length=60)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "预警处置"
        constraints = [models.CheckConstraint(name="disposition_has_a_reason", condition=~Q(reason=""))]
        triggers = [append_only()]
