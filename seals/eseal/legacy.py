"""The stamps and signatures of 2024 (docs/vouchers.md; the layout before GB/T 38540): read and verify, never make.

`Signature` is a detached PKCS#7 over the base64 text inside `<Voucher>`; `SignStamp` wraps one over
base64 text ‖ time ‖ seal. Both travel as base64 without padding, with RSA-1024 and SHA-1 at the time. That algorithm
proves something only about what is known to be old, so the caller says until when it counts (`weak_until`), and the
date that counts is the proven one, never the stated one.

What the maker of such a seal signed is not published, so the seal by itself stays undecided; the signature over the
content has its own verdict.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from seals import der
from seals.certificates import ParsedCertificate
from seals.cms import CmsRefused, SignedData, parse_signed_data, read_few, signer_certificate, verify_signed_data
from seals.errors import SealError
from seals.eseal.picture import PictureRefused, check_picture
from seals.eseal.structures import LONGEST_SEAL, LONGEST_STAMP, SealMalformed
from seals.eseal.verify import CLOCK_SKEW, judge_certificate, read_certificate, refusal
from seals.revocation import RevocationSource
from seals.suites import get_suite
from seals.verdicts import Deviation, Verdict, conclude, verdict_of

LAYOUT_VERSION = 2
UNPADDED = Deviation("base64_unpadded", "base64 文本省略了末尾的等号。")
WEAK_ALGORITHM = Deviation("weak_algorithm", "以 RSA/SHA-1 签名，仅因约定的过渡期而接受。")

_SHANGHAI = timezone(timedelta(hours=8))
_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class LegacySeal:
    """A seal of the older layout, as received. Of its three times the order is not known."""

    raw: bytes = field(repr=False)
    seal_id: str
    name: str
    kind: str
    picture: bytes = field(repr=False)
    maker_certificate: bytes = field(repr=False)
    holder: str
    times: tuple[str, str, str]
    maker_signature: bytes = field(repr=False)


@dataclass(frozen=True)
class LegacyStamp:
    """A `SignStamp` of the older layout, as received. `time_text` is part of what is signed."""

    raw: bytes = field(repr=False)
    seal: LegacySeal
    signed_at: datetime
    time_text: bytes
    certificate: bytes = field(repr=False)
    signed_data: SignedData


@dataclass(frozen=True)
class LegacyReport:
    """What was found out. `verdict` is of the whole, `signature` of the signature over the content alone."""

    verdict: Verdict
    signature: Verdict
    stamp: LegacyStamp | None
    signer: ParsedCertificate | None
    findings: tuple[Verdict, ...] = field(default=(), repr=False)


def is_legacy_stamp(data: bytes) -> bool:
    """True if a `SignStamp` begins like the older layout; stamps of GB/T 38540 begin with a SEQUENCE inside."""
    try:
        return der.read(der.read(data)[0].value)[0].tag == der.INTEGER
    except ValueError:
        return False


def decode_mark(text: str) -> tuple[bytes, tuple[Deviation, ...]]:
    """The bytes of a `Signature` or `SignStamp` text, with or without its padding.

    :raises SealMalformed: unless it is the one base64 spelling of its bytes (no blanks, no stray bits).
    """
    bare = text.removesuffix("=").removesuffix("=")
    if len(bare) > LONGEST_STAMP * 4 // 3:
        raise SealMalformed("签章数据过长。")
    padded = bare + "=" * (-len(bare) % 4)
    try:
        data = base64.b64decode(padded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise SealMalformed("签章不是规范的 base64。") from error
    if not data or base64.b64encode(data).decode() != padded or text not in (bare, padded):
        raise SealMalformed("签章不是规范的 base64。")
    return data, () if text == padded else (UNPADDED,)


def parse_legacy_stamp(data: bytes) -> LegacyStamp:
    """Read a `SignStamp` of the older layout.

    :raises SealMalformed: for anything else.
    """
    if len(data) > LONGEST_STAMP:
        raise SealMalformed("签章数据过长。", bytes=len(data))
    try:
        version, seal, time, certificate, signed = _elements(data, "IOOOO")
        if version.value != bytes([LAYOUT_VERSION]):
            raise ValueError("unknown version")
        moment = datetime.strptime(time.value.decode("ascii"), _TIME)
        if moment.strftime(_TIME).encode() != time.value:
            raise ValueError("time not written out")
        return LegacyStamp(
            raw=data,
            seal=_legacy_seal(seal.value),
            signed_at=moment.replace(tzinfo=_SHANGHAI),
            time_text=time.value,
            certificate=certificate.value,
            signed_data=parse_signed_data(signed.value),
        )
    except (ValueError, CmsRefused) as error:
        raise SealMalformed(f"不是规范的旧版签章：{error}") from error


def _legacy_seal(data: bytes) -> LegacySeal:
    if len(data) > LONGEST_SEAL:
        raise ValueError("seal too long")
    version, seal_id, name, kind, _, picture, maker, holder, *times, signature = _elements(data, "IOOOISOOOOOO")
    if version.value != bytes([LAYOUT_VERSION]):
        raise ValueError("unknown version of seal")
    images = [each.value for each in read_few(picture.value) if each.tag == der.OCTET_STRING]
    created, valid_from, valid_to = (each.value.decode("ascii") for each in times)
    return LegacySeal(
        raw=data,
        seal_id=seal_id.value.decode("ascii"),
        name=name.value.decode("gbk"),
        kind=kind.value.decode("ascii"),
        picture=images[0] if images else b"",
        maker_certificate=maker.value,
        holder=holder.value.decode("gbk"),
        times=(created, valid_from, valid_to),
        maker_signature=signature.value,
    )


def _elements(data: bytes, shape: str) -> list[der.Tlv]:
    """The fields of one SEQUENCE: I for INTEGER, O for OCTET STRING, S for SEQUENCE."""
    outer, rest = der.read(data)
    fields = read_few(outer.value)
    tags = {"I": der.INTEGER, "O": der.OCTET_STRING, "S": der.SEQUENCE}
    if rest or outer.tag != der.SEQUENCE or [each.tag for each in fields] != [tags[letter] for letter in shape]:
        raise ValueError("unexpected fields")
    return fields


def verify_legacy_signature(
    text: str,
    *,
    content: bytes,
    authorities: Iterable[ParsedCertificate],
    at: datetime,
    weak_until: datetime | None = None,
    certificate: ParsedCertificate | None = None,
    revocation: RevocationSource | None = None,
) -> LegacyReport:
    """Judge a `Signature` text. It states no time, so `at`, the proven one, is the time certificates must be good at.

    :param content: the ASCII bytes of the base64 text inside `<Voucher>`.
    :param weak_until: RSA with SHA-1 counts for what is proven to be older than this; None: never.
    :param certificate: the one the register has for the signer; None takes the enclosed one, if it chains.
    """
    try:
        data, deviations = decode_mark(text)
        parsed = parse_signed_data(data)
    except SealError as error:
        return _unread(error)
    enclosed = signer_certificate(parsed)
    chosen = certificate.der if certificate else enclosed
    return _judge(parsed, chosen, content, tuple(authorities), at, at, weak_until, revocation, deviations, None)


def verify_legacy_stamp(
    text: str,
    *,
    content: bytes,
    authorities: Iterable[ParsedCertificate],
    at: datetime,
    weak_until: datetime | None = None,
    certificate: ParsedCertificate | None = None,
    revocation: RevocationSource | None = None,
) -> LegacyReport:
    """Judge a `SignStamp` text of the older layout; parameters as in `verify_legacy_signature`.

    The whole is never TOTAL_PASSED, because the seal's maker cannot be checked; `signature` may be.
    """
    try:
        data, deviations = decode_mark(text)
        stamp = parse_legacy_stamp(data)
    except SealError as error:
        return _unread(error)
    signed = content + stamp.time_text + stamp.seal.raw
    chosen = certificate.der if certificate else stamp.certificate
    return _judge(
        stamp.signed_data, chosen, signed, tuple(authorities), stamp.signed_at, at, weak_until, revocation,
        deviations, stamp,
    )  # fmt: skip


def _unread(error: SealError) -> LegacyReport:
    refused = refusal(error)
    return LegacyReport(refused, refused, None, None)


def _judge(
    parsed: SignedData, chosen: bytes | None, signed: bytes, authorities: tuple[ParsedCertificate, ...],
    stated: datetime, proven: datetime, weak_until: datetime | None, revocation: RevocationSource | None,
    known_deviations: tuple[Deviation, ...], stamp: LegacyStamp | None,
) -> LegacyReport:  # fmt: skip
    deviations = list(known_deviations)
    findings: list[Verdict] = []
    signer, facts = None, _facts(stamp)
    if parsed.content is not None:
        findings.append(verdict_of("format_invalid", "签名应与原文分离，却自带原文。"))
    elif chosen is None:
        findings.append(verdict_of("certificate_missing"))
    else:
        signer, findings, more = read_certificate(chosen)
        deviations += more
    if signer is not None:
        enclosed = signer_certificate(parsed)
        if enclosed is not None and enclosed != signer.der:
            findings.append(verdict_of("certificate_of_other_party", "所附证书与登记的不是同一张。"))
        try:
            suite_id = verify_signed_data(parsed, signed, signer.spki)
            facts |= {"suite": suite_id, "signer": signer.subject, "signer_serial": signer.serial_hex}
            if get_suite(suite_id).status == "verify-only":
                if weak_until is not None and proven < weak_until:
                    deviations.append(WEAK_ALGORITHM)
                else:
                    findings.append(verdict_of("algorithm_retired", suite_id))
        except CmsRefused as error:
            findings.append(refusal(error))
        findings += judge_certificate(signer, authorities, stated, proven, revocation)
    if stated > proven + CLOCK_SKEW:
        findings.append(verdict_of("signed_in_future", f"{stated:%Y-%m-%d %H:%M:%S}"))
    signature = conclude(findings, deviations=deviations, facts=facts)
    whole = [*findings, *(_judge_legacy_seal(stamp.seal) if stamp else [])]
    return LegacyReport(conclude(whole, deviations=deviations, facts=facts), signature, stamp, signer, tuple(whole))


def _judge_legacy_seal(seal: LegacySeal) -> list[Verdict]:
    findings = [verdict_of("seal_maker_uncheckable")]
    try:
        check_picture("GIF" if seal.picture.startswith(b"GIF") else "PNG", seal.picture, 1, 1)
    except PictureRefused as error:
        findings.append(refusal(error))
    return findings


def _facts(stamp: LegacyStamp | None) -> dict[str, str]:
    if stamp is None:
        return {"layout": "PKCS#7"}
    seal = stamp.seal
    return {
        "layout": "SignStamp",
        "es_id": seal.seal_id,
        "name": seal.name,
        "holder": seal.holder,
        "signed_at": stamp.signed_at.isoformat(),
    }
