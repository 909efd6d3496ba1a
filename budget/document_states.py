"""The moves of a 指标文. Source: docs/budget.md."""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine


class DocumentState(TextChoices):
    DRAFT = "draft", "草稿"
    IN_REVIEW = "in_review", "待审"
    WITH_LEADER = "leader", "待分管领导审批"
    APPROVED = "approved", "已审待下达"
    ISSUED = "issued", "已下达"
    RETURNED = "returned", "已退回"
    REJECTED = "rejected", "已否决"
    CANCELLED = "cancelled", "已作废"


S = DocumentState
CLERK, APPROVER, LEADER = "budget_clerk", "budget_approver", "bureau_leader"
# fmt: off
DOCUMENT_FLOW = StateMachine(
    # action      from           to             who
    M("submit",   S.DRAFT,       S.IN_REVIEW,   CLERK),
    M("submit",   S.RETURNED,    S.IN_REVIEW,   CLERK),
    M("cancel",   S.DRAFT,       S.CANCELLED,   CLERK),
    M("cancel",   S.RETURNED,    S.CANCELLED,   CLERK),
    M("approve",  S.IN_REVIEW,   S.APPROVED,    APPROVER),
    M("pass_on",  S.IN_REVIEW,   S.WITH_LEADER, APPROVER),
    M("approve",  S.WITH_LEADER, S.APPROVED,    LEADER),
    M("return",   S.IN_REVIEW,   S.RETURNED,    APPROVER),
    M("return",   S.WITH_LEADER, S.RETURNED,    LEADER),
    M("reject",   S.IN_REVIEW,   S.REJECTED,    APPROVER),
    M("reject",   S.WITH_LEADER, S.REJECTED,    LEADER),
    M("issue",    S.APPROVED,    S.ISSUED,      CLERK),
    M("return",   S.APPROVED,    S.RETURNED,    APPROVER),
)


class CarryOverState(TextChoices):
    PROPOSED = "proposed", "待审批"
    APPROVED = "approved", "已审批"
    APPLIED = "applied", "已执行"


C = CarryOverState
CARRY_FLOW = StateMachine(
    M("approve", C.PROPOSED, C.APPROVED, APPROVER),
    M("return",  C.APPROVED, C.PROPOSED, APPROVER),
    M("apply",   C.APPROVED, C.APPLIED,  "treasury_chief"),
)


class CancellationState(TextChoices):
    OPEN = "open", "待三方核对"
    APPLIED = "applied", "已注销"


CANCELLATION_FLOW = StateMachine(
    M("apply",   CancellationState.OPEN, CancellationState.APPLIED, "reconciler"),
)


class YearState(TextChoices):
    OPEN = "open", "开放"
    CLOSING = "closing", "结转中"
    CLOSED = "closed", "已年结"


YEAR_FLOW = StateMachine(
    M("begin",   YearState.OPEN,    YearState.CLOSING, "treasury_chief"),
    M("close",   YearState.CLOSING, YearState.CLOSED,  "treasury_chief"),
)
# fmt: on
