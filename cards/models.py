"""Official cards (公务卡): what was bought with them. What was repaid is read from the payments, never stored here.

Source: docs/business-types.md §official cards.
"""

from django.db import models
from django.db.models import F, Q

from core.models import RegionYearModel, append_only
from core.money import MoneyField
from parties.models import BudgetUnit


class CardTransaction(RegionYearModel):
    """公务卡消费: one purchase with one officer's card, as the card's bank reports it. Append-only.

    `transaction_no` is the bank's and identifies the purchase within the region; a payment line quotes it.
    """

    unit = models.ForeignKey(BudgetUnit, models.PROTECT, verbose_name="预算单位")
    transaction_no = models.CharField("消费流水号", max_length=42)
    card_no = models.CharField("卡号", max_length=32)
    holder_name = models.CharField("持卡人", max_length=60)
    bank_name = models.CharField("发卡行", max_length=60)
    bank_no = models.CharField("发卡行行号", max_length=12, blank=True)
    merchant = models.CharField("商户", max_length=100)
    merchant_category = models.CharField("商户类别码", max_length=4, blank=True)
    consumed_on = models.DateField("消费日期")
    due_on = models.DateField("到期还款日")
    amount = MoneyField("消费金额")
    reported_by = models.CharField("来源", max_length=60)
    at = models.DateTimeField("登记时间")

    class Meta:
        verbose_name = verbose_name_plural = "公务卡消费"
        indexes = [models.Index(fields=["adm_div_code", "unit", "-consumed_on"], name="card_transactions_of_unit")]
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "transaction_no"], name="card_transaction_once"),
            models.CheckConstraint(name="card_amount_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="card_due_after_purchase", condition=Q(due_on__gte=F("consumed_on"))),
        ]
        triggers = [append_only("purchase_stays")]

    def __str__(self) -> str:
        return f"{self.transaction_no} {self.merchant}"
