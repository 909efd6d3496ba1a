"""Money of an earlier year's payment: recorded in that year, listed in this one, restores nothing until approved."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from budget import services as budget
from budget.models import BudgetIndicator, IndicatorDocument, Quota
from core.errors import AmountInvalid, NotFound, RoleRequired
from demo import world
from payments import services
from payments.errors import GiveBackRefused
from payments.models import Clearing, PaymentDetail, PaymentRequest, PriorYearRefund, Refund, RefundCase
from payments.prior_years import prior_year_refunds
from payments.refund_cases import suggestions
from reconciliation.audit.findings import Scope
from reconciliation.audit.invariants import INVARIANTS
from reconciliation.audit.runner import examine
from tests import acts
from tests.bank import refund_clearing
from tests.conftest import NOW

D = Decimal


@pytest.fixture
def old(city):
    """A payment of 1,000.00 in 2025, taken over with its books."""
    unit = world.indicator("I5").unit
    account = world.indicator("I5").quota.payer_account
    common = {"adm_div_code": world.REGION, "fiscal_year": 2025}
    indicator = BudgetIndicator.objects.create(
        **common,
        indicator_no="I5-2025",
        doc_no="临财预〔2025〕5号",
        unit=unit,
        fund_nature="11",
        function_code="2040220",
        gov_economic_code="50299",
        payment_mode="12",
    )
    quota = Quota.objects.create(**common, indicator=indicator, unit=unit, payment_mode="12", payer_account=account)
    request = PaymentRequest.objects.create(
        **common,
        request_no="QC2025000009",
        unit=unit,
        indicator=indicator,
        quota=quota,
        payer_account=account,
        payment_mode="12",
        business_type="1",
        settlement="2",
        dept_economic_code="30299",
        purpose="上年办案费",
        amount=D("1000.00"),
        amount_paid=D("1000.00"),
        state="cleared",
        created_at=datetime(2025, 12, 20, tzinfo=UTC),
        voucher_type="8202",
        voucher_no="SZ20251220001",
        imported=True,
    )
    PaymentDetail.objects.create(
        **common,
        request=request,
        seq=1,
        payee_name="临江市鉴定所",
        payee_account_no="6230000000002025",
        payee_bank_name="丙银行",
        amount=D("1000.00"),
        state="paid",
    )
    return request


def red():
    """The invariants that find something, of those that look at refunds and clearings."""
    wanted = {"I02", "I03", "I04", "I05", "I11", "I13", "I16", "I25"}
    found = [examine(i, Scope(world.REGION, NOW), sample=5) for i in INVARIANTS if i.id in wanted]
    return {r.id: [s.explanation for s in r.samples] for r in found if r.status == "broken"}


def test_it_is_a_fact_of_its_own_year_and_moves_nothing_of_this_one(old, bank_b):
    before, limit = acts.books("I5"), acts.limit(world.BANK_B, "12")

    [answer] = bank_b.send(bank_b.refund("TK1", old, 1, "400.00"))

    assert answer.outcome == "applied", answer
    refund, listed = Refund.objects.get(), PriorYearRefund.objects.get()
    assert (refund.fiscal_year, refund.amount, refund.business_date) == (2025, D("400.00"), world.DAY)
    assert (listed.fiscal_year, listed.original_year, listed.amount, listed.unit.code) == (
        2026,
        2025,
        D("400.00"),
        "205001",
    )
    assert acts.fresh(old)[0].amount_refunded == D("400.00")
    assert acts.books("I5") == before and acts.limit(world.BANK_B, "12") == limit
    quota = Quota.objects.get(fiscal_year=2025)
    assert quota.amount_refunded == D("0.00") and red() == {}


def test_the_notice_may_bear_the_old_year_itself(old, bank_b):
    body = bank_b.refund("TK1", old, 1, "400.00")
    from vouchers.codec import decode_content

    content = replace(decode_content(body.text)[0], fiscal_year=2025)
    content = replace(content, main={**content.main, "StYear": "2025"})
    [answer] = bank_b.send(bank_b.body(content, 0))
    assert answer.outcome == "applied", answer
    assert PriorYearRefund.objects.get().amount == D("400.00")


def test_this_years_payment_goes_before_an_earlier_one_of_the_same_number(old, bank_b):
    PaymentRequest.objects.filter(pk=old.pk).update(voucher_no=world.HISTORIC_VOUCHER)
    bank_b.send(bank_b.refund("TK1", PaymentRequest.objects.get(request_no="QC2026000001"), 1, "1.00"))
    assert Refund.objects.get().fiscal_year == 2026 and PriorYearRefund.objects.count() == 0


def test_no_more_comes_back_than_was_paid_in_that_year(old, bank_b):
    assert bank_b.send(bank_b.refund("TK1", old, 1, "1000.00"))[0].outcome == "applied"
    [answer] = bank_b.send(bank_b.refund("TK2", old, 1, "0.01"))
    assert (answer.outcome, answer.error.code) == ("refused", "refund_exceeds_payment")


def test_its_2302_is_recorded_without_a_clearing_limit(old, bank_b, pboc):
    bank_b.send(bank_b.refund("TK1", old, 1, "400.00"))
    limit = acts.limit(world.BANK_B, "12")
    for body in refund_clearing(bank_b, pboc, "HT1", [Refund.objects.get()]):
        [answer] = (bank_b if body.flag == 0 else pboc).send(body)
        assert answer.outcome == "applied", answer
    assert Clearing.objects.get().amount == D("400.00") and acts.limit(world.BANK_B, "12") == limit
    assert red() == {}


def test_a_2302_carries_one_year(old, bank_b, pboc):
    current = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)
    bank_b.send(bank_b.refund("TK1", old, 1, "400.00"), bank_b.refund("TK2", current, 1, "1.00"))
    asked, executed = refund_clearing(bank_b, pboc, "HT1", list(Refund.objects.order_by("notice_no")))
    bank_b.send(asked)
    [answer] = pboc.send(executed)
    assert (answer.outcome, answer.error.code) == ("refused", "clearing_amount_differs")


def test_a_case_may_turn_out_to_be_of_an_earlier_year(old, bank_b):
    main = {
        "Id": "TK1",
        "PayBankCode": "103",
        "PayAcctNo": old.payer_account.account_no,
        "PayAmt": "-1000.00",
        "PayeeAcctNo": "6230000000002025",
        "PayDate": "20260615",
    }
    bank_b.send(bank_b.body(bank_b.content("2204", "TK1", main, [{"Id": "1", "PayAmt": "-1000.00"}]), 0))
    case = RefundCase.objects.get()
    assert [s.detail.request_id for s in suggestions(case)] == [old.id]
    services.propose_originals(
        choices=[(case.id, old.details.get().id)], officer=world.officer("u205001-jb"), note="上年款", now=NOW
    ).raise_if_refused()
    services.decide_cases(
        case_ids=[case.id], officer=world.officer("u205001-fh"), confirm=True, now=NOW
    ).raise_if_refused()
    assert PriorYearRefund.objects.get().amount == D("1000.00") and acts.books("I5")["refunded"] == "0.00"
    assert red() == {}


# Giving it back -----------------------------------------------------------------------------------------------------


@pytest.fixture
def came_back(old, bank_b):
    bank_b.send(bank_b.refund("TK1", old, 1, "400.00"))
    return PriorYearRefund.objects.get()


def ask(row, amount="400.00", *, indicator="I5", doc_no="临财返〔2026〕1号", who="ys-jb"):
    return services.ask_to_give_back(
        refund_id=row.id,
        indicator_id=world.indicator(indicator).id,
        amount=D(amount),
        doc_no=doc_no,
        note="",
        clerk=world.officer(who),
        now=NOW,
    )


def decide(document, approve=True):
    ids = {"document_ids": [document.id], "now": NOW}
    budget.submit_documents(clerk=world.officer("ys-jb"), **ids).raise_if_refused()
    budget.decide_documents(
        officer=world.officer("ys-fz"), decision="approve" if approve else "reject", reason="核对", **ids
    ).raise_if_refused()
    if approve:
        budget.issue_documents(clerk=world.officer("ys-jb"), **ids).raise_if_refused()


def test_an_approved_document_gives_it_back(came_back):
    before = world.indicator("I5").amount_total
    asked = ask(came_back)
    assert world.indicator("I5").amount_total == before

    decide(asked.give_back)

    assert world.indicator("I5").amount_total == before + D("400.00")
    [listed] = prior_year_refunds(world.officer("u205001-jb"), 2026)
    assert listed.give_back.state == "issued" and red() == {}


def test_it_is_given_back_once_to_the_same_unit_and_no_more(came_back):
    with pytest.raises(GiveBackRefused) as more:
        ask(came_back, "400.01")
    with pytest.raises(GiveBackRefused) as other:
        ask(came_back, indicator="I1")
    assert (more.value.field, other.value.field) == ("amount", "indicator_id")
    with pytest.raises(AmountInvalid):
        ask(came_back, "0.00")
    ask(came_back)
    with pytest.raises(GiveBackRefused):
        ask(came_back, doc_no="临财返〔2026〕2号")
    assert IndicatorDocument.objects.count() == 1


def test_a_rejected_document_may_be_followed_by_another(came_back):
    decide(ask(came_back).give_back, approve=False)
    assert ask(came_back, "100.00", doc_no="临财返〔2026〕2号").give_back.amount == D("100.00")


def test_only_the_budget_section_asks(came_back):
    with pytest.raises(RoleRequired):
        ask(came_back, who="gk-zd")
    with pytest.raises(NotFound):
        services.ask_to_give_back(
            refund_id=world.indicator("I5").id,
            indicator_id=world.indicator("I5").id,
            amount=D("1.00"),
            doc_no="x",
            note="",
            clerk=world.officer("ys-jb"),
            now=NOW,
        )


def test_units_see_their_own(came_back):
    seen = {who: prior_year_refunds(world.officer(who), 2026).count() for who in ("u205001-jb", "u101001-jb", "gk-sh")}
    assert seen == {"u205001-jb": 1, "u101001-jb": 0, "gk-sh": 1}
