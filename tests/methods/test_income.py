"""单位收入: nothing is spent that has not come in, and one person never says so alone."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from budget import income
from budget.models import QuotaEntry, UnitIncome, UnitIncomeDecision
from core.errors import AmountInvalid, Conflict, NotFound, RoleRequired
from demo import world
from tests import acts
from tests.conftest import NOW

D = Decimal


def given(amount: str = "1000.00", no: str = "I8", **changes):
    values = {
        "indicator_id": world.indicator(no).id,
        "amount": D(amount),
        "received_on": world.DAY,
        "payer": "市教育基金会",
        "bank_serial": "B0001",
    } | changes
    return income.IncomeInput(**values)


def record(amount: str = "1000.00", **changes) -> UnitIncome:
    return income.record_income(given=given(amount, **changes), clerk=world.officer("u101002-jb"), now=NOW)


def decide(row: UnitIncome, who: str = "u101002-fh", *, confirm: bool = True):
    return income.decide_incomes(income_ids=[row.id], by=world.officer(who), confirm=confirm, now=NOW)


def test_income_may_be_spent_once_another_person_has_confirmed_it(city):
    row = record()
    assert (row.income_no, acts.books("I8")["quota"]) == ("SR2026000001", "66666.66")

    assert decide(row).accepted
    assert acts.books("I8")["quota"] == "67666.66"
    entry = QuotaEntry.objects.get(document_id=row.id)
    assert (entry.kind, entry.granted_change) == ("income", D("1000.00"))
    exact, over = acts.draft("I8", "67666.66"), acts.draft("I8", "0.01")
    assert acts.submit(exact).accepted and acts.submit(over).refused


def test_a_refused_income_grants_nothing_and_stays_refused(city):
    row = record()
    assert decide(row, confirm=False).accepted
    assert [e.code for e in decide(row, "u101002-fz").refused.values()] == ["conflict"]
    assert acts.books("I8")["quota"] == "66666.66"


@pytest.mark.parametrize(
    ("who", "code"),
    [("u101002-jb", "role_required"), ("u101002-yz", "role_required"), ("u101001-fh", "not_found")],
)
def test_who_may_not_confirm(city, who, code):
    row = record()
    assert [e.code for e in decide(row, who).refused.values()] == [code]
    assert UnitIncomeDecision.objects.count() == 0


def test_the_database_holds_the_four_eyes_and_the_facts(city):
    row = record()
    own = world.officer("u101002-jb").person_id
    with pytest.raises(IntegrityError), transaction.atomic():
        UnitIncomeDecision.objects.create(
            adm_div_code=world.REGION,
            fiscal_year=world.YEAR,
            income=row,
            confirmed=True,
            decided_by_id=own,
            decided_at=NOW,
        )
    decide(row)
    for change in (
        lambda: UnitIncome.objects.update(amount=D("2.00")),
        lambda: UnitIncomeDecision.objects.all().delete(),
    ):
        with pytest.raises(Exception, match=r"append_only|Cannot"), transaction.atomic():
            change()


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"no": "I1"}, NotFound, "indicator_id"),
        ({"no": "I3"}, income.IncomeInvalid, "indicator_id"),
        ({"amount": "0.00"}, AmountInvalid, "amount"),
        ({"payer": " "}, income.IncomeInvalid, "payer"),
        ({"bank_serial": "x" * 43}, income.IncomeInvalid, "bank_serial"),
        ({"note": "x" * 201}, income.IncomeInvalid, "note"),
        ({"received_on": world.DAY + timedelta(days=1)}, income.IncomeInvalid, "received_on"),
        ({"received_on": date(2025, 12, 31)}, income.IncomeInvalid, "received_on"),
    ],
)
def test_what_cannot_be_written_down(city, changes, error, field):
    with pytest.raises(error) as refusal:
        record(**changes)
    assert refusal.value.field == field
    assert UnitIncome.objects.count() == 0


def test_one_credit_advice_is_written_down_once(city):
    record()
    with pytest.raises(Conflict):
        record("5.00")
    with pytest.raises(RoleRequired):
        income.record_income(given=given(bank_serial="B2"), clerk=world.officer("u101002-fh"), now=NOW)


@pytest.mark.django_db(transaction=True)
def test_two_persons_confirming_at_once_grant_it_once(real_city):
    row = record()
    answers = acts.together(lambda: decide(row, "u101002-fh"), lambda: decide(row, "u101002-fz"))

    assert sorted(len(a.accepted) for a in answers) == [0, 1]
    assert acts.books("I8")["quota"] == "67666.66"
    assert UnitIncomeDecision.objects.count() == 1


def test_the_page_takes_an_income_from_the_form_to_the_quota(city, client):
    from parties.models import User

    def login(name: str):
        client.force_login(User.objects.get(username=name))
        return client

    form = {"indicator": world.indicator("I8").id, "amount": "12.34", "received_on": "2026-06-15", "payer": "学生"}
    headers = {"accept": "application/json"}
    bad = login("u101002-jb").post("/incomes/new/", form | {"action_id": "0" * 36}, headers=headers)
    assert bad.status_code == 422
    page = client.post("/incomes/new/", form | {"action_id": "6b1f0a52-6f63-4f1e-9d13-000000000001"})
    assert page.status_code == 422 and "银行流水号" in page.content.decode()
    form |= {"bank_serial": "B0009", "action_id": "6b1f0a52-6f63-4f1e-9d13-000000000002"}
    assert client.post("/incomes/new/", form).status_code == 303
    row = UnitIncome.objects.get()
    shown = login("u101002-fh").get("/incomes/").content.decode()
    assert row.income_no in shown and "待确认" in shown
    ticked = {"ids": row.id, "decision": "confirm", "action_id": "6b1f0a52-6f63-4f1e-9d13-000000000003"}
    assert client.post("/incomes/decide/", ticked).status_code == 303
    assert acts.books("I8")["quota"] == "66679.00"
    assert "已确认" in client.get("/incomes/").content.decode()
