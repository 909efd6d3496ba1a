"""Extension fields (扩展字段): what a region asks beyond the usual, as rows of data. Source: docs/business-types.md."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property

from core.errors import AmountInvalid, TreasuryError
from core.money import yuan
from parties.models import UnitGroup
from payments.errors import FieldInvalid
from payments.models import ExtensionField
from payments.rules import optional_text

Kind = ExtensionField.Kind
LONGEST_BYTES = 42  # what a spare tag of the voucher holds
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)


class Extensions:
    """The extension fields of a region; one query, and another one where a field is for some units only."""

    def __init__(self, adm_div_code: str) -> None:
        self._adm_div_code = adm_div_code
        self._fields: Sequence[ExtensionField] = list(
            ExtensionField.objects.filter(adm_div_code=adm_div_code, active=True)
        )

    @cached_property
    def _members(self) -> Mapping[object, set[str]]:
        members: dict[object, set[str]] = {}
        groups = UnitGroup.objects.filter(adm_div_code=self._adm_div_code)
        for group_id, unit_code in groups.values_list("pk", "units__code"):
            members.setdefault(group_id, set()).add(unit_code)
        return members

    def of(self, *, business_type: str, unit_code: str) -> list[ExtensionField]:
        """The fields a payment of this kind by this unit has, in order."""
        return [
            each
            for each in self._fields
            if (not each.business_types or business_type in each.business_types)
            and (each.unit_group_id is None or unit_code in self._members.get(each.unit_group_id, set()))
        ]

    def findings(self, values: Mapping[str, str], *, business_type: str, unit_code: str) -> list[TreasuryError]:
        """Return what is wrong with the values, each naming `extra.<key>`."""
        fields = {each.key: each for each in self.of(business_type=business_type, unit_code=unit_code)}
        found: list[TreasuryError] = [
            FieldInvalid("本单没有这个扩展字段。", field=f"extra.{key[:40]}") for key in values if key not in fields
        ]
        for key, each in fields.items():
            value = values.get(key, "")
            if value:
                found += _fits(each, value)
            elif each.required:
                found.append(FieldInvalid(f"请填写{each.label}。", field=f"extra.{key}"))
        return found


def _fits(field: ExtensionField, value: str) -> list[TreasuryError]:
    where = f"extra.{field.key}"
    found = optional_text(where, field.label, value, LONGEST_BYTES)
    if found:
        return found
    if field.kind == Kind.CHOICE and value not in field.choices:
        return [FieldInvalid(f"{field.label}应为：{'、'.join(field.choices)}。", field=where)]
    if field.kind == Kind.NUMBER and not _NUMBER.fullmatch(value):
        return [FieldInvalid(f"{field.label}应为整数。", field=where)]
    if field.kind == Kind.AMOUNT:
        try:
            yuan(value, field=where)
        except AmountInvalid as refusal:
            return [refusal]
    if field.kind == Kind.DATE and not _is_date(value):
        return [FieldInvalid(f"{field.label}应为日期，如 2026-06-15。", field=where)]
    return []


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
