"""Gives every request an id that its log lines and event rows carry."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from core.audit import audit_context

WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Take the caller's X-Request-ID where it is well formed, else make one; send it back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if WELL_FORMED.fullmatch(given) else uuid.uuid4().hex
        with audit_context(request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response
