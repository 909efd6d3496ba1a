"""Plans too: a batch of 500 sends as many statements as a batch of 10; a notice takes its own few."""

from decimal import Decimal

from budget import services
from budget.models import IndicatorDocument, QuotaNotice
from budget.terms import Terms
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


def test_indicator_documents(city):
    """Writing, deciding and issuing cost the same whether there are few documents and lines or many."""
    clerk = world.officer("ys-jb")
    department = acts.issued("add", _term("department", "99999.00"), doc_no="0").lines.get().indicator_id

    def used(count, start):
        lines = tuple(_term("unit", "0.01", parent_id=department) for _ in range(count))
        given = services.DocumentInput("split", f"{start}-lines", lines)
        wrote = counted(lambda: services.save_document(given=given, clerk=clerk, now=NOW))
        made = [IndicatorDocument.objects.get(doc_no=f"{start}-lines").id] + [
            services.save_document(
                given=services.DocumentInput("add", f"{start}-{number}", (acts.changed("I5", "0.01"),)),
                clerk=clerk,
                now=NOW,
            ).id
            for number in range(count)
        ]
        submitted = counted(lambda: services.submit_documents(document_ids=made, clerk=clerk, now=NOW))
        approver = world.officer("ys-fz")
        decided = counted(
            lambda: services.decide_documents(document_ids=made, officer=approver, decision="approve", now=NOW)
        )
        issued = counted(lambda: services.issue_documents(document_ids=made, clerk=clerk, now=NOW))
        assert IndicatorDocument.objects.filter(state="issued").count() >= count + 2
        return wrote, submitted, decided, issued

    used(2, "a")
    assert used(10, "b") == used(60, "c")


def _term(layer, amount, parent_id=None):
    terms = Terms("101002", "11", "2050204", "50502", "12", layer=layer)
    return services.LineInput(amount=Decimal(amount), parent_id=parent_id, terms=terms)


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
