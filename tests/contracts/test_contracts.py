"""Contracts from draft to end: whole or refused, frozen once filed, and never decided by who wrote them."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from contracts import services
from contracts.errors import ContractNumberTaken
from contracts.models import Contract, ContractAllocation, ContractTerm
from contracts.services import AccountInput, TermInput
from contracts.standing import standings
from contracts.states import CONTRACT_FLOW, ContractState
from core.errors import TreasuryError, ValidationFailed
from core.ids import new_id
from core.models import Transition
from demo import world
from tests import acts
from tests.conftest import NOW
from tests.contracts import builders as b

D = Decimal


def test_a_draft_is_stored_whole(city):
    contract = b.saved()

    assert (contract.state, contract.total, contract.created_by.name) == ("draft", D("100000.00"), "李春梅")
    terms = ContractTerm.objects.filter(contract=contract).values_list("stage", "ratio", "amount", "condition")
    assert list(terms) == [
        ("首付款", D("0.3000"), D("30000.00"), "signed"),
        ("到货款", D("0.4000"), D("40000.00"), "delivered"),
        ("验收款", D("0.3000"), D("30000.00"), "accepted"),
    ]
    [share] = ContractAllocation.objects.filter(contract=contract)
    assert (share.indicator.indicator_no, share.amount, share.opening_paid) == ("I4", D("100000.00"), D("0.00"))


LAST = TermInput("验收款", "accepted", amount=D("100000.00"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"contract_no": ""}, "contract_no"),
        ({"contract_no": "C" * 41}, "contract_no"),
        ({"contract_no": "合" * 21}, "contract_no"),
        ({"contract_no": "C\x00"}, "contract_no"),
        ({"title": "😀"}, "title"),
        ({"supplier_credit_code": "91990100MA0HXWO808"}, "supplier_credit_code"),
        ({"supplier_credit_code": "123"}, "supplier_credit_code"),
        ({"procurement_id": "识别码"}, "procurement_id"),
        ({"total": D("0.00")}, "total"),
        ({"total": D("100000.005")}, "total"),
        ({"total": D("NaN")}, "total"),
        ({"signed_on": date(2026, 6, 16)}, "signed_on"),
        ({"accounts": ()}, "accounts"),
        ({"accounts": (AccountInput("1 2", "丙银行"),)}, "accounts.1.account_no"),
        ({"accounts": (AccountInput("12", ""),)}, "accounts.1.bank_name"),
        ({"accounts": (AccountInput("12", "丙银行", "12"),)}, "accounts.1.bank_no"),
        ({"prepayment_cap": D("1.01")}, "prepayment_cap"),
        ({"interim_cap": D("0")}, "interim_cap"),
        ({"terms": ()}, "terms"),
        ({"terms": (TermInput("", "accepted", amount=D("100000.00")),)}, "terms.1.stage"),
        ({"terms": (TermInput("款", "never", amount=D("100000.00")),)}, "terms.1.condition"),
        ({"terms": (TermInput("款", "progress", amount=D("100000.00")),)}, "terms.1.condition"),
        ({"terms": (TermInput("款", "accepted"),)}, "terms.1.amount"),
        ({"terms": (TermInput("款", "accepted", amount=D("1.00"), ratio=D("0.5")),)}, "terms.1.amount"),
        ({"terms": (TermInput("款", "accepted", ratio=D("1.01")),)}, "terms.1.ratio"),
        ({"terms": (TermInput("款", "accepted", amount=D("99999.99")),)}, "terms"),
        ({"terms": (TermInput("款", "signed", amount=D("100000.00")),)}, "terms.1.condition"),
        ({"allocations": ()}, "allocations"),
        ({"allocations": (("I4", D("99999.99")),)}, "allocations"),
        ({"allocations": (("I4", D("50000.00")), ("I4", D("50000.00")))}, "allocations"),
        ({"allocations": (("I6", D("100000.00")),)}, "allocations.1.indicator"),
        ({"allocations": (("I4", D("-1.00")),)}, "allocations.1.amount"),
        ({"project_code": "无"}, "project_code"),
    ],
)
def test_bad_fields_are_named_and_nothing_is_written(city, changes, field):
    before = Contract.objects.count()
    with pytest.raises(ValidationFailed) as refusal:
        b.saved(**changes)
    assert refusal.value.field == field and refusal.value.http_status == 422
    assert Contract.objects.count() == before


def test_the_terms_add_up_to_the_fen_whatever_the_ratios(city):
    thirds = (*(TermInput(f"第{n}期", "signed", ratio=D("0.3333")) for n in (1, 2)),)
    b.saved(
        "C-3",
        "100.00",
        terms=(*thirds, TermInput("尾款", "accepted", amount=D("33.34"))),
        allocations=(("I4", D("100.00")),),
    )
    with pytest.raises(ValidationFailed) as refusal:
        b.saved("C-4", "100.00", terms=(*thirds, TermInput("尾款", "accepted", ratio=D("0.3333"))))
    assert refusal.value.facts == {"planned": D("99.99"), "total": D("100.00")}


def test_a_number_counts_once_for_a_unit_and_a_dropped_draft_gives_it_back(city):
    first = b.saved()
    with pytest.raises(ContractNumberTaken):
        b.saved()
    services.save_contract(  # another unit's contract of the same number
        unit_code="205001",
        given=b.given(allocations=(("I6", D("100000.00")),)),
        clerk=world.officer("u205001-jb"),
        now=NOW,
    )
    b.decide("drop", first, who="u101002-jb").raise_if_refused()
    assert b.saved().contract_no == "C-1"


@pytest.mark.parametrize("who", ["u101002-fh", "jkw-sh", "gk-sh"])
def test_only_a_clerk_writes_and_only_for_the_own_unit(city, who):
    with pytest.raises(TreasuryError) as refusal:
        services.save_contract(unit_code="101002", given=b.given(), clerk=world.officer(who), now=NOW)
    assert refusal.value.code == "role_required"
    with pytest.raises(TreasuryError) as refusal:
        services.save_contract(unit_code="101002", given=b.given(), clerk=world.officer("u205001-jb"), now=NOW)
    assert (refusal.value.code, refusal.value.field) == ("not_found", "unit_code")


def test_a_draft_is_rewritten_and_a_filed_one_is_not(city):
    contract = b.saved()
    again = b.given(
        "C-1b", "50.00", terms=(TermInput("款", "accepted", amount=D("50.00")),), allocations=(("I4", D("50.00")),)
    )
    clerk = world.officer("u101002-jb")
    services.revise_contract(contract_id=contract.id, given=again, clerk=clerk, now=NOW)
    contract = b.fresh(contract)
    assert (contract.contract_no, contract.total) == ("C-1b", D("50.00"))
    assert [t.amount for t in contract.terms.all()] == [D("50.00")]

    b.decide("file", contract).raise_if_refused()
    with pytest.raises(TreasuryError) as refusal:
        services.revise_contract(contract_id=contract.id, given=b.given(), clerk=clerk, now=NOW)
    assert (refusal.value.code, refusal.value.http_status) == ("transition_not_allowed", 409)


# Every state × action -------------------------------------------------------------------------------------------------

WHO = {"file": "jkw-sh", "return": "jkw-sh", "drop": "u101002-jb", "start": "u101002-jb"}
WHO |= {"complete": "jkw-sh", "terminate": "jkw-sh"}
ALLOWED = {  # typed by hand from docs/contracts.md
    ("draft", "file"): "filed",
    ("draft", "return"): "draft",
    ("draft", "drop"): "terminated",
    ("filed", "start"): "performing",
    ("filed", "terminate"): "terminated",
    ("performing", "terminate"): "terminated",
    ("accepted", "complete"): "completed",
    ("accepted", "terminate"): "terminated",
}


def in_state(state):
    contract = b.saved()
    steps = {
        "draft": (),
        "filed": ("file",),
        "performing": ("file", "start"),
        "accepted": ("file", "accept"),
        "completed": ("file", "accept", "complete"),
        "terminated": ("file", "terminate"),
    }[state]
    for step in steps:
        if step == "accept":
            b.accept(contract, "100000.00", final=True)
        else:
            b.decide(step, contract, who=WHO[step]).raise_if_refused()
    assert b.fresh(contract).state == state
    return contract


@pytest.mark.parametrize("state", ContractState.values)
def test_every_state_and_action(city, state):
    contract = in_state(state)
    for action, who in WHO.items():
        before = transaction.savepoint()
        outcome = b.decide(action, contract, who=who)
        if (state, action) in ALLOWED:
            assert outcome.refused == {}, action
            assert b.fresh(contract).state == ALLOWED[state, action]
            last = Transition.objects.filter(document_id=contract.id).order_by("id").last()
            assert (last.action, last.actor_name) == (action, world.officer(who).name)
        else:
            assert outcome.refused[contract.id].code == "transition_not_allowed", action
            assert b.fresh(contract).state == state
        transaction.savepoint_rollback(before)


def test_the_table_has_these_moves_and_no_others():
    steps = {(m.source, m.action): m.target for m in CONTRACT_FLOW.moves if m.action not in ("revise", "accept")}
    assert steps == ALLOWED


@pytest.mark.parametrize("action", sorted(WHO))
@pytest.mark.parametrize("who", ["u101002-fh", "gk-sh", "ys-fz"])
def test_each_step_belongs_to_its_post(city, action, who):
    states = [source for source, step in ALLOWED if step == action]
    contract = in_state(states[0])
    refusal = b.decide(action, contract, who=who).refused[contract.id]
    assert refusal.code == "role_required"


def test_another_sections_contracts_are_not_there(city):
    contract = b.saved()
    assert b.decide("file", contract, who="xzzf-sh").refused[contract.id].code == "not_found"


def test_who_wrote_it_does_not_file_return_or_end_it_by_another_log_in_either(city):
    contract = b.saved()
    same = acts.second_login("u101002-jb", "section_reviewer", section="教科文科")
    same = type(same)(**{**same.__dict__, "units": frozenset()})
    for action in ("file", "return"):
        assert b.decide(action, contract, who=same).refused[contract.id].code == "acted_before"
    with pytest.raises(IntegrityError), transaction.atomic():  # four eyes, in the database too
        Contract.objects.filter(pk=contract.pk).update(filed_by=contract.created_by_id)
    b.decide("file", contract).raise_if_refused()
    assert b.decide("terminate", contract, who=same).refused[contract.id].code == "acted_before"
    assert b.fresh(contract).state == "filed"


@pytest.mark.parametrize("action", ["return", "terminate"])
def test_a_return_and_a_termination_are_explained(city, action):
    contract = b.saved() if action == "return" else b.filed()
    with pytest.raises(TreasuryError) as refusal:
        b.decide(action, contract, reason=" ")
    assert refusal.value.field == "reason"


def test_a_contract_does_not_end_under_a_payment(city):
    contract = b.filed()
    acts.submit(b.payment(contract, "30000.00")).raise_if_refused()
    refusal = b.decide("terminate", contract).refused[contract.id]
    assert (refusal.code, refusal.http_status) == ("contract_in_use", 409)
    b.accept(contract, "100000.00", final=True)
    assert b.decide("complete", contract).refused[contract.id].code == "contract_in_use"


def test_after_the_filing_the_database_holds_every_column(city):
    contract = b.filed()
    for statement in (
        "UPDATE contracts_contract SET total = 100000.01",
        "UPDATE contracts_contract SET supplier_accounts = '[]'",
        "UPDATE contracts_contract SET contract_no = 'x'",
        "UPDATE contracts_contract SET filed_by_id = NULL, filed_at = NULL",
        "UPDATE contracts_contractterm SET amount = amount + 1",
        "DELETE FROM contracts_contractterm",
        "UPDATE contracts_contractallocation SET opening_paid = 1",
        "DELETE FROM contracts_contractallocation",
        f"UPDATE contracts_contract SET state = 'completed' WHERE id = '{contract.id}'",
        "DELETE FROM contracts_contract",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    term = contract.terms.last()
    term.pk, term.seq = new_id(), 9
    with pytest.raises(DatabaseError, match="are frozen"), transaction.atomic():
        term.save(force_insert=True)


def test_many_are_filed_with_as_many_statements_as_few(city):
    def used(count, prefix):
        contracts = [b.saved(f"{prefix}{n}") for n in range(count)]
        with acts.statements() as seen:
            b.decide("file", *contracts).raise_if_refused()
        return len(seen)

    used(1, "W")
    assert used(2, "F") == used(12, "M")


# Acceptance -----------------------------------------------------------------------------------------------------------


def test_deliveries_and_the_final_acceptance(city):
    contract = b.filed()
    b.accept(contract, "60000.00", no="YS-1")
    assert (b.fresh(contract).state, standings([contract])[contract.id].delivered) == ("filed", True)
    b.accept(contract, "40000.00", no="YS-2", final=True)

    standing = standings([contract])[contract.id]
    assert (b.fresh(contract).state, standing.accepted, standing.accepted_amount) == ("accepted", True, D("100000.00"))


@pytest.mark.parametrize(("amount", "accepted"), [("40000.00", True), ("40000.01", False)])
def test_no_more_is_accepted_than_the_contract_says(city, amount, accepted):
    contract = b.filed()
    b.accept(contract, "60000.00")
    if accepted:
        b.accept(contract, amount, no="YS-2")
    else:
        with pytest.raises(TreasuryError) as refusal:
            b.accept(contract, amount, no="YS-2")
        assert (refusal.value.field, contract.acceptances.count()) == ("amount", 1)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"who": "u101002-jb"}, "role_required", "role"),
        ({"who": "u205001-fh"}, "not_found", "id"),
        ({"no": ""}, "contract_field_invalid", "certificate_no"),
        ({"accepted_by": ""}, "contract_field_invalid", "accepted_by"),
        ({"accepted_on": date(2026, 6, 16)}, "contract_field_invalid", "accepted_on"),
        ({"accepted_on": date(2026, 5, 31)}, "contract_field_invalid", "accepted_on"),
        ({"amount": "0.00"}, "amount_invalid", "amount"),
        ({"no": "YS-0"}, "conflict", "certificate_no"),
    ],
)
def test_an_acceptance_that_cannot_be(city, changes, code, field):
    contract = b.filed()
    b.accept(contract, "1.00", no="YS-0")
    amount = changes.pop("amount", "1.00")
    with pytest.raises(TreasuryError) as refusal:
        b.accept(contract, amount, **changes)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert contract.acceptances.count() == 1


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("state", ["draft", "completed", "terminated"])
def test_what_is_not_filed_or_has_ended_is_not_accepted(city, state, final):
    contract = in_state(state)
    with pytest.raises(TreasuryError) as refusal:
        b.accept(contract, "1.00", final=final, no="YS-9")
    assert refusal.value.code == "transition_not_allowed"


def test_who_accepted_does_not_complete_and_the_maker_does_not_accept(city):
    contract = b.filed()
    maker = world.officer("u101002-jb")
    with pytest.raises(TreasuryError) as refusal:
        b.accept(contract, "1.00", who=type(maker)(**{**maker.__dict__, "roles": frozenset({"unit_reviewer"})}))
    assert refusal.value.code == "acted_before"
    b.accept(contract, "100000.00", final=True)
    accepter = world.officer("u101002-fh")
    both = type(accepter)(**{**accepter.__dict__, "roles": frozenset({"section_reviewer"})})
    assert b.decide("complete", contract, who=both).refused[contract.id].code == "acted_before"
    b.decide("complete", contract).raise_if_refused()


def test_an_acceptance_is_a_fact(city):
    b.accept(b.filed(), "1.00")
    for statement in ("UPDATE contracts_acceptance SET amount = 2", "DELETE FROM contracts_acceptance"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


# Supplements ----------------------------------------------------------------------------------------------------------


def test_a_supplement_counts_once_another_person_has_approved_it(city):
    contract = b.filed()
    supplement = b.supplement(contract, "10000.00")
    assert standings([contract])[contract.id].total == D("100000.00")

    b.settle(supplement)

    standing = standings([b.fresh(contract)])[contract.id]
    indicator = world.indicator("I4").id
    assert (standing.total, standing.allocations) == (D("110000.00"), {indicator: D("110000.00")})
    assert b.fresh(contract).total == D("100000.00")  # the original stays


@pytest.mark.parametrize(("second", "accepted"), [("4000.00", True), ("4000.01", False)])
def test_additions_are_a_tenth_at_most_in_all(city, second, accepted):
    contract = b.filed()
    b.settle(b.supplement(contract, "6000.00"))
    b.settle(b.supplement(contract, "-5000.00", no="B-2"))  # a reduction gives nothing back
    if accepted:
        b.settle(b.supplement(contract, second, no="B-3"))
        assert standings([contract])[contract.id].total == D("105000.00")
    else:
        with pytest.raises(TreasuryError) as refusal:
            b.supplement(contract, second, no="B-3")
        assert (refusal.value.code, refusal.value.field) == ("supplement_too_large", "amount_change")


def test_two_that_fit_alone_do_not_both_fit(city):
    contract = b.filed()
    first, second = b.supplement(contract, "6000.00"), b.supplement(contract, "6000.00", no="B-2")
    b.settle(first)
    with pytest.raises(TreasuryError) as refusal:
        b.settle(second)
    assert refusal.value.code == "supplement_too_large"


@pytest.mark.parametrize(("change", "accepted"), [("-70000.00", True), ("-70000.01", False)])
def test_a_reduction_leaves_what_is_paid_and_under_way(city, change, accepted):
    contract = b.filed()
    acts.submit(b.payment(contract, "30000.00")).raise_if_refused()
    supplement = b.supplement(contract, change)
    if accepted:
        b.settle(supplement)
        assert standings([contract])[contract.id].total == D("30000.00")
    else:
        with pytest.raises(TreasuryError) as refusal:
            b.settle(supplement)
        assert (refusal.value.code, refusal.value.facts["used"]) == ("contract_in_use", D("30000.00"))


def test_a_supplement_moves_a_share_to_another_indicator(city):
    b.works_indicator()
    contract = b.filed()
    b.settle(b.supplement(contract, "0.00", allocations=(("I4", D("-40000.00")), ("I11", D("40000.00")))))
    shares = standings([contract])[contract.id].allocations
    assert sorted(shares.values()) == [D("40000.00"), D("60000.00")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_change": D("0.00"), "allocations": ()}, "amount_change"),
        ({"amount_change": D("1.005")}, "amount_change"),
        ({"allocations": (("I4", D("0.99")),)}, "allocations"),
        ({"allocations": (("I6", D("1.00")),)}, "allocations.1.indicator"),
        ({"reason": ""}, "reason"),
        ({"supplement_no": ""}, "supplement_no"),
        ({"signed_on": date(2026, 6, 16)}, "signed_on"),
        ({"accounts": (AccountInput("x y", "丙银行"),)}, "accounts.1.account_no"),
    ],
)
def test_a_supplement_that_cannot_be(city, changes, field):
    contract = b.filed()
    with pytest.raises(TreasuryError) as refusal:
        b.supplement(contract, "1.00", **changes)
    assert refusal.value.field == field
    assert contract.supplements.count() == 0


def test_a_supplement_is_decided_once_and_by_another(city):
    contract = b.filed()
    supplement = b.supplement(contract, "1.00")
    maker = world.officer("u101002-jb")
    same = type(maker)(**{**maker.__dict__, "roles": frozenset({"section_reviewer"})})
    with pytest.raises(TreasuryError) as refusal:
        b.settle(supplement, who=same)
    assert refusal.value.code == "acted_before"
    with pytest.raises(TreasuryError) as refusal:
        b.settle(supplement, who="u101002-fh")
    assert refusal.value.code == "role_required"
    with pytest.raises(TreasuryError) as refusal:
        b.settle(supplement, who="xzzf-sh")
    assert refusal.value.code == "not_found"

    b.settle(supplement, approve=False)
    with pytest.raises(TreasuryError) as refusal:
        b.settle(supplement)
    assert refusal.value.code == "transition_not_allowed"
    assert standings([contract])[contract.id].total == D("100000.00")
    with pytest.raises(TreasuryError) as refusal:
        b.supplement(contract, "1.00")
    assert refusal.value.code == "conflict"


@pytest.mark.parametrize("state", ["draft", "completed", "terminated"])
def test_only_what_runs_is_supplemented(city, state):
    with pytest.raises(TreasuryError) as refusal:
        b.supplement(in_state(state), "1.00")
    assert refusal.value.code == "transition_not_allowed"
