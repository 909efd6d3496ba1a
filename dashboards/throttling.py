"""How often a page without log-in may be asked: from one address, and by everybody together.

Counted in each web process (Django's cache is the process's own, there is no shared one): with several processes the
bound is that much higher, which is still far from what would hurt.
"""

from django.conf import settings
from django.http import HttpRequest
from rest_framework.throttling import SimpleRateThrottle

_LOOPBACK = frozenset({"127.0.0.1", "::1", ""})


class _Rate(SimpleRateThrottle):
    setting, otherwise = "", ""

    def get_rate(self) -> str:
        return str(getattr(settings, self.setting, self.otherwise))


class OfAddress(_Rate):
    """One address."""

    scope, setting, otherwise = "verify-address", "GUOKU_VERIFY_RATE", "30/min"

    def get_cache_key(self, request: HttpRequest, view: object) -> str:
        return f"throttle:{self.scope}:{address_of(request)}"


class OfEverybody(_Rate):
    """All addresses together."""

    scope, setting, otherwise = "verify", "GUOKU_VERIFY_TOTAL_RATE", "600/min"

    def get_cache_key(self, request: HttpRequest, view: object) -> str:
        return f"throttle:{self.scope}"


class OfPhone(OfAddress):
    """One phone that adds files without a log-in."""

    scope, setting, otherwise = "phone-address", "GUOKU_PHONE_RATE", "60/min"


class OfPhones(OfEverybody):
    """All phones together."""

    scope, setting, otherwise = "phone", "GUOKU_PHONE_TOTAL_RATE", "600/min"


def may_send(request: HttpRequest) -> bool:
    """Count this request of a phone; False if it is one too many."""
    return all(throttle.allow_request(request, None) for throttle in (OfPhone(), OfPhones()))


def may_ask(request: HttpRequest) -> bool:
    """Count this request; False if it is one too many. A refused address does not use up what all may ask."""
    return all(throttle.allow_request(request, None) for throttle in (OfAddress(), OfEverybody()))


def address_of(request: HttpRequest) -> str:
    """The caller's address: what our own proxy on this machine says last, else the connection's own."""
    remote = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", ""))
    return forwarded.rpartition(",")[2].strip()[:60] if remote in _LOOPBACK and forwarded else remote
