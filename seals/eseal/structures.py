"""The ASN.1 of seals and stamps: GB/T 38540-2020 (version 4), GM/T 0031-2025 (5) and GM/T 0031-2014 (1 to 3).

Read by the project's own TLV reader rather than by `cryptography.hazmat.asn1`: signatures are checked over the slices
as received, and real seals write default values out (`critical FALSE`), which a DER decoder refuses. The shape itself
is strict: shortest lengths, the fields of the version and nothing behind them. What real makers do otherwise is
accepted and reported as a `Deviation`.

Nothing read here is verified yet; `seals.eseal.verify` does that. Building leaves the signing to a callable, because
private keys live in another process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from seals import der
from seals.cms import CmsMalformed, oid_text, parse_signed_data, read_few
from seals.errors import SealError
from seals.verdicts import Deviation

LONGEST_SEAL = 768 * 1024
LONGEST_STAMP = 1024 * 1024
MOST_HOLDERS = 256
MOST_EXTENSIONS = 32
LONGEST_NAME = 256  # characters; also for identifiers and propertyInfo
HEADER_ID = "ES"
MADE_VERSION = 4
BY_CERTIFICATE, BY_DIGEST = 1, 2  # certListType
EVIDENCE_ROOT_OID = "2.25.212395711362907450466438128838475126061"  # docs/signatures.md §5

IA5_STRING, CONTEXT_0 = 0x16, 0xA0

EXPLICIT_DEFAULT = Deviation("explicit_default", "扩展项写出了缺省值 critical=FALSE，不是规范的 DER。")
CRITICAL_EXTENSION = Deviation("critical_extension", "签章含有不认识的关键扩展项。")
TIMESTAMP_NOT_USED = Deviation("timestamp_not_used", "附有时间戳；本结论未以它为时间依据。")


class SealMalformed(SealError):
    """Not a seal or stamp of a version known here."""

    code = "format_invalid"


@dataclass(frozen=True)
class Picture:
    """The seal's picture as received: its stated type (PNG, GIF, …) and stated size in millimetres."""

    type: str
    data: bytes = field(repr=False)
    width_mm: int
    height_mm: int


@dataclass(frozen=True)
class Extension:
    oid: str
    critical: bool
    value: bytes


class CertificateDigest(NamedTuple):
    """One holder named by digest: the digest's name as written, and its value."""

    name: str
    value: bytes


@dataclass(frozen=True)
class Seal:
    """A seal as received. `signed` is what its maker signed; `maker_certificate` is outside it from version 4 on."""

    raw: bytes = field(repr=False)
    version: int
    vendor_id: str
    es_id: str
    kind: int
    name: str
    holders: tuple[bytes, ...] = field(repr=False)  # DER certificates
    holder_digests: tuple[CertificateDigest, ...]
    created_at: datetime
    valid_from: datetime
    valid_to: datetime
    picture: Picture
    extensions: tuple[Extension, ...]
    signed: bytes = field(repr=False)
    maker_certificate: bytes = field(repr=False)
    signature_oid: str
    signature: bytes = field(repr=False)
    timestamp: bytes | None = field(repr=False)
    deviations: tuple[Deviation, ...]


@dataclass(frozen=True)
class Stamp:
    """A use of a seal as received. `signed` is DER(toSign); `deviations` include those of the seal."""

    raw: bytes = field(repr=False)
    version: int
    seal: Seal
    signed_at: datetime
    data_hash: bytes
    property_info: str
    extensions: tuple[Extension, ...]
    signed: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    signature_oid: str
    signature: bytes = field(repr=False)
    timestamp: bytes | None = field(repr=False)
    deviations: tuple[Deviation, ...]

    def extension(self, oid: str) -> bytes | None:
        """The value of the extension of that OID, if the stamp carries it."""
        return next((each.value for each in self.extensions if each.oid == oid), None)


# --- reading


def parse_seal(data: bytes) -> Seal:
    """Read one SESeal.

    :raises SealMalformed: for anything but exactly one seal of version 1 to 5.
    """
    _check_size(data, LONGEST_SEAL)
    try:
        return _seal(_whole(data))
    except (ValueError, IndexError) as error:
        raise SealMalformed(f"不是规范的电子印章：{error}") from error


def parse_stamp(data: bytes) -> Stamp:
    """Read one SES_Signature.

    :raises SealMalformed: for anything but exactly one stamp of version 1 to 5, with a seal of the same version.
    """
    _check_size(data, LONGEST_STAMP)
    try:
        outer = _fields(_whole(data))
        signed = outer[0]
        fields = _fields(signed)
        version = _integer(fields[0])
        if version in (1, 2, 3):
            return _stamp_v1(data, version, signed, fields, outer)
        if version in (4, 5):
            return _stamp_v4(data, version, signed, fields, outer)
        raise ValueError(f"unknown version {version}")
    except (ValueError, IndexError) as error:
        raise SealMalformed(f"不是规范的电子签章：{error}") from error


def _check_size(data: bytes, limit: int) -> None:
    if len(data) > limit:
        raise SealMalformed("印章或签章数据过长。", bytes=len(data), limit=limit)


def _seal(element: der.Tlv) -> Seal:
    outer = _fields(element)
    info = outer[0]
    fields = _fields(info)
    header, identifier, properties, picture, *extensions = fields
    version, vendor_id = _header(header)
    parts = _fields(properties)
    if version in (1, 2, 3):
        (sign_info,) = outer[1:]
        certificate, algorithm, signature = _fields(sign_info)
        signed = der.write(der.SEQUENCE, info.raw, certificate.raw, algorithm.raw)
        kind, name, holders, *times = parts
        certificates, digests = _holders(BY_CERTIFICATE, holders)
        time_tag, timestamp = der.UTC_TIME, None
    elif version in (4, 5):
        certificate, algorithm, signature, *rest = outer[1:]
        signed = info.raw
        kind, name, list_type, holders, *times = parts
        certificates, digests = _holders(_integer(list_type), holders)
        time_tag, timestamp = der.GENERALIZED_TIME, _timestamp(rest if version == 5 else _none(rest))
    else:
        raise ValueError(f"unknown version {version}")
    created_at, valid_from, valid_to = (_time(each, time_tag) for each in times)
    read_extensions, deviations = _extensions(extensions)
    return Seal(
        raw=element.raw,
        version=version,
        vendor_id=vendor_id,
        es_id=_text(identifier, IA5_STRING),
        kind=_integer(kind),
        name=_text(name, der.UTF8_STRING),
        holders=certificates,
        holder_digests=digests,
        created_at=created_at,
        valid_from=valid_from,
        valid_to=valid_to,
        picture=_picture(picture),
        extensions=read_extensions,
        signed=signed,
        maker_certificate=_typed(certificate, der.OCTET_STRING).value,
        signature_oid=_oid(algorithm),
        signature=_bits(signature),
        timestamp=timestamp,
        deviations=(*deviations, *((TIMESTAMP_NOT_USED,) if timestamp else ())),
    )


def _stamp_v4(data: bytes, version: int, signed: der.Tlv, fields: list[der.Tlv], outer: list[der.Tlv]) -> Stamp:
    _, seal, time, data_hash, property_info, *extensions = fields
    _, certificate, algorithm, signature, *rest = outer
    for wrapper in extensions:
        _typed(wrapper, CONTEXT_0)
    read_extensions, deviations = _extensions([_whole(wrapper.value) for wrapper in extensions])
    timestamp = _timestamp(rest)
    if any(each.critical and each.oid != EVIDENCE_ROOT_OID for each in read_extensions):
        deviations = (*deviations, CRITICAL_EXTENSION)
    if timestamp is not None:
        deviations = (*deviations, TIMESTAMP_NOT_USED)
    return _stamp(
        data, version, seal, signed, certificate, algorithm, signature, timestamp, data_hash, property_info,
        _time(time, der.GENERALIZED_TIME), read_extensions, deviations,
    )  # fmt: skip


def _stamp_v1(data: bytes, version: int, signed: der.Tlv, fields: list[der.Tlv], outer: list[der.Tlv]) -> Stamp:
    _, seal, time, data_hash, property_info, certificate, algorithm = fields
    _, signature = outer
    return _stamp(
        data, version, seal, signed, certificate, algorithm, signature, None, data_hash, property_info,
        _time_of_bits(_bits(time)), (), (),
    )  # fmt: skip


def _stamp(
    data: bytes, version: int, seal: der.Tlv, signed: der.Tlv, certificate: der.Tlv, algorithm: der.Tlv,
    signature: der.Tlv, timestamp: bytes | None, data_hash: der.Tlv, property_info: der.Tlv, signed_at: datetime,
    extensions: tuple[Extension, ...], deviations: tuple[Deviation, ...],
) -> Stamp:  # fmt: skip
    inner = _seal(seal)
    if inner.version != version:  # else fields of one version could be read by the rules of another
        raise ValueError("seal and stamp of different versions")
    return Stamp(
        raw=data,
        version=version,
        seal=inner,
        signed_at=signed_at,
        data_hash=_bits(data_hash),
        property_info=_text(property_info, IA5_STRING),
        extensions=extensions,
        signed=signed.raw,
        certificate=_typed(certificate, der.OCTET_STRING).value,
        signature_oid=_oid(algorithm),
        signature=_bits(signature),
        timestamp=timestamp,
        deviations=tuple(dict.fromkeys((*inner.deviations, *deviations))),
    )


def _header(element: der.Tlv) -> tuple[int, str]:
    identifier, version, vendor = _fields(element)
    if _text(identifier, IA5_STRING) != HEADER_ID:
        raise ValueError("header is not ES")
    return _integer(version), _text(vendor, IA5_STRING)


def _holders(list_type: int, element: der.Tlv) -> tuple[tuple[bytes, ...], tuple[CertificateDigest, ...]]:
    if list_type == BY_CERTIFICATE:
        entries = _fields(element)
        _check_count(entries, MOST_HOLDERS)
        return tuple(_typed(entry, der.OCTET_STRING).value for entry in entries), ()
    if list_type != BY_DIGEST:
        raise ValueError(f"unknown kind of holder list {list_type}")
    entries = _fields(element)
    _check_count(entries, MOST_HOLDERS)
    digests = []
    for entry in entries:
        name, value = _fields(entry)
        digests.append(CertificateDigest(_text(name, der.PRINTABLE_STRING), _typed(value, der.OCTET_STRING).value))
    return (), tuple(digests)


def _check_count(entries: Sequence[der.Tlv], most: int) -> None:
    if not 1 <= len(entries) <= most:
        raise ValueError(f"{len(entries)} entries")


def _picture(element: der.Tlv) -> Picture:
    kind, data, width, height = _fields(element)
    return Picture(
        _text(kind, IA5_STRING), _typed(data, der.OCTET_STRING).value, _integer(width), _integer(height)
    )  # fmt: skip


def _extensions(optional: Sequence[der.Tlv]) -> tuple[tuple[Extension, ...], tuple[Deviation, ...]]:
    if not optional:
        return (), ()
    (container,) = optional
    entries = _fields(container)
    _check_count(entries, MOST_EXTENSIONS)
    extensions: dict[str, Extension] = {}
    deviations: tuple[Deviation, ...] = ()
    for entry in entries:
        name, *flag, value = _fields(entry)
        oid = _oid(name)
        if oid in extensions or len(flag) > 1:
            raise ValueError("an extension twice")
        critical = bool(flag) and _boolean(flag[0])
        if flag and not critical:
            deviations = (EXPLICIT_DEFAULT,)
        extensions[oid] = Extension(oid, critical, _typed(value, der.OCTET_STRING).value)
    return tuple(extensions.values()), deviations


def _timestamp(optional: Sequence[der.Tlv]) -> bytes | None:
    if not optional:
        return None
    (wrapper,) = optional
    token = _bits(_whole(_typed(wrapper, CONTEXT_0).value))
    try:
        parse_signed_data(token)
    except CmsMalformed as error:
        raise ValueError("time stamp is none") from error
    return token


def _none(elements: list[der.Tlv]) -> list[der.Tlv]:
    if elements:
        raise ValueError("something behind the signature")
    return elements


def _time_of_bits(content: bytes) -> datetime:
    """timeInfo of version 1: a BIT STRING around a time, in DER or as bare text.

    A time stamp may stand there as well, but no such file has been seen, and an unread time is no time.
    """
    if content[:1].isdigit():
        content = der.write(der.GENERALIZED_TIME, content)
    element = _whole(content)
    return _time(element, element.tag)


def _time(element: der.Tlv, tag: int) -> datetime:
    return der.instant(_typed(element, tag))


def _whole(data: bytes) -> der.Tlv:
    element, rest = der.read(data)
    if rest:
        raise ValueError("trailing bytes")
    return _shortest(element)


def _fields(element: der.Tlv) -> list[der.Tlv]:
    """The elements of a SEQUENCE."""
    _typed(element, der.SEQUENCE)
    return [_shortest(each) for each in read_few(element.value, MOST_HOLDERS + 1)]


def _shortest(element: der.Tlv) -> der.Tlv:
    length = len(element.value)
    head = 2 if length < 0x80 else 2 + (length.bit_length() + 7) // 8
    if len(element.raw) != head + length:
        raise ValueError("length not in its shortest form")
    return element


def _typed(element: der.Tlv, tag: int) -> der.Tlv:
    if element.tag != tag:
        raise ValueError(f"tag {element.tag:#04x} where {tag:#04x} belongs")
    return element


def _integer(element: der.Tlv) -> int:
    value = _typed(element, der.INTEGER).value
    if not 1 <= len(value) <= 8 or value[0] & 0x80 or (len(value) > 1 and value[0] == 0 and value[1] < 0x80):
        raise ValueError("integer negative or padded")
    return int.from_bytes(value)


def _boolean(element: der.Tlv) -> bool:
    value = _typed(element, der.BOOLEAN).value
    if value not in (b"\x00", b"\xff"):
        raise ValueError("boolean neither true nor false")
    return value == b"\xff"


def _bits(element: der.Tlv) -> bytes:
    value = _typed(element, der.BIT_STRING).value
    if value[:1] != b"\0":
        raise ValueError("bit string with part of a byte")
    return value[1:]


def _oid(element: der.Tlv) -> str:
    return oid_text(element)


def _text(element: der.Tlv, tag: int) -> str:
    text = _typed(element, tag).value.decode("utf-8" if tag == der.UTF8_STRING else "ascii")
    if not 1 <= len(text) <= LONGEST_NAME or any(ord(character) < 0x20 or character == "\x7f" for character in text):
        raise ValueError("text empty, too long or with control characters")
    return text


# --- building, always version 4


@dataclass(frozen=True)
class SealDraft:
    """What a new seal says. `holders` are the DER certificates that may use it; times are whole seconds."""

    es_id: str
    name: str
    kind: int
    holders: Sequence[bytes]
    created_at: datetime
    valid_from: datetime
    valid_to: datetime
    picture: Picture
    vendor_id: str = "GUOKU"
    holder_digest: Callable[[bytes], bytes] | None = None  # given: holders are listed by this SM3 digest (type 2)
    extensions: Sequence[Extension] = ()


def build_seal(
    draft: SealDraft, *, maker_certificate: bytes, signature_oid: str, sign: Callable[[bytes], bytes]
) -> bytes:
    """A seal of version 4, signed by its maker.

    :param sign: given DER(eSealInfo), returns the maker's DER signature value.
    :raises SealMalformed: if what was made could not be read back, e.g. a name too long.
    """
    info = seal_info(draft)
    made = der.write(
        der.SEQUENCE,
        info,
        der.write(der.OCTET_STRING, maker_certificate),
        der.oid(signature_oid),
        _bit_string(sign(info)),
    )
    parse_seal(made)
    return made


def seal_info(draft: SealDraft) -> bytes:
    """DER(eSealInfo), which the maker signs."""
    if draft.holder_digest is None:
        list_type, entries = BY_CERTIFICATE, [der.write(der.OCTET_STRING, each) for each in draft.holders]
    else:
        digest, list_type = draft.holder_digest, BY_DIGEST
        name = der.write(der.PRINTABLE_STRING, b"1.2.156.10197.1.401")
        entries = [der.write(der.SEQUENCE, name, der.write(der.OCTET_STRING, digest(each))) for each in draft.holders]
    picture = draft.picture
    return der.write(
        der.SEQUENCE,
        der.write(der.SEQUENCE, _ia5(HEADER_ID), der.integer(MADE_VERSION), _ia5(draft.vendor_id)),
        _ia5(draft.es_id),
        der.write(
            der.SEQUENCE,
            der.integer(draft.kind),
            der.write(der.UTF8_STRING, draft.name.encode()),
            der.integer(list_type),
            der.write(der.SEQUENCE, *entries),
            *(_generalized_time(each) for each in (draft.created_at, draft.valid_from, draft.valid_to)),
        ),
        der.write(
            der.SEQUENCE,
            _ia5(picture.type),
            der.write(der.OCTET_STRING, picture.data),
            der.integer(picture.width_mm),
            der.integer(picture.height_mm),
        ),
        *_extension_list(draft.extensions),
    )


def build_signature_tbs(
    *,
    seal: bytes,
    signed_at: datetime,
    data_hash: bytes,
    property_info: str,
    extensions: Sequence[Extension] = (),
) -> bytes:
    """DER(toSign) of version 4: what the signer process signs. `data_hash` is the suite's digest of the content.

    :raises ValueError: if `property_info` is not ASCII.
    """
    listed = _extension_list(extensions)
    return der.write(
        der.SEQUENCE,
        der.integer(MADE_VERSION),
        seal,
        _generalized_time(signed_at),
        _bit_string(data_hash),
        _ia5(property_info),
        *(der.write(CONTEXT_0, each) for each in listed),
    )


def assemble_signature(tbs: bytes, *, certificate: bytes, signature_oid: str, signature: bytes) -> bytes:
    """The SES_Signature around a signed toSign. `signature` is the DER signature value.

    :raises SealMalformed: if the parts do not make a stamp.
    """
    made = der.write(
        der.SEQUENCE, tbs, der.write(der.OCTET_STRING, certificate), der.oid(signature_oid), _bit_string(signature)
    )
    parse_stamp(made)
    return made


def _extension_list(extensions: Sequence[Extension]) -> list[bytes]:
    if not extensions:
        return []
    return [
        der.write(
            der.SEQUENCE,
            *(
                der.write(
                    der.SEQUENCE,
                    der.oid(each.oid),
                    der.write(der.BOOLEAN, b"\xff") if each.critical else b"",
                    der.write(der.OCTET_STRING, each.value),
                )
                for each in extensions
            ),
        )
    ]


def _ia5(text: str) -> bytes:
    return der.write(IA5_STRING, text.encode("ascii"))


def _bit_string(content: bytes) -> bytes:
    return der.write(der.BIT_STRING, b"\0", content)


def _generalized_time(moment: datetime) -> bytes:
    return der.write(der.GENERALIZED_TIME, moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())
