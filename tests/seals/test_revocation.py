"""Revocation lists: what they say, and every list that must not be believed."""

import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from seals import der
from seals.certificates import validate_chain
from seals.errors import (
    CertificateRevoked,
    RevocationListMalformed,
    RevocationListUnsupported,
    RevocationUnknown,
)
from seals.revocation import (
    GRACE,
    RevocationLists,
    RevocationStatus,
    RevokedEntry,
    build_crl,
    crl_status,
    parse_crl,
    supersedes,
)
from seals.suites import SIGNING_SUITE_IDS, get_suite
from tests.authorities import AUTHORITY, NOON, START, Authority

OPENSSL = shutil.which("openssl")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
THIS, NEXT = NOON - DAY, NOON + DAY
SECOND = timedelta(seconds=1)


def crl(authority, *revoked, number=1, this_update=THIS, next_update=NEXT, extensions=()):
    return parse_crl(
        build_crl(
            authority.issuer,
            number=number,
            this_update=this_update,
            next_update=next_update,
            revoked=revoked,
            extensions=extensions,
        )
    )


@pytest.fixture(scope="module", params=SIGNING_SUITE_IDS)
def root(request):
    return Authority(request.param)


@pytest.fixture(scope="module")
def leaf(root):
    return root.issue()


@pytest.fixture(scope="module")
def sm2():
    return Authority("sm2-sm3")


@pytest.fixture(scope="module")
def sm2_leaf(sm2):
    return sm2.issue()


def test_list_says_good_or_since_when_and_why(root, leaf):
    other = root.issue(serial=99)
    listed = crl(root, RevokedEntry(leaf.serial_hex, NOON - HOUR, "keyCompromise"), number=7)

    assert crl_status(listed, leaf, root.certificate, now=NOON) == RevocationStatus(
        "revoked", NOON - HOUR, "keyCompromise", 7, THIS
    )
    assert crl_status(listed, other, root.certificate, now=NOON) == RevocationStatus("good", None, "", 7, THIS)


def test_pem_and_der_say_the_same(root, leaf):
    listed = crl(root, RevokedEntry(leaf.serial_hex, NOON, "superseded"))
    again = parse_crl(b"Issuer: somebody\n" + der.pem("X509 CRL", listed.der))
    assert (again.der, again.entries, again.number) == (listed.der, listed.entries, listed.number)


def test_revocation_counts_from_its_own_second(root, leaf):
    source = RevocationLists([crl(root, RevokedEntry(leaf.serial_hex, NOON, "keyCompromise"))], now=NOON + HOUR)
    authorities = [root.certificate]

    assert validate_chain(leaf, authorities, NOON - SECOND, revocation=source) == (leaf, root.certificate)
    for at in (NOON, NOON + HOUR):
        with pytest.raises(CertificateRevoked) as refusal:
            validate_chain(leaf, authorities, at, revocation=source)
    assert refusal.value.code == "certificate_revoked"
    assert refusal.value.facts == {
        "serial_hex": leaf.serial_hex,
        "revoked_at": "2026-11-23T04:00:00+00:00",
        "reason": "keyCompromise",
    }


def test_without_a_source_nothing_is_asked(root, leaf):
    assert validate_chain(leaf, [root.certificate], NOON) == (leaf, root.certificate)


def test_list_counts_for_seven_days_after_its_next_update_and_not_a_second_longer(root, leaf):
    listed = crl(root)
    limit = NEXT + timedelta(days=7)

    assert timedelta(days=7) == GRACE
    assert crl_status(listed, leaf, root.certificate, now=limit).state == "good"
    assert crl_status(listed, leaf, root.certificate, now=limit + SECOND).reason == "old"
    assert crl_status(listed, leaf, root.certificate, now=NEXT + SECOND, grace=timedelta()).reason == "old"
    assert crl_status(listed, leaf, root.certificate, now=NEXT, grace=timedelta()).state == "good"


def test_list_from_the_future_is_not_believed(sm2, sm2_leaf):
    listed = crl(sm2, this_update=NOON + SECOND)
    assert crl_status(listed, sm2_leaf, sm2.certificate, now=NOON).reason == "not_yet_valid"
    assert crl_status(listed, sm2_leaf, sm2.certificate, now=NOON + SECOND).state == "good"


def test_revocation_stays_when_the_list_grows_old_but_a_hold_may_have_ended(sm2, sm2_leaf):
    late = NEXT + GRACE + SECOND
    gone = crl(sm2, RevokedEntry(sm2_leaf.serial_hex, NOON - HOUR, "cessationOfOperation"))
    held = crl(sm2, RevokedEntry(sm2_leaf.serial_hex, NOON - HOUR, "certificateHold"))

    assert crl_status(gone, sm2_leaf, sm2.certificate, now=late).state == "revoked"
    assert crl_status(held, sm2_leaf, sm2.certificate, now=NOON).state == "revoked"
    assert crl_status(held, sm2_leaf, sm2.certificate, now=late) == RevocationStatus("unknown", None, "old", 1, THIS)


def test_missing_list_is_not_a_clean_record(root, leaf):
    stranger = Authority(root.suite_id, "Stranger")
    for lists in ([], [crl(stranger)]):
        source = RevocationLists(lists, now=NOON)
        assert source.status(leaf, root.certificate) == RevocationStatus("unknown", reason="missing")
        with pytest.raises(RevocationUnknown) as refusal:
            validate_chain(leaf, [root.certificate], NOON, revocation=source)
        assert refusal.value.code == "revocation_unknown" and refusal.value.facts["reason"] == "missing"


def test_list_of_another_issuer_says_nothing(root, leaf):
    stranger = Authority(root.suite_id, "Stranger")
    listed = crl(stranger, RevokedEntry(leaf.serial_hex, NOON - HOUR))
    assert crl_status(listed, leaf, root.certificate, now=NOON).reason == "wrong_issuer"
    assert crl_status(listed, leaf, stranger.certificate, now=NOON).reason == "wrong_issuer"


def test_list_of_a_namesake_is_forged(root, leaf):
    impostor = Authority(root.suite_id)
    listed = crl(impostor)
    assert impostor.issuer.name == root.issuer.name
    assert crl_status(listed, leaf, root.certificate, now=NOON).reason == "forged"


def test_forged_list_beside_the_true_one_changes_nothing(root, leaf):
    true = crl(root, RevokedEntry(leaf.serial_hex, NOON - HOUR, "keyCompromise"), number=2)
    forged = crl(Authority(root.suite_id), number=999)

    assert RevocationLists([forged, true], now=NOON).status(leaf, root.certificate).reason == "keyCompromise"
    assert RevocationLists([forged], now=NOON).status(leaf, root.certificate).reason == "forged"


def test_any_changed_byte_of_a_list_breaks_it(sm2, sm2_leaf):
    listed = crl(sm2, RevokedEntry(sm2_leaf.serial_hex, NOON - HOUR, "keyCompromise"))
    for position in range(0, len(listed.der), 3):
        changed = bytearray(listed.der)
        changed[position] ^= 1
        try:
            state = crl_status(parse_crl(bytes(changed)), sm2_leaf, sm2.certificate, now=NOON).state
        except (RevocationListMalformed, RevocationListUnsupported):
            continue
        assert state == "unknown", position


def test_list_needs_an_issuer_that_may_sign_lists(sm2):
    without = Authority("sm2-sm3", usage=(5,))
    assert crl_status(crl(without), without.issue(), without.certificate, now=NOON).reason == (
        "issuer_may_not_sign_lists"
    )


def test_newest_list_wins_even_if_an_older_one_says_more(sm2, sm2_leaf):
    held = crl(sm2, RevokedEntry(sm2_leaf.serial_hex, NOON - 2 * DAY, "certificateHold"), number=4)
    released = crl(sm2, number=5)
    for lists in ([held, released], [released, held]):
        assert RevocationLists(lists, now=NOON).status(sm2_leaf, sm2.certificate).state == "good"


def test_old_newest_list_is_not_replaced_by_a_yet_older_one(sm2, sm2_leaf):
    newest = crl(sm2, number=2, this_update=NOON - 30 * DAY, next_update=NOON - 29 * DAY)
    older = crl(sm2, number=1, this_update=NOON - 60 * DAY, next_update=NOON + DAY)
    assert RevocationLists([older, newest], now=NOON).status(sm2_leaf, sm2.certificate).reason == "old"


def test_numbers_only_grow(sm2):
    first, second = crl(sm2, number=1), crl(sm2, number=2, this_update=THIS + HOUR)
    turned_back = crl(sm2, number=3, this_update=THIS - HOUR)
    foreign = crl(Authority("sm2-sm3", "Stranger"), number=9)

    assert supersedes(second, first)
    for refused in (first, turned_back, foreign):
        assert not supersedes(refused, first)
    assert not supersedes(first, second) and not supersedes(second, second)


def test_revoked_authority_refuses_what_it_issued(root):
    sub = Authority(root.suite_id, "Sub", above=root, path_length=0)
    leaf, authorities = sub.issue(), [sub.certificate, root.certificate]
    entry = RevokedEntry(sub.certificate.serial_hex, NOON - HOUR, "cACompromise")
    good = RevocationLists([crl(root), crl(sub)], now=NOON)
    revoked = RevocationLists([crl(root, entry), crl(sub)], now=NOON)

    assert len(validate_chain(leaf, authorities, NOON, revocation=good)) == 3
    with pytest.raises(CertificateRevoked) as refusal:
        validate_chain(leaf, authorities, NOON, revocation=revoked)
    assert refusal.value.facts["serial_hex"] == sub.certificate.serial_hex
    with pytest.raises(RevocationUnknown):  # the root's list is missing: the sub-authority is not known to be good
        validate_chain(leaf, authorities, NOON, revocation=RevocationLists([crl(sub)], now=NOON))


@pytest.mark.parametrize(
    "extension",
    {
        "delta": der.extension("2.5.29.27", der.integer(1), critical=True),
        "delta that says it is harmless": der.extension("2.5.29.27", der.integer(1)),
        "indirect": der.extension("2.5.29.28", bytes.fromhex("30038401ff"), critical=True),
        "some reasons": der.extension("2.5.29.28", bytes.fromhex("300483020640"), critical=True),
        "attribute certificates": der.extension("2.5.29.28", bytes.fromhex("30038501ff"), critical=True),
        "users and authorities": der.extension("2.5.29.28", bytes.fromhex("30068101ff8201ff"), critical=True),
        "unknown critical": der.extension("1.2.156.10197.9.9", b"\5\0", critical=True),
    }.items(),
    ids=lambda item: item[0],
)
def test_list_that_leaves_something_unsaid_is_refused(sm2, extension):
    with pytest.raises(RevocationListUnsupported) as refusal:
        crl(sm2, extensions=[extension[1]])
    assert refusal.value.code == "revocation_list_unsupported"


def test_unknown_uncritical_extension_of_a_list_is_passed_over(sm2, sm2_leaf):
    listed = crl(sm2, extensions=[der.extension("1.2.156.10197.9.9", b"\5\0")])
    assert crl_status(listed, sm2_leaf, sm2.certificate, now=NOON).state == "good"


def test_list_for_authorities_only_says_nothing_of_officers(sm2, sm2_leaf):
    middle = Authority("sm2-sm3", "Sub", above=sm2).certificate
    for_users = crl(sm2, extensions=[der.extension("2.5.29.28", bytes.fromhex("30038101ff"), critical=True)])
    for_authorities = crl(sm2, extensions=[der.extension("2.5.29.28", bytes.fromhex("30038201ff"), critical=True)])

    assert crl_status(for_users, sm2_leaf, sm2.certificate, now=NOON).state == "good"
    assert crl_status(for_users, middle, sm2.certificate, now=NOON).reason == "out_of_scope"
    assert crl_status(for_authorities, middle, sm2.certificate, now=NOON).state == "good"
    assert crl_status(for_authorities, sm2_leaf, sm2.certificate, now=NOON).reason == "out_of_scope"


def test_list_of_one_distribution_point_covers_certificates_that_name_it(sm2):
    def point(name):
        return der.write(0xA0, der.write(0xA0, der.write(0x86, name)))

    def named(name):
        points = der.write(der.SEQUENCE, der.write(der.SEQUENCE, point(name)))
        return sm2.issue(further=[der.extension("2.5.29.31", points)])

    part = der.extension("2.5.29.28", der.write(der.SEQUENCE, point(b"http://ca.example/1.crl")), critical=True)
    listed = crl(sm2, extensions=[part])

    assert crl_status(listed, named(b"http://ca.example/1.crl"), sm2.certificate, now=NOON).state == "good"
    assert crl_status(listed, named(b"http://ca.example/2.crl"), sm2.certificate, now=NOON).reason == "out_of_scope"
    assert crl_status(listed, sm2.issue(), sm2.certificate, now=NOON).reason == "out_of_scope"


def entry_with(*extensions, serial=b"\x0a"):
    return der.write(
        der.SEQUENCE,
        der.write(der.INTEGER, serial),
        der.time(NOON),
        der.write(der.SEQUENCE, *extensions) if extensions else b"",
    )


def raw_list(sm2, entry=b"", *, dates=(THIS, NEXT), outer=None, tail=b"", version=True):
    suite = get_suite("sm2-sm3")
    algorithm = der.write(der.SEQUENCE, der.oid(suite.signature_oid))
    tbs = der.write(
        der.SEQUENCE,
        der.integer(1) if version else b"",
        algorithm,
        sm2.issuer.name,
        *map(der.time, dates),
        der.write(der.SEQUENCE, entry) if entry else b"",
    )
    signature = der.write(der.BIT_STRING, b"\0", sm2.sign(tbs))
    return der.write(der.SEQUENCE, tbs, outer or algorithm, signature) + tail


def test_entry_may_name_no_reason_and_a_date_of_loss(sm2):
    loss = der.extension("2.5.29.24", der.write(der.GENERALIZED_TIME, b"20261101000000Z"))
    for entry in (entry_with(), entry_with(loss), entry_with(serial=b"\0\x0a")):
        assert parse_crl(raw_list(sm2, entry)).entries == {"0a": RevokedEntry("0a", NOON, "unspecified")}


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (entry_with(der.extension("2.5.29.29", b"\x30\0", critical=True)), RevocationListUnsupported),
        (entry_with(der.extension("2.5.29.29", b"\x30\0")), RevocationListUnsupported),
        (entry_with(der.extension("1.2.3", b"\5\0", critical=True)), RevocationListUnsupported),
        (entry_with(der.extension("2.5.29.21", b"\x0a\x01\x07")), RevocationListMalformed),
        (entry_with(der.extension("2.5.29.21", b"\x0a\x01\x08")), RevocationListMalformed),
        (entry_with(der.extension("2.5.29.21", b"\x0a\x01\x0b")), RevocationListMalformed),
        (der.write(der.SEQUENCE, der.integer(1)), RevocationListMalformed),
        (der.write(der.SEQUENCE, der.time(NOON), der.time(NOON)), RevocationListMalformed),
    ],
    ids=["other issuer", "other issuer, not critical", "unknown critical", "reason 7", "removed", "reason 11",
         "no time", "no serial"],
)  # fmt: skip
def test_entry_that_is_not_understood_refuses_the_list(sm2, entry, error):
    with pytest.raises(error):
        parse_crl(raw_list(sm2, entry))


def test_list_without_next_update_is_malformed(sm2):
    with pytest.raises(RevocationListMalformed):
        parse_crl(raw_list(sm2, dates=(THIS,)))


def test_signed_and_stated_algorithm_of_a_list_must_agree(sm2):
    null = der.write(der.SEQUENCE, der.oid("1.2.156.10197.1.501"), der.write(der.NULL))
    with pytest.raises(RevocationListMalformed):
        parse_crl(raw_list(sm2, outer=null))


@pytest.mark.parametrize("data", [b"", b"junk", b"0" * 50, b"\x30\x80\0\0", b"-----BEGIN X509 CRL-----\nAAAA\n"])
def test_what_is_no_list_is_refused(data):
    with pytest.raises(RevocationListMalformed):
        parse_crl(data)


def test_list_with_a_tail_or_cut_short_is_refused(sm2):
    whole = raw_list(sm2, entry_with())
    for data in (whole + b"\0", der.pem("X509 CRL", whole) * 2, *(whole[:n] for n in range(0, len(whole), 5))):
        with pytest.raises(RevocationListMalformed):
            parse_crl(data)


def test_overlong_list_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("seals.revocation.LONGEST_LIST", 100)
    with pytest.raises(RevocationListMalformed, match="过长"):
        parse_crl(b"0" * 101)


def test_sha1_list_is_read_only_for_a_key_that_only_verifies():
    old = Authority("rsa-sha1")
    algorithm = der.write(der.SEQUENCE, der.oid("1.2.840.113549.1.1.5"))
    tbs = der.write(der.SEQUENCE, der.integer(1), algorithm, old.issuer.name, der.time(THIS), der.time(NEXT))
    listed = parse_crl(der.write(der.SEQUENCE, tbs, algorithm, der.write(der.BIT_STRING, b"\0", old.sign(tbs))))
    current = old.issue(spki=get_suite("rsa-sha256").generate_private_key().spki)

    assert crl_status(listed, old.issue(), old.certificate, now=NOON).state == "good"
    assert crl_status(listed, current, old.certificate, now=NOON).reason == "forged"


def test_large_list_is_read_in_linear_time(sm2):
    entries = [RevokedEntry(f"{number:08x}", START, "superseded") for number in range(1, 20_001)]
    encoded = build_crl(sm2.issuer, number=1, this_update=THIS, next_update=NEXT, revoked=entries)

    started = time.process_time()
    listed = parse_crl(encoded)
    spent = time.process_time() - started

    assert len(listed.entries) == 20_000
    assert spent < 5, spent  # quadratic reading would take minutes


def test_our_lists_are_read_by_others(root):
    listed = crl(root, RevokedEntry("0a", NOON, "keyCompromise"), RevokedEntry("ff00", NOON - HOUR), number=300)

    theirs = x509.load_der_x509_crl(listed.der)

    assert (theirs.last_update_utc, theirs.next_update_utc) == (THIS, NEXT)
    assert {(entry.serial_number, entry.revocation_date_utc) for entry in theirs} == {(10, NOON), (65280, NOON - HOUR)}
    assert theirs.get_revoked_certificate_by_serial_number(10).extensions[0].value.reason.value == "keyCompromise"
    assert theirs.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 300


def test_times_of_lists_are_read_on_both_sides_of_2050():
    assert der.instant(der.read(der.time(datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)))[0]).year == 2049
    assert der.instant(der.read(der.time(datetime(2050, 1, 1, tzinfo=UTC)))[0]).year == 2050
    assert der.instant(der.read(b"\x17\x0d500101000000Z")[0]).year == 1950
    for text in (b"2601010000Z", b"260101000000+0800", b"26010100000 Z", b"261301000000Z"):
        with pytest.raises(ValueError, match=r".*"):
            der.instant(der.read(der.write(der.UTC_TIME, text))[0])


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl command on this machine")
@pytest.mark.parametrize("suite_id", ["ecdsa-p256-sha256", "rsa-sha256"])  # the command verifies no SM2 lists
class TestOpenSslAgrees:
    """The same verdict on the same chain and list by the system's own command."""

    def verdict(self, folder, leaf, root, listed):
        for name, text in {"leaf.pem": leaf.pem, "root.pem": root.pem}.items():
            (folder / name).write_text(text)
        (folder / "crl.pem").write_bytes(der.pem("X509 CRL", listed.der))
        command = [OPENSSL, "verify", "-no-CApath", "-no-CAstore", "-attime", str(int(NOON.timestamp())), "-crl_check"]
        command += ["-CAfile", "root.pem", "-CRLfile", "crl.pem", "leaf.pem"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    @pytest.mark.parametrize(
        ("case", "state", "says"),
        [
            ("good", "good", "OK"),
            ("revoked", "revoked", "certificate revoked"),
            ("from the future", "unknown", "CRL is not yet valid"),
            ("old", "unknown", "CRL has expired"),
            ("namesake", "unknown", "unable to get certificate CRL|CRL signature failure"),
            ("may not sign", "unknown", "key usage does not include CRL signing"),
        ],
    )
    def test_on_every_list(self, tmp_path, suite_id, case, state, says):
        authority = Authority(suite_id, usage=(5,) if case == "may not sign" else AUTHORITY)
        leaf = authority.issue()
        signer = Authority(suite_id) if case == "namesake" else authority
        listed = crl(
            signer,
            *([RevokedEntry(leaf.serial_hex, NOON - HOUR, "keyCompromise")] if case == "revoked" else []),
            this_update=NOON + HOUR if case == "from the future" else THIS - 30 * DAY,
            next_update=NOON - 20 * DAY if case == "old" else NEXT,
        )

        answer = self.verdict(tmp_path, leaf, authority.certificate, listed)

        assert crl_status(listed, leaf, authority.certificate, now=NOON).state == state
        assert (answer.returncode == 0) == (state == "good"), answer.stderr
        assert any(word in answer.stdout + answer.stderr for word in says.split("|")), answer.stderr
