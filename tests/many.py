"""Many requests at once, through the batch services, from draft to the outbox."""

from collections.abc import Sequence
from decimal import Decimal

from demo import world
from payments import services
from payments.models import PaymentRequest
from tests import acts
from tests.conftest import NOW
from vouchers.models import Delivery


def sent(indicator: str, count: int) -> list[PaymentRequest]:
    """Requests of one detail each, all amounts and payees different, sealed and in the outbox; in order of number."""
    inputs = [
        acts.wanted(
            indicator,
            details=(
                acts.line(
                    f"{10 + number // 100}.{number % 100:02d}",
                    payee_name=f"收款人{number}",
                    payee_account_no=f"62300001{number:08d}",
                ),
            ),
        )
        for number in range(count)
    ]
    clerk = world.officer(f"{acts.CLERK_OF[indicator]}-jb")
    requests = services.save_drafts(inputs=inputs, clerk=clerk, now=NOW)
    acts.submit(*requests).raise_if_refused()
    acts.approve_all(*requests)
    acts.issue(*requests).raise_if_refused()
    acts.seal(*requests).raise_if_refused()
    return sorted(acts.fresh(*requests), key=lambda request: request.voucher_no)


def deliveries(requests: Sequence[PaymentRequest]) -> dict[str, Delivery]:
    """The outbox rows by voucher number, as they stand now."""
    rows = Delivery.objects.select_related("voucher").filter(voucher__in=[r.voucher_id for r in requests])
    return {row.voucher.voucher_no: row for row in rows}


def reserved(indicator: str) -> Decimal:
    return world.indicator(indicator).amount_reserved
