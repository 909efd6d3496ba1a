"""What is compared with whom, and what becomes of a sheet and of a difference.

Source: docs/business.md §reconciliation.
"""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine


class Pair(TextChoices):
    """对账关系 of one day."""

    BANK_PAYMENT = "bank_payment", "财政↔代理银行 支付"
    BANK_REFUND = "bank_refund", "财政↔代理银行 退款"
    PBOC_CLEARING = "pboc_clearing", "财政↔人民银行 清算"
    PBOC_LIMIT = "pboc_limit", "财政↔人民银行 清算额度"
    BANK_FUNDS = "bank_funds", "财政↔代理银行 专户与单位资金"
    PBOC_APPROPRIATION = "pboc_payment", "财政↔人民银行 实拨"


BANK_PAIRS = (Pair.BANK_PAYMENT, Pair.BANK_REFUND, Pair.BANK_FUNDS)
PBOC_PAIRS = (Pair.PBOC_CLEARING, Pair.PBOC_LIMIT, Pair.PBOC_APPROPRIATION)


class SheetState(TextChoices):
    MATCHED = "matched", "相符"
    DIFFERENT = "different", "不符"
    SETTLED = "settled", "已调平"


CLEAN = frozenset({SheetState.MATCHED, SheetState.SETTLED})


class DiscrepancyType(TextChoices):
    D1 = "D1", "我有对方无"
    D2 = "D2", "对方有我无"
    D3 = "D3", "金额不符"
    D4 = "D4", "状态不符"
    D5 = "D5", "要素不符"
    D6 = "D6", "时间差"


# The money is the same on both sides: a person may accept it with a reason. Everything else waits for a document.
ACCEPTABLE = frozenset({DiscrepancyType.D5, DiscrepancyType.D6})


class DiscrepancyState(TextChoices):
    OPEN = "open", "待处理"
    RESOLVED = "resolved", "已解决"


# fmt: off
SHEET_FLOW = StateMachine(
    M("settle",  SheetState.DIFFERENT,   SheetState.SETTLED,        "reconciler"),
)
DISCREPANCY_FLOW = StateMachine(
    M("resolve", DiscrepancyState.OPEN,  DiscrepancyState.RESOLVED, "reconciler"),
)
# fmt: on
