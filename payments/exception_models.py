"""Tables of what does not go as ordered: recalls, refunds nobody can place, refunds of earlier years, corrections,
exemptions from the cut-off. Registered by `payments.models`, from where they are imported. Source: docs/exceptions.md.
"""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from budget.models import BudgetIndicator, IndicatorDocument, Quota
from core.models import RegionYearModel, any_changed, append_only
from core.money import ZERO, MoneyField
from parties.models import AgentBank, BudgetUnit, Person, ReviewChain
from payments.states import (
    CORRECTION_FLOW,
    OPEN_RECALLS,
    RECALL_FLOW,
    REFUND_CASE_FLOW,
    CorrectionState,
    RecallState,
    RefundCaseState,
)
from vouchers.models import InboxMessage, Voucher


class Recall(RegionYearModel):
    """撤回申请: the unit asks that a payment already sent be stopped; only the bank's signed word stops it."""

    recall_no = models.CharField("撤回编号", max_length=30)
    request = models.ForeignKey("payments.PaymentRequest", models.PROTECT, related_name="recalls")
    voucher = models.ForeignKey(Voucher, models.PROTECT, related_name="+")
    reason = models.CharField("撤回原因", max_length=200)
    state = models.CharField("状态", max_length=12, choices=RecallState, default=RecallState.REQUESTED)
    asked_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField("询问次数", default=0)
    last_answer = models.CharField("最近答复", max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = "撤回申请"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "recall_no"], name="recall_no_once"),
            models.UniqueConstraint(
                fields=["request"], condition=Q(state__in=sorted(OPEN_RECALLS)), name="one_open_recall_per_request"
            ),
            models.CheckConstraint(
                name="recall_four_eyes", condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("asked_by"))
            ),
            models.CheckConstraint(
                name="recall_asks_when_approved",
                condition=~Q(state=RecallState.ASKING) | Q(decided_by__isnull=False, next_attempt_at__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "state", "next_attempt_at"], name="recall_due")]
        triggers = [
            RECALL_FLOW.trigger("recall_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="recall_frozen",
                fields=["adm_div_code", "fiscal_year", "recall_no", "request", "voucher", "reason", "asked_by"],
            ),
        ]

    def __str__(self) -> str:
        return self.recall_no


class RefundCase(RegionYearModel):
    """待查退款: a line of a refund notice whose original the bank could not name, or named wrongly.

    One person says which paid detail it belongs to, another confirms; then it is a refund like any other.
    """

    message = models.ForeignKey(InboxMessage, models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField("明细序号")
    notice_type = models.CharField("通知书", max_length=4)
    notice_no = models.CharField("通知书号", max_length=20)
    agent_bank = models.ForeignKey(AgentBank, models.PROTECT, verbose_name="代理银行")
    unit = models.ForeignKey(BudgetUnit, models.PROTECT, null=True, verbose_name="账户所属单位")
    payer_account_no = models.CharField("到账账户", max_length=32)
    returned_by = models.CharField("退款人", max_length=60, blank=True)
    returned_account_no = models.CharField("退款账号", max_length=32, blank=True)
    named_voucher_no = models.CharField("银行所称原凭证", max_length=42, blank=True)
    amount = MoneyField("金额")
    refunded_on = models.DateField("到账日期")
    bank_serial = models.CharField("银行流水号", max_length=42, blank=True)
    remark = models.CharField("附言", max_length=100, blank=True)
    opened_on = models.DateField("登记日")
    due_on = models.DateField("查清期限")
    state = models.CharField("状态", max_length=12, choices=RefundCaseState, default=RefundCaseState.OPEN)
    detail = models.ForeignKey("payments.PaymentDetail", models.PROTECT, null=True, related_name="refund_cases")
    proposed_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    confirmed_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    note = models.CharField("认定依据", max_length=200, blank=True)
    refund = models.OneToOneField("payments.Refund", models.PROTECT, null=True, related_name="case")
    voucher = models.OneToOneField(Voucher, models.PROTECT, null=True, related_name="+", verbose_name="退款凭证")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "待查退款"
        constraints = [
            models.UniqueConstraint(fields=["message", "position"], name="one_case_per_line"),
            models.CheckConstraint(name="case_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="case_four_eyes", condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("proposed_by"))
            ),
            models.CheckConstraint(
                name="case_identified_is_a_refund",
                condition=~Q(state=RefundCaseState.IDENTIFIED) | Q(refund__isnull=False, confirmed_by__isnull=False),
            ),
            models.CheckConstraint(
                name="case_proposed_names_its_original",
                condition=Q(state=RefundCaseState.OPEN) | Q(detail__isnull=False, proposed_by__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "fiscal_year", "state", "due_on"], name="case_ageing")]
        triggers = [
            REFUND_CASE_FLOW.trigger("case_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="case_frozen",
                fields=[
                    *("adm_div_code", "fiscal_year", "message", "position", "notice_type", "notice_no", "agent_bank"),
                    *("payer_account_no", "returned_account_no", "amount", "refunded_on", "opened_on", "due_on"),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.notice_no}/{self.position}"


class PriorYearRefund(RegionYearModel):
    """以前年度退款: money of an earlier year's payment that came back in this one. It restores nothing of this year.

    `fiscal_year` is the year it came back in; the refund itself is a fact of the payment's own year. It counts as
    recovered funds (收回存量资金) until an issued document gives it back to an indicator.
    """

    refund = models.OneToOneField("payments.Refund", models.PROTECT, related_name="prior_year")
    original_year = models.PositiveSmallIntegerField("原支付年度")
    unit = models.ForeignKey(BudgetUnit, models.PROTECT)
    amount = MoneyField("金额")
    received_on = models.DateField("收回日期")
    give_back = models.OneToOneField(IndicatorDocument, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "以前年度退款"
        constraints = [
            models.CheckConstraint(name="prior_year_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="prior_year_is_earlier", condition=Q(original_year__lt=F("fiscal_year"))),
        ]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="prior_year_frozen",
                fields=["adm_div_code", "fiscal_year", "refund", "original_year", "unit", "amount", "received_on"],
            ),
        ]


class Correction(RegionYearModel):
    """更正: a paid amount is carried by another indicator (or department code) of the same unit, fund and bank.

    One negative and one positive line, net nothing: no money moves, and payee and amount stay what the bank paid.
    """

    correction_no = models.CharField("更正编号", max_length=30)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT)
    detail = models.ForeignKey("payments.PaymentDetail", models.PROTECT, related_name="corrections")
    from_indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, related_name="+")
    from_quota = models.ForeignKey(Quota, models.PROTECT, related_name="+")
    to_indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, related_name="+")
    to_quota = models.ForeignKey(Quota, models.PROTECT, related_name="+")
    dept_economic_code = models.CharField("更正后部门经济分类", max_length=5)
    amount = MoneyField("更正金额")
    amount_refunded = MoneyField("其中后来退回", default=ZERO)
    reason = models.CharField("更正原因", max_length=200)
    state = models.CharField("状态", max_length=16, choices=CorrectionState, default=CorrectionState.DRAFT)
    revision = models.PositiveSmallIntegerField(default=1)
    chain = models.ForeignKey(ReviewChain, models.PROTECT, null=True)
    node = models.PositiveSmallIntegerField(default=0)
    content_digest = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    voucher = models.OneToOneField(Voucher, models.PROTECT, null=True, related_name="+")
    voucher_type = models.CharField("凭证类型", max_length=4, blank=True)
    voucher_no = models.CharField("凭证号", max_length=20, blank=True)
    executed_on = models.DateField("国库处理日期", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "更正申请"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "correction_no"], name="correction_no_once"),
            models.CheckConstraint(name="correction_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="correction_refund_within", condition=Q(amount_refunded__gte=0, amount_refunded__lte=F("amount"))
            ),
            models.CheckConstraint(
                name="correction_dated_when_executed",
                condition=~Q(state=CorrectionState.EXECUTED) | Q(executed_on__isnull=False),
            ),
            models.CheckConstraint(
                name="correction_refunded_when_executed",
                condition=Q(state=CorrectionState.EXECUTED) | Q(amount_refunded=ZERO),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "fiscal_year", "state", "id"], name="correction_queue")]
        triggers = [
            CORRECTION_FLOW.trigger("correction_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="correction_content_frozen",
                operation=pgtrigger.Update,
                condition=any_changed(
                    *("adm_div_code", "fiscal_year", "correction_no", "unit", "detail", "from_indicator"),
                    *("from_quota", "to_indicator", "to_quota", "dept_economic_code", "amount", "reason", "created_by"),
                )
                & ~pgtrigger.Q(old__state__in=["draft", "returned"]),
            ),
        ]

    def __str__(self) -> str:
        return self.correction_no


class CorrectionReceipt(RegionYearModel):
    """更正回单: PBoC's signed word on one correction, done or not. Append-only."""

    correction = models.OneToOneField(Correction, models.PROTECT, related_name="receipt")
    voucher = models.OneToOneField(Voucher, models.PROTECT, related_name="+")
    message = models.OneToOneField(InboxMessage, models.PROTECT, related_name="+")
    executed = models.BooleanField("已处理")
    dealt_on = models.DateField("处理日期")
    reason = models.CharField("失败原因", max_length=200, blank=True)
    business_date = models.DateField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "更正回单"
        triggers = [append_only()]


class CutOffExemption(RegionYearModel):
    """截止后放行: a salary request that may still leave today, asked for by the unit and approved by the treasury."""

    request = models.OneToOneField("payments.PaymentRequest", models.PROTECT, related_name="cut_off_exemption")
    business_date = models.DateField("放行业务日")
    reason = models.CharField("理由", max_length=200)
    asked_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = "截止后放行"
        constraints = [
            models.CheckConstraint(
                name="exemption_four_eyes", condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("asked_by"))
            )
        ]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="exemption_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__approved_by__isnull=False) | any_changed("request", "asked_by"),
            ),
        ]
