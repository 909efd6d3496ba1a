"""Seals and stamps: made by us and read by OpenSSL and gmalg, made by others and read by us, and every rule of when."""

import shutil
import subprocess
from base64 import encodebytes
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import gmalg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from core.digests import sm3
from seals import der
from seals.certificates import Issuer
from seals.eseal.structures import (
    EVIDENCE_ROOT_OID,
    Extension,
    SealMalformed,
    assemble_signature,
    build_signature_tbs,
    parse_seal,
    parse_stamp,
)
from seals.eseal.verify import verify_seal, verify_stamp
from seals.revocation import RevocationLists, RevokedEntry, build_crl, parse_crl
from seals.suites import PrivateKeyHandle, get_suite
from seals.verdicts import Indication, SubIndication
from tests.samples import sample
from tests.seals.eseal_world import (
    CONTENT,
    END,
    PROPERTY,
    RECEIVED_AT,
    ROOT_OF_LOG,
    SEAL_END,
    SEAL_START,
    SIGNED_AT,
    START,
    edit,
    extension,
    png,
    remade_seal,
    root,
    seal_up,
    signed_off,
    stamp_of_seal,
    world,
)
from tests.seals.test_cms import signed_data

SECOND = timedelta(seconds=1)
OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl command")
SUITES = ["sm2-sm3", "ecdsa-p256-sha256", "rsa-sha256"]


def codes(report):
    return [deviation.code for deviation in report.verdict.deviations]


# --- what we make


@pytest.mark.parametrize("suite_id", SUITES)
def test_stamp_says_what_was_put_into_it_and_passes(suite_id):
    w = world(suite_id)

    report = w.judge(w.stamp())

    assert report.verdict.indication is Indication.TOTAL_PASSED and report.findings == ()
    assert report.verdict.deviations == () and report.verdict.scope == "FULL"
    assert report.seal.verdict.ok and report.signature.ok
    assert (report.signer, report.seal.maker) == (w.signer.certificate, w.maker.certificate)
    stamp = report.stamp
    assert (stamp.version, stamp.signed_at, stamp.property_info) == (4, SIGNED_AT, PROPERTY)
    assert stamp.data_hash == w.signer.suite.digest(CONTENT)
    assert stamp.extension(EVIDENCE_ROOT_OID) == ROOT_OF_LOG and stamp.extension("1.2.3") is None
    seal = stamp.seal
    assert (seal.es_id, seal.name, seal.kind, seal.vendor_id) == ("9901000000000001", "临江市财政局", 1, "GUOKU")
    assert (seal.created_at, seal.valid_from, seal.valid_to) == (SEAL_START, SEAL_START, SEAL_END)
    assert seal.picture == w.draft.picture and seal.holders == (w.signer.certificate.der,)
    assert seal.raw == w.seal() or suite_id != "rsa-sha256"  # only RSA signs the same text the same way twice


def test_facts_of_the_verdict_are_texts_for_the_page():
    w = world()
    facts = w.judge(w.stamp()).verdict.facts

    assert dict(facts) == {
        "version": "4",
        "es_id": "9901000000000001",
        "name": "临江市财政局",
        "seal_valid_from": "2026-03-01T00:00:00+00:00",
        "seal_valid_to": "2028-03-01T00:00:00+00:00",
        "picture_type": "PNG",
        "picture_sm3": sm3(png()).hex(),
        "signed_at": "2026-06-15T01:00:00+00:00",
        "property_info": PROPERTY,
        "data_hash": sm3(CONTENT).hex(),
        f"extension:{EVIDENCE_ROOT_OID}": ROOT_OF_LOG.hex(),
        "signer": "CN=临江市财政局",
        "signer_serial": w.signer.certificate.serial_hex,
        "suite": "sm2-sm3",
        "judged_at": "2026-06-15T01:02:00+00:00",
    }
    seal_facts = w.judge_seal(w.seal()).verdict.facts
    assert seal_facts["maker"] == "CN=Test seal maker"


def test_holders_may_be_listed_by_digest():
    w = world()
    seal = w.seal(holder_digest=sm3)

    assert parse_seal(seal).holder_digests == (("1.2.156.10197.1.401", sm3(w.signer.certificate.der)),)
    assert w.judge(w.stamp(seal=seal)).verdict.ok
    other = w.root.issue("丙某")
    assert w.judge(w.stamp(other, seal=seal)).verdict.code == "signer_not_holder"


def test_one_seal_may_have_several_holders():
    w = world()
    second = w.root.issue("丙某")
    seal = w.seal(holders=[w.signer.certificate.der, second.certificate.der])
    assert w.judge(w.stamp(seal=seal)).verdict.ok and w.judge(w.stamp(second, seal=seal)).verdict.ok


def test_seal_extensions_come_back():
    seal = world().seal(extensions=[Extension("1.2.3.4", True, b"\x05\x00"), Extension("1.2.3.5", False, b"x")])
    assert parse_seal(seal).extensions == (Extension("1.2.3.4", True, b"\x05\x00"), Extension("1.2.3.5", False, b"x"))
    assert parse_seal(seal).deviations == ()


def test_seal_that_could_not_be_read_back_is_not_made():
    with pytest.raises(SealMalformed):
        world().seal(name="")
    with pytest.raises(SealMalformed):
        world().seal(holders=[])
    w = world()
    tbs = build_signature_tbs(seal=b"\x30\x00", signed_at=SIGNED_AT, data_hash=bytes(32), property_info=PROPERTY)
    with pytest.raises(SealMalformed):
        assemble_signature(tbs, certificate=w.signer.certificate.der, signature_oid="1.2.3", signature=b"x")


def test_place_must_be_ascii():
    with pytest.raises(ValueError, match="ascii"):
        build_signature_tbs(seal=world().seal(), signed_at=SIGNED_AT, data_hash=bytes(32), property_info="位置")


# --- second implementations


def pem(label, content):
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, encodebytes(content), label)


@needs_openssl
@pytest.mark.parametrize("suite_id", SUITES)
@pytest.mark.parametrize("part", ["stamp", "seal"])
def test_openssl_verifies_the_signed_bytes(tmp_path, suite_id, part):
    w = world(suite_id)
    stamp = parse_stamp(w.stamp())
    signed, party = (stamp, w.signer) if part == "stamp" else (stamp.seal, w.maker)
    (tmp_path / "key").write_bytes(pem(b"PUBLIC KEY", party.certificate.spki))
    (tmp_path / "signature").write_bytes(signed.signature)
    options = {
        "sm2-sm3": ["-digest", "sm3", "-pkeyopt", "distid:1234567812345678"],
        "ecdsa-p256-sha256": ["-digest", "sha256"],
        "rsa-sha256": ["-digest", "sha256"],
    }[suite_id]

    def verified(text):
        (tmp_path / "text").write_bytes(text)
        command = [OPENSSL, "pkeyutl", "-verify", "-rawin", "-in", "text", "-pubin", "-inkey", "key"]
        command += ["-sigfile", "signature", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0

    assert verified(signed.signed)
    assert not verified(signed.signed[:-1] + bytes([signed.signed[-1] ^ 1]))


def gmalg_verifies(certificate, text, signature):
    raw = der.signature_to_raw(signature)
    sm2 = gmalg.SM2(uid=b"1234567812345678", pk=certificate.spki[-65:])
    return sm2.verify(text, raw[:32], raw[32:])


def test_a_pure_implementation_verifies_seal_and_stamp():
    w = world()
    stamp = parse_stamp(w.stamp())

    assert gmalg_verifies(w.signer.certificate, stamp.signed, stamp.signature)
    assert gmalg_verifies(w.maker.certificate, stamp.seal.signed, stamp.seal.signature)
    assert not gmalg_verifies(w.signer.certificate, stamp.signed + b"\0", stamp.signature)


def test_stamp_signed_by_the_pure_implementation_passes():
    w = world()
    secret, public = gmalg.SM2().generate_keypair()
    spki = w.signer.certificate.spki[:-65] + b"\x04" + public[-64:]
    holder = w.root.issue("丙某", key=replace(w.signer.key, spki=spki))
    tbs = w.tbs(seal=w.seal(holders=[holder.certificate.der]))
    r, s = gmalg.SM2(secret, b"1234567812345678", public).sign(tbs)

    assert w.judge(seal_up(tbs, holder, signature=der.signature_from_raw(r + s))).verdict.ok


# --- made by others


def trusted_sample(name, at):
    data = sample(name)
    maker = verify_seal(data, maker_authorities=[], at=at).maker
    return data, maker


AT_2021 = datetime(2021, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("name", "version"), [("UserV1.esl", 1), ("UserV4.esl", 4)])
def test_seal_of_another_maker_is_read_and_its_signature_holds(name, version):
    data, maker = trusted_sample(name, AT_2021)

    unknown = verify_seal(data, maker_authorities=[], at=AT_2021)
    trusted = verify_seal(data, maker_authorities=[maker], at=AT_2021)

    assert unknown.seal.version == version
    assert unknown.verdict.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND
    assert [finding.code for finding in unknown.findings] == ["certificate_unknown_issuer"]  # so the signature holds
    assert trusted.verdict.ok
    assert gmalg_verifies(maker, unknown.seal.signed, unknown.seal.signature)


@pytest.mark.parametrize("name", ["UserV1.esl", "UserV4.esl"])
def test_seal_of_another_maker_is_expired_today(name):
    data, maker = trusted_sample(name, AT_2021)
    report = verify_seal(data, maker_authorities=[maker], at=datetime(2026, 11, 24, tzinfo=UTC))
    assert report.verdict.sub_indication is SubIndication.EXPIRED
    assert {finding.code for finding in report.findings} == {"seal_expired", "certificate_expired"}


@pytest.mark.parametrize("name", ["UserV1.esl", "UserV4.esl"])
def test_seal_of_another_maker_with_one_bit_changed_does_not_hold(name):
    data, maker = trusted_sample(name, AT_2021)
    changed = bytearray(data)
    changed[2000] ^= 1  # inside the picture

    report = verify_seal(bytes(changed), maker_authorities=[maker], at=AT_2021)

    assert report.verdict.sub_indication is SubIndication.SIG_CRYPTO_FAILURE


def test_version_1_seal_covers_certificate_and_algorithm():
    data, maker = trusted_sample("UserV1.esl", AT_2021)
    seal = parse_seal(data)
    info, sign_info = der.read_all(der.read(data)[0].value)
    certificate, algorithm, _ = der.read_all(sign_info.value)

    assert der.read(seal.signed)[0].value == info.raw + certificate.raw + algorithm.raw
    assert not gmalg_verifies(maker, info.raw, seal.signature)


def test_stamp_of_another_maker_over_nothing_is_refused_as_such():
    data = sample("SignedValueV4.dat")
    at = datetime(2020, 10, 12, 12, tzinfo=UTC)
    usual = {"content": b"", "expected_property": None, "at": at, "now": at}
    unknown = verify_stamp(data, maker_authorities=[], signer_authorities=[], **usual)
    maker, signer = unknown.seal.maker, unknown.signer
    trusted = verify_stamp(data, maker_authorities=[maker], signer_authorities=[signer], **usual)

    assert unknown.stamp.signed_at == datetime(2020, 10, 12, 11, 14, 3, tzinfo=UTC)
    for report in (unknown, trusted):
        assert report.verdict.indication is Indication.TOTAL_FAILED
        assert report.verdict.sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND
    assert [finding.code for finding in trusted.findings] == ["content_missing"]  # all else holds
    assert trusted.seal.verdict.ok and not trusted.signature.ok
    assert gmalg_verifies(signer, trusted.stamp.signed, trusted.stamp.signature)


# --- version 1 and 5, made here after the layout of others


def version_1_seal(w, maker=None):
    maker = maker or w.maker
    utc = der.time
    info = der.write(
        der.SEQUENCE,
        der.write(der.SEQUENCE, der.write(0x16, b"ES"), der.integer(1), der.write(0x16, b"GUOKU")),
        der.write(0x16, b"9901000000000001"),
        der.write(
            der.SEQUENCE,
            der.integer(1),
            der.write(der.UTF8_STRING, "临江市财政局".encode()),
            der.write(der.SEQUENCE, der.write(der.OCTET_STRING, w.signer.certificate.der)),
            utc(SEAL_START),
            utc(SEAL_START),
            utc(SEAL_END),
        ),
        der.write(
            der.SEQUENCE, der.write(0x16, b"PNG"), der.write(der.OCTET_STRING, png()), der.integer(42), der.integer(42)
        ),
    )
    certificate, algorithm = der.write(der.OCTET_STRING, maker.certificate.der), der.oid(maker.suite.signature_oid)
    signature = maker.sign(der.write(der.SEQUENCE, info, certificate, algorithm))
    signed = der.write(der.SEQUENCE, certificate, algorithm, der.write(der.BIT_STRING, b"\0", signature))
    return der.write(der.SEQUENCE, info, signed)


def version_1_stamp(w, time, seal=None):
    tbs = der.write(
        der.SEQUENCE,
        der.integer(1),
        seal or version_1_seal(w),
        der.write(der.BIT_STRING, b"\0", time),
        der.write(der.BIT_STRING, b"\0", w.signer.suite.digest(CONTENT)),
        der.write(0x16, PROPERTY.encode()),
        der.write(der.OCTET_STRING, w.signer.certificate.der),
        der.oid(w.signer.suite.signature_oid),
    )
    return der.write(der.SEQUENCE, tbs, der.write(der.BIT_STRING, b"\0", w.signer.sign(tbs)))


TIMES = {
    "text": b"20260615010000Z",
    "UTCTime": der.write(der.UTC_TIME, b"260615010000Z"),
    "GeneralizedTime": der.write(der.GENERALIZED_TIME, b"20260615010000Z"),
}


@pytest.mark.parametrize("form", TIMES)
def test_version_1_stamp_passes_with_its_time_in_every_form(form):
    w = world()
    report = w.judge(version_1_stamp(w, TIMES[form]))
    assert report.verdict.ok, report.findings
    assert (report.stamp.version, report.stamp.signed_at) == (1, SIGNED_AT)


@pytest.mark.parametrize("time", [b"\x01\x02\x03", b"", b"2026", b"\x30\x03\x02\x01\x01", b"\x05\x00"])
def test_version_1_stamp_without_a_readable_time_is_a_format_failure(time):
    w = world()
    assert w.judge(version_1_stamp(w, time)).verdict.sub_indication is SubIndication.FORMAT_FAILURE


def test_version_1_seal_binds_its_makers_certificate():
    w = world()
    other = w.maker_root.issue("Test seal maker", key=w.maker.key, start=START + timedelta(days=1))
    swapped = edit(version_1_seal(w), (1, 0), der.write(der.OCTET_STRING, other.certificate.der))

    assert w.judge(version_1_stamp(w, TIMES["text"], swapped)).verdict.code == "seal_signature_invalid"


def version_5_stamp(w, *rest):
    info = edit(der.read_all(der.read(w.seal())[0].value)[0].raw, (0, 1), der.integer(5))
    seal = signed_off(info, w.maker, *rest)
    tbs = edit(edit(w.tbs(), (0,), der.integer(5)), (1,), seal)
    return signed_off(tbs, w.signer, *rest)


def test_version_5_stamp_passes_and_its_time_stamp_is_said_to_be_unused():
    w = world()
    token = signed_data(w.signer, b"token", detached=False)
    stamped = der.write(0xA0, der.write(der.BIT_STRING, b"\0", token))

    plain, with_token = w.judge(version_5_stamp(w)), w.judge(version_5_stamp(w, stamped))

    assert plain.verdict.ok and plain.stamp.version == 5 and codes(plain) == []
    assert with_token.verdict.ok and codes(with_token) == ["timestamp_not_used"]
    assert (with_token.stamp.timestamp, with_token.stamp.seal.timestamp) == (token, token)


# --- deviations: accepted and reported


def test_explicit_default_in_a_seals_extension_is_reported():
    w = world()
    entry = der.write(
        der.SEQUENCE, der.oid("1.2.3.4"), der.write(der.BOOLEAN, b"\0"), der.write(der.OCTET_STRING, b"x")
    )
    added = der.write(der.SEQUENCE, entry)
    info = der.read_all(der.read(w.seal())[0].value)[0]
    seal = signed_off(der.write(der.SEQUENCE, info.value, added), w.maker)

    report = w.judge(stamp_of_seal(w, seal))

    assert report.verdict.ok and codes(report) == ["explicit_default"]
    assert report.stamp.seal.extensions == (Extension("1.2.3.4", False, b"x"),)


def test_raw_signatures_of_seal_and_stamp_are_reported():
    w = world()
    seal = edit(w.seal(), (3,), lambda bits: raw_bits(bits.value[1:]))
    report = w.judge(edit(stamp_of_seal(w, seal), (3,), lambda bits: raw_bits(bits.value[1:])))

    assert report.verdict.ok and codes(report) == ["raw_signature"]
    assert codes(report.seal) == ["raw_signature"]


def raw_bits(signature):
    return der.write(der.BIT_STRING, b"\0", der.signature_to_raw(signature))


def test_certificate_with_an_explicit_default_is_reported():
    w = world()
    maker = w.maker_root.issue("Test seal maker", explicit_default=True)
    report = w.judge(w.stamp(seal=w.seal(maker)))
    assert report.verdict.ok and codes(report) == ["certificate_explicit_default"]


def test_ofd_picture_is_reported_and_not_opened():
    w = world()
    picture = replace(w.draft.picture, type="ofd", data=b"PK\x03\x04" + bytes(40))
    report = w.judge(w.stamp(seal=w.seal(picture=picture)))
    assert report.verdict.ok and codes(report) == ["picture_ofd"]


def test_unknown_critical_extension_of_a_stamp_is_reported():
    w = world()
    report = w.judge(w.stamp(extensions=[Extension("1.2.156.1", True, b"x")]))
    assert report.verdict.ok and codes(report) == ["critical_extension"]
    assert report.verdict.facts["extension:1.2.156.1"] == "78"


@pytest.mark.parametrize(
    ("name", "suite_id", "reported"),
    [
        ("1.2.156.10197.1.401", "sm2-sm3", []),
        ("SM3", "sm2-sm3", ["digest_name"]),
        ("sm3", "sm2-sm3", ["digest_name"]),
        ("1.2.156.10197.1.401.2", "sm2-sm3", ["digest_name"]),
        ("2.16.840.1.101.3.4.2.1", "rsa-sha256", []),
        ("SHA-256", "rsa-sha256", ["digest_name"]),
    ],
)
def test_names_of_the_holders_digest_vary(name, suite_id, reported):
    w = world()
    digest = get_suite(suite_id).digest(w.signer.certificate.der)
    entry = der.write(der.SEQUENCE, der.write(der.PRINTABLE_STRING, name.encode()), der.write(der.OCTET_STRING, digest))
    info = der.read_all(der.read(remade_seal(w, (2, 2), der.integer(2)))[0].value)[0].raw
    seal = signed_off(edit(info, (2, 3), der.write(der.SEQUENCE, entry)), w.maker)

    report = w.judge(stamp_of_seal(w, seal))

    assert report.verdict.ok and codes(report) == reported


@pytest.mark.parametrize("written", ["Doc_0/Signs/Sign_0/Signature.xml", "//doc_0//signs/sign_0/SIGNATURE.XML"])
def test_path_inside_an_ofd_may_be_written_loosely(written):
    w = world()
    expected = "/Doc_0/Signs/Sign_0/Signature.xml"

    loose = w.judge(w.stamp(property_info=written), expected_property=expected)
    exact = w.judge(w.stamp(property_info=expected), expected_property=expected)
    other = w.judge(w.stamp(property_info=expected.replace("Sign_0", "Sign_1")), expected_property=expected)

    assert loose.verdict.ok and codes(loose) == ["property_path"]
    assert exact.verdict.ok and codes(exact) == []
    assert other.verdict.code == "property_mismatch"


def test_place_is_not_asked_where_it_is_not_known():
    w = world()
    assert w.judge(w.stamp(), expected_property=None).verdict.ok


# --- when


def test_validity_of_the_seal_includes_its_first_and_last_second():
    w = world()
    for moment in (SEAL_START, SEAL_END):
        assert w.judge(w.stamp(signed_at=moment), at=moment, now=moment).verdict.ok
    for moment, code in ((SEAL_START - SECOND, "seal_not_yet_valid"), (SEAL_END + SECOND, "seal_expired")):
        assert w.judge(w.stamp(signed_at=moment), at=moment, now=moment).verdict.code == code


def test_stamp_proven_in_time_stays_valid_after_seal_and_certificates_expired():
    w = world()
    assert w.judge(w.stamp(), at=RECEIVED_AT, now=END + timedelta(days=365)).verdict.ok


def test_stamp_not_proven_before_the_seal_expired_stays_undecided():
    w = world()
    later = SEAL_END + SECOND
    report = w.judge(w.stamp(), at=later, now=later)
    assert report.verdict.indication is Indication.INDETERMINATE
    assert report.verdict.code == "seal_expired_later"


def test_clocks_may_differ_by_five_minutes():
    w = world()
    skewed = RECEIVED_AT + timedelta(minutes=5)
    assert w.judge(w.stamp(signed_at=skewed)).verdict.ok
    assert w.judge(w.stamp(signed_at=skewed + SECOND)).verdict.code == "signed_in_future"


def revocation(w, party, revoked_at):
    crls = []
    for authority in (w.root, w.maker_root):
        mine = party.certificate.issuer_name == authority.name
        entries = [RevokedEntry(party.certificate.serial_hex, revoked_at)] if mine else []
        issuer = Issuer(authority.name, authority.key.spki, authority.key)
        crls.append(build_crl(issuer, number=7, this_update=START, next_update=END, revoked=entries))
    return RevocationLists([parse_crl(each) for each in crls], now=RECEIVED_AT)


@pytest.mark.parametrize("who", ["signer", "maker"])
def test_revocation_after_the_stamp_was_proven_does_not_touch_it(who):
    w = world()
    party = getattr(w, who)
    assert w.judge(w.stamp(), revocation=revocation(w, party, RECEIVED_AT + SECOND)).verdict.ok
    assert w.judge(w.stamp(), revocation=revocation(w, party, RECEIVED_AT)).verdict.code == "certificate_revoked_later"
    assert w.judge(w.stamp(), revocation=revocation(w, party, SIGNED_AT)).verdict.code == "certificate_revoked"


# --- who


def test_maker_is_admitted_by_name_and_not_only_by_its_root():
    w = world()
    other = w.maker_root.issue("Test web server")
    admitted = [w.maker.certificate.der]

    assert w.judge(w.stamp(), makers=admitted).verdict.ok
    assert w.judge(w.stamp(seal=w.seal(other))).verdict.ok  # where nobody is named, the root decides
    refused = w.judge(w.stamp(seal=w.seal(other)), makers=admitted)
    assert refused.verdict.sub_indication is SubIndication.CHAIN_CONSTRAINTS_FAILURE
    assert not w.judge(w.stamp(), makers=[]).verdict.ok


def test_certificate_named_by_the_caller_is_trusted_directly_but_not_an_authority():
    w = world()
    assert w.judge(w.stamp(), maker_authorities=[w.maker.certificate]).verdict.ok
    by_root = w.judge(
        w.stamp(w.root, seal=w.seal(holders=[w.root.certificate.der])), signer_authorities=[w.root.certificate]
    )
    assert by_root.verdict.code == "certificate_wrong_usage"


def test_seal_and_signature_have_verdicts_of_their_own():
    w = world()
    strange_maker = w.judge(w.stamp(), maker_authorities=[])
    strange_signer = w.judge(w.stamp(), signer_authorities=[])

    assert (strange_maker.seal.verdict.ok, strange_maker.signature.ok, strange_maker.verdict.ok) == (False, True, False)
    assert (strange_signer.seal.verdict.ok, strange_signer.signature.ok, strange_signer.verdict.ok) == (
        True,
        False,
        False,
    )


def test_all_findings_are_kept_and_a_failure_outranks_what_is_merely_open():
    w = world()
    report = w.judge(w.stamp(property_info="x"), content=b"other", maker_authorities=[])

    assert [finding.code for finding in report.findings] == [
        "certificate_unknown_issuer",
        "content_mismatch",
        "property_mismatch",
    ]
    assert report.verdict.code == "content_mismatch"
    assert report.verdict.indication is Indication.TOTAL_FAILED


def test_short_rsa_keys_are_named_as_too_weak():
    w = world("rsa-sha256")
    native = rsa.generate_private_key(65537, 1024)
    spki = native.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    short = w.root.issue("丙某", key=PrivateKeyHandle("rsa-sha256", spki, native))
    report = w.judge(w.stamp(short, seal=w.seal(holders=[short.certificate.der])))
    assert (report.verdict.sub_indication, report.verdict.code) == (
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE,
        "algorithm_retired",
    )


def test_extension_of_a_certificate_does_not_disturb():
    w = world()
    signer = w.root.issue("丙某", extra=extension("1.2.156.10260.4.1.1", b"\x0c\x01x"))
    assert w.judge(w.stamp(signer, seal=w.seal(holders=[signer.certificate.der]))).verdict.ok


def test_roots_of_two_suites_may_be_trusted_at_once():
    w, other = world(), root("ecdsa-p256-sha256")
    assert w.judge(w.stamp(), signer_authorities=[other.certificate, w.root.certificate]).verdict.ok
