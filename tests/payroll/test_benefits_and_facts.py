"""Benefit lists after their public notice, and what the rules are told of the list behind a payment."""

from datetime import date
from decimal import Decimal

import pytest

from core.errors import ValidationFailed
from demo import world
from monitoring.facts import RosterFacts
from payments import rosters as registration
from payroll import services
from payroll.errors import RosterExists, RowsInvalid
from payroll.models import BenefitList, SalaryBatch
from payroll.progress import failed_lines, progress_of
from payroll.selectors import roster_facts
from tests import acts
from tests.conftest import NOW
from tests.payroll import rosters

D = Decimal
FARMERS = [
    ["赵四", rosters.identity(4), "6230000000040004", rosters.BANK, 85.5, 3.2, 273.6],
    ["钱五", rosters.identity(5), "6230000000040005", rosters.BANK, 85.5, 10.0, 855.0],
]
CLERK = rosters.CLERK


def imported(rows=FARMERS, **changes):
    file = rosters.xlsx(rosters.BENEFIT_HEADER, rows)
    return services.import_benefit_list(
        header=rosters.benefit_header(**changes), file=file, clerk=world.officer(CLERK), now=NOW
    )


def publish(found):
    return services.publish_benefit_lists(list_ids=[found.id], clerk=world.officer(CLERK), now=NOW)


def confirm(found):
    return services.confirm_benefit_lists(list_ids=[found.id], reviewer=world.officer(rosters.SECTION), now=NOW)


def generated(found):
    publish(found).raise_if_refused()
    confirm(found).raise_if_refused()
    return services.generate_payments(model=BenefitList, roster_id=found.id, clerk=world.officer(CLERK), now=NOW)


def test_a_list_from_file_to_everybodys_card(city, bank_a):
    found = imported()
    assert (found.head_count, found.amount, found.roster_no) == (2, D("1128.60"), "BT202600001")
    [request] = generated(found)
    assert (request.business_type, request.amount) == ("4", D("1128.60"))
    assert request.purpose == "耕地地力保护补贴 2026年度 城关镇"
    [request] = rosters.sent(found)
    bank_a.send(bank_a.receipt(request.voucher, failed={"2": "账户已销户"}))
    seen = progress_of(BenefitList, [BenefitList.objects.get()])[found.id]
    assert (seen.label, seen.paid.amount, seen.failed.amount) == ("部分成功", D("273.60"), D("855.00"))
    [line] = failed_lines(BenefitList, found.id, world.officer(CLERK))
    assert (line.row_no, line.reason) == (3, "账户已销户")
    services.reissue_failed(
        model=BenefitList,
        roster_id=found.id,
        corrections={line.detail.id: services.Correction("6230000000040055")},
        clerk=world.officer(CLERK),
        now=NOW,
    ).raise_if_refused()
    [again] = rosters.to_the_bank(found)
    bank_a.send(bank_a.receipt(again.voucher))
    assert progress_of(BenefitList, [BenefitList.objects.get()])[found.id].label == "完成"


@pytest.mark.parametrize(("ends", "ended"), [(date(2026, 6, 14), True), (date(2026, 6, 15), False)])
def test_nobody_confirms_while_the_notice_runs(city, ends, ended):
    found = imported(notice_to=ends)
    publish(found).raise_if_refused()
    refused = confirm(found).refused
    assert [error.code for error in refused.values()] == ([] if ended else ["public_notice_running"])


def test_an_objection_sends_the_list_back(city):
    found = imported()
    publish(found).raise_if_refused()
    officer = world.officer(rosters.SECTION)
    services.return_rosters(
        model=BenefitList, ids=[found.id], officer=officer, reason="公示有异议", now=NOW
    ).raise_if_refused()
    found.refresh_from_db()
    assert found.state == "draft"
    [refusal] = confirm(found).refused.values()
    assert refusal.code == "transition_not_allowed"


def test_who_made_the_list_does_not_confirm_it(city):
    found = imported()
    publish(found).raise_if_refused()
    acts.second_login(CLERK, "section_reviewer", section="教科文科")
    reviewer = world.officer(f"{CLERK}-section_reviewer")
    [refusal] = services.confirm_benefit_lists(list_ids=[found.id], reviewer=reviewer, now=NOW).refused.values()
    assert refusal.code == "acted_before"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"policy": " "}, "policy"),
        ({"township": "镇" * 16}, "township"),
        ({"dept_economic_code": "30201"}, "dept_economic_code"),
        ({"notice_to": date(2026, 5, 31)}, "notice_to"),
        ({"notice_to": date(2026, 8, 1)}, "notice_to"),
    ],
)
def test_a_wrong_header_names_its_field(city, changes, field):
    with pytest.raises(ValidationFailed) as refusal:
        imported(**changes)
    assert refusal.value.field == field


def test_one_active_list_of_a_policy_period_and_township(city):
    first = imported()
    with pytest.raises(RosterExists):
        imported()
    imported(township="河西镇")
    services.void_rosters(model=BenefitList, ids=[first.id], clerk=world.officer(CLERK), reason="", now=NOW)
    assert imported().head_count == 2


def test_wrong_products_are_named(city):
    with pytest.raises(RowsInvalid) as refusal:
        imported([[*FARMERS[0][:6], 273.61]])
    assert [(e.row, e.column) for e in refusal.value.errors] == [(2, "金额")]
    assert BenefitList.objects.count() == 0


# Facts --------------------------------------------------------------------------------------------------------------


def test_a_first_batch_has_no_last_one_and_nothing_wrong(city):
    [request] = rosters.generated(rosters.imported())
    assert roster_facts([request]) == {
        request.id: RosterFacts(
            kind="新增人员", month="2026-06", head_count=3, total=D("26500.00"), last_head_count=None, last_total=None
        )
    }


def test_payments_know_the_source_and_other_requests_have_no_list(city):
    [request] = rosters.generated(rosters.imported())
    other = acts.draft("I2", "1.00")
    found = registration.rosters_behind([request, other])
    assert set(found) == {request.id} and found[request.id].total == D("26500.00")
    assert registration.rosters_behind([]) == {}


def test_the_last_finished_batch_of_the_kind_is_beside_it_and_a_reissue_has_the_same(city, bank_a):
    may = rosters.imported(month=5)
    rosters.generated(may)
    later = rosters.imported(rosters.teachers()[:2], month=6)
    [request] = rosters.generated(later)
    assert roster_facts([request])[request.id].last_total is None  # May is not finished
    [paid] = rosters.sent(may)
    bank_a.send(bank_a.receipt(paid.voucher, failed={"3": "户名账号不符"}))
    facts = roster_facts([request])[request.id]
    assert (facts.head_count, facts.total) == (2, D("18400.00"))
    assert (facts.last_head_count, facts.last_total) == (3, D("26500.00"))
    [again] = services.reissue_failed(
        model=SalaryBatch, roster_id=may.id, corrections={}, clerk=world.officer(CLERK), now=NOW
    ).accepted
    assert roster_facts([again])[again.id].month == "2026-05"


def test_shared_cards_other_names_and_double_pay_are_named_masked(city):
    rosters.imported(kind="salary")
    rows = rosters.teachers()
    rows[0][0], rows[1][2] = "张乙", rows[0][2]
    batch = rosters.imported(rows)
    [request] = rosters.generated(batch)
    facts = roster_facts([request])[request.id]
    assert facts.shared_accounts == ("6230****0001",)
    assert facts.name_mismatches == ("第 2 行 张**",)
    assert facts.repeated_ids == ()  # another kind of pay is no double pay

    first, second = imported(), imported([FARMERS[0]], township="河西镇")
    [request] = generated(second)
    [repeated] = roster_facts([request])[request.id].repeated_ids
    assert repeated == f"第 2 行 990***********{FARMERS[0][1][-4:]}"
    services.void_rosters(model=BenefitList, ids=[first.id], clerk=world.officer(CLERK), reason="", now=NOW)
    assert roster_facts([request])[request.id].repeated_ids == ()


def test_facts_of_many_requests_take_as_many_statements_as_of_one(city):
    made = []
    for month in range(1, 7):
        made += rosters.generated(rosters.imported(month=month))
    with acts.statements() as one:
        roster_facts(made[:1])
    with acts.statements() as six:
        found = roster_facts(made)
    assert len(found) == 6 and len(six) == len(one)
