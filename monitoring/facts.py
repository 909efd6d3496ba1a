"""What a rule is told and what it answers: plain values, so that rules know no payment and no database."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class PayeeFacts:
    """One payee of a payment; `amount` in yuan.

    `filed_…` is what the account register says of this account: holder, unit and kind, empty if it is not filed.
    `listed` is black or white where the list of payees names the payee, `returned` the reasons with which banks gave
    back payments to this very name and account.
    """

    name: str
    account_no: str
    amount: Decimal
    is_person: bool = False
    filed_name: str = ""
    filed_unit: str = ""
    filed_kind: str = ""
    listed: str = ""
    listed_reason: str = ""
    returned: tuple[str, ...] = ()


@dataclass(frozen=True)
class EarlierPayment:
    """An amount the same unit has asked to pay to one account before, and how long ago (0 is the same day)."""

    document_id: UUID
    document_no: str
    account_no: str
    amount: Decimal
    days: int
    work_days: int


@dataclass(frozen=True)
class HistoryFacts:
    """What the unit has asked for before this payment, in yuan; `month_average` is of the months before this one."""

    earlier: tuple[EarlierPayment, ...] = ()
    cash_this_month: Decimal = Decimal("0.00")
    spent_this_month: Decimal = Decimal("0.00")
    month_average: Decimal | None = None


@dataclass(frozen=True)
class AnnualFacts:
    """The year's limit for one government economic code of a unit, and what is spent or under way of it."""

    code: str
    limit: Decimal
    spent: Decimal


@dataclass(frozen=True)
class ExpenseFacts:
    """The approval form behind a meeting, training or reception; `standard` in yuan for one head and day."""

    approval_no: str
    heads: int
    days: int
    standard: Decimal


@dataclass(frozen=True)
class PayerFacts:
    """The account that is to pay; `fault` says why it may not pay this money this way, "" if it may."""

    account_no: str
    fault: str


@dataclass(frozen=True)
class ContractFacts:
    """The contract a payment names, as it stands without this payment; amounts in yuan, `prepayment_cap` a ratio.

    `payments_before` counts payments under way or made; `accepted` says that the last acceptance is on file.
    """

    contract_no: str
    supplier_name: str
    supplier_accounts: frozenset[str]
    total: Decimal
    paid: Decimal
    in_transit: Decimal
    refunded: Decimal
    prepayment_cap: Decimal
    payments_before: int
    accepted: bool

    @property
    def balance(self) -> Decimal:
        """What may still be paid on it."""
        return self.total - self.paid - self.in_transit + self.refunded


@dataclass(frozen=True)
class InvoiceFacts:
    """An invoice a payment rests on; `used_by` names the other live document that uses it, "" if none does."""

    code: str
    number: str
    amount: Decimal
    used_by: str


@dataclass(frozen=True)
class RosterFacts:
    """The salary or benefit list behind a payment, whole, beside the last finished one of its unit and kind.

    `last_head_count` and `last_total` are None for the first of its kind. The tuples name what looks wrong, masked.
    """

    kind: str
    month: str
    head_count: int
    total: Decimal
    last_head_count: int | None
    last_total: Decimal | None
    shared_accounts: tuple[str, ...] = ()
    repeated_ids: tuple[str, ...] = ()
    deceased_ids: tuple[str, ...] = ()
    name_mismatches: tuple[str, ...] = ()


@dataclass(frozen=True)
class PaymentFacts:
    """One revision of one payment document as it is screened; `amount` in yuan.

    `settlement`, `business_type` and `payment_mode` are the codes of the wire; `own_accounts` are the account
    numbers filed for the paying unit itself. `days_off` are those of the dates `pay_date` and `entered_on` that the
    calendar knows as not worked.
    """

    document_id: UUID
    document_type: str
    document_no: str
    revision: int
    adm_div_code: str
    fiscal_year: int
    unit_code: str
    amount: Decimal
    payment_mode: str
    business_type: str
    settlement: str
    purpose: str
    contract_no: str
    cash_reason: str
    payees: tuple[PayeeFacts, ...]
    own_accounts: frozenset[str]
    is_reissue: bool
    business_date: date
    section: str = ""
    fund_nature: str = ""
    tags: tuple[str, ...] = ()
    function_code: str = ""
    gov_economic_code: str = ""
    dept_economic_code: str = ""
    project_code: str = ""
    entered_on: date | None = None
    days_off: frozenset[date] = frozenset()
    history: HistoryFacts = HistoryFacts()
    annual: AnnualFacts | None = None
    contract: ContractFacts | None = None
    invoices: tuple[InvoiceFacts, ...] = ()
    roster: RosterFacts | None = None
    expense: ExpenseFacts | None = None
    payer: PayerFacts | None = None
    author_id: UUID | None = None

    @property
    def pay_date(self) -> date:
        """The day the money is planned to leave: the business day."""
        return self.business_date


@dataclass(frozen=True)
class Subject:
    """What an alert that no payment form raised is about; `revision` tells apart what is judged again and again."""

    document_id: UUID
    document_type: str
    document_no: str
    revision: int
    adm_div_code: str
    fiscal_year: int
    unit_code: str
    section: str
    amount: Decimal
    business_date: date


@dataclass(frozen=True)
class ProgressFacts(Subject):
    """An indicator of direct funds: `elapsed` is the part of the year gone by, `issued_on` when it was given."""

    tags: tuple[str, ...]
    total: Decimal
    paid: Decimal
    issued_on: date
    elapsed: Decimal


@dataclass(frozen=True)
class MonthlyFacts(Subject):
    """How often money of a unit came back, or was corrected, in one month."""

    month: int
    times: int


@dataclass(frozen=True)
class DwellFacts(Subject):
    """A document that waits at a node of its chain, and for how many working days."""

    post: str
    work_days: int


@dataclass(frozen=True)
class PendingReceiptFacts(Subject):
    """Non-tax money that nobody has recognised yet (待查), and for how many working days."""

    work_days: int


@dataclass(frozen=True)
class ForecastFacts(Subject):
    """Cash forecast: the lowest balance of the next days and what 三保 needs in them; `amount` is the balance."""

    days: int
    demand: Decimal


@dataclass(frozen=True)
class ReceiptFacts(Subject):
    """A bank's receipt that does not say what the voucher said: which field, what it says, what was expected."""

    field: str
    stated: str
    expected: str


@dataclass(frozen=True)
class Finding:
    """What a rule answers: the field it is about, the limit that field meets, both in words, and the facts it saw.

    `severity` and `action` are set only where a rule has a milder step of its own below the configured one.
    """

    field: str
    label: str
    limit: str
    text: str
    seen: dict[str, Any]
    severity: str = ""
    action: str = ""

    @property
    def message(self) -> str:
        return f"「{self.label}」{self.text}"


@dataclass(frozen=True)
class Hit:
    """One rule that one document met: which version of the rule, what follows, and the facts the rule saw."""

    document_id: UUID
    rule_code: str
    rule_version: int
    rule_name: str
    severity: str
    action: str
    message: str
    facts: dict[str, Any]
    field: str = ""
    hint: str = ""
    attachment_required: bool = False

    @property
    def told(self) -> str:
        """What the clerk is told: the field, the limit it meets, and what to do about it."""
        return f"{self.message}{self.hint}"
