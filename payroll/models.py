"""Who is paid by list: salary batches and benefit lists with their rows, and which payment requests pay them."""

import pghistory
import pgtrigger
from django.db import models
from django.db.models import F, Q

from budget.models import BudgetIndicator
from core.ids import new_id
from core.models import RegionYearModel, any_changed, append_only
from core.money import MoneyField
from evidence.history import recorded
from parties.models import BudgetUnit, Person
from payments.models import PaymentDetail, PaymentRequest, WithholdingPayee
from payroll.states import BATCH_FLOW, LIST_FLOW, BatchState, ListState


class Withholding(models.TextChoices):
    """代扣项目: what is kept back from a person's pay and paid to somebody else. The value is the column's name."""

    PENSION = "pension", "养老保险"
    ANNUITY = "annuity", "职业年金"
    MEDICAL = "medical", "医疗保险"
    UNEMPLOYMENT = "unemployment", "失业保险"
    HOUSING = "housing", "住房公积金"
    TAX = "tax", "个人所得税"
    OTHER = "other", "其他扣款"


def _withheld() -> models.expressions.CombinedExpression:
    total = F(Withholding.PENSION.value) + F(Withholding.ANNUITY.value)
    for kind in list(Withholding)[2:]:
        total += F(kind.value)
    return total


def _rows_frozen(table: str, owner: str) -> list[pgtrigger.Trigger]:
    """Rows come with their roster and stay: written while it is a draft, never changed but for the payment line."""
    return [
        pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        pgtrigger.Trigger(
            name="written_with_its_roster",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Insert,
            referencing=pgtrigger.Referencing(new="new_rows"),
            func=pgtrigger.Func(
                f"""
                IF EXISTS (SELECT 1 FROM {table} o WHERE o.state <> 'draft'
                              AND o.id IN (SELECT {owner} FROM new_rows)) THEN
                    RAISE EXCEPTION 'rows of a roster under way are frozen' USING ERRCODE = 'check_violation';
                END IF;
                RETURN NULL;
                """
            ),
        ),
    ]


class Roster(RegionYearModel):
    """What salary batches and benefit lists have in common: whose, from which money, out of which file, how much."""

    roster_no = models.CharField("批次号", max_length=30)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT, verbose_name="预算单位", related_name="+")
    indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, verbose_name="预算指标", related_name="+")
    dept_economic_code = models.CharField("部门经济分类", max_length=5)
    head_count = models.PositiveIntegerField("人数")
    file_name = models.CharField("来源文件", max_length=120)
    file_digest = models.CharField("文件 SM3", max_length=64)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.roster_no


_ROSTER_CONTENT = (
    *("adm_div_code", "fiscal_year", "roster_no", "unit", "indicator", "dept_economic_code", "head_count"),
    *("file_name", "file_digest", "created_by", "created_at"),
)


class SalaryBatch(Roster):
    """统发工资批次: one unit's pay of one month and kind. Gross is what leaves the indicator, net what persons get."""

    class Kind(models.TextChoices):
        SALARY = "salary", "工资"
        ALLOWANCE = "allowance", "津补贴"
        BONUS = "bonus", "年终奖"
        ARREARS = "arrears", "补发"
        NEWCOMERS = "newcomers", "新增人员"

    month = models.PositiveSmallIntegerField("月份")
    kind = models.CharField("类别", max_length=10, choices=Kind)
    gross = MoneyField("应发")
    pension = MoneyField("养老保险")
    annuity = MoneyField("职业年金")
    medical = MoneyField("医疗保险")
    unemployment = MoneyField("失业保险")
    housing = MoneyField("住房公积金")
    tax = MoneyField("个人所得税")
    other = MoneyField("其他扣款")
    net = MoneyField("实发")
    state = models.CharField("状态", max_length=10, choices=BatchState, default=BatchState.DRAFT)
    checked_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = verbose_name_plural = "统发工资批次"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "roster_no"], name="salary_batch_no_once"),
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "unit", "month", "kind"],
                condition=~Q(state=BatchState.VOIDED),
                name="one_salary_batch_per_month_and_kind",
            ),
            models.CheckConstraint(name="salary_month", condition=Q(month__gte=1) & Q(month__lte=12)),
            models.CheckConstraint(
                name="salary_batch_adds_up",
                condition=Q(gross__gt=0) & Q(net__gte=0) & Q(head_count__gt=0) & Q(gross=F("net") + _withheld()),
            ),
            models.CheckConstraint(
                name="salary_batch_four_eyes",
                condition=~Q(checked_by=F("created_by"))
                & ~Q(confirmed_by=F("created_by"))
                & ~Q(confirmed_by=F("checked_by")),
            ),
        ]
        triggers = [
            BATCH_FLOW.trigger("batch_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="content_stays",
                operation=pgtrigger.Update,
                condition=any_changed(*_ROSTER_CONTENT, "month", "kind", "gross", "net", *Withholding.values),
            ),
        ]

    @property
    def total(self) -> object:
        """What the payments of this batch come to: net pay and everything withheld."""
        return self.gross

    @property
    def title(self) -> str:
        return f"{self.fiscal_year}年{self.month}月{self.get_kind_display()}"


class SalaryRow(RegionYearModel):
    """One person's pay. The identity number is kept as mask and keyed digest only."""

    batch = models.ForeignKey(SalaryBatch, models.PROTECT, related_name="rows", db_index=False)
    row_no = models.PositiveIntegerField("文件行号")
    name = models.CharField("姓名", max_length=60)
    identity_masked = models.CharField("证件号码", max_length=20)
    identity_digest = models.CharField(max_length=64)
    card_no = models.CharField("卡号", max_length=32)
    bank_name = models.CharField("开户银行", max_length=60)
    bank_no = models.CharField("行号", max_length=12, blank=True)
    items = models.JSONField("应发项目")  # department economic code → yuan, as text
    gross = MoneyField("应发")
    pension = MoneyField("养老保险")
    annuity = MoneyField("职业年金")
    medical = MoneyField("医疗保险")
    unemployment = MoneyField("失业保险")
    housing = MoneyField("住房公积金")
    tax = MoneyField("个人所得税")
    other = MoneyField("其他扣款")
    net = MoneyField("实发")
    detail = models.OneToOneField(PaymentDetail, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = verbose_name_plural = "工资明细"
        constraints = [
            models.UniqueConstraint(fields=["batch", "row_no"], name="salary_row_once"),
            models.UniqueConstraint(fields=["batch", "identity_digest"], name="person_once_in_a_batch"),
            models.CheckConstraint(
                name="salary_row_adds_up",
                condition=Q(net__gte=0)
                & Q(gross=F("net") + _withheld())
                & Q(pension__gte=0)
                & Q(annuity__gte=0)
                & Q(medical__gte=0)
                & Q(unemployment__gte=0)
                & Q(housing__gte=0)
                & Q(tax__gte=0)
                & Q(other__gte=0),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "identity_digest"], name="salary_row_person")]
        triggers = [
            *_rows_frozen("payroll_salarybatch", "batch_id"),
            pgtrigger.Protect(
                name="content_stays",
                operation=pgtrigger.Update,
                condition=any_changed(
                    *("batch", "row_no", "name", "identity_masked", "identity_digest", "card_no", "bank_name"),
                    *("bank_no", "items", "gross", "net", *Withholding.values),
                )
                | pgtrigger.Q(old__detail__isnull=False),
            ),
        ]
        ordering = ["row_no"]


class BenefitList(Roster):
    """惠民补贴清单 (一卡通): who gets how much of one policy, for one period and township, after a public notice."""

    policy = models.CharField("补贴政策", max_length=40)
    period = models.CharField("补贴期间", max_length=20)
    township = models.CharField("乡镇街道", max_length=30)
    notice_from = models.DateField("公示起")
    notice_to = models.DateField("公示止")
    amount = MoneyField("金额")
    state = models.CharField("状态", max_length=10, choices=ListState, default=ListState.DRAFT)

    class Meta:
        verbose_name = verbose_name_plural = "惠民补贴清单"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "roster_no"], name="benefit_list_no_once"),
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "unit", "policy", "period", "township"],
                condition=~Q(state=ListState.VOIDED),
                name="one_benefit_list_per_period_and_township",
            ),
            models.CheckConstraint(
                name="benefit_list_counts",
                condition=Q(amount__gt=0) & Q(head_count__gt=0) & Q(notice_to__gte=F("notice_from")),
            ),
            models.CheckConstraint(name="benefit_list_four_eyes", condition=~Q(confirmed_by=F("created_by"))),
        ]
        triggers = [
            LIST_FLOW.trigger("list_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="content_stays",
                operation=pgtrigger.Update,
                condition=any_changed(
                    *_ROSTER_CONTENT, "policy", "period", "township", "notice_from", "notice_to", "amount"
                ),
            ),
        ]

    @property
    def total(self) -> object:
        """What the payments of this list come to."""
        return self.amount

    @property
    def title(self) -> str:
        return f"{self.policy} {self.period} {self.township}"


class BenefitRow(RegionYearModel):
    """What one person gets: standard × quantity."""

    list = models.ForeignKey(BenefitList, models.PROTECT, related_name="rows", db_index=False)
    row_no = models.PositiveIntegerField("文件行号")
    name = models.CharField("姓名", max_length=60)
    identity_masked = models.CharField("证件号码", max_length=20)
    identity_digest = models.CharField(max_length=64)
    card_no = models.CharField("卡号", max_length=32)
    bank_name = models.CharField("开户银行", max_length=60)
    bank_no = models.CharField("行号", max_length=12, blank=True)
    standard = MoneyField("补贴标准")
    quantity = models.DecimalField("数量", max_digits=12, decimal_places=3)
    amount = MoneyField("金额")
    detail = models.OneToOneField(PaymentDetail, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = verbose_name_plural = "补贴明细"
        constraints = [
            models.UniqueConstraint(fields=["list", "row_no"], name="benefit_row_once"),
            models.UniqueConstraint(fields=["list", "identity_digest"], name="person_once_in_a_list"),
            models.CheckConstraint(
                name="benefit_row_adds_up",
                condition=Q(standard__gt=0)
                & Q(quantity__gt=0)
                & Q(amount__gt=0)
                & Q(amount=F("standard") * F("quantity")),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "identity_digest"], name="benefit_row_person")]
        triggers = [
            *_rows_frozen("payroll_benefitlist", "list_id"),
            pgtrigger.Protect(
                name="content_stays",
                operation=pgtrigger.Update,
                condition=any_changed(
                    *("list", "row_no", "name", "identity_masked", "identity_digest", "card_no", "bank_name"),
                    *("bank_no", "standard", "quantity", "amount"),
                )
                | pgtrigger.Q(old__detail__isnull=False),
            ),
        ]
        ordering = ["row_no"]


class RosterPayment(RegionYearModel):
    """Which payment requests pay a roster, in the order of its rows. Reissues hang on the request they repeat."""

    salary_batch = models.ForeignKey(SalaryBatch, models.PROTECT, null=True, related_name="payments")
    benefit_list = models.ForeignKey(BenefitList, models.PROTECT, null=True, related_name="payments")
    ordinal = models.PositiveIntegerField()
    request = models.OneToOneField(PaymentRequest, models.PROTECT, related_name="roster_payment")

    class Meta:
        verbose_name = verbose_name_plural = "批次支付申请"
        constraints = [
            models.CheckConstraint(
                name="payment_of_one_roster",
                condition=Q(salary_batch__isnull=False, benefit_list__isnull=True)
                | Q(salary_batch__isnull=True, benefit_list__isnull=False),
            ),
            models.UniqueConstraint(fields=["salary_batch", "ordinal"], name="salary_payment_ordinal_once"),
            models.UniqueConstraint(fields=["benefit_list", "ordinal"], name="benefit_payment_ordinal_once"),
        ]
        triggers = [append_only()]


@pghistory.track(meta=recorded("payroll_withholdingroute"))
class WithholdingRoute(models.Model):
    """代扣去向: to which registered payee a region pays each thing it withholds. Those of one payee share a line."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    withholding = models.CharField("代扣项目", max_length=12, choices=Withholding)
    payee = models.ForeignKey(WithholdingPayee, models.PROTECT, verbose_name="代扣代缴单位")

    class Meta:
        verbose_name = verbose_name_plural = "代扣去向"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "withholding"], name="one_payee_per_withholding")
        ]

    def __str__(self) -> str:
        return f"{self.get_withholding_display()} → {self.payee.name}"


class ImportRejection(RegionYearModel):
    """A file that was not imported, with every error in it: kept so that the clerk can fetch the list. Append-only."""

    unit_code = models.CharField("预算单位", max_length=15)
    what = models.CharField("导入内容", max_length=10, choices=[("salary", "工资"), ("benefit", "补贴")])
    file_name = models.CharField("文件名", max_length=120)
    file_digest = models.CharField(max_length=64)
    counted = models.PositiveIntegerField("错误数")
    errors = models.JSONField()  # [[row, column, message], …], at most MOST_ERRORS
    by = models.CharField("导入人", max_length=60)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "未导入的文件"
        triggers = [append_only()]
