"""Classification codes by fiscal year, and the table that maps economic codes onto each other."""

import pgtrigger
from django.db import models

from core.models import RegionYearModel, append_only


class CodeKind(models.TextChoices):
    FUNCTION = "function", "支出功能分类"
    GOV_ECONOMIC = "gov_economic", "政府预算支出经济分类"
    DEPT_ECONOMIC = "dept_economic", "部门预算支出经济分类"
    FUND_NATURE = "fund_nature", "资金性质"


class ClassificationCode(models.Model):
    """One code of one year. Never deleted, only ended: a payment keeps the code it was made with.

    An ended code makes no new indicator and is not copied into the next year.
    """

    fiscal_year = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16, choices=CodeKind)
    code = models.CharField(max_length=20)
    name = models.CharField(max_length=100)
    ended = models.BooleanField("停用", default=False)

    class Meta:
        verbose_name = verbose_name_plural = "分类科目"
        constraints = [models.UniqueConstraint(fields=["fiscal_year", "kind", "code"], name="code_once_a_year")]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="code_frozen", fields=["fiscal_year", "kind", "code"]),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class EconomicMapping(models.Model):
    """政府经济 ↔ 部门经济: legal pairs by nature of the unit (`全部` fits every nature). Source: 对照表."""

    fiscal_year = models.PositiveSmallIntegerField()
    gov_code = models.CharField(max_length=5)
    dept_code = models.CharField(max_length=5)
    unit_nature = models.CharField(max_length=4)

    class Meta:
        verbose_name = verbose_name_plural = "经济分类对照"
        constraints = [
            models.UniqueConstraint(
                fields=["fiscal_year", "gov_code", "dept_code", "unit_nature"], name="economic_mapping_once"
            )
        ]


class TableImport(RegionYearModel):
    """导入记录: which file, byte for byte, somebody brought into a code table, and what it did. Append-only."""

    kind = models.CharField("代码表", max_length=20)
    file_name = models.CharField("文件", max_length=120)
    digest = models.CharField("文件摘要（SM3）", max_length=64)
    added = models.PositiveIntegerField("新增")
    changed = models.PositiveIntegerField("更改")
    actor_name = models.CharField("经办人", max_length=60)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "导入记录"
        triggers = [append_only()]

    def __str__(self) -> str:
        return f"{self.kind} {self.file_name}"
