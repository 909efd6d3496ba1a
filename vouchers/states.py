"""States of the library. Source: docs/reliability.md; the numbers are the library's own (`library_code`)."""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine


class VoucherState(TextChoices):
    """Where a document of ours stands between us and its receiver."""

    GENERATED = "generated", "已生成"
    SEALED = "sealed", "已签章待发送"
    SIGNED_FOR = "signed_for", "对方已签收"
    REFUSED = "refused", "对方签收失败"
    RETURNED = "returned", "对方已退回"
    RECEIPTED = "receipted", "已收到回单"
    VOID = "void", "已作废"
    PAPER = "paper", "已转纸质"


LIBRARY_CODE = {
    VoucherState.GENERATED: 13,
    VoucherState.SEALED: 0,
    VoucherState.SIGNED_FOR: 3,
    VoucherState.REFUSED: 4,
    VoucherState.RETURNED: 5,
    VoucherState.RECEIPTED: 12,
    VoucherState.VOID: 5,
    VoucherState.PAPER: 13,
}

V = VoucherState
# fmt: off
VOUCHER_FLOW = StateMachine(
    # action       from            to              who
    M("seal",      V.GENERATED,    V.SEALED,       "seal_keeper|name_seal|unit_sealer|unit_name_seal|system"),
    M("void",      V.GENERATED,    V.VOID,         "voucher_maker|unit_clerk"),
    M("sign_for",  V.SEALED,       V.SIGNED_FOR,   "agent_bank|pboc"),
    M("refuse",    V.SEALED,       V.REFUSED,      "agent_bank|pboc"),
    M("return",    V.SIGNED_FOR,   V.RETURNED,     "agent_bank|pboc"),
    M("return",    V.SEALED,       V.RETURNED,     "agent_bank|pboc"),
    M("receipt",   V.SIGNED_FOR,   V.RECEIPTED,    "agent_bank|pboc"),
    M("receipt",   V.SEALED,       V.RECEIPTED,    "agent_bank|pboc"),
    M("void",      V.REFUSED,      V.VOID,         "voucher_maker|unit_clerk"),
    M("void",      V.RETURNED,     V.VOID,         "voucher_maker|unit_clerk"),
    M("print",     V.GENERATED,    V.PAPER,        "voucher_maker|unit_clerk|system"),  # and no way back to a seal
)
# fmt: on


class DeliveryState(TextChoices):
    """An outbox row. UNKNOWN is the third answer: neither delivered nor not, until asked."""

    QUEUED = "queued", "待发送"
    SENDING = "sending", "发送中"
    UNKNOWN = "unknown", "结果未知"
    DELIVERED = "delivered", "已送达"
    REFUSED = "refused", "被拒收"


class InboxState(TextChoices):
    """An inbound document: stored first, acted on after."""

    RECEIVED = "received", "已收待办"
    APPLIED = "applied", "已处理"
    PARKED = "parked", "等待前置"
    REFUSED = "refused", "已拒绝"
    DEAD = "dead", "转人工"
