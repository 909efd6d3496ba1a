"""Writing to the library: generate, seal into the outbox, hear the receiver's answer. Steps, not use cases."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.ids import new_id
from core.numbering import take_numbers
from core.transitions import move
from core.digests import sm3_hex
from seals.services import SealUseFacts, record_seal_uses
from seals.signing import sign_texts
from vouchers.checks import check_content, refusal_reason
from vouchers.codec import content_text, encode_content
from vouchers.errors import FieldRefused
from vouchers.messages import VoucherContent
from vouchers.models import Delivery, ExchangePartner, Voucher
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


@transaction.atomic(savepoint=False)
def seal_vouchers(vouchers: Sequence[Voucher], *, by: Actor, now: datetime) -> None:
    """Sign locked vouchers with their sender's key and put them into the outbox, in one commit.

    What is sealed is on its way: there is no moment at which a voucher is sealed and no outbox row exists.

    :raises TransitionNotAllowed: if one is not waiting for its seal; nothing is sealed then.
    :raises NoSigningKey, CertificateNotRegistered: if the organisation cannot sign.
    """
    if not vouchers:
        return
    move(VOUCHER_FLOW, _signed(vouchers, by, now), "seal", by=by, at=now)
    partners = {p.organisation: p for p in ExchangePartner.objects.filter(pk__in={v.receiver for v in vouchers})}
    copy_rows(
        [
            Delivery(
                adm_div_code=voucher.adm_div_code,
                fiscal_year=voucher.fiscal_year,
                voucher=voucher,
                partner=partners[voucher.receiver],
                next_attempt_at=now,
            )
            for voucher in vouchers
        ]
    )
    for organisation in partners:
        wake_partner(organisation)


def _signed(vouchers: Sequence[Voucher], by: Actor, now: datetime) -> Sequence[Voucher]:
    """Sign by organisation; write signatures and seal uses."""
    by_sender: dict[str, list[Voucher]] = defaultdict(list)
    for voucher in vouchers:
        VOUCHER_FLOW.find(voucher.state, "seal")
        by_sender[voucher.sender].append(voucher)
    for organisation, mine in by_sender.items():
        texts = [bytes(voucher.text) for voucher in mine]
        uses = []
        for voucher, text, signed in zip(
            mine, texts, sign_texts(organisation_code=organisation, texts=texts), strict=True
        ):
            voucher.position = voucher_type(voucher.voucher_type).document_positions.signature
            voucher.signature, voucher.signature_serial = signed.signature_b64, signed.serial_hex
            voucher.sealed_by_id, voucher.sealed_at = by.person_id, now
            uses.append(
                SealUseFacts(
                    position=voucher.position,
                    certificate_id=signed.certificate_id,
                    text=text,
                    voucher_id=voucher.id,
                    person_id=by.person_id,
                )
            )
        record_seal_uses(organisation_code=organisation, uses=uses, now=now)
    columns = {
        "position": "text",
        "signature": "text",
        "signature_serial": "text",
        "sealed_by_id": "uuid",
        "sealed_at": "timestamptz",
    }
    rows = [(v.id, v.position, v.signature, v.signature_serial, v.sealed_by_id, now) for v in vouchers]
    update_from_values(Voucher, columns, sorted(rows))
    return vouchers


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
