"""What becomes of a hit. Source: docs/business.md §monitoring."""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine


class AlertState(TextChoices):
    NOTED = "noted", "已提示"
    PENDING = "pending", "待处置"
    PASSED = "passed", "已放行"
    REJECTED = "rejected", "已退回"
    BLOCKED = "blocked", "已拦截"


A = AlertState
# fmt: off
ALERT_FLOW = StateMachine(
    # action    from        to           who
    M("pass",   A.PENDING,  A.PASSED,    "monitor_officer"),
    M("reject", A.PENDING,  A.REJECTED,  "monitor_officer"),
)
# fmt: on
