"""Whose certificates we accept, with which suite and when, what has been revoked, and every use of a key."""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import RegionYearModel, append_only
from evidence.triggers import witnessed

SUITE_CHOICES = [(s, s) for s in ("sm2-sm3", "ecdsa-p256-sha256", "rsa-sha256", "rsa-sha1")]
_NO_DELETE = pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)


class TrustedAuthority(models.Model):
    """A certificate authority whose signing certificates may be registered. Withdrawn by `active`, never deleted."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    suite_id = models.CharField("密码套件", max_length=32, choices=SUITE_CHOICES)
    subject = models.CharField("名称", max_length=400)
    fingerprint_sm3 = models.CharField("SM3 指纹", max_length=64, unique=True)
    pem = models.TextField("证书")
    valid_from = models.DateTimeField("生效时间")
    valid_to = models.DateTimeField("失效时间")
    active = models.BooleanField("信任", default=True)
    needs_list = models.BooleanField("须有当期吊销列表", default=False)

    class Meta:
        verbose_name = verbose_name_plural = "受信任的证书机构"
        triggers = [
            witnessed("authority.trusted"),
            _NO_DELETE,
            pgtrigger.ReadOnly(name="identity_fixed", exclude=["active", "needs_list"]),
        ]

    def __str__(self) -> str:
        return self.subject


class Certificate(models.Model):
    """A signing certificate of one organisation. Found by organisation and serial, never taken from a message.

    Only revocation may change a row; the trigger keeps everything else as it was registered.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "有效"
        REVOKED = "revoked", "已吊销"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation_code = models.CharField("机构代码", max_length=64)
    suite_id = models.CharField("密码套件", max_length=32, choices=SUITE_CHOICES)
    serial_hex = models.CharField("序列号", max_length=40)
    subject = models.CharField("主题", max_length=400)
    issuer = models.CharField("签发者", max_length=400)
    pem = models.TextField("证书")
    valid_from = models.DateTimeField("生效时间")
    valid_to = models.DateTimeField("失效时间")
    status = models.CharField("状态", max_length=8, choices=Status, default=Status.ACTIVE)
    revoked_at = models.DateTimeField("吊销时间", null=True, blank=True)
    revoke_reason = models.CharField("吊销原因", max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "签名证书"
        constraints = [
            models.UniqueConstraint(fields=["serial_hex", "issuer"], name="one_certificate_per_issuer_serial"),
            models.UniqueConstraint(
                fields=["organisation_code", "serial_hex"], name="one_certificate_per_party_serial"
            ),
            models.CheckConstraint(
                name="revoked_certificate_says_when_and_why",
                condition=Q(status="active", revoked_at__isnull=True, revoke_reason="")
                | (Q(status="revoked", revoked_at__isnull=False) & ~Q(revoke_reason="")),
            ),
            models.CheckConstraint(name="certificate_dates_in_order", condition=Q(valid_to__gt=F("valid_from"))),
        ]
        triggers = [
            witnessed("certificate.registered"),
            witnessed(
                "certificate.revoked",
                operation=pgtrigger.Update,
                condition="former.revoked_at IS NULL AND fact.revoked_at IS NOT NULL",
            ),
            _NO_DELETE,
            pgtrigger.ReadOnly(name="identity_fixed", exclude=["status", "revoked_at", "revoke_reason"]),
            pgtrigger.Protect(
                name="revoked_for_good", operation=pgtrigger.Update, condition=pgtrigger.Q(old__status="revoked")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organisation_code} {self.serial_hex}"


class SignatureProfile(models.Model):
    """Which suite a partner signs with, and from when to when. This decides, not what a message says of itself.

    Two suites may be allowed on the same day while a partner changes over.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation_code = models.CharField("机构代码", max_length=64)
    suite_id = models.CharField("密码套件", max_length=32, choices=SUITE_CHOICES)
    valid_from = models.DateField("启用日期")
    valid_to = models.DateField("停用日期（含）", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "签名约定"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation_code", "suite_id", "valid_from"], name="one_profile_per_party_suite_start"
            ),
            models.CheckConstraint(
                name="profile_dates_in_order", condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organisation_code} {self.suite_id}"


class RevocationList(models.Model):
    """An authority's list of revoked certificates (CRL), as received. Append-only; the latest number counts."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    authority = models.ForeignKey(TrustedAuthority, models.PROTECT, related_name="lists")
    number = models.DecimalField("序号", max_digits=50, decimal_places=0)
    der = models.BinaryField()
    this_update = models.DateTimeField("本次更新")
    next_update = models.DateTimeField("下次更新")
    received_at = models.DateTimeField("收到时间")

    class Meta:
        verbose_name = verbose_name_plural = "证书吊销列表"
        constraints = [models.UniqueConstraint(fields=["authority", "number"], name="one_list_per_number")]
        triggers = [append_only(), witnessed("list.received")]

    def __str__(self) -> str:
        return f"{self.authority} {self.number}"


class SealUse(RegionYearModel):
    """One signature put on one voucher: the fact by which every use of a key can be accounted for. Append-only."""

    organisation_code = models.CharField("机构代码", max_length=64)
    position = models.CharField("签章位置", max_length=20)
    certificate = models.ForeignKey(Certificate, verbose_name="证书", on_delete=models.PROTECT, db_index=False)
    signed_digest_sm3 = models.CharField("签名内容的 SM3 摘要", max_length=64)
    voucher_id = models.UUIDField("凭证")
    person_id = models.UUIDField("经办人", null=True, blank=True)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "用印记录"
        indexes = [
            models.Index(fields=["voucher_id"], name="seal_use_voucher"),
            models.Index(fields=["certificate", "at"], name="seal_use_certificate"),
        ]
        constraints = [
            models.CheckConstraint(
                name="seal_use_digest_is_sm3", condition=Q(signed_digest_sm3__regex=r"^[0-9a-f]{64}$")
            ),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.organisation_code} {self.position} {self.voucher_id}"
