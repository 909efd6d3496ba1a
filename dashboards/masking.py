"""What a stranger may read of a voucher: amounts and dates, but neither names nor accounts in full."""

import re

from vouchers.schema import Field

_ACCOUNT = re.compile(r"(AcctNo|AccNo|AccoCode|TaxayerID|CheckForPeople)$")
_OPEN_KINDS = frozenset({"amount", "date", "number", "code"})


def mask_name(text: str) -> str:
    """ "王建国" → "王**"; nothing tells how long the name is."""
    return f"{text[0]}**" if text else ""


def mask_account(text: str) -> str:
    """ "6230000000000001" → "6230****0001"; a short one is hidden whole."""
    return f"{text[:4]}****{text[-4:]}" if len(text) >= 12 else "****" if text else ""


def masked(field: Field | None, tag: str, text: str) -> str:
    """A field's text for strangers."""
    if _ACCOUNT.search(tag):
        return mask_account(text)
    if tag.endswith("Amt") or (field is not None and field.kind in _OPEN_KINDS):
        return text
    return mask_name(text)
