"""A unit asks, a bank pays, PBoC clears: requests with their details, and the facts that banks and PBoC report."""

import pgtrigger
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from attachments.models import Invoice, StoredFile
from budget.models import BudgetIndicator, PaymentMode, Quota
from core.ids import new_id
from core.models import RegionYearModel, any_changed, append_only
from core.money import ZERO, MoneyField
from parties.models import AgentBank, BankAccount, BudgetUnit, Person, ReviewChain, UnitGroup
from payments.exception_models import (
    Correction,
    CorrectionReceipt,
    CutOffExemption,
    PriorYearRefund,
    Recall,
    RefundCase,
)
from payments.states import DETAIL_FLOW, REQUEST_FLOW, DetailState, RequestState
from vouchers.models import InboxMessage, Voucher

__all__ = ["Correction", "CorrectionReceipt", "CutOffExemption", "PriorYearRefund", "Recall", "RefundCase"]

_CONTENT = (
    *("adm_div_code", "fiscal_year", "request_no", "unit", "indicator", "quota", "payer_account", "payment_mode"),
    *("business_type", "settlement", "dept_economic_code", "purpose", "contract_no", "cash_reason", "amount"),
    *("cash_purpose", "beneficiary_unit", "extra", "created_by", "reissue_of"),
)


class BusinessType(models.TextChoices):
    """业务类型; the value is the code on the wire (BusinessTypeCode)."""

    ORDINARY = "1", "普通转账"
    OFFICIAL_CARD = "2", "公务卡还款"
    SALARY = "3", "统一工资发放"
    BATCH = "4", "批量支付"
    CASH_CHEQUE = "5", "现金支票"
    WITHHOLDING = "6", "代扣代缴"
    PROCUREMENT = "7", "政府采购"
    ON_BEHALF = "8", "财政代列"
    INVESTMENT = "9", "政府投资项目"


class Settlement(models.TextChoices):
    """结算方式 (SetModeCode)."""

    TRANSFER = "2", "转账"
    CASH_CHEQUE = "3", "现金支票"
    OFFICIAL_CARD = "5", "公务卡"


class PaymentRequest(RegionYearModel):
    """支付申请: a budget unit's request to pay one or more payees from one indicator.

    The state moves only through `core.transitions.move`; the content is frozen while it is under review and after,
    and every return raises `revision`, so that decisions on the older content no longer count.
    """

    request_no = models.CharField("申请编号", max_length=30)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT, verbose_name="预算单位")
    indicator = models.ForeignKey(BudgetIndicator, models.PROTECT, verbose_name="预算指标", related_name="requests")
    quota = models.ForeignKey(Quota, models.PROTECT, verbose_name="额度")
    payer_account = models.ForeignKey(BankAccount, models.PROTECT, verbose_name="付款账户")
    payment_mode = models.CharField("支付方式", max_length=3, choices=PaymentMode)
    business_type = models.CharField("业务类型", max_length=2, choices=BusinessType)
    settlement = models.CharField("结算方式", max_length=2, choices=Settlement)
    dept_economic_code = models.CharField("部门经济分类", max_length=5)
    purpose = models.CharField("用途", max_length=100)
    contract_no = models.CharField("合同编号", max_length=40, blank=True)
    cash_reason = models.CharField("现金理由", max_length=100, blank=True)
    cash_purpose = models.CharField("现金用途", max_length=4, blank=True)
    beneficiary_unit = models.ForeignKey(
        BudgetUnit, models.PROTECT, null=True, related_name="+", verbose_name="受益单位"
    )
    extra = models.JSONField("扩展信息", default=dict, blank=True)
    amount = MoneyField("金额")
    amount_paid = MoneyField("已支付", default=ZERO)
    amount_failed = MoneyField("失败", default=ZERO)
    amount_refunded = MoneyField("已退款", default=ZERO)
    state = models.CharField("状态", max_length=16, choices=RequestState, default=RequestState.DRAFT)
    revision = models.PositiveSmallIntegerField("版本", default=1)
    chain = models.ForeignKey(ReviewChain, models.PROTECT, null=True)
    node = models.PositiveSmallIntegerField("当前节点", default=0)
    content_digest = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()
    submitted_on = models.DateField("提交业务日", null=True)
    reissue_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="reissues", verbose_name="重发自")
    voucher = models.OneToOneField(Voucher, models.PROTECT, null=True, related_name="+")
    voucher_type = models.CharField("凭证类型", max_length=4, blank=True)
    voucher_no = models.CharField("凭证号", max_length=20, blank=True)
    imported = models.BooleanField("期初导入", default=False)
    action_key = models.CharField("操作号", max_length=120, null=True)

    class Meta:
        verbose_name = verbose_name_plural = "支付申请"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "request_no"], name="request_no_once"),
            models.UniqueConstraint(fields=["adm_div_code", "action_key"], name="request_action_once"),
            models.CheckConstraint(name="request_amount_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="request_amounts_within",
                condition=Q(amount_paid__gte=0)
                & Q(amount_failed__gte=0)
                & Q(amount_refunded__gte=0)
                & Q(amount__gte=F("amount_paid") + F("amount_failed"))
                & Q(amount_paid__gte=F("amount_refunded")),
            ),
        ]
        indexes = [
            models.Index(fields=["adm_div_code", "fiscal_year", "state", "id"], name="request_queue"),
            models.Index(fields=["adm_div_code", "fiscal_year", "unit", "-id"], name="request_by_unit"),
            models.Index(fields=["adm_div_code", "fiscal_year", "voucher_no"], name="request_by_voucher_no"),
            # What a contract has used is summed over every year it is paid in.
            models.Index(
                fields=["adm_div_code", "unit", "contract_no"],
                condition=~Q(contract_no=""),
                name="request_by_contract",
            ),
        ]
        triggers = [
            REQUEST_FLOW.trigger("request_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            # Protect, not ReadOnly: the latter forgets its condition when it is given fields.
            pgtrigger.Protect(
                name="request_content_frozen",
                operation=pgtrigger.Update,
                condition=any_changed(*_CONTENT) & ~pgtrigger.Q(old__state__in=["draft", "returned", "blocked"]),
            ),
            # Clerk, reviewers and those they acted for, maker and sealer are different natural persons.
            pgtrigger.Trigger(
                name="persons_apart",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state="vouchered", new__state="sealed"),
                func=pgtrigger.Func(
                    """
                    IF EXISTS (
                        SELECT 1 FROM vouchers_voucher v
                          LEFT JOIN parties_reviewdecision d
                            ON d.document_id = NEW.id AND d.revision = NEW.revision AND d.decision = 'approve'
                          LEFT JOIN parties_delegation g ON g.id = d.delegation_id
                         WHERE v.id = NEW.voucher_id
                           AND (v.sealed_by_id IN (NEW.created_by_id, v.made_by_id)
                                OR d.person_id IN (NEW.created_by_id, v.made_by_id, v.sealed_by_id)
                                OR g.delegator_id IN (NEW.created_by_id, v.made_by_id, v.sealed_by_id))) THEN
                        RAISE EXCEPTION 'one person took two parts in payment request %', NEW.request_no
                              USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.request_no


_DETAIL_CONTENT = (
    *("request", "seq", "payee_name", "payee_account_no", "payee_bank_name", "payee_bank_no", "amount", "remark"),
    "reference",
)


def _frozen_under_way() -> list[pgtrigger.Trigger]:
    """Details change with their request's drafts only. Asked once for a statement, and by row only where content
    changes: a payroll writes fifty thousand of them, and their answers again."""

    def refuse(requests: str, answer: str) -> pgtrigger.Func:
        return pgtrigger.Func(
            f"""
            IF EXISTS (SELECT 1 FROM payments_paymentrequest r
                        WHERE r.id IN ({requests})
                          AND r.state NOT IN ('draft', 'returned', 'blocked') AND NOT r.imported) THEN
                RAISE EXCEPTION 'details of a request under way are frozen' USING ERRCODE = 'check_violation';
            END IF;
            RETURN {answer};
            """
        )

    return [
        pgtrigger.Trigger(
            name="detail_content_frozen",
            when=pgtrigger.Before,
            operation=pgtrigger.Update,
            condition=any_changed(*_DETAIL_CONTENT),
            func=refuse("OLD.request_id, NEW.request_id", "NEW"),
        ),
        pgtrigger.Trigger(
            name="detail_added_to_draft",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Insert,
            referencing=pgtrigger.Referencing(new="new_rows"),
            func=refuse("SELECT request_id FROM new_rows", "NULL"),
        ),
        pgtrigger.Trigger(
            name="detail_removed_from_draft",
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=pgtrigger.Delete,
            referencing=pgtrigger.Referencing(old="old_rows"),
            func=refuse("SELECT request_id FROM old_rows", "NULL"),
        ),
    ]


class PaymentDetail(RegionYearModel):
    """支付明细: one payee and amount of a request; what the bank did with it is a projection of receipt lines."""

    request = models.ForeignKey(PaymentRequest, models.PROTECT, related_name="details")
    seq = models.PositiveIntegerField("序号")
    payee_name = models.CharField("收款人", max_length=60)
    payee_account_no = models.CharField("收款账号", max_length=32)
    payee_bank_name = models.CharField("收款银行", max_length=60)
    payee_bank_no = models.CharField("收款行号", max_length=12, blank=True)
    amount = MoneyField("金额")
    remark = models.CharField("备注", max_length=60, blank=True)
    reference = models.CharField("业务凭据号", max_length=42, blank=True)  # what it is: payments.business_types
    state = models.CharField(max_length=8, choices=DetailState, default=DetailState.OPEN)
    amount_refunded = MoneyField("已退款", default=ZERO)
    reissued_as = models.OneToOneField("self", models.PROTECT, null=True, related_name="reissue_of")

    class Meta:
        verbose_name = verbose_name_plural = "支付明细"
        constraints = [
            models.UniqueConstraint(fields=["request", "seq"], name="detail_seq_once"),
            models.CheckConstraint(name="detail_amount_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="detail_refund_within",
                condition=Q(amount_refunded=ZERO)
                | (Q(state=DetailState.PAID) & Q(amount_refunded__gte=0) & Q(amount_refunded__lte=F("amount"))),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "payee_account_no"], name="detail_by_payee_account")]
        triggers = [
            DETAIL_FLOW.guard("detail_moves"),
            *_frozen_under_way(),
        ]
        ordering = ["seq"]
        indexes = [
            models.Index(fields=["adm_div_code", "reference"], condition=~Q(reference=""), name="detail_by_reference")
        ]

    def __str__(self) -> str:
        return f"{self.payee_name} {self.amount}"


def _frozen_with_its_request(name: str, what: str) -> pgtrigger.Trigger:
    """Return the trigger of rows that belong to what reviewers approve: no change once the request is under way."""
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete | pgtrigger.Insert,
        func=pgtrigger.Func(
            f"""
            IF EXISTS (SELECT 1 FROM payments_paymentrequest r
                        WHERE r.id IN (CASE TG_OP WHEN 'INSERT' THEN NULL ELSE OLD.request_id END,
                                       CASE TG_OP WHEN 'DELETE' THEN NULL ELSE NEW.request_id END)
                          AND r.state NOT IN ('draft', 'returned', 'blocked') AND NOT r.imported) THEN
                RAISE EXCEPTION '{what} of a request under way are frozen' USING ERRCODE = 'check_violation';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
            """
        ),
    )


class Attachment(RegionYearModel):
    """附件: what was attached to a request, by content digest; the bytes lie in the file store under that digest.

    The digests are part of what reviewers approve, so files come and go only while the request is the clerk's.
    """

    request = models.ForeignKey(PaymentRequest, models.PROTECT, related_name="attachments")
    file = models.ForeignKey(StoredFile, models.PROTECT, related_name="+")
    file_name = models.CharField("文件名", max_length=120)
    media_type = models.CharField(max_length=80)
    size = models.PositiveBigIntegerField("字节数")
    digest = models.CharField("SM3", max_length=64)
    added_by = models.CharField(max_length=60)
    added_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "附件"
        constraints = [models.UniqueConstraint(fields=["request", "digest"], name="attachment_once")]
        indexes = [models.Index(fields=["adm_div_code", "digest"], name="attachment_digest")]
        triggers = [_frozen_with_its_request("attachments_frozen", "attachments")]


class InvoiceUse(RegionYearModel):
    """发票占用: an invoice a request rests on, with its facts as the clerk wrote them and reviewers see them.

    Which invoices are taken is derived: those of live requests (docs/attachments.md).
    """

    request = models.ForeignKey(PaymentRequest, models.PROTECT, related_name="invoices")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="+")
    seq = models.PositiveSmallIntegerField("序号")
    code = models.CharField("发票代码", max_length=12, blank=True)
    number = models.CharField("发票号码", max_length=20)
    amount = MoneyField("价税合计")
    seller_name = models.CharField("销售方", max_length=60)
    seller_tax_id = models.CharField("销售方税号", max_length=20)
    issued_on = models.DateField("开票日期")

    class Meta:
        verbose_name = verbose_name_plural = "发票占用"
        constraints = [
            models.UniqueConstraint(fields=["request", "seq"], name="invoice_use_seq_once"),
            models.UniqueConstraint(fields=["request", "invoice"], name="invoice_once_per_request"),
            models.CheckConstraint(name="invoice_use_amount_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [_frozen_with_its_request("invoices_frozen", "invoices")]
        ordering = ["seq"]

    def __str__(self) -> str:
        return f"{self.code}/{self.number}" if self.code else self.number


class PaymentReceipt(RegionYearModel):
    """支付回单: the bank's answer to one payment voucher. One for each voucher, append-only.

    `message` is the sealed receipt; without one the answer came on paper and two people entered it (`emergency`).
    """

    request = models.OneToOneField(PaymentRequest, models.PROTECT, related_name="receipt")
    voucher = models.OneToOneField(Voucher, models.PROTECT, related_name="+")
    message = models.OneToOneField(InboxMessage, models.PROTECT, null=True, related_name="+")
    amount_paid = MoneyField("支付金额")
    paid_on = models.DateField("支付日期")
    bank_serial = models.CharField("银行流水号", max_length=42)
    business_date = models.DateField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "支付回单"
        constraints = [models.CheckConstraint(name="receipt_not_negative", condition=Q(amount_paid__gte=0))]
        triggers = [
            append_only(),
            pgtrigger.Trigger(
                name="receipt_by_its_own_way",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=pgtrigger.Func(
                    """
                    IF NOT EXISTS (SELECT 1 FROM payments_paymentrequest r
                                    WHERE r.id = NEW.request_id AND r.voucher_id = NEW.voucher_id
                                      AND (r.state = 'on_paper') = (NEW.message_id IS NULL)) THEN
                        RAISE EXCEPTION 'a voucher on paper is answered on paper, and no other is'
                              USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]


class ReceiptLine(RegionYearModel):
    """One row of a receipt: paid in full with the bank's serial, or 0.00 with the reason. Append-only."""

    receipt = models.ForeignKey(PaymentReceipt, models.PROTECT, related_name="lines")
    detail = models.OneToOneField(PaymentDetail, models.PROTECT, related_name="receipt_line")
    amount_paid = MoneyField("支付金额")
    paid_on = models.DateField("支付日期")
    bank_serial = models.CharField("银行流水号", max_length=42, blank=True)
    reason = models.CharField("失败原因", max_length=100, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "回单明细"
        indexes = [models.Index(fields=["adm_div_code", "paid_on"], name="receipt_line_day")]
        triggers = [append_only()]


class Refund(RegionYearModel):
    """退款: money of one paid detail that came back, as the bank's 2203/2204 says. Append-only."""

    detail = models.ForeignKey(PaymentDetail, models.PROTECT, related_name="refunds")
    message = models.ForeignKey(InboxMessage, models.PROTECT, related_name="+")
    notice_type = models.CharField("通知书", max_length=4)
    notice_no = models.CharField("通知书号", max_length=20)
    amount = MoneyField("退款金额")
    refunded_on = models.DateField("退款日期")
    bank_serial = models.CharField("银行流水号", max_length=42, blank=True)
    reason = models.CharField("原因", max_length=100, blank=True)
    business_date = models.DateField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "退款"
        indexes = [models.Index(fields=["adm_div_code", "refunded_on"], name="refund_day")]
        constraints = [
            models.CheckConstraint(name="refund_positive", condition=Q(amount__gt=0)),
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "notice_no", "detail"], name="refund_notice_once_per_detail"
            ),
        ]
        triggers = [append_only()]


class Clearing(RegionYearModel):
    """清算: a 2301 (申请划款) or 2302 (申请退款) that PBoC has executed; amounts are positive here. Append-only."""

    voucher_type = models.CharField(max_length=4, choices=[("2301", "申请划款凭证"), ("2302", "申请退款凭证")])
    voucher_no = models.CharField(max_length=20)
    agent_bank = models.ForeignKey(AgentBank, models.PROTECT)
    payment_mode = models.CharField(max_length=3, choices=PaymentMode)
    fund_nature = models.CharField(max_length=4)
    amount = MoneyField()
    cleared_on = models.DateField()
    message = models.OneToOneField(InboxMessage, models.PROTECT, related_name="+")
    business_date = models.DateField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "清算"
        indexes = [models.Index(fields=["adm_div_code", "cleared_on"], name="clearing_day")]
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "voucher_type", "voucher_no", "agent_bank"],
                name="clearing_once",
            ),
            models.CheckConstraint(name="clearing_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [append_only()]


class ClearingLine(RegionYearModel):
    """One cleared payment detail, or one cleared refund; each at most once. Append-only."""

    clearing = models.ForeignKey(Clearing, models.PROTECT, related_name="lines")
    detail = models.ForeignKey(PaymentDetail, models.PROTECT, related_name="clearing_lines")
    refund = models.OneToOneField(Refund, models.PROTECT, null=True, related_name="clearing_line")
    line_id = models.CharField(max_length=38)
    amount = MoneyField()

    class Meta:
        verbose_name = verbose_name_plural = "清算明细"
        constraints = [
            models.UniqueConstraint(fields=["detail"], condition=Q(refund__isnull=True), name="detail_cleared_once"),
            models.CheckConstraint(name="clearing_line_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [append_only()]


class LimitNotice(RegionYearModel):
    """清算额度通知单 5108: one for each direct payment voucher, and a negative one for what it failed to pay."""

    request = models.ForeignKey(PaymentRequest, models.PROTECT, related_name="limit_notices")
    voucher = models.OneToOneField(Voucher, models.PROTECT, related_name="+")
    amount = MoneyField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "直接支付清算额度通知"
        constraints = [models.CheckConstraint(name="limit_notice_not_zero", condition=~Q(amount=0))]
        triggers = [append_only()]


class CashPurpose(models.Model):
    """现金用途: what a region allows cash for, and how much of it in one cheque. Source: 《现金管理暂行条例》第五条."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    code = models.CharField("代码", max_length=4)
    name = models.CharField("用途", max_length=40)
    cap = MoneyField("单张支票上限（元）", null=True, blank=True)
    active = models.BooleanField("启用", default=True)

    class Meta:
        verbose_name = verbose_name_plural = "现金用途"
        ordering = ["code"]
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "code"], name="cash_purpose_once"),
            models.CheckConstraint(name="cash_cap_positive", condition=Q(cap__isnull=True) | Q(cap__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class WithholdingPayee(models.Model):
    """代扣代缴单位: who may receive withheld contributions, taxes and bills of a region; nobody else may."""

    class Kind(models.TextChoices):
        SOCIAL_INSURANCE = "social", "社会保险"
        HOUSING_FUND = "housing", "住房公积金"
        TAX = "tax", "税款"
        UTILITY = "utility", "水电气暖通信"
        OTHER = "other", "其他代扣"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    kind = models.CharField("类别", max_length=8, choices=Kind)
    name = models.CharField("户名", max_length=60)
    account_no = models.CharField("账号", max_length=32)
    bank_name = models.CharField("开户行", max_length=60)
    bank_no = models.CharField("行号", max_length=12, blank=True)
    active = models.BooleanField("启用", default=True)

    class Meta:
        verbose_name = verbose_name_plural = "代扣代缴单位"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "account_no"], name="withholding_account_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.account_no}"


class ExtensionField(models.Model):
    """扩展字段: a field a region adds to the payment form, for some kinds of payment or some units, as data.

    `wire_tag` says in which spare tag of the voucher its value travels, "" if it stays with us.
    """

    class Kind(models.TextChoices):
        TEXT = "text", "文本"
        NUMBER = "number", "整数"
        AMOUNT = "amount", "金额"
        DATE = "date", "日期"
        CHOICE = "choice", "选项"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    key = models.SlugField("字段名", max_length=30)
    label = models.CharField("标签", max_length=20)
    kind = models.CharField("类型", max_length=8, choices=Kind)
    choices = models.JSONField("选项", default=list, blank=True, help_text='["是", "否"]')
    required = models.BooleanField("必填", default=False)
    business_types = models.JSONField("业务类型", default=list, blank=True, help_text="空为全部")
    unit_group = models.ForeignKey(UnitGroup, models.PROTECT, null=True, blank=True, verbose_name="单位组")
    wire_tag = models.CharField(
        "凭证字段", max_length=5, blank=True, choices=[("Hold1", "预留字段1"), ("Hold2", "预留字段2")]
    )
    ordinal = models.PositiveSmallIntegerField("次序", default=1)
    active = models.BooleanField("启用", default=True)

    class Meta:
        verbose_name = verbose_name_plural = "扩展字段"
        ordering = ["ordinal", "key"]
        constraints = [models.UniqueConstraint(fields=["adm_div_code", "key"], name="extension_key_once")]

    def __str__(self) -> str:
        return f"{self.label}（{self.key}）"

    def clean(self) -> None:
        if self.kind == self.Kind.CHOICE and not (
            isinstance(self.choices, list) and self.choices and all(isinstance(c, str) and c for c in self.choices)
        ):
            raise ValidationError({"choices": '选项字段须列出至少一个选项，如 ["是", "否"]。'})
        known = set(BusinessType.values)
        if not isinstance(self.business_types, list) or not set(self.business_types) <= known:
            raise ValidationError({"business_types": f"业务类型须为代码列表，可用：{'、'.join(sorted(known))}。"})
