"""Time stamps of RFC 3161 with SM3 imprints: ask for one, check what comes back, and (for the test authority) make one.

    asked = make_request(text)                               # POST asked.der as application/timestamp-query
    stamp = verify_response(answer, asked, authorities, now)  # a fresh token, to be kept as stamp.token
    stamp = verify_token(token, text, authorities, now)       # years later, without the request

A token is a CMS SignedData over a TSTInfo, signed under a certificate that may do nothing but stamp time, by the suite
of its key; the imprint is SM3 of what is stamped. No Django here.
"""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from core.digests import sm3
from seals import cms, der
from seals.certificates import ParsedCertificate, parse_certificate, validate_chain
from seals.errors import CertificateRefused, SealError
from seals.revocation import RevocationSource
from seals.suites import PrivateKeyHandle, get_suite

REQUEST_TYPE, REPLY_TYPE = "application/timestamp-query", "application/timestamp-reply"
LONGEST_REQUEST = 4096
MOST_SKEW = timedelta(minutes=5)  # between the authority's clock and ours
POLICY = "2.25.212395711362907450466438128838475126061.1"  # of our own test authority

_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_DIGEST_OIDS = {"sm2-sm3": cms.SM3_OID, "ecdsa-p256-sha256": cms.SHA256_OID}
_SM3_ALGORITHMS = (
    der.write(der.SEQUENCE, der.oid(cms.SM3_OID)),
    der.write(der.SEQUENCE, der.oid(cms.SM3_OID), b"\5\0"),
)
_GRANTED = (0, 1)  # granted, grantedWithMods
BAD_ALGORITHM, BAD_REQUEST, BAD_FORMAT, TIME_NOT_AVAILABLE, SYSTEM_FAILURE = 0, 2, 5, 14, 25  # PKIFailureInfo


class TimestampRefused(SealError):
    """Base of the reasons for which a time stamp is not accepted."""

    code = "timestamp_refused"


class TimestampMalformed(TimestampRefused):
    code = "timestamp_malformed"


class TimestampNotGranted(TimestampRefused):
    """The authority said no; `facts` has its status, reasons (bit numbers) and text."""

    code = "timestamp_not_granted"


class TimestampOfOtherContent(TimestampRefused):
    """The imprint is of another text, or made with another algorithm."""

    code = "timestamp_of_other_content"


class TimestampNonceMismatch(TimestampRefused):
    """The answer to another question, or to an old one."""

    code = "timestamp_nonce_mismatch"


class TimestampCertificateRefused(TimestampRefused):
    """The certificate may not stamp time, was not valid then, or nobody trusted vouches for it."""

    code = "timestamp_certificate_refused"


class TimestampSignatureInvalid(TimestampRefused):
    code = "timestamp_signature_invalid"


class TimestampOutOfTime(TimestampRefused):
    """A time still to come, or in a fresh answer one that is not now."""

    code = "timestamp_out_of_time"


@dataclass(frozen=True)
class TimestampRequest:
    """What is asked: SM3 of the text, and a nonce that the answer must repeat (None: none was asked for)."""

    imprint: bytes
    nonce: int | None
    der: bytes = field(repr=False)
    wants_certificate: bool = True


@dataclass(frozen=True)
class Timestamp:
    """A token that holds. `at` is aware UTC; the true time lies within `accuracy` of it."""

    at: datetime
    accuracy: timedelta
    serial: int
    policy: str
    certificate: ParsedCertificate
    token: bytes = field(repr=False)


# Asking


def make_request(data: bytes, nonce: int | None = None) -> TimestampRequest:
    """A request for a time stamp over `data`, with a random nonce of 64 bits if none is given."""
    nonce = secrets.randbits(63) | 1 << 63 if nonce is None else nonce
    imprint = sm3(data)
    body = der.write(
        der.SEQUENCE, der.integer(1), _imprint(imprint), der.integer(nonce), der.write(der.BOOLEAN, b"\xff")
    )
    return TimestampRequest(imprint, nonce, body)


def verify_response(
    response: bytes,
    request: TimestampRequest,
    authorities: Iterable[ParsedCertificate],
    now: datetime,
    *,
    revocation: RevocationSource | None = None,
) -> Timestamp:
    """Check the answer to a request that was just made.

    :raises TimestampNotGranted: if the authority refused.
    :raises TimestampNonceMismatch: if it answers another request.
    :raises TimestampOutOfTime: if its time is not now, within `MOST_SKEW`.
    :raises TimestampRefused: as `verify_token`.
    """
    token = _granted_token(response)
    stamp, info = _verify(token, request.imprint, authorities, now, revocation)
    if info.nonce != request.nonce:
        raise TimestampNonceMismatch("时间戳的随机数与请求不符。")
    if stamp.at < now - MOST_SKEW:
        raise TimestampOutOfTime("时间戳服务的时间比本机慢得多。", at=stamp.at.isoformat(), now=now.isoformat())
    return stamp


def verify_token(
    token: bytes,
    data: bytes,
    authorities: Iterable[ParsedCertificate],
    now: datetime,
    *,
    revocation: RevocationSource | None = None,
) -> Timestamp:
    """Check a kept token over `data`. The certificate must have been valid when it stamped, not now.

    :raises TimestampMalformed: if it is no token with exactly one signer and its certificate.
    :raises TimestampOfOtherContent: if it is over another text.
    :raises TimestampCertificateRefused: if its certificate may not stamp time, was not valid then or is not trusted.
    :raises TimestampSignatureInvalid: if the signature does not hold.
    :raises TimestampOutOfTime: if it is of a time to come.
    """
    return _verify(token, sm3(data), authorities, now, revocation)[0]


def _granted_token(response: bytes) -> bytes:
    try:
        status, *token = der.read_all(_only(response, der.SEQUENCE).value)
        number, *rest = der.read_all(status.value)
        value = int.from_bytes(number.value)
        reasons = next((_bits(item.value) for item in rest if item.tag == der.BIT_STRING), [])
        texts = [text.value.decode() for item in rest if item.tag == der.SEQUENCE for text in der.read_all(item.value)]
        if status.tag != der.SEQUENCE or number.tag != der.INTEGER or len(token) > 1:
            raise ValueError("fields of another kind")
    except ValueError as error:
        raise TimestampMalformed(f"时间戳应答格式不正确：{error}") from error
    if value not in _GRANTED:
        raise TimestampNotGranted("时间戳服务拒绝了请求。", status=value, reasons=reasons, text="；".join(texts))
    if not token:
        raise TimestampMalformed("时间戳应答没有时间戳。")
    return token[0].raw


# Checking


@dataclass(frozen=True)
class _TstInfo:
    policy: str
    imprint: bytes
    serial: int
    at: datetime
    accuracy: timedelta
    nonce: int | None


def _verify(
    token: bytes,
    imprint: bytes,
    authorities: Iterable[ParsedCertificate],
    now: datetime,
    revocation: RevocationSource | None,
) -> tuple[Timestamp, _TstInfo]:
    try:
        parsed = cms.parse_signed_data(token)
        if parsed.content_type != cms.TST_INFO or parsed.content is None:
            raise ValueError("not a TSTInfo")
        if parsed.signer.signed_attributes is None:
            raise ValueError("no signed attributes")
        info = _read_info(parsed.content)
    except (ValueError, cms.CmsMalformed) as error:
        raise TimestampMalformed(f"时间戳格式不正确：{error}") from error
    if info.imprint != imprint:
        raise TimestampOfOtherContent("时间戳是另一内容的。")
    certificate = _signer_certificate(parsed)
    _check_certificate(certificate, authorities, info.at, revocation)
    try:
        cms.verify_signed_data(parsed, None, certificate.spki)
    except cms.CmsRefused as refusal:
        raise TimestampSignatureInvalid(f"时间戳签名无效：{refusal.message}", cause=refusal.code) from refusal
    if info.at > now + MOST_SKEW:
        raise TimestampOutOfTime("时间戳的时间在将来。", at=info.at.isoformat(), now=now.isoformat())
    return Timestamp(info.at, info.accuracy, info.serial, info.policy, certificate, token), info


def _read_info(content: bytes) -> _TstInfo:
    """TSTInfo of RFC 3161 §2.4.2, without the extensions that nobody we know uses."""
    version, policy, imprint, serial, at, *optional = der.read_all(_only(content, der.SEQUENCE).value)
    tags = (version.tag, policy.tag, imprint.tag, serial.tag, at.tag)
    if tags != (der.INTEGER, der.OID, der.SEQUENCE, der.INTEGER, der.GENERALIZED_TIME) or version.value != b"\1":
        raise ValueError("fields of another kind")
    order = (der.SEQUENCE, der.BOOLEAN, der.INTEGER, 0xA0, 0xA1)  # accuracy, ordering, nonce, tsa, extensions
    given = [item.tag for item in optional]
    if given != [tag for tag in order if tag in given]:
        raise ValueError("optional fields out of order")
    found = {item.tag: item for item in optional}
    if 0xA1 in found:
        raise ValueError("extensions that are not known")
    return _TstInfo(
        policy=der.dotted(policy),
        imprint=_read_imprint(imprint),
        serial=int.from_bytes(serial.value, signed=True),
        at=_read_time(at.value),
        accuracy=_read_accuracy(found[der.SEQUENCE].value) if der.SEQUENCE in found else timedelta(0),
        nonce=int.from_bytes(found[der.INTEGER].value, signed=True) if der.INTEGER in found else None,
    )


def _read_imprint(element: der.Tlv) -> bytes:
    algorithm, digest = der.read_all(element.value)
    if algorithm.raw not in _SM3_ALGORITHMS:
        raise TimestampOfOtherContent("时间戳的摘要算法不是 SM3。")
    if digest.tag != der.OCTET_STRING or len(digest.value) != 32:
        raise ValueError("imprint of another length")
    return digest.value


def _read_time(value: bytes) -> datetime:
    """GeneralizedTime in UTC with or without a fraction. Source: RFC 3161 §2.4.2."""
    text = value.decode("ascii")
    whole, dot, fraction = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or len(whole) != 14 or not whole.isdecimal() or (dot and not fraction.isdecimal()):
        raise ValueError("time of another form")
    moment = datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return moment + timedelta(microseconds=int(fraction[:6].ljust(6, "0")) if fraction else 0)


def _read_accuracy(value: bytes) -> timedelta:
    parts = {element.tag: int.from_bytes(element.value) for element in der.read_all(value)}
    if not parts.keys() <= {der.INTEGER, 0x80, 0x81}:
        raise ValueError("accuracy of another form")
    seconds, milli, micro = (parts.get(tag, 0) for tag in (der.INTEGER, 0x80, 0x81))
    return timedelta(seconds=seconds, milliseconds=milli, microseconds=micro)


def _signer_certificate(parsed: cms.SignedData) -> ParsedCertificate:
    """The one that the signer names, and that the signed attribute ESSCertIDv2 pins by its digest (RFC 5816)."""
    signer = parsed.signer
    named = [each for each in _certificates(parsed) if each.issuer_name == signer.issuer]
    certificate = next((each for each in named if int(each.serial_hex, 16) == signer.serial), None)
    if certificate is None:
        raise TimestampMalformed("时间戳没有附带签发者证书，或该证书无法读取。")
    attribute = signer.attributes.get(_SIGNING_CERTIFICATE_V2)
    if attribute is None:
        raise TimestampMalformed("时间戳没有签入证书标识（ESSCertIDv2）。")
    try:
        pinned = _pins(attribute, certificate.der)
    except (ValueError, IndexError) as error:
        raise TimestampMalformed(f"时间戳的证书标识格式不正确：{error}") from error
    if not pinned:
        raise TimestampCertificateRefused("时间戳签入的证书标识与附带的证书不符。")
    return certificate


def _certificates(parsed: cms.SignedData) -> Iterator[ParsedCertificate]:
    for encoded in parsed.certificates:
        try:
            yield parse_certificate(encoded)
        except CertificateRefused:  # it is not the one that signed, or nobody could say what it allows
            continue


def _pins(attribute: bytes, certificate: bytes) -> bool:
    """Whether the first ESSCertIDv2 is of this certificate; its digest is SHA-256 unless it says SM3."""
    first = der.read_all(der.read_all(_only(attribute, der.SEQUENCE).value)[0].value)[0]
    algorithm, *rest = der.read_all(first.value)
    if algorithm.tag == der.OCTET_STRING:
        return algorithm.value == hashlib.sha256(certificate).digest()
    name = der.dotted(der.read_all(algorithm.value)[0])
    if name not in (cms.SM3_OID, cms.SHA256_OID) or not rest or rest[0].tag != der.OCTET_STRING:
        raise ValueError("digest of another kind")
    return rest[0].value == cms.digest_by_oid(name, certificate)


def _check_certificate(
    certificate: ParsedCertificate,
    authorities: Iterable[ParsedCertificate],
    at: datetime,
    revocation: RevocationSource | None,
) -> None:
    """Only for stamping time, critically so (RFC 3161 §2.3), and vouched for at that time."""
    try:
        validate_chain(certificate, authorities, at, revocation=revocation, purpose="timestamping")
    except CertificateRefused as refusal:
        raise TimestampCertificateRefused(f"时间戳证书不被接受：{refusal.message}", cause=refusal.code) from refusal


# Making


def parse_request(data: bytes) -> TimestampRequest:
    """Read a request; only SM3 imprints are served.

    :raises TimestampMalformed: if it is none, or has extensions.
    :raises TimestampOfOtherContent: for an imprint by another algorithm.
    """
    try:
        if len(data) > LONGEST_REQUEST:
            raise ValueError("too long")
        version, imprint, *optional = der.read_all(_only(data, der.SEQUENCE).value)
        found = {item.tag: item for item in optional}
        if version.value != b"\1" or not found.keys() <= {der.OID, der.INTEGER, der.BOOLEAN}:
            raise ValueError("fields of another kind")
        nonce = int.from_bytes(found[der.INTEGER].value, signed=True) if der.INTEGER in found else None
        wants = der.BOOLEAN in found and found[der.BOOLEAN].value != b"\0"
        return TimestampRequest(_read_imprint(imprint), nonce, data, wants)
    except ValueError as error:
        raise TimestampMalformed(f"时间戳请求格式不正确：{error}") from error


def build_token(
    request: TimestampRequest, *, serial: int, at: datetime, certificate: ParsedCertificate, key: PrivateKeyHandle
) -> bytes:
    """A token over the request's imprint, accurate to a second. Its certificate goes along if it was asked for.

    :raises KeyNotUsable: if the key is of another suite than the certificate's.
    """
    info = _tst_info(request, serial, at)
    suite = get_suite(certificate.suite_id)
    digest = der.write(der.SEQUENCE, der.oid(_DIGEST_OIDS[suite.id]))
    pinned = der.write(der.SEQUENCE, der.write(der.OCTET_STRING, hashlib.sha256(certificate.der).digest()))
    attributes = sorted(
        _attribute(name, value)
        for name, value in {
            cms.CONTENT_TYPE: der.oid(cms.TST_INFO),
            cms.SIGNING_TIME: der.time(at),
            cms.MESSAGE_DIGEST: der.write(der.OCTET_STRING, suite.digest(info)),
            _SIGNING_CERTIFICATE_V2: der.write(der.SEQUENCE, der.write(der.SEQUENCE, pinned)),
        }.items()
    )
    signature = suite.sign(key, der.write(der.SET, *attributes))
    signer = der.write(
        der.SEQUENCE,
        der.integer(1),
        der.write(der.SEQUENCE, certificate.issuer_name, der.integer(int(certificate.serial_hex, 16))),
        digest,
        der.write(0xA0, *attributes),
        der.write(der.SEQUENCE, der.oid(suite.signature_oid)),
        der.write(der.OCTET_STRING, signature),
    )
    signed = der.write(
        der.SEQUENCE,
        der.integer(3),
        der.write(der.SET, digest),
        der.write(der.SEQUENCE, der.oid(cms.TST_INFO), der.write(0xA0, der.write(der.OCTET_STRING, info))),
        der.write(0xA0, certificate.der) if request.wants_certificate else b"",
        der.write(der.SET, signer),
    )
    return der.write(der.SEQUENCE, der.oid(cms.SIGNED_DATA), der.write(0xA0, signed))


def _tst_info(request: TimestampRequest, serial: int, at: datetime) -> bytes:
    nonce = der.integer(request.nonce) if request.nonce is not None else b""
    return der.write(
        der.SEQUENCE,
        der.integer(1),
        der.oid(POLICY),
        _imprint(request.imprint),
        der.integer(serial),
        der.write(der.GENERALIZED_TIME, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode()),
        der.write(der.SEQUENCE, der.integer(1)),
        nonce,
    )


def granted(token: bytes) -> bytes:
    """The answer that brings a token."""
    return der.write(der.SEQUENCE, der.write(der.SEQUENCE, der.integer(0)), token)


def rejection(reason: int, text: str) -> bytes:
    """The answer that brings none; `reason` is a bit number of PKIFailureInfo, e.g. `TIME_NOT_AVAILABLE`."""
    bits = bytearray(reason // 8 + 1)
    bits[reason // 8] = 0x80 >> reason % 8
    status = der.write(
        der.SEQUENCE,
        der.integer(2),
        der.write(der.SEQUENCE, der.write(der.UTF8_STRING, text.encode())),
        der.write(der.BIT_STRING, bytes([7 - reason % 8]), bytes(bits)),
    )
    return der.write(der.SEQUENCE, status)


def _imprint(digest: bytes) -> bytes:
    return der.write(der.SEQUENCE, _SM3_ALGORITHMS[0], der.write(der.OCTET_STRING, digest))


def _attribute(name: str, value: bytes) -> bytes:
    return der.write(der.SEQUENCE, der.oid(name), der.write(der.SET, value))


def _bits(content: bytes) -> list[int]:
    return [n for n in range(8 * (len(content) - 1)) if content[1 + n // 8] & (0x80 >> n % 8)]


def _only(data: bytes, tag: int) -> der.Tlv:
    element, rest = der.read(data)
    if rest or element.tag != tag:
        raise ValueError("unexpected tag or trailing bytes")
    return element
