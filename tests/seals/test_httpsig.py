"""Signed HTTP messages: what was signed arrives, and every change of it is refused under its own code."""

import base64
import re
from datetime import UTC, datetime
from functools import partial

import pytest

from seals import der, httpsig
from seals.errors import MessageSignatureError
from seals.suites import EC_SUITE_IDS, get_suite

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
NONCE = "0192f3a4c5d67e8f9a0b1c2d"
KEY_ID = "BANK-A:7c3f6a48c336fd60"
BODY = "<MOF>甲银行</MOF>".encode("gbk")
XML = "application/xml; charset=GBK"
PATH, QUERY = "/api/v1/vouchers/", "limit=100&cursor=a%2Fb"


class Party:
    def __init__(self, suite_id):
        self.suite = get_suite(suite_id)
        self.key = self.suite.generate_private_key()
        self.sign = partial(self.suite.sign, self.key)
        self.public_key = self.suite.public_key_of(self.key)

    def request(self, method="POST", path=PATH, query=QUERY, body=BODY, content_type=XML, **changed):
        options = {"key_id": KEY_ID, "created": NOW, "nonce": NONCE, **changed}
        return httpsig.sign_request(
            method,
            path,
            query,
            body,
            content_type,
            suite=self.suite,
            sign=partial(self.suite.sign, self.key),
            **options,
        )

    def accept(self, headers, method="POST", path=PATH, query=QUERY, body=BODY, **changed):
        options = {"public_key": self.public_key, "suite": self.suite, "now": NOW, **changed}
        return httpsig.verify_request(method, path, query, body, headers, **options)

    def answer(self, status=200, body=b'{"results":[]}', nonce=NONCE, **changed):
        options = {"key_id": KEY_ID, "created": NOW, **changed}
        return httpsig.sign_response(
            status, body, nonce, suite=self.suite, sign=partial(self.suite.sign, self.key), **options
        )

    def accept_answer(self, headers, status=200, body=b'{"results":[]}', nonce=NONCE, **changed):
        options = {"public_key": self.public_key, "suite": self.suite, "now": NOW, **changed}
        return httpsig.verify_response(status, body, headers, nonce, **options)


@pytest.fixture(params=EC_SUITE_IDS)
def bank(request):
    return Party(request.param)


def refusal(code):
    class Refusal:
        def __enter__(self):
            self.context = pytest.raises(MessageSignatureError)
            self.info = self.context.__enter__()
            return self

        def __exit__(self, *raised):
            handled = self.context.__exit__(*raised)
            assert self.info.value.code == code, self.info.value.detail
            return handled

    return Refusal()


def test_signed_request_is_accepted_and_says_whose_it_is(bank):
    claim = bank.accept(bank.request())

    assert (claim.organisation_code, claim.serial_hex, claim.key_id) == ("BANK-A", "7c3f6a48c336fd60", KEY_ID)
    assert (claim.created, claim.nonce, claim.alg) == (EPOCH, NONCE, bank.suite.id)
    assert claim.components == ("@method", "@path", "@query", "content-digest", "content-type")


def test_signature_base_is_that_of_rfc_9421(bank):
    headers = bank.request("POST", "/a", "", b"{}", "application/json")
    digest = {"sm2-sm3": "sm3", "ecdsa-p256-sha256": "sha-256"}[bank.suite.id]
    content_digest = f"{digest}=:{base64.b64encode(bank.suite.digest(b'{}')).decode()}:"
    parameters = (
        f'("@method" "@path" "@query" "content-digest" "content-type");created={EPOCH};nonce="{NONCE}"'
        f';keyid="{KEY_ID}";alg="{bank.suite.id}";tag="guoku-v1"'
    )
    base = (
        f'"@method": POST\n"@path": /a\n"@query": ?\n"content-digest": {content_digest}\n'
        f'"content-type": application/json\n"@signature-params": {parameters}'
    )
    raw = base64.b64decode(re.fullmatch("guoku=:(.*):", headers["Signature"])[1])

    assert headers["Content-Digest"] == content_digest
    assert headers["Signature-Input"] == f"guoku={parameters}"
    assert len(raw) == 64
    assert bank.suite.verify(bank.public_key, base.encode(), der.signature_from_raw(raw))


def test_request_without_body_is_signed_without_a_content_type(bank):
    headers = bank.request("GET", body=b"")

    assert "Content-Type" not in headers
    claim = bank.accept({**headers, "Content-Type": "text/plain"}, "GET", body=b"")
    assert claim.components == ("@method", "@path", "@query", "content-digest")
    with refusal("signature_components"):  # a body slipped under a signature for none
        bank.accept(headers, "GET", body=BODY)
    with refusal("signature_components"):
        bank.accept(bank.request(), body=b"")


def test_header_names_are_read_in_any_case(bank):
    bank.accept({name.upper(): value for name, value in bank.request().items()})


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"method": "PUT"}, "signature_invalid"),
        ({"path": "/api/v1/vouchers/confirm/"}, "signature_invalid"),
        ({"path": "/api/v1/vouchers"}, "signature_invalid"),
        ({"query": "limit=100"}, "signature_invalid"),
        ({"query": "limit=100&cursor=a/b"}, "signature_invalid"),
        ({"query": ""}, "signature_invalid"),
        ({"body": BODY + b" "}, "content_digest_mismatch"),
        ({"body": BODY.decode("gbk").encode()}, "content_digest_mismatch"),
    ],
)
def test_changed_request_is_refused(bank, changed, code):
    with refusal(code):
        bank.accept(bank.request(), **changed)


def test_changed_body_with_fresh_digest_is_refused(bank):
    headers = bank.request()
    other = bank.request(body=b"<MOF/>")
    with refusal("signature_invalid"):
        bank.accept({**headers, "Content-Digest": other["Content-Digest"]}, body=b"<MOF/>")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("Content-Type", "application/json", "signature_invalid"),
        ("Content-Type", None, "signature_components"),
        ("Content-Digest", None, "content_digest_missing"),
        ("Content-Digest", "sm3=:AAAA:", "content_digest_mismatch"),
        ("Signature", None, "signature_missing"),
        ("Signature-Input", None, "signature_missing"),
        ("Signature", "", "signature_missing"),
        ("Signature", "guoku=:AAAA:", "signature_malformed"),
        ("Signature", "other=:" + "A" * 86 + "==:", "signature_malformed"),
        ("Signature", "guoku=:" + "A" * 85 + "B==:", "signature_malformed"),
        ("Signature", "guoku=:" + "A" * 86 + "==:", "signature_invalid"),
        ("Signature-Input", "guoku=()", "signature_malformed"),
    ],
)
def test_missing_or_changed_header_is_refused(bank, name, value, code):
    headers = {**bank.request(), name: value}
    if value is None:
        del headers[name]
    with refusal(code):
        bank.accept(headers)


@pytest.mark.parametrize(
    ("pattern", "replacement", "code"),
    [
        (r"created=\d+", f"created={EPOCH + 1}", "signature_invalid"),
        (NONCE, "another-nonce-123", "signature_invalid"),
        ("BANK-A:", "BANK-B:", "signature_invalid"),
        ("7c3f6a48c336fd60", "7C3F6A48C336FD60", "signature_malformed"),
        ('keyid="[^"]*"', 'keyid="BANK-A"', "signature_malformed"),
        (f'nonce="{NONCE}"', 'nonce="short"', "signature_malformed"),
        (f';nonce="{NONCE}"', "", "signature_malformed"),
        (r";created=\d+", "", "signature_malformed"),
        (r"created=(\d+)", r'created="\1"', "signature_malformed"),
        ('alg="[^"]*"', 'alg="hmac-sha256"', "signature_alg_not_allowed"),
        ("guoku-v1", "guoku-v2", "signature_tag_unknown"),
        ('tag="', 'x="1";tag="', "signature_malformed"),
        ('tag="', 'alg="sm2-sm3";tag="', "signature_malformed"),
        ('"@method" ', "", "signature_components"),
        (' "content-type"', "", "signature_components"),
        (' "content-digest"', "", "signature_components"),
        ('"@method" "@path"', '"@path" "@method"', "signature_components"),
        ('"@path"', '"@path";req', "signature_malformed"),
        ("$", ', other=("@method");created=1', "signature_malformed"),
    ],
)
def test_changed_parameter_is_refused(bank, pattern, replacement, code):
    headers = bank.request()
    changed = re.sub(pattern, replacement, headers["Signature-Input"], count=1)
    assert changed != headers["Signature-Input"]
    with refusal(code):
        bank.accept({**headers, "Signature-Input": changed})


def test_clock_may_be_off_by_five_minutes_and_not_a_second_more(bank):
    for seconds in (-300, 300):
        bank.accept(bank.request(created=EPOCH + seconds))
    for seconds in (-301, 301):
        with refusal("signature_not_current"):
            bank.accept(bank.request(created=EPOCH + seconds))


def test_expired_request_is_refused(bank):
    headers = bank.request(expires=EPOCH + 10)

    assert bank.accept(headers, now=EPOCH + 10).expires == EPOCH + 10
    with refusal("signature_not_current"):
        bank.accept(headers, now=EPOCH + 11)


def test_another_key_is_refused(bank):
    with refusal("signature_invalid"):
        bank.accept(bank.request(), public_key=Party(bank.suite.id).public_key)


def test_suite_of_the_profile_decides_and_not_the_message():
    sm2, p256 = Party("sm2-sm3"), Party("ecdsa-p256-sha256")
    with refusal("signature_alg_not_allowed"):
        sm2.accept(p256.request())


def test_idempotency_key_cannot_be_exchanged_dropped_or_added(bank):
    headers = bank.request(idempotency_key="payday-1")

    assert headers["Idempotency-Key"] == "payday-1"
    assert bank.accept(headers).components[-1] == "idempotency-key"
    with refusal("signature_invalid"):
        bank.accept({**headers, "Idempotency-Key": "payday-2"})
    del headers["Idempotency-Key"]
    with refusal("signature_components"):
        bank.accept(headers)
    with refusal("signature_components"):
        bank.accept({**bank.request(), "Idempotency-Key": "slipped-in"})


def test_line_breaks_cannot_forge_a_component(bank):
    with pytest.raises(ValueError, match="path"):
        bank.request(path='/a\n"@query": ?b')
    with refusal("signature_malformed"):
        bank.accept(bank.request(), path="/a\nb")


@pytest.mark.parametrize("options", [{"nonce": "short"}, {"nonce": 'a"b456789'}, {"key_id": "BANK-A"}])
def test_sender_learns_at_once_what_the_profile_refuses(bank, options):
    with pytest.raises(ValueError, match="profile"):
        bank.request(**options)


def test_signed_answer_is_accepted_for_its_request(bank):
    headers = bank.answer()

    assert headers["Guoku-Request-Nonce"] == NONCE
    claim = bank.accept_answer(headers, key_id=KEY_ID)
    assert claim.components == ("@status", "content-digest", "guoku-request-nonce")
    assert httpsig.parse_response_signature(headers) == claim


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"status": 202}, "signature_invalid"),
        ({"body": b"{}"}, "content_digest_mismatch"),
        ({"nonce": "another-request-nonce"}, "request_nonce_mismatch"),
        ({"now": EPOCH + 301}, "signature_not_current"),
        ({"key_id": "BANK-B:01"}, "signature_invalid"),
        ({"public_key": None}, "signature_invalid"),
    ],
)
def test_changed_answer_is_refused(bank, changed, code):
    if "public_key" in changed:
        changed = {"public_key": Party(bank.suite.id).public_key}
    with refusal(code):
        bank.accept_answer(bank.answer(), **changed)


def test_answer_to_another_request_cannot_be_relabelled(bank):
    headers = {**bank.answer(nonce="another-request-nonce"), "Guoku-Request-Nonce": NONCE}
    with refusal("signature_invalid"):
        bank.accept_answer(headers)


def test_unsigned_answer_and_reflected_request_are_refused(bank):
    with refusal("signature_missing"):
        bank.accept_answer({"Content-Type": "text/html"})
    with refusal("signature_components"):
        bank.accept_answer({**bank.request(), "Guoku-Request-Nonce": NONCE})
    with refusal("signature_malformed"):
        bank.accept(bank.answer())
