"""The end of the day: sheets with every partner, differences and what became of them, closing; and the next morning."""

from datetime import date
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from budget.methods import BY_TYPE
from core.calendar import next_workday, start_day
from core.errors import DayClosed, NotFound, RoleRequired, TreasuryError
from core.models import BusinessDay
from core.outcomes import Outcome
from dashboards import selectors
from dashboards.acting import Done, Item, accepted_item, chosen, done, perform, uuid_or_none
from dashboards.desk import Desk, action, officer
from dashboards.errors import BankUnreachable, ChoiceInvalid
from dashboards.forms import text_of
from dashboards.navigation import RECONCILIATION_POSTS
from dashboards.refusals import findings_of
from dashboards.views.payments import find_request
from reconciliation.models import Discrepancy
from reconciliation.selectors import sheets_of_day, statements_of_day
from reconciliation.services import close_day, day_blockers, match_day, resolve_discrepancy, zero_balance_accounts
from reconciliation.states import ACCEPTABLE, CLEAN, DiscrepancyState
from vouchers.models import Voucher
from vouchers.tasks import pull_receipts
from vouchers.transport import ExchangeUnknown, NotSent

PAYMENT_TYPES = tuple(BY_TYPE)


@require_GET
@officer(*RECONCILIATION_POSTS)
def day_page(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show a day's sheets (`?date=`, else the latest day), its differences, and what keeps it open."""
    return _page(request, desk)


def _page(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    code = desk.actor.adm_div_code
    wanted = selectors.date_or_none(request.GET.get("date"))
    days = list(BusinessDay.objects.filter(adm_div_code=code).order_by("-date")[:30])
    day = next((d for d in days if d.date == wanted), desk.day) if wanted else desk.day
    if wanted and (day is None or day.date != wanted):
        raise NotFound("没有这个业务日。", field="date")
    sheets = sheets_of_day(code, day.date) if day else []
    is_open = day is not None and day.closed_at is None
    context = {
        "day": day,
        "days": days,
        "is_open": is_open,
        "sheets": sheets,
        "all_clean": all(sheet.state in CLEAN for sheet in sheets),
        "discrepancies": [(sheet, row) for sheet in sheets for row in sheet.discrepancies.all()],
        "vouchers": _vouchers_of(desk, [row for sheet in sheets for row in sheet.discrepancies.all()]),
        "acceptable": ACCEPTABLE,
        "open_state": DiscrepancyState.OPEN,
        "statements": list(statements_of_day(code, day.date)) if day else [],
        "blockers": day_blockers(code, day.date) if day and is_open else [],
        "accounts": zero_balance_accounts(code, day.date) if day else [],
        "reconciler": desk.holds("reconciler"),
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
    }
    return render(request, "reconciliation/day.html", context, status=error.http_status if error else 200)


def _vouchers_of(desk: Desk, rows: list[Discrepancy]) -> dict[UUID, UUID]:
    """Return the payment voucher each difference is about, by the difference's id (one query)."""
    payments = [row for row in rows if row.voucher_type in PAYMENT_TYPES]
    found = Voucher.objects.filter(
        adm_div_code=desk.actor.adm_div_code,
        voucher_type__in=PAYMENT_TYPES,
        voucher_no__in={row.voucher_no for row in payments},
    )
    by_key = {(kind, number): pk for pk, kind, number in found.values_list("pk", "voucher_type", "voucher_no")}
    return {
        row.pk: by_key[row.voucher_type, row.voucher_no]
        for row in payments
        if (row.voucher_type, row.voucher_no) in by_key
    }


@action("reconciliation-day")
@officer("reconciler")
def match(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Compare every pair with every partner for the open day, as a new run."""

    def do() -> Done:
        day = _check_date(request, desk)
        sheets = match_day(adm_div_code=desk.actor.adm_div_code, date=day, by=desk.actor, now=desk.now)
        items = [{"id": str(s.pk), "no": str(s), "state": s.state, "label": s.get_state_display()} for s in sheets]
        clean = sum(1 for sheet in sheets if not sheet.difference and sheet.state == "matched")
        return Done(f"对账完成：{len(sheets)} 张对账单，{clean} 张相符", reverse("reconciliation-day"), items)

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


def _check_date(request: HttpRequest, desk: Desk) -> date:
    """Return the open day.

    :raises DayClosed: if none is open, or another than the form's `date`.
    """
    wanted = request.POST.get("date", "")
    if desk.open_day is None or wanted not in ("", desk.open_day.date.isoformat()):
        raise DayClosed("该日不是开放的业务日。", field="business_date", date=wanted[:20])
    return desk.open_day.date


@action("reconciliation-day")
@officer("reconciler")
def resolve(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Accept differences in which the money agrees (`ids`, `note`); each in its own transaction."""

    def do() -> Done:
        ids, note = chosen(request), text_of(request.POST, "note", "处理说明")
        outcome: Outcome[Discrepancy] = Outcome()
        for pk in ids:
            try:
                row = resolve_discrepancy(discrepancy_id=pk, note=note, by=desk.actor, now=desk.now)
                outcome.accepted.append(row)
            except TreasuryError as refusal:
                outcome.refused[pk] = refusal
        return done(outcome, verb="差错处理", next=reverse("reconciliation-day"), numbers=_keys(ids), no="key")

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


def _keys(ids: list[UUID]) -> dict[UUID, str]:
    return {row.pk: row.key for row in Discrepancy.objects.filter(pk__in=ids)}


@action("reconciliation-day")
@officer("reconciler")
def pull(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Ask the banks for the receipts of the payments these differences (`ids`) are about, or of one `request`."""

    def do() -> Done:
        vouchers, items = _unanswered(request, desk)
        if not vouchers:
            raise ChoiceInvalid("所选差错没有对应的支付凭证，不能补取回单。", field="ids")
        try:
            found = pull_receipts(list(dict.fromkeys(vouchers)))
        except (NotSent, ExchangeUnknown) as error:
            raise BankUnreachable("银行暂时没有可信的应答，请稍后再取。", field="ids") from error
        message = f"已向银行查询，取回 {found} 份回单" + ("，请重新对账" if found else "")
        return Done(message, reverse("reconciliation-day"), items)

    return perform(request, desk, do, failed=lambda error: _page(request, desk, error))


def _unanswered(request: HttpRequest, desk: Desk) -> tuple[list[UUID], list[Item]]:
    """Return the vouchers to ask about, and what was asked for as items of the answer."""
    if "request" in request.POST:
        payment = find_request(desk, uuid_or_none(request.POST["request"]))
        item = accepted_item(payment, payment.request_no) | {"label": "已查询"}
        return [payment.voucher_id] if payment.voucher_id else [], [item]
    rows = list(Discrepancy.objects.filter(pk__in=chosen(request), adm_div_code=desk.actor.adm_div_code))
    items = [{"id": str(row.pk), "no": row.key, "state": row.state, "label": "已查询"} for row in rows]
    return list(_vouchers_of(desk, rows).values()), items


@action("reconciliation-day")
@officer("reconciler")
def close(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Close the open day, which must be the one the page showed (`date`); refused with every reason there is."""

    def do() -> Done:
        _check_date(request, desk)
        day = close_day(adm_div_code=desk.actor.adm_div_code, by=desk.actor, now=desk.now)
        item = {"id": str(day.pk), "no": day.date.isoformat(), "state": "closed", "label": "已日结"}
        return Done(f"业务日 {day.date} 已日结", reverse("day-list"), [item])

    return perform(request, desk, do)


@require_http_methods(["GET", "POST"])
@officer(*RECONCILIATION_POSTS)
def day_list(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List business days; POST opens one (`date`, `cut_off`), by the reconciler."""
    if request.method == "GET":
        return _days(request, desk)

    def do() -> Done:
        if not desk.holds("reconciler"):
            raise RoleRequired("该操作需要岗位：reconciler。", field="role", by=desk.actor.name)
        day = selectors.date_or_none(request.POST.get("date"))
        if day is None:
            raise ChoiceInvalid("请填写日期，如 2026-06-15。", field="date")
        opened = start_day(
            adm_div_code=desk.actor.adm_div_code, day=day, cut_off=_cut_off(request), by=desk.actor, now=desk.now
        )
        item = {"id": str(opened.pk), "no": opened.date.isoformat(), "state": "open", "label": "已开放"}
        return Done(f"业务日 {opened.date} 已开放", reverse("day-list"), [item])

    return perform(request, desk, do, failed=lambda error: _days(request, desk, error))


def _cut_off(request: HttpRequest) -> str:
    text = request.POST.get("cut_off", "").strip() or "14:00"
    hours, colon, minutes = text.partition(":")
    digits = hours.isascii() and minutes.isascii() and hours.isdigit() and minutes.isdigit()
    if not (colon and digits and len(text) <= 5 and int(hours) < 24 and int(minutes) < 60):
        raise ChoiceInvalid("截止时间应如 14:00。", field="cut_off")
    return f"{int(hours):02d}:{int(minutes):02d}"


def _days(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    days = list(BusinessDay.objects.filter(adm_div_code=desk.actor.adm_div_code).order_by("-date")[:60])
    findings = findings_of(error) if error else []
    context = {
        "days": days,
        "reconciler": desk.holds("reconciler"),
        "following": _following(days),
        "findings": [(f.field, f) for f in findings],
        "errors": {f.field: f.message for f in findings},
    }
    return render(request, "days.html", context, status=error.http_status if error else 200)


def _following(days: list[BusinessDay]) -> date | None:
    """Return the day after the latest one, as far as the calendar knows."""
    if not days:
        return None
    try:
        return next_workday(days[0].date)
    except NotFound:
        return None
