"""How much of a contract is paid or under way. The payments that use it lie above us and register how to ask them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from contracts.models import Contract, ContractAllocation
from core.money import ZERO


@dataclass(frozen=True)
class Use:
    """What live payments have taken from one contract, in yuan; `by_indicator` is net of refunds."""

    paid: Decimal = ZERO
    in_transit: Decimal = ZERO
    refunded: Decimal = ZERO
    payments: int = 0
    by_indicator: Mapping[UUID, Decimal] = field(default_factory=dict)

    @property
    def net(self) -> Decimal:
        return self.paid + self.in_transit - self.refunded


Source = Callable[[Sequence[Contract]], Mapping[UUID, Use]]
_source: list[Source] = []


def register(source: Source) -> None:
    """Name the function that sums live payments by contract; called once, when Django starts."""
    _source[:] = [source]


def used_of(contracts: Sequence[Contract]) -> dict[UUID, Use]:
    """Return what each contract has used, with what was paid on it before the books were opened here.

    Two statements whatever the number of contracts; whoever decides by it holds the contracts' row locks.
    """
    if not contracts:
        return {}
    [source] = _source
    live = source(contracts)
    opening: dict[UUID, dict[UUID, Decimal]] = {}
    rows = ContractAllocation.objects.filter(contract__in=[c.id for c in contracts], opening_paid__gt=0)
    for contract_id, indicator_id, amount in rows.values_list("contract_id", "indicator_id", "opening_paid"):
        opening.setdefault(contract_id, {})[indicator_id] = amount
    return {c.id: _with_opening(live.get(c.id, Use()), opening.get(c.id, {})) for c in contracts}


def _with_opening(use: Use, opening: Mapping[UUID, Decimal]) -> Use:
    if not opening:
        return use
    by_indicator = dict(use.by_indicator)
    for indicator_id, amount in opening.items():
        by_indicator[indicator_id] = by_indicator.get(indicator_id, ZERO) + amount
    paid = use.paid + sum(opening.values(), ZERO)
    return Use(paid, use.in_transit, use.refunded, use.payments + 1, by_indicator)
