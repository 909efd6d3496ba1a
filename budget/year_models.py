"""What a year's end decides: quotas given back by agreement, and how much of each indicator goes on."""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from budget.document_states import CANCELLATION_FLOW, CARRY_FLOW, CancellationState, CarryOverState
from core.models import RegionYearModel
from core.money import ZERO, MoneyField
from parties.models import Person


class QuotaCancellation(RegionYearModel):
    """额度注销: what is left of one authorised quota at the year's end, as finance, bank and unit each say it is.

    It is applied only when the three amounts are equal.
    """

    quota = models.ForeignKey("budget.Quota", models.PROTECT, related_name="cancellations")
    amount = MoneyField("财政注销额")
    bank_amount = MoneyField("银行注销额", null=True)
    bank_list_no = models.CharField("银行清单号", max_length=60, blank=True)
    unit_amount = MoneyField("单位注销额", null=True)
    unit_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    state = models.CharField(max_length=10, choices=CancellationState, default=CancellationState.OPEN)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "额度注销"
        constraints = [
            models.UniqueConstraint(
                fields=["quota"], condition=Q(state=CancellationState.OPEN), name="one_open_cancellation"
            ),
            models.CheckConstraint(name="cancellation_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="cancellation_agreed_by_three",
                condition=Q(state=CancellationState.OPEN)
                | Q(bank_amount__isnull=False)
                & Q(unit_amount__isnull=False)
                & Q(bank_amount=F("amount"), unit_amount=F("amount")),
            ),
        ]
        triggers = [
            CANCELLATION_FLOW.trigger("cancellation_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="applied_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state="applied"),
            ),
            pgtrigger.ReadOnly(name="cancellation_frozen", fields=["adm_div_code", "fiscal_year", "quota"]),
        ]

    def __str__(self) -> str:
        return str(self.quota.indicator)


class CarryOver(RegionYearModel):
    """年终结转: of what an indicator has unused, how much goes on to the next year; the rest is recovered."""

    indicator = models.OneToOneField("budget.BudgetIndicator", models.PROTECT, related_name="carry_over")
    unused = MoneyField("未用余额")
    amount = MoneyField("结转金额")
    must_recover = models.BooleanField("连续两年未用，应收回", default=False)
    reason = models.CharField("理由", max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=CarryOverState, default=CarryOverState.PROPOSED)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    next_indicator = models.OneToOneField(
        "budget.BudgetIndicator", models.PROTECT, related_name="carried_from", null=True
    )
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "年终结转"
        constraints = [
            models.CheckConstraint(
                name="carried_is_unused_at_most", condition=Q(amount__gte=ZERO) & Q(amount__lte=F("unused"))
            ),
            models.CheckConstraint(
                name="two_years_unspent_is_recovered", condition=Q(must_recover=False) | Q(amount=ZERO)
            ),
            models.CheckConstraint(
                name="carry_over_four_eyes",
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("created_by")),
            ),
            models.CheckConstraint(
                name="carry_over_approved",
                condition=Q(state=CarryOverState.PROPOSED) | Q(approved_by__isnull=False),
            ),
            models.CheckConstraint(
                name="carried_names_its_indicator",
                condition=~Q(state=CarryOverState.APPLIED) | Q(amount=ZERO) | Q(next_indicator__isnull=False),
            ),
        ]
        triggers = [
            CARRY_FLOW.trigger("carry_over_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="applied_stays", operation=pgtrigger.Update, condition=pgtrigger.Q(old__state="applied")
            ),
            pgtrigger.ReadOnly(name="carry_over_frozen", fields=["adm_div_code", "fiscal_year", "indicator"]),
        ]

    def __str__(self) -> str:
        return str(self.indicator)

    @property
    def recovered(self):  # type: ignore[no-untyped-def]
        return self.unused - self.amount
