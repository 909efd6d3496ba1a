"""From approval to the outbox: who makes, who seals, and that both act on exactly what was approved."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from core.actors import system_actor
from core.errors import TreasuryError
from demo import world
from parties.models import ReviewDecision
from payments import services
from payments.models import LimitNotice, PaymentRequest
from tests import acts
from tests.conftest import NOW
from vouchers.codec import decode_content
from vouchers.models import Delivery, Voucher
from vouchers.services import lock_vouchers, record_answer

D = Decimal


def approved(no, *amounts, **changes):
    request = acts.draft(no, *amounts, **changes)
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    return acts.fresh(request)[0]


def as_person(who, person_id):
    actor = world.officer(who)
    return type(actor)(**{**actor.__dict__, "person_id": person_id})


def issue_as(actor, *requests):
    return services.issue_payment_vouchers(request_ids=acts.ids(requests), maker=actor, now=NOW)


def seal_as(actor, *requests):
    return services.seal_payment_vouchers(request_ids=acts.ids(requests), sealer=actor, now=NOW)


def vouchered(no, *amounts):
    request = approved(no, *amounts)
    acts.issue(request).raise_if_refused()
    return acts.fresh(request)[0]


def test_an_authorised_voucher_says_what_was_approved(city):
    request = vouchered("I1", "10.00", "2.34")

    voucher = request.voucher
    content, _ = decode_content(bytes(voucher.text))
    assert (voucher.voucher_type, voucher.voucher_no, voucher.state) == ("8202", "SZ0001", "generated")
    assert (voucher.sender, voucher.receiver, voucher.amount) == ("UNIT-101001", world.BANK_A, D("12.34"))
    assert (content.main["PayAmt"], content.main["PayAcctNo"]) == ("12.34", world.ACCOUNTS["101001"])
    assert [(d["Id"], d["PayAmt"], d["PayeeAcctNo"]) for d in content.details] == [
        ("1", "10.00", "6230000000000001"),
        ("2", "2.34", "6230000000000001"),
    ]
    assert Delivery.objects.count() == 0


def test_a_sealed_direct_voucher_lets_pboc_clear_exactly_that_much(city):
    request = acts.sent("I4", "240000.00", business_type="7")

    assert (request.voucher_no, request.voucher.sender, request.state) == ("ZF0001", world.FINANCE, "sealed")
    assert acts.limit(world.BANK_A, "11") == "240000.00"
    [notice] = LimitNotice.objects.all()
    assert (notice.voucher.voucher_no, notice.voucher.receiver, notice.amount) == (
        "ZQ0001",
        world.PBOC,
        D("240000.00"),
    )
    assert set(Delivery.objects.values_list("voucher__voucher_no", flat=True)) == {"ZF0001", "ZQ0001"}


@pytest.mark.parametrize(
    ("no", "who", "code"),
    [
        ("I1", "gk-zd", "role_required"),
        ("I1", "u101001-fh", "role_required"),
        ("I1", "u101001-yz", "role_required"),
        ("I1", "u205001-jb", "not_found"),
        ("I4", "u101002-jb", "role_required"),
        ("I4", "gk-yz", "role_required"),
        ("I4", "gk-sh", "role_required"),
    ],
)
def test_only_the_right_maker_makes_the_voucher(city, no, who, code):
    request = approved(no, "1.00")
    assert issue_as(world.officer(who), request).refused[request.id].code == code
    assert Voucher.objects.count() == 0


@pytest.mark.parametrize("reviewer", ["u101002-fh", "jkw-sh", "gk-sh"])
def test_no_reviewer_makes_or_seals_the_voucher_by_another_log_in(city, reviewer):
    request = approved("I4", "1.00")
    person = world.officer(reviewer).person_id
    assert issue_as(as_person("gk-zd", person), request).refused[request.id].code == "acted_before"
    acts.issue(request).raise_if_refused()

    refusal = seal_as(as_person("gk-yz", person), request).refused[request.id]

    assert (refusal.code, refusal.field, refusal.http_status) == ("acted_before", "sealer", 403)
    assert acts.fresh(request)[0].state == "vouchered"


@pytest.mark.parametrize(("no", "maker", "sealer"), [("I4", "gk-zd", "gk-yz"), ("I1", "u101001-jb", "u101001-yz")])
def test_neither_clerk_nor_maker_seals(city, no, maker, sealer):
    request = vouchered(no, "1.00")
    assert seal_as(world.officer(maker), request).refused[request.id].code == "role_required"
    for person in (world.officer(maker).person_id, request.created_by_id):
        assert seal_as(as_person(sealer, person), request).refused[request.id].code == "acted_before"
    assert Delivery.objects.count() == 0


@pytest.mark.parametrize(
    ("no", "who", "code"),
    [
        ("I1", "gk-yz", "role_required"),
        ("I1", "u205001-yz", "not_found"),
        ("I4", "u101002-yz", "role_required"),
        ("I4", "gk-kz", "role_required"),
    ],
)
def test_only_the_right_seal_keeper_seals(city, no, who, code):
    request = vouchered(no, "1.00")
    assert seal_as(world.officer(who), request).refused[request.id].code == code


def test_the_database_too_keeps_the_maker_from_sealing(city):
    request = vouchered("I1", "1.00")
    with pytest.raises(DatabaseError), transaction.atomic():
        Voucher.objects.filter(pk=request.voucher_id).update(sealed_by_id=request.voucher.made_by_id)


def test_what_is_not_yet_approved_gets_no_voucher_and_nothing_is_sealed_twice(city):
    waiting = acts.draft("I1", "1.00")
    acts.submit(waiting).raise_if_refused()
    assert acts.issue(waiting).refused[waiting.id].code == "transition_not_allowed"
    request = vouchered("I1", "1.00")
    assert acts.issue(request).refused[request.id].code == "transition_not_allowed"
    acts.seal(request).raise_if_refused()
    assert acts.seal(request).refused[request.id].code == "transition_not_allowed"
    assert Delivery.objects.count() == 1


def test_an_approval_that_is_missing_stops_maker_and_sealer(city):
    """As if a node had been jumped by raw SQL: the approvals are counted again."""
    request = acts.draft("I4", "1.00")
    acts.submit(request).raise_if_refused()
    acts.approve("u101002-fh", request).raise_if_refused()
    PaymentRequest.objects.filter(pk=request.pk).update(state="approved")

    assert acts.issue(request).refused[request.id].code == "approvals_incomplete"


def test_content_changed_behind_the_approvals_stops_the_sealer(city):
    request = vouchered("I1", "1.00")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # past every trigger
        cursor.execute("UPDATE payments_paymentdetail SET payee_account_no = '999' WHERE request_id = %s", [request.id])
        cursor.execute("SET LOCAL session_replication_role = origin")

    refusal = acts.seal(request).refused[request.id]

    assert (refusal.code, refusal.http_status) == ("content_changed", 409)
    assert Delivery.objects.count() == 0


def test_decisions_on_another_digest_stop_the_maker(city):
    request = approved("I1", "1.00")
    PaymentRequest.objects.filter(pk=request.pk).update(content_digest="0" * 64)
    assert acts.issue(request).refused[request.id].code == "content_changed"
    assert ReviewDecision.objects.count() == 1


def test_a_cancelled_voucher_keeps_its_number_used(city):
    request = vouchered("I1", "1.00")

    services.cancel_payment_vouchers(
        request_ids=[request.id], maker=world.officer("u101001-jb"), reason="重制", now=NOW
    ).raise_if_refused()

    [request] = acts.fresh(request)
    assert (request.state, request.voucher, request.voucher_no) == ("approved", None, "")
    assert Voucher.objects.get().state == "void"
    assert acts.books("I1")["reserved"] == "1.00"
    acts.issue(request).raise_if_refused()
    assert acts.fresh(request)[0].voucher_no == "SZ0002"


def test_a_sealed_voucher_is_not_cancelled(city):
    request = acts.sent("I1", "1.00")
    outcome = services.cancel_payment_vouchers(
        request_ids=[request.id], maker=world.officer("u101001-jb"), reason="x", now=NOW
    )
    assert outcome.refused[request.id].code == "transition_not_allowed"
    assert acts.fresh(request)[0].voucher.state == "sealed"


@pytest.mark.parametrize("how", [services.cancel_payment_vouchers, services.void_refused_requests])
def test_a_reason_too_long_for_the_track_is_refused_not_a_crash(city, how):
    request = vouchered("I1", "1.00")
    with pytest.raises(TreasuryError) as refusal:
        how(request_ids=[request.id], maker=world.officer("u101001-jb"), reason="x" * 301, now=NOW)
    assert (refusal.value.code, refusal.value.field) == ("field_invalid", "reason")


def bank_says(request, action, reason=""):
    record_answer(
        lock_vouchers([request.voucher_id]), action, by=system_actor("甲银行", "agent_bank"), reason=reason, now=NOW
    )


def test_money_of_a_refused_voucher_stays_reserved_until_it_is_given_up(city):
    untouched = acts.books("I4")
    request = acts.sent("I4", "1000.00")
    bank_says(request, "sign_for")
    assert acts.fresh(request)[0].state == "accepted"
    bank_says(request, "return", "收款行不存在")

    assert acts.fresh(request)[0].state == "bank_refused"
    assert acts.books("I4")["reserved"] == "1000.00"
    assert acts.limit(world.BANK_A, "11") == "1000.00"
    services.void_refused_requests(
        request_ids=[request.id], maker=world.officer("gk-zd"), reason="作废重报", now=NOW
    ).raise_if_refused()

    [request] = acts.fresh(request)
    assert (request.state, request.voucher.state) == ("voided", "void")
    assert acts.books("I4") == untouched
    assert acts.limit(world.BANK_A, "11") == "0.00"
    assert list(LimitNotice.objects.order_by("id").values_list("amount", flat=True)) == [D("1000.00"), D("-1000.00")]


@pytest.mark.parametrize("state", ["sealed", "accepted"])
def test_what_the_bank_has_not_refused_is_not_given_up(city, state):
    request = acts.sent("I1", "1.00")
    if state == "accepted":
        bank_says(request, "sign_for")
    outcome = services.void_refused_requests(
        request_ids=[request.id], maker=world.officer("u101001-jb"), reason="x", now=NOW
    )
    assert outcome.refused[request.id].code == "transition_not_allowed"
    assert acts.books("I1")["reserved"] == "1.00"


@pytest.mark.parametrize("part", ["clerk", "reviewer", "maker"])
def test_the_database_lets_nobody_seal_what_he_had_another_part_in(city, part):
    """Past every service: the request cannot become sealed while one person stands in two places."""
    request = vouchered("I4", "1.00")
    sealer = world.officer("gk-yz").person_id
    with connection.cursor() as cursor:
        cursor.execute("UPDATE vouchers_voucher SET sealed_by_id = %s WHERE id = %s", [sealer, request.voucher_id])
        cursor.execute("SET LOCAL session_replication_role = replica")  # past every trigger and foreign key
        if part == "clerk":
            cursor.execute("UPDATE payments_paymentrequest SET created_by_id = %s WHERE id = %s", [sealer, request.id])
        elif part == "reviewer":
            cursor.execute(
                "UPDATE parties_reviewdecision SET person_id = %s WHERE document_id = %s AND ordinal = 2",
                [sealer, request.id],
            )
        else:
            maker = world.officer("gk-sh").person_id
            cursor.execute("UPDATE vouchers_voucher SET made_by_id = %s WHERE id = %s", [maker, request.voucher_id])
        cursor.execute("SET LOCAL session_replication_role = origin")

    with pytest.raises(DatabaseError, match="two parts"), transaction.atomic():
        PaymentRequest.objects.filter(pk=request.pk).update(state="sealed")


def test_the_database_lets_a_request_be_sealed_by_somebody_else(city):
    request = vouchered("I4", "1.00")
    assert PaymentRequest.objects.filter(pk=request.pk).update(state="sealed") == 1
