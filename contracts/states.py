"""The life of a contract, of its supplements and of an investment project, each as one table."""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine

PLATFORM = "purchasing"  # the role of a procurement platform (政采云) that speaks by the API


class ContractState(TextChoices):
    """采购合同. Source: docs/contracts.md §life."""

    DRAFT = "draft", "草拟"
    FILED = "filed", "已备案"
    PERFORMING = "performing", "履行中"
    ACCEPTED = "accepted", "已验收"
    COMPLETED = "completed", "已完结"
    TERMINATED = "terminated", "已终止"


C = ContractState
# fmt: off
CONTRACT_FLOW = StateMachine(
    # action        from            to              who
    M("revise",     C.DRAFT,        C.DRAFT,        f"unit_clerk|{PLATFORM}"),
    M("return",     C.DRAFT,        C.DRAFT,        "section_reviewer"),
    M("file",       C.DRAFT,        C.FILED,        "section_reviewer"),
    M("drop",       C.DRAFT,        C.TERMINATED,   "unit_clerk"),
    M("start",      C.FILED,        C.PERFORMING,   "unit_clerk"),
    M("accept",     C.FILED,        C.ACCEPTED,     f"unit_reviewer|{PLATFORM}"),
    M("accept",     C.PERFORMING,   C.ACCEPTED,     f"unit_reviewer|{PLATFORM}"),
    M("complete",   C.ACCEPTED,     C.COMPLETED,    "section_reviewer"),
    M("terminate",  C.FILED,        C.TERMINATED,   "section_reviewer"),
    M("terminate",  C.PERFORMING,   C.TERMINATED,   "section_reviewer"),
    M("terminate",  C.ACCEPTED,     C.TERMINATED,   "section_reviewer"),
)
# fmt: on
PAYABLE = frozenset({C.FILED, C.PERFORMING, C.ACCEPTED})


class SupplementState(TextChoices):
    """补充合同."""

    DRAFT = "draft", "待审"
    APPROVED = "approved", "已生效"
    REJECTED = "rejected", "已否决"


S = SupplementState
# fmt: off
SUPPLEMENT_FLOW = StateMachine(
    M("approve",    S.DRAFT,        S.APPROVED,     "section_reviewer"),
    M("reject",     S.DRAFT,        S.REJECTED,     "section_reviewer"),
)
# fmt: on


class ProjectState(TextChoices):
    """政府投资项目."""

    DRAFT = "draft", "待审"
    APPROVED = "approved", "已批准"
    REJECTED = "rejected", "已否决"
    CLOSED = "closed", "已竣工决算"


P = ProjectState
# fmt: off
PROJECT_FLOW = StateMachine(
    M("approve",    P.DRAFT,        P.APPROVED,     "section_reviewer"),
    M("reject",     P.DRAFT,        P.REJECTED,     "section_reviewer"),
    M("close",      P.APPROVED,     P.CLOSED,       "section_reviewer"),
)
# fmt: on
