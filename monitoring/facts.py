"""What a rule is told and what it answers: plain values, so that rules know no payment and no database."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class PayeeFacts:
    """One payee of a payment; `amount` in yuan."""

    name: str
    account_no: str
    amount: Decimal


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
    numbers filed for the paying unit itself.
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
