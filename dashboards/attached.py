"""What a page shows of the files of a request: each with its pages, and where else the same content lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attachments.phones import open_links
from dashboards import selectors
from dashboards.desk import Desk
from payments.attaching import used_elsewhere
from payments.models import Attachment, PaymentRequest
from payments.states import EDITABLE

SHOWN_PAGES = 12  # of one file beside the form; the whole is a download away


@dataclass(frozen=True)
class Shown:
    """One attachment. `elsewhere` are live requests with the same content that this officer may open; of others only
    the number is told."""

    attachment: Attachment
    pages: range
    more_pages: int
    elsewhere: Sequence[PaymentRequest]
    elsewhere_hidden: int


def attached_context(desk: Desk, payment: PaymentRequest) -> dict[str, Any]:
    """Return what `payments/_attachments.html` needs; a fixed number of queries."""
    attachments = list(payment.attachments.select_related("file").order_by("added_at", "id"))
    others = used_elsewhere(payment) if attachments else {}
    ids = {request.id for requests in others.values() for request in requests}
    mine = selectors.visible_requests(desk.actor).filter(pk__in=ids)
    visible = set(mine.values_list("pk", flat=True)) if ids else set()
    may_edit = desk.holds("unit_clerk") and payment.state in EDITABLE
    return {
        "attachments": [_shown(attachment, others.get(attachment.digest, []), visible) for attachment in attachments],
        "may_edit": may_edit,
        "phone_open": may_edit and open_links(payment.id, desk.now).filter(user=desk.actor.user_id).exists(),
    }


def _shown(attachment: Attachment, others: Sequence[PaymentRequest], visible: set[Any]) -> Shown:
    pages = attachment.file.pages
    mine = [request for request in others if request.id in visible]
    return Shown(
        attachment=attachment,
        pages=range(1, min(pages, SHOWN_PAGES) + 1),
        more_pages=max(pages - SHOWN_PAGES, 0),
        elsewhere=mine,
        elsewhere_hidden=len(others) - len(mine),
    )
