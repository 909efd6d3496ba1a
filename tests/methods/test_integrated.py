"""A year in the integrated mode: one voucher type, no quota, no clearing limit; the indicator is what limits."""

from decimal import Decimal

import pytest

from budget import services as budget_services
from budget.entries import Context
from budget.models import BudgetYear, ClearingLimit, Quota
from budget.planning import PlanInvalid
from demo import world
from payments.models import Clearing, LimitNotice
from tests import acts
from tests.bank import clearing, refund_clearing
from tests.conftest import NOW
from vouchers.codec import decode_content
from vouchers.models import Voucher

D = Decimal
MODE = {"I1": ("12", "UNIT-101001"), "I2": ("11", world.FINANCE)}


@pytest.mark.parametrize("no", MODE)
def test_5214_replaces_both_vouchers_and_keeps_who_issues_them(integrated, no):
    code, sender = MODE[no]
    request = acts.sent(no, "100.00")

    voucher = Voucher.objects.get(pk=request.voucher_id)
    content, _ = decode_content(bytes(voucher.text))
    assert (voucher.voucher_type, voucher.voucher_no, voucher.sender) == ("5214", "GK0001", sender)
    assert (content.main["PayTypeCode"], content.main["BillNo"]) == (code, request.request_no)
    assert content.main["PayAcctNo"] == request.payer_account.account_no
    assert (LimitNotice.objects.count(), ClearingLimit.objects.count()) == (0, 0)


def test_rows_without_a_limit_count_what_is_spent(integrated, bank_a):
    assert set(Quota.objects.filter(control="none").values_list("payment_mode", flat=True)) == {"11", "12", "81", "91"}
    before = acts.books("I1")
    request = acts.sent("I1", "100.00", "50.00", business_type="4")
    bank_a.send(bank_a.receipt(request.voucher, failed={"2": "户名账号不符"}))

    row = world.indicator("I1").quota
    assert (row.amount_granted, row.amount_reserved, row.amount_spent) == (D("0.00"), D("0.00"), D("100.00"))
    assert D(acts.books("I1")["available"]) == D(before["available"]) - 100


def test_the_indicator_limits_to_the_fen(integrated):
    left = D(acts.books("I1")["available"])
    over, exact = acts.draft("I1", f"{left + D('0.01'):.2f}"), acts.draft("I1", f"{left:.2f}")

    assert [e.code for e in acts.submit(over).refused.values()] == ["indicator_exceeded"]
    assert acts.submit(exact).accepted or acts.fresh(exact)[0].state in ("in_review", "on_hold")
    assert acts.books("I1")["available"] == "0.00"


@pytest.mark.parametrize("no", MODE)
def test_it_is_cleared_and_refunded_without_limits(integrated, no, bank_a, pboc):
    request = acts.sent(no, "100.00")
    bank_a.send(bank_a.receipt(request.voucher))
    asked, done = clearing(bank_a, pboc, "HK-A-01", [(request, 1)])
    bank_a.send(asked)
    assert [a.outcome for a in pboc.send(done)] == ["applied"]
    assert acts.fresh(request)[0].state == "cleared"

    kind = {"11": "2203", "12": "2204"}[request.payment_mode]
    [found] = bank_a.send(bank_a.refund("TK0001", request, 1, "40.00", kind=kind, of="5214"))
    assert found.outcome == "applied"
    refund = request.details.get().refunds.get()
    back, done = refund_clearing(bank_a, pboc, "HT-A-01", [refund], PayTypeCode=request.payment_mode)
    bank_a.send(back)
    assert [a.outcome for a in pboc.send(done)] == ["applied"]
    assert (Clearing.objects.count(), ClearingLimit.objects.count()) == (2, 0)
    assert acts.books(no)["refunded"] == "40.00"


def test_nothing_is_planned_but_what_the_region_plans(integrated):
    clerk = world.officer("u101001-jb")
    given = [budget_services.PlanInput(world.indicator("I1").id, 6, D("100.00"))]
    with pytest.raises(PlanInvalid) as refusal:
        budget_services.save_plans(inputs=given, clerk=clerk, now=NOW)
    assert refusal.value.field == "indicator_id"

    BudgetYear.objects.update(planned_funds=["11"])  # too late for an indicator that is there
    with pytest.raises(PlanInvalid):
        budget_services.save_plans(inputs=given, clerk=clerk, now=NOW)
    old = world.indicator("I1")
    opening = budget_services.OpeningIndicator(
        indicator_no="I1B",
        doc_no="临财预〔2026〕99号",
        unit=old.unit,
        fund_nature="11",
        function_code=old.function_code,
        gov_economic_code=old.gov_economic_code,
        payment_mode="12",
        payer_account=old.quota.payer_account,
        total=D("1000.00"),
        paid=D("0.00"),
        quota_left=D("0.00"),
    )
    context = Context(world.REGION, world.YEAR, world.DAY, "t", NOW)
    made = budget_services.import_indicator(opening, context)
    given = [budget_services.PlanInput(made.id, 6, D("100.00"))]
    [plan] = budget_services.save_plans(inputs=given, clerk=clerk, now=NOW)
    budget_services.submit_plans(plan_ids=[plan.id], clerk=clerk, now=NOW).raise_if_refused()
    for who in ("u101001-fh", "jkw-sh", "gk-jh"):
        reviewer = world.officer(who)
        budget_services.approve_plans(plan_ids=[plan.id], reviewer=reviewer, now=NOW).raise_if_refused()
    assert acts.books("I1B")["quota"] == "100.00"  # with the last approval, without a notice to the bank


def test_units_own_money_is_limited_by_its_income_in_either_mode(integrated):
    over = acts.draft("I8", "66666.67")
    assert [e.code for e in acts.submit(over).refused.values()] == ["quota_exceeded"]
