"""Electronic seals, where they go on which voucher and in which order, and every stamp made with them."""

import pghistory
import pgtrigger
from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import RegionYearModel, append_only
from evidence.history import recorded
from evidence.triggers import witnessed
from parties.models import Person
from seals.models.register import Certificate


class SealKind(models.TextChoices):
    SIGNATURE = "signature", "签名"
    OFFICIAL = "official", "公章"
    FINANCE = "finance", "业务专用章"
    PERSONAL = "personal", "名章"
    TRANSFER = "transfer", "转讫章"


class SealMaker(models.Model):
    """制章人: a certificate whose holder may make seals; a seal made by anybody else is none."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    certificate = models.OneToOneField(Certificate, models.PROTECT, related_name="maker")
    name = models.CharField("制章人", max_length=100)
    active = models.BooleanField("准入", default=True)

    class Meta:
        verbose_name = verbose_name_plural = "制章人"
        triggers = [pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.name


class ESeal(models.Model):
    """电子印章: a seal as its maker signed it, with the certificate that may use it. Only revocation changes a row.

    `organisation_code` is whose seal it is; a personal seal (名章) also names the person. `voucher_types` are the types
    it may be affixed to, none meaning all.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "启用"
        REVOKED = "revoked", "停用"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    es_id = models.CharField("印章编号", max_length=32, unique=True)
    organisation_code = models.CharField("机构代码", max_length=64)
    kind = models.CharField("种类", max_length=10, choices=SealKind)
    name = models.CharField("印章名称", max_length=100)
    person = models.ForeignKey(Person, models.PROTECT, null=True, blank=True, verbose_name="名章本人")
    certificate = models.ForeignKey(Certificate, models.PROTECT, verbose_name="使用证书", related_name="seals")
    der = models.BinaryField("印章数据")
    svg = models.TextField("图样")
    voucher_types = models.JSONField("可盖凭证", default=list, blank=True)
    valid_from = models.DateTimeField("启用时间")
    valid_to = models.DateTimeField("失效时间")
    status = models.CharField("状态", max_length=8, choices=Status, default=Status.ACTIVE)
    revoked_at = models.DateTimeField("停用时间", null=True, blank=True)
    revoke_reason = models.CharField("停用原因", max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "电子印章"
        indexes = [models.Index(fields=["organisation_code", "kind"], name="eseal_organisation")]
        constraints = [
            models.CheckConstraint(name="eseal_dates_in_order", condition=Q(valid_to__gt=F("valid_from"))),
            models.CheckConstraint(
                name="revoked_eseal_says_when_and_why",
                condition=Q(status="active", revoked_at__isnull=True, revoke_reason="")
                | (Q(status="revoked", revoked_at__isnull=False) & ~Q(revoke_reason="")),
            ),
            models.CheckConstraint(
                name="personal_seal_names_its_person", condition=~Q(kind="personal") | Q(person__isnull=False)
            ),
        ]
        triggers = [
            witnessed("seal.filed"),
            witnessed(
                "seal.revoked",
                operation=pgtrigger.Update,
                condition="former.revoked_at IS NULL AND fact.revoked_at IS NOT NULL",
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="seal_fixed", exclude=["status", "revoked_at", "revoke_reason"]),
            pgtrigger.Protect(
                name="revoked_for_good", operation=pgtrigger.Update, condition=pgtrigger.Q(old__status="revoked")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.es_id} {self.name}"


@pghistory.track(meta=recorded("seals_sealposition"))
class SealPosition(models.Model):
    """签章位置: what goes on a voucher type, where, by whom and in which order; per region and year.

    `flag` 0 is the document, 1 its receipt. Positions of one `ordinal` are affixed in one act by the holder of `post`;
    those of a partner (its receipts and documents) name no post. Millimetres from the upper left corner of the paper;
    without them the layout's own place is used. Source: messages.md §2.3, queryStampPositionWithName.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    fiscal_year = models.PositiveSmallIntegerField("会计年度")
    voucher_type = models.CharField("凭证类型", max_length=4)
    flag = models.PositiveSmallIntegerField("单据标志", default=0)
    position = models.CharField("位置代码", max_length=20)
    name = models.CharField("位置名称", max_length=40)
    kind = models.CharField("种类", max_length=10, choices=SealKind)
    ordinal = models.PositiveSmallIntegerField("次序", default=1)
    post = models.CharField("办理岗位", max_length=24, blank=True)
    required = models.BooleanField("必须", default=True)
    x_mm = models.DecimalField("左（毫米）", max_digits=5, decimal_places=1, null=True, blank=True)
    y_mm = models.DecimalField("上（毫米）", max_digits=5, decimal_places=1, null=True, blank=True)
    rotation = models.SmallIntegerField("旋转（度）", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "签章位置"
        ordering = ["adm_div_code", "fiscal_year", "voucher_type", "flag", "ordinal", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "voucher_type", "flag", "position"], name="one_row_per_position"
            ),
            models.CheckConstraint(name="position_flag_known", condition=Q(flag__in=[0, 1])),
        ]

    def __str__(self) -> str:
        return f"{self.voucher_type}/{self.flag} {self.position}"


class Stamp(RegionYearModel):
    """签章: one SES_Signature over one of our vouchers, byte for byte. Append-only."""

    voucher_id = models.UUIDField("凭证")
    position = models.CharField("签章位置", max_length=20)
    ordinal = models.PositiveSmallIntegerField("次序")
    seal = models.ForeignKey(ESeal, models.PROTECT, verbose_name="印章")
    der = models.BinaryField()
    digest_sm3 = models.CharField(max_length=64)  # of `der`
    person_id = models.UUIDField("经办人", null=True, blank=True)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "签章"
        constraints = [models.UniqueConstraint(fields=["voucher_id", "position"], name="one_stamp_per_position")]
        indexes = [models.Index(fields=["seal", "at"], name="stamp_seal")]
        triggers = [append_only(), witnessed("stamp.affixed", region="adm_div_code", year="fiscal_year")]

    def __str__(self) -> str:
        return f"{self.voucher_id} {self.position}"
