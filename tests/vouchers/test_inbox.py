"""The inbox: stored before acted on, each document acting once, and nothing a partner sends stopping the others."""

import base64
import itertools
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.actors import system_actor
from core.calendar import start_day
from core.models import BusinessDay
from demo import world
from payments.models import ClearingLine, PaymentReceipt, PaymentRequest, Refund
from tests import acts, many
from tests.bank import Partner, clearing
from tests.conftest import NOW
from vouchers import applying, inbox, routing
from vouchers.codec import decode_content, encode_envelope
from vouchers.errors import VoucherError
from vouchers.messages import EnvelopeBody, SignatureMark
from vouchers.models import ExchangePartner, InboxMessage, InboxRejection
from vouchers.transport import body_of

D = Decimal


@pytest.fixture
def bank_a(pki):
    return Partner(pki, world.BANK_A)


@pytest.fixture
def bank_b(pki):
    return Partner(pki, world.BANK_B)


@pytest.fixture
def pboc(pki):
    return Partner(pki, world.PBOC)


@pytest.fixture
def request_(city):
    return acts.sent("I1", "12345.67")


def at(seconds: float):
    return NOW + timedelta(seconds=seconds)


def state_of(request) -> str:
    return acts.fresh(request)[0].state


def unchanged(request) -> bool:
    """Nothing has happened to the payment: it waits for the bank, the money is still reserved, no fact exists."""
    return (
        state_of(request) == "sealed"
        and many.reserved("I1") == D("12345.67")
        and not PaymentReceipt.objects.exists()
        and not InboxMessage.objects.exclude(state="refused").exists()
    )


def code_of(answers) -> str:
    [answer] = answers
    assert answer.outcome == "refused" and answer.error is not None, answer
    return answer.error.code


# Stored first --------------------------------------------------------------------------------------------------------


def breaking(monkeypatch, breaks, *, kind="8202", flag=1, error=RuntimeError):
    """Let the handler of a type fail whenever `breaks(number)` says so; returns the numbers it was given."""
    real, seen = routing.handler_for(kind, flag), []

    def handler(messages, now):
        for inbound in messages:
            seen.append(inbound.content.voucher_no)
            if breaks(inbound.content.voucher_no):
                raise error("the handler breaks")
        return real(messages, now)

    monkeypatch.setitem(routing._handlers, (kind, flag), handler)
    return seen


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, AssertionError, IndexError, ArithmeticError])
def test_a_crash_in_the_handler_leaves_the_message_for_the_sweep(request_, bank_a, monkeypatch, error):
    with monkeypatch.context() as patch:
        breaking(patch, lambda number: True, error=error)
        [answer] = bank_a.send(bank_a.receipt(request_.voucher))
    assert answer.outcome == "stored"
    message = InboxMessage.objects.get(pk=answer.message_id)
    assert (message.state, message.attempts, message.code) == ("received", 1, "failed")
    assert state_of(request_) == "sealed" and not PaymentReceipt.objects.exists()

    assert inbox.apply_waiting(now=at(5)) == {}, "not at once again"
    inbox.apply_waiting(now=at(11))
    assert state_of(request_) == "paid"
    assert InboxMessage.objects.get(pk=answer.message_id).state == "applied"


def test_a_kill_between_storing_and_applying_leaves_the_message_for_the_sweep(request_, bank_a, monkeypatch):
    with monkeypatch.context() as patch:
        breaking(patch, lambda number: True, error=KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            bank_a.send(bank_a.receipt(request_.voucher))
    assert InboxMessage.objects.get().state == "received"
    inbox.apply_waiting(now=at(11))
    assert state_of(request_) == "paid"


def test_a_poisoned_message_goes_to_a_person_after_five_tries_and_blocks_nobody(city, bank_a, monkeypatch):
    requests = many.sent("I1", 6)
    poisoned = requests[0].voucher_no
    seen = breaking(monkeypatch, lambda number: number == poisoned)
    outcomes = [answer.outcome for answer in bank_a.send(*[bank_a.receipt(r.voucher) for r in requests])]

    assert outcomes == ["stored"] + ["applied"] * 5
    assert [state_of(r) for r in requests[1:]] == ["paid"] * 5
    for tick in range(1, 9):
        inbox.apply_waiting(now=at(11 * tick))
    message = InboxMessage.objects.get(voucher_no=poisoned)
    assert (message.state, message.code, message.attempts) == ("dead", "gave_up", 5)
    assert seen.count(poisoned) == 6  # five tries; the first in a batch and then alone
    assert state_of(requests[0]) == "sealed", "what is with a person keeps its money reserved"


def test_a_message_that_kills_the_process_takes_nobody_along(city, bank_a, monkeypatch):
    requests = many.sent("I1", 4)
    deadly = requests[0].voucher_no
    breaking(monkeypatch, lambda number: number == deadly, error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        bank_a.send(*[bank_a.receipt(r.voucher) for r in requests])
    assert {state_of(r) for r in requests} == {"sealed"}

    for tick in range(1, 9):
        try:
            inbox.apply_waiting(now=at(11 * tick))
        except KeyboardInterrupt:
            continue
    assert [state_of(r) for r in requests] == ["sealed", "paid", "paid", "paid"]
    assert InboxMessage.objects.get(voucher_no=deadly).state == "dead"


def test_a_parked_message_that_breaks_does_not_spoil_what_came_now(city, bank_a, bank_b, pboc, monkeypatch):
    first, second = many.sent("I1", 2)
    _asked, executed = clearing(bank_a, pboc, "HK-A-01", [(first, 1)])
    pboc.send(executed)
    breaking(monkeypatch, lambda number: True, kind="2301", flag=1)
    with monkeypatch.context() as patch:
        patch.setattr(applying, "_without_their_document", lambda inbound: {})
        [answer] = bank_a.send(bank_a.receipt(second.voucher))

    assert answer.outcome == "applied" and state_of(second) == "paid"
    assert InboxMessage.objects.get(flag=1, voucher_type="2301").state == "received", "its tries are counted now"


def test_between_two_business_days_documents_wait(request_, bank_a):
    BusinessDay.objects.update(closed_at=NOW)
    [answer] = bank_a.send(bank_a.receipt(request_.voucher))
    assert answer.outcome == "parked"
    for tick in range(1, 12):
        inbox.apply_waiting(now=at(6 * tick))
    message = InboxMessage.objects.get()
    assert (message.state, message.code, message.attempts) == ("parked", "day_closed", 1)

    start_day(
        adm_div_code=world.REGION,
        day=world.DAY + timedelta(days=1),
        cut_off="16:00",
        by=system_actor("测试"),
        now=at(3600),
    )
    inbox.apply_waiting(now=at(3600))
    assert state_of(request_) == "paid"


# Once only -----------------------------------------------------------------------------------------------------------


def test_the_same_document_again_is_acknowledged_and_does_nothing(request_, bank_a):
    receipt = bank_a.receipt(request_.voucher)
    [first] = bank_a.send(receipt)
    [again] = bank_a.send(receipt)

    assert (first.outcome, again.outcome) == ("applied", "duplicate")
    assert again.message_id == first.message_id
    assert PaymentReceipt.objects.count() == 1 and world.indicator("I1").amount_paid == D("222345.67")


def test_a_fresh_signature_over_the_same_text_is_still_the_same_document(request_, bank_a):
    receipt = bank_a.receipt(request_.voucher)
    bank_a.send(receipt)
    [again] = bank_a.send(replace(receipt, signatures=(bank_a.sign(receipt.text),)))
    assert again.outcome == "duplicate" and PaymentReceipt.objects.count() == 1


def test_another_document_under_a_used_number_is_refused_and_kept(request_, bank_a):
    bank_a.send(bank_a.receipt(request_.voucher))
    [answer] = bank_a.send(bank_a.receipt(request_.voucher))  # another bank serial, so another text

    assert answer.error.code == "conflicting_duplicate" and answer.error.http_status == 409
    kept = InboxMessage.objects.get(pk=answer.message_id)
    assert (kept.state, kept.code, kept.digest) == ("refused", "conflicting_duplicate", answer.digest)
    assert PaymentReceipt.objects.count() == 1


def test_one_number_twice_in_an_envelope_is_one_document(request_, bank_a):
    outcomes = bank_a.send(bank_a.receipt(request_.voucher), bank_a.receipt(request_.voucher))
    assert [a.outcome for a in outcomes] == ["applied", "refused"]
    assert outcomes[1].error.code == "conflicting_duplicate"
    assert PaymentReceipt.objects.count() == 1


def test_after_a_refusal_the_corrected_document_is_taken(request_, bank_a):
    wrong = bank_a.receipt(request_.voucher, XPayAmt="1.00")
    bank_a.send(wrong)
    assert unchanged(request_)
    [answer] = bank_a.send(bank_a.receipt(request_.voucher))
    assert answer.outcome == "applied" and state_of(request_) == "paid"


def test_five_identical_receipts_at_once_are_one_fact(real_city, bank_a):
    requests = many.sent("I1", 3)
    receipts = [bank_a.receipt(r.voucher) for r in requests]
    outcomes, start = [], threading.Barrier(5)

    def deliver(order):
        try:
            start.wait()
            outcomes.append(sorted(a.outcome for a in bank_a.send(*order)))
        finally:
            connection.close()

    orders = list(itertools.permutations(receipts))[:5]  # in different orders: nobody may wait in a circle
    threads = [threading.Thread(target=deliver, args=(order,)) for order in orders]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert len(outcomes) == 5
    assert sorted(outcomes) == [["applied"] * 3] + [["duplicate"] * 3] * 4
    assert PaymentReceipt.objects.count() == 3 and {r.state for r in acts.fresh(*requests)} == {"paid"}
    assert many.reserved("I1") == 0 and world.indicator("I1").amount_paid == D("210000.00") + sum(
        r.amount for r in requests
    )


# Who said it ---------------------------------------------------------------------------------------------------------


def test_our_own_document_sent_back_is_no_receipt(request_, bank_a):
    reflected = replace(body_of(request_.voucher), flag=1)
    assert code_of(bank_a.send(reflected)) == "certificate_of_other_party"
    assert unchanged(request_)

    countersigned = replace(reflected, signatures=(*reflected.signatures, bank_a.sign(reflected.text)))
    assert code_of(bank_a.send(countersigned)) == "required_in_receipt"
    assert code_of(bank_a.send(body_of(request_.voucher))) == "wrong_sender"
    assert unchanged(request_)


def test_a_foreign_signature_or_none_is_refused(request_, bank_a, bank_b):
    receipt = bank_a.receipt(request_.voucher)
    for signatures, code in [
        ((), "signature_missing"),
        ((bank_b.sign(receipt.text),), "certificate_of_other_party"),
        ((SignatureMark("yh_qm", "00ff", receipt.signatures[0].value),), "certificate_unknown"),
        ((SignatureMark("yh_qm", bank_a.certificate.serial_hex, "AAAA"),), "signature_invalid"),
        ((SignatureMark("yh_qm", bank_a.certificate.serial_hex, "A"),), "signature_malformed"),
        ((bank_a.sign(receipt.text + b"A"),), "signature_invalid"),
    ]:
        assert code_of(bank_a.send(replace(receipt, signatures=signatures))) == code
        assert unchanged(request_)
    assert InboxMessage.objects.filter(state="refused").count() == 6


def test_a_signature_of_another_beside_the_banks_own_does_no_harm(request_, bank_a, bank_b):
    receipt = bank_a.receipt(request_.voucher)
    [answer] = bank_a.send(replace(receipt, signatures=(bank_b.sign(receipt.text), *receipt.signatures)))
    assert answer.outcome == "applied"


def test_a_receipt_from_the_bank_that_was_not_asked_is_refused(request_, bank_a, bank_b):
    assert code_of(bank_b.send(bank_b.receipt(request_.voucher))) == "original_unknown"
    assert code_of(bank_b.send(bank_a.receipt(request_.voucher))) == "certificate_of_other_party"
    assert unchanged(request_)


def test_a_bank_cannot_speak_for_pboc_nor_pboc_for_a_bank(request_, bank_a, pboc):
    asked, executed = clearing(bank_a, pboc, "HK-A-01", [(request_, 1)])
    assert code_of(bank_a.send(replace(asked, flag=1))) != ""
    assert code_of(pboc.send(asked)) == "wrong_sender"
    assert code_of(pboc.send(replace(executed, flag=0))) == "wrong_sender"
    assert not ClearingLine.objects.exists()


# What was changed on the way -----------------------------------------------------------------------------------------


def test_a_renumbered_envelope_is_refused_and_kept(request_, bank_a):
    receipt = bank_a.receipt(request_.voucher)
    for change in [
        {"voucher_no": "SZ0099"},
        {"fiscal_year": 2025},
        {"adm_div_code": "990100001"},
        {"voucher_type": "5201"},
    ]:
        assert code_of(bank_a.send(replace(receipt, **change))) == "envelope_differs"
    assert unchanged(request_)
    kept = InboxRejection.objects.all()
    assert len(kept) == 4 and {bytes(row.raw) for row in kept} == {receipt.text}


def test_one_altered_byte_is_refused(request_, bank_a):
    receipt = bank_a.receipt(request_.voucher)
    plain = base64.b64decode(receipt.text)
    position = plain.index(b"<XPayAmt>12345.67") + len("<XPayAmt>")
    forged = base64.b64encode(plain[:position] + b"9" + plain[position + 1 :])

    assert code_of(bank_a.send(replace(receipt, text=forged))) == "signature_invalid"
    assert unchanged(request_)


@pytest.mark.parametrize(
    ("tag", "value"),
    [("PayeeAcctName", "他人"), ("PayeeAcctNo", "6230000000009999"), ("PayAmt", "1.00"), ("PaySummaryName", "改")],
)
def test_a_receipt_may_change_nothing_but_x_fields(request_, bank_a, tag, value):
    content, _ = decode_content(bank_a.receipt(request_.voucher).text)
    details = tuple({**detail, tag: value} if tag in detail else detail for detail in content.details)
    main = {**content.main, tag: value} if tag in content.main else content.main
    body = bank_a.body(replace(content, main=main, details=details), 1)

    [answer] = bank_a.send(body)
    assert answer.outcome == "refused", answer
    assert unchanged(request_)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00\xff\xfe", b"<MOF/>", b"<?xml version='1.0'?><a/>", b'<?xml version="1.0" encoding="GBK"?><MOF>'],
)
def test_garbage_is_refused_with_a_code_and_its_bytes_are_kept(city, bank_a, raw):
    partner = ExchangePartner.objects.get(pk=world.BANK_A)
    with pytest.raises(VoucherError) as refusal:
        inbox.receive(raw=raw, sender=partner, now=NOW)

    kept = InboxRejection.objects.get()
    assert (bytes(kept.raw), kept.sender, kept.size) == (raw, world.BANK_A, len(raw))
    assert kept.code == refusal.value.code and kept.reason
    assert not InboxMessage.objects.exists()


def test_an_unreadable_body_is_kept_and_the_others_pass(city, bank_a):
    first, second = many.sent("I1", 2)
    broken = replace(bank_a.receipt(first.voucher), text=b"AAAA")
    answers = bank_a.send(broken, bank_a.receipt(second.voucher))
    assert [a.outcome for a in answers] == ["refused", "applied"]
    assert bytes(InboxRejection.objects.get().raw) == b"AAAA"


# In any order --------------------------------------------------------------------------------------------------------


def test_clearing_waits_for_the_banks_copy_and_for_the_receipt(request_, bank_a, pboc):
    asked, executed = clearing(bank_a, pboc, "HK-A-01", [(request_, 1)])
    receipt = bank_a.receipt(request_.voucher)

    [early] = pboc.send(executed)
    assert early.outcome == "parked"
    assert InboxMessage.objects.get(pk=early.message_id).code == "bank_copy_missing"
    [copy] = bank_a.send(asked)
    assert copy.outcome == "applied"
    assert InboxMessage.objects.get(pk=early.message_id).code == "payment_not_confirmed"
    bank_a.send(receipt)

    assert state_of(request_) == "cleared"
    assert InboxMessage.objects.get(pk=early.message_id).state == "applied"
    [again] = pboc.send(executed)
    assert again.outcome == "duplicate" and ClearingLine.objects.count() == 1


def test_every_order_of_receipt_refund_copy_and_clearing_ends_the_same(city, bank_a, pboc):
    requests = many.sent("I1", 24)
    for number, order in enumerate(itertools.permutations(range(4))):
        request = requests[number]
        asked, executed = clearing(bank_a, pboc, f"HK-A-{number:02d}", [(request, 1)])
        refund = bank_a.refund(f"TK{number:04d}", request, 1, "1.00")
        steps = [
            (bank_a, bank_a.receipt(request.voucher)),
            (bank_a, refund),
            (bank_a, asked),
            (pboc, executed),
        ]
        for step in order:
            partner, body = steps[step]
            assert partner.send(body)[0].outcome in ("applied", "parked"), order
    inbox.apply_waiting(now=at(60))

    assert {r.state for r in acts.fresh(*requests)} == {"cleared"}
    assert not InboxMessage.objects.exclude(state="applied").exists()
    assert Refund.objects.count() == 24 and ClearingLine.objects.count() == 24
    paid = sum(r.amount for r in requests)
    row = world.indicator("I1")
    assert (row.amount_reserved, row.amount_paid - row.amount_refunded) == (D("0.00"), D("210000.00") + paid - 24)


def test_a_clearing_is_held_to_the_document_of_its_own_bank(city, bank_a, bank_b, pboc):
    """Two banks may number alike; one cannot make the other's clearing look altered."""
    ours, theirs = acts.sent("I1", "100.00"), acts.sent("I5", "200.00")
    for bank, request in ((bank_a, ours), (bank_b, theirs)):
        bank.send(bank.receipt(request.voucher))
    asked, executed = clearing(bank_a, pboc, "HK-01", [(ours, 1)])
    same_number, _ = clearing(bank_b, pboc, "HK-01", [(theirs, 1)])
    bank_a.send(asked)
    assert bank_b.send(same_number)[0].outcome == "applied"

    assert pboc.send(executed)[0].outcome == "applied"
    assert state_of(ours) == "cleared" and state_of(theirs) == "paid"


def test_a_clearing_pboc_altered_is_refused(request_, bank_a, pboc):
    bank_a.send(bank_a.receipt(request_.voucher))
    asked, executed = clearing(bank_a, pboc, "HK-A-01", [(request_, 1)])
    bank_a.send(asked)
    content, _ = decode_content(executed.text)
    altered = pboc.body(replace(content, main={**content.main, "AgentAcctNo": "6210000000000000"}), 1)

    assert code_of(pboc.send(altered)) == "receipt_altered"
    assert state_of(request_) == "paid" and pboc.send(executed)[0].outcome == "applied"


# Statements ----------------------------------------------------------------------------------------------------------


def test_the_number_of_statements_does_not_depend_on_the_number_of_bodies(city, bank_a):
    requests = many.sent("I1", 110)
    receipts = [bank_a.receipt(r.voucher) for r in requests]
    counts = []
    for batch in (receipts[:10], receipts[10:]):
        with CaptureQueriesContext(connection) as queries:
            answers = bank_a.send(*batch)
        assert {a.outcome for a in answers} == {"applied"}
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 64, counts
    assert PaymentRequest.objects.filter(state="paid").count() == 110


def test_storing_duplicates_takes_few_statements(city, bank_a):
    requests = many.sent("I1", 100)
    receipts = [bank_a.receipt(r.voucher) for r in requests]
    bank_a.send(*receipts)
    with CaptureQueriesContext(connection) as queries:
        answers = bank_a.send(*receipts)
    assert {a.outcome for a in answers} == {"duplicate"}
    assert len(queries) <= 16, len(queries)


def test_the_kept_text_is_the_sent_text(request_, bank_a):
    receipt: EnvelopeBody = bank_a.receipt(request_.voucher)
    bank_a.send(receipt)
    row = InboxMessage.objects.get()
    assert bytes(row.text) == receipt.text
    assert row.signatures == [[m.position, m.serial, m.value] for m in receipt.signatures]
    assert receipt.text in encode_envelope([receipt])


def test_documents_of_two_regions_are_never_one_batch(db):
    rows = [
        InboxMessage(
            adm_div_code=region,
            fiscal_year=2026,
            sender="BANK-A",
            voucher_type="8202",
            voucher_no=f"SZ{number:04d}",
            flag=1,
            text=b"",
            digest=f"{region}{number}",
            received_at=NOW,
        )
        for number, region in enumerate(("990100000", "990200000", "990100000"))
    ]
    InboxMessage.objects.bulk_create(rows)

    batches = applying._grouped([row.pk for row in rows])

    assert [sorted(batch) for batch in batches] == [sorted([rows[0].pk, rows[2].pk]), [rows[1].pk]]
