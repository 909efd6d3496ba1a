"""How serious a hit is, and what it does to the document. Source: docs/monitoring.md."""

from collections.abc import Iterable

from django.db.models import TextChoices

from monitoring.facts import Hit


class Severity(TextChoices):
    """预警级别, mildest first."""

    YELLOW = "yellow", "三级（黄）"
    ORANGE = "orange", "二级（橙）"
    RED = "red", "一级（红）"


class Action(TextChoices):
    """What a hit does, mildest first: RECORD and REMIND let the document go on, HOLD waits for a monitoring
    officer, BLOCK stops it."""

    RECORD = "record", "记录"
    REMIND = "remind", "提示"
    HOLD = "hold", "挂起"
    BLOCK = "block", "拦截"


def worst_action(hits: Iterable[Hit]) -> Action | None:
    """Return the strictest action among the hits, or None without hits."""
    order = list(Action)
    return max((Action(hit.action) for hit in hits), key=order.index, default=None)
