"""The year's end: what still keeps it open, quotas cancelled by agreement, what is carried over, and the closing."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from budget.document_states import CancellationState, CarryOverState, YearState
from budget.models import BudgetYear, CarryOver, QuotaCancellation
from budget.services import (
    apply_cancellations,
    close_year,
    confirm_by_unit,
    decide_carry_overs,
    enter_bank_list,
    propose_cancellations,
    propose_carry_overs,
    set_carry_over,
)
from budget.year_end import YearNotClosable, year_blockers
from core.errors import TreasuryError
from core.money import ZERO, yuan
from dashboards.acting import Done, accepted_item, chosen, done, perform, uuid_or_none
from dashboards.desk import Desk, action, officer
from dashboards.errors import ChoiceInvalid, NothingSelected
from dashboards.forms import amount_of, text_of, uuid_of
from dashboards.navigation import YEAR_END_POSTS
from dashboards.refusals import findings_of
from parties.duties import Post
from parties.selectors import visible_unit_codes

AT_ONCE = 500


@require_GET
@officer(*YEAR_END_POSTS)
def year_end_page(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show a year's end: the year of the open day, or the one before it (`year`)."""
    return _page(request, desk)


def _page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    year = _year(request, desk)
    codes = visible_unit_codes(desk.actor)
    where = {"adm_div_code": desk.actor.adm_div_code, "fiscal_year": year}
    carried = CarryOver.objects.select_related("indicator__unit", "next_indicator", "created_by", "approved_by")
    carried = carried.filter(**where).order_by("state", "indicator__indicator_no")
    cancelled = QuotaCancellation.objects.select_related("quota__indicator", "quota__unit").filter(**where)
    if codes is not None:
        carried = carried.filter(indicator__unit__code__in=codes)
        cancelled = cancelled.filter(quota__unit__code__in=codes)
    rows = list(carried[:AT_ONCE])
    standing = BudgetYear.objects.filter(**where).first()
    bureau = codes is None
    asked = bureau and standing is not None and standing.state == YearState.OPEN
    findings = [] if isinstance(error, YearNotClosable) or error is None else findings_of(error)
    context = {
        "year": year,
        "years": [desk.fiscal_year - 1, desk.fiscal_year],
        "standing": standing,
        "blockers": year_blockers(desk.actor.adm_div_code, year) if asked else [],
        "bureau": bureau,
        "carried": rows,
        "sums": {name: sum((getattr(row, name) for row in rows), ZERO) for name in ("unused", "amount", "recovered")},
        "cancelled": list(cancelled.order_by("state", "quota__indicator__indicator_no")[:AT_ONCE]),
        "clerk": desk.holds(Post.BUDGET_CLERK),
        "approver": desk.holds(Post.BUDGET_APPROVER),
        "reconciler": desk.holds(Post.RECONCILER),
        "chief": desk.holds(Post.TREASURY_CHIEF),
        "unit": desk.holds(Post.UNIT_CLERK),
        "me": desk.actor.person_id,
        "proposed": CarryOverState.PROPOSED,
        "open": CancellationState.OPEN,
        "findings": [(f.field, f) for f in findings],
        "refused": isinstance(error, YearNotClosable),
    }
    return render(request, "year_end/page.html", context, status=error.http_status if error else 200)


def _year(request: HttpRequest, desk: Desk) -> int:
    wanted = request.POST.get("year") or request.GET.get("year", "")
    return int(wanted) if wanted in (str(desk.fiscal_year), str(desk.fiscal_year - 1)) else desk.fiscal_year


def _back(year: int) -> str:
    return f"{reverse('year-end')}?year={year}"


@action("year-end")
@officer(Post.BUDGET_CLERK, Post.RECONCILER)
def propose(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Draw up the proposals of carry-overs (budget clerk) or the list of quotas to cancel (reconciler)."""
    year = _year(request, desk)

    def do() -> Done:
        if request.POST.get("what") == "cancellations":
            count = propose_cancellations(fiscal_year=year, reconciler=desk.actor, now=desk.now)
            return Done(f"额度注销清单：新增或更新 {count} 条", _back(year))
        count = propose_carry_overs(fiscal_year=year, clerk=desk.actor, now=desk.now)
        return Done(f"结转建议：新增或更新 {count} 条", _back(year))

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


@action("year-end")
@officer(Post.BUDGET_CLERK)
def change_carry_over(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Change how much of one indicator is to be carried over."""
    year = _year(request, desk)

    def do() -> Done:
        row = set_carry_over(
            carry_over_id=uuid_of(request.POST, "carry_over", "结转"),
            amount=amount_of(request.POST),
            reason=text_of(request.POST, "reason", "理由", most=200),
            clerk=desk.actor,
            now=desk.now,
        )
        return Done("结转金额已更改", _back(year), [accepted_item(row, f"结转 {row.amount:,.2f}")])

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


@action("year-end")
@officer(Post.BUDGET_APPROVER)
def decide(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Approve proposals made by somebody else, or give approved ones back."""
    year = _year(request, desk)

    def do() -> Done:
        ids, decision = chosen(request), request.POST.get("decision", "")
        if decision not in ("approve", "return"):
            raise ChoiceInvalid("请选择批准或退回。", field="decision")
        outcome = decide_carry_overs(
            carry_over_ids=ids,
            approver=desk.actor,
            approve=decision == "approve",
            reason=text_of(request.POST, "reason", "意见"),
            now=desk.now,
        )
        verb = "批准" if decision == "approve" else "退回"
        numbers = dict(CarryOver.objects.filter(pk__in=ids).values_list("pk", "indicator__indicator_no"))
        return done(outcome, verb=verb, next=_back(year), numbers=numbers, no="")

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


@action("year-end")
@officer(Post.RECONCILER, Post.UNIT_CLERK)
def cancellations(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Enter the bank's list, confirm as the unit, or cancel what all three agree on: `do` says which."""
    year = _year(request, desk)

    def do() -> Done:
        what = request.POST.get("do", "")
        if what == "bank":
            list_no = text_of(request.POST, "list_no", "清单号", most=60)
            amounts = _amounts(request.POST)
            outcome = enter_bank_list(list_no=list_no, amounts=amounts, reconciler=desk.actor, now=desk.now)
        elif what == "unit":
            outcome = confirm_by_unit(amounts=_amounts(request.POST), clerk=desk.actor, now=desk.now)
        elif what == "apply":
            outcome = apply_cancellations(cancellation_ids=chosen(request), reconciler=desk.actor, now=desk.now)
        else:
            raise ChoiceInvalid("请选择要办理的事项。", field="do")
        verb = {"bank": "登记银行清单", "unit": "单位确认", "apply": "注销"}[what]
        ids = [*(row.pk for row in outcome.accepted), *outcome.refused]
        named = QuotaCancellation.objects.filter(pk__in=ids)
        numbers = dict(named.values_list("pk", "quota__indicator__indicator_no"))
        return done(outcome, verb=verb, next=_back(year), numbers=numbers, no="")

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


def _amounts(post: Any) -> dict[UUID, Any]:
    """Return the amounts of `amount-<id>` fields that were filled in.

    :raises AmountInvalid, NothingSelected.
    """
    found = {}
    for name, text in post.items():
        pk = uuid_or_none(name.removeprefix("amount-")) if name.startswith("amount-") else None
        if pk is not None and text.strip():
            found[pk] = yuan(text.strip(), field=name)
    if not found:
        raise NothingSelected("请至少填写一行金额。", field="amount")
    return found


@action("year-end")
@officer(Post.TREASURY_CHIEF)
def close(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Close the year; what stands in the way comes back as a list."""
    year = _year(request, desk)

    def do() -> Done:
        closed = close_year(fiscal_year=year, chief=desk.actor, now=desk.now)
        return Done(f"{closed.fiscal_year} 年度已年结", _back(year))

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))
