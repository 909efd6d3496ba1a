"""Figures of monitoring with the lists beneath them, and the registers rules read."""

from collections.abc import Mapping
from datetime import date

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET

from core.errors import TreasuryError
from core.money import ZERO
from dashboards.acting import Done, perform
from dashboards.desk import BUREAU_READERS, Desk, action, officer
from dashboards.errors import ChoiceInvalid
from dashboards.forms import amount_of, text_of, uuid_of
from dashboards.refusals import findings_of
from monitoring.models import AnnualLimit, ListedPayee
from monitoring.registers import (
    decide_annual_limit,
    decide_listed_payee,
    propose_annual_limit,
    propose_listed_payee,
)
from monitoring.registry import RULES
from monitoring.states import REGISTRARS
from monitoring.statistics import By, Filter, figures, rows, totals
from parties.models import BudgetUnit
from parties.selectors import visible_unit_codes

KEEPERS = tuple(REGISTRARS.split("|"))
DECISIONS = ("approve", "refuse", "end")


def _filter(request: HttpRequest, desk: Desk) -> Filter:
    return Filter(
        adm_div_code=desk.actor.adm_div_code,
        fiscal_year=desk.fiscal_year,
        since=_date(request.GET, "since"),
        until=_date(request.GET, "until"),
        units=visible_unit_codes(desk.actor),
    )


def _date(values: Mapping[str, str], name: str) -> date | None:
    try:
        return parse_date(values.get(name, "").strip())
    except ValueError:
        return None


def _by(request: HttpRequest) -> By:
    chosen = request.GET.get("by", "")
    return By(chosen) if chosen in By.values else By.LEVEL


@require_GET
@officer(*BUREAU_READERS)
def statistics(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the figures of the year by level, rule, unit, section or month; each leads to its list."""
    by, where = _by(request), _filter(request, desk)
    context = {
        "by": by,
        "choices": By.choices,
        "figures": figures(by, where),
        "total": totals(where),
        "where": where,
        "units": _units(desk) if by == By.UNIT else {},
    }
    return render(request, "monitoring/statistics.html", context)


@require_GET
@officer(*BUREAU_READERS)
def statistics_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the list beneath one figure, whole, with its sum."""
    by, where = _by(request), _filter(request, desk)
    key = request.GET.get("key", "").replace("\0", "")[:40]
    found = rows(by, key, where)
    label = next((figure.label for figure in figures(by, where) if figure.key == key), key)
    context = {
        "by": by,
        "key": key,
        "label": label,
        "rows": found,
        "amount": sum((row.amount for row in found), ZERO),
        "where": where,
        "units": _units(desk),
    }
    return render(request, "monitoring/statistics_list.html", context)


def _units(desk: Desk) -> dict[str, str]:
    return dict(BudgetUnit.objects.filter(adm_div_code=desk.actor.adm_div_code).values_list("code", "name"))


# Registers ----------------------------------------------------------------------------------------------------------


@require_GET
@officer(*BUREAU_READERS)
def registers(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show the list of payees and the year's limits; entries are made by one person and checked by another."""
    return _registers(request, desk)


def _registers(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    region = desk.actor.adm_div_code
    context = {
        "payees": list(ListedPayee.objects.filter(adm_div_code=region).order_by("-id")[:200]),
        "limits": list(
            AnnualLimit.objects.filter(adm_div_code=region, fiscal_year=desk.fiscal_year).order_by("-id")[:200]
        ),
        "units": _units(desk),
        "colours": ListedPayee.Colour.choices,
        "codes": RULES["M16"].defaults["codes"].split(","),
        "keeper": desk.holds(*KEEPERS),
        "me": desk.actor.person_id,
        "today_text": desk.day.date.isoformat() if desk.day is not None else "",
        "year": desk.fiscal_year,
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "monitoring/registers.html", context, status=error.http_status if error else 200)


@action("monitoring-registers")
@officer(*KEEPERS)
def list_payee(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Propose a payee for the black or white list."""

    def do() -> Done:
        post = request.POST
        begins = _date(post, "valid_from")
        if begins is None:
            raise ChoiceInvalid("起期应为有效日期，如 2026-07-01。", field="valid_from")
        entry = propose_listed_payee(
            colour=post.get("colour", ""),
            name=text_of(post, "name", "户名", most=60),
            account_no=text_of(post, "account_no", "账号", most=32),
            credit_code=text_of(post, "credit_code", "统一社会信用代码", most=18),
            reason=text_of(post, "reason", "原因", most=200),
            valid_from=begins,
            valid_to=_date(post, "valid_to"),
            by=desk.actor,
            now=desk.now,
        )
        return _done(entry, "已提出，待另一人复核")

    return perform(request, desk, do, failed=lambda error: _registers(request, desk, error))


@action("monitoring-registers")
@officer(*KEEPERS)
def set_limit(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Propose a unit's limit for the year."""

    def do() -> Done:
        entry = propose_annual_limit(
            fiscal_year=desk.fiscal_year,
            unit_code=request.POST.get("unit_code", ""),
            code=request.POST.get("code", ""),
            amount=amount_of(request.POST),
            reason=text_of(request.POST, "limit_reason", "依据", most=200),
            by=desk.actor,
            now=desk.now,
        )
        return _done(entry, "已提出，待另一人复核")

    return perform(request, desk, do, failed=lambda error: _registers(request, desk, error))


@action("monitoring-registers")
@officer(*KEEPERS)
def decide_entry(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Approve, refuse or end an entry."""

    def do() -> Done:
        pk, decision = uuid_of(request.POST, "id", "条目"), request.POST.get("decision", "")
        if decision not in DECISIONS:
            raise ChoiceInvalid("请选择通过、不通过或终止。", field="decision")
        decide = decide_annual_limit if request.POST.get("register") == "limit" else decide_listed_payee
        entry = decide(entry_id=pk, action=decision, by=desk.actor, now=desk.now)
        return _done(entry, {"approve": "已复核生效", "refuse": "未通过", "end": "已终止"}[decision])

    return perform(request, desk, do, failed=lambda error: _registers(request, desk, error))


def _done(entry: ListedPayee | AnnualLimit, verb: str) -> Done:
    item = {"id": str(entry.pk), "no": str(entry), "state": str(entry.state), "label": entry.get_state_display()}
    return Done(f"{entry}：{verb}", reverse("monitoring-registers"), [item])
