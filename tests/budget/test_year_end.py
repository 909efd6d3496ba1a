"""The year's end: what keeps it open, what is cancelled, carried over and recovered, and that it happens once."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from budget import services
from budget.code_import import load_codes
from budget.errors import YearClosed
from budget.models import (
    BudgetIndicator,
    BudgetYear,
    CarryOver,
    ClearingLimit,
    ClearingLimitEntry,
    IndicatorEntry,
    Quota,
    QuotaCancellation,
)
from budget.terms import Terms
from budget.year_end import apply_carry_overs, year_blockers
from core.calendar import start_day
from core.errors import TreasuryError
from core.models import BusinessDay, Workday
from demo import world
from payments.models import Refund
from reconciliation.audit.findings import Scope
from reconciliation.audit.invariants import INVARIANTS
from reconciliation.audit.runner import examine
from tests import acts
from tests.acts import changed, issued
from tests.bank import clearing, refund_clearing
from tests.conftest import NOW
from vouchers.models import ExchangePartner, InboxMessage, Voucher
from vouchers.pulling import AnsweredItem, answer_pulled

D = Decimal
LAST = date(2026, 12, 31)


def to_the_last_day():
    BusinessDay.objects.update(closed_at=NOW)
    start_day(adm_div_code=world.REGION, day=LAST, cut_off="16:00", by=world.officer("gk-dz"), now=NOW)


def prepare_next_year():
    BudgetYear.objects.create(adm_div_code=world.REGION, fiscal_year=2027)
    load_codes(fiscal_year=2027)


def blockers():
    return [blocker.code for blocker in year_blockers(world.REGION, 2026)]


def cancelled():
    """All three say the same of every authorised quota, and it is cancelled."""
    services.propose_cancellations(fiscal_year=2026, reconciler=world.officer("gk-dz"), now=NOW)
    rows = list(QuotaCancellation.objects.select_related("quota__unit").filter(state="open"))
    amounts = {row.id: row.amount for row in rows}
    services.enter_bank_list(list_no="ZX-1", amounts=amounts, reconciler=world.officer("gk-dz"), now=NOW)
    for row in rows:
        clerk = world.officer(f"u{row.quota.unit.code}-jb")
        services.confirm_by_unit(amounts={row.id: row.amount}, clerk=clerk, now=NOW).raise_if_refused()
    services.apply_cancellations(
        cancellation_ids=list(amounts), reconciler=world.officer("gk-dz"), now=NOW
    ).raise_if_refused()


def approved():
    services.propose_carry_overs(fiscal_year=2026, clerk=world.officer("ys-jb"), now=NOW)
    services.decide_carry_overs(
        carry_over_ids=list(CarryOver.objects.values_list("pk", flat=True)),
        approver=world.officer("ys-fz"),
        approve=True,
        now=NOW,
    ).raise_if_refused()


def close(who="gk-kz"):
    return services.close_year(fiscal_year=2026, chief=world.officer(who), now=NOW)


def carry(no):
    return CarryOver.objects.get(indicator__indicator_no=no)


def ready():
    to_the_last_day()
    prepare_next_year()
    cancelled()
    approved()


@pytest.fixture
def evening(city):
    """31 December after the last clearing: the books are the opening ones of the demonstration."""
    ready()
    return city


def test_on_a_day_in_june_everything_that_is_open_is_named(city):
    acts.submit(acts.draft("I1", "100.00")).raise_if_refused()
    acts.document("freeze", changed("I6", "1.00"), doc_no="DJ-9")
    found = {blocker.code: blocker for blocker in year_blockers(world.REGION, 2026)}
    assert set(found) == {
        *("days_left", "in_transit", "quota_in_transit", "documents_pending", "quota_left", "limits_left"),
        *("carry_overs_missing", "next_year_missing"),
    }
    assert found["in_transit"].names == ("I1",) and found["documents_pending"].names == ("DJ-9",)
    assert found["quota_left"].count == 3
    with pytest.raises(TreasuryError) as refusal:
        close()
    assert (refusal.value.code, refusal.value.http_status) == ("year_not_closable", 409)
    assert set(refusal.value.facts["blockers"]) == set(found)
    assert BudgetYear.objects.get(fiscal_year=2026).state == "open"


def test_only_the_chief_closes(evening):
    for who in ("gk-dz", "ys-fz", "ld-fg"):
        with pytest.raises(TreasuryError) as refusal:
            close(who)
        assert refusal.value.code == "role_required"


# Cancelling quotas --------------------------------------------------------------------------------------------------


def test_what_a_refund_gave_back_to_a_direct_limit_lapses_with_the_year(city, bank_a, pboc):
    """No quota stands behind it that could be cancelled; what is paid and not cleared still keeps the year open."""
    request = acts.sent("I2", "1000.00")
    bank_a.send(bank_a.receipt(request.voucher))
    assert "limits_left" in blockers()
    for body in clearing(bank_a, pboc, "HK-A-01", [(request, 1)]):
        (pboc if body.flag else bank_a).send(body)
    bank_a.send(bank_a.refund("TK0001", request, 1, "400.00", kind="2203", PayBankCode="102"))
    for body in refund_clearing(bank_a, pboc, "HT-A-01", [Refund.objects.get()]):
        (pboc if body.flag else bank_a).send(body)
    for voucher in Voucher.objects.filter(delivery__state="queued"):
        item = AnsweredItem(world.REGION, world.YEAR, voucher.voucher_type, voucher.voucher_no)
        answer_pulled(
            partner=ExchangePartner.objects.get(pk=voucher.receiver), items=[item], action="sign_for", now=NOW
        )
    assert acts.limit(world.BANK_A, "11") == "400.00"
    ready()

    assert close().state == "closed"

    [lapsed] = ClearingLimitEntry.objects.filter(kind="lapse")
    assert lapsed.issued_change == D("-400.00") and acts.limit(world.BANK_A, "11") == "0.00"
    assert _broken() == []


def test_a_quota_is_cancelled_only_when_all_three_say_the_same(city):
    reconciler, clerk = world.officer("gk-dz"), world.officer("u101001-jb")
    assert services.propose_cancellations(fiscal_year=2026, reconciler=reconciler, now=NOW) == 3
    assert services.propose_cancellations(fiscal_year=2026, reconciler=reconciler, now=NOW) == 0
    row = QuotaCancellation.objects.get(quota__indicator__indicator_no="I1")
    assert row.amount == D("80000.00")

    def apply():
        return services.apply_cancellations(cancellation_ids=[row.id], reconciler=reconciler, now=NOW)

    assert apply().refused[row.id].code == "amounts_differ"
    services.enter_bank_list(list_no="ZX", amounts={row.id: D("79999.99")}, reconciler=reconciler, now=NOW)
    services.confirm_by_unit(amounts={row.id: D("80000.00")}, clerk=clerk, now=NOW).raise_if_refused()
    assert apply().refused[row.id].code == "amounts_differ"
    services.enter_bank_list(list_no="ZX", amounts={row.id: D("80000.00")}, reconciler=reconciler, now=NOW)
    planned, limit = world.indicator("I1").amount_planned, acts.limit(world.BANK_A, "12")

    apply().raise_if_refused()

    assert acts.books("I1")["quota"] == "0.00"
    assert world.indicator("I1").amount_planned == planned - D("80000.00")
    assert (limit, acts.limit(world.BANK_A, "12")) == ("80000.00", "0.00")
    assert apply().refused[row.id].code == "transition_not_allowed"


def test_a_unit_speaks_for_its_own_quotas_only(city):
    services.propose_cancellations(fiscal_year=2026, reconciler=world.officer("gk-dz"), now=NOW)
    row = QuotaCancellation.objects.get(quota__indicator__indicator_no="I1")
    other = world.officer("u205001-jb")
    assert (
        services.confirm_by_unit(amounts={row.id: row.amount}, clerk=other, now=NOW).refused[row.id].code == "not_found"
    )
    for act in (
        lambda: services.confirm_by_unit(amounts={row.id: row.amount}, clerk=world.officer("gk-dz"), now=NOW),
        lambda: services.enter_bank_list(list_no="1", amounts={row.id: row.amount}, reconciler=other, now=NOW),
        lambda: services.propose_cancellations(fiscal_year=2026, reconciler=other, now=NOW),
    ):
        with pytest.raises(TreasuryError) as refusal:
            act()
        assert refusal.value.code == "role_required"


def test_the_database_refuses_a_cancellation_the_three_do_not_agree_on(city):
    services.propose_cancellations(fiscal_year=2026, reconciler=world.officer("gk-dz"), now=NOW)
    with pytest.raises(DatabaseError), transaction.atomic():
        QuotaCancellation.objects.update(state="applied")


# Carrying over ------------------------------------------------------------------------------------------------------


def test_what_is_unused_is_proposed_and_may_be_lowered_to_the_fen(city):
    to_the_last_day()
    clerk = world.officer("ys-jb")
    assert services.propose_carry_overs(fiscal_year=2026, clerk=clerk, now=NOW) == len(world.INDICATORS)
    assert (carry("I5").unused, carry("I5").amount) == (D("500000.00"), D("500000.00"))

    def set_to(amount, reason="只结转合同尾款"):
        return services.set_carry_over(
            carry_over_id=carry("I5").pk, amount=D(amount), reason=reason, clerk=clerk, now=NOW
        )

    for amount in ("500000.01", "-0.01", "0.001", "NaN"):
        with pytest.raises(TreasuryError) as refusal:
            set_to(amount)
        assert (refusal.value.code, refusal.value.field) == ("document_invalid", "amount")
    with pytest.raises(TreasuryError):
        set_to("1.00", " ")
    assert set_to("123456.78").recovered == D("376543.22")
    assert services.propose_carry_overs(fiscal_year=2026, clerk=clerk, now=NOW) == 0


def test_an_approved_one_stands_until_its_approver_gives_it_back(evening):
    with pytest.raises(TreasuryError) as refusal:
        services.set_carry_over(
            carry_over_id=carry("I5").pk, amount=D("1.00"), reason="x", clerk=world.officer("ys-jb"), now=NOW
        )
    assert refusal.value.code == "conflict"
    outcome = services.decide_carry_overs(
        carry_over_ids=[carry("I5").pk], approver=world.officer("ys-fz"), approve=False, reason="重报", now=NOW
    )
    outcome.raise_if_refused()
    assert carry("I5").state == "proposed" and blockers() == ["carry_overs_missing"]


def test_nobody_approves_an_own_proposal(city):
    to_the_last_day()
    services.propose_carry_overs(fiscal_year=2026, clerk=world.officer("ys-jb"), now=NOW)
    approver = world.officer("ys-fz")
    itself = type(approver)(**{**approver.__dict__, "person_id": carry("I5").created_by_id})
    outcome = services.decide_carry_overs(carry_over_ids=[carry("I5").pk], approver=itself, approve=True, now=NOW)
    assert outcome.refused[carry("I5").pk].code == "acted_before"
    with pytest.raises(DatabaseError), transaction.atomic():
        CarryOver.objects.update(approved_by=carry("I5").created_by_id)


def test_a_proposal_the_balance_has_left_behind_is_not_approved(city):
    to_the_last_day()
    services.propose_carry_overs(fiscal_year=2026, clerk=world.officer("ys-jb"), now=NOW)
    issued("reduce", changed("I5", "1.00"))
    outcome = services.decide_carry_overs(
        carry_over_ids=[carry("I5").pk], approver=world.officer("ys-fz"), approve=True, now=NOW
    )
    assert outcome.refused[carry("I5").pk].facts == {"available": D("499999.00")}
    assert services.propose_carry_overs(fiscal_year=2026, clerk=world.officer("ys-jb"), now=NOW) == 1
    assert carry("I5").amount == D("499999.00")


def test_money_unspent_for_two_years_is_recovered(city):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE budget_budgetindicator DISABLE TRIGGER USER")
        cursor.execute("UPDATE budget_budgetindicator SET carry_over_year = 2025 WHERE indicator_no = 'I5'")
        cursor.execute("ALTER TABLE budget_budgetindicator ENABLE TRIGGER USER")
    ready()
    row = carry("I5")
    assert (row.amount, row.must_recover) == (D("0.00"), True)
    with pytest.raises(DatabaseError), transaction.atomic():
        CarryOver.objects.filter(pk=row.pk).update(amount=D("0.01"))
    close()
    assert carry("I5").next_indicator is None
    assert world.indicator("I5").amount_available == D("0.00")


def test_the_whole_year_goes_over_to_the_fen(city):
    department = issued("add", _department("90000.00"), doc_no="1").lines.get().indicator
    child = Terms("101002", "11", "2050204", "50502", "12")
    issued("split", services.LineInput(D("40000.00"), parent_id=department.id, terms=child), doc_no="2")
    to_the_last_day()
    prepare_next_year()
    cancelled()
    services.propose_carry_overs(fiscal_year=2026, clerk=world.officer("ys-jb"), now=NOW)
    services.set_carry_over(
        carry_over_id=carry("I5").pk, amount=D("123456.78"), reason="合同尾款", clerk=world.officer("ys-jb"), now=NOW
    )
    approved()
    before = {i.id: i.amount_available for i in BudgetIndicator.objects.filter(fiscal_year=2026)}

    assert close().state == "closed"

    for old in BudgetIndicator.objects.filter(fiscal_year=2026).select_related("carry_over__next_indicator"):
        unplanned = old.amount_paid if old.payment_mode == "31" else D("0.00")  # a unit's own funds need no plan
        assert old.amount_available == D("0.00") and old.amount_plannable == unplanned, old
        new = old.carry_over.next_indicator
        want = D("123456.78") if old.indicator_no == "I5" else before[old.id]
        assert (new.amount_total, new.amount_available) == (want, want)
        for name in ("unit", "function_code", "gov_economic_code", "fund_nature", "tags", "sanbao", "direct_fund"):
            assert getattr(new, name) == getattr(old, name), name
        assert (new.fiscal_year, new.carry_over_year, new.parent) == (2027, 2026, None)
        assert hasattr(new, "quota") is (old.layer == "unit")
    assert not any(q.amount_available for q in Quota.objects.filter(fiscal_year=2026))
    assert not any(limit.amount_available for limit in ClearingLimit.objects.all())
    recovered = sum(-e.total_change for e in IndicatorEntry.objects.filter(kind="recover_unused"))
    assert recovered == D("500000.00") - D("123456.78")
    assert _broken() == []


def _department(amount):
    terms = Terms("101001", "11", "2050204", "50502", "12", layer="department")
    return services.LineInput(amount=D(amount), terms=terms)


def _broken():
    asked = [i for i in INVARIANTS if i.id in ("I02", "I03", "I04", "I17", "I23", "I25")]
    results = [examine(invariant, Scope(world.REGION, NOW)) for invariant in asked]
    return [(result.id, sample.explanation) for result in results for sample in result.samples]


def test_closing_twice_changes_nothing_more(evening):
    close()
    before = acts.everything()
    assert close().state == "closed"
    assert acts.everything() == before


def test_a_run_killed_half_way_is_finished_by_the_next(evening, monkeypatch):
    monkeypatch.setattr("budget.year_end.CHUNK", 2)
    calls = []

    def killed(**given):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return apply_carry_overs(**given)

    monkeypatch.setattr("budget.year_end.apply_carry_overs", killed)
    with pytest.raises(KeyboardInterrupt):
        close()
    monkeypatch.setattr("budget.year_end.apply_carry_overs", apply_carry_overs)
    assert BudgetYear.objects.get(fiscal_year=2026).state == "closing"
    assert CarryOver.objects.filter(state="applied").count() == 4
    with pytest.raises(YearClosed):
        acts.submit(acts.draft("I1", "1.00"))

    assert close().state == "closed"
    assert BudgetIndicator.objects.filter(fiscal_year=2027).count() == len(world.INDICATORS)
    assert IndicatorEntry.objects.filter(kind="carry_in").count() == len(world.INDICATORS)
    assert _broken() == []


def test_nothing_is_booked_in_a_closed_year_by_the_services_or_by_raw_sql(evening):
    close()
    with pytest.raises(TreasuryError) as refusal:
        acts.document("add", changed("I5", "1.00"), doc_no="2")
    assert refusal.value.code == "year_closed"
    for table in ("indicatorentry", "quotaentry", "clearinglimitentry"):
        with pytest.raises(DatabaseError, match="is closed"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO budget_{table} SELECT (jsonb_populate_record(e, jsonb_build_object(
                        'id', gen_random_uuid(), 'kind', 'lapse'))).* FROM budget_{table} e LIMIT 1"""
            )
    for change in ("open", "closing"):
        with pytest.raises(DatabaseError), transaction.atomic():
            BudgetYear.objects.filter(fiscal_year=2026).update(state=change)


def test_the_next_year_opens_and_plans_on_what_was_carried_over(evening):
    close()
    BusinessDay.objects.filter(closed_at__isnull=True).update(closed_at=NOW)
    Workday.objects.get_or_create(date=date(2027, 1, 4), defaults={"worked": True})
    start_day(adm_div_code=world.REGION, day=date(2027, 1, 4), cut_off="16:00", by=world.officer("gk-dz"), now=NOW)
    new = carry("I5").next_indicator
    clerk = world.officer("u205001-jb")
    [plan] = services.save_plans(inputs=[services.PlanInput(new.id, 1, D("500000.00"))], clerk=clerk, now=NOW)
    services.submit_plans(plan_ids=[plan.id], clerk=clerk, now=NOW).raise_if_refused()
    assert BudgetIndicator.objects.get(pk=new.id).amount_plannable == D("0.00")


# Races --------------------------------------------------------------------------------------------------------------


def test_a_late_receipt_and_the_close_never_lose_each_other(real_city, pki):
    """Either the receipt is applied and the close refuses, or the close comes first and refuses for what is under way;
    in no order is the receipt lost or applied to a closed year."""
    from tests.bank import Partner

    request = acts.sent("I1", "100.00")
    bank = Partner(pki, world.BANK_A)
    body = bank.receipt(request.voucher)

    answers = acts.together(lambda: bank.send(body), close)

    assert isinstance(answers[1], TreasuryError) and answers[1].code == "year_not_closable"
    assert acts.fresh(request)[0].state == "paid"
    assert InboxMessage.objects.get(voucher_type="8202", flag=1).state == "applied"
    assert BudgetYear.objects.get(fiscal_year=2026).state == "open"


def test_a_receipt_while_the_year_is_closing_waits_and_is_kept(real_city, pki):
    from tests.bank import Partner

    request = acts.sent("I1", "100.00")
    bank = Partner(pki, world.BANK_A)
    body = bank.receipt(request.voucher)
    BudgetYear.objects.update(state="closing")

    [answer] = bank.send(body)

    row = InboxMessage.objects.get(voucher_type="8202", flag=1)
    assert (answer.outcome, row.state, row.code) == ("parked", "parked", "year_closed")
    assert acts.fresh(request)[0].state in ("sealed", "accepted")


def test_of_a_submit_and_the_close_exactly_one_wins(real_city):
    ready()
    quota = Quota.objects.get(indicator__indicator_no="I6")
    request = acts.draft("I6", "600000.00")
    assert quota.amount_available == D("600000.00")

    answers = acts.together(lambda: acts.submit(request), close)

    submitted = not isinstance(answers[0], Exception)
    if submitted:
        assert answers[1].code == "year_not_closable"
        assert BudgetYear.objects.get(fiscal_year=2026).state == "open"
    else:
        assert answers[0].code == "year_closed" and answers[1].state == "closed"
        assert world.indicator("I6").amount_reserved == D("0.00")


# The audit ----------------------------------------------------------------------------------------------------------


SPOILT = {
    """UPDATE budget_indicatorentry SET indicator_id = (SELECT id FROM budget_budgetindicator WHERE indicator_no = 'I1')
        WHERE kind = 'carry_out' AND indicator_id = (SELECT id FROM budget_budgetindicator
                                                      WHERE indicator_no = 'I2')""": "budget_indicatorentry",
    "UPDATE budget_indicatorentry SET planned_change = 0 WHERE kind = 'lapse'": "budget_budgetindicator",
    "UPDATE budget_carryover SET amount = amount - 1 WHERE amount > 1": "budget_carryover",
    """UPDATE budget_indicatorentry SET total_change = total_change + 1 WHERE kind = 'carry_in'""": "budget_carryover",
    "UPDATE budget_budgetindicator SET sanbao = 'livelihood' WHERE fiscal_year = 2027": "budget_carryover",
    "UPDATE budget_budgetindicator SET carry_over_year = NULL WHERE fiscal_year = 2027": "budget_carryover",
    "UPDATE budget_quotacancellation SET amount = 1, bank_amount = 1, unit_amount = 1": "budget_quotacancellation",
    "UPDATE budget_quotaentry SET granted_change = granted_change + 1 WHERE kind = 'lapse'": "budget_quota",
}


def test_the_audit_finds_a_year_end_that_was_tampered_with(evening):
    close()
    [invariant] = [i for i in INVARIANTS if i.id == "I23"]
    assert examine(invariant, Scope(world.REGION, NOW)).status == "ok"
    tables = ("carryover", "indicatorentry", "budgetindicator", "quotacancellation", "quotaentry")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE budget_{table} DISABLE TRIGGER USER")
        for statement, named in SPOILT.items():
            cursor.execute("SAVEPOINT honest")
            cursor.execute(statement)
            assert cursor.rowcount, statement
            found = examine(invariant, Scope(world.REGION, NOW))
            assert found.status == "broken" and named in {sample.table for sample in found.samples}, statement
            cursor.execute("ROLLBACK TO SAVEPOINT honest")
