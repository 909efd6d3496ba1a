"""What the pages of contracts and projects need besides `guoku`: their colours, steps in words, shares in percent."""

from decimal import Decimal

from django import template

from contracts.states import ContractState, ProjectState, SupplementState
from dashboards.contract_forms import percent as _percent

register = template.Library()

_TONES = {
    "ok": (ContractState.ACCEPTED, ContractState.COMPLETED, SupplementState.APPROVED, ProjectState.CLOSED),
    "off": (ContractState.TERMINATED, SupplementState.REJECTED),
}
_TONE_OF = {str(state): tone for tone, states in _TONES.items() for state in states}
_ACTIONS = {
    "revise": "修改",
    "return": "退回修改",
    "file": "备案",
    "drop": "作废草稿",
    "start": "开始履行",
    "accept": "最终验收",
    "complete": "完结",
    "terminate": "终止",
    "approve": "批准",
    "reject": "否决",
    "close": "竣工决算",
}


@register.filter
def contract_tone(state: str) -> str:
    """Return the colour class of a state; the text always stands beside it."""
    return _TONE_OF.get(str(state), "run")


@register.filter
def contract_action(action: str) -> str:
    return _ACTIONS.get(action, action)


@register.filter
def percent(ratio: Decimal) -> str:
    return f"{_percent(ratio)}%"


@register.filter
def row_name(prefix: str, number: int) -> str:
    """Return the name of the numbered row that a field belongs to: `terms-` and 2 give `terms-2`."""
    return f"{prefix}{number}"
