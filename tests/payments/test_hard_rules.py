"""Hard rules: contract (M12), balances (M14), codes (M15) and the payer's account (M31) refuse, whatever is set."""

import pytest

from contracts.errors import ContractInUse
from monitoring.models import Alert, Case, MonitoringRule
from parties.models import BankAccount
from payments.models import PaymentRequest
from tests import acts
from tests.contracts import builders as b


def refusal(outcome):
    [error] = outcome.refused.values()
    return error


@pytest.fixture
def accepted(city):
    """A contract over 100,000.00 on I4, delivered and accepted: all of it may be paid."""
    contract = b.filed()
    b.accept(contract, "100000.00", final=True)
    return contract


@pytest.mark.parametrize(("amount", "code"), [("100000.00", None), ("100000.01", "contract_exceeded")])
def test_m12_up_to_the_balance_of_the_contract_and_not_a_fen_more(accepted, amount, code):
    request = b.payment(accepted, amount)

    outcome = acts.submit(request)

    if code is None:
        assert [r.id for r in outcome.accepted] == [request.id]
    else:
        error = refusal(outcome)
        assert (error.code, error.field) == (code, "amount")
        assert "100,000.00" in error.message
        assert acts.fresh(request)[0].state == "draft"
        assert acts.books("I4")["reserved"] == "0.00"
    assert not Alert.objects.exists()


def test_m12_only_to_the_supplier(accepted):
    error = refusal(acts.submit(b.payment(accepted, "100.00", payee_name="另一公司")))

    assert (error.code, error.field) == ("contract_payee_differs", "details.1.payee_name")
    assert not Alert.objects.exists()  # refused, so there is nothing to dispose of


def test_m12_holds_until_the_final_approval_for_the_contract_stays_under_what_is_under_way(accepted):
    """Nothing is asked again there: a contract neither ends nor shrinks below its payments."""
    request = b.payment(accepted, "100000.00")
    acts.submit(request).raise_if_refused()

    assert refusal(b.decide("terminate", accepted)).code == "contract_in_use"
    less = b.supplement(accepted, "-0.01")
    with pytest.raises(ContractInUse):
        b.settle(less)

    acts.approve_all(request)
    assert acts.fresh(request)[0].state == "approved"


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
        ({"kind": "unit_basic"}, "须由单位零余额账户付款，6210001010010001 是单位基本户"),
        ({"kind": "finance_zero_balance"}, "须由单位零余额账户付款，6210001010010001 是财政零余额账户"),
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
