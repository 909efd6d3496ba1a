"""Indicators with their ledgers, adjustments, and quotas."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from budget.ledgers import entries_until, figures_at, quota_entries_until
from budget.models import BudgetIndicator
from budget.selectors import indicators_for, quotas_for
from budget.terms import Layer
from core.errors import NotFound
from core.money import ZERO
from dashboards import selectors
from dashboards.desk import READERS, Desk, officer
from dashboards.navigation import DOCUMENT_POSTS
from parties.duties import Post
from parties.selectors import visible_unit_codes

ENTRY_NAMES = {
    "opening": "期初",
    "issue": "下达",
    "add": "追加",
    "reduce": "追减",
    "freeze": "冻结",
    "unfreeze": "解冻",
    "initial": "年初",
    "transfer": "调剂",
    "split": "分配",
    "take_back": "收回分配",
    "recover": "收回",
    "reduce_quota": "调减额度",
    "reduce_release": "退回调减",
    "plan_reduced": "调减计划",
    "cancel": "额度注销",
    "carry_out": "结转下年",
    "carry_in": "上年结转",
    "recover_unused": "年终收回",
    "lapse": "年终失效",
    "plan": "安排计划",
    "plan_release": "退回计划",
    "reserve": "提交占用",
    "release": "释放占用",
    "payment": "支付",
    "pay": "支付",
    "refund": "退款",
    "grant": "额度到账",
    "income": "收入到账",
    "fail": "支付失败释放",
    "correct_reserve": "更正占用",
    "correct_release": "更正释放",
    "correct": "更正",
}


@require_GET
@officer(*READERS)
def indicator_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List the year's indicators with what is left of each."""
    rows = list(indicators_for(desk.actor, desk.fiscal_year))
    sums = {
        name: sum((getattr(row, name) for row in rows), ZERO)
        for name in ("amount_total", "amount_frozen", "amount_reserved", "amount_paid", "amount_refunded")
    }
    sums["amount_available"] = sum((row.amount_available for row in rows), ZERO)
    return render(request, "indicators/list.html", {"rows": rows, "sums": sums})


@dataclass(frozen=True)
class LedgerRow:
    """One entry of a ledger with the balance after it."""

    entry: Any
    name: str
    increase: Decimal
    decrease: Decimal
    balance: Decimal


@require_GET
@officer(*READERS)
def indicator_ledger(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show every entry of an indicator and of its quota with running balances; `at` names a moment to stop at."""
    indicator = next(iter(indicators_for(desk.actor, _year(pk, desk)).filter(pk=pk)), None)
    if indicator is None:
        raise NotFound("指标不存在或不在您的权限范围内。", field="id")
    quota = getattr(indicator, "quota", None)
    wanted = request.GET.get("at", "").strip()
    at = moment_or_none(wanted)
    entries = list(entries_until(indicator, at))
    quota_entries = list(quota_entries_until(quota, at)) if quota else []
    department = indicator.layer == Layer.DEPARTMENT
    codes = visible_unit_codes(desk.actor)
    parent = indicator.parent
    context = {
        "at": at,
        "at_text": timezone.localtime(at).strftime("%Y-%m-%dT%H:%M:%S") if at else "",
        "at_wrong": bool(wanted) and at is None,
        "later": indicator.entries.filter(at__gt=at).count() if at else 0,
        "figures": figures_at(indicator, at),
        "department": department,
        "parent": parent,
        "sees_parent": parent is not None and (codes is None or parent.unit.code in codes),
        "children": list(indicators_for(desk.actor, indicator.fiscal_year).filter(parent=indicator)),
        "may_split": department and desk.holds(Post.BUDGET_CLERK) and indicator.amount_plannable > 0,
        "reads_documents": desk.holds(*DOCUMENT_POSTS),
        "indicator": indicator,
        "quota": quota,
        "rows": _running([e for e in entries if _available_change(e) or not e.planned_change], _available_change),
        "plan_rows": _running([e for e in entries if e.planned_change], lambda e: e.planned_change),
        "plan_name": "分配明细" if department else "计划安排",
        "quota_rows": _running(quota_entries, _quota_change),
        "documents": list(selectors.documents(desk).filter(lines__indicator=indicator).order_by("-id")),
        "payments": list(selectors.visible_requests(desk.actor).filter(indicator=indicator).order_by("-id")[:50]),
    }
    return render(request, "indicators/ledger.html", context)


def moment_or_none(text: str) -> datetime | None:
    """Return the instant a person typed, in Shanghai time; None for what is none."""
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return timezone.make_aware(found) if found is not None and timezone.is_naive(found) else found


def _year(pk: UUID, desk: Desk) -> int:
    found = BudgetIndicator.objects.filter(pk=pk).values_list("fiscal_year", flat=True).first()
    return found if found is not None else desk.fiscal_year


def _available_change(entry: Any) -> Decimal:
    """E1: what an entry does to the amount available."""
    return entry.total_change - entry.frozen_change - entry.reserved_change - entry.paid_change + entry.refunded_change


def _quota_change(entry: Any) -> Decimal:
    return entry.granted_change - entry.reserved_change - entry.spent_change + entry.refunded_change


def _running(entries: list[Any], change_of: Any) -> list[LedgerRow]:
    balance, rows = ZERO, []
    for entry in entries:
        change = change_of(entry)
        balance += change
        name = ENTRY_NAMES.get(entry.kind, entry.kind)
        rows.append(LedgerRow(entry, name, max(change, ZERO), max(-change, ZERO), balance))
    return rows


@require_GET
@officer(*READERS)
def quota_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List quotas: what may still be paid out of each indicator."""
    return render(request, "indicators/quotas.html", {"rows": list(quotas_for(desk.actor, desk.fiscal_year))})
