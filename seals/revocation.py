"""Certificate revocation lists: which certificates their issuer has withdrawn, since when and why.

A list is judged for one certificate at one moment: it must be of the certificate's own issuer, signed by that
issuer's key, current, and of a kind that says everything. The answer then gives the time of revocation, so that the
caller can let a signature stand that is proved to be older. No Django here. Source: RFC 5280 §5, GB/T 20518.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, Protocol

from seals import der
from seals.certificates import (
    CRL_SIGN,
    Issuer,
    ParsedCertificate,
    algorithm_oid,
    full_names,
    read_extensions,
    suites_for,
)
from seals.errors import KeyNotUsable, RevocationListMalformed, RevocationListUnsupported
from seals.suites import SUITE_BY_SIGNATURE_OID, get_suite

LONGEST_LIST = 32 * 1024 * 1024
GRACE = timedelta(days=7)  # how long after nextUpdate a list still counts; authorities are late at holidays

REASONS = (
    "unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
    "certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise",
)  # fmt: skip

Unknown = Literal[
    "missing", "wrong_issuer", "issuer_may_not_sign_lists", "forged", "not_yet_valid", "out_of_scope", "old"
]

_NUMBER, _REASON = "2.5.29.20", "2.5.29.21"
_DELTA, _ISSUING_POINT, _ENTRY_ISSUER = "2.5.29.27", "2.5.29.28", "2.5.29.29"
_HOLD_INSTRUCTION, _INVALIDITY_DATE = "2.5.29.23", "2.5.29.24"


@dataclass(frozen=True)
class RevokedEntry:
    """One line of a list. `serial_hex` as in `ParsedCertificate`, `reason` one of `REASONS`."""

    serial_hex: str
    revoked_at: datetime
    reason: str = "unspecified"


@dataclass(frozen=True, eq=False)
class ParsedCrl:
    """What a list says, as received; nothing here is verified. Instants are aware UTC."""

    issuer_name: bytes = field(repr=False)
    number: int | None
    this_update: datetime
    next_update: datetime
    entries: Mapping[str, RevokedEntry] = field(repr=False)  # by serial
    scope: Literal["all", "leaves", "authorities"]
    points: frozenset[bytes] | None = field(repr=False)  # if it covers only certificates that name one of these
    signature_oid: str
    der: bytes = field(repr=False)
    tbs: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True)
class RevocationStatus:
    """Good, revoked since `revoked_at` (with the list's reason word), or unknown (with one of `Unknown`)."""

    state: Literal["good", "revoked", "unknown"]
    revoked_at: datetime | None = None
    reason: str = ""
    crl_number: int | None = None
    this_update: datetime | None = None


class RevocationSource(Protocol):
    """Where `validate_chain` asks. The source has its own clock: the moment at which lists must be fresh."""

    def status(self, certificate: ParsedCertificate, issuer: ParsedCertificate) -> RevocationStatus:
        """Whether `issuer`, whose signature on `certificate` has been verified, has revoked it."""


class RevocationLists:
    """A source made of the lists at hand, judged at `now`."""

    def __init__(self, crls: Iterable[ParsedCrl], *, now: datetime, grace: timedelta = GRACE) -> None:
        self._now, self._grace = now, grace
        self._by_issuer: dict[bytes, list[ParsedCrl]] = {}
        for crl in sorted(crls, key=_age, reverse=True):
            self._by_issuer.setdefault(crl.issuer_name, []).append(crl)

    def status(self, certificate: ParsedCertificate, issuer: ParsedCertificate) -> RevocationStatus:
        """By the newest list that is the issuer's own and covers the certificate; older ones no longer count."""
        found = [
            crl_status(crl, certificate, issuer, now=self._now, grace=self._grace)
            for crl in self._by_issuer.get(certificate.issuer_name, [])
        ]
        telling = [status for status in found if status.state != "unknown" or status.reason == "old"]
        return (telling or found or [RevocationStatus("unknown", reason="missing")])[0]


def parse_crl(data: bytes) -> ParsedCrl:
    """Read one list, PEM or DER.

    :raises RevocationListMalformed: if it is not exactly one well-formed list with both its dates.
    :raises RevocationListUnsupported: for a delta or indirect list, one of some reasons only, or a critical extension
        that is not known: what it leaves unsaid could be a revocation.
    """
    if len(data) > LONGEST_LIST:
        raise RevocationListMalformed("吊销列表过长。", bytes=len(data))
    try:
        return _read(der.from_pem("X509 CRL", bytes(data)))
    except (ValueError, IndexError) as error:
        raise RevocationListMalformed("吊销列表格式不正确，须为一份 PEM 或 DER 吊销列表。") from error


def crl_status(
    crl: ParsedCrl,
    certificate: ParsedCertificate,
    issuer: ParsedCertificate,
    *,
    now: datetime,
    grace: timedelta = GRACE,
) -> RevocationStatus:
    """What one list says of one certificate at `now`.

    An entry counts even when the list is too old, for a revocation is for good; only a hold may have ended.
    """

    def unknown(reason: Unknown) -> RevocationStatus:
        return RevocationStatus("unknown", reason=reason, crl_number=crl.number, this_update=crl.this_update)

    if not crl.issuer_name == certificate.issuer_name == issuer.subject_name:
        return unknown("wrong_issuer")
    if issuer.key_usage is None or CRL_SIGN not in issuer.key_usage:
        return unknown("issuer_may_not_sign_lists")
    if not _signed_by(crl, issuer, get_suite(certificate.suite_id).status == "verify-only"):
        return unknown("forged")
    if crl.this_update > now:
        return unknown("not_yet_valid")
    if not _covers(crl, certificate):
        return unknown("out_of_scope")
    entry, old = crl.entries.get(certificate.serial_hex), now > crl.next_update + grace
    if entry is not None and not (old and entry.reason == "certificateHold"):
        return RevocationStatus("revoked", entry.revoked_at, entry.reason, crl.number, crl.this_update)
    return unknown("old") if old else RevocationStatus("good", crl_number=crl.number, this_update=crl.this_update)


def is_signed_by(crl: ParsedCrl, issuer: ParsedCertificate) -> bool:
    """True if this authority, which may sign lists, signed this one with a suite in use."""
    return CRL_SIGN in (issuer.key_usage or ()) and _signed_by(crl, issuer, False)


def supersedes(newer: ParsedCrl, older: ParsedCrl) -> bool:
    """True if `newer` may take the place of `older`: same issuer, a greater number, not made earlier.

    Keep the greatest list seen of each issuer and refuse others, else an old list could hide a revocation.
    """
    return (
        newer.issuer_name == older.issuer_name
        and newer.points == older.points
        and (newer.number or 0) > (older.number or 0)
        and newer.this_update >= older.this_update
    )


def build_crl(
    issuer: Issuer,
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
    revoked: Iterable[RevokedEntry] = (),
    extensions: Sequence[bytes] = (),
) -> bytes:
    """A version 2 list in DER, signed with the issuer's suite.

    :param extensions: further Extension values in DER, for tests of lists that must be refused.
    """
    suite = get_suite(issuer.key.suite_id)
    algorithm = der.write(der.SEQUENCE, der.oid(suite.signature_oid))
    entries = [_entry(entry) for entry in sorted(revoked, key=lambda entry: (entry.revoked_at, entry.serial_hex))]
    tbs = der.write(
        der.SEQUENCE,
        der.integer(1),
        algorithm,
        issuer.name,
        der.time(this_update),
        der.time(next_update),
        der.write(der.SEQUENCE, *entries) if entries else b"",
        der.write(0xA0, der.write(der.SEQUENCE, der.extension(_NUMBER, der.integer(number)), *extensions)),
    )
    return der.write(der.SEQUENCE, tbs, algorithm, der.write(der.BIT_STRING, b"\0", suite.sign(issuer.key, tbs)))


def _entry(entry: RevokedEntry) -> bytes:
    reason = der.write(0x0A, bytes([REASONS.index(entry.reason)]))  # ENUMERATED
    return der.write(
        der.SEQUENCE,
        der.integer(int(entry.serial_hex, 16)),
        der.time(entry.revoked_at),
        der.write(der.SEQUENCE, der.extension(_REASON, reason)),
    )


def _age(crl: ParsedCrl) -> tuple[int, datetime]:
    return (crl.number or 0, crl.this_update)


@lru_cache(maxsize=256)
def _signed_by(crl: ParsedCrl, issuer: ParsedCertificate, verify_only: bool) -> bool:
    suite_id = SUITE_BY_SIGNATURE_OID.get(crl.signature_oid)
    if suite_id not in suites_for(issuer) or suite_id is None:
        return False
    suite = get_suite(suite_id)
    if suite.status == "verify-only" and not verify_only:
        return False
    try:
        return suite.verify(issuer.public_key_for(suite_id), crl.tbs, crl.signature)
    except KeyNotUsable:
        return False


def _covers(crl: ParsedCrl, certificate: ParsedCertificate) -> bool:
    if crl.scope != "all" and (crl.scope == "authorities") != certificate.is_authority:
        return False
    return crl.points is None or bool(crl.points & certificate.list_points)


def _read(data: bytes) -> ParsedCrl:
    outer, rest = der.read(data)
    tbs, algorithm, signature = der.read_all(outer.value)
    if rest or outer.tag != der.SEQUENCE or signature.tag != der.BIT_STRING or signature.value[:1] != b"\0":
        raise ValueError("not one signed list")
    fields = der.read_all(tbs.value)
    if fields[0].tag == der.INTEGER:
        fields = fields[1:]
    inner_algorithm, issuer, this_update, next_update, *optional = fields
    if inner_algorithm.raw != algorithm.raw:
        raise ValueError("two signature algorithms")
    entries = next((item.value for item in optional if item.tag == der.SEQUENCE), b"")
    extensions = read_extensions(next((item.value for item in optional if item.tag == 0xA0), b""))
    _refuse_unsupported(extensions, known={_NUMBER, _ISSUING_POINT})
    scope, points = _issuing_point(extensions)
    return ParsedCrl(
        issuer_name=issuer.raw,
        number=int.from_bytes(der.read(extensions[_NUMBER][1])[0].value) if _NUMBER in extensions else None,
        this_update=der.instant(this_update),
        next_update=der.instant(next_update),
        entries={entry.serial_hex: entry for entry in map(_read_entry, der.each(entries))},
        scope=scope,
        points=points,
        signature_oid=algorithm_oid(algorithm),
        der=data,
        tbs=tbs.raw,
        signature=signature.value[1:],
    )


def _read_entry(line: der.Tlv) -> RevokedEntry:
    serial, revoked_at, *more = der.read_all(line.value)
    extensions = read_extensions(more[0].raw if more else b"")
    _refuse_unsupported(extensions, known={_REASON, _HOLD_INSTRUCTION, _INVALIDITY_DATE})
    code = int.from_bytes(der.read(extensions[_REASON][1])[0].value) if _REASON in extensions else 0
    if serial.tag != der.INTEGER or not REASONS[code] or REASONS[code] == "removeFromCRL":  # only deltas remove
        raise ValueError("not a revoked certificate")
    return RevokedEntry(serial.value.lstrip(b"\0").hex() or "00", der.instant(revoked_at), REASONS[code])


def _refuse_unsupported(extensions: Mapping[str, tuple[bool, bytes]], known: set[str]) -> None:
    for name, (critical, _value) in extensions.items():
        if name in (_DELTA, _ENTRY_ISSUER) or (critical and name not in known):
            raise RevocationListUnsupported("不接受这种吊销列表（增量、间接，或含不认识的关键扩展）。", extension=name)


def _issuing_point(
    extensions: Mapping[str, tuple[bool, bytes]],
) -> tuple[Literal["all", "leaves", "authorities"], frozenset[bytes] | None]:
    """The part of the issuer's certificates that the list covers. Source: RFC 5280 §5.2.5."""
    if _ISSUING_POINT not in extensions:
        return "all", None
    items = der.read_all(der.read(extensions[_ISSUING_POINT][1])[0].value)
    stated = {item.tag: item for item in items if item.tag == 0xA0 or item.value != b"\0"}
    names = frozenset(full_names(items))
    # [3] some reasons, [4] indirect, [5] attribute certificates; [1] and [2] together would cover nothing
    if stated.keys() - {0xA0, 0x81, 0x82} or {0x81, 0x82} <= stated.keys() or (0xA0 in stated and not names):
        raise RevocationListUnsupported("不接受间接的、只含部分原因的吊销列表。", extension=_ISSUING_POINT)
    scope: Literal["all", "leaves", "authorities"] = (
        "leaves" if 0x81 in stated else "authorities" if 0x82 in stated else "all"
    )
    return scope, names if 0xA0 in stated else None
