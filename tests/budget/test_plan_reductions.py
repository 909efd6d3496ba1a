"""Reductions of plans: what is unused is taken back, for authorised payment by a negative 5105 and 5106."""

from datetime import timedelta
from decimal import Decimal

import pytest

from budget import services
from budget.errors import ClearingLimitExceeded
from budget.models import BudgetYear, ClearingLimit, QuotaNotice, SpendingPlan
from core.errors import TreasuryError
from core.outcomes import Outcome
from demo import world
from reconciliation.audit.findings import Scope
from reconciliation.audit.invariants import INVARIANTS
from reconciliation.audit.runner import examine
from tests import acts
from tests.budget.test_quota_notices import notify, seal
from tests.conftest import NOW
from vouchers.codec import decode_content
from vouchers.models import Voucher

D = Decimal
REVIEWERS = {"I5": ("u205001-fh", "xzzf-sh", "gk-jh"), "I6": ("u205001-fh", "xzzf-sh", "gk-jh")}


def written(no, amount, kind="reduce", month=6):
    clerk = world.officer(f"{acts.CLERK_OF[no]}-jb")
    given = services.PlanInput(world.indicator(no).id, month, D(amount), kind)
    return services.save_plans(inputs=[given], clerk=clerk, now=NOW)[0]


def submit(no, *plans):
    clerk = world.officer(f"{acts.CLERK_OF[no]}-jb")
    return services.submit_plans(plan_ids=acts.ids(plans), clerk=clerk, now=NOW)


def approved(no, amount, kind="reduce"):
    plan = written(no, amount, kind)
    submit(no, plan).raise_if_refused()
    for who in REVIEWERS[no]:
        services.approve_plans(plan_ids=[plan.id], reviewer=world.officer(who), now=NOW).raise_if_refused()
    return SpendingPlan.objects.get(pk=plan.pk)


def standing(no):
    row = world.indicator(no)
    return row.amount_planned, row.quota.amount_available


@pytest.mark.parametrize(("amount", "accepted"), [("600000.00", True), ("600000.01", False)])
def test_what_is_unused_may_be_taken_back_and_not_one_fen_more(city, amount, accepted):
    """I6, direct: 600,000.00 of its plan are unused."""
    plan = written("I6", amount)
    outcome = submit("I6", plan)
    if accepted:
        assert outcome.refused == {} and standing("I6") == (D("1600000.00"), D("0.00"))
    else:
        refusal = outcome.refused[plan.id]
        assert (refusal.code, refusal.field) == ("quota_exceeded", "amount")
        assert refusal.facts == {"available": D("600000.00"), "asked": D("600000.01")}
        assert standing("I6") == (D("1600000.00"), D("600000.00"))


def test_money_under_way_is_not_unused(city):
    acts.submit(acts.draft("I6", "0.01")).raise_if_refused()
    plan = written("I6", "600000.00")
    assert submit("I6", plan).refused[plan.id].facts["available"] == D("599999.99")


def test_a_direct_reduction_gives_back_to_the_plan_with_its_last_approval(city):
    plan = approved("I6", "100000.00")
    assert plan.state == "approved"
    assert standing("I6") == (D("1500000.00"), D("500000.00"))
    assert world.indicator("I6").amount_plannable == D("1500000.00")


def test_a_returned_reduction_gives_the_quota_back(city):
    plan = written("I6", "100000.00")
    submit("I6", plan).raise_if_refused()
    services.return_plans(
        plan_ids=[plan.id], reviewer=world.officer("u205001-fh"), reason_code="x", reason="多了", now=NOW
    ).raise_if_refused()
    assert standing("I6") == (D("1600000.00"), D("600000.00"))
    clerk = world.officer("u205001-jb")
    services.cancel_plans(plan_ids=[plan.id], clerk=clerk, now=NOW).raise_if_refused()
    assert submit("I6", plan).refused[plan.id].code == "transition_not_allowed"
    assert services.cancel_plans(plan_ids=[plan.id], clerk=clerk, now=NOW).refused


def test_an_increase_is_a_plan_like_any_other(city):
    approved("I6", "1000.00", "increase")
    assert standing("I6") == (D("1601000.00"), D("601000.00"))


def test_an_unknown_kind_is_refused(city):
    with pytest.raises(TreasuryError) as refusal:
        written("I6", "1.00", "gift")
    assert (refusal.value.code, refusal.value.field) == ("plan_invalid", "kind")


# By notice ----------------------------------------------------------------------------------------------------------


def test_an_authorised_reduction_goes_out_negative_and_counts_when_the_bank_confirms(city, bank_b):
    plan = approved("I5", "20000.00")
    assert standing("I5") == (D("330000.00"), D("10000.00"))  # nobody can spend it from the submit on

    notify(plan).raise_if_refused()
    notice = QuotaNotice.objects.get()
    assert notice.amount == D("-20000.00")
    for voucher in Voucher.objects.filter(voucher_type__in=["5105", "5106"]):
        content, _ = decode_content(bytes(voucher.text))
        assert (content.main["PlanAmt"], [d["PlanAmt"] for d in content.details]) == ("-20000.00", ["-20000.00"])
    assert acts.limit(world.BANK_B, "12") == "90000.00"
    seal(notice).raise_if_refused()
    assert acts.limit(world.BANK_B, "12") == "70000.00"

    [answer] = bank_b.send(bank_b.arrival("DZ1", notice, PlanAmt="20000.00"), now=NOW)
    assert answer.outcome == "refused"
    [answer] = bank_b.send(bank_b.arrival("DZ2", notice), now=NOW + timedelta(minutes=1))

    assert answer.outcome == "applied", answer
    assert SpendingPlan.objects.get(pk=plan.pk).state == "arrived"
    assert standing("I5") == (D("310000.00"), D("10000.00"))
    approved("I6", "5.00")
    submit("I6", written("I6", "6.00")).raise_if_refused()
    audit = [examine(i, Scope(world.REGION, NOW)) for i in INVARIANTS if i.id in ("I02", "I03", "I04", "I17")]
    assert [(result.id, result.samples) for result in audit if result.status != "ok"] == []


def test_grants_and_reductions_are_never_in_one_notice(city):
    plans = [approved("I5", "20000.00"), approved("I5", "5000.00", "normal")]
    notify(*plans).raise_if_refused()
    assert sorted(QuotaNotice.objects.values_list("amount", flat=True)) == [D("-20000.00"), D("5000.00")]


def test_no_more_is_taken_from_pboc_than_is_left_to_clear(city):
    notify(approved("I5", "30000.00")).raise_if_refused()
    ClearingLimit.objects.filter(payment_mode="12", agent_bank__organisation=world.BANK_B).update(
        amount_issued=D("29999.99")
    )
    with pytest.raises(ClearingLimitExceeded):
        seal(QuotaNotice.objects.get())
    assert Voucher.objects.filter(signature="").count() == 2


def test_of_a_reduction_and_a_payment_for_the_same_money_exactly_one_wins(real_city):
    plan = written("I6", "600000.00")
    request = acts.draft("I6", "0.01")

    answers = acts.together(lambda: submit("I6", plan), lambda: acts.submit(request))

    assert all(isinstance(answer, Outcome) for answer in answers), answers
    assert sum(len(answer.accepted) for answer in answers) == 1
    [refusal] = [error for answer in answers for error in answer.refused.values()]
    assert refusal.code == "quota_exceeded"
    assert world.indicator("I6").quota.amount_available in (D("0.00"), D("599999.99"))


# Month-end ----------------------------------------------------------------------------------------------------------


def lapse(month=6, who="gk-dz"):
    return services.lapse_unused_plans(month=month, reconciler=world.officer(who), now=NOW)


@pytest.fixture
def monthly(city):
    BudgetYear.objects.update(plan_validity="month")
    return city


def test_what_a_month_leaves_unused_is_taken_back(monthly, bank_b):
    approved("I6", "1000.00", "normal")
    clerk = world.officer("u205001-jb")
    given = services.PlanInput(world.indicator("I6").id, 7, D("5000.00"))
    [july] = services.save_plans(inputs=[given], clerk=clerk, now=NOW)
    submit("I6", july).raise_if_refused()
    for who in REVIEWERS["I6"]:
        services.approve_plans(plan_ids=[july.id], reviewer=world.officer(who), now=NOW).raise_if_refused()
    acts.submit(acts.draft("I6", "300.00")).raise_if_refused()

    plans = {plan.indicator.indicator_no: plan for plan in lapse()}

    assert set(plans) == {"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I9"}  # I8 is a unit's own money, without a plan
    assert plans["I6"].amount == D("600700.00")  # 600,000 + 1,000 − 300 under way; July's 5,000 stay
    assert standing("I6")[1] == D("5000.00") and standing("I5")[1] == D("0.00")
    assert lapse() == []
    reviewer = world.officer("gk-jh")
    services.approve_plans(plan_ids=acts.ids(plans.values()), reviewer=reviewer, now=NOW).raise_if_refused()
    assert standing("I6")[0] == D("1600000.00") + D("6000.00") - D("600700.00")
    assert standing("I5")[0] == D("330000.00")
    notify(plans["I5"]).raise_if_refused()
    notice = QuotaNotice.objects.get()
    seal(notice).raise_if_refused()
    [answer] = bank_b.send(bank_b.arrival("DZ1", notice))
    assert answer.outcome == "applied" and standing("I5")[0] == D("300000.00")
    audit = [examine(i, Scope(world.REGION, NOW)) for i in INVARIANTS if i.id in ("I02", "I03", "I04", "I17")]
    assert [(result.id, result.samples) for result in audit if result.status != "ok"] == []


def test_where_plans_roll_over_nothing_lapses(city):
    with pytest.raises(TreasuryError) as refusal:
        lapse()
    assert (refusal.value.code, refusal.value.field) == ("conflict", "plan_validity")


@pytest.mark.parametrize(("month", "who", "code"), [(7, "gk-dz", "plan_invalid"), (6, "gk-jh", "role_required")])
def test_only_the_reconciler_ends_a_month_that_has_begun(monthly, month, who, code):
    with pytest.raises(TreasuryError) as refusal:
        lapse(month, who)
    assert refusal.value.code == code
    assert SpendingPlan.objects.count() == 0
