"""I17: replaying a document's transitions gives its state, by allowed moves only, from an initial state, in time."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from budget.document_states import (
    CANCELLATION_FLOW,
    CARRY_FLOW,
    DOCUMENT_FLOW,
    YEAR_FLOW,
    CancellationState,
    CarryOverState,
    DocumentState,
    YearState,
)
from budget.states import PLAN_FLOW, PlanState
from contracts.states import (
    CONTRACT_FLOW,
    PROJECT_FLOW,
    SUPPLEMENT_FLOW,
    ContractState,
    ProjectState,
    SupplementState,
)
from core.transitions import StateMachine
from monitoring.states import (
    ALERT_FLOW,
    CASE_FLOW,
    CHANGE_FLOW,
    ENTRY_FLOW,
    AlertState,
    CaseState,
    ChangeState,
    EntryState,
)
from payments.states import (
    CORRECTION_FLOW,
    RECALL_FLOW,
    REFUND_CASE_FLOW,
    REQUEST_FLOW,
    CorrectionState,
    RecallState,
    RefundCaseState,
    RequestState,
)
from payroll.states import BATCH_FLOW, LIST_FLOW, BatchState, ListState
from reconciliation.audit.findings import Invariant, SqlCheck, in_region
from reconciliation.states import DISCREPANCY_FLOW, SHEET_FLOW, DiscrepancyState, SheetState
from vouchers.states import VOUCHER_FLOW, VoucherState

# The time is read before a lock is waited for: two moves of one document may swap their clock readings by that much.
SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class History:
    """One kind of document: its label in transitions, its table, its moves, and the states it may begin in."""

    label: str
    table: str
    flow: StateMachine
    begins: tuple[str, ...]
    imported: bool = False  # documents taken over begin where they stood


HISTORIES = (
    History("payments.PaymentRequest", "payments_paymentrequest", REQUEST_FLOW, (RequestState.DRAFT,), imported=True),
    History("payments.Recall", "payments_recall", RECALL_FLOW, (RecallState.REQUESTED,)),
    History("payments.RefundCase", "payments_refundcase", REFUND_CASE_FLOW, (RefundCaseState.OPEN,)),
    History("payments.Correction", "payments_correction", CORRECTION_FLOW, (CorrectionState.DRAFT,)),
    History("vouchers.Voucher", "vouchers_voucher", VOUCHER_FLOW, (VoucherState.GENERATED,)),
    History("budget.SpendingPlan", "budget_spendingplan", PLAN_FLOW, (PlanState.DRAFT,)),
    History("contracts.Contract", "contracts_contract", CONTRACT_FLOW, (ContractState.DRAFT,)),
    History(
        "contracts.SupplementaryContract",
        "contracts_supplementarycontract",
        SUPPLEMENT_FLOW,
        (SupplementState.DRAFT,),
    ),
    History("contracts.InvestmentProject", "contracts_investmentproject", PROJECT_FLOW, (ProjectState.DRAFT,)),
    History("budget.IndicatorDocument", "budget_indicatordocument", DOCUMENT_FLOW, (DocumentState.DRAFT,)),
    History("budget.QuotaCancellation", "budget_quotacancellation", CANCELLATION_FLOW, (CancellationState.OPEN,)),
    History("budget.CarryOver", "budget_carryover", CARRY_FLOW, (CarryOverState.PROPOSED,)),
    History("budget.BudgetYear", "budget_budgetyear", YEAR_FLOW, (YearState.OPEN,)),
    History(
        "monitoring.Alert", "monitoring_alert", ALERT_FLOW, (AlertState.NOTED, AlertState.PENDING, AlertState.BLOCKED)
    ),
    History("monitoring.Case", "monitoring_case", CASE_FLOW, (CaseState.AWAITING,)),
    History("monitoring.RuleChange", "monitoring_rulechange", CHANGE_FLOW, (ChangeState.PROPOSED,)),
    History("monitoring.ListedPayee", "monitoring_listedpayee", ENTRY_FLOW, (EntryState.PROPOSED,)),
    History("monitoring.AnnualLimit", "monitoring_annuallimit", ENTRY_FLOW, (EntryState.PROPOSED,)),
    History("payroll.SalaryBatch", "payroll_salarybatch", BATCH_FLOW, (BatchState.DRAFT,)),
    History("payroll.BenefitList", "payroll_benefitlist", LIST_FLOW, (ListState.DRAFT,)),
    History("reconciliation.Sheet", "reconciliation_sheet", SHEET_FLOW, (SheetState.MATCHED, SheetState.DIFFERENT)),
    # What a person accepted stays accepted in the next run: such a difference begins resolved.
    History(
        "reconciliation.Discrepancy",
        "reconciliation_discrepancy",
        DISCREPANCY_FLOW,
        (DiscrepancyState.OPEN, DiscrepancyState.RESOLVED),
    ),
)


def _replay(history: History) -> SqlCheck:
    """Each document with its transitions in order; a document without any stands where it began."""
    begin = f"ANY(%(begins)s){' OR d.imported' if history.imported else ''}"
    query = f"""
WITH moves AS (
    SELECT t.document_id, t.id, t.source, t.target, t.at,
           lag(t.target) OVER w AS before, lag(t.at) OVER w AS before_at,
           lead(t.id) OVER w IS NULL AS is_last, a.action IS NOT NULL AS allowed
      FROM core_transition t
      LEFT JOIN unnest(%(sources)s::text[], %(actions)s::text[], %(targets)s::text[]) a (source, action, target)
             ON (a.source, a.action, a.target) = (t.source, t.action, t.target)
     WHERE t.document_type = %(label)s AND {in_region("t")}
    WINDOW w AS (PARTITION BY t.document_id ORDER BY t.id)
)
SELECT CASE WHEN d.id IS NULL THEN 'core_transition' ELSE '{history.table}' END AS "table",
       COALESCE(d.id::text, m.id::text) AS id,
       CASE WHEN d.id IS NULL THEN concat('流转记录所属的单据不存在：', m.document_id)
            WHEN m.id IS NULL THEN concat('状态为 ', d.state, '，却没有流转记录')
            WHEN NOT m.allowed THEN concat('不允许的流转 ', m.source, '→', m.target, '（记录 ', m.id, '）')
            WHEN m.before IS NULL AND NOT (m.source = {begin}) THEN concat('流转从 ', m.source, ' 开始')
            WHEN m.source <> m.before THEN concat('流转不连续：', m.before, ' 之后是 ', m.source, '（记录 ', m.id, '）')
            WHEN m.is_last AND m.target <> d.state THEN concat('状态为 ', d.state, '，流转终于 ', m.target)
            ELSE concat('流转时间倒退（记录 ', m.id, '）') END AS explanation,
       NULL::numeric AS delta
  FROM (SELECT * FROM {history.table} d WHERE {in_region("d")}) d
  FULL JOIN moves m ON m.document_id = d.id
 WHERE d.id IS NULL
    OR m.id IS NULL AND NOT (d.state = {begin})
    OR NOT m.allowed
    OR m.before IS NULL AND NOT (m.source = {begin})
    OR m.source <> m.before
    OR m.is_last AND m.target <> d.state
    OR m.before_at > m.at + %(skew)s::interval
"""
    return SqlCheck(f"{history.label}: connected, allowed, ends where the document stands.", query, _moves(history))


def _moves(history: History) -> dict[str, Any]:
    moves = history.flow.moves
    return {
        "label": history.label,
        "sources": [str(move.source) for move in moves],
        "actions": [move.action for move in moves],
        "targets": [str(move.target) for move in moves],
        "begins": [str(state) for state in history.begins],
        "skew": SKEW,
    }


I17 = Invariant("I17", "每次状态变化都有流转记录，重放即得现状", tuple(_replay(history) for history in HISTORIES))
