"""What a voucher must satisfy before anybody acts on it: the rules PBoC applies to every inbound voucher.

Pure functions that return all findings, so that a sender mends everything at once. Parameters (does this unit exist, is
this account known) are the callers' business. Source: docs/vouchers.md §3.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from vouchers.errors import WireAmountInvalid, WireDateInvalid
from vouchers.messages import EnvelopeBody, VoucherContent
from vouchers.schema import Field, Sign, VoucherType, voucher_type

ZERO = Decimal("0.00")
AMOUNT_LIMIT = Decimal(10) ** 14  # what a money column holds; the wire could carry ten times as much
REASON_MAX_BYTES = 190  # of a refusal sent back with confirmVoucherFail

_AMOUNT = re.compile(r"[+-]?[0-9]{1,15}\.[0-9]{2}")
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_DATE_TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?: (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])?")
_NUMBER = re.compile(r"[0-9]{1,10}")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_ACCOUNT = re.compile(r"[0-9A-Z-]{1,32}")
_BANK_NO = re.compile(r"[0-9]{12}")

# The form of a code wherever its tag occurs.
_FORMS: dict[str, tuple[re.Pattern[str], str, str]] = {
    "AdmDivCode": (re.compile(r"[0-9]{6}(?:[0-9]{3})?"), "region_invalid", "行政区划代码应为 6 位或 9 位数字"),
    "TreCode": (re.compile(r"[0-9]{10}"), "treasury_code_invalid", "国库代码应为 10 位数字"),
    "FinOrgCode": (re.compile(r"[0-9]{1,12}"), "finance_code_invalid", "财政机关代码应为 1 至 12 位数字"),
    "PayTypeCode": (re.compile(r"[0-9]{2,6}"), "pay_type_invalid", "支付方式编码应为 2 至 6 位数字"),
    "SetMonth": (re.compile(r"0[1-9]|1[0-2]"), "month_invalid", "计划月份应为 01 至 12"),
    **dict.fromkeys(
        ("PayBankNo", "PayeeAcctBankNo", "XPaySndBnkNo"), (_BANK_NO, "bank_no_invalid", "银行行号应为 12 位数字")
    ),
    **dict.fromkeys(
        ("PayeeAcctNo", "PayAcctNo", "AgentAcctNo", "ClearAcctNo", "ClearAccNo", "AgencyAccoCode", "XPayeeAcctNo"),
        (_ACCOUNT, "account_invalid", "账号只能含数字、大写字母和短横线，最长 32 位"),
    ),
}

_SIGNS: dict[Sign, tuple[Callable[[Decimal], bool], str]] = {
    "positive": (lambda amount: amount > 0, "金额应大于零"),
    "negative": (lambda amount: amount < 0, "金额应小于零"),
    "zero": (lambda amount: amount == 0, "金额应为零"),
    "nonzero": (lambda amount: amount != 0, "金额不能为零"),
    "any": (lambda amount: True, ""),
}


@dataclass(frozen=True)
class Finding:
    """One thing wrong: a stable code, the field ("PayAmt", "Detail[3].PayAmt"), a sentence for the sender."""

    code: str
    field: str
    message: str


def wire_amount(text: str, *, field: str | None = None) -> Decimal:
    """Parse a signed wire amount: "1234.50", "-3000.00", "+1.00"; ASCII digits, two decimals, below 10^14.

    :raises WireAmountInvalid: for any other spelling. "-0.00" is zero.
    """
    if not _AMOUNT.fullmatch(text):
        raise WireAmountInvalid("金额格式错误，应为两位小数的数字，如 1234.50", field=field, given=text[:40])
    amount = Decimal(text)
    if abs(amount) >= AMOUNT_LIMIT:
        raise WireAmountInvalid("金额过大", field=field, given=text[:40])
    return amount if amount else ZERO


def wire_date(text: str, *, field: str | None = None, receipt: bool = False) -> date:
    """Parse "20260615"; in a receipt field also the "2026-06-15 10:10:00" some banks write.

    :raises WireDateInvalid: for any other spelling or a day that does not exist.
    """
    parts = _DATE.fullmatch(text) or (_DATE_TIME.fullmatch(text) if receipt else None)
    try:
        if parts is not None:
            return date(int(parts[1]), int(parts[2]), int(parts[3]))
    except ValueError:
        pass
    raise WireDateInvalid("日期应为真实的 8 位日期 yyyyMMdd", field=field, given=text[:40])


def check_content(content: VoucherContent, *, business_date: date, receipt: bool = False) -> list[Finding]:
    """Return everything wrong with a voucher, in document order; an empty list means it may be accepted.

    With `receipt`, the `X…` fields an answer must carry are required as well. Whether the other fields are still what
    was sent is codec.differing_fields.

    :raises VoucherTypeUnknown: if the type has no field list.
    """
    kind = voucher_type(content.voucher_type)
    main = {**content.main, **content.identity}
    findings = list(_check_fields(kind.main, main, "", business_date))
    findings += _check_identity(kind, content, business_date)
    findings += _check_details(kind, main, content.details, business_date)
    findings += _check_totals(kind, main, content.details)
    if receipt:
        findings += _check_receipt(kind, main, content.details)
    return findings


def check_envelope_matches(body: EnvelopeBody, content: VoucherContent) -> list[Finding]:
    """Compare the unsigned attributes of the envelope with the signed inner document (F37)."""
    pairs = (
        ("AdmDivCode", body.adm_div_code, content.adm_div_code),
        ("StYear", body.fiscal_year, content.fiscal_year),
        ("VtCode", body.voucher_type, content.voucher_type),
        ("VoucherNo", body.voucher_no, content.voucher_no),
    )
    return [
        Finding("envelope_differs", tag, f"信封属性 {claimed} 与凭证原文 {signed} 不一致")
        for tag, claimed, signed in pairs
        if claimed != signed
    ]


def refusal_reason(findings: Sequence[Finding]) -> str:
    """Return one sentence for confirmVoucherFail, at most 190 GBK bytes."""
    text = "；".join(f"{finding.field}：{finding.message}" for finding in findings)
    return text.encode("gbk", errors="replace")[:REASON_MAX_BYTES].decode("gbk", errors="ignore")


# Field by field -----------------------------------------------------------------------------------------------------


def _check_fields(
    fields: Sequence[Field], values: Mapping[str, str], where: str, business_date: date
) -> Iterator[Finding]:
    for field in fields:
        value = values.get(field.tag, "")
        if value:
            yield from _check_value(field, value, where, business_date)
        elif field.required:
            yield Finding("required", where + field.tag, f"{field.cn}不能为空")


def _check_value(field: Field, value: str, where: str, business_date: date) -> Iterator[Finding]:
    name = where + field.tag
    ascii_only = value.isascii()
    if not (ascii_only and value.isprintable()):
        yield from _check_characters(field, value, name)
    length = len(value) if ascii_only else len(value.encode("gbk", errors="replace"))
    if field.max_bytes is not None and length > field.max_bytes:
        yield Finding("too_long", name, f"{field.cn}长 {length} 字节，最长 {field.max_bytes} 字节")
    if field.kind == "amount":
        try:
            wire_amount(value)
        except WireAmountInvalid as error:
            yield Finding("amount_invalid", name, error.message)
    elif field.kind == "date":
        try:
            if wire_date(value, receipt=field.receipt) > business_date:
                yield Finding("date_in_future", name, f"{field.cn}晚于业务日期")
        except WireDateInvalid as error:
            yield Finding("date_invalid", name, error.message)
    elif field.kind == "number" and not _NUMBER.fullmatch(value):
        yield Finding("number_invalid", name, f"{field.cn}应为数字")
    if field.tag in _FORMS:
        form, code, message = _FORMS[field.tag]
        if not form.fullmatch(value):
            yield Finding(code, name, message)


def _check_characters(field: Field, value: str, name: str) -> Iterator[Finding]:
    """Characters a reader cannot see or a partner cannot store; both let two names look like one."""
    try:
        value.encode("gbk")
    except UnicodeEncodeError:
        yield Finding("character_not_in_gbk", name, f"{field.cn}含 GBK 以外的字符")
    if _UNSEEN.search(value):
        yield Finding("character_not_allowed", name, f"{field.cn}含不可见字符")


# The document as a whole --------------------------------------------------------------------------------------------


def _check_identity(kind: VoucherType, content: VoucherContent, business_date: date) -> Iterator[Finding]:
    if content.fiscal_year > business_date.year:
        yield Finding("fiscal_year_in_future", "StYear", "业务年度晚于业务日期")
    for tag, value in content.identity.items():
        if content.main.get(tag, value) != value:
            yield Finding("identity_differs", tag, "主单字段与凭证标识不一致")


def _check_details(
    kind: VoucherType, main: Mapping[str, str], details: Sequence[Mapping[str, str]], business_date: date
) -> Iterator[Finding]:
    if not kind.min_details <= len(details) <= kind.max_details:
        yield Finding("detail_count", "DetailList", f"明细应为 {kind.min_details} 至 {kind.max_details} 笔")
    if _packets(main) == "1" and "AllNum" in kind.main_by_tag and main.get("AllNum", "") != str(len(details)):
        yield Finding("detail_count_differs", "AllNum", f"总笔数与明细笔数 {len(details)} 不符")
    refund_must_refer = main.get("TKLX") == "1"  # a normal refund, as opposed to a negative voucher
    seen: set[str] = set()
    for position, detail in enumerate(details, start=1):
        where = f"Detail[{position}]."
        yield from _check_fields(kind.detail, detail, where, business_date)
        identifier = detail.get("Id", "")
        if identifier and identifier in seen:
            yield Finding("detail_id_repeated", f"{where}Id", f"明细编号重复：{identifier[:40]}")
        seen.add(identifier)
        for tag in ("OriVoucherNo", "OriVouDetailNo") if refund_must_refer else ():
            if not detail.get(tag):
                yield Finding("required", where + tag, "正常退款须指明原支付凭证及明细")


def _check_totals(
    kind: VoucherType, main: Mapping[str, str], details: Sequence[Mapping[str, str]]
) -> Iterator[Finding]:
    holds, message = _SIGNS[kind.sign]
    total = _amount(main.get(kind.amount_main, ""))
    if total is not None and not holds(total):
        yield Finding("amount_sign", kind.amount_main, message)
    for position, detail in enumerate(details, start=1):
        # A nonzero total may hold lines of either sign, or a line netted to nothing; a total of nothing holds both.
        amount = _amount(detail.get(kind.amount_detail, ""))
        if amount is not None and kind.sign not in ("nonzero", "zero") and not holds(amount):
            yield Finding("amount_sign", f"Detail[{position}].{kind.amount_detail}", message)
    if _packets(main) != "1":
        return  # the head counts the whole statement, this is a part of it
    for main_tag, detail_tag in dict.fromkeys(((kind.amount_main, kind.amount_detail), *kind.sums)):
        yield from _check_sum(main, main_tag, details, detail_tag)


def _check_sum(
    main: Mapping[str, str], main_tag: str, details: Sequence[Mapping[str, str]], detail_tag: str
) -> Iterator[Finding]:
    stated = _amount(main.get(main_tag, ""))
    amounts = [_amount(detail.get(detail_tag, "")) for detail in details]
    known = [amount for amount in amounts if amount is not None]
    if stated is None or len(known) < len(amounts):
        return  # said already: missing or misspelt
    if (summed := sum(known, ZERO)) != stated:
        yield Finding("total_differs", main_tag, f"主单金额 {stated} 不等于明细合计 {summed}")


def _check_receipt(
    kind: VoucherType, main: Mapping[str, str], details: Sequence[Mapping[str, str]]
) -> Iterator[Finding]:
    if not kind.has_receipt:
        yield Finding("no_receipt_expected", "VtCode", "该凭证没有回单")
        return
    yield from _required_in_receipt(kind.main, main, "")
    paid = _amount(main.get("XPayAmt", ""))
    if paid == ZERO:
        return  # refused as a whole (F39): a bank may leave the details as they came
    for position, detail in enumerate(details, start=1):
        yield from _required_in_receipt(kind.detail, detail, f"Detail[{position}].")
    if paid is not None and any(field.receipt_required for field in kind.detail):
        yield from _check_sum(main, "XPayAmt", details, "XPayAmt")


def _required_in_receipt(fields: Sequence[Field], values: Mapping[str, str], where: str) -> Iterator[Finding]:
    for field in fields:
        if field.receipt_required and not values.get(field.tag):
            yield Finding("required_in_receipt", where + field.tag, f"回单缺少{field.cn}")


def _packets(main: Mapping[str, str]) -> str:
    return main.get("ChildPackNum") or "1"


def _amount(text: str) -> Decimal | None:
    try:
        return wire_amount(text)
    except WireAmountInvalid:
        return None
