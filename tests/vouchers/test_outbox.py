"""The outbox: leases, compare-and-set, and the third answer. Each failure leaves the money where it was."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from budget.models import Quota
from demo import world
from tests import acts, many
from tests.bank import Partner
from tests.conftest import NOW
from vouchers import delivery
from vouchers.models import Delivery, DeliveryAttempt, ExchangePartner
from vouchers.states import DeliveryState
from vouchers.transport import PartnerAnswer

D = Decimal
BANK = world.BANK_A
QUEUED, UNKNOWN = DeliveryState.QUEUED, DeliveryState.UNKNOWN


@pytest.fixture
def request_(city):
    """One payment of 12,345.67, sealed and queued for bank A."""
    return acts.sent("I1", "12345.67")


def at(seconds: float):
    return NOW + timedelta(seconds=seconds)


def row(request) -> Delivery:
    return Delivery.objects.select_related("voucher").get(voucher_id=request.voucher_id)


def claim(state=QUEUED, seconds: float = 0, organisation: str = BANK):
    return delivery.claim(organisation=organisation, state=state, now=at(seconds))


def answers(claimed, outcome: str = "accepted", **changes) -> list[PartnerAnswer]:
    return [PartnerAnswer(**({"outcome": outcome, "digest": v.digest} | changes)) for v in claimed.vouchers]


def status(claimed, code: int, **changes) -> list[PartnerAnswer]:
    return answers(claimed, "", status=code, **changes)


def make_unknown(seconds: float = 0):
    claimed = claim(seconds=seconds)
    delivery.record_unknown(claimed, "no answer", now=at(seconds))
    return claimed


def state_of(request) -> str:
    return acts.fresh(request)[0].state


# Claiming ------------------------------------------------------------------------------------------------------------


def test_what_is_sealed_is_queued_in_the_same_commit(request_):
    assert row(request_).state == "queued"
    assert delivery.due_partners(now=NOW) == [BANK]


def test_the_attempt_is_committed_before_anything_leaves(request_):
    claimed = claim()

    attempt = DeliveryAttempt.objects.get(delivery=row(request_))
    assert (attempt.step, attempt.number, attempt.digest) == ("sent", 1, request_.voucher.digest)
    assert row(request_).state == "sending" and row(request_).lease_id == claimed.lease_id
    assert [bytes(v.text) for v in claimed.vouchers] == [bytes(request_.voucher.text)]


def test_two_workers_never_get_the_same_row(real_city):
    requests = many.sent("I1", 150)
    taken, start = [], threading.Barrier(4)

    def work():
        start.wait()
        while (claimed := claim()) is not None:
            taken.append([d.pk for d in claimed.deliveries])
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert sorted(len(batch) for batch in taken) == [50, 100]
    assert len({pk for batch in taken for pk in batch}) == len(requests)


def test_a_row_locked_elsewhere_is_skipped_not_awaited(real_city):
    first, second = many.sent("I1", 2)
    locked, release = threading.Event(), threading.Event()

    def hold():
        from django.db import transaction

        with transaction.atomic():
            Delivery.objects.select_for_update().get(voucher_id=first.voucher_id)
            locked.set()
            release.wait(10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    claimed = claim()
    release.set()
    holder.join()

    assert [d.voucher_id for d in claimed.deliveries] == [second.voucher_id]


def test_one_envelope_never_grows_beyond_what_partners_accept(city, monkeypatch):
    requests = many.sent("I1", 5)
    size = len(requests[0].voucher.text)
    monkeypatch.setattr(delivery, "BATCH_BYTES", size * 2 + size // 2)

    assert len(claim().deliveries) == 2
    monkeypatch.setattr(delivery, "BATCH_BYTES", size // 2)
    assert len(claim().deliveries) == 1, "a single large voucher must still go"


def test_a_slow_partner_holds_a_bounded_number_of_workers(city, monkeypatch):
    many.sent("I1", 5)
    monkeypatch.setattr(delivery, "BATCH", 1)

    assert [claim() is None for _ in range(4)] == [False, False, True, True]

    ExchangePartner.objects.filter(pk=BANK).update(failures=1)
    assert claim() is None, "a failing partner gets one at a time"


def test_a_disabled_or_pulling_partner_is_not_sent_to(request_):
    ExchangePartner.objects.filter(pk=BANK).update(exchange_mode="pull")
    assert delivery.due_partners(now=NOW) == []

    ExchangePartner.objects.filter(pk=BANK).update(exchange_mode="push", enabled=False)
    assert delivery.due_partners(now=NOW) == []
    assert claim() is None


# What an answer does -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["accepted", "duplicate"])
def test_an_accepted_voucher_is_delivered_and_signed_for(request_, outcome):
    claimed = claim()
    delivery.record_sent(claimed, answers(claimed, outcome), now=at(1))

    assert row(request_).state == "delivered" and row(request_).lease_id is None
    assert state_of(request_) == "accepted" and acts.fresh(request_)[0].voucher.state == "signed_for"


def test_a_refused_voucher_leaves_the_money_reserved(request_):
    claimed = claim()
    delivery.record_sent(claimed, answers(claimed, "refused", reason="account_unknown 账号不存在"), now=at(1))

    assert row(request_).state == "refused" and "账号不存在" in row(request_).last_error
    assert state_of(request_) == "bank_refused" and acts.fresh(request_)[0].voucher.state == "refused"
    assert many.reserved("I1") == D("12345.67")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        PartnerAnswer("accepted", None),
        PartnerAnswer("accepted", "0" * 64),
        PartnerAnswer("refused", "0" * 64, "not ours"),
        PartnerAnswer("paid", "same"),
        PartnerAnswer("", "same"),
    ],
    ids=["none", "no digest", "other digest", "refusal of another text", "unknown word", "empty word"],
)
def test_an_answer_that_is_not_plainly_about_this_voucher_says_nothing(request_, answer):
    claimed = claim()
    if answer is not None and answer.digest == "same":
        answer = PartnerAnswer(answer.outcome, claimed.vouchers[0].digest)
    delivery.record_sent(claimed, [answer], now=at(1))

    assert row(request_).state == "unknown"
    assert state_of(request_) == "sealed" and many.reserved("I1") == D("12345.67")


def test_an_exchange_without_an_answer_is_unknown_and_keeps_the_quota_reserved(request_):
    make_unknown()

    assert row(request_).state == "unknown" and row(request_).lease_id is None
    assert state_of(request_) == "sealed"
    quota = Quota.objects.get(pk=request_.quota_id)
    assert quota.amount_reserved == D("12345.67") and many.reserved("I1") == D("12345.67")
    assert claim(seconds=3600) is None, "unknown is asked about, never simply sent again"


def test_what_never_left_is_queued_again_later(request_):
    claimed = claim()
    delivery.record_not_sent(claimed, "connection refused", now=at(0))

    assert row(request_).state == "queued"
    assert claim(seconds=0.5) is None
    again = claim(seconds=5)
    assert bytes(again.vouchers[0].text) == bytes(claimed.vouchers[0].text)


# Leases --------------------------------------------------------------------------------------------------------------


def test_an_expired_lease_becomes_unknown(request_):
    claim()
    delivery.due_partners(now=at(44))
    assert row(request_).state == "sending"

    assert delivery.due_partners(now=at(46)) == [BANK]
    assert row(request_).state == "unknown" and row(request_).lease_id is None
    assert claim(seconds=46) is None and claim(UNKNOWN, 46) is not None


@pytest.mark.parametrize("late", ["accepted", "refused", "unknown", "not_sent"])
def test_an_answer_after_the_lease_was_lost_changes_nothing(request_, late):
    old = claim()
    delivery.due_partners(now=at(46))
    current = claim(UNKNOWN, 47)
    before = row(request_)

    if late == "unknown":
        delivery.record_unknown(old, "late", now=at(48))
    elif late == "not_sent":
        delivery.record_not_sent(old, "late", now=at(48))
    else:
        delivery.record_sent(old, answers(old, late), now=at(48))

    after = row(request_)
    assert (after.state, after.lease_id, after.next_attempt_at) == ("unknown", current.lease_id, before.next_attempt_at)
    assert state_of(request_) == "sealed"
    delivery.record_queried(current, status(current, 3), now=at(49))
    assert row(request_).state == "delivered"


def test_an_answer_recorded_twice_counts_once(request_):
    claimed = claim()
    delivery.record_sent(claimed, answers(claimed), now=at(1))
    delivery.record_sent(claimed, answers(claimed, "refused"), now=at(2))

    assert row(request_).state == "delivered" and state_of(request_) == "accepted"


def test_the_receipt_may_overtake_the_acknowledgement(request_, pki):
    claimed = claim()
    bank = Partner(pki, BANK)
    [answer] = bank.send(bank.receipt(request_.voucher))
    assert answer.outcome == "applied"

    delivery.record_sent(claimed, answers(claimed), now=at(1))

    assert row(request_).state == "delivered" and state_of(request_) == "paid"
    assert acts.fresh(request_)[0].voucher.state == "receipted"


# Asking --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "row_state", "request_state"),
    [
        (3, "delivered", "accepted"),
        (12, "delivered", "accepted"),
        (4, "refused", "bank_refused"),
        (5, "refused", "bank_refused"),
    ],
)
def test_what_the_partner_says_when_asked_settles_it(request_, code, row_state, request_state):
    make_unknown()
    claimed = claim(UNKNOWN, 2)
    delivery.record_queried(claimed, status(claimed, code), now=at(2))

    assert (row(request_).state, state_of(request_)) == (row_state, request_state)
    assert many.reserved("I1") == D("12345.67")


@pytest.mark.parametrize("code", [0, 1, 2, 99, None])
def test_received_but_not_signed_for_is_asked_again(request_, code):
    make_unknown()
    claimed = claim(UNKNOWN, 2)
    delivery.record_queried(claimed, answers(claimed, "", status=code), now=at(2))

    assert row(request_).state == "unknown" and state_of(request_) == "sealed"
    assert claim(UNKNOWN, 4) is not None


def test_another_document_under_our_number_stays_unknown(request_):
    make_unknown()
    claimed = claim(UNKNOWN, 2)
    delivery.record_queried(claimed, status(claimed, 3, digest="f" * 64), now=at(2))

    assert row(request_).state == "unknown" and state_of(request_) == "sealed"


def ask(seconds: float, code: int) -> None:
    claimed = claim(UNKNOWN, seconds)
    assert claimed is not None
    delivery.record_queried(claimed, status(claimed, code), now=at(seconds))


def test_not_found_twice_and_quiet_queues_the_same_bytes_again(request_, settings):
    settings.GUOKU_RESEND_AFTER = 5.0
    sent = make_unknown()
    ask(2, -1)
    assert row(request_).state == "unknown", "said once is not enough"
    ask(4, -1)
    assert row(request_).state == "unknown", "it could still arrive"
    ask(6, -1)

    assert row(request_).state == "queued" and row(request_).not_found == 0
    again = claim(seconds=8)
    assert bytes(again.vouchers[0].text) == bytes(sent.vouchers[0].text)
    assert again.vouchers[0].signature == sent.vouchers[0].signature
    assert again.vouchers[0].voucher_no == sent.vouchers[0].voucher_no
    digests = DeliveryAttempt.objects.filter(delivery=row(request_)).values_list("digest", flat=True)
    assert set(digests) == {request_.voucher.digest}


def test_the_quiet_time_runs_from_the_end_of_a_slow_exchange(request_, settings):
    """A POST that timed out after 20 s may still be at work over there, whenever it began."""
    settings.GUOKU_RESEND_AFTER = 5.0
    claimed = claim()
    delivery.record_unknown(claimed, "read timeout", now=at(20))
    ask(21.5, -1)
    ask(23, -1)
    assert row(request_).state == "unknown"
    ask(26, -1)
    assert row(request_).state == "queued"


def test_not_found_counts_only_in_a_row(request_, settings):
    settings.GUOKU_RESEND_AFTER = 0.0
    make_unknown()
    ask(10, -1)
    ask(12, 1)
    ask(14, -1)
    assert row(request_).state == "unknown"


def test_a_question_that_could_not_be_asked_leaves_it_unknown(request_):
    make_unknown()
    delivery.record_not_sent(claim(UNKNOWN, 2), "connection refused", now=at(2))
    assert row(request_).state == "unknown"


# Breaker and fairness ------------------------------------------------------------------------------------------------


def test_three_failures_in_a_row_open_the_breaker_and_one_answer_closes_it(request_):
    moment = 0.0
    for failures in (1, 2, 3):
        claimed = claim(seconds=moment)
        delivery.record_not_sent(claimed, "connection refused", now=at(moment))
        partner = ExchangePartner.objects.get(pk=BANK)
        assert partner.failures == failures and (partner.open_until is not None) == (failures == 3)
        moment += 30
    partner = ExchangePartner.objects.get(pk=BANK)
    assert partner.down_since == at(0)
    before = (partner.open_until - at(0)).total_seconds() - 0.5
    Delivery.objects.update(next_attempt_at=at(0))
    assert claim(seconds=before) is None, "open: left alone"

    claimed = claim(seconds=before + 1)
    delivery.record_sent(claimed, answers(claimed), now=at(before + 2))
    partner = ExchangePartner.objects.get(pk=BANK)
    assert (partner.failures, partner.down_since, partner.open_until) == (0, None, None)


def test_one_dead_partner_does_not_delay_another(city):
    acts.sent("I1", "100.00")
    at_bank_b = acts.sent("I5", "100.00")
    ExchangePartner.objects.filter(pk=BANK).update(failures=9, open_until=at(3600))

    assert claim() is None
    claimed = claim(organisation=world.BANK_B)
    delivery.record_sent(claimed, answers(claimed), now=at(1))
    assert row(at_bank_b).state == "delivered"


# Statements ----------------------------------------------------------------------------------------------------------


def test_the_number_of_statements_does_not_depend_on_the_number_of_vouchers(city, monkeypatch):
    many.sent("I1", 110)
    counts = []
    for size in (10, 100):
        monkeypatch.setattr(delivery, "BATCH", size)
        with CaptureQueriesContext(connection) as queries:
            claimed = claim()
            delivery.record_sent(claimed, answers(claimed), now=at(1))
        assert len(claimed.deliveries) == size
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 32, counts


def test_asking_takes_the_same_statements_for_10_and_100(city, monkeypatch):
    many.sent("I1", 110)
    counts = []
    for size in (10, 100):
        monkeypatch.setattr(delivery, "BATCH", size)
        make_unknown()
        with CaptureQueriesContext(connection) as queries:
            claimed = claim(UNKNOWN, 2)
            delivery.record_queried(claimed, status(claimed, -1), now=at(2))
            claimed = claim(UNKNOWN, 4)
            delivery.record_queried(claimed, status(claimed, 3), now=at(4))
        assert len(claimed.deliveries) == size
        counts.append(len(queries))
    assert counts[0] == counts[1], counts
