from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine


class PlanState(TextChoices):
    """用款计划. Source: docs/business.md §plans."""

    DRAFT = "draft", "草稿"
    IN_REVIEW = "in_review", "待审核"
    RETURNED = "returned", "已退回"
    APPROVED = "approved", "已批复"
    NOTIFIED = "notified", "已下达额度通知"
    ARRIVED = "arrived", "额度已到账"
    CANCELLED = "cancelled", "已作废"


P = PlanState
_REVIEWERS = "unit_reviewer|section_reviewer|plan_reviewer"
# fmt: off
PLAN_FLOW = StateMachine(
    # action     from           to            who
    M("submit",  P.DRAFT,       P.IN_REVIEW,  "unit_clerk"),
    M("submit",  P.RETURNED,    P.IN_REVIEW,  "unit_clerk"),
    M("lapse",   P.DRAFT,       P.IN_REVIEW,  "reconciler"),
    M("advance", P.IN_REVIEW,   P.IN_REVIEW,  _REVIEWERS),
    M("countersign", P.IN_REVIEW, P.IN_REVIEW, _REVIEWERS),
    M("approve", P.IN_REVIEW,   P.APPROVED,   _REVIEWERS),
    M("return",  P.IN_REVIEW,   P.RETURNED,   _REVIEWERS),
    M("cancel",  P.DRAFT,       P.CANCELLED,  "unit_clerk"),
    M("cancel",  P.RETURNED,    P.CANCELLED,  "unit_clerk"),
    M("notify",  P.APPROVED,    P.NOTIFIED,   "voucher_maker"),
    M("arrive",  P.NOTIFIED,    P.ARRIVED,    "agent_bank"),
)
# fmt: on
