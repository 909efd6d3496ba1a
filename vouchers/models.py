"""The voucher library: exact signed bytes, an outbox that survives anything, an inbox that stores before it acts."""

import pghistory
import pgtrigger
from django.db import models
from django.db.models import Q

from core.ids import new_id
from core.models import RegionYearModel, append_only
from core.money import MoneyField
from evidence.history import recorded
from evidence.triggers import witnessed
from vouchers.states import VOUCHER_FLOW, DeliveryState, InboxState, VoucherState


@pghistory.track(fields=["endpoint_url", "exchange_mode", "enabled"], meta=recorded("vouchers_exchangepartner"))
class ExchangePartner(models.Model):
    """Whom we exchange vouchers with, and how. The breaker columns are shared by all workers."""

    class Mode(models.TextChoices):
        PUSH = "push", "我方推送"
        PULL = "pull", "对方领取"

    organisation = models.CharField("机构", max_length=30, primary_key=True)
    name = models.CharField(max_length=60)
    kind = models.CharField(
        max_length=10, choices=[("agent_bank", "代理银行"), ("pboc", "人民银行"), ("purchasing", "政府采购平台")]
    )
    adm_div_code = models.CharField(max_length=9)
    endpoint_url = models.CharField("地址", max_length=200, blank=True)
    exchange_mode = models.CharField("交换方式", max_length=4, choices=Mode, default=Mode.PUSH)
    enabled = models.BooleanField(default=True)
    failures = models.PositiveIntegerField("连续失败", default=0)
    down_since = models.DateTimeField("中断自", null=True, blank=True)
    open_until = models.DateTimeField("暂停至", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "交换对方"

    def __str__(self) -> str:
        return self.name


class Voucher(RegionYearModel):
    """凭证: one signed document of ours; what partners send lies in the inbox.

    `text` is the base64 text that is signed, byte for byte; `digest` its SM3 in hex. Identity and bytes are
    frozen at sealing: a resend sends these bytes.
    """

    voucher_type = models.CharField("凭证类型", max_length=4)
    voucher_no = models.CharField("凭证号", max_length=20)
    voucher_date = models.DateField("凭证日期")
    sender = models.CharField("发送方", max_length=30)
    receiver = models.CharField("接收方", max_length=30)
    amount = MoneyField("金额")
    state = models.CharField(max_length=12, choices=VoucherState, default=VoucherState.GENERATED)
    document_type = models.CharField("业务单据", max_length=40, blank=True)
    document_id = models.UUIDField(null=True)
    text = models.BinaryField()
    digest = models.CharField(max_length=64)
    position = models.CharField("签章位置", max_length=20, blank=True)
    signature = models.TextField(blank=True)
    signature_serial = models.CharField(max_length=64, blank=True)
    counter_signature = models.JSONField("对方签名", default=list, blank=True)
    made_by_id = models.UUIDField(null=True)
    sealed_by_id = models.UUIDField(null=True)
    sealed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "凭证"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "voucher_type", "voucher_no"], name="voucher_identity"
            ),
            models.UniqueConstraint(fields=["digest"], name="one_text_is_one_voucher"),
            models.CheckConstraint(
                name="voucher_sealed_by_another",
                condition=Q(made_by_id__isnull=True)
                | Q(sealed_by_id__isnull=True)
                | ~Q(made_by_id=models.F("sealed_by_id")),
            ),
            models.CheckConstraint(
                name="voucher_signed_when_sealed",
                condition=Q(state__in=[VoucherState.GENERATED, VoucherState.VOID, VoucherState.PAPER])
                | ~Q(signature=""),
            ),
            models.CheckConstraint(
                name="voucher_on_paper_is_not_signed", condition=~Q(state=VoucherState.PAPER) | Q(signature="")
            ),
        ]
        indexes = [
            models.Index(fields=["document_id"], name="voucher_document"),
            models.Index(fields=["adm_div_code", "fiscal_year", "voucher_date", "voucher_type"], name="voucher_day"),
        ]
        triggers = [
            VOUCHER_FLOW.trigger("voucher_moves"),
            witnessed(
                "voucher.sealed",
                region="adm_div_code",
                year="fiscal_year",
                operation=pgtrigger.Update,
                condition="former.signature = '' AND fact.signature <> ''",
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="voucher_frozen",
                fields=[
                    *(
                        "adm_div_code",
                        "fiscal_year",
                        "voucher_type",
                        "voucher_no",
                        "voucher_date",
                        "sender",
                        "receiver",
                    ),
                    *("amount", "document_type", "document_id", "text", "digest", "made_by_id"),
                ],
            ),
            pgtrigger.Protect(
                name="signature_frozen",
                operation=pgtrigger.Update,
                condition=~pgtrigger.Q(old__signature="")
                & (
                    pgtrigger.Q(old__signature__df=pgtrigger.F("new__signature"))
                    | pgtrigger.Q(old__signature_serial__df=pgtrigger.F("new__signature_serial"))
                    | pgtrigger.Q(old__sealed_by_id__df=pgtrigger.F("new__sealed_by_id"))
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.voucher_type} {self.voucher_no}"


class Delivery(RegionYearModel):
    """Outbox row: one voucher to one partner. Committed together with the seal, so nothing sealed is ever unsent."""

    voucher = models.OneToOneField(Voucher, models.PROTECT, related_name="delivery")
    partner = models.ForeignKey(ExchangePartner, models.PROTECT)
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    not_found = models.PositiveIntegerField("查询未找到次数", default=0)
    next_attempt_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    lease_id = models.UUIDField(null=True)
    last_error = models.CharField(max_length=200, blank=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = "发件箱"
        indexes = [
            models.Index(
                fields=["partner", "next_attempt_at"],
                condition=Q(state__in=[DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.UNKNOWN]),
                name="delivery_due",
            )
        ]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="not_what_is_on_paper",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("how", "text")],
                func=pgtrigger.Func(
                    """
                    -- in share mode: whoever is turning it to paper just now has it first
                    SELECT v.state INTO how FROM vouchers_voucher v WHERE v.id = NEW.voucher_id FOR SHARE;
                    IF how = 'paper' THEN
                        RAISE EXCEPTION 'a voucher on paper is never sent' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]


class DeliveryAttempt(models.Model):
    """One try: written before the call, so that a crash after it is seen as UNKNOWN. Answers are rows of their own."""

    class Step(models.TextChoices):
        SENT = "sent", "发出"
        ANSWERED = "answered", "应答"
        ASKED = "asked", "查询"

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, models.PROTECT, related_name="tries")
    number = models.PositiveIntegerField()
    step = models.CharField(max_length=8, choices=Step)
    outcome = models.CharField(max_length=20, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    digest = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        triggers = [
            append_only(),
            witnessed(
                "exchange.sent",
                region="(SELECT d.adm_div_code FROM vouchers_delivery d WHERE d.id = fact.delivery_id)",
                year="(SELECT d.fiscal_year FROM vouchers_delivery d WHERE d.id = fact.delivery_id)",
            ),
        ]


class InboxMessage(RegionYearModel):
    """One inbound body, stored with its exact signed text before anything acts on it."""

    sender = models.CharField(max_length=30)
    voucher_type = models.CharField(max_length=4)
    voucher_no = models.CharField(max_length=20)
    flag = models.PositiveSmallIntegerField("单据标志")
    text = models.BinaryField()
    digest = models.CharField(max_length=64)
    signatures = models.JSONField(default=list)
    stamps = models.JSONField("签章", default=list)
    state = models.CharField(max_length=10, choices=InboxState, default=InboxState.RECEIVED)
    code = models.CharField(max_length=60, blank=True)
    field = models.CharField(max_length=80, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    received_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = "收件箱"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "voucher_type", "voucher_no", "flag", "sender"],
                condition=~Q(state=InboxState.REFUSED),
                name="inbox_identity",
            ),
            models.UniqueConstraint(
                fields=["digest", "flag", "sender"], condition=~Q(state=InboxState.REFUSED), name="one_text_acts_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state__in=[InboxState.RECEIVED, InboxState.PARKED]),
                name="inbox_waiting",
            ),
            models.Index(fields=["adm_div_code", "received_at"], name="inbox_day"),
        ]
        triggers = [
            witnessed("exchange.received", region="adm_div_code", year="fiscal_year"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="inbox_frozen",
                fields=[
                    "adm_div_code",
                    "fiscal_year",
                    "voucher_type",
                    "voucher_no",
                    "flag",
                    "sender",
                    "text",
                    "digest",
                    "signatures",
                    "stamps",
                ],
            ),
        ]


class InboxRejection(models.Model):
    """What could not even be read as a voucher: who sent it, the bytes, and why not. Append-only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    sender = models.CharField(max_length=30)
    raw = models.BinaryField()
    size = models.PositiveBigIntegerField()
    code = models.CharField(max_length=60)
    field = models.CharField(max_length=80, blank=True)
    reason = models.CharField(max_length=300)
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "拒收留痕"
        triggers = [append_only(), witnessed("exchange.rejected")]


class RequestNonce(models.Model):
    """Nonces of partners' signed requests: a captured request cannot be played again. Kept twice the clock window."""

    id = models.BigAutoField(primary_key=True)
    key_id = models.CharField(max_length=120)
    nonce = models.CharField(max_length=80)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key_id", "nonce"], name="nonce_once")]
