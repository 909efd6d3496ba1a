"""What was bought from whom: contracts with terms and acceptances, and investment projects with progress certificates.

Nothing here says how much was paid: that is derived from the payment requests (docs/adr/0028).
"""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from budget.models import BudgetIndicator
from contracts.states import (
    CONTRACT_FLOW,
    PROJECT_FLOW,
    SUPPLEMENT_FLOW,
    ContractState,
    ProjectState,
    SupplementState,
)
from core.models import RegionYearModel, any_changed, append_only
from core.money import ZERO, MoneyField
from parties.models import BudgetUnit, Person

_CONTRACT_CONTENT = (
    *("adm_div_code", "fiscal_year", "contract_no", "title", "plan_no", "procurement_id", "unit", "project"),
    *("supplier_name", "supplier_credit_code", "supplier_accounts", "total", "signed_on", "prepayment_cap"),
    *("interim_cap", "source", "created_by", "filed_by", "filed_at"),
)
_PROJECT_CONTENT = (
    *("adm_div_code", "fiscal_year", "code", "name", "unit", "approval_no", "approved_estimate", "retention_ratio"),
    *("retention_until", "created_by", "decided_by"),
)


def _only_in_draft(table: str, column: str, what: str) -> pgtrigger.Trigger:
    """Return the trigger of rows that belong to a document: they change while it is a draft, and never after."""
    return pgtrigger.Trigger(
        name="frozen_with_its_document",
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete | pgtrigger.Insert,
        func=pgtrigger.Func(
            f"""
            IF EXISTS (SELECT 1 FROM {table} d
                        WHERE d.id IN (CASE TG_OP WHEN 'INSERT' THEN NULL ELSE OLD.{column} END,
                                       CASE TG_OP WHEN 'DELETE' THEN NULL ELSE NEW.{column} END)
                          AND d.state <> 'draft') THEN
                RAISE EXCEPTION '{what} are frozen' USING ERRCODE = 'check_violation';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
            """
        ),
    )


class InvestmentProject(RegionYearModel):
    """政府投资项目: what may be built for how much, and what share of the certified work is kept back (质保金)."""

    code = models.CharField("项目代码", max_length=21)
    name = models.CharField("项目名称", max_length=100)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT, verbose_name="建设单位")
    approval_no = models.CharField("概算批复文号", max_length=60)
    approved_estimate = MoneyField("批准概算")
    retention_ratio = models.DecimalField("质保金比例", max_digits=5, decimal_places=4)
    retention_until = models.DateField("质保期至", null=True)
    state = models.CharField("状态", max_length=10, choices=ProjectState, default=ProjectState.DRAFT)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "政府投资项目"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "code"], condition=~Q(state="rejected"), name="project_code_once"
            ),
            models.CheckConstraint(name="project_estimate_positive", condition=Q(approved_estimate__gt=0)),
            models.CheckConstraint(
                name="project_retention", condition=Q(retention_ratio__gte=0) & Q(retention_ratio__lt=1)
            ),
            models.CheckConstraint(
                name="project_four_eyes", condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("created_by"))
            ),
        ]
        triggers = [
            PROJECT_FLOW.trigger("project_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="project_content_frozen",
                operation=pgtrigger.Update,
                condition=any_changed(*_PROJECT_CONTENT) & ~pgtrigger.Q(old__state="draft"),
            ),
        ]

    def __str__(self) -> str:
        return self.code


class ProjectSource(RegionYearModel):
    """资金来源 of a project's estimate; they add up to it."""

    project = models.ForeignKey(InvestmentProject, models.PROTECT, related_name="sources")
    source = models.CharField("资金来源", max_length=40)
    amount = MoneyField("金额")

    class Meta:
        verbose_name = verbose_name_plural = "项目资金来源"
        constraints = [
            models.UniqueConstraint(fields=["project", "source"], name="project_source_once"),
            models.CheckConstraint(name="project_source_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [_only_in_draft("contracts_investmentproject", "project_id", "the sources of an approved project")]


class ProjectIndicator(RegionYearModel):
    """An indicator whose money is for this project; its contracts may be allocated to no other."""

    project = models.ForeignKey(InvestmentProject, models.PROTECT, related_name="indicator_links")
    indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = verbose_name_plural = "项目指标"
        constraints = [models.UniqueConstraint(fields=["project", "indicator"], name="project_indicator_once")]
        triggers = [append_only()]


class Contract(RegionYearModel):
    """采购合同: what a unit owes one supplier at most, in yuan, and on which terms.

    `fiscal_year` is the year it was written down in; a contract may be paid over several years, so its number counts
    once for a unit, whatever the year. `total` and the terms are the original ones and frozen from the filing (备案)
    on; what is in force adds the approved supplements (`contracts.standing`).
    """

    contract_no = models.CharField("合同编号", max_length=40)
    title = models.CharField("合同名称", max_length=100)
    plan_no = models.CharField("采购计划编号", max_length=40, blank=True)
    procurement_id = models.CharField("政府采购交易识别码", max_length=42, blank=True)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT, verbose_name="采购单位")
    project = models.ForeignKey(
        InvestmentProject, models.PROTECT, null=True, related_name="contracts", verbose_name="投资项目"
    )
    supplier_name = models.CharField("供应商", max_length=60)
    supplier_credit_code = models.CharField("统一社会信用代码", max_length=18)
    supplier_accounts = models.JSONField("收款账户", default=list)
    total = MoneyField("合同金额")
    signed_on = models.DateField("签订日期")
    prepayment_cap = models.DecimalField("预付比例上限", max_digits=5, decimal_places=4)
    interim_cap = models.DecimalField("终验前支付上限", max_digits=5, decimal_places=4)
    state = models.CharField("状态", max_length=10, choices=ContractState, default=ContractState.DRAFT)
    source = models.CharField("来源", max_length=30, blank=True)  # the platform's organisation; empty if a clerk's
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()
    filed_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    filed_at = models.DateTimeField("备案时间", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "采购合同"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "unit", "contract_no"],
                condition=Q(filed_at__isnull=False) | ~Q(state="terminated"),
                name="contract_no_once_for_a_unit",
            ),
            models.CheckConstraint(name="contract_total_positive", condition=Q(total__gt=0)),
            models.CheckConstraint(
                name="contract_caps",
                condition=Q(prepayment_cap__gte=0, prepayment_cap__lte=1, interim_cap__gt=0, interim_cap__lte=1),
            ),
            models.CheckConstraint(
                name="contract_four_eyes",
                condition=Q(filed_by__isnull=True) | Q(created_by__isnull=True) | ~Q(filed_by=F("created_by")),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "state", "unit"], name="contract_by_state")]
        triggers = [
            CONTRACT_FLOW.trigger("contract_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="contract_content_frozen",
                operation=pgtrigger.Update,
                condition=any_changed(*_CONTRACT_CONTENT) & ~pgtrigger.Q(old__state="draft"),
            ),
        ]

    def __str__(self) -> str:
        return self.contract_no


class SupplementaryContract(RegionYearModel):
    """补充合同: another amount of a filed contract, other indicators, or a new account of its supplier.

    The contract itself stays as it was filed; what the supplement says counts once another person has approved it.
    """

    contract = models.ForeignKey(Contract, models.PROTECT, related_name="supplements")
    supplement_no = models.CharField("补充合同编号", max_length=40)
    amount_change = MoneyField("金额变动", default=ZERO)
    supplier_accounts = models.JSONField("新增收款账户", default=list)
    signed_on = models.DateField("签订日期")
    reason = models.CharField("事由", max_length=200)
    state = models.CharField("状态", max_length=10, choices=SupplementState, default=SupplementState.DRAFT)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "补充合同"
        constraints = [
            models.UniqueConstraint(fields=["contract", "supplement_no"], name="supplement_no_once"),
            models.CheckConstraint(
                name="supplement_four_eyes", condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("created_by"))
            ),
        ]
        triggers = [
            SUPPLEMENT_FLOW.trigger("supplement_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="supplement_frozen",
                fields=[
                    *("adm_div_code", "fiscal_year", "contract", "supplement_no", "amount_change"),
                    *("supplier_accounts", "signed_on", "reason", "created_by"),
                ],
            ),
        ]

    def __str__(self) -> str:
        return self.supplement_no


class ContractTerm(RegionYearModel):
    """付款条款: one stage of a contract, how much falls due with it, on which condition and not before which day.

    `ratio` is how it was agreed, if as a share; `amount` is what counts. The terms add up to the total.
    """

    class Condition(models.TextChoices):
        SIGNED = "signed", "备案后"
        PROGRESS = "progress", "按工程进度"
        DELIVERED = "delivered", "到货或阶段验收后"
        ACCEPTED = "accepted", "最终验收后"

    contract = models.ForeignKey(Contract, models.PROTECT, related_name="terms")
    seq = models.PositiveSmallIntegerField("序号")
    stage = models.CharField("阶段", max_length=40)
    ratio = models.DecimalField("比例", max_digits=5, decimal_places=4, null=True)
    amount = MoneyField("金额")
    condition = models.CharField("付款条件", max_length=10, choices=Condition)
    due_on = models.DateField("最早付款日", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "付款条款"
        ordering = ["seq"]
        constraints = [
            models.UniqueConstraint(fields=["contract", "seq"], name="term_seq_once"),
            models.CheckConstraint(name="term_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [_only_in_draft("contracts_contract", "contract_id", "the terms of a filed contract")]


class ContractAllocation(RegionYearModel):
    """指标分摊: how much of a contract one indicator bears; `opening_paid` was paid before the books began here."""

    contract = models.ForeignKey(Contract, models.PROTECT, related_name="allocations")
    indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, related_name="+")
    amount = MoneyField("分摊金额")
    opening_paid = MoneyField("期初已付", default=ZERO)

    class Meta:
        verbose_name = verbose_name_plural = "合同指标分摊"
        constraints = [
            models.UniqueConstraint(fields=["contract", "indicator"], name="allocation_once"),
            models.CheckConstraint(
                name="allocation_positive",
                condition=Q(amount__gt=0) & Q(opening_paid__gte=0) & Q(opening_paid__lte=F("amount")),
            ),
        ]
        triggers = [_only_in_draft("contracts_contract", "contract_id", "the allocation of a filed contract")]


class SupplementAllocation(RegionYearModel):
    """How a supplement changes the share of one indicator, up or down."""

    supplement = models.ForeignKey(SupplementaryContract, models.PROTECT, related_name="allocations")
    indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, related_name="+")
    amount = MoneyField("分摊变动")

    class Meta:
        verbose_name = verbose_name_plural = "补充合同指标分摊"
        constraints = [
            models.UniqueConstraint(fields=["supplement", "indicator"], name="supplement_allocation_once"),
            models.CheckConstraint(name="supplement_allocation_not_zero", condition=~Q(amount=0)),
        ]
        triggers = [append_only()]


class Acceptance(RegionYearModel):
    """验收单: somebody else than the clerk has found that goods or works were delivered as agreed. Append-only."""

    contract = models.ForeignKey(Contract, models.PROTECT, related_name="acceptances")
    certificate_no = models.CharField("验收单号", max_length=40)
    amount = MoneyField("验收金额")
    accepted_on = models.DateField("验收日期")
    final = models.BooleanField("最终验收", default=False)
    accepted_by = models.CharField("验收人", max_length=60)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "验收单"
        constraints = [
            models.UniqueConstraint(fields=["contract", "certificate_no"], name="acceptance_no_once"),
            models.UniqueConstraint(fields=["contract"], condition=Q(final=True), name="one_final_acceptance"),
            models.CheckConstraint(name="acceptance_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [append_only()]


class ProgressCertificate(RegionYearModel):
    """工程进度款支付证书: work of one period of a project's contract, certified. Append-only.

    A mistake is mended by another certificate with a negative amount; `cumulative` is the sum up to this one.
    """

    project = models.ForeignKey(InvestmentProject, models.PROTECT, related_name="certificates")
    contract = models.ForeignKey(Contract, models.PROTECT, related_name="certificates")
    certificate_no = models.CharField("进度证书号", max_length=40)
    period = models.CharField("期间", max_length=7)
    amount = MoneyField("本期核定")
    cumulative = MoneyField("累计核定")
    certified_on = models.DateField("核定日期")
    certified_by = models.CharField("核定人", max_length=60)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "工程进度证书"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["contract", "certificate_no"], name="certificate_no_once"),
            models.CheckConstraint(
                name="certificate_amounts",
                condition=~Q(amount=0) & Q(cumulative__gte=0) & Q(cumulative__gte=F("amount")),
            ),
        ]
        triggers = [append_only()]
