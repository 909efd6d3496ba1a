"""Officers' certificates (UKey), the statements they are asked to sign, and what they have signed."""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import RegionYearModel, append_only
from evidence.triggers import witnessed
from parties.models import Person
from seals.models.register import SUITE_CHOICES


class OfficerCertificate(models.Model):
    """The certificate on an officer's UKey. A key belongs to one person for ever; a person signs with one at a time.

    A certificate is asked for (the agent's CSR), approved by a second person, issued by the signer, used, and revoked.
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", "待核准"
        APPROVED = "approved", "待签发"
        ACTIVE = "active", "有效"
        REVOKED = "revoked", "已吊销"
        REFUSED = "refused", "未核准"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    person = models.ForeignKey(Person, models.PROTECT, related_name="certificates")
    adm_div_code = models.CharField("行政区划", max_length=9)
    suite_id = models.CharField("密码套件", max_length=32, choices=SUITE_CHOICES)
    spki_sm3 = models.CharField("公钥 SM3", max_length=64)
    csr = models.TextField("证书请求", blank=True)
    pem = models.TextField("证书", blank=True)
    serial_hex = models.CharField("序列号", max_length=40, blank=True)
    certificate_sm3 = models.CharField("证书 SM3", max_length=64, blank=True)
    valid_from = models.DateTimeField("生效时间", null=True, blank=True)
    valid_to = models.DateTimeField("失效时间", null=True, blank=True)
    status = models.CharField("状态", max_length=9, choices=Status, default=Status.REQUESTED)
    requested_by = models.CharField("申请人", max_length=60)
    requested_at = models.DateTimeField("申请时间")
    decided_by = models.CharField("核准人", max_length=60, blank=True)
    decided_by_id = models.UUIDField(null=True, blank=True)
    decided_at = models.DateTimeField("核准时间", null=True, blank=True)
    revoked_at = models.DateTimeField("吊销时间", null=True, blank=True)
    revoke_reason = models.CharField("吊销原因", max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "人员证书（UKey）"
        constraints = [
            models.UniqueConstraint(fields=["person"], condition=Q(status="active"), name="one_active_key_per_person"),
            models.UniqueConstraint(
                fields=["serial_hex"], condition=~Q(serial_hex=""), name="one_officer_certificate_per_serial"
            ),
            models.CheckConstraint(
                name="issued_officer_certificate_is_whole",
                condition=~Q(status__in=["active", "revoked"])
                | (~Q(pem="") & ~Q(serial_hex="") & ~Q(certificate_sm3="") & Q(valid_to__gt=F("valid_from"))),
            ),
            models.CheckConstraint(
                name="officer_certificate_decided_by_another",
                condition=Q(decided_by_id__isnull=True) | ~Q(decided_by_id=F("person_id")),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="asked_for_is_fixed", fields=["person", "suite_id", "spki_sm3", "csr", "requested_by"]
            ),
            pgtrigger.Protect(
                name="revoked_for_good",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status__in=["revoked", "refused"]),
            ),
            witnessed(
                "officer.certified",
                operation=pgtrigger.Update,
                condition="former.status <> fact.status AND fact.status = 'active'",
            ),
            witnessed(
                "officer.revoked",
                operation=pgtrigger.Update,
                condition="former.revoked_at IS NULL AND fact.revoked_at IS NOT NULL",
            ),
            pgtrigger.Trigger(
                name="one_key_one_person",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=pgtrigger.Func(
                    """
                    IF EXISTS (SELECT 1 FROM seals_officercertificate o
                                WHERE o.spki_sm3 = NEW.spki_sm3 AND o.person_id <> NEW.person_id) THEN
                        RAISE EXCEPTION 'this key belongs to another person' USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} {self.serial_hex or self.get_status_display()}"


class Statement(models.Model):
    """办理声明: what one officer was shown and asked to sign. Used once, within minutes, by that officer alone.

    Texts are canonical JSON (docs/signatures.md §4). Only `used_at` ever changes, once.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    nonce = models.CharField(max_length=32, unique=True)
    adm_div_code = models.CharField(max_length=9)
    action = models.CharField(max_length=10)
    person = models.ForeignKey(Person, models.PROTECT)
    text = models.TextField()
    items = models.JSONField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = "办理声明"
        triggers = [
            pgtrigger.ReadOnly(name="statement_fixed", exclude=["used_at"]),
            pgtrigger.Protect(
                name="used_once", operation=pgtrigger.Update, condition=pgtrigger.Q(old__used_at__isnull=False)
            ),
            pgtrigger.Protect(
                name="used_stays", operation=pgtrigger.Delete, condition=pgtrigger.Q(old__used_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.nonce}"


class StatementSignature(RegionYearModel):
    """An officer's signature over a statement, with the certificate it holds under. Append-only."""

    statement = models.OneToOneField(Statement, models.PROTECT, related_name="signature")
    certificate = models.ForeignKey(OfficerCertificate, models.PROTECT)
    text = models.TextField()  # the statement's, so that this row proves itself
    signature = models.BinaryField()  # DER
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "人员签名"
        triggers = [append_only(), witnessed("officer.signed", region="adm_div_code", year="fiscal_year")]

    def __str__(self) -> str:
        return str(self.statement_id)


class StepSignature(RegionYearModel):
    """What a signed statement says of one document: its item and the way from it to the signed root. Append-only.

    `signature_sm3` is the digest of the signature value; the next step on the same document names it as `former`.
    """

    signed = models.ForeignKey(StatementSignature, models.PROTECT, related_name="steps")
    document_id = models.UUIDField()
    revision = models.PositiveSmallIntegerField()
    action = models.CharField(max_length=10)
    post = models.CharField(max_length=24)
    item = models.TextField()
    index = models.PositiveSmallIntegerField()
    path = models.JSONField()
    signature_sm3 = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "单据签名"
        ordering = ["document_id", "at"]
        constraints = [models.UniqueConstraint(fields=["signed", "index"], name="one_step_per_item")]
        indexes = [models.Index(fields=["document_id", "revision", "at"], name="step_document")]
        triggers = [append_only(), witnessed("step.signed", region="adm_div_code", year="fiscal_year")]

    def __str__(self) -> str:
        return f"{self.action} {self.document_id}"
