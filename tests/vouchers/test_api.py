"""The door of the API: signatures, nonces, sizes, types, problems, and that a refusal changes nothing."""

import json
import secrets
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from core.models import IdempotencyKey
from demo import world
from seals.models import Certificate
from seals.pki import OrganisationSpec, make_demo_pki
from seals.services import import_demo_pki, revoke_certificate
from tests import acts
from tests.vouchers.api_partner import JSON, VOUCHERS, XML, ApiPartner, identity, sealed_vouchers
from vouchers.authentication import KEEP_NONCES, PRUNE_EVERY, remember_nonce
from vouchers.models import Delivery, ExchangePartner, InboxMessage, InboxRejection, RequestNonce, Voucher
from vouchers.states import DeliveryState, VoucherState

CONFIRM = f"{VOUCHERS}confirm/"


def refused(reply, status, code, *, signed):
    assert (reply.status, reply.code) == (status, code)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Cache-Control"] == "no-store"
    assert bool(reply.signed) is signed
    problem = reply.json
    assert problem["type"] == f"urn:guoku:problem:{code}"
    assert problem["status"] == status
    assert problem["request_id"] == reply.headers["X-Request-ID"]
    assert problem["title"] and problem["title_en"] and problem["detail"]
    return problem


@pytest.fixture
def waiting(city):
    """One sealed voucher for bank A; `untouched` says that nothing became of it."""
    (voucher,) = sealed_vouchers(1)
    return voucher


def untouched(voucher):
    delivery = Delivery.objects.get(voucher=voucher)
    state = Voucher.objects.get(pk=voucher.pk).state
    return (state, delivery.state, delivery.attempts) == (VoucherState.SEALED, DeliveryState.QUEUED, 0)


def test_answers_are_signed_and_carry_the_request_id(bank_a):
    reply = bank_a.call("GET", VOUCHERS, headers={"X-Request-ID": "bank-a.20260615.7"})

    assert (reply.status, reply.json, reply.signed) == (200, {"results": [], "next": None}, True)
    assert reply.headers["X-Request-ID"] == "bank-a.20260615.7"
    assert "no-store" in reply.headers["Cache-Control"]


def test_a_partner_of_the_other_suite_is_served_the_same(city, pki, tmp_path):
    make_demo_pki(
        tmp_path,
        [OrganisationSpec("BANK-P", "丙银行", "ecdsa-p256-sha256")],
        timezone.now() - timedelta(days=1),
        timezone.now() + timedelta(days=400),
    )
    import_demo_pki(tmp_path)
    ExchangePartner.objects.create(organisation="BANK-P", name="丙银行", kind="agent_bank", adm_div_code=world.REGION)
    (tmp_path / world.FINANCE).symlink_to(pki / world.FINANCE)

    assert ApiPartner(tmp_path, "BANK-P").get().signed is True


# Signatures ---------------------------------------------------------------------------------------------------------


def test_an_unsigned_request_is_refused(city):
    answer = Client().get(VOUCHERS)

    assert (answer.status_code, answer.json()["code"]) == (401, "signature_missing")
    assert answer["WWW-Authenticate"] == 'Signature tag="guoku-v1"'
    assert "Signature" not in answer.headers


def test_a_session_opens_nothing_here(city, client):
    client.login(username="admin", password=world.PASSWORD)

    assert client.get(VOUCHERS).status_code == 401


def test_an_altered_body_is_refused(bank_a, waiting):
    body = json.dumps({"items": [identity(waiting)]}).encode()
    reply = bank_a.call("POST", CONFIRM, body=body, content_type=JSON, sent_body=body.replace(b"SZ", b"SX"))

    refused(reply, 401, "content_digest_mismatch", signed=False)
    assert untouched(waiting)


@pytest.mark.parametrize(("path", "query"), [(CONFIRM, "x=1"), (f"{VOUCHERS}fail/", "")])
def test_a_signature_for_another_address_is_refused(bank_a, waiting, path, query):
    body, nonce = json.dumps({"items": [identity(waiting)]}).encode(), secrets.token_hex(12)
    headers = bank_a.signed_headers("POST", CONFIRM, "", body, nonce, content_type=JSON)
    reply = bank_a.send_signed("POST", path, query, body, headers, nonce)

    refused(reply, 401, "signature_invalid", signed=False)
    assert untouched(waiting)


@pytest.mark.parametrize("age", [301, -302])
def test_a_stale_or_early_signature_is_refused(bank_a, waiting, age):
    reply = bank_a.post_json(CONFIRM, {"items": [identity(waiting)]}, age=age)

    refused(reply, 401, "signature_not_current", signed=False)
    assert untouched(waiting)


def test_a_replayed_request_is_refused_and_acts_once(bank_a, waiting):
    nonce = secrets.token_hex(12)
    first = bank_a.get(query="limit=1")
    assert first.status == 200

    assert bank_a.call("GET", VOUCHERS, nonce=nonce).status == 200
    refused(bank_a.call("GET", VOUCHERS, nonce=nonce), 401, "signature_replayed", signed=True)
    assert bank_a.post_json(CONFIRM, {"items": [identity(waiting)]}, nonce=nonce).code == "signature_replayed"
    assert untouched(waiting)


def test_two_partners_may_use_one_nonce(bank_a, bank_b):
    assert bank_a.call("GET", VOUCHERS, nonce="same-nonce").status == 200
    assert bank_b.call("GET", VOUCHERS, nonce="same-nonce").status == 200


def test_the_longest_nonce_of_the_profile_is_taken(bank_a):
    assert bank_a.call("GET", VOUCHERS, nonce="n" * 128).status == 200


def test_old_nonces_are_dropped_and_recent_ones_kept(city):
    now = timezone.now()
    for age, nonce in ((KEEP_NONCES + timedelta(seconds=1), "old-nonce"), (timedelta(seconds=300), "new-nonce")):
        remember_nonce("BANK-A:aa", nonce, now - age)
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('vouchers_requestnonce_id_seq', %s)", [PRUNE_EVERY * 1000 - 1])

    remember_nonce("BANK-A:aa", "last-nonce", now)

    assert RequestNonce.objects.count() == 2


def test_a_key_of_somebody_else_is_refused(bank_a, bank_b, waiting):
    bank_b.organisation = world.BANK_A  # signs with its own key in A's name
    refused(bank_b.post_json(CONFIRM, {"items": [identity(waiting)]}), 401, "certificate_unknown", signed=False)
    bank_b.certificate = bank_a.certificate  # even under A's certificate
    refused(bank_b.post_json(CONFIRM, {"items": [identity(waiting)]}), 401, "signature_invalid", signed=False)
    assert untouched(waiting)


def test_a_revoked_certificate_is_refused(bank_a, waiting):
    row = Certificate.objects.get(organisation_code=world.BANK_A)
    revoke_certificate(certificate_id=row.pk, reason="密钥泄露", now=timezone.now())

    refused(bank_a.get(), 401, "certificate_revoked", signed=False)


@pytest.mark.parametrize("organisation", ["UNIT-101001", world.FINANCE])
def test_an_organisation_with_a_key_but_no_exchange_is_refused(city, pki, organisation):
    refused(ApiPartner(pki, organisation).get(), 403, "partner_not_admitted", signed=False)


def test_a_disabled_partner_is_refused(bank_a, waiting):
    ExchangePartner.objects.filter(pk=world.BANK_A).update(enabled=False)

    refused(bank_a.get(), 403, "partner_not_admitted", signed=False)


# Size, type, rate, address ------------------------------------------------------------------------------------------


def test_a_body_above_ten_mebibytes_is_refused_unread_and_leaves_one_trace(bank_a):
    for _ in range(2):
        reply = bank_a.post_raw(b"<MOF/>", headers={"Content-Length": str(10 * 1024 * 1024 + 1)})
        refused(reply, 413, "body_too_large", signed=False)

    trace = InboxRejection.objects.get()
    assert (trace.sender, trace.size, trace.code) == (world.BANK_A, 10 * 1024 * 1024 + 1, "body_too_large")
    assert not InboxMessage.objects.exists() and not IdempotencyKey.objects.exists()


def test_a_claim_of_an_unknown_sender_leaves_no_trace(bank_a):
    bank_a.organisation = "BANK-X"
    reply = bank_a.post_raw(b"<MOF/>", headers={"Content-Length": str(11 * 1024 * 1024)})

    assert (reply.status, InboxRejection.objects.count()) == (413, 0)


def test_ten_mebibytes_are_read(bank_a):
    reply = bank_a.post_raw(b" " * (10 * 1024 * 1024))

    refused(reply, 422, "xml_declaration", signed=True)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Transfer-Encoding": "chunked"}, 411, "length_required"),
        ({"Content-Encoding": "gzip"}, 415, "content_encoding_not_supported"),
    ],
)
def test_other_transfers_are_refused(bank_a, headers, status, code):
    refused(bank_a.post_raw(b"<MOF/>", headers=headers), status, code, signed=False)


@pytest.mark.parametrize("content_type", [JSON, "text/plain", "application/xml; charset=big5", "multipart/form-data"])
def test_an_envelope_of_another_type_is_refused_and_kept(bank_a, content_type):
    reply = bank_a.post_raw(b"<MOF/>", content_type=content_type)

    refused(reply, 415, "content_type_not_supported", signed=True)
    assert InboxRejection.objects.get().code == "content_type_not_supported"


@pytest.mark.parametrize("content_type", [XML, "text/plain", f"{JSON}; charset=zlib"])
def test_items_of_another_type_are_refused(bank_a, waiting, content_type):
    body = json.dumps({"items": [identity(waiting)]}).encode()
    reply = bank_a.call("POST", CONFIRM, body=body, content_type=content_type)

    if content_type.startswith(JSON):  # the label is not believed: JSON is UTF-8
        assert reply.status == 200
    else:
        refused(reply, 415, "content_type_not_supported", signed=True)
        assert untouched(waiting)


def test_a_strange_character_set_does_not_break_a_query(bank_a):
    reply = bank_a.call("GET", VOUCHERS, "limit=1", headers={"Content-Type": f"{JSON}; charset=zlib"})

    assert reply.status == 200


def test_too_many_requests_are_told_when_to_come_back(bank_a, bank_b, settings):
    settings.GUOKU_API_RATE = "2/min"

    assert [bank_a.get().status for _ in range(2)] == [200, 200]
    problem = refused(over := bank_a.get(), 429, "too_many_requests", signed=True)
    assert problem["retryable"] is True and 1 <= int(over.headers["Retry-After"]) <= 60
    assert bank_b.get().status == 200


@pytest.mark.parametrize("path", ["/api/v1/", "/api/v1/vouchers", "/api/v1/vouchers/confirm", "/api/v1/nothing/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_address_is_a_problem_document(bank_a, path, method):
    refused(bank_a.call(method, path), 404, "not_found", signed=False)


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", VOUCHERS), ("OPTIONS", VOUCHERS), ("GET", CONFIRM), ("POST", f"{VOUCHERS}status/")]
)
def test_another_method_is_a_problem_document(bank_a, method, path):
    refused(bank_a.call(method, path), 405, "method_not_allowed", signed=True)


# Our own trouble ----------------------------------------------------------------------------------------------------


def test_a_database_that_is_away_is_503_with_retry_after(bank_a, monkeypatch):
    def away():
        raise OperationalError("could not connect: password=hush")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        reply = bank_a.get()

    problem = refused(reply, 503, "service_unavailable", signed=False)
    assert problem["retryable"] is True and reply.headers["Retry-After"] == "5"
    assert "hush" not in json.dumps(problem)


def test_without_our_own_key_nothing_is_done(bank_a, waiting, settings, tmp_path):
    settings.GUOKU_KEY_DIR = tmp_path

    refused(bank_a.post_json(CONFIRM, {"items": [identity(waiting)]}), 503, "service_unavailable", signed=False)
    assert untouched(waiting)


def test_an_unforeseen_error_is_500_and_tells_nothing(bank_a, monkeypatch):
    def broken(**_arguments):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("vouchers.api.waiting_vouchers", broken)
    reply = bank_a.get()

    problem = refused(reply, 500, "internal_error", signed=True)
    assert "secret" not in json.dumps(problem)


# Idempotency-Key ----------------------------------------------------------------------------------------------------


def test_sending_needs_an_idempotency_key(bank_a, city):
    receipt = bank_a.receipt(acts.sent("I1", "100.00").voucher)

    refused(bank_a.post(receipt, key=None), 400, "idempotency_key_required", signed=True)
    refused(bank_a.post(receipt, key="short"), 400, "idempotency_key_invalid", signed=True)
    refused(bank_a.post(receipt, key="k" * 81), 400, "idempotency_key_invalid", signed=True)
    assert not InboxMessage.objects.exists()


def test_a_key_added_after_signing_is_refused(bank_a, waiting):
    reply = bank_a.post_json(CONFIRM, {"items": [identity(waiting)]}, headers={"Idempotency-Key": "added-on-the-way"})

    refused(reply, 401, "signature_components", signed=False)
    assert untouched(waiting)


def test_one_key_gives_one_answer_and_other_content_is_refused(bank_a, waiting):
    items = {"items": [identity(waiting)]}

    first = bank_a.post_json(CONFIRM, items, key="confirm-0001")
    again = bank_a.post_json(CONFIRM, items, key="confirm-0001")
    other = bank_a.post_json(CONFIRM, {"items": [identity(waiting, voucher_no="SZ9999")]}, key="confirm-0001")
    elsewhere = bank_a.post_json(
        f"{VOUCHERS}return/", {"items": [identity(waiting, reason="余额")]}, key="confirm-0001"
    )

    assert (first.status, "Idempotent-Replayed" in first.headers) == (200, False)
    assert (again.status, again.json, again.headers["Idempotent-Replayed"]) == (200, first.json, "true")
    refused(other, 409, "idempotency_mismatch", signed=True)
    refused(elsewhere, 409, "idempotency_mismatch", signed=True)
    assert Voucher.objects.get(pk=waiting.pk).state == VoucherState.SIGNED_FOR


def test_keys_of_two_partners_do_not_meet(bank_a, bank_b, waiting):
    bank_b.post_json(CONFIRM, {"items": [identity(waiting)]}, key="confirm-0001")
    reply = bank_a.post_json(CONFIRM, {"items": [identity(waiting)]}, key="confirm-0001")

    assert reply.json["results"][0]["outcome"] == "accepted"
