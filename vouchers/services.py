"""Writing to the library: generate, void, hear the receiver's answer (sealing: `vouchers.sealing`). Steps only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.batch import copy_rows
from core.digests import sm3_hex
from core.ids import new_id
from core.numbering import take_numbers
from core.transitions import move
from vouchers.checks import check_content, refusal_reason
from vouchers.codec import content_text, encode_content
from vouchers.errors import FieldRefused
from vouchers.messages import VoucherContent
from vouchers.models import Voucher
from vouchers.routing import answer_handler_for
from vouchers.schema import voucher_type
from vouchers.states import VOUCHER_FLOW

_wake: Callable[[str], None] | None = None


def on_wake(ring: Callable[[str], None]) -> None:
    """Name the function that wakes a partner's sender after commit (vouchers.tasks); nothing depends on it."""
    global _wake
    _wake = ring


@dataclass(frozen=True)
class Draft:
    """A voucher to be: everything but its number. Amounts in `main` and `details` are wire text."""

    voucher_type: str
    adm_div_code: str
    fiscal_year: int
    voucher_date: date
    sender: str
    receiver: str
    amount: Decimal
    main: Mapping[str, str]
    details: tuple[Mapping[str, str], ...]
    document_type: str
    document_id: UUID


@transaction.atomic(savepoint=False)
def generate_vouchers(drafts: Sequence[Draft], *, by: Actor, now: datetime) -> list[Voucher]:
    """Give each draft its number and freeze its bytes. Drafts are of one region and year.

    Three statements for each voucher type, whatever the number of drafts; answers in the order of `drafts`.

    :raises VoucherError: if a field cannot be written in the wire encoding.
    """
    numbers: dict[str, list[str]] = {}
    for kind in dict.fromkeys(draft.voucher_type for draft in drafts):
        mine = [draft for draft in drafts if draft.voucher_type == kind]
        numbers[kind] = take_numbers(
            adm_div_code=mine[0].adm_div_code, fiscal_year=mine[0].fiscal_year, kind=kind, count=len(mine)
        )[::-1]
    vouchers = [_voucher(draft, numbers[draft.voucher_type].pop(), by, now) for draft in drafts]
    copy_rows(vouchers)
    return vouchers


def _voucher(draft: Draft, voucher_no: str, by: Actor, now: datetime) -> Voucher:
    voucher_id = new_id()
    content = VoucherContent(
        voucher_type=draft.voucher_type,
        voucher_no=voucher_no,
        adm_div_code=draft.adm_div_code,
        fiscal_year=draft.fiscal_year,
        voucher_date=draft.voucher_date,
        main={"Id": voucher_id.hex, **draft.main},
        details=tuple(_numbered(detail, voucher_id, voucher_no, draft.voucher_type) for detail in draft.details),
    )
    findings = check_content(content, business_date=draft.voucher_date)
    if findings:  # our own data is not what the partner would accept: better to hear it here than from the bank
        raise FieldRefused(refusal_reason(findings), field=findings[0].field)
    text = content_text(encode_content(content))
    return Voucher(
        id=voucher_id,
        adm_div_code=draft.adm_div_code,
        fiscal_year=draft.fiscal_year,
        voucher_type=draft.voucher_type,
        voucher_no=voucher_no,
        voucher_date=draft.voucher_date,
        sender=draft.sender,
        receiver=draft.receiver,
        amount=draft.amount,
        document_type=draft.document_type,
        document_id=draft.document_id,
        text=text,
        digest=sm3_hex(text),
        made_by_id=by.person_id,
        created_at=now,
    )


def _numbered(detail: Mapping[str, str], voucher_id: UUID, voucher_no: str, kind: str) -> Mapping[str, str]:
    """Add the back references to the main document, where the type's detail has them."""
    tags = voucher_type(kind).detail_by_tag
    references = {"VoucherBillId": voucher_id.hex, "VoucherBillNo": voucher_no}
    return {**{tag: value for tag, value in references.items() if tag in tags}, **detail}


def wake_partner(organisation: str) -> None:
    """Ring for the partner's sender once this transaction has committed; a lost ring costs a second, not a voucher."""
    if _wake is not None:
        ring = _wake
        transaction.on_commit(lambda: ring(organisation))


@transaction.atomic(savepoint=False)
def void_vouchers(vouchers: Sequence[Voucher], *, by: Actor, now: datetime, reason: str) -> None:
    """Void locked vouchers that were never sent, or that the receiver refused or returned. Numbers stay used."""
    move(VOUCHER_FLOW, vouchers, "void", by=by, at=now, reason=reason)


@transaction.atomic(savepoint=False)
def turn_to_paper(vouchers: Sequence[Voucher], *, by: Actor, now: datetime) -> None:
    """Note that locked vouchers go out on paper: from here on nobody can seal or send them."""
    move(VOUCHER_FLOW, vouchers, "print", by=by, at=now)


@transaction.atomic(savepoint=False)
def record_answer(vouchers: Sequence[Voucher], action: str, *, by: Actor, reason: str, now: datetime) -> None:
    """Note that the receiver signed for (`sign_for`), refused (`refuse`) or returned (`return`) locked vouchers.

    A voucher that already has its receipt is past this and stays as it is: answers may overtake each other.
    """
    for kind in dict.fromkeys(voucher.voucher_type for voucher in vouchers):
        open_ones = [v for v in vouchers if v.voucher_type == kind and action in VOUCHER_FLOW.actions_from(v.state)]
        move(VOUCHER_FLOW, open_ones, action, by=by, at=now, reason=reason[:300])
        handler = answer_handler_for(kind)
        if handler is not None and open_ones:
            handler(open_ones, action, by=by, reason=reason, now=now)


@transaction.atomic(savepoint=False)
def record_receipts(vouchers: Sequence[Voucher], *, by: Actor, now: datetime) -> None:
    """Note that the sealed receipt of these locked vouchers is here."""
    move(VOUCHER_FLOW, vouchers, "receipt", by=by, at=now)


def lock_vouchers(ids: Sequence[UUID]) -> list[Voucher]:
    """Lock vouchers in key order."""
    return list(Voucher.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))
