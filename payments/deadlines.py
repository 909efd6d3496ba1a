"""时限: what waits at a node of its review chain, since when and until when; and how long reviews have taken.

Working time only (`core.working_time`). A document is at a node from the event that brought it there: submitting, the
approval at the node before, or the disposition that let it go on. Source: docs/review-chains.md §deadlines.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, Max, OuterRef, QuerySet, Subquery
from django.utils import timezone

from budget.models import SpendingPlan
from core.models import Transition
from core.working_time import working_time
from parties.models import ReviewNode
from payments.models import PaymentRequest

ARRIVALS = ("submit", "advance", "pass_hold")
IN_REVIEW = "in_review"


@dataclass(frozen=True)
class Waiting:
    """One document at one node. `due_at` and `remind_at` are None where the node has no deadline or reminder."""

    document_id: UUID
    document_type: str
    document_no: str
    unit_code: str
    unit_name: str
    amount: Decimal
    ordinal: int
    post: str
    since: datetime
    waited: timedelta
    due_at: datetime | None
    remind_at: datetime | None
    late: timedelta

    @property
    def overdue(self) -> bool:
        return self.late > timedelta(0)


def waiting_reviews(
    adm_div_code: str, *, now: datetime, requests: QuerySet[PaymentRequest] | None = None, due_only: bool = True
) -> list[Waiting]:
    """Return what waits for review in a region, longest overdue first; requests and plans.

    :param requests: only these requests and no plans, where a page asks about its own rows.
    :param due_only: leave out nodes without a deadline.

    A fixed number of statements, whatever waits.
    """
    asked: list[tuple[QuerySet[Any], str]] = []
    if requests is not None:
        asked.append((requests, "request_no"))
    else:
        asked.append((PaymentRequest.objects.filter(adm_div_code=adm_div_code), "request_no"))
        asked.append((SpendingPlan.objects.filter(adm_div_code=adm_div_code), "plan_no"))
    found = [one for rows, number in asked for one in _waiting(rows, number, due_only)]
    if not found:
        return []
    calendar = working_time(timezone.localdate(min(row["since"] for row in found)), timezone.localdate(now))
    waiting = []
    for row in found:
        since, hours, reminder = row["since"], row["due_hours"], row["remind_hours"]
        waited = calendar.between(since, now)
        allowed = timedelta(hours=hours) if hours else None
        waiting.append(
            Waiting(
                document_id=row["id"],
                document_type=row["type"],
                document_no=row["number"],
                unit_code=row["unit__code"],
                unit_name=row["unit__name"],
                amount=row["amount"],
                ordinal=row["node"],
                post=row["post"],
                since=since,
                waited=waited,
                due_at=calendar.after(since, allowed) if allowed else None,
                remind_at=calendar.after(since, allowed - timedelta(hours=reminder)) if allowed and reminder else None,
                late=max(timedelta(0), waited - allowed) if allowed else timedelta(0),
            )
        )
    return sorted(waiting, key=lambda one: (-one.late, one.since, one.document_no))


def _waiting(rows: QuerySet[Any], number: str, due_only: bool) -> list[dict[str, Any]]:
    node = ReviewNode.objects.filter(chain=OuterRef("chain"), ordinal=OuterRef("node"))
    rows = rows.filter(state=IN_REVIEW)
    if due_only:
        rows = rows.filter(Exists(node.filter(due_hours__isnull=False)))
    arrived = Transition.objects.filter(document_id=OuterRef("pk"), target=IN_REVIEW, action__in=ARRIVALS)
    since = arrived.order_by().values("document_id").annotate(last=Max("at")).values("last")
    values = rows.order_by().annotate(
        number=F(number),
        post=Subquery(node.values("post")[:1]),
        due_hours=Subquery(node.values("due_hours")[:1]),
        remind_hours=Subquery(node.values("remind_hours")[:1]),
        since=Subquery(since),
    )
    names = ("id", "number", "unit__code", "unit__name", "amount", "node", "post", "due_hours", "remind_hours", "since")
    label = rows.model._meta.label
    return [row | {"type": label} for row in values.values(*names) if row["since"] is not None]


def overdue_reviews(adm_div_code: str, *, now: datetime) -> list[Waiting]:
    """Return the documents whose review has taken longer than their node allows (M32), the latest first."""
    return [one for one in waiting_reviews(adm_div_code, now=now) if one.overdue]


def due_reminders(adm_div_code: str, *, now: datetime) -> list[Waiting]:
    """Return the documents that are not late yet, and of which their reviewers are to be reminded."""
    return [
        one
        for one in waiting_reviews(adm_div_code, now=now)
        if not one.overdue and one.remind_at is not None and one.remind_at <= now
    ]


# How long reviews have taken ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Review:
    """One decision with the time the document lay at the node before it."""

    document_id: UUID
    document_type: str
    document_no: str
    post: str
    person_id: UUID
    person: str
    decision: str
    since: datetime
    at: datetime
    dwell: timedelta
    late: bool


@dataclass(frozen=True)
class Dwell:
    """How long documents lay with one post, or one person at it. `slowest` is the 90th percentile (nearest rank)."""

    post: str
    person_id: UUID | None
    person: str
    count: int
    average: timedelta
    slowest: timedelta
    late: int


_REVIEWS = """
SELECT d.document_id, d.document_type, COALESCE(r.request_no, s.plan_no, ''), d.post, d.person_id, d.actor_name,
       d.decision, t.at, d.at, n.due_hours
  FROM parties_reviewdecision d
  LEFT JOIN payments_paymentrequest r ON r.id = d.document_id
  LEFT JOIN budget_spendingplan s ON s.id = d.document_id
  LEFT JOIN parties_reviewnode n ON n.chain_id = COALESCE(r.chain_id, s.chain_id) AND n.ordinal = d.ordinal
  JOIN LATERAL (SELECT max(t.at) AS at FROM core_transition t
                 WHERE t.document_id = d.document_id AND t.target = 'in_review' AND t.action = ANY(%(arrivals)s)
                   AND t.at <= d.at
                   AND NOT (t.action = 'advance' AND t.at = d.at AND t.person_id = d.person_id)) t ON t.at IS NOT NULL
 WHERE d.adm_div_code = %(region)s AND d.at >= %(first)s AND d.at < %(end)s
   AND (%(post)s = '' OR d.post = %(post)s) AND (%(person)s::uuid IS NULL OR d.person_id = %(person)s)
"""


def reviews_of(
    adm_div_code: str, *, first: date, last: date, post: str = "", person_id: UUID | None = None
) -> Iterator[Review]:
    """Return the decisions of these days, each with its dwell time; one query beside the calendar's."""
    zone = timezone.get_default_timezone()
    values: dict[str, Any] = {
        "region": adm_div_code,
        "first": datetime.combine(first, datetime.min.time(), zone),
        "end": datetime.combine(last + timedelta(days=1), datetime.min.time(), zone),
        "post": post,
        "person": str(person_id) if person_id else None,
        "arrivals": list(ARRIVALS),
    }
    calendar = working_time(first - timedelta(days=366), last)
    with connection.cursor() as cursor:
        cursor.execute(_REVIEWS, values)
        for document_id, kind, number, at_post, person, name, decision, since, at, hours in cursor.fetchall():
            dwell = calendar.between(since, at)
            late = hours is not None and dwell > timedelta(hours=hours)
            yield Review(document_id, kind, number, at_post, person, name, decision, since, at, dwell, late)


def dwell_times(reviews: Sequence[Review], by: Callable[[Review], tuple[str, UUID | None]]) -> list[Dwell]:
    """Sum reviews up by post (`by` gives a post and None) or by person at a post; the slowest first."""
    groups: dict[tuple[str, UUID | None], list[Review]] = defaultdict(list)
    for review in reviews:
        groups[by(review)].append(review)
    found = []
    for (post, person_id), members in groups.items():
        times = sorted(review.dwell for review in members)
        found.append(
            Dwell(
                post=post,
                person_id=person_id,
                person=members[-1].person.partition("（代")[0] if person_id else "",
                count=len(times),
                average=sum(times, timedelta(0)) / len(times),
                slowest=times[-(-9 * len(times) // 10) - 1],
                late=sum(review.late for review in members),
            )
        )
    return sorted(found, key=lambda one: (-one.average, one.post, one.person))


def by_post(review: Review) -> tuple[str, UUID | None]:
    return review.post, None


def by_person(review: Review) -> tuple[str, UUID | None]:
    return review.post, review.person_id
