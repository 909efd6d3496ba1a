"""Giving up what is approved, withdrawing what is with the bank: only the bank's signed word lets go of money."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError

from core.actors import system_actor
from core.outcomes import Outcome
from demo import world
from payments import recalls, services
from payments.errors import ReasonRequired
from payments.models import LimitNotice, PaymentReceipt, Recall
from tests import acts
from tests.conftest import NOW
from vouchers.models import Delivery, ExchangePartner
from vouchers.pulling import AnsweredItem, answer_pulled
from vouchers.services import lock_vouchers, record_answer
from vouchers.transport import PartnerAnswer

D = Decimal


def give_up(request, reason="改由其他渠道支付"):
    clerk = world.officer(f"u{request.unit.code}-jb")
    return services.give_up_payment_requests(request_ids=[request.id], clerk=clerk, reason=reason, now=NOW)


def ask(request, reason="收款账号有误"):
    clerk = world.officer(f"u{request.unit.code}-jb")
    return services.ask_recalls(request_ids=[request.id], clerk=clerk, reason=reason, now=NOW)


def decide(recall, who="gk-sh", approve=True, reason="", now=NOW):
    return services.decide_recalls(
        recall_ids=[recall.id], officer=world.officer(who), approve=approve, reason=reason, now=now
    )


def asking(no="I1", *amounts):
    """A payment with the bank whose recall the treasury has agreed to."""
    request = acts.sent(no, *(amounts or ("100.00",)))
    ask(request).raise_if_refused()
    recall = Recall.objects.get(request=request)
    decide(recall).raise_if_refused()
    return request, recall


def answered(status, recall, *, digest=None, receipt=None, now=NOW):
    """Let the bank say this of the recall's voucher, as it would over the wire."""
    [question] = recalls.claim_questions(now=now)
    assert [r.id for r in question.recalls] == [recall.id]
    voucher = question.vouchers[0]
    answer = PartnerAnswer("", digest or voucher.digest, "柜面已停付", status, receipt)
    return recalls.record_answers(question, [answer], now=now)


def release():
    return services.withdraw_returned_requests(adm_div_code=world.REGION, now=NOW)


def state(recall):
    recall.refresh_from_db()
    return recall.state


# Before there is a voucher --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("no", ["I1", "I4"])
def test_an_approved_request_given_up_releases_exactly_what_it_held(city, no):
    before = acts.books(no)
    request = acts.draft(no, "100.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    assert acts.books(no)["reserved"] == "100.00"
    with pytest.raises(ReasonRequired):
        give_up(request, " ")

    give_up(request).raise_if_refused()

    assert acts.books(no) == before and acts.fresh(request)[0].state == "voided"
    assert give_up(request).refused[request.id].code == "transition_not_allowed"


def test_what_has_a_voucher_or_is_under_review_is_not_given_up(city):
    reviewed = acts.draft("I1", "1.00")
    acts.submit(reviewed).raise_if_refused()
    vouchered = acts.draft("I1", "1.00")
    acts.submit(vouchered).raise_if_refused()
    acts.approve_all(vouchered)
    acts.issue(vouchered).raise_if_refused()
    before = acts.everything()
    assert {give_up(r).refused[r.id].code for r in (reviewed, vouchered)} == {"transition_not_allowed"}
    assert acts.everything() == before


# After it is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("no", ["I1", "I4"])
def test_a_returned_voucher_releases_the_money_and_what_pboc_might_have_cleared(city, no):
    before, mode = acts.books(no), "11" if no == "I4" else "12"
    limit = acts.limit(world.BANK_A, mode)
    request, recall = asking(no)
    assert acts.books(no)["reserved"] == "100.00"

    answered(5, recall)
    assert (acts.fresh(request)[0].state, acts.books(no)["reserved"]) == ("bank_refused", "100.00")
    release()

    request = acts.fresh(request)[0]
    assert (request.state, state(recall), request.voucher.state) == ("withdrawn", "withdrawn", "returned")
    assert acts.books(no) == before and acts.limit(world.BANK_A, mode) == limit
    assert sum((n.amount for n in LimitNotice.objects.filter(request=request)), D("0.00")) == D("0.00")
    assert Delivery.objects.get(voucher=request.voucher).state == "refused"


@pytest.mark.parametrize("status", [-1, 0, 1, 3, None, 7])
def test_a_bank_that_cannot_say_leaves_everything_as_it_is(city, status):
    request, recall = asking()
    answered(status, recall)
    release()
    assert (acts.fresh(request)[0].state, state(recall)) == ("sealed", "asking")
    assert acts.books("I1")["reserved"] == "100.00" and recall.attempts == 1
    assert recalls.claim_questions(now=NOW) == [] and recalls.claim_questions(now=NOW + timedelta(minutes=1)) != []


def test_an_answer_about_other_bytes_counts_for_nothing(city):
    request, recall = asking()
    answered(5, recall, digest="0" * 64)
    assert (acts.fresh(request)[0].state, state(recall)) == ("sealed", "asking")


def test_silence_keeps_the_money_reserved(city):
    request, recall = asking()
    [question] = recalls.claim_questions(now=NOW)
    recalls.note_silence(question, RuntimeError("ReadTimeout"))
    assert state(recall) == "asking" and "ReadTimeout" in recall.last_answer
    assert acts.books("I1")["reserved"] == "100.00" and acts.fresh(request)[0].state == "sealed"


def test_a_bank_that_paid_wins(city, bank_a):
    request, recall = asking()
    [receipt] = answered(12, recall, receipt=b"<MOF/>")
    assert receipt == b"<MOF/>" and state(recall) == "asking"

    assert bank_a.send(bank_a.receipt(request.voucher))[0].outcome == "applied"

    assert (acts.fresh(request)[0].state, state(recall)) == ("paid", "overtaken")
    assert acts.books("I1")["paid"] == "210100.00"
    answer = answer_pulled(
        partner=ExchangePartner.objects.get(pk=world.BANK_A),
        items=[AnsweredItem(world.REGION, world.YEAR, "8202", request.voucher_no, "晚了")],
        action="return",
        now=NOW,
    )[0]
    assert answer.outcome == "refused" and release() == [] and acts.books("I1")["paid"] == "210100.00"


def test_a_receipt_that_says_failed_leaves_nothing_to_withdraw(city, bank_a):
    request, recall = asking()
    bank_a.send(bank_a.receipt(request.voucher, failed={"1": "账号不符"}))
    assert (acts.fresh(request)[0].state, state(recall)) == ("failed", "lapsed")


def test_a_bank_that_reads_its_vouchers_returns_by_its_own_answer(city):
    ExchangePartner.objects.filter(pk=world.BANK_A).update(exchange_mode="pull")
    before = acts.books("I1")
    request, recall = asking()
    assert recalls.claim_questions(now=NOW) == []
    answer_pulled(
        partner=ExchangePartner.objects.get(pk=world.BANK_A),
        items=[AnsweredItem(world.REGION, world.YEAR, "8202", request.voucher_no, "应财政要求停付")],
        action="return",
        now=NOW,
    )
    release()
    assert (acts.fresh(request)[0].state, state(recall), acts.books("I1")) == ("withdrawn", "withdrawn", before)


def test_what_banks_return_unasked_waits_for_the_maker(city):
    request = acts.sent("I1", "5.00")
    returned(request)
    assert release() == [] and acts.fresh(request)[0].state == "bank_refused"
    assert acts.books("I1")["reserved"] == "5.00"


def returned(request):
    record_answer(
        lock_vouchers([request.voucher_id]), "return", by=system_actor("甲银行", "agent_bank"), reason="x", now=NOW
    )


def test_a_recall_nobody_has_decided_lapses_when_the_bank_answers(city, bank_a):
    one, two = acts.sent("I1", "5.00"), acts.sent("I1", "6.00")
    for request in (one, two):
        ask(request).raise_if_refused()
    returned(one)
    bank_a.send(bank_a.receipt(two.voucher))
    assert set(Recall.objects.values_list("state", flat=True)) == {"lapsed"}
    assert acts.fresh(one)[0].state == "bank_refused"


def test_the_makers_void_closes_the_recall_too(city):
    request, recall = asking()
    returned(request)
    services.void_refused_requests(
        request_ids=[request.id], maker=world.officer("u101001-jb"), reason="作废", now=NOW
    ).raise_if_refused()
    assert (state(recall), release()) == ("lapsed", [])


# Who and when ---------------------------------------------------------------------------------------------------------


def test_only_what_is_with_the_bank_can_be_recalled_and_once(city, bank_a):
    draft = acts.draft("I1", "1.00")
    paid = acts.sent("I1", "2.00")
    bank_a.send(bank_a.receipt(paid.voucher))
    sent = acts.sent("I1", "3.00")
    ask(sent).raise_if_refused()
    for request in (draft, paid, sent):
        assert ask(request).refused[request.id].code == "recall_refused"
    assert Recall.objects.count() == 1


def test_the_treasury_decides_with_a_reason_when_it_refuses(city):
    request = acts.sent("I1", "1.00")
    ask(request).raise_if_refused()
    recall = Recall.objects.get()
    with pytest.raises(ReasonRequired):
        decide(recall, approve=False)
    assert decide(recall, "gk-zd").refused[recall.id].code == "role_required"
    assert decide(recall, "u101001-fh").refused[recall.id].code == "role_required"
    decide(recall, "gk-kz", approve=False, reason="收款人无误").raise_if_refused()
    assert (state(recall), acts.fresh(request)[0].state) == ("rejected", "sealed")
    ask(request).raise_if_refused()


def test_other_units_do_not_recall_it(city):
    request = acts.sent("I1", "1.00")
    outcome = services.ask_recalls(request_ids=[request.id], clerk=world.officer("u205001-jb"), reason="x", now=NOW)
    assert outcome.refused[request.id].code == "not_found"


# At the same moment ---------------------------------------------------------------------------------------------------


def test_the_banks_return_and_its_receipt_at_once_never_do_both(real_city, bank_a):
    untouched = acts.books("I1")
    request, recall = asking()
    body = bank_a.receipt(request.voucher)

    answers = acts.together(lambda: answered(5, recall), lambda: bank_a.send(body), release)

    assert not [a for a in answers if isinstance(a, Exception) and not isinstance(a, OperationalError)], answers
    release()
    found = acts.fresh(request)[0].state
    if found == "paid":
        assert state(recall) == "overtaken" and acts.books("I1")["paid"] == "210100.00"
    else:
        assert (found, state(recall)) == ("withdrawn", "withdrawn") and acts.books("I1") == untouched
        assert PaymentReceipt.objects.count() == 0


def test_four_releases_of_one_return_release_once(real_city):
    untouched = acts.books("I1")
    _, recall = asking()
    answered(5, recall)

    answers = acts.together(*[release] * 4)

    assert sorted(len(a) for a in answers if isinstance(a, list)) == [0, 0, 0, 1], answers
    assert acts.books("I1") == untouched


def test_giving_up_and_making_the_voucher_at_once_do_one_of_both(real_city):
    request = acts.draft("I1", "100.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)

    answers = acts.together(lambda: give_up(request), lambda: acts.issue(request))

    assert all(isinstance(answer, Outcome) for answer in answers), answers
    assert sum(len(answer.accepted) for answer in answers) == 1
    reserved = {"voided": "0.00", "vouchered": "100.00"}[acts.fresh(request)[0].state]
    assert acts.books("I1")["reserved"] == reserved


def test_two_clerks_ask_once(real_city):
    request = acts.sent("I1", "1.00")
    answers = acts.together(lambda: ask(request), lambda: ask(request))
    assert sum(len(a.accepted) for a in answers if isinstance(a, Outcome)) == 1, answers
    assert Recall.objects.count() == 1
