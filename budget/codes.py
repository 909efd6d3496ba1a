"""Classification codes by fiscal year, and the table that maps economic codes onto each other."""

from django.db import models


class CodeKind(models.TextChoices):
    FUNCTION = "function", "支出功能分类"
    GOV_ECONOMIC = "gov_economic", "政府预算支出经济分类"
    DEPT_ECONOMIC = "dept_economic", "部门预算支出经济分类"
    FUND_NATURE = "fund_nature", "资金性质"


class ClassificationCode(models.Model):
    """One code of one year. Never deleted: a payment of an earlier year keeps the code it was made with."""

    fiscal_year = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16, choices=CodeKind)
    code = models.CharField(max_length=20)
    name = models.CharField(max_length=100)

    class Meta:
        verbose_name = verbose_name_plural = "分类科目"
        constraints = [models.UniqueConstraint(fields=["fiscal_year", "kind", "code"], name="code_once_a_year")]

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
