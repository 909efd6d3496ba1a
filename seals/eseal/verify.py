"""Decide what a seal and a stamp are worth, in the order of GB/T 38540 §7, and say so as a `Verdict`.

A seal's mathematics proves little: from version 4 on the maker's certificate lies outside what the maker signed, so
anybody can make a seal that verifies against the certificate inside it. What counts is that the maker's certificate
chains to an authority given by the caller and, where the caller names the admitted makers, is one of them.

Every check runs even if an earlier one failed, so that a page can show all findings; the verdict is the first failure,
else the first finding that leaves it open. Times: the stamp *states* when it was made; `at` is an instant by which it
is *proven* to have existed (receipt or time stamp). Certificates must be good at the stated time; whatever happened
to them between it and `at` leaves the verdict open, for a stolen key can write any time it likes.
"""

import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from core.digests import sm3
from seals import der
from seals.certificates import ParsedCertificate, check_validity, parse_certificate, validate_chain
from seals.errors import CertificateRefused, CertificateWrongUsage, KeyNotUsable, SealError
from seals.eseal.picture import PICTURE_OFD, PictureRefused, check_picture
from seals.eseal.structures import Seal, SealMalformed, Stamp, parse_seal, parse_stamp
from seals.revocation import RevocationSource
from seals.suites import PublicKeyHandle, get_suite
from seals.verdicts import Deviation, Verdict, conclude, verdict_of

CLOCK_SKEW = timedelta(minutes=5)
DIGESTS: Mapping[str, str] = {  # how holders' digests are named; the first three mean SM3, also seen as `.401.2`
    "1.2.156.10197.1.401": "sm2-sm3",
    "SM3": "sm2-sm3",
    "1.2.156.10197.1.401.2": "sm2-sm3",
    "2.16.840.1.101.3.4.2.1": "rsa-sha256",
    "SHA256": "rsa-sha256",
    "SHA-256": "rsa-sha256",
}
RAW_SIGNATURE = Deviation("raw_signature", "签名值为 64 字节 r‖s，不是规范的 DER。")
DIGEST_NAME = Deviation("digest_name", "持有人名单里摘要算法的写法不是标准 OID。")
PROPERTY_PATH = Deviation("property_path", "签章所写文件路径的斜杠或大小写与实际不同。")
CERTIFICATE_DEFAULT = Deviation("certificate_explicit_default", "证书扩展写出了缺省值，不是规范的 DER。")

_EXPLICIT_CA_FALSE = der.oid("2.5.29.19"), bytes.fromhex("04053003010100")


@dataclass(frozen=True)
class SealReport:
    """What was found out about a seal; `findings` are all that speak against it. `seal` is None if unreadable."""

    verdict: Verdict
    seal: Seal | None
    maker: ParsedCertificate | None
    findings: tuple[Verdict, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class StampReport:
    """What was found out about a stamp.

    `verdict` is of the whole; `seal` reports on the seal within (None if the stamp was unreadable) and `signature` is
    the verdict on the use of it alone.
    """

    verdict: Verdict
    signature: Verdict
    stamp: Stamp | None
    seal: SealReport | None
    signer: ParsedCertificate | None
    findings: tuple[Verdict, ...] = field(default=(), repr=False)


def verify_seal(
    data: bytes,
    *,
    maker_authorities: Iterable[ParsedCertificate],
    at: datetime,
    makers: Collection[bytes] | None = None,
    revocation: RevocationSource | None = None,
) -> SealReport:
    """Judge a seal as it would be used at the instant `at`.

    :param maker_authorities: who may vouch for seal makers; a maker's own certificate among them is trusted directly.
    :param makers: DER certificates of the admitted makers; None admits all the authorities vouch for.
    :param revocation: where `validate_chain` asks for revocations; None leaves them to the register.
    """
    try:
        seal = parse_seal(data)
    except SealMalformed as error:
        return SealReport(refusal(error), None, None)
    return _judge_seal(seal, tuple(maker_authorities), at, at, makers, revocation)


def verify_stamp(
    data: bytes,
    *,
    content: bytes,
    expected_property: str | None,
    maker_authorities: Iterable[ParsedCertificate],
    signer_authorities: Iterable[ParsedCertificate],
    at: datetime,
    now: datetime,
    makers: Collection[bytes] | None = None,
    revocation: RevocationSource | None = None,
) -> StampReport:
    """Judge a stamp over `content`.

    :param content: the protected bytes; for a voucher the base64 text inside `<Voucher>`.
    :param expected_property: the propertyInfo this place demands (docs/signatures.md §5); None where it is not known.
    :param at: an instant by which the stamp is proven to have existed: its receipt, or its time stamp.
    :param now: the instant of this judgement, for the facts; no stamp is later than it.
    """
    try:
        stamp = parse_stamp(data)
    except SealMalformed as error:
        refused = refusal(error)
        return StampReport(refused, refused, None, None, None)
    at = min(at, now)
    seal = _judge_seal(stamp.seal, tuple(maker_authorities), stamp.signed_at, at, makers, revocation)
    signer, findings, deviations = read_certificate(stamp.certificate)
    if signer is not None:
        trusted = judge_certificate(signer, tuple(signer_authorities), stamp.signed_at, at, revocation)
        findings += [*trusted, *_judge_holder(stamp, deviations)]
        findings += _judge_signature(signer, stamp, "signature_invalid", deviations)
        findings += _judge_content(signer, stamp, content)
    if stamp.signed_at > at + CLOCK_SKEW:
        findings.append(verdict_of("signed_in_future", f"{stamp.signed_at:%Y-%m-%d %H:%M:%S} (UTC)"))
    findings += _judge_property(stamp.property_info, expected_property, deviations)
    facts = {**_seal_facts(stamp.seal), **_stamp_facts(stamp, signer), "judged_at": now.isoformat()}
    deviations += stamp.deviations
    signature = conclude(findings, deviations=deviations, facts=facts)
    whole = conclude([*seal.findings, *findings], deviations=[*seal.verdict.deviations, *deviations], facts=facts)
    return StampReport(whole, signature, stamp, seal, signer, (*seal.findings, *findings))


def _judge_seal(
    seal: Seal,
    authorities: Sequence[ParsedCertificate],
    stated: datetime,
    proven: datetime,
    makers: Collection[bytes] | None,
    revocation: RevocationSource | None,
) -> SealReport:
    maker, findings, deviations = read_certificate(seal.maker_certificate)
    if maker is not None:
        findings += _judge_signature(maker, seal, "seal_signature_invalid", deviations)
        findings += judge_certificate(maker, authorities, stated, proven, revocation)
        if makers is not None and maker.der not in makers:
            findings.append(verdict_of("maker_not_admitted", maker.subject))
    if stated < seal.valid_from:
        findings.append(verdict_of("seal_not_yet_valid", f"自 {seal.valid_from:%Y-%m-%d %H:%M} (UTC) 起有效"))
    if stated > seal.valid_to:
        findings.append(verdict_of("seal_expired", f"有效期至 {seal.valid_to:%Y-%m-%d %H:%M} (UTC)"))
    elif proven > seal.valid_to:
        findings.append(verdict_of("seal_expired_later", f"有效期至 {seal.valid_to:%Y-%m-%d %H:%M} (UTC)"))
    try:
        picture = seal.picture
        size = check_picture(picture.type, picture.data, picture.width_mm, picture.height_mm)
        if size.format == "ofd":
            deviations.append(PICTURE_OFD)
    except PictureRefused as error:
        findings.append(refusal(error))
    facts = _seal_facts(seal) | ({"maker": maker.subject, "maker_serial": maker.serial_hex} if maker else {})
    verdict = conclude(findings, deviations=[*seal.deviations, *deviations], facts=facts)
    return SealReport(verdict, seal, maker, tuple(findings))


def read_certificate(data: bytes) -> tuple[ParsedCertificate | None, list[Verdict], list[Deviation]]:
    try:
        certificate = parse_certificate(data)
    except CertificateRefused as error:
        return None, [refusal(error)], []
    name, value = _EXPLICIT_CA_FALSE
    explicit = any(name + flag + value in data for flag in (b"", b"\x01\x01\xff", b"\x01\x01\x00"))
    return certificate, [], [CERTIFICATE_DEFAULT] if explicit else []


def judge_certificate(
    certificate: ParsedCertificate,
    authorities: Sequence[ParsedCertificate],
    stated: datetime,
    proven: datetime,
    revocation: RevocationSource | None,
) -> Iterator[Verdict]:
    """Good when the signature says it was made? And did anything happen before it is proven to have existed?"""
    refused, path = _chain(certificate, authorities, stated, revocation)
    if refused is not None:
        yield refusal(refused)
        return
    later = _since(path, authorities, proven, revocation) if proven > stated else None
    if later is not None:
        code = {"certificate_expired": "certificate_expired_later", "certificate_revoked": "certificate_revoked_later"}
        yield verdict_of(code.get(later.code, later.code), later.message)


def _chain(
    certificate: ParsedCertificate,
    authorities: Sequence[ParsedCertificate],
    at: datetime,
    revocation: RevocationSource | None,
) -> tuple[SealError | None, tuple[ParsedCertificate, ...]]:
    """Why there is no path to an authority, or the path."""
    try:
        if all(certificate.der != each.der for each in authorities):
            return None, validate_chain(certificate, authorities, at, revocation=revocation)
        check_validity(certificate, at)  # the caller trusts this very certificate
        if certificate.is_authority:
            raise CertificateWrongUsage("机构证书不能用来签章或制章。", serial_hex=certificate.serial_hex)
    except SealError as error:
        return error, ()
    return None, (certificate,)


def _since(
    path: Sequence[ParsedCertificate],
    authorities: Sequence[ParsedCertificate],
    proven: datetime,
    revocation: RevocationSource | None,
) -> SealError | None:
    """What has ended the path by `proven`: the signatures in it are known to hold, only time has passed."""
    if revocation is not None:
        return _chain(path[0], authorities, proven, revocation)[0]
    try:
        for each in path:
            check_validity(each, proven)
    except SealError as error:
        return error
    return None


def _judge_signature(
    certificate: ParsedCertificate, signed: Seal | Stamp, code: str, deviations: list[Deviation]
) -> Iterator[Verdict]:
    """The mathematics, with the suite of the certificate's own key; what the message names must be the same."""
    suite = get_suite(certificate.suite_id)
    if suite.status != "current":
        yield verdict_of("algorithm_retired", suite.id)
        return
    if signed.signature_oid != suite.signature_oid:
        yield verdict_of("algorithm_mismatch", f"声明 {signed.signature_oid}，证书为 {suite.id}")
    try:
        key = certificate.public_key
        holds = suite.verify if isinstance(signed, Stamp) else _holds_for_seal
        if holds(key, signed.signed, signed.signature):
            return
        if len(signed.signature) == 64 and holds(key, signed.signed, der.signature_from_raw(signed.signature)):
            deviations.append(RAW_SIGNATURE)
            return
    except KeyNotUsable as error:
        yield refusal(error)
        return
    yield verdict_of(code)


@lru_cache(maxsize=256)
def _holds_for_seal(key: PublicKeyHandle, signed: bytes, signature: bytes) -> bool:
    """Remembered, because the few seals of a region come again in every stamp."""
    return get_suite(key.suite_id).verify(key, signed, signature)


def _judge_holder(stamp: Stamp, deviations: list[Deviation]) -> Iterator[Verdict]:
    if stamp.certificate in stamp.seal.holders:
        return
    for name, value in stamp.seal.holder_digests:
        suite_id = DIGESTS.get(name.upper())
        if suite_id is not None and hmac.compare_digest(value, get_suite(suite_id).digest(stamp.certificate)):
            if not name.startswith(("1.", "2.")) or name.endswith(".401.2"):
                deviations.append(DIGEST_NAME)
            return
    yield verdict_of("signer_not_holder")


def _judge_content(signer: ParsedCertificate, stamp: Stamp, content: bytes) -> Iterator[Verdict]:
    suite = get_suite(signer.suite_id)
    if not any(stamp.data_hash):
        yield verdict_of("content_missing")
    elif suite.status == "current" and not hmac.compare_digest(stamp.data_hash, suite.digest(content)):
        yield verdict_of("content_mismatch")


def _judge_property(stated: str, expected: str | None, deviations: list[Deviation]) -> Iterator[Verdict]:
    if expected is None or stated == expected:
        return
    # Only paths inside an OFD are written loosely; a voucher's identity is compared to the letter.
    if expected.lower().endswith(".xml") and _path(stated) == _path(expected):
        deviations.append(PROPERTY_PATH)
        return
    yield verdict_of("property_mismatch", f"写的是 {stated}，应为 {expected}")


def _path(text: str) -> list[str]:
    return [part for part in text.lower().split("/") if part]


def refusal(error: SealError) -> Verdict:
    return verdict_of(error.code, error.message)


def _seal_facts(seal: Seal) -> dict[str, str]:
    return {
        "version": str(seal.version),
        "es_id": seal.es_id,
        "name": seal.name,
        "seal_valid_from": seal.valid_from.isoformat(),
        "seal_valid_to": seal.valid_to.isoformat(),
        "picture_type": seal.picture.type,
        "picture_sm3": sm3(seal.picture.data).hex(),
    }


def _stamp_facts(stamp: Stamp, signer: ParsedCertificate | None) -> dict[str, str]:
    facts = {
        "signed_at": stamp.signed_at.isoformat(),
        "property_info": stamp.property_info,
        "data_hash": stamp.data_hash.hex(),
        **{f"extension:{each.oid}": each.value.hex() for each in stamp.extensions},
    }
    if signer is not None:
        facts |= {"signer": signer.subject, "signer_serial": signer.serial_hex, "suite": signer.suite_id}
    return facts
