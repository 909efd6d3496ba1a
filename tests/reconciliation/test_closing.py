"""Differences are settled, blockers listed one and all, and a clean day closes with its digest."""

from dataclasses import replace
from uuid import uuid4

import pgtrigger
import pytest
from django.db import DatabaseError, connection, transaction

from budget.models import IndicatorEntry
from core.errors import DayClosed, NotFound, RoleRequired, TransitionNotAllowed
from core.models import BusinessDay
from core.money import yuan
from parties.errors import ActedBefore
from parties.models import Person
from payments.models import PaymentRequest
from reconciliation import selectors, services
from reconciliation.digest import day_digest
from reconciliation.errors import DayNotClosable, ReasonMissing, ResolvedByRerun
from reconciliation.models import Discrepancy, Sheet
from tests.reconciliation.builders import (
    BANK_B,
    DAY,
    FRIDAY,
    NOW,
    RECONCILER,
    REGION,
    YEAR,
    bank_line,
    bank_report,
    clear,
    clearing_line,
    clearing_statement,
    limit,
    limit_line,
    limit_statement,
    make_message,
    make_payment,
    receive,
    refund,
    set_state,
)
from vouchers.models import Delivery

pytestmark = pytest.mark.django_db


def match():
    return services.match_day(adm_div_code=REGION, date=DAY, by=RECONCILER, now=NOW)


def close():
    return services.close_day(adm_div_code=REGION, by=RECONCILER, now=NOW)


def blockers() -> dict[str, int]:
    return {blocker.code: blocker.count for blocker in services.day_blockers(REGION, DAY)}


@pytest.fixture
def clean_day(world):
    """P7 paid, cleared and reported by everybody, R0 refunded and cleared; matched."""
    payment = make_payment(world, "B", "SZ0004", ["98000.00"])
    receive(payment)
    old = make_payment(world, "B", "SZ20260612001", ["3000.00"], state="cleared", imported=True)
    old.details.update(state="paid")
    back = refund(old.details.get(), "3000.00")
    clear(world, "B", "HK-B-01", list(payment.details.all()))
    clear(world, "B", "HT-B-01", [back])
    limit(world, "B", issued="210000.00", cleared="98000.00", refunded="3000.00")
    bank_report("B", [bank_line("SZ0004", 1, "98000.00"), bank_line("SZ20260612001", 1, "-3000.00")])
    clearing_statement(
        [
            clearing_line(BANK_B, "HK-B-01", 1, "98000.00", payment="SZ0004"),
            clearing_line(BANK_B, "HT-B-01", 1, "-3000.00", payment="SZ20260612001"),
        ]
    )
    limit_statement([limit_line(BANK_B, "90000.00", "120000.00", "95000.00", "115000.00")])
    match()
    return world


def test_a_clean_day_closes_and_stays_closed(clean_day):
    assert blockers() == {}

    day = close()

    assert (day.date, day.closed_by, day.closed_at) == (DAY, "对账员", NOW)
    assert day.digest == day_digest(REGION, DAY)
    with pytest.raises(DayClosed):
        close()
    with pytest.raises(DayClosed):
        match()
    with pytest.raises(DatabaseError), transaction.atomic():
        BusinessDay.objects.filter(pk=day.pk).update(digest="0" * 64)


def test_zero_balance_accounts_show_what_went_through_them(clean_day):
    rows = {row.account_no: row for row in services.zero_balance_accounts(REGION, DAY)}

    b = rows["ZBA-B"]
    assert (b.opening, b.paid_in, b.paid_out, b.closing) == (0, yuan("101000.00"), yuan("101000.00"), 0)
    assert (rows["ZBA-A"].paid_in, rows["ZBA-A"].closing) == (0, 0)


def test_every_blocker_is_listed_at_once(world):
    unanswered = make_payment(world, "B", "SZ0006", ["15000.00"])
    paid = make_payment(world, "B", "SZ0004", ["98000.00"])
    receive(paid)
    for state, number in (("unknown", "SZ11"), ("queued", "SZ12")):
        draft = make_payment(world, "B", number, ["1.00"], state="approved")
        Delivery.objects.create(
            adm_div_code=REGION,
            fiscal_year=YEAR,
            voucher=draft.voucher,
            partner_id="BANK-B",
            state=state,
            next_attempt_at=NOW,
        )
    make_message("BANK-B", "2204", state="parked")
    make_message("BANK-B", "2204", state="received")
    limit(world, "B", issued="1.00", cleared="0.00")
    receive(make_payment(world, "A", "SZ0001", ["5.00"]))
    bank_report("B", [bank_line("SZ0004", 1, "98000.00"), bank_line("SZ0006", 1, "15000.00")], pack="1/2")

    assert blockers()["sheets_missing"] == 9
    match()

    assert blockers() == {
        "payments_unanswered": 1,
        "deliveries_unknown": 1,
        "deliveries_queued": 1,
        "inbox_parked": 1,
        "inbox_received": 1,
        "discrepancies_open": 1,
        "sheets_different": 3,
        "statements_missing": 2,
        "statements_incomplete": 1,
        "zero_balance_not_zero": 2,
    }
    with pytest.raises(DayNotClosable) as refusal:
        close()
    assert refusal.value.code == "day_not_closable"
    assert {b["code"] for b in refusal.value.facts["blockers"]} == blockers().keys()
    assert any("ZBA-B -98,000.00" in b["text"] for b in refusal.value.facts["blockers"])
    assert BusinessDay.objects.get(date=DAY).closed_at is None
    set_state(unanswered, "voided")
    assert "payments_unanswered" not in blockers()


def test_books_that_moved_after_the_matching_must_be_matched_again(clean_day):
    payment = make_payment(clean_day, "B", "SZ0007", ["1.00"])
    receive(payment)
    clear(clean_day, "B", "HK-B-02", list(payment.details.all()))

    assert blockers() == {"sheets_stale": 2}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world: make_payment(world, "B", "SZ9", ["1.00"]),
        lambda world: make_payment(world, "B", "SZ9", ["1.00"], state="accepted"),
        lambda world: make_message("BANK-B", "2204", state="parked"),
        lambda world: receive(make_payment(world, "B", "SZ9", ["1.00"])),
        lambda world: limit(world, "A", issued="1.00", cleared="0.00"),
        lambda world: bank_report("B", []),
    ],
)
def test_anything_left_over_refuses_the_close(clean_day, spoil):
    spoil(clean_day)

    with pytest.raises(DayNotClosable):
        close()


def test_p13_found_by_the_bank_report_settles_itself_with_the_next_run(world):
    lost = make_payment(world, "B", "SZ0006", ["15000.00"])
    bank_report("B", [bank_line("SZ0006", 1, "15000.00")])
    match()
    first = Discrepancy.objects.get()

    with pytest.raises(ResolvedByRerun):
        services.resolve_discrepancy(discrepancy_id=first.id, note="已电话确认", by=RECONCILER, now=NOW)
    match()
    receive(lost)
    match()

    rows = [(row.sheet.run, row.state, row.resolution) for row in Discrepancy.objects.order_by("sheet__run")]
    assert rows == [
        (1, "resolved", "第 2 次对账仍有差异，转入该次处理"),
        (2, "resolved", "第 3 次对账已无此差异"),
    ]
    runs = selectors.runs_of(Sheet.objects.get(pk=first.sheet_id))
    assert [(sheet.run, sheet.difference, sheet.state) for sheet in runs] == [
        (1, yuan("15000.00"), "different"),
        (2, yuan("15000.00"), "different"),
        (3, 0, "matched"),
    ]
    assert [sheet.run for sheet in selectors.sheets_of_day(REGION, DAY)] == [3] * 9


def test_whoever_had_a_part_in_a_payment_does_not_settle_its_difference(world):
    receive(make_payment(world, "B", "SZ1", ["100.00"]))
    bank_report("B", [bank_line("SZ1", 1, "100.00", payee="6239999")])
    match()
    row, clerk = Discrepancy.objects.get(), Person.objects.create(name="经办", staff_no="J1")
    with pgtrigger.ignore("payments.PaymentRequest:request_content_frozen"):
        PaymentRequest.objects.filter(voucher_no="SZ1").update(created_by=clerk)

    with pytest.raises(ActedBefore):
        services.resolve_discrepancy(
            discrepancy_id=row.id, note="已核实", by=replace(RECONCILER, person_id=clerk.pk), now=NOW
        )
    services.resolve_discrepancy(discrepancy_id=row.id, note="已核实", by=RECONCILER, now=NOW)
    assert Discrepancy.objects.get().state == "resolved"


def test_a_difference_without_money_is_accepted_with_a_reason_and_stays_accepted(world):
    receive(make_payment(world, "B", "SZ1", ["100.00"]))
    bank_report("B", [bank_line("SZ1", 1, "100.00", payee="6239999")])
    match()
    row = Discrepancy.objects.get()
    resolve = services.resolve_discrepancy

    for note in ("", " ", "长" * 301):
        with pytest.raises(ReasonMissing):
            resolve(discrepancy_id=row.id, note=note, by=RECONCILER, now=NOW)
    with pytest.raises(NotFound):
        resolve(discrepancy_id=uuid4(), note="好", by=RECONCILER, now=NOW)
    with pytest.raises(NotFound):
        resolve(discrepancy_id=row.id, note="好", by=replace(RECONCILER, adm_div_code="990200000"), now=NOW)
    done = resolve(discrepancy_id=row.id, note="银行换卡，已核实", by=RECONCILER, now=NOW)

    assert (done.state, done.resolved_by, done.resolution) == ("resolved", "对账员", "银行换卡，已核实")
    assert Sheet.objects.get(pk=row.sheet_id).state == "settled"
    with pytest.raises(TransitionNotAllowed):
        resolve(discrepancy_id=row.id, note="再来", by=RECONCILER, now=NOW)

    match()
    again = Sheet.objects.get(pair="bank_payment", partner="BANK-B", run=2)
    assert again.state == "settled"
    assert again.discrepancies.get().resolution == "银行换卡，已核实"


@pytest.mark.parametrize("call", [match, close])
def test_only_a_reconciler_matches_and_closes(world, call, monkeypatch):
    monkeypatch.setitem(globals(), "RECONCILER", replace(RECONCILER, roles=frozenset({"treasury_chief"})))

    with pytest.raises(RoleRequired):
        call()


def test_only_the_open_day_is_matched(world):
    with pytest.raises(DayClosed):
        services.match_day(adm_div_code=REGION, date=FRIDAY, by=RECONCILER, now=NOW)


def test_the_digest_changes_with_any_entry_of_the_day(world):
    def entry(on, amount):
        IndicatorEntry.objects.create(
            adm_div_code=REGION,
            fiscal_year=YEAR,
            indicator=world.indicator,
            kind="pay",
            business_date=on,
            actor_name="x",
            at=NOW,
            paid_change=yuan(amount),
        )

    empty = day_digest(REGION, DAY)
    entry(FRIDAY, "1.00")
    assert day_digest(REGION, DAY) == empty
    entry(DAY, "1.00")
    one = day_digest(REGION, DAY)
    assert one != empty
    with pgtrigger.ignore("budget.IndicatorEntry:append_only"):
        IndicatorEntry.objects.filter(business_date=DAY).update(paid_change=yuan("1.01"))
    assert day_digest(REGION, DAY) not in (empty, one)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE reconciliation_sheet SET our_amount = our_amount + 1, difference = difference - 1",
        "UPDATE reconciliation_sheet SET state = 'matched' WHERE state = 'different'",
        "DELETE FROM reconciliation_sheet",
        "UPDATE reconciliation_discrepancy SET their_amount = 0",
        "UPDATE reconciliation_discrepancy SET state = 'resolved'",
        "DELETE FROM reconciliation_discrepancy",
    ],
)
def test_raw_sql_cannot_touch_what_is_frozen(world, sql):
    make_payment(world, "B", "SZ0006", ["15000.00"])
    bank_report("B", [bank_line("SZ0006", 1, "15000.00")])
    match()

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
