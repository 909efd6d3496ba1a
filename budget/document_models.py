"""指标文: the numbered documents that make and change indicators, line by line."""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from budget.document_states import DOCUMENT_FLOW, DocumentState
from budget.terms import IndicatorTerms
from core.models import RegionYearModel, any_changed
from core.money import ZERO, MoneyField
from parties.models import BankAccount, Person


class DocumentKind(models.TextChoices):
    INITIAL = "initial", "年初"
    ADD = "add", "追加"
    REDUCE = "reduce", "追减"
    TRANSFER = "transfer", "调剂"
    SPLIT = "split", "分配"
    TAKE_BACK = "take_back", "收回分配"
    FREEZE = "freeze", "冻结"
    UNFREEZE = "unfreeze", "解冻"
    RECOVER = "recover", "收回"


class IndicatorDocument(RegionYearModel):
    """指标文: made by a budget clerk, approved by another person, by a leader where a rule or the amount asks for it,
    and then issued. What was issued is never edited: a mistake is mended by another document."""

    kind = models.CharField("类型", max_length=10, choices=DocumentKind)
    doc_no = models.CharField("文号", max_length=60)
    amount = MoneyField("金额")
    note = models.CharField("说明", max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=DocumentState, default=DocumentState.DRAFT)
    needs_leader = models.BooleanField("须分管领导审批", default=False)
    leader_reasons = models.JSONField(default=list)
    created_by = models.ForeignKey(Person, models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    leader_by = models.ForeignKey(Person, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()
    issued_at = models.DateTimeField(null=True)
    action_key = models.CharField("操作号", max_length=120, null=True)

    class Meta:
        verbose_name = verbose_name_plural = "指标文"
        constraints = [
            models.UniqueConstraint(
                fields=["adm_div_code", "fiscal_year", "doc_no", "kind"],
                condition=~Q(state__in=[DocumentState.REJECTED, DocumentState.CANCELLED]),
                name="document_once",
            ),
            models.UniqueConstraint(fields=["adm_div_code", "action_key"], name="document_action_once"),
            models.CheckConstraint(name="document_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="document_four_eyes",
                condition=(Q(approved_by__isnull=True) | ~Q(approved_by=F("created_by")))
                & (Q(leader_by__isnull=True) | ~Q(leader_by=F("created_by")) & ~Q(leader_by=F("approved_by"))),
            ),
            models.CheckConstraint(
                name="document_issued_as_approved",
                condition=~Q(state__in=[DocumentState.APPROVED, DocumentState.ISSUED])
                | Q(approved_by__isnull=False) & (Q(needs_leader=False) | Q(leader_by__isnull=False)),
            ),
        ]
        indexes = [models.Index(fields=["adm_div_code", "fiscal_year", "state"], name="document_state")]
        triggers = [
            DOCUMENT_FLOW.trigger("document_moves"),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="document_frozen",
                operation=pgtrigger.Update,
                condition=any_changed("kind", "doc_no", "amount", "note", "created_by")
                & ~pgtrigger.Q(old__state__in=["draft", "returned"]),
            ),
        ]

    def __str__(self) -> str:
        return self.doc_no


class IndicatorLine(RegionYearModel, IndicatorTerms):
    """One line of a document: by how much one indicator changes (`amount` with its sign), or the terms of a new one.

    A line of an issued document names its indicator; the terms stand on it as its approvers saw them.
    """

    document = models.ForeignKey(IndicatorDocument, models.PROTECT, related_name="lines")
    seq = models.PositiveSmallIntegerField()
    indicator = models.ForeignKey("budget.BudgetIndicator", models.PROTECT, null=True, related_name="lines")
    parent = models.ForeignKey("budget.BudgetIndicator", models.PROTECT, null=True, related_name="+")
    payment_mode = models.CharField("支付方式", max_length=3)
    payer_account = models.ForeignKey(BankAccount, models.PROTECT, null=True, related_name="+", verbose_name="付款账户")
    amount = MoneyField("金额")

    class Meta:
        verbose_name = verbose_name_plural = "指标文明细"
        constraints = [
            models.UniqueConstraint(fields=["document", "seq"], name="line_once"),
            models.CheckConstraint(name="line_not_zero", condition=~Q(amount=ZERO)),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="line_frozen", exclude=["indicator"]),
            pgtrigger.Trigger(
                name="lines_of_drafts_only",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Delete | pgtrigger.Update,
                declare=[("standing", "text")],
                func=pgtrigger.Func(
                    """
                    SELECT state INTO standing FROM budget_indicatordocument
                     WHERE id = COALESCE(NEW.document_id, OLD.document_id);
                    IF TG_OP <> 'UPDATE' AND standing NOT IN ('draft', 'returned')
                       OR TG_OP = 'UPDATE' AND standing <> 'approved' THEN
                        RAISE EXCEPTION 'the lines of a document in state % stay', standing
                              USING ERRCODE = 'check_violation';
                    END IF;
                    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]
