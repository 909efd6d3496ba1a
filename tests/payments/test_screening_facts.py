"""What the rules are told about requests comes from the books: rules that need a look-up, asked through submit."""

import os
from datetime import date
from decimal import Decimal

import pytest

from attachments.keeping import keep_files
from attachments.store import FileStore, Received
from core.digests import sm3_hex
from core.models import BusinessDay, Workday
from demo import world
from monitoring.casework import Filed, explain_case
from monitoring.models import Alert, AnnualLimit, Case, ListedPayee, MonitoringRule
from monitoring.registry import RULES
from parties.models import BankAccount, BudgetUnit
from payments import services
from payments.attaching import attach_files
from payments.models import PaymentRequest
from payments.screening import looks_like_a_person
from tests import acts
from tests.attachments import files
from tests.conftest import NOW

ACCOUNT = "6230000000000001"


def only(*codes):
    MonitoringRule.objects.update(enabled=False)
    MonitoringRule.objects.filter(code__in=codes).update(enabled=True)


def hits(*requests):
    """The rules each request has met, in order of the requests."""
    found = {r.id: [] for r in requests}
    for document_id, code in Alert.objects.filter(document_id__in=found).values_list("document_id", "rule_code"):
        found[document_id].append(code)
    return [found[r.id] for r in requests]


def submitted(no, *amounts, **changes):
    request = acts.draft(no, *amounts, **changes)
    acts.submit(request).raise_if_refused()
    return acts.fresh(request)[0]


def next_day(day):
    BusinessDay.objects.filter(closed_at__isnull=True).update(date=day)


def person_ids():
    people = [world.officer(who).person_id for who in ("gk-jk", "gk-kz")]
    return {"made_by_id": people[0], "decided_by_id": people[1]}


def cheque(number):
    """What a request for 10.00 in cash says."""
    cash = {"business_type": "5", "settlement": "3", "cash_purpose": "03", "cash_reason": "慰问"}
    return cash | {"details": (acts.line("10.00", reference=number),)}


def test_m03_counts_the_cash_of_the_units_month(city):
    only("M03")
    MonitoringRule.objects.filter(code="M03").update(parameters={"single": "10.00", "month": "25.00"}, version=2)
    first, second, third = (submitted("I1", **cheque(number)) for number in ("XJ1", "XJ2", "XJ3"))

    assert hits(first, second, third) == [[], [], ["M03"]]
    assert third.state == "blocked"
    assert Alert.objects.get().facts["cash_this_month"] == "20.00"
    next_day(date(2026, 7, 1))
    assert hits(submitted("I1", **cheque("XJ4"))) == [[]]


def test_m03_counts_within_one_batch_too(city):
    only("M03")
    MonitoringRule.objects.filter(code="M03").update(parameters={"single": "10.00", "month": "25.00"}, version=2)
    requests = [acts.draft("I1", **cheque(number)) for number in ("XJ1", "XJ2", "XJ3")]

    acts.submit(*requests).raise_if_refused()

    assert hits(*requests) == [[], [], ["M03"]]


def listed(colour, **changes):
    values = {"name": "临江市晨光办公用品公司", "account_no": ACCOUNT, "reason": "核查", "state": "active"}
    values |= {"valid_from": date(2026, 6, 1), "maker_name": "x", "made_at": NOW, **person_ids()}
    return ListedPayee.objects.create(adm_div_code=world.REGION, fiscal_year=2026, colour=colour, **(values | changes))


@pytest.mark.parametrize(
    ("changes", "hit"),
    [
        ({}, True),
        ({"name": ""}, True),
        ({"account_no": ""}, True),
        ({"name": "别人", "account_no": "9"}, False),
        ({"state": "proposed", "decided_by_id": None}, False),
        ({"valid_from": date(2026, 6, 16)}, False),
        ({"valid_to": date(2026, 6, 14)}, False),
        ({"valid_to": date(2026, 6, 15)}, True),
    ],
)
def test_m06_the_black_list_by_name_or_account_on_its_days(city, changes, hit):
    only("M06")
    listed("black", **changes)

    request = submitted("I1", "10.00")

    assert (hits(request) == [["M06"]]) is hit
    assert (request.state == "blocked") is hit


def test_m08_and_m23_read_the_account_register(city):
    only("M08", "M23")
    BankAccount.objects.create(
        adm_div_code=world.REGION,
        account_no="6299",
        name="市公安局基本户",
        bank_name="乙银行",
        kind="unit_basic",
        unit=BudgetUnit.objects.get(code="205001"),
    )
    right = acts.line("10.00", payee_account_no="6299", payee_name="市公安局基本户")
    wrong = acts.line("10.00", payee_account_no="6299", payee_name="市公安局")

    found = hits(submitted("I1", details=(right,)), submitted("I1", details=(wrong,)))

    assert [sorted(codes) for codes in found] == [["M08"], ["M08", "M23"]]
    listed("white", name="市公安局", account_no="6299")
    assert hits(submitted("I1", details=(wrong,))) == [[]]


def test_m23_remembers_what_the_bank_gave_back_to_this_name(city, bank_a):
    only("M23")
    failed = acts.sent("I1", "10.00")
    bank_a.send(bank_a.receipt(failed.voucher, failed={"1": "收款人户名不符"}))

    assert hits(submitted("I1", "10.00")) == [["M23"]]
    mended = acts.line("10.00", payee_name="临江市晨光办公用品有限公司")
    assert hits(submitted("I1", details=(mended,))) == [[]]


def test_m09_and_m19_look_at_what_the_unit_paid_the_payee_before(city):
    only("M09", "M19")
    MonitoringRule.objects.filter(code="M09").update(parameters={"threshold": "100.00", "days": "2"}, version=2)
    first = submitted("I1", "60.00")
    others = submitted("I3", "60.00")  # another unit
    second = submitted("I1", "39.99")
    assert hits(first, others, second) == [[], [], []]

    third = submitted("I1", "0.01")
    assert (hits(third), third.state) == ([["M09"]], "on_hold")
    assert sorted(hits(submitted("I1", "60.00"))[0]) == ["M09", "M19"]
    next_day(date(2026, 6, 16))
    assert hits(submitted("I1", "99.99")) == [["M09"]]  # within two working days
    PaymentRequest.objects.filter(submitted_on="2026-06-16").update(submitted_on="2026-06-15")
    next_day(date(2026, 6, 17))
    assert hits(submitted("I1", "98.00")) == [[]]
    next_day(date(2026, 6, 25))
    assert hits(submitted("I1", "60.00")) == [["M19"]]  # ten days
    PaymentRequest.objects.filter(submitted_on="2026-06-25").update(submitted_on="2026-06-15")
    next_day(date(2026, 6, 26))
    assert hits(submitted("I1", "60.00")) == [[]]


def test_m19_sees_the_twin_in_the_same_batch_and_not_what_was_given_up(city):
    only("M19")
    requests = [acts.draft("I1", "60.00") for _ in range(2)]
    acts.submit(*requests).raise_if_refused()
    assert hits(*requests) == [[], ["M19"]]

    services.return_payment_requests(
        request_ids=[requests[0].id], reviewer=world.officer("u101001-fh"), reason_code="payee", reason="", now=NOW
    )
    services.dispose_held_requests(
        request_ids=[requests[1].id], officer=world.officer("gk-jk"), passed=False, reason="重复", now=NOW
    )
    assert hits(submitted("I1", "60.00")) == [[]]


def test_m19_a_later_twin_does_not_hold_the_first_at_its_final_approval(city):
    only("M19")
    first = submitted("I1", "60.00")
    submitted("I1", "60.00")

    acts.approve("u101001-fh", first).raise_if_refused()

    assert acts.fresh(first)[0].state == "approved"


def test_m16_adds_up_the_year_against_the_limit(city):
    only("M16")
    gov = world.indicator("I1").gov_economic_code
    parameters = {"codes": gov, "warn_ratio": "0.90"}
    MonitoringRule.objects.filter(code="M16").update(parameters=parameters, version=2)
    assert hits(submitted("I1", "50.00")) == [[]]  # no limit filed: nothing to hold against
    AnnualLimit.objects.create(
        adm_div_code=world.REGION,
        fiscal_year=2026,
        unit_code="101001",
        gov_economic_code=gov,
        amount=Decimal("100.00"),
        reason="预算",
        state="active",
        maker_name="x",
        made_at=NOW,
        **person_ids(),
    )

    below, warned, above = submitted("I1", "39.99"), submitted("I1", "10.01"), submitted("I1", "0.01")

    assert hits(below, warned, above) == [[], ["M16"], ["M16"]]
    assert (warned.state, above.state) == ("in_review", "blocked")
    assert Alert.objects.get(document_id=above.id).facts["spent"] == "100.00"


def test_m24_reads_the_calendar(city):
    only("M24")
    assert hits(submitted("I1", "10.00")) == [[]]
    Workday.objects.filter(date=world.DAY).update(worked=False)

    assert hits(submitted("I1", "10.00")) == [["M24"]]


def test_m25_compares_the_month_with_the_months_before(city):
    only("M25")
    parameters = {"period": "06-10/06-30", "amount_from": "200000.00", "times": "2.5"}
    MonitoringRule.objects.filter(code="M25").update(parameters=parameters, version=2)
    PaymentRequest.objects.exclude(submitted_on=None).update(submitted_on=None)  # a year without a past
    before = submitted("I1", "50.00")
    PaymentRequest.objects.filter(pk=before.pk).update(
        submitted_on="2026-03-02"
    )  # an average of 10.00 over five months

    at_limit, above = submitted("I1", "25.00"), submitted("I1", "0.01")

    assert hits(before, at_limit, above)[1:] == [[], ["M25"]]


def test_m20_direct_funds_do_not_go_into_the_units_account(city):
    only("M20")
    acts.own_account_contract()
    inside = acts.line("10.00", payee_account_no=world.BASIC_ACCOUNT_101002, payee_name="市第一中学基本户")

    out, into = submitted("I4", "10.00"), submitted("I4", details=(inside,), contract_no="C-OWN")

    assert hits(out, into) == [[], ["M20"]]


def test_m26_knows_a_person_by_the_name():
    people = ["王建国", "李明", "欧阳修文", "阿卜杜拉·买买提"]
    firms = ["临江市晨光办公用品公司", "市公安局", "第一医院", "供应商", "Guoku Ltd", "张", "小明超市店"]
    assert [looks_like_a_person(name) for name in people] == [True] * 4
    assert [looks_like_a_person(name) for name in firms] == [False] * 7


def everything_on():
    for rule in MonitoringRule.objects.all():
        MonitoringRule.objects.filter(pk=rule.pk).update(enabled=True, action="record", version=2)


def test_with_every_rule_on_500_take_as_many_statements_as_10(city):
    everything_on()
    services_used = []
    for count in (3, 10, 200):
        inputs = [acts.wanted("I1", "0.01")] * count
        clerk = world.officer("u101001-jb")
        made = services.save_drafts(inputs=inputs, clerk=clerk, now=NOW)
        with acts.statements() as seen:
            services.submit_payment_requests(request_ids=acts.ids(made), clerk=clerk, now=NOW).raise_if_refused()
        services_used.append(len(seen))
    assert services_used[1] == services_used[2]
    assert services_used[2] <= 40


def test_a_rule_that_is_off_costs_no_look_up(city):
    only()
    quiet, busy = acts.draft("I1", "1.00"), acts.draft("I1", "2.00")
    with acts.statements() as without:
        acts.submit(quiet).raise_if_refused()
    everything_on()
    with acts.statements() as with_all:
        acts.submit(busy).raise_if_refused()

    assert len(with_all) > len(without)
    assert not any("parties_bankaccount" in text and "account_no" in text and "IN" in text for text in without)


def test_every_hit_is_listed_at_once(city):
    only("M01", "M17", "M19")
    MonitoringRule.objects.filter(code="M01").update(parameters={"amount_from": "50.00"}, version=2)
    submitted("I1", "60.00", purpose="购书")

    request = submitted("I1", "60.00", purpose="购买礼品")

    assert sorted(hits(request)[0]) == ["M01", "M17", "M19"]
    assert {rule.code for rule in RULES.values()} >= set(hits(request)[0])


def with_files_asked():
    only("M01")
    parameters = {"amount_from": "50.00"}
    MonitoringRule.objects.filter(code="M01").update(parameters=parameters, attachment_required=True, version=2)


def passed(*requests):
    return services.dispose_held_requests(
        request_ids=acts.ids(requests), officer=world.officer("gk-jk"), passed=True, reason="已核实", now=NOW
    )


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "files")


def arrived(store):
    content = files.pdf()
    descriptor, path = store.incoming()
    os.write(descriptor, content)
    os.close(descriptor)
    return Received(path, "合同.pdf", len(content), sm3_hex(content))


def test_a_hold_that_asks_for_files_is_passed_with_those_of_the_explanation(city, store):
    """The files of a request under way are frozen; each hold looks for those of its own case."""
    with_files_asked()
    request, other = submitted("I1", "60.00"), submitted("I1", "60.00")
    assert {error.code for error in passed(request, other).refused.values()} == {"attachment_required"}
    assert acts.fresh(request)[0].state == "on_hold"

    [kept] = keep_files([arrived(store)], store=store, adm_div_code=world.REGION, fiscal_year=2026, now=NOW)
    file = Filed(kept.received.digest, kept.received.name, kept.checked.media_type, kept.received.size)
    case, clerk = Case.objects.get(alert__document_id=request.id), world.officer("u101001-jb")
    explain_case(case_id=case.id, text="见合同", files=[file], unit_officer=clerk, now=NOW)
    outcome = passed(request, other)

    assert [r.id for r in outcome.accepted] == [request.id]
    assert [error.code for error in outcome.refused.values()] == ["attachment_required"]
    assert [r.state for r in acts.fresh(request, other)] == ["in_review", "on_hold"]


def test_a_hold_that_asks_for_files_is_passed_with_those_of_the_request(city, store):
    with_files_asked()
    request, clerk = acts.draft("I1", "60.00"), world.officer("u101001-jb")
    attach_files(request_id=request.id, files=[arrived(store)], store=store, clerk=clerk, now=NOW)
    acts.submit(request).raise_if_refused()

    passed(request).raise_if_refused()

    assert acts.fresh(request)[0].state == "in_review"
