"""The lives of a salary batch and of a benefit list as tables. What happens after the payments exist is derived from
them (`payroll.progress`), so no state here can contradict what the banks said. Source: docs/payroll.md.
"""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine


class BatchState(TextChoices):
    DRAFT = "draft", "编制"
    SUBMITTED = "submitted", "待编办人社核定"
    CHECKED = "checked", "编办人社已核定"
    CONFIRMED = "confirmed", "财政已核定"
    GENERATED = "generated", "已生成支付"
    VOIDED = "voided", "已作废"


S = BatchState
# fmt: off
BATCH_FLOW = StateMachine(
    # action     from         to           who
    M("submit",   S.DRAFT,     S.SUBMITTED, "unit_clerk"),
    M("check",    S.SUBMITTED, S.CHECKED,   "roster_checker"),
    M("return",   S.SUBMITTED, S.DRAFT,     "roster_checker"),
    M("confirm",  S.CHECKED,   S.CONFIRMED, "section_reviewer"),
    M("return",   S.CHECKED,   S.DRAFT,     "section_reviewer"),
    M("generate", S.CONFIRMED, S.GENERATED, "unit_clerk"),
    M("void",     S.DRAFT,     S.VOIDED,    "unit_clerk"),
    M("void",     S.CONFIRMED, S.VOIDED,    "unit_clerk"),
    M("void",     S.GENERATED, S.VOIDED,    "unit_clerk"),
)
# fmt: on


class ListState(TextChoices):
    DRAFT = "draft", "编制"
    PUBLISHED = "published", "公示中"
    CONFIRMED = "confirmed", "财政已核定"
    GENERATED = "generated", "已生成支付"
    VOIDED = "voided", "已作废"


L = ListState
# fmt: off
LIST_FLOW = StateMachine(
    # action     from         to           who
    M("publish",  L.DRAFT,     L.PUBLISHED, "unit_clerk"),
    M("confirm",  L.PUBLISHED, L.CONFIRMED, "section_reviewer"),
    M("return",   L.PUBLISHED, L.DRAFT,     "section_reviewer"),
    M("generate", L.CONFIRMED, L.GENERATED, "unit_clerk"),
    M("void",     L.DRAFT,     L.VOIDED,    "unit_clerk"),
    M("void",     L.CONFIRMED, L.VOIDED,    "unit_clerk"),
    M("void",     L.GENERATED, L.VOIDED,    "unit_clerk"),
)
# fmt: on
