"""How an officer comes by a certificate, and loses it: two persons, one key for one person, no gap for a crash."""

import json
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from core.errors import Conflict, DutyConflict, NotFound, RoleRequired
from demo import world
from evidence.models import Entry
from parties.models import User
from seals import der, enrolment, signer_client
from seals.approvals import Proof, prepare, take
from seals.certificates import parse_certificate
from seals.errors import (
    CertificateAlreadyRevoked,
    CertificateKeyShared,
    CertificateSignatureInvalid,
    CsrRefused,
    NoOfficerCertificate,
    SealingRefused,
    SignerUnavailable,
    StatementUnknown,
)
from seals.models import OfficerCertificate, Statement
from seals.pki import make_demo_pki
from seals.signing import the_signer
from signer.verbs import answer
from tests import acts
from tests.conftest import NOW
from tests.in_process_signer import KeysAtHand
from tests.ukeys import Hand

ORIGIN = "http://127.0.0.1:8000"


def ask(hand: Hand) -> OfficerCertificate:
    return enrolment.request_certificate(csr=hand.csr, by=world.officer(hand.user.username), now=NOW)


def approve(row: OfficerCertificate, by: str = "gk-yz", **changes: object) -> OfficerCertificate:
    decision = {"approve": True, "reason": ""} | changes
    return enrolment.decide_request(certificate_id=row.pk, by=world.officer(by), now=NOW, **decision)


def enrolled(hand: Hand) -> OfficerCertificate:
    row = approve(ask(hand))
    return enrolment.issue(certificate_id=row.pk, now=timezone.now())


def states(username: str) -> list[str]:
    rows = OfficerCertificate.objects.filter(person_id=world.officer(username).person_id)
    return list(rows.order_by("requested_at", "id").values_list("status", flat=True))


# Asking -------------------------------------------------------------------------------------------------------------


def test_an_officer_asks_a_second_person_approves_and_the_signer_issues(city):
    hand = Hand("gk-sh", certified=False)
    row = ask(hand)
    assert (row.status, row.pem, row.requested_by, row.suite_id) == ("requested", "", "尤志远", "sm2-sm3")

    row = approve(row)
    assert (row.status, row.decided_by, row.pem) == ("approved", "吕清扬", "")

    before = timezone.now()
    row = enrolment.issue(certificate_id=row.pk, now=before)
    row.refresh_from_db()
    assert row.status == "active" and row.pem.startswith("-----BEGIN CERTIFICATE-----")
    assert (row.valid_to - row.valid_from).days == 730
    assert row.valid_from <= before + timedelta(seconds=5)
    assert Hand("gk-kz").certificate is not None  # and nobody else's is touched
    assert states("gk-sh") == ["active"]


def test_what_is_issued_signs_statements(city):
    hand = Hand("gk-sh", certified=False)
    row = enrolled(hand)
    officer, now = world.officer("gk-sh"), timezone.now()

    statement, certificate = prepare(action="login", by=officer, shown=[], post="", origin=ORIGIN, now=now)
    taken = take(
        Proof(statement.pk, hand.sign(statement.text), certificate.serial_hex), action="login", by=officer, now=now
    )

    assert certificate.pk == row.pk and taken.row == statement
    assert Statement.objects.get().used_at == now


@pytest.mark.parametrize(
    "csr", ["", "junk", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"]
)
def test_a_malformed_request_is_refused(city, csr):
    with pytest.raises(CsrRefused):
        enrolment.request_certificate(csr=csr, by=world.officer("gk-sh"), now=NOW)
    assert states("gk-sh") == []


def test_a_request_that_the_key_did_not_sign_is_refused(city):
    encoded = bytearray(der.from_pem("CERTIFICATE REQUEST", Hand("gk-sh", certified=False).csr.encode()))
    encoded[-1] ^= 1
    forged = der.pem("CERTIFICATE REQUEST", bytes(encoded)).decode()
    with pytest.raises(CsrRefused):
        enrolment.request_certificate(csr=forged, by=world.officer("gk-sh"), now=NOW)
    assert states("gk-sh") == []


def test_the_key_of_another_person_is_refused_by_the_service_and_by_the_database(city):
    theirs = Hand("gk-kz", certified=False)
    ask(theirs)
    with pytest.raises(CertificateKeyShared):
        enrolment.request_certificate(csr=theirs.csr, by=world.officer("gk-sh"), now=NOW)
    row = OfficerCertificate.objects.get()
    row.pk, row.person_id, row._state.adding = None, world.officer("gk-sh").person_id, True
    row.id = OfficerCertificate().id
    with pytest.raises(IntegrityError, match="belongs to another person"), transaction.atomic():
        row.save(force_insert=True)
    assert states("gk-sh") == []


def test_a_key_that_had_a_certificate_gets_no_other(city):
    hand = Hand("gk-sh", certified=False)
    enrolled(hand)
    with pytest.raises(CertificateKeyShared):
        ask(hand)
    assert states("gk-sh") == ["active"]


def test_a_person_has_one_open_request_whatever_the_login(city):
    first = ask(Hand("gk-sh", certified=False))
    acts.second_login("gk-sh", "plan_reviewer")
    with pytest.raises(enrolment.RequestOpen):
        ask(Hand("gk-sh-plan_reviewer", certified=False))
    approve(first)
    with pytest.raises(enrolment.RequestOpen):
        ask(Hand("gk-sh", certified=False))
    assert states("gk-sh") == ["approved"]


def test_after_a_refusal_the_same_key_may_ask_again(city):
    hand = Hand("gk-sh", certified=False)
    approve(ask(hand), approve=False, reason="指纹不符")
    assert ask(hand).status == "requested"
    assert states("gk-sh") == ["refused", "requested"]


def test_two_requests_at_the_same_moment_leave_one(real_city):
    hands = [Hand("gk-sh", certified=False) for _ in range(2)]
    answers = acts.together(*[lambda hand=hand: ask(hand) for hand in hands])
    assert sorted(type(answer).__name__ for answer in answers) == ["OfficerCertificate", "RequestOpen"]
    assert states("gk-sh") == ["requested"]


# Deciding -----------------------------------------------------------------------------------------------------------


def test_nobody_decides_on_the_own_request(city):
    row = ask(Hand("gk-yz", certified=False))
    with pytest.raises(DutyConflict):
        approve(row, by="gk-yz")
    assert states("gk-yz") == ["requested"]
    acts.newcomer("anbao", "security_admin")
    assert approve(row, by="anbao").status == "approved"


def test_a_second_login_of_the_same_person_is_the_same_person(city):
    row = ask(Hand("gk-yz", certified=False))
    acts.second_login("gk-yz", "seal_keeper")
    with pytest.raises(DutyConflict):
        approve(row, by="gk-yz-seal_keeper")


@pytest.mark.parametrize("who", ["gk-mz", "gk-kz", "u101001-yz", "admin"])
def test_only_the_seal_keeper_and_the_security_administrator_decide(city, who):
    row = ask(Hand("gk-sh", certified=False))
    with pytest.raises(RoleRequired):
        approve(row, by=who)
    assert states("gk-sh") == ["requested"]


def test_another_region_decides_nothing_here(city):
    row = ask(Hand("gk-sh", certified=False))
    acts.newcomer("elsewhere", "security_admin")
    User.objects.filter(username="elsewhere").update(adm_div_code="990200000")
    with pytest.raises(NotFound):
        approve(row, by="elsewhere")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_refusal_needs_a_reason(city, reason):
    row = ask(Hand("gk-sh", certified=False))
    with pytest.raises(enrolment.ReasonMissing):
        approve(row, approve=False, reason=reason)
    assert states("gk-sh") == ["requested"]


def test_a_request_is_decided_once(city):
    row = ask(Hand("gk-sh", certified=False))
    approve(row, approve=False, reason="未到场核对")
    with pytest.raises(Conflict):
        approve(row)
    assert states("gk-sh") == ["refused"]


# Issuing ------------------------------------------------------------------------------------------------------------


def test_what_is_not_approved_is_not_issued(city):
    row = ask(Hand("gk-sh", certified=False))
    with pytest.raises(Conflict):
        enrolment.issue(certificate_id=row.pk, now=NOW)
    approve(row)
    enrolment.issue(certificate_id=row.pk, now=NOW)
    with pytest.raises(Conflict):
        enrolment.issue(certificate_id=row.pk, now=NOW)
    assert states("gk-sh") == ["active"]


def test_a_signer_that_does_not_answer_leaves_the_request_to_be_issued_again(city, monkeypatch):
    row = approve(ask(Hand("gk-sh", certified=False)))

    def gone(*_arguments):
        raise SignerUnavailable("签章服务没有应答")

    with monkeypatch.context() as patched:
        patched.setattr(KeysAtHand, "issue_officer_certificate", gone)
        with pytest.raises(SignerUnavailable):
            enrolment.issue(certificate_id=row.pk, now=NOW)
    assert states("gk-sh") == ["approved"]
    assert enrolment.issue(certificate_id=row.pk, now=NOW).status == "active"


def test_the_real_signer_issues_what_was_approved_and_nothing_else(real_city, settings, monkeypatch):
    """Its socket left out: the same frames, answered by the signer's own verbs."""
    settings.GUOKU_SIGNER = "seals.signer_client.SocketSigner"
    monkeypatch.setattr(signer_client, "_exchanged", lambda frame: json.dumps(answer(json.loads(frame))).encode())
    row = ask(Hand("gk-sh", certified=False))
    with pytest.raises(SealingRefused):
        the_signer().issue_officer_certificate(row.pk, 730)
    approve(row)
    row = enrolment.issue(certificate_id=row.pk, now=timezone.now())
    assert row.status == "active" and (row.valid_to - row.valid_from).days == 730
    assert f"OU={row.person_id}" in parse_certificate(row.pem).subject


def test_a_certificate_for_another_key_is_not_taken_from_the_signer(city, monkeypatch):
    row = approve(ask(Hand("gk-sh", certified=False)))
    theirs = Hand("gk-kz").certificate
    monkeypatch.setattr(KeysAtHand, "issue_officer_certificate", lambda *_arguments: theirs.pem)
    with pytest.raises(CsrRefused):
        enrolment.issue(certificate_id=row.pk, now=NOW)
    assert states("gk-sh") == ["approved"]


def test_a_certificate_of_an_authority_nobody_trusts_is_not_taken(city, monkeypatch, tmp_path, settings):
    row = approve(ask(Hand("gk-sh", certified=False)))
    make_demo_pki(tmp_path, [], NOW - timedelta(days=1), NOW + timedelta(days=900))
    settings.GUOKU_KEY_DIR = tmp_path
    with pytest.raises(CertificateSignatureInvalid):
        enrolment.issue(certificate_id=row.pk, now=NOW)
    assert states("gk-sh") == ["approved"]


def test_a_renewal_replaces_the_certificate_at_one_moment(city):
    old = Hand("gk-sh")
    new = Hand("gk-sh", certified=False)
    row = ask(new)
    assert states("gk-sh") == ["active", "requested"]
    approve(row)
    officer, now = world.officer("gk-sh"), timezone.now()
    statement, _ = prepare(action="login", by=officer, shown=[], post="", origin=ORIGIN, now=now)

    row = enrolment.issue(certificate_id=row.pk, now=now)

    former = OfficerCertificate.objects.get(pk=old.certificate.pk)
    assert (former.status, former.revoke_reason, former.revoked_at) == ("revoked", "换发", now)
    assert not Statement.objects.filter(pk=statement.pk).exists()  # it named the former certificate
    statement, certificate = prepare(action="login", by=officer, shown=[], post="", origin=ORIGIN, now=timezone.now())
    assert certificate.pk == row.pk


def test_two_issuings_at_the_same_moment_leave_one_certificate(real_city):
    row = approve(ask(Hand("gk-sh", certified=False)))
    answers = acts.together(*[lambda: enrolment.issue(certificate_id=row.pk, now=timezone.now())] * 2)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "OfficerCertificate"]
    assert states("gk-sh") == ["active"]
    stored = OfficerCertificate.objects.get()
    issued = next(answer for answer in answers if isinstance(answer, OfficerCertificate))
    assert stored.serial_hex == issued.serial_hex


# Revoking -----------------------------------------------------------------------------------------------------------


def revoke(row: OfficerCertificate, by: str = "gk-yz", reason: str = "UKey 遗失") -> OfficerCertificate:
    return enrolment.revoke_certificate(certificate_id=row.pk, reason=reason, by=world.officer(by), now=timezone.now())


def test_a_revocation_ends_the_sessions_of_the_person_and_of_nobody_else(city):
    hand, other = Hand("gk-sh"), Hand("gk-kz")
    acts.second_login("gk-sh", "plan_reviewer")
    second = Client()
    second.force_login(Hand("gk-sh-plan_reviewer", certified=False).user)
    mine, theirs = hand.client(), other.client()
    assert mine.get("/").status_code == 200

    revoke(hand.certificate)

    assert mine.get("/")["location"].startswith("/login/")
    assert second.get("/")["location"].startswith("/login/")
    assert theirs.get("/").status_code == 200
    assert Session.objects.count() == 1


def test_a_statement_that_waits_for_its_signature_dies_and_one_used_stays(city):
    hand, officer, now = Hand("gk-sh"), world.officer("gk-sh"), timezone.now()
    used, _ = prepare(action="login", by=officer, shown=[], post="", origin=ORIGIN, now=now)
    serial = hand.certificate.serial_hex
    take(Proof(used.pk, hand.sign(used.text), serial), action="login", by=officer, now=now)
    waiting, _ = prepare(action="login", by=officer, shown=[], post="", origin=ORIGIN, now=now)

    revoke(hand.certificate)

    assert list(Statement.objects.values_list("pk", flat=True)) == [used.pk]
    with pytest.raises(StatementUnknown), transaction.atomic():
        take(Proof(waiting.pk, hand.sign(waiting.text), serial), action="login", by=officer, now=now)
    with pytest.raises(NoOfficerCertificate), transaction.atomic():
        prepare(action="login", by=officer, shown=[], post="", origin=ORIGIN, now=now)


def test_a_revocation_is_for_good_and_the_first_one_stands(city):
    hand = Hand("gk-sh")
    revoke(hand.certificate)
    with pytest.raises(CertificateAlreadyRevoked):
        revoke(hand.certificate, reason="又一次")
    row = OfficerCertificate.objects.get(pk=hand.certificate.pk)
    assert (row.status, row.revoke_reason) == ("revoked", "UKey 遗失")
    with pytest.raises(CertificateKeyShared):
        ask(hand)


def test_a_revocation_needs_words_a_post_and_a_certificate(city):
    hand, waiting = Hand("gk-sh"), ask(Hand("gk-kz", certified=False))
    with pytest.raises(enrolment.ReasonMissing):
        revoke(hand.certificate, reason=" ")
    with pytest.raises(RoleRequired):
        revoke(hand.certificate, by="gk-kz")
    with pytest.raises(Conflict):
        revoke(waiting)
    assert states("gk-sh") == ["active"] and states("gk-kz") == ["requested"]


def test_what_became_of_a_certificate_is_in_the_evidence_log(city):
    row = enrolled(Hand("gk-sh", certified=False))
    revoke(row)
    kinds = Entry.objects.filter(subject_table="seals_officercertificate", subject_id=str(row.pk)).order_by("id")
    assert list(kinds.values_list("kind", flat=True)) == ["officer.certified", "officer.revoked"]
