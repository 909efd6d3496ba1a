"""Every rule at its limit and one fen beyond."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from core.money import yuan
from monitoring.facts import Hit, PayeeFacts, PaymentFacts
from monitoring.levels import Action, worst_action
from monitoring.registry import RULES

OWN = "6220001010020002"
SUPPLIER = "6230000000000001"


def facts(amount: str, *, settlement: str = "2", account: str = SUPPLIER, contract: str = "", reason: str = ""):
    return PaymentFacts(
        document_id=UUID(int=1),
        document_type="payments.PaymentRequest",
        document_no="SQ1",
        revision=1,
        adm_div_code="990100000",
        fiscal_year=2026,
        unit_code="101002",
        amount=yuan(amount),
        payment_mode="12",
        business_type="1",
        settlement=settlement,
        purpose="办公用品",
        contract_no=contract,
        cash_reason=reason,
        payees=(PayeeFacts("供应商", SUPPLIER, Decimal("0.01")), PayeeFacts("收款人", account, yuan(amount))),
        own_accounts=frozenset({OWN}),
        is_reissue=False,
        business_date=date(2026, 6, 15),
    )


def is_hit(code: str, payment: PaymentFacts) -> bool:
    rule = RULES[code]
    return rule.evaluate(payment, rule.defaults) is not None


@pytest.mark.parametrize(("amount", "hit"), [("499999.99", False), ("500000.00", True), ("500000.01", True)])
def test_a_large_payment_is_seen_from_its_limit_on(amount, hit):
    assert is_hit("M01", facts(amount)) is hit


@pytest.mark.parametrize(
    ("amount", "hit"), [("1000.00", False), ("1000.01", True), ("10000.00", True), ("10000.01", False)]
)
def test_cash_is_seen_above_the_threshold_and_up_to_its_upper_limit(amount, hit):
    assert is_hit("M04", facts(amount, settlement="3")) is hit
    assert not is_hit("M04", facts(amount, settlement="2"))


def test_the_reminder_says_whether_a_reason_is_given():
    rule = RULES["M04"]

    without, _ = rule.evaluate(facts("3000.00", settlement="3", reason=" "), rule.defaults)
    given, seen = rule.evaluate(facts("3000.00", settlement="3", reason="学生助学金"), rule.defaults)

    assert "未填写现金理由" in without
    assert "学生助学金" in given
    assert "未填写" not in given
    assert seen == {
        "amount": "3000.00",
        "settlement": "3",
        "above": "1000.00",
        "up_to": "10000.00",
        "cash_reason": "学生助学金",
    }


def test_money_to_the_units_own_account_is_seen_in_any_row():
    rule = RULES["M07"]

    message, seen = rule.evaluate(facts("50000.00", account=OWN), rule.defaults)

    assert OWN in message
    assert seen == {"amount": "50000.00", "payees": [{"name": "收款人", "account_no": OWN, "amount": "50000.00"}]}
    assert not is_hit("M07", facts("50000.00"))


@pytest.mark.parametrize(
    ("amount", "hit"), [("94999.99", False), ("95000.00", True), ("99999.99", True), ("100000.00", False)]
)
def test_just_under_the_procurement_limit_is_seen_unless_there_is_a_contract(amount, hit):
    assert is_hit("M10", facts(amount)) is hit
    assert not is_hit("M10", facts(amount, contract="C-2026-017"))


def test_the_strictest_action_of_all_hits_counts():
    def hit(action):
        return Hit(UUID(int=1), "M01", 1, "", "yellow", action, "", {})

    assert worst_action([]) is None
    assert worst_action([hit("remind"), hit("record")]) is Action.REMIND
    assert worst_action([hit("hold"), hit("block"), hit("remind")]) is Action.BLOCK


@pytest.mark.parametrize(
    ("code", "parameters", "part"),
    [
        ("M01", {"amount_from": "5e5"}, "格式不对"),
        ("M01", {"amount_from": 500000.0}, "格式不对"),
        ("M01", {}, "缺少参数"),
        ("M07", {"amount_from": "1.00"}, "未知参数"),
        ("M10", {"limit": "100000.00", "ratio_from": "1.5"}, "格式不对"),
        ("M04", {"above": "1000.00", "up_to": "1000.00"}, "递增"),
        ("M04", ["1000.00"], "JSON 对象"),
    ],
)
def test_parameters_that_make_no_sense_are_named(code, parameters, part):
    assert part in RULES[code].findings(parameters)[0]


@pytest.mark.parametrize("code", list(RULES))
def test_the_defaults_of_every_rule_are_valid(code):
    assert RULES[code].findings(RULES[code].defaults) == []
