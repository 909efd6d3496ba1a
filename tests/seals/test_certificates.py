"""The demo PKI, and chains that must be refused, each for its own reason; OpenSSL's command agrees."""

import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seals import der
from seals import pki as demo_pki
from seals.certificates import canonical_serial, parse_certificate, validate_chain
from seals.errors import (
    CertificateExpired,
    CertificateKeyNotSupported,
    CertificateMalformed,
    CertificateNotYetValid,
    CertificateSignatureInvalid,
    CertificateUnknownIssuer,
    CertificateWrongUsage,
    KeyNotUsable,
)
from seals.pki import OrganisationSpec, authority_certificates, make_demo_pki
from seals.suites import SUITE_IDS, get_suite

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
OPENSSL = shutil.which("openssl")


class Authority:
    """A root of the test's own, issuing whatever the test asks for."""

    def __init__(self, suite_id, name="Test root", *, usage=(5, 6), authority=True, above=None, start=START, end=END):
        self.key = get_suite(suite_id).generate_private_key()
        self.issuer = demo_pki.Issuer(demo_pki._name("Test", name), self.key.spki, self.key)
        above = above or self.issuer
        extensions = demo_pki._extensions(self.key.spki, above, set(usage), authority=authority)
        made = demo_pki.build_certificate(above, self.issuer.name, self.key.spki, start, end, extensions)
        self.certificate = parse_certificate(made)

    def issue(self, *, usage=(0, 1), authority=False, start=START, end=END, extra=b"", spki=None):
        spki = spki or get_suite(self.key.suite_id).generate_private_key().spki
        extensions = demo_pki._extensions(spki, self.issuer, set(usage), authority=authority)
        if extra:
            extensions = der.write(der.SEQUENCE, der.read(extensions)[0].value, extra)
        return parse_certificate(
            demo_pki.build_certificate(self.issuer, demo_pki._name("Test", "Leaf"), spki, start, end, extensions)
        )


@pytest.fixture(params=SUITE_IDS)
def root(request):
    return Authority(request.param)


def test_signing_certificate_chains_to_its_root(root):
    leaf = root.issue()
    assert validate_chain(leaf, [root.certificate], NOON) == (leaf, root.certificate)


def test_demo_pki_certificates_name_their_organisation(pki):
    certificate = parse_certificate((pki / "FIN-990100000" / "cert.pem").read_bytes())

    assert certificate.subject == "CN=临江市财政局,OU=FIN-990100000,O=Guoku demo,C=CN"
    assert certificate.issuer == "CN=Guoku demo root sm2-sm3,O=Guoku demo,C=CN"
    assert (certificate.valid_from, certificate.valid_to) == (START, END)
    assert certificate.pem == (pki / "FIN-990100000" / "cert.pem").read_text()
    assert parse_certificate(certificate.der) == certificate
    assert len(validate_chain(certificate, authority_certificates(pki), NOON)) == 2


def test_validity_includes_its_first_and_last_second_and_no_other(root):
    leaf, roots = root.issue(start=START, end=NOON), [root.certificate]

    validate_chain(leaf, roots, START)
    validate_chain(leaf, roots, NOON)
    with pytest.raises(CertificateNotYetValid):
        validate_chain(leaf, roots, START - timedelta(seconds=1))
    with pytest.raises(CertificateExpired):
        validate_chain(leaf, roots, NOON + timedelta(seconds=1))


def test_expired_root_refuses_the_leaf():
    root = Authority("sm2-sm3", end=NOON - timedelta(days=1))
    with pytest.raises(CertificateExpired):
        validate_chain(root.issue(), [root.certificate], NOON)


@pytest.mark.parametrize(
    "asked",
    [{"usage": (1,)}, {"usage": (2, 3, 4)}, {"usage": (5,)}, {"usage": (0, 5), "authority": True}],
    ids=["no digitalSignature", "encryption certificate", "certificate signing", "an authority"],
)
def test_certificate_for_another_use_is_refused(root, asked):
    with pytest.raises(CertificateWrongUsage):
        validate_chain(root.issue(**asked), [root.certificate], NOON)


def test_unknown_critical_extension_is_refused_and_an_uncritical_one_is_not(root):
    critical = root.issue(extra=demo_pki._extension("1.2.156.10197.9.9", b"\x05\x00", critical=True))
    uncritical = root.issue(extra=demo_pki._extension("1.2.156.10197.9.9", b"\x05\x00"))

    validate_chain(uncritical, [root.certificate], NOON)
    with pytest.raises(CertificateWrongUsage):
        validate_chain(critical, [root.certificate], NOON)


def test_unknown_issuer_and_false_namesake_are_told_apart(root):
    stranger, namesake = Authority(root.key.suite_id, "Other root"), Authority(root.key.suite_id)
    leaf = root.issue()

    with pytest.raises(CertificateUnknownIssuer):
        validate_chain(leaf, [stranger.certificate], NOON)
    with pytest.raises(CertificateUnknownIssuer):
        validate_chain(leaf, [], NOON)
    with pytest.raises(CertificateSignatureInvalid):
        validate_chain(leaf, [namesake.certificate], NOON)
    assert validate_chain(leaf, [namesake.certificate, root.certificate], NOON)[-1] == root.certificate


def test_namesake_of_the_other_suite_does_not_vouch():
    sm2, p256 = Authority("sm2-sm3"), Authority("ecdsa-p256-sha256")
    with pytest.raises(CertificateSignatureInvalid):
        validate_chain(sm2.issue(), [p256.certificate], NOON)


def test_any_changed_byte_of_the_signed_part_breaks_the_chain():
    root = Authority("sm2-sm3")
    leaf = root.issue()
    changed = leaf.der.replace(b"Leaf", b"Loaf")
    with pytest.raises(CertificateSignatureInvalid):
        validate_chain(parse_certificate(changed), [root.certificate], NOON)


def test_intermediate_counts_only_if_it_may_certify():
    root = Authority("sm2-sm3")
    leaf_as_issuer = Authority("sm2-sm3", "Middle", above=root.issuer, authority=False, usage=(0,))
    middle = Authority("sm2-sm3", "Middle 2", above=root.issuer)

    with pytest.raises(CertificateWrongUsage):
        validate_chain(leaf_as_issuer.issue(), [root.certificate, leaf_as_issuer.certificate], NOON)
    with pytest.raises(CertificateWrongUsage):  # the root allows no authority below it: pathlen 0
        validate_chain(middle.issue(), [root.certificate, middle.certificate], NOON)
    with pytest.raises(CertificateUnknownIssuer):  # an intermediate alone is no anchor
        validate_chain(middle.issue(), [middle.certificate], NOON)


@pytest.mark.parametrize("data", [b"", b"junk", b"0" * 20_000, "证书", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_refused(data):
    with pytest.raises(CertificateMalformed):
        parse_certificate(data)


def test_two_certificates_in_one_file_are_refused(pki):
    text = (pki / "BANK-A" / "cert.pem").read_text()
    with pytest.raises(CertificateMalformed):
        parse_certificate(text + text)


def test_truncated_certificates_are_refused_and_never_crash(root):
    encoded = root.issue().der
    for length in range(0, len(encoded), 7):
        with pytest.raises(CertificateMalformed):
            parse_certificate(encoded[:length])


def test_certificate_on_another_curve_is_refused():
    spki = (
        ec.generate_private_key(ec.SECP384R1())
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(CertificateKeyNotSupported):
        Authority("sm2-sm3").issue(spki=spki)


def test_signed_and_stated_algorithm_must_agree(root):
    leaf = root.issue()
    algorithm = der.write(der.SEQUENCE, der.oid(leaf.signature_oid))
    with_null = der.write(der.SEQUENCE, der.oid(leaf.signature_oid), b"\x05\x00")
    outer = der.write(der.SEQUENCE, leaf.tbs, with_null, der.write(der.BIT_STRING, b"\0", leaf.signature))
    assert algorithm in leaf.tbs
    with pytest.raises(CertificateMalformed):
        parse_certificate(outer)


@pytest.mark.parametrize(
    ("given", "kept"), [("0A", "0a"), ("a", "0a"), ("00ff", "ff"), ("0", "00"), ("7C3F6A", "7c3f6a")]
)
def test_serials_have_one_spelling(given, kept):
    assert canonical_serial(given) == kept


@pytest.mark.parametrize("given", ["0x1f", "1g", " 1f", "1f ", "1 f0", "-1", "１f"])
def test_serial_that_is_not_hexadecimal_is_refused(given):
    with pytest.raises(ValueError, match=r".*"):
        canonical_serial(given)


def test_each_organisation_has_its_own_folder_and_nobody_else_may_read_keys(pki):
    assert {path.name for path in pki.iterdir()} == {"ca", "FIN-990100000", "BANK-A", "BANK-B"}
    for key in pki.glob("**/key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
        assert {path.name for path in key.parent.iterdir()} == {"key.pem", "cert.pem"}


def test_second_start_keeps_keys_and_certificates_and_adds_what_is_new(tmp_path):
    first = [OrganisationSpec("BANK-A", "甲银行", "sm2-sm3")]
    make_demo_pki(tmp_path, first, START, END)
    before = {path: path.read_bytes() for path in tmp_path.glob("**/*.pem")}
    (tmp_path / "BANK-A" / "cert.pem").unlink()  # as if killed between key and certificate

    make_demo_pki(tmp_path, [*first, OrganisationSpec("PBOC-990100", "国家金库", "sm2-sm3")], START, END)

    after = {path: path.read_bytes() for path in tmp_path.glob("**/*.pem")}
    changed = {path.relative_to(tmp_path).as_posix() for path in before if after[path] != before[path]}
    assert changed == {"BANK-A/cert.pem"}
    assert len(after) == len(before) + 2
    key = get_suite("sm2-sm3").load_private_key(after[tmp_path / "BANK-A" / "key.pem"])
    assert parse_certificate(after[tmp_path / "BANK-A" / "cert.pem"]).spki == key.spki


def test_kept_key_of_another_suite_is_not_silently_replaced(tmp_path):
    make_demo_pki(tmp_path, [OrganisationSpec("BANK-A", "甲银行", "sm2-sm3")], START, END)
    with pytest.raises(KeyNotUsable):
        make_demo_pki(tmp_path, [OrganisationSpec("BANK-A", "甲银行", "ecdsa-p256-sha256")], START, END)


@pytest.mark.parametrize("code", ["..", "a/b", "", ".hidden", "ca", "x" * 65])
def test_code_that_would_leave_the_folder_is_refused(tmp_path, code):
    with pytest.raises(ValueError, match="folder"):
        make_demo_pki(tmp_path, [OrganisationSpec(code, "?", "sm2-sm3")], START, END)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl command on this machine")
class TestOpenSslAgrees:
    """The system's own openssl command as a second opinion."""

    def run(self, *arguments):
        return subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, text=True, check=False)

    def sm2_options(self, suite_id, option):
        return [option, "distid:1234567812345678"] if suite_id == "sm2-sm3" else []

    @pytest.mark.parametrize(("code", "suite_id"), [("BANK-A", "sm2-sm3"), ("BANK-B", "ecdsa-p256-sha256")])
    def test_on_the_chain(self, pki, code, suite_id):
        root, leaf = pki / "ca" / suite_id / "cert.pem", pki / code / "cert.pem"
        options = self.sm2_options(suite_id, "-vfyopt")
        answer = self.run("verify", "-x509_strict", *options, "-CAfile", root, leaf)
        assert (answer.returncode, answer.stdout) == (0, f"{leaf}: OK\n"), answer.stderr

    @pytest.mark.parametrize(("code", "suite_id"), [("BANK-A", "sm2-sm3"), ("BANK-B", "ecdsa-p256-sha256")])
    def test_on_signatures_in_both_directions(self, pki, tmp_path, code, suite_id):
        suite, digest = get_suite(suite_id), "-sm3" if suite_id == "sm2-sm3" else "-sha256"
        key = suite.load_private_key((pki / code / "key.pem").read_bytes())
        text, ours, theirs, public = (tmp_path / name for name in ("text", "ours", "theirs", "public.pem"))
        text.write_bytes(b"PD94bWwg" * 40)
        ours.write_bytes(suite.sign(key, text.read_bytes()))
        certificate = pki / code / "cert.pem"
        public.write_text(self.run("x509", "-in", certificate, "-noout", "-pubkey").stdout)
        options = self.sm2_options(suite_id, "-pkeyopt")
        common = ["pkeyutl", "-rawin", "-digest", digest[1:], *options, "-in", text]

        checked = self.run(*common, "-verify", "-pubin", "-inkey", public, "-sigfile", ours)
        signed = self.run(*common, "-sign", "-inkey", pki / code / "key.pem", "-out", theirs)

        assert checked.returncode == 0, checked.stderr + checked.stdout
        assert signed.returncode == 0, signed.stderr
        assert suite.verify(suite.public_key_of(key), text.read_bytes(), theirs.read_bytes())


def test_encoding_of_lengths_and_times_is_der():
    assert der.write(der.OCTET_STRING, b"x" * 127)[:2] == b"\x04\x7f"
    assert der.write(der.OCTET_STRING, b"x" * 128)[:3] == b"\x04\x81\x80"
    assert der.write(der.OCTET_STRING, b"x" * 256)[:4] == b"\x04\x82\x01\x00"
    assert der.integer(0) == b"\x02\x01\x00"
    assert der.integer(128) == b"\x02\x02\x00\x80"
    assert der.time(datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)) == b"\x17\x0d491231235959Z"
    assert der.time(datetime(2050, 1, 1, tzinfo=UTC)) == b"\x18\x0f20500101000000Z"
    assert der.oid("1.2.156.10197.1.501").hex() == "06082a811ccf55018375"
