"""What partners reported, our comparison with it, and the differences that were found. Source documents stay as they
are: a difference is settled by ordinary business documents and a new run.
"""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from core.models import RegionYearModel, append_only
from core.money import MoneyField
from reconciliation.states import (
    DISCREPANCY_FLOW,
    SHEET_FLOW,
    DiscrepancyState,
    DiscrepancyType,
    Pair,
    SheetState,
)
from vouchers.models import InboxMessage


class Statement(RegionYearModel):
    """对方对账报文: one pack of a bank's day report (2205, 2206) or of PBoC's statement (3507, 3510). Append-only.

    A partner may correct itself: a later message of the same report replaces the earlier one (`matching.CURRENT`).
    `scope` is the agent bank (bank_no) it is about, empty if it is about several.
    """

    message = models.OneToOneField(InboxMessage, models.PROTECT, related_name="+")
    voucher_type = models.CharField("报文", max_length=4)
    partner = models.CharField("对方机构", max_length=30)
    scope = models.CharField("代理银行行号", max_length=12, blank=True)
    fund_nature = models.CharField("资金性质", max_length=42, blank=True)
    date = models.DateField("对账日")
    sheet_no = models.CharField("对账单号", max_length=42)
    pack = models.PositiveIntegerField("本包序号")
    packs = models.PositiveIntegerField("子包总数")
    line_count = models.PositiveIntegerField("笔数")
    amount = MoneyField("金额")
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "对方报文"
        constraints = [
            models.CheckConstraint(name="statement_pack_within", condition=Q(pack__gte=1) & Q(pack__lte=F("packs")))
        ]
        indexes = [
            models.Index(
                fields=["adm_div_code", "date", "voucher_type", "partner", "scope", "fund_nature"], name="statement_day"
            )
        ]
        triggers = [append_only()]

    def __str__(self) -> str:
        return f"{self.voucher_type} {self.partner} {self.date} {self.pack}/{self.packs}"


class StatementLine(RegionYearModel):
    """对方对账明细: one line a partner reported. Append-only; `amount` is positive for payments, refunds and clearings.

    The key is (bank_no, voucher_type, voucher_no, detail_id): the payment voucher and its detail, or the clearing
    voucher and its line. For a clearing limit `voucher_no` holds the payment mode and `detail_id` the fund nature,
    and `amount` is the balance. `elements` are further fields both sides should agree on.
    """

    statement = models.ForeignKey(Statement, models.PROTECT, related_name="lines")
    pair = models.CharField(max_length=16, choices=Pair)
    date = models.DateField()
    bank_no = models.CharField(max_length=12)
    voucher_type = models.CharField(max_length=4, blank=True)
    voucher_no = models.CharField(max_length=42)
    detail_id = models.CharField(max_length=42)
    amount = MoneyField()
    paid_on = models.DateField(null=True)
    elements = models.JSONField(default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "对方明细"
        indexes = [
            models.Index(fields=["adm_div_code", "date", "pair"], name="statement_line_day"),
            models.Index(fields=["adm_div_code", "voucher_no", "detail_id"], name="statement_line_key"),
        ]
        triggers = [append_only()]


class Sheet(RegionYearModel):
    """对账单: one run of one comparison with one partner. Matching again makes a new run; only `state` may move on.

    Amounts in yuan: payments, refunds, clearings net of refund clearings (2301 − 2302), or balances of clearing
    limits. `difference` is theirs − ours.
    """

    pair = models.CharField("对账关系", max_length=16, choices=Pair)
    partner = models.CharField("对方机构", max_length=30)
    partner_name = models.CharField("对方", max_length=60)
    date = models.DateField("对账日")
    run = models.PositiveIntegerField("第几次")
    our_count = models.PositiveIntegerField("我方笔数")
    our_amount = MoneyField("我方金额")
    their_count = models.PositiveIntegerField("对方笔数")
    their_amount = MoneyField("对方金额")
    difference = MoneyField("差额")
    unreported = models.PositiveIntegerField("未收到报文的笔数", default=0)
    state = models.CharField("结果", max_length=10, choices=SheetState)
    made_by = models.CharField("对账人", max_length=60)
    at = models.DateTimeField("对账时间")

    class Meta:
        verbose_name = verbose_name_plural = "对账单"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "date", "pair", "partner", "run"], name="sheet_run_once"),
            models.CheckConstraint(
                name="sheet_difference_is_theirs_less_ours",
                condition=Q(difference=F("their_amount") - F("our_amount")),
            ),
            models.CheckConstraint(
                name="sheet_matched_without_difference",
                condition=~Q(state=SheetState.MATCHED) | Q(difference=0, unreported=0),
            ),
        ]
        triggers = [
            SHEET_FLOW.trigger("sheet_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="sheet_frozen", exclude=["state"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_pair_display()} {self.partner_name} {self.date} 第{self.run}次"


class Discrepancy(RegionYearModel):
    """差错: one difference a run found, with what it means and what to do about it. Amounts in yuan, None if absent."""

    sheet = models.ForeignKey(Sheet, models.PROTECT, related_name="discrepancies")
    type = models.CharField("类型", max_length=2, choices=DiscrepancyType)
    voucher_type = models.CharField(max_length=4, blank=True)
    voucher_no = models.CharField("凭证号", max_length=42)
    detail_id = models.CharField("明细", max_length=42)
    our_amount = MoneyField("我方金额", null=True)
    their_amount = MoneyField("对方金额", null=True)
    explanation = models.TextField("说明")
    suggestion = models.TextField("建议处理")
    owner = models.CharField("责任方", max_length=20)
    state = models.CharField("状态", max_length=10, choices=DiscrepancyState, default=DiscrepancyState.OPEN)
    resolution = models.CharField("处理结果", max_length=300, blank=True)
    resolved_by = models.CharField("处理人", max_length=60, blank=True)
    resolved_at = models.DateTimeField("处理时间", null=True)

    class Meta:
        verbose_name = verbose_name_plural = "差错"
        constraints = [
            models.CheckConstraint(
                name="discrepancy_resolved_with_a_reason",
                condition=Q(state=DiscrepancyState.OPEN) | ~Q(resolution="") & Q(resolved_at__isnull=False),
            )
        ]
        indexes = [
            models.Index(fields=["adm_div_code"], condition=Q(state=DiscrepancyState.OPEN), name="discrepancy_open")
        ]
        triggers = [
            DISCREPANCY_FLOW.trigger("discrepancy_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="discrepancy_frozen", exclude=["state", "resolution", "resolved_by", "resolved_at"]
            ),
            pgtrigger.Protect(
                name="resolved_stays_resolved",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state=DiscrepancyState.RESOLVED),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.key}"

    @property
    def key(self) -> str:
        return f"{self.voucher_no}/{self.detail_id}"
