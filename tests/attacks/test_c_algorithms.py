"""Family C: another algorithm than agreed, a key that only looks like one, a signature value in another form.

Each case starts from a key, signature or certificate that is accepted (first test below) and changes one thing. What
is forged is signed again wherever the attacker could: with a key of its own, never with one it would not have.
"""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from seals import der, httpsig
from seals.certificates import parse_certificate, validate_chain
from seals.models import SignatureProfile
from seals.pki import OrganisationSpec, make_demo_pki, parse_csr
from seals.revocation import RevocationStatus, crl_status, parse_crl
from seals.services import import_demo_pki
from seals.suites import SPKI_HEAD, get_suite
from seals.verifying import TextToVerify, Verdict, verify_texts
from tests.attacks.refusals import Forgery, code_of
from tests.authorities import END, NOON, START, Authority, OldRsaKey, algorithm

MESSAGE = b"PD94bWwg" * 40
TODAY = date(2026, 11, 23)
DAY = timedelta(days=1)
SM2, P256, RSA = "sm2-sm3", "ecdsa-p256-sha256", "rsa-sha256"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
VECTORS = Path(__file__).parents[1] / "seals" / "vectors" / "sm2_sm3_verify.json"


class Scene:
    """A key of each suite, and the honest signature of one text by it."""

    def __init__(self, keys: Path) -> None:
        self.keys = keys
        self.suites = {suite_id: get_suite(suite_id) for suite_id in (SM2, P256, RSA, "rsa-sha1")}

    @cached_property
    def key(self) -> dict[str, Any]:
        return {suite_id: get_suite(suite_id).generate_private_key() for suite_id in (SM2, P256, RSA)}

    @cached_property
    def old(self) -> OldRsaKey:
        return OldRsaKey(1024)

    @cached_property
    def signature(self) -> dict[str, bytes]:
        return {suite_id: self.suites[suite_id].sign(key, MESSAGE) for suite_id, key in self.key.items()}

    @cached_property
    def root(self) -> Authority:
        return Authority(SM2)

    @cached_property
    def rsa_root(self) -> Authority:
        return Authority(RSA, "RSA root")

    def verify(self, suite_id: str, signature: bytes, text: bytes = MESSAGE) -> bool:
        suite = self.suites[suite_id]
        return suite.verify(suite.public_key_of(self.key[suite_id]), text, signature)

    def load(self, suite_id: str, spki: bytes) -> Any:
        return self.suites[suite_id].load_public_key(spki)

    def pair(self, suite_id: str) -> tuple[int, int]:
        raw = der.signature_to_raw(self.signature[suite_id])
        return int.from_bytes(raw[:32]), int.from_bytes(raw[32:])

    # The register

    def party(self, organisation: str) -> tuple[Any, Any]:
        """An organisation's certificate and private key, as its own machine holds them."""
        certificate = parse_certificate((self.keys / organisation / "cert.pem").read_bytes())
        suite = get_suite(certificate.suite_id)
        return certificate, suite.load_private_key((self.keys / organisation / "key.pem").read_bytes())

    def honest_base64(self, organisation: str) -> str:
        certificate, key = self.party(organisation)
        return base64.b64encode(get_suite(certificate.suite_id).sign(key, MESSAGE)).decode()

    def judge(self, organisation: str, signature_b64: str, *, serial: str = "", on: date = TODAY) -> Verdict:
        certificate, _key = self.party(organisation)
        item = TextToVerify(organisation, MESSAGE, signature_b64, serial or certificate.serial_hex)
        return verify_texts([item], at=NOON, on=on)[0]

    # HTTP messages

    def request(self, change: Callable[[dict[str, str]], dict[str, str]] = dict, suite_id: str = SM2) -> Any:
        """A signed request of a partner that signs with `suite_id`, with changed headers, at our door."""
        suite, key = self.suites[suite_id], self.key[suite_id]
        headers = httpsig.sign_request(
            "POST", "/api/v1/vouchers/", "", b"<MOF/>", "application/xml",
            key_id="BANK-A:0a", suite=suite, sign=lambda data: suite.sign(key, data),
            created=NOON, nonce="0192f3a4c5d67e8f",
        )  # fmt: skip
        return httpsig.verify_request(
            "POST", "/api/v1/vouchers/", "", b"<MOF/>", change(headers),
            public_key=suite.public_key_of(key), suite=suite, now=NOON,
        )  # fmt: skip


@cache
def vector(comment: str) -> tuple[bytes, bytes, bytes]:
    """Public key, text and signature of an invalid case of our SM2 vectors."""
    for group in json.loads(VECTORS.read_text())["testGroups"]:
        for case in group["tests"]:
            if case["comment"] == comment:
                assert case["result"] == "invalid"
                return bytes.fromhex(group["keyDer"]), bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
    raise LookupError(comment)


def sm2_vector(comment: str) -> Callable[[Scene], bool]:
    def run(scene: Scene) -> bool:
        spki, text, signature = vector(comment)
        return scene.suites[SM2].verify(scene.load(SM2, spki), text, signature)

    return run


def spki_of(key: Any, encoding: Any = serialization.Encoding.DER) -> bytes:
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def rsa_spki(modulus: int, exponent: int, oid: str = "1.2.840.113549.1.1.1") -> bytes:
    numbers = der.write(der.SEQUENCE, der.integer(modulus), der.integer(exponent))
    return der.write(der.SEQUENCE, algorithm(oid, null=True), der.write(der.BIT_STRING, b"\0", numbers))


def explicit_p256(spki: bytes) -> bytes:
    """The curve of P-256 written out, as a key that could name a generator of its own would be."""
    p = (1 << 256) - (1 << 224) + (1 << 192) + (1 << 96) - 1
    b = bytes.fromhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b")
    point = spki[-65:]  # a generator of the attacker's choice: its own key
    parameters = der.write(
        der.SEQUENCE,
        der.integer(1),
        der.write(der.SEQUENCE, der.oid("1.2.840.10045.1.1"), der.integer(p)),
        der.write(der.SEQUENCE, der.write(der.OCTET_STRING, (p - 3).to_bytes(32)), der.write(der.OCTET_STRING, b)),
        der.write(der.OCTET_STRING, point),
        der.integer(P256_ORDER),
        der.integer(1),
    )
    named = der.write(der.SEQUENCE, der.oid("1.2.840.10045.2.1"), parameters)
    return der.write(der.SEQUENCE, named, der.write(der.BIT_STRING, b"\0", point))


def other_form(spki: bytes, form: int, length: int) -> bytes:
    """The same point in another form: compressed (2, 3), hybrid (6, 7) or at infinity (0)."""
    head = der.read_all(der.read(spki)[0].value)[0].raw
    point = bytes([form + (spki[-1] & 1 if form else 0)]) + spki[27 : 27 + length]
    return der.write(der.SEQUENCE, head, der.write(der.BIT_STRING, b"\0", point))


def certified(spki: Callable[[Scene], bytes]) -> Callable[[Scene], Any]:
    """The forged key in a certificate that a trusted authority was talked into."""
    return lambda scene: validate_chain(scene.root.issue(spki=spki(scene)), [scene.root.certificate], NOON)


def with_algorithm(oid: str, digest: hashes.HashAlgorithm | None = None) -> Callable[[Scene], Any]:
    """A certificate of a trusted RSA authority for a current key, signed by an algorithm of the attacker's choice."""

    def run(scene: Scene) -> Any:
        def sign(tbs: bytes) -> bytes:
            if digest is None:
                pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
                return scene.rsa_root.key.native.sign(tbs, pss, hashes.SHA256())
            return scene.rsa_root.key.native.sign(tbs, padding.PKCS1v15(), digest)

        leaf = scene.rsa_root.issue(inner=algorithm(oid, null=True), sign=sign, spki=scene.key[SM2].spki)
        return validate_chain(leaf, [scene.rsa_root.certificate], NOON)

    return run


def two_statements(inner: bool, outer: bool) -> Callable[[Scene], Any]:
    oid = "1.2.156.10197.1.501"
    return lambda scene: scene.root.issue(inner=algorithm(oid, null=inner), outer=algorithm(oid, null=outer))


def signed_elsewhere(scene: Scene, organisation: str = "BANK-A") -> Verdict:
    """A message may bring a key along (KeyValue, X509Certificate); nobody looks at it."""
    suite = scene.suites[SM2]
    return scene.judge(organisation, base64.b64encode(suite.sign(scene.key[SM2], MESSAGE)).decode())


def own_certificate(scene: Scene) -> Verdict:
    """Self-signed, with the bank's own name: found by nobody, for the register is asked and not the message."""
    forged = Authority(SM2, "甲银行", usage=(0, 1), authority=False)
    return scene.judge("BANK-A", base64.b64encode(forged.sign(MESSAGE)).decode(), serial=forged.certificate.serial_hex)


def profile(**dates: date) -> Callable[[Scene], Verdict]:
    def run(scene: Scene) -> Verdict:
        SignatureProfile.objects.filter(organisation_code="BANK-A").update(**dates)
        return scene.judge("BANK-A", scene.honest_base64("BANK-A"))

    return run


def other_profile(scene: Scene) -> Verdict:
    """The bank changed over to SM2; whoever kept its old P-256 key still signs with it."""
    SignatureProfile.objects.filter(organisation_code="BANK-B").update(suite_id=SM2)
    return scene.judge("BANK-B", scene.honest_base64("BANK-B"))


def spelled(change: Callable[[str], str]) -> Callable[[Scene], Verdict]:
    return lambda scene: scene.judge("BANK-A", change(scene.honest_base64("BANK-A")))


def stray_bits(text: str) -> str:
    """Another text for the same bytes: the unused bits of the last character are not zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    if len(body) == len(text):
        return text + "===="
    return body[:-1] + alphabet[alphabet.index(body[-1]) | 1] + "=" * (len(text) - len(body))


def header(name: str, old: str, new: str) -> Callable[[Scene], Any]:
    def run(scene: Scene) -> Any:
        def change(headers: dict[str, str]) -> dict[str, str]:
            assert old in headers[name]
            return {**headers, name: headers[name].replace(old, new)}

        return scene.request(change)

    return run


def rsa_in_a_header(scene: Scene) -> Any:
    value = base64.b64encode(scene.signature[RSA]).decode()
    return scene.request(lambda headers: {**headers, "Signature": f"guoku=:{value}:"})


def der_in_a_header(scene: Scene) -> Any:
    value = base64.b64encode(scene.signature[SM2]).decode()
    return scene.request(lambda headers: {**headers, "Signature": f"guoku=:{value}:"})


def sha1_list(scene: Scene) -> RevocationStatus:
    """A revocation list with a SHA-1 signature, for a certificate whose key still signs."""
    root = scene.rsa_root
    stated = algorithm("1.2.840.113549.1.1.5", null=True)
    tbs = der.write(der.SEQUENCE, der.integer(1), stated, root.issuer.name, der.time(NOON - DAY), der.time(NOON + DAY))
    signature = root.key.native.sign(tbs, padding.PKCS1v15(), hashes.SHA1())
    crl = parse_crl(der.write(der.SEQUENCE, tbs, stated, der.write(der.BIT_STRING, b"\0", signature)))
    return crl_status(crl, root.issue(spki=scene.key[SM2].spki), root.certificate, now=NOON)


def csr(spki: bytes, oid: str, sign: Callable[[bytes], bytes]) -> Any:
    name = der.write(der.SEQUENCE)
    info = der.write(der.SEQUENCE, der.integer(0), name, spki, der.write(0xA0))
    signature = der.write(der.BIT_STRING, b"\0", sign(info))
    return parse_csr(der.write(der.SEQUENCE, info, algorithm(oid), signature))


def pkcs1(digest: hashes.HashAlgorithm) -> Callable[[Scene], bool]:
    return lambda scene: scene.verify(RSA, scene.key[RSA].native.sign(MESSAGE, padding.PKCS1v15(), digest))


def psychic(suite_id: str) -> Callable[[Scene], bool]:
    return lambda scene: scene.verify(suite_id, der.write(der.SEQUENCE, der.integer(0), der.integer(0)))


def reencoded(change: Callable[[bytes], bytes]) -> Callable[[Scene], bool]:
    return lambda scene: scene.verify(P256, change(scene.signature[P256]))


def out_of_range(suite_id: str, r: int, s: int) -> Callable[[Scene], bool]:
    """r and s, each with so many orders of P-256 added."""

    def run(scene: Scene) -> bool:
        good_r, good_s = scene.pair(suite_id)
        numbers = der.integer(good_r + r * P256_ORDER), der.integer(good_s + s * P256_ORDER)
        return scene.verify(suite_id, der.write(der.SEQUENCE, *numbers))

    return run


def keyed_hash(suite_id: str, digest: str) -> Callable[[Scene], bool]:
    return lambda scene: scene.verify(suite_id, hmac.new(scene.key[suite_id].spki, MESSAGE, digest).digest())


def modulus(scene: Scene) -> int:
    return scene.key[RSA].native.public_key().public_numbers().n


def rsa_value(change: Callable[[int, int], bytes]) -> Callable[[Scene], bool]:
    return lambda scene: scene.verify(RSA, change(int.from_bytes(scene.signature[RSA]), modulus(scene)))


CURVES = [ec.SECP256K1(), ec.SECP384R1(), ec.SECP521R1(), ec.BrainpoolP256R1()]
P256_POINT = "a P-256 point under the SM2 curve's name"

ATTACKS = [
    Forgery("C", name, code, why, run)
    for name, code, why, run in [
        # digests that can be made to collide, and keys that can be broken
        ("rsa signature with sha-1", "signature_invalid", "collisions of SHA-1 are for sale", pkcs1(hashes.SHA1())),
        ("rsa signature with md5", "signature_invalid", "collisions of MD5 cost seconds", pkcs1(hashes.MD5())),
        ("rsa signature with sha-512", "signature_invalid", "not the digest of the suite", pkcs1(hashes.SHA512())),
        ("rsa-1024 key in the current suite", "key_not_usable", "can be factored", lambda s: s.load(RSA, s.old.spki)),
        ("signing anew with rsa-sha1", "suite_verify_only", "old signatures are read, none is made",
         lambda s: s.suites["rsa-sha1"].sign(s.key[RSA], MESSAGE)),
        ("opening a key for rsa-sha1", "suite_verify_only", "old signatures are read, none is made",
         lambda s: s.suites["rsa-sha1"].load_private_key(s.suites[RSA].private_key_pem(s.key[RSA]))),
        ("certificate signed with sha-1 for a current key", "certificate_algorithm_refused",
         "a colliding certificate would bear the authority's true signature",
         with_algorithm("1.2.840.113549.1.1.5", hashes.SHA1())),
        ("certificate signed with md5", "certificate_algorithm_refused",
         "a colliding certificate would bear the authority's true signature",
         with_algorithm("1.2.840.113549.1.1.4", hashes.MD5())),
        ("certificate signed with pss", "certificate_algorithm_refused", "no suite has it",
         with_algorithm("1.2.840.113549.1.1.10")),
        ("certificate that says sha-256 and is signed with sha-1", "certificate_signature_invalid",
         "what is stated is what is checked", with_algorithm("1.2.840.113549.1.1.11", hashes.SHA1())),
        ("revocation list signed with sha-1 for a current key", "forged",
         "a colliding list would leave out a revocation", sha1_list),
        ("request for a certificate of rsa-1024", "csr_refused", "no new certificate for a weak key",
         lambda s: csr(s.old.spki, "1.2.840.113549.1.1.5", s.old.sign)),
        # a public key is public: what is made from it alone proves nothing
        ("hmac-sm3 keyed with the public key", "signature_invalid", "anybody could have made it",
         keyed_hash(SM2, "sm3")),
        ("hmac-sha256 keyed with the public key", "signature_invalid", "anybody could have made it",
         keyed_hash(P256, "sha256")),
        ("hmac keyed with the rsa public key", "signature_invalid", "anybody could have made it",
         keyed_hash(RSA, "sha256")),
        # one curve's key under the other's name
        (P256_POINT, "key_not_usable", "the library would compute with a point that is not on the curve",
         lambda s: s.load(SM2, SPKI_HEAD[SM2] + s.key[P256].spki[27:])),
        ("an SM2 point under the name of P-256", "key_not_usable",
         "the library would compute with a point that is not on the curve",
         lambda s: s.load(P256, SPKI_HEAD[P256] + s.key[SM2].spki[27:])),
        (f"certificate of {P256_POINT}", "certificate_key_not_supported",
         "it must be found before a signature has to be judged",
         certified(lambda s: SPKI_HEAD[SM2] + s.key[P256].spki[27:])),
        ("P-256 key given to the SM2 suite", "key_not_usable", "OpenSSL would verify ECDSA with SM3",
         lambda s: s.load(SM2, s.key[P256].spki)),
        ("SM2 key given to the P-256 suite", "key_not_usable", "a key serves one suite",
         lambda s: s.load(P256, s.key[SM2].spki)),
        ("RSA key given to the SM2 suite", "key_not_usable", "a key serves one suite",
         lambda s: s.load(SM2, s.key[RSA].spki)),
        ("SM2 key given to the RSA suite", "key_not_usable", "a key serves one suite",
         lambda s: s.load(RSA, s.key[SM2].spki)),
        ("handle of the P-256 suite used for SM2", "key_not_usable", "a handle is bound to its suite",
         lambda s: s.suites[SM2].verify(s.load(P256, s.key[P256].spki), MESSAGE, s.signature[P256])),
        ("handle of rsa-sha1 used for rsa-sha256", "key_not_usable", "a handle is bound to its suite",
         lambda s: s.suites[RSA].verify(s.load("rsa-sha1", s.key[RSA].spki), MESSAGE, s.signature[RSA])),
        ("SM2 signing with a P-256 key", "key_not_usable", "it would give an ECDSA signature",
         lambda s: s.suites[SM2].sign(s.key[P256], MESSAGE)),
        # forms of a key that a library may read and we do not
        ("P-256 with its curve written out", "key_not_usable",
         "with a generator of its choice an attacker has a private key to any public key",
         lambda s: s.load(P256, explicit_p256(s.key[P256].spki))),
        ("certificate of P-256 with its curve written out", "certificate_key_not_supported",
         "with a generator of its choice an attacker has a private key to any public key",
         certified(lambda s: explicit_p256(s.key[P256].spki))),
        *[(f"{form} point of {suite_id}", "key_not_usable", "one key, one spelling",
           lambda s, suite_id=suite_id, tag=tag, length=length:
           s.load(suite_id, other_form(s.key[suite_id].spki, tag, length)))
          for suite_id in (SM2, P256)
          for form, tag, length in (("compressed", 2, 32), ("hybrid", 6, 64), ("infinite", 0, 0))],
        ("SM2 point with coordinates of zero", "key_not_usable", "not on the curve",
         lambda s: s.load(SM2, SPKI_HEAD[SM2] + bytes(64))),
        *[(f"certificate of a key on {curve.name}", "certificate_key_not_supported", "no suite uses that curve",
           certified(lambda _s, curve=curve: spki_of(ec.generate_private_key(curve).public_key())))
          for curve in CURVES],
        ("certificate of an ed25519 key", "certificate_key_not_supported", "no suite uses that curve",
         certified(lambda _s: spki_of(ed25519.Ed25519PrivateKey.generate().public_key()))),
        # RSA keys made to be broken, or to keep the verifier busy
        *[(f"rsa exponent {said}", "key_not_usable", why,
           lambda s, exponent=exponent: s.load(RSA, rsa_spki(modulus(s), exponent)))
          for said, exponent, why in (
              ("1", 1, "every text is its own signature"),
              ("0", 0, "every signature gives 1"),
              ("2", 2, "not invertible"),
              ("65536", 65536, "not invertible"),
              ("2^32 + 1", (1 << 32) + 1, "costs the verifier and gains nobody anything"),
              ("of 1000 bits", (1 << 999) + 1, "costs the verifier and gains nobody anything"),
          )],
        ("certificate of an rsa key with exponent 1", "certificate_key_not_supported",
         "every text is its own signature", certified(lambda s: rsa_spki(modulus(s), 1))),
        ("rsa modulus of 16384 bits", "key_not_usable", "costs the verifier seconds",
         lambda s: s.load(RSA, rsa_spki((1 << 16384) - 1, 65537))),
        ("certificate of an rsa key of 512 bits", "certificate_key_not_supported", "factored in hours",
         certified(lambda _s: rsa_spki((1 << 512) - 1, 65537))),
        ("even rsa modulus", "key_not_usable", "two is a factor",
         lambda s: s.load(RSA, rsa_spki(modulus(s) - 1, 65537))),
        ("rsa key for pss only", "key_not_usable", "its holder said what it is for",
         lambda s: s.load(RSA, rsa_spki(modulus(s), 65537, "1.2.840.113549.1.1.10"))),
        # signature values
        ("sm2: r and s are 0", "signature_invalid", "accepted by verifiers that skip the range check", psychic(SM2)),
        ("p-256: r and s are 0", "signature_invalid", "accepted by verifiers that skip the range check", psychic(P256)),
        ("p-256: n added to r", "signature_invalid", "a second value for one signature", out_of_range(P256, 1, 0)),
        ("p-256: n added to s", "signature_invalid", "a second value for one signature", out_of_range(P256, 0, 1)),
        ("p-256: length in the long form", "signature_invalid", "a second value for one signature",
         reencoded(lambda good: bytes([0x30, 0x81, len(good) - 2]) + good[2:])),
        ("p-256: indefinite length", "signature_invalid", "a second value for one signature",
         reencoded(lambda good: b"\x30\x80" + good[2:] + b"\0\0")),
        ("p-256: byte behind it", "signature_invalid", "a second value for one signature",
         reencoded(lambda good: good + b"\0")),
        ("p-256: r and s as 64 bytes", "signature_invalid", "another form than the wire's",
         reencoded(der.signature_to_raw)),
        ("rsa: modulus added", "signature_invalid", "a second value for one signature",
         rsa_value(lambda value, n: (value + n).to_bytes(385))),
        ("rsa: zero byte before it", "signature_invalid", "a second value for one signature",
         rsa_value(lambda value, n: value.to_bytes(385))),
        ("rsa: 1", "signature_invalid", "1 to any power is 1", rsa_value(lambda value, n: (1).to_bytes(384))),
        ("rsa: 0", "signature_invalid", "0 to any power is 0", rsa_value(lambda value, n: bytes(384))),
        ("rsa: pss padding", "signature_invalid", "another scheme with the same key",
         lambda s: s.verify(RSA, s.key[RSA].native.sign(
             MESSAGE, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()))),
        *[(f"sm2: {comment}", "signature_invalid", why, sm2_vector(comment)) for comment, why in (
            ("ECDSA with SM3", "OpenSSL makes and takes it when no user id is set"),
            ("ECDSA with SM3 and Z", "another scheme with the same key"),
            ("Schnorr signature with SM3", "another scheme with the same key"),
            ("no Z", "not bound to the signer's key"),
            ("Z behind the text", "not the standard's digest"),
            ("Z of another key", "not bound to the signer's key"),
            ("user id ALICE123@YAHOO.COM", "both sides use the default id"),
            ("user id empty", "both sides use the default id"),
            ("SHA-256 in place of SM3", "not the digest of the suite"),
            ("(r, n - s), which ECDSA would accept", "a second value for one signature"),
            ("r = n - s, so that r + s = n", "t is 0: the key falls out of the equation"),
            ("r + n", "a second value for one signature"),
            ("k = 0: the point is at infinity and r = e", "accepted where infinity has the x-coordinate 0"),
            ("long form of the sequence's length", "a second value for one signature"),
            ("indefinite length", "a second value for one signature"),
            ("r with a zero byte before it", "a second value for one signature"),
            ("r without its sign byte", "read as a negative number, or repaired"),
            ("NULL appended", "a second value for one signature"),
            ("r and s as 64 bytes", "another form than the wire's"),
            ("ECDSA P-256 with SM3, same secret number", "made on another curve"),
        )],
        # names of suites
        *[(f"suite named {name!r}", "unknown_suite", "there is no default to fall back to",
           lambda _s, name=name: get_suite(name)) for name in ("none", "", "SM2-SM3", "hmac-sm3", "rsa-md5", "sm2")],
        *[(f"request that says alg={name}", "signature_alg_not_allowed", "the profile decides, not the message",
           header("Signature-Input", 'alg="sm2-sm3"', f'alg="{name}"'))
          for name in ("rsa-sha1", "ecdsa-p256-sha256", "none", "hmac-sha256")],
        ("request with a digest of another kind", "content_digest_mismatch", "the suite decides which digest",
         header("Content-Digest", "sm3=", "sha-256=")),
        ("request with an rsa value", "signature_malformed", "the profile of messages has 64 bytes", rsa_in_a_header),
        ("request with a DER value", "signature_malformed", "the profile of messages has 64 bytes", der_in_a_header),
        # two statements of the algorithm
        ("signed without, stated with NULL parameters", "certificate_malformed",
         "the signed and the stated algorithm could differ", two_statements(False, True)),
        ("signed with, stated without NULL parameters", "certificate_malformed",
         "the signed and the stated algorithm could differ", two_statements(True, False)),
        ("parameters of another type", "certificate_malformed", "absent and NULL are known, nothing else",
         lambda s: s.root.issue(inner=der.write(
             der.SEQUENCE, der.oid("1.2.156.10197.1.501"), der.write(der.OCTET_STRING, b"1234567812345678")))),
        ("signed SM2, stated ECDSA", "certificate_malformed", "the signed and the stated algorithm could differ",
         lambda s: s.root.issue(outer=algorithm("1.2.840.10045.4.3.2"))),
    ]
]  # fmt: skip

REGISTER = [
    Forgery("C", name, code, why, run)
    for name, code, why, run in [
        ("voucher signed with a key the message brings along", "signature_invalid",
         "KeyValue and X509 elements are not read; the register has the key", signed_elsewhere),
        ("voucher under a self-signed certificate of the bank's name", "certificate_unknown",
         "the register has the certificate, not the message", own_certificate),
        ("suite the partner gave up", "suite_not_allowed", "the profile decides, not the certificate", other_profile),
        ("suite whose time is over", "suite_not_allowed", "the profile ended yesterday",
         profile(valid_to=TODAY - DAY)),
        ("suite whose time has not come", "suite_not_allowed", "the profile starts tomorrow",
         profile(valid_from=TODAY + DAY)),
        ("voucher without a signature", "signature_missing", "no signature is not a weak one", spelled(lambda _t: "")),
        ("base64 with stray bits", "signature_malformed", "a second text for one signature", spelled(stray_bits)),
        ("base64 with a line break", "signature_malformed", "a second text for one signature",
         spelled(lambda t: t[:64] + "\n" + t[64:])),
        ("base64 without its padding, or with more", "signature_malformed", "a second text for one signature",
         spelled(lambda t: t.rstrip("=") if t.endswith("=") else t + "=")),
        ("base64 with something behind it", "signature_malformed", "a second text for one signature",
         spelled(lambda t: t + "!")),
        ("base64 with a character of another alphabet", "signature_malformed", "skipped by lenient readers",
         spelled(lambda t: "-" + t[1:])),
        ("r and s as 64 bytes in base64", "signature_invalid", "another form than the wire's",
         spelled(lambda t: base64.b64encode(der.signature_to_raw(base64.b64decode(t))).decode())),
        ("64 zero bytes in base64", "signature_invalid", "not a signature",
         spelled(lambda _t: base64.b64encode(bytes(64)).decode())),
    ]
]  # fmt: skip
ATTACKS += REGISTER


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("attacked")
    specs = [OrganisationSpec("BANK-A", "甲银行", SM2), OrganisationSpec("BANK-B", "乙银行", P256)]
    make_demo_pki(directory, specs, START, END)
    return directory


@pytest.fixture(scope="module")
def attacked(keys: Path) -> Scene:
    return Scene(keys)


@pytest.fixture
def register(db: None, keys: Path) -> None:
    import_demo_pki(keys)


def test_honest_signatures_and_requests_are_accepted(attacked):
    for suite_id in (SM2, P256, RSA):
        assert attacked.verify(suite_id, attacked.signature[suite_id])
        spki = attacked.key[suite_id].spki
        assert certified(lambda _s, spki=spki: spki)(attacked)
    for suite_id in (SM2, P256):
        assert attacked.request(suite_id=suite_id).alg == suite_id
    public = attacked.load("rsa-sha1", attacked.old.spki)
    assert attacked.suites["rsa-sha1"].verify(public, MESSAGE, attacked.old.sign(MESSAGE))
    assert with_algorithm("1.2.840.113549.1.1.11", hashes.SHA256())(attacked)
    assert two_statements(True, True)(attacked) and two_statements(False, False)(attacked)
    key = attacked.key[SM2]
    assert csr(key.spki, "1.2.156.10197.1.501", lambda data: attacked.suites[SM2].sign(key, data)).spki == key.spki


def test_honest_vouchers_are_accepted(attacked, register):
    for organisation in ("BANK-A", "BANK-B"):
        assert attacked.judge(organisation, attacked.honest_base64(organisation)).ok


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a not in REGISTER], ids=lambda attack: attack.name)
def test_attack_on_algorithms_is_refused_with_its_code(attacked, attack):
    assert code_of(lambda: attack.run(attacked)) == attack.code


@pytest.mark.parametrize("attack", REGISTER, ids=lambda attack: attack.name)
def test_attack_on_the_register_is_refused_with_its_code(attacked, register, attack):
    assert code_of(lambda: attack.run(attacked)) == attack.code
