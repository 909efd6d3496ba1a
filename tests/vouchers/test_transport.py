"""The wire: what counts as an answer, what as silence, and whose key must have signed it."""

import base64
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.digests import sm3_hex
from demo import world
from seals.errors import MessageSignatureError
from seals.message_keys import claimed_key, message_key
from seals.models import Certificate, SignatureProfile
from seals.services import revoke_certificate
from tests import acts, many
from tests.bank import Partner
from tests.vouchers.partner_server import PartnerServer, accepted
from vouchers import tasks, transport
from vouchers.codec import decode_envelope, encode_envelope
from vouchers.models import Delivery, ExchangePartner, InboxMessage, InboxRejection
from vouchers.transport import ExchangeUnknown, NotSent, PartnerAnswer, post_vouchers, query_vouchers

REFUSING_PORT = 1  # nobody listens on tcpmux


@pytest.fixture
def server(city, pki):
    server = PartnerServer(pki, world.BANK_A)
    ExchangePartner.objects.filter(pk=world.BANK_A).update(endpoint_url=server.url)
    yield server
    server.stop()


@pytest.fixture
def request_(city):
    return acts.sent("I1", "12345.67")


def bank() -> ExchangePartner:
    return ExchangePartner.objects.get(pk=world.BANK_A)


def post(*requests) -> list[PartnerAnswer | None]:
    return post_vouchers(bank(), [request.voucher for request in requests], timezone.now())


def query(*requests) -> list[PartnerAnswer | None]:
    return query_vouchers(bank(), [request.voucher for request in requests], timezone.now())


def delivery_of(request) -> Delivery:
    return Delivery.objects.get(voucher_id=request.voucher_id)


# Sending -------------------------------------------------------------------------------------------------------------


def test_the_partner_receives_the_very_bytes_that_were_signed(server, request_):
    [answer] = post(request_)

    [(path, raw)] = server.received
    [body] = decode_envelope(raw)
    assert path == "/vouchers" and body.flag == 0
    assert body.text == bytes(request_.voucher.text)
    assert [(m.serial, m.value) for m in body.signatures] == [
        (request_.voucher.signature_serial, request_.voucher.signature)
    ]
    assert (answer.outcome, answer.digest) == ("accepted", request_.voucher.digest)


def test_answers_are_paired_by_identity_not_by_position(server, city):
    first, second = many.sent("I1", 2)
    server.answer = lambda path, raw: {"results": accepted(path, raw)[::-1]}
    assert [answer.digest for answer in post(first, second)] == [first.voucher.digest, second.voucher.digest]


@pytest.mark.parametrize(
    "changes",
    [
        {"voucher_no": "SZ9999"},
        {"voucher_type": "5201"},
        {"fiscal_year": 2025},
        {"adm_div_code": "990100001"},
        {"flag": 1},
    ],
)
def test_an_answer_for_something_else_is_no_answer(server, request_, changes):
    server.answer = lambda path, raw: {"results": accepted(path, raw, **changes)}
    assert post(request_) == [None]


def test_two_answers_that_contradict_each_other_are_none(server, request_):
    server.answer = lambda path, raw: {"results": accepted(path, raw) + accepted(path, raw, outcome="refused")}
    assert post(request_) == [None]
    server.answer = lambda path, raw: {"results": accepted(path, raw) * 2}
    assert post(request_)[0].outcome == "accepted"


def test_whatever_stands_in_an_answer_it_raises_nothing(server, request_):
    """A partner's odd values must not stop the batch they came in."""
    odd = {
        "digest": 7,
        "outcome": ["accepted"],
        "reason": "a\x00b\ud800\n" + "长" * 900,
        "status": True,
        "receipt": "%%",
    }
    server.answer = lambda path, raw: {"results": accepted(path, raw, **odd)}
    [answer] = query(request_)
    assert answer.digest is None and answer.status is None and answer.receipt is None
    assert answer.reason.startswith("a?b??长") and len(answer.reason) == 200

    [answer] = post(request_)
    assert answer.outcome not in ("accepted", "refused")
    refused = {"outcome": "refused", "code": "\x00", "reason": "\x00\ud800" * 300}
    server.answer = lambda path, raw: {"results": accepted(path, raw, **refused)}
    assert tasks.send_batch(world.BANK_A) == 1
    assert delivery_of(request_).state == "refused" and acts.fresh(request_)[0].state == "bank_refused"


# Nothing left --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [f"http://127.0.0.1:{REFUSING_PORT}", "", "http://", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:99999"],
)
def test_without_a_connection_nothing_has_left(request_, address):
    ExchangePartner.objects.filter(pk=world.BANK_A).update(endpoint_url=address)
    with pytest.raises(NotSent):
        post(request_)

    assert tasks.send_batch(world.BANK_A) == 0
    assert delivery_of(request_).state == "queued"


def test_without_our_key_nothing_has_left(server, request_, settings, tmp_path):
    settings.GUOKU_KEY_DIR = tmp_path
    with pytest.raises(NotSent):
        post(request_)
    assert server.received == []


# Silence -------------------------------------------------------------------------------------------------------------


def html(body, head):
    return b"<html>Gateway OK</html>", {"Content-Type": "text/html"}


def altered(body, head):
    return body.replace(b"accepted", b"refused!"), head


def unsigned(body, head):
    return body, {}


def truncated(body, head):
    return body[:-5], head


def by_another_bank(server, pki):
    other = Partner(pki, world.BANK_B)
    nonces = []
    sign = server.signed
    server.signed = lambda body, nonce: nonces.append(nonce) or sign(body, nonce, by=other)


def of_another_request(server, pki):
    sign = server.signed
    server.signed = lambda body, nonce: sign(body, "another-nonce")


def of_another_status(server, pki):
    sign = server.signed
    server.signed = lambda body, nonce: sign(body, nonce, status=500)


@pytest.mark.parametrize("spoil", [html, altered, unsigned, truncated])
def test_a_garbled_answer_is_silence(server, request_, spoil):
    server.mangle = spoil
    with pytest.raises(ExchangeUnknown):
        post(request_)


@pytest.mark.parametrize("spoil", [by_another_bank, of_another_request, of_another_status])
def test_an_answer_signed_by_or_for_somebody_else_is_silence(server, request_, spoil, pki):
    spoil(server, pki)
    with pytest.raises(ExchangeUnknown):
        post(request_)


@pytest.mark.parametrize(
    "payload", [[], {}, {"results": {}}, {"results": ["accepted"]}, {"results": None}, "accepted", None, 12]
)
def test_a_signed_answer_of_the_wrong_shape_is_silence(server, request_, payload):
    server.answer = lambda path, raw: payload
    with pytest.raises(ExchangeUnknown):
        post(request_)


def test_deeply_nested_json_is_silence(server, request_):
    nested = b"[" * 200_000
    server.answer = lambda path, raw: None
    sign = server.signed
    server.signed = lambda body, nonce: sign(nested, nonce)
    server.mangle = lambda body, head: (nested, head)
    with pytest.raises(ExchangeUnknown):
        post(request_)


@pytest.mark.parametrize("status", [201, 302, 400, 409, 500, 503])
def test_any_other_status_is_silence_even_when_signed(server, request_, status):
    server.status = status
    with pytest.raises(ExchangeUnknown):
        post(request_)


def test_a_dropped_or_late_answer_is_silence(server, request_, monkeypatch, settings):
    server.drop = True
    with pytest.raises(ExchangeUnknown):
        post(request_)
    server.drop, server.delay = False, 0.6
    settings.GUOKU_READ_TIMEOUT = 0.2
    monkeypatch.delattr(transport._local, "client", raising=False)
    with pytest.raises(ExchangeUnknown):
        post(request_)
    monkeypatch.delattr(transport._local, "client", raising=False)


def test_a_partner_that_dribbles_or_floods_is_cut_off(server, request_, monkeypatch):
    monkeypatch.setattr(transport, "LONGEST_EXCHANGE", 0.3)
    server.dribble = 0.05
    began = time.monotonic()
    with pytest.raises(ExchangeUnknown):
        post(request_)
    assert time.monotonic() - began < 2

    monkeypatch.undo()
    server.dribble = 0
    monkeypatch.setattr(transport, "LONGEST_ANSWER", 100)
    with pytest.raises(ExchangeUnknown):
        post(request_)


def test_silence_leaves_the_voucher_unknown_and_the_answer_to_a_question_settles_it(server, request_):
    server.mangle = html
    assert tasks.send_batch(world.BANK_A) == 0
    assert delivery_of(request_).state == "unknown" and acts.fresh(request_)[0].state == "sealed"

    server.mangle = lambda body, head: (body, head)
    server.answer = lambda path, raw: {"results": accepted(path, raw, digest=request_.voucher.digest)}
    Delivery.objects.update(next_attempt_at=timezone.now())
    assert tasks.ask_batch(world.BANK_A) == 1
    assert [path for path, _ in server.received] == ["/vouchers", "/query"]
    assert delivery_of(request_).state == "delivered" and acts.fresh(request_)[0].state == "accepted"


# Receipts that come along --------------------------------------------------------------------------------------------


def with_receipts(receipts):
    def answer(path, raw):
        results = accepted(path, raw, status=12)
        for result in results:
            result["digest"], result["receipt"] = receipts[result["voucher_no"]]
        return {"results": results}

    return answer


def test_one_unreadable_receipt_does_not_cost_the_others(server, city, pki):
    first, second = many.sent("I1", 2)
    good = encode_envelope([server.partner.receipt(second.voucher)])
    server.answer = with_receipts(
        {
            first.voucher_no: (first.voucher.digest, base64.b64encode(b"<MOF>").decode()),
            second.voucher_no: (second.voucher.digest, base64.b64encode(good).decode()),
        }
    )

    assert tasks.pull_receipts([first.voucher_id, second.voucher_id]) == 1
    assert [r.state for r in acts.fresh(first, second)] == ["sealed", "paid"]
    assert bytes(InboxRejection.objects.get().raw) == b"<MOF>"


def test_receipts_that_come_along_are_taken_in_as_one_batch(server, city):
    requests = many.sent("I1", 70)
    receipts = {}
    for request in requests:
        envelope = encode_envelope([server.partner.receipt(request.voucher)])
        receipts[request.voucher_no] = (request.voucher.digest, base64.b64encode(envelope).decode())
    server.answer = with_receipts(receipts)
    counts = []
    for some in (requests[:10], requests[10:]):
        with CaptureQueriesContext(connection) as queries:
            assert tasks.pull_receipts([r.voucher_id for r in some]) == len(some)
        counts.append(len(queries))
    assert counts[0] == counts[1], counts
    assert {r.state for r in acts.fresh(*requests)} == {"paid"}


def test_pulling_from_a_bank_that_does_not_answer_leaves_the_others_receipts(server, request_, pki):
    at_bank_b = acts.sent("I5", "100.00")
    other = PartnerServer(pki, world.BANK_B)
    ExchangePartner.objects.filter(pk=world.BANK_B).update(endpoint_url=other.url)
    receipt = base64.b64encode(encode_envelope([other.partner.receipt(at_bank_b.voucher)])).decode()
    other.answer = with_receipts({at_bank_b.voucher_no: (at_bank_b.voucher.digest, receipt)})
    server.drop = True

    assert tasks.pull_receipts([request_.voucher_id, at_bank_b.voucher_id]) == 1
    other.stop()
    assert [r.state for r in acts.fresh(request_, at_bank_b)] == ["sealed", "paid"]


def test_more_than_a_hundred_missing_receipts_are_asked_for_in_hundreds(server, city):
    requests = many.sent("I1", 120)
    server.answer = lambda path, raw: {"results": accepted(path, raw, status=-1)}

    assert tasks.pull_receipts([r.voucher_id for r in requests]) == 0
    assert len(server.received) == 2 and InboxMessage.objects.count() == 0


def test_a_dead_broker_is_no_reason_to_fail(city, settings, monkeypatch):
    def broken(*arguments, **options):
        raise TimeoutError("read-only replica")

    monkeypatch.setattr(tasks.send, "delay", broken)
    tasks.send_to(world.BANK_A)


# Whose key -----------------------------------------------------------------------------------------------------------


def headers_of(server, organisation=world.BANK_A):
    return server.signed(b"{}", "nonce-of-the-test")


def refused(server, organisation=world.BANK_A, at=None, **headers) -> str:
    with pytest.raises(MessageSignatureError) as caught:
        message_key(organisation, headers_of(server) | headers, at=at or timezone.now())
    assert caught.value.http_status == 401
    return caught.value.code


def test_the_key_is_the_registered_one(server):
    suite, key, key_id = message_key(world.BANK_A, headers_of(server), at=timezone.now())
    assert (suite.id, key.spki) == ("sm2-sm3", server.partner.certificate.spki)
    assert key_id == f"BANK-A:{server.partner.certificate.serial_hex}"


def test_every_reason_against_a_key_has_its_own_code(server):
    assert refused(server, world.BANK_B) == "certificate_of_other_party"
    assert refused(server, at=datetime(2037, 1, 1, tzinfo=UTC)) == "certificate_expired"
    assert refused(server, at=datetime(2020, 1, 1, tzinfo=UTC)) == "certificate_not_yet_valid"

    SignatureProfile.objects.filter(organisation_code=world.BANK_A).update(valid_to=timezone.localdate())
    message_key(world.BANK_A, headers_of(server), at=timezone.now())  # the last day still counts
    assert refused(server, at=timezone.now() + timedelta(days=1)) == "suite_not_allowed"

    revoke_certificate(
        certificate_id=Certificate.objects.get(organisation_code=world.BANK_A).pk, reason="测试", now=timezone.now()
    )
    assert refused(server) == "certificate_revoked"


def test_a_serial_nobody_registered_is_unknown(server):
    claimed = headers_of(server)["Signature-Input"].replace(server.partner.certificate.serial_hex, "abcd")
    assert refused(server, **{"Signature-Input": claimed}) == "certificate_unknown"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda head: {}, "signature_missing"),
        (lambda head: {"Signature-Input": head["Signature-Input"]}, "signature_missing"),
        (lambda head: head | {"Signature-Input": 'x=("a");keyid="BANK-A:ab"'}, "signature_malformed"),
        (
            lambda head: head | {"Signature-Input": head["Signature-Input"] + ';keyid="BANK-B:ab"'},
            "signature_malformed",
        ),
        (
            lambda head: head | {"Signature-Input": head["Signature-Input"].replace("guoku-v1", "other")},
            "signature_tag_unknown",
        ),
    ],
)
def test_a_claim_is_read_in_one_form_only(server, spoil, code):
    with pytest.raises(MessageSignatureError) as caught:
        claimed_key(spoil(headers_of(server)))
    assert caught.value.code == code


def test_the_digest_of_the_results_is_of_the_signed_text(request_):
    assert request_.voucher.digest == sm3_hex(bytes(request_.voucher.text))
