"""资金实拨, 财政专户支付, 单位资金支付: each from draft to the last word, with what may go wrong on the way."""

from decimal import Decimal

import pytest

from budget.models import BudgetIndicator, ClearingLimitEntry
from core.actors import system_actor
from core.errors import ValidationFailed
from demo import world
from parties.models import BankAccount
from payments.models import Clearing, LimitNotice, Refund, RefundCase
from tests import acts
from tests.bank import clearing
from tests.conftest import NOW
from vouchers.codec import decode_content
from vouchers.models import Voucher
from vouchers.services import lock_vouchers, record_answer

D = Decimal
PBOC_BANK_NO = {"payee_bank_no": "104990100013"}
# indicator: voucher type, number, sender, receiver, payer account, what may be spent, already paid
CASES = {
    "I9": ("5207", "SB0001", world.FINANCE, world.PBOC, world.ACCOUNT_TREASURY, "500000.00", "2500000.00"),
    "I7": ("5267", "ZH0001", world.FINANCE, world.BANK_A, world.ACCOUNT_SPECIAL_A, "50000.00", "100000.00"),
    "I8": ("8231", "DW0001", "UNIT-101002", world.BANK_B, world.BASIC_ACCOUNT_101002, "66666.66", "50000.00"),
}
PAYER = {"I9": "pboc", "I7": "bank_a", "I8": "bank_b"}


@pytest.fixture
def payer(request, bank_a, bank_b, pboc):
    """Whoever carries out the vouchers of an indicator."""
    return lambda no: {"pboc": pboc, "bank_a": bank_a, "bank_b": bank_b}[PAYER[no]]


def lines(*amounts: str):
    return tuple(acts.line(amount, **PBOC_BANK_NO) for amount in amounts)


def sent(no: str, *amounts: str, **changes):
    changes.setdefault("business_type", "4" if len(amounts) > 1 else "1")
    return acts.sent(no, details=lines(*amounts), **changes)


@pytest.mark.parametrize("no", CASES)
def test_the_voucher_goes_from_its_office_to_its_payer_and_says_what_was_approved(city, no):
    kind, number, sender, receiver, account, _left, _paid = CASES[no]
    request = sent(no, "100.00")

    voucher = Voucher.objects.get(pk=request.voucher_id)
    content, _ = decode_content(bytes(voucher.text))
    assert (voucher.voucher_type, voucher.voucher_no, voucher.sender, voucher.receiver) == (
        kind, number, sender, receiver,
    )  # fmt: skip
    assert (content.main["PayAcctNo"], content.main["PayAmt"]) == (account, "100.00")
    assert content.main["PayTypeCode"] == request.payment_mode
    assert content.main["FundTypeCode"] == request.indicator.fund_nature
    assert (request.state, LimitNotice.objects.count()) == ("sealed", 0)


@pytest.mark.parametrize("no", CASES)
def test_a_full_receipt_makes_it_paid_and_that_is_final(city, no, payer):
    request = sent(no, "100.00", "23.45")
    before = acts.books(no)
    [answer] = payer(no).send(payer(no).receipt(request.voucher))

    assert answer.outcome == "applied"
    [request] = acts.fresh(request)
    assert (request.state, request.amount_paid) == ("paid", D("123.45"))
    paid = f"{D(CASES[no][6]) + D('123.45'):.2f}"
    assert acts.books(no) == before | {"reserved": "0.00", "quota_reserved": "0.00", "paid": paid}
    assert acts.books(no)["quota"] == f"{D(CASES[no][5]) - D('123.45'):.2f}"
    assert not ClearingLimitEntry.objects.exclude(kind="opening").exists()


@pytest.mark.parametrize("no", CASES)
def test_failed_lines_return_to_the_same_rows(city, no, payer):
    before = acts.books(no)
    part, none = sent(no, "100.00", "23.45"), sent(no, "1.00")
    payer(no).send(payer(no).receipt(part.voucher, failed={"2": "账户已销户"}))
    payer(no).send(payer(no).receipt(none.voucher, failed={"1": "账户已销户"}))

    part, none = acts.fresh(part, none)
    assert (part.state, part.amount_paid, part.amount_failed) == ("partially_paid", D("100.00"), D("23.45"))
    assert (none.state, none.amount_failed) == ("failed", D("1.00"))
    after = acts.books(no)
    assert D(after["available"]) == D(before["available"]) - 100
    assert D(after["quota"]) == D(before["quota"]) - 100
    assert (after["reserved"], after["quota_reserved"], LimitNotice.objects.count()) == ("0.00", "0.00", 0)


@pytest.mark.parametrize("no", CASES)
@pytest.mark.parametrize(("action", "state"), [("sign_for", "accepted"), ("refuse", "bank_refused")])
def test_the_payers_answer_moves_the_request(city, no, action, state):
    request = sent(no, "100.00")
    actor = system_actor("t", "pboc" if no == "I9" else "agent_bank")
    record_answer(lock_vouchers([request.voucher_id]), action, by=actor, reason="t", now=NOW)

    assert acts.fresh(request)[0].state == state
    assert acts.books(no)["reserved"] == "100.00"


@pytest.mark.parametrize("no", CASES)
def test_what_may_be_spent_and_one_fen_more(city, no):
    left = D(CASES[no][5])
    over = acts.draft(no, details=lines(f"{left + D('0.01'):.2f}"))
    exact = acts.draft(no, details=lines(f"{left:.2f}"))

    [refusal] = acts.submit(over).refused.values()
    assert refusal.code == "quota_exceeded"
    assert {"I9": "计划额度", "I7": "计划额度", "I8": "已到账收入"}[no] in refusal.message
    assert acts.submit(exact).accepted and acts.books(no)["quota"] == "0.00"


@pytest.mark.parametrize("no", CASES)
def test_no_clearing_can_name_it(city, no, payer, bank_a, bank_b, pboc):
    request = sent(no, "100.00")
    payer(no).send(payer(no).receipt(request.voucher))
    bank = bank_b if no == "I8" else bank_a
    if no == "I9":
        account = BankAccount.objects.get(account_no=world.ACCOUNT_FINANCE_A)
        request.payer_account = account  # no bank at all pays it: let bank A claim it was the one
    fund = request.indicator.fund_nature
    asked, done = clearing(bank, pboc, "HK-X-01", [(request, 1)], FundTypeCode=fund)
    bank.send(asked)
    [answer] = pboc.send(done)

    assert (answer.outcome, Clearing.objects.count()) == ("refused", 0)
    assert acts.fresh(request)[0].state == "paid"


# What comes back ----------------------------------------------------------------------------------------------------


def returned(pboc, number: str, request, amount: str, **changes: str):
    """PBoC's 3208."""
    detail = {"Id": "1", "OriVouDetailNo": "1", "Amt": f"-{amount}", "Remark": "收款账户已销户"} | changes
    main = {
        "Id": number,
        "OriBillNo": request.voucher_no,
        "FundTypeCode": "11",
        "PayTypeCode": "91",
        "PayAcctNo": world.ACCOUNT_TREASURY,
        "PayAmt": f"-{amount}",
    }
    return pboc.body(pboc.content("3208", number, main, [detail]), 0)


def test_an_appropriation_comes_back_by_3208(city, pboc):
    request = sent("I9", "1000.00")
    pboc.send(pboc.receipt(request.voucher))
    before = acts.books("I9")
    body = returned(pboc, "ST0001", request, "400.00")

    assert [a.outcome for a in pboc.send(body)] == ["applied"]
    pboc.send(body)  # the same notice once more
    [over] = pboc.send(returned(pboc, "ST0002", request, "600.01"))
    [rest] = pboc.send(returned(pboc, "ST0003", request, "600.00", OriVouDetailNo=""))

    assert (over.outcome, rest.outcome) == ("refused", "applied")
    after = acts.books("I9")
    assert D(after["available"]) == D(before["available"]) + 1000
    assert (after["refunded"], after["quota"]) == ("1000.00", "500000.00")
    assert set(Refund.objects.values_list("notice_type", flat=True)) == {"3208"}


def test_an_only_line_need_not_be_named_but_one_of_two_must_be(city, pboc):
    request = sent("I9", "10.00", "20.00")
    pboc.send(pboc.receipt(request.voucher))

    [answer] = pboc.send(returned(pboc, "ST0001", request, "5.00", OriVouDetailNo=""))
    assert (answer.outcome, Refund.objects.count()) == ("refused", 0)


def test_a_bank_cannot_say_that_an_appropriation_came_back(city, bank_a, pboc):
    request = sent("I9", "10.00")
    pboc.send(pboc.receipt(request.voucher))
    [answer] = bank_a.send(returned(bank_a, "ST0001", request, "5.00"))
    assert (answer.outcome, Refund.objects.count()) == ("refused", 0)


@pytest.mark.parametrize(("no", "kind"), [("I7", "2203"), ("I8", "2204")])
def test_the_banks_notice_names_the_type_it_is_of(city, no, kind, payer):
    request = sent(no, "1000.00")
    bank = payer(no)
    bank.send(bank.receipt(request.voucher))
    [lost] = bank.send(bank.refund("TK0001", request, 1, "400.00", kind=kind))
    [found] = bank.send(bank.refund("TK0002", request, 1, "400.00", kind=kind, of=request.voucher_type))

    assert (lost.outcome, found.outcome) == ("applied", "applied")
    assert RefundCase.objects.get().notice_no == "TK0001"  # nobody can say of which payment: it waits to be named
    assert acts.books(no)["refunded"] == "400.00"
    assert acts.books(no)["quota"] == f"{D(CASES[no][5]) - 600:.2f}"


# What is refused beforehand -----------------------------------------------------------------------------------------


def test_pboc_pays_one_payee_or_a_batch_and_needs_the_bank_number(city):
    with pytest.raises(ValidationFailed) as refusal:
        acts.draft("I9", "1.00", business_type="7")
    assert {f.field for f in refusal.value.findings} == {"business_type", "contract_no", "details.1.payee_bank_no"}


def test_money_does_not_leave_an_account_it_may_not(city):
    """F1 at submit: the account was closed, or is for other money, after the indicator was taken over."""
    request = acts.draft("I7", "1.00")
    BankAccount.objects.filter(account_no=world.ACCOUNT_SPECIAL_A).update(active=False)
    assert [e.code for e in acts.submit(request).refused.values()] == ["payer_account_not_allowed"]
    BankAccount.objects.filter(account_no=world.ACCOUNT_SPECIAL_A).update(active=True, fund_natures=["14"])
    assert [e.code for e in acts.submit(request).refused.values()] == ["payer_account_not_allowed"]
    BankAccount.objects.filter(account_no=world.ACCOUNT_SPECIAL_A).update(fund_natures=["2"])
    assert acts.submit(request).accepted


def test_the_bureaus_own_appropriation_is_no_large_payment_of_a_unit(city):
    request = acts.draft("I9", details=lines("500000.00"))
    assert acts.submit(request).accepted
    assert acts.fresh(request)[0].state == "in_review"


def test_every_method_of_the_demo_has_an_indicator(city):
    modes = BudgetIndicator.objects.values_list("payment_mode", flat=True)
    assert set(modes) == {"11", "12", "31", "81", "91"}
