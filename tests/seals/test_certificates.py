"""The demo PKI, and chains that must be refused, each for its own reason; OpenSSL's command agrees."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seals import der
from seals.certificates import (
    TIME_STAMPING,
    canonical_serial,
    check_key_not_shared,
    parse_certificate,
    suites_for,
    validate_chain,
)
from seals.errors import (
    CertificateAlgorithmRefused,
    CertificateExpired,
    CertificateKeyNotSupported,
    CertificateKeyShared,
    CertificateMalformed,
    CertificateNotYetValid,
    CertificateSignatureInvalid,
    CertificateUnknownIssuer,
    CertificateWrongUsage,
    KeyNotUsable,
)
from seals.pki import authority_certificates
from seals.suites import SIGNING_SUITE_IDS, get_suite
from tests.authorities import END, NOON, START, Authority, OldRsaKey, algorithm

OPENSSL = shutil.which("openssl")


@pytest.fixture(params=SIGNING_SUITE_IDS)
def root(request):
    return Authority(request.param)


def test_signing_certificate_chains_to_its_root(root):
    leaf = root.issue()
    assert validate_chain(leaf, [root.certificate], NOON) == (leaf, root.certificate)


def test_demo_pki_certificates_name_their_organisation(pki):
    certificate = parse_certificate((pki / "FIN-990100000" / "cert.pem").read_bytes())

    assert certificate.subject == "CN=临江市财政局,OU=FIN-990100000,O=Guoku demo,C=CN"
    assert certificate.issuer == "CN=Guoku demo CA sm2-sm3,O=Guoku demo,C=CN"
    assert (certificate.valid_from, certificate.valid_to) == (START, END)
    assert certificate.pem == (pki / "FIN-990100000" / "cert.pem").read_text()
    assert parse_certificate(certificate.der) == certificate
    assert len(validate_chain(certificate, authority_certificates(pki), NOON)) == 3


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
    critical = root.issue(further=[der.extension("1.2.156.10197.9.9", b"\x05\x00", critical=True)])
    uncritical = root.issue(further=[der.extension("1.2.156.10197.9.9", b"\x05\x00")])

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
    root = Authority("sm2-sm3", path_length=0)
    leaf_as_issuer = Authority("sm2-sm3", "Middle", above=root, authority=False, usage=(0,))
    middle = Authority("sm2-sm3", "Middle 2", above=root)

    with pytest.raises(CertificateWrongUsage):
        validate_chain(leaf_as_issuer.issue(), [root.certificate, leaf_as_issuer.certificate], NOON)
    with pytest.raises(CertificateWrongUsage):  # the root allows no authority below it: pathlen 0
        validate_chain(middle.issue(), [root.certificate, middle.certificate], NOON)
    with pytest.raises(CertificateUnknownIssuer):  # an intermediate alone is no anchor
        validate_chain(middle.issue(), [middle.certificate], NOON)


def test_chain_may_lead_over_a_sub_authority(root):
    sub = Authority(root.suite_id, "Sub", above=root, path_length=0)
    leaf = sub.issue()

    assert validate_chain(leaf, [sub.certificate, root.certificate], NOON) == (leaf, sub.certificate, root.certificate)


def test_path_length_counts_the_authorities_in_between():
    root = Authority("sm2-sm3", path_length=1)
    first = Authority("sm2-sm3", "First", above=root, path_length=5)
    second = Authority("sm2-sm3", "Second", above=first, path_length=5)
    authorities = [root.certificate, first.certificate, second.certificate]

    validate_chain(first.issue(), authorities, NOON)
    with pytest.raises(CertificateWrongUsage, match="长度"):
        validate_chain(second.issue(), authorities, NOON)


def test_chain_longer_than_four_authorities_is_refused():
    above, authorities = Authority("sm2-sm3", path_length=9), []
    for depth in range(4):
        authorities.append(above.certificate)
        above = Authority("sm2-sm3", f"Level {depth}", above=above, path_length=9)
    with pytest.raises(CertificateUnknownIssuer, match="过长"):
        validate_chain(above.issue(), [*authorities, above.certificate], NOON)


def test_an_authority_certified_twice_is_found_by_the_path_that_holds():
    old = Authority("sm2-sm3", end=NOON - timedelta(days=1))
    renewed = Authority("sm2-sm3", like=old)
    leaf = old.issue()

    assert validate_chain(leaf, [old.certificate, renewed.certificate], NOON) == (leaf, renewed.certificate)
    with pytest.raises(CertificateExpired):
        validate_chain(leaf, [old.certificate], NOON)


def test_suites_may_differ_along_the_chain():
    root = Authority("rsa-sha256")
    sub = Authority("ecdsa-p256-sha256", "Sub", above=root)
    leaf = sub.issue(spki=get_suite("sm2-sm3").generate_private_key().spki)

    path = validate_chain(leaf, [root.certificate, sub.certificate], NOON)

    assert [certificate.suite_id for certificate in path] == ["sm2-sm3", "ecdsa-p256-sha256", "rsa-sha256"]


def test_algorithm_parameters_may_be_absent_or_null_and_nothing_else(root):
    oid = root.certificate.signature_oid
    null = root.issue(inner=algorithm(oid, null=True))
    with pytest.raises(CertificateMalformed):
        root.issue(inner=der.write(der.SEQUENCE, der.oid(oid), der.write(der.OCTET_STRING)))

    assert validate_chain(null, [root.certificate], NOON) == (null, root.certificate)
    assert null.signature_oid == oid


def test_basic_constraints_may_say_false_explicitly(root):
    said = der.extension("2.5.29.19", der.write(der.SEQUENCE, der.write(der.BOOLEAN, b"\0")))
    usage = der.extension("2.5.29.15", bytes.fromhex("030206c0"), critical=True)
    leaf = root.issue(extensions=der.write(der.SEQUENCE, said, usage))

    assert not leaf.is_authority
    assert validate_chain(leaf, [root.certificate], NOON)[0] == leaf


def test_critical_may_be_said_false_explicitly(root):
    flag = der.write(der.BOOLEAN, b"\0")
    said = der.write(der.SEQUENCE, der.oid("1.2.3.4"), flag, der.write(der.OCTET_STRING, b"\5\0"))
    leaf = root.issue(further=[said])

    assert "1.2.3.4" not in leaf.critical_extensions
    assert validate_chain(leaf, [root.certificate], NOON)[0] == leaf


def test_certificate_without_extensions_is_none_to_sign_with(root):
    with pytest.raises(CertificateWrongUsage):
        validate_chain(root.issue(extensions=b""), [root.certificate], NOON)


@pytest.mark.parametrize("twice", ["2.5.29.19", "2.5.29.15"])
def test_extension_that_comes_twice_is_refused(root, twice):
    with pytest.raises(CertificateMalformed):
        root.issue(further=[der.extension(twice, b"\x30\x00")])


def test_rsa_key_serves_the_suites_it_is_long_enough_for():
    root = Authority("rsa-sha256")
    long, short = root.issue(spki=OldRsaKey(2048).spki), root.issue(spki=OldRsaKey(1024).spki)

    assert (long.suite_id, suites_for(long)) == ("rsa-sha256", ("rsa-sha256", "rsa-sha1"))
    assert (short.suite_id, suites_for(short)) == ("rsa-sha1", ("rsa-sha1",))
    assert long.public_key_for("rsa-sha1").suite_id == "rsa-sha1"
    assert long.public_key == long.public_key_for("rsa-sha256")
    with pytest.raises(KeyNotUsable):
        short.public_key_for("rsa-sha256")
    with pytest.raises(KeyNotUsable):
        long.public_key_for("sm2-sm3")
    assert suites_for(Authority("sm2-sm3").certificate) == ("sm2-sm3",)


def test_sha1_chain_is_read_for_a_key_that_only_verifies():
    root = Authority("rsa-sha1")
    leaf = root.issue()
    assert leaf.suite_id == "rsa-sha1"
    assert validate_chain(leaf, [root.certificate], NOON) == (leaf, root.certificate)


@pytest.mark.parametrize("suite_id", SIGNING_SUITE_IDS)
def test_sha1_does_not_vouch_for_a_key_that_still_signs(suite_id):
    root = Authority("rsa-sha1")
    leaf = root.issue(spki=get_suite(suite_id).generate_private_key().spki)
    with pytest.raises(CertificateAlgorithmRefused):
        validate_chain(leaf, [root.certificate], NOON)


def test_time_stamp_certificate_is_for_that_and_for_nothing_else(root):
    usage = der.write(der.SEQUENCE, der.oid(TIME_STAMPING))
    stamping = root.issue(usage=(0,), further=[der.extension("2.5.29.37", usage, critical=True)])
    uncritical = root.issue(usage=(0,), further=[der.extension("2.5.29.37", usage)])
    signing, roots = root.issue(), [root.certificate]

    assert validate_chain(stamping, roots, NOON, purpose="timestamping")[0] == stamping
    for certificate, purpose in (
        (stamping, "signing"),
        (uncritical, "signing"),
        (uncritical, "timestamping"),
        (signing, "timestamping"),
    ):
        with pytest.raises(CertificateWrongUsage):
            validate_chain(certificate, roots, NOON, purpose=purpose)


def test_time_stamp_certificate_for_more_than_that_is_refused(root):
    usage = der.write(der.SEQUENCE, der.oid(TIME_STAMPING), der.oid("1.3.6.1.5.5.7.3.4"))
    leaf = root.issue(usage=(0,), further=[der.extension("2.5.29.37", usage, critical=True)])
    with pytest.raises(CertificateWrongUsage):
        validate_chain(leaf, [root.certificate], NOON, purpose="timestamping")


def test_key_under_two_names_is_refused_and_a_renewal_is_not(root):
    spki = get_suite("sm2-sm3").generate_private_key().spki
    mine, renewed, other = root.issue(spki=spki), root.issue(spki=spki, serial=7), root.issue(spki=spki, name="Other")

    check_key_not_shared(renewed, [mine, root.certificate])
    with pytest.raises(CertificateKeyShared):
        check_key_not_shared(other, [root.certificate, mine])


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
    with_null = algorithm(leaf.signature_oid, null=True)
    outer = der.write(der.SEQUENCE, leaf.tbs, with_null, der.write(der.BIT_STRING, b"\0", leaf.signature))
    assert algorithm(leaf.signature_oid) in leaf.tbs
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


def _chain(suite_id, *, root=None, sub=None, refusal=None, says="", forge=None, **leaf):
    authorities = [Authority(suite_id, **{"name": "Root", **(root or {})})]
    if suite_id != "sm2-sm3":  # the command hands the SM2 user id to the leaf only, so it checks no longer chains
        authorities.insert(0, Authority(suite_id, **{"name": "Sub", "above": authorities[0], **(sub or {})}))
    issued = authorities[0].issue(**leaf)
    if forge:
        issued = parse_certificate(forge(issued))
    return [issued, *(authority.certificate for authority in authorities)], refusal, says


DAY = timedelta(days=1)
CHAINS = {
    "good": _chain,
    "null parameters": lambda suite_id: _chain(suite_id, inner=algorithm(get_suite(suite_id).signature_oid, null=True)),
    "digital signature only": lambda suite_id: _chain(suite_id, usage=(0,)),
    "leaf expired": lambda suite_id: _chain(
        suite_id, end=NOON - DAY, refusal=CertificateExpired, says="certificate has expired"
    ),
    "leaf not yet valid": lambda suite_id: _chain(
        suite_id, start=NOON + DAY, refusal=CertificateNotYetValid, says="not yet valid"
    ),
    "sub-authority expired": lambda suite_id: _chain(
        suite_id, sub={"end": NOON - DAY}, refusal=CertificateExpired, says="certificate has expired"
    ),
    "root expired": lambda suite_id: _chain(
        suite_id, root={"end": NOON - DAY}, refusal=CertificateExpired, says="certificate has expired"
    ),
    "encryption certificate": lambda suite_id: _chain(
        suite_id, usage=(2, 3, 4), refusal=CertificateWrongUsage, says="certificate purpose"
    ),
    "authority as leaf": lambda suite_id: _chain(
        suite_id, usage=(5, 6), authority=True, refusal=CertificateWrongUsage, says="certificate purpose"
    ),
    "unknown critical extension": lambda suite_id: _chain(
        suite_id, further=[der.extension("1.2.156.10197.9.9", b"\5\0", critical=True)],
        refusal=CertificateWrongUsage, says="critical extension",
    ),
    "sub-authority is none": lambda suite_id: _chain(
        suite_id, sub={"authority": False}, refusal=CertificateWrongUsage, says="invalid CA certificate"
    ),
    "sub-authority may not certify": lambda suite_id: _chain(
        suite_id, sub={"usage": (6,)}, refusal=CertificateWrongUsage, says="certificate signing"
    ),
    "path too long": lambda suite_id: _chain(
        suite_id, root={"path_length": 0}, refusal=CertificateWrongUsage, says="path length constraint exceeded"
    ),
    "namesake of the issuer": lambda suite_id: (
        [Authority(suite_id, "Root").issue(), *_chain(suite_id)[0][-1:]],
        CertificateSignatureInvalid, "unable to get local issuer",  # the key identifiers differ
    ),
    "changed after signing": lambda suite_id: _chain(
        suite_id, forge=lambda leaf: leaf.der.replace(b"Leaf", b"Loaf"),
        refusal=CertificateSignatureInvalid, says="signature failure",
    ),
    "unknown issuer": lambda suite_id: (
        [Authority(suite_id, "Stranger").issue(), *_chain(suite_id)[0][1:]],
        CertificateUnknownIssuer, "unable to get local issuer",
    ),
}  # fmt: skip


NEED_A_SUB_AUTHORITY = {name for name in CHAINS if name.startswith("sub-authority")} | {"path too long"}


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
        sub = pki / "ca" / suite_id / "sub" / "cert.pem"
        options = self.sm2_options(suite_id, "-vfyopt")
        # the command hands the SM2 user id to the leaf only, so there the sub-authority has to be its anchor
        anchor = ["-partial_chain", "-CAfile", sub] if options else ["-CAfile", root, "-untrusted", sub]
        answer = self.run("verify", "-x509_strict", *options, *anchor, leaf)
        assert (answer.returncode, answer.stdout) == (0, f"{leaf}: OK\n"), answer.stderr

    def verdict(self, folder, chain, suite_id):
        """What `openssl verify` makes of leaf, authorities and the root that stands last, at NOON, for signing."""
        leaf, *authorities = chain
        paths = []
        for number, certificate in enumerate([leaf, *authorities]):
            paths.append(folder / f"{number}.pem")
            paths[-1].write_text(certificate.pem)
        untrusted = [part for path in paths[1:-1] for part in ("-untrusted", path)]
        answer = self.run(
            "verify", "-no-CApath", "-no-CAstore", "-purpose", "smimesign", "-attime", int(NOON.timestamp()),
            *self.sm2_options(suite_id, "-vfyopt"), "-CAfile", paths[-1], *untrusted, paths[0],
        )  # fmt: skip
        return answer.returncode == 0, answer.stderr

    @pytest.mark.parametrize(
        ("name", "suite_id"),
        [(n, s) for n, s in product(CHAINS, SIGNING_SUITE_IDS) if s != "sm2-sm3" or n not in NEED_A_SUB_AUTHORITY],
    )
    def test_on_every_chain_good_or_bad(self, tmp_path, name, suite_id):
        chain, refusal, openssl_says = CHAINS[name](suite_id)
        leaf, *authorities = chain

        if refusal is None:
            assert validate_chain(leaf, authorities, NOON) == tuple(chain)
        else:
            with pytest.raises(refusal):
                validate_chain(leaf, authorities, NOON)

        good, said = self.verdict(tmp_path, chain, suite_id)
        assert good == (refusal is None), said
        assert openssl_says in said

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
