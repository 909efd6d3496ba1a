"""The table of payment methods: every row against what the law of each kind of money says."""

import pytest

from budget import methods
from budget.errors import MethodUnknown, PayerAccountNotAllowed
from budget.methods import BY_TYPE, METHODS, Clearing, Control, Receiver, Side, check_payer, control_in, method_of
from budget.models import BudgetYear, PaymentMode
from parties.models import BankAccount

KINDS = BankAccount.Kind
FUNDS = ("11", "12", "13", "14", "2", "21", "3", "31", "39")
# code: voucher types, side, receiver, limit, cleared by, refund notice, accounts by fund nature
EXPECTED = {
    "11": ("5201", "5214", Side.FINANCE, Receiver.AGENT_BANK, Control.PLAN, Clearing.BY_PAYMENT, "2203"),
    "12": ("8202", "5214", Side.UNIT, Receiver.AGENT_BANK, Control.QUOTA, Clearing.BY_NOTICE, "2204"),
    "91": ("5207", "5207", Side.FINANCE, Receiver.PBOC, Control.PLAN, Clearing.NONE, "3208"),
    "81": ("5267", "5267", Side.FINANCE, Receiver.AGENT_BANK, Control.PLAN, Clearing.NONE, "2203"),
    "31": ("8231", "8231", Side.UNIT, Receiver.AGENT_BANK, Control.INCOME, Clearing.NONE, "2204"),
}
PAYERS = {
    "11": {fund: {KINDS.FINANCE_ZERO_BALANCE} for fund in ("11", "12", "13")},
    "12": {fund: {KINDS.UNIT_ZERO_BALANCE} for fund in ("11", "12", "13")},
    "91": {fund: {KINDS.TSA} for fund in ("11", "12", "13")},
    "81": {fund: {KINDS.FINANCE_SPECIAL} for fund in ("14", "2", "21")},
    "31": {fund: {KINDS.UNIT_BASIC, KINDS.UNIT_SPECIAL} for fund in ("3", "31", "39")},
}


def test_every_method_has_a_row_and_no_other():
    assert set(METHODS) == set(PaymentMode.values) == set(EXPECTED)


@pytest.mark.parametrize("code", EXPECTED)
def test_a_row_is(code):
    row = method_of(code)
    said = (row.voucher_type, row.integrated_type, row.office.side, row.receiver, row.control, row.clearing)
    assert (*said, row.refund_type) == EXPECTED[code]
    assert row.is_cleared == (code in ("11", "12"))
    assert row.has_cheques == (code == "12")
    assert row.label == PaymentMode(code).label


@pytest.mark.parametrize("code", EXPECTED)
@pytest.mark.parametrize("fund", FUNDS)
def test_which_account_pays_which_money(code, fund):
    allowed = PAYERS[code].get(fund, set())
    assert method_of(code).payer_kinds(fund) == allowed
    for kind in KINDS:
        account = BankAccount(account_no="6210", kind=kind, fund_natures=[])
        if kind in allowed:
            check_payer(code, fund, account)
        else:
            with pytest.raises(PayerAccountNotAllowed):
                check_payer(code, fund, account)


def test_an_account_pays_only_what_it_is_filed_for_and_only_while_it_is_open():
    special = BankAccount(account_no="6210", kind=KINDS.FINANCE_SPECIAL, fund_natures=["2"])
    check_payer("81", "2", special)
    check_payer("81", "21", special)
    with pytest.raises(PayerAccountNotAllowed, match="未备案用于资金性质 14") as refusal:
        check_payer("81", "14", special)
    assert refusal.value.field == "payer_account"
    special.active = False
    with pytest.raises(PayerAccountNotAllowed, match="已停用"):
        check_payer("81", "2", special)


def test_an_unknown_method_is_refused():
    with pytest.raises(MethodUnknown):
        method_of("99")


def test_5214_is_the_type_of_two_methods_and_every_other_of_one():
    assert {kind: [row.code for row in rows] for kind, rows in BY_TYPE.items()} == {
        "5201": ["11"],
        "5207": ["91"],
        "5214": ["11", "12"],
        "5267": ["81"],
        "8202": ["12"],
        "8231": ["31"],
    }


def test_who_makes_and_who_seals():
    assert methods.made_by("voucher_maker") == methods.made_by("seal_keeper") == ["11", "91", "81"]
    assert methods.made_by("unit_clerk") == methods.made_by("unit_name_seal") == ["12", "31"]
    assert methods.types_of(methods.FINANCE) == ["5201", "5207", "5214", "5267"]
    assert methods.types_of(methods.UNIT) == ["5214", "8202", "8231"]


@pytest.mark.parametrize("code", EXPECTED)
def test_what_limits_an_amount_in_the_integrated_mode(code):
    classic, year = BudgetYear(mode="classic", planned_funds=["11"]), BudgetYear(mode="integrated")
    assert control_in(classic, code, "11") is EXPECTED[code][4]
    assert control_in(year, code, "11") is (Control.INCOME if code == "31" else Control.NONE)
    year.planned_funds = ["11"]
    assert control_in(year, code, "11") is (Control.INCOME if code == "31" else Control.PLAN)
    assert control_in(year, code, "12") is (Control.INCOME if code == "31" else Control.NONE)
