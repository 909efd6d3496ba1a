"""Family E: attacks on electronic seals. Each case is a stamp somebody might present, and the word it must get.

All are judged with the right content, place, authorities and times unless the case says otherwise. Those that change
a seal or a stamp sign it again wherever the attacker could: with the signer's key for the stamp, with the maker's
where the case is about a careless maker, never with a key the attacker would not have.
"""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from core.digests import sm3
from seals import der
from seals.certificates import Issuer
from seals.eseal.structures import (
    MOST_HOLDERS,
)
from seals.revocation import RevocationLists, RevokedEntry, build_crl, parse_crl
from seals.suites import get_suite
from seals.suites.sm2 import Sm2Sm3
from seals.verdicts import Indication
from seals.verdicts import SubIndication as S
from tests.seals.eseal_world import (
    CONTENT,
    PROPERTY,
    RECEIVED_AT,
    SEAL_END,
    SEAL_START,
    SIGNED_AT,
    START,
    drop,
    edit,
    extension,
    png,
    remade_seal,
    root,
    seal_up,
    signed_off,
    stamp_of_seal,
    world,
    wrap,
)
from tests.seals.test_cms import signed_data

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
INFO = (0,)  # of the seal
NAME, KIND, LIST_TYPE, LIST, VALID_TO = (0, 2, 1), (0, 2, 0), (0, 2, 2), (0, 2, 3), (0, 2, 6)
CASES = []


def case(expected, **judged):
    """Register a case: given the world, what is presented; judged with these arguments besides the usual ones."""

    def keep(make):
        CASES.append(pytest.param(make, expected, judged, id=make.__name__))
        return make

    return keep


@pytest.mark.parametrize(("make", "expected", "judged"), CASES)
def test_attack_gets_its_word(make, expected, judged):
    w = world()

    made = make(w)
    stamp, changes = made if isinstance(made, tuple) else (made, {})
    report = w.judge(stamp, **{**judged, **changes})

    assert report.verdict.sub_indication is expected, report.findings
    assert not report.verdict.ok and report.verdict.reason and report.verdict.advice


def test_what_is_not_attacked_passes():
    assert world().judge(world().stamp()).verdict.indication is Indication.TOTAL_PASSED


def test_there_are_many_cases():
    assert len(CASES) >= 100


# --- what the seal says, changed after its maker signed it


def utf8(text):
    return der.write(der.UTF8_STRING, text.encode())


def ia5(text):
    return der.write(0x16, text.encode())


def general_time(text):
    return der.write(der.GENERALIZED_TIME, text.encode())


def holders(*certificates):
    return der.write(der.SEQUENCE, *(der.write(der.OCTET_STRING, each) for each in certificates))


@case(S.SIG_CRYPTO_FAILURE)
def picture_swapped(w):
    return stamp_of_seal(w, edit(w.seal(), (0, 3, 1), der.write(der.OCTET_STRING, png(16, 16))))


@case(S.SIG_CRYPTO_FAILURE)
def picture_enlarged(w):
    return stamp_of_seal(w, edit(w.seal(), (0, 3, 2), der.integer(60)))


@case(S.SIG_CRYPTO_FAILURE)
def name_swapped(w):
    return stamp_of_seal(w, edit(w.seal(), NAME, utf8("临江市人民政府")))


@case(S.SIG_CRYPTO_FAILURE)
def number_swapped(w):
    return stamp_of_seal(w, edit(w.seal(), (0, 1), ia5("9901000000000002")))


@case(S.SIG_CRYPTO_FAILURE)
def kind_swapped(w):
    return stamp_of_seal(w, edit(w.seal(), KIND, der.integer(2)))


@case(S.SIG_CRYPTO_FAILURE)
def vendor_swapped(w):
    return stamp_of_seal(w, edit(w.seal(), (0, 0, 2), ia5("OTHER")))


@case(S.SIG_CRYPTO_FAILURE)
def validity_prolonged(w):
    return stamp_of_seal(w, edit(w.seal(), VALID_TO, general_time("20990101000000Z")))


@case(S.SIG_CRYPTO_FAILURE)
def holder_added(w):
    thief = w.root.issue("乙某")
    listed = holders(w.signer.certificate.der, thief.certificate.der)
    return stamp_of_seal(w, edit(w.seal(), LIST, listed), signer=thief)


@case(S.SIG_CRYPTO_FAILURE)
def holder_replaced(w):
    thief = w.root.issue("乙某")
    return stamp_of_seal(w, edit(w.seal(), LIST, holders(thief.certificate.der)), signer=thief)


@case(S.SIG_CRYPTO_FAILURE)
def extension_added_to_the_seal(w):
    added = der.write(der.SEQUENCE, extension("1.2.3.4", b"\x05\x00"))
    return stamp_of_seal(w, edit(w.seal(), INFO, lambda info: der.write(der.SEQUENCE, info.value, added)))


@case(S.SIG_CRYPTO_FAILURE)
def seal_signature_of_another_seal(w):
    other = w.seal(es_id="9901000000000002")
    return stamp_of_seal(w, edit(w.seal(), (3,), der.read_all(der.read(other)[0].value)[3].raw))


@case(S.SIG_CRYPTO_FAILURE)
def seal_signed_by_its_own_holder(w):
    return stamp_of_seal(w, edit(w.seal(), (3,), der.write(der.BIT_STRING, b"\0", w.signer.sign(b"anything"))))


# --- when


@case(S.EXPIRED)
def seal_expired_a_second_before(w):
    return w.stamp(seal=w.seal(valid_to=SIGNED_AT - SECOND))


@case(S.NOT_YET_VALID)
def seal_valid_a_second_later(w):
    return w.stamp(seal=w.seal(valid_from=SIGNED_AT + SECOND))


@case(S.OUT_OF_BOUNDS_NO_POE, at=SEAL_END + DAY, now=SEAL_END + DAY)
def stamp_dated_back_into_the_seals_validity(w):
    return w.stamp(signed_at=SEAL_END - SECOND)


@case(S.TIMESTAMP_ORDER_FAILURE)
def stamp_dated_ahead(w):
    return w.stamp(signed_at=RECEIVED_AT + timedelta(minutes=5, seconds=1))


@case(S.TIMESTAMP_ORDER_FAILURE, at=RECEIVED_AT + 2 * DAY)
def stamp_dated_ahead_of_the_judgement_though_proof_is_claimed_for_later(w):
    return w.stamp(signed_at=RECEIVED_AT + DAY)


@case(S.EXPIRED)
def seal_expired_by_a_year_dated_before_its_start(w):
    return w.stamp(seal=w.seal(valid_from=SEAL_START - 900 * DAY, valid_to=SEAL_START))


# --- who may use it


@case(S.SIG_CONSTRAINTS_FAILURE)
def signer_not_in_the_list(w):
    return w.stamp(w.root.issue("丙某"))


@case(S.SIG_CONSTRAINTS_FAILURE)
def signer_renewed_under_the_same_key_and_name(w):
    return w.stamp(w.root.issue(key=w.signer.key, start=START + DAY))


def by_digest(w, digest, name=None):
    listed = remade_seal(
        w, (2, 2), der.integer(2)
    )  # then the list itself, so that only the maker's last signature counts
    entry = der.write(
        der.SEQUENCE,
        der.write(der.PRINTABLE_STRING, (name or "1.2.156.10197.1.401").encode()),
        der.write(der.OCTET_STRING, digest),
    )
    info = edit(der.read_all(der.read(listed)[0].value)[0].raw, (2, 3), der.write(der.SEQUENCE, entry))
    return stamp_of_seal(w, signed_off(info, w.maker))


@case(S.SIG_CONSTRAINTS_FAILURE)
def digest_list_of_another_certificate(w):
    return by_digest(w, sm3(w.root.issue("丁某").certificate.der))


@case(S.SIG_CONSTRAINTS_FAILURE)
def digest_list_with_another_algorithms_value(w):
    return by_digest(w, get_suite("ecdsa-p256-sha256").digest(w.signer.certificate.der))


@case(S.SIG_CONSTRAINTS_FAILURE)
def digest_list_cut_short(w):
    return by_digest(w, sm3(w.signer.certificate.der)[:20])


@case(S.SIG_CONSTRAINTS_FAILURE)
def digest_list_of_nothing(w):
    return by_digest(w, b"")


@case(S.SIG_CONSTRAINTS_FAILURE)
def digest_list_under_an_unknown_name(w):
    return by_digest(w, sm3(w.signer.certificate.der), "MD5")


@case(S.SIG_CONSTRAINTS_FAILURE)
def digest_list_of_the_key_instead_of_the_certificate(w):
    return by_digest(w, sm3(w.signer.certificate.spki))


@case(S.FORMAT_FAILURE)
def digest_list_called_a_certificate_list(w):
    digests = der.write(
        der.SEQUENCE,
        der.write(der.SEQUENCE, der.write(der.PRINTABLE_STRING, b"SM3"), der.write(der.OCTET_STRING, b"\x01" * 32)),
    )
    return stamp_of_seal(w, remade_seal(w, (2, 3), digests))


@case(S.FORMAT_FAILURE)
def certificate_list_called_a_digest_list(w):
    return stamp_of_seal(w, remade_seal(w, (2, 2), der.integer(2)))


@case(S.FORMAT_FAILURE)
def list_of_a_third_kind(w):
    return stamp_of_seal(w, remade_seal(w, (2, 2), der.integer(3)))


@case(S.FORMAT_FAILURE)
def list_of_nobody(w):
    return stamp_of_seal(w, remade_seal(w, (2, 3), holders()))


@case(S.FORMAT_FAILURE)
def list_of_too_many(w):
    return stamp_of_seal(w, remade_seal(w, (2, 3), holders(*[w.signer.certificate.der] * (MOST_HOLDERS + 1))))


# --- who made it


@case(S.NO_CERTIFICATE_CHAIN_FOUND)
def self_made_seal_with_valid_mathematics(w):
    return w.stamp(seal=w.seal(root(name="Forger root").issue("Test seal maker")))


@case(S.NO_CERTIFICATE_CHAIN_FOUND)
def seal_made_by_an_officer_of_a_trusted_root(w):
    return w.stamp(seal=w.seal(w.signer))


@case(S.CERTIFICATE_CHAIN_GENERAL_FAILURE)
def forgers_root_bears_the_makers_roots_name(w):
    return w.stamp(seal=w.seal(root(name="Test maker root").issue("Test seal maker")))


@case(S.NO_CERTIFICATE_CHAIN_FOUND)
def maker_certificate_replaced_by_one_of_another_root_for_the_same_key(w):
    forged = root(name="Forger root").issue("Test seal maker", key=w.maker.key)
    return stamp_of_seal(w, edit(w.seal(), (1,), der.write(der.OCTET_STRING, forged.certificate.der)))


@case(S.SIG_CRYPTO_FAILURE)
def maker_certificate_replaced_by_another_makers(w):
    other = w.maker_root.issue("Test seal maker 2")
    return stamp_of_seal(w, edit(w.seal(), (1,), der.write(der.OCTET_STRING, other.certificate.der)))


@case(S.CHAIN_CONSTRAINTS_FAILURE)
def maker_below_the_right_root_but_not_admitted(w):
    return w.stamp(seal=w.seal(w.maker_root.issue("Test web server"))), {"makers": [w.maker.certificate.der]}


@case(S.CHAIN_CONSTRAINTS_FAILURE)
def seal_made_by_the_root_itself(w):
    return w.stamp(seal=w.seal(w.maker_root))


@case(S.CHAIN_CONSTRAINTS_FAILURE)
def maker_may_only_encrypt(w):
    return w.stamp(seal=w.seal(w.maker_root.issue("Test seal maker", usage=(2, 3))))


@case(S.CHAIN_CONSTRAINTS_FAILURE)
def maker_is_an_authority(w):
    return w.stamp(seal=w.seal(w.maker_root.issue("Test seal maker", usage=(0, 5), authority=True)))


@case(S.CHAIN_CONSTRAINTS_FAILURE)
def maker_has_a_critical_extension_nobody_knows(w):
    extra = extension("1.2.156.10197.9.9", b"\x05\x00", critical=True)
    return w.stamp(seal=w.seal(w.maker_root.issue("Test seal maker", extra=extra)))


@case(S.EXPIRED)
def maker_expired(w):
    return w.stamp(seal=w.seal(w.maker_root.issue("Test seal maker", end=SIGNED_AT - DAY)))


@case(S.NOT_YET_VALID)
def maker_not_yet_valid(w):
    return w.stamp(seal=w.seal(w.maker_root.issue("Test seal maker", start=SIGNED_AT + DAY)))


@case(S.OUT_OF_BOUNDS_NO_POE)
def maker_expired_before_the_stamp_is_proven(w):
    return w.stamp(seal=w.seal(w.maker_root.issue("Test seal maker", end=SIGNED_AT + SECOND)))


@case(S.FORMAT_FAILURE)
def maker_certificate_is_no_certificate(w):
    return stamp_of_seal(w, edit(w.seal(), (1,), der.write(der.OCTET_STRING, b"\x30\x00")))


# --- the signer's certificate


@case(S.NO_CERTIFICATE_CHAIN_FOUND)
def signer_of_an_unknown_root(w):
    stranger = root(name="Other root").issue()
    return w.stamp(stranger, seal=w.seal(holders=[stranger.certificate.der]))


def stamp_by(w, signer):
    return w.stamp(signer, seal=w.seal(holders=[signer.certificate.der]))


@case(S.EXPIRED)
def signer_expired(w):
    return stamp_by(w, w.root.issue(end=SIGNED_AT - SECOND))


@case(S.NOT_YET_VALID)
def signer_not_yet_valid(w):
    return stamp_by(w, w.root.issue(start=SIGNED_AT + SECOND))


@case(S.OUT_OF_BOUNDS_NO_POE)
def signer_expired_before_the_stamp_is_proven(w):
    return stamp_by(w, w.root.issue(end=SIGNED_AT + SECOND))


@case(S.CHAIN_CONSTRAINTS_FAILURE)
def signer_uses_the_encryption_certificate(w):
    return stamp_by(w, w.root.issue(usage=(2, 3, 4)))


@case(S.CHAIN_CONSTRAINTS_FAILURE)
def signer_is_an_authority(w):
    return stamp_by(w, w.root.issue(usage=(0, 5), authority=True))


@case(S.CHAIN_CONSTRAINTS_FAILURE)
def signer_has_a_critical_extension_nobody_knows(w):
    return stamp_by(w, w.root.issue(extra=extension("1.2.156.10197.9.9", b"\x05\x00", critical=True)))


@case(S.SIG_CRYPTO_FAILURE)
def certificate_of_another_holder_shown(w):
    other = w.root.issue("戊某")
    tbs = w.tbs(seal=w.seal(holders=[w.signer.certificate.der, other.certificate.der]))
    return seal_up(tbs, w.signer, certificate=other.certificate.der)


@case(S.FORMAT_FAILURE)
def signer_certificate_with_a_tail(w):
    return seal_up(w.tbs(), w.signer, certificate=w.signer.certificate.der + b"\0")


@case(S.FORMAT_FAILURE)
def signer_certificate_missing(w):
    return seal_up(w.tbs(), w.signer, certificate=b"")


# --- revocation


def lists(w, revoked=None, revoked_at=None, *, next_update=RECEIVED_AT + DAY):
    made = []
    for authority in (w.root, w.maker_root):
        issuer = Issuer(authority.name, authority.key.spki, authority.key)
        gone = revoked is not None and revoked.certificate.issuer_name == authority.name
        entries = [RevokedEntry(revoked.certificate.serial_hex, revoked_at, "keyCompromise")] if gone else []
        crl = build_crl(issuer, number=1, this_update=START, next_update=next_update, revoked=entries)
        made.append(parse_crl(crl))
    return {"revocation": RevocationLists(made, now=RECEIVED_AT)}


@case(S.REVOKED)
def signer_revoked_before(w):
    return w.stamp(), lists(w, w.signer, SIGNED_AT - SECOND)


@case(S.REVOKED)
def signer_revoked_at_the_very_second(w):
    return w.stamp(), lists(w, w.signer, SIGNED_AT)


@case(S.REVOKED_NO_POE)
def signer_revoked_before_the_stamp_is_proven(w):
    return w.stamp(), lists(w, w.signer, SIGNED_AT + SECOND)


@case(S.REVOKED)
def maker_revoked_before(w):
    return w.stamp(), lists(w, w.maker, SIGNED_AT - SECOND)


@case(S.REVOKED_NO_POE)
def maker_revoked_before_the_stamp_is_proven(w):
    return w.stamp(), lists(w, w.maker, SIGNED_AT + SECOND)


@case(S.TRY_LATER)
def no_revocation_list(w):
    return w.stamp(), {"revocation": RevocationLists([], now=RECEIVED_AT)}


@case(S.TRY_LATER)
def revocation_list_of_last_month(w):
    return w.stamp(), lists(w, next_update=RECEIVED_AT - 30 * DAY)


# --- the content


@case(S.HASH_FAILURE, content=CONTENT.replace(b"P", b"Q", 1))
def content_changed(w):
    return w.stamp()


@case(S.HASH_FAILURE, content=CONTENT + b"\n")
def content_with_a_line_end(w):
    return w.stamp()


@case(S.HASH_FAILURE, content=b"")
def content_gone(w):
    return w.stamp()


@case(S.HASH_FAILURE)
def stamp_of_another_voucher(w):
    return w.stamp(data_hash=sm3(b"another voucher"))


@case(S.SIGNED_DATA_NOT_FOUND)
def digest_all_zero(w):
    return w.stamp(data_hash=bytes(32))


@case(S.SIGNED_DATA_NOT_FOUND)
def digest_empty(w):
    return w.stamp(data_hash=b"")


@case(S.SIGNED_DATA_NOT_FOUND)
def digest_all_zero_and_signer_unknown(w):
    return w.stamp(data_hash=bytes(32)), {"signer_authorities": []}


@case(S.HASH_FAILURE)
def digest_cut_short(w):
    return w.stamp(data_hash=sm3(CONTENT)[:31])


@case(S.HASH_FAILURE)
def digest_with_a_tail(w):
    return w.stamp(data_hash=sm3(CONTENT) + b"\0")


@case(S.HASH_FAILURE)
def digest_of_another_algorithm(w):
    return w.stamp(data_hash=get_suite("ecdsa-p256-sha256").digest(CONTENT))


@case(S.HASH_FAILURE)
def content_itself_in_place_of_its_digest(w):
    return w.stamp(data_hash=CONTENT)


@case(S.SIG_CONSTRAINTS_FAILURE)
def stamp_moved_to_another_position(w):
    return w.stamp(property_info=PROPERTY.replace("cz_dwgz", "cz_dwsz"))


@case(S.SIG_CONSTRAINTS_FAILURE)
def seal_of_one_region_over_anothers_voucher(w):
    return w.stamp(property_info=PROPERTY.replace("990100", "990200"))


@case(S.SIG_CONSTRAINTS_FAILURE)
def stamp_of_last_years_voucher(w):
    return w.stamp(property_info=PROPERTY.replace("2026/", "2025/", 1))


@case(S.SIG_CONSTRAINTS_FAILURE)
def place_in_capitals(w):
    return w.stamp(property_info=PROPERTY.upper())


@case(S.SIG_CONSTRAINTS_FAILURE)
def place_with_a_slash_before(w):
    return w.stamp(property_info="/" + PROPERTY)


@case(S.SIG_CONSTRAINTS_FAILURE)
def place_is_only_the_beginning(w):
    return w.stamp(property_info=PROPERTY[:-1])


# --- the mathematics


@case(S.SIG_CRYPTO_FAILURE)
def signed_by_another_key(w):
    return seal_up(w.tbs(), w.signer, signature=w.root.issue().sign(w.tbs()))


@case(S.SIG_CRYPTO_FAILURE)
def signature_of_another_stamp(w):
    return seal_up(w.tbs(), w.signer, signature=w.signer.sign(w.tbs(signed_at=SIGNED_AT + SECOND)))


@case(S.SIG_CRYPTO_FAILURE)
def signed_time_changed(w):
    return edit(w.stamp(), (0, 2), general_time("20260614010000Z"))


@case(S.SIG_CRYPTO_FAILURE)
def place_changed_after_signing(w):
    return edit(w.stamp(property_info=PROPERTY.replace("5201", "5202")), (0, 4), ia5(PROPERTY))


@case(S.SIG_CRYPTO_FAILURE)
def digest_changed_after_signing(w):
    return edit(w.stamp(data_hash=sm3(b"x")), (0, 3), der.write(der.BIT_STRING, b"\0", sm3(CONTENT)))


@case(S.SIG_CRYPTO_FAILURE)
def evidence_root_removed(w):
    return drop(w.stamp(), (0, 5))


@case(S.SIG_CRYPTO_FAILURE)
def evidence_root_replaced(w):
    return edit(w.stamp(), (0, 5, 0, 0, 1), der.write(der.OCTET_STRING, b'{"root":"00"}'))


@case(S.SIG_CRYPTO_FAILURE)
def tbs_encoded_anew_with_a_default_written_out(w):
    """The same meaning, other bytes: what is verified is what came, not what we would have written."""
    explicit = der.write(der.BOOLEAN, b"\x00")

    def write_out(entry):
        name, value = der.read_all(entry.value)
        return der.write(der.SEQUENCE, name.raw, explicit, value.raw)

    return edit(w.stamp(), (0, 5, 0, 0), write_out)


@case(S.SIG_CRYPTO_FAILURE)
def signature_of_zeroes(w):
    return seal_up(w.tbs(), w.signer, signature=der.write(der.SEQUENCE, der.integer(0), der.integer(0)))


@case(S.SIG_CRYPTO_FAILURE)
def raw_signature_of_zeroes(w):
    return seal_up(w.tbs(), w.signer, signature=bytes(64))


@case(S.SIG_CRYPTO_FAILURE)
def raw_signature_cut_short(w):
    return seal_up(w.tbs(), w.signer, signature=der.signature_to_raw(w.signer.sign(w.tbs()))[:63])


@case(S.SIG_CRYPTO_FAILURE)
def raw_signature_with_a_tail(w):
    return seal_up(w.tbs(), w.signer, signature=der.signature_to_raw(w.signer.sign(w.tbs())) + b"\0")


@case(S.SIG_CRYPTO_FAILURE)
def raw_signature_halves_exchanged(w):
    raw = der.signature_to_raw(w.signer.sign(w.tbs()))
    return seal_up(w.tbs(), w.signer, signature=raw[32:] + raw[:32])


@case(S.SIG_CRYPTO_FAILURE)
def signature_with_a_tail(w):
    return seal_up(w.tbs(), w.signer, signature=w.signer.sign(w.tbs()) + b"\0")


@case(S.SIG_CRYPTO_FAILURE)
def signature_empty(w):
    return seal_up(w.tbs(), w.signer, signature=b"")


@case(S.SIG_CRYPTO_FAILURE)
def signature_with_s_mirrored(w):
    order = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
    raw = der.signature_to_raw(w.signer.sign(w.tbs()))
    mirrored = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    return seal_up(w.tbs(), w.signer, signature=der.signature_from_raw(mirrored))


@case(S.SIG_CRYPTO_FAILURE)
def signed_under_another_user_id(w):
    suite = Sm2Sm3(user_id=b"ALICE123@YAHOO.COM")
    return seal_up(w.tbs(), w.signer, signature=suite.sign(w.signer.key, w.tbs()))


@case(S.CRYPTO_CONSTRAINTS_FAILURE)
def sm2_called_ecdsa(w):
    return seal_up(w.tbs(), w.signer, oid="1.2.840.10045.4.3.2")


@case(S.CRYPTO_CONSTRAINTS_FAILURE)
def p256_key_called_sm2(w):
    other = world("ecdsa-p256-sha256")
    return seal_up(other.tbs(), other.signer, oid="1.2.156.10197.1.501"), trust(other)


@case(S.CRYPTO_CONSTRAINTS_FAILURE)
def maker_of_p256_called_sm2(w):
    other = world("ecdsa-p256-sha256")
    seal = edit(other.seal(), (2,), der.oid("1.2.156.10197.1.501"))
    return stamp_of_seal(other, seal), trust(other)


@case(S.CRYPTO_CONSTRAINTS_FAILURE)
def rsa_called_sha1(w):
    other = world("rsa-sha256")
    return seal_up(other.tbs(), other.signer, oid="1.2.840.113549.1.1.5"), trust(other)


@case(S.CRYPTO_CONSTRAINTS_FAILURE)
def algorithm_nobody_knows(w):
    return seal_up(w.tbs(), w.signer, oid="1.2.3.4")


@case(S.SIG_CRYPTO_FAILURE)
def p256_key_signs_with_sm3(w):
    other = world("ecdsa-p256-sha256")
    tbs = other.tbs()
    return seal_up(tbs, other.signer, signature=other.signer.key.native.sign(tbs, ec.ECDSA(hashes.SM3()))), trust(other)


def trust(other):
    return {
        "maker_authorities": [other.maker_root.certificate],
        "signer_authorities": [other.root.certificate],
    }


# --- the structure


@case(S.FORMAT_FAILURE)
def nothing_at_all(w):
    return b""


@case(S.FORMAT_FAILURE)
def text_in_place_of_a_stamp(w):
    return b"<SignStamp/>"


@case(S.FORMAT_FAILURE)
def seal_in_place_of_a_stamp(w):
    return w.seal()


@case(S.FORMAT_FAILURE)
def tail_behind_the_stamp(w):
    return w.stamp() + b"\0"


@case(S.FORMAT_FAILURE)
def second_stamp_behind_the_first(w):
    return w.stamp() + w.stamp()


@case(S.FORMAT_FAILURE)
def last_byte_missing(w):
    return w.stamp()[:-1]


@case(S.FORMAT_FAILURE)
def field_behind_the_signature(w):
    return signed_off(w.tbs(), w.signer, der.integer(1))


@case(S.FORMAT_FAILURE)
def field_behind_the_seals_signature(w):
    seal = der.read(w.seal())[0]
    return stamp_of_seal(w, der.write(der.SEQUENCE, seal.value, der.integer(1)))


@case(S.FORMAT_FAILURE)
def field_behind_the_extensions(w):
    tbs = der.read(w.tbs())[0]
    return signed_off(der.write(der.SEQUENCE, tbs.value, der.integer(1)), w.signer)


@case(S.FORMAT_FAILURE)
def place_missing(w):
    return signed_off(drop(w.tbs(), (4,)), w.signer)


@case(S.FORMAT_FAILURE)
def digest_missing(w):
    return signed_off(drop(w.tbs(), (3,)), w.signer)


@case(S.FORMAT_FAILURE)
def picture_missing(w):
    return stamp_of_seal(w, remade_seal(w, (3,), b""))


@case(S.FORMAT_FAILURE)
def version_4_called_version_1(w):
    return signed_off(edit(w.tbs(), (0,), der.integer(1)), w.signer)


@case(S.FORMAT_FAILURE)
def version_4_seal_in_a_version_5_stamp(w):
    return signed_off(edit(w.tbs(), (0,), der.integer(5)), w.signer)


@case(S.FORMAT_FAILURE)
def version_5_seal_in_a_version_4_stamp(w):
    return stamp_of_seal(w, remade_seal(w, (0, 1), der.integer(5)))


@case(S.FORMAT_FAILURE)
def version_1_header_on_a_version_4_seal(w):
    return stamp_of_seal(w, remade_seal(w, (0, 1), der.integer(1)))


@case(S.FORMAT_FAILURE)
def version_nobody_knows(w):
    return signed_off(edit(w.tbs(), (0,), der.integer(6)), w.signer)


@case(S.FORMAT_FAILURE)
def version_negative(w):
    return signed_off(edit(w.tbs(), (0,), der.write(der.INTEGER, b"\xfc")), w.signer)


@case(S.FORMAT_FAILURE)
def version_padded(w):
    return signed_off(edit(w.tbs(), (0,), der.write(der.INTEGER, b"\x00\x04")), w.signer)


@case(S.FORMAT_FAILURE)
def header_of_something_else(w):
    return stamp_of_seal(w, remade_seal(w, (0, 0), ia5("XX")))


@case(S.FORMAT_FAILURE)
def outer_sequence_called_a_set(w):
    return b"\x31" + w.stamp()[1:]


@case(S.FORMAT_FAILURE)
def length_in_a_longer_form(w):
    stamp = w.stamp()
    assert stamp[1] == 0x82
    return stamp[:1] + b"\x83\x00" + stamp[2:]


@case(S.FORMAT_FAILURE)
def length_indefinite(w):
    return b"\x30\x80" + der.read(w.stamp())[0].value + b"\0\0"


@case(S.FORMAT_FAILURE)
def length_of_an_inner_field_in_a_longer_form(w):
    return signed_off(edit(w.tbs(), (0,), b"\x02\x81\x01\x04"), w.signer)


@case(S.FORMAT_FAILURE)
def digest_of_half_a_byte(w):
    return signed_off(edit(w.tbs(), (3,), der.write(der.BIT_STRING, b"\x04", sm3(CONTENT))), w.signer)


@case(S.FORMAT_FAILURE)
def signature_of_half_a_byte(w):
    return edit(w.stamp(), (3,), lambda bits: der.write(der.BIT_STRING, b"\x01", bits.value[1:]))


@case(S.FORMAT_FAILURE)
def time_of_the_other_kind(w):
    return signed_off(edit(w.tbs(), (2,), der.write(der.UTC_TIME, b"260615010000Z")), w.signer)


@case(S.FORMAT_FAILURE)
def time_without_zone(w):
    return signed_off(edit(w.tbs(), (2,), general_time("20260615010000")), w.signer)


@case(S.FORMAT_FAILURE)
def time_with_an_offset(w):
    return signed_off(edit(w.tbs(), (2,), general_time("20260615090000+0800")), w.signer)


@case(S.FORMAT_FAILURE)
def time_with_a_fraction(w):
    return signed_off(edit(w.tbs(), (2,), general_time("20260615010000.5Z")), w.signer)


@case(S.FORMAT_FAILURE)
def time_with_blanks_for_zeroes(w):
    return signed_off(edit(w.tbs(), (2,), general_time("202606 5010000Z")), w.signer)


@case(S.FORMAT_FAILURE)
def time_on_the_30th_of_february(w):
    return signed_off(edit(w.tbs(), (2,), general_time("20260230010000Z")), w.signer)


@case(S.FORMAT_FAILURE)
def time_stamp_that_is_none(w):
    return signed_off(w.tbs(), w.signer, der.write(0xA0, der.write(der.BIT_STRING, b"\0\x01\x02\x03")))


@case(S.FORMAT_FAILURE)
def time_stamp_in_a_version_4_seal(w):
    seal = der.read(w.seal())[0]
    return stamp_of_seal(w, der.write(der.SEQUENCE, seal.value, der.write(0xA0, der.write(der.BIT_STRING, b"\0\x01"))))


@case(S.FORMAT_FAILURE)
def real_time_stamp_in_a_version_4_seal(w):
    seal, token = der.read(w.seal())[0], signed_data(w.signer, b"token", detached=False)
    stamped = der.write(0xA0, der.write(der.BIT_STRING, b"\0", token))
    return stamp_of_seal(w, der.write(der.SEQUENCE, seal.value, stamped))


@case(S.FORMAT_FAILURE)
def extension_twice(w):
    entry = extension("1.2.3.4", b"\x05\x00")
    return signed_off(edit(w.tbs(), (5,), der.write(0xA0, der.write(der.SEQUENCE, entry, entry))), w.signer)


@case(S.FORMAT_FAILURE)
def extension_neither_critical_nor_not(w):
    entry = der.write(
        der.SEQUENCE, der.oid("1.2.3.4"), der.write(der.BOOLEAN, b"\x01"), der.write(der.OCTET_STRING, b"")
    )
    return signed_off(edit(w.tbs(), (5,), der.write(0xA0, der.write(der.SEQUENCE, entry))), w.signer)


@case(S.FORMAT_FAILURE)
def extension_list_empty(w):
    return signed_off(edit(w.tbs(), (5,), der.write(0xA0, der.write(der.SEQUENCE))), w.signer)


@case(S.FORMAT_FAILURE)
def extensions_untagged(w):
    return signed_off(edit(w.tbs(), (5,), der.write(der.SEQUENCE, extension("1.2.3.4", b"\x05\x00"))), w.signer)


@case(S.FORMAT_FAILURE)
def name_not_in_utf8(w):
    return stamp_of_seal(w, remade_seal(w, (2, 1), der.write(der.UTF8_STRING, "临江".encode("gbk"))))


@case(S.FORMAT_FAILURE)
def name_empty(w):
    return stamp_of_seal(w, remade_seal(w, (2, 1), utf8("")))


@case(S.FORMAT_FAILURE)
def name_with_a_line_end(w):
    return stamp_of_seal(w, remade_seal(w, (2, 1), utf8("临江市财政局\n验证通过")))


@case(S.FORMAT_FAILURE)
def name_without_end(w):
    return stamp_of_seal(w, remade_seal(w, (2, 1), utf8("临" * 257)))


@case(S.FORMAT_FAILURE)
def place_not_in_ascii(w):
    return signed_off(edit(w.tbs(), (4,), der.write(0x16, "９９０１００".encode())), w.signer)


@case(S.FORMAT_FAILURE)
def object_identifier_padded(w):
    return edit(w.stamp(), (2,), lambda oid: der.write(der.OID, b"\x80", oid.value))


@case(S.FORMAT_FAILURE)
def nested_without_end(w):
    data = b""
    for _ in range(2000):
        data = der.write(der.SEQUENCE, data)
    return data


@case(S.FORMAT_FAILURE)
def longer_than_any_stamp(w):
    return der.write(der.SEQUENCE, bytes(2 * 1024 * 1024))


@case(S.FORMAT_FAILURE)
def half_a_million_empty_fields(w):
    """Answered at once (the whole file would hang otherwise), not after copying the rest for each."""
    return der.write(der.SEQUENCE, b"\x05\x00" * 500_000)


@case(S.FORMAT_FAILURE)
def half_a_million_holders(w):
    return stamp_of_seal(w, remade_seal(w, (2, 3), der.write(der.SEQUENCE, b"\x04\x00" * 200_000)))


@case(S.FORMAT_FAILURE)
def half_a_million_fields_in_a_time_stamp(w):
    token = der.write(der.SEQUENCE, b"\x05\x00" * 100_000)
    return signed_off(w.tbs(), w.signer, der.write(0xA0, der.write(der.BIT_STRING, b"\0", token)))


# --- pictures a careless maker signed


def stamp_with_picture(w, kind, data, width=42, height=42):
    picture = der.write(
        der.SEQUENCE, ia5(kind), der.write(der.OCTET_STRING, data), der.integer(width), der.integer(height)
    )
    return stamp_of_seal(w, remade_seal(w, (3,), picture))


def gif(width=8, height=8, frames=1, *, at=(0, 0), tail=b""):
    frame = b"," + b"".join(each.to_bytes(2, "little") for each in (*at, 8, 8)) + b"\0" + b"\x02\x02\x4c\x01\x00"
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return b"GIF89a" + size + b"\x80\0\0" + bytes(6) + frame * frames + b";" + tail


def jpeg(width=8, height=8):
    frame = b"\xff\xc0\x00\x0b\x08" + height.to_bytes(2) + width.to_bytes(2) + b"\x01\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x04ab" + frame + b"\xff\xda\x00\x02\x00\xff\xd9"


PICTURES = {
    "svg": ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
    "script called png": ("PNG", b"<script>alert(1)</script>"),
    "svg called png": ("PNG", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "page called gif": ("GIF", b"GIF89a/*<html>"),
    "bitmap": ("BMP", b"BM" + bytes(60)),
    "gif called png": ("PNG", gif()),
    "png called jpeg": ("JPEG", png()),
    "bomb of 65535 by 65535": ("PNG", png(65535, 65535)),
    "bomb of one long line": ("PNG", png(4097, 1)),
    "bomb within both sides": ("PNG", png(4000, 1001)),
    "no width": ("PNG", png(0, 8)),
    "negative width": ("PNG", png(0xFFFFFFFF, 8)),
    "cut off": ("PNG", png()[:-6]),
    "page behind the png": ("PNG", png(tail=b"<html>")),
    "second png behind the first": ("PNG", png(tail=png())),
    "chunks behind the end": ("PNG", png(tail=b"\0\0\0\4tEXt<js>" + bytes(4) + b"\0\0\0\0IEND" + bytes(4))),
    "animated png": ("PNG", png(extra=b"\0\0\0\x08acTL\0\0\0\x02\0\0\0\0" + bytes(4))),
    "long colour profile": ("PNG", png(extra=(70_000).to_bytes(4) + b"iCCP" + bytes(70_000) + bytes(4))),
    "too many bytes": ("PNG", png(extra=(600_000).to_bytes(4) + b"tEXt" + bytes(600_000) + bytes(4))),
    "gif bomb": ("GIF", gif(65535, 65535)),
    "gif frame outside": ("GIF", gif(at=(1, 0))),
    "gif in motion": ("GIF", gif(frames=2)),
    "gif without picture": ("GIF", gif(frames=0)),
    "page behind the gif": ("GIF", gif(tail=b"<html>")),
    "jpeg bomb": ("JPEG", jpeg(65500, 65500)),
    "jpeg without frame": ("JPEG", b"\xff\xd8\xff\xda\x00\x02\xff\xd9"),
    "jpeg without end": ("JPEG", jpeg()[:-2]),
    "ofd that is none": ("ofd", b"MZ" + bytes(60)),
    "nothing": ("PNG", b""),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_that_could_harm_is_a_format_failure_though_its_maker_signed_it(name):
    w = world()
    report = w.judge(stamp_with_picture(w, *PICTURES[name]))

    assert report.verdict.sub_indication is S.FORMAT_FAILURE
    assert [finding.code for finding in report.findings] == ["picture_refused"]


@pytest.mark.parametrize(("width", "height"), [(0, 42), (42, 0), (101, 42), (42, 101), (1 << 40, 42)])
def test_picture_of_absurd_size_is_a_format_failure(width, height):
    w = world()
    report = w.judge(stamp_with_picture(w, "PNG", png(), width, height))

    assert [finding.code for finding in report.findings] == ["picture_refused"]
    assert report.verdict.sub_indication is S.FORMAT_FAILURE


@pytest.mark.parametrize(
    ("kind", "data"), [("PNG", png(4000, 1000)), ("png", png()), ("GIF", gif()), ("JPG", jpeg()), ("JPEG", jpeg())]
)
def test_picture_within_the_limits_passes(kind, data):
    w = world()
    assert w.judge(stamp_with_picture(w, kind, data, 100, 1)).verdict.ok


# --- every byte


@pytest.mark.parametrize(
    ("suite_id", "bit", "step"), [("ecdsa-p256-sha256", 0x01, 1), ("ecdsa-p256-sha256", 0x80, 1), ("sm2-sm3", 0x01, 4)]
)
def test_no_flipped_bit_of_a_stamp_passes(suite_id, bit, step):
    w = world(suite_id)
    stamp = w.stamp()
    assert w.judge(stamp).verdict.ok

    for position in range(0, len(stamp), step):
        changed = bytearray(stamp)
        changed[position] ^= bit
        report = w.judge(bytes(changed))
        assert report.verdict.indication is not Indication.TOTAL_PASSED, position


def test_no_flipped_bit_of_a_seal_passes():
    w = world("ecdsa-p256-sha256")
    seal = w.seal()
    assert w.judge_seal(seal).verdict.ok

    for position in range(len(seal)):
        for bit in (0x01, 0x02, 0x80):
            changed = bytearray(seal)
            changed[position] ^= bit
            report = w.judge_seal(bytes(changed))
            assert report.verdict.indication is not Indication.TOTAL_PASSED, (position, bit)


def test_no_flipped_bit_of_what_is_signed_keeps_the_signature():
    """Even where the flip leaves a well-formed toSign: judged by the mathematics alone."""
    w = world("ecdsa-p256-sha256")
    tbs = w.tbs()
    signature = w.signer.sign(tbs)

    for position in range(len(tbs)):
        changed = bytearray(tbs)
        changed[position] ^= 0x04
        stamp = wrap(bytes(changed), w.signer.certificate.der, w.signer.suite.signature_oid, signature)
        assert not w.judge(stamp).verdict.ok, position


def test_no_beginning_of_a_stamp_passes_or_breaks_the_reader():
    w = world("ecdsa-p256-sha256")
    stamp = w.stamp()

    words = {w.judge(stamp[:length]).verdict.sub_indication for length in range(len(stamp))}

    assert words == {S.FORMAT_FAILURE}
