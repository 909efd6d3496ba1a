"""Keep the register: trusted authorities, certificates, profiles, and the uses of a seal."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import transaction

from seals.certificates import ParsedCertificate, parse_certificate, validate_chain
from core.digests import sm3_hex
from seals.errors import CertificateAlreadyRegistered, CertificateAlreadyRevoked
from seals.models import Certificate, SealUse, SignatureProfile, TrustedAuthority
from seals.pki import AUTHORITIES, CERTIFICATE_FILE, authority_certificates


@dataclass(frozen=True)
class SealUseFacts:
    """What is recorded of one signature. `text` is what was signed; only its digest is kept."""

    voucher_id: UUID
    position: str
    certificate_id: UUID
    text: bytes
    person_id: UUID | None = None


@transaction.atomic
def register_certificate(*, pem: bytes | str, organisation_code: str) -> Certificate:
    """Register a signing certificate of an organisation; registering the same again changes nothing.

    The chain is judged at the first instant of the certificate's own validity, so that one may be registered before
    it starts, or after it ended to check old vouchers. Each use checks the dates again.

    :raises CertificateRefused: malformed, wrong usage, unknown issuer, … (see `seals.errors`).
    :raises CertificateAlreadyRegistered: if another organisation has it.
    """
    parsed = parse_certificate(pem)
    authorities = [
        parse_certificate(trusted)
        for trusted in TrustedAuthority.objects.filter(active=True).values_list("pem", flat=True)
    ]
    validate_chain(parsed, authorities, parsed.valid_from)
    row, _created = Certificate.objects.get_or_create(
        serial_hex=parsed.serial_hex,
        issuer=parsed.issuer,
        defaults={
            "organisation_code": organisation_code,
            "suite_id": parsed.suite_id,
            "subject": parsed.subject,
            "pem": parsed.pem,
            "valid_from": parsed.valid_from,
            "valid_to": parsed.valid_to,
        },
    )
    if row.organisation_code != organisation_code or row.pem != parsed.pem:
        raise CertificateAlreadyRegistered(
            "该证书已登记在其他机构名下，或同一序列号对应另一张证书。",
            field="pem",
            serial_hex=parsed.serial_hex,
            organisation_code=row.organisation_code,
        )
    return row


@transaction.atomic
def revoke_certificate(*, certificate_id: UUID, reason: str, now: datetime) -> Certificate:
    """Revoke for good: what is signed with it is refused from `now` on, what was signed before stays valid.

    :raises CertificateAlreadyRevoked: the first revocation stands, with its time and reason.
    """
    row = Certificate.objects.select_for_update().get(pk=certificate_id)
    if row.status == Certificate.Status.REVOKED:
        raise CertificateAlreadyRevoked("该证书已吊销。", field="certificate", serial_hex=row.serial_hex)
    row.status, row.revoked_at, row.revoke_reason = Certificate.Status.REVOKED, now, reason
    row.save(update_fields=["status", "revoked_at", "revoke_reason"])
    return row


@transaction.atomic
def register_authority(parsed: ParsedCertificate) -> TrustedAuthority:
    """Trust an authority's certificate from now on; one that was withdrawn stays withdrawn."""
    row, _created = TrustedAuthority.objects.get_or_create(
        fingerprint_sm3=sm3_hex(parsed.der),
        defaults={
            "suite_id": parsed.suite_id,
            "subject": parsed.subject,
            "pem": parsed.pem,
            "valid_from": parsed.valid_from,
            "valid_to": parsed.valid_to,
        },
    )
    return row


@transaction.atomic
def import_demo_pki(directory: Path) -> list[Certificate]:
    """Register the authorities and every organisation's certificate of a demo PKI, and a profile for its suite.

    The profile starts with the certificate. No private key is opened. Safe to run at every start.
    """
    for authority in authority_certificates(directory):
        register_authority(authority)
    registered = []
    for path in sorted(directory.glob(f"*/{CERTIFICATE_FILE}")):
        if path.parent.name == AUTHORITIES:
            continue
        row = register_certificate(pem=path.read_bytes(), organisation_code=path.parent.name)
        if not SignatureProfile.objects.filter(organisation_code=row.organisation_code, suite_id=row.suite_id).exists():
            SignatureProfile.objects.create(
                organisation_code=row.organisation_code, suite_id=row.suite_id, valid_from=row.valid_from.date()
            )
        registered.append(row)
    return registered


def record_seal_uses(*, organisation_code: str, uses: Iterable[SealUseFacts], now: datetime) -> list[SealUse]:
    """Record the uses of an organisation's seal, in the caller's transaction. One SQL statement per 500."""
    return SealUse.objects.bulk_create(
        [
            SealUse(
                organisation_code=organisation_code,
                position=use.position,
                certificate_id=use.certificate_id,
                signed_digest_sm3=sm3_hex(use.text),
                voucher_id=use.voucher_id,
                person_id=use.person_id,
                at=now,
            )
            for use in uses
        ],
        batch_size=500,
    )
