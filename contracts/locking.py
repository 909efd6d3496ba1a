"""Reading what a use case is about to change. Lock order: indicator, contract, project, clearing limit (ADR 0004)."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import Q, QuerySet

from budget.locking import context_for
from contracts.errors import ContractFieldInvalid
from contracts.models import Contract, InvestmentProject
from contracts.states import ContractState
from core.actors import Actor
from core.errors import NotFound, RoleRequired
from core.outcomes import CHUNK
from parties.selectors import visible_unit_codes

STANDING = Q(filed_at__isnull=False) | ~Q(state=ContractState.TERMINATED)  # a dropped draft has given up its number


def visible_contracts(actor: Actor) -> QuerySet[Contract]:
    """Return the contracts the actor may see, of every year."""
    rows = Contract.objects.select_related("unit", "project", "created_by", "filed_by").filter(
        adm_div_code=actor.adm_div_code
    )
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def visible_projects(actor: Actor) -> QuerySet[InvestmentProject]:
    """Return the investment projects the actor may see, of every year."""
    rows = InvestmentProject.objects.select_related("unit", "created_by", "decided_by").filter(
        adm_div_code=actor.adm_div_code
    )
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def lock_contracts(contract_ids: Sequence[UUID], actor: Actor) -> list[Contract]:
    """Lock the contracts the actor may see, in key order.

    :raises ContractFieldInvalid: for more than CHUNK ids.
    """
    if len(set(contract_ids)) > CHUNK:
        raise ContractFieldInvalid(f"一次最多办理 {CHUNK} 份合同。", field="ids", given=len(set(contract_ids)))
    rows = visible_contracts(actor).filter(pk__in=set(contract_ids)).order_by("pk")
    return list(rows.select_for_update(of=("self",), no_key=True))


def lock_contract(contract_id: UUID, actor: Actor) -> Contract:
    """:raises NotFound: if there is no such contract for this actor."""
    found = lock_contracts([contract_id], actor)
    if not found:
        raise NotFound("合同不存在或不在您的权限范围内。", field="id")
    return found[0]


def lock_named_contracts(adm_div_code: str, names: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], Contract]:
    """Lock the contracts that payments name by (unit, number), in key order, with their projects read along."""
    wanted = set(names)
    rows = (
        Contract.objects.filter(STANDING, adm_div_code=adm_div_code)
        .filter(unit_id__in={unit for unit, _ in wanted}, contract_no__in={no for _, no in wanted})
        .select_related("project")
        .order_by("pk")
        .select_for_update(of=("self",), no_key=True)
    )
    return {key: c for c in rows if (key := (c.unit_id, c.contract_no)) in wanted}


def lock_projects(project_ids: Iterable[UUID]) -> dict[UUID, InvestmentProject]:
    """Lock projects in key order; after their contracts."""
    rows = InvestmentProject.objects.filter(pk__in=set(project_ids)).order_by("pk").select_for_update(no_key=True)
    return {project.id: project for project in rows}


def require_role(actor: Actor, *roles: str) -> None:
    """:raises RoleRequired: if the actor holds none of these posts."""
    if actor.roles.isdisjoint(roles):
        raise RoleRequired(f"该操作需要岗位：{'、'.join(roles)}。", field="role", by=actor.name)


__all__ = [
    "STANDING",
    "context_for",
    "lock_contract",
    "lock_contracts",
    "lock_named_contracts",
    "lock_projects",
    "require_role",
    "visible_contracts",
    "visible_projects",
]
