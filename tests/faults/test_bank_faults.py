"""Banks that lose answers, crash, repeat and lie: every payment is executed exactly once, by the bank's own ledger.

The bank is the real simulator program, told not to deduplicate: whatever arrives twice, it pays twice.
"""

import threading
from collections.abc import Sequence

import pytest
from django.db import connection

from demo import world
from payments.models import PaymentReceipt, PaymentRequest
from tests import acts, many
from vouchers import delivery, tasks
from vouchers.models import Delivery, DeliveryAttempt, ExchangePartner, InboxMessage
from vouchers.states import DeliveryState
from vouchers.transport import post_vouchers

BANK = world.BANK_A
PAYS_AT_ONCE = {"deduplicate": False, "auto_pay": True}


@pytest.fixture
def dumb_bank(start_bank):
    """Pays whatever arrives as often as it arrives; its receipts wait to be asked for."""
    return start_bank(**PAYS_AT_ONCE)


def drain(clock, *, rounds: int = 60) -> None:
    """Let relay and resolver tick until the outbox is empty."""
    for _ in range(rounds):
        for organisation in delivery.due_partners(now=clock.now()):
            while tasks.send_batch(organisation):
                pass
            while tasks.ask_batch(organisation):
                pass
        if not Delivery.objects.exclude(state__in=["delivered", "refused"]).exists():
            return
        clock.wind(1.1)
    pending = list(Delivery.objects.values_list("partner_id", "state", "last_error"))
    raise AssertionError(f"not delivered: {pending[:5]}")


def executed_once(bank, requests: Sequence[PaymentRequest]) -> bool:
    return bank.executions() == {f"8202 {request.voucher_no}/1": 1 for request in requests}


def states(requests) -> set[str]:
    return {request.state for request in acts.fresh(*requests)}


def copies(bank) -> dict[str, int]:
    """How many copies of each voucher reached the bank."""
    return {row["voucher_no"]: row["copies"] for row in bank.desk("state")["vouchers"]}


# Answers that do not arrive ------------------------------------------------------------------------------------------


def test_lost_answers_lead_to_a_question_not_to_a_second_sending(dumb_bank, clock):
    requests = many.sent("I1", 5)
    dumb_bank.desk("behaviour", faults={"lose_next_answers": 1})
    tasks.send_batch(BANK)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"unknown"}
    assert states(requests) == {"sealed"} and many.reserved("I1") == sum(r.amount for r in requests)

    drain(clock)
    assert executed_once(dumb_bank, requests) and set(copies(dumb_bank).values()) == {1}
    assert states(requests) == {"paid"}, "the receipts came along with the answers to the question"


def test_every_second_answer_lost_over_200_payments(dumb_bank, clock, monkeypatch):
    monkeypatch.setattr(delivery, "BATCH", 10)
    dumb_bank.desk("behaviour", faults={"lose_answer_every": 2})
    requests = many.sent("I1", 200)
    drain(clock)

    assert executed_once(dumb_bank, requests)
    lost = Delivery.objects.filter(tries__step="answered", tries__outcome="unknown").distinct().count()
    assert lost >= 90, "the fault has hit about every second batch"
    tasks.pull_receipts([r.voucher_id for r in requests])
    assert states(requests) == {"paid"}
    assert PaymentReceipt.objects.count() == 200 and many.reserved("I1") == 0


def test_a_500_before_anything_was_done_ends_in_the_same_bytes_again(dumb_bank, clock):
    requests = many.sent("I1", 3)
    dumb_bank.desk("behaviour", faults={"answer_500_next": 2})
    drain(clock)

    assert executed_once(dumb_bank, requests)
    received = {row["voucher_no"]: row["digest"] for row in dumb_bank.desk("state")["vouchers"]}
    assert received == {r.voucher_no: r.voucher.digest for r in requests}
    for request in requests:
        tries = DeliveryAttempt.objects.filter(delivery__voucher_id=request.voucher_id)
        assert set(tries.values_list("digest", flat=True)) == {request.voucher.digest}
        assert tries.filter(step="sent").count() == 3


def test_garbage_after_everything_was_done_is_no_answer(dumb_bank, clock):
    requests = many.sent("I1", 3)
    dumb_bank.desk("behaviour", faults={"answer_garbage_next": 1})
    tasks.send_batch(BANK)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"unknown"}

    drain(clock)
    assert executed_once(dumb_bank, requests) and set(copies(dumb_bank).values()) == {1}


def test_an_answer_slower_than_our_patience_is_asked_for(dumb_bank, clock, settings, monkeypatch):
    from vouchers import transport

    monkeypatch.setattr(transport, "_local", threading.local())
    settings.GUOKU_READ_TIMEOUT = 0.3
    requests = many.sent("I1", 3)
    dumb_bank.desk("behaviour", faults={"delay_ms": 900})
    tasks.send_batch(BANK)
    dumb_bank.desk("behaviour", faults={"delay_ms": 0})
    drain(clock)
    assert executed_once(dumb_bank, requests)


# Crashes -------------------------------------------------------------------------------------------------------------


def test_our_worker_dies_after_the_bank_has_paid(dumb_bank, clock):
    requests = many.sent("I1", 4)
    claimed = delivery.claim(organisation=BANK, state=DeliveryState.QUEUED, now=clock.now())
    post_vouchers(claimed.partner, claimed.vouchers, clock.now())  # and the process is gone
    assert delivery.due_partners(now=clock.now()) == []

    clock.wind(delivery.LEASE.total_seconds() + 1)
    drain(clock)
    assert executed_once(dumb_bank, requests) and set(copies(dumb_bank).values()) == {1}
    assert states(requests) == {"paid"}


def test_our_worker_dies_before_anything_has_left(dumb_bank, clock):
    requests = many.sent("I1", 4)
    delivery.claim(organisation=BANK, state=DeliveryState.QUEUED, now=clock.now())
    clock.wind(delivery.LEASE.total_seconds() + 1)
    drain(clock)
    assert executed_once(dumb_bank, requests)


def test_the_bank_is_killed_between_receiving_and_paying(start_bank, clock):
    bank = start_bank(deduplicate=False)
    requests = many.sent("I1", 4)
    drain(clock)
    bank.kill()

    more = acts.sent("I1", "77.00")
    tasks.send_batch(BANK)
    assert Delivery.objects.get(voucher_id=more.voucher_id).state == "queued", "nothing has left"
    bank.start()
    drain(clock)
    bank.desk("pay")
    bank.kill()
    bank.start()
    bank.desk("pay")

    assert executed_once(bank, [*requests, more])
    tasks.pull_receipts([r.voucher_id for r in (*requests, more)])
    assert states([*requests, more]) == {"paid"}


def test_a_dead_bank_opens_its_breaker_and_the_other_bank_goes_on(start_bank, clock):
    dead, alive = start_bank("A", **PAYS_AT_ONCE), start_bank("B", **PAYS_AT_ONCE)
    dead.kill()
    at_a, at_b = acts.sent("I1", "100.00"), acts.sent("I5", "100.00")
    for _ in range(4):
        for organisation in delivery.due_partners(now=clock.now()):
            tasks.send_batch(organisation)
        clock.wind(6)
    partner = ExchangePartner.objects.get(pk=BANK)
    assert partner.failures >= 3 and partner.down_since is not None
    assert states([at_b]) == {"accepted"} and states([at_a]) == {"sealed"}

    dead.start()
    drain(clock)
    assert executed_once(dead, [at_a]) and executed_once(alive, [at_b])
    assert ExchangePartner.objects.get(pk=BANK).failures == 0


def test_two_workers_at_once_send_everything_once(dumb_bank, clock, monkeypatch):
    monkeypatch.setattr(delivery, "BATCH", 5)
    requests = many.sent("I1", 60)

    def work():
        try:
            while tasks.send_batch(BANK):
                pass
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    drain(clock)
    assert executed_once(dumb_bank, requests) and set(copies(dumb_bank).values()) == {1}


# Receipts ------------------------------------------------------------------------------------------------------------


def pushed(bank, clock) -> None:
    """Let the bank pay and send its receipts to our API."""
    drain(clock)
    bank.desk("pay")
    assert bank.desk("flush", timeout_seconds=10)["empty"]


def test_receipts_sent_twice_are_one_fact(start_bank, live_server, clock):
    bank = start_bank(api_url=live_server.url, faults={"duplicate_receipts": True})
    requests = many.sent("I1", 3)
    pushed(bank, clock)

    assert states(requests) == {"paid"} and PaymentReceipt.objects.count() == 3
    assert InboxMessage.objects.count() == 3


def test_receipts_over_another_amount_change_nothing_and_are_kept(start_bank, live_server, clock):
    bank = start_bank(api_url=live_server.url, faults={"wrong_amount_for": ["*"]})
    requests = many.sent("I1", 2)
    pushed(bank, clock)

    assert states(requests) == {"accepted"} and not PaymentReceipt.objects.exists()
    assert many.reserved("I1") == sum(r.amount for r in requests)
    kept = InboxMessage.objects.filter(state="refused")
    assert kept.count() == 2 and all(row.code and row.field for row in kept)
    assert {row["status"] for row in bank.desk("state")["outbox"]} == {"refused"}


def test_a_receipt_whose_signature_does_not_fit_changes_nothing(start_bank, live_server, clock):
    bank = start_bank(api_url=live_server.url, faults={"forged_signature_next": 1})
    requests = many.sent("I1", 2)
    pushed(bank, clock)

    assert sorted(r.state for r in acts.fresh(*requests)) == ["accepted", "paid"]
    assert InboxMessage.objects.get(state="refused").code == "signature_invalid"


def test_a_lost_receipt_is_found_by_asking(start_bank, live_server, clock):
    bank = start_bank(api_url=live_server.url, faults={"lose_receipt_for": ["*"]})
    requests = many.sent("I1", 2)
    pushed(bank, clock)
    assert states(requests) == {"accepted"}

    assert tasks.pull_receipts([r.voucher_id for r in requests]) == 2
    assert states(requests) == {"paid"} and many.reserved("I1") == 0
    assert tasks.pull_receipts([r.voucher_id for r in requests]) == 0
    assert executed_once(bank, requests)
