"""What a request must satisfy before anything is reserved: frozen facts in, every finding out. Pure."""

import re
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from budget.methods import method_of
from core.errors import AmountInvalid, TreasuryError
from core.money import LIMIT, check_positive
from payments.business_types import CASH_CHEQUE, REFERENCE_BYTES
from payments.business_types import RULES as BUSINESS_RULES
from payments.errors import FieldInvalid

MAX_DETAILS = 499  # one voucher carries fewer than 500 details
_ACCOUNT = re.compile(r"[0-9A-Z-]{1,32}", re.ASCII)
_BANK_NO = re.compile(r"[0-9]{12}", re.ASCII)


@dataclass(frozen=True)
class DetailFacts:
    payee_name: str
    payee_account_no: str
    payee_bank_name: str
    payee_bank_no: str
    amount: Decimal
    remark: str = ""
    reference: str = ""


@dataclass(frozen=True)
class RequestFacts:
    """One request as the clerk fills it in; amounts in yuan."""

    purpose: str
    settlement: str
    cash_reason: str
    dept_economic_code: str
    payment_mode: str
    details: tuple[DetailFacts, ...]
    business_type: str = "1"
    contract_no: str = ""
    cash_purpose: str = ""
    beneficiary_unit_id: UUID | None = None


def findings(facts: RequestFacts) -> list[TreasuryError]:
    """Return everything the clerk has to mend, each naming its field."""
    found: list[TreasuryError] = []
    found += _text("purpose", "用途", facts.purpose, 100)
    found += _text("dept_economic_code", "部门经济分类", facts.dept_economic_code, 5)
    found += _kind(facts)
    if facts.settlement == CASH_CHEQUE and not method_of(facts.payment_mode).has_cheques:
        found.append(FieldInvalid("现金支票只能用于授权支付。", field="settlement"))
    if not facts.details:
        found.append(FieldInvalid("至少填写一个收款人。", field="details"))
    if len(facts.details) > MAX_DETAILS:
        found.append(
            FieldInvalid(f"一张申请不得超过 {MAX_DETAILS} 行收款人。", field="details", given=len(facts.details))
        )
    for index, detail in enumerate(facts.details, start=1):
        found += _detail(f"details.{index}", detail)
    if not found and sum(detail.amount for detail in facts.details) >= LIMIT:
        found.append(AmountInvalid("合计金额过大。", field="amount"))
    return found


_ASKED = {
    "contract_no": "政府采购须填写合同编号。",
    "cash_purpose": "请选择现金用途。",
    "cash_reason": "使用现金须填写理由。",
    "beneficiary_unit_id": "请选择受益单位。",
}


def _kind(facts: RequestFacts) -> list[TreasuryError]:
    """What the kind of payment asks for, and what belongs to another kind only."""
    rules = BUSINESS_RULES.get(facts.business_type)
    if rules is None:
        return []  # said already: not in the code table
    found: list[TreasuryError] = []
    if facts.settlement not in rules.settlements:
        found.append(FieldInvalid("该业务类型不能用这种结算方式。", field="settlement", legal=list(rules.settlements)))
    found += [FieldInvalid(_ASKED[name], field=name) for name in rules.asks if not getattr(facts, name)]
    for name, label in (("cash_purpose", "现金用途"), ("beneficiary_unit_id", "受益单位")):
        if name not in rules.asks and getattr(facts, name):
            found.append(FieldInvalid(f"该业务类型不填{label}。", field=name))
    if rules.one_payee and len(facts.details) > 1:
        found.append(FieldInvalid("该业务类型一张申请只付一个收款人。", field="details", given=len(facts.details)))
    for number, detail in enumerate(facts.details, start=1):
        where = f"details.{number}.reference"
        if rules.reference:
            found += _text(where, rules.reference, detail.reference, REFERENCE_BYTES)
        elif detail.reference:
            found.append(FieldInvalid("该业务类型不填业务凭据号。", field=where))
    return found


def _detail(where: str, detail: DetailFacts) -> list[TreasuryError]:
    found = _text(f"{where}.payee_name", "收款人", detail.payee_name, 60)
    found += _text(f"{where}.payee_bank_name", "收款银行", detail.payee_bank_name, 60)
    if not _ACCOUNT.fullmatch(detail.payee_account_no):
        found.append(FieldInvalid("收款账号应为 1–32 位数字、大写字母或短横。", field=f"{where}.payee_account_no"))
    if detail.payee_bank_no and not _BANK_NO.fullmatch(detail.payee_bank_no):
        found.append(FieldInvalid("收款行号应为 12 位数字。", field=f"{where}.payee_bank_no"))
    try:
        check_positive(detail.amount, field=f"{where}.amount")
    except AmountInvalid as refusal:
        found.append(refusal)
    return found + optional_text(f"{where}.remark", "备注", detail.remark, 60)


def optional_text(field: str, label: str, value: str, most_bytes: int) -> list[TreasuryError]:
    """Return what is wrong with a text that may be left out: it must fit and be writable on a voucher."""
    return _text(field, label, value, most_bytes) if value else []


def _text(field: str, label: str, value: str, most_bytes: int) -> list[TreasuryError]:
    if not value.strip():
        return [FieldInvalid(f"请填写{label}。", field=field)]
    if _gbk_length(value) > most_bytes:
        return [FieldInvalid(f"{label}过长（最多 {most_bytes} 字节，一个汉字 2 字节）。", field=field)]
    if not value.isprintable():
        return [FieldInvalid(f"{label}含有不可见字符。", field=field)]
    try:
        value.encode("gbk")
    except UnicodeEncodeError:
        return [FieldInvalid(f"{label}含有凭证不能表示的字符。", field=field)]
    return []


def _gbk_length(value: str) -> int:
    return len(value.encode("gbk", errors="replace"))
