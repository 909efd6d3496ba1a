"""Deadlines and dwell times, counted by hand in working hours; the same number of statements whatever waits."""

from datetime import date, datetime, timedelta

import pytest
from django.utils import timezone

from demo import world
from parties.chain_rules import Conditions, NodeSpec
from parties.chains import activate_chain, draft_chain
from payments import services
from payments.deadlines import (
    by_person,
    by_post,
    due_reminders,
    dwell_times,
    overdue_reviews,
    reviews_of,
    waiting_reviews,
)
from payments.models import PaymentRequest
from tests import acts
from tests.conftest import NOW

# Monday 2026-06-15 09:00 is NOW; the Dragon Boat holiday is Friday the 19th.


def at(day, clock):
    return datetime.fromisoformat(f"2026-06-{day:02d}T{clock}:00").replace(tzinfo=timezone.get_default_timezone())


@pytest.fixture
def timed(city):
    """Eight hours at the first node of authorised payments, reminded three hours before; none at the second."""
    one, other = acts.newcomer("xt-gl", "system_admin"), acts.newcomer("aq-gl", "security_admin")
    nodes = [NodeSpec(1, "unit_reviewer", due_hours=8, remind_hours=3), NodeSpec(2, "unit_leader")]
    values = {"document_kind": "payment_authorized", "name": "默认", "nodes": nodes, "conditions": Conditions()}
    activate_chain(chain_id=draft_chain(**values, by=one, now=NOW).pk, by=other, now=NOW)
    return city


def submitted(no="I1", now=NOW):
    request = acts.draft(no, "1.00")
    clerk = world.officer(f"{acts.CLERK_OF[no]}-jb")
    services.submit_payment_requests(request_ids=[request.id], clerk=clerk, now=now).raise_if_refused()
    return request


def approve(who, request, now):
    outcome = services.approve_payment_requests(request_ids=[request.id], reviewer=world.officer(who), now=now)
    outcome.raise_if_refused()


def test_due_a_working_day_after_it_came_and_overdue_a_minute_later(timed):
    request = submitted()

    (waiting,) = waiting_reviews(world.REGION, now=at(15, "10:00"))
    assert (waiting.document_no, waiting.post, waiting.since) == (request.request_no, "unit_reviewer", NOW)
    assert (waiting.waited, waiting.due_at, waiting.remind_at) == (timedelta(hours=1), at(16, "09:00"), at(15, "15:30"))
    assert overdue_reviews(world.REGION, now=at(16, "09:00")) == []
    (late,) = overdue_reviews(world.REGION, now=at(16, "09:01"))
    assert (late.document_id, late.late) == (request.id, timedelta(minutes=1))
    assert overdue_reviews("990200000", now=at(16, "09:01")) == []


def test_reminded_from_three_hours_before_until_it_is_late(timed):
    submitted()
    for moment, count in (((15, "15:29"), 0), ((15, "15:30"), 1), ((16, "09:00"), 1), ((16, "09:01"), 0)):
        assert len(due_reminders(world.REGION, now=at(*moment))) == count


def test_a_node_without_a_deadline_is_never_late_and_each_node_counts_anew(timed):
    request = submitted()
    approve("u101001-fh", request, at(16, "10:00"))
    assert waiting_reviews(world.REGION, now=at(18, "17:00")) == []
    (second,) = waiting_reviews(world.REGION, now=at(16, "11:00"), due_only=False)
    assert (second.post, second.since, second.waited, second.due_at, second.overdue) == (
        "unit_leader",
        at(16, "10:00"),
        timedelta(hours=1),
        None,
        False,
    )


def test_a_returned_request_starts_anew_when_it_comes_back(timed):
    request = submitted()
    services.return_payment_requests(
        request_ids=[request.id],
        reviewer=world.officer("u101001-fh"),
        reason_code="payee",
        reason="",
        now=at(15, "10:00"),
    )
    assert waiting_reviews(world.REGION, now=at(16, "17:00")) == []
    clerk = world.officer("u101001-jb")
    services.submit_payment_requests(request_ids=[request.id], clerk=clerk, now=at(16, "16:00"))
    (waiting,) = waiting_reviews(world.REGION, now=at(16, "17:00"))
    assert waiting.waited == timedelta(hours=1)


def test_it_takes_as_many_statements_for_many_as_for_few(timed):
    def used(count):
        for _ in range(count):
            submitted()
        with acts.statements() as seen:
            overdue_reviews(world.REGION, now=at(18, "17:00"))
        return len(seen)

    assert used(2) == used(8) <= 3


def test_dwell_times_by_node_and_by_person(timed):
    """Ten reviews of 1 to 10 hours: average 5.5, nine tenths within 9; the delegator's time is not the delegate's."""
    start = at(15, "08:30")
    ends = [at(15, clock) for clock in ("09:30", "10:30", "11:30", "14:00", "15:00", "16:00", "17:00", "18:00")]
    ends += [at(16, "09:30"), at(16, "10:30")]
    for end in ends:
        approve("u101001-fh", submitted(now=start), end)

    reviews = list(reviews_of(world.REGION, first=date(2026, 6, 15), last=date(2026, 6, 16)))

    (node,) = dwell_times(reviews, by_post)
    assert (node.post, node.count, node.late) == ("unit_reviewer", 10, 2)
    assert (node.average, node.slowest) == (timedelta(hours=5.5), timedelta(hours=9))
    (person,) = dwell_times(reviews, by_person)
    assert (person.person, person.count, person.slowest) == ("赵国强", 10, timedelta(hours=9))
    monday = list(reviews_of(world.REGION, first=date(2026, 6, 15), last=date(2026, 6, 15), post="unit_reviewer"))
    assert len(monday) == 8 and max(review.dwell for review in monday) == timedelta(hours=8)
    assert list(reviews_of(world.REGION, first=date(2026, 6, 15), last=date(2026, 6, 16), post="unit_leader")) == []


def test_a_page_asks_only_about_its_own_rows(timed):
    one, _other = submitted(), submitted()
    rows = PaymentRequest.objects.filter(pk=one.pk)
    assert [w.document_id for w in waiting_reviews(world.REGION, now=at(15, "10:00"), requests=rows)] == [one.id]
