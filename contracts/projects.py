"""Investment projects: written down by the unit, approved by its finance section, closed when they are settled."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from contracts.drafting import indicators_of, unit_of
from contracts.errors import ContractFieldInvalid, ContractInUse, ContractNumberTaken
from contracts.locking import context_for, require_role, visible_projects
from contracts.models import Contract, InvestmentProject, ProjectIndicator, ProjectSource
from contracts.rules import ProjectInput, project_findings
from contracts.states import PROJECT_FLOW, ContractState
from core.actors import Actor
from core.batch import copy_rows
from core.errors import NotFound, ValidationFailed
from core.transitions import check_move, move
from parties.errors import ActedBefore

ACTIONS = {"approve": "批准", "reject": "否决", "close": "竣工决算"}
_ENDED = (ContractState.COMPLETED, ContractState.TERMINATED)


@transaction.atomic(durable=True)
def save_project(*, unit_code: str, given: ProjectInput, clerk: Actor, now: datetime) -> InvestmentProject:
    """Write down an investment project of a unit; it counts once another person has approved it.

    :raises RoleRequired, NotFound, ValidationFailed, ContractNumberTaken: and nothing is written.
    """
    require_role(clerk, "unit_clerk")
    assert clerk.person_id is not None, "a clerk is a person"
    context = context_for(clerk, now)
    unit = unit_of(unit_code, clerk)
    found = project_findings(given)
    indicators = indicators_of(unit, context, list(given.indicator_nos))
    for number in given.indicator_nos:
        if number not in indicators:
            found.append(ContractFieldInvalid(f"本单位没有指标 {number}。", field="indicators"))
    if found:
        raise ValidationFailed(found)
    whose = {"adm_div_code": context.adm_div_code, "fiscal_year": context.fiscal_year}
    project = InvestmentProject(
        **whose,
        code=given.code,
        name=given.name,
        unit=unit,
        approval_no=given.approval_no,
        approved_estimate=given.approved_estimate,
        retention_ratio=given.retention_ratio,
        retention_until=given.retention_until,
        created_by_id=clerk.person_id,
        created_at=now,
    )
    try:
        with transaction.atomic():
            project.save(force_insert=True)
    except IntegrityError as error:
        raise ContractNumberTaken("已有该代码的投资项目。", field="code", given=given.code) from error
    copy_rows([ProjectSource(**whose, project=project, source=name, amount=amount) for name, amount in given.sources])
    copy_rows([ProjectIndicator(**whose, project=project, indicator=row) for row in indicators.values()])
    return project


@transaction.atomic(durable=True)
def decide_project(
    *, project_id: UUID, action: str, officer: Actor, reason: str = "", now: datetime
) -> InvestmentProject:
    """Approve, reject or close a project that somebody else wrote down.

    :raises NotFound, TransitionNotAllowed, RoleRequired, ActedBefore, ContractFieldInvalid.
    :raises ContractInUse: if a project is to be closed while a contract of it runs.
    """
    if action not in ACTIONS:
        raise ContractFieldInvalid("没有这种办理。", field="action")
    context_for(officer, now)
    project = visible_projects(officer).filter(pk=project_id).select_for_update(of=("self",), no_key=True).first()
    if project is None:
        raise NotFound("项目不存在或不在您的权限范围内。", field="id")
    check_move(PROJECT_FLOW, project, action, officer)
    if officer.person_id == project.created_by_id:
        raise ActedBefore("您是本项目录入人，不能办理（岗位分离）。", field="officer")
    if action == "close" and Contract.objects.filter(project=project).exclude(state__in=_ENDED).exists():
        raise ContractInUse("项目还有未完结的合同。", field="state")
    if action != "close":
        InvestmentProject.objects.filter(pk=project.pk).update(decided_by_id=officer.person_id)
        project.decided_by_id = officer.person_id
    move(PROJECT_FLOW, [project], action, by=officer, at=now, reason=reason[:300])
    return project
