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
