"""Plans too: a batch of 500 sends as many statements as a batch of 10; a notice takes its own few."""

from decimal import Decimal

from budget import services
from budget.models import QuotaNotice
from demo import world
from tests import acts
from tests.conftest import NOW

REVIEWERS = ("u205001-fh", "xzzf-sh", "gk-jh")


def counted(act):
    with acts.statements() as seen:
        outcome = act()
    if hasattr(outcome, "raise_if_refused"):
        outcome.raise_if_refused()
    return len(seen)


def all_steps(no, count):
    clerk = world.officer("u205001-jb")
    first = world.officer(REVIEWERS[0])
    inputs = [services.PlanInput(world.indicator(no).id, 6, Decimal("0.01"))] * count
    plans, used = [], {}
    used["save"] = counted(lambda: plans.extend(services.save_plans(inputs=inputs, clerk=clerk, now=NOW)))
    ids = [plan.id for plan in plans]
    used["submit"] = counted(lambda: services.submit_plans(plan_ids=ids, clerk=clerk, now=NOW))
    used["return"] = counted(
        lambda: services.return_plans(plan_ids=ids, reviewer=first, reason_code="amount", reason="x", now=NOW)
    )
    services.submit_plans(plan_ids=ids, clerk=clerk, now=NOW).raise_if_refused()
    for who in REVIEWERS:
        reviewer = world.officer(who)
        used[f"approve {who}"] = counted(
            lambda reviewer=reviewer: services.approve_plans(plan_ids=ids, reviewer=reviewer, now=NOW)
        )
    return used, ids


def test_plans_of_both_kinds(city):
    for no in ("I5", "I6"):
        all_steps(no, 3)
        few, _ = all_steps(no, 10)
        many, _ = all_steps(no, 500)
        print(no, few)
        assert many == few


def test_adjustments(city):
    def used(count, start):
        made = [
            services.create_adjustment(
                indicator_id=world.indicator("I5").id,
                kind="add",
                doc_no=f"{start}-{number}",
                amount=Decimal("0.01"),
                note="",
                clerk=world.officer("ys-jb"),
                now=NOW,
            ).id
            for number in range(count)
        ]
        approver = world.officer("ys-fz")
        return counted(
            lambda: services.decide_adjustments(adjustment_ids=made, approver=approver, approve=True, now=NOW)
        )

    used(2, "a")
    assert used(10, "b") == used(60, "c")


def test_500_plans_fill_two_notices_and_arrive_whole(city, bank_b):
    """One voucher carries at most 499 lines."""
    _, ids = all_steps("I5", 500)
    maker, sealer = world.officer("gk-zd"), world.officer("gk-yz")

    services.issue_quota_notices(plan_ids=ids, maker=maker, now=NOW).raise_if_refused()

    notices = list(QuotaNotice.objects.order_by("amount"))
    assert [f"{notice.amount:.2f}" for notice in notices] == ["0.01", "4.99"]
    services.seal_quota_notices(notice_ids=[notice.id for notice in notices], sealer=sealer, now=NOW).raise_if_refused()
    for number, notice in enumerate(notices):
        assert bank_b.send(bank_b.arrival(f"DZ{number}", notice))[0].outcome == "applied"
    assert acts.books("I5")["quota"] == "30005.00"
