"""How long documents lie at each node and with each person, and what is late now."""

from datetime import date, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards import selectors
from dashboards.acting import uuid_or_none
from dashboards.desk import BUREAU_READERS, Desk, officer
from dashboards.errors import ChoiceInvalid
from parties.duties import Post
from parties.selectors import visible_unit_codes
from payments.deadlines import by_person, by_post, dwell_times, reviews_of, waiting_reviews

LONGEST = 366  # days one report covers
SHOWN = 100


@require_GET
@officer(*BUREAU_READERS)
def dwell(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show average and slowest tenth by node and by person; `?post=` and `&person=` lead down to the documents."""
    first, last = _period(request, desk.today)
    post = request.GET.get("post", "")
    post = post if post in Post.values else ""
    person = uuid_or_none(request.GET.get("person")) if post else None
    region, now = desk.actor.adm_div_code, desk.now
    reviews = list(reviews_of(region, first=first, last=last, post=post, person_id=person))
    codes = visible_unit_codes(desk.actor)
    late = [
        one for one in waiting_reviews(region, now=now) if one.overdue and (codes is None or one.unit_code in codes)
    ]
    context = {
        "first": first,
        "last": last,
        "post": post,
        "person": person,
        "count": len(reviews),
        "nodes": dwell_times(reviews, by_post),
        "persons": dwell_times(reviews, by_person) if post else [],
        "documents": sorted(reviews, key=lambda one: one.dwell, reverse=True)[:SHOWN] if post else [],
        "late": late[:SHOWN],
        "late_count": len(late),
        "shown": SHOWN,
    }
    return render(request, "review/dwell.html", context)


def _period(request: HttpRequest, today: date) -> tuple[date, date]:
    last = selectors.date_or_none(request.GET.get("to")) or today
    first = selectors.date_or_none(request.GET.get("from")) or last - timedelta(days=30)
    if not first <= last <= first + timedelta(days=LONGEST):
        raise ChoiceInvalid(f"起止日期须先后有序，且不超过 {LONGEST} 天。", field="from")
    return first, last
