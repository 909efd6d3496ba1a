"""A case from its alert to 核销: who may say what, when it is due, and what is late rises."""

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from core.errors import Conflict, NotFound, RoleRequired, TransitionNotAllowed
from core.models import BusinessDay, Workday
from demo import world
from monitoring import casework, services
from monitoring.casework import Filed
from monitoring.errors import AttachmentRequired, HoldFirst, ReasonRequired
from monitoring.models import Alert, Case, CaseStep, CaseTerms, MonitoringRule
from monitoring.scheduled import run_day
from monitoring.states import CASE_FLOW, CaseState
from parties.errors import ActedBefore
from tests import acts
from tests.conftest import NOW
from tests.monitoring.rule_facts import OWN, payment

pytestmark = pytest.mark.usefixtures("city")

FILE = Filed("ab" * 32, "合同.pdf", "application/pdf", 1000)
LARGE = payment("500000.00", contract_no="HT-1")
OWN_ACCOUNT = payment("50000.00", payee={"account_no": OWN}, document_id=UUID(int=2), document_no="SQ2")


def raised(*documents):
    services.record_hits(facts=documents, hits=services.screen(documents), at=NOW)
    return list(Case.objects.select_related("alert").order_by("alert__document_no"))


def act(what, case, who, **values):
    by = world.officer(who) if isinstance(who, str) else who
    role = "unit_officer" if what in ("explain_case", "answer_case") else "verifier"
    return getattr(casework, what)(case_id=case.id, now=NOW, text="见附件", **{role: by}, **values)


def explain(case, who="u101002-jb", files=(FILE,)):
    return act("explain_case", case, who, files=files)


def decide(case, verdict, who="gk-jk"):
    return act("decide_case", case, who, verdict=verdict)


def move_day(day):
    BusinessDay.objects.filter(closed_at__isnull=True).update(date=day)


def test_each_level_opens_a_case_with_its_deadline_and_a_reminder_does_not():
    reminder = payment("3000.00", settlement="3", document_id=UUID(int=3), document_no="SQ3")
    raised(LARGE, OWN_ACCOUNT, reminder)

    found = {c.alert.rule_code: (c.level, c.state, c.due_on) for c in Case.objects.select_related("alert")}

    assert found == {
        "M01": ("orange", "awaiting", date(2026, 6, 17)),
        "M07": ("red", "awaiting", date(2026, 6, 15)),
    }
    assert Alert.objects.count() == 3


def test_deadlines_are_counted_in_working_days_as_the_region_sets_them():
    CaseTerms.objects.update(orange_days=4)

    [case] = raised(LARGE)

    assert case.due_on == date(2026, 6, 22)  # 16, 17, 18; 19 is a holiday, 20 and 21 a week-end
    Workday.objects.all().delete()
    due = casework._DueDates(date(2026, 6, 15))
    assert due.after(date(2026, 6, 15), 5) == date(2026, 6, 22)  # without a calendar Monday to Friday


def test_a_rule_that_asks_for_files_opens_a_case_even_for_a_reminder_and_is_not_answered_without():
    MonitoringRule.objects.filter(code="M04").update(version=2, attachment_required=True)
    [case] = raised(payment("3000.00", settlement="3"))

    assert (case.level, case.due_on) == ("yellow", date(2026, 6, 18))
    with pytest.raises(AttachmentRequired):
        explain(case, files=())
    assert explain(case).state == "explained"


def test_a_case_goes_from_explanation_over_rectification_to_its_end():
    [case] = raised(OWN_ACCOUNT)

    explain(case)
    assert decide(case, "rectify").state == "rectifying"
    assert act("answer_case", case, "u101002-fh", files=(FILE,)).state == "answered"
    assert act("close_case", case, "gk-kz", closed=False).state == "rectifying"
    act("answer_case", case, "u101002-fh", files=())
    closed = act("close_case", case, "jkw-sh", closed=True)

    closed.refresh_from_db()
    assert (closed.state, closed.verdict, closed.closed_at) == ("closed", "rectify", NOW)
    steps = CaseStep.objects.filter(case=case).values_list("kind", "actor_name", "level")
    assert [kind for kind, _, _ in steps] == [
        *("explain", "rectify", "feedback", "reopen", "feedback", "close"),
    ]
    assert CaseStep.objects.filter(case=case).first().attachments[0]["file_name"] == "合同.pdf"


def test_a_confirmed_violation_of_level_two_becomes_level_one():
    [case] = raised(LARGE)

    decide(case, "recover")

    case.refresh_from_db()
    assert (case.level, case.state, case.verdict, case.due_on) == ("red", "recovering", "recover", date(2026, 6, 15))
    assert Alert.objects.get().severity == "orange"  # what the rule said stays


@pytest.mark.parametrize(("verdict", "state"), [("pass", "closed"), ("void", "closed"), ("escalate", "awaiting")])
def test_every_other_verdict(verdict, state):
    [case] = raised(OWN_ACCOUNT)
    if verdict == "escalate":
        with pytest.raises(Conflict):
            decide(case, verdict)
        return
    assert decide(case, verdict).state == state
    assert Case.objects.get().verdict == verdict


def test_a_hold_is_disposed_of_where_it_is_held_and_closes_its_case():
    [case] = raised(LARGE)

    with pytest.raises(HoldFirst):
        decide(case, "pass")
    services.dispose(
        document_ids=[LARGE.document_id], decision="pass", reason="已核实", by=world.officer("gk-jk"), at=NOW
    )

    case.refresh_from_db()
    assert (case.state, case.verdict) == ("closed", "pass")
    assert CaseStep.objects.get().text == "已核实"


def test_a_hold_sent_back_closes_its_case_as_void():
    raised(LARGE)

    services.dispose(
        document_ids=[LARGE.document_id], decision="reject", reason="依据不足", by=world.officer("gk-jk"), at=NOW
    )

    assert Case.objects.get().verdict == "void"


@pytest.mark.parametrize("who", ["u101002-jb", "u101002-fh", "gk-dz", "gk-zd", "gk-sh"])
def test_nobody_but_a_verifier_decides(who):
    [case] = raised(OWN_ACCOUNT)

    with pytest.raises(RoleRequired):
        decide(case, "pass", who)


def test_neither_the_author_nor_who_spoke_for_the_unit_verifies():
    author = acts.second_login("gk-jk", "unit_clerk", unit="101002")
    [case] = raised(replace(OWN_ACCOUNT, author_id=author.person_id))
    with pytest.raises(ActedBefore):
        decide(case, "pass")

    Alert.objects.all()
    other = acts.newcomer("jk2", "monitor_officer")
    explained = acts.second_login("jk2", "unit_reviewer", unit="101002")
    explain(case, explained)
    with pytest.raises(ActedBefore):
        decide(case, "pass", other)
    assert decide(case, "pass", "gk-kz").state == "closed"


def test_another_unit_and_another_section_do_not_see_the_case():
    [case] = raised(OWN_ACCOUNT)

    for who, what in (("u205001-jb", explain), ("xzzf-sh", lambda c, w: decide(c, "pass", w))):
        with pytest.raises(NotFound):
            what(case, who)


@pytest.mark.parametrize("text", ["", "  ", "字" * 501])
def test_every_word_is_there_and_fits(text):
    [case] = raised(OWN_ACCOUNT)

    with pytest.raises(ReasonRequired):
        casework.decide_case(case_id=case.id, verdict="pass", text=text, verifier=world.officer("gk-jk"), now=NOW)


@pytest.mark.parametrize("state", CaseState.values)
def test_every_action_in_every_state(state):
    """What the table does not name is refused, and nothing is written."""
    [case] = raised(OWN_ACCOUNT)
    path = {
        "awaiting": [],
        "explained": [lambda: explain(case)],
        "rectifying": [lambda: decide(case, "rectify")],
        "recovering": [lambda: decide(case, "recover")],
        "answered": [lambda: decide(case, "rectify"), lambda: act("answer_case", case, "u101002-jb", files=())],
        "closed": [lambda: decide(case, "pass")],
    }
    for step in path[state]:
        step()
    allowed = set(CASE_FLOW.actions_from(state))
    tries = {
        "explain": lambda: explain(case),
        "feedback": lambda: act("answer_case", case, "u101002-jb", files=()),
        "close": lambda: act("close_case", case, "gk-kz", closed=True),
        "reopen": lambda: act("close_case", case, "gk-kz", closed=False),
        **{v: (lambda v=v: decide(case, v)) for v in ("pass", "void", "rectify", "recover")},
    }
    for action, attempt in tries.items():
        before = CaseStep.objects.count()
        if action in allowed:
            mark = transaction.savepoint()
            attempt()
            assert CaseStep.objects.count() == before + 1
            transaction.savepoint_rollback(mark)
        else:
            with pytest.raises(TransitionNotAllowed):
                attempt()
            assert CaseStep.objects.count() == before


def test_overdue_cases_rise_one_level_each_deadline():
    raised(LARGE)
    by = world.officer("gk-jk")

    def lifted(day):
        casework.escalate_cases(adm_div_code=world.REGION, fiscal_year=2026, today=day, by=system, at=NOW)
        case = Case.objects.get()
        return case.level, case.due_on

    system = replace(by, roles=frozenset({"system"}), person_id=None, name="定时监控")
    assert lifted(date(2026, 6, 17)) == ("orange", date(2026, 6, 17))  # its last day
    assert lifted(date(2026, 6, 18)) == ("red", date(2026, 6, 18))
    assert lifted(date(2026, 6, 22)) == ("red", date(2026, 6, 18))  # nothing is above
    assert "2026-06-17 已过" in CaseStep.objects.get().text


def test_a_reminder_that_nobody_answers_becomes_level_two_and_then_one():
    MonitoringRule.objects.filter(code="M04").update(version=2, attachment_required=True)
    raised(payment("3000.00", settlement="3"))
    system = replace(world.officer("gk-jk"), roles=frozenset({"system"}), person_id=None)

    levels = []
    for day in (date(2026, 6, 18), date(2026, 6, 22), date(2026, 6, 24), date(2026, 6, 25)):
        casework.escalate_cases(adm_div_code=world.REGION, fiscal_year=2026, today=day, by=system, at=NOW)
        levels.append(Case.objects.get().level)
    assert levels == ["yellow", "orange", "orange", "red"]  # due 18; then 22 + 2 = 24


def test_the_third_time_is_a_habit():
    documents = [replace(LARGE, document_id=UUID(int=n), document_no=f"SQ{n}") for n in (1, 2, 3)]
    raised(*documents[:2])
    assert run_day(adm_div_code=world.REGION, now=NOW).escalated == 0

    raised(documents[2])
    move_day(date(2026, 6, 16))
    assert run_day(adm_div_code=world.REGION, now=NOW).escalated == 3
    assert set(Case.objects.values_list("level", flat=True)) == {"red"}


def test_those_found_in_order_make_no_habit():
    documents = [replace(LARGE, document_id=UUID(int=n), document_no=f"SQ{n}") for n in (1, 2, 3)]
    raised(*documents)
    services.dispose(
        document_ids=[documents[0].document_id], decision="pass", reason="好", by=world.officer("gk-jk"), at=NOW
    )

    assert run_day(adm_div_code=world.REGION, now=NOW).escalated == 0


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE monitoring_case SET state = 'answered'",
        "UPDATE monitoring_case SET level = 'yellow'",
        "UPDATE monitoring_case SET opened_on = '2026-01-01'",
        "UPDATE monitoring_case SET state = 'closed'",
        "DELETE FROM monitoring_case",
        "UPDATE monitoring_casestep SET text = 'x'",
        "DELETE FROM monitoring_casestep",
    ],
)
def test_raw_sql_cannot_touch_a_case(sql):
    [case] = raised(OWN_ACCOUNT)
    explain(case)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_closed_case_needs_a_verdict():
    raised(OWN_ACCOUNT)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE monitoring_case SET state = 'closed', closed_at = now()")
