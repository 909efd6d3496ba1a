"""Taking in what the card banks report. Nothing here pays; a payment line quotes the purchase it repays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction

from cards.errors import CardFieldInvalid
from cards.models import CardTransaction
from core.actors import Actor
from core.batch import copy_rows
from core.errors import AmountInvalid, Conflict, TreasuryError, ValidationFailed
from core.money import check_positive
from core.outcomes import CHUNK
from parties.models import BudgetUnit


@dataclass(frozen=True)
class TransactionInput:
    """One purchase as a bank reports it; `amount` in yuan."""

    unit_code: str
    transaction_no: str
    card_no: str
    holder_name: str
    bank_name: str
    bank_no: str
    merchant: str
    merchant_category: str
    consumed_on: date
    due_on: date
    amount: Decimal


@dataclass(frozen=True)
class Taken:
    """How many of a report are new, and how many were here before, word for word."""

    new: int
    known: int


@transaction.atomic(durable=True)
def take_card_transactions(*, rows: Sequence[TransactionInput], bank: Actor, now: datetime) -> Taken:
    """Keep the purchases of a report: all of them or none. What was reported before in the same words stays once.

    :raises ValidationFailed: with every finding, each naming row and field.
    :raises Conflict: if a number came before with other content.
    """
    if not 0 < len(rows) <= CHUNK:
        raise CardFieldInvalid(f"一次报送 1 至 {CHUNK} 笔消费。", field="transactions", given=len(rows))
    units = {
        unit.code: unit
        for unit in BudgetUnit.objects.filter(
            adm_div_code=bank.adm_div_code, code__in={row.unit_code for row in rows}, active=True
        )
    }
    found = [finding for number, row in enumerate(rows, start=1) for finding in _findings(number, row, units)]
    numbers = [row.transaction_no for row in rows]
    if len(set(numbers)) < len(numbers):
        found.append(CardFieldInvalid("同一报送中消费流水号重复。", field="transactions"))
    if found:
        raise ValidationFailed(found)
    made = [_transaction(row, units[row.unit_code], bank, now) for row in sorted(rows, key=lambda r: r.transaction_no)]
    rows_here = CardTransaction.objects.filter(adm_div_code=bank.adm_div_code, transaction_no__in=numbers)
    here = {each.transaction_no: each for each in rows_here}
    for each in made:
        known = here.get(each.transaction_no)
        if known is not None and _content(known) != _content(each):
            raise Conflict(
                f"消费 {each.transaction_no} 已按其他内容登记。", field="transaction_no", given=each.transaction_no
            )
    copy_rows([each for each in made if each.transaction_no not in here])
    return Taken(new=len(made) - len(here), known=len(here))


def _findings(number: int, row: TransactionInput, units: dict[str, BudgetUnit]) -> list[TreasuryError]:
    where = f"transactions.{number}"
    found: list[TreasuryError] = []
    if row.unit_code not in units:
        found.append(CardFieldInvalid("预算单位不存在或已停用。", field=f"{where}.unit_code", given=row.unit_code))
    if row.due_on < row.consumed_on:
        found.append(CardFieldInvalid("到期还款日早于消费日期。", field=f"{where}.due_on"))
    try:
        check_positive(row.amount, field=f"{where}.amount")
    except AmountInvalid as refusal:
        found.append(refusal)
    return found


def _transaction(row: TransactionInput, unit: BudgetUnit, bank: Actor, now: datetime) -> CardTransaction:
    given = {name: value for name, value in vars(row).items() if name != "unit_code"}
    return CardTransaction(
        adm_div_code=bank.adm_div_code,
        fiscal_year=row.consumed_on.year,
        unit=unit,
        reported_by=bank.name,
        at=now,
        **given,
    )


def _content(each: CardTransaction) -> tuple[object, ...]:
    fields = TransactionInput.__dataclass_fields__.keys() - {"unit_code"}
    return (each.unit_id, *(getattr(each, name) for name in sorted(fields)))
