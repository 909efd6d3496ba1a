"""The life of a payment request as one table. Source: docs/business.md §payment states."""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine


class RequestState(TextChoices):
    DRAFT = "draft", "草稿"
    BLOCKED = "blocked", "已拦截"
    ON_HOLD = "on_hold", "监控挂起"
    IN_REVIEW = "in_review", "待审核"
    RETURNED = "returned", "已退回"
    APPROVED = "approved", "已终审"
    VOUCHERED = "vouchered", "已生成凭证"
    SEALED = "sealed", "已签章发送"
    ON_PAPER = "on_paper", "纸质凭证在途"
    ACCEPTED = "accepted", "银行已签收"
    BANK_REFUSED = "bank_refused", "银行退回"
    PAID = "paid", "已支付"
    PARTIALLY_PAID = "partially_paid", "部分支付"
    FAILED = "failed", "支付失败"
    CLEARED = "cleared", "已清算"
    VOIDED = "voided", "已作废"
    WITHDRAWN = "withdrawn", "已撤回"


S = RequestState
REVIEWERS = "unit_reviewer|unit_leader|section_reviewer|payment_reviewer|treasury_chief"
MAKERS = "voucher_maker|unit_clerk"
PAYERS = "agent_bank|pboc"  # PBoC itself pays an appropriation
PAPER_CONFIRMERS = "treasury_chief"  # the second person behind an answer that came on paper
SEALERS = "seal_keeper|unit_sealer|name_seal|unit_name_seal"
# fmt: off
REQUEST_FLOW = StateMachine(
    # action           from               to                 who
    M("submit",        S.DRAFT,           S.IN_REVIEW,       "unit_clerk"),
    M("submit",        S.RETURNED,        S.IN_REVIEW,       "unit_clerk"),
    M("hold",          S.DRAFT,           S.ON_HOLD,         "unit_clerk"),
    M("hold",          S.RETURNED,        S.ON_HOLD,         "unit_clerk"),
    M("hold",          S.IN_REVIEW,       S.ON_HOLD,         REVIEWERS),
    M("block",         S.DRAFT,           S.BLOCKED,         "unit_clerk"),
    M("block",         S.RETURNED,        S.BLOCKED,         "unit_clerk"),
    M("revise",        S.DRAFT,           S.DRAFT,           "unit_clerk"),
    M("revise",        S.RETURNED,        S.RETURNED,        "unit_clerk"),
    M("revise",        S.BLOCKED,         S.DRAFT,           "unit_clerk"),
    M("pass_hold",     S.ON_HOLD,         S.IN_REVIEW,       "monitor_officer"),
    M("reject_hold",   S.ON_HOLD,         S.RETURNED,        "monitor_officer"),
    M("advance",       S.IN_REVIEW,       S.IN_REVIEW,       REVIEWERS),
    M("countersign",   S.IN_REVIEW,       S.IN_REVIEW,       REVIEWERS),
    M("approve",       S.IN_REVIEW,       S.APPROVED,        REVIEWERS),
    M("return",        S.IN_REVIEW,       S.RETURNED,        REVIEWERS),
    M("reject",        S.IN_REVIEW,       S.VOIDED,          REVIEWERS),
    M("cancel",        S.DRAFT,           S.VOIDED,          "unit_clerk"),
    M("cancel",        S.RETURNED,        S.VOIDED,          "unit_clerk"),
    M("cancel",        S.BLOCKED,         S.VOIDED,          "unit_clerk"),
    M("give_up",       S.APPROVED,        S.VOIDED,          "unit_clerk"),
    M("issue",         S.APPROVED,        S.VOUCHERED,       MAKERS),
    M("cancel_voucher", S.VOUCHERED,      S.APPROVED,        MAKERS),
    M("stamp",         S.VOUCHERED,       S.VOUCHERED,       SEALERS),
    M("seal",          S.VOUCHERED,       S.SEALED,          SEALERS),
    M("print",         S.VOUCHERED,       S.ON_PAPER,        MAKERS),
    M("accept",        S.SEALED,          S.ACCEPTED,        PAYERS),
    M("bank_refuse",   S.SEALED,          S.BANK_REFUSED,    PAYERS),
    M("bank_refuse",   S.ACCEPTED,        S.BANK_REFUSED,    PAYERS),
    M("void_refused",  S.BANK_REFUSED,    S.VOIDED,          MAKERS),
    M("withdraw",      S.BANK_REFUSED,    S.WITHDRAWN,       "system"),
    M("pay_full",      S.SEALED,          S.PAID,            PAYERS),
    M("pay_full",      S.ACCEPTED,        S.PAID,            PAYERS),
    M("pay_part",      S.SEALED,          S.PARTIALLY_PAID,  PAYERS),
    M("pay_part",      S.ACCEPTED,        S.PARTIALLY_PAID,  PAYERS),
    M("fail",          S.SEALED,          S.FAILED,          PAYERS),
    M("fail",          S.ACCEPTED,        S.FAILED,          PAYERS),
    M("pay_full",      S.ON_PAPER,        S.PAID,            PAPER_CONFIRMERS),
    M("pay_part",      S.ON_PAPER,        S.PARTIALLY_PAID,  PAPER_CONFIRMERS),
    M("fail",          S.ON_PAPER,        S.FAILED,          PAPER_CONFIRMERS),
    M("clear",         S.PAID,            S.CLEARED,         "pboc"),
    M("clear",         S.PARTIALLY_PAID,  S.CLEARED,         "pboc"),
)
# fmt: on

EDITABLE = frozenset({S.DRAFT, S.RETURNED, S.BLOCKED})
RESERVING = frozenset(
    {S.ON_HOLD, S.IN_REVIEW, S.APPROVED, S.VOUCHERED, S.SEALED, S.ON_PAPER, S.ACCEPTED, S.BANK_REFUSED}
)
PAID_STATES = frozenset({S.PAID, S.PARTIALLY_PAID, S.CLEARED})
LIVE = RESERVING | PAID_STATES  # holds or has used what it names; given back by a void, a return or a failure


class DetailState(TextChoices):
    OPEN = "open", "未支付"
    PAID = "paid", "已支付"
    FAILED = "failed", "失败"


D = DetailState
# fmt: off
DETAIL_FLOW = StateMachine(
    M("pay",  D.OPEN, D.PAID,   PAYERS),
    M("fail", D.OPEN, D.FAILED, PAYERS),
)
# fmt: on


class RecallState(TextChoices):
    """撤回申请. While it is ASKING the bank may still pay: the money stays reserved. Source: docs/exceptions.md."""

    REQUESTED = "requested", "待财政批准"
    REJECTED = "rejected", "财政不同意"
    ASKING = "asking", "待银行答复"
    WITHDRAWN = "withdrawn", "银行确认未支付"
    OVERTAKEN = "overtaken", "银行已支付"
    LAPSED = "lapsed", "不再需要"


R = RecallState
RECALL_APPROVERS = "payment_reviewer|treasury_chief"
# fmt: off
RECALL_FLOW = StateMachine(
    M("approve",   R.REQUESTED, R.ASKING,    RECALL_APPROVERS),
    M("reject",    R.REQUESTED, R.REJECTED,  RECALL_APPROVERS),
    M("lapse",     R.REQUESTED, R.LAPSED,    "unit_clerk|agent_bank|system"),
    M("withdraw",  R.ASKING,    R.WITHDRAWN, "system"),
    M("overtake",  R.ASKING,    R.OVERTAKEN, "agent_bank"),
    M("lapse",     R.ASKING,    R.LAPSED,    "agent_bank|system"),
)
# fmt: on
OPEN_RECALLS = frozenset({R.REQUESTED, R.ASKING})


class RefundCaseState(TextChoices):
    """待查退款: money a bank holds whose original it could not name."""

    OPEN = "open", "待查"
    PROPOSED = "proposed", "已认定待复核"
    IDENTIFIED = "identified", "已核定"


C = RefundCaseState
PROPOSERS = "unit_clerk|voucher_maker"
CONFIRMERS = "unit_reviewer|payment_reviewer|treasury_chief"
# fmt: off
REFUND_CASE_FLOW = StateMachine(
    M("propose",  C.OPEN,     C.PROPOSED,   PROPOSERS),
    M("confirm",  C.PROPOSED, C.IDENTIFIED, CONFIRMERS),
    M("decline",  C.PROPOSED, C.OPEN,       CONFIRMERS),
)
# fmt: on


class CorrectionState(TextChoices):
    """更正申请. What it moves is held on the target from submitting until PBoC has answered."""

    DRAFT = "draft", "草稿"
    IN_REVIEW = "in_review", "待审核"
    RETURNED = "returned", "已退回"
    APPROVED = "approved", "已终审"
    VOUCHERED = "vouchered", "已生成凭证"
    SEALED = "sealed", "已签章发送"
    ACCEPTED = "accepted", "国库已签收"
    EXECUTED = "executed", "已更正"
    PBOC_REFUSED = "pboc_refused", "国库退回"
    FAILED = "failed", "国库处理失败"
    VOIDED = "voided", "已作废"


K = CorrectionState
KEEPERS = "seal_keeper|name_seal"
# fmt: off
CORRECTION_FLOW = StateMachine(
    M("submit",         K.DRAFT,        K.IN_REVIEW,    "unit_clerk"),
    M("submit",         K.RETURNED,     K.IN_REVIEW,    "unit_clerk"),
    M("cancel",         K.DRAFT,        K.VOIDED,       "unit_clerk"),
    M("cancel",         K.RETURNED,     K.VOIDED,       "unit_clerk"),
    M("advance",        K.IN_REVIEW,    K.IN_REVIEW,    REVIEWERS),
    M("countersign",    K.IN_REVIEW,    K.IN_REVIEW,    REVIEWERS),
    M("approve",        K.IN_REVIEW,    K.APPROVED,     REVIEWERS),
    M("return",         K.IN_REVIEW,    K.RETURNED,     REVIEWERS),
    M("reject",         K.IN_REVIEW,    K.VOIDED,       REVIEWERS),
    M("issue",          K.APPROVED,     K.VOUCHERED,    "voucher_maker"),
    M("cancel_voucher", K.VOUCHERED,    K.APPROVED,     "voucher_maker"),
    M("stamp",          K.VOUCHERED,    K.VOUCHERED,    KEEPERS),
    M("seal",           K.VOUCHERED,    K.SEALED,       KEEPERS),
    M("accept",         K.SEALED,       K.ACCEPTED,     "pboc"),
    M("pboc_refuse",    K.SEALED,       K.PBOC_REFUSED, "pboc"),
    M("pboc_refuse",    K.ACCEPTED,     K.PBOC_REFUSED, "pboc"),
    M("execute",        K.SEALED,       K.EXECUTED,     "pboc"),
    M("execute",        K.ACCEPTED,     K.EXECUTED,     "pboc"),
    M("fail",           K.SEALED,       K.FAILED,       "pboc"),
    M("fail",           K.ACCEPTED,     K.FAILED,       "pboc"),
    M("void_refused",   K.PBOC_REFUSED, K.VOIDED,       "voucher_maker"),
)
# fmt: on
CORRECTION_HOLDS = frozenset({K.IN_REVIEW, K.APPROVED, K.VOUCHERED, K.SEALED, K.ACCEPTED, K.PBOC_REFUSED})
CORRECTION_LIVE = CORRECTION_HOLDS | {K.DRAFT, K.RETURNED, K.EXECUTED}
