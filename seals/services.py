"""Keep the register: trusted authorities, certificates, profiles, and the uses of a seal."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import transaction

from core.batch import copy_rows
from core.digests import sm3_hex
from parties.models import Person
from seals.certificates import ParsedCertificate, check_key_not_shared, parse_certificate, validate_chain
from seals.errors import (
    CertificateAlreadyRegistered,
    CertificateAlreadyRevoked,
    CertificateNotRegistered,
    CertificateRefused,
    CertificateUnknownIssuer,
    SealNotUsable,
)
from seals.eseal.verify import verify_seal
from seals.models import Certificate, ESeal, RevocationList, SealMaker, SealUse, SignatureProfile, TrustedAuthority
from seals.pki import CERTIFICATE_FILE, SEAL_MAKER, authority_certificates, is_organisation_folder
from seals.revocation import is_signed_by, parse_crl, supersedes
from seals.stamps import Trust


@dataclass(frozen=True)
class SealUseFacts:
    """What is recorded of one signature. `text` is what was signed; only its digest is kept."""

    adm_div_code: str
    fiscal_year: int
    organisation_code: str
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
    check_key_not_shared(parsed, (parse_certificate(pem) for pem in Certificate.objects.values_list("pem", flat=True)))
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
def register_maker(certificate: Certificate, *, name: str) -> SealMaker:
    """Admit the holder of a registered certificate as a maker of seals (制章人)."""
    maker, _created = SealMaker.objects.get_or_create(certificate=certificate, defaults={"name": name})
    return maker


@transaction.atomic
def register_seal(
    *,
    der: bytes,
    organisation_code: str,
    kind: str,
    svg: str = "",
    person: Person | None = None,
    voucher_types: Sequence[str] = (),
    now: datetime,
) -> ESeal:
    """File a seal as its maker signed it; filing the same again changes nothing.

    The one certificate on its holder list must be registered: it decides whose key may use the seal.

    :raises SealNotUsable: if the seal does not hold, its maker is not admitted, or its certificate is not registered.
    """
    trust = Trust.now(now)
    report = verify_seal(der, maker_authorities=trust.authorities, makers=trust.makers, revocation=trust.lists, at=now)
    if not report.verdict.ok or report.seal is None:
        raise SealNotUsable(report.verdict.reason, field="der", code=report.verdict.code)
    seal = report.seal
    holders = [parse_certificate(holder) for holder in seal.holders]
    rows = [
        row
        for holder in holders
        for row in Certificate.objects.filter(serial_hex=holder.serial_hex, issuer=holder.issuer, status="active")
    ]
    if len(holders) != 1 or len(rows) != 1:
        raise SealNotUsable("印章须恰好指定一张已登记且有效的使用证书。", field="der", holders=len(holders))
    row, created = ESeal.objects.get_or_create(
        es_id=seal.es_id,
        defaults={
            "organisation_code": organisation_code,
            "kind": kind,
            "name": seal.name,
            "person": person,
            "certificate": rows[0],
            "der": der,
            "svg": svg,
            "voucher_types": list(voucher_types),
            "valid_from": seal.valid_from,
            "valid_to": seal.valid_to,
        },
    )
    if not created and (bytes(row.der) != der or row.organisation_code != organisation_code):
        raise SealNotUsable("该印章编号已登记为另一枚印章。", field="der", es_id=seal.es_id)
    return row


@transaction.atomic
def revoke_seal(*, seal_id: UUID, reason: str, now: datetime) -> ESeal:
    """Take a seal out of use for good; stamps made before stay valid.

    :raises SealNotUsable: if it is out of use already.
    """
    row = ESeal.objects.select_for_update().get(pk=seal_id)
    if row.status == ESeal.Status.REVOKED:
        raise SealNotUsable("该印章已停用。", field="seal", es_id=row.es_id)
    row.status, row.revoked_at, row.revoke_reason = ESeal.Status.REVOKED, now, reason
    row.save(update_fields=["status", "revoked_at", "revoke_reason"])
    return row


@transaction.atomic
def import_revocation_list(*, data: bytes, now: datetime) -> RevocationList:
    """Take in an authority's revocation list: keep it, and revoke in the register what it names.

    :raises RevocationListMalformed, RevocationListUnsupported: if it cannot be read.
    :raises CertificateRefused: if it is of no trusted authority, not signed by it, or older than ours.
    """
    crl = parse_crl(data)
    authority = next(
        (
            row
            for row in TrustedAuthority.objects.filter(active=True)
            if parse_certificate(row.pem).subject_name == crl.issuer_name
            and is_signed_by(crl, parse_certificate(row.pem))
        ),
        None,
    )
    if authority is None:
        raise CertificateUnknownIssuer("吊销列表不是受信任的证书机构签发的。", field="crl")
    newest = RevocationList.objects.filter(authority=authority).order_by("-number").first()
    if newest is not None and bytes(newest.der) == crl.der:
        return newest
    if newest is not None and not supersedes(crl, parse_crl(bytes(newest.der))):
        raise CertificateRefused("已有更新的吊销列表，不能以旧换新。", field="crl", number=str(newest.number))
    issuer = parse_certificate(authority.pem).subject
    for row in Certificate.objects.select_for_update().filter(
        issuer=issuer, serial_hex__in=crl.entries, status=Certificate.Status.ACTIVE
    ):
        row.status, row.revoked_at = Certificate.Status.REVOKED, crl.entries[row.serial_hex].revoked_at
        row.revoke_reason = f"证书机构吊销列表 {crl.number or ''}"
        row.save(update_fields=["status", "revoked_at", "revoke_reason"])
    return RevocationList.objects.create(
        authority=authority,
        number=crl.number or 0,
        der=crl.der,
        this_update=crl.this_update,
        next_update=crl.next_update,
        received_at=now,
    )


@transaction.atomic
def import_demo_pki(directory: Path) -> list[Certificate]:
    """Register the authorities and every organisation's certificate of a demo PKI, and a profile for its suite.

    The profile starts with the certificate. No private key is opened. Safe to run at every start.
    """
    for authority in authority_certificates(directory):
        register_authority(authority)
    registered = []
    for path in sorted(directory.glob(f"*/{CERTIFICATE_FILE}")):
        name = path.parent.name
        if name.startswith(SEAL_MAKER):
            maker = register_certificate(pem=path.read_bytes(), organisation_code=name)
            register_maker(maker, name=f"演示制章人（{maker.suite_id}）")
        if not is_organisation_folder(name):
            continue
        row = register_certificate(pem=path.read_bytes(), organisation_code=name)
        if not SignatureProfile.objects.filter(organisation_code=row.organisation_code, suite_id=row.suite_id).exists():
            SignatureProfile.objects.create(
                organisation_code=row.organisation_code, suite_id=row.suite_id, valid_from=row.valid_from.date()
            )
        registered.append(row)
    return registered


def certificate_ids(marks: Collection[tuple[str, str]]) -> dict[tuple[str, str], UUID]:
    """The registered certificates behind (organisation, serial) pairs. One SQL statement.

    :raises CertificateNotRegistered: if one is unknown; a mark that nobody could verify must not leave the house.
    """
    rows = Certificate.objects.filter(
        organisation_code__in={organisation for organisation, _ in marks},
        serial_hex__in={serial for _, serial in marks},
    )
    found = {(row.organisation_code, row.serial_hex): row.pk for row in rows}
    for organisation, serial in marks:
        if (organisation, serial) not in found:
            raise CertificateNotRegistered(
                f"机构 {organisation} 的证书 {serial} 未登记，不能签名。",
                organisation_code=organisation,
                serial_hex=serial,
            )
    return found


def record_seal_uses(uses: Sequence[SealUseFacts], *, now: datetime) -> None:
    """Record uses of seals and signing keys, in the caller's transaction, by one COPY."""
    copy_rows(
        [
            SealUse(
                adm_div_code=use.adm_div_code,
                fiscal_year=use.fiscal_year,
                organisation_code=use.organisation_code,
                position=use.position,
                certificate_id=use.certificate_id,
                signed_digest_sm3=sm3_hex(use.text),
                voucher_id=use.voucher_id,
                person_id=use.person_id,
                at=now,
            )
            for use in uses
        ]
    )
