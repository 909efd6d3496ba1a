"""Supplementary contracts: a filed contract's amount changes by another document, which another person approves."""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from contracts.drafting import indicators_of
from contracts.errors import ContractFieldInvalid, ContractInUse, SupplementTooLarge
from contracts.locking import context_for, lock_contract, require_role
from contracts.models import Contract, SupplementAllocation, SupplementaryContract
from contracts.rules import SUPPLEMENT_CAP, SupplementInput, rounded, supplement_findings
from contracts.standing import standings
from contracts.states import PAYABLE, SUPPLEMENT_FLOW, SupplementState
from contracts.usage import used_of
from core.actors import Actor
from core.batch import copy_rows
from core.errors import Conflict, NotFound, TransitionNotAllowed, ValidationFailed
from core.money import LIMIT, ZERO
from core.transitions import check_move, move
from parties.errors import ActedBefore


@transaction.atomic(durable=True)
def save_supplement(*, contract_id: UUID, given: SupplementInput, clerk: Actor, now: datetime) -> SupplementaryContract:
    """Write down a supplement of a filed contract; nothing changes until another person approves it.

    :raises NotFound, RoleRequired, TransitionNotAllowed, ValidationFailed, Conflict, SupplementTooLarge.
    """
    require_role(clerk, "unit_clerk")
    assert clerk.person_id is not None, "a clerk is a person"
    context = context_for(clerk, now)
    contract = lock_contract(contract_id, clerk)
    _check_open(contract)
    found = supplement_findings(given, context.business_date)
    numbers = [no for no, _ in given.allocations]
    indicators = indicators_of(contract.unit, context, numbers)
    for place, number in enumerate(numbers, start=1):
        if number not in indicators:
            found.append(ContractFieldInvalid(f"本单位没有指标 {number}。", field=f"allocations.{place}.indicator"))
    if found:
        raise ValidationFailed(found)
    if SupplementaryContract.objects.filter(contract=contract, supplement_no=given.supplement_no).exists():
        raise Conflict("该补充合同编号已登记过。", field="supplement_no")
    _check_cap(contract, given.amount_change)
    supplement = SupplementaryContract.objects.create(
        adm_div_code=contract.adm_div_code,
        fiscal_year=context.fiscal_year,
        contract=contract,
        supplement_no=given.supplement_no,
        amount_change=given.amount_change,
        supplier_accounts=[asdict(account) for account in given.accounts],
        signed_on=given.signed_on,
        reason=given.reason,
        created_by_id=clerk.person_id,
        created_at=now,
    )
    copy_rows(
        [
            SupplementAllocation(
                adm_div_code=contract.adm_div_code,
                fiscal_year=context.fiscal_year,
                supplement=supplement,
                indicator=indicators[no],
                amount=amount,
            )
            for no, amount in given.allocations
        ]
    )
    return supplement


@transaction.atomic(durable=True)
def decide_supplement(
    *, supplement_id: UUID, approve: bool, officer: Actor, reason: str = "", now: datetime
) -> SupplementaryContract:
    """Approve or reject a supplement that somebody else wrote.

    :raises NotFound, TransitionNotAllowed, RoleRequired, ActedBefore, SupplementTooLarge.
    :raises ContractInUse: if a reduction would leave less than what is paid or under way.
    """
    context_for(officer, now)
    row = SupplementaryContract.objects.filter(pk=supplement_id, adm_div_code=officer.adm_div_code).first()
    if row is None:
        raise NotFound("补充合同不存在或不在您的权限范围内。", field="id")
    contract = lock_contract(row.contract_id, officer)
    supplement = SupplementaryContract.objects.select_for_update(no_key=True).get(pk=supplement_id)
    action = "approve" if approve else "reject"
    check_move(SUPPLEMENT_FLOW, supplement, action, officer)
    if officer.person_id == supplement.created_by_id:
        raise ActedBefore("您是本补充合同录入人，不能审批（岗位分离）。", field="officer")
    if approve:
        _check_open(contract)
        _check_cap(contract, supplement.amount_change)
        _check_left(contract, supplement)
    SupplementaryContract.objects.filter(pk=supplement.pk).update(decided_by_id=officer.person_id)
    supplement.decided_by_id = officer.person_id
    move(SUPPLEMENT_FLOW, [supplement], action, by=officer, at=now, reason=reason[:300])
    return supplement


def _check_open(contract: Contract) -> None:
    if contract.state not in PAYABLE:
        raise TransitionNotAllowed("合同未备案或已了结，不能补充。", field="state", source=contract.state)


def _check_cap(contract: Contract, change: Decimal) -> None:
    """Refuse additions that, with those approved before, exceed a tenth of the original amount."""
    if change <= 0:
        return
    before = SupplementaryContract.objects.filter(
        contract=contract, state=SupplementState.APPROVED, amount_change__gt=0
    ).values_list("amount_change", flat=True)
    added, most = sum(before, ZERO) + change, rounded(contract.total * SUPPLEMENT_CAP)
    if added > most:
        raise SupplementTooLarge(
            f"累计增加 {added:,.2f} 超过原合同金额的 10%（{most:,.2f}）。",
            field="amount_change",
            added=added,
            most=most,
        )


def _check_left(contract: Contract, supplement: SupplementaryContract) -> None:
    """Refuse what would leave the contract, or the share of an indicator, below what it has used."""
    standing, use = standings([contract])[contract.id], used_of([contract])[contract.id]
    total = standing.total + supplement.amount_change
    if not ZERO < total < LIMIT:
        raise ContractFieldInvalid("变动后的合同金额须大于零。", field="amount_change")
    if use.net > total:
        raise ContractInUse(
            f"已付及在途 {use.net:,.2f} 超过变动后的合同金额 {total:,.2f}。", field="amount_change", used=use.net
        )
    if standing.accepted_amount > total or standing.certified > total:
        raise ContractInUse("已验收或已核定的金额超过变动后的合同金额。", field="amount_change")
    for indicator_id, change in SupplementAllocation.objects.filter(supplement=supplement).values_list(
        "indicator_id", "amount"
    ):
        left = standing.allocations.get(indicator_id, ZERO) + change
        if left < 0 or use.by_indicator.get(indicator_id, ZERO) > left:
            raise ContractInUse("变动后某指标的分摊金额不足已付及在途。", field="allocations", left=left)
