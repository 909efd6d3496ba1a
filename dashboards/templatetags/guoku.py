"""What templates need besides Django: money, capital amounts, badges, ages, the shell around every page."""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from budget.document_states import DocumentState
from budget.states import PlanState
from core.actors import Actor
from core.models import IdempotencyKey
from core.money import format_yuan
from dashboards.capital import capital_yuan
from dashboards.desk import Desk, desk_of
from dashboards.masking import mask_account
from dashboards.navigation import links, todo_counts
from dashboards.seals_shown import StepToTake, coming_steps, post_label
from evidence.selectors import status as log_status
from monitoring.levels import Severity
from monitoring.states import AlertState, CaseState, ChangeState, EntryState
from parties.duties import Post
from payments.states import CorrectionState, DetailState, RecallState, RefundCaseState, RequestState
from reconciliation.states import DiscrepancyState, SheetState
from vouchers.states import DeliveryState, InboxState, VoucherState

register = template.Library()

_TONES = {
    "ok": (
        RequestState.PAID, RequestState.CLEARED, VoucherState.RECEIPTED, PlanState.ARRIVED, DocumentState.ISSUED,
        DeliveryState.DELIVERED, InboxState.APPLIED, AlertState.PASSED, SheetState.MATCHED, SheetState.SETTLED,
        DiscrepancyState.RESOLVED, DetailState.PAID, CaseState.CLOSED, ChangeState.ENABLED, EntryState.ACTIVE,
        CorrectionState.EXECUTED, RefundCaseState.IDENTIFIED,
    ),
    "warn": (
        RequestState.RETURNED, RequestState.ON_HOLD, RequestState.PARTIALLY_PAID, RequestState.BANK_REFUSED,
        RequestState.ON_PAPER, VoucherState.PAPER,
        VoucherState.RETURNED, PlanState.RETURNED, DeliveryState.UNKNOWN, InboxState.PARKED, AlertState.PENDING,
        AlertState.REJECTED, CaseState.AWAITING, CaseState.RECTIFYING, CaseState.RECOVERING, DiscrepancyState.OPEN,
        AlertState.NOTED, Severity.ORANGE, Severity.YELLOW, RecallState.ASKING, RecallState.OVERTAKEN,
        CorrectionState.PBOC_REFUSED,
    ),
    "bad": (
        RequestState.BLOCKED, RequestState.FAILED, VoucherState.REFUSED, DeliveryState.REFUSED, InboxState.REFUSED,
        InboxState.DEAD, AlertState.BLOCKED, SheetState.DIFFERENT, DetailState.FAILED, Severity.RED,
    ),
    "off": (
        RequestState.VOIDED, RequestState.WITHDRAWN, RecallState.LAPSED, VoucherState.VOID, PlanState.CANCELLED,
        RequestState.DRAFT, DocumentState.REJECTED,
    ),
}  # fmt: skip
_TONE_OF = {str(state): tone for tone, states in _TONES.items() for state in states}


@register.filter
def masked_account(number: str) -> str:
    """A card or account number in a list: its first and last four digits."""
    return mask_account(number)


@register.filter
def money(amount: Decimal | None) -> str:
    """Return "1,234.50"; a dash where there is no amount."""
    return "—" if amount is None else format_yuan(amount)


@register.filter
def capital(amount: Decimal) -> str:
    return capital_yuan(amount)


@register.filter
def tone(state: str) -> str:
    """Return the colour class of a state; the text always stands beside it."""
    return _TONE_OF.get(str(state), "run")


@register.filter
def age(since: datetime | None) -> str:
    """Return how long ago an instant was, in words."""
    if since is None:
        return "—"
    minutes = max(0, int((timezone.now() - since).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} 分"
    hours, rest = divmod(minutes, 60)
    return f"{hours} 时 {rest:02d} 分" if hours < 24 else f"{hours // 24} 天 {hours % 24} 时"


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """Return a value of a mapping by a key that is a variable; empty if there is none."""
    return mapping.get(key, "") if mapping else ""


@register.simple_tag
def action_id() -> str:
    """Return a new id for one form: pressing twice acts once."""
    return str(uuid.uuid4())


@register.simple_tag(takes_context=True)
def kept(context: template.Context, name: str, default: str = "") -> str:
    """Return what the user had typed into a field when the form comes back with findings."""
    request = context.get("request")
    if request is not None and request.method == "POST" and context.get("findings"):
        return str(request.POST.get(name, default))
    return default


@register.simple_tag(takes_context=True)
def shell(context: template.Context) -> dict[str, Any]:
    """Return what stands around a page: navigation, user, day, environment, and the outcome of the last action."""
    request: HttpRequest | None = context.get("request")
    found: dict[str, Any] = {"environment": settings.GUOKU_ENVIRONMENT, "desk": None}
    if request is None or not getattr(request, "user", None) or not request.user.is_authenticated:
        return found
    desk: Desk = desk_of(request)
    counts = todo_counts(desk)
    request.todo_counts = counts  # type: ignore[attr-defined]
    return found | {
        "desk": desk,
        "links": links(desk, counts, request.path),
        "outcome": _outcome(request),
        "cut_off": desk.open_day.cut_off if desk.open_day else None,
    }


def _outcome(request: HttpRequest) -> dict[str, Any] | None:
    """Return what the action named by `?done=` did, if it was this user's."""
    key = request.GET.get("done", "")
    if not key or len(key) > 80 or "\0" in key:
        return None
    stored = IdempotencyKey.objects.filter(owner=f"user:{request.user.pk}", key=key).first()
    return stored.answer if stored else None


@register.simple_tag(takes_context=True)
def line_error(context: template.Context, number: int, field: str) -> str:
    """Return what is wrong with one field of one payee line."""
    return str((context.get("errors") or {}).get(f"lines-{number}-{field}", ""))


@register.simple_tag(takes_context=True)
def invoice_error(context: template.Context, number: int, field: str) -> str:
    """Return what is wrong with one field of one invoice."""
    return str((context.get("errors") or {}).get(f"invoices-{number}-{field}", ""))


@register.filter
def state_name(value: str) -> str:
    """Return the name of a state of a payment request."""
    return dict(RequestState.choices).get(value, value)


@register.filter
def voucher_state_name(value: str) -> str:
    """Return the name of a state of a voucher."""
    return dict(VoucherState.choices).get(value, value)


@register.filter
def limit_entry_name(kind: str) -> str:
    """Return the name of an entry of a clearing limit."""
    return _LIMIT_ENTRIES.get(kind, kind)


_LIMIT_ENTRIES = {
    "opening": "期初",
    "notice_5106": "授权额度下达",
    "notice_5108": "直接支付额度",
    "clearing_2301": "清算",
    "clearing_2302": "退款清算",
}


@register.filter
def action_name(action: str) -> str:
    """Return what an event of a payment request is called."""
    return _ACTIONS.get(action, action)


_ACTIONS = {
    "submit": "提交",
    "hold": "监控挂起",
    "block": "监控拦截",
    "revise": "修改",
    "pass_hold": "预警放行",
    "reject_hold": "监控退回",
    "advance": "审核通过，转下一岗",
    "approve": "终审通过",
    "return": "退回",
    "reject": "否决",
    "cancel": "作废",
    "issue": "制单",
    "print": "转纸质凭证（应急）",
    "cancel_voucher": "撤销制单",
    "seal": "签章发送",
    "accept": "银行签收",
    "bank_refuse": "银行退回",
    "void_refused": "退回后作废",
    "give_up": "作废",
    "withdraw": "银行确认未支付，撤回",
    "pay_full": "支付成功",
    "pay_part": "部分支付",
    "fail": "支付失败",
    "clear": "清算",
}


@register.filter
def fact_name(key: str) -> str:
    """Return what a fact that a rule saw is called."""
    return _FACTS.get(key, key)


@register.filter
def fact_value(value: Any) -> str:
    """Return a fact in words: a list of payees one after the other, an empty text as a dash."""
    if isinstance(value, list):
        return "；".join(
            " ".join(str(part) for part in item.values()) if isinstance(item, dict) else str(item) for item in value
        )
    return str(value) or "—"


_FACTS = {
    "settlement": "结算方式",
    "amount": "金额",
    "amount_from": "大额标准",
    "above": "结算起点",
    "up_to": "上限",
    "limit": "限额",
    "ratio_from": "起始比例",
    "cash_reason": "现金理由",
    "contract_no": "合同编号",
    "payees": "收款人",
    "single": "单笔上限",
    "month": "月",
    "cash_this_month": "本月已提现",
    "dept_economic_code": "部门经济分类",
    "below": "金额低于",
    "listed_reason": "列入原因",
    "account_no": "账号",
    "total": "合计",
    "threshold": "合计标准",
    "days": "天数",
    "documents": "相关单据",
    "tags": "资金标识",
    "balance": "合同可付余额",
    "supplier": "供应商",
    "ratio": "比例",
    "code": "政府经济分类",
    "spent": "本年已用",
    "warn_ratio": "提示比例",
    "purpose": "用途",
    "words": "敏感词",
    "invoices": "发票",
    "function_code": "功能分类",
    "project_code": "项目",
    "paid": "已支付",
    "issued_on": "下达日",
    "progress": "支出进度",
    "elapsed": "序时进度",
    "lag": "允许滞后",
    "kind": "种类",
    "head_count": "人数",
    "last_head_count": "上期人数",
    "last_total": "上期金额",
    "wrong": "异常",
    "shared": "共用账号",
    "filed_name": "备案户名",
    "returned": "退票原因",
    "pay_date": "支付日期",
    "entered_on": "提交日期",
    "month_total": "本月支付",
    "month_average": "月均支付",
    "times": "次数或倍数标准",
    "seen_times": "实际次数",
    "period": "期间",
    "approval_no": "审批单",
    "heads": "人数",
    "fund_nature": "资金性质",
    "active": "在用",
    "post": "岗位",
    "work_days": "工作日",
    "demand": "三保需要",
    "gap": "缺口",
    "cover": "保障倍数",
    "field": "回单字段",
    "stated": "回单",
    "expected": "凭证",
}


# UKeys, seals and the evidence log ----------------------------------------------------------------------------------

LOG_WATCHERS = (Post.SECURITY_AUDITOR, Post.SECURITY_ADMIN, Post.SEAL_KEEPER)


@register.simple_tag(takes_context=True)
def acting(context: template.Context) -> Actor | None:
    """Return the officer as the one who acts for another on this page; None for everybody else."""
    return getattr(context["request"], "_acting", None)


@register.simple_tag(takes_context=True)
def acting_field(context: template.Context) -> str:
    """Return the hidden field by which a form goes on acting for another."""
    actor = acting(context)
    return format_html('<input type="hidden" name="for" value="{}">', actor.delegation_id) if actor else ""


@register.simple_tag(takes_context=True)
def acting_query(context: template.Context, sign: str = "?") -> str:
    """Return the part of an address by which a link goes on acting for another; `sign` is "?" or "&"."""
    actor = acting(context)
    return f"{sign}for={actor.delegation_id}" if actor else ""


@register.filter
def hours(length: timedelta) -> str:
    """Write working time: in hours, from two days on in days of eight hours."""
    whole = length.total_seconds() / 3600
    return f"{whole / 8:.1f} 天" if whole >= 16 else f"{whole:.1f} 小时"


@register.simple_tag(takes_context=True)
def ukey_form(context: template.Context) -> str:
    """Return the attribute of a form that is signed before it is sent; nothing where the region asks for no UKey."""
    desk = desk_of(context["request"])
    if desk.region is None or not desk.region.ukey_required:
        return ""
    return format_html(' data-ukey-prepare="{}"', reverse("ukey-prepare"))


@register.simple_tag(takes_context=True)
def sealing_steps(context: template.Context, rows: Iterable[Any], notices: Iterable[Any]) -> list[StepToTake]:
    """Return what the next press affixes to the vouchers of these queue rows and quota notices."""
    ids = [row.request.voucher_id for row in rows] + [notice.voucher_id for notice in notices]
    return coming_steps(ids, desk_of(context["request"]).now)


@register.simple_tag(takes_context=True)
def log_alarm(context: template.Context) -> bool:
    """Return whether the evidence log needs somebody's attention; asked only for those who watch over it.

    The log's own page says more itself.
    """
    request = context.get("request")
    if request is None or not getattr(request, "user", None) or not request.user.is_authenticated:
        return False
    if request.path == reverse("evidence"):
        return False
    desk = desk_of(request)
    return desk.holds(*LOG_WATCHERS) and log_status(desk.now).alarm


@register.filter
def post_name(post: str) -> str:
    """Return the name of a post."""
    return post_label(post)


@register.filter
def roster_action(action: str) -> str:
    """Return what an event of a salary batch or benefit list is called."""
    return _ROSTER_ACTIONS.get(action, action)


_ROSTER_ACTIONS = {
    "submit": "提交核定",
    "check": "编办人社核定",
    "publish": "开始公示",
    "confirm": "财政核定",
    "return": "退回",
    "generate": "生成支付申请",
    "void": "作废",
}

# Monitoring ---------------------------------------------------------------------------------------------------------


@register.filter
def percent(part: Decimal) -> str:
    """Return "33.3%" for 0.3333."""
    return f"{part:.1%}"


@register.filter
def level_name(value: str) -> str:
    """Return the name of a level of alert."""
    return dict(Severity.choices).get(value, value)


@register.filter
def alert_state_name(value: str) -> str:
    """Return the name of a state of an alert."""
    return dict(AlertState.choices).get(value, value)
