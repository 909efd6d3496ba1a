"""What the agent refuses: a stable code, a Chinese sentence for the officer, and the HTTP status."""

from typing import Any


class AgentError(Exception):
    """Base of the agent's refusals. `facts` go to the page; they never hold a PIN or a key."""

    code = "agent_error"
    http_status = 422

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class BadRequest(AgentError):
    """Not a request this program knows: wrong JSON, keys or types."""

    code = "bad_request"
    http_status = 400


class Forbidden(AgentError):
    """From a site, a page or under a host name that has no business here."""

    code = "forbidden"
    http_status = 403


class NotHere(AgentError):
    code = "not_found"
    http_status = 404


class OriginMismatch(AgentError):
    """The statement was made for another site than the one that shows it."""

    code = "origin_mismatch"


class NoToken(AgentError):
    """No token of that label, or none with the certificate the statement names."""

    code = "token_unknown"
    http_status = 404


class NoCertificate(AgentError):
    code = "token_without_certificate"


class TokenExists(AgentError):
    code = "token_exists"
    http_status = 409


class TokenUnusable(AgentError):
    """The token's file or device cannot be used: open to others, damaged, or not plugged in."""

    code = "token_unusable"


class CertificateNotOurs(AgentError):
    """A certificate whose key is not on this token."""

    code = "certificate_not_ours"


class PinMalformed(AgentError):
    """Not a PIN at all; costs no try."""

    code = "pin_malformed"


class PinWrong(AgentError):
    code = "pin_wrong"

    def __init__(self, tries_left: int) -> None:
        super().__init__(f"PIN 不正确，还可以试 {tries_left} 次。", tries_left=tries_left)


class PinLocked(AgentError):
    code = "pin_locked"
    http_status = 423

    def __init__(self) -> None:
        super().__init__("UKey 已锁定：PIN 连续输错六次。请联系证书管理员重新领取。", tries_left=0)
