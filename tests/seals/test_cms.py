"""SignedData as OpenSSL makes it, as GM/T 0010 has it with SM2, as vouchers of 2024 carry it, and bent by attackers."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.digests import sm3
from seals import cms, der
from seals.cms import (
    CmsAlgorithmMismatch,
    CmsContentMismatch,
    CmsContentMissing,
    CmsMalformed,
    CmsSignatureInvalid,
    digest_by_oid,
    parse_signed_data,
    signer_certificate,
    verify_signed_data,
)
from seals.suites import get_suite
from tests.seals.eseal_world import CONTENT, edit, root

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl command")
SM2_SIGN = "1.2.156.10197.1.501"


def algorithm(oid, *, null=False):
    return der.write(der.SEQUENCE, der.oid(oid), der.write(der.NULL) if null else b"")


def signed_data(signer, content, *, detached=True, attributes=None, signature=None, **parts):
    """A SignedData of the tests' own, in GM/T 0010 for SM2 and PKCS#7 otherwise."""
    gm = signer.key.suite_id == "sm2-sm3"
    outer, inner = (cms.GM_SIGNED_DATA, cms.GM_DATA) if gm else (cms.SIGNED_DATA, cms.DATA)
    digest = cms.SM3_OID if gm else cms.SHA256_OID
    to_sign, signed_attributes = content, b""
    if attributes is not None:
        listed = b"".join(
            der.write(der.SEQUENCE, der.oid(oid), der.write(der.SET, value)) for oid, value in attributes.items()
        )
        to_sign, signed_attributes = der.write(der.SET, listed), der.write(0xA0, listed)
    certificate = signer.certificate
    issuer_and_serial = der.write(der.SEQUENCE, certificate.issuer_name, der.integer(int(certificate.serial_hex, 16)))
    return der.write(
        der.SEQUENCE,
        der.oid(outer),
        der.write(
            0xA0,
            der.write(
                der.SEQUENCE,
                der.integer(1),
                der.write(der.SET, algorithm(digest)),
                der.write(
                    der.SEQUENCE,
                    der.oid(inner),
                    b"" if detached else der.write(0xA0, der.write(der.OCTET_STRING, content)),
                ),
                der.write(0xA0, certificate.der),
                der.write(
                    der.SET,
                    der.write(
                        der.SEQUENCE,
                        der.integer(1),
                        issuer_and_serial,
                        algorithm(parts.get("digest", digest)),
                        signed_attributes,
                        algorithm(parts.get("oid", signer.suite.signature_oid)),
                        der.write(der.OCTET_STRING, signer.sign(to_sign) if signature is None else signature),
                    ),
                ),
            ),
        ),
    )


def attributes_for(signer, content, **changes):
    gm = signer.key.suite_id == "sm2-sm3"
    digest = signer.suite.digest(content)
    usual = {
        cms.CONTENT_TYPE: der.oid(cms.GM_DATA if gm else cms.DATA),
        cms.MESSAGE_DIGEST: der.write(der.OCTET_STRING, digest),
    }
    return {**usual, **changes}


@pytest.fixture(scope="module", params=["sm2-sm3", "ecdsa-p256-sha256", "rsa-sha256"])
def signer(request):
    return root(request.param).issue()


@pytest.mark.parametrize("detached", [True, False], ids=["detached", "enclosed"])
@pytest.mark.parametrize("with_attributes", [True, False], ids=["attributes", "bare"])
def test_signature_over_its_content_holds_and_over_no_other(signer, detached, with_attributes):
    attributes = attributes_for(signer, CONTENT) if with_attributes else None
    parsed = parse_signed_data(signed_data(signer, CONTENT, detached=detached, attributes=attributes))
    spki = signer.certificate.spki

    assert signer_certificate(parsed) == signer.certificate.der
    assert verify_signed_data(parsed, CONTENT, spki) == signer.key.suite_id
    if detached:
        with pytest.raises(CmsContentMissing):
            verify_signed_data(parsed, None, spki)
    else:
        assert verify_signed_data(parsed, None, spki) == signer.key.suite_id
    with pytest.raises((CmsContentMismatch, CmsSignatureInvalid)):
        verify_signed_data(parsed, CONTENT + b"\n", spki)


def test_enclosed_content_must_be_the_given_one(signer):
    enclosed = parse_signed_data(signed_data(signer, CONTENT, detached=False))
    detached = parse_signed_data(signed_data(signer, b"other"))
    forged = replace(detached, content=CONTENT)

    with pytest.raises(CmsContentMismatch):
        verify_signed_data(enclosed, b"other", signer.certificate.spki)
    with pytest.raises(CmsContentMismatch):  # though the signature does hold over it
        verify_signed_data(forged, b"other", signer.certificate.spki)


def test_signature_of_another_key_does_not_hold(signer):
    parsed = parse_signed_data(signed_data(signer, CONTENT))
    other = get_suite(signer.key.suite_id).generate_private_key()

    with pytest.raises(CmsSignatureInvalid):
        verify_signed_data(parsed, CONTENT, other.spki)


def test_signed_attributes_are_verified_as_received_and_not_sorted_anew(signer):
    usual = attributes_for(signer, CONTENT)
    reversed_order = dict(reversed(usual.items()))
    parsed = parse_signed_data(signed_data(signer, CONTENT, attributes=reversed_order))

    assert verify_signed_data(parsed, CONTENT, signer.certificate.spki) == signer.key.suite_id


def test_digest_in_the_attributes_must_be_the_contents(signer):
    attributes = attributes_for(signer, b"another content")
    parsed = parse_signed_data(signed_data(signer, CONTENT, attributes=attributes))

    with pytest.raises(CmsContentMismatch):
        verify_signed_data(parsed, CONTENT, signer.certificate.spki)


@pytest.mark.parametrize("missing", [cms.CONTENT_TYPE, cms.MESSAGE_DIGEST])
def test_attributes_without_content_type_or_digest_prove_nothing(signer, missing):
    attributes = attributes_for(signer, CONTENT)
    del attributes[missing]
    parsed = parse_signed_data(signed_data(signer, CONTENT, attributes=attributes or {cms.SIGNING_TIME: b"\x05\x00"}))

    with pytest.raises(CmsMalformed):
        verify_signed_data(parsed, CONTENT, signer.certificate.spki)


def test_attributes_of_another_kind_of_content_are_refused(signer):
    attributes = attributes_for(signer, CONTENT, **{cms.CONTENT_TYPE: der.oid(cms.TST_INFO)})
    parsed = parse_signed_data(signed_data(signer, CONTENT, attributes=attributes))

    with pytest.raises(CmsContentMismatch):
        verify_signed_data(parsed, CONTENT, signer.certificate.spki)


def test_signed_attributes_do_not_pass_for_a_vouchers_text():
    """Without attributes the same signature holds over their encoding, a known trait of CMS: whoever takes bare
    signatures must know what the content looks like. A voucher's base64 text is ASCII, attributes are not."""
    signer = root("ecdsa-p256-sha256").issue()
    original = parse_signed_data(signed_data(signer, CONTENT, attributes=attributes_for(signer, CONTENT))).signer
    bare = parse_signed_data(signed_data(signer, CONTENT, signature=original.signature))

    assert verify_signed_data(bare, original.signed_attributes, signer.certificate.spki)
    assert not original.signed_attributes.isascii()
    with pytest.raises(CmsSignatureInvalid):
        verify_signed_data(bare, CONTENT, signer.certificate.spki)


@pytest.mark.parametrize(
    "parts",
    [
        {"oid": "1.2.3.4"},
        {"digest": cms.SHA1_OID},
        {"digest": "1.2.840.113549.2.5"},
        {"oid": "1.2.840.113549.1.1.5"},
        {"oid": "1.2.840.10045.4.3.4"},
    ],
    ids=["unknown", "sha-1 digest", "md5", "sha1WithRSA", "ecdsa-with-SHA512"],
)
def test_algorithm_that_is_not_the_keys_own_is_refused(parts):
    signer = root("sm2-sm3").issue()
    parsed = parse_signed_data(signed_data(signer, CONTENT, **parts))

    with pytest.raises(CmsAlgorithmMismatch):
        verify_signed_data(parsed, CONTENT, signer.certificate.spki)


@pytest.mark.parametrize("oid", ["1.2.156.10197.1.301.1", "1.2.156.10197.1.301", SM2_SIGN])
def test_every_name_senders_use_for_sm2_is_understood(oid):
    signer = root("sm2-sm3").issue()
    parsed = parse_signed_data(signed_data(signer, CONTENT, oid=oid))
    assert verify_signed_data(parsed, CONTENT, signer.certificate.spki) == "sm2-sm3"


def test_digests_by_oid():
    assert digest_by_oid(cms.SM3_OID, b"abc") == sm3(b"abc")
    assert digest_by_oid(cms.SHA1_OID, b"abc").hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert digest_by_oid("2.16.840.1.101.3.4.2.3", b"").hex().startswith("cf83e1357eefb8bd")
    with pytest.raises(CmsAlgorithmMismatch):
        digest_by_oid("1.2.840.113549.2.5", b"abc")


SIGNED = (1, 0)  # the SignedData; below it 3 certificates, 4 signers (4, 0 the one)


def malformed(good):
    inner = der.read_all(der.read(good)[0].value)[1]
    return {
        "empty": b"",
        "tail": good + b"\0",
        "cut off": good[:-1],
        "dummy": bytes.fromhex("010203"),
        "a certificate": der.write(der.SEQUENCE, der.oid("1.2.3.4"), inner.raw),
        "another content type": edit(good, (0,), der.oid(cms.DATA)),
        "no signer": edit(good, (*SIGNED, 4), der.write(der.SET)),
        "two signers": edit(good, (*SIGNED, 4), lambda signers: der.write(der.SET, signers.value, signers.value)),
        "signer missing": edit(good, (*SIGNED, 4), b""),
        "signer not named": edit(good, (*SIGNED, 4, 0, 1), der.integer(1)),
        "signature a bit string": edit(good, (*SIGNED, 4, 0, 4), der.write(der.BIT_STRING, b"\0")),
        "something behind the signature": edit(good, (*SIGNED, 4, 0), lambda one: one_more(one)),
        "digest with parameters": edit(good, (*SIGNED, 4, 0, 2, 0), der.oid("1.2.3") + der.integer(1)),
        "padded oid": edit(good, (*SIGNED, 4, 0, 3, 0), lambda oid: der.write(der.OID, b"\x80", oid.value)),
        "too many certificates": edit(good, (*SIGNED, 3), lambda some: der.write(0xA0, some.value * 17)),
        "too long": good + bytes(cms.LONGEST_CMS),
    }  # fmt: skip


def one_more(element):
    return der.write(der.SEQUENCE, element.value, der.write(0xA2, b"\x05\x00"))


@pytest.mark.parametrize("name", list(malformed(signed_data(root("ecdsa-p256-sha256").issue(), CONTENT))))
def test_malformed_signed_data_is_refused(name):
    good = signed_data(root("ecdsa-p256-sha256").issue(), CONTENT)
    parse_signed_data(good)
    with pytest.raises(CmsMalformed):
        parse_signed_data(malformed(good)[name])


def test_attribute_twice_is_refused():
    signer = root("ecdsa-p256-sha256").issue()
    good = signed_data(signer, CONTENT, attributes=attributes_for(signer, CONTENT))
    twice = edit(good, (*SIGNED, 4, 0, 3), lambda each: der.write(0xA0, each.value, der.read(each.value)[0].raw))
    with pytest.raises(CmsMalformed):
        parse_signed_data(twice)


def test_no_flipped_bit_of_the_signer_verifies():
    signer = root("ecdsa-p256-sha256").issue()
    good = signed_data(signer, CONTENT, attributes=attributes_for(signer, CONTENT))
    named = signer.certificate.issuer_name + der.integer(int(signer.certificate.serial_hex, 16))
    accepted = []
    for position in range(good.rindex(named) + len(named), len(good)):
        changed = bytearray(good)
        changed[position] ^= 1
        try:
            verify_signed_data(parse_signed_data(bytes(changed)), CONTENT, signer.certificate.spki)
            accepted.append(position)
        except cms.CmsRefused:
            continue
    assert accepted == []


def test_certificate_the_signer_does_not_name_is_not_taken():
    signer, other = root("ecdsa-p256-sha256").issue(), root("ecdsa-p256-sha256", "Other").issue()
    swapped = edit(signed_data(signer, CONTENT), (*SIGNED, 3), der.write(0xA0, other.certificate.der))
    assert signer_certificate(parse_signed_data(swapped)) is None
    garbage = edit(signed_data(signer, CONTENT), (*SIGNED, 3), der.write(0xA0, b"\x30\x00"))
    assert signer_certificate(parse_signed_data(garbage)) is None


# --- against OpenSSL


def openssl_identity(folder, key, *, usage=None):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test signer")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0xA1B2)
        .not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2044, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate


def spki_of(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def openssl(folder, *arguments):
    return subprocess.run([OPENSSL, *arguments], cwd=folder, check=True, capture_output=True).stdout


@needs_openssl
@pytest.mark.parametrize(
    ("make_key", "options", "suite_id"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), ["-md", "sha256"], "ecdsa-p256-sha256"),
        (lambda: ec.generate_private_key(ec.SECP256R1()), ["-md", "sha256", "-keyid"], "ecdsa-p256-sha256"),
        (lambda: ec.generate_private_key(ec.SECP256R1()), ["-md", "sha256", "-nodetach"], "ecdsa-p256-sha256"),
        (lambda: rsa.generate_private_key(65537, 2048), ["-md", "sha256"], "rsa-sha256"),
        (lambda: rsa.generate_private_key(65537, 1024), ["-md", "sha1", "-noattr"], "rsa-sha1"),
    ],
    ids=["p256", "p256 by key id", "p256 enclosed", "rsa-2048", "rsa-1024 as in 2024"],
)
def test_what_openssl_signs_is_read_and_verified(tmp_path, make_key, options, suite_id):
    key = make_key()
    certificate = openssl_identity(tmp_path, key)
    (tmp_path / "content").write_bytes(CONTENT)
    made = openssl(
        tmp_path, "cms", "-sign", "-binary", "-in", "content", "-signer", "cert.pem", "-inkey", "key.pem",
        "-outform", "DER", *options,
    )  # fmt: skip

    parsed = parse_signed_data(made)

    assert signer_certificate(parsed) == certificate.public_bytes(serialization.Encoding.DER)
    assert parsed.content == (CONTENT if "-nodetach" in options else None)
    assert verify_signed_data(parsed, CONTENT, spki_of(key)) == suite_id
    with pytest.raises((CmsContentMismatch, CmsSignatureInvalid)):
        verify_signed_data(parsed, CONTENT.lower(), spki_of(key))


@needs_openssl
def test_time_stamp_token_of_openssl_is_read_and_its_content_stays_the_received_one(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    openssl_identity(tmp_path, key, usage=ExtendedKeyUsageOID.TIME_STAMPING)
    (tmp_path / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_cert=cert.pem\nsigner_key=key.pem\nsigner_digest=sha256\n"
        "default_policy=1.2.3.4.1\ndigests=sha256,sm3\nordering=yes\ntsa_name=no\ness_cert_id_chain=no\n"
    )
    (tmp_path / "serial").write_text("01")
    imprint = sm3(b"root text").hex()
    openssl(tmp_path, "ts", "-query", "-digest", imprint, "-sm3", "-cert", "-out", "query")
    openssl(tmp_path, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-token_out", "-out", "token")

    parsed = parse_signed_data((tmp_path / "token").read_bytes())

    assert parsed.content_type == cms.TST_INFO
    assert bytes.fromhex(imprint) in parsed.content
    assert verify_signed_data(parsed, None, spki_of(key)) == "ecdsa-p256-sha256"
    with pytest.raises(CmsContentMismatch):
        verify_signed_data(
            replace(parsed, content=parsed.content.replace(bytes.fromhex(imprint), bytes(32))), None, spki_of(key)
        )


@needs_openssl
def test_what_we_understand_openssl_understands_too(tmp_path):
    """Our own SignedData of the tests is a real one: OpenSSL verifies it against the same content."""
    signer = root("ecdsa-p256-sha256").issue()
    made = signed_data(signer, CONTENT, attributes=attributes_for(signer, CONTENT))
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "signed").write_bytes(made)
    openssl(
        tmp_path, "cms", "-verify", "-binary", "-inform", "DER", "-in", "signed", "-content", "content", "-noverify"
    )
    (tmp_path / "content").write_bytes(CONTENT + b".")
    with pytest.raises(subprocess.CalledProcessError):
        openssl(
            tmp_path, "cms", "-verify", "-binary", "-inform", "DER", "-in", "signed", "-content", "content", "-noverify"
        )
