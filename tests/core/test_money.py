"""Amounts: one spelling in, two decimals stored, nothing rounded on the way."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from core.errors import AmountInvalid
from core.money import MoneyField, format_yuan, wire_yuan, yuan
from parties.models import ReviewNode
from tests import acts


@pytest.mark.parametrize("text", ["0.00", "0.01", "1234.50", "100000.00", "99999999999999.99"])
def test_the_one_spelling_is_read_exactly(text):
    assert yuan(text) == Decimal(text)
    assert wire_yuan(yuan(text)) == text


ODD = ["", " ", "5", "5.", ".50", "5.0", "5.000", "100.005", "-1.00", "+5", "+5.00", "1e3", "1E3", "1.00e2", "1_000.00"]
ODD += ["1,000.00", "1 000.00", " 5.00 ", "5.00\n", "\n5.00", "\t5.00", "NaN", "nan", "sNaN", "Infinity", "-inf", "inf"]
ODD += ["１２３.００", "１2.00", "١٢٣.٠٠", "१२.००", "12。50", "12．50", "²5.00", "00.00", "01.00", "-0.00", "0x10.00"]
ODD += ["100000000000000.00", "999999999999999.99", "1" * 400 + ".00", "五元", "¥5.00", "5.00元", "5.00\x00", "--5.00"]
ODD += ["5..00", "5.0.0", "5.00;DROP", "None", "1/2", "\u200b5.00", "5.00\u200b", "−5.00"]


@pytest.mark.parametrize("text", ODD)
def test_every_other_spelling_is_refused_with_code_and_field(text):
    with pytest.raises(AmountInvalid) as refusal:
        yuan(text, field="amount")

    assert (refusal.value.code, refusal.value.field, refusal.value.http_status) == ("amount_invalid", "amount", 422)


@pytest.mark.parametrize("given", [None, 5, 5.0, Decimal("5.00"), b"5.00", ["5.00"], {}, True])
def test_anything_that_is_not_text_is_refused(given):
    with pytest.raises(AmountInvalid):
        yuan(given)


def test_people_see_thousands_and_partners_do_not():
    assert format_yuan(Decimal("1234567.5")) == "1,234,567.50"
    assert wire_yuan(Decimal("1234567.5")) == "1234567.50"
    assert wire_yuan(Decimal("0")) == "0.00"


def test_a_float_never_becomes_money():
    with pytest.raises(ValidationError):
        MoneyField().to_python(0.1)


def node(amount):
    from parties.models import ReviewChain

    chain, _ = ReviewChain.objects.get_or_create(adm_div_code="990100000", document_kind="plan", name="草案")
    return ReviewNode.objects.create(chain=chain, ordinal=90, post="unit_clerk", amount_from=amount)


@pytest.mark.parametrize("amount", [0.1, float("nan"), "NaN", Decimal("NaN"), Decimal("Infinity"), "abc"])
def test_the_model_refuses_floats_and_what_is_no_number(city, amount):
    with pytest.raises(ValidationError):
        node(amount)


@pytest.mark.parametrize("amount", ["100.005", "0.001", "1e14", "-1e14"])
def test_the_database_refuses_what_is_not_fen_or_too_large_instead_of_rounding(city, amount):
    with pytest.raises(IntegrityError), transaction.atomic():
        node(Decimal(amount))

    assert not ReviewNode.objects.filter(ordinal=90).exists()


@pytest.mark.parametrize(
    "value", ["'100.005'", "'NaN'", "'Infinity'", "'-Infinity'", "100000000000000", "0.1::float8/3"]
)
def test_raw_sql_cannot_store_it_either(city, value):
    request = acts.draft("I1", "1.00")

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE payments_paymentrequest SET amount = {value} WHERE id = %s", [request.id])

    assert acts.fresh(request)[0].amount == Decimal("1.00")


def test_what_comes_back_has_two_decimals(city):
    assert str(node(Decimal("5")).amount_from) == "5"
    assert str(ReviewNode.objects.get(ordinal=90).amount_from) == "5.00"
