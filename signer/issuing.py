"""The demonstration's authority at work: officers' certificates that a second person approved, and revocation lists.

A bureau with a licensed authority has no `ca/` here; its officers' certificates come from there, and so do the lists.
"""

import threading
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Max

from core.digests import sm3_hex
from seals import der
from seals.certificates import parse_certificate
from seals.models import Certificate, OfficerCertificate, RevocationList
from seals.pki import SUB_AUTHORITY, issue_certificate, parse_csr
from seals.revocation import RevokedEntry, build_crl
from signer.errors import refused
from signer.facts import snapshot
from signer.keystore import authority, former_entries

LONGEST_VALIDITY = timedelta(days=5 * 366)
LIST_LIFETIME = timedelta(days=7)
_numbering = threading.Lock()
_last_number = 0


def issue_officer_certificate(request_id: UUID, *, days: int, now: datetime) -> str:
    """The certificate (PEM) of an approved request. Asking again gives another one: the caller keeps the first.

    It says whose it is by the person's id (OU), so that no row can give it to somebody else.

    :raises SealingRefused: certificate_not_approved, decided_by_holder, csr_differs, key_of_another_person,
        validity_not_allowed.
    :raises CsrRefused: if the request does not prove that its maker holds the key.
    :raises NoSigningKey: if the officers' authority is not here.
    """
    if not 1 <= days <= LONGEST_VALIDITY.days:
        raise refused("validity_not_allowed", "证书有效期须为 1 天至 5 年。", days=days)
    with snapshot():
        row = OfficerCertificate.objects.select_related("person").filter(pk=request_id).first()
        others = OfficerCertificate.objects.exclude(person_id=row.person_id) if row is not None else None
        taken = others is not None and row is not None and others.filter(spki_sm3=row.spki_sm3).exists()
    if row is None or row.status != OfficerCertificate.Status.APPROVED:
        raise refused("certificate_not_approved", "证书申请未经核准。")
    if row.decided_by_id is None or row.decided_by_id == row.person_id:
        raise refused("decided_by_holder", "证书申请须由本人以外的人核准。")
    if taken:
        raise refused("key_of_another_person", "该公钥属于另一个人。")
    csr = parse_csr(row.csr.encode())
    if (sm3_hex(csr.spki), csr.suite_id) != (row.spki_sm3, row.suite_id):
        raise refused("csr_differs", "证书申请的公钥与登记的不同。")
    issued_by, issuer = authority(f"{row.suite_id}/{SUB_AUTHORITY}")
    certificate = issue_certificate(
        issuer,
        subject_common_name=row.person.name,
        unit=str(row.person_id),
        spki=csr.spki,
        not_before=now.replace(microsecond=0),
        not_after=min(now.replace(microsecond=0) + timedelta(days=days), issued_by.valid_to),
    )
    return der.pem("CERTIFICATE", certificate).decode("ascii")


def issue_crl(suite_id: str, *, now: datetime) -> bytes:
    """The current list (DER) of the suite's issuing authority: every certificate of it that the register revoked.

    What its former list named stays named. Numbers are milliseconds, and never less than one given before.

    :raises NoSigningKey: if the authority is not here.
    """
    path = f"{suite_id}/{SUB_AUTHORITY}"
    issued_by, issuer = authority(path)
    with snapshot():
        rows = list(
            Certificate.objects.filter(issuer=issued_by.subject, status="revoked").values_list(
                "serial_hex", "revoked_at"
            )
        )
        officers = OfficerCertificate.objects.filter(status="revoked", suite_id=suite_id)
        rows += [
            (serial, revoked_at)
            for serial, revoked_at, pem in officers.values_list("serial_hex", "revoked_at", "pem")
            if parse_certificate(pem).issuer_name == issued_by.subject_name
        ]
        known = RevocationList.objects.filter(authority__fingerprint_sm3=sm3_hex(issued_by.der))
        greatest = int(known.aggregate(greatest=Max("number"))["greatest"] or 0)
    former_number, former = former_entries(path)
    entries = {serial: RevokedEntry(serial, at) for serial, at in rows if at is not None} | former
    return build_crl(
        issuer,
        number=_next_number(max(greatest, former_number), now),
        this_update=now.replace(microsecond=0),
        next_update=now.replace(microsecond=0) + LIST_LIFETIME,
        revoked=entries.values(),
    )


def _next_number(greatest: int, now: datetime) -> int:
    global _last_number
    with _numbering:
        _last_number = max(int(now.timestamp() * 1000), greatest + 1, _last_number + 1)
        return _last_number
