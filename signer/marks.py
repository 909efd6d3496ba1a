"""Make the marks that were allowed: signature values and stamps (SES_Signature, GB/T 38540 version 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from core.digests import sm3
from seals import der
from seals.certificates import ParsedCertificate, parse_certificate
from seals.errors import SealNotUsable
from seals.eseal.structures import (
    EVIDENCE_ROOT_OID,
    Extension,
    assemble_signature,
    build_signature_tbs,
    parse_seal,
)
from seals.signing import Mark, Order
from seals.statements import canonical
from seals.suites import get_suite
from signer.drivers import Key
from signer.facts import SealRow
from signer.keystore import key_of


@dataclass(frozen=True)
class _Seal:
    """A seal ready for use."""

    der: bytes = field(repr=False)
    certificate: ParsedCertificate
    key: Key


def make_marks(
    orders: Sequence[Order],
    *,
    keys: Mapping[str, Key],
    seals: Mapping[UUID, SealRow],
    roots: Mapping[str, Extension],
    now: datetime,
) -> list[Mark]:
    """One mark for each order, in this order; whether they may be made has been decided before.

    :param keys: the signing key of each organisation whose signature is asked for.
    :param roots: the latest evidence root by stream, as the extension that stamps carry.
    :raises SealNotUsable: if what is registered is no seal, or not one of this certificate.
    :raises NoSigningKey, KeyNotUsable: if a seal's key is not here.
    """
    opened = {seal_id: _opened(row, now) for seal_id, row in seals.items()}
    return [
        _signature(order, keys[order.organisation_code])
        if order.seal_id is None
        else _stamp(order, opened[order.seal_id], roots.get(stream_of(order)), now)
        for order in orders
    ]


def stream_of(order: Order) -> str:
    """The evidence stream of the voucher. Source: docs/signatures.md §6."""
    return f"{order.adm_div_code}/{order.fiscal_year}"


def root_extension(stream: str, size: int, root: str) -> Extension:
    """The extension of docs/signatures.md §5: what leaves the house says how long the log is."""
    text = canonical({"root": root, "size": size, "stream": stream})
    return Extension(EVIDENCE_ROOT_OID, False, der.write(der.UTF8_STRING, text))


def _signature(order: Order, key: Key) -> Mark:
    return Mark(key.sign(order.text), key.certificate.serial_hex)


def _opened(row: SealRow, now: datetime) -> _Seal:
    certificate, seal = parse_certificate(row.certificate_pem), parse_seal(row.der)
    holders = {*seal.holders, *(value for _name, value in seal.holder_digests)}
    if seal.es_id != row.es_id or holders.isdisjoint({certificate.der, sm3(certificate.der)}):
        raise SealNotUsable("登记的印章数据与登记的编号或使用证书不符。", field="seal_id", es_id=row.es_id)
    if not seal.valid_from <= now <= seal.valid_to:
        raise SealNotUsable("印章不在其签名的有效期内。", field="seal_id", es_id=row.es_id)
    return _Seal(row.der, certificate, key_of(certificate))


def _stamp(order: Order, seal: _Seal, root: Extension | None, now: datetime) -> Mark:
    suite = get_suite(seal.certificate.suite_id)
    tbs = build_signature_tbs(
        seal=seal.der,
        signed_at=now.astimezone(UTC).replace(microsecond=0),
        data_hash=suite.digest(order.text),
        property_info=property_info(order),
        extensions=[root] if root is not None else [],
    )
    value = assemble_signature(
        tbs,
        certificate=seal.certificate.der,
        signature_oid=suite.signature_oid,
        signature=seal.key.sign(tbs),
    )
    return Mark(value, seal.certificate.serial_hex)


def property_info(order: Order) -> str:
    """What a stamp says of where it stands. Source: docs/signatures.md §5."""
    parts = (order.adm_div_code, order.fiscal_year, order.voucher_type, order.voucher_no, order.position)
    return "/".join(str(part) for part in parts)
