"""Who is acting, in which request: carried by a context variable so that every event row can say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """Return the id of the request, task or command being served; empty outside of one."""
    return _request_id.get()


@contextmanager
def audit_context(request_id: str) -> Iterator[None]:
    """Mark everything written inside with this request id."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)
