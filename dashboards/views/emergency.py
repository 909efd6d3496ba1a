"""Vouchers on paper in an emergency: the window, what goes out, what comes back; and the public check of a code."""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET

from attachments.receiving import IncomingHandler, incoming
from attachments.store import file_store
from core.errors import NotFound, TreasuryError
from dashboards import selectors
from dashboards.acting import Done, accepted_item, chosen, done, perform, uuid_or_none
from dashboards.capital import capital_yuan
from dashboards.desk import BUREAU_READERS, Desk, action, officer
from dashboards.emergency_paper import pdf_of_drill, pdf_of_paper
from dashboards.errors import ChoiceInvalid
from dashboards.forms import text_of
from dashboards.refusals import findings_of
from dashboards.signing import origin_of
from dashboards.throttling import may_ask
from dashboards.views.payments import numbers
from emergency.codes import is_its_code
from emergency.models import PARTIES, PaperAnswer, PaperVoucher, Window
from emergency.services import (
    VOUCHER_TYPES,
    AnswerInput,
    WindowInput,
    check_open,
    close_window,
    confirm_list,
    decide_answer,
    decide_window,
    declare_window,
    digest_of,
    enter_answer,
    in_scope,
    list_of,
    print_on_paper,
)
from emergency.states import DECLARERS, ENTERERS, SECONDS, AnswerState, PaperState, WindowState
from parties.duties import Post
from parties.models import AgentBank, BudgetUnit
from parties.selectors import visible_unit_codes
from payments.models import PaymentRequest
from payments.on_paper import PaperLine
from payments.states import PAPER_CONFIRMERS
from vouchers.models import Voucher
from vouchers.states import VoucherState

WATCHERS = (*BUREAU_READERS, Post.UNIT_CLERK)
MAKERS = selectors.MAKERS
AT_ONCE = 200


# The window ---------------------------------------------------------------------------------------------------------


@require_GET
@officer(*WATCHERS)
def windows(request: HttpRequest, desk: Desk) -> HttpResponse:
    """List the windows of the year, newest first, with the form to declare one."""
    return _windows(request, desk)


def _windows(request: HttpRequest, desk: Desk, error: TreasuryError | None = None) -> HttpResponse:
    region = desk.actor.adm_div_code
    rows = Window.objects.filter(adm_div_code=region).select_related(
        "unit", "agent_bank", "declared_by", "confirmed_by"
    )
    context = {
        "windows": list(rows.filter(adm_div_code=region).order_by("-id")[:AT_ONCE]),
        "declarer": desk.holds(*DECLARERS.split("|")),
        "units": BudgetUnit.objects.filter(adm_div_code=region, active=True).order_by("code"),
        "banks": AgentBank.objects.filter(adm_div_code=region).order_by("code"),
        "types": VOUCHER_TYPES,
        "parties": [(str(post), post.label) for post in PARTIES],
        "findings": [(f.field, f) for f in findings_of(error)] if error else [],
        "ticked": request.POST.getlist("parties"),
    }
    return render(request, "emergency/list.html", context, status=error.http_status if error else 200)


@action("emergency")
@officer(*DECLARERS.split("|"))
def declare(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Declare a window; another person must confirm it."""

    def do() -> Done:
        hours = request.POST.get("hours", "")
        given = WindowInput(
            reason=text_of(request.POST, "reason", "原因", most=200),
            hours=int(hours) if hours.isascii() and hours.isdigit() and len(hours) < 4 else 0,
            parties=tuple(request.POST.getlist("parties")),
            unit_id=_optional(request, "unit"),
            agent_bank_id=_optional(request, "agent_bank"),
            voucher_type=request.POST.get("voucher_type", ""),
            drill=request.POST.get("drill") == "1",
        )
        window = declare_window(given=given, by=desk.actor, now=desk.now)
        item = accepted_item(window, window.window_no)
        return Done("已声明，等待另一人确认", reverse("emergency-window", args=[window.pk]), [item])

    return perform(request, desk, do, failed=lambda error: _windows(request, desk, error))


def _optional(request: HttpRequest, name: str) -> UUID | None:
    text = request.POST.get(name, "")
    found = uuid_or_none(text)
    if text and found is None:
        raise ChoiceInvalid("请从列表中选择。", field=name)
    return found


def _find(desk: Desk, pk: UUID) -> Window:
    rows = Window.objects.select_related("unit", "agent_bank", "declared_by", "confirmed_by")
    window = rows.filter(pk=pk, adm_div_code=desk.actor.adm_div_code).first()
    if window is None:
        raise NotFound("应急窗口不存在。", field="id")
    return window


@require_GET
@officer(*WATCHERS)
def window_page(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Show one window: what may go out now, what is out, what came back, who has confirmed the list."""
    return _window(request, desk, _find(desk, pk))


def _window(request: HttpRequest, desk: Desk, window: Window, error: TreasuryError | None = None) -> HttpResponse:
    papers = window.papers.select_related("request__unit", "voucher", "printed_by").order_by("voucher__voucher_no")
    codes = visible_unit_codes(desk.actor)
    if codes is not None:
        papers = papers.filter(request__unit__code__in=codes)
    shown = list(papers)
    answers = {
        answer.paper_id: answer
        for answer in PaperAnswer.objects.filter(paper__in=shown)
        .exclude(state=AnswerState.REFUSED)
        .select_related("entered_by", "decided_by")
    }
    can_print = desk.holds(*MAKERS) and _is_open(window, desk)
    confirmed = {c.post: c for c in window.confirmations.select_related("person")}
    context = {
        "window": window,
        "papers": [(paper, answers.get(paper.id), list(paper.request.details.all())) for paper in shown],
        "queue": _printable(desk, window) if can_print else [],
        "can_print": can_print,
        "drills": list(window.drill_prints.select_related("request__unit", "printed_by")) if window.drill else [],
        "second": window.state == WindowState.DECLARED and desk.holds(*SECONDS.split("|")),
        "enterer": desk.holds(*ENTERERS.split("|")),
        "confirmer": desk.holds(*PAPER_CONFIRMERS.split("|")),
        "closer": window.state == WindowState.OPEN and desk.holds(*DECLARERS.split("|")),
        "parties": [(Post(post).label, confirmed.get(post)) for post in window.parties],
        "party": any(desk.holds(post) and post not in confirmed for post in window.parties),
        "settled": bool(shown) and all(paper.state == PaperState.SETTLED for paper in shown),
        "over": window.ends_at is not None and desk.now >= window.ends_at,
        "rows": list_of(window) if codes is None else [],
        "digest": digest_of(window) if codes is None else "",
        "findings": [("", f) for f in findings_of(error)] if error else [],
    }
    return render(request, "emergency/window.html", context, status=error.http_status if error else 200)


def _is_open(window: Window, desk: Desk) -> bool:
    try:
        check_open(window, desk.now)
    except TreasuryError:
        return False
    return True


def _printable(desk: Desk, window: Window) -> list[PaymentRequest]:
    """What this maker may print in the window: made out but unsealed first, then finally approved."""
    found = [*selectors.make_queue(desk)]
    if not window.drill:
        found = [*selectors.unsealed_queue(desk, MAKERS), *found]
    return [request for request in found if in_scope(window, request)][:AT_ONCE]


@action("emergency")
@officer(*SECONDS.split("|"))
def decide(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Confirm a declared window (`decision=confirm`) or reject it."""
    return _on_window(
        request,
        desk,
        pk,
        lambda: decide_window(
            window_id=pk,
            confirm=request.POST.get("decision") == "confirm",
            reason=text_of(request.POST, "reason", "意见"),
            by=desk.actor,
            now=desk.now,
        ),
        "已办理",
    )


@action("emergency")
@officer(*DECLARERS.split("|"))
def close(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """End a window whose papers are answered and whose list is confirmed."""
    return _on_window(request, desk, pk, lambda: close_window(window_id=pk, by=desk.actor, now=desk.now), "窗口已结束")


@action("emergency")
@officer(*WATCHERS)
def confirm(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Confirm the list as it was shown (`digest`) for one of the parties."""
    digest = request.POST.get("digest", "")
    return _on_window(
        request,
        desk,
        pk,
        lambda: confirm_list(window_id=pk, digest=digest, by=desk.actor, now=desk.now).window,
        "已核对清单",
    )


def _on_window(request: HttpRequest, desk: Desk, pk: UUID, act: Callable[[], Window], message: str) -> HttpResponse:
    def do() -> Done:
        window = act()
        return Done(message, reverse("emergency-window", args=[pk]), [accepted_item(window, window.window_no)])

    return perform(request, desk, do, failed=lambda error: _window(request, desk, _find(desk, pk), error))


@action("emergency")
@officer(*MAKERS)
def print_out(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Turn the chosen requests into vouchers on paper."""

    def do() -> Any:
        ids = chosen(request)
        outcome = print_on_paper(window_id=pk, request_ids=ids, maker=desk.actor, now=desk.now)
        return done(outcome, verb="转纸质", next=reverse("emergency-window", args=[pk]), numbers=numbers(ids))

    return perform(request, desk, do)


# One paper ----------------------------------------------------------------------------------------------------------


def _paper(desk: Desk, pk: UUID) -> PaperVoucher:
    rows = PaperVoucher.objects.select_related("window", "request", "voucher", "printed_by")
    mine = selectors.visible_requests(desk.actor).values("pk")
    found = rows.filter(pk=pk, adm_div_code=desk.actor.adm_div_code, request__in=mine).first()
    if found is None:
        raise NotFound("纸质凭证不存在。", field="id")
    return found


@require_GET
@officer(*WATCHERS)
def paper_pdf(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Send the paper to be printed, sealed by hand and carried to the bank."""
    paper = _paper(desk, pk)
    made = pdf_of_paper(paper, base_url=origin_of(request), made_at=desk.now)
    return _pdf(made, f"paper-{paper.voucher.voucher_type}-{paper.voucher.voucher_no}.pdf")


@require_GET
@officer(*WATCHERS)
def drill_pdf(request: HttpRequest, desk: Desk, pk: UUID, request_pk: UUID) -> HttpResponse:
    """Send what a drill would have printed."""
    window = _find(desk, pk)
    rows = selectors.visible_requests(desk.actor).select_related("unit", "indicator", "payer_account__agent_bank")
    drilled = rows.filter(pk=request_pk, pk__in=window.drill_prints.values("request_id")).first()
    if drilled is None:
        raise NotFound("演练中没有这笔申请。", field="id")
    on = desk.day.date if desk.day is not None else timezone.localdate(desk.now)
    return _pdf(pdf_of_drill(window, drilled, on=on, made_at=desk.now), f"drill-{drilled.request_no}.pdf")


def _pdf(content: bytes, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type="application/pdf", headers=headers)


@require_GET
@officer(*WATCHERS)
def scan(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponseBase:
    """Send the scan of the bank's answer."""
    answer = _paper(desk, pk).answers.exclude(state=AnswerState.REFUSED).select_related("scan").first()
    if answer is None:
        raise NotFound("还没有补录。", field="id")
    return FileResponse(
        file_store().open(answer.scan.digest),
        as_attachment=True,
        filename=answer.scan_name,
        content_type=answer.scan.media_type,
    )


@csrf_exempt  # only until the size is known; `_enter` protects again
@action("emergency")
@officer(*ENTERERS.split("|"))
def enter(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Enter the bank's answer: `paid_on`, `bank_serial`, `failed` (line numbers), `reason-N`, and its scan (`file`)."""
    paper = _paper(desk, pk)
    with incoming(request) as arriving:
        return _enter(request, desk, paper, arriving)


@csrf_protect
def _enter(request: HttpRequest, desk: Desk, paper: PaperVoucher, arriving: IncomingHandler) -> HttpResponse:
    def do() -> Done:
        if arriving.refused:
            raise arriving.refused[0]
        given = AnswerInput(
            paid_on=_day(request.POST.get("paid_on", "")),
            bank_serial=request.POST.get("bank_serial", "").strip(),
            lines=_lines(request, paper),
        )
        enter_answer(
            paper_id=paper.pk,
            given=given,
            scan=arriving.arrived[0].received if arriving.arrived else None,
            store=arriving.store,
            by=desk.actor,
            now=desk.now,
        )
        item = {"id": str(paper.pk), "no": paper.voucher.voucher_no, "state": "entered", "label": "已补录待复核"}
        return Done("已补录，等待另一人复核", reverse("emergency-window", args=[paper.window_id]), [item])

    return perform(request, desk, do, failed=lambda error: _window(request, desk, _find(desk, paper.window_id), error))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ChoiceInvalid("支付日期应写作 2026-06-15。", field="paid_on") from None


def _lines(request: HttpRequest, paper: PaperVoucher) -> tuple[PaperLine, ...]:
    failed = set(request.POST.getlist("failed"))
    return tuple(
        PaperLine(
            seq,
            str(seq) not in failed,
            text_of(request.POST, f"reason-{seq}", "失败原因", most=100) if str(seq) in failed else "",
        )
        for seq in paper.request.details.order_by("seq").values_list("seq", flat=True)
    )


@action("emergency")
@officer(*PAPER_CONFIRMERS.split("|"))
def decide_entry(request: HttpRequest, desk: Desk, pk: UUID) -> HttpResponse:
    """Confirm what was entered (`decision=confirm`), which settles the request, or send it back with a reason."""
    window_id = _paper(desk, pk).window_id

    def do() -> Done:
        paper = decide_answer(
            paper_id=pk,
            confirm=request.POST.get("decision") == "confirm",
            reason=text_of(request.POST, "reason", "退回原因", most=200),
            by=desk.actor,
            now=desk.now,
        )
        item = accepted_item(paper, paper.voucher.voucher_no)
        return Done("已办理", reverse("emergency-window", args=[window_id]), [item])

    return perform(request, desk, do, failed=lambda error: _window(request, desk, _find(desk, window_id), error))


# For whoever holds a paper ------------------------------------------------------------------------------------------


@never_cache
@require_GET
def check(request: HttpRequest) -> HttpResponse:
    """Say whether number (`n`) and code (`c`) belong together, without log-in. A number alone is told nothing."""
    number, code = request.GET.get("n", "").strip()[:80], request.GET.get("c", "").strip()[:40]
    context: dict[str, Any] = {"number": number, "code": code, "asked": bool(number or code)}
    if not context["asked"]:
        return render(request, "emergency/check.html", context)
    if not may_ask(request):
        response = render(request, "emergency/check.html", context | {"too_often": True}, status=429)
        response["Retry-After"] = "60"
        return response
    voucher = _voucher(number)
    if voucher is not None and is_its_code(voucher, code):
        settled = PaperVoucher.objects.filter(voucher=voucher, state=PaperState.SETTLED).exists()
        context |= {"voucher": voucher, "capital": capital_yuan(voucher.amount), "settled": settled}
    return render(request, "emergency/check.html", context)


def _voucher(number: str) -> Voucher | None:
    parts = number.replace("\0", "").split(".")
    if len(parts) != 4 or not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) == 4):
        return None
    region, year, kind, voucher_no = parts
    rows = Voucher.objects.filter(
        adm_div_code=region, fiscal_year=int(year), voucher_type=kind, voucher_no=voucher_no, state=VoucherState.PAPER
    )
    return rows.first()
