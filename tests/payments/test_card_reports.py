"""What card banks report over the API: all of a report or nothing, and the same report twice only once."""

import json
import secrets

import pytest

from cards.models import CardTransaction
from demo import world
from tests.vouchers.api_partner import ApiPartner

PATH = "/api/v1/card-transactions/"
PURCHASE = {
    "unit_code": "101002",
    "transaction_no": "GWK20260612000009",
    "card_no": "6230000000090009",
    "holder_name": "李春梅",
    "bank_name": "丙银行临江支行",
    "merchant": "新华书店",
    "consumed_on": "2026-06-12",
    "due_on": "2026-07-05",
    "amount": "88.00",
}


@pytest.fixture
def bank(city, pki):
    return ApiPartner(pki, world.BANK_A)


def report(partner, *purchases, key="new"):
    key = secrets.token_hex(8) if key == "new" else key
    return partner.post_json(PATH, {"transactions": list(purchases)}, key=key)


def known():
    return CardTransaction.objects.filter(transaction_no__startswith="GWK20260612").count()


def test_a_report_is_kept_and_said_again_changes_nothing(bank):
    first = report(bank, PURCHASE, PURCHASE | {"transaction_no": "GWK20260612000010"})
    assert (first.status, first.signed, first.json) == (200, True, {"new": 2, "known": 0})
    assert report(bank, PURCHASE).json == {"new": 0, "known": 1}
    row = CardTransaction.objects.get(transaction_no=PURCHASE["transaction_no"])
    assert (row.unit.code, str(row.amount), row.reported_by) == ("101002", "88.00", "甲银行")


def test_the_same_number_with_another_amount_is_refused_whole(bank):
    report(bank, PURCHASE)
    fresh = PURCHASE | {"transaction_no": "GWK20260612000010"}
    answer = report(bank, fresh, PURCHASE | {"amount": "88.01"})
    assert (answer.status, answer.code, known()) == (409, "conflict", 1)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"amount": "88"}, "transactions.2.amount"),
        ({"amount": "0.00"}, "transactions.2.amount"),
        ({"amount": "1e3"}, "transactions.2.amount"),
        ({"unit_code": "999999"}, "transactions.2.unit_code"),
        ({"due_on": "2026-06-11"}, "transactions.2.due_on"),
    ],
)
def test_one_bad_row_refuses_the_report_and_is_named(bank, change, pointer):
    answer = report(bank, PURCHASE, PURCHASE | {"transaction_no": "GWK20260612000010"} | change)
    assert answer.status == 422 and pointer.replace(".", "/") in json.dumps(answer.json)
    assert known() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"card_no": "6230-0000"},
        {"transaction_no": ""},
        {"holder_name": "李\x00梅"},
        {"consumed_on": "2026-13-01"},
        {"amount": None},
        {"transaction_no": PURCHASE["transaction_no"], "merchant": "长" * 101},
    ],
)
def test_what_is_no_report_at_all_is_refused(bank, change):
    answer = report(bank, PURCHASE | change)
    assert answer.status in (400, 422) and known() == 0
    assert report(bank).status in (400, 422)
    assert report(bank, PURCHASE, PURCHASE).status == 422


def test_only_an_agent_bank_reports_and_only_with_a_key(bank, pki):
    treasury = report(ApiPartner(pki, world.PBOC), PURCHASE)
    assert (treasury.status, treasury.code) == (403, "not_an_agent_bank")
    assert report(bank, PURCHASE, key=None).code == "idempotency_key_required"
    assert known() == 0
