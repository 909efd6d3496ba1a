from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tests.vouchers.example_contents import TODAY, body_of, example
from vouchers import schema
from vouchers.checks import Finding, check_content, check_envelope_matches, refusal_reason, wire_amount, wire_date
from vouchers.codec import completed
from vouchers.errors import VoucherError

TYPES = schema.known_types()


def found(content, **options):
    return [(finding.code, finding.field) for finding in check_content(content, business_date=TODAY, **options)]


def with_main(content, **fields):
    return replace(content, main={**content.main, **fields})


def with_detail(content, position, **fields):
    details = [dict(detail) for detail in content.details]
    details[position - 1].update(fields)
    return replace(content, details=tuple(details))


@pytest.mark.parametrize("code", TYPES)
def test_a_correct_voucher_has_no_findings(code):
    assert check_content(example(code), business_date=TODAY) == []
    assert check_content(completed(example(code)), business_date=TODAY) == []


@pytest.mark.parametrize("code", [code for code in TYPES if schema.voucher_type(code).has_receipt])
def test_a_correct_receipt_has_no_findings(code):
    assert check_content(example(code, receipt=True), business_date=TODAY, receipt=True) == []


@pytest.mark.parametrize("code", TYPES)
def test_every_required_field_is_missed_when_it_is_empty(code):
    kind, content = schema.voucher_type(code), example(code)
    for field in kind.main:
        if field.required and field.tag not in content.identity:
            assert ("required", field.tag) in found(with_main(content, **{field.tag: ""}))
    for field in kind.detail:
        if field.required:
            assert ("required", f"Detail[2].{field.tag}") in found(with_detail(content, 2, **{field.tag: ""}))


@pytest.mark.parametrize("code", TYPES)
def test_every_length_is_counted_in_gbk_bytes(code):
    kind, content = schema.voucher_type(code), example(code)
    for field in kind.main:
        if field.kind == "text" and field.max_bytes:
            exact = "国" * (field.max_bytes // 2) + "x" * (field.max_bytes % 2)
            assert found(with_main(content, **{field.tag: exact})) == []
            assert found(with_main(content, **{field.tag: exact + "x"})) == [("too_long", field.tag)]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1200",
            "1200.0",
            "1200.000",
            "1,200.00",
            "1200,00",
            "1200.00元",
            "¥1200.00",
            "1e3",
            "1.2E3",
            "NaN",
            "Infinity",
        ),
        *(".50", "12.", "--1.00", "+-1.00", "0x10.00", "1_200.00", "1234567890123456.00", "100000000000000.00"),
        *("１２００.００", "1200．00", "٣.00"),
        *(" 1200.00", "1200.00 ", "1200.00\n", "12 00.00", "1200.00\x00"),
    ],
)
def test_amounts_in_odd_spellings_are_refused(text):
    with pytest.raises(VoucherError) as refusal:
        wire_amount(text, field="PayAmt")

    assert (refusal.value.code, refusal.value.field) == ("amount_invalid", "PayAmt")
    assert ("amount_invalid", "PayAmt") in found(with_main(example("5201"), PayAmt=text))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1200.00", "1200.00"),
        ("-3000.00", "-3000.00"),
        ("+0.01", "0.01"),
        ("-0.00", "0.00"),
        ("99999999999999.99", "99999999999999.99"),
    ],
)
def test_signed_amounts_are_read_exactly(text, amount):
    assert str(wire_amount(text)) == amount


SIGNS = {
    "positive": {"0.00": False, "-200.00": False},
    "negative": {"0.00": False, "200.00": False},
    "nonzero": {"0.00": False, "-200.00": True, "200.00": True},
    "zero": {"0.00": True, "0.01": False, "-200.00": False},
    "any": {"0.00": True, "-200.00": True},
}


@pytest.mark.parametrize("code", TYPES)
def test_the_sign_of_the_total_follows_the_type(code):
    kind = schema.voucher_type(code)
    for text, allowed in SIGNS[kind.sign].items():
        findings = found(with_main(example(code), **{kind.amount_main: text}))
        assert (("amount_sign", kind.amount_main) in findings) is not allowed


PAYMENTS = ("5201", "5207", "5214", "5267", "8202", "8231")


def test_the_expected_signs_by_type():
    signs = {code: schema.voucher_type(code).sign for code in TYPES}

    assert {code for code, sign in signs.items() if sign == "positive"} == {*PAYMENTS, "2301"}
    assert {code for code, sign in signs.items() if sign == "negative"} == {"2203", "2204", "2302", "3208", "8252"}
    assert {code for code, sign in signs.items() if sign == "zero"} == {"5253", "5351"}
    assert {code for code, sign in signs.items() if sign == "nonzero"} == {"5105", "5106", "5108", "2104"}


def test_a_payment_line_must_be_positive_even_if_the_total_is():
    content = with_main(example("5201"), PayAmt="100.00")
    content = with_detail(with_detail(content, 1, PayAmt="150.00"), 2, PayAmt="-50.00")

    assert found(content) == [("amount_sign", "Detail[2].PayAmt")]


def test_a_clearing_limit_may_mix_lines_of_either_sign():
    content = with_main(example("5108"), PayAmt="-50.00")
    content = with_detail(with_detail(content, 1, PayAmt="-100.00"), 2, PayAmt="50.00")

    assert found(content) == []
    assert found(with_main(with_detail(content, 2, PayAmt="0.00"), PayAmt="-100.00")) == []


def test_the_total_is_the_sum_of_the_details_to_the_fen():
    assert found(with_main(example("8202"), PayAmt="200.01")) == [("total_differs", "PayAmt")]


def test_a_misspelt_line_is_reported_once_and_not_as_a_wrong_total_too():
    assert found(with_detail(example("8202"), 2, PayAmt="100")) == [("amount_invalid", "Detail[2].PayAmt")]


def test_each_balance_of_a_3510_is_the_sum_of_its_lines():
    content = with_main(example("3510"), CurReckMoney="1.00", AllAmt="3.00")

    assert found(content) == [("total_differs", "AllAmt"), ("total_differs", "CurReckMoney")]


def test_a_packet_of_a_larger_statement_is_not_summed_alone():
    assert found(with_main(example("3507"), AllNum="600", AllAmt="9.00", ChildPackNum="2")) == []
    assert found(with_main(example("3507"), AllNum="3")) == [("detail_count_differs", "AllNum")]


@pytest.mark.parametrize(
    ("code", "tag", "value", "finding"),
    [
        ("5106", "TreCode", "990100000", "treasury_code_invalid"),
        ("5106", "TreCode", "99010000000", "treasury_code_invalid"),
        ("5106", "TreCode", "９９０１００００００", "treasury_code_invalid"),
        ("5106", "FinOrgCode", "1234567890123", "finance_code_invalid"),
        ("5106", "FinOrgCode", "99A", "finance_code_invalid"),
        ("5106", "SetMonth", "00", "month_invalid"),
        ("5106", "SetMonth", "13", "month_invalid"),
        ("5106", "SetMonth", "6", "month_invalid"),
        ("5106", "PayBankNo", "99910000001", "bank_no_invalid"),
        ("2301", "PayBankNo", "99910000001X", "bank_no_invalid"),
        ("2301", "PayTypeCode", "1", "pay_type_invalid"),
        ("2301", "PayTypeCode", "0010010", "pay_type_invalid"),
        ("2301", "AgentAcctNo", "62 00", "account_invalid"),
        ("2301", "ClearAcctNo", "62a", "account_invalid"),
        ("5201", "PayAcctNo", "6" * 33, "account_invalid"),
        ("5201", "PayAcctNo", "账号", "account_invalid"),
        ("8202", "PayeeAcctBankNo", "1", "bank_no_invalid"),
        ("2203", "PayDate", "20260230", "date_invalid"),
        ("2203", "PayDate", "2026-06-12", "date_invalid"),
        ("2203", "PayDate", "２０２６０６１２", "date_invalid"),
        ("2203", "PayDate", "20260616", "date_in_future"),
        ("3507", "AllNum", "two", "number_invalid"),
        ("8202", "PayeeAcctName", "王\u200b三", "character_not_in_gbk"),
        ("8202", "PayeeAcctName", "王\u202e三", "character_not_allowed"),
        ("8202", "PayeeAcctName", "王\n三", "character_not_allowed"),
        ("8202", "PayeeAcctName", "王\u00ad三", "character_not_allowed"),
        ("8202", "PayeeAcctName", "e\u0301", "character_not_in_gbk"),
        ("8202", "PayAcctNo", "6200\t01", "character_not_allowed"),
    ],
)
def test_each_rule_names_its_field(code, tag, value, finding):
    assert (finding, tag) in found(with_main(example(code), **{tag: value}))


def test_dates_of_the_voucher_may_be_today_but_not_later():
    assert found(replace(example("8202"), voucher_date=date(2026, 6, 15))) == []
    assert found(replace(example("8202"), voucher_date=date(2026, 6, 16))) == [("date_in_future", "VouDate")]
    assert found(replace(example("8202"), fiscal_year=2027)) == [("fiscal_year_in_future", "StYear")]
    assert found(replace(example("8202"), fiscal_year=2025)) == []


def test_voucher_numbers_are_bounded_by_the_narrowest_receiver():
    assert found(replace(example("8202"), voucher_no="A" * 20)) == []
    assert found(replace(example("8202"), voucher_no="A" * 21)) == [("too_long", "VoucherNo")]
    assert found(replace(example("5106"), voucher_no="A" * 17)) == []
    assert found(replace(example("5106"), voucher_no="A" * 18)) == [("too_long", "VoucherNo")]


def many(content, count):
    kind = schema.voucher_type(content.voucher_type)
    details = tuple({**content.details[0], "Id": str(n)} for n in range(count))
    return with_main(replace(content, details=details), **{kind.amount_main: f"{100 * count}.00"})


def test_a_voucher_has_from_one_to_499_details():
    assert found(many(example("5201"), 499)) == []
    assert found(many(example("5201"), 500)) == [("detail_count", "DetailList")]
    assert ("detail_count", "DetailList") in found(many(example("5201"), 0))
    assert found(with_main(replace(example("2206"), details=()), PayAmt="0.00")) == []


def test_detail_ids_are_unique():
    assert found(with_detail(example("2301"), 2, Id="D1")) == [("detail_id_repeated", "Detail[2].Id")]


def test_a_normal_refund_names_its_payment_and_a_negative_voucher_need_not():
    content = with_detail(example("2302"), 1, OriVouDetailNo="")

    assert found(content) == [("required", "Detail[1].OriVouDetailNo")]
    assert found(with_main(content, TKLX="2")) == []


def test_an_identity_repeated_otherwise_is_found():
    assert found(with_main(example("8202"), VoucherNo="SZ9")) == [("identity_differs", "VoucherNo")]


def test_all_findings_are_returned_at_once():
    content = with_main(example("5106"), TreCode="1", PayBankNo="", PlanAmt="1", SetMonth="13")

    assert found(with_detail(content, 2, Id="D1", ExpFuncCode="")) == [
        ("treasury_code_invalid", "TreCode"),
        ("amount_invalid", "PlanAmt"),
        ("month_invalid", "SetMonth"),
        ("required", "PayBankNo"),
        ("required", "Detail[2].ExpFuncCode"),
        ("detail_id_repeated", "Detail[2].Id"),
    ]


# Receipts -----------------------------------------------------------------------------------------------------------


def test_our_own_document_sent_back_is_no_receipt():
    for code, missing in {
        "5201": ["XPayAmt", "Detail[1].XPayAmt", "Detail[2].XPayAmt"],
        "5106": ["XAcctDate"],
        "2301": ["XClearDate", "XPayAmt"],
    }.items():
        assert found(example(code), receipt=True) == [("required_in_receipt", field) for field in missing]


def test_a_refusal_as_a_whole_needs_no_detail_answers():
    assert found(with_main(example("5201"), XPayAmt="0.00"), receipt=True) == []


def test_the_paid_total_is_the_sum_of_the_paid_details():
    receipt = example("5201", receipt=True)

    assert found(with_detail(receipt, 2, XPayAmt="0.00"), receipt=True) == [("total_differs", "XPayAmt")]
    assert found(with_main(with_detail(receipt, 2, XPayAmt="0.00"), XPayAmt="100.00"), receipt=True) == []


def test_banks_may_write_receipt_dates_with_a_time():
    receipt = example("5201", receipt=True)

    assert found(with_main(receipt, XPayDate="2026-06-15 10:10:00"), receipt=True) == []
    assert found(with_main(receipt, XPayDate="2026-06-15 24:10:00"), receipt=True) == [("date_invalid", "XPayDate")]
    assert wire_date("2026-06-15 10:10:00", receipt=True) == TODAY
    with pytest.raises(VoucherError):
        wire_date("2026-06-15 10:10:00")


def test_a_type_without_receipt_gets_none():
    assert found(example("2204"), receipt=True) == [("no_receipt_expected", "VtCode")]


# The envelope and the answer ----------------------------------------------------------------------------------------


def test_an_envelope_must_repeat_what_was_signed():
    content = example("8202")
    assert check_envelope_matches(body_of(content, b"x"), content) == []

    renumbered = body_of(
        content, b"x", adm_div_code="990200000", fiscal_year=2025, voucher_type="5201", voucher_no="OTHER"
    )

    findings = check_envelope_matches(renumbered, content)
    assert [(finding.code, finding.field) for finding in findings] == [
        ("envelope_differs", tag) for tag in ("AdmDivCode", "StYear", "VtCode", "VoucherNo")
    ]


def test_a_refusal_reason_fits_190_bytes_and_cuts_no_character():
    finding = Finding("x", "PayAmt", "金额" * 100)

    reason = refusal_reason([finding, finding])

    assert reason.startswith("PayAmt：金额")
    assert 188 <= len(reason.encode("gbk")) <= 190
    assert refusal_reason([Finding("x", "PayAmt", "含𠮷")]) == "PayAmt：含?"


def test_zero_is_zero():
    assert wire_amount("0.00") == Decimal("0.00")
