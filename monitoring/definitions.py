"""What a rule of the catalogue consists of: everything about it that a region does not set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from monitoring.facts import Finding
from monitoring.levels import Action, Severity
from monitoring.parameters import Parameter
from monitoring.points import Need, Point

Evaluate = Callable[[Any, Mapping[str, str]], Finding | None]

ON_PAYMENT = (Point.PAYMENT_SUBMIT, Point.FINAL_APPROVAL)
ONCE_A_DAY = (Point.SCHEDULED,)


@dataclass(frozen=True)
class Rule:
    """One rule of the catalogue: `basis` is the regulation behind it, `hint` tells the clerk what to do.

    `ascending` names parameters whose values must rise strictly in this order. A `hard` rule has no settings and
    cannot be switched off: it is a refusal in the service named by `enforced_in`. Only `evaluate` differs from rule to
    rule; a hard rule whose check stands elsewhere has none. A rule that does not `start_enabled` is rehearsed first.
    """

    code: str
    name: str
    theme: str
    severity: Severity
    action: Action
    basis: str
    hint: str
    evaluate: Evaluate | None
    parameters: tuple[Parameter, ...] = ()
    ascending: tuple[str, ...] = ()
    points: tuple[Point, ...] = ON_PAYMENT
    needs: frozenset[Need] = frozenset()
    start_enabled: bool = False
    hard: bool = False
    enforced_in: str = ""

    @property
    def scheduled(self) -> bool:
        return self.points == ONCE_A_DAY

    @property
    def trigger_class(self) -> str:
        return "定时（事后）" if self.scheduled else "实时（事中）"

    @property
    def points_text(self) -> str:
        return "、".join(str(point.label) for point in self.points)

    @property
    def defaults(self) -> dict[str, str]:
        return {parameter.name: parameter.default for parameter in self.parameters}

    @property
    def actions(self) -> tuple[Action, ...]:
        """What a hit may do: a scheduled rule comes too late to stop anything, it may only record or urge."""
        return (Action.RECORD, Action.REMIND) if self.scheduled else tuple(Action)

    def findings(self, values: object) -> list[str]:
        """Return what is wrong with these parameter values, in Chinese; empty if nothing is."""
        if not isinstance(values, dict):
            return ["参数须为 JSON 对象。"]
        known = {parameter.name: parameter for parameter in self.parameters}
        found = [f"未知参数「{name}」。" for name in values if name not in known]
        found += [f"缺少参数「{name}」（{known[name].label}）。" for name in known if name not in values]
        for name, value in values.items():
            if name in known and not known[name].is_valid(value):
                example = known[name].default
                found.append(f'参数「{name}」（{known[name].label}）格式不对，应为如 "{example}" 的文本。')
        if not found and self.ascending:
            ordered = [Decimal(values[name]) for name in self.ascending]
            if any(low >= high for low, high in pairwise(ordered)):
                found.append(f"参数须依次递增：{' < '.join(self.ascending)}。")
        return found
