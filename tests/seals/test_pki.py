"""The demo PKI: what stands in which folder, requests with proof of possession, and examples that must be refused."""

import shutil
import stat
import subprocess
from datetime import timedelta

import pytest

from seals import der
from seals.certificates import parse_certificate, validate_chain
from seals.errors import (
    CertificateExpired,
    CertificateNotYetValid,
    CertificateRevoked,
    CertificateSignatureInvalid,
    CertificateWrongUsage,
    CsrRefused,
    KeyNotUsable,
)
from seals.pki import (
    OrganisationSpec,
    Usage,
    authority_certificates,
    build_csr,
    issue_certificate,
    load_issuer,
    make_bad_certificates,
    make_demo_pki,
    parse_csr,
    publish_crl,
    revocation_lists,
)
from seals.revocation import RevocationLists, RevokedEntry, crl_status, supersedes
from seals.suites import SIGNING_SUITE_IDS, get_suite
from tests.authorities import END, NOON, START, Authority, OldRsaKey

OPENSSL = shutil.which("openssl")
BANK = OrganisationSpec("BANK-A", "甲银行", "sm2-sm3")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A demo PKI with services and an encrypted key for everybody."""
    directory = tmp_path_factory.mktemp("whole")
    make_demo_pki(directory, [BANK], START, END, password=b"4711", services=True)
    return directory


def test_each_organisation_has_its_own_folder_and_nobody_else_may_read_keys(pki):
    assert {path.name for path in pki.iterdir()} == {"ca", "FIN-990100000", "BANK-A", "BANK-B"}
    for key in pki.glob("**/key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
        kept = {path.name for path in key.parent.iterdir()} - {"sub"}
        assert kept == {"key.pem", "cert.pem"} | ({"crl.der"} if "ca" in key.parts else set())


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


@pytest.mark.parametrize("code", ["..", "a/b", "", ".hidden", "ca", "tsa", "bad", "maker-sm2-sm3", "x" * 65])
def test_code_that_would_leave_the_folder_is_refused(tmp_path, code):
    with pytest.raises(ValueError, match="folder"):
        make_demo_pki(tmp_path, [OrganisationSpec(code, "?", "sm2-sm3")], START, END)
    assert list(tmp_path.iterdir()) == []


def test_every_current_suite_has_a_root_and_a_sub_authority(pki):
    found = {(c.suite_id, c.subject, c.path_length) for c in authority_certificates(pki)}

    assert found == {
        (suite_id, f"CN=Guoku demo {kind} {suite_id},O=Guoku demo,C=CN", length)
        for suite_id in ("sm2-sm3", "ecdsa-p256-sha256", "rsa-sha256")
        for kind, length in (("root", 1), ("CA", 0))
    }
    assert not (pki / "ca" / "rsa-sha1").exists()


def test_key_files_are_encrypted_once_there_is_a_password(tmp_path):
    make_demo_pki(tmp_path, [BANK], START, END)
    before = {path: path.read_bytes() for path in tmp_path.glob("**/*.pem")}

    make_demo_pki(tmp_path, [BANK], START, END, password=b"4711")

    for path, plain in before.items():
        assert (path.read_bytes() == plain) == (path.name == "cert.pem")
    keys = list(tmp_path.glob("**/key.pem"))
    assert len(keys) == 7 and all(b"ENCRYPTED" in key.read_bytes() for key in keys)
    assert all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys)
    bank = parse_certificate((tmp_path / "BANK-A" / "cert.pem").read_bytes())
    opened = get_suite("sm2-sm3").load_private_key((tmp_path / "BANK-A" / "key.pem").read_bytes(), b"4711")
    assert opened.spki == bank.spki
    for wrong in (None, b"4712"):
        with pytest.raises(KeyNotUsable):
            make_demo_pki(tmp_path, [BANK], START, END, password=wrong)


def test_services_have_certificates_of_their_own(whole):
    authorities, source = authority_certificates(whole), RevocationLists(revocation_lists(whole), now=NOON)

    for suite_id in SIGNING_SUITE_IDS:
        maker = parse_certificate((whole / f"maker-{suite_id}" / "cert.pem").read_bytes())
        assert maker.suite_id == suite_id
        assert len(validate_chain(maker, authorities, NOON, revocation=source)) == 3
    tsa = parse_certificate((whole / "tsa" / "cert.pem").read_bytes())
    assert tsa.suite_id == "ecdsa-p256-sha256"
    assert len(validate_chain(tsa, authorities, NOON, purpose="timestamping", revocation=source)) == 3
    with pytest.raises(CertificateWrongUsage):
        validate_chain(tsa, authorities, NOON)


def test_root_of_an_earlier_version_makes_room_for_the_sub_authority(tmp_path):
    """Such a root allowed nobody below it, and had issued to organisations itself."""
    make_demo_pki(tmp_path, [], START, END)
    folder = tmp_path / "ca" / "sm2-sm3"
    key = get_suite("sm2-sm3").load_private_key((folder / "key.pem").read_bytes())
    old_root = Authority("sm2-sm3", path_length=0)
    old_root.key, old_root.sign = key, lambda data: get_suite("sm2-sm3").sign(key, data)
    root = parse_certificate((folder / "cert.pem").read_bytes())
    old_root.issuer = type(old_root.issuer)(root.subject_name, key.spki, key)
    extensions = der.write(
        der.SEQUENCE,
        der.extension("2.5.29.19", bytes.fromhex("30060101ff020100"), critical=True),
        der.extension("2.5.29.15", bytes.fromhex("03020106"), critical=True),
    )
    old = parse_certificate(old_root.build(root.subject_name, key.spki, extensions))
    (folder / "cert.pem").write_text(old.pem)
    old_leaf = old_root.issue(name="甲银行")
    assert validate_chain(old_leaf, [old], NOON) == (old_leaf, old)

    make_demo_pki(tmp_path, [BANK], START, END)

    authorities = authority_certificates(tmp_path)
    new_leaf = parse_certificate((tmp_path / "BANK-A" / "cert.pem").read_bytes())
    assert len(validate_chain(old_leaf, authorities, NOON)) == 2
    assert len(validate_chain(new_leaf, authorities, NOON)) == 3
    assert len(validate_chain(new_leaf, [old, *authorities], NOON)) == 3  # as in a register that knows both


@pytest.mark.parametrize("suite_id", SIGNING_SUITE_IDS)
def test_officer_is_enrolled_by_a_request(whole, suite_id):
    key = get_suite(suite_id).generate_private_key()

    csr = parse_csr(build_csr(key, "王小燕", unit="P0001"))
    encoded = issue_certificate(
        load_issuer(whole, suite_id, b"4711"),
        subject_common_name="王小燕",
        unit="P0001",
        spki=csr.spki,
        not_before=START,
        not_after=END,
        usage=Usage.SIGNING,
    )

    assert (csr.spki, csr.suite_id, csr.subject) == (key.spki, suite_id, "CN=王小燕,OU=P0001,O=Guoku demo,C=CN")
    certificate = parse_certificate(encoded)
    assert (certificate.spki, certificate.subject, certificate.key_usage) == (key.spki, csr.subject, {0, 1})
    assert len(validate_chain(certificate, authority_certificates(whole), NOON)) == 3


def test_encryption_certificate_bears_other_bits_and_may_not_sign(whole):
    key = get_suite("sm2-sm3").generate_private_key()
    certificate = parse_certificate(
        issue_certificate(
            load_issuer(whole, "sm2-sm3", b"4711"),
            subject_common_name="王小燕",
            unit="P0001",
            spki=key.spki,
            not_before=START,
            not_after=END,
            usage=Usage.ENCRYPTION,
        )
    )
    assert certificate.key_usage == {2, 3, 4}
    with pytest.raises(CertificateWrongUsage):
        validate_chain(certificate, authority_certificates(whole), NOON)


def request(key, sign=None, *, spki=None, oid=None, trailing=b""):
    """A request whose parts need not fit together."""
    suite = get_suite(key.suite_id)
    name = der.write(
        der.SEQUENCE,
        der.write(der.SET, der.write(der.SEQUENCE, der.oid("2.5.4.3"), der.write(der.UTF8_STRING, b"x"))),
    )
    info = der.write(der.SEQUENCE, der.integer(0), name, spki or key.spki, der.write(0xA0))
    algorithm = der.write(der.SEQUENCE, der.oid(oid or suite.signature_oid))
    signature = der.write(der.BIT_STRING, b"\0", (sign or (lambda data: suite.sign(key, data)))(info))
    return der.write(der.SEQUENCE, info, algorithm, signature) + trailing


@pytest.fixture(scope="module")
def officer_key():
    return get_suite("sm2-sm3").generate_private_key()


def test_request_may_come_in_der(officer_key):
    assert parse_csr(request(officer_key)).spki == officer_key.spki


@pytest.mark.parametrize(
    "forged",
    {
        "of another's key": lambda key: request(key, spki=get_suite("sm2-sm3").generate_private_key().spki),
        "signed over another text": lambda key: request(key, lambda data: get_suite("sm2-sm3").sign(key, data + b".")),
        "of another suite": lambda key: request(key, oid="1.2.840.10045.4.3.2"),
        "unsigned": lambda key: request(key, lambda data: b""),
        "with a tail": lambda key: request(key, trailing=b"\0"),
        "two in one file": lambda key: build_csr(key, "x") * 2,
        "a certificate": lambda key: Authority("sm2-sm3").certificate.der,
        "cut": lambda key: request(key)[:-1],
        "too long": lambda key: b"0" * 20_000,
        "empty": lambda key: b"",
        "no base64": lambda key: b"-----BEGIN CERTIFICATE REQUEST-----\n!!!\n-----END CERTIFICATE REQUEST-----\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_request_without_proof_of_possession_is_refused(officer_key, forged):
    with pytest.raises(CsrRefused) as refusal:
        parse_csr(forged[1](officer_key))
    assert refusal.value.code == "csr_refused"


def test_request_for_an_old_rsa_key_is_refused(officer_key):
    old = OldRsaKey(1024)
    with pytest.raises(CsrRefused, match="算法"):
        parse_csr(request(officer_key, old.sign, spki=old.spki, oid="1.2.840.113549.1.1.5"))


def test_next_list_keeps_what_was_revoked_and_counts_on(tmp_path):
    make_demo_pki(tmp_path, [BANK], START, END)
    bank = parse_certificate((tmp_path / "BANK-A" / "cert.pem").read_bytes())
    issuer = next(c for c in authority_certificates(tmp_path) if c.subject_name == bank.issuer_name)
    (first,) = [crl for crl in revocation_lists(tmp_path) if crl.issuer_name == bank.issuer_name]
    week = timedelta(days=7)

    second = publish_crl(
        tmp_path,
        "sm2-sm3",
        revoked=[RevokedEntry(bank.serial_hex, NOON, "keyCompromise")],
        this_update=NOON,
        next_update=NOON + week,
    )
    third = publish_crl(
        tmp_path,
        "sm2-sm3",
        revoked=[RevokedEntry(bank.serial_hex, NOON + week, "superseded"), RevokedEntry("0a", NOON + week)],
        this_update=NOON + week,
        next_update=NOON + 2 * week,
    )

    assert [crl.number for crl in (first, second, third)] == [1, 2, 3]
    assert supersedes(second, first) and supersedes(third, second) and not supersedes(first, third)
    assert third.entries == {
        bank.serial_hex: RevokedEntry(bank.serial_hex, NOON, "keyCompromise"),
        "0a": RevokedEntry("0a", NOON + week, "unspecified"),
    }
    assert crl_status(first, bank, issuer, now=NOON).state == "good"
    assert crl_status(third, bank, issuer, now=NOON + week).revoked_at == NOON
    assert third.number in [crl.number for crl in revocation_lists(tmp_path)]


@pytest.fixture(scope="module", params=SIGNING_SUITE_IDS)
def bad(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bad")
    make_demo_pki(directory, [BANK], START, END)
    return request.param, directory, make_bad_certificates(directory, request.param)


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("expired", CertificateExpired),
        ("not-yet-valid", CertificateNotYetValid),
        ("revoked", CertificateRevoked),
        ("wrong-usage", CertificateWrongUsage),
        ("authority-as-leaf", CertificateWrongUsage),
        ("unknown-critical", CertificateWrongUsage),
        ("namesake", CertificateSignatureInvalid),
        ("namesake-authority", CertificateWrongUsage),
    ],
)
def test_bad_certificate_is_refused_for_its_own_reason(bad, name, refusal):
    suite_id, directory, made = bad
    source = RevocationLists(revocation_lists(directory), now=NOON)
    with pytest.raises(refusal):
        validate_chain(made[name], authority_certificates(directory), NOON, revocation=source)

    kept = directory / "bad" / suite_id / name
    assert parse_certificate((kept / "cert.pem").read_bytes()) == made[name]
    assert get_suite(suite_id).load_private_key((kept / "key.pem").read_bytes()).spki == made[name].spki


def test_bad_examples_do_not_stand_among_the_organisations(bad):
    _suite_id, directory, made = bad
    assert {path.parent.name for path in directory.glob("*/cert.pem")} == {"BANK-A"}
    assert len(made) == 8


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl command on this machine")
class TestOpenSslReads:
    """The system's own openssl command as a second opinion."""

    @pytest.mark.parametrize("suite_id", SIGNING_SUITE_IDS)
    def test_our_requests(self, tmp_path, suite_id):
        path = tmp_path / "csr.pem"
        path.write_bytes(build_csr(get_suite(suite_id).generate_private_key(), "officer"))
        options = ["-vfyopt", "distid:1234567812345678"] if suite_id == "sm2-sm3" else []
        command = [OPENSSL, "req", "-in", str(path), "-noout", "-verify", *options]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode == 0 and "verify OK" in answer.stdout + answer.stderr

    @pytest.mark.parametrize("name", ["tsa", "maker-sm2-sm3", "BANK-A"])
    def test_our_encrypted_keys(self, whole, name):
        command = [OPENSSL, "pkey", "-in", str(whole / name / "key.pem"), "-noout", "-passin", "pass:4711"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
        command[-1] = "pass:4712"
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0

    @pytest.mark.parametrize("name", ["tsa"])
    def test_our_time_stamp_certificate(self, whole, name):
        folder = whole / "ca" / "ecdsa-p256-sha256"
        command = [OPENSSL, "verify", "-x509_strict", "-purpose", "timestampsign"]
        command += ["-CAfile", str(folder / "cert.pem"), "-untrusted", str(folder / "sub" / "cert.pem")]
        answer = subprocess.run([*command, str(whole / name / "cert.pem")], capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
