"""One key, one effect."""

import time
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, transaction

from core.errors import IdempotencyMismatch
from core.idempotency import Answer, run_once
from core.models import IdempotencyKey, NumberRule
from tests import acts

NOW = datetime(2026, 6, 15, 1, 0, tzinfo=UTC)


def effect():
    """Something that would show if it happened twice."""
    number = NumberRule.objects.count()
    NumberRule.objects.create(adm_div_code="990100000", kind=f"k{number}", pattern="x")
    return Answer(201, {"number": number})


def once(key="k1", payload=b"{}", owner="BANK-A", act=effect):
    return run_once(owner=owner, key=key, payload=payload, now=NOW, act=act)


def test_the_same_key_and_payload_get_the_first_answer_again(db):
    first, again = once(), once()

    assert (first.status, first.body, first.replayed) == (201, {"number": 0}, False)
    assert (again.status, again.body, again.replayed) == (201, {"number": 0}, True)
    assert NumberRule.objects.count() == 1


def test_the_same_key_with_other_content_is_refused_and_does_nothing(db):
    once(payload=b'{"amount": "1.00"}')

    with pytest.raises(IdempotencyMismatch) as refusal:
        once(payload=b'{"amount": "2.00"}')

    assert (refusal.value.code, refusal.value.http_status) == ("idempotency_mismatch", 409)
    assert refusal.value.field == "Idempotency-Key"
    assert NumberRule.objects.count() == 1


def test_keys_belong_to_their_owner(db):
    assert once(owner="BANK-A").body == {"number": 0}
    assert once(owner="BANK-B").body == {"number": 1}


def test_a_failed_act_stores_no_answer_and_may_be_tried_again(db):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        once(act=broken)

    assert IdempotencyKey.objects.count() == 0
    assert once().replayed is False


def test_a_stored_answer_is_never_changed(db):
    once()

    with pytest.raises(DatabaseError), transaction.atomic():
        IdempotencyKey.objects.update(status=200)

    assert IdempotencyKey.objects.get().status == 201


@pytest.mark.django_db(transaction=True)
def test_two_calls_at_the_same_moment_have_one_effect():
    def slow():
        time.sleep(0.2)
        return effect()

    answers = acts.together(*[lambda: once(act=slow)] * 4)

    assert [answer.body for answer in answers] == [{"number": 0}] * 4
    assert sorted(answer.replayed for answer in answers) == [False, True, True, True]
    assert NumberRule.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_contents_under_one_key_at_the_same_moment_have_one_effect():
    calls = [lambda payload=payload: once(payload=payload) for payload in (b"a", b"b")]

    answers = acts.together(*calls)

    assert sorted(type(answer).__name__ for answer in answers) == ["Answer", "IdempotencyMismatch"]
    assert NumberRule.objects.count() == 1
