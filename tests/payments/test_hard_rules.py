"""Hard rules: contract (M12), balances (M14), codes (M15) and the payer's account (M31) refuse, whatever is set."""

import pytest

from core.money import yuan
from monitoring.models import Alert, Case, MonitoringRule
from parties.models import BankAccount
from payments import screening
from payments.models import PaymentRequest
from tests import acts
from tests.monitoring.rule_facts import contract

PAYEE = "临江市晨光办公用品公司"


def refusal(outcome):
    [error] = outcome.refused.values()
    return error


@pytest.fixture
def with_contract(monkeypatch):
    """A register of contracts that knows one for every request that names a contract; none of ours is there yet."""

    def known(**changes):
        facts = contract(supplier_name=PAYEE, **changes)
        monkeypatch.setattr(
            screening, "CONTRACT_FACTS", lambda requests: {r.id: facts for r in requests if r.contract_no}
        )

    return known


@pytest.mark.parametrize(("amount", "accepted"), [("45000.00", True), ("45000.01", False)])
def test_m12_up_to_the_balance_of_the_contract_and_not_a_fen_more(city, with_contract, amount, accepted):
    with_contract()
    request = acts.draft("I1", amount, contract_no="HT-1")

    outcome = acts.submit(request)

    assert bool(outcome.accepted) is accepted
    if not accepted:
        error = refusal(outcome)
        assert (error.code, error.field, error.facts["rule"]) == ("monitoring_blocks", "amount", "M12")
        assert "45,000.00" in error.message and "补充合同" in error.message
        assert acts.fresh(request)[0].state == "draft"
        assert acts.books("I1")["reserved"] == "0.00"


def test_m12_only_to_the_supplier(city, with_contract):
    with_contract()
    other = acts.line("100.00", payee_name="另一公司")
    request = acts.draft("I1", contract_no="HT-1", details=(other,))

    error = refusal(acts.submit(request))

    assert (error.code, error.field) == ("monitoring_blocks", "details")
    assert not Alert.objects.exists()  # refused, so there is nothing to dispose of


def test_m12_is_asked_again_at_the_final_approval(city, with_contract):
    with_contract()
    request = acts.draft("I1", "45000.00", contract_no="HT-1")
    acts.submit(request).raise_if_refused()
    with_contract(paid=yuan("40000.01"))

    error = refusal(acts.approve("u101001-fh", request))

    assert (error.code, error.facts["rule"]) == ("monitoring_blocks", "M12")
    assert acts.fresh(request)[0].state == "in_review"


@pytest.mark.parametrize(("amount", "code"), [("80000.00", None), ("80000.01", "quota_exceeded")])
def test_m14_up_to_the_quota_and_not_a_fen_more(city, amount, code):
    outcome = acts.submit(acts.draft("I1", amount))

    assert [error.code for error in outcome.refused.values()] == ([] if code is None else [code])


@pytest.mark.parametrize(("economic", "code"), [("30201", None), ("31003", "economic_mapping_missing")])
def test_m15_only_codes_that_belong_together(city, economic, code):
    outcome = acts.submit(acts.draft("I1", "100.00", dept_economic_code=economic))

    assert [error.code for error in outcome.refused.values()] == ([] if code is None else [code])


def approved():
    request = acts.draft("I1", "100.00")
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    return request


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"active": False}, "已停用"),
        ({"kind": "unit_basic"}, "不是单位零余额账户"),
        ({"kind": "finance_zero_balance"}, "不是单位零余额账户"),
    ],
)
def test_m31_only_a_filed_account_in_use_and_of_its_kind_pays(city, changes, part):
    request = approved()
    BankAccount.objects.filter(account_no="6210001010010001").update(**changes)

    error = refusal(acts.issue(request))

    assert (error.code, error.field, error.facts["rule"]) == ("monitoring_blocks", "payer_account", "M31")
    assert part in error.message and "备案" in error.message
    assert PaymentRequest.objects.get(pk=request.pk).state == "approved"
    alert = Alert.objects.get()
    assert (alert.rule_code, alert.state, alert.point, alert.severity) == ("M31", "blocked", "voucher", "red")
    assert Case.objects.get().level == "red"
    acts.issue(request)
    assert Alert.objects.count() == 1


def test_m31_an_account_in_order_pays(city):
    assert acts.issue(approved()).accepted
    assert not Alert.objects.exists()


def test_no_setting_of_a_hard_rule_exists(city):
    assert not MonitoringRule.objects.filter(code__in=["M12", "M14", "M15", "M31"]).exists()
