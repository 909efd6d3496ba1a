"""Taking over a contract that runs when a bureau goes live (期初导入), with what was paid on it before."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from decimal import Decimal

from django.db import transaction

from budget.entries import Context
from budget.models import BudgetIndicator
from contracts.models import Acceptance, Contract, ContractAllocation, ContractTerm
from contracts.rules import ContractInput, contract_findings
from contracts.states import CONTRACT_FLOW
from core.actors import Actor
from core.errors import ValidationFailed
from core.money import ZERO
from core.transitions import move
from parties.models import BudgetUnit

IMPORTER = Actor(name="期初导入", roles=frozenset({"section_reviewer", "unit_clerk"}))


@transaction.atomic(savepoint=False)
def import_contract(
    given: ContractInput,
    *,
    unit: BudgetUnit,
    context: Context,
    opening_paid: Mapping[str, Decimal] | None = None,
    acceptance: tuple[str, Decimal, date] | None = None,
) -> Contract:
    """Create a contract that is already being performed; a step.

    :param opening_paid: what was paid before, by indicator number.
    :param acceptance: certificate number, amount and date of a delivery accepted before.
    :raises ValidationFailed: if the contract is not whole. :raises django.db.IntegrityError: if it is there already.
    """
    found = contract_findings(given, context.business_date)
    if found:
        raise ValidationFailed(found)
    whose = {"adm_div_code": context.adm_div_code, "fiscal_year": context.fiscal_year}
    plain = {
        name: getattr(given, name)
        for name in (
            *("contract_no", "title", "plan_no", "procurement_id", "supplier_name", "supplier_credit_code", "total"),
            *("signed_on", "prepayment_cap", "interim_cap"),
        )
    }
    contract = Contract.objects.create(
        **whose,
        **plain,
        unit=unit,
        supplier_accounts=[asdict(account) for account in given.accounts],
        created_at=context.at,
        filed_at=context.at,
    )
    for seq, term in enumerate(given.terms, start=1):
        ContractTerm.objects.create(
            **whose,
            contract=contract,
            seq=seq,
            stage=term.stage,
            ratio=term.ratio,
            amount=term.amount_of(given.total),
            condition=term.condition,
            due_on=term.due_on,
        )
    paid = opening_paid or {}
    indicators = {row.indicator_no: row for row in BudgetIndicator.objects.filter(unit=unit, **whose)}
    for no, amount in given.allocations:
        ContractAllocation.objects.create(
            **whose, contract=contract, indicator=indicators[no], amount=amount, opening_paid=paid.get(no, ZERO)
        )
    move(CONTRACT_FLOW, [contract], "file", by=IMPORTER, at=context.at)
    move(CONTRACT_FLOW, [contract], "start", by=IMPORTER, at=context.at)
    if acceptance is not None:
        certificate_no, amount, accepted_on = acceptance
        Acceptance.objects.create(
            **whose,
            contract=contract,
            certificate_no=certificate_no,
            amount=amount,
            accepted_on=accepted_on,
            accepted_by=context.actor_name,
            at=context.at,
        )
    return contract
