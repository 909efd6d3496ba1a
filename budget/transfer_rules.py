"""调剂规则: what money may not become when it moves from one indicator to another. Pure: no database, no clock.

Source: docs/budget.md §transfers.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from budget.errors import TransferForbidden
from budget.terms import BudgetClass, DirectFund, Sanbao
from core.money import ZERO, format_yuan

# 公务接待费, 因公出国(境)费用, 公务用车运行维护费, 公务用车购置: their sum per unit is capped by the budget.
THREE_PUBLIC = ("50206", "50207", "50208", "50303")


@dataclass(frozen=True)
class Side:
    """One line of a transfer: its indicator as the rules look at it, and by how much it changes (yuan, signed)."""

    amount: Decimal
    unit_code: str
    fiscal_year: int
    fund_nature: str
    function_code: str
    gov_economic_code: str
    budget_class: str
    sanbao: str
    direct_fund: str


def transfer_findings(sides: Sequence[Side]) -> list[TransferForbidden]:
    """Return every rule the transfer breaks, each with the field and the remedy; empty if it may be made."""
    found = []
    taken, given = -_sum(s for s in sides if s.amount < 0), _sum(s for s in sides if s.amount > 0)
    if not taken or taken != given:
        found.append(
            _forbidden("amount", f"调出 {format_yuan(taken)} 与调入 {format_yuan(given)} 不相等，请使两者一致。")
        )
    if len({s.fund_nature for s in sides}) > 1:
        found.append(_forbidden("fund_nature", "只能在同一资金性质内调剂；跨资金性质请分别追减和追加。"))
    if len({s.fiscal_year for s in sides}) > 1:
        found.append(_forbidden("fiscal_year", "只能在同一年度内调剂；上年资金请办理结转。"))
    for tag, change in _changes(sides, lambda s: s.direct_fund).items():
        if tag != DirectFund.NONE and change < 0:
            label = DirectFund(tag).label
            found.append(
                _forbidden("direct_fund", f"{label}不得调出到其他资金，请调入同为「{label}」的指标，或由原渠道收回。")
            )
    if _changes(sides, lambda s: s.budget_class).get(BudgetClass.PERSONNEL, ZERO) < 0:
        found.append(
            _forbidden("budget_class", "人员类资金不得调剂到运转类或项目，请调入人员类指标，或追减后另行安排。")
        )
    if len({s.unit_code for s in sides}) == 1:
        for code, change in sorted(_changes(sides, lambda s: s.gov_economic_code).items()):
            if code in THREE_PUBLIC and change > 0:
                found.append(
                    _forbidden(
                        "gov_economic_code", f"不得通过单位内调剂增加「三公」经费（{code}），请按预算调整程序追加。"
                    )
                )
    return found


def leader_reasons(sides: Sequence[Side]) -> list[str]:
    """Return why a leader must approve this transfer besides the budget section; empty if none need."""
    reasons = []
    kept = _changes(sides, lambda s: "" if s.sanbao == Sanbao.NONE else "sanbao")
    if kept.get("sanbao", ZERO) < 0:
        reasons.append("三保资金调出到非三保")
    if len({s.function_code[:3] for s in sides}) > 1:
        reasons.append("跨功能分类类级调剂")
    if len({s.unit_code for s in sides}) > 1:
        reasons.append("跨单位调剂")
    return reasons


def _changes(sides: Iterable[Side], key: Callable[[Side], str]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for side in sides:
        sums[key(side)] += side.amount
    return sums


def _sum(sides: Iterable[Side]) -> Decimal:
    return sum((side.amount for side in sides), ZERO)


def _forbidden(field: str, message: str) -> TransferForbidden:
    return TransferForbidden(message, field=field)
