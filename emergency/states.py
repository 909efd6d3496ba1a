"""The life of an emergency window, of a voucher on paper, and of an answer. Source: docs/paper-fallback.md."""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine
from payments.states import PAPER_CONFIRMERS


class WindowState(TextChoices):
    DECLARED = "declared", "待确认"
    OPEN = "open", "应急中"
    REJECTED = "rejected", "未同意"
    CLOSED = "closed", "已结束"


DECLARERS = "treasury_chief"
SECONDS = "payment_reviewer|seal_keeper"
ENTERERS = "reconciler"

W = WindowState
# fmt: off
WINDOW_FLOW = StateMachine(
    M("confirm", W.DECLARED, W.OPEN,     SECONDS),
    M("reject",  W.DECLARED, W.REJECTED, SECONDS),
    M("close",   W.OPEN,     W.CLOSED,   DECLARERS),
)
# fmt: on


class PaperState(TextChoices):
    PRINTED = "printed", "待回单"
    ENTERED = "entered", "已补录待复核"
    SETTLED = "settled", "已结清"


P = PaperState
# fmt: off
PAPER_FLOW = StateMachine(
    M("enter",   P.PRINTED, P.ENTERED, ENTERERS),
    M("refuse",  P.ENTERED, P.PRINTED, PAPER_CONFIRMERS),
    M("confirm", P.ENTERED, P.SETTLED, PAPER_CONFIRMERS),
)
# fmt: on


class AnswerState(TextChoices):
    ENTERED = "entered", "待复核"
    REFUSED = "refused", "复核退回"
    CONFIRMED = "confirmed", "已确认"
