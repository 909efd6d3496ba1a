"""Cases (案件): explanation, verification, rectification, 核销, and what is late rises. Source: docs/monitoring.md."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.calendar import open_day
from core.errors import Conflict, NotFound
from core.models import Workday
from core.transitions import check_move, move
from monitoring.errors import AttachmentRequired, HoldFirst, ReasonRequired
from monitoring.levels import Action, Severity
from monitoring.models import Alert, Case, CaseStep, CaseTerms
from monitoring.points import Point
from monitoring.states import CASE_FLOW, OPEN_CASES, AlertState, CaseState, Verdict
from parties.errors import ActedBefore
from parties.selectors import visible_unit_codes

TEXT_LENGTH = 500
_ABOVE = {Severity.YELLOW.value: Severity.ORANGE.value, Severity.ORANGE.value: Severity.RED.value}
_FARTHEST = 400  # no deadline lies more days ahead


@dataclass(frozen=True)
class Filed:
    """A file a word rests on: kept in the storage of attachments under its digest."""

    digest: str
    file_name: str
    media_type: str
    size: int

    @property
    def as_json(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "file_name": self.file_name,
            "media_type": self.media_type,
            "size": self.size,
        }


# Opening, and what a disposition closes -----------------------------------------------------------------------------


def open_cases(alerts: Sequence[Alert], *, at: datetime) -> None:
    """Open a case for each alert that needs an answer: level two and one, what is urged, what must be attached.

    A step; the caller's transaction.
    """
    asked = [alert for alert in alerts if _needs_case(alert)]
    if not asked:
        return
    terms = terms_of({alert.adm_div_code for alert in asked})
    due = _DueDates(min(alert.business_date for alert in asked))
    copy_rows(
        [
            Case(
                adm_div_code=alert.adm_div_code,
                fiscal_year=alert.fiscal_year,
                alert=alert,
                level=alert.severity,
                due_on=due.after(alert.business_date, terms[alert.adm_div_code].days(alert.severity)),
                opened_on=alert.business_date,
                opened_at=at,
            )
            for alert in asked
        ]
    )


def _needs_case(alert: Alert) -> bool:
    urged = alert.point == Point.SCHEDULED and alert.action == Action.REMIND
    return alert.severity in (Severity.ORANGE, Severity.RED) or urged or alert.attachment_required


def close_disposed(alerts: Sequence[Alert], decision: str, *, reason: str, by: Actor, at: datetime) -> None:
    """Close the cases of alerts an officer has decided on: passed, or sent back to the unit (退回作废). A step."""
    rows = Case.objects.select_for_update(no_key=True).filter(alert__in=alerts, state__in=OPEN_CASES)
    cases = [
        case
        for case in rows.select_related("alert").order_by("pk")
        if case.state in (CaseState.AWAITING, CaseState.EXPLAINED)
    ]
    if not cases:
        return
    verdict = Verdict.PASS if decision == "pass" else Verdict.VOID
    _finish(cases, verdict.value, verdict.value, reason, [], by=by, at=at, today=alerts[0].business_date)


def terms_of(adm_div_codes: Iterable[str]) -> dict[str, CaseTerms]:
    """Return the deadlines of these regions; the usual ones where none are set (one query)."""
    codes = set(adm_div_codes)
    found = CaseTerms.objects.in_bulk(list(codes))
    return {code: found.get(code) or CaseTerms(adm_div_code=code) for code in codes}


class _DueDates:
    """Counts working days ahead (one query); where the calendar ends, Monday to Friday are taken for worked."""

    def __init__(self, first: date) -> None:
        until = first + timedelta(days=_FARTHEST)
        self._known = dict(Workday.objects.filter(date__gt=first, date__lte=until).values_list("date", "worked"))

    def after(self, day: date, days: int) -> date:
        """Return the date `days` working days after `day`; 0 is the day itself."""
        while days > 0:
            day += timedelta(days=1)
            if self._known.get(day, day.weekday() < 5):
                days -= 1
        return day


# What people do -----------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def explain_case(*, case_id: UUID, text: str, files: Sequence[Filed], unit_officer: Actor, now: datetime) -> Case:
    """The unit explains itself, with the files that show it.

    :raises NotFound: unless it is a case of the officer's own unit.
    :raises AttachmentRequired: without a file, where the rule asks for one.
    """
    case, today = _lock(case_id, unit_officer)
    check_move(CASE_FLOW, case, "explain", unit_officer)
    text = _text(text, "说明")
    if case.alert.attachment_required and not files:
        raise AttachmentRequired("该规则要求上传附件，请至少上传一份。", field="file")
    move(CASE_FLOW, [case], "explain", by=unit_officer, at=now)
    _say([case], CaseStep.Kind.EXPLAIN, text, files, by=unit_officer, at=now, today=today)
    return case


@transaction.atomic(durable=True)
def decide_case(*, case_id: UUID, verdict: str, text: str, verifier: Actor, now: datetime) -> Case:
    """Verify a case: let it pass, ask for rectification, send it back, recover the money, or raise it one level.

    A violation of level two that is confirmed (要求整改, 追回资金) becomes level one; a new level has a new deadline.

    :raises HoldFirst: if the document is on hold and the verdict would pass it or send it back.
    :raises ActedBefore: if the verifier made the document or explained the case.
    """
    case, today = _lock(case_id, verifier)
    if verdict not in Verdict.values:
        raise ReasonRequired("请选择核实结论。", field="verdict")
    check_move(CASE_FLOW, case, verdict, verifier)
    if verdict == Verdict.ESCALATE and case.level == Severity.RED:
        raise Conflict("已是一级，不能再上升。", field="verdict")
    _check_apart(case, verifier)
    text = _text(text, "核实意见")
    if case.alert.state == AlertState.PENDING and verdict in (Verdict.PASS, Verdict.VOID):
        raise HoldFirst("单据正在监控挂起，请在「挂起待处置」放行或退回，案件随之办结。", field="verdict")
    if not case.alert.unit_code and verdict in (Verdict.RECTIFY, Verdict.RECOVER):
        raise HoldFirst("该事项不属于某个单位，不能要求单位整改。", field="verdict")
    if verdict in (Verdict.PASS, Verdict.VOID):
        _finish([case], verdict, verdict, text, [], by=verifier, at=now, today=today)
    elif verdict == Verdict.ESCALATE:
        _raise_level([case], {case.id: text}, by=verifier, at=now, today=today)
    else:
        move(CASE_FLOW, [case], verdict, by=verifier, at=now, reason=text[:300])
        level = _ABOVE[case.level] if case.level == Severity.ORANGE else case.level
        _set(case, verdict=verdict, level=level, due_on=_due(case, level, today))
        _say([case], CaseStep.Kind(verdict), text, [], by=verifier, at=now, today=today)
    return case


@transaction.atomic(durable=True)
def answer_case(*, case_id: UUID, text: str, files: Sequence[Filed], unit_officer: Actor, now: datetime) -> Case:
    """The unit reports what it has put right (整改反馈)."""
    case, today = _lock(case_id, unit_officer)
    check_move(CASE_FLOW, case, "feedback", unit_officer)
    text = _text(text, "反馈")
    move(CASE_FLOW, [case], "feedback", by=unit_officer, at=now)
    _set(case, due_on=_due(case, case.level, today))
    _say([case], CaseStep.Kind.FEEDBACK, text, files, by=unit_officer, at=now, today=today)
    return case


@transaction.atomic(durable=True)
def close_case(*, case_id: UUID, closed: bool, text: str, verifier: Actor, now: datetime) -> Case:
    """Write the case off (核销), or ask again for what is not yet right.

    :raises ActedBefore: as for `decide_case`.
    """
    case, today = _lock(case_id, verifier)
    action = "close" if closed else "reopen"
    check_move(CASE_FLOW, case, action, verifier)
    _check_apart(case, verifier)
    text = _text(text, "核销意见")
    if closed:
        _finish([case], action, case.verdict, text, [], by=verifier, at=now, today=today)
    else:
        move(CASE_FLOW, [case], action, by=verifier, at=now, reason=text[:300])
        _set(case, due_on=_due(case, case.level, today))
        _say([case], CaseStep.Kind.REOPEN, text, [], by=verifier, at=now, today=today)
    return case


# What is late or has become a habit ---------------------------------------------------------------------------------


def escalate_cases(*, adm_div_code: str, fiscal_year: int, today: date, by: Actor, at: datetime) -> int:
    """Raise overdue cases by one level, and level two cases of a unit that keeps meeting one rule; returns how many.

    A case at level one stays there and is shown as overdue. A raised case has a new deadline, so it rises once a
    deadline, not once a day. A step of the daily run.
    """
    terms = terms_of([adm_div_code])[adm_div_code]
    cases = list(
        Case.objects.select_for_update(no_key=True, of=("self",))
        .select_related("alert")
        .filter(adm_div_code=adm_div_code, state__in=OPEN_CASES)
        .exclude(level=Severity.RED)
        .order_by("pk")
    )
    times = _times(adm_div_code, fiscal_year)
    why: dict[UUID, str] = {}
    for case in cases:
        key = case.alert.unit_code, case.alert.rule_code
        if case.due_on < today:
            why[case.id] = f"期限 {case.due_on:%Y-%m-%d} 已过，逾期未办结。"
        elif case.level == Severity.ORANGE and case.alert.unit_code and times[key] >= terms.repeat_times:
            why[case.id] = f"本年第 {times[key]} 次触发同一规则，达到 {terms.repeat_times} 次。"
    raised = [case for case in cases if case.id in why]
    _raise_level(raised, why, by=by, at=at, today=today)
    return len(raised)


def _times(adm_div_code: str, fiscal_year: int) -> Counter[tuple[str, str]]:
    """Return how many cases of level two and one each unit has with each rule this year; those passed do not count."""
    rows = Case.objects.filter(adm_div_code=adm_div_code, fiscal_year=fiscal_year)
    rows = rows.filter(alert__severity__in=[Severity.ORANGE, Severity.RED]).exclude(verdict=Verdict.PASS)
    return Counter(rows.values_list("alert__unit_code", "alert__rule_code"))


# Small steps --------------------------------------------------------------------------------------------------------


def _lock(case_id: UUID, actor: Actor) -> tuple[Case, date]:
    """Lock a case the actor may see, on the open business day.

    :raises NotFound: if there is none, without telling whether it is somebody else's.
    """
    today = open_day(actor.adm_div_code).date
    rows = Case.objects.select_for_update(no_key=True, of=("self",)).select_related("alert")
    rows = rows.filter(pk=case_id, adm_div_code=actor.adm_div_code)
    codes = visible_unit_codes(actor)
    case = (rows if codes is None else rows.filter(alert__unit_code__in=codes)).first()
    if case is None:
        raise NotFound("案件不存在或不在您的权限范围内。", field="id")
    return case, today


def _check_apart(case: Case, verifier: Actor) -> None:
    """:raises ActedBefore: if this person made the document, or spoke for the unit in this case."""
    if verifier.person_id is not None and verifier.person_id == case.alert.author_id:
        raise ActedBefore("您是本单录入人，不能核实本单的预警（岗位分离）。", field="verifier")
    spoken = (CaseStep.Kind.EXPLAIN, CaseStep.Kind.FEEDBACK)
    if CaseStep.objects.filter(case=case, kind__in=spoken, person=verifier.person_id).exists():
        raise ActedBefore("您代表单位作过说明，不能核实本案（岗位分离）。", field="verifier")


def _text(text: str, label: str) -> str:
    text = " ".join(text.split())
    if not 0 < len(text) <= TEXT_LENGTH:
        raise ReasonRequired(f"请填写{label}（不超过 {TEXT_LENGTH} 字）。", field="text")
    return text


def _due(case: Case, level: str, today: date) -> date:
    return _DueDates(today).after(today, terms_of([case.adm_div_code])[case.adm_div_code].days(level))


def _set(case: Case, **values: Any) -> None:
    Case.objects.filter(pk=case.pk).update(**values)
    for name, value in values.items():
        setattr(case, name, value)


def _finish(
    cases: Sequence[Case],
    action: str,
    verdict: str,
    text: str,
    files: Sequence[Filed],
    *,
    by: Actor,
    at: datetime,
    today: date,
) -> None:
    ids = [case.pk for case in cases]
    Case.objects.filter(pk__in=ids).update(verdict=verdict, closed_at=at)
    for case in cases:
        case.verdict, case.closed_at = verdict, at
    move(CASE_FLOW, cases, action, by=by, at=at, reason=text[:300])
    _say(cases, CaseStep.Kind(action), text, files, by=by, at=at, today=today)


def _raise_level(cases: Sequence[Case], why: Mapping[UUID, str], *, by: Actor, at: datetime, today: date) -> None:
    if not cases:
        return
    terms = terms_of({case.adm_div_code for case in cases})
    due = _DueDates(today)
    for case in cases:
        case.level = _ABOVE.get(case.level, case.level)
        case.due_on = due.after(today, terms[case.adm_div_code].days(case.level))
    move(CASE_FLOW, cases, "escalate", by=by, at=at)
    update_from_values(
        Case, {"level": "text", "due_on": "date"}, sorted((case.id, case.level, case.due_on) for case in cases)
    )
    _say(cases, CaseStep.Kind.ESCALATE, "", [], by=by, at=at, today=today, each=why)


def _say(
    cases: Sequence[Case],
    kind: CaseStep.Kind,
    text: str,
    files: Sequence[Filed],
    *,
    by: Actor,
    at: datetime,
    today: date,
    each: Mapping[UUID, str] | None = None,
) -> None:
    copy_rows(
        [
            CaseStep(
                adm_div_code=case.adm_div_code,
                fiscal_year=case.fiscal_year,
                case=case,
                kind=kind,
                text=(each or {}).get(case.id, text),
                attachments=[file.as_json for file in files],
                level=case.level,
                person_id=by.person_id,
                actor_name=by.name,
                business_date=today,
                at=at,
            )
            for case in cases
        ]
    )
