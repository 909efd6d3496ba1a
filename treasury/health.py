"""What a process manager and a watchman ask: can this process serve, and is the evidence log being written?"""

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from evidence.selectors import status


def healthz(request: HttpRequest) -> HttpResponse:
    """200 `ok`, or 503 while the database is away. The broker only wakes workers and does not count."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("no database", status=503, content_type="text/plain")
    return HttpResponse("ok", content_type="text/plain")


def healthz_evidence(request: HttpRequest) -> HttpResponse:
    """503 if a stream of the evidence log has been silent for two minutes, is stuck, or disagrees with its anchors."""
    found = status(timezone.now())
    answer = {
        "alarm": found.alarm,
        "streams": [stream.stream for stream in found.streams if stream.alarm],
        "anchors": [finding.problem for finding in found.anchor_findings],
    }
    return JsonResponse(answer, status=503 if found.alarm else 200)
