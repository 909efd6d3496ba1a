"""A region's rules and their changes, the alerts they raised, the cases these open, and the registers rules read."""

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
from monitoring.points import Point
from monitoring.registry import RULES
from monitoring.scope import scope_findings, scope_text
from monitoring.states import (
    ALERT_FLOW,
    CASE_FLOW,
    CHANGE_FLOW,
    ENTRY_FLOW,
    AlertState,
    CaseState,
    ChangeState,
    EntryState,
    Verdict,
)
from parties.models import Person


class RuleSettings(models.Model):
    """What a region sets about a rule: shared by the rule as it stands and by a change that is proposed."""

    severity = models.CharField("级别", max_length=8, choices=Severity)
    action = models.CharField("处理", max_length=8, choices=Action)
    parameters = models.JSONField("参数", default=dict, blank=True)
    scope = models.JSONField("适用范围", default=dict, blank=True)
    attachment_required = models.BooleanField("须有附件", default=False)
    hint = models.CharField("提示语", max_length=200, blank=True)
    basis = models.CharField("政策依据", max_length=200, blank=True)
    enabled = models.BooleanField("启用", default=True)
    valid_from = models.DateField("生效日", null=True, blank=True)
    valid_to = models.DateField("失效日", null=True, blank=True)

    class Meta:
        abstract = True

    code: str

    def clean(self) -> None:
        rule = RULES.get(self.code)
        if rule is None:
            raise ValidationError({"code": "没有这条规则。"})
        if rule.hard:
            raise ValidationError({"code": "硬性规则没有设置，不能停用。"})
        found: dict[str, Any] = {}
        if rule.findings(self.parameters):
            found["parameters"] = rule.findings(self.parameters)
        if scope_findings(self.scope):
            found["scope"] = scope_findings(self.scope)
        if self.action not in rule.actions:
            found["action"] = "定时规则只能记录或提示。"
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            found["valid_to"] = "失效日不能早于生效日。"
        if found:
            raise ValidationError(found)

    @property
    def scope_text(self) -> str:
        return scope_text(self.scope)


# The columns of a kind of fact never change: what was added later about a rule is a kind of its own (docs/evidence.md).
_NOTED_FIRST = ["severity", "action", "parameters", "enabled", "valid_from", "valid_to"]
_NOTED_LATER = ["scope", "attachment_required", "hint", "basis"]


@pghistory.track(
    fields=["id", "adm_div_code", "code", "version", *_NOTED_FIRST],
    obj_field=pghistory.ObjForeignKey(related_name="events"),
    model_name="MonitoringRuleEvent",
    meta=recorded("monitoring_monitoringrule"),
)
@pghistory.track(
    pghistory.InsertEvent("reach_insert"),
    pghistory.UpdateEvent("reach_update"),
    fields=["id", "adm_div_code", "code", "version", *_NOTED_LATER],
    obj_field=pghistory.ObjForeignKey(related_name="reach_events"),
    model_name="MonitoringRuleReachEvent",
    meta=recorded("monitoring_rule_reach"),
)
class MonitoringRule(RuleSettings):
    """监控规则: how one region applies one rule of the catalogue.

    A change is a new row with the next version, so that an alert names exactly the rule that raised it. On a day the
    latest version that is valid on it applies, or none if that one is switched off.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    code = models.CharField("规则", max_length=8)
    version = models.PositiveSmallIntegerField("版本", default=1)

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
                    | pgtrigger.Q(old__scope__df=pgtrigger.F("new__scope"))
                    | pgtrigger.Q(old__attachment_required__df=pgtrigger.F("new__attachment_required"))
                    | pgtrigger.Q(old__code__df=pgtrigger.F("new__code"))
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"


class RuleChange(RuleSettings, RegionYearModel):
    """规则变更: settings one person proposes, that are rehearsed on past documents and enabled by another person.

    `hit_…` is everything the rehearsal found, `stopped_…` what would have been held or blocked; amounts in yuan.
    """

    code = models.CharField("规则", max_length=8)
    note = models.CharField("变更理由", max_length=300)
    state = models.CharField("状态", max_length=10, choices=ChangeState, default=ChangeState.PROPOSED)
    proposed_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    proposer_name = models.CharField("提出人", max_length=60)
    proposed_at = models.DateTimeField("提出时间")
    rehearsed_at = models.DateTimeField("试运行时间", null=True)
    rehearsed_by_name = models.CharField("试运行人", max_length=60, blank=True)
    months = models.PositiveSmallIntegerField("试运行月数", default=0)
    judged = models.PositiveIntegerField("试运行单据", default=0)
    hit_count = models.PositiveIntegerField("命中", default=0)
    hit_amount = MoneyField("命中金额", default=0)
    stopped_count = models.PositiveIntegerField("会挂起或拦截", default=0)
    stopped_amount = MoneyField("会挂起或拦截金额", default=0)
    decided_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    decider_name = models.CharField("启用人", max_length=60, blank=True)
    decided_at = models.DateTimeField("启用时间", null=True)
    version = models.PositiveSmallIntegerField("启用为版本", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "规则变更"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "code"],
                condition=Q(state__in=["proposed", "rehearsed"]),
                name="one_open_change_per_rule",
            ),
            models.CheckConstraint(
                name="rule_change_four_eyes", condition=Q(version__isnull=True) | ~Q(decided_by=F("proposed_by"))
            ),
            models.CheckConstraint(
                name="rule_change_enabled_by_somebody",
                condition=Q(version__isnull=True) | Q(decided_by__isnull=False, rehearsed_at__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "code", "-id"], name="rule_changes")]
        triggers = [
            CHANGE_FLOW.trigger("rule_change_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="rule_change_frozen",
                fields=[
                    *("adm_div_code", "fiscal_year", "code", "severity", "action", "parameters", "scope"),
                    *("attachment_required", "hint", "basis", "enabled", "valid_from", "valid_to", "note"),
                    *("proposed_by", "proposer_name", "proposed_at"),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.get_state_display()}"


class RehearsalHit(RegionYearModel):
    """试运行命中: one document a proposed rule would have met. Of the latest rehearsal only."""

    change = models.ForeignKey(RuleChange, models.PROTECT, related_name="hits")
    document_id = models.UUIDField()
    document_no = models.CharField("单据号", max_length=60)
    unit_code = models.CharField("预算单位", max_length=15, blank=True)
    business_date = models.DateField("业务日")
    amount = MoneyField("金额")
    severity = models.CharField("级别", max_length=8, choices=Severity)
    action = models.CharField("处理", max_length=8, choices=Action)
    message = models.TextField("说明")

    class Meta:
        verbose_name = verbose_name_plural = "试运行命中"
        constraints = [models.UniqueConstraint(fields=["change", "document_id"], name="rehearsal_hit_once")]


class Alert(RegionYearModel):
    """预警: one rule met by one revision of one document, with the facts the rule saw. `amount` is the document's."""

    document_type = models.CharField("单据类型", max_length=40)
    document_id = models.UUIDField()
    document_no = models.CharField("单据号", max_length=60)
    revision = models.PositiveSmallIntegerField("版本")
    unit_code = models.CharField("预算单位", max_length=15, blank=True)
    section = models.CharField("业务科室", max_length=20, blank=True)
    author_id = models.UUIDField("录入人", null=True)
    point = models.CharField("触发点", max_length=16, choices=Point, default=Point.PAYMENT_SUBMIT)
    business_date = models.DateField("业务日")
    rule_code = models.CharField("规则", max_length=8)
    rule_version = models.PositiveSmallIntegerField("规则版本")
    severity = models.CharField("级别", max_length=8, choices=Severity)
    action = models.CharField("处理", max_length=8, choices=Action)
    field = models.CharField("字段", max_length=80, blank=True)
    message = models.TextField("说明")
    hint = models.CharField("办法", max_length=200, blank=True)
    attachment_required = models.BooleanField("须有附件", default=False)
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
    def remedy(self) -> str:
        """What to do about it: as the region worded it then, or the catalogue's own words."""
        return self.hint or RULES[self.rule_code].hint


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


@pghistory.track(meta=recorded("monitoring_caseterms"))
class CaseTerms(models.Model):
    """处置期限: how many working days a case of each level has, and how often makes a habit. One row for a region."""

    adm_div_code = models.CharField("行政区划", max_length=9, primary_key=True)
    yellow_days = models.PositiveSmallIntegerField("三级期限（工作日）", default=3)
    orange_days = models.PositiveSmallIntegerField("二级期限（工作日）", default=2)
    red_days = models.PositiveSmallIntegerField("一级期限（工作日，0 为当日）", default=0)
    repeat_times = models.PositiveSmallIntegerField("同一单位同一规则几次起上升一级", default=3)

    class Meta:
        verbose_name = verbose_name_plural = "预警处置期限"
        constraints = [models.CheckConstraint(name="case_terms_repeat", condition=Q(repeat_times__gte=2))]

    def __str__(self) -> str:
        return self.adm_div_code

    def days(self, level: str) -> int:
        return {
            Severity.YELLOW.value: self.yellow_days,
            Severity.ORANGE.value: self.orange_days,
            Severity.RED.value: self.red_days,
        }[level]


class Case(RegionYearModel):
    """案件: what people do about one alert, from the unit's explanation to 核销. `level` only rises."""

    alert = models.OneToOneField(Alert, models.PROTECT, related_name="case")
    level = models.CharField("级别", max_length=8, choices=Severity)
    state = models.CharField("状态", max_length=12, choices=CaseState, default=CaseState.AWAITING)
    verdict = models.CharField("结论", max_length=8, choices=Verdict, blank=True)
    due_on = models.DateField("期限")
    opened_on = models.DateField("触发业务日")
    opened_at = models.DateTimeField("触发时间")
    closed_at = models.DateTimeField("核销时间", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "预警案件"
        constraints = [
            models.CheckConstraint(
                name="case_closed_with_a_verdict",
                condition=~Q(state=CaseState.CLOSED) | (Q(closed_at__isnull=False) & ~Q(verdict="")),
            )
        ]
        indexes = [
            models.Index(
                fields=["adm_div_code", "due_on"], condition=~Q(state=CaseState.CLOSED), name="case_open_by_due"
            ),
            models.Index(fields=["adm_div_code", "fiscal_year", "level"], name="case_level"),
        ]
        triggers = [
            CASE_FLOW.trigger("case_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="case_frozen", exclude=["state", "level", "verdict", "due_on", "closed_at"]),
            pgtrigger.Protect(
                name="case_level_rises",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__level="red", new__level__in=["orange", "yellow"])
                | pgtrigger.Q(old__level="orange", new__level="yellow"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.alert.rule_code} {self.alert.document_no}"


class CaseStep(RegionYearModel):
    """案件经过: one word of one person, or of the system, with the files it rests on. Append-only."""

    class Kind(models.TextChoices):
        EXPLAIN = "explain", "单位说明"
        PASS = "pass", "正常放行"
        RECTIFY = "rectify", "要求整改"
        VOID = "void", "退回作废"
        RECOVER = "recover", "追回资金"
        ESCALATE = "escalate", "上升一级"
        FEEDBACK = "feedback", "整改反馈"
        CLOSE = "close", "核销"
        REOPEN = "reopen", "退回重新整改"

    case = models.ForeignKey(Case, models.PROTECT, related_name="steps")
    kind = models.CharField("事项", max_length=8, choices=Kind)
    text = models.CharField("内容", max_length=500)
    attachments = models.JSONField("附件", default=list)
    level = models.CharField("级别", max_length=8, choices=Severity)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    actor_name = models.CharField("办理人", max_length=60)
    business_date = models.DateField("业务日")
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "案件经过"
        ordering = ["id"]
        constraints = [models.CheckConstraint(name="case_step_says_something", condition=~Q(text=""))]
        indexes = [models.Index(fields=["case", "id"], name="case_steps")]
        triggers = [append_only()]


class ListedPayee(RegionYearModel):
    """收款人名单: a payee nobody may pay (black), or one whose name and account were verified (white)."""

    class Colour(models.TextChoices):
        BLACK = "black", "黑名单"
        WHITE = "white", "白名单"

    colour = models.CharField("名单", max_length=5, choices=Colour)
    name = models.CharField("户名", max_length=60, blank=True)
    account_no = models.CharField("账号", max_length=32, blank=True)
    credit_code = models.CharField("统一社会信用代码", max_length=18, blank=True)
    reason = models.CharField("原因", max_length=200)
    valid_from = models.DateField("起")
    valid_to = models.DateField("止", null=True, blank=True)
    state = models.CharField("状态", max_length=8, choices=EntryState, default=EntryState.PROPOSED)
    made_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    maker_name = models.CharField("提出人", max_length=60)
    made_at = models.DateTimeField("提出时间")
    decided_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    decider_name = models.CharField("复核人", max_length=60, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "收款人名单"
        constraints = [
            models.CheckConstraint(
                name="listed_payee_is_named",
                condition=Q(colour="black") & (~Q(name="") | ~Q(account_no="")) | ~Q(name="") & ~Q(account_no=""),
            ),
            models.CheckConstraint(
                name="listed_payee_four_eyes", condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("made_by"))
            ),
            models.CheckConstraint(
                name="listed_payee_ends_after_it_begins",
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")),
            ),
        ]
        indexes = [
            models.Index(fields=["adm_div_code", "account_no"], name="listed_by_account"),
            models.Index(fields=["adm_div_code", "name"], name="listed_by_name"),
        ]
        triggers = [
            ENTRY_FLOW.trigger("listed_payee_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="listed_payee_frozen",
                exclude=["state", "decided_by", "decider_name"],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_colour_display()} {self.name} {self.account_no}"


class AnnualLimit(RegionYearModel):
    """年度限额: what a unit may spend on one government economic code in the year (三公经费), in yuan."""

    unit_code = models.CharField("预算单位", max_length=15)
    gov_economic_code = models.CharField("政府经济分类", max_length=5)
    amount = MoneyField("限额")
    reason = models.CharField("依据", max_length=200)
    state = models.CharField("状态", max_length=8, choices=EntryState, default=EntryState.PROPOSED)
    made_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    maker_name = models.CharField("提出人", max_length=60)
    made_at = models.DateTimeField("提出时间")
    decided_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    decider_name = models.CharField("复核人", max_length=60, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "三公经费年度限额"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "unit_code", "gov_economic_code"],
                condition=Q(state=EntryState.ACTIVE),
                name="one_annual_limit_in_force",
            ),
            models.CheckConstraint(name="annual_limit_not_negative", condition=Q(amount__gte=0)),
            models.CheckConstraint(
                name="annual_limit_four_eyes", condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("made_by"))
            ),
        ]
        triggers = [
            ENTRY_FLOW.trigger("annual_limit_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="annual_limit_frozen", exclude=["state", "decided_by", "decider_name"]),
        ]

    def __str__(self) -> str:
        return f"{self.unit_code} {self.gov_economic_code}"


class ScheduledRun(RegionYearModel):
    """定时监控: that the scheduled rules were asked on a business day, and what they found. One for each day."""

    business_date = models.DateField("业务日")
    found = models.PositiveIntegerField("新预警")
    escalated = models.PositiveIntegerField("上升案件")
    without_source = models.JSONField("无数据来源的规则", default=list)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "定时监控"
        constraints = [models.UniqueConstraint(fields=["adm_div_code", "business_date"], name="one_run_a_day")]
        triggers = [append_only()]
