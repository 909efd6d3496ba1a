"""How an officer comes by a certificate: asks with a request of the UKey, a second person approves, the signer issues.

    request_certificate   REQUESTED   the officer, from the page, with the agent's CSR
    decide_request        APPROVED or REFUSED   the seal keeper or the security administrator, never the officer
    issue                 ACTIVE, the former one revoked (换发)   the signer, which reads the approval itself
    revoke_certificate    REVOKED at once: sessions end, statements that wait for a signature die

The decision is committed before the signer is asked, so a crash in between leaves APPROVED, which is issued again.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from core.actors import Actor
from core.digests import sm3_hex
from core.errors import Conflict, DutyConflict, NotFound, RoleRequired
from parties.duties import Post
from parties.leaving import end_sessions
from parties.models import Person
from seals import der
from seals.certificates import ParsedCertificate, parse_certificate, validate_chain
from seals.errors import CertificateAlreadyRevoked, CertificateKeyShared, CsrRefused, SealError
from seals.models import ESeal, OfficerCertificate, Statement, TrustedAuthority
from seals.pki import parse_csr
from seals.services import revoke_seal
from seals.signing import the_signer

DECIDERS = frozenset({Post.SEAL_KEEPER, Post.SECURITY_ADMIN})
VALID_DAYS = 730
RENEWED, LEFT = "换发", "离岗"
LONGEST_REASON = 200
_State = OfficerCertificate.Status
_OPEN = (_State.REQUESTED, _State.APPROVED)


class RequestOpen(SealError):
    """The officer has asked already, and nobody has decided yet or the certificate is still to be issued."""

    code = "certificate_request_open"
    http_status = 409


class ReasonMissing(SealError):
    """A refusal or revocation without words."""

    code = "reason_required"


@transaction.atomic(durable=True)
def request_certificate(*, csr: str, by: Actor, now: datetime) -> OfficerCertificate:
    """Ask for a certificate for the officer's own key; one that is active stays so until the new one is issued.

    :param csr: PKCS#10 in PEM, signed with the key (which proves that the officer's UKey holds it).
    :raises CsrRefused: if it is malformed or proves nothing.
    :raises CertificateKeyShared: if the key is another person's, or had a certificate before.
    :raises RequestOpen: if an earlier request is still open.
    """
    if by.person_id is None:
        raise RoleRequired("该登录名没有关联人员，不能申请证书。", field="person", by=by.name)
    asked = parse_csr(csr.encode())
    person = Person.objects.select_for_update().get(pk=by.person_id)  # two requests of one person take turns
    mine = OfficerCertificate.objects.filter(person=person)
    if mine.filter(status__in=_OPEN).exists():
        raise RequestOpen("您已有一份申请等待核准或签发，请等它办完；如需重来，请核准人先不予核准。", field="csr")
    key = sm3_hex(asked.spki)
    if OfficerCertificate.objects.exclude(person=person).filter(spki_sm3=key).exists():
        raise CertificateKeyShared("这把密钥属于另一个人，请在您本人的 UKey 上生成新密钥。", field="csr")
    if mine.filter(spki_sm3=key).exclude(serial_hex="").exists():
        raise CertificateKeyShared("这把密钥签发过证书，换发须在 UKey 上生成新密钥。", field="csr")
    encoded = der.from_pem("CERTIFICATE REQUEST", csr.encode())
    return OfficerCertificate.objects.create(
        person=person,
        adm_div_code=by.adm_div_code,
        suite_id=asked.suite_id,
        spki_sm3=key,
        csr=der.pem("CERTIFICATE REQUEST", encoded).decode("ascii"),
        requested_by=by.name[:60],
        requested_at=now,
    )


@transaction.atomic(durable=True)
def decide_request(
    *, certificate_id: UUID, approve: bool, by: Actor, now: datetime, reason: str = ""
) -> OfficerCertificate:
    """Approve a request, or refuse it with a reason; the decider is another person than the officer.

    :raises RoleRequired, DutyConflict: if the actor may not decide, or is the officer.
    :raises ReasonMissing: for a refusal without words.
    :raises Conflict: if it has been decided already.
    """
    _check_decider(by)
    row = _locked(certificate_id, by)
    if row.person_id == by.person_id or by.person_id is None:
        raise DutyConflict("本人的证书申请须由另一个人核准。", field="decider", by=by.name)
    if row.status != _State.REQUESTED:
        raise Conflict(f"该申请当前为「{row.get_status_display()}」，不能再核准。", field="status", state=row.status)
    row.status = _State.APPROVED if approve else _State.REFUSED
    row.revoke_reason = "" if approve else _words(reason, "请填写不予核准的原因。")
    row.decided_by, row.decided_by_id, row.decided_at = by.name[:60], by.person_id, now
    row.save(update_fields=["status", "revoke_reason", "decided_by", "decided_by_id", "decided_at"])
    return row


def issue(*, certificate_id: UUID, now: datetime) -> OfficerCertificate:
    """Have the signer issue an approved request's certificate and use it from now on; the former one is revoked.

    Safe to call again after a crash: what the signer made and nobody stored is forgotten.

    :raises Conflict: if the request is not approved, or has been issued meanwhile.
    :raises SignerUnavailable, SealingRefused: as the signer says; the request stays approved.
    :raises CertificateRefused: if what came back is not for this key, or of no trusted authority.
    """
    asked = OfficerCertificate.objects.filter(pk=certificate_id).first()
    if asked is None or asked.status != _State.APPROVED:
        raise Conflict("该申请未在等待签发，可能已被他人签发，请刷新。", field="status")
    made = parse_certificate(the_signer().issue_officer_certificate(asked.pk, VALID_DAYS))
    _check_issued(made, asked)
    return _store(asked, made, now)


@transaction.atomic(durable=True)
def revoke_certificate(*, certificate_id: UUID, reason: str, by: Actor, now: datetime) -> OfficerCertificate:
    """Revoke an officer's certificate at once and for good; what was signed with it before stays valid.

    The officer's sessions end, and statements that wait for a signature die.

    :raises RoleRequired: if the actor does not manage certificates.
    :raises ReasonMissing: without words.
    :raises CertificateAlreadyRevoked: the first revocation stands.
    :raises Conflict: if it has not been issued.
    """
    _check_decider(by)
    words = _words(reason, "请填写吊销原因。")
    row = _locked(certificate_id, by)
    if row.status == _State.REVOKED:
        raise CertificateAlreadyRevoked("该证书已吊销。", field="certificate", serial_hex=row.serial_hex)
    if row.status != _State.ACTIVE:
        raise Conflict(f"该申请当前为「{row.get_status_display()}」，没有可以吊销的证书。", field="status")
    _revoke(row, words, now)
    end_sessions(row.person_id, now)
    return row


@transaction.atomic(durable=True)
def _store(asked: OfficerCertificate, made: ParsedCertificate, now: datetime) -> OfficerCertificate:
    Person.objects.select_for_update().get(pk=asked.person_id)
    row = OfficerCertificate.objects.select_for_update().get(pk=asked.pk)
    if row.status != _State.APPROVED:
        raise Conflict("该证书刚刚已由他人签发，请刷新。", field="status")
    for former in OfficerCertificate.objects.select_for_update().filter(person=row.person_id, status=_State.ACTIVE):
        _revoke(former, RENEWED, now)
    row.pem, row.serial_hex, row.certificate_sm3 = made.pem, made.serial_hex, sm3_hex(made.der)
    row.valid_from, row.valid_to, row.status = made.valid_from, made.valid_to, _State.ACTIVE
    row.save(update_fields=["pem", "serial_hex", "certificate_sm3", "valid_from", "valid_to", "status"])
    return row


def _check_issued(made: ParsedCertificate, asked: OfficerCertificate) -> None:
    """The signer is another process: what it hands back counts only if it is what was asked for."""
    if (sm3_hex(made.spki), made.suite_id) != (asked.spki_sm3, asked.suite_id):
        raise CsrRefused("签发的证书与申请的密钥不符。", field="certificate", serial_hex=made.serial_hex)
    authorities = TrustedAuthority.objects.filter(active=True).values_list("pem", flat=True)
    validate_chain(made, [parse_certificate(pem) for pem in authorities], made.valid_from)


def _check_decider(by: Actor) -> None:
    if by.roles.isdisjoint(DECIDERS):
        raise RoleRequired(f"办理人员证书需要岗位：{'|'.join(sorted(DECIDERS))}。", field="role", by=by.name)


def _locked(certificate_id: UUID, by: Actor) -> OfficerCertificate:
    rows = OfficerCertificate.objects.select_for_update(of=("self",)).select_related("person")
    row = rows.filter(pk=certificate_id, adm_div_code=by.adm_div_code).first()
    if row is None:
        raise NotFound("证书不存在或不在您的权限范围内。", field="id")
    return row


def _words(reason: str, missing: str) -> str:
    words = reason.strip()
    if not words:
        raise ReasonMissing(missing, field="reason")
    return words[:LONGEST_REASON]


def _revoke(row: OfficerCertificate, reason: str, now: datetime) -> None:
    row.status, row.revoked_at, row.revoke_reason = _State.REVOKED, now, reason
    row.save(update_fields=["status", "revoked_at", "revoke_reason"])
    # Waits for an approval that is just using one; a statement used up stays as evidence.
    Statement.objects.filter(person_id=row.person_id, used_at__isnull=True).delete()


def end_certificates(person_id: UUID, now: datetime) -> None:
    """Revoke what a person who leaves could sign with, certificate and personal seal alike; a step of leaving."""
    for row in OfficerCertificate.objects.select_for_update().filter(person=person_id, status=_State.ACTIVE):
        _revoke(row, LEFT, now)
    waiting = OfficerCertificate.objects.filter(person=person_id, status__in=[_State.REQUESTED, _State.APPROVED])
    waiting.update(status=_State.REFUSED, revoke_reason=LEFT)
    for seal in ESeal.objects.filter(person=person_id, status=ESeal.Status.ACTIVE):
        revoke_seal(seal_id=seal.pk, reason=LEFT, now=now)
