"""The exchange with banks and PBoC as it stands: links, outbox, inbox. Nothing can be changed here."""

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.desk import BUREAU_READERS, Desk, officer
from vouchers.models import Delivery, ExchangePartner, InboxMessage, InboxRejection
from vouchers.states import DeliveryState, InboxState

AT_ONCE = 100
WAITING = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.UNKNOWN)
TROUBLED = (InboxState.RECEIVED, InboxState.PARKED, InboxState.REFUSED, InboxState.DEAD)


@require_GET
@officer(*BUREAU_READERS)
def exchange_monitor(request: HttpRequest, desk: Desk) -> HttpResponse:
    """Show each partner's link, what is not delivered with its age, and what came in and could not act."""
    code = desk.actor.adm_div_code
    waiting = {f"{s.value}_count": Count("delivery", filter=Q(delivery__state=s)) for s in DeliveryState}
    partners = list(
        ExchangePartner.objects.filter(adm_div_code=code).annotate(**waiting).order_by("kind", "organisation")
    )
    outbox = Delivery.objects.filter(adm_div_code=code).select_related("voucher", "partner").defer("voucher__text")
    inbox = InboxMessage.objects.filter(adm_div_code=code).defer("text")
    rejections = InboxRejection.objects.filter(sender__in=[partner.organisation for partner in partners])
    counts = dict(inbox.order_by().values_list("state").annotate(Count("pk")))
    context = {
        "partners": partners,
        "now": desk.now,
        "waiting": list(outbox.filter(state__in=WAITING).order_by("state", "next_attempt_at")[:AT_ONCE]),
        "refused": list(outbox.filter(state=DeliveryState.REFUSED).order_by("-id")[:20]),
        "delivered": list(outbox.filter(state=DeliveryState.DELIVERED).order_by("-delivered_at")[:20]),
        "inbox_counts": [(label, counts.get(value, 0), value) for value, label in InboxState.choices],
        "inbox": list(inbox.filter(state__in=TROUBLED).order_by("-id")[:AT_ONCE]),
        "applied": list(inbox.filter(state=InboxState.APPLIED).order_by("-id")[:20]),
        "rejections": list(rejections.defer("raw").order_by("-at")[:20]),
    }
    return render(request, "exchange/monitor.html", context)
