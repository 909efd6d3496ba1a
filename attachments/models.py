"""Files by their digest, the phones that may add some, and the register of invoices. No document is known here."""

import pgtrigger
from django.db import models
from django.db.models import Q

from core.ids import new_id
from core.models import RegionYearModel, append_only
from core.money import MoneyField
from parties.models import User


class StoredFile(RegionYearModel):
    """文件: bytes that were checked and kept, by their SM3. The bytes lie in the file store, each content once.

    `pages` counts what can be shown as pictures: pages of a PDF, one for an image, none for anything else.
    """

    digest = models.CharField("SM3", max_length=64)
    size = models.PositiveBigIntegerField("字节数")
    media_type = models.CharField(max_length=80)
    pages = models.PositiveSmallIntegerField("页数", default=0)
    stored_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "文件"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "digest"], name="file_once"),
            models.CheckConstraint(name="file_not_empty", condition=Q(size__gt=0)),
        ]
        indexes = [models.Index(fields=["digest"], name="file_digest")]
        triggers = [append_only()]

    def __str__(self) -> str:
        return self.digest[:16]


class PhoneLink(RegionYearModel):
    """手机上传: for some minutes one phone may add files to one document in the name of the officer who asked.

    Only digests of the two secrets are kept: of the token in the picture, and of what the phone that used it first
    was given. A link that is used, closed or over is never opened again.
    """

    document_id = models.UUIDField()
    document_no = models.CharField(max_length=40)
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    token_digest = models.CharField(max_length=64, unique=True)
    phone_digest = models.CharField(max_length=64, blank=True)
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = "手机上传"
        indexes = [models.Index(fields=["document_id", "expires_at"], name="phone_link_document")]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="phone_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__phone_digest__gt="", new__phone_digest__df=pgtrigger.F("old__phone_digest"))
                | pgtrigger.Q(old__closed_at__isnull=False, new__closed_at__isnull=True)
                | pgtrigger.Q(new__expires_at__df=pgtrigger.F("old__expires_at"))
                | pgtrigger.Q(new__document_id__df=pgtrigger.F("old__document_id"))
                | pgtrigger.Q(new__user__df=pgtrigger.F("old__user"))
                | pgtrigger.Q(new__token_digest__df=pgtrigger.F("old__token_digest")),
            ),
        ]


class Invoice(models.Model):
    """发票: one paper in the region's register, whatever year it is used in; who uses it is derived by the payments.

    An electronic invoice of the new kind (数电票) has a number of 20 digits and no code. The facts are those of the
    last document that was submitted with it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    adm_div_code = models.CharField("行政区划", max_length=9)
    code = models.CharField("发票代码", max_length=12, blank=True)
    number = models.CharField("发票号码", max_length=20)
    amount = MoneyField("价税合计")
    seller_name = models.CharField("销售方", max_length=60)
    seller_tax_id = models.CharField("销售方税号", max_length=20)
    issued_on = models.DateField("开票日期")

    class Meta:
        verbose_name = verbose_name_plural = "发票"
        constraints = [
            # without the year: an invoice that was paid in December is not to be paid again in January
            models.UniqueConstraint(fields=["adm_div_code", "code", "number"], name="invoice_once"),
            models.CheckConstraint(name="invoice_amount_positive", condition=Q(amount__gt=0)),
        ]
        triggers = [pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.code}/{self.number}" if self.code else self.number
