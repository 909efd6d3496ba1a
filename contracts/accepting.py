"""Acceptances of goods and works, and certificates of progress: facts that are only added."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from contracts.errors import ContractFieldInvalid, ContractInUse
from contracts.locking import STANDING, context_for, lock_contract, require_role
from contracts.models import Acceptance, Contract, ProgressCertificate
from contracts.rules import certificate_findings, rounded, text
from contracts.standing import standings
from contracts.states import CONTRACT_FLOW, PAYABLE, PLATFORM, ProjectState
from contracts.usage import used_of
from core.actors import Actor
from core.errors import Conflict, NotFound, TransitionNotAllowed, ValidationFailed
from core.money import ZERO, check_positive
from core.transitions import check_move, move
from parties.errors import ActedBefore


@transaction.atomic(durable=True)
def accept_contract(
    *,
    contract_id: UUID,
    certificate_no: str,
    amount: Decimal,
    accepted_on: date,
    final: bool,
    accepted_by: str,
    officer: Actor,
    now: datetime,
) -> Acceptance:
    """Note an acceptance; the final one makes the contract 已验收, and its last stage may be paid.

    :raises NotFound, RoleRequired, TransitionNotAllowed, ActedBefore: the maker of the contract does not accept.
    :raises ValidationFailed, Conflict: nothing is written then.
    """
    require_role(officer, "unit_reviewer")
    return _accept(
        lock_contract(contract_id, officer), certificate_no, amount, accepted_on, final, accepted_by, officer, now
    )


@transaction.atomic(durable=True)
def put_acceptance(
    *,
    unit_code: str,
    contract_no: str,
    certificate_no: str,
    amount: Decimal,
    accepted_on: date,
    final: bool,
    accepted_by: str,
    platform: Actor,
    source: str,
    now: datetime,
) -> Acceptance:
    """Take an acceptance from the platform that brought the contract; the same one again is answered as it stands.

    :raises NotFound: if the platform has brought no such contract. Otherwise as for an officer's.
    """
    require_role(platform, PLATFORM)
    contract = (
        Contract.objects.select_for_update(of=("self",), no_key=True)
        .select_related("unit", "project")
        .filter(STANDING, adm_div_code=platform.adm_div_code, unit__code=unit_code, contract_no=contract_no)
        .filter(source=source)
        .first()
    )
    if contract is None:
        raise NotFound("没有该平台登记的这份合同。", field="contract_no")
    before = Acceptance.objects.filter(contract=contract, certificate_no=certificate_no).first()
    if before is not None:
        same = (before.amount, before.accepted_on, before.final, before.accepted_by)
        if same != (amount, accepted_on, final, accepted_by):
            raise Conflict("该验收单号已登记过其他内容。", field="certificate_no")
        return before
    return _accept(contract, certificate_no, amount, accepted_on, final, accepted_by, platform, now)


def _accept(
    contract: Contract,
    certificate_no: str,
    amount: Decimal,
    accepted_on: date,
    final: bool,
    accepted_by: str,
    by: Actor,
    now: datetime,
) -> Acceptance:
    context = context_for(by, now)
    found = text("certificate_no", "验收单号", certificate_no, 40) + text("accepted_by", "验收人", accepted_by, 60)
    if accepted_on > context.business_date or accepted_on < contract.signed_on:
        found.append(ContractFieldInvalid("验收日期应在签订日期与业务日之间。", field="accepted_on"))
    check_positive(amount, field="amount")
    if found:
        raise ValidationFailed(found)
    if final:
        check_move(CONTRACT_FLOW, contract, "accept", by)
    elif contract.state not in PAYABLE:
        raise TransitionNotAllowed("合同未备案或已了结，不能登记验收。", field="state", source=contract.state)
    if by.person_id is not None and by.person_id == contract.created_by_id:
        raise ActedBefore("您是本合同录入人，不能登记验收（岗位分离）。", field="officer")
    if Acceptance.objects.filter(contract=contract, certificate_no=certificate_no).exists():
        raise Conflict("该验收单号已登记过。", field="certificate_no")
    standing = standings([contract])[contract.id]
    if standing.accepted:
        raise Conflict("合同已最终验收。", field="final")
    if standing.accepted_amount + amount > standing.total:
        raise ContractFieldInvalid(
            f"累计验收 {standing.accepted_amount + amount:,.2f} 超过合同金额 {standing.total:,.2f}。",
            field="amount",
            accepted=standing.accepted_amount,
            total=standing.total,
        )
    acceptance = Acceptance.objects.create(
        adm_div_code=contract.adm_div_code,
        fiscal_year=context.fiscal_year,
        contract=contract,
        certificate_no=certificate_no,
        amount=amount,
        accepted_on=accepted_on,
        final=final,
        accepted_by=accepted_by,
        person_id=by.person_id,
        at=now,
    )
    if final:
        move(CONTRACT_FLOW, [contract], "accept", by=by, at=now, reason=certificate_no)
    return acceptance


@transaction.atomic(durable=True)
def certify_progress(
    *,
    contract_id: UUID,
    certificate_no: str,
    period: str,
    amount: Decimal,
    certified_on: date,
    certified_by: str,
    officer: Actor,
    now: datetime,
) -> ProgressCertificate:
    """Note what was certified of a project's works in one period; a negative amount takes back an earlier mistake.

    :raises NotFound, RoleRequired, TransitionNotAllowed, ActedBefore, ValidationFailed, Conflict.
    :raises ContractInUse: if a correction would leave less than what is paid or under way.
    """
    require_role(officer, "unit_reviewer")
    assert officer.person_id is not None, "a reviewer is a person"
    context = context_for(officer, now)
    contract = lock_contract(contract_id, officer)
    found = certificate_findings(certificate_no, period, certified_by)
    if certified_on > context.business_date or certified_on < contract.signed_on:
        found.append(ContractFieldInvalid("核定日期应在签订日期与业务日之间。", field="certified_on"))
    check_positive(abs(amount), field="amount")
    if found:
        raise ValidationFailed(found)
    project = contract.project
    if project is None:
        raise ContractFieldInvalid("该合同不属于投资项目，没有进度证书。", field="contract")
    if contract.state not in PAYABLE or project.state != ProjectState.APPROVED:
        raise TransitionNotAllowed("合同或项目未批准或已了结，不能登记进度。", field="state", source=contract.state)
    if officer.person_id == contract.created_by_id:
        raise ActedBefore("您是本合同录入人，不能登记进度证书（岗位分离）。", field="officer")
    if ProgressCertificate.objects.filter(contract=contract, certificate_no=certificate_no).exists():
        raise Conflict("该证书号已登记过。", field="certificate_no")
    standing = standings([contract])[contract.id]
    cumulative = standing.certified + amount
    if not ZERO <= cumulative <= standing.total:
        raise ContractFieldInvalid(
            f"累计核定 {cumulative:,.2f} 应在 0 与合同金额 {standing.total:,.2f} 之间。", field="amount"
        )
    used = used_of([contract])[contract.id].net
    if amount < 0 and used > cumulative - rounded(cumulative * project.retention_ratio):
        raise ContractInUse(f"核减后累计核定扣除质保金不足已付及在途 {used:,.2f}。", field="amount", used=used)
    return ProgressCertificate.objects.create(
        adm_div_code=contract.adm_div_code,
        fiscal_year=context.fiscal_year,
        project=project,
        contract=contract,
        certificate_no=certificate_no,
        period=period,
        amount=amount,
        cumulative=cumulative,
        certified_on=certified_on,
        certified_by=certified_by,
        person_id=officer.person_id,
        at=now,
    )
