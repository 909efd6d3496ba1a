"""Field lists of the voucher types: data under schema/, one file a type. Source: docs/vouchers.md.

A new type or a regional field is a line of data; no class knows a single voucher type.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from vouchers.errors import VoucherTypeUnknown

Party = Literal["finance", "unit", "bank", "pboc"]
Kind = Literal["code", "text", "amount", "date", "number"]
Sign = Literal["positive", "negative", "zero", "nonzero", "any"]

IDENTITY_PATTERNS = {
    "AdmDivCode": re.compile(r"[0-9]{6}(?:[0-9]{3})?"),
    "StYear": re.compile(r"[0-9]{4}"),
    "VtCode": re.compile(r"[0-9]{4}"),
    "VoucherNo": re.compile(r"[0-9A-Za-z_-]{1,42}"),
}
_DIRECTORY = Path(__file__).parent / "schema"


@dataclass(frozen=True)
class Field:
    """One tag of the main document or of a detail. `max_bytes` counts GBK bytes: a Chinese character is two."""

    tag: str
    cn: str
    en: str
    max_bytes: int | None
    required: bool
    kind: Kind
    receipt: bool
    extension: bool = False  # regional or later addition: written only when it has a value
    receipt_required: bool = False


@dataclass(frozen=True)
class SealPositions:
    """Default names of the signature and stamp positions; a region's configuration goes first."""

    signature: str
    stamp: str


@dataclass(frozen=True)
class VoucherType:
    """Everything the codec and the checks know about one voucher type."""

    code: str
    cn: str
    en: str
    status: Literal["confirmed", "likely", "regional"]
    sender: Party
    receiver: Party
    amount_main: str
    amount_detail: str
    sign: Sign
    sums: tuple[tuple[str, str], ...]  # further pairs (main tag, detail tag) whose totals must agree
    receipt_by: Party | None
    min_details: int
    max_details: int
    document_positions: SealPositions
    receipt_positions: SealPositions | None
    main: tuple[Field, ...]
    detail: tuple[Field, ...]

    @property
    def has_receipt(self) -> bool:
        return self.receipt_by is not None

    @cached_property
    def main_by_tag(self) -> Mapping[str, Field]:
        return MappingProxyType({field.tag: field for field in self.main})

    @cached_property
    def detail_by_tag(self) -> Mapping[str, Field]:
        return MappingProxyType({field.tag: field for field in self.detail})


@cache
def known_types() -> tuple[str, ...]:
    """The codes of every type that has a field list, in order."""
    return tuple(sorted(path.stem for path in _DIRECTORY.glob("[0-9][0-9][0-9][0-9].json")))


def voucher_type(code: str) -> VoucherType:
    """Return the type with this four-digit code.

    :raises VoucherTypeUnknown: if there is no field list for it.
    """
    if code not in known_types():
        raise VoucherTypeUnknown("没有这种凭证类型的字段表。", field="VtCode", given=code[:20])
    return _load(code)


@cache
def known_tags() -> frozenset[str]:
    """Every element name that occurs in an inner document of any known type."""
    fields = (field for code in known_types() for part in (_load(code).main, _load(code).detail) for field in part)
    return frozenset({"Voucher", "DetailList", "Detail", *(field.tag for field in fields)})


@cache
def _load(code: str) -> VoucherType:
    data = json.loads((_DIRECTORY / f"{code}.json").read_text(encoding="utf-8"))
    return VoucherType(
        code=data["voucher_type"],
        cn=data["cn"],
        en=data["en"],
        status=data["status"],
        sender=data["sender"],
        receiver=data["receiver"],
        amount_main=data["amount"]["main"],
        amount_detail=data["amount"]["detail"],
        sign=data["amount"]["sign"],
        sums=tuple((main, detail) for main, detail in data["sums"]),
        receipt_by=data["receipt_by"],
        min_details=data["min_details"],
        max_details=data["max_details"],
        document_positions=SealPositions(**data["seal_positions"]["document"]),
        receipt_positions=_positions(data["seal_positions"]["receipt"]),
        main=tuple(Field(**field) for field in data["main"]),
        detail=tuple(Field(**field) for field in data["detail"]),
    )


def _positions(data: dict[str, Any] | None) -> SealPositions | None:
    return None if data is None else SealPositions(**data)
