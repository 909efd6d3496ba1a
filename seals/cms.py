"""As much CMS (RFC 5652, PKCS#7) SignedData as vouchers of 2024 and RFC 3161 tokens need; also GM/T 0010 with SM2.

One signer, with or without signed attributes. Everything is checked over the received bytes: the signed attributes
are taken as they came, only their context tag is replaced by SET as RFC 5652 §5.4 asks, and never sorted anew.

    parsed = parse_signed_data(token)
    certificate = signer_certificate(parsed)                # DER of the one the signer names, if it came along
    suite_id = verify_signed_data(parsed, None, spki)       # content None: the one inside (eContent)

Trust is not decided here: whether the key may be used, and since when the algorithm is too weak, is the caller's.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from cryptography import x509

from core.digests import sm3
from seals import der
from seals.errors import KeyNotUsable, SealError
from seals.suites import SPKI_HEAD, get_suite

LONGEST_CMS = 256 * 1024
MOST_CERTIFICATES = 16
MOST_FIELDS = 64

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
GM_DATA, GM_SIGNED_DATA = "1.2.156.10197.6.1.4.2.1", "1.2.156.10197.6.1.4.2.2"  # GM/T 0010
TST_INFO = "1.2.840.113549.1.9.16.1.4"  # RFC 3161
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"

SM3_OID, SHA1_OID, SHA256_OID = "1.2.156.10197.1.401", "1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1"
_HASHLIB = {
    SHA1_OID: "sha1",
    SHA256_OID: "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_RSA = "1.2.840.113549.1.1.1"
_EC_PUBLIC_KEY = "1.2.840.10045.2.1"


class _Pair(NamedTuple):
    """What a suite is called in a SignerInfo: its digest, and the names its signature algorithm bears."""

    digest: str
    names: frozenset[str]


_ALGORITHMS = {  # senders write the key's own OID as well as the combined one
    "sm2-sm3": _Pair(SM3_OID, frozenset({"1.2.156.10197.1.501", "1.2.156.10197.1.301.1", "1.2.156.10197.1.301"})),
    "ecdsa-p256-sha256": _Pair(SHA256_OID, frozenset({"1.2.840.10045.4.3.2", _EC_PUBLIC_KEY})),
    "rsa-sha256": _Pair(SHA256_OID, frozenset({_RSA, "1.2.840.113549.1.1.11"})),
    "rsa-sha1": _Pair(SHA1_OID, frozenset({_RSA, "1.2.840.113549.1.1.5"})),
}
_RSA_SUITES = ("rsa-sha256", "rsa-sha1")  # one key serves both; the digest tells which


class CmsRefused(SealError):
    """Base of the reasons for which a SignedData is not accepted. Codes are those of `seals.verdicts.REASONS`."""


class CmsMalformed(CmsRefused):
    code = "format_invalid"


class CmsContentMismatch(CmsRefused):
    """The signed digest is of other content."""

    code = "content_mismatch"


class CmsContentMissing(CmsRefused):
    """Detached, and no content was given."""

    code = "content_missing"


class CmsSignatureInvalid(CmsRefused):
    code = "signature_invalid"


class CmsAlgorithmMismatch(CmsRefused):
    """Digest and signature algorithm do not belong to the key, or are known to nobody here."""

    code = "algorithm_mismatch"


@dataclass(frozen=True)
class SignerInfo:
    """What the one signer states. `signed_attributes` is the DER SET to sign, or None if there are none."""

    version: int
    issuer: bytes | None  # DER Name; None where the key identifier names the certificate
    serial: int | None
    key_identifier: bytes | None
    digest_oid: str
    signature_oid: str
    signature: bytes = field(repr=False)
    signed_attributes: bytes | None = field(repr=False)
    attributes: Mapping[str, bytes] = field(repr=False)  # OID: the DER of its one value
    unsigned_attributes: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True)
class SignedData:
    """A SignedData as received; nothing here is verified. `content` is None if the signature is detached."""

    raw: bytes = field(repr=False)
    content_type: str
    content: bytes | None = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)  # DER, in the order given
    signer: SignerInfo


def parse_signed_data(data: bytes) -> SignedData:
    """Read a ContentInfo holding a SignedData with exactly one signer.

    :raises CmsMalformed: for anything else, for trailing bytes, or beyond `LONGEST_CMS`.
    """
    if len(data) > LONGEST_CMS:
        raise CmsMalformed("签名数据过长。", bytes=len(data))
    try:
        return _signed_data(data)
    except (ValueError, IndexError) as error:
        raise CmsMalformed(f"不是规范的 SignedData：{error}") from error


def _signed_data(data: bytes) -> SignedData:
    kind, wrapped = _elements(_whole(data, der.SEQUENCE), der.OID, 0xA0)
    if oid_text(kind) not in (SIGNED_DATA, GM_SIGNED_DATA):
        raise ValueError("another content type")
    _version, _digests, encapsulated, *rest = read_few(_whole(wrapped.value, der.SEQUENCE).value)
    if encapsulated.tag != der.SEQUENCE or not rest or rest[-1].tag != der.SET:
        raise ValueError("fields missing")
    if [item.tag for item in rest[:-1]] not in ([], [0xA0], [0xA1], [0xA0, 0xA1]):
        raise ValueError("fields out of order")
    content_type, *content = read_few(encapsulated.value)
    certificates = [each.raw for item in rest[:-1] if item.tag == 0xA0 for each in read_few(item.value)]
    if len(certificates) > MOST_CERTIFICATES:
        raise ValueError("too many certificates")
    (signer,) = read_few(rest[-1].value)
    return SignedData(
        raw=data,
        content_type=oid_text(content_type),
        content=_content(content),
        certificates=tuple(certificates),
        signer=_signer_info(signer),
    )


def _content(optional: list[der.Tlv]) -> bytes | None:
    if not optional:
        return None
    (wrapper,) = optional
    inner = _whole(wrapper.value, None)
    if wrapper.tag != 0xA0 or inner.tag not in (der.OCTET_STRING, der.SEQUENCE):
        raise ValueError("content of another kind")
    return inner.value  # PKCS#7 1.5 leaves out tag and length also where the content is a SEQUENCE


def _signer_info(element: der.Tlv) -> SignerInfo:
    version, identifier, digest, *rest = read_few(element.value)
    signed = rest.pop(0) if rest and rest[0].tag == 0xA0 else None
    algorithm, signature, *unsigned = rest
    tags = (element.tag, version.tag, digest.tag, algorithm.tag, signature.tag)
    if tags != (der.SEQUENCE, der.INTEGER, der.SEQUENCE, der.SEQUENCE, der.OCTET_STRING):
        raise ValueError("signer of another shape")
    if [item.tag for item in unsigned] not in ([], [0xA1]):
        raise ValueError("something behind the signature")
    issuer, serial, key_identifier = None, None, None
    if identifier.tag == der.SEQUENCE:
        name, number = _elements(identifier, der.SEQUENCE, der.INTEGER)
        issuer, serial = name.raw, int.from_bytes(number.value, signed=True)
    elif identifier.tag == 0x80:
        key_identifier = identifier.value
    else:
        raise ValueError("signer not named")
    return SignerInfo(
        version=int.from_bytes(version.value),
        issuer=issuer,
        serial=serial,
        key_identifier=key_identifier,
        digest_oid=_algorithm(digest),
        signature_oid=_algorithm(algorithm),
        signature=signature.value,
        signed_attributes=bytes([der.SET]) + signed.raw[1:] if signed else None,
        attributes=_attributes(signed.value) if signed else {},
        unsigned_attributes=_attributes(unsigned[0].value) if unsigned else {},
    )


def _attributes(data: bytes) -> dict[str, bytes]:
    attributes: dict[str, bytes] = {}
    for attribute in read_few(data):
        name, values = _elements(attribute, der.OID, der.SET)
        oid = oid_text(name)
        if oid in attributes:
            raise ValueError("an attribute twice")
        attributes[oid] = _whole(values.value, None).raw
    return attributes


def _algorithm(element: der.Tlv) -> str:
    name, *parameters = read_few(element.value)
    if name.tag != der.OID or [each.raw for each in parameters] not in (
        [],
        [b"\x05\x00"],
    ):  # NULL and absent both occur
        raise ValueError("algorithm with parameters")
    return oid_text(name)


def _whole(data: bytes, tag: int | None) -> der.Tlv:
    element, rest = der.read(data)
    if rest:
        raise ValueError("trailing bytes")
    if tag is not None and element.tag != tag:
        raise ValueError("unexpected tag")
    return element


def _elements(element: der.Tlv, *tags: int) -> list[der.Tlv]:
    found = read_few(element.value)
    if element.tag != der.SEQUENCE or [each.tag for each in found] != list(tags):
        raise ValueError("unexpected fields")
    return found


def read_few(data: bytes, most: int = MOST_FIELDS) -> list[der.Tlv]:
    """Every element of `data`, which may be only so many: a megabyte of empty ones would cost minutes.

    :raises ValueError: if there are more.
    """
    elements = list(islice(der.each(data), most + 1))
    if len(elements) > most:
        raise ValueError("too many fields")
    return elements


def oid_text(element: der.Tlv) -> str:
    """The dotted form of an OBJECT IDENTIFIER in its one spelling.

    :raises ValueError: if it is none, or padded.
    """
    text = der.dotted(element)
    if der.oid(text) != element.raw:
        raise ValueError("object identifier not in its shortest form")
    return text


def signer_certificate(parsed: SignedData) -> bytes | None:
    """DER of the enclosed certificate that the signer names; None if it did not come along. It is not trusted yet."""
    for certificate in parsed.certificates:
        try:
            loaded = x509.load_der_x509_certificate(certificate)
            issuer = _issuer_name(certificate)
        except ValueError:
            continue
        if parsed.signer.issuer is not None:
            if (issuer, loaded.serial_number) == (parsed.signer.issuer, parsed.signer.serial):
                return certificate
        elif _key_identifier(loaded) == parsed.signer.key_identifier:
            return certificate
    return None


def _issuer_name(certificate: bytes) -> bytes:
    fields = read_few(der.read(der.read(certificate)[0].value)[0].value)
    return fields[3 if fields[0].tag == 0xA0 else 2].raw


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (ValueError, x509.ExtensionNotFound):  # real certificates have extensions that are not strict DER
        return None


def verify_signed_data(parsed: SignedData, content: bytes | None, spki: bytes) -> str:
    """Check the signature over `content` (or over the enclosed one, if None) with this public key.

    :param spki: DER SubjectPublicKeyInfo of the key the caller has decided on: SM2, P-256 or RSA.
    :returns: the suite that was used: sm2-sm3, ecdsa-p256-sha256, rsa-sha256 or rsa-sha1.
    :raises CmsContentMissing: if there is no content at all.
    :raises CmsContentMismatch: if the content is not the signed one, or differs from the enclosed one.
    :raises CmsAlgorithmMismatch: if the algorithms named do not belong to this key.
    :raises CmsSignatureInvalid: if the mathematics does not hold.
    """
    if content is None:
        content = parsed.content
    elif parsed.content is not None and parsed.content != content:
        raise CmsContentMismatch("签名内含的原文与所给内容不同。")
    if content is None:
        raise CmsContentMissing("签名不含原文，也没有给出原文。")
    signer = parsed.signer
    suite_id = _suite_of(signer, spki)
    signed = content
    if signer.signed_attributes is not None:
        _check_attributes(parsed, content)
        signed = signer.signed_attributes
    if not _verify(suite_id, spki, signed, signer.signature):
        raise CmsSignatureInvalid("签名与内容不符。")
    return suite_id


def _suite_of(signer: SignerInfo, spki: bytes) -> str:
    own = next((suite_id for suite_id, head in SPKI_HEAD.items() if spki.startswith(head)), None)
    for suite_id in [own] if own else _RSA_SUITES:
        digest, names = _ALGORITHMS[suite_id]
        if signer.digest_oid == digest and signer.signature_oid in names:
            return suite_id
    raise CmsAlgorithmMismatch(
        "签名算法与证书密钥不一致。", digest_oid=signer.digest_oid, signature_oid=signer.signature_oid
    )


def _check_attributes(parsed: SignedData, content: bytes) -> None:
    """The two attributes RFC 5652 §11 demands: the digest of the content, and its kind."""
    attributes = parsed.signer.attributes
    stated, kind = attributes.get(MESSAGE_DIGEST), attributes.get(CONTENT_TYPE)
    if stated is None or kind is None:
        raise CmsMalformed("已签属性缺少内容类型或摘要。")
    if kind != der.oid(parsed.content_type):
        raise CmsContentMismatch("已签属性里的内容类型与内容不同。")
    if stated != der.write(der.OCTET_STRING, digest_by_oid(parsed.signer.digest_oid, content)):
        raise CmsContentMismatch("已签属性里的摘要与内容不同。")


def _verify(suite_id: str, spki: bytes, data: bytes, signature: bytes) -> bool:
    suite = get_suite(suite_id)
    try:
        return suite.verify(suite.load_public_key(spki), data, signature)
    except KeyNotUsable as error:
        raise CmsAlgorithmMismatch(error.message) from error


def digest_by_oid(oid: str, data: bytes) -> bytes:
    """The digest of `data` by the algorithm of that OID.

    :raises CmsAlgorithmMismatch: for an algorithm not known here.
    """
    if oid == SM3_OID:
        return sm3(data)
    if oid not in _HASHLIB:
        raise CmsAlgorithmMismatch("摘要算法不受支持。", digest_oid=oid)
    return hashlib.new(_HASHLIB[oid], data).digest()
