"""A recall from asking to release against a bank's own program: signed question, signed answer, nothing in between."""

import base64
import json
from urllib.parse import urlsplit

import pytest

from demo import world
from payments import services, tasks
from payments.models import Recall
from simulators.app import App
from simulators.config import parse
from simulators.server import make_participant
from tests import acts
from tests.conftest import NOW
from tests.simulators.support import DESK_TOKEN, desk
from vouchers import tasks as exchange
from vouchers.models import Delivery, ExchangePartner


@pytest.fixture
def bank(real_city, pki, tmp_path, monkeypatch):
    """Bank A's program, called in this process in place of the socket."""
    arguments = ["bank", "--code", "A", "--storage", str(tmp_path), "--pki", str(pki), "--desk-token", DESK_TOKEN]
    app = App(make_participant(parse(arguments, {})))
    desk(app, "date", date=world.DAY.isoformat())
    ExchangePartner.objects.filter(pk=world.BANK_A).update(endpoint_url="http://bank-a")

    def post(url, body, headers):
        answer = app.handle("POST", urlsplit(url).path, {k.lower(): v for k, v in headers.items()}, body)
        return answer.status, answer.body, {name.lower(): value for name, value in answer.headers.items()}

    monkeypatch.setattr("vouchers.transport._post", post)
    yield app
    app.owner.storage.close()


def asking(amount="100.00", *, send=True):
    request = acts.sent("I1", amount)
    if send:
        assert exchange.send_batch(world.BANK_A) == 1
    clerk, officer = world.officer("u101001-jb"), world.officer("gk-sh")
    services.ask_recalls(request_ids=[request.id], clerk=clerk, reason="账号有误", now=NOW).raise_if_refused()
    recall = Recall.objects.get(request=request)
    services.decide_recalls(recall_ids=[recall.id], officer=officer, approve=True, now=NOW).raise_if_refused()
    return request, recall


def states(request, recall):
    recall.refresh_from_db()
    return acts.fresh(request)[0].state, recall.state


def test_a_bank_that_has_not_paid_stops_and_the_money_is_free(bank):
    before = acts.books("I1")
    request, recall = asking()

    tasks.ask()

    assert states(request, recall) == ("withdrawn", "withdrawn") and acts.books("I1") == before
    desk(bank, "pay")
    state = desk(bank, "state")
    assert state["executions"] == [] and state["recalled"][0]["recall_no"] == recall.recall_no


def test_a_bank_that_has_paid_sends_the_receipt_along_and_it_wins(bank):
    request, recall = asking()
    desk(bank, "pay")

    tasks.ask()

    assert states(request, recall) == ("paid", "overtaken")
    assert acts.books("I1")["paid"] == "210100.00"


def test_a_voucher_recalled_before_it_came_is_refused_when_it_comes(bank):
    before = acts.books("I1")
    request, recall = asking(send=False)

    tasks.ask_banks()
    late = Delivery.objects.get(voucher=request.voucher)
    assert late.state == "refused" and exchange.send_batch(world.BANK_A) == 0
    tasks.release_returned()

    assert states(request, recall) == ("withdrawn", "withdrawn") and acts.books("I1") == before


def test_a_bank_that_cannot_answer_changes_nothing(bank):
    desk(bank, "behaviour", answer_recalls=False)
    request, recall = asking()

    tasks.ask()

    assert states(request, recall) == ("accepted", "asking") and acts.books("I1")["reserved"] == "100.00"
    assert recall.last_answer == "银行未作答复（状态 3）"


def test_a_bank_that_does_not_know_the_question_changes_nothing(bank, monkeypatch):
    request, recall = asking()
    monkeypatch.setattr("vouchers.transport._post", lambda url, body, headers: (404, b"{}", {}))

    tasks.ask()

    assert states(request, recall) == ("accepted", "asking") and recall.last_answer == "没有答复：HTTP 404"


def test_an_unsigned_return_changes_nothing(bank, monkeypatch):
    request, recall = asking()
    voucher = request.voucher
    said = {
        "adm_div_code": voucher.adm_div_code,
        "fiscal_year": voucher.fiscal_year,
        "voucher_type": voucher.voucher_type,
        "voucher_no": voucher.voucher_no,
        "status": 5,
        "digest": voucher.digest,
    }
    body = json.dumps({"results": [said]}).encode()
    signature = {"signature": f"sig=:{base64.b64encode(b'x' * 64).decode()}:"}
    monkeypatch.setattr("vouchers.transport._post", lambda *_: (200, body, signature))

    tasks.ask()

    assert states(request, recall) == ("accepted", "asking") and acts.books("I1")["reserved"] == "100.00"


def test_already_received_counts_as_delivered(bank):
    """The bank has it, our side does not know: the same bytes again are its duplicate and our success."""
    request = acts.sent("I1", "100.00")
    assert exchange.send_batch(world.BANK_A) == 1
    Delivery.objects.update(state="queued", delivered_at=None)

    assert exchange.send_batch(world.BANK_A) == 1

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("delivered", 2)
    vouchers = desk(bank, "state")["vouchers"]
    assert [(v["voucher_no"], v["copies"]) for v in vouchers] == [(request.voucher_no, 2)]
