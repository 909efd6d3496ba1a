"""Reissue: only rows that failed or came back, each once, for no more than that, from the same indicator."""

from decimal import Decimal

import pytest

from demo import world
from payments import services
from payments.errors import ReissueRefused
from tests import acts
from tests.conftest import NOW

D = Decimal


@pytest.fixture
def p1(city, bank_a):
    """Two rows paid, 5,964.18 failed."""
    request = acts.sent("I2", "7184.44", "6323.08", "5964.18")
    bank_a.send(bank_a.receipt(request.voucher, failed={"3": "户名账号不符"}))
    return acts.fresh(request)[0]


def row(request, seq):
    return request.details.get(seq=seq)


def again(*lines, no="I2", **changes):
    details = tuple(acts.line(amount, reissue_of=original.id) for original, amount in lines)
    given = acts.wanted(no, details=details, **changes)
    clerk = world.officer(f"{acts.CLERK_OF[no]}-jb")
    return services.save_drafts(inputs=[given], clerk=clerk, now=NOW)[0]


def refused(*lines, **changes):
    before = acts.everything()
    with pytest.raises(ReissueRefused) as refusal:
        again(*lines, **changes)
    assert (refusal.value.code, refusal.value.http_status) == ("reissue_refused", 409)
    assert acts.everything() == before
    return refusal.value.field


def test_p1r_pays_what_p1_failed_to_pay(p1, bank_a):
    reissue = again((row(p1, 3), "5964.18"))
    assert (reissue.reissue_of_id, row(p1, 3).reissued_as.request_id) == (p1.id, reissue.id)

    acts.submit(reissue).raise_if_refused()
    assert acts.books("I2")["reserved"] == "5964.18"
    acts.approve_all(reissue)
    acts.issue(reissue).raise_if_refused()
    acts.seal(reissue).raise_if_refused()
    bank_a.send(bank_a.receipt(acts.fresh(reissue)[0].voucher))

    assert acts.books("I2")["paid"] == "2019471.70"
    assert acts.limit(world.BANK_A, "11") == "19471.70"


@pytest.mark.parametrize(("amount", "accepted"), [("5964.18", True), ("0.01", True), ("5964.19", False)])
def test_no_more_than_failed(p1, amount, accepted):
    if accepted:
        assert again((row(p1, 3), amount)).amount == D(amount)
    else:
        assert refused((row(p1, 3), amount)) == "amount"


def test_a_paid_row_is_not_reissued(p1):
    assert refused((row(p1, 1), "7184.44")) == "reissue_of"


def test_an_open_row_is_not_reissued(city):
    request = acts.sent("I2", "5.00")
    assert refused((row(request, 1), "5.00")) == "reissue_of"


def test_a_failed_row_is_reissued_once(p1):
    again((row(p1, 3), "1.00"))
    assert refused((row(p1, 3), "1.00")) == "reissue_of"


def test_not_twice_in_one_request_either(p1):
    assert refused((row(p1, 3), "5964.18"), (row(p1, 3), "5964.18")) == "reissue_of"


def test_not_by_two_requests_of_one_batch_either(p1):
    given = acts.wanted("I2", details=(acts.line("5964.18", reissue_of=row(p1, 3).id),))
    before = acts.everything()
    with pytest.raises(ReissueRefused):
        services.save_drafts(inputs=[given, given], clerk=world.officer("u101002-jb"), now=NOW)
    assert acts.everything() == before


def test_from_the_same_indicator_only(p1):
    acts.frame_contract("I4")
    assert refused((row(p1, 3), "5964.18"), no="I4") == "indicator_id"


def test_another_unit_does_not_reissue_it(p1):
    assert refused((row(p1, 3), "5964.18"), no="I5") == "reissue_of"


def test_reissued_rows_travel_by_themselves(p1):
    given = acts.wanted("I2", details=(acts.line("1.00", reissue_of=row(p1, 3).id), acts.line("2.00")))
    with pytest.raises(ReissueRefused) as refusal:
        services.save_drafts(inputs=[given], clerk=world.officer("u101002-jb"), now=NOW)
    assert refusal.value.field == "details"


def test_a_cancelled_reissue_frees_the_row(p1):
    first = again((row(p1, 3), "5964.18"))
    services.cancel_payment_requests(
        request_ids=[first.id], clerk=world.officer("u101002-jb"), now=NOW
    ).raise_if_refused()
    assert row(p1, 3).reissued_as is None
    assert again((row(p1, 3), "5964.18")).reissue_of_id == p1.id


def test_a_rejected_reissue_frees_the_row_and_a_returned_one_does_not(p1):
    first = again((row(p1, 3), "5964.18"))
    acts.submit(first).raise_if_refused()
    reviewer = world.officer("u101002-fh")
    services.return_payment_requests(
        request_ids=[first.id], reviewer=reviewer, reason_code="payee", reason="", now=NOW
    ).raise_if_refused()
    assert refused((row(p1, 3), "5964.18")) == "reissue_of"

    acts.submit(first).raise_if_refused()
    services.reject_payment_requests(
        request_ids=[first.id], reviewer=reviewer, reason_code="payee", reason="", now=NOW
    ).raise_if_refused()
    assert again((row(p1, 3), "5964.18")).reissue_of_id == p1.id


def test_a_revised_reissue_keeps_its_hold_on_the_row(p1):
    first = again((row(p1, 3), "5964.18"))
    given = acts.wanted("I2", details=(acts.line("5964.18", reissue_of=row(p1, 3).id, payee_account_no="999"),))
    services.revise_draft(request_id=first.id, given=given, clerk=world.officer("u101002-jb"), now=NOW)
    assert row(p1, 3).reissued_as.payee_account_no == "999"
    assert refused((row(p1, 3), "1.00")) == "reissue_of"


def test_a_draft_revised_into_something_else_frees_the_row(p1):
    first = again((row(p1, 3), "5964.18"))
    services.revise_draft(
        request_id=first.id, given=acts.wanted("I2", "1.00"), clerk=world.officer("u101002-jb"), now=NOW
    )
    assert row(p1, 3).reissued_as is None
    assert acts.fresh(first)[0].reissue_of is None


def test_a_reissue_that_fails_again_may_be_reissued_in_turn(p1, bank_a):
    first = again((row(p1, 3), "5964.18"))
    acts.submit(first).raise_if_refused()
    acts.approve_all(first)
    acts.issue(first).raise_if_refused()
    acts.seal(first).raise_if_refused()
    bank_a.send(bank_a.receipt(acts.fresh(first)[0].voucher, failed={"1": "又失败"}))

    assert again((row(first, 1), "5964.18")).reissue_of_id == first.id
    assert refused((row(p1, 3), "5964.18")) == "reissue_of"


# After a refund -----------------------------------------------------------------------------------------------------


@pytest.fixture
def returned(city, bank_a):
    """Paid 100.00, of which 40.00 came back."""
    request = acts.sent("I2", "100.00")
    bank_a.send(bank_a.receipt(request.voucher))
    bank_a.send(bank_a.refund("TK1", acts.fresh(request)[0], 1, "40.00", kind="2203"))
    return acts.fresh(request)[0]


@pytest.mark.parametrize(("amount", "accepted"), [("40.00", True), ("0.01", True), ("40.01", False)])
def test_what_came_back_may_be_paid_again_and_no_more(returned, amount, accepted):
    if accepted:
        assert again((row(returned, 1), amount)).amount == D(amount)
    else:
        assert refused((row(returned, 1), amount)) == "amount"


def test_a_refunded_row_is_reissued_once_while_that_one_lives(returned, bank_a):
    first = again((row(returned, 1), "40.00"))
    bank_a.send(bank_a.refund("TK2", returned, 1, "60.00", kind="2203"))
    assert refused((row(returned, 1), "60.00")) == "reissue_of"
    services.cancel_payment_requests(
        request_ids=[first.id], clerk=world.officer("u101002-jb"), now=NOW
    ).raise_if_refused()
    assert again((row(returned, 1), "100.00")).reissue_of_id == returned.id


def test_an_approved_reissue_given_up_frees_the_row(returned):
    first = again((row(returned, 1), "40.00"))
    acts.submit(first).raise_if_refused()
    acts.approve_all(first)
    services.give_up_payment_requests(
        request_ids=[first.id], clerk=world.officer("u101002-jb"), reason="改由单位垫付", now=NOW
    ).raise_if_refused()
    assert row(returned, 1).reissued_as is None
    assert again((row(returned, 1), "40.00")).reissue_of_id == returned.id
