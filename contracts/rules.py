"""What contracts, supplements and projects must satisfy, and what of a contract is due: frozen facts in. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from contracts.errors import ContractFieldInvalid
from core.errors import AmountInvalid, TreasuryError
from core.money import FEN, LIMIT, ZERO, check_positive

SUPPLEMENT_CAP = Decimal("0.1")  # of the original amount. Source: 《政府采购法》第四十九条
PREPAYMENT_CAP = Decimal("0.3")  # what a draft starts with; each contract states its own
INTERIM_CAP = Decimal("1")
MAX_TERMS, MAX_ALLOCATIONS, MAX_ACCOUNTS = 24, 20, 10
SIGNED, PROGRESS, DELIVERED, ACCEPTED = "signed", "progress", "delivered", "accepted"
CONDITIONS = (SIGNED, PROGRESS, DELIVERED, ACCEPTED)
_ACCOUNT = re.compile(r"[0-9A-Z-]{1,32}", re.ASCII)
_CREDIT_CODE = re.compile(r"[0-9A-HJ-NP-RT-UW-Y]{18}", re.ASCII)
_BANK_NO = re.compile(r"[0-9]{12}", re.ASCII)
_PROCUREMENT_ID = re.compile(r"[0-9A-Za-z_-]{1,42}", re.ASCII)
_PERIOD = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True)
class AccountInput:
    """An account of the supplier to which may be paid."""

    account_no: str
    bank_name: str
    bank_no: str = ""


@dataclass(frozen=True)
class TermInput:
    """One stage: its amount, or the ratio of the total that gives it."""

    stage: str
    condition: str
    amount: Decimal | None = None
    ratio: Decimal | None = None
    due_on: date | None = None

    def amount_of(self, total: Decimal) -> Decimal:
        if self.amount is not None:
            return self.amount
        return rounded((self.ratio or ZERO) * total)


@dataclass(frozen=True)
class ContractInput:
    """A contract as it is written down; indicators by number, with the amount each bears."""

    contract_no: str
    title: str
    supplier_name: str
    supplier_credit_code: str
    accounts: tuple[AccountInput, ...]
    total: Decimal
    signed_on: date
    terms: tuple[TermInput, ...]
    allocations: tuple[tuple[str, Decimal], ...]
    plan_no: str = ""
    procurement_id: str = ""
    project_code: str = ""
    prepayment_cap: Decimal = PREPAYMENT_CAP
    interim_cap: Decimal = INTERIM_CAP


@dataclass(frozen=True)
class SupplementInput:
    supplement_no: str
    signed_on: date
    reason: str
    amount_change: Decimal = ZERO
    allocations: tuple[tuple[str, Decimal], ...] = ()
    accounts: tuple[AccountInput, ...] = ()


@dataclass(frozen=True)
class ProjectInput:
    """A project; `sources` name where the money of the estimate comes from."""

    code: str
    name: str
    approval_no: str
    approved_estimate: Decimal
    sources: tuple[tuple[str, Decimal], ...]
    indicator_nos: tuple[str, ...]
    retention_ratio: Decimal
    retention_until: date | None = None


@dataclass(frozen=True)
class Stage:
    """A term in force."""

    name: str
    amount: Decimal
    condition: str
    due_on: date | None


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(FEN, ROUND_HALF_UP)


# What is due ---------------------------------------------------------------------------------------------------------


def is_due(stage: Stage, on: date, *, delivered: bool, accepted: bool) -> bool:
    if stage.due_on is not None and on < stage.due_on:
        return False
    return {DELIVERED: delivered or accepted, ACCEPTED: accepted}.get(stage.condition, True)


def due_amount(
    stages: Iterable[Stage], on: date, *, total: Decimal, interim_cap: Decimal, delivered: bool, accepted: bool
) -> Decimal:
    """Return how much of a contract may have been paid by this day, under what is on file about it."""
    due = sum((s.amount for s in stages if is_due(s, on, delivered=delivered, accepted=accepted)), ZERO)
    return due if accepted else min(due, rounded(total * interim_cap))


def retention(certified: Decimal, ratio: Decimal, until: date | None, on: date, *, accepted: bool) -> Decimal:
    """Return what is kept back of certified work (质保金): nothing once it is accepted and the warranty is over."""
    if accepted and until is not None and on > until:
        return ZERO
    return rounded(certified * ratio)


# What must be mended -------------------------------------------------------------------------------------------------


def contract_findings(given: ContractInput, today: date) -> list[TreasuryError]:
    """Return everything that is wrong with a contract by itself."""
    found = text("contract_no", "合同编号", given.contract_no, 40) + text("title", "合同名称", given.title, 100)
    found += text("supplier_name", "供应商名称", given.supplier_name, 60)
    found += text("plan_no", "采购计划编号", given.plan_no, 40, optional=True)
    if not _CREDIT_CODE.fullmatch(given.supplier_credit_code):
        found.append(ContractFieldInvalid("统一社会信用代码应为 18 位。", field="supplier_credit_code"))
    if given.procurement_id and not _PROCUREMENT_ID.fullmatch(given.procurement_id):
        found.append(ContractFieldInvalid("政府采购交易识别码应为 1–42 位字母、数字或短横。", field="procurement_id"))
    found += account_findings(given.accounts)
    if not given.accounts:
        found.append(ContractFieldInvalid("至少填写一个供应商收款账户。", field="accounts"))
    if given.signed_on > today:
        found.append(ContractFieldInvalid("签订日期不得晚于业务日。", field="signed_on"))
    found += _cap("prepayment_cap", "预付比例上限", given.prepayment_cap, ZERO)
    found += _cap("interim_cap", "终验前支付上限", given.interim_cap, Decimal("0.0001"))
    broken = _amount("total", given.total)
    found += broken
    if broken:
        return found
    return found + _term_findings(given) + _share_findings(given)


def _term_findings(given: ContractInput) -> list[TreasuryError]:
    found: list[TreasuryError] = []
    if not given.terms or len(given.terms) > MAX_TERMS:
        return [ContractFieldInvalid(f"付款条款应有 1 至 {MAX_TERMS} 个阶段。", field="terms")]
    for number, term in enumerate(given.terms, start=1):
        where = f"terms.{number}"
        found += text(f"{where}.stage", f"第 {number} 阶段名称", term.stage, 40)
        if term.condition not in CONDITIONS:
            found.append(ContractFieldInvalid("付款条件不在代码表内。", field=f"{where}.condition"))
        if term.condition == PROGRESS and not given.project_code:
            found.append(ContractFieldInvalid("只有投资项目的合同可按工程进度付款。", field=f"{where}.condition"))
        if (term.amount is None) == (term.ratio is None):
            found.append(ContractFieldInvalid("每个阶段填写金额或比例之一。", field=f"{where}.amount"))
        elif term.ratio is not None and not ZERO < term.ratio <= 1:
            found.append(ContractFieldInvalid("比例应大于 0 且不超过 100%。", field=f"{where}.ratio"))
        else:
            found += _amount(f"{where}.amount", term.amount_of(given.total))
    if found:
        return found
    if given.terms[-1].condition != ACCEPTED:
        found.append(
            ContractFieldInvalid("最后一个阶段须以最终验收为付款条件。", field=f"terms.{len(given.terms)}.condition")
        )
    planned = sum((term.amount_of(given.total) for term in given.terms), ZERO)
    if planned != given.total:
        found.append(
            ContractFieldInvalid(
                f"各阶段合计 {planned:,.2f}，与合同金额 {given.total:,.2f} 不等。",
                field="terms",
                planned=planned,
                total=given.total,
            )
        )
    return found


def _share_findings(given: ContractInput) -> list[TreasuryError]:
    if not given.allocations or len(given.allocations) > MAX_ALLOCATIONS:
        return [ContractFieldInvalid(f"请把合同金额分摊到 1 至 {MAX_ALLOCATIONS} 个指标。", field="allocations")]
    found: list[TreasuryError] = []
    for number, (_, amount) in enumerate(given.allocations, start=1):
        found += _amount(f"allocations.{number}.amount", amount)
    if len({no for no, _ in given.allocations}) != len(given.allocations):
        found.append(ContractFieldInvalid("同一指标只能分摊一次。", field="allocations"))
    shared = sum((amount for _, amount in given.allocations if amount.is_finite()), ZERO)
    if not found and shared != given.total:
        found.append(
            ContractFieldInvalid(
                f"指标分摊合计 {shared:,.2f}，与合同金额 {given.total:,.2f} 不等。",
                field="allocations",
                shared=shared,
                total=given.total,
            )
        )
    return found


def supplement_findings(given: SupplementInput, today: date) -> list[TreasuryError]:
    """Return everything that is wrong with a supplement by itself."""
    found = text("supplement_no", "补充合同编号", given.supplement_no, 40) + text("reason", "事由", given.reason, 200)
    if given.signed_on > today:
        found.append(ContractFieldInvalid("签订日期不得晚于业务日。", field="signed_on"))
    found += account_findings(given.accounts)
    if given.amount_change:
        found += _amount("amount_change", abs(given.amount_change))
    elif not given.accounts and not given.allocations:
        found.append(ContractFieldInvalid("补充合同须变动金额、指标分摊或收款账户。", field="amount_change"))
    for number, (_, amount) in enumerate(given.allocations, start=1):
        found += _amount(f"allocations.{number}.amount", abs(amount))
    if len({no for no, _ in given.allocations}) != len(given.allocations):
        found.append(ContractFieldInvalid("同一指标只能分摊一次。", field="allocations"))
    if not found and sum((amount for _, amount in given.allocations), ZERO) != given.amount_change:
        found.append(ContractFieldInvalid("指标分摊变动合计须等于金额变动。", field="allocations"))
    return found


def project_findings(given: ProjectInput) -> list[TreasuryError]:
    """Return everything that is wrong with a project by itself."""
    found = text("code", "项目代码", given.code, 21) + text("name", "项目名称", given.name, 100)
    found += text("approval_no", "概算批复文号", given.approval_no, 60)
    if not (ZERO <= given.retention_ratio <= Decimal("0.2")):
        found.append(ContractFieldInvalid("质保金比例应在 0 至 20% 之间。", field="retention_ratio"))
    broken = _amount("approved_estimate", given.approved_estimate)
    for number, (source, amount) in enumerate(given.sources, start=1):
        broken += text(f"sources.{number}.source", "资金来源", source, 40)
        broken += _amount(f"sources.{number}.amount", amount)
    if len({source for source, _ in given.sources}) != len(given.sources):
        broken.append(ContractFieldInvalid("同一资金来源只填一次。", field="sources"))
    if not broken and sum((amount for _, amount in given.sources), ZERO) != given.approved_estimate:
        broken.append(ContractFieldInvalid("各资金来源合计须等于批准概算。", field="sources"))
    if not given.indicator_nos:
        broken.append(ContractFieldInvalid("请选择项目的指标。", field="indicators"))
    return found + broken


def certificate_findings(certificate_no: str, period: str, certified_by: str) -> list[TreasuryError]:
    found = text("certificate_no", "证书号", certificate_no, 40) + text("certified_by", "核定人", certified_by, 60)
    if not _PERIOD.fullmatch(period):
        found.append(ContractFieldInvalid("期间应写作 2026-05。", field="period"))
    return found


def account_findings(accounts: tuple[AccountInput, ...]) -> list[TreasuryError]:
    found: list[TreasuryError] = []
    if len(accounts) > MAX_ACCOUNTS:
        found.append(ContractFieldInvalid(f"收款账户不超过 {MAX_ACCOUNTS} 个。", field="accounts"))
    for number, account in enumerate(accounts, start=1):
        where = f"accounts.{number}"
        if not _ACCOUNT.fullmatch(account.account_no):
            found.append(
                ContractFieldInvalid("收款账号应为 1–32 位数字、大写字母或短横。", field=f"{where}.account_no")
            )
        found += text(f"{where}.bank_name", "收款银行", account.bank_name, 60)
        if account.bank_no and not _BANK_NO.fullmatch(account.bank_no):
            found.append(ContractFieldInvalid("收款行号应为 12 位数字。", field=f"{where}.bank_no"))
    return found


def text(field: str, label: str, value: str, most_bytes: int, *, optional: bool = False) -> list[TreasuryError]:
    """Return what is wrong with a text: it must be there, fit, and be writable on a voucher."""
    if not value.strip():
        return [] if optional and not value else [ContractFieldInvalid(f"请填写{label}。", field=field)]
    if not value.isprintable():
        return [ContractFieldInvalid(f"{label}含有不可见字符。", field=field)]
    try:
        size = len(value.encode("gbk"))
    except UnicodeEncodeError:
        return [ContractFieldInvalid(f"{label}含有凭证不能表示的字符。", field=field)]
    if size > most_bytes:
        return [ContractFieldInvalid(f"{label}过长（最多 {most_bytes} 字节，一个汉字 2 字节）。", field=field)]
    return []


def _amount(field: str, amount: Decimal) -> list[TreasuryError]:
    try:
        check_positive(amount, field=field)
    except AmountInvalid as refusal:
        return [refusal]
    return [] if amount < LIMIT else [AmountInvalid("金额过大。", field=field)]


def _cap(field: str, label: str, value: Decimal, least: Decimal) -> list[TreasuryError]:
    if value.is_finite() and least <= value <= 1 and value == value.quantize(Decimal("0.0001")):
        return []
    return [ContractFieldInvalid(f"{label}应在 0 至 100% 之间，最多两位小数。", field=field)]
