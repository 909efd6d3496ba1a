"""The marks of 2024: RSA-1024 with SHA-1, base64 without padding, a PKCS#7 over text, time and seal."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from seals import cms, der
from seals.certificates import parse_certificate
from seals.eseal.legacy import (
    decode_mark,
    is_legacy_stamp,
    parse_legacy_stamp,
    verify_legacy_signature,
    verify_legacy_stamp,
)
from seals.eseal.structures import SealMalformed
from seals.stamps import Trust, report_on
from seals.verdicts import Indication, SubIndication
from tests.seals.eseal_world import CONTENT, edit, png, root, world
from tests.seals.test_cms import signed_data

AT = datetime(2024, 6, 15, 2, tzinfo=UTC)
LONG_AFTER = datetime(2026, 11, 24, tzinfo=UTC)
WEAK_UNTIL = datetime(2025, 1, 1, tzinfo=UTC)
TIME = b"2024-06-15 09:59:58"
GIF = bytes.fromhex("47494638396108000800800000000000ffffff2c000000000800080000020284510 03b".replace(" ", ""))


class Holder:
    """An RSA key of the old size under a root of the old size, certificates with SHA-1."""

    def __init__(self, name="Test holder", *, bits=1024, digest=None, above=None, serial=0x1234):
        self.native = rsa.generate_private_key(65537, bits)
        self.digest = digest or hashes.SHA1()
        self.above, self.subject = above or self, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._certificate(serial, root=above is None)
        self.certificate = parse_certificate(self.pem)

    def _certificate(self, serial, *, root):
        # Built by hand, because the library no longer signs certificates with SHA-1.
        oid = "1.2.840.113549.1.1.5" if isinstance(self.digest, hashes.SHA1) else "1.2.840.113549.1.1.11"
        algorithm = der.write(der.SEQUENCE, der.oid(oid), der.write(der.NULL))
        usage = bytes([1, 0x06]) if root else bytes([6, 0xC0])
        tbs = der.write(
            der.SEQUENCE,
            der.write(0xA0, der.integer(2)),
            der.integer(serial),
            algorithm,
            self.above.subject.public_bytes(),
            der.write(
                der.SEQUENCE, der.time(datetime(2020, 1, 1, tzinfo=UTC)), der.time(datetime(2030, 1, 1, tzinfo=UTC))
            ),
            self.subject.public_bytes(),
            self.native.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            der.write(
                0xA3,
                der.write(
                    der.SEQUENCE,
                    der.extension(
                        "2.5.29.19",
                        der.write(der.SEQUENCE, der.write(der.BOOLEAN, b"\xff") if root else b""),
                        critical=True,
                    ),
                    der.extension("2.5.29.15", der.write(der.BIT_STRING, usage), critical=True),
                ),
            ),
        )
        signature = self.above.native.sign(tbs, padding.PKCS1v15(), self.digest)
        return der.write(der.SEQUENCE, tbs, algorithm, der.write(der.BIT_STRING, b"\0", signature))

    def pkcs7(self, text, *, certificate=True, content=None):
        """Detached, without signed attributes, the key's own OID as signature algorithm: as the real ones."""
        digest = cms.SHA1_OID if isinstance(self.digest, hashes.SHA1) else cms.SHA256_OID
        algorithm = der.write(der.SEQUENCE, der.oid(digest), der.write(der.NULL))
        signature = self.native.sign(text, padding.PKCS1v15(), self.digest)
        named = der.write(der.SEQUENCE, self.certificate.issuer_name, der.integer(int(self.certificate.serial_hex, 16)))
        signer = der.write(
            der.SEQUENCE,
            der.integer(1),
            named,
            algorithm,
            der.write(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"), der.write(der.NULL)),
            der.write(der.OCTET_STRING, signature),
        )
        enclosed = b"" if content is None else der.write(0xA0, der.write(der.OCTET_STRING, content))
        return der.write(
            der.SEQUENCE,
            der.oid(cms.SIGNED_DATA),
            der.write(
                0xA0,
                der.write(
                    der.SEQUENCE,
                    der.integer(1),
                    der.write(der.SET, algorithm),
                    der.write(der.SEQUENCE, der.oid(cms.DATA), enclosed),
                    der.write(0xA0, self.certificate.der) if certificate else b"",
                    der.write(der.SET, signer),
                ),
            ),
        )


@cache
def people():
    authority = Holder("Test old root", serial=1)
    return authority, Holder("Test holder", above=authority), Holder("Test maker", above=authority, serial=2)


def octets(data):
    return der.write(der.OCTET_STRING, data)


def old_seal(*, picture=GIF, name="临江市财政局"):
    _, _, maker = people()
    body = [
        der.integer(2),
        octets(b"0123456789abcdef0123456789abcdef"),
        octets(name.encode("gbk")),
        octets(b"7103"),
        der.integer(1),
        der.write(der.SEQUENCE, der.integer(2), der.integer(0), der.integer(0), octets(picture)),
        octets(maker.certificate.der),
        octets(b"CN=Test O=CTJ RG=990100 MD=000 ORG=null"),
        octets(b"2024-01-01 00:00:00"),
        octets(b"2024-01-01 00:00:00"),
        octets(b"2029-01-01 00:00:00"),
        octets(maker.pkcs7(b"nobody knows what")),
    ]
    return der.write(der.SEQUENCE, *body)


def old_stamp(*, content=CONTENT, time=TIME, seal=None, signed=None, holder=None, certificate=None):
    _, own, _ = people()
    holder = holder or own
    seal = seal or old_seal()
    signed = content + time + seal if signed is None else signed
    return der.write(
        der.SEQUENCE,
        der.integer(2),
        octets(seal),
        octets(time),
        octets(certificate or holder.certificate.der),
        octets(holder.pkcs7(signed)),
    )


def text_of(data, *, padded=False):
    text = base64.b64encode(data).decode()
    return text if padded else text.rstrip("=")


def judge_signature(data, **changes):
    authority, _, _ = people()
    arguments = {"content": CONTENT, "authorities": [authority.certificate], "at": AT, "weak_until": WEAK_UNTIL}
    text = data if isinstance(data, str) else text_of(data)
    return verify_legacy_signature(text, **{**arguments, **changes})


def judge_stamp(data, **changes):
    authority, _, _ = people()
    arguments = {"content": CONTENT, "authorities": [authority.certificate], "at": AT, "weak_until": WEAK_UNTIL}
    text = data if isinstance(data, str) else text_of(data)
    return verify_legacy_stamp(text, **{**arguments, **changes})


def codes(report):
    return [finding.code for finding in report.findings]


# --- Signature


def test_signature_of_2024_passes_within_the_period_agreed_and_says_that_it_is_weak():
    _, holder, _ = people()
    report = judge_signature(holder.pkcs7(CONTENT))

    assert report.verdict.ok and report.signer == holder.certificate
    assert (
        {"weak_algorithm"} <= {each.code for each in report.verdict.deviations} <= {"weak_algorithm", "base64_unpadded"}
    )
    assert report.verdict.facts["suite"] == "rsa-sha1"


@pytest.mark.parametrize(
    "changes", [{"at": WEAK_UNTIL}, {"at": LONG_AFTER}, {"weak_until": None}], ids=["that day", "today", "not agreed"]
)
def test_signature_of_2024_without_proof_of_its_age_is_open_not_invalid(changes):
    _, holder, _ = people()
    report = judge_signature(holder.pkcs7(CONTENT), **changes)
    assert report.verdict.indication is Indication.INDETERMINATE
    assert report.verdict.sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE


def test_signature_covers_the_base64_text_and_not_what_it_encodes():
    _, holder, _ = people()
    report = judge_signature(holder.pkcs7(base64.b64decode(CONTENT)))
    assert report.verdict.sub_indication is SubIndication.SIG_CRYPTO_FAILURE


def test_other_content_fails():
    _, holder, _ = people()
    report = judge_signature(holder.pkcs7(CONTENT), content=CONTENT.swapcase())
    assert report.verdict.sub_indication is SubIndication.SIG_CRYPTO_FAILURE


def test_certificate_of_the_register_goes_before_the_enclosed_one():
    _, holder, maker = people()
    alone = holder.pkcs7(CONTENT, certificate=False)

    assert judge_signature(alone).verdict.code == "certificate_missing"
    assert judge_signature(alone, certificate=holder.certificate).verdict.ok
    other = judge_signature(holder.pkcs7(CONTENT), certificate=maker.certificate)
    assert not other.verdict.ok
    assert {"certificate_of_other_party", "signature_invalid"} <= set(codes(other))


def test_unknown_root_is_open():
    _, holder, _ = people()
    report = judge_signature(holder.pkcs7(CONTENT), authorities=[])
    assert report.verdict.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND


def test_signature_that_brings_its_own_content_is_refused():
    _, holder, _ = people()
    report = judge_signature(holder.pkcs7(CONTENT, content=CONTENT))
    assert report.verdict.sub_indication is SubIndication.FORMAT_FAILURE


def test_current_suites_need_no_period():
    signer_root = root("sm2-sm3")
    signer = signer_root.issue()
    at = datetime(2026, 6, 15, tzinfo=UTC)
    report = judge_signature(
        signed_data(signer, CONTENT), authorities=[signer_root.certificate], at=at, weak_until=None
    )
    assert report.verdict.ok and report.verdict.facts["suite"] == "sm2-sm3"


@pytest.mark.parametrize(
    "text",
    ["", "====", "A", "签名", "MIIB MIIB", "MIIB\nMIIB", "MIIB-_", "AB", "ABC", "QUI===", "QQ=", "(base64 PKCS#7)"],
)
def test_text_that_is_not_the_one_base64_spelling_is_a_format_failure(text):
    assert judge_signature(text).verdict.sub_indication is SubIndication.FORMAT_FAILURE
    assert judge_stamp(text).verdict.sub_indication is SubIndication.FORMAT_FAILURE


def test_padding_may_be_left_out_or_not_and_its_absence_is_reported():
    assert decode_mark("QUI")[0] == b"AB" and [each.code for each in decode_mark("QUI")[1]] == ["base64_unpadded"]
    assert decode_mark("QUI=") == (b"AB", ())
    assert decode_mark("QUJD") == (b"ABC", ())
    with pytest.raises(SealMalformed):
        decode_mark("QUJ=")  # stray bits: the one spelling is QUI=


# --- SignStamp


def test_old_stamp_is_read_in_all_its_parts():
    stamp = parse_legacy_stamp(old_stamp())

    assert stamp.seal.seal_id == "0123456789abcdef0123456789abcdef"
    assert (stamp.seal.name, stamp.seal.kind) == ("临江市财政局", "7103")
    assert stamp.seal.holder == "CN=Test O=CTJ RG=990100 MD=000 ORG=null"
    assert stamp.seal.times == ("2024-01-01 00:00:00", "2024-01-01 00:00:00", "2029-01-01 00:00:00")
    assert stamp.seal.picture == GIF
    assert stamp.signed_at == datetime(2024, 6, 15, 9, 59, 58, tzinfo=timezone(timedelta(hours=8)))


def test_old_stamp_proves_its_content_while_the_seal_itself_stays_open():
    report = judge_stamp(old_stamp())

    assert report.signature.ok
    assert report.verdict.indication is Indication.INDETERMINATE
    assert report.verdict.sub_indication is SubIndication.SIGNATURE_POLICY_NOT_AVAILABLE
    assert codes(report) == ["seal_maker_uncheckable"]
    assert report.signature.facts["name"] == "临江市财政局"


def test_old_stamp_is_told_from_a_new_one_where_stamps_are_judged_and_never_passes():
    """The inbox and the voucher's page ask `report_on`; no SHA-1 counts there, nor what is unreadable."""
    authority, _, _ = people()
    trust = Trust((authority.certificate,), frozenset(), None)
    strong_root = Holder("Root", bits=2048, digest=hashes.SHA256())
    strong = Holder(bits=2048, digest=hashes.SHA256(), above=strong_root)
    strong_trust = Trust((strong_root.certificate,), frozenset(), None)

    weak = report_on(old_stamp(), CONTENT, None, trust, at=AT).verdict
    open_ = report_on(old_stamp(holder=strong), CONTENT, None, strong_trust, at=AT).verdict
    other = report_on(old_stamp(holder=strong), CONTENT + b"A", None, strong_trust, at=AT).verdict
    torn = report_on(old_stamp()[:-1], CONTENT, None, trust, at=AT).verdict

    assert (weak.indication, weak.code) == (Indication.INDETERMINATE, "algorithm_retired")
    assert (open_.indication, open_.code) == (Indication.INDETERMINATE, "seal_maker_uncheckable")
    assert other.sub_indication is SubIndication.SIG_CRYPTO_FAILURE
    assert torn.sub_indication is SubIndication.FORMAT_FAILURE


@pytest.mark.parametrize(
    "signed",
    [CONTENT, CONTENT + TIME, TIME + old_seal() + CONTENT, CONTENT + old_seal() + TIME, old_seal()],
    ids=["text alone", "without seal", "text last", "seal before time", "seal alone"],
)
def test_what_is_signed_is_text_then_time_then_seal(signed):
    report = judge_stamp(old_stamp(signed=signed))
    assert report.signature.sub_indication is SubIndication.SIG_CRYPTO_FAILURE
    assert report.verdict.indication is Indication.TOTAL_FAILED


def test_nothing_old_can_be_exchanged_after_signing():
    good = old_stamp()
    exchanged = {
        "time": edit(good, (2,), octets(b"2024-06-15 09:59:57")),
        "seal": edit(good, (1,), octets(old_seal(name="临江市人民政府"))),
        "signature": edit(good, (4,), octets(people()[1].pkcs7(b"x"))),
    }
    for what, stamp in exchanged.items():
        assert judge_stamp(stamp).signature.sub_indication is SubIndication.SIG_CRYPTO_FAILURE, what


def test_old_stamp_of_another_certificate_is_refused():
    _, _, maker = people()
    report = judge_stamp(edit(old_stamp(), (3,), octets(maker.certificate.der)))
    assert not report.signature.ok
    assert {"certificate_of_other_party", "signature_invalid"} <= set(codes(report))


def test_old_stamp_dated_ahead_is_open():
    report = judge_stamp(old_stamp(time=b"2024-06-16 10:00:00"))
    assert report.signature.sub_indication is SubIndication.TIMESTAMP_ORDER_FAILURE


def test_old_stamp_dated_back_into_the_period_agreed_is_open():
    """What counts is when it is proven to have existed, not what it says."""
    report = judge_stamp(old_stamp(), at=LONG_AFTER)
    assert report.signature.sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE


def test_old_stamp_with_a_picture_that_could_harm_is_a_format_failure():
    for picture in (b"<svg/>", b"", png(65535, 65535)):
        report = judge_stamp(old_stamp(seal=old_seal(picture=picture)))
        assert report.signature.ok and report.verdict.sub_indication is SubIndication.FORMAT_FAILURE


def test_layouts_are_told_apart_and_not_read_as_each_other():
    w = world()
    assert is_legacy_stamp(old_stamp()) and not is_legacy_stamp(w.stamp())
    assert not is_legacy_stamp(b"") and not is_legacy_stamp(b"<SignStamp/>")
    assert judge_stamp(w.stamp()).verdict.sub_indication is SubIndication.FORMAT_FAILURE
    assert w.judge(old_stamp()).verdict.sub_indication is SubIndication.FORMAT_FAILURE


def malformed():
    good = old_stamp()
    return {
        "tail": good + b"\0",
        "cut off": good[:-1],
        "another version": edit(good, (0,), der.integer(3)),
        "a field more": edit(good, (), lambda whole: der.write(der.SEQUENCE, whole.value, der.integer(1))),
        "a field less": edit(good, (3,), b""),
        "time of another form": edit(good, (2,), octets(b"20240615095958")),
        "time of one digit": edit(good, (2,), octets(b"2024-6-15 09:59:58")),
        "no pkcs7": edit(good, (4,), octets(b"\x01\x02\x03")),
        "no seal": edit(good, (1,), octets(b"")),
        "seal of another version": edit(good, (1,), octets(edit(old_seal(), (0,), der.integer(1)))),
        "seal name not in GBK": edit(good, (1,), octets(edit(old_seal(), (2,), octets(b"\xff\xff")))),
        "seal too long": edit(good, (1,), octets(old_seal(picture=bytes(800_000)))),
    }


@pytest.mark.parametrize("name", list(malformed()))
def test_malformed_old_stamp_is_a_format_failure(name):
    with pytest.raises(SealMalformed):
        parse_legacy_stamp(malformed()[name])
    assert judge_stamp(malformed()[name]).verdict.sub_indication is SubIndication.FORMAT_FAILURE


def test_no_flipped_byte_of_an_old_stamp_proves_the_content():
    good = old_stamp()
    assert judge_stamp(good).signature.ok
    seal_end = good.index(TIME) + len(TIME)
    for position in range(0, seal_end, 3):  # what is signed; behind it come certificate and signature
        changed = bytearray(good)
        changed[position] ^= 1
        assert not judge_stamp(bytes(changed)).signature.ok, position
