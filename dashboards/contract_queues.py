"""Contracts, supplements and projects that wait for a finance section: what the workbench counts."""

from django.db.models import QuerySet

from contracts.models import Contract, InvestmentProject, SupplementaryContract
from contracts.selectors import visible_contracts, visible_projects
from contracts.states import ContractState, ProjectState, SupplementState
from dashboards.desk import Desk


def drafts_to_file(desk: Desk) -> QuerySet[Contract]:
    """Return the contracts that wait for their filing."""
    return visible_contracts(desk.actor).filter(state=ContractState.DRAFT)


def open_supplements(desk: Desk) -> QuerySet[Contract]:
    """Return the contracts with a supplement that waits for a decision."""
    waiting = SupplementaryContract.objects.filter(state=SupplementState.DRAFT).values("contract_id")
    return visible_contracts(desk.actor).filter(pk__in=waiting)


def projects_to_approve(desk: Desk) -> QuerySet[InvestmentProject]:
    """Return the investment projects that wait for approval."""
    return visible_projects(desk.actor).filter(state=ProjectState.DRAFT)
