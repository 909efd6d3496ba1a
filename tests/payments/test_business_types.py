"""Every kind of payment: what its form asks, and what its register lets through — the limit and one fen beyond."""

from datetime import date
from decimal import Decimal

import pgtrigger
import pytest

from cards.models import CardTransaction
from core.errors import ValidationFailed
from demo import world
from parties.models import BudgetUnit, UnitGroup
from payments import business_types, services
from payments.models import BusinessType, CashPurpose, ExtensionField, PaymentRequest, WithholdingPayee
from tests import acts
from tests.conftest import NOW
from vouchers.codec import decode_content

RAIL, HOTEL = "GWK20260610000001", "GWK20260611000002"
HOLDER = {"payee_name": "马小明", "payee_account_no": "6230000000090001"}
INSURANCE = {"payee_name": "市社会保险事业中心", "payee_account_no": "6230000000020001"}
CARD = {"business_type": "2", "settlement": "5", "dept_economic_code": "30211"}
CASH = {"business_type": "5", "settlement": "3", "cash_purpose": "03", "cash_reason": "零星开支"}


def card(amount, number=RAIL, **changes):
    return acts.line(amount, reference=number, **HOLDER | changes)


def cheque(amount, number="XJ000001", **changes):
    return acts.wanted("I1", details=(acts.line(amount, reference=number),), **CASH | changes)


def save(given, who="u101001-jb"):
    return services.save_drafts(inputs=[given], clerk=world.officer(who), now=NOW)[0]


def refused_to_save(given, who="u101001-jb"):
    with pytest.raises(ValidationFailed) as refusal:
        save(given, who)
    return refusal.value


def refused_to_submit(given):
    before = acts.books("I1")
    request = save(given)
    outcome = acts.submit(request)
    assert outcome.accepted == [] and acts.fresh(request)[0].state == "draft" and acts.books("I1") == before
    return outcome.refused[request.id]


def submitted(given):
    request = save(given)
    acts.submit(request).raise_if_refused()
    return request


def test_every_kind_has_its_rules_and_its_settlement():
    assert set(business_types.RULES) == set(BusinessType.values)


# Official cards -----------------------------------------------------------------------------------------------------


def test_a_purchase_is_repaid_to_its_card_up_to_its_amount(city):
    request = submitted(acts.wanted("I1", details=(card("1280.00"), card("860.50", HOTEL)), **CARD))
    assert acts.fresh(request)[0].state == "in_review"


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (card("1280.01"), "details.1.amount"),
        (card("1280.00", payee_account_no="6230000000090002"), "details.1.payee_account_no"),
        (card("1280.00", payee_name="马大明"), "details.1.payee_account_no"),
        (card("1280.00", "GWK20269999999999"), "details.1.reference"),
    ],
)
def test_a_repayment_that_is_not_the_purchase_is_refused(city, line, field):
    assert refused_to_submit(acts.wanted("I1", details=(line,), **CARD)).field == field


def test_a_repayment_quotes_its_purchase(city):
    assert refused_to_save(acts.wanted("I1", details=(card("1.00", ""),), **CARD)).field == "details.1.reference"


def test_a_purchase_of_another_unit_is_not_found(city):
    CardTransaction.objects.bulk_create([_purchase("GWK2", "205001")])
    assert refused_to_submit(acts.wanted("I1", details=(card("10.00", "GWK2"),), **CARD)).field == "details.1.reference"


@pytest.mark.parametrize(("due_on", "accepted"), [(date(2026, 6, 15), True), (date(2026, 6, 14), False)])
def test_a_purchase_is_repaid_until_its_due_date(city, due_on, accepted):
    CardTransaction.objects.bulk_create([_purchase("GWK2", "101001", due_on=due_on)])
    given = acts.wanted("I1", details=(card("10.00", "GWK2"),), **CARD)
    if accepted:
        submitted(given)
    else:
        assert refused_to_submit(given).facts["due_on"] == "2026-06-14"


def test_a_purchase_is_repaid_once_and_again_only_when_the_first_is_given_up(city):
    first = submitted(acts.wanted("I1", details=(card("1000.00"),), **CARD))
    again = acts.wanted("I1", details=(card("280.00"),), **CARD)
    refusal = refused_to_submit(again)
    assert (refusal.code, refusal.facts["used_by"]) == ("already_used", first.request_no)

    services.return_payment_requests(
        request_ids=[first.id], reviewer=world.officer("u101001-fh"), reason_code="payee", reason="", now=NOW
    ).raise_if_refused()
    submitted(again)


def test_one_request_does_not_repay_a_purchase_twice(city):
    refusal = refused_to_submit(acts.wanted("I1", details=(card("100.00"), card("100.00")), **CARD))
    assert (refusal.code, refusal.field) == ("already_used", "details.2.reference")


def test_a_row_the_bank_failed_leaves_the_purchase_open(city, bank_a):
    request = acts.sent("I1", details=(card("1280.00"), card("860.50", HOTEL)), **CARD)
    bank_a.send(bank_a.receipt(request.voucher, failed={"2": "卡已注销"}))

    assert refused_to_submit(acts.wanted("I1", details=(card("1.00"),), **CARD)).code == "already_used"
    submitted(acts.wanted("I1", details=(card("860.50", HOTEL),), **CARD))


@pytest.mark.parametrize("workers", [6])
def test_clerks_who_repay_one_purchase_at_once_succeed_once(real_city, workers):
    drafts = [save(acts.wanted("I1", details=(card("100.00"),), **CARD)) for _ in range(workers)]

    outcomes = acts.together(*[lambda d=d: acts.submit(d) for d in drafts])

    assert sum(len(outcome.accepted) for outcome in outcomes) == 1
    assert {str(r.code) for o in outcomes for r in o.refused.values()} == {"already_used"}
    assert acts.books("I1")["reserved"] == "100.00"


# Cash cheques -------------------------------------------------------------------------------------------------------


def test_cash_up_to_the_cap_of_its_purpose(city):
    submitted(cheque("5000.00"))
    refusal = refused_to_submit(cheque("5000.01", "XJ000002"))
    assert (refusal.field, refusal.facts["cap"]) == ("amount", Decimal("5000.00"))
    submitted(cheque("5000.01", "XJ000002", cash_purpose="02"))


def test_cash_for_a_purpose_the_region_does_not_allow(city):
    assert refused_to_submit(cheque("1.00", cash_purpose="99")).field == "cash_purpose"
    CashPurpose.objects.filter(code="03").update(active=False)
    assert refused_to_submit(cheque("1.00")).field == "cash_purpose"


def test_a_cheque_is_drawn_once_on_its_account(city):
    first = submitted(cheque("1.00"))
    assert refused_to_submit(cheque("2.00")).facts["used_by"] == first.request_no
    submitted(cheque("2.00", "XJ000002"))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"cash_purpose": ""}, "cash_purpose"),
        ({"cash_reason": ""}, "cash_reason"),
        ({"details": (acts.line("1.00"),)}, "details.1.reference"),
        ({"details": (acts.line("1.00", reference="A"), acts.line("1.00", reference="B"))}, "details"),
        ({"settlement": "2"}, "settlement"),
        ({"business_type": "1", "settlement": "2"}, "cash_purpose"),
    ],
)
def test_what_a_cheque_asks_for(city, given, field):
    wanted = acts.wanted("I1", **CASH | {"details": (acts.line("1.00", reference="A"),)} | given)
    assert field in [finding.field for finding in refused_to_save(wanted).findings]


def test_the_voucher_bears_the_number_of_the_cheque(city):
    request = acts.sent("I1", details=(acts.line("100.00", reference="XJ000009"),), **CASH)
    content, _ = decode_content(bytes(request.voucher.text))
    assert (content.main["CheckNo"], content.details[0]["Hold1"]) == ("XJ000009", "XJ000009")


# Withholding and paying for others ----------------------------------------------------------------------------------


def test_withheld_money_goes_to_filed_payees_only(city):
    def bill(**changes):
        line = acts.line("100.00", reference="3202606150001", **INSURANCE | changes)
        return acts.wanted("I1", details=(line,), business_type="6")

    request = acts.sent("I1", details=bill().details, business_type="6")
    assert decode_content(bytes(request.voucher.text))[0].main["TaxBillNo"] == "3202606150001"
    assert refused_to_submit(bill(payee_account_no="6230000000020009")).field == "details.1.payee_account_no"
    assert refused_to_submit(bill(payee_name="市社会保险中心")).field == "details.1.payee_account_no"
    WithholdingPayee.objects.filter(account_no=INSURANCE["payee_account_no"]).update(active=False)
    assert refused_to_submit(bill()).field == "details.1.payee_account_no"
    assert refused_to_save(acts.wanted("I1", "1.00", business_type="6")).field == "details.1.reference"


def test_only_a_finance_agent_pays_for_another_unit(city):
    school = BudgetUnit.objects.get(code="101002")
    behalf = {"business_type": "8", "beneficiary_unit_id": school.id}
    assert refused_to_save(acts.wanted("I1", "1.00", business_type="8")).field == "beneficiary_unit_id"
    assert refused_to_submit(acts.wanted("I1", "1.00", **behalf)).field == "business_type"
    assert refused_to_save(acts.wanted("I1", "1.00", beneficiary_unit_id=school.id)).field == "beneficiary_unit_id"

    BudgetUnit.objects.filter(code="101001").update(finance_agent=True)
    request = submitted(acts.wanted("I1", "1.00", **behalf))
    assert acts.fresh(request)[0].beneficiary_unit_id == school.id
    own = BudgetUnit.objects.get(code="101001")
    own_behalf = acts.wanted("I1", "1.00", business_type="8", beneficiary_unit_id=own.id)
    assert refused_to_submit(own_behalf).field == "beneficiary_unit_id"


# Extension fields ---------------------------------------------------------------------------------------------------


def _field(key, **changes):
    values = {"adm_div_code": world.REGION, "key": key, "label": "是否专项", "kind": "choice", "choices": ["是", "否"]}
    return ExtensionField.objects.create(**values | changes)


def test_an_extension_field_is_asked_checked_approved_and_sent(city):
    _field("special", required=True, wire_tag="Hold2")
    assert refused_to_save(acts.wanted("I1", "1.00")).field == "extra.special"
    assert refused_to_save(acts.wanted("I1", "1.00", extra={"special": "也许"})).field == "extra.special"
    assert refused_to_save(acts.wanted("I1", "1.00", extra={"special": "是", "other": "1"})).field == "extra.other"

    request = acts.sent("I1", "1.00", extra={"special": "是"})
    assert decode_content(bytes(request.voucher.text))[0].main["Hold2"] == "是"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("text", "临江大桥", "长" * 22),
        ("number", "12", "1.5"),
        ("amount", "12.50", "12.5"),
        ("date", "2026-06-15", "2026-6-15"),
        ("choice", "否", "不"),
    ],
)
def test_each_kind_of_extension_field(city, kind, good, bad):
    _field("key", kind=kind)
    save(acts.wanted("I1", "1.00", extra={"key": good}))
    assert refused_to_save(acts.wanted("I1", "1.00", extra={"key": bad})).field == "extra.key"


def test_an_extension_field_is_for_its_kinds_of_payment_and_its_units(city):
    group = UnitGroup.objects.create(adm_div_code=world.REGION, code="schools", name="学校")
    _field("bridge", business_types=["7"], required=True)
    _field("school", unit_group=group, required=True)
    save(acts.wanted("I1", "1.00"))
    assert refused_to_save(acts.wanted("I1", "1.00", business_type="7", contract_no="C")).field == "extra.bridge"
    group.units.add(BudgetUnit.objects.get(code="101001"))
    assert refused_to_save(acts.wanted("I1", "1.00")).field == "extra.school"


def test_a_value_changed_after_approval_is_seen(city):
    _field("special")
    request = acts.draft("I1", "1.00", extra={"special": "是"})
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    with pgtrigger.ignore("payments.PaymentRequest:request_content_frozen"):
        PaymentRequest.objects.filter(pk=request.id).update(extra={"special": "否"})
    assert acts.issue(request).refused[request.id].code == "content_changed"


# A batch ------------------------------------------------------------------------------------------------------------


def test_the_number_of_statements_does_not_depend_on_the_batch(city):
    def statements(count):
        given = [cheque("1.00", f"XJ{count}{number:04d}") for number in range(count)]
        rows = services.save_drafts(inputs=given, clerk=world.officer("u101001-jb"), now=NOW)
        with acts.statements() as seen:
            assert len(acts.submit(*rows).accepted) == count
        return len(seen)

    assert statements(2) == statements(20)
    assert PaymentRequest.objects.filter(state="in_review").count() == 22


def _purchase(number, unit_code, due_on=date(2026, 7, 5)):
    return CardTransaction(
        adm_div_code=world.REGION,
        fiscal_year=2026,
        unit=BudgetUnit.objects.get(code=unit_code),
        transaction_no=number,
        card_no=HOLDER["payee_account_no"],
        holder_name=HOLDER["payee_name"],
        bank_name="丙银行临江支行",
        merchant="临江宾馆",
        consumed_on=date(2026, 6, 10),
        due_on=due_on,
        amount=Decimal("10.00"),
        reported_by="丙银行",
        at=NOW,
    )
