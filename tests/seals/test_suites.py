"""Both suites: the standard's example, tampering, malformed signatures and keys, confusion between the suites."""

import ctypes
import subprocess
import sys
import threading
from base64 import encodebytes
from pathlib import Path

import pytest

import seals
from seals import der
from core.digests import sm3_hex
from seals.errors import KeyNotUsable, SuiteUnavailable, UnknownSuite
from seals.suites import SPKI_HEAD, SUITE_IDS, get_suite, libcrypto
from seals.suites.sm2 import Sm2Sm3

MESSAGE = b"message digest"
# GB/T 32918.5, annex A.2
PRIVATE = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
POINT = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
ORDER = {
    "sm2-sm3": 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123,
    "ecdsa-p256-sha256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}
PRIME = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF


@pytest.fixture(params=SUITE_IDS)
def suite(request):
    return get_suite(request.param)


def pair(r: int, s: int) -> bytes:
    return der.write(der.SEQUENCE, der.integer(r), der.integer(s))


def standard_key():
    suite = get_suite("sm2-sm3")
    ec_key = der.write(der.SEQUENCE, der.integer(1), der.write(der.OCTET_STRING, PRIVATE))
    algorithm = der.write(der.SEQUENCE, der.oid("1.2.840.10045.2.1"), der.oid(suite.curve_oid))
    pkcs8 = der.write(der.SEQUENCE, der.integer(0), algorithm, der.write(der.OCTET_STRING, ec_key))
    pem = pem_of("PRIVATE KEY", pkcs8)
    return suite.load_private_key(pem)


def pem_of(label: str, content: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), encodebytes(content), label.encode())


def test_sm3_gives_the_digests_of_the_standard():
    assert sm3_hex(b"abc") == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm3_hex(b"abcd" * 16) == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"


def test_sm3_without_openssl_support_gives_the_same_digest(monkeypatch):
    monkeypatch.setattr("hashlib.new", lambda *_: (_ for _ in ()).throw(ValueError("unsupported hash type")))
    assert sm3_hex(b"abc") == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_sm2_accepts_the_signature_of_the_standard_and_derives_its_public_key():
    suite, key = get_suite("sm2-sm3"), standard_key()

    assert key.spki == SPKI_HEAD["sm2-sm3"] + POINT
    assert suite.verify(suite.public_key_of(key), MESSAGE, pair(R, S))
    assert suite.verify(suite.public_key_of(key), MESSAGE, suite.sign(key, MESSAGE))


def test_a_signature_holds_for_its_text_and_key_only(suite):
    key, other = suite.generate_private_key(), suite.generate_private_key()
    signature = suite.sign(key, MESSAGE)

    assert suite.verify(suite.public_key_of(key), MESSAGE, signature)
    assert not suite.verify(suite.public_key_of(key), MESSAGE + b"\0", signature)
    assert not suite.verify(suite.public_key_of(key), b"", signature)
    assert not suite.verify(suite.public_key_of(other), MESSAGE, signature)
    for position in range(len(signature)):
        changed = bytearray(signature)
        changed[position] ^= 1
        assert not suite.verify(suite.public_key_of(key), MESSAGE, bytes(changed))


def test_empty_long_and_binary_texts_can_be_signed(suite):
    key = suite.generate_private_key()
    for text in (b"", b"\0" * 5, bytes(range(256)) * 4096):
        assert suite.verify(suite.public_key_of(key), text, suite.sign(key, text))


@pytest.mark.parametrize("user_id", [b"ALICE123@YAHOO.COM", b"1234567812345679", b"", b"123456781234567"])
def test_sm2_signature_under_another_user_id_is_refused(user_id):
    suite = get_suite("sm2-sm3")
    key = suite.generate_private_key()

    foreign = Sm2Sm3(user_id).sign(key, MESSAGE)

    assert Sm2Sm3(user_id).verify(suite.public_key_of(key), MESSAGE, foreign)
    assert not suite.verify(suite.public_key_of(key), MESSAGE, foreign)


def malformed(good: bytes, n: int) -> dict[str, bytes]:
    r, s = (int.from_bytes(item.value) for item in der.read_all(der.read(good)[0].value))
    raw = der.signature_to_raw(good)
    body = good[2:]
    padded_r = der.write(der.INTEGER, b"\0\0" + r.to_bytes(32))
    negative = der.write(der.INTEGER, r.to_bytes(32) if r >> 255 else (-r).to_bytes(33, signed=True))
    return {
        "empty": b"",
        "r is 0": pair(0, s),
        "s is 0": pair(r, 0),
        "both 0": pair(0, 0),
        "r is n": pair(n, s),
        "s is n": pair(r, n),
        "r plus n": pair(r + n, s),
        "s plus n": pair(r, s + n),
        "r + s is n": pair(r, n - r),
        "swapped": pair(s, r),
        "negative r": der.write(der.SEQUENCE, negative, der.integer(s)),
        "padded r": der.write(der.SEQUENCE, padded_r, der.integer(s)),
        "long form of length": bytes([0x30, 0x81, len(body)]) + body,
        "indefinite length": b"\x30\x80" + body + b"\0\0",
        "trailing byte": good + b"\0",
        "trailing byte inside": der.write(der.SEQUENCE, body, b"\0"),
        "third integer": der.write(der.SEQUENCE, body, der.integer(1)),
        "raw r and s": raw,
        "wrong tag": b"\x31" + good[1:],
        "octet string": der.write(der.OCTET_STRING, body),
        "truncated": good[:-1],
        "only r": der.write(der.SEQUENCE, der.integer(r)),
        "ones": pair(1, 1),
        "base64 text": b"MEUCIQ==",
    }


MALFORMED_NAMES = list(malformed(pair(R, S), ORDER["sm2-sm3"]))


@pytest.mark.parametrize("name", MALFORMED_NAMES)
def test_malformed_signature_is_refused(suite, name):
    key = suite.generate_private_key()

    signature = malformed(suite.sign(key, MESSAGE), ORDER[suite.id])[name]

    assert suite.verify(suite.public_key_of(key), MESSAGE, signature) is False


def test_sm2_refuses_the_mirrored_s():
    suite, n = get_suite("sm2-sm3"), ORDER["sm2-sm3"]
    assert not suite.verify(suite.public_key_of(standard_key()), MESSAGE, pair(R, n - S))


def test_verification_leaves_no_error_behind_for_pythons_ssl():
    suite = get_suite("sm2-sm3")
    peek = libcrypto.load().ERR_peek_error
    peek.restype = ctypes.c_ulong

    assert not suite.verify(suite.public_key_of(standard_key()), MESSAGE, b"junk")
    with pytest.raises(KeyNotUsable):
        suite.load_private_key(b"junk")

    assert peek() == 0


def compressed(spki: bytes) -> bytes:
    return spki[:1] + b"\x39" + spki[2:24] + b"\x22\0" + bytes([2 + spki[-1] % 2]) + spki[27:59]


@pytest.mark.parametrize(
    "point",
    {
        "off the curve": POINT[:-1] + b"\x14",
        "zero": bytes(64),
        "x not below the prime": PRIME.to_bytes(32) + POINT[32:],
        "short": POINT[:-1],
        "long": POINT + b"\0",
    }.items(),
    ids=lambda item: item[0],
)
def test_sm2_public_key_that_is_no_point_is_refused(point):
    with pytest.raises(KeyNotUsable):
        get_suite("sm2-sm3").load_public_key(SPKI_HEAD["sm2-sm3"] + point[1])


def test_point_of_p256_that_is_none_is_refused():
    with pytest.raises(KeyNotUsable):
        get_suite("ecdsa-p256-sha256").load_public_key(SPKI_HEAD["ecdsa-p256-sha256"] + POINT)


def test_compressed_point_is_refused(suite):
    spki = suite.generate_private_key().spki
    with pytest.raises(KeyNotUsable):
        suite.load_public_key(compressed(spki))


@pytest.mark.parametrize(("mine", "foreign"), [SUITE_IDS, SUITE_IDS[::-1]])
def test_key_of_the_other_curve_is_refused_at_every_door(mine, foreign):
    mine, foreign = get_suite(mine), get_suite(foreign)
    foreign_key = foreign.generate_private_key()
    foreign_public = foreign.public_key_of(foreign_key)
    signature = foreign.sign(foreign_key, MESSAGE)

    with pytest.raises(KeyNotUsable):
        mine.load_private_key(foreign.private_key_pem(foreign_key))
    with pytest.raises(KeyNotUsable):
        mine.load_public_key(foreign_key.spki)
    with pytest.raises(KeyNotUsable):
        mine.sign(foreign_key, MESSAGE)
    with pytest.raises(KeyNotUsable):
        mine.verify(foreign_public, MESSAGE, signature)


def test_point_of_one_curve_labelled_as_the_other_is_refused():
    p256, sm2 = get_suite("ecdsa-p256-sha256"), get_suite("sm2-sm3")
    point = p256.generate_private_key().spki[27:]
    with pytest.raises(KeyNotUsable):
        sm2.load_public_key(SPKI_HEAD["sm2-sm3"] + point)


def test_private_key_survives_its_file_and_its_password(suite):
    key = suite.generate_private_key()
    plain, locked = suite.private_key_pem(key), suite.private_key_pem(key, b"pin 4711")

    assert suite.load_private_key(plain).spki == key.spki
    assert suite.load_private_key(locked, b"pin 4711").spki == key.spki
    assert b"ENCRYPTED" in locked
    for wrong in (None, b"", b"pin 4712"):
        with pytest.raises(KeyNotUsable):
            suite.load_private_key(locked, wrong)


@pytest.mark.parametrize("pem", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_unreadable_private_key_is_refused(suite, pem):
    with pytest.raises(KeyNotUsable):
        suite.load_private_key(pem)


def test_public_keys_are_read_once(suite):
    spki = suite.generate_private_key().spki
    assert suite.load_public_key(spki) is suite.load_public_key(bytearray(spki))
    assert get_suite(suite.id) is suite


def test_threads_may_share_a_key(suite):
    key, results = suite.generate_private_key(), []
    public = suite.public_key_of(key)

    def work():
        results.extend(suite.verify(public, MESSAGE, suite.sign(key, MESSAGE)) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [True] * 200


@pytest.mark.parametrize("name", ["", "SM2-SM3", "rsa-sha1", "none", "sm2-sm3 "])
def test_unknown_suite_is_an_error_and_never_a_default(name):
    with pytest.raises(UnknownSuite) as refusal:
        get_suite(name)
    assert refusal.value.code == "unknown_suite"


def test_library_without_sm2_is_refused_clearly(monkeypatch):
    monkeypatch.setattr(libcrypto, "_candidates", lambda: iter([("a made-up library", "libnothing.so.0")]))
    with pytest.raises(SuiteUnavailable, match="libnothing"):
        Sm2Sm3()


def test_library_that_fails_the_example_is_refused(monkeypatch):
    monkeypatch.setattr("seals.suites.sm2._R_AND_S", "11" * 64)
    with pytest.raises(SuiteUnavailable, match=r"GB/T 32918\.5"):
        Sm2Sm3()


def test_suites_need_no_django():
    program = (
        "import sys, seals.suites, seals.httpsig, seals.pki, seals.certificates;"
        "seals.suites.get_suite('sm2-sm3'); sys.exit('django' in sys.modules)"
    )
    root = Path(seals.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
