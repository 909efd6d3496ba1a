"""The life of a version of a review chain. Source: docs/review-chains.md."""

from django.db.models import TextChoices

from core.transitions import Move as M
from core.transitions import StateMachine


class ChainState(TextChoices):
    DRAFT = "draft", "草案"
    ACTIVE = "active", "启用"
    RETIRED = "retired", "停用"


C = ChainState
CHAIN_FLOW = StateMachine(
    M("activate", C.DRAFT, C.ACTIVE, "system_admin|security_admin"),
    M("discard", C.DRAFT, C.RETIRED, "system_admin|security_admin"),
    M("retire", C.ACTIVE, C.RETIRED, "system_admin|security_admin"),
)
