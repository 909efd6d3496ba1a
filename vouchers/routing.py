"""How the library hands inbound documents upwards without knowing the apps above: they register in `ready()`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from core.actors import Actor
from core.errors import TreasuryError
from vouchers.messages import VoucherContent
from vouchers.models import ExchangePartner, InboxMessage, Voucher


@dataclass(frozen=True)
class InboundVoucher:
    """One verified inbound document: what business code may read was re-parsed from the signed bytes."""

    message: InboxMessage
    content: VoucherContent
    sender: ExchangePartner
    actor: Actor
    voucher: Voucher | None  # for a receipt: the document of ours it answers, locked


@dataclass(frozen=True)
class Applied:
    """The document has had its effect, in the caller's transaction."""

    note: str = ""


@dataclass(frozen=True)
class Parked:
    """Something that must come first is not here yet; tried again with every new fact and every sweep."""

    code: str
    reason: str


Verdict = Applied | Parked | TreasuryError


class Handler(Protocol):
    """Acts on a batch of one type inside the caller's transaction; answers for every message id."""

    def __call__(self, messages: Sequence[InboundVoucher], now: datetime) -> Mapping[UUID, Verdict]: ...


class AnswerHandler(Protocol):
    """Hears that the receiver signed for, refused or returned vouchers of ours (`action` of VOUCHER_FLOW)."""

    def __call__(self, vouchers: Sequence[Voucher], action: str, *, by: Actor, reason: str, now: datetime) -> None: ...


_handlers: dict[tuple[str, int], Handler] = {}
_answer_handlers: dict[str, AnswerHandler] = {}


def register(voucher_type: str, handler: Handler, *, flag: int = 0) -> None:
    """Name the one function that acts on inbound documents (flag 0) or receipts (flag 1) of this type."""
    assert (voucher_type, flag) not in _handlers, f"{voucher_type}/{flag} already has a handler"
    _handlers[voucher_type, flag] = handler


def register_answer(voucher_type: str, handler: AnswerHandler) -> None:
    """Name the one function that hears what became of our vouchers of this type at the receiver."""
    assert voucher_type not in _answer_handlers, f"{voucher_type} already has an answer handler"
    _answer_handlers[voucher_type] = handler


def handler_for(voucher_type: str, flag: int) -> Handler | None:
    return _handlers.get((voucher_type, flag))


def answer_handler_for(voucher_type: str) -> AnswerHandler | None:
    return _answer_handlers.get(voucher_type)
