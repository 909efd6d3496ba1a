"""The rules there are. A region switches them on, sets parameters, severity and action (`MonitoringRule`)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from monitoring.facts import PaymentFacts
from monitoring.levels import Action, Severity
from monitoring.rules import m01_large_payment, m04_cash_over_threshold, m07_own_account, m10_near_procurement_limit

Evaluate = Callable[[PaymentFacts, Mapping[str, str]], tuple[str, dict[str, Any]] | None]

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,13})\.[0-9]{2}", re.ASCII)
_RATIO = re.compile(r"(0\.[0-9]{1,4}|1(\.0{1,4})?)", re.ASCII)


@dataclass(frozen=True)
class Parameter:
    """One setting of a rule: kind "amount" ("1000.00", yuan) or "ratio" ("0.95", 0 to 1). A string, never a float."""

    name: str
    label: str
    kind: str
    default: str

    def is_valid(self, value: object) -> bool:
        pattern = _AMOUNT if self.kind == "amount" else _RATIO
        return isinstance(value, str) and pattern.fullmatch(value) is not None


@dataclass(frozen=True)
class Rule:
    """One rule of the catalogue: `basis` is the regulation behind it, `hint` tells the clerk what to do.

    `ascending` names parameters whose values must rise strictly in this order.
    """

    code: str
    name: str
    theme: str
    severity: Severity
    action: Action
    basis: str
    hint: str
    evaluate: Evaluate
    parameters: tuple[Parameter, ...] = ()
    ascending: tuple[str, ...] = ()

    @property
    def defaults(self) -> dict[str, str]:
        return {parameter.name: parameter.default for parameter in self.parameters}

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


_CATALOGUE = (
    Rule(
        code="M01",
        name="单笔大额支付",
        theme="大额",
        severity=Severity.ORANGE,
        action=Action.HOLD,
        basis="财政国库动态监控管理办法：大额资金支付须由国库部门核准",
        hint="请上传合同、发票等依据，等待监控岗人工核实。",
        evaluate=m01_large_payment.evaluate,
        parameters=(Parameter("amount_from", "大额标准（元，含）", "amount", "500000.00"),),
    ),
    Rule(
        code="M04",
        name="现金超结算起点",
        theme="现金",
        severity=Severity.YELLOW,
        action=Action.REMIND,
        basis="《现金管理暂行条例》第五条：结算起点 1,000 元",
        hint="能转账或用公务卡的请改用转账或公务卡；确需现金的，请写明理由。",
        evaluate=m04_cash_over_threshold.evaluate,
        parameters=(
            Parameter("above", "结算起点（元，不含）", "amount", "1000.00"),
            Parameter("up_to", "上限（元，含）", "amount", "10000.00"),
        ),
        ascending=("above", "up_to"),
    ),
    Rule(
        code="M07",
        name="向本单位实有资金账户转款",
        theme="账户",
        severity=Severity.RED,
        action=Action.BLOCK,
        basis="财库〔2013〕96号等：零余额账户资金不得转入本单位实有资金账户",
        hint="请改为直接支付给最终收款人；属于允许转款的事项请联系国库部门。",
        evaluate=m07_own_account.evaluate,
    ),
    Rule(
        code="M10",
        name="接近采购限额",
        theme="采购",
        severity=Severity.ORANGE,
        action=Action.HOLD,
        basis="《政府采购法》第二十八条：不得化整为零规避采购",
        hint="属于采购的请补填合同编号；不属于采购的请说明情况，等待监控岗人工核实。",
        evaluate=m10_near_procurement_limit.evaluate,
        parameters=(
            Parameter("limit", "采购限额（元）", "amount", "100000.00"),
            Parameter("ratio_from", "起始比例（含）", "ratio", "0.95"),
        ),
    ),
)

RULES: dict[str, Rule] = {rule.code: rule for rule in _CATALOGUE}
