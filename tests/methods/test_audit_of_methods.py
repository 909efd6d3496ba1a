"""The audit over payments that are not cleared, and over income: nothing to say, until somebody lays hands on."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from budget import income
from demo import world
from reconciliation.audit.findings import Scope
from reconciliation.audit.invariants import INVARIANTS
from reconciliation.audit.runner import examine
from tests import acts
from tests.conftest import NOW
from tests.methods.test_other_methods import returned, sent

ASKED = ("I02", "I03", "I04", "I05", "I06", "I08", "I09", "I10", "I11", "I13", "I16", "I17", "I19")
SCOPE = Scope(world.REGION, NOW + timedelta(hours=1))


def red() -> dict[str, list[str]]:
    found = [examine(invariant, SCOPE) for invariant in INVARIANTS if invariant.id in ASKED]
    return {result.id: [finding.id for finding in result.samples] for result in found if result.status != "ok"}


@pytest.fixture
def history(city, bank_a, bank_b, pboc):
    """One payment by each method, in part, with a return; and an income that was confirmed."""
    for no, payer in (("I9", pboc), ("I7", bank_a), ("I8", bank_b)):
        request = sent(no, "100.00", "23.45")
        payer.send(payer.receipt(request.voucher, failed={"2": "账户已销户"}))
        if no == "I9":
            assert pboc.send(returned(pboc, "ST0001", request, "40.00"))[0].outcome == "applied"
    given = income.IncomeInput(
        indicator_id=world.indicator("I8").id,
        amount=Decimal("10.00"),
        received_on=world.DAY,
        payer="学生",
        bank_serial="B0001",
    )
    row = income.record_income(given=given, clerk=world.officer("u101002-jb"), now=NOW)
    income.decide_incomes(income_ids=[row.id], by=world.officer("u101002-fh"), confirm=True, now=NOW)
    assert acts.books("I8")["quota"] == "66576.66"


def test_an_honest_history_is_clean(history):
    assert red() == {}


@pytest.mark.parametrize(
    ("wanted", "statement"),
    [
        (
            {"I03"},
            """UPDATE budget_quota SET control = 'none' WHERE indicator_id =
               (SELECT id FROM budget_budgetindicator WHERE indicator_no = 'I7') RETURNING id""",
        ),
        ({"I04"}, "DELETE FROM budget_unitincomedecision RETURNING income_id"),
        ({"I04"}, "UPDATE budget_unitincome SET amount = amount + 1 RETURNING id"),
        ({"I08"}, "UPDATE budget_unitincome SET income_no = 'SR2026000002' RETURNING id"),
        (
            {"I11", "I17"},
            """UPDATE payments_paymentrequest SET state = 'cleared'
                WHERE payment_mode = '91' AND state = 'partially_paid' RETURNING id""",
        ),
        ({"I13"}, "UPDATE payments_refund SET notice_no = 'ST0009' RETURNING id"),
    ],
)
def test_a_hand_in_the_books_is_found(history, wanted, statement):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)
        [(touched,)] = cursor.fetchall()
        cursor.execute("SET LOCAL session_replication_role = origin")

    found = red()
    assert set(found) == wanted
    assert any(str(touched) in ids for ids in found.values())


def test_a_day_with_them_closes_only_when_both_sides_said_the_same(history):
    """The bank's and PBoC's reports are asked for by name while they are missing."""
    from reconciliation.blockers import day_blockers

    said = {blocker.code: blocker.text for blocker in day_blockers(world.REGION, world.DAY)}
    assert all(name in said["statements_missing"] for name in ("甲银行 2206", "乙银行 2205", "国家金库临江市支库 3508"))
