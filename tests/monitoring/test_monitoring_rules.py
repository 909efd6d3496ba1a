"""Every rule of the catalogue: silent just within its limit, heard just beyond it, and heard in words that help."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from core.money import yuan
from monitoring.facts import Hit, PayeeFacts
from monitoring.levels import Action, worst_action
from monitoring.registry import CATALOGUE, HARD, RULES
from tests.monitoring.rule_facts import (
    OWN,
    SUPPLIER,
    annual,
    dwell,
    earlier,
    expense,
    first_payment,
    forecast,
    history,
    invoice,
    monthly,
    payer,
    payment,
    pending,
    progress,
    receipt,
    roster,
)

CASH, CARD = {"settlement": "3"}, {"settlement": "5"}
DIRECT = {"tags": ("01中央直达资金",)}
LATE = {"business_date": date(2026, 12, 20)}
PERSON = {"name": "王建国", "is_person": True}
Y = yuan
# fmt: off
CASES = [  # rule, what differs, facts, whether it is hit; one a line
    ("M01", "one fen below", payment("499999.99"), False),
    ("M01", "at the limit", payment("500000.00"), True),
    ("M01", "one fen above", payment("500000.01"), True),
    ("M02", "one fen below", payment("4999999.99"), False),
    ("M02", "at the limit", payment("5000000.00"), True),
    ("M03", "single at the limit", payment("10000.00", **CASH), False),
    ("M03", "single one fen above", payment("10000.01", **CASH), True),
    ("M03", "month at the limit", payment("9000.00", **CASH, history=history(cash="41000.00")), False),
    ("M03", "month one fen above", payment("9000.00", **CASH, history=history(cash="41000.01")), True),
    ("M03", "no cash", payment("10000.01", history=history(cash="90000.00")), False),
    ("M04", "at the threshold", payment("1000.00", **CASH), False),
    ("M04", "one fen above", payment("1000.01", **CASH), True),
    ("M04", "at the upper limit", payment("10000.00", **CASH), True),
    ("M04", "above the upper limit", payment("10000.01", **CASH), False),
    ("M04", "no cash", payment("1000.01"), False),
    ("M05", "in the catalogue, below", payment("49999.99", dept_economic_code="30211"), True),
    ("M05", "in the catalogue, at the limit", payment("50000.00", dept_economic_code="30211"), False),
    ("M05", "by card", payment("49999.99", dept_economic_code="30211", **CARD), False),
    ("M05", "not in the catalogue", payment("49999.99"), False),
    ("M06", "black", payment(payee={"listed": "black", "listed_reason": "虚开发票"}), True),
    ("M06", "white", payment(payee={"listed": "white"}), False),
    ("M06", "not listed", payment(), False),
    ("M07", "own account", payment(payee={"account_no": OWN}), True),
    ("M07", "own account, allowed purpose", payment(payee={"account_no": OWN}, purpose="划转工会经费"), False),
    ("M07", "another account", payment(), False),
    ("M08", "another unit's account", payment(payee={"filed_unit": "205001", "filed_name": "市公安局"}), True),
    ("M08", "own account", payment(payee={"filed_unit": "101002"}), False),
    ("M08", "another unit's, white", payment(payee={"filed_unit": "205001", "listed": "white"}), False),
    ("M08", "not filed", payment(), False),
    ("M09", "together one fen below", payment("60000.00", history=history(earlier("39999.99", days=4, work_days=4))), False),  # noqa: E501
    ("M09", "together at the threshold", payment("60000.00", history=history(earlier("40000.00", days=6, work_days=4))), True),  # noqa: E501
    ("M09", "one working day too old", payment("60000.00", history=history(earlier("40000.00", days=7, work_days=5))), False),  # noqa: E501
    ("M09", "one alone at the threshold", payment("100000.00", history=history(earlier("40000.00", days=1, work_days=1))), False),  # noqa: E501
    ("M09", "the other alone over it", payment("60000.00", history=history(earlier("100000.00", days=1, work_days=1))), False),  # noqa: E501
    ("M09", "another account", payment("60000.00", history=history(earlier("40000.00", days=1, work_days=1, account="9"))), False),  # noqa: E501
    ("M09", "nothing before", payment("99999.99"), False),
    ("M10", "one fen below the ratio", payment("94999.99"), False),
    ("M10", "at the ratio", payment("95000.00"), True),
    ("M10", "one fen below the limit", payment("99999.99"), True),
    ("M10", "at the limit", payment("100000.00"), False),
    ("M10", "with a contract", payment("95000.00", contract_no="C-1"), False),
    ("M11", "tagged, one fen below", payment("99999.99", tags=("政府采购",)), False),
    ("M11", "tagged, at the limit", payment("100000.00", tags=("政府采购",)), True),
    ("M11", "in the catalogue", payment("100000.00", dept_economic_code="31002"), True),
    ("M11", "with a contract", payment("100000.00", tags=("政府采购",), contract_no="HT-1"), False),
    ("M11", "neither", payment("100000.00"), False),
    ("M13", "at the cap", payment("30000.00", contract=first_payment()), False),
    ("M13", "one fen above the cap", payment("30000.01", contract=first_payment()), True),
    ("M13", "the contract's own lower cap", payment("20000.01", contract=first_payment(prepayment_cap=Y("0.20"))), True),  # noqa: E501
    ("M13", "the contract's own higher cap", payment("30000.01", contract=first_payment(prepayment_cap=Y("0.50"))), True),  # noqa: E501
    ("M13", "accepted already", payment("30000.01", contract=first_payment(accepted=True)), False),
    ("M13", "not the first", payment("30000.01", contract=first_payment(payments_before=1)), False),
    ("M16", "one fen below the warning", payment("999.99", annual=annual("8000.00")), False),
    ("M16", "at the warning", payment("1000.00", annual=annual("8000.00")), True),
    ("M16", "at the limit", payment("2000.00", annual=annual("8000.00")), True),
    ("M16", "one fen above the limit", payment("2000.01", annual=annual("8000.00")), True),
    ("M16", "another code", payment("2000.01", annual=annual("8000.00", code="50201")), False),
    ("M16", "no limit", payment("2000.01"), False),
    ("M17", "a word", payment(purpose="购买节日礼品"), True),
    ("M17", "no word", payment(purpose="购买办公用品"), False),
    ("M18", "used", payment(invoices=(invoice(), invoice("2", "SQ7"))), True),
    ("M18", "twice here", payment(invoices=(invoice(), invoice())), True),
    ("M18", "each once", payment(invoices=(invoice(), invoice("2"))), False),
    ("M19", "ten days", payment(history=history(earlier("2345.67", days=10, work_days=8))), True),
    ("M19", "eleven days", payment(history=history(earlier("2345.67", days=11, work_days=9))), False),
    ("M19", "one fen more", payment(history=history(earlier("2345.68", days=1, work_days=1))), False),
    ("M19", "another account", payment(history=history(earlier("2345.67", days=1, work_days=1, account="9"))), False),
    ("M19", "a reissue", payment(history=history(earlier("2345.67", days=1, work_days=1)), is_reissue=True), False),
    ("M20", "to a unit's account", payment(**DIRECT, payee={"filed_kind": "unit_basic", "filed_name": "市第一中学基本户"}), True),  # noqa: E501
    ("M20", "to a supplier", payment(**DIRECT), False),
    ("M20", "other money", payment(payee={"filed_kind": "unit_basic"}), False),
    ("M21", "at the allowed lag", progress(), False),
    ("M21", "just behind", progress(paid=Y("399.99")), True),
    ("M21", "nothing paid, day 30", progress(paid=Y("0.00"), issued_on=date(2026, 5, 16), elapsed=Y("0.05")), False),
    ("M21", "nothing paid, day 31", progress(paid=Y("0.00"), issued_on=date(2026, 5, 15), elapsed=Y("0.05")), True),
    ("M21", "other money", progress(paid=Y("0.00"), tags=("保工资",)), False),
    ("M22", "clean", payment(roster=roster(kind="补贴")), False),
    ("M22", "one repeated", payment(roster=roster(kind="补贴", repeated_ids=("3201**********0011",))), True),
    ("M22", "one deceased", payment(roster=roster(kind="补贴", deceased_ids=("3201**********0012",))), True),
    ("M22", "one other name", payment(roster=roster(kind="补贴", name_mismatches=("李*",))), True),
    ("M22", "no list", payment(), False),
    ("M23", "the filed name", payment(payee={"filed_name": "临江办公用品公司"}), False),
    ("M23", "another name", payment(payee={"filed_name": "临江办公用品有限公司"}), True),
    ("M23", "returned for the name", payment(payee={"returned": ("户名不符",)}), True),
    ("M23", "returned for something else", payment(payee={"returned": ("清算场次已过",)}), False),
    ("M23", "white", payment(payee={"returned": ("户名不符",), "listed": "white"}), False),
    ("M24", "a working day", payment(days_off=frozenset({date(2026, 6, 14)})), False),
    ("M24", "paid on a day off", payment(days_off=frozenset({date(2026, 6, 15)})), True),
    ("M24", "entered on a day off", payment(entered_on=date(2026, 6, 14), days_off=frozenset({date(2026, 6, 14)})), True),  # noqa: E501
    ("M25", "one fen below", payment("199999.99", **LATE), False),
    ("M25", "at the limit", payment("200000.00", **LATE), True),
    ("M25", "the day before", payment("200000.00", business_date=date(2026, 12, 19)), False),
    ("M25", "the last day", payment("200000.00", business_date=date(2026, 12, 31)), True),
    ("M25", "month at 2.5 times", payment("500.00", **LATE, history=history(spent="2000.00", average="1000.00")), False),  # noqa: E501
    ("M25", "month one fen above", payment("500.01", **LATE, history=history(spent="2000.00", average="1000.00")), True),  # noqa: E501
    ("M26", "one fen below", payment("49999.99", payee=PERSON), False),
    ("M26", "at the limit", payment("50000.00", payee=PERSON), True),
    ("M26", "a firm", payment("50000.00"), False),
    ("M26", "salaries", payment("50000.00", payee=PERSON, business_type="3"), False),
    ("M26", "white", payment("50000.00", payee={**PERSON, "listed": "white"}), False),
    ("M27", "total at 5 %", payment(roster=roster(total=Y("840000.00"))), False),
    ("M27", "total one fen above", payment(roster=roster(total=Y("840000.01"))), True),
    ("M27", "total one fen below 95 %", payment(roster=roster(total=Y("759999.99"))), True),
    ("M27", "heads at 5 %", payment(roster=roster(head_count=105)), False),
    ("M27", "heads above", payment(roster=roster(head_count=106)), True),
    ("M27", "the first of its kind", payment(roster=roster(head_count=1, last_head_count=None, last_total=None)), False),  # noqa: E501
    ("M27", "a shared card", payment(roster=roster(shared_accounts=("6217****0001",))), True),
    ("M28", "three times", monthly(3), False),
    ("M28", "four times", monthly(4), True),
    ("M29", "at the standard", payment("18000.00", dept_economic_code="30215", expense=expense()), False),
    ("M29", "one fen above", payment("18000.01", dept_economic_code="30215", expense=expense()), True),
    ("M29", "no form", payment("1.00", dept_economic_code="30217"), True),
    ("M29", "no meeting", payment("18000.01"), False),
    ("M30", "a fund, running costs", payment(fund_nature="12", dept_economic_code="30201"), True),
    ("M30", "a fund, equipment", payment(fund_nature="12", dept_economic_code="31003"), False),
    ("M30", "bond money", payment(tags=("专项债券",), dept_economic_code="30101"), True),
    ("M30", "general budget", payment(dept_economic_code="30101"), False),
    ("M31", "in order", payment(payer=payer()), False),
    ("M31", "not looked at here", payment(), False),
    ("M31", "of another kind", payment(payer=payer("资金性质 11 的财政授权支付须由单位零余额账户付款，6220 是单位基本户。")), True),  # noqa: E501
    ("M31", "not in use", payment(payer=payer("账户 6220 已停用，不能付款。")), True),
    ("M32", "two days", dwell(2), False),
    ("M32", "three days", dwell(3), True),
    ("M33", "five days", pending(5), False),
    ("M33", "six days", pending(6), True),
    ("M34", "just enough", forecast("1000.00", "1000.00"), False),
    ("M34", "one fen short", forecast("999.99", "1000.00"), True),
    ("M35", "the same", receipt("100.00", "100.00"), False),
    ("M35", "one fen more", receipt("100.01", "100.00"), True),
]
# fmt: on
HITS = [case for case in CASES if case[3]]


def found(code, facts, **parameters):
    rule = RULES[code]
    return rule.evaluate(facts, rule.defaults | parameters)


@pytest.mark.parametrize(("code", "what", "facts", "hit"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_a_rule_is_heard_beyond_its_limit_and_not_before(code, what, facts, hit):
    assert (found(code, facts) is not None) is hit


def test_every_rule_is_tried_on_both_sides():
    judged = {rule.code for rule in CATALOGUE if rule.evaluate is not None}
    assert {case[0] for case in CASES if case[3]} == {case[0] for case in CASES if not case[3]} == judged
    assert set(RULES) - judged == {"M12", "M14", "M15"}  # see tests/payments/test_hard_rules.py
    assert list(RULES) == [f"M{number:02d}" for number in range(1, 36)]
    assert set(HARD) == {"M12", "M14", "M15", "M31"}


@pytest.mark.parametrize(("code", "what", "facts", "hit"), HITS, ids=[f"{c[0]} {c[1]}" for c in HITS])
def test_a_finding_names_its_field_its_limit_and_the_remedy(code, what, facts, hit):
    finding, rule = found(code, facts), RULES[code]
    told = Hit(UUID(int=1), code, 1, "", "", "", finding.message, finding.seen, hint=rule.hint).told

    assert finding.field and finding.label and finding.limit
    assert f"「{finding.label}」" in told
    assert finding.limit in told
    assert told.endswith(rule.hint) and "请" in rule.hint and rule.hint.endswith("。")
    assert finding.seen, "an alert keeps what the rule saw"


def test_the_annual_limit_warns_before_it_blocks():
    at_limit, above = found("M16", payment("2000.00", annual=annual("8000.00"))), None
    above = found("M16", payment("2000.01", annual=annual("8000.00")))

    assert (at_limit.severity, at_limit.action) == ("yellow", "remind")
    assert (above.severity, above.action) == ("", "")  # as the region sets it: level one, blocked


def test_the_function_and_the_project_of_direct_funds_may_be_limited():
    direct = payment(**DIRECT, project_code="P1")

    assert found("M20", direct, functions="205") is None
    assert found("M20", direct, functions="2050205").field == "function_code"
    assert found("M20", direct, projects="P1,P2") is None
    assert found("M20", direct, projects="P2").field == "project_code"


def test_the_reminder_says_whether_a_reason_is_given():
    without = found("M04", payment("3000.00", **CASH, cash_reason=" "))
    given = found("M04", payment("3000.00", **CASH, cash_reason="学生助学金"))

    assert "未填写现金理由" in without.message
    assert "学生助学金" in given.message and "未填写" not in given.message
    assert given.seen == {
        "amount": "3000.00",
        "settlement": "3",
        "above": "1000.00",
        "up_to": "10000.00",
        "cash_reason": "学生助学金",
    }


def test_money_to_the_units_own_account_is_seen_in_any_row():
    rows = (PayeeFacts("供应商", SUPPLIER, Decimal("0.01")), PayeeFacts("收款人", OWN, Y("50000.00")))

    finding = found("M07", payment("50000.01", payees=rows))

    assert OWN in finding.message
    assert finding.seen == {
        "amount": "50000.01",
        "payees": [{"name": "收款人", "account_no": OWN, "amount": "50000.00"}],
    }


def test_parts_of_one_request_count_together_against_the_threshold():
    """Two rows of 30,000 and 20,000 in one earlier request are one payment of 50,000."""
    before = (earlier("30000.00", days=1, work_days=1), earlier("20000.00", days=1, work_days=1))

    assert found("M09", payment("50000.00", history=history(*before))).seen["total"] == "100000.00"
    assert found("M09", payment("49999.99", history=history(*before))) is None


def test_the_strictest_action_of_all_hits_counts():
    def hit(action):
        return Hit(UUID(int=1), "M01", 1, "", "yellow", action, "", {})

    assert worst_action([]) is None
    assert worst_action([hit("remind"), hit("record")]) is Action.REMIND
    assert worst_action([hit("hold"), hit("block"), hit("remind")]) is Action.BLOCK


def test_a_scheduled_rule_may_only_record_or_urge():
    scheduled = {rule.code for rule in CATALOGUE if rule.scheduled}

    assert scheduled == {"M21", "M28", "M32", "M33", "M34"}
    assert all(rule.action in rule.actions for rule in CATALOGUE)
    assert RULES["M34"].actions == (Action.RECORD, Action.REMIND)


@pytest.mark.parametrize(
    ("code", "parameters", "part"),
    [
        ("M01", {"amount_from": "5e5"}, "格式不对"),
        ("M01", {"amount_from": 500000.0}, "格式不对"),
        ("M01", {}, "缺少参数"),
        ("M06", {"amount_from": "1.00"}, "未知参数"),
        ("M10", {"limit": "100000.00", "ratio_from": "1.5"}, "格式不对"),
        ("M04", {"above": "1000.00", "up_to": "1000.00"}, "递增"),
        ("M04", ["1000.00"], "JSON 对象"),
        ("M19", {"days": "-1"}, "格式不对"),
        ("M28", {"times": "3.0"}, "格式不对"),
        ("M25", {"period": "13-01/12-31", "amount_from": "1.00", "times": "2"}, "格式不对"),
        ("M25", {"period": "12-20/12-31", "amount_from": "1.00", "times": "0"}, "格式不对"),
        ("M20", {"tags": "直达", "functions": "205,,206", "projects": ""}, "格式不对"),
        ("M17", {"words": "礼\x00品"}, "格式不对"),
    ],
)
def test_parameters_that_make_no_sense_are_named(code, parameters, part):
    assert part in RULES[code].findings(parameters)[0]


@pytest.mark.parametrize("code", list(RULES))
def test_the_defaults_of_every_rule_are_valid(code):
    assert RULES[code].findings(RULES[code].defaults) == []


def test_words_may_be_written_with_full_width_commas():
    assert found("M17", payment(purpose="考察旅游"), words="烟酒，旅游、礼品").limit == "旅游"
