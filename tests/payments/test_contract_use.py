"""What a contract lets be paid: to the fen, on its terms, to its supplier, and never twice at once."""

from datetime import date
from decimal import Decimal

import pytest

from contracts.models import Contract
from contracts.selectors import executions
from contracts.services import TermInput
from core.errors import ValidationFailed
from core.outcomes import Outcome
from demo import world
from payments import services
from payments.contract_use import contract_facts
from tests import acts
from tests.bank import Partner
from tests.conftest import NOW
from tests.contracts import builders as b
from vouchers.codec import decode_content

D = Decimal


def use(contract):
    [execution] = executions([b.fresh(contract)])
    return (execution.use.paid, execution.use.in_transit, execution.use.refunded, execution.balance)


@pytest.mark.parametrize(("amount", "accepted"), [("30000.00", True), ("30000.01", False)])
def test_the_first_stage_is_paid_to_the_fen_and_no_further(city, amount, accepted):
    contract = b.filed()
    request = b.payment(contract, amount)
    if accepted:
        assert b.against(request) == []
        assert use(contract) == (D("0"), D("30000.00"), D("0"), D("70000.00"))
    else:
        before = acts.books("I4")
        refusal = acts.submit(request).refused[request.id]
        assert [(f.code, f.field) for f in refusal.findings] == [("acceptance_missing", "amount")]
        assert refusal.findings[0].facts == {"available": D("30000.00"), "asked": D("30000.01")}
        assert acts.fresh(request)[0].state == "draft" and acts.books("I4") == before


@pytest.mark.parametrize(("amount", "accepted"), [("100000.00", True), ("100000.01", False)])
def test_the_whole_contract_is_paid_to_the_fen_and_no_further(city, amount, accepted):
    contract = b.filed(allocations=(("I4", D("100000.00")),))
    b.accept(contract, "100000.00", final=True)
    found = b.against(b.payment(contract, amount))
    assert found == ([] if accepted else [("contract_exceeded", "amount"), ("contract_allocation_exceeded", "amount")])


@pytest.mark.parametrize(("amount", "accepted"), [("70000.00", True), ("70000.01", False)])
def test_a_delivery_makes_the_second_stage_due(city, amount, accepted):
    contract = b.filed()
    b.accept(contract, "1.00")
    assert b.against(b.payment(contract, amount)) == ([] if accepted else [("acceptance_missing", "amount")])


@pytest.mark.parametrize(("due_on", "accepted"), [(date(2026, 6, 15), True), (date(2026, 6, 16), False)])
def test_a_stage_is_not_due_before_its_day(city, due_on, accepted):
    terms = (
        TermInput("首付款", "signed", ratio=D("0.3"), due_on=due_on),
        TermInput("验收款", "accepted", ratio=D("0.7"), due_on=date(2026, 12, 1)),
    )
    contract = b.filed(terms=terms)
    assert b.against(b.payment(contract, "0.01")) == ([] if accepted else [("contract_stage_not_due", "amount")])
    b.accept(contract, "100000.00", final=True)
    assert b.against(b.payment(contract, "30000.00")) == [("contract_stage_not_due", "amount")]


@pytest.mark.parametrize(("amount", "accepted"), [("20000.00", True), ("20000.01", False)])
def test_before_the_final_acceptance_no_more_than_the_interim_cap(city, amount, accepted):
    contract = b.filed(interim_cap=D("0.2"))
    assert b.against(b.payment(contract, amount)) == ([] if accepted else [("acceptance_missing", "amount")])
    b.accept(contract, "100000.00", final=True)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"contract_no": "C-9"}, [("contract_unknown", "contract_no")]),
        ({"contract_no": "", "business_type": "1"}, [("contract_required", "contract_no")]),  # I4 is tagged 政府采购
        ({"payee_name": "临江市恒信物资"}, [("contract_payee_differs", "details.1.payee_name")]),
        ({"payee_account_no": "6230000000000809"}, [("contract_payee_differs", "details.1.payee_account_no")]),
        ({"business_type": "9"}, [("project_required", "contract_no")]),
    ],
)
def test_what_does_not_belong_to_the_contract_is_refused(city, changes, found):
    assert b.against(b.payment(b.filed(), "1.00", **changes)) == found


def test_another_units_contract_is_unknown(city):
    contract = Contract.objects.get(contract_no="C-2026-009")
    request = acts.draft("I4", "1.00", contract_no=contract.contract_no, business_type="7")
    assert b.against(request) == [("contract_unknown", "contract_no")]


def test_a_procurement_payment_needs_a_contract_from_any_indicator(city):
    with pytest.raises(ValidationFailed) as refusal:
        acts.draft("I1", "1.00", business_type="7")
    assert [f.field for f in refusal.value.findings] == ["contract_no"]
    assert b.against(acts.draft("I1", "1.00")) == []


@pytest.mark.parametrize("state", ["draft", "completed", "terminated"])
def test_only_a_contract_that_runs_is_paid(city, state):
    contract = b.saved()
    if state != "draft":
        b.decide("file", contract).raise_if_refused()
        b.accept(contract, "100000.00", final=True)
        b.decide({"completed": "complete", "terminated": "terminate"}[state], contract).raise_if_refused()
    assert b.against(b.payment(contract, "1.00")) == [("contract_not_payable", "contract_no")]


def test_each_indicator_pays_its_own_share(city):
    b.works_indicator()
    contract = b.filed(allocations=(("I4", D("20000.00")), ("I11", D("80000.00"))))
    assert b.against(b.payment(contract, "20000.01")) == [("contract_allocation_exceeded", "amount")]
    assert b.against(b.payment(contract, "20000.00")) == []
    assert b.against(b.payment(contract, "0.01")) == [("contract_allocation_exceeded", "amount")]
    assert b.against(b.payment(contract, "10000.00", indicator="I11")) == []


def test_an_indicator_without_a_share_pays_nothing(city):
    assert b.against(b.payment(b.filed(), "1.00", indicator="I3", dept_economic_code="30201")) == [
        ("contract_allocation_exceeded", "indicator_id")
    ]


def test_what_is_returned_failed_or_refunded_can_be_paid_again(city, pki):
    bank = Partner(pki, world.BANK_A)
    contract = b.filed()
    request = b.payment(contract, "30000.00")
    acts.submit(request).raise_if_refused()
    services.return_payment_requests(
        request_ids=[request.id], reviewer=world.officer("u101002-fh"), reason_code="amount", reason="", now=NOW
    ).raise_if_refused()
    assert use(contract)[3] == D("100000.00")
    acts.submit(request).raise_if_refused()

    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    acts.seal(request).raise_if_refused()
    assert use(contract) == (D("0"), D("30000.00"), D("0"), D("70000.00"))
    bank.send(bank.receipt(acts.fresh(request)[0].voucher))
    assert use(contract) == (D("30000.00"), D("0"), D("0"), D("70000.00"))
    bank.send(bank.refund("TK9", acts.fresh(request)[0], 1, "12000.00", kind="2203"))
    assert use(contract) == (D("30000.00"), D("0"), D("12000.00"), D("82000.00"))
    assert b.against(b.payment(contract, "12000.01")) == [("acceptance_missing", "amount")]

    again = b.payment(contract, "12000.00")
    assert b.against(again) == []
    acts.approve_all(again)
    acts.issue(again).raise_if_refused()
    acts.seal(again).raise_if_refused()
    bank.send(bank.receipt(acts.fresh(again)[0].voucher, failed={"1": "户名不符"}))
    assert use(contract) == (D("30000.00"), D("0"), D("12000.00"), D("82000.00"))


def test_a_batch_cannot_take_more_than_single_requests_could(city):
    contract = b.filed()
    first, second, third = (b.payment(contract, amount) for amount in ("29999.99", "0.02", "0.01"))

    outcome = acts.submit(first, second, third)

    assert outcome.accepted == [first, third]
    assert outcome.refused[second.id].findings[0].facts == {"available": D("0.01"), "asked": D("0.02")}


def test_what_the_rules_block_takes_nothing_from_the_contract(city):
    own = world.BASIC_ACCOUNT_101002
    contract = b.filed(accounts=(b.AccountInput(b.SUPPLIER[1], "丙银行"), b.AccountInput(own, "乙银行临江支行")))
    blocked, good = b.payment(contract, "30000.00", payee_account_no=own), b.payment(contract, "30000.00")

    outcome = acts.submit(blocked, good)

    assert outcome.refused == {}
    assert [r.state for r in acts.fresh(blocked, good)] == ["blocked", "in_review"]
    assert use(contract)[1] == D("30000.00")


def test_twenty_payments_at_once_take_exactly_what_the_contract_has(real_city):
    """20 × 5,000.00 on 30,000.00 that is due: six fit, the quota would bear all."""
    contract = b.filed()
    requests = [b.payment(contract, "5000.00") for _ in range(20)]

    answers = acts.together(*[lambda request=request: acts.submit(request) for request in requests])

    assert all(isinstance(answer, Outcome) for answer in answers), answers
    assert sum(len(answer.accepted) for answer in answers) == 6
    assert {e.code for answer in answers for e in answer.refused.values()} == {"acceptance_missing"}
    assert use(contract) == (D("0"), D("30000.00"), D("0"), D("70000.00"))


def test_a_payment_and_a_reduction_at_once_leave_one_of_them(real_city):
    contract = b.filed()
    request, supplement = b.payment(contract, "30000.00"), b.supplement(contract, "-70000.01")

    paid, reduced = acts.together(lambda: acts.submit(request), lambda: b.settle(supplement))

    assert isinstance(paid, Outcome)
    if paid.accepted:
        assert reduced.code == "contract_in_use"
    else:
        assert paid.refused[request.id].code in ("contract_exceeded", "contract_stage_not_due", "acceptance_missing")
    [execution] = executions([b.fresh(contract)])
    assert execution.balance >= 0


def test_many_payments_ask_the_database_no_more_than_few(city):
    contract = b.filed()

    def used(count):
        requests = [b.payment(contract, "0.01") for _ in range(count)]
        with acts.statements() as seen:
            acts.submit(*requests).raise_if_refused()
        return len(seen)

    used(1)
    assert used(2) == used(20)


def test_the_rules_are_told_of_the_contract_without_the_payment_itself(city, pki):
    bank = Partner(pki, world.BANK_A)
    contract = b.filed()
    first = b.payment(contract, "10000.00")
    acts.submit(first).raise_if_refused()
    second = b.payment(contract, "5000.00")

    facts = contract_facts([first, second, acts.draft("I1", "1.00")])

    assert set(facts) == {first.id, second.id}
    one, two = facts[acts.fresh(first)[0].id], facts[second.id]
    assert (two.total, two.in_transit, two.payments_before, two.balance) == (
        D("100000.00"),
        D("10000.00"),
        1,
        D("90000.00"),
    )
    one = contract_facts(acts.fresh(first))[first.id]
    assert (one.in_transit, one.payments_before, one.balance, one.accepted) == (D("0.00"), 0, D("100000.00"), False)
    assert (one.supplier_name, one.supplier_accounts, one.prepayment_cap) == (
        b.SUPPLIER[0],
        frozenset({b.SUPPLIER[1]}),
        D("0.3000"),
    )
    acts.approve_all(first)
    acts.issue(first).raise_if_refused()
    acts.seal(first).raise_if_refused()
    bank.send(bank.receipt(acts.fresh(first)[0].voucher))
    [paid] = acts.fresh(first)
    assert contract_facts([paid])[first.id].paid == D("0.00")
    assert contract_facts([second])[second.id].paid == D("10000.00")


def test_what_was_paid_before_the_books_began_counts_as_a_payment(city):
    request = b.payment(Contract.objects.get(contract_no="C-2026-009"), "500000.00", indicator="I6")
    facts = contract_facts([request])[request.id]
    assert (facts.paid, facts.balance, facts.payments_before) == (D("1000000.00"), D("1000000.00"), 1)


def test_the_procurement_id_travels_in_the_8202(city):
    clerk = world.officer("u101001-jb")
    contract = services_contract(clerk)
    [request] = services.save_drafts(
        inputs=[
            acts.wanted(
                "I1",
                business_type="7",
                contract_no=contract.contract_no,
                details=(acts.line("50.00", payee_name=b.SUPPLIER[0], payee_account_no=b.SUPPLIER[1]),),
            )
        ],
        clerk=clerk,
        now=NOW,
    )
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    [request] = acts.fresh(request)
    content, *_ = decode_content(bytes(request.voucher.text))
    assert content.main["GovProcurementID"] == "LJZC-2026-1"


def services_contract(clerk):
    from contracts import services as contracts

    contract = contracts.save_contract(
        unit_code="101001", given=b.given(allocations=(("I1", D("100000.00")),)), clerk=clerk, now=NOW
    )
    b.decide("file", contract).raise_if_refused()
    return contract


# Investment projects --------------------------------------------------------------------------------------------------


def progress_payment(contract, amount, **changes):
    return b.payment(contract, amount, indicator="I11", **({"business_type": "9"} | changes))


@pytest.mark.parametrize(("amount", "accepted"), [("285000.00", True), ("285000.01", False)])
def test_certified_work_is_paid_less_the_retention_money(city, amount, accepted):
    """300,000.00 certified, 5 % kept back."""
    contract = b.works(of=b.project())
    b.certify(contract, "300000.00")
    request = progress_payment(contract, amount)
    found = acts.submit(request).refused
    if accepted:
        assert found == {}
    else:
        [finding] = found[request.id].findings
        assert (finding.code, finding.facts) == (
            "certificate_exceeded",
            {"available": D("285000.00"), "asked": D("285000.01")},
        )


def test_without_a_certificate_nothing_is_paid(city):
    assert b.against(progress_payment(b.works(of=b.project()), "0.01")) == [("certificate_exceeded", "amount")]


def test_a_projects_contract_is_paid_as_investment_only(city):
    contract = b.works(of=b.project())
    b.certify(contract, "1000.00")
    assert b.against(progress_payment(contract, "1.00", business_type="1")) == [("project_required", "business_type")]


@pytest.mark.parametrize(("amount", "accepted"), [("50000.00", True), ("50000.01", False)])
def test_all_contracts_of_a_project_stay_within_the_estimate(city, amount, accepted):
    """1,000,000.00 for two contracts of 1,000,000.00 each; 950,000.00 is under way on the first."""
    project = b.project(retention_ratio=D("0"))
    first, second = (b.works(no, "1000000.00", of=project) for no in ("G-1", "G-2"))
    for contract in (first, second):
        b.certify(contract, "970000.00")
    assert b.against(progress_payment(first, "950000.00")) == []
    found = b.against(progress_payment(second, amount))
    assert found == ([] if accepted else [("estimate_exceeded", "amount")])


def test_after_the_warranty_the_retention_money_is_paid(city):
    project = b.project(retention_until=date(2026, 6, 14))
    contract = b.works(of=project)
    b.certify(contract, "800000.00")
    assert b.against(progress_payment(contract, "760000.01")) == [("certificate_exceeded", "amount")]
    b.accept(contract, "800000.00", final=True)
    assert b.against(progress_payment(contract, "800000.00")) == []


def test_a_closed_project_pays_nothing(city):
    project = b.project()
    contract = b.works(of=project)
    b.certify(contract, "1000.00")
    type(project).objects.filter(pk=project.pk).update(state="closed")
    assert b.against(progress_payment(contract, "1.00")) == [("project_not_approved", "contract_no")]


def test_a_correction_leaves_what_is_under_way(city):
    contract = b.works(of=b.project())
    b.certify(contract, "300000.00")
    assert b.against(progress_payment(contract, "190000.00")) == []
    from contracts.errors import ContractInUse

    with pytest.raises(ContractInUse):
        b.certify(contract, "-100000.01", no="JD-2")
    b.certify(contract, "-100000.00", no="JD-2")  # 200,000.00 × 95 % = 190,000.00
