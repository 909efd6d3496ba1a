"""What a grant of spending authority says besides its amount: for whom, for what, out of which money, with which tags.

An indicator keeps these for its whole life; the line of a document that makes a new indicator says them first.
"""

from dataclasses import dataclass
from typing import Any

from django.db import models

from parties.models import BudgetUnit


class Layer(models.TextChoices):
    """两层指标: only the lower one is paid from."""

    DEPARTMENT = "department", "待分配"
    UNIT = "unit", "单位可执行"


class Source(models.TextChoices):
    OWN = "own", "本级"
    UPPER = "upper", "上级"


class BudgetClass(models.TextChoices):
    PERSONNEL = "personnel", "人员类"
    RUNNING_PUBLIC = "public", "运转类-公用"
    RUNNING_OTHER = "other", "运转类-其他"
    PROJECT = "project", "特定目标类"


class Sanbao(models.TextChoices):
    """三保标识."""

    WAGES = "wages", "保工资"
    RUNNING = "running", "保运转"
    LIVELIHOOD = "livelihood", "保基本民生"
    NONE = "none", "非三保"


class DirectFund(models.TextChoices):
    """直达资金标识; the codes are those of the business text (U) and stay what they are from issue to payment."""

    CENTRAL = "01", "中央直达资金"
    AS_DIRECT = "02", "参照直达资金"
    MATCHING = "03", "地方对应安排"
    NONE = "99", "非直达"


class Benefit(models.TextChoices):
    FIRMS = "firms", "惠企"
    PEOPLE = "people", "利民"
    NONE = "none", "无"


class IndicatorTerms(models.Model):
    """The terms of an indicator, the same on the indicator and on the line that makes it."""

    layer = models.CharField("层级", max_length=10, choices=Layer, default=Layer.UNIT)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT, related_name="+", verbose_name="预算单位")
    fund_nature = models.CharField("资金性质", max_length=4)
    function_code = models.CharField("功能分类", max_length=7)
    gov_economic_code = models.CharField("政府经济分类", max_length=5)
    project_code = models.CharField("项目", max_length=21, blank=True)
    project_name = models.CharField("项目名称", max_length=100, blank=True)
    tags = models.JSONField("标识", default=list, blank=True)
    source = models.CharField("资金来源", max_length=6, choices=Source, default=Source.OWN)
    source_level = models.PositiveSmallIntegerField("来源级次", null=True, blank=True)  # 1 central … 5 township
    upper_doc_no = models.CharField("上级文号", max_length=60, blank=True)
    received_on = models.DateField("收文日期", null=True, blank=True)
    budget_class = models.CharField("预算类别", max_length=10, choices=BudgetClass, blank=True)
    sanbao = models.CharField("三保标识", max_length=10, choices=Sanbao, default=Sanbao.NONE)
    direct_fund = models.CharField("直达资金标识", max_length=2, choices=DirectFund, default=DirectFund.NONE)
    benefit = models.CharField("惠企利民", max_length=6, choices=Benefit, default=Benefit.NONE)
    to_person_or_firm = models.BooleanField("补贴到人到企业", default=False)
    procurement = models.BooleanField("政府采购", default=False)
    carry_over_year = models.PositiveSmallIntegerField("结转自年度", null=True, blank=True)

    class Meta:
        abstract = True


COPIED = tuple(field.name for field in IndicatorTerms._meta.local_fields)
# What a grant from above may not lose or gain on its way down. Source: docs/budget.md.
INHERITED = (
    *("fund_nature", "source", "source_level", "upper_doc_no", "received_on", "sanbao", "direct_fund", "benefit"),
    *("to_person_or_firm", "procurement", "carry_over_year"),
)


@dataclass(frozen=True)
class Terms:
    """The terms of a new indicator as somebody typed or imported them."""

    unit_code: str
    fund_nature: str
    function_code: str
    gov_economic_code: str
    payment_mode: str
    layer: str = Layer.UNIT
    project_code: str = ""
    project_name: str = ""
    source: str = Source.OWN
    source_level: int | None = None
    upper_doc_no: str = ""
    received_on: Any = None
    budget_class: str = ""
    sanbao: str = Sanbao.NONE
    direct_fund: str = DirectFund.NONE
    benefit: str = Benefit.NONE
    to_person_or_firm: bool = False
    procurement: bool = False


def labels_of(terms: Any) -> list[str]:
    """Return the tags as people read them, in one order; the monitoring rules and pages see these."""
    found = [] if terms.sanbao == Sanbao.NONE else [Sanbao(terms.sanbao).label]
    found += [] if terms.direct_fund == DirectFund.NONE else [terms.direct_fund + DirectFund(terms.direct_fund).label]
    found += [] if terms.benefit == Benefit.NONE else [Benefit(terms.benefit).label]
    found += ["补贴到人到企业"] if terms.to_person_or_firm else []
    return found + (["政府采购"] if terms.procurement else [])
