"""A year of 临江市 in one run: 250 business days, every method and kind of payment, what comes back, what is put
right, month ends under the audit, and a year's end in the middle of it, with the figures to the fen on both sides.
"""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from budget import services as budget
from budget.code_import import load_codes
from budget.entries import Context
from budget.models import (
    BudgetIndicator,
    BudgetYear,
    CarryOver,
    ClearingLimit,
    ClearingLimitEntry,
    Quota,
    QuotaCancellation,
)
from budget.year_end import YearNotClosable, year_blockers
from cards.services import TransactionInput, take_card_transactions
from contracts.services import ContractInput, import_contract
from core.actors import Actor
from core.models import BusinessDay, Workday
from demo import world
from parties.models import BudgetUnit
from payments import services as payments
from payments.models import Clearing, Correction, PaymentDetail, PaymentRequest, PriorYearRefund
from reconciliation.audit import run_audit
from tests import acts, corrected
from tests.contracts import builders as works
from tests.journeys.year import ZERO, Account, City, Wish, wire, workdays

D = Decimal
DAYS = 250
LAST, NEXT, LATER = date(2026, 12, 31), date(2027, 1, 4), date(2027, 3, 1)
PBOC_BANK = {"payee_bank_no": "104990100013"}
CARD_BANK = Actor(name="丙银行", roles=frozenset({"agent_bank"}), adm_div_code=world.REGION)
PLANS = {"I1": "15000.00", "I2": "90000.00", "I3": "15000.00", "I4": "30000.00", "I5": "15000.00"}
PLANS |= {"I6": "40000.00", "I7": "9000.00", "I9": "60000.00"}
FOR_CORRECTIONS = {"I1B": "3000.00", "I2B": "3000.00"}  # planned in the first month of each year


def amount_of(n: int, base: int = 100) -> str:
    """Another amount every time, with fen."""
    return f"{base + n}.{(n * 37) % 100:02d}"


def payee(n: int, amount: str, **changes: str):
    return acts.line(amount, payee_name=f"收款人{n}", payee_account_no=f"62300001{n:08d}", **changes)


# The kinds of a day: each says what is asked for today; the days take them in turn ------------------------------------


def ordinary(city: City, n: int) -> list[Wish]:
    return [city.wish("I1", payee(n, amount_of(n)), payee(n + 1000, amount_of(n, 20)))]


def salary(city: City, n: int) -> list[Wish]:
    lines = [payee(n * 10 + k, amount_of(n + k, 1000)) for k in range(5)]
    return [city.wish("I2", *lines, business_type="3", purpose="工资")]


def cash(city: City, n: int) -> list[Wish]:
    asked = {"business_type": "5", "settlement": "3", "cash_purpose": "03", "cash_reason": "零星支出备用"}
    return [city.wish("I3", payee(n, amount_of(n), reference=f"XJ{n:06d}"), **asked)]


def procurement(city: City, n: int) -> list[Wish]:
    """Both contracts: the school's and the police's."""
    found = []
    for no, unit in (("I4", "101002"), ("I6", "205001")):
        contract = world.CONTRACTS[unit]
        line = acts.line(
            amount_of(n, 500),
            payee_name=contract.supplier_name,
            payee_account_no=contract.accounts[0].account_no,
        )
        number = contract.contract_no if city.day.year == world.YEAR else f"C-2027-{unit}"
        found.append(city.wish(no, line, business_type="7", contract_no=number))
    return found


def some_fail(city: City, n: int) -> list[Wish]:
    lines = [payee(n * 10 + k, amount_of(n + k)) for k in range(3)]
    return [city.wish("I5", *lines, failed={"2": "收款账户已销户"})]


def special(city: City, n: int) -> list[Wish]:
    return [city.wish("I7", payee(n, amount_of(n)))]


def own_funds(city: City, n: int) -> list[Wish]:
    return [city.wish("I8", payee(n, amount_of(n)))]


def appropriation(city: City, n: int) -> list[Wish]:
    return [city.wish("I9", payee(n, amount_of(n, 3000), **PBOC_BANK))]


def batch(city: City, n: int) -> list[Wish]:
    lines = [payee(n * 10 + k, amount_of(n + k, 50)) for k in range(8)]
    return [city.wish("I2", *lines, business_type="4", purpose="补贴发放", failed={"7": "户名不符"})]


def withholding(city: City, n: int) -> list[Wish]:
    line = acts.line(
        amount_of(n), payee_name="市社会保险事业中心", payee_account_no="6230000000020001", reference=f"SB{n:08d}"
    )
    return [city.wish("I3", line, business_type="6")]


def official_card(city: City, n: int) -> list[Wish]:
    number, amount = f"GWK{city.day:%Y%m%d}{n:06d}", amount_of(n)
    bought = TransactionInput(
        unit_code="101001",
        transaction_no=number,
        card_no="6230000000090001",
        holder_name="马小明",
        bank_name="丙银行临江支行",
        bank_no="",
        merchant="中国铁路客票",
        merchant_category="",
        consumed_on=city.day,
        due_on=city.day + timedelta(days=20),
        amount=D(amount),
    )
    take_card_transactions(rows=[bought], bank=CARD_BANK, now=city.now)
    line = acts.line(amount, payee_name="马小明", payee_account_no="6230000000090001", reference=number)
    asked = {"business_type": "2", "settlement": "5", "dept_economic_code": "30211"}
    return [city.wish("I1", line, **asked)]


def on_behalf(city: City, n: int) -> list[Wish]:
    school = BudgetUnit.objects.get(code="101002")
    return [city.wish("I1", payee(n, amount_of(n)), business_type="8", beneficiary_unit_id=school.id)]


def investment(city: City, n: int) -> list[Wish]:
    """Certified progress of a project; its contract is of the first year, so that the next pays something else."""
    if city.day.year != world.YEAR:
        return ordinary(city, n)
    name, account = works.SUPPLIER
    line = acts.line(amount_of(n, 5000), payee_name=name, payee_account_no=account)
    return [city.wish("I11", line, business_type="9", contract_no="G-1")]


KINDS = [ordinary, salary, cash, procurement, some_fail, special, own_funds, appropriation, batch, withholding]
KINDS += [official_card, on_behalf, investment]


def reissued(city: City, requests: list[PaymentRequest], wishes: list[Wish]) -> None:
    """What the bank could not pay goes out again the same day, to an account that is there."""
    rows = PaymentDetail.objects.filter(request__in=requests, state="failed").order_by("pk")
    for row in rows:
        no = next(w.no for w, r in zip(wishes, requests, strict=True) if r.id == row.request_id)
        line = acts.line(
            f"{row.amount:.2f}", payee_name=row.payee_name, payee_account_no=row.payee_account_no, reissue_of=row.id
        )
        city.pay(city.wish(no, line))


# What is out of the ordinary ------------------------------------------------------------------------------------------


def refunds(city: City, n: int) -> None:
    """Two parts of an authorised payment, one of a direct one, and one of every method without clearing."""
    made = city.pay(
        city.wish("I1", payee(n, "900.00")),
        city.wish("I2", payee(n + 1, "800.00")),
        city.wish("I7", payee(n + 2, "70.00")),
        city.wish("I8", payee(n + 3, "60.00")),
        city.wish("I9", payee(n + 4, "500.00", **PBOC_BANK)),
    )
    city.clear()
    city.refund("I1", made[0], 1, "100.01")
    city.refund("I1", made[0], 1, "200.02")
    for no, request, amount in zip(("I2", "I7", "I8", "I9"), made[1:], ("80.08", "7.07", "6.06", "50.05"), strict=True):
        city.refund(no, request, 1, amount)


def corrections(city: City, n: int) -> None:
    """5351 of an authorised payment, 5253 of a direct one."""
    authorised, direct = city.pay(city.wish("I1", payee(n, "1000.00")), city.wish("I2", payee(n + 1, "700.00")))
    assert city.correct("I1", "I1B", authorised, "400.04", "30201").voucher.voucher_type == "5351"
    assert city.correct("I2", "I2B", direct, "300.03", "31003").voucher.voucher_type == "5253"


def withdrawn(city: City, n: int) -> None:
    for no in ("I1", "I2"):
        assert city.withdraw(city.wish(no, payee(n, "333.33"))).state == "withdrawn"


EVENTS = {7: refunds, 11: corrections, 17: withdrawn}  # on the so-manieth day of each 25


# The test -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def year(real_city, pki, monkeypatch):
    """The city with a calendar that goes on into the next year, indicators for corrections to go to, and a project."""
    days = [date(2027, 1, 1) + timedelta(days=k) for k in range(365)]
    Workday.objects.bulk_create(Workday(date=day, worked=day.weekday() < 5 and day != date(2027, 1, 1)) for day in days)
    BudgetUnit.objects.filter(code="101001").update(finance_agent=True)
    acts.newcomer("u900001-fh", "unit_reviewer", unit="900001")
    city = City(pki, monkeypatch)
    city.set_clock(world.DAY)
    corrected.second_indicator("I1B", left="0.00")
    corrected.second_indicator(
        "I2B", left="0.00", unit="101002", mode="11", account=world.ACCOUNT_FINANCE_A, function="2050204"
    )
    project = works.works(of=works.project())
    works.certify(project, "300000.00")
    for no, clerk, economic, total in (
        ("I1B", "u101001", "30201", "9000.00"),
        ("I2B", "u101002", "31003", "9000.00"),
        ("I11", "u101002", "31003", "2000000.00"),
    ):
        monkeypatch.setitem(acts.CLERK_OF, no, clerk)
        monkeypatch.setitem(acts.ECONOMIC, no, economic)
        city.numbers[no], city.ledger[no] = no, Account(D(total))
    return city


def test_a_year_of_business_days(year):
    city = year
    calendar = dict(Workday.objects.values_list("date", "worked"))
    played = list(workdays(world.DAY, calendar))[:DAYS]
    assert len(played) == DAYS and {LAST, NEXT, LATER} <= set(played)
    last_of_month = {(day.year, day.month): day for day in played}.values()
    planned: set[tuple[int, int]] = set()
    old: list[PaymentRequest] = []

    for n, day in enumerate(played):
        if day != world.DAY:
            city.open(day)
        if day == NEXT:
            the_year_ends(city)
        if (day.year, day.month) not in planned:
            planned.add((day.year, day.month))
            city.plan(PLANS | (FOR_CORRECTIONS if len(planned) in (1, 8) else {}))
            city.income("5000.00")
        wishes = KINDS[n % len(KINDS)](city, n)
        requests = city.pay(*wishes)
        reissued(city, requests, wishes)
        if wishes[0].no == "I5" and day.year == world.YEAR:
            old = requests
        if event := EVENTS.get(n % 25):
            event(city, 50_000 + n * 10)
        if day == LAST:
            refused_to_end(city)
        if day == LATER:
            of_an_earlier_year(city, old[0])
        city.evening()
        city.close()
        if day in last_of_month:
            month_end(city)

    assert city.closed == BusinessDay.objects.filter(closed_at__isnull=False).count() == DAYS
    kinds = set(PaymentRequest.objects.filter(imported=False).values_list("payment_mode", "business_type"))
    assert {mode for mode, _ in kinds} == {"11", "12", "31", "81", "91"}
    assert {kind for _, kind in kinds} == set("123456789")
    assert PriorYearRefund.objects.count() == 1
    assert set(Clearing.objects.values_list("voucher_type", flat=True)) == {"2301", "2302"}
    assert set(Correction.objects.values_list("voucher__voucher_type", "state")) == {
        ("5351", "executed"),
        ("5253", "executed"),
    }


def month_end(city: City) -> None:
    """The audit finds nothing, and the books say what the test's own ledger says."""
    assert city.balances() == city.expected(), city.day
    results = run_audit(now=city.now)
    broken = {r.id: [f"{s.table} {s.id} {s.explanation}" for s in r.samples] for r in results if r.status == "broken"}
    assert broken == {}, city.day


# The year's end -------------------------------------------------------------------------------------------------------


def refused_to_end(city: City) -> None:
    """The last day of the year, with one payment at the bank: the year cannot be closed, and nothing has changed."""
    BudgetYear.objects.create(adm_div_code=world.REGION, fiscal_year=2027)
    load_codes(fiscal_year=2027)
    [request] = city.sent(city.wish("I1", payee(99_999, "88.88")))
    with pytest.raises(YearNotClosable) as refusal:
        close_year(city)
    named = {blocker.code: blocker.names for blocker in refusal.value.blockers}
    assert named["in_transit"] == named["quota_in_transit"] == ("I1",)
    assert {"quota_left", "limits_left", "carry_overs_missing"} <= set(named) and "days_left" not in named
    assert BudgetYear.objects.get(fiscal_year=2026).state == "open"
    city.receive("I1", request)


def the_year_ends(city: City) -> None:
    """The first morning of the next year: quotas cancelled, carry-overs approved, the year closed; what the new one
    opens with is what was approved, to the fen."""
    cancelled(city)
    carried = {no: row.unused for no, row in city.ledger.items()}
    recovered = carried["I5"] - D("123456.78")
    carried["I5"] = D("123456.78")
    clerk = world.officer("ys-jb")
    budget.propose_carry_overs(fiscal_year=2026, clerk=clerk, now=city.now)
    lowered = CarryOver.objects.get(indicator__indicator_no="I5").pk
    budget.set_carry_over(
        carry_over_id=lowered, amount=carried["I5"], reason="只结转合同尾款", clerk=clerk, now=city.now
    )
    budget.decide_carry_overs(
        carry_over_ids=list(CarryOver.objects.values_list("pk", flat=True)),
        approver=world.officer("ys-fz"),
        approve=True,
        now=city.now,
    ).raise_if_refused()
    assert [(blocker.code, blocker.names) for blocker in year_blockers(world.REGION, 2026)] == []

    assert close_year(city).state == "closed"

    rows = CarryOver.objects.select_related("indicator", "next_indicator")
    assert {row.indicator.indicator_no: row.amount for row in rows} == carried
    assert sum(row.recovered for row in rows) == recovered
    of_old = BudgetIndicator.objects.filter(fiscal_year=2026)
    assert {wire(row.amount_available) for row in of_old} == {"0.00"}
    assert {wire(quota.amount_available) for quota in Quota.objects.filter(fiscal_year=2026)} == {"0.00"}
    limits = ClearingLimit.objects.filter(fiscal_year=2026)
    assert {wire(limit.amount_available) for limit in limits} == {"0.00"}
    lapsed = -sum(entry.issued_change for entry in ClearingLimitEntry.objects.filter(kind="lapse"))
    assert lapsed == sum(limit.amount_refunded for limit in limits if limit.payment_mode == "11") > 0
    paid = {row.indicator_no: (row.amount_paid, row.amount_refunded) for row in of_old}
    assert paid == {no: (row.paid, row.refunded) for no, row in city.ledger.items()}
    for row in rows:
        no = row.indicator.indicator_no
        city.numbers[no] = row.next_indicator.indicator_no
        city.ledger[no] = Account(carried[no])
    new = BudgetIndicator.objects.filter(fiscal_year=2027)
    assert new.count() == len(city.numbers) and not Quota.objects.filter(fiscal_year=2027, amount_granted__gt=0)
    month_end(city)
    with transaction.atomic():
        for no, unit in (("I4", "101002"), ("I6", "205001")):
            next_years_contract(city, no, unit)


def close_year(city: City) -> BudgetYear:
    return budget.close_year(fiscal_year=2026, chief=world.officer("gk-kz"), now=city.now)


def cancelled(city: City) -> None:
    """Finance, bank and units say the same of every authorised quota, and PBoC's limits go with them."""
    reconciler = world.officer("gk-dz")
    budget.propose_cancellations(fiscal_year=2026, reconciler=reconciler, now=city.now)
    rows = list(QuotaCancellation.objects.select_related("quota__unit", "quota__indicator"))
    assert {row.quota.indicator.indicator_no for row in rows} == {"I1", "I1B", "I3", "I5"}
    amounts = {row.id: row.amount for row in rows}
    budget.enter_bank_list(list_no="ZX-2026", amounts=amounts, reconciler=reconciler, now=city.now)
    for row in rows:
        clerk = world.officer(f"u{row.quota.unit.code}-jb")
        budget.confirm_by_unit(amounts={row.id: row.amount}, clerk=clerk, now=city.now).raise_if_refused()
    left = sum(limit.amount_available for limit in ClearingLimit.objects.filter(payment_mode="12"))
    assert left == sum(amounts.values(), ZERO)
    budget.apply_cancellations(cancellation_ids=list(amounts), reconciler=reconciler, now=city.now).raise_if_refused()


def next_years_contract(city: City, no: str, unit: str) -> None:
    old = world.CONTRACTS[unit]
    given = ContractInput(
        contract_no=f"C-2027-{unit}",
        title=old.title,
        procurement_id=f"LJZC-2027-{unit}",
        plan_no=f"CG-2027-{unit}",
        supplier_name=old.supplier_name,
        supplier_credit_code=old.supplier_credit_code,
        accounts=old.accounts,
        total=D("400000.00"),
        signed_on=city.day,
        terms=old.terms,
        allocations=((city.numbers[no], D("400000.00")),),
    )
    context = Context(world.REGION, 2027, city.day, "期初导入", city.now)
    import_contract(given, unit=BudgetUnit.objects.get(code=unit), context=context)


def of_an_earlier_year(city: City, old: PaymentRequest) -> None:
    """Money of a payment of the closed year comes back: nothing of this year moves until a document gives it back."""
    before = city.balances()
    city.refund("I5", acts.fresh(old)[0], 1, "50.05", year=2026)
    assert city.balances() == before
    row = PriorYearRefund.objects.get()
    assert (row.fiscal_year, row.original_year, row.amount) == (2027, 2026, D("50.05"))
    clerk, leader = world.officer("ys-jb"), world.officer("ys-fz")
    asked = payments.ask_to_give_back(
        refund_id=row.id,
        indicator_id=city.indicator("I5").id,
        amount=D("50.05"),
        doc_no="临财返〔2027〕1号",
        note="",
        clerk=clerk,
        now=city.now,
    )
    ids = {"document_ids": [asked.give_back.id], "now": city.now}
    budget.submit_documents(clerk=clerk, **ids).raise_if_refused()
    budget.decide_documents(officer=leader, decision="approve", reason="核对", **ids).raise_if_refused()
    budget.issue_documents(clerk=clerk, **ids).raise_if_refused()
    city.ledger["I5"].total += D("50.05")
