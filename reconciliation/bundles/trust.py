"""Certificates, revocation lists and the register of parties that a bundle carries. Half a dozen SQL statements."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.x509.oid import NameOID

from core.digests import sm3_hex
from reconciliation.bundles.collecting import Involved
from seals import der
from seals.certificates import ParsedCertificate, parse_certificate
from seals.cms import parse_signed_data
from seals.errors import SealError
from seals.eseal.structures import parse_stamp
from seals.models import Certificate, RevocationList, TrustedAuthority


@dataclass(frozen=True)
class Trusted:
    """What must be at hand to verify: files by path, and who holds which certificate."""

    files: Mapping[str, bytes] = field(repr=False)
    parties: Mapping[str, dict[str, Any]]


def trust_of(involved: Involved, tokens: Iterable[bytes]) -> Trusted:
    """Everything the verifier needs for what these vouchers and these time stamps refer to."""
    stamped = [*_of_stamps(involved.stamps)]
    serials = involved.serials | involved.stamp_certificates.keys() | {each.serial_hex for each in stamped}
    rows = Certificate.objects.filter(serial_hex__in=serials)
    registered = [
        (row.organisation_code, parse_certificate(row.pem))
        for row in rows.order_by("organisation_code", "serial_hex", "issuer")
    ]
    officers = [parse_certificate(row.pem) for row in involved.officers.values()]
    ends = [parsed for _organisation, parsed in registered] + stamped + officers + [*_of_tokens(tokens)]
    above = _authorities_above(ends)
    files = {_path("certificates", each): _pem(each) for each in ends}
    files |= {_path("trust" if each.self_issued else "certificates", each): _pem(each) for each in above.values()}
    files |= dict(_lists(above))
    return Trusted(dict(sorted(files.items())), _parties(involved, registered))


def _pem(certificate: ParsedCertificate) -> bytes:
    return der.pem("CERTIFICATE", certificate.der)


def _path(folder: str, certificate: ParsedCertificate) -> str:
    """Two authorities may give the same serial."""
    return f"{folder}/{certificate.serial_hex}-{sm3_hex(certificate.der)[:8]}.pem"


def _of_stamps(stamps: Iterable[bytes]) -> Iterator[ParsedCertificate]:
    """The certificates inside stamps: who stamped, and who made the seal."""
    for value in stamps:
        try:
            stamp = parse_stamp(value)
            yield parse_certificate(stamp.certificate)
            yield parse_certificate(stamp.seal.maker_certificate)
        except SealError:  # the verifier says what is wrong with it
            continue


def _of_tokens(tokens: Iterable[bytes]) -> Iterator[ParsedCertificate]:
    for token in tokens:
        try:
            yield from map(parse_certificate, parse_signed_data(token).certificates)
        except SealError:
            continue


def _authorities_above(ends: Iterable[ParsedCertificate]) -> dict[UUID, ParsedCertificate]:
    """The trusted authorities on the ways up from these certificates, and no others."""
    known = {row.pk: parse_certificate(row.pem) for row in TrustedAuthority.objects.filter(active=True)}
    found: dict[UUID, ParsedCertificate] = {}
    issuers = {each.issuer_name for each in ends}
    while further := {pk: each for pk, each in known.items() if each.subject_name in issuers and pk not in found}:
        found |= further
        issuers = {each.issuer_name for each in further.values()}
    return found


def _lists(authorities: Iterable[UUID]) -> Iterator[tuple[str, bytes]]:
    """The newest list of each authority."""
    rows = RevocationList.objects.filter(authority__in=list(authorities)).order_by("authority", "-number")
    for row in rows.distinct("authority").select_related("authority"):
        yield f"crls/{row.authority.fingerprint_sm3[:16]}-{row.number}.crl", bytes(row.der)


def _parties(involved: Involved, registered: Iterable[tuple[str, ParsedCertificate]]) -> dict[str, dict[str, Any]]:
    """Organisations with the certificates they signed or stamped with, and persons with their UKeys'."""
    held: dict[str, dict[str, ParsedCertificate]] = defaultdict(dict)
    for organisation, certificate in registered:
        owner = involved.stamp_certificates.get(certificate.serial_hex, organisation)
        if owner in involved.organisations or owner != organisation:
            held[owner][certificate.serial_hex] = certificate
    parties = {
        organisation: {
            "name": _common_name(organisation, held[organisation].values()),
            "serials": sorted(held[organisation]),
        }
        for organisation in sorted(involved.organisations)
    }
    keys: dict[str, set[str]] = defaultdict(set)
    for row in involved.officers.values():
        keys[str(row.person_id)].add(row.serial_hex)
    parties |= {
        str(person): {"name": name, "serials": sorted(keys[str(person)] | held[str(person)].keys())}
        for person, name in sorted(involved.persons.items())
    }
    return parties


def _common_name(organisation: str, certificates: Iterable[ParsedCertificate]) -> str:
    """The name by which all of a party's certificates know it: a common name, else the code.

    A personal seal's certificate bears the person's name, not the organisation's.
    """
    names = [_names(certificate) for certificate in certificates]
    for name, _rest in names:
        if all(any(name in text for text in (own, *rest)) for own, rest in names):
            return name
    return organisation


def _names(certificate: ParsedCertificate) -> tuple[str, tuple[str, ...]]:
    """The common name, and all texts of the subject."""
    subject = x509.load_der_x509_certificate(certificate.der).subject
    texts = tuple(str(attribute.value) for attribute in subject)
    common = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return (common[-1] if common else texts[-1] if texts else ""), texts
