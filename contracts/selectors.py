"""Reads on contracts and projects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from contracts.locking import STANDING, visible_contracts, visible_projects
from contracts.models import Contract
from contracts.standing import Standing, standings
from contracts.states import PAYABLE
from contracts.usage import Use, used_of
from core.actors import Actor

__all__ = ["Execution", "executions", "payable_contracts", "procurement_ids", "visible_contracts", "visible_projects"]


@dataclass(frozen=True)
class Execution:
    """A contract with what is in force of it and what is used of it."""

    standing: Standing
    use: Use

    @property
    def contract(self) -> Contract:
        return self.standing.contract

    @property
    def balance(self) -> Decimal:
        return self.standing.total - self.use.net


def executions(contracts: Sequence[Contract]) -> list[Execution]:
    """Return these contracts with their use, in the order given; eight statements whatever their number."""
    standing, uses = standings(contracts), used_of(contracts)
    return [Execution(standing[c.id], uses[c.id]) for c in contracts]


def payable_contracts(actor: Actor) -> list[Contract]:
    """Return the contracts on which the actor's units may pay."""
    return list(visible_contracts(actor).filter(state__in=PAYABLE).order_by("contract_no"))


def procurement_ids(adm_div_code: str, names: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], str]:
    """Return the 政府采购交易识别码 of contracts named by (unit, number), where they have one; at most one query."""
    wanted = set(names)
    if not wanted:
        return {}
    rows = Contract.objects.filter(STANDING, adm_div_code=adm_div_code).filter(
        unit_id__in={unit for unit, _ in wanted}, contract_no__in={no for _, no in wanted}
    )
    found = {(c.unit_id, c.contract_no): c.procurement_id for c in rows if c.procurement_id}
    return {key: value for key, value in found.items() if key in wanted}
