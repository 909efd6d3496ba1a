"""Corrections: codes change, money does not; the books carry it differently once PBoC says so; the sum is nothing."""

from datetime import date
from decimal import Decimal

import pytest

from core.errors import ValidationFailed
from demo import world
from parties.models import BankAccount
from payments import services
from payments.errors import ReasonRequired
from payments.models import Correction, CorrectionReceipt, Refund
from payments.scheduled_facts import mended_of_the_month
from tests import acts, corrected
from tests.bank import clearing, refund_clearing
from tests.conftest import NOW
from tests.corrected import decide, executed, fresh, issue, paid, receipt, seal, sent, submit
from vouchers.codec import decode_content
from vouchers.models import Voucher
from vouchers.services import lock_vouchers, record_answer

D = Decimal


@pytest.fixture
def target(city):
    return corrected.second_indicator()


def refusal(request, target, amount="1.00", **changes):
    with pytest.raises(ValidationFailed) as found:
        corrected.asked(request, target, amount, **changes)
    return [(error.code, error.field) for error in found.value.findings]


def both():
    return acts.books("I1"), acts.books("I1B")


# Given: a correction runs its whole way -----------------------------------------------------------------------------


def test_pbocs_receipt_carries_a_paid_amount_to_the_other_indicator(target, bank_a, pboc):
    request = paid(bank_a)
    before = both()
    correction = corrected.asked(request, target)
    assert both() == before

    submit(correction).raise_if_refused()
    held = before[0], before[1] | {
        "reserved": "600.00", "available": "8400.00", "quota": "4400.00", "quota_reserved": "600.00",
    }  # fmt: skip
    assert both() == held
    corrected.approve_all(correction)
    issue(correction).raise_if_refused()
    seal(correction).raise_if_refused()
    assert both() == held and fresh(correction).state == "sealed"

    done = executed(pboc, correction)

    assert (done.state, done.executed_on.isoformat(), done.voucher.state) == ("executed", "2026-06-15", "receipted")
    assert acts.books("I1") == before[0] | {"paid": "210400.00", "available": "389600.00", "quota": "79600.00"}
    assert acts.books("I1B") == before[1] | {"paid": "600.00", "available": "8400.00", "quota": "4400.00"}
    assert acts.limit(world.BANK_A, "12") == "80000.00"
    request.refresh_from_db()
    assert (request.amount_paid, request.amount_refunded) == (D("1000.00"), D("0.00"))


def test_the_voucher_says_one_line_less_one_line_more_and_nothing_in_all(target, bank_a):
    correction = sent(paid(bank_a), target)
    content = decode_content(bytes(correction.voucher.text))[0]
    assert (content.voucher_type, content.main["PayAmt"], correction.voucher.amount) == ("5351", "0.00", D("0.00"))
    assert correction.voucher.receiver == world.PBOC
    assert [(line["PayAmt"], line["ExpFuncCode"]) for line in content.details] == [
        ("-600.00", "2050101"),
        ("600.00", "2050102"),
    ]


def test_a_direct_payment_is_corrected_by_5253(city, bank_a, pboc):
    target = corrected.second_indicator(
        "I4B", unit="101002", mode="11", account=world.ACCOUNT_FINANCE_A, function="2050204"
    )
    request = paid(bank_a, "I4", "1000.00")
    correction = corrected.asked(request, target, "1000.00", code="31003", clerk="u101002-jb")
    submit(correction, "u101002-jb").raise_if_refused()
    corrected.approve_all(correction, ("u101002-fh", "jkw-sh", "gk-sh"))
    issue(correction).raise_if_refused()
    seal(correction).raise_if_refused()
    limit = acts.limit(world.BANK_A, "11")

    executed(pboc, correction)

    voucher = Voucher.objects.get(voucher_type="5253")
    content = decode_content(bytes(voucher.text))[0]
    assert [line["PayAmt"] for line in content.details] == ["-1000.00", "1000.00"]
    assert {line["PayeeAcctNo"] for line in content.details} == {"6230000000000001"}
    assert acts.books("I4")["paid"] == "0.00" and acts.books("I4B")["paid"] == "1000.00"
    assert acts.limit(world.BANK_A, "11") == limit


# What PBoC may answer instead ---------------------------------------------------------------------------------------


def test_a_refused_correction_gives_back_what_it_held(target, bank_a, pboc):
    request = paid(bank_a)
    before = both()
    correction = sent(request, target)

    [answer] = pboc.send(receipt(pboc, correction, done=False, why="科目不存在"))

    assert answer.outcome == "applied" and fresh(correction).state == "failed"
    assert both() == before
    assert CorrectionReceipt.objects.get().reason == "科目不存在"


def test_half_a_correction_is_no_correction(target, bank_a, pboc):
    correction = sent(paid(bank_a), target)
    content, _ = decode_content(bytes(correction.voucher.text))
    from vouchers.codec import receipt_of

    lines = {"1": {"XDealResult": "1", "XAddWord": ""}, "2": {"XDealResult": "0", "XAddWord": "x"}}
    before = acts.everything()
    [answer] = pboc.send(pboc.body(receipt_of(content, {"XAccDate": "20260615"}, lines), 1))
    assert (answer.outcome, answer.error.code) == ("refused", "receipt_amount_differs")
    assert acts.everything() == before


def test_a_voucher_pboc_returned_stays_held_until_the_maker_gives_it_up(target, bank_a):
    request = paid(bank_a)
    before = both()
    correction = sent(request, target)
    from core.actors import system_actor

    vouchers = lock_vouchers([correction.voucher_id])
    record_answer(vouchers, "return", by=system_actor("国库", "pboc"), reason="要素不全", now=NOW)
    assert fresh(correction).state == "pboc_refused" and acts.books("I1B")["reserved"] == "600.00"

    services.void_refused_corrections(
        correction_ids=[correction.id], maker=world.officer("gk-zd"), reason="作废", now=NOW
    ).raise_if_refused()

    assert both() == before and fresh(correction).voucher.state == "void"


def test_the_same_receipt_twice_has_one_effect(target, bank_a, pboc):
    correction = sent(paid(bank_a), target)
    body = receipt(pboc, correction)
    pboc.send(body)
    before = acts.everything()
    assert pboc.send(body)[0].outcome == "duplicate"
    assert acts.everything() == before


# What can never be corrected ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fund": "12"}, "资金性质"),
        ({"mode": "11", "account": world.ACCOUNT_FINANCE_A}, "支付方式"),
        ({"account": world.ACCOUNTS["205001"]}, "代理银行"),
    ],
)
def test_unit_fund_method_and_bank_stay(city, bank_a, changes, message):
    BankAccount.objects.filter(account_no=world.ACCOUNTS["101001"]).update(fund_natures=["11", "12"])
    other = corrected.second_indicator("IX", **changes)
    with pytest.raises(ValidationFailed) as found:
        corrected.asked(paid(bank_a), other)
    assert message in found.value.message and found.value.findings[0].code == "correction_refused"


def test_another_units_indicator_or_payment_is_not_found(target, bank_a):
    from core.errors import NotFound

    request = paid(bank_a)
    with pytest.raises(NotFound):
        corrected.asked(request, world.indicator("I5"))
    with pytest.raises(NotFound):
        corrected.asked(request, target, clerk="u205001-jb")


def test_what_is_not_paid_is_not_corrected(target):
    assert refusal(acts.sent("I1", "5.00"), target) == [("correction_refused", "detail_id")]


def test_nothing_to_correct_is_refused(city, bank_a):
    assert refusal(paid(bank_a), world.indicator("I1")) == [("correction_refused", "to_indicator_id")]


@pytest.mark.parametrize(("amount", "taken"), [("1000.00", True), ("1000.01", False)])
def test_no_more_than_was_paid(target, bank_a, amount, taken):
    correction = corrected.asked(paid(bank_a), target, amount)
    outcome = submit(correction)
    assert bool(outcome.accepted) is taken
    if not taken:
        assert outcome.refused[correction.id].code == "correction_refused"


def test_two_corrections_of_one_detail_share_what_is_left(target, bank_a):
    request = paid(bank_a)
    first, second = corrected.asked(request, target, "600.00"), corrected.asked(request, target, "400.01")
    submit(first).raise_if_refused()
    assert submit(second).refused[second.id].facts == {"available": D("400.00"), "asked": D("400.01")}


@pytest.mark.parametrize(("left", "taken"), [("600.00", True), ("599.99", False)])
def test_the_target_must_have_so_much_quota(city, bank_a, left, taken):
    target = corrected.second_indicator(left=left)
    correction = corrected.asked(paid(bank_a), target)
    before = acts.everything()
    outcome = submit(correction)
    assert bool(outcome.accepted) is taken
    if not taken:
        assert outcome.refused[correction.id].code == "quota_exceeded" and acts.everything() == before


def test_a_department_code_alone_moves_no_balance(target, bank_a, pboc):
    request = paid(bank_a)
    before = both()
    correction = sent(request, world.indicator("I1"), "1000.00", code="30202")
    assert executed(pboc, correction).state == "executed" and both() == before


def test_a_department_code_that_does_not_belong_there_is_refused(target, bank_a):
    correction = corrected.asked(paid(bank_a), target, code="30101")
    assert submit(correction).refused[correction.id].code == "economic_mapping_missing"


# Review -------------------------------------------------------------------------------------------------------------


def test_a_return_releases_and_may_be_submitted_again(target, bank_a):
    request = paid(bank_a)
    before = both()
    correction = corrected.asked(request, target)
    submit(correction).raise_if_refused()
    with pytest.raises(ReasonRequired):
        decide(correction, "u101001-fh", "return")
    decide(correction, "u101001-fh", "return", "附依据").raise_if_refused()
    assert both() == before and (fresh(correction).state, fresh(correction).revision) == ("returned", 2)

    submit(correction).raise_if_refused()
    corrected.approve_all(correction)
    assert fresh(correction).state == "approved"


def test_nobody_decides_twice_nor_on_his_own(target, bank_a):
    correction = corrected.asked(paid(bank_a), target)
    submit(correction).raise_if_refused()
    assert decide(correction, "gk-sh").refused[correction.id].code == "role_required"
    decide(correction, "u101001-fh").raise_if_refused()
    assert decide(correction, "u101001-fh").refused[correction.id].code == "role_required"


def test_an_unapproved_correction_gets_no_voucher(target, bank_a):
    correction = corrected.asked(paid(bank_a), target)
    submit(correction).raise_if_refused()
    assert issue(correction).refused[correction.id].code == "transition_not_allowed"


# Refunds of what was corrected --------------------------------------------------------------------------------------


def test_what_comes_back_goes_first_to_the_old_then_to_the_new_indicator(target, bank_a, pboc):
    request = paid(bank_a)
    executed(pboc, sent(request, target, "600.00"))

    bank_a.send(bank_a.refund("TK1", request, 1, "400.00"))
    assert (acts.books("I1")["refunded"], acts.books("I1B")["refunded"]) == ("400.00", "0.00")
    bank_a.send(bank_a.refund("TK2", request, 1, "600.00"))
    assert (acts.books("I1")["refunded"], acts.books("I1B")["refunded"]) == ("400.00", "600.00")
    assert acts.books("I1B")["quota"] == "5000.00" and acts.books("I1B")["available"] == "9000.00"
    assert Correction.objects.get().amount_refunded == D("600.00")
    [answer] = bank_a.send(bank_a.refund("TK3", request, 1, "0.01"))
    assert answer.error.code == "refund_exceeds_payment"


def test_what_came_back_while_pboc_had_it_follows_the_correction(target, bank_a, pboc):
    request = paid(bank_a)
    correction = sent(request, target, "600.00")
    bank_a.send(bank_a.refund("TK1", request, 1, "700.00"))
    assert acts.books("I1")["refunded"] == "700.00"

    executed(pboc, correction)

    assert fresh(correction).amount_refunded == D("300.00")
    assert (acts.books("I1")["paid"], acts.books("I1")["refunded"]) == ("210400.00", "400.00")
    assert (acts.books("I1B")["paid"], acts.books("I1B")["refunded"]) == ("600.00", "300.00")


def test_a_corrected_payment_is_cleared_and_its_refund_as_well(target, bank_a, pboc):
    request = paid(bank_a)
    executed(pboc, sent(request, target))
    for body in clearing(bank_a, pboc, "HK1", [(request, 1)]):
        answer = (bank_a if body.flag == 0 else pboc).send(body)[0]
    assert answer.outcome == "applied" and acts.limit(world.BANK_A, "12") == "79000.00"
    bank_a.send(bank_a.refund("TK1", request, 1, "1000.00"))
    for body in refund_clearing(bank_a, pboc, "HT1", [Refund.objects.get()]):
        answer = (bank_a if body.flag == 0 else pboc).send(body)[0]
    assert answer.outcome == "applied" and acts.limit(world.BANK_A, "12") == "80000.00"


def test_the_month_counts_what_was_corrected_and_what_came_back(target, bank_a, pboc):
    request = paid(bank_a)
    executed(pboc, sent(request, target))
    bank_a.send(bank_a.refund("TK1", request, 1, "250.00"))

    [june] = mended_of_the_month(world.REGION, world.DAY)
    assert (june.document_id, june.times, june.amount) == (request.unit_id, 2, D("850.00"))
    assert mended_of_the_month(world.REGION, date(2026, 5, 31)) == []
