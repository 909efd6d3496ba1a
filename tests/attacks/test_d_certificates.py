"""Family D: certificates and lists that are true, but not for this use, this time or this party; and forged ones.

Each case starts from a chain root, sub-authority, officer with current lists, which is accepted (first test below),
and changes one thing. The attacker may have certificates of its own and may call itself anything.
"""

import base64
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from core.errors import TreasuryError
from seals import der
from seals.certificates import (
    TIME_STAMPING,
    ParsedCertificate,
    check_key_not_shared,
    parse_certificate,
    validate_chain,
)
from seals.errors import CertificateRefused
from seals.models import Certificate
from seals.pki import OrganisationSpec, make_demo_pki
from seals.revocation import ParsedCrl, RevocationLists, RevokedEntry, build_crl, crl_status, parse_crl, supersedes
from seals.services import import_demo_pki, register_certificate, revoke_certificate
from seals.suites import get_suite
from seals.verifying import TextToVerify, Verdict, verify_texts
from tests.attacks.refusals import Forgery, code_of
from tests.authorities import END, NOON, START, Authority, algorithm

TEXT = b"PD94bWwg" * 40
TODAY = date(2026, 11, 23)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
SM2 = "sm2-sm3"
UNKNOWN = der.extension("1.2.156.10197.9.9", b"\5\0", critical=True)
POINT = der.write(0xA0, der.write(0xA0, der.write(0x86, b"http://ca.example/1.crl")))


class Scene:
    """An officer of a sub-authority, everybody's lists of this morning, and an impostor that copies every name."""

    def __init__(self) -> None:
        self.root = Authority(SM2, "Root")
        self.sub = Authority(SM2, "Sub", above=self.root, path_length=0)
        self.officer = self.sub.issue()
        self.impostor_root = Authority(SM2, "Root")
        self.impostor = Authority(SM2, "Sub", above=self.impostor_root, path_length=0)

    @cached_property
    def authorities(self) -> list[ParsedCertificate]:
        return [self.root.certificate, self.sub.certificate]

    @cached_property
    def lists(self) -> list[ParsedCrl]:
        return [listed(self.root), listed(self.sub)]

    def judge(
        self,
        leaf: ParsedCertificate | None = None,
        *,
        authorities: Iterable[ParsedCertificate] | None = None,
        lists: Iterable[ParsedCrl] | None = None,
        at: Any = NOON,
        now: Any = NOON,
        **asked: Any,
    ) -> Any:
        return validate_chain(
            leaf or self.officer,
            self.authorities if authorities is None else authorities,
            at,
            revocation=RevocationLists(self.lists if lists is None else lists, now=now),
            **asked,
        )


def listed(authority: Authority, *revoked: RevokedEntry, number: int = 1, **changed: Any) -> ParsedCrl:
    dates = {"this_update": NOON - HOUR, "next_update": NOON + DAY, **changed}
    return parse_crl(build_crl(authority.issuer, number=number, revoked=revoked, **dates))


def leaf(**asked: Any) -> Callable[[Scene], Any]:
    """A certificate that the sub-authority did issue, with something else than an officer's."""
    return lambda scene: scene.judge(scene.sub.issue(**asked))


def below(**asked: Any) -> Callable[[Scene], Any]:
    """An officer below another sub-authority that the root did certify."""

    def run(scene: Scene) -> Any:
        other = Authority(SM2, "Other", above=scene.root, **{"path_length": 0, **asked})
        lists = [*scene.lists, listed(other)]
        return scene.judge(other.issue(), authorities=[*scene.authorities, other.certificate], lists=lists)

    return run


def under_root(**asked: Any) -> Callable[[Scene], Any]:
    """Root, sub-authority and officer, where the root is another one."""

    def run(scene: Scene) -> Any:
        root = Authority(SM2, "Other root", **asked)
        sub = Authority(SM2, "Other", above=root, path_length=0)
        lists = [listed(root), listed(sub)]
        return scene.judge(sub.issue(), authorities=[root.certificate, sub.certificate], lists=lists)

    return run


def officer_as_issuer(scene: Scene) -> Any:
    """An officer's certificate is a true one of our authority; its holder plays authority with it."""
    officer = Authority(SM2, "Officer", above=scene.sub, authority=False, usage=(0, 1))
    return scene.judge(officer.issue(), authorities=[*scene.authorities, officer.certificate])


def old_style_issuer(scene: Scene) -> Any:
    """Version 1 certificates have no extensions: nothing says that it may certify."""
    authority = Authority(SM2, "Plain", above=scene.root)
    plain = parse_certificate(scene.root.build(authority.issuer.name, authority.key.spki, b""))
    return scene.judge(authority.issue(), authorities=[*scene.authorities, plain])


def endless(scene: Scene) -> Any:
    above, authorities = Authority(SM2, "Level", path_length=9), []
    for depth in range(5):
        authorities.append(above.certificate)
        above = Authority(SM2, f"Level {depth}", above=above, path_length=9)
    return scene.judge(above.issue(), authorities=[*authorities, above.certificate])


def in_a_circle(scene: Scene) -> Any:
    """Two authorities that certified each other: there is no root to arrive at."""
    one, two = Authority(SM2, "One", path_length=9), Authority(SM2, "Two", path_length=9)
    first = Authority(SM2, "One", above=two, like=one, path_length=9)
    second = Authority(SM2, "Two", above=one, like=two, path_length=9)
    return scene.judge(first.issue(), authorities=[first.certificate, second.certificate])


def edited(old: bytes, new: bytes) -> Callable[[Scene], Any]:
    """The officer's certificate with other bytes of the same length in its signed part."""

    def run(scene: Scene) -> Any:
        found = scene.officer.der
        assert old in found and len(old) == len(new)
        return scene.judge(parse_certificate(found.replace(old, new, 1)))

    return run


def key_exchanged(scene: Scene) -> Any:
    spki = get_suite(SM2).generate_private_key().spki
    return scene.judge(parse_certificate(scene.officer.der.replace(scene.officer.spki, spki)))


def signature_exchanged(scene: Scene) -> Any:
    other = der.write(der.BIT_STRING, b"\0", scene.sub.issue(name="Other").signature)
    return scene.judge(parse_certificate(der.write(der.SEQUENCE, scene.officer.tbs, scene.sub.algorithm, other)))


def read(change: Callable[[bytes], bytes | str]) -> Callable[[Scene], Any]:
    return lambda scene: parse_certificate(change(scene.officer.der))


def pem(label: str = "CERTIFICATE", times: int = 1) -> Callable[[bytes], bytes]:
    return lambda encoded: der.pem(label, encoded) * times


def negative_serial(encoded: bytes) -> bytes:
    serial = der.integer(int(parse_certificate(encoded).serial_hex, 16))
    value = der.read(serial)[0].value
    return encoded.replace(serial, der.write(der.INTEGER, b"\x80" + value[1:]), 1)


def issued(**built: Any) -> Callable[[Scene], Any]:
    """A certificate the reader must already refuse."""
    return lambda scene: scene.sub.issue(**built)


def revoked(reason: str, *, of: str = "officer", at: Any = NOON) -> Callable[[Scene], Any]:
    """The officer, or the sub-authority, was revoked an hour ago; the signature is of now, or claims to be."""

    def run(scene: Scene) -> Any:
        serial = scene.officer.serial_hex if of == "officer" else scene.sub.certificate.serial_hex
        entry = RevokedEntry(serial, NOON - HOUR, reason)
        above = scene.sub if of == "officer" else scene.root
        other = scene.root if of == "officer" else scene.sub
        return scene.judge(lists=[listed(above, entry), listed(other)], at=at)

    return run


def lists(make: Callable[[Scene], Iterable[ParsedCrl]], now: Any = NOON) -> Callable[[Scene], Any]:
    """The officer is revoked in truth; the attacker shows these lists instead."""
    return lambda scene: scene.judge(lists=make(scene), now=now)


def read_list(*extensions: bytes) -> Callable[[Scene], Any]:
    return lambda scene: listed(scene.sub, extensions=extensions)


def replayed(scene: Scene) -> Any:
    """Last week's list, still within its dates, in place of the one that names the officer."""
    kept, offered = listed(scene.sub, number=8), listed(scene.sub, number=7)
    if not supersedes(offered, kept):
        raise CertificateRefused("已有更新的吊销列表。")
    return True


def renumbered(scene: Scene) -> Any:
    """A list cannot be given a greater number without its issuer's key."""
    encoded = listed(scene.sub, number=7).der
    forged = encoded.replace(der.extension("2.5.29.20", der.integer(7)), der.extension("2.5.29.20", der.integer(9)))
    assert forged != encoded
    return crl_status(parse_crl(forged), scene.officer, scene.sub.certificate, now=NOON)


def entry_removed(scene: Scene) -> Any:
    entry = RevokedEntry(scene.officer.serial_hex, NOON - HOUR)
    encoded = listed(scene.sub, entry).der
    serial = bytes.fromhex(scene.officer.serial_hex)
    forged = encoded.replace(serial, serial[:-1] + bytes([serial[-1] ^ 1]))
    assert forged != encoded
    return crl_status(parse_crl(forged), scene.officer, scene.sub.certificate, now=NOON)


def list_without_right(_scene: Scene) -> Any:
    authority = Authority(SM2, usage=(5,))
    return crl_status(listed(authority), authority.issue(), authority.certificate, now=NOON)


def stamping(critical: bool, *more: str) -> bytes:
    usages = der.write(der.SEQUENCE, *(der.oid(oid) for oid in (TIME_STAMPING, *more)))
    return der.extension("2.5.29.37", usages, critical=critical)


def as_stamp(**asked: Any) -> Callable[[Scene], Any]:
    return lambda scene: scene.judge(scene.sub.issue(**asked), purpose="timestamping")


def shared_key(scene: Scene) -> Any:
    """Two officers, one key: either could say that the other signed."""
    return check_key_not_shared(scene.sub.issue(name="Other", spki=scene.officer.spki), [scene.officer])


ATTACKS = [
    Forgery("D", name, code, why, run)
    for name, code, why, run in [
        # time
        ("expired by a second", "certificate_expired", "the key may have been given away since",
         leaf(end=NOON - SECOND)),
        ("not valid for another second", "certificate_not_yet_valid", "nobody vouches for it yet",
         leaf(start=NOON + SECOND)),
        ("sub-authority expired", "certificate_expired", "its word counts as long as it is valid",
         below(end=NOON - SECOND)),
        ("sub-authority not yet valid", "certificate_not_yet_valid", "its word counts from then on",
         below(start=NOON + SECOND)),
        ("root expired", "certificate_expired", "its word counts as long as it is valid",
         under_root(end=NOON - SECOND)),
        # use
        ("no digitalSignature", "certificate_wrong_usage", "not for signing texts", leaf(usage=(1,))),
        ("encryption certificate of the same UKey", "certificate_wrong_usage",
         "its private key is kept by the authority as well", leaf(usage=(2, 3, 4))),
        ("keyEncipherment only", "certificate_wrong_usage", "not for signing texts", leaf(usage=(2,))),
        ("for signing lists", "certificate_wrong_usage", "not for signing texts", leaf(usage=(6,))),
        ("no usage at all", "certificate_wrong_usage", "what is not said is not allowed", leaf(extensions=b"")),
        ("usage empty", "certificate_wrong_usage", "what is not said is not allowed",
         leaf(extensions=der.write(der.SEQUENCE, der.extension("2.5.29.15", b"\x03\x01\0", critical=True)))),
        ("authority as signer", "certificate_wrong_usage", "an authority signs certificates, not vouchers",
         leaf(authority=True, usage=(0, 1, 5))),
        ("authority by its constraints only", "certificate_wrong_usage",
         "an authority signs certificates, not vouchers", leaf(authority=True)),
        ("the sub-authority itself", "certificate_wrong_usage", "an authority signs certificates, not vouchers",
         lambda s: s.judge(s.sub.certificate)),
        ("the root itself", "certificate_wrong_usage", "an authority signs certificates, not vouchers",
         lambda s: s.judge(s.root.certificate)),
        ("time-stamp certificate used to sign", "certificate_wrong_usage", "for time-stamps only",
         leaf(usage=(0,), further=[stamping(critical=True)])),
        ("time-stamp certificate used to sign, not critical", "certificate_wrong_usage", "for time-stamps only",
         leaf(usage=(0,), further=[stamping(critical=False)])),
        ("officer's certificate used to stamp the time", "certificate_wrong_usage", "an officer is no clock",
         as_stamp()),
        ("time-stamp usage that is not critical", "certificate_wrong_usage", "RFC 3161 wants it critical",
         as_stamp(usage=(0,), further=[stamping(critical=False)])),
        ("time-stamp usage among others", "certificate_wrong_usage", "RFC 3161 wants it alone",
         as_stamp(usage=(0,), further=[stamping(True, "1.3.6.1.5.5.7.3.4")])),
        # extensions
        ("unknown critical extension", "certificate_wrong_usage", "its issuer says: refuse it if you do not know it",
         leaf(further=[UNKNOWN])),
        ("unknown critical extension of the sub-authority", "certificate_wrong_usage",
         "its issuer says: refuse it if you do not know it", below(further=[UNKNOWN])),
        ("unknown critical extension of the root", "certificate_wrong_usage",
         "its issuer says: refuse it if you do not know it", under_root(further=[UNKNOWN])),
        ("critical name constraints of the sub-authority", "certificate_wrong_usage",
         "not evaluated, so not passed over",
         below(further=[der.extension("2.5.29.30", bytes.fromhex("3000"), critical=True)])),
        ("keyUsage twice", "certificate_malformed", "two readers would take different ones",
         issued(further=[der.extension("2.5.29.15", bytes.fromhex("03020780"), critical=True)])),
        ("basicConstraints twice", "certificate_malformed", "two readers would take different ones",
         issued(further=[der.extension("2.5.29.19", bytes.fromhex("30030101ff"), critical=True)])),
        # the chain
        ("officer plays authority", "certificate_wrong_usage", "may not certify", officer_as_issuer),
        ("sub-authority without keyCertSign", "certificate_wrong_usage", "may not certify", below(usage=(6,))),
        ("sub-authority that is none", "certificate_wrong_usage", "may not certify", below(authority=False)),
        ("version 1 certificate as authority", "certificate_wrong_usage", "nothing says that it may certify",
         old_style_issuer),
        ("one authority more than the root allows", "certificate_wrong_usage", "path length",
         under_root(path_length=0)),
        ("chain of six authorities", "certificate_unknown_issuer", "four are enough", endless),
        ("authorities in a circle", "certificate_unknown_issuer", "no root is reached", in_a_circle),
        ("sub-authority missing", "certificate_unknown_issuer", "the chain has a gap",
         lambda s: s.judge(authorities=[s.root.certificate])),
        ("root missing", "certificate_unknown_issuer", "the chain ends in the air",
         lambda s: s.judge(authorities=[s.sub.certificate])),
        ("nothing trusted", "certificate_unknown_issuer", "nobody vouches", lambda s: s.judge(authorities=[])),
        ("self-signed", "certificate_unknown_issuer", "vouches for itself",
         lambda s: s.judge(Authority(SM2, "Leaf", usage=(0, 1), authority=False).certificate)),
        ("issued by an authority of the same name", "certificate_signature_invalid", "the name is not the key",
         lambda s: s.judge(s.impostor.issue())),
        ("impostor's own certificate among the trusted", "certificate_signature_invalid",
         "it names our root, whose key did not sign it",
         lambda s: s.judge(s.impostor.issue(), authorities=[s.root.certificate, s.impostor.certificate])),
        ("root of our root's name with another key", "certificate_signature_invalid", "the name is not the key",
         lambda s: s.judge(authorities=[s.impostor_root.certificate, s.sub.certificate])),
        ("authority of our name with a key of another suite", "certificate_signature_invalid",
         "the issuer's key fixes the suite",
         lambda s: s.judge(authorities=[Authority("ecdsa-p256-sha256", "Sub").certificate])),
        # forged bytes
        ("another name", "certificate_signature_invalid", "its issuer signed another one", edited(b"Leaf", b"Boss")),
        ("another end of validity", "certificate_signature_invalid", "its issuer signed another one",
         edited(b"360101000000Z", b"460101000000Z")),
        ("another usage", "certificate_signature_invalid", "its issuer signed another one",
         edited(bytes.fromhex("030206c0"), bytes.fromhex("03020780"))),
        ("another key", "certificate_signature_invalid", "its issuer signed another one", key_exchanged),
        ("the signature of another certificate", "certificate_signature_invalid", "its issuer signed another one",
         signature_exchanged),
        ("signed and stated algorithm differ", "certificate_malformed", "one of them is not signed",
         issued(outer=algorithm("1.2.156.10197.1.501", null=True))),
        ("byte behind it", "certificate_malformed", "not one certificate", read(lambda d: d + b"\0")),
        ("two in one file", "certificate_malformed", "two readers would take different ones", read(pem(times=2))),
        ("under another label", "certificate_malformed", "not a certificate", read(pem("TRUSTED CERTIFICATE"))),
        ("indefinite length", "certificate_malformed", "not DER",
         read(lambda d: b"\x30\x80" + der.read(d)[0].value + b"\0\0")),
        ("cut short", "certificate_malformed", "not one certificate", read(lambda d: d[:-1])),
        ("negative serial", "certificate_malformed", "two spellings of one serial", read(negative_serial)),
        ("20,000 bytes", "certificate_malformed", "refused before it is read", read(lambda d: d + bytes(20_000))),
        ("text in place of a certificate", "certificate_malformed", "not a certificate", read(lambda d: "证书")),
        # revocation
        ("revoked an hour ago", "certificate_revoked: keyCompromise", "the key was lost",
         revoked("keyCompromise")),
        ("revoked in the very second of signing", "certificate_revoked: keyCompromise", "from that second on",
         revoked("keyCompromise", at=NOON - HOUR)),
        ("on hold", "certificate_revoked: certificateHold", "until it is released", revoked("certificateHold")),
        ("sub-authority revoked", "certificate_revoked: cACompromise", "with it falls what it issued",
         revoked("cACompromise", of="sub-authority")),
        ("no list at all", "revocation_unknown: missing", "silence is not a clean record", lists(lambda s: [])),
        ("no list of the root", "revocation_unknown: missing", "the sub-authority may be revoked",
         lists(lambda s: [listed(s.sub)])),
        ("list of another issuer", "revocation_unknown: missing", "says nothing of this certificate",
         lists(lambda s: [listed(s.root), listed(Authority(SM2, "Stranger"))])),
        ("another issuer's list judged directly", "wrong_issuer", "says nothing of this certificate",
         lambda s: crl_status(listed(s.root), s.officer, s.sub.certificate, now=NOON)),
        ("list of an authority of the same name", "revocation_unknown: forged", "the name is not the key",
         lists(lambda s: [listed(s.root), listed(s.impostor)])),
        ("list older than seven days past its next update", "revocation_unknown: old",
         "what was revoked since is not on it",
         lists(lambda s: [listed(s.root, next_update=NOON + 30 * DAY), listed(s.sub)], now=NOON + 8 * DAY + SECOND)),
        ("list from the future", "revocation_unknown: not_yet_valid", "our clock is wrong, or the list is",
         lists(lambda s: [listed(s.root), listed(s.sub, this_update=NOON + SECOND)])),
        ("older list in place of a newer", "certificate_refused", "it hides what was revoked since", replayed),
        ("older list with a greater number written in", "forged", "the number is signed", renumbered),
        ("entry exchanged for another serial", "forged", "the entries are signed", entry_removed),
        ("list signed by who may not", "issuer_may_not_sign_lists", "no cRLSign",
         list_without_right),
        ("list of authorities only", "revocation_unknown: out_of_scope", "says nothing of officers",
         lists(lambda s: [listed(s.root), listed(s.sub, extensions=[
             der.extension("2.5.29.28", bytes.fromhex("30038201ff"), critical=True)])])),
        ("list of another distribution point", "revocation_unknown: out_of_scope", "says nothing of this certificate",
         lists(lambda s: [listed(s.root), listed(s.sub, extensions=[
             der.extension("2.5.29.28", der.write(der.SEQUENCE, POINT), critical=True)])])),
        ("delta list", "revocation_list_unsupported", "says only what changed",
         read_list(der.extension("2.5.29.27", der.integer(1), critical=True))),
        ("indirect list", "revocation_list_unsupported", "its entries are other issuers'",
         read_list(der.extension("2.5.29.28", bytes.fromhex("30038401ff"), critical=True))),
        ("list of some reasons", "revocation_list_unsupported", "leaves the other reasons unsaid",
         read_list(der.extension("2.5.29.28", bytes.fromhex("300483020640"), critical=True))),
        ("list with an unknown critical extension", "revocation_list_unsupported",
         "its issuer says: refuse it if you do not know it", read_list(UNKNOWN)),
        ("list cut short", "revocation_list_malformed", "not one list",
         lambda s: parse_crl(listed(s.sub).der[:-1])),
        ("two lists in one file", "revocation_list_malformed", "two readers would take different ones",
         lambda s: parse_crl(der.pem("X509 CRL", listed(s.sub).der) * 2)),
        # holders
        ("one key for two officers", "certificate_key_shared", "either could disown a signature", shared_key),
    ]
]  # fmt: skip


class Register:
    """Two banks in the register, and their keys."""

    def __init__(self, keys: Path, rows: list[Certificate]) -> None:
        self.keys = keys
        self.row = {row.organisation_code: row for row in rows}

    def certificate(self, organisation: str) -> ParsedCertificate:
        return parse_certificate((self.keys / organisation / "cert.pem").read_bytes())

    def judge(self, by: str, *, claimed: str = "", serial: str = "", at: Any = NOON) -> Verdict:
        """A text signed with the key of `by`, said to be of `claimed`, under that serial."""
        certificate = self.certificate(by)
        suite = get_suite(certificate.suite_id)
        key = suite.load_private_key((self.keys / by / "key.pem").read_bytes())
        signature = base64.b64encode(suite.sign(key, TEXT)).decode()
        item = TextToVerify(claimed or by, TEXT, signature, serial or certificate.serial_hex)
        return verify_texts([item], at=at, on=TODAY)[0]


def revoked_in_register(at: Any) -> Callable[[Register], Verdict]:
    def run(register: Register) -> Verdict:
        revoke_certificate(certificate_id=register.row["BANK-A"].pk, reason="UKey 遗失", now=NOON)
        return register.judge("BANK-A", at=at)

    return run


def wrong_serial(change: Callable[[str], str]) -> Callable[[Register], Verdict]:
    return lambda r: r.judge("BANK-A", serial=change(r.certificate("BANK-A").serial_hex))


def filed(make: Callable[[Authority], ParsedCertificate]) -> Callable[[Register], Any]:
    """What an operator is asked to file for a bank, from an authority nobody here trusts."""
    return lambda r: register_certificate(pem=make(Authority(SM2)).pem, organisation_code="BANK-A")


REGISTER = [
    Forgery("D", name, code, why, run)
    for name, code, why, run in [
        ("bank B signs in the name of bank A", "certificate_of_other_party", "the certificate is another party's",
         lambda r: r.judge("BANK-B", claimed="BANK-A")),
        ("bank B signs under bank A's serial", "signature_invalid", "the register has bank A's key",
         lambda r: r.judge("BANK-B", claimed="BANK-A", serial=r.certificate("BANK-A").serial_hex)),
        ("serial nobody has", "certificate_unknown", "never registered", wrong_serial(lambda _s: "0a")),
        ("serial with a blank", "certificate_unknown", "one spelling for one serial", wrong_serial(lambda s: s + " ")),
        ("serial in full-width digits", "certificate_unknown", "one spelling for one serial",
         wrong_serial(lambda s: s.translate({48 + n: 0xFF10 + n for n in range(10)}))),
        ("serial with a sign", "certificate_unknown", "one spelling for one serial", wrong_serial(lambda s: "-" + s)),
        ("serial with SQL behind it", "certificate_unknown", "not hexadecimal",
         wrong_serial(lambda s: s + "' OR '1'='1")),
        ("revoked in the register", "certificate_revoked", "the key was lost", revoked_in_register(NOON)),
        ("signed before the certificate began", "certificate_not_yet_valid", "nobody vouched for it yet",
         lambda r: r.judge("BANK-A", at=START - SECOND)),
        ("signed after the certificate ended", "certificate_expired", "the key may have been given away since",
         lambda r: r.judge("BANK-A", at=END + SECOND)),
        ("bank A's certificate filed for bank B", "certificate_already_registered", "one certificate, one party",
         lambda r: register_certificate(pem=r.certificate("BANK-A").pem, organisation_code="BANK-B")),
        ("certificate of an unknown authority filed", "certificate_unknown_issuer", "nobody vouches",
         filed(lambda authority: authority.issue())),
        ("authority filed as a signer", "certificate_wrong_usage", "an authority signs certificates, not vouchers",
         filed(lambda authority: authority.certificate)),
        ("encryption certificate filed as a signer", "certificate_wrong_usage", "not for signing texts",
         filed(lambda authority: authority.issue(usage=(2, 3, 4)))),
    ]
]  # fmt: skip
ATTACKS += REGISTER


@pytest.fixture(scope="module")
def attacked() -> Scene:
    return Scene()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("attacked")
    specs = [OrganisationSpec(code, name, SM2) for code, name in (("BANK-A", "甲银行"), ("BANK-B", "乙银行"))]
    make_demo_pki(directory, specs, START, END)
    return directory


@pytest.fixture
def register(db: None, keys: Path) -> Register:
    return Register(keys, import_demo_pki(keys))


def test_honest_chain_is_accepted(attacked):
    assert [c.subject for c in attacked.judge()] == ["CN=Leaf,O=Test,C=CN", "CN=Sub,O=Test,C=CN", "CN=Root,O=Test,C=CN"]
    assert len(below()(attacked)) == 3 and len(under_root(path_length=1)(attacked)) == 3
    assert len(as_stamp(usage=(0,), further=[stamping(critical=True)])(attacked)) == 3
    assert len(leaf(start=NOON, end=NOON)(attacked)) == 3
    assert parse_certificate(pem()(attacked.officer.der)) == attacked.officer


def test_impostor_among_the_trusted_does_not_hide_the_true_authority(attacked):
    both = [attacked.impostor_root.certificate, attacked.impostor.certificate, *attacked.authorities]
    assert attacked.judge(authorities=both) == (attacked.officer, *reversed(attacked.authorities))


def test_what_was_signed_before_the_revocation_stands(attacked):
    """Given proof that the signature existed then: a second earlier is accepted, the second itself is not."""
    assert revoked("keyCompromise", at=NOON - HOUR - SECOND)(attacked)
    with pytest.raises(TreasuryError):
        revoked("keyCompromise", at=NOON - HOUR)(attacked)


def test_honest_vouchers_are_accepted(register):
    assert register.judge("BANK-A").ok and register.judge("BANK-B").ok
    assert revoked_in_register(NOON - SECOND)(register).ok


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a not in REGISTER], ids=lambda attack: attack.name)
def test_attack_on_certificates_is_refused_with_its_code(attacked, attack):
    assert code_of(lambda: attack.run(attacked)) == attack.code


@pytest.mark.parametrize("attack", REGISTER, ids=lambda attack: attack.name)
def test_attack_on_the_register_is_refused_with_its_code(register, attack):
    before = list(Certificate.objects.order_by("pk").values_list("pk", "organisation_code"))

    assert code_of(lambda: attack.run(register)) == attack.code

    assert list(Certificate.objects.order_by("pk").values_list("pk", "organisation_code")) == before
