"""Writing down a contract: new or again, by a unit's clerk or by the procurement platform. Nothing is payable yet."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from budget.entries import Context
from budget.models import BudgetIndicator
from contracts.errors import ContractFieldInvalid, ContractNumberTaken
from contracts.locking import STANDING, context_for, lock_contract, require_role
from contracts.models import Contract, ContractAllocation, ContractTerm, InvestmentProject, ProjectIndicator
from contracts.rules import ContractInput, contract_findings
from contracts.states import CONTRACT_FLOW, PLATFORM, ContractState, ProjectState
from core.actors import Actor
from core.batch import copy_rows
from core.errors import Conflict, NotFound, TreasuryError, ValidationFailed
from core.transitions import check_move, move
from parties.models import BudgetUnit
from parties.selectors import visible_unit_codes


@transaction.atomic(durable=True)
def save_contract(*, unit_code: str, given: ContractInput, clerk: Actor, now: datetime) -> Contract:
    """Write down a new contract of a unit as a draft.

    :raises ValidationFailed: with every finding.
    :raises ContractNumberTaken: if the unit has a contract of this number, whatever the year.
    :raises NotFound: if the unit is not the clerk's.
    """
    require_role(clerk, "unit_clerk")
    context = context_for(clerk, now)
    return _create(unit_of(unit_code, clerk), given, context, clerk, source="")


@transaction.atomic(durable=True)
def revise_contract(*, contract_id: UUID, given: ContractInput, clerk: Actor, now: datetime) -> Contract:
    """Replace the content of a draft.

    :raises NotFound, TransitionNotAllowed, RoleRequired, ValidationFailed, ContractNumberTaken: nothing changes then.
    """
    context = context_for(clerk, now)
    contract = lock_contract(contract_id, clerk)
    check_move(CONTRACT_FLOW, contract, "revise", clerk)
    _rewrite(contract, given, context, clerk)
    return contract


@transaction.atomic(durable=True)
def put_contract(*, unit_code: str, given: ContractInput, platform: Actor, source: str, now: datetime) -> Contract:
    """Take a contract from the procurement platform: a new draft, or the same draft again with other content.

    What has been filed stays as it is: the same content is answered, other content refused.

    :param source: the platform's organisation.
    :raises NotFound: for an unknown unit. :raises ValidationFailed: with every finding.
    :raises Conflict: if the contract was written down by somebody else, or is filed with other content.
    """
    require_role(platform, PLATFORM)
    context = context_for(platform, now)
    unit = unit_of(unit_code, platform)
    found = (
        Contract.objects.select_for_update(of=("self",), no_key=True)
        .select_related("unit", "project")
        .filter(STANDING, adm_div_code=platform.adm_div_code, unit=unit, contract_no=given.contract_no)
        .first()
    )
    if found is None:
        return _create(unit, given, context, platform, source=source)
    if found.source != source:
        raise ContractNumberTaken("该合同号已由本系统或其他平台登记。", field="contract_no")
    if found.state != ContractState.DRAFT:
        if _content(found) != _content_of(given, unit, context):
            raise Conflict("合同已备案，不能改动；金额变动请签补充合同。", field="contract_no", state=found.state)
        return found
    check_move(CONTRACT_FLOW, found, "revise", platform)
    _rewrite(found, given, context, platform)
    return found


def _create(unit: BudgetUnit, given: ContractInput, context: Context, by: Actor, *, source: str) -> Contract:
    indicators, project = _checked(unit, given, context)
    contract = Contract(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        unit=unit,
        source=source,
        created_by_id=by.person_id,
        created_at=context.at,
    )
    _fill(contract, given, project)
    try:
        with transaction.atomic():
            contract.save(force_insert=True)
    except IntegrityError as error:
        raise ContractNumberTaken("本单位已有该编号的合同。", field="contract_no", given=given.contract_no) from error
    _add_rows(contract, given, indicators)
    return contract


def _rewrite(contract: Contract, given: ContractInput, context: Context, by: Actor) -> None:
    indicators, project = _checked(contract.unit, given, context)
    _fill(contract, given, project)
    try:
        with transaction.atomic():
            contract.save(force_update=True)
    except IntegrityError as error:
        raise ContractNumberTaken("本单位已有该编号的合同。", field="contract_no", given=given.contract_no) from error
    ContractTerm.objects.filter(contract=contract).delete()
    ContractAllocation.objects.filter(contract=contract).delete()
    _add_rows(contract, given, indicators)
    move(CONTRACT_FLOW, [contract], "revise", by=by, at=context.at)


def _checked(
    unit: BudgetUnit, given: ContractInput, context: Context
) -> tuple[dict[str, BudgetIndicator], InvestmentProject | None]:
    """Return the indicators by number and the project.

    :raises ValidationFailed: with every finding.
    """
    found = contract_findings(given, context.business_date)
    numbers = [no for no, _ in given.allocations]
    indicators = indicators_of(unit, context, numbers)
    for place, number in enumerate(numbers, start=1):
        if number not in indicators:
            found.append(
                ContractFieldInvalid(f"本单位没有指标 {number}。", field=f"allocations.{place}.indicator", given=number)
            )
    project = None
    if given.project_code:
        project = _project(unit, given.project_code, context)
        if project is None:
            found.append(ContractFieldInvalid("本单位没有该投资项目，或尚未批准。", field="project_code"))
        else:
            found += _outside(project, given, indicators)
    if found:
        raise ValidationFailed(found)
    return indicators, project


def indicators_of(unit: BudgetUnit, context: Context, numbers: list[str]) -> dict[str, BudgetIndicator]:
    rows = BudgetIndicator.objects.filter(
        adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year, unit=unit, indicator_no__in=numbers
    )
    return {row.indicator_no: row for row in rows}


def _project(unit: BudgetUnit, code: str, context: Context) -> InvestmentProject | None:
    return InvestmentProject.objects.filter(
        adm_div_code=context.adm_div_code, unit=unit, code=code, state=ProjectState.APPROVED
    ).first()


def _outside(
    project: InvestmentProject, given: ContractInput, indicators: dict[str, BudgetIndicator]
) -> list[TreasuryError]:
    mine = set(ProjectIndicator.objects.filter(project=project).values_list("indicator_id", flat=True))
    return [
        ContractFieldInvalid(f"指标 {no} 不属于项目 {project.code}。", field=f"allocations.{place}.indicator")
        for place, (no, _) in enumerate(given.allocations, start=1)
        if no in indicators and indicators[no].id not in mine
    ]


def _fill(contract: Contract, given: ContractInput, project: InvestmentProject | None) -> None:
    for name in (
        *("contract_no", "title", "plan_no", "procurement_id", "supplier_name", "supplier_credit_code", "total"),
        *("signed_on", "prepayment_cap", "interim_cap"),
    ):
        setattr(contract, name, getattr(given, name))
    contract.supplier_accounts = [asdict(account) for account in given.accounts]
    contract.project = project


def _add_rows(contract: Contract, given: ContractInput, indicators: dict[str, BudgetIndicator]) -> None:
    whose = {"adm_div_code": contract.adm_div_code, "fiscal_year": contract.fiscal_year, "contract": contract}
    copy_rows(
        [
            ContractTerm(
                **whose,
                seq=seq,
                stage=term.stage,
                ratio=term.ratio,
                amount=term.amount_of(given.total),
                condition=term.condition,
                due_on=term.due_on,
            )
            for seq, term in enumerate(given.terms, start=1)
        ]
    )
    copy_rows(
        [ContractAllocation(**whose, indicator=indicators[no], amount=amount) for no, amount in given.allocations]
    )


def _content(contract: Contract) -> tuple[object, ...]:
    """What a filed contract says, to be compared with what the platform sends again."""
    terms = ContractTerm.objects.filter(contract=contract).values_list("stage", "amount", "condition", "due_on")
    shares = ContractAllocation.objects.filter(contract=contract).values_list("indicator__indicator_no", "amount")
    names = ("title", "plan_no", "procurement_id", "supplier_name", "supplier_credit_code", "total", "signed_on")
    return (
        *(getattr(contract, name) for name in (*names, "prepayment_cap", "interim_cap")),
        contract.supplier_accounts,
        contract.project.code if contract.project else "",
        list(terms.order_by("seq")),
        sorted(shares),
    )


def _content_of(given: ContractInput, unit: BudgetUnit, context: Context) -> tuple[object, ...]:
    names = ("title", "plan_no", "procurement_id", "supplier_name", "supplier_credit_code", "total", "signed_on")
    return (
        *(getattr(given, name) for name in (*names, "prepayment_cap", "interim_cap")),
        [asdict(account) for account in given.accounts],
        given.project_code,
        [(t.stage, t.amount_of(given.total), t.condition, t.due_on) for t in given.terms],
        sorted(given.allocations),
    )


def unit_of(code: str, actor: Actor) -> BudgetUnit:
    """:raises NotFound: unless it is an active unit this actor may write for."""
    codes = visible_unit_codes(actor)
    unit = BudgetUnit.objects.filter(adm_div_code=actor.adm_div_code, code=code, active=True).first()
    if unit is None or (codes is not None and code not in codes):
        raise NotFound("单位不存在或不在您的权限范围内。", field="unit_code")
    return unit
