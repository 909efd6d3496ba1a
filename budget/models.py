"""Permission to spend: indicator → plan → quota, and what PBoC will clear for each bank.

Balances are projections of append-only entries; CHECK constraints hold E1 and E2 whatever the code does.
"""

from decimal import Decimal

import pgtrigger
from django.db import models
from django.db.models import F, Q

from budget.codes import ClassificationCode, EconomicMapping, TableImport
from budget.document_models import DocumentKind, IndicatorDocument, IndicatorLine
from budget.document_states import YEAR_FLOW, YearState
from budget.guards import children_within_parent, open_year_only
from budget.states import PLAN_FLOW, PlanState
from budget.terms import COPIED, IndicatorTerms, Layer
from budget.year_models import CarryOver, QuotaCancellation
from core.models import RegionYearModel, any_changed, append_only
from core.money import ZERO, MoneyField
from parties.models import AgentBank, BankAccount, BudgetUnit, Person, ReviewChain

__all__ = [
    "CarryOver",
    "ClassificationCode",
    "DocumentKind",
    "EconomicMapping",
    "IndicatorDocument",
    "IndicatorLine",
    "QuotaCancellation",
    "TableImport",
]


class PaymentMode(models.TextChoices):
    """支付方式; the value is the code on the wire (PayTypeCode). What each one means: `budget.methods`."""

    DIRECT = "11", "财政直接支付"
    AUTHORIZED = "12", "财政授权支付"
    APPROPRIATION = "91", "资金实拨"
    SPECIAL_ACCOUNT = "81", "财政专户支付"
    UNIT_FUNDS = "31", "单位资金支付"


class BudgetYear(RegionYearModel):
    """预算年度: how a region runs one year. Source: docs/methods.md.

    In the classic mode a unit spends within plans and quotas; in the integrated mode within its indicators, and no
    quota is given (国库集中支付凭证 5214).
    """

    class Mode(models.TextChoices):
        CLASSIC = "classic", "计划+额度"
        INTEGRATED = "integrated", "预算管理一体化"

    class PlanValidity(models.TextChoices):
        ROLLING = "rolling", "滚存：未用完的计划在本年内继续有效"
        MONTH = "month", "当月有效：未用完的计划月末失效"

    mode = models.CharField("管理模式", max_length=12, choices=Mode, default=Mode.CLASSIC)
    plan_validity = models.CharField("计划效力", max_length=8, choices=PlanValidity, default=PlanValidity.ROLLING)
    planned_funds = models.JSONField("一体化模式下仍按计划控制的资金性质", default=list, blank=True)
    leader_from = MoneyField("分管领导审批起点", default=Decimal("1000000.00"))
    issue_on_days = models.PositiveSmallIntegerField("上级指标下达期限（天）", default=30)
    state = models.CharField("状态", max_length=8, choices=YearState, default=YearState.OPEN, editable=False)

    class Meta:
        verbose_name = verbose_name_plural = "预算年度"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year"], name="budget_year_once"),
            models.CheckConstraint(name="leader_from_positive", condition=Q(leader_from__gt=0)),
        ]
        triggers = [
            YEAR_FLOW.trigger("year_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="year_frozen", fields=["adm_div_code", "fiscal_year"]),
        ]

    def __str__(self) -> str:
        return f"{self.adm_div_code} {self.fiscal_year}"

    @property
    def limits_clearing(self) -> bool:
        """Whether PBoC repays banks within limits it is told of (5106, 5108); docs/adr/0024."""
        return self.mode == self.Mode.CLASSIC


class BudgetIndicator(RegionYearModel, IndicatorTerms):
    """预算指标: a numbered grant of spending authority to one unit for one purpose, in yuan.

    available = total − frozen − reserved − paid + refunded (E1); plannable = total − frozen − planned (E2).

    An indicator of the department layer (待分配) is not paid from: what of it has been given on to the indicators that
    name it as `parent` is its `amount_planned`, equal to the sum of their totals.
    """

    indicator_no = models.CharField("指标编号", max_length=30)
    doc_no = models.CharField("指标文号", max_length=60)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children", verbose_name="上级指标")
    payment_mode = models.CharField("支付方式", max_length=3, choices=PaymentMode)
    amount_total = MoneyField("总额", default=ZERO)
    amount_frozen = MoneyField("冻结", default=ZERO)
    amount_reserved = MoneyField("在途", default=ZERO)
    amount_paid = MoneyField("已付", default=ZERO)
    amount_refunded = MoneyField("退款", default=ZERO)
    amount_planned = MoneyField("已安排计划", default=ZERO)

    class Meta:
        verbose_name = verbose_name_plural = "预算指标"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "indicator_no"], name="indicator_no_once"),
            models.CheckConstraint(
                name="indicator_amounts_not_negative",
                condition=Q(amount_total__gte=0)
                & Q(amount_frozen__gte=0)
                & Q(amount_reserved__gte=0)
                & Q(amount_paid__gte=0)
                & Q(amount_refunded__gte=0)
                & Q(amount_planned__gte=0)
                & Q(amount_refunded__lte=F("amount_paid")),
            ),
            models.CheckConstraint(
                name="indicator_e1_available",
                condition=Q(
                    amount_total__gte=F("amount_frozen")
                    + F("amount_reserved")
                    + F("amount_paid")
                    - F("amount_refunded")
                ),
            ),
            models.CheckConstraint(
                name="indicator_e2_plannable", condition=Q(amount_total__gte=F("amount_frozen") + F("amount_planned"))
            ),
            models.CheckConstraint(
                name="indicator_of_department_pays_nothing",
                condition=~Q(layer=Layer.DEPARTMENT)
                | Q(amount_reserved=0, amount_paid=0, amount_refunded=0, parent__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "fiscal_year", "unit"], name="indicator_unit")]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="indicator_frozen",
                fields=["adm_div_code", "fiscal_year", "indicator_no", "parent", "payment_mode", *COPIED],
            ),
            children_within_parent(),
        ]

    def __str__(self) -> str:
        return self.indicator_no

    @property
    def amount_available(self):  # type: ignore[no-untyped-def]
        """E1: what may still be requested; of the department layer, what may still be given on."""
        if self.layer == Layer.DEPARTMENT:
            return self.amount_plannable
        return self.amount_total - self.amount_frozen - self.amount_reserved - self.amount_paid + self.amount_refunded

    @property
    def amount_plannable(self):  # type: ignore[no-untyped-def]
        """E2: what may still be planned."""
        return self.amount_total - self.amount_frozen - self.amount_planned


class EntryModel(RegionYearModel):
    """One append-only change of a balance: why, for which document, by whom, on which business day."""

    kind = models.CharField(max_length=20)
    document_type = models.CharField(max_length=40, blank=True)
    document_id = models.UUIDField(null=True)
    business_date = models.DateField()
    actor_name = models.CharField(max_length=60)
    note = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    class Meta:
        abstract = True


class IndicatorEntry(EntryModel):
    """A change of an indicator, column by column; the balances are the sums of these."""

    indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, related_name="entries")
    total_change = MoneyField(default=ZERO)
    frozen_change = MoneyField(default=ZERO)
    reserved_change = MoneyField(default=ZERO)
    paid_change = MoneyField(default=ZERO)
    refunded_change = MoneyField(default=ZERO)
    planned_change = MoneyField(default=ZERO)

    class Meta:
        verbose_name = verbose_name_plural = "指标明细账"
        indexes = [
            models.Index(fields=["indicator", "at"], name="indicator_entry_by_indicator"),
            models.Index(fields=["document_id"], name="indicator_entry_by_document"),
        ]
        triggers = [append_only(), open_year_only("budget_budgetindicator", "indicator_id")]


class SpendingPlan(RegionYearModel):
    """用款计划: how much of an indicator a unit wants to spend in a month. Approved ones become quota.

    A reduction (调减) takes back what is unused: out of the quota when it is submitted, out of the plan at its end.
    """

    class Kind(models.TextChoices):
        NORMAL = "normal", "正常"
        INCREASE = "increase", "调增"
        REDUCE = "reduce", "调减"

    kind = models.CharField("类型", max_length=8, choices=Kind, default=Kind.NORMAL)
    plan_no = models.CharField("计划编号", max_length=30)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT)
    indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, related_name="plans")
    month = models.PositiveSmallIntegerField("月份")
    payment_mode = models.CharField(max_length=3, choices=PaymentMode)
    amount = MoneyField("金额")
    state = models.CharField(max_length=10, choices=PlanState, default=PlanState.DRAFT)
    revision = models.PositiveSmallIntegerField(default=1)
    chain = models.ForeignKey(ReviewChain, models.PROTECT, null=True)
    node = models.PositiveSmallIntegerField(default=0)
    content_digest = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    notice = models.ForeignKey("QuotaNotice", models.PROTECT, null=True, related_name="plans")
    action_key = models.CharField("操作号", max_length=120, null=True)

    class Meta:
        verbose_name = verbose_name_plural = "用款计划"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "plan_no"], name="plan_no_once"),
            models.UniqueConstraint(fields=["adm_div_code", "action_key"], name="plan_action_once"),
            models.CheckConstraint(name="plan_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="plan_month", condition=Q(month__gte=1, month__lte=12)),
        ]
        triggers = [
            PLAN_FLOW.trigger("plan_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="plan_content_frozen",
                operation=pgtrigger.Update,
                condition=any_changed(
                    *("adm_div_code", "fiscal_year", "plan_no", "unit", "indicator", "month", "kind"),
                    *("payment_mode", "amount", "created_by"),
                )
                & ~pgtrigger.Q(old__state__in=["draft", "returned"]),
            ),
        ]

    def __str__(self) -> str:
        return self.plan_no

    @property
    def signed_amount(self):  # type: ignore[no-untyped-def]
        """What the plan adds to the quota; negative for a reduction."""
        return -self.amount if self.kind == self.Kind.REDUCE else self.amount


class Quota(RegionYearModel):
    """可用额度: what may still be paid out of one indicator, in yuan.

    What it is made of depends on the method (`budget.methods`): arrived quota (授权额度), the approved plan
    (计划额度), a unit's own income; where only the indicator limits (`control` none), nothing is granted and the row
    counts what is spent. Unused amounts of earlier months stay usable (滚存).
    available = granted − reserved − spent + refunded.
    """

    class Control(models.TextChoices):
        LIMIT = "limit", "按额度控制"
        NONE = "none", "仅按指标控制"

    indicator = models.OneToOneField(BudgetIndicator, models.PROTECT, related_name="quota")
    unit = models.ForeignKey(BudgetUnit, models.PROTECT)
    payment_mode = models.CharField(max_length=3, choices=PaymentMode)
    payer_account = models.ForeignKey(BankAccount, models.PROTECT)
    control = models.CharField("控制方式", max_length=5, choices=Control, default=Control.LIMIT)
    amount_granted = MoneyField("已到账", default=ZERO)
    amount_reserved = MoneyField("在途", default=ZERO)
    amount_spent = MoneyField("已支付", default=ZERO)
    amount_refunded = MoneyField("退款", default=ZERO)

    class Meta:
        verbose_name = verbose_name_plural = "可用额度"
        constraints = [
            models.CheckConstraint(
                name="quota_never_overdrawn",
                condition=Q(amount_reserved__gte=0)
                & Q(amount_spent__gte=0)
                & Q(amount_refunded__gte=0)
                & (
                    Q(control="none", amount_granted=ZERO)
                    | Q(amount_granted__gte=F("amount_reserved") + F("amount_spent") - F("amount_refunded"))
                ),
            )
        ]
        indexes = [models.Index(fields=["adm_div_code", "fiscal_year", "unit"], name="quota_unit")]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="quota_frozen", fields=["indicator", "payment_mode", "control"]),
        ]

    @property
    def amount_available(self):  # type: ignore[no-untyped-def]
        return self.amount_granted - self.amount_reserved - self.amount_spent + self.amount_refunded


class QuotaEntry(EntryModel):
    """A change of a quota, column by column."""

    quota = models.ForeignKey(Quota, models.PROTECT, related_name="entries")
    granted_change = MoneyField(default=ZERO)
    reserved_change = MoneyField(default=ZERO)
    spent_change = MoneyField(default=ZERO)
    refunded_change = MoneyField(default=ZERO)

    class Meta:
        verbose_name = verbose_name_plural = "额度明细账"
        indexes = [
            models.Index(fields=["quota", "at"], name="quota_entry_by_quota"),
            models.Index(fields=["document_id"], name="quota_entry_by_document"),
        ]
        triggers = [append_only(), open_year_only("budget_quota", "quota_id")]


class UnitIncome(RegionYearModel):
    """单位收入: money that has come into a unit's own account, as its clerk wrote it down. Append-only.

    It may be spent (单位资金支付) once another person of the unit has confirmed it: that grants the quota.
    """

    indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, related_name="incomes")
    income_no = models.CharField("登记号", max_length=30)
    amount = MoneyField("金额")
    received_on = models.DateField("到账日期")
    payer = models.CharField("付款人", max_length=60)
    bank_serial = models.CharField("银行流水号", max_length=42)
    note = models.CharField("说明", max_length=200, blank=True)
    recorded_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "单位收入"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "income_no"], name="income_no_once"),
            models.UniqueConstraint(fields=["indicator", "bank_serial"], name="income_serial_once"),
            models.CheckConstraint(name="income_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [append_only()]

    def __str__(self) -> str:
        return self.income_no


class UnitIncomeDecision(RegionYearModel):
    """What a second person of the unit said of an income: confirmed, or refused for good. Append-only."""

    income = models.OneToOneField(UnitIncome, models.PROTECT, related_name="decision")
    confirmed = models.BooleanField("确认")
    decided_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "单位收入确认"
        triggers = [
            append_only(),
            pgtrigger.Trigger(
                name="income_four_eyes",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=pgtrigger.Func(
                    """
                    IF EXISTS (SELECT 1 FROM budget_unitincome i
                                WHERE i.id = NEW.income_id AND i.recorded_by_id = NEW.decided_by_id) THEN
                        RAISE EXCEPTION 'who recorded an income may not decide on it' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]


class QuotaNotice(RegionYearModel):
    """授权支付额度通知单 5105 with its 5106: approved plans merged for one bank, waiting for the bank's 2104.

    Reductions are merged into notices of their own, whose amount is negative.
    """

    agent_bank = models.ForeignKey(AgentBank, models.PROTECT)
    month = models.PositiveSmallIntegerField()
    fund_nature = models.CharField(max_length=4)
    amount = MoneyField("金额")
    amount_arrived = MoneyField("已到账", default=ZERO)
    voucher_id = models.UUIDField(null=True)
    limit_voucher_id = models.UUIDField(null=True)
    made_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "额度通知单"
        constraints = [
            models.CheckConstraint(name="notice_not_zero", condition=~Q(amount=ZERO)),
            models.CheckConstraint(
                name="notice_arrives_once_in_full",
                condition=Q(amount_arrived=ZERO) | Q(amount_arrived=F("amount")),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="notice_frozen",
                fields=["adm_div_code", "fiscal_year", "agent_bank", "month", "fund_nature", "amount", "made_by"],
            ),
        ]


class ClearingLimit(RegionYearModel):
    """清算额度: what PBoC clears for a bank, payment mode and fund nature. available = issued − cleared + refunded."""

    agent_bank = models.ForeignKey(AgentBank, models.PROTECT)
    payment_mode = models.CharField(max_length=3, choices=PaymentMode)
    fund_nature = models.CharField(max_length=4)
    amount_issued = MoneyField("已下达", default=ZERO)
    amount_cleared = MoneyField("已清算", default=ZERO)
    amount_refunded = MoneyField("退款恢复", default=ZERO)

    class Meta:
        verbose_name = verbose_name_plural = "清算额度"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "agent_bank", "payment_mode", "fund_nature"],
                name="one_clearing_limit_per_key",
            ),
            models.CheckConstraint(
                name="clearing_limit_never_exceeded",
                condition=Q(amount_cleared__gte=0)
                & Q(amount_refunded__gte=0)
                & Q(amount_issued__gte=F("amount_cleared") - F("amount_refunded")),
            ),
        ]
        triggers = [pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)]

    @property
    def amount_available(self):  # type: ignore[no-untyped-def]
        return self.amount_issued - self.amount_cleared + self.amount_refunded


class ClearingLimitEntry(EntryModel):
    """A change of a clearing limit: a 5106 or 5108 (also negative), a clearing, a refund."""

    limit = models.ForeignKey(ClearingLimit, models.PROTECT, related_name="entries")
    issued_change = MoneyField(default=ZERO)
    cleared_change = MoneyField(default=ZERO)
    refunded_change = MoneyField(default=ZERO)

    class Meta:
        verbose_name = verbose_name_plural = "清算额度明细账"
        indexes = [models.Index(fields=["limit", "at"], name="limit_entry_by_limit")]
        triggers = [append_only(), open_year_only("budget_clearinglimit", "limit_id")]
