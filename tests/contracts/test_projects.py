"""Investment projects: approved by another person, certified by facts, closed when nothing runs."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from contracts import services
from contracts.models import InvestmentProject
from contracts.standing import standings
from core.errors import TreasuryError
from demo import world
from tests.conftest import NOW
from tests.contracts import builders as b

D = Decimal


def decide(project, action, who="jkw-sh"):
    officer = world.officer(who) if isinstance(who, str) else who
    return services.decide_project(project_id=project.id, action=action, officer=officer, now=NOW)


def drafted(**changes):
    return services.save_project(
        unit_code="101002", given=b.project_input(**changes), clerk=world.officer("u101002-jb"), now=NOW
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": ""}, "code"),
        ({"name": "名" * 51}, "name"),
        ({"approval_no": ""}, "approval_no"),
        ({"approved_estimate": D("0.00")}, "approved_estimate"),
        ({"sources": (("市本级预算", D("999999.99")),)}, "sources"),
        ({"sources": (("甲", D("500000.00")), ("甲", D("500000.00")))}, "sources"),
        ({"sources": (("甲", D("-1.00")),)}, "sources.1.amount"),
        ({"indicator_nos": ()}, "indicators"),
        ({"indicator_nos": ("I6",)}, "indicators"),
        ({"retention_ratio": D("0.21")}, "retention_ratio"),
    ],
)
def test_bad_fields_are_named_and_nothing_is_written(city, changes, field):
    b.works_indicator()
    with pytest.raises(TreasuryError) as refusal:
        drafted(**changes)
    assert refusal.value.field == field
    assert InvestmentProject.objects.count() == 0


def test_another_person_approves_and_from_then_on_it_is_frozen(city):
    b.works_indicator()
    project = drafted()
    maker = world.officer("u101002-jb")
    same = type(maker)(**{**maker.__dict__, "roles": frozenset({"section_reviewer"})})
    for who, code in ((same, "acted_before"), ("u101002-fh", "role_required"), ("xzzf-sh", "not_found")):
        with pytest.raises(TreasuryError) as refusal:
            decide(project, "approve", who)
        assert refusal.value.code == code
    decide(project, "approve")
    for statement in (
        "UPDATE contracts_investmentproject SET approved_estimate = 2000000",
        "UPDATE contracts_investmentproject SET retention_ratio = 0",
        "UPDATE contracts_projectsource SET amount = amount + 1",
        "DELETE FROM contracts_projectindicator",
        "DELETE FROM contracts_investmentproject",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.parametrize(
    ("state", "allowed"), [("draft", {"approve", "reject"}), ("approved", {"close"}), ("rejected", set())]
)
def test_every_state_and_action(city, state, allowed):
    b.works_indicator()
    project = drafted()
    if state != "draft":
        decide(project, {"approved": "approve", "rejected": "reject"}[state])
    for action in ("approve", "reject", "close"):
        before = transaction.savepoint()
        if action in allowed:
            decide(project, action)
        else:
            with pytest.raises(TreasuryError) as refusal:
                decide(project, action)
            assert refusal.value.code == "transition_not_allowed"
        transaction.savepoint_rollback(before)


def test_it_is_closed_when_no_contract_runs(city):
    project = b.project()
    contract = b.works(of=project)
    with pytest.raises(TreasuryError) as refusal:
        decide(project, "close")
    assert refusal.value.code == "contract_in_use"
    b.decide("terminate", contract).raise_if_refused()
    assert decide(project, "close").state == "closed"


def test_a_code_counts_once_unless_it_was_rejected(city):
    b.works_indicator()
    decide(drafted(), "reject")
    drafted()
    with pytest.raises(TreasuryError) as refusal:
        drafted()
    assert (refusal.value.code, refusal.value.field) == ("contract_number_taken", "code")


def test_its_contracts_are_borne_by_its_indicators_alone(city):
    with pytest.raises(TreasuryError) as refusal:
        b.works(of=b.project(), allocations=(("I4", D("800000.00")),))
    assert refusal.value.field == "allocations.1.indicator"


# Certificates ---------------------------------------------------------------------------------------------------------


def test_certificates_add_up_and_a_mistake_is_taken_back_by_another(city):
    contract = b.works(of=b.project())
    b.certify(contract, "200000.00")
    b.certify(contract, "150000.00", no="JD-2")
    correction = b.certify(contract, "-50000.00", no="JD-3")

    assert correction.cumulative == D("300000.00")
    assert standings([contract])[contract.id].certified == D("300000.00")
    for statement in (
        "UPDATE contracts_progresscertificate SET amount = 1",
        "DELETE FROM contracts_progresscertificate",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.parametrize(("amount", "accepted"), [("800000.00", True), ("800000.01", False)])
def test_no_more_is_certified_than_the_contract_says(city, amount, accepted):
    contract = b.works(of=b.project())
    if accepted:
        assert b.certify(contract, amount).cumulative == D("800000.00")
    else:
        with pytest.raises(TreasuryError) as refusal:
            b.certify(contract, amount)
        assert (refusal.value.field, contract.certificates.count()) == ("amount", 0)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"who": "u101002-jb"}, "role_required", "role"),
        ({"who": "u205001-fh"}, "not_found", "id"),
        ({"period": "2026-13"}, "contract_field_invalid", "period"),
        ({"no": ""}, "contract_field_invalid", "certificate_no"),
        ({"certified_by": ""}, "contract_field_invalid", "certified_by"),
        ({"certified_on": date(2026, 6, 16)}, "contract_field_invalid", "certified_on"),
        ({"amount": "0.00"}, "amount_invalid", "amount"),
        ({"amount": "-0.01"}, "contract_field_invalid", "amount"),
    ],
)
def test_a_certificate_that_cannot_be(city, changes, code, field):
    contract = b.works(of=b.project())
    amount = changes.pop("amount", "1.00")
    with pytest.raises(TreasuryError) as refusal:
        b.certify(contract, amount, **changes)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert contract.certificates.count() == 0


def test_a_purchase_has_no_progress(city):
    with pytest.raises(TreasuryError) as refusal:
        b.certify(b.filed(), "1.00")
    assert refusal.value.field == "contract"
