"""What becomes of a hit, of the case it opens, of a change of a rule, and of an entry of a register.

Source: docs/monitoring.md.
"""

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


class CaseState(TextChoices):
    AWAITING = "awaiting", "待单位说明"
    EXPLAINED = "explained", "已说明，待核实"
    RECTIFYING = "rectifying", "待整改"
    RECOVERING = "recovering", "待追回资金"
    ANSWERED = "answered", "已反馈，待核销"
    CLOSED = "closed", "已核销"


C = CaseState
UNIT_SIDE = "unit_clerk|unit_reviewer|unit_leader"
VERIFIERS = "monitor_officer|section_reviewer|treasury_chief"
LIFTERS = f"{VERIFIERS}|system"
# fmt: off
CASE_FLOW = StateMachine(
    # action      from          to            who
    M("explain",  C.AWAITING,   C.EXPLAINED,  UNIT_SIDE),
    M("explain",  C.EXPLAINED,  C.EXPLAINED,  UNIT_SIDE),
    M("pass",     C.AWAITING,   C.CLOSED,     VERIFIERS),
    M("pass",     C.EXPLAINED,  C.CLOSED,     VERIFIERS),
    M("void",     C.AWAITING,   C.CLOSED,     VERIFIERS),
    M("void",     C.EXPLAINED,  C.CLOSED,     VERIFIERS),
    M("rectify",  C.AWAITING,   C.RECTIFYING, VERIFIERS),
    M("rectify",  C.EXPLAINED,  C.RECTIFYING, VERIFIERS),
    M("recover",  C.AWAITING,   C.RECOVERING, VERIFIERS),
    M("recover",  C.EXPLAINED,  C.RECOVERING, VERIFIERS),
    M("feedback", C.RECTIFYING, C.ANSWERED,   UNIT_SIDE),
    M("feedback", C.RECOVERING, C.ANSWERED,   UNIT_SIDE),
    M("close",    C.ANSWERED,   C.CLOSED,     VERIFIERS),
    M("reopen",   C.ANSWERED,   C.RECTIFYING, VERIFIERS),
    M("escalate", C.AWAITING,   C.AWAITING,   LIFTERS),
    M("escalate", C.EXPLAINED,  C.EXPLAINED,  LIFTERS),
    M("escalate", C.RECTIFYING, C.RECTIFYING, LIFTERS),
    M("escalate", C.RECOVERING, C.RECOVERING, LIFTERS),
    M("escalate", C.ANSWERED,   C.ANSWERED,   LIFTERS),
)
# fmt: on
OPEN_CASES = tuple(state for state in CaseState if state != CaseState.CLOSED)


class Verdict(TextChoices):
    """核实结论; what the verifier finds. `escalate` leaves the case open, one level higher."""

    PASS = "pass", "正常放行"
    RECTIFY = "rectify", "要求整改"
    VOID = "void", "退回作废"
    RECOVER = "recover", "追回资金"
    ESCALATE = "escalate", "上升一级"


class ChangeState(TextChoices):
    PROPOSED = "proposed", "待试运行"
    REHEARSED = "rehearsed", "已试运行，待启用"
    ENABLED = "enabled", "已生效"
    WITHDRAWN = "withdrawn", "已撤回"


RULE_KEEPERS = "monitor_officer|treasury_chief|system_admin"
H = ChangeState
# fmt: off
CHANGE_FLOW = StateMachine(
    # action      from         to            who
    M("rehearse", H.PROPOSED,  H.REHEARSED,  RULE_KEEPERS),
    M("rehearse", H.REHEARSED, H.REHEARSED,  RULE_KEEPERS),
    M("enable",   H.REHEARSED, H.ENABLED,    RULE_KEEPERS),
    M("withdraw", H.PROPOSED,  H.WITHDRAWN,  RULE_KEEPERS),
    M("withdraw", H.REHEARSED, H.WITHDRAWN,  RULE_KEEPERS),
)
# fmt: on


class EntryState(TextChoices):
    PROPOSED = "proposed", "待复核"
    ACTIVE = "active", "有效"
    REFUSED = "refused", "未通过"
    ENDED = "ended", "已终止"


E = EntryState
REGISTRARS = "monitor_officer|treasury_chief"
# fmt: off
ENTRY_FLOW = StateMachine(
    # action    from        to          who
    M("approve", E.PROPOSED, E.ACTIVE,  REGISTRARS),
    M("refuse",  E.PROPOSED, E.REFUSED, REGISTRARS),
    M("end",     E.ACTIVE,   E.ENDED,   REGISTRARS),
)
# fmt: on
