"""A bank that pulls, as a program of its own over a real socket: reads, signs for, pays and sends its receipt."""

import httpx2
import pytest

from demo import world
from simulators.app import App
from simulators.config import parse
from simulators.pull import Puller
from simulators.server import make_participant
from tests import acts
from tests.simulators.support import DESK_TOKEN, desk
from vouchers.models import Delivery, ExchangePartner, InboxMessage
from vouchers.states import DeliveryState, VoucherState


@pytest.fixture
def bank(real_city, pki, tmp_path, live_server):
    """Bank A in pull mode on the morning of the day; what it sends goes to the live server."""
    ExchangePartner.objects.filter(pk=world.BANK_A).update(exchange_mode=ExchangePartner.Mode.PULL)
    arguments = ["bank", "--code", "A", "--exchange", "pull", "--storage", str(tmp_path), "--pki", str(pki)]
    app = App(make_participant(parse([*arguments, "--desk-token", DESK_TOKEN], {"GUOKU_API_URL": live_server.url})))
    app.owner.outbox.start()
    desk(app, "date", date=world.DAY.isoformat())
    yield app
    app.owner.outbox.stop()
    app.owner.storage.close()


def test_a_pulling_bank_takes_a_payment_and_sends_its_receipt(bank):
    request = acts.sent("I1", "100.00")

    with httpx2.Client(trust_env=False) as client:
        puller = Puller(bank.owner)
        assert [puller.round(client), puller.round(client)] == [1, 0]
    assert Delivery.objects.get(voucher=request.voucher).state == DeliveryState.DELIVERED
    assert acts.fresh(request)[0].voucher.state == VoucherState.SIGNED_FOR

    desk(bank, "pay")
    assert bank.owner.outbox.flush(10) == []
    message = InboxMessage.objects.get()
    assert (message.voucher_type, message.flag, message.state, message.code) == ("8202", 1, "applied", "")
    (after,) = acts.fresh(request)
    assert (after.state, after.voucher.state) == ("paid", VoucherState.RECEIPTED)
