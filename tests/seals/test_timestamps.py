"""Time stamps: OpenSSL accepts ours and we accept OpenSSL's; whatever may be wrong with one is refused for itself."""

import dataclasses
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from core.digests import sm3
from seals import cms, der, timestamps
from seals import pki as demo_pki
from seals.certificates import parse_certificate
from seals.pki import Usage, authority_certificates, issue_certificate, load_issuer, make_demo_pki
from seals.suites import get_suite
from seals.timestamps import (
    TimestampCertificateRefused,
    TimestampMalformed,
    TimestampNonceMismatch,
    TimestampNotGranted,
    TimestampOfOtherContent,
    TimestampOutOfTime,
    TimestampSignatureInvalid,
    build_token,
    granted,
    make_request,
    parse_request,
    rejection,
    verify_response,
    verify_token,
)

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 7, 30, 15, tzinfo=UTC)
TEXT = b"GUOKU-ROOT-V1\0{}"
OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tsa")
    make_demo_pki(directory, [], START, END, services=True)
    return directory


class Authority:
    """A time stamping authority of the test's own under the demo root of its suite."""

    def __init__(self, folder, suite_id="ecdsa-p256-sha256", *, usage=Usage.TIMESTAMP, start=START, end=END):
        self.key = get_suite(suite_id).generate_private_key()
        encoded = issue_certificate(
            load_issuer(folder, suite_id),
            subject_common_name="时间戳",
            unit="TSA",
            spki=self.key.spki,
            not_before=start,
            not_after=end,
            usage=usage,
        )
        self.certificate = parse_certificate(encoded)

    def stamp(self, request, *, at=NOW, serial=7, certificate=None):
        return build_token(request, serial=serial, at=at, certificate=certificate or self.certificate, key=self.key)


@pytest.fixture(scope="module")
def roots(folder):
    return authority_certificates(folder)


@pytest.fixture(scope="module", params=["ecdsa-p256-sha256", "sm2-sm3"])
def tsa(request, folder):
    return Authority(folder, request.param)


@pytest.fixture(scope="module")
def p256(folder):
    return Authority(folder)


def test_a_token_says_when_by_whom_and_with_which_number(tsa, roots):
    request = make_request(TEXT)
    token = tsa.stamp(request, at=NOW, serial=2**70 + 1)

    fresh = verify_response(granted(token), request, roots, NOW)

    assert (fresh.at, fresh.accuracy, fresh.serial) == (NOW, timedelta(seconds=1), 2**70 + 1)
    assert (fresh.policy, fresh.certificate, fresh.token) == (timestamps.POLICY, tsa.certificate, token)
    assert verify_token(token, TEXT, roots, NOW + timedelta(days=3650)) == fresh


def test_the_demo_pki_has_such_an_authority(folder, roots):
    certificate = parse_certificate((folder / "tsa" / "cert.pem").read_bytes())
    key = get_suite(certificate.suite_id).load_private_key((folder / "tsa" / "key.pem").read_bytes())
    request = make_request(TEXT)
    token = build_token(request, serial=1, at=NOW, certificate=certificate, key=key)
    assert verify_response(granted(token), request, roots, NOW).certificate == certificate


def test_request_is_read_as_it_was_made():
    request = make_request(TEXT, nonce=2**63 + 5)
    assert parse_request(request.der) == request
    assert request.imprint == sm3(TEXT) and request.wants_certificate
    assert make_request(TEXT).nonce != make_request(TEXT).nonce


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"\x04\x01\0", b"\x30\x03\x02\x01\x01", b"0" * 5000])
def test_what_is_no_request_is_refused(data):
    with pytest.raises(TimestampMalformed):
        parse_request(data)


def test_request_by_another_digest_is_refused():
    sha256 = der.write(der.SEQUENCE, der.oid(cms.SHA256_OID))
    imprint = der.write(der.SEQUENCE, sha256, der.write(der.OCTET_STRING, bytes(32)))
    with pytest.raises(TimestampOfOtherContent):
        parse_request(der.write(der.SEQUENCE, der.integer(1), imprint))


def test_token_over_another_text_is_refused(tsa, roots):
    request = make_request(TEXT)
    token = tsa.stamp(request)
    with pytest.raises(TimestampOfOtherContent):
        verify_token(token, TEXT + b" ", roots, NOW)
    with pytest.raises(TimestampOfOtherContent):
        verify_response(granted(token), make_request(b"other", request.nonce), roots, NOW)


def test_answer_to_another_request_over_the_same_text_is_refused(tsa, roots):
    asked, other = make_request(TEXT), make_request(TEXT)
    with pytest.raises(TimestampNonceMismatch):
        verify_response(granted(tsa.stamp(other)), asked, roots, NOW)
    unasked = dataclasses.replace(other, nonce=None)
    with pytest.raises(TimestampNonceMismatch):
        verify_response(granted(tsa.stamp(unasked)), asked, roots, NOW)


@pytest.mark.parametrize("usage", [Usage.SIGNING, Usage.ENCRYPTION])
def test_certificate_that_may_not_stamp_time_is_refused(folder, roots, usage):
    request = make_request(TEXT)
    with pytest.raises(TimestampCertificateRefused) as refusal:
        verify_token(Authority(folder, usage=usage).stamp(request), TEXT, roots, NOW)
    assert refusal.value.facts["cause"] == "certificate_wrong_usage"


@pytest.mark.parametrize(
    "usage",
    [
        demo_pki.der.extension("2.5.29.37", der.write(der.SEQUENCE, der.oid("1.3.6.1.5.5.7.3.8"))),
        demo_pki.der.extension(
            "2.5.29.37",
            der.write(der.SEQUENCE, der.oid("1.3.6.1.5.5.7.3.8"), der.oid("1.3.6.1.5.5.7.3.3")),
            critical=True,
        ),
    ],
    ids=["not critical", "and code signing"],
)
def test_certificate_that_may_do_more_than_stamp_time_is_refused(folder, roots, p256, usage, monkeypatch):
    monkeypatch.setattr(demo_pki, "_time_stamping", lambda: usage)
    request = make_request(TEXT)
    with pytest.raises(TimestampCertificateRefused) as refusal:
        verify_token(Authority(folder).stamp(request), TEXT, roots, NOW)
    assert refusal.value.facts["cause"] == "certificate_wrong_usage"


def test_certificate_must_have_been_valid_when_it_stamped_and_not_now(folder, roots):
    authority = Authority(folder, start=START, end=NOW)
    request = make_request(TEXT)
    assert verify_token(authority.stamp(request, at=NOW), TEXT, roots, END).at == NOW
    for at, cause in (
        (NOW + timedelta(seconds=1), "certificate_expired"),
        (START - timedelta(seconds=1), "certificate_not_yet_valid"),
    ):
        with pytest.raises(TimestampCertificateRefused) as refusal:
            verify_token(authority.stamp(request, at=at), TEXT, roots, END)
        assert refusal.value.facts["cause"] == cause


def test_authority_nobody_vouches_for_is_refused(tsa, roots, tmp_path):
    make_demo_pki(tmp_path, [], START, END)
    token = tsa.stamp(make_request(TEXT))
    for trusted, cause in (
        ([], "certificate_unknown_issuer"),
        (authority_certificates(tmp_path), "certificate_signature_invalid"),
    ):
        with pytest.raises(TimestampCertificateRefused) as refusal:
            verify_token(token, TEXT, trusted, NOW)
        assert refusal.value.facts["cause"] == cause


def test_time_to_come_is_refused_beyond_the_skew_of_clocks(tsa, roots):
    request = make_request(TEXT)
    limit = timestamps.MOST_SKEW
    assert verify_token(tsa.stamp(request, at=NOW + limit), TEXT, roots, NOW).at == NOW + limit
    with pytest.raises(TimestampOutOfTime):
        verify_token(tsa.stamp(request, at=NOW + limit + timedelta(seconds=1)), TEXT, roots, NOW)


def test_fresh_answer_must_be_of_now_while_a_kept_one_may_be_old(tsa, roots):
    request = make_request(TEXT)
    old = tsa.stamp(request, at=NOW - timestamps.MOST_SKEW - timedelta(seconds=1))
    assert verify_token(old, TEXT, roots, NOW)
    with pytest.raises(TimestampOutOfTime):
        verify_response(granted(old), request, roots, NOW)


def test_signature_by_another_key_is_refused(folder, roots, tsa):
    forger = Authority(folder, tsa.certificate.suite_id)
    request = make_request(TEXT)
    with pytest.raises(TimestampSignatureInvalid):
        verify_token(forger.stamp(request, certificate=tsa.certificate), TEXT, roots, NOW)


def test_certificate_put_in_place_of_the_signed_one_is_refused(folder, roots, p256):
    """Same issuer, serial and key as CMS sees it, but not the certificate that was signed for (ESSCertIDv2)."""
    token = p256.stamp(make_request(TEXT))
    pinned = timestamps.hashlib.sha256(p256.certificate.der).digest()
    with pytest.raises(TimestampCertificateRefused, match="证书标识"):
        verify_token(token.replace(pinned, bytes(32)), TEXT, roots, NOW)


@pytest.mark.parametrize("attribute", [cms.MESSAGE_DIGEST, cms.CONTENT_TYPE, timestamps._SIGNING_CERTIFICATE_V2])
def test_token_without_a_needed_attribute_is_refused(tsa, roots, attribute, monkeypatch):
    made = timestamps._attribute
    monkeypatch.setattr(timestamps, "_attribute", lambda name, value: b"" if name == attribute else made(name, value))
    token = tsa.stamp(make_request(TEXT))
    with pytest.raises((TimestampMalformed, TimestampSignatureInvalid)):
        verify_token(token, TEXT, roots, NOW)


def test_signed_content_of_another_kind_is_no_token(tsa, roots):
    token = tsa.stamp(make_request(TEXT)).replace(der.oid(cms.TST_INFO), der.oid(cms.SIGNED_DATA + ".1"))
    with pytest.raises(TimestampMalformed):
        verify_token(token, TEXT, roots, NOW)


def test_any_changed_byte_that_says_something_is_refused(tsa, roots):
    """Every byte, one bit each. Two version numbers and the list that repeats the signer's digest decide nothing."""
    token = bytearray(tsa.stamp(make_request(TEXT)))
    accepted = set()
    for position in range(len(token)):
        token[position] ^= 1
        try:
            verify_token(bytes(token), TEXT, roots, NOW)
            accepted.add(position)
        except timestamps.TimestampRefused:
            pass
        token[position] ^= 1
    version, content = token.index(b"\x02\x01\x03"), token.index(der.oid(cms.TST_INFO))
    signer_version = token.index(b"\x02\x01\x01", token.index(tsa.certificate.der) + len(tsa.certificate.der)) + 2
    assert accepted <= {*range(version, content), signer_version}


def test_truncated_and_padded_tokens_are_refused_and_never_crash(tsa, roots):
    token = tsa.stamp(make_request(TEXT))
    for length in range(0, len(token), 11):
        with pytest.raises(timestamps.TimestampRefused):
            verify_token(token[:length], TEXT, roots, NOW)
    with pytest.raises(TimestampMalformed):
        verify_token(token + b"\0", TEXT, roots, NOW)


@pytest.mark.parametrize(
    "bent",
    [
        lambda info: info.replace(b"20261124073015Z", b"20261324073015Z"),
        lambda info: info.replace(b"20261124073015Z", b"2026112407301+Z"),
        lambda info: info.replace(b"\x02\x01\x01", b"\x02\x01\x02", 1),
        lambda info: der.write(der.SEQUENCE, der.read(info)[0].value, der.write(0xA1, b"")),
        lambda info: der.write(der.SEQUENCE, der.read(info)[0].value, der.write(der.BOOLEAN, b"\xff")),
        lambda info: info + b"\0",
    ],
    ids=["month 13", "no digits", "version 2", "extensions", "out of order", "trailing byte"],
)
def test_signed_information_of_another_form_is_refused(tsa, roots, bent, monkeypatch):
    """The authority itself signs nonsense."""
    made = timestamps._tst_info
    monkeypatch.setattr(timestamps, "_tst_info", lambda *given: bent(made(*given)))
    token = tsa.stamp(make_request(TEXT))
    with pytest.raises(TimestampMalformed):
        verify_token(token, TEXT, roots, NOW)


def test_times_with_fractions_are_read():
    assert timestamps._read_time(b"20261124073015.25Z") == NOW.replace(microsecond=250_000)
    assert timestamps._read_time(b"20261124073015.1234567Z") == NOW.replace(microsecond=123_456)
    for other in (b"20261124073015", b"20261124073015+0800", b"20261124073015.Z", b"261124073015Z"):
        with pytest.raises(ValueError, match="form"):
            timestamps._read_time(other)


def test_refusal_of_the_authority_is_told_with_its_reason(roots):
    with pytest.raises(TimestampNotGranted) as refusal:
        verify_response(rejection(timestamps.TIME_NOT_AVAILABLE, "时钟未同步"), make_request(TEXT), roots, NOW)
    assert refusal.value.facts == {"status": 2, "reasons": [14], "text": "时钟未同步"}


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", der.write(der.SEQUENCE), der.write(der.SEQUENCE, der.write(der.SEQUENCE, der.integer(0)))],
)
def test_answer_that_brings_nothing_is_refused(roots, answer):
    with pytest.raises(TimestampMalformed):
        verify_response(answer, make_request(TEXT), roots, NOW)


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl command on this machine")
class TestOpenSslAgrees:
    """OpenSSL judges at the machine's own time; its authority needs a P-256 key, for it cannot stamp with SM2."""

    @pytest.fixture
    def files(self, folder, tmp_path):
        (tmp_path / "text").write_bytes(TEXT)
        authority = folder / "ca" / "ecdsa-p256-sha256"
        shutil.copy(authority / "cert.pem", tmp_path / "root.pem")
        shutil.copy(authority / "sub" / "cert.pem", tmp_path / "sub.pem")
        return tmp_path

    def openssl(self, files, *arguments):
        return subprocess.run([OPENSSL, "ts", *arguments], cwd=files, capture_output=True, text=True, check=False)

    def verify(self, files, *further):
        return self.openssl(files, "-verify", "-in", "answer", "-CAfile", "root.pem", "-untrusted", "sub.pem", *further)

    def test_it_accepts_our_token_and_no_other_text(self, files, p256):
        request = make_request(TEXT)
        (files / "query").write_bytes(request.der)
        (files / "answer").write_bytes(granted(p256.stamp(request, at=datetime.now(UTC))))
        for further in (("-queryfile", "query"), ("-data", "text")):
            result = self.verify(files, *further)
            assert result.returncode == 0 and "Verification: OK" in result.stdout, result.stderr
        (files / "text").write_bytes(TEXT + b".")
        assert "message imprint mismatch" in self.verify(files, "-data", "text").stderr
        (files / "query").write_bytes(make_request(TEXT).der)
        assert "nonce mismatch" in self.verify(files, "-queryfile", "query").stderr

    def test_it_reads_our_request_and_our_refusal(self, files):
        (files / "query").write_bytes(make_request(TEXT, nonce=0xABCDEF).der)
        shown = self.openssl(files, "-query", "-in", "query", "-text").stdout
        assert "Hash Algorithm: sm3" in shown and "Nonce: 0xABCDEF" in shown and "Certificate required: yes" in shown
        (files / "answer").write_bytes(rejection(timestamps.TIME_NOT_AVAILABLE, "clock"))
        shown = self.openssl(files, "-reply", "-in", "answer", "-text").stdout
        assert "Rejected" in shown and "clock" in shown and "time source is not available" in shown

    def test_it_refuses_a_certificate_that_may_not_stamp(self, files, folder):
        request = make_request(TEXT)
        (files / "query").write_bytes(request.der)
        plain = Authority(folder, usage=Usage.SIGNING)
        (files / "answer").write_bytes(granted(plain.stamp(request, at=datetime.now(UTC))))
        assert self.verify(files, "-queryfile", "query").returncode != 0

    def test_we_accept_its_token_and_refuse_it_over_another_text(self, files, folder, roots):
        authority = Authority(folder)
        (files / "tsa.pem").write_text(authority.certificate.pem)
        (files / "key.pem").write_bytes(get_suite("ecdsa-p256-sha256").private_key_pem(authority.key))
        (files / "serial").write_text("0A\n")
        (files / "tsa.cnf").write_text(
            "[tsa]\ndefault_tsa = here\n[here]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\n"
            "digests = sm3, sha256\naccuracy = secs:1, millisecs:500\nordering = yes\ntsa_name = yes\n"
            "ess_cert_id_alg = sha256\nclock_precision_digits = 3\n"
        )
        request = make_request(TEXT)
        (files / "query").write_bytes(request.der)
        signing = ("-signer", "tsa.pem", "-inkey", "key.pem", "-config", "tsa.cnf")
        made = self.openssl(files, "-reply", "-queryfile", "query", *signing, "-out", "answer")
        assert made.returncode == 0, made.stderr
        answer = (files / "answer").read_bytes()
        now = datetime.now(UTC)

        stamp = verify_response(answer, request, roots, now)

        assert abs(stamp.at - now) < timedelta(seconds=30)
        assert (stamp.policy, stamp.serial, stamp.accuracy) == ("1.2.3.4", 11, timedelta(seconds=1.5))
        with pytest.raises(TimestampOfOtherContent):
            verify_token(stamp.token, b"other", roots, now)
        asked = self.openssl(files, "-query", "-data", "text", "-sm3", "-cert", "-out", "theirs")
        assert asked.returncode == 0 and parse_request((files / "theirs").read_bytes()).imprint == sm3(TEXT)
