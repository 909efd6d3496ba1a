"""Declaring a window, printing in it, entering what came back, closing it. Every second step is another person's.

Lock order: business day, window, voucher, request, balances (ADR 0004, 0033).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction

from attachments.checking import check_file
from attachments.keeping import Sound, note_files
from attachments.models import StoredFile
from attachments.store import FileStore, Received
from budget.methods import BY_TYPE, Receiver, method_of
from core.actors import Actor
from core.batch import copy_rows
from core.digests import sm3_hex
from core.errors import DutyConflict, NotFound, RoleRequired
from core.money import wire_yuan
from core.numbering import take_numbers
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from emergency.errors import EmergencyFieldInvalid, ListOpen, OutOfScope, SecondPersonNeeded, WindowNotOpen
from emergency.models import PARTIES, DrillPrint, PaperAnswer, PaperVoucher, PartyConfirmation, Window
from emergency.states import DECLARERS, PAPER_FLOW, WINDOW_FLOW, AnswerState, PaperState, WindowState
from parties.models import AgentBank, BudgetUnit
from payments.locking import context_for, lock_requests, require_role
from payments.models import PaymentRequest
from payments.on_paper import PaperLine, PaperReceipt, check_paper_receipt, issue_on_paper, settle_on_paper
from payments.states import RequestState

NUMBER_KIND = "YJ"  # 应急; windows are numbered 2026YJ0000001 unless the region has a rule
VOUCHER_TYPES = tuple(
    kind for kind, rows in BY_TYPE.items() if all(row.receiver is Receiver.AGENT_BANK for row in rows)
)  # PBoC has an emergency procedure of its own


@dataclass(frozen=True)
class WindowInput:
    """What is declared. A scope left empty is everything; `parties` are the posts that confirm the list at the end."""

    reason: str
    hours: int
    parties: tuple[str, ...]
    unit_id: UUID | None = None
    agent_bank_id: UUID | None = None
    voucher_type: str = ""
    drill: bool = False


# The window ---------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def declare_window(*, given: WindowInput, by: Actor, now: datetime) -> Window:
    """Ask for an emergency window. Nothing may be printed before another person confirms it.

    :raises RoleRequired, EmergencyFieldInvalid, NotFound, DayClosed.
    """
    require_role(by, *DECLARERS.split("|"))
    context = context_for(by, now)
    if by.person_id is None:
        raise SecondPersonNeeded("须由自然人声明。", field="by")
    if not 1 <= given.hours <= 24:
        raise EmergencyFieldInvalid("时长为 1 至 24 小时。", field="hours", given=given.hours)
    if not given.reason.strip() or len(given.reason) > 200:
        raise EmergencyFieldInvalid("请写明原因（不超过 200 字）。", field="reason")
    parties = sorted(set(given.parties))
    if len(parties) < 2 or not set(parties) <= {str(post) for post in PARTIES}:
        raise EmergencyFieldInvalid("请至少选两个核对方。", field="parties")
    if given.voucher_type and given.voucher_type not in VOUCHER_TYPES:
        raise EmergencyFieldInvalid(f"凭证类型应为 {'、'.join(VOUCHER_TYPES)}。", field="voucher_type")
    region = {"adm_div_code": by.adm_div_code}
    if given.unit_id and not BudgetUnit.objects.filter(pk=given.unit_id, **region).exists():
        raise NotFound("预算单位不存在。", field="unit")
    if given.agent_bank_id and not AgentBank.objects.filter(pk=given.agent_bank_id, **region).exists():
        raise NotFound("代理银行不存在。", field="agent_bank")
    year = context.fiscal_year
    return Window.objects.create(
        adm_div_code=by.adm_div_code,
        fiscal_year=year,
        window_no=take_numbers(adm_div_code=by.adm_div_code, fiscal_year=year, kind=NUMBER_KIND, count=1)[0],
        reason=given.reason.strip(),
        unit_id=given.unit_id,
        agent_bank_id=given.agent_bank_id,
        voucher_type=given.voucher_type,
        hours=given.hours,
        drill=given.drill,
        parties=parties,
        declared_by_id=by.person_id,
        declared_at=now,
    )


@transaction.atomic(durable=True)
def decide_window(*, window_id: UUID, confirm: bool, reason: str = "", by: Actor, now: datetime) -> Window:
    """Confirm a declared window, which opens it for its hours, or reject it.

    :raises NotFound, TransitionNotAllowed, RoleRequired, SecondPersonNeeded.
    """
    window = _lock_window(window_id, by)
    action = "confirm" if confirm else "reject"
    check_move(WINDOW_FLOW, window, action, by)
    if by.person_id is None or by.person_id == window.declared_by_id:
        raise SecondPersonNeeded("须由声明人以外的另一人确认。", field="by")
    if confirm:
        window.confirmed_by_id = by.person_id
        window.opens_at, window.ends_at = now, now + timedelta(hours=window.hours)
        window.save(update_fields=["confirmed_by", "opens_at", "ends_at"])
    move(WINDOW_FLOW, [window], action, by=by, at=now, reason=reason[:300])
    return window


def _lock_window(window_id: UUID, by: Actor) -> Window:
    rows = Window.objects.select_for_update(no_key=True).filter(adm_div_code=by.adm_div_code)
    window = rows.filter(pk=window_id).first()
    if window is None:
        raise NotFound("应急窗口不存在。", field="window")
    return window


# Printing -----------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def print_on_paper(
    *, window_id: UUID, request_ids: Sequence[UUID], maker: Actor, now: datetime
) -> Outcome[PaymentRequest]:
    """Turn finally approved requests into vouchers on paper; in a drill only note which ones would have been.

    At most CHUNK ids. The budget stays reserved; from here on the number can be neither sealed nor sent.

    Refused per item: not_found, transition_not_allowed, role_required, acted_before, approvals_incomplete,
    content_changed, out_of_window_scope. :raises WindowNotOpen, DayClosed.
    """
    context = context_for(maker, now)
    window = _lock_window(window_id, maker)
    check_open(window, now)

    def may(request: PaymentRequest) -> None:
        check_scope(window, request)

    if window.drill:
        return _drill(window, request_ids, maker, now)
    outcome = issue_on_paper(request_ids=request_ids, maker=maker, context=context, may=may)
    copy_rows(
        [
            PaperVoucher(
                adm_div_code=request.adm_div_code,
                fiscal_year=request.fiscal_year,
                window=window,
                request=request,
                voucher=request.voucher,
                printed_by_id=maker.person_id,
                printed_at=now,
            )
            for request in outcome.accepted
        ]
    )
    return outcome


def check_open(window: Window, now: datetime) -> None:
    """:raises WindowNotOpen: unless vouchers may be printed in it at this moment."""
    if window.state != WindowState.OPEN or window.opens_at is None or window.ends_at is None:
        raise WindowNotOpen(f"应急窗口为「{window.get_state_display()}」，不能打印。", field="window")
    if not window.opens_at <= now < window.ends_at:
        raise WindowNotOpen("应急窗口已到时，不能再打印；请重新声明。", field="window")
    if window.confirmations.exists():
        raise WindowNotOpen("清单已开始核对，不能再打印；请重新声明。", field="window")


def in_scope(window: Window, request: PaymentRequest) -> bool:
    """Whether the window is for this request's unit, bank and type of voucher."""
    bank_id, method = request.payer_account.agent_bank_id, method_of(request.payment_mode)
    return (
        window.unit_id in (None, request.unit_id)
        and window.agent_bank_id in (None, bank_id)
        and method.receiver is Receiver.AGENT_BANK
        and window.voucher_type in ("", method.voucher_type, method.integrated_type)
    )


def check_scope(window: Window, request: PaymentRequest) -> None:
    """:raises OutOfScope: if the window is for another unit, bank or type."""
    if not in_scope(window, request):
        raise OutOfScope(f"{request.request_no} 不在应急窗口 {window.window_no} 的范围内。", field="window")


def _drill(window: Window, ids: Sequence[UUID], maker: Actor, now: datetime) -> Outcome[PaymentRequest]:
    requests = lock_requests(ids, maker)

    def check(request: PaymentRequest) -> None:
        if request.state != RequestState.APPROVED:
            raise WindowNotOpen("演练只用已终审、未制单的申请。", field="state")
        require_role(maker, method_of(request.payment_mode).office.maker)
        check_scope(window, request)

    outcome = judge(requests, ids, check)
    rows = [
        DrillPrint(
            adm_div_code=request.adm_div_code,
            fiscal_year=request.fiscal_year,
            window=window,
            request=request,
            printed_by_id=maker.person_id,
            at=now,
        )
        for request in outcome.accepted
    ]
    DrillPrint.objects.bulk_create(rows, ignore_conflicts=True)
    return outcome


# What came back -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AnswerInput:
    """What stands on the paper that came back."""

    paid_on: date
    bank_serial: str
    lines: tuple[PaperLine, ...]


def enter_answer(
    *, paper_id: UUID, given: AnswerInput, scan: Received | None, store: FileStore, by: Actor, now: datetime
) -> PaperAnswer:
    """Note the bank's answer with its scan; it counts when another person has confirmed it.

    :raises FileRefused: for a scan that is missing or not what it says.
    :raises NotFound, TransitionNotAllowed, RoleRequired, ReceiptIncomplete, EmergencyFieldInvalid, DayClosed.
    """
    if scan is None:
        raise EmergencyFieldInvalid("请附纸质回单的扫描件。", field="file")
    sound = Sound(scan, check_file(scan))
    ready = store.make_ready(scan)
    try:
        answer = _enter(paper_id, given, sound, by, now)
    except BaseException:
        ready.unlink(missing_ok=True)
        raise
    store.place(ready, scan.digest)
    return answer


@transaction.atomic(durable=True)
def _enter(paper_id: UUID, given: AnswerInput, sound: Sound, by: Actor, now: datetime) -> PaperAnswer:
    context = context_for(by, now)
    paper = _lock_paper(paper_id, by)
    check_move(PAPER_FLOW, paper, "enter", by)
    if by.person_id is None or by.person_id == paper.printed_by_id:
        raise DutyConflict("打印人不能补录本单（岗位分离）。", field="by")
    if len(given.bank_serial) > 42 or not given.bank_serial.isprintable():
        raise EmergencyFieldInvalid("银行流水号不超过 42 字。", field="bank_serial")
    if any(len(line.reason) > 100 for line in given.lines):
        raise EmergencyFieldInvalid("失败原因不超过 100 字。", field="lines")
    receipt = PaperReceipt(paper.request_id, given.paid_on, given.bank_serial, given.lines)
    check_paper_receipt(receipt, paper.request, paper.voucher.voucher_date, context.business_date)
    rows = note_files([sound], adm_div_code=paper.adm_div_code, fiscal_year=paper.fiscal_year, now=now)
    scan: StoredFile = rows[sound.received.digest]
    answer = PaperAnswer.objects.create(
        adm_div_code=paper.adm_div_code,
        fiscal_year=paper.fiscal_year,
        paper=paper,
        paid_on=given.paid_on,
        bank_serial=given.bank_serial,
        lines=[[line.seq, line.paid, line.reason] for line in given.lines],
        scan=scan,
        scan_name=sound.received.name,
        entered_by_id=by.person_id,
        entered_at=now,
    )
    move(PAPER_FLOW, [paper], "enter", by=by, at=now)
    return answer


@transaction.atomic(durable=True)
def decide_answer(*, paper_id: UUID, confirm: bool, reason: str = "", by: Actor, now: datetime) -> PaperVoucher:
    """Confirm what was entered, which settles the request exactly as the bank's receipt would, or send it back.

    :raises NotFound, TransitionNotAllowed, RoleRequired, SecondPersonNeeded, DayClosed.
    :raises PaymentUnknown: if the request waits for no answer on paper any more.
    """
    context = context_for(by, now)
    paper = _lock_paper(paper_id, by)
    action = "confirm" if confirm else "refuse"
    check_move(PAPER_FLOW, paper, action, by)
    answer = paper.answers.get(state=AnswerState.ENTERED)
    if by.person_id is None or by.person_id in (answer.entered_by_id, paper.printed_by_id):
        raise SecondPersonNeeded("须由打印人、补录人以外的另一人复核。", field="by")
    if not confirm and not reason.strip():
        raise EmergencyFieldInvalid("请写明退回原因。", field="reason")
    answer.state = AnswerState.CONFIRMED if confirm else AnswerState.REFUSED
    answer.decided_by_id, answer.decided_at, answer.reason = by.person_id, now, reason.strip()[:200]
    answer.save(update_fields=["state", "decided_by", "decided_at", "reason"])
    if confirm:
        lines = tuple(PaperLine(seq, paid, why) for seq, paid, why in answer.lines)
        receipt = PaperReceipt(paper.request_id, answer.paid_on, answer.bank_serial, lines)
        settle_on_paper([receipt], by=by, context=context)
    move(PAPER_FLOW, [paper], action, by=by, at=now, reason=reason.strip()[:300])
    return paper


def _lock_paper(paper_id: UUID, by: Actor) -> PaperVoucher:
    """Lock the window first, so that its list stands still, then the paper."""
    window_id = PaperVoucher.objects.filter(pk=paper_id, adm_div_code=by.adm_div_code).values_list(
        "window_id", flat=True
    )
    found = window_id.first()
    if found is None:
        raise NotFound("纸质凭证不存在。", field="paper")
    _lock_window(found, by)
    rows = PaperVoucher.objects.select_for_update(no_key=True, of=("self",)).select_related("request", "voucher")
    return rows.get(pk=paper_id)


# The end ------------------------------------------------------------------------------------------------------------


def list_of(window: Window) -> list[dict[str, str]]:
    """The list of the window: every paper with what became of it, in order of numbers."""
    papers = window.papers.select_related("request", "voucher").order_by("voucher__voucher_type", "voucher__voucher_no")
    answers = {
        answer.paper_id: answer
        for answer in PaperAnswer.objects.filter(paper__window=window, state=AnswerState.CONFIRMED)
    }
    rows = []
    for paper in papers:
        answer = answers.get(paper.id)
        rows.append(
            {
                "voucher": f"{paper.voucher.voucher_type}/{paper.voucher.voucher_no}",
                "request": paper.request.request_no,
                "amount": wire_yuan(paper.voucher.amount),
                "paid": wire_yuan(paper.request.amount_paid) if answer else "",
                "paid_on": answer.paid_on.isoformat() if answer else "",
                "bank_serial": answer.bank_serial if answer else "",
                "scan": answer.scan.digest if answer else "",
            }
        )
    return rows


def digest_of(window: Window) -> str:
    """The SM3 of the list, which every party confirms."""
    said = {"window": window.window_no, "list": list_of(window)}
    return sm3_hex(json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


@transaction.atomic(durable=True)
def confirm_list(*, window_id: UUID, digest: str, by: Actor, now: datetime) -> PartyConfirmation:
    """Say for one of the parties named that the list is right and whole.

    :param digest: of the list as it was shown.
    :raises NotFound, WindowNotOpen, ListOpen, RoleRequired, SecondPersonNeeded.
    """
    window = _lock_window(window_id, by)
    if window.state != WindowState.OPEN:
        raise WindowNotOpen(f"应急窗口为「{window.get_state_display()}」。", field="window")
    _check_answered(window)
    if digest != digest_of(window):
        raise ListOpen("清单与您看到的不同，请刷新后重新核对。", field="digest")
    done = {c.post: c.person_id for c in window.confirmations.all()}
    mine = [post for post in window.parties if post in by.roles and post not in done]
    if not mine:
        raise RoleRequired(f"核对需要岗位：{'|'.join(window.parties)}；或该方已核对。", field="role", by=by.name)
    if by.person_id is None or by.person_id in done.values():
        raise SecondPersonNeeded("每一方须由不同的人核对。", field="by")
    return PartyConfirmation.objects.create(
        adm_div_code=window.adm_div_code,
        fiscal_year=window.fiscal_year,
        window=window,
        post=mine[0],
        person_id=by.person_id,
        list_digest=digest,
        at=now,
    )


@transaction.atomic(durable=True)
def close_window(*, window_id: UUID, by: Actor, now: datetime) -> Window:
    """End a window: every paper answered, the list confirmed by every party named. A drill only ends.

    :raises NotFound, TransitionNotAllowed, RoleRequired, ListOpen.
    """
    window = _lock_window(window_id, by)
    check_move(WINDOW_FLOW, window, "close", by)
    digest = digest_of(window)
    if not window.drill:
        _check_answered(window)
        confirmed = {c.post for c in window.confirmations.all() if c.list_digest == digest}
        missing = [post for post in window.parties if post not in confirmed]
        if missing:
            raise ListOpen(f"清单还没有由各方核对：{'|'.join(missing)}。", field="parties")
    window.closed_at, window.list_digest = now, digest
    window.save(update_fields=["closed_at", "list_digest"])
    move(WINDOW_FLOW, [window], "close", by=by, at=now)
    return window


def _check_answered(window: Window) -> None:
    waiting = window.papers.exclude(state=PaperState.SETTLED).count()
    if waiting:
        raise ListOpen(f"还有 {waiting} 张纸质凭证没有结清。", field="papers", waiting=waiting)
