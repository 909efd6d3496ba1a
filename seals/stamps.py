"""Stamps on received vouchers: of the expected party, with the seal that party has filed, over exactly this text.

Seal rights are fixed beforehand (印模备案): a partner's seal is registered here, byte for byte, before it counts. A
stamp that verifies in itself but with a seal nobody filed is refused like a forged one.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from seals.certificates import ParsedCertificate, parse_certificate
from seals.eseal.legacy import is_legacy_stamp, verify_legacy_stamp
from seals.eseal.structures import parse_seal
from seals.eseal.verify import StampReport, verify_stamp
from seals.models import ESeal, RevocationList, SealMaker, TrustedAuthority
from seals.revocation import ParsedCrl, RevocationLists, parse_crl
from seals.verdicts import Verdict, verdict_of


@dataclass(frozen=True)
class StampToVerify:
    """A received stamp (DER), the text it should protect, and whose seal of which kind belongs there."""

    organisation_code: str
    kind: str
    text: bytes
    property_info: str
    value: bytes


@dataclass(frozen=True)
class Trust:
    """Whom we trust, read once for many judgements."""

    authorities: tuple[ParsedCertificate, ...]
    makers: frozenset[bytes]
    lists: RevocationLists | None

    @classmethod
    def now(cls, at: datetime) -> "Trust":
        """What the register holds; three SQL statements. Without lists the register alone knows revocations."""
        rows = list(TrustedAuthority.objects.filter(active=True))
        makers = SealMaker.objects.filter(active=True, certificate__status="active").select_related("certificate")
        latest = RevocationList.objects.filter(authority__in=rows).order_by("authority", "-number")
        newest = {one.authority_id: parse_crl(bytes(one.der)) for one in latest.distinct("authority")}
        return cls(
            tuple(parse_certificate(row.pem) for row in rows),
            frozenset(parse_certificate(maker.certificate.pem).der for maker in makers),
            _lists(rows, newest, at),
        )


def _lists(
    authorities: Sequence[TrustedAuthority], newest: Mapping[UUID, ParsedCrl], at: datetime
) -> RevocationLists | None:
    """Lists decide only if every authority that must publish one is asked for it; else the register does."""
    if not any(authority.needs_list for authority in authorities):
        return None
    return RevocationLists(newest.values(), now=at)


def property_info(adm_div_code: str, fiscal_year: int, voucher_type: str, voucher_no: str, position: str) -> str:
    """What a stamp on this voucher at this position says it is about (docs/signatures.md §5)."""
    return f"{adm_div_code}/{fiscal_year:04d}/{voucher_type}/{voucher_no}/{position}"


def verify_stamps(items: Sequence[StampToVerify], *, at: datetime) -> list[Verdict]:
    """Judge each stamp, in the order given. Four SQL statements, however many items.

    :param at: the instant by which the stamps are known to exist: now for what has just arrived.
    """
    if not items:
        return []
    trust = Trust.now(at)
    reports = [report_on(item.value, item.text, item.property_info, trust, at=at) for item in items]
    numbers = {report.stamp.seal.es_id for report in reports if report.stamp is not None}
    filed = {seal.es_id: seal for seal in ESeal.objects.filter(es_id__in=numbers)}
    return [_as_filed(item, report, filed, at) for item, report in zip(items, reports, strict=True)]


def report_on(value: bytes, text: bytes, property_info: str | None, trust: Trust, *, at: datetime) -> StampReport:
    """Everything that can be said of one stamp from itself and whom we trust.

    One of the older layout is read as such, and never passes: nobody can check the maker of its seal.
    """
    if is_legacy_stamp(value):
        written = base64.b64encode(value).decode("ascii")
        old = verify_legacy_stamp(written, content=text, authorities=trust.authorities, at=at, revocation=trust.lists)
        return StampReport(old.verdict, old.signature, None, None, old.signer, old.findings)
    return verify_stamp(
        value,
        content=text,
        expected_property=property_info,
        maker_authorities=trust.authorities,
        signer_authorities=trust.authorities,
        at=at,
        now=at,
        makers=trust.makers,
        revocation=trust.lists,
    )


def _as_filed(item: StampToVerify, report: StampReport, filed: Mapping[str, ESeal], at: datetime) -> Verdict:
    if not report.verdict.ok or report.stamp is None:
        return report.verdict
    seal = filed.get(report.stamp.seal.es_id)
    if seal is None or bytes(seal.der) != report.stamp.seal.raw:
        return verdict_of("seal_not_filed", facts=report.verdict.facts)
    if seal.organisation_code != item.organisation_code or seal.kind != item.kind:
        return verdict_of("seal_of_other_party", f"{seal.name}", facts=report.verdict.facts)
    if seal.revoked_at is not None and seal.revoked_at <= at:
        return verdict_of("seal_revoked", f"{seal.revoked_at:%Y-%m-%d %H:%M} (UTC)", facts=report.verdict.facts)
    return report.verdict


def read_seal(der: bytes) -> tuple[str, str, str]:
    """(印章编号, name, picture type) of a seal file.

    :raises SealMalformed: if it is none.
    """
    seal = parse_seal(der)
    return seal.es_id, seal.name, seal.picture.type
