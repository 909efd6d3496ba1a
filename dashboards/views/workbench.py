"""The first page: what waits for this officer, and where the own documents are."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from dashboards import selectors
from dashboards.desk import Desk, officer
from dashboards.navigation import TODOS, todo_counts

RECENT = 12


@require_GET
@officer()
def workbench(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show one line for each kind of work the officer's posts allow, and the latest requests they may see."""
    counts = todo_counts(desk)
    todos = [
        {
            "label": todo.label,
            "action": todo.action,
            "address": reverse(todo.page) + todo.query,
            "count": counts[todo.key],
        }
        for todo in TODOS
        if todo.key in counts
    ]
    recent = []
    if desk.reads:
        recent = list(selectors.requests_for(desk.actor, desk.fiscal_year).order_by("-id")[:RECENT])
    context = {
        "todos": sorted(todos, key=lambda todo: todo["count"] == 0),
        "recent": recent,
        "reads": desk.reads,
        "waiting": sum(counts.values()),
    }
    return render(request, "workbench.html", context)
