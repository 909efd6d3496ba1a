"""5105 and 5106 out, 2104 in: authorised quota exists when the bank says that it has arrived."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from budget import services
from budget.models import ClearingLimitEntry, QuotaEntry, QuotaNotice, SpendingPlan
from core.models import BusinessDay
from demo import world
from tests import acts
from tests.bank import Partner
from tests.conftest import NOW
from vouchers.codec import decode_content
from vouchers.inbox import apply_waiting
from vouchers.models import InboxMessage, Voucher

D = Decimal


def approved(no, *amounts):
    clerk = world.officer(f"{acts.CLERK_OF[no]}-jb")
    inputs = [services.PlanInput(world.indicator(no).id, 6, D(amount)) for amount in amounts]
    plans = services.save_plans(inputs=inputs, clerk=clerk, now=NOW)
    ids = [p.id for p in plans]
    services.submit_plans(plan_ids=ids, clerk=clerk, now=NOW).raise_if_refused()
    for who in (f"{acts.CLERK_OF[no]}-fh", acts.SECTION_OF[acts.CLERK_OF[no]], "gk-jh"):
        services.approve_plans(plan_ids=ids, reviewer=world.officer(who), now=NOW).raise_if_refused()
    return plans


def notify(*plans, who="gk-zd"):
    maker = world.officer(who) if isinstance(who, str) else who
    return services.issue_quota_notices(plan_ids=[p.id for p in plans], maker=maker, now=NOW)


def seal(*notices, who="gk-yz"):
    sealer = world.officer(who) if isinstance(who, str) else who
    return services.seal_quota_notices(notice_ids=[n.id for n in notices], sealer=sealer, now=NOW)


@pytest.fixture
def notice(city):
    """120,000.00 for I5, sealed and on its way to bank B."""
    notify(*approved("I5", "120000.00")).raise_if_refused()
    made = QuotaNotice.objects.get()
    seal(made).raise_if_refused()
    return made


def test_the_whole_chain_brings_30000_to_150000(notice, bank_b):
    assert acts.books("I5")["quota"] == "30000.00"
    assert acts.limit(world.BANK_B, "12") == "210000.00"

    [answer] = bank_b.send(bank_b.arrival("DZ0001", notice))

    assert answer.outcome == "applied", answer
    assert acts.books("I5")["quota"] == "150000.00"
    assert SpendingPlan.objects.get().state == "arrived"
    assert QuotaNotice.objects.get().amount_arrived == D("120000.00")
    assert QuotaEntry.objects.get(kind="grant").granted_change == D("120000.00")
    assert ClearingLimitEntry.objects.get(kind="notice_5106").issued_change == D("120000.00")


def test_5105_goes_to_the_bank_and_5106_to_pboc_with_the_same_figures(notice):
    quota, limit = Voucher.objects.order_by("voucher_type")

    assert (quota.voucher_type, quota.voucher_no, quota.receiver) == ("5105", "SQ0001", world.BANK_B)
    assert (limit.voucher_type, limit.voucher_no, limit.receiver) == ("5106", "QS0001", world.PBOC)
    for voucher in (quota, limit):
        content, _ = decode_content(bytes(voucher.text))
        assert (voucher.state, voucher.sender, voucher.amount) == ("sealed", world.FINANCE, D("120000.00"))
        assert (content.main["PlanAmt"], [d["PlanAmt"] for d in content.details]) == ("120000.00", ["120000.00"])
        assert [(d["AgencyCode"], d["ExpFuncCode"]) for d in content.details] == [("205001", "2040220")]


def test_unsealed_it_may_not_be_cleared_and_an_early_2104_waits(city, bank_b):
    notify(*approved("I5", "120000.00")).raise_if_refused()
    notice = QuotaNotice.objects.get()
    assert acts.limit(world.BANK_B, "12") == "90000.00"

    [answer] = bank_b.send(bank_b.arrival("DZ0001", notice))

    assert (answer.outcome, acts.books("I5")["quota"]) == ("parked", "30000.00")
    seal(notice).raise_if_refused()
    apply_waiting(now=NOW + timedelta(seconds=10))
    assert acts.books("I5")["quota"] == "150000.00"


def test_plans_of_one_bank_and_month_travel_in_one_notice_per_fund(city):
    plans = approved("I5", "1.00", "2.00") + approved("I3", "4.00") + approved("I1", "8.00")
    notify(*plans).raise_if_refused()
    assert sorted(QuotaNotice.objects.values_list("agent_bank__organisation", "amount")) == [
        (world.BANK_A, D("8.00")),
        (world.BANK_B, D("7.00")),
    ]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"PlanAmt": "119999.99"}, "conflict", "PlanAmt"),
        ({"PlanAmt": "120000.01"}, "conflict", "PlanAmt"),
        ({"OriVoucherNo": "SQ0002"}, "not_found", "OriVoucherNo"),
        ({"OriVoucherNo": "QS0001"}, "not_found", "OriVoucherNo"),
    ],
)
def test_a_2104_that_says_something_else_changes_nothing(notice, bank_b, changes, code, field):
    before = acts.everything()

    [answer] = bank_b.send(bank_b.arrival("DZ0001", notice, **changes))

    assert (answer.outcome, answer.error.code, answer.error.field) == ("refused", code, field)
    assert acts.everything() == before
    assert InboxMessage.objects.get().state == "refused"  # the trace


def test_another_banks_2104_is_refused(notice, bank_a):
    before = acts.everything()
    [answer] = bank_a.send(bank_a.arrival("DZ0001", notice))
    assert (answer.outcome, answer.error.code, answer.error.field) == ("refused", "not_found", "OriVoucherNo")
    assert acts.everything() == before


def test_what_has_arrived_does_not_arrive_again(notice, bank_b):
    first = bank_b.arrival("DZ0001", notice)
    bank_b.send(first)
    before = acts.everything()

    [replayed] = bank_b.send(first)
    [renumbered] = bank_b.send(bank_b.arrival("DZ0002", notice))

    assert replayed.outcome == "duplicate"
    assert (renumbered.outcome, renumbered.error.code) == ("refused", "conflict")
    assert acts.everything() == before


def test_a_2104_while_no_day_is_open_waits_for_the_next(notice, bank_b):
    BusinessDay.objects.update(closed_at=NOW)

    [answer] = bank_b.send(bank_b.arrival("DZ0001", notice))

    assert (answer.outcome, InboxMessage.objects.get().code) == ("parked", "day_closed")
    assert acts.books("I5")["quota"] == "30000.00"


def test_a_direct_plan_needs_no_notice(city):
    [plan] = approved("I6", "1.00")
    assert notify(plan).refused[plan.id].code == "conflict"


def test_a_plan_is_notified_once(notice):
    plan = SpendingPlan.objects.get()
    assert notify(plan).refused[plan.id].code == "transition_not_allowed"
    assert seal(notice).refused[notice.id].code == "conflict"


@pytest.mark.parametrize("who", ["gk-yz", "gk-jh", "u205001-jb", "ys-jb"])
def test_only_the_voucher_maker_makes_notices(city, who):
    [plan] = approved("I5", "1.00")
    assert notify(plan, who=who).refused[plan.id].code == "role_required"
    assert Voucher.objects.count() == 0


@pytest.mark.parametrize("reviewer", ["u205001-jb", "u205001-fh", "xzzf-sh", "gk-jh"])
def test_nobody_makes_or_seals_a_notice_of_an_own_or_reviewed_plan(city, reviewer):
    [plan] = approved("I5", "1.00")
    person = world.officer(reviewer).person_id
    maker = world.officer("gk-zd")
    same = type(maker)(**{**maker.__dict__, "person_id": person})
    assert notify(plan, who=same).refused[plan.id].code == "acted_before"
    notify(plan).raise_if_refused()
    notice = QuotaNotice.objects.get()
    sealer = world.officer("gk-yz")

    for involved in (person, maker.person_id):
        same = type(sealer)(**{**sealer.__dict__, "person_id": involved})
        assert seal(notice, who=same).refused[notice.id].code == "acted_before"
    assert seal(notice, who="gk-zd").refused[notice.id].code == "role_required"


def test_a_notice_is_frozen_by_the_database_too(notice):
    for statement in (
        "UPDATE budget_quotanotice SET amount = 1",
        "UPDATE budget_quotanotice SET month = 7",
        "UPDATE budget_quotanotice SET amount_arrived = 1",
        "DELETE FROM budget_quotanotice",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_the_same_2104_in_five_threads_arrives_once(real_city, pki):
    notify(*approved("I5", "120000.00")).raise_if_refused()
    notice = QuotaNotice.objects.get()
    seal(notice).raise_if_refused()
    bank = Partner(pki, world.BANK_B)
    body = bank.arrival("DZ0001", notice)

    answers = acts.together(*[lambda: bank.send(body)[0].outcome] * 5)

    assert set(answers) <= {"applied", "duplicate", "stored"} and answers.count("applied") <= 1
    apply_waiting(now=NOW)
    assert acts.books("I5")["quota"] == "150000.00"
    assert QuotaEntry.objects.filter(kind="grant").count() == 1
