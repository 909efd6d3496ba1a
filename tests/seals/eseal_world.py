"""A small PKI, a seal and a stamp of the tests' own, with every part open to change. Names are invented."""

import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial

from core.digests import sm3
from seals import der
from seals.certificates import ParsedCertificate, parse_certificate
from seals.eseal.structures import (
    EVIDENCE_ROOT_OID,
    Extension,
    Picture,
    SealDraft,
    assemble_signature,
    build_seal,
    build_signature_tbs,
)
from seals.eseal.verify import verify_seal, verify_stamp
from seals.suites import PrivateKeyHandle, get_suite

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
SEAL_START, SEAL_END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)
SIGNED_AT = datetime(2026, 6, 15, 1, 0, tzinfo=UTC)
RECEIVED_AT = datetime(2026, 6, 15, 1, 2, tzinfo=UTC)
CONTENT = b"PD94bWwgdmVyc2lvbj0iMS4wIiBlbmNvZGluZz0iR0JLIj8+PFZvdWNoZXIvPg=="
PROPERTY = "990100/2026/5201/2026520100001/cz_dwgz"
ROOT_OF_LOG = b'{"root":"' + b"ab" * 32 + b'","size":"17","stream":"990100/2026"}'

_KEY_USAGE, _BASIC = "2.5.29.15", "2.5.29.19"


@dataclass(frozen=True)
class Party:
    """A key and its certificate."""

    key: PrivateKeyHandle
    certificate: ParsedCertificate
    name: bytes

    @property
    def suite(self):
        return get_suite(self.key.suite_id)

    @property
    def sign(self):
        return partial(self.suite.sign, self.key)

    def issue(self, name="临江市财政局", **changes) -> "Party":
        return _party(self, self.key.suite_id, name, **changes)


def root(suite_id="sm2-sm3", name="Test root") -> Party:
    return _party(None, suite_id, name, usage=(5, 6), authority=True)


def _party(
    issuer, suite_id, name, *, usage=(0, 1), authority=False, start=START, end=END, key=None, extra=b"",
    explicit_default=False,
):  # fmt: skip
    key = key or get_suite(suite_id).generate_private_key()
    subject = der.write(
        der.SEQUENCE,
        der.write(der.SET, der.write(der.SEQUENCE, der.oid("2.5.4.3"), der.write(der.UTF8_STRING, name.encode()))),
    )
    above = issuer or Party(key, None, subject)
    algorithm = der.write(der.SEQUENCE, der.oid(get_suite(above.key.suite_id).signature_oid))
    constraints = der.write(der.BOOLEAN, b"\xff") if authority else b""
    if explicit_default:
        constraints = der.write(der.BOOLEAN, b"\x00")
    bits = bytes([7 - max(usage), sum(0x80 >> bit for bit in usage)])
    tbs = der.write(
        der.SEQUENCE,
        der.write(0xA0, der.integer(2)),
        der.integer(int.from_bytes(sm3(key.spki + subject)[:12]) | 1 << 90),
        algorithm,
        above.name,
        der.write(der.SEQUENCE, der.time(start), der.time(end)),
        subject,
        key.spki,
        der.write(
            0xA3,
            der.write(
                der.SEQUENCE,
                extension(_BASIC, der.write(der.SEQUENCE, constraints), critical=True),
                extension(_KEY_USAGE, der.write(der.BIT_STRING, bits), critical=True),
                extra,
            ),
        ),
    )
    signature = get_suite(above.key.suite_id).sign(above.key, tbs)
    encoded = der.write(der.SEQUENCE, tbs, algorithm, der.write(der.BIT_STRING, b"\0", signature))
    return Party(key, parse_certificate(encoded), subject)


def extension(name, value, *, critical=False):
    flag = der.write(der.BOOLEAN, b"\xff") if critical else b""
    return der.write(der.SEQUENCE, der.oid(name), flag, der.write(der.OCTET_STRING, value))


def png(width=8, height=8, *, tail=b"", extra=b"") -> bytes:
    """A one-colour picture, or one that only claims to be as large as said."""

    def chunk(name, body):
        return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    rows = b"".join(b"\0" + b"\xd0\x02\x1b" * 8 for _ in range(8))
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body + tail


@dataclass(frozen=True)
class World:
    """Who makes seals, who may vouch for whom, and whose seal it is."""

    maker_root: Party
    maker: Party
    root: Party
    signer: Party
    draft: SealDraft

    def seal(self, maker=None, **changes) -> bytes:
        maker = maker or self.maker
        return build_seal(
            replace(self.draft, **changes),
            maker_certificate=maker.certificate.der,
            signature_oid=maker.suite.signature_oid,
            sign=maker.sign,
        )

    def tbs(self, *, seal=None, signed_at=SIGNED_AT, data_hash=None, property_info=PROPERTY, extensions=None) -> bytes:
        return build_signature_tbs(
            seal=self.seal() if seal is None else seal,
            signed_at=signed_at,
            data_hash=self.signer.suite.digest(CONTENT) if data_hash is None else data_hash,
            property_info=property_info,
            extensions=[Extension(EVIDENCE_ROOT_OID, False, ROOT_OF_LOG)] if extensions is None else extensions,
        )

    def stamp(self, signer=None, *, tbs=None, **changes) -> bytes:
        signer = signer or self.signer
        return seal_up(tbs or self.tbs(**changes), signer)

    def judge(self, stamp, **changes):
        arguments = {
            "content": CONTENT,
            "expected_property": PROPERTY,
            "maker_authorities": [self.maker_root.certificate],
            "signer_authorities": [self.root.certificate],
            "at": RECEIVED_AT,
            "now": RECEIVED_AT,
        }
        return verify_stamp(stamp, **{**arguments, **changes})

    def judge_seal(self, seal, **changes):
        arguments = {"maker_authorities": [self.maker_root.certificate], "at": SIGNED_AT}
        return verify_seal(seal, **{**arguments, **changes})


def seal_up(tbs, signer, *, signature=None, certificate=None, oid=None) -> bytes:
    """The stamp around a toSign, by the package's own hand."""
    return assemble_signature(
        tbs,
        certificate=signer.certificate.der if certificate is None else certificate,
        signature_oid=oid or signer.suite.signature_oid,
        signature=signer.sign(tbs) if signature is None else signature,
    )


def wrap(tbs, certificate, oid, signature, *rest) -> bytes:
    """The stamp around anything at all: what `assemble_signature` would refuse."""
    return der.write(
        der.SEQUENCE, tbs, der.write(der.OCTET_STRING, certificate), der.oid(oid),
        der.write(der.BIT_STRING, b"\0", signature), *rest,
    )  # fmt: skip


@cache
def world(suite_id="sm2-sm3") -> World:
    maker_root, own_root = root(suite_id, "Test maker root"), root(suite_id)
    maker, signer = maker_root.issue("Test seal maker"), own_root.issue()
    return World(
        maker_root,
        maker,
        own_root,
        signer,
        SealDraft(
            es_id="9901000000000001",
            name="临江市财政局",
            kind=1,
            holders=[signer.certificate.der],
            created_at=SEAL_START,
            valid_from=SEAL_START,
            valid_to=SEAL_END,
            picture=Picture("PNG", png(), 42, 42),
        ),
    )


def edit(data: bytes, path: tuple[int, ...], change) -> bytes:
    """The DER with one element replaced: by bytes, or by what `change` makes of it. Lengths around it are mended."""
    element = der.read(data)[0]
    if not path:
        return change(element) if callable(change) else change
    children = [child.raw for child in der.read_all(element.value)]
    children[path[0]] = edit(children[path[0]], path[1:], change)
    return der.write(element.tag, *children)


def drop(data: bytes, path: tuple[int, ...]) -> bytes:
    return edit(data, path, b"")


def signed_off(tbs: bytes, signer: Party, *rest: bytes) -> bytes:
    """A stamp around any toSign, well formed or not, rightly signed by `signer`."""
    return wrap(tbs, signer.certificate.der, signer.suite.signature_oid, signer.sign(tbs), *rest)


def remade_seal(world: World, path: tuple[int, ...], change, *rest: bytes) -> bytes:
    """A seal whose info was edited before its maker signed it."""
    info = edit(der.read_all(der.read(world.seal())[0].value)[0].raw, path, change)
    return signed_off(info, world.maker, *rest)


def stamp_of_seal(world: World, seal: bytes, *, signer: Party | None = None) -> bytes:
    """A stamp rightly signed over whatever seal; the digest and the rest are in order."""
    return signed_off(edit(world.tbs(), (1,), seal), signer or world.signer)
