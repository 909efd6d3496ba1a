"""Reads of the library for partners: what waits for them, and what became of one document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from vouchers.delivery import opened
from vouchers.models import Delivery, ExchangePartner, InboxMessage, Voucher
from vouchers.states import LIBRARY_CODE, DeliveryState, InboxState, VoucherState

WAITING = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.UNKNOWN)
PAGE_BYTES = 8 * 1024 * 1024  # of signed text; a page of long vouchers is shorter than asked for

# The library's numbers for a document of the partner's (received, refused), as for ours in LIBRARY_CODE.
_INBOX_CODE = {
    InboxState.RECEIVED: 1,
    InboxState.PARKED: 1,
    InboxState.DEAD: 1,
    InboxState.APPLIED: 3,
    InboxState.REFUSED: 4,
}


@dataclass(frozen=True)
class Page:
    """Vouchers in the order they were sealed; `next` continues after the last one, None at the end."""

    vouchers: list[Voucher]
    next: UUID | None


@dataclass(frozen=True)
class DocumentStatus:
    """Where one document stands. `flag` 1 is a receipt of the partner's; `status` is the library's number."""

    flag: int
    status: int
    state: str
    digest: str
    code: str
    reason: str


def waiting_vouchers(*, partner: ExchangePartner, after: UUID | None, limit: int) -> Page:
    """Return vouchers addressed to the partner that it has not signed for (readVoucherAgain). Changes nothing.

    A voucher sealed while a partner pages may get a smaller id than the last one read; it is in the next listing
    from the start, as everything is until it is signed for.
    """
    rows = Delivery.objects.select_related("voucher").filter(partner=partner, state__in=WAITING).order_by("pk")
    rows = rows.filter(opened(partner.adm_div_code))
    if after is not None:
        rows = rows.filter(pk__gt=after)
    found = list(rows[: limit + 1])
    page: list[Delivery] = []
    size = 0
    for row in found[:limit]:
        size += len(row.voucher.text)
        if page and size > PAGE_BYTES:
            break
        page.append(row)
    return Page([row.voucher for row in page], page[-1].pk if len(page) < len(found) else None)


def document_status(*, partner: ExchangePartner, identity: Mapping[str, Any]) -> DocumentStatus | None:
    """Return the status of our voucher to this partner or, if there is none, of the partner's own document.

    None for what does not exist or concerns somebody else: the two are not told apart.
    """
    if identity["adm_div_code"] != partner.adm_div_code:
        return None
    ours = Delivery.objects.select_related("voucher").filter(
        partner=partner, **{f"voucher__{name}": value for name, value in identity.items()}
    )
    delivery = ours.defer("voucher__text").first()
    if delivery is not None:
        voucher = delivery.voucher
        answered = voucher.state in (VoucherState.REFUSED, VoucherState.RETURNED, VoucherState.VOID)
        reason = delivery.last_error if answered else ""
        code = LIBRARY_CODE[VoucherState(voucher.state)]
        return DocumentStatus(0, code, voucher.state, voucher.digest, "", reason)
    theirs = InboxMessage.objects.filter(sender=partner.organisation, **identity).defer("text", "signatures")
    message = max(theirs, key=lambda row: (row.state != InboxState.REFUSED, row.received_at), default=None)
    if message is None:
        return None
    code = _INBOX_CODE[InboxState(message.state)]
    return DocumentStatus(message.flag, code, message.state, message.digest, message.code, message.reason)
