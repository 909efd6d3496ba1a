"""Money a bank cannot place: kept, named by one person, confirmed by another, and then a refund like any other."""

from datetime import date
from decimal import Decimal

import pytest

from demo import world
from payments import services
from payments.errors import ReasonRequired
from payments.models import PaymentRequest, PriorYearRefund, Refund, RefundCase
from payments.refund_cases import cases_for, suggestions
from tests import acts
from tests.bank import refund_clearing
from tests.conftest import NOW
from vouchers.codec import decode_content
from vouchers.models import Delivery, InboxMessage, Voucher

D = Decimal


@pytest.fixture
def original(city):
    """R0's payment of 12 June: 3,000.00 of I5."""
    return PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)


def unplaced(bank, number, original, amount, *, named="", account="6230000000000612", name="临江市法医鉴定中心"):
    """A notice that names no payment; the money lies in the account `original` was paid from."""
    detail = {
        "Id": "1",
        "PayAmt": f"-{amount}",
        "OriVoucherNo": named,
        "AgentBusinessNo": f"R{number}",
        "Remark": "来账待查",
        "PayeeAcctNo": account,
        "PayeeAcctName": name,
    }
    main = {
        "Id": number,
        "PayBankCode": "103",
        "PayAcctNo": original.payer_account.account_no,
        "PayAmt": f"-{amount}",
        "PayDate": "20260615",
    }
    [answer] = bank.send(bank.body(bank.content("2204", number, main, [detail]), 0))
    assert answer.outcome == "applied", answer
    return RefundCase.objects.get(notice_no=number)


def propose(case, detail, who="u205001-jb", note="附言为鉴定费退回"):
    return services.propose_originals(choices=[(case.id, detail.id)], officer=world.officer(who), note=note, now=NOW)


def confirm(case, who="u205001-fh", yes=True, reason=""):
    return services.decide_cases(case_ids=[case.id], officer=world.officer(who), confirm=yes, reason=reason, now=NOW)


# Kept, not lost -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["", "SZ-NOBODY"])
def test_a_notice_without_an_original_is_kept_as_a_case_and_moves_nothing(original, bank_b, named):
    before = acts.books("I5")

    case = unplaced(bank_b, "TK1", original, "500.00", named=named)

    assert (case.state, case.amount, case.named_voucher_no, case.unit.code) == ("open", D("500.00"), named, "205001")
    assert (case.opened_on, case.due_on) == (date(2026, 6, 15), date(2026, 6, 17))
    assert acts.books("I5") == before and Refund.objects.count() == 0
    assert InboxMessage.objects.get().reason == "1 笔待查"


def test_the_deadline_passes_over_days_that_are_not_worked(original, bank_b, django_db_blocker):
    """19 June 2026 is a holiday (端午), 20 and 21 a weekend."""
    from core.models import BusinessDay

    BusinessDay.objects.update(date=date(2026, 6, 18))
    case = unplaced(bank_b, "TK1", original, "500.00")
    assert case.due_on == date(2026, 6, 23)


def test_a_notice_may_name_one_line_and_not_the_other(original, bank_b):
    line = {"Id": "1", "PayAmt": "-100.00", "OriVoucherNo": original.voucher_no, "OriVouDetailNo": "1"}
    main = {
        "Id": "TK1",
        "PayBankCode": "103",
        "PayAcctNo": original.payer_account.account_no,
        "PayAmt": "-300.00",
        "PayDate": "20260615",
    }
    other = {"Id": "2", "PayAmt": "-200.00"}
    bank_b.send(bank_b.body(bank_b.content("2204", "TK1", main, [line, other]), 0))

    assert Refund.objects.get().amount == D("100.00") and acts.books("I5")["refunded"] == "100.00"
    assert (RefundCase.objects.get().amount, RefundCase.objects.get().position) == (D("200.00"), 2)


def test_the_same_notice_twice_is_one_case(original, bank_b):
    unplaced(bank_b, "TK1", original, "500.00")
    message = InboxMessage.objects.get()
    from vouchers.messages import EnvelopeBody

    body = EnvelopeBody(world.REGION, world.YEAR, "2204", "TK1", 0, "", "", bytes(message.text),
                        (bank_b.sign(bytes(message.text)),))  # fmt: skip
    assert bank_b.send(body)[0].outcome == "duplicate"
    assert RefundCase.objects.count() == 1


def test_money_in_an_account_that_is_not_the_banks_is_refused(original, bank_a):
    before = acts.everything()
    detail = {"Id": "1", "PayAmt": "-1.00"}
    main = {"Id": "TK1", "PayBankCode": "102", "PayAcctNo": original.payer_account.account_no, "PayAmt": "-1.00"}
    [answer] = bank_a.send(bank_a.body(bank_a.content("2204", "TK1", main, [detail]), 0))
    assert (answer.outcome, answer.error.code, answer.error.field) == ("refused", "payment_unknown", "PayAcctNo")
    assert acts.everything() == before


# Whose it is --------------------------------------------------------------------------------------------------------


def test_suggestions_put_what_fits_best_first_and_say_why(original, bank_b):
    same_sum = acts.sent("I5", "500.00")
    bank_b.send(bank_b.receipt(same_sum.voucher))
    case = unplaced(bank_b, "TK1", original, "500.00")

    ranked = suggestions(case)

    assert [(s.detail.request_id, s.score) for s in ranked] == [(original.id, 60), (same_sum.id, 40)]
    assert ranked[0].reasons == ("退款账号即收款账号", "退款人即收款人")
    assert ranked[1].reasons == ("金额与原支付相同", "支付在 30 日内")
    assert [s.detail.request_id for s in suggestions(case, search=same_sum.voucher_no)] == [same_sum.id]


def test_nothing_is_suggested_that_could_not_return_so_much(original, bank_b):
    case = unplaced(bank_b, "TK1", original, "3000.01")
    assert suggestions(case) == []


def test_two_persons_make_a_case_a_refund(original, bank_b):
    case = unplaced(bank_b, "TK1", original, "500.00")
    detail = original.details.get()

    propose(case, detail).raise_if_refused()
    assert acts.books("I5")["refunded"] == "0.00"
    confirm(case).raise_if_refused()

    case.refresh_from_db()
    assert (case.state, case.refund.amount, case.refund.detail_id) == ("identified", D("500.00"), detail.id)
    assert acts.books("I5")["refunded"] == "500.00" and acts.books("I5")["quota"] == "30500.00"
    assert acts.fresh(original)[0].amount_refunded == D("500.00")


def test_who_named_it_cannot_confirm_it(original, bank_b):
    case = unplaced(bank_b, "TK1", original, "500.00")
    reviewer = acts.second_login("u205001-jb", "unit_reviewer", unit="205001")
    propose(case, original.details.get()).raise_if_refused()
    before = acts.everything()

    outcome = services.decide_cases(case_ids=[case.id], officer=reviewer, confirm=True, now=NOW)

    assert outcome.refused[case.id].code == "acted_before" and acts.everything() == before


def test_a_case_sent_back_is_open_again_and_names_nobody(original, bank_b):
    case = unplaced(bank_b, "TK1", original, "500.00")
    propose(case, original.details.get()).raise_if_refused()
    with pytest.raises(ReasonRequired):
        confirm(case, yes=False)
    confirm(case, yes=False, reason="附言不符").raise_if_refused()
    case.refresh_from_db()
    assert (case.state, case.detail_id, case.proposed_by_id, case.note) == ("open", None, None, "")


def test_a_case_cannot_be_named_to_more_than_is_still_out(original, bank_b):
    case = unplaced(bank_b, "TK1", original, "3000.00")
    bank_b.send(bank_b.refund("TK2", original, 1, "0.01"))
    outcome = propose(case, original.details.get())
    assert outcome.refused[case.id].code == "refund_exceeds_payment"


def test_what_came_back_meanwhile_stops_the_confirmation(original, bank_b):
    case = unplaced(bank_b, "TK1", original, "3000.00")
    propose(case, original.details.get()).raise_if_refused()
    bank_b.send(bank_b.refund("TK2", original, 1, "0.01"))
    before = acts.everything()
    assert confirm(case).refused[case.id].code == "refund_exceeds_payment"
    assert acts.everything() == before


@pytest.mark.parametrize("who", ["u101001-jb", "u205001-fh", "gk-kz"])
def test_only_those_who_may_name_an_original_do(original, bank_b, who):
    case = unplaced(bank_b, "TK1", original, "500.00")
    code = propose(case, original.details.get(), who).refused[case.id].code
    assert code == ("not_found" if who == "u101001-jb" else "role_required")


def test_a_payment_from_another_account_is_not_it(original, bank_b):
    other = acts.sent("I3", "500.00")
    bank_b.send(bank_b.receipt(other.voucher))
    case = unplaced(bank_b, "TK1", original, "500.00")
    outcome = propose(case, other.details.get(), who="gk-zd")
    assert (outcome.refused[case.id].code, outcome.refused[case.id].field) == ("case_refused", "detail")


# Telling the bank ---------------------------------------------------------------------------------------------------


def test_the_bank_is_told_by_an_8252_and_answers_with_its_2302(original, bank_b, pboc):
    case = unplaced(bank_b, "TK1", original, "500.00")
    propose(case, original.details.get()).raise_if_refused()
    confirm(case).raise_if_refused()

    [ordered] = services.order_refunds(adm_div_code=world.REGION, now=NOW)

    voucher = Voucher.objects.get(voucher_type="8252")
    content = decode_content(bytes(voucher.text))[0]
    assert (ordered.voucher_id, voucher.receiver, voucher.state) == (voucher.id, world.BANK_B, "sealed")
    assert (content.main["OriBillNo"], content.main["Hold1"], content.main["PayAmt"]) == ("TK1", "2204", "-500.00")
    line = content.details[0]
    assert (line["Id"], line["OriVoucherNo"], line["OriVouDetailNo"]) == ("1", world.HISTORIC_VOUCHER, "1")
    assert Delivery.objects.get(voucher=voucher).state == "queued"
    assert services.order_refunds(adm_div_code=world.REGION, now=NOW) == []

    asked, executed = refund_clearing(bank_b, pboc, "HT1", [Refund.objects.get()])
    bank_b.send(asked)
    assert pboc.send(executed)[0].outcome == "applied"
    assert acts.limit(world.BANK_B, "12") == "90500.00"


def test_a_unit_sees_its_own_cases_and_the_treasury_all(original, bank_b):
    unplaced(bank_b, "TK1", original, "500.00")
    seen = {who: cases_for(world.officer(who)).count() for who in ("u205001-jb", "u101001-jb", "gk-zd", "gk-sh")}
    assert seen == {"u205001-jb": 1, "u101001-jb": 0, "gk-zd": 1, "gk-sh": 1}
    assert PriorYearRefund.objects.count() == 0
