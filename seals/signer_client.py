"""The way to the signer: one Unix socket, one question and one answer at a time, JSON in frames of known length.

A frame is four bytes of length and that many bytes of JSON; bytes are base64 inside. A signer that does not answer
within the deadline has signed nothing that anybody has: the caller's transaction ends, and the same is asked again.
"""

import base64
import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings

from core.errors import TreasuryError
from seals import errors
from seals.signing import Identity, Mark, Order, Warrant

LONGEST_FRAME = 64 * 1024 * 1024
LONGEST_TEXTS = 12 * 1024 * 1024  # in one question: so much is judged and signed well within the deadline
DEADLINE_SECONDS = 20.0
_HEAD = struct.Struct(">I")
_local = threading.local()


class SocketSigner:
    """Asks the signer process at `settings.GUOKU_SIGNER_SOCKET`; one connection for each thread."""

    def identity(self, organisation_code: str) -> Identity:
        answer = ask("identity", organisation_code=organisation_code)
        return Identity(organisation_code, answer["suite_id"], answer["serial_hex"])

    def sign_message(self, organisation_code: str, serial_hex: str, base: bytes) -> bytes:
        answer = ask("sign_message", organisation_code=organisation_code, serial_hex=serial_hex, base=_b64(base))
        return base64.b64decode(answer["value"])

    def seal_vouchers(self, orders: Sequence[Order], warrant: Warrant) -> list[Mark]:
        """Several questions where the texts would not fit into one; all marks of one voucher are asked for together.

        If a later question is refused, the marks of the earlier ones end with the caller's transaction.
        """
        marks: list[Mark] = []
        for part in _parts(orders):
            answer = ask("seal_vouchers", orders=[_order(order) for order in part], warrant=_warrant(warrant))
            marks += [_mark(mark) for mark in answer["marks"]]
        return marks

    def sign_root(self, organisation_code: str, text: bytes, earlier: int, path: Sequence[bytes]) -> Mark:
        proof = [_b64(node) for node in path]
        return _mark(
            ask("sign_root", organisation_code=organisation_code, text=_b64(text), earlier=earlier, path=proof)
        )

    def issue_officer_certificate(self, request_id: UUID, days: int) -> str:
        return str(ask("issue_officer_certificate", request_id=str(request_id), days=days)["pem"])


def ask(verb: str, **question: Any) -> dict[str, Any]:
    """Put one question.

    :raises SignerUnavailable: if there is no answer within the deadline.
    :raises SealError: as the signer refuses, with its code, field and facts.
    """
    frame = json.dumps({"verb": verb, **question}).encode()
    try:
        answer = json.loads(_exchanged(frame))
    except (OSError, ValueError) as error:
        _forget()
        raise errors.SignerUnavailable(
            "签章服务没有应答，请稍后再试；内容没有变动。", cause=str(error)[:200]
        ) from error
    if "refused" in answer:
        raise _refusal(answer["refused"])
    return dict(answer)


def _exchanged(frame: bytes) -> bytes:
    """A connection that was idle while the signer started anew is dead: it is opened again, once."""
    fresh = getattr(_local, "connection", None) is None
    try:
        return _once(frame)
    except OSError:
        _forget()
        if fresh:
            raise
        return _once(frame)


def _once(frame: bytes) -> bytes:
    if getattr(_local, "connection", None) is None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(DEADLINE_SECONDS)
        try:
            connection.connect(str(settings.GUOKU_SIGNER_SOCKET))
        except OSError:
            connection.close()
            raise
        _local.connection = connection
    send_frame(_local.connection, frame)
    return receive_frame(_local.connection)


def _forget() -> None:
    connection = getattr(_local, "connection", None)
    if connection is not None:
        connection.close()
    _local.connection = None


def send_frame(connection: socket.socket, frame: bytes) -> None:
    """Send one frame."""
    connection.sendall(_HEAD.pack(len(frame)) + frame)


def receive_frame(connection: socket.socket) -> bytes:
    """Receive one frame.

    :raises ConnectionError: if the other side closed.
    :raises ValueError: if it announces more than is ever sent.
    """
    (length,) = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if length > LONGEST_FRAME:
        raise ValueError("frame too long")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        part = connection.recv(min(length - len(received), 1 << 20))
        if not part:
            raise ConnectionError("closed in the middle of a frame")
        received += part
    return bytes(received)


def _refusal(refused: Mapping[str, Any]) -> TreasuryError:
    """The signer's refusal as the error it was there; its class decides how pages and partners are told."""
    kind = getattr(errors, str(refused["kind"]), errors.SealingRefused)
    made: TreasuryError = kind(str(refused["message"]), field=refused.get("field"), **refused.get("facts", {}))
    made.code = str(refused["code"])
    return made


def _parts(orders: Sequence[Order]) -> Iterator[list[Order]]:
    """Cut orders into questions of at most LONGEST_TEXTS, or of one voucher; those of a voucher stand together."""
    part: list[Order] = []
    size = 0
    for _, group in groupby(orders, key=lambda order: order.voucher_id):
        together = list(group)
        length = sum(len(order.text) for order in together)
        if part and size + length > LONGEST_TEXTS:
            yield part
            part, size = [], 0
        part += together
        size += length
    if part:
        yield part


def _order(order: Order) -> dict[str, Any]:
    return {
        "voucher_id": str(order.voucher_id),
        "voucher_type": order.voucher_type,
        "adm_div_code": order.adm_div_code,
        "fiscal_year": order.fiscal_year,
        "voucher_no": order.voucher_no,
        "text": order.text.decode("ascii"),
        "organisation_code": order.organisation_code,
        "position": order.position,
        "seal_id": str(order.seal_id) if order.seal_id else None,
    }


def _warrant(warrant: Warrant) -> dict[str, Any]:
    return {
        "person_id": str(warrant.person_id) if warrant.person_id else None,
        "statement": warrant.statement,
        "items": list(warrant.items),
        "signature": _b64(warrant.signature),
        "certificate_serial": warrant.certificate_serial,
    }


def _mark(mark: Mapping[str, Any]) -> Mark:
    return Mark(base64.b64decode(mark["value"]), str(mark["serial_hex"]))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
