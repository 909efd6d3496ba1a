"""Every suite: the standard's examples, tampering, malformed signatures and keys, confusion between the suites."""

import ctypes
import subprocess
import sys
import threading
from base64 import encodebytes
from itertools import permutations
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import seals
from core.digests import sm3_hex
from seals import der
from seals.errors import KeyNotUsable, SuiteUnavailable, SuiteVerifyOnly, UnknownSuite
from seals.suites import EC_SUITE_IDS, SIGNING_SUITE_IDS, SPKI_HEAD, SUITE_IDS, get_suite, libcrypto
from seals.suites.rsa import rsa_bits
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


@pytest.fixture(params=SIGNING_SUITE_IDS)
def suite(request):
    return get_suite(request.param)


@pytest.fixture(params=EC_SUITE_IDS)
def ec_suite(request):
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
    for position in range(0, len(signature), 1 + len(signature) // 128):
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
def test_malformed_signature_is_refused(ec_suite, name):
    key = ec_suite.generate_private_key()

    signature = malformed(ec_suite.sign(key, MESSAGE), ORDER[ec_suite.id])[name]

    assert ec_suite.verify(ec_suite.public_key_of(key), MESSAGE, signature) is False


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


def test_compressed_point_is_refused(ec_suite):
    spki = ec_suite.generate_private_key().spki
    with pytest.raises(KeyNotUsable):
        ec_suite.load_public_key(compressed(spki))


@pytest.mark.parametrize(("mine", "foreign"), list(permutations(SIGNING_SUITE_IDS, 2)))
def test_key_of_another_suite_is_refused_at_every_door(mine, foreign):
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


@pytest.mark.parametrize("name", ["", "SM2-SM3", "rsa-md5", "none", "sm2-sm3 "])
def test_unknown_suite_is_an_error_and_never_a_default(name):
    with pytest.raises(UnknownSuite) as refusal:
        get_suite(name)
    assert refusal.value.code == "unknown_suite"


def rsa_key(bits, exponent=65537):
    return rsa.generate_private_key(exponent, bits)


def spki_of(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def rsa_spki(modulus, exponent, algorithm=None):
    algorithm = algorithm or der.write(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"), der.write(der.NULL))
    numbers = der.write(der.SEQUENCE, der.integer(modulus), der.integer(exponent))
    return der.write(der.SEQUENCE, algorithm, der.write(der.BIT_STRING, b"\0", numbers))


@pytest.fixture(scope="module")
def old_key():
    """What a partner of 2024 signs with."""
    return rsa_key(1024)


def test_suites_say_what_they_may_still_do():
    status = {suite_id: get_suite(suite_id).status for suite_id in SUITE_IDS}

    assert status == {
        "sm2-sm3": "current",
        "ecdsa-p256-sha256": "current",
        "rsa-sha256": "current",
        "rsa-sha1": "verify-only",
    }
    assert SIGNING_SUITE_IDS == ("sm2-sm3", "ecdsa-p256-sha256", "rsa-sha256")
    assert EC_SUITE_IDS == ("sm2-sm3", "ecdsa-p256-sha256")
    assert [get_suite(suite_id).longest_signature for suite_id in SUITE_IDS] == [72, 72, 1024, 1024]


def test_rsa_sha1_verifies_an_old_signature_and_its_text_only(old_key):
    suite = get_suite("rsa-sha1")
    public = suite.load_public_key(spki_of(old_key))
    signature = old_key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1())

    assert suite.verify(public, MESSAGE, signature)
    assert not suite.verify(public, MESSAGE + b".", signature)
    assert not suite.verify(public, MESSAGE, old_key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()))
    assert suite.digest(b"abc").hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"


def test_rsa_sha1_never_signs():
    suite, other = get_suite("rsa-sha1"), get_suite("rsa-sha256")
    key = other.generate_private_key()

    for refused in (
        lambda: suite.sign(key, MESSAGE),
        lambda: suite.load_private_key(other.private_key_pem(key)),
        suite.generate_private_key,
    ):
        with pytest.raises(SuiteVerifyOnly) as refusal:
            refused()
        assert refusal.value.code == "suite_verify_only"


@pytest.mark.parametrize(
    ("suite_id", "bits", "accepted"),
    [
        ("rsa-sha256", 1024, False),
        ("rsa-sha256", 2047, False),
        ("rsa-sha256", 2048, True),
        ("rsa-sha256", 8192, True),
        ("rsa-sha256", 8193, False),
        ("rsa-sha1", 1023, False),
        ("rsa-sha1", 1024, True),
        ("rsa-sha1", 2048, True),
        ("rsa-sha1", 8193, False),
    ],
)
def test_rsa_modulus_has_its_limits(suite_id, bits, accepted):
    spki, suite = rsa_spki((1 << bits) - 1, 65537), get_suite(suite_id)
    if accepted:
        assert suite.load_public_key(spki).suite_id == suite_id
        return
    with pytest.raises(KeyNotUsable):
        suite.load_public_key(spki)


@pytest.mark.parametrize("exponent", [0, 1, 2, 4, 65536, (1 << 32) + 1, (1 << 64) + 1, (1 << 2047) + 1])
def test_rsa_exponent_outside_the_limits_is_refused(exponent):
    spki = rsa_spki((1 << 2048) - 1, exponent)
    for read in (
        get_suite("rsa-sha256").load_public_key,
        rsa_bits,
    ):  # the library has limits of its own; ours come first
        with pytest.raises(KeyNotUsable):
            read(spki)


@pytest.mark.parametrize("exponent", [3, 17, 65537, (1 << 32) - 1])
def test_rsa_exponent_inside_the_limits_is_accepted(exponent):
    assert get_suite("rsa-sha256").load_public_key(rsa_spki((1 << 2048) - 1, exponent)).spki


@pytest.mark.parametrize(
    "change",
    {
        "even modulus": lambda n: rsa_spki(n - 1, 65537),
        "negative modulus": lambda n: rsa_spki(n, 65537).replace(b"\x02\x82\x01\x01\0", b"\x02\x82\x01\x00"),
        "pss key": lambda n: rsa_spki(n, 65537, der.write(der.SEQUENCE, der.oid("1.2.840.113549.1.1.10"))),
        "no parameters": lambda n: rsa_spki(n, 65537, der.write(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"))),
        "trailing byte": lambda n: rsa_spki(n, 65537) + b"\0",
        "padded exponent": lambda n: rsa_spki(n, 65537).replace(b"\x02\x03\x01\0\x01", b"\x02\x04\0\x01\0\x01"),
        "empty": lambda n: b"",
    }.items(),
    ids=lambda item: item[0],
)
def test_rsa_key_in_another_spelling_is_refused(change):
    spki = change[1]((1 << 2048) - 1)
    for read in (get_suite("rsa-sha256").load_public_key, rsa_bits):
        with pytest.raises(KeyNotUsable):
            read(spki)


def test_rsa_signature_has_one_form():
    suite = get_suite("rsa-sha256")
    key = suite.generate_private_key()
    public, good = suite.public_key_of(key), suite.sign(key, MESSAGE)
    modulus = key.native.public_key().public_numbers().n
    number = int.from_bytes(good)
    forged = {
        "empty": b"",
        "zero": bytes(len(good)),
        "one": (1).to_bytes(len(good)),
        "short": good[:-1],
        "long": good + b"\0",
        "leading zero": b"\0" + good,
        "plus the modulus": (number + modulus).to_bytes(len(good) + 1),
        "modulus": modulus.to_bytes(len(good)),
        "negated": (modulus - number).to_bytes(len(good)),
        "sha1 inside": key.native.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1()),
        "pss": key.native.sign(MESSAGE, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
        "der around it": der.write(der.OCTET_STRING, good),
    }

    assert len(good) == 384
    assert suite.verify(public, MESSAGE, good)
    assert {name for name, value in forged.items() if suite.verify(public, MESSAGE, value)} == set()


def test_forged_padding_of_a_small_exponent_is_refused():
    """Bleichenbacher's forgery: a cube root whose cube begins like a padded digest, with rubbish behind it."""
    key = rsa_key(2048, exponent=3)
    suite = get_suite("rsa-sha256")
    public = suite.load_public_key(spki_of(key))
    info = bytes.fromhex("3031300d060960864801650304020105000420") + suite.digest(MESSAGE)
    begin = b"\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\0" + info
    target = int.from_bytes(begin + b"\xff" * (256 - len(begin)))
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= target else (low, middle - 1)

    assert (low**3).to_bytes(256).startswith(begin)
    assert not suite.verify(public, MESSAGE, low.to_bytes(256))
    assert suite.verify(public, MESSAGE, key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()))


def test_key_of_one_rsa_suite_is_not_taken_by_the_other():
    sha256, sha1 = get_suite("rsa-sha256"), get_suite("rsa-sha1")
    key = sha256.generate_private_key()
    public = sha1.load_public_key(key.spki)
    with pytest.raises(KeyNotUsable):
        sha256.verify(public, MESSAGE, sha256.sign(key, MESSAGE))
    assert not sha1.verify(public, MESSAGE, sha256.sign(key, MESSAGE))


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
