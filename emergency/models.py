"""When vouchers go out on paper: who declared it and who agreed, what was printed, what came back, who confirmed it."""

from datetime import timedelta

import pgtrigger
from django.db import models
from django.db.models import F, Q

from attachments.models import StoredFile
from core.models import RegionYearModel, any_changed, append_only
from emergency.states import PAPER_FLOW, WINDOW_FLOW, AnswerState, PaperState, WindowState
from parties.duties import Post
from parties.models import AgentBank, BudgetUnit, Person
from payments.models import PaymentRequest
from vouchers.models import Voucher

LONGEST = timedelta(hours=24)
PARTIES = (Post.RECONCILER, Post.VOUCHER_MAKER, Post.SEAL_KEEPER, Post.PAYMENT_REVIEWER)


class Window(RegionYearModel):
    """应急窗口: from when to when, why and for what vouchers may go out on paper. A drill (演练) moves nothing."""

    window_no = models.CharField("编号", max_length=30)
    reason = models.CharField("原因", max_length=200)
    unit = models.ForeignKey(BudgetUnit, models.PROTECT, null=True, verbose_name="预算单位")
    agent_bank = models.ForeignKey(AgentBank, models.PROTECT, null=True, verbose_name="代理银行")
    voucher_type = models.CharField("凭证类型", max_length=4, blank=True)
    hours = models.PositiveSmallIntegerField("时长（小时）")
    drill = models.BooleanField("演练", default=False)
    parties = models.JSONField("核对各方")
    state = models.CharField(max_length=10, choices=WindowState, default=WindowState.DECLARED)
    declared_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    declared_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    opens_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    list_digest = models.CharField("清单 SM3", max_length=64, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "应急窗口"
        constraints = [
            models.UniqueConstraint(fields=["adm_div_code", "fiscal_year", "window_no"], name="window_no_once"),
            models.CheckConstraint(name="window_by_two", condition=~Q(confirmed_by=F("declared_by"))),
            models.CheckConstraint(name="window_at_most_a_day", condition=Q(hours__gte=1, hours__lte=24)),
            models.CheckConstraint(
                name="window_ends_in_time",
                condition=Q(opens_at__isnull=True)
                | Q(ends_at__gt=F("opens_at"), ends_at__lte=F("opens_at") + LONGEST, confirmed_by__isnull=False),
            ),
        ]
        triggers = [
            WINDOW_FLOW.trigger("window_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="window_stays_as_declared",
                operation=pgtrigger.Update,
                condition=any_changed(
                    *("adm_div_code", "fiscal_year", "window_no", "reason", "unit", "agent_bank", "voucher_type"),
                    *("hours", "drill", "parties", "declared_by", "declared_at"),
                )
                | pgtrigger.Q(old__opens_at__isnull=False) & any_changed("opens_at", "ends_at", "confirmed_by"),
            ),
        ]

    def __str__(self) -> str:
        return self.window_no


class PaperVoucher(RegionYearModel):
    """纸质凭证: one voucher of the usual number series that went out on paper (channel PAPER)."""

    window = models.ForeignKey(Window, models.PROTECT, related_name="papers")
    request = models.OneToOneField(PaymentRequest, models.PROTECT, related_name="paper")
    voucher = models.OneToOneField(Voucher, models.PROTECT, related_name="paper")
    state = models.CharField(max_length=10, choices=PaperState, default=PaperState.PRINTED)
    printed_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    printed_at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "纸质凭证"
        triggers = [
            PAPER_FLOW.trigger("paper_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="paper_stays", fields=["window", "request", "voucher", "printed_by", "printed_at"]),
            pgtrigger.Trigger(
                name="paper_in_an_open_window",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=pgtrigger.Func(
                    """
                    IF NOT EXISTS (SELECT 1 FROM emergency_window w
                                    WHERE w.id = NEW.window_id AND w.state = 'open' AND NOT w.drill
                                      AND NEW.printed_at >= w.opens_at AND NEW.printed_at < w.ends_at)
                       OR NOT EXISTS (SELECT 1 FROM vouchers_voucher v
                                       WHERE v.id = NEW.voucher_id AND v.state = 'paper') THEN
                        RAISE EXCEPTION 'vouchers go out on paper only in an open window'
                              USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]

    def __str__(self) -> str:
        return str(self.voucher)


class PaperAnswer(RegionYearModel):
    """补录: what the bank wrote on the paper, entered by one person with a scan, confirmed or refused by another.

    `lines` is a list of [seq, paid, reason]. What was entered never changes; a mistake is refused and entered anew.
    """

    paper = models.ForeignKey(PaperVoucher, models.PROTECT, related_name="answers")
    paid_on = models.DateField("支付日期")
    bank_serial = models.CharField("银行流水号", max_length=42, blank=True)
    lines = models.JSONField("明细结果")
    scan = models.ForeignKey(StoredFile, models.PROTECT, related_name="+")
    scan_name = models.CharField("扫描件", max_length=120)
    entered_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    entered_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=AnswerState, default=AnswerState.ENTERED)
    decided_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    reason = models.CharField("退回原因", max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "纸质回单补录"
        constraints = [
            models.UniqueConstraint(
                fields=["paper"], condition=~Q(state=AnswerState.REFUSED), name="one_answer_stands_per_paper"
            ),
            models.CheckConstraint(
                name="answer_by_two",
                condition=Q(state=AnswerState.ENTERED) | Q(decided_by__isnull=False) & ~Q(decided_by=F("entered_by")),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="answer_stays",
                operation=pgtrigger.Update,
                condition=any_changed(
                    *("paper", "paid_on", "bank_serial", "lines", "scan", "scan_name", "entered_by", "entered_at")
                )
                | ~pgtrigger.Q(old__state="entered"),
            ),
        ]


class PartyConfirmation(RegionYearModel):
    """核对: one of the parties named says that the list of the window is right and whole. Append-only."""

    window = models.ForeignKey(Window, models.PROTECT, related_name="confirmations")
    post = models.CharField(max_length=24, choices=Post)
    person = models.ForeignKey(Person, models.PROTECT, related_name="+")
    list_digest = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "应急清单核对"
        constraints = [
            models.UniqueConstraint(fields=["window", "post"], name="party_confirms_once"),
            models.UniqueConstraint(fields=["window", "person"], name="person_is_one_party"),
        ]
        triggers = [append_only()]


class DrillPrint(RegionYearModel):
    """演练: which request was printed in a drill. No number, no voucher, no move. Append-only."""

    window = models.ForeignKey(Window, models.PROTECT, related_name="drill_prints")
    request = models.ForeignKey(PaymentRequest, models.PROTECT, related_name="+")
    printed_by = models.ForeignKey(Person, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        verbose_name = verbose_name_plural = "应急演练"
        constraints = [models.UniqueConstraint(fields=["window", "request"], name="drilled_once")]
        triggers = [append_only()]
