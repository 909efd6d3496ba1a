"""Layouts as data: layouts/<type>.json says which tag stands where, layouts/geometry.json how large things are.

A type without a layout gets the generic one, built from its field list: every voucher can be drawn.
Source: docs/paper.md.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vouchers.schema import Field, known_types, voucher_type

_DIRECTORY = Path(__file__).parent / "layouts"
IDENTITY = ("AdmDivCode", "StYear", "VtCode", "VouDate", "VoucherNo")


@dataclass(frozen=True)
class Cell:
    """A printed label and the tags whose values stand behind it, one after the other."""

    label: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Party:
    """Payer or payee: three lines."""

    label: str
    name: tuple[str, ...]
    account: tuple[str, ...]
    bank: tuple[str, ...]


@dataclass(frozen=True)
class Signatory:
    """A box for seals, with what its party fills in: tags of the receipt."""

    label: str
    facts: tuple[Cell, ...]


@dataclass(frozen=True)
class SealPlace:
    """Where a seal of one position stands by default, in millimetres and degrees."""

    x: float
    y: float
    width: float
    height: float
    rotation: float


@dataclass(frozen=True)
class Column:
    """A column of the list page; width in millimetres. An amount stands at its right edge."""

    label: str
    tags: tuple[str, ...]
    width: float
    kind: str = "text"


@dataclass(frozen=True)
class Layout:
    """All that is particular to one voucher type on paper."""

    title: str
    ink: str
    copy: str
    amount: str
    amount_detail: str
    parties: tuple[Party, ...]
    rows: tuple[tuple[Cell, ...], ...]
    signatories: tuple[Signatory, ...]
    columns: tuple[Column, ...]
    seals: Mapping[str, SealPlace]
    main: Mapping[str, Field]
    detail: Mapping[str, Field]


@cache
def geometry() -> dict[str, Any]:
    """The measures common to every form."""
    return _read("geometry")


@cache
def layout(code: str) -> Layout:
    """Return the layout of a voucher type.

    :raises VoucherTypeUnknown: if there is no field list of the type.
    """
    own = (_DIRECTORY / f"{code}.json").exists() and code.isascii() and code.isdigit()
    data = _read(code) if own else _generic(code)
    kind = voucher_type(code)
    return Layout(
        title=data["title"],
        ink=data["ink"],
        copy=data["copy"],
        amount=data["amount"],
        amount_detail=data["amount_detail"],
        parties=tuple(
            Party(p["label"], tuple(p["name"]), tuple(p["account"]), tuple(p["bank"])) for p in data["parties"]
        ),
        rows=tuple(tuple(_cell(cell) for cell in row) for row in data["rows"]),
        signatories=tuple(Signatory(s["label"], tuple(_cell(fact) for fact in s["facts"])) for s in data["sign"]),
        columns=tuple(
            Column(c["label"], tuple(c["tags"]), c["width"], c.get("kind", "text")) for c in data.get("columns", [])
        ),
        seals={position: SealPlace(**place) for position, place in (_read("seals") | data.get("seals", {})).items()},
        main=kind.main_by_tag,
        detail=kind.detail_by_tag,
    )


def drawable_types() -> tuple[str, ...]:
    """Every type that has a field list."""
    return known_types()


def pairs(fields: Mapping[str, Field]) -> list[Cell]:
    """Join the tags that say one thing, XxxCode and XxxName, under one label."""
    cells = []
    for tag, field in fields.items():
        twin = _twin(tag)
        if twin in fields and tag > twin:
            continue  # the name came with its code
        label = field.cn if twin not in fields else fields[max(tag, twin)].cn.removesuffix("名称")
        cells.append(Cell(label, (tag, twin) if twin in fields else (tag,)))
    return cells


def _twin(tag: str) -> str:
    """XxxName for XxxCode and back, also with a level behind: ExpFuncCode1."""
    return tag.replace("Code", "Name") if "Code" in tag else tag.replace("Name", "Code") if "Name" in tag else ""


def _generic(code: str) -> dict[str, Any]:
    """Set every field of a type in rows of two, those the receipt answers in the right signatory's box."""
    kind = voucher_type(code)
    shown = (*IDENTITY, kind.amount_main)
    sent = {tag: field for tag, field in kind.main_by_tag.items() if not field.receipt and tag not in shown}
    answered = {tag: field for tag, field in kind.main_by_tag.items() if field.receipt}
    cells = [{"label": cell.label, "tags": list(cell.tags)} for cell in pairs(sent)]
    data = _read("generic")
    facts = [{"label": cell.label, "tags": list(cell.tags)} for cell in pairs(answered)]
    labels = data["parties_by_code"]
    return data | {
        "title": kind.cn,
        "amount": kind.amount_main,
        "amount_detail": kind.amount_detail,
        "seals": data["seals_by_sender"][kind.sender],
        "rows": [cells[place : place + 2] for place in range(0, len(cells), 2)],
        "sign": [
            {"label": labels[kind.sender] + "（签章）", "facts": []},
            {"label": labels[kind.receipt_by or kind.receiver] + "（签章）", "facts": facts},
        ],
    }


def _cell(data: dict[str, Any]) -> Cell:
    return Cell(data["label"], tuple(data["tags"]))


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((_DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))
    return data
