"""Signatures and stamps on a document, each judged anew whenever a page shows it.

What we keep a copy of is known to have existed since it was sealed or received, and is judged as of then; a mark that
only a stranger shows us, as of now.
"""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from seals.certificates import canonical_serial
from seals.eseal.verify import StampReport
from seals.models import Certificate, ESeal, SealKind, SealPosition
from seals.stamps import Trust, property_info, report_on
from seals.verdicts import Verdict, verdict_of
from seals.verifying import TextToVerify, verify_texts
from vouchers.judging import LONGEST_STAMP_B64
from vouchers.messages import SignatureMark


@dataclass(frozen=True)
class Marked:
    """A signed document: who should have signed which text, under which identity, and since when we have it."""

    organisation: str
    adm_div_code: str
    fiscal_year: int
    voucher_type: str
    voucher_no: str
    flag: int
    text: bytes
    since: datetime
    signatures: tuple[SignatureMark, ...]
    stamps: tuple[SignatureMark, ...]


@dataclass(frozen=True)
class Judged:
    """One mark with its verdict. `seal` is the filed one, None for a signature or a seal nobody filed."""

    position: str
    title: str
    kind: str
    verdict: Verdict
    seal: ESeal | None
    subject: str  # RFC 4514, of the certificate it was made under; "" if unknown
    serial: str
    at: datetime | None

    @property
    def is_stamp(self) -> bool:
        return self.kind != SealKind.SIGNATURE

    @property
    def tone(self) -> str:
        return "ok" if self.verdict.ok else "bad" if self.verdict.indication == "TOTAL_FAILED" else "warn"

    @property
    def word(self) -> str:
        """The verdict in one word; never by colour alone."""
        return {"ok": "验证通过", "bad": "验证不通过", "warn": "不能判断"}[self.tone]

    @property
    def common_name(self) -> str:
        """The holder of the certificate."""
        try:
            found = x509.Name.from_rfc4514_string(self.subject).get_attributes_for_oid(NameOID.COMMON_NAME)
        except ValueError:
            return self.subject
        return str(found[0].value) if found else self.subject


def judge_marks(document: Marked, *, known: Collection[str], now: datetime) -> list[Judged]:
    """Judge every signature, then every stamp. At most eight SQL statements.

    :param known: the values (base64) that our own copy bears; all others are judged as of now.
    """
    positions = {
        row.position: row
        for row in SealPosition.objects.filter(
            adm_div_code=document.adm_div_code,
            fiscal_year=document.fiscal_year,
            voucher_type=document.voucher_type,
            flag=document.flag,
        )
    }
    since = {mark.value: document.since if mark.value in known else now for mark in _all(document)}
    return [*_signatures(document, positions, since), *_stamps(document, positions, since, now)]


def _all(document: Marked) -> list[SignatureMark]:
    return [*document.signatures, *document.stamps]


def _signatures(document: Marked, positions: Mapping[str, SealPosition], since: Mapping[str, datetime]) -> list[Judged]:
    found: list[Judged] = []
    rows = {
        row.serial_hex: row
        for row in Certificate.objects.filter(
            organisation_code=document.organisation,
            serial_hex__in=[_serial(mark.serial) for mark in document.signatures],
        )
    }
    for mark in document.signatures:
        at = since[mark.value]
        item = TextToVerify(document.organisation, document.text, mark.value, mark.serial)
        [verdict] = verify_texts([item], at=at, on=at.date())
        row = rows.get(_serial(mark.serial))
        found.append(
            Judged(
                mark.position,
                _title(positions, mark.position, "签名"),
                SealKind.SIGNATURE,
                verdict_of(verdict.reason_code, verdict.detail),
                None,
                row.subject if row is not None else "",
                mark.serial,
                at if at == document.since else None,
            )
        )
    return found


def _stamps(
    document: Marked, positions: Mapping[str, SealPosition], since: Mapping[str, datetime], now: datetime
) -> list[Judged]:
    if not document.stamps:
        return []
    trust = Trust.now(now)
    reports = [_report(document, mark, trust, since[mark.value]) for mark in document.stamps]
    numbers = {report.stamp.seal.es_id for report in reports if report is not None and report.stamp is not None}
    filed = {seal.es_id: seal for seal in ESeal.objects.filter(es_id__in=numbers)}
    return [
        _stamp(document, mark, report, positions.get(mark.position), filed, since[mark.value])
        for mark, report in zip(document.stamps, reports, strict=True)
    ]


def _report(document: Marked, mark: SignatureMark, trust: Trust, at: datetime) -> StampReport | None:
    """None for what is no base64 of a possible length."""
    one = document
    place = property_info(one.adm_div_code, one.fiscal_year, one.voucher_type, one.voucher_no, mark.position)
    try:
        value = base64.b64decode(mark.value if len(mark.value) <= LONGEST_STAMP_B64 else "", validate=True)
    except ValueError:
        return None
    if base64.b64encode(value).decode("ascii") != mark.value:
        return None
    return report_on(value, document.text, place, trust, at=at)


def _stamp(
    document: Marked,
    mark: SignatureMark,
    report: StampReport | None,
    position: SealPosition | None,
    filed: Mapping[str, ESeal],
    at: datetime,
) -> Judged:
    title = position.name if position is not None else "签章"
    if report is None or report.stamp is None:
        verdict = report.verdict if report is not None else verdict_of("format_invalid")
        return Judged(mark.position, title, "stamp", verdict, None, "", "", None)
    seal = filed.get(report.stamp.seal.es_id)
    if seal is not None and bytes(seal.der) != report.stamp.seal.raw:
        seal = None  # another seal under a filed one's number: its picture must not be shown
    subject, serial = (report.signer.subject, report.signer.serial_hex) if report.signer is not None else ("", "")
    return Judged(
        mark.position,
        title,
        str(seal.kind) if seal is not None else "stamp",
        _as_filed(document, report, seal, position, at),
        seal,
        subject,
        serial,
        report.stamp.signed_at,
    )


def _as_filed(
    document: Marked, report: StampReport, seal: ESeal | None, position: SealPosition | None, at: datetime
) -> Verdict:
    """A stamp that verifies in itself counts only with a seal that its party has filed for this place."""
    if not report.verdict.ok:
        return report.verdict
    facts = report.verdict.facts
    if seal is None:
        return verdict_of("seal_not_filed", facts=facts)
    if seal.organisation_code != document.organisation or (position is not None and seal.kind != position.kind):
        return verdict_of("seal_of_other_party", seal.name, facts=facts)
    if seal.revoked_at is not None and seal.revoked_at <= at:
        return verdict_of("seal_revoked", f"{seal.revoked_at:%Y-%m-%d %H:%M} (UTC)", facts=facts)
    return report.verdict


def _title(positions: Mapping[str, SealPosition], position: str, otherwise: str) -> str:
    row = positions.get(position)
    return row.name if row is not None else otherwise


def _serial(text: str) -> str:
    try:
        return canonical_serial(text)
    except ValueError:
        return ""


def marks_of(rows: Sequence[Sequence[str]]) -> tuple[SignatureMark, ...]:
    """Marks as the inbox keeps them: position, serial, value."""
    return tuple(SignatureMark(*row) for row in rows)
