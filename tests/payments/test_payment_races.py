"""Threads on a real database: what must not be spent, paid or decided twice."""

from decimal import Decimal

import pytest
from django.db import OperationalError, transaction

from budget.models import BudgetIndicator
from core.actors import system_actor
from core.models import Transition
from core.outcomes import Outcome
from demo import world
from parties.delegating import acting_for, revoke_delegation
from parties.errors import DelegationEnded
from parties.models import ReviewChain, ReviewDecision
from payments import services
from payments.models import Clearing, PaymentReceipt, PaymentRequest, Refund
from tests import acts
from tests.bank import clearing
from tests.conftest import NOW
from tests.parties.test_delegating import delegate
from vouchers.inbox import apply_waiting
from vouchers.models import Voucher
from vouchers.services import lock_vouchers, record_answer

D = Decimal


def accepted(answers):
    """How many got what they asked for; the others must have been told why, not have crashed."""
    assert all(isinstance(answer, Outcome) for answer in answers), answers
    return sum(len(answer.accepted) for answer in answers)


def test_twenty_submits_of_10000_on_100000_let_exactly_ten_through(real_city):
    acts.with_quota("I1", "20000.00")
    requests = [acts.draft("I1", "10000.00") for _ in range(20)]

    answers = acts.together(*[lambda request=request: acts.submit(request) for request in requests])

    assert accepted(answers) == 10
    assert {error.code for answer in answers for error in answer.refused.values()} == {"quota_exceeded"}
    assert acts.books("I1")["quota"] == "0.00" and acts.books("I1")["reserved"] == "100000.00"
    assert PaymentRequest.objects.filter(state="in_review").count() == 10
    assert PaymentRequest.objects.filter(state="draft").count() == 10


def test_of_a_submit_and_a_freeze_for_the_same_money_exactly_one_wins(real_city):
    """390,000.00 are left, by E1 and by E2; 80,000.00 + 310,000.01 do not fit."""
    BudgetIndicator.objects.filter(indicator_no="I1").update(amount_planned=D("210000.00"))
    request = acts.draft("I1", "80000.00")
    freeze = acts.document("freeze", acts.changed("I1", "310000.01"))
    acts.decide(freeze).raise_if_refused()

    answers = acts.together(lambda: acts.submit(request), lambda: acts.issue_documents(freeze))

    assert accepted(answers) == 1
    [refusal] = [error for answer in answers for error in answer.refused.values()]
    assert refusal.code == "indicator_exceeded"
    assert acts.books("I1")["available"] in ("310000.00", "79999.99")


def test_eight_approvals_of_one_request_count_once(real_city):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()

    answers = acts.together(*[lambda: acts.approve("u101001-fh", request)] * 8)

    assert accepted(answers) == 1
    assert ReviewDecision.objects.count() == 1
    assert Transition.objects.filter(document_id=request.id, action="approve").count() == 1


def countersigned():
    """The first node of authorised payments takes two of three reviewers."""
    for number in (2, 3):
        acts.newcomer(f"u101001-fh{number}", "unit_reviewer", unit="101001")
    chain = ReviewChain.objects.create(
        adm_div_code=world.REGION, document_kind="payment_authorized", version=2, imported=True
    )
    chain.nodes.create(ordinal=1, post="unit_reviewer", countersign=2)
    chain.nodes.create(ordinal=2, post="unit_leader")
    ReviewChain.objects.filter(document_kind="payment_authorized", state="active").update(state="retired")
    ReviewChain.objects.filter(pk=chain.pk).update(state="active", activated_at=NOW)


def test_two_approvals_at_once_take_the_two_seats_of_a_node(real_city):
    countersigned()
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()

    answers = acts.together(
        lambda: acts.approve("u101001-fh", request),
        lambda: acts.approve("u101001-fh2", request),
        lambda: acts.approve("u101001-fh", request),
    )

    assert accepted(answers) == 2
    assert sorted(ReviewDecision.objects.values_list("seat", flat=True)) == [1, 2]
    assert (acts.fresh(request)[0].state, acts.fresh(request)[0].node) == ("in_review", 2)


def test_three_approvals_at_once_fill_two_seats(real_city):
    countersigned()
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()

    answers = acts.together(*[lambda who=who: acts.approve(who, request) for who in (
        "u101001-fh", "u101001-fh2", "u101001-fh3")])  # fmt: skip

    assert accepted(answers) == 2
    assert ReviewDecision.objects.count() == 2 and acts.fresh(request)[0].node == 2


def test_the_holder_and_his_delegate_at_once_decide_once(real_city):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    delegation = delegate("u101001-fh", "u101001-fz")
    acting = acting_for(world.officer("u101001-fz"), delegation.pk, on=world.DAY)

    answers = acts.together(
        lambda: acts.approve("u101001-fh", request),
        lambda: services.approve_payment_requests(request_ids=[request.id], reviewer=acting, now=NOW),
    )

    assert accepted(answers) == 1 and ReviewDecision.objects.count() == 1


def test_a_revocation_comes_before_a_decision_or_after_it(real_city):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    delegation = delegate("u101001-fh", "u101001-fz")
    acting = acting_for(world.officer("u101001-fz"), delegation.pk, on=world.DAY)

    decided, _revoked = acts.together(
        lambda: services.approve_payment_requests(request_ids=[request.id], reviewer=acting, now=NOW),
        lambda: revoke_delegation(delegation_id=delegation.pk, by=world.officer("u101001-fh"), now=NOW),
    )

    assert ReviewDecision.objects.count() == (0 if isinstance(decided, DelegationEnded) else 1)
    assert isinstance(decided, DelegationEnded) or decided.accepted
    with pytest.raises(DelegationEnded):
        acting_for(world.officer("u101001-fz"), delegation.pk, on=world.DAY)


@pytest.mark.parametrize("step", ["issue", "seal"])
def test_four_makers_or_sealers_at_once_make_one_voucher(real_city, step):
    request = acts.draft("I4", "1.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    if step == "seal":
        acts.issue(request).raise_if_refused()

    answers = acts.together(*[lambda: getattr(acts, step)(request)] * 4)

    assert accepted(answers) == 1
    assert Voucher.objects.filter(voucher_type="5201").count() == 1
    assert acts.limit(world.BANK_A, "11") == ("1.00" if step == "seal" else "0.00")


def test_one_receipt_in_five_threads_pays_once(real_city, bank_a):
    request = acts.sent("I1", "40.00", "60.00")
    body = bank_a.receipt(request.voucher, failed={"2": "账号不符"})

    answers = acts.together(*[lambda: bank_a.send(body)[0].outcome] * 5)

    assert set(answers) <= {"applied", "duplicate", "stored"}, answers
    apply_waiting(now=NOW)
    assert PaymentReceipt.objects.count() == 1
    assert acts.fresh(request)[0].state == "partially_paid"
    assert acts.books("I1") == {
        "reserved": "0.00",
        "paid": "210040.00",
        "refunded": "0.00",
        "available": "389960.00",
        "quota": "79960.00",
        "quota_reserved": "0.00",
    }


def test_refunds_of_the_same_money_in_four_threads_give_it_back_once(real_city, bank_b):
    original = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)
    bodies = [bank_b.refund(f"TK{n}", original, 1, "2000.00") for n in range(4)]

    outcomes = [a[0].outcome for a in acts.together(*[lambda body=body: bank_b.send(body) for body in bodies])]

    assert sorted(outcomes) == ["applied", "refused", "refused", "refused"]
    assert Refund.objects.count() == 1 and acts.books("I5")["refunded"] == "2000.00"


def test_two_clearings_of_one_payment_at_once_clear_it_once(real_city, bank_a, pboc):
    request = acts.sent("I1", "5.00")
    bank_a.send(bank_a.receipt(request.voucher))
    executed = []
    for number in ("HK1", "HK2"):
        asked, done = clearing(bank_a, pboc, number, [(request, 1)])
        bank_a.send(asked)
        executed.append(done)

    outcomes = [a[0].outcome for a in acts.together(*[lambda body=body: pboc.send(body) for body in executed])]

    assert sorted(outcomes) == ["applied", "refused"]
    assert Clearing.objects.count() == 1 and acts.limit(world.BANK_A, "12") == "79995.00"


def test_giving_up_and_a_late_receipt_at_once_never_do_both(real_city, bank_a):
    """The bank refused, then paid after all: whatever wins, the money is counted once and nobody crashes for good."""
    untouched = acts.books("I1")
    request = acts.sent("I1", "5.00")
    body = bank_a.receipt(request.voucher)
    record_answer(lock_in_transaction(request), "return", by=system_actor("甲银行", "agent_bank"), reason="x", now=NOW)
    maker = world.officer("u101001-jb")

    answers = acts.together(
        lambda: services.void_refused_requests(request_ids=[request.id], maker=maker, reason="作废", now=NOW),
        lambda: bank_a.send(body),
    )

    assert isinstance(answers[0], Outcome | OperationalError)
    assert acts.fresh(request)[0].state == "voided"
    assert answers[1][0].outcome == "refused"
    assert acts.books("I1") == untouched and PaymentReceipt.objects.count() == 0


def lock_in_transaction(request):
    with transaction.atomic():
        return lock_vouchers([request.voucher_id])
