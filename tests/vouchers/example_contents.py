"""Vouchers made from their own field lists: every field filled, every rule of vouchers.checks kept."""

import base64
from datetime import date

from vouchers.messages import EnvelopeBody, VoucherContent
from vouchers.schema import Field, VoucherType, voucher_type

TODAY = date(2026, 6, 15)
FORMS = {
    "TreCode": "9901000000",
    "FinOrgCode": "990100000",
    "PayTypeCode": "12",
    "SetMonth": "06",
    "PayBankNo": "999100000018",
    "PayeeAcctBankNo": "999100000026",
    "XPaySndBnkNo": "999100000018",
    "AllNum": "2",
    "ChildPackNum": "1",
    "CurPackNo": "1",
    "TKLX": "1",
    "DeptNum": "1",
}


def example(code: str, *, receipt: bool = False) -> VoucherContent:
    """Two details of 100.00 and a total of 200.00, with the sign the type asks for; of a correction 0.00 in all."""
    kind = voucher_type(code)
    amounts, total = (("-100.00", "100.00"), "0.00") if kind.sign == "zero" else (("100.00", "100.00"), "200.00")
    details = tuple(
        row(kind, kind.detail, amount, identifier=f"D{n}", receipt=receipt) for n, amount in enumerate(amounts, 1)
    )
    main = row(kind, kind.main, total, identifier="M1", receipt=receipt)
    for tag in ("AdmDivCode", "StYear", "VtCode", "VouDate", "VoucherNo"):
        del main[tag]
    return VoucherContent(code, f"{code}0001", "990100000", 2026, TODAY, main, details)


def row(kind: VoucherType, fields: tuple[Field, ...], amount: str, *, identifier: str, receipt: bool) -> dict[str, str]:
    signed = f"-{amount}" if kind.sign == "negative" else amount
    return {field.tag: value(field, signed, identifier) for field in fields if receipt or not field.receipt}


def value(field: Field, amount: str, identifier: str) -> str:
    if field.tag == "Id":
        return identifier
    if field.tag in FORMS:
        return FORMS[field.tag]
    if field.kind == "amount":
        return amount
    if field.kind == "date":
        return "20260615"
    if field.tag.endswith("AcctNo") or field.tag in ("AgencyAccoCode", "ClearAccNo"):
        return "6200-000000000001"
    return ("国库" if field.kind == "text" else "A1")[: field.max_bytes]


def body_of(content: VoucherContent, inner: bytes, **changes: object) -> EnvelopeBody:
    values: dict[str, object] = {
        "adm_div_code": content.adm_div_code,
        "fiscal_year": content.fiscal_year,
        "voucher_type": content.voucher_type,
        "voucher_no": content.voucher_no,
        "flag": 0,
        "return_reason": "",
        "attach": "",
        "text": base64.b64encode(inner),
    }
    return EnvelopeBody(**(values | changes))  # type: ignore[arg-type]
