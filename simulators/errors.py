"""What a partner says no with. The codes are part of the answer and stay stable."""


class Refusal(Exception):
    """One voucher (or one desk order) is refused; nothing of it was booked.

    :param code: stable machine word, e.g. ``detail_already_cleared``.
    :param reason: sentence for people, at most 190 GBK bytes on the wire.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class MalformedEnvelope(Refusal):
    """The whole POST cannot be read as an envelope, so no single voucher can be answered (HTTP 400)."""


class Unauthorised(Refusal):
    """The HTTP message is not signed by an organisation that may talk to this partner (HTTP 401)."""


class AnswerLost(Exception):
    """Fault injection: everything was done, but the caller must never hear of it."""
