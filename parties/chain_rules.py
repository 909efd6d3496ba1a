"""Which review chain (审核链) a document runs on, and which of its nodes it needs. Source: docs/review-chains.md.

Pure: no database, no clock. Reviewing, issuing, the signer and the pages ask here; the audit says the same again in SQL
and a test holds the two together.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeVar

ZERO, ONE_FEN = Decimal("0.00"), Decimal("0.01")
AMOUNT_BELOW, POST_VACANT = "amount_below", "post_vacant"
SKIP_KEYS = frozenset({AMOUNT_BELOW, POST_VACANT})


class Node(Protocol):
    """A node as it is kept: `skip_if` is data, e.g. {"amount_below": "1000.00", "post_vacant": true}."""

    @property
    def ordinal(self) -> int: ...
    @property
    def post(self) -> str: ...
    @property
    def amount_from(self) -> Decimal: ...
    @property
    def amount_to(self) -> Decimal | None: ...
    @property
    def countersign(self) -> int: ...
    @property
    def skip_if(self) -> Mapping[str, Any]: ...


N = TypeVar("N", bound=Node)


@dataclass(frozen=True)
class ChainFacts:
    """What the choice of a chain may depend on, of one document."""

    kind: str
    amount: Decimal
    payment_mode: str = ""
    fund_nature: str = ""
    business_type: str = ""
    tags: frozenset[str] = frozenset()
    unit_code: str = ""
    department_code: str = ""


@dataclass(frozen=True)
class Conditions:
    """When a chain applies. An empty one holds for every document; all that are named must hold.

    Amounts run from `amount_from` up to, but without, `amount_to`. `departments` are whole groups of units.
    """

    payment_modes: frozenset[str] = frozenset()
    fund_natures: frozenset[str] = frozenset()
    business_types: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    amount_from: Decimal | None = None
    amount_to: Decimal | None = None

    def hold(self, facts: ChainFacts) -> bool:
        one_of = (
            (self.payment_modes, facts.payment_mode),
            (self.fund_natures, facts.fund_nature),
            (self.business_types, facts.business_type),
            (self.units, facts.unit_code),
            (self.departments, facts.department_code),
        )
        return (
            all(not wanted or value in wanted for wanted, value in one_of)
            and (not self.tags or not self.tags.isdisjoint(facts.tags))
            and (self.amount_from is None or facts.amount >= self.amount_from)
            and (self.amount_to is None or facts.amount < self.amount_to)
        )

    @property
    def specificity(self) -> int:
        """How narrow they are: one point for each dimension that is named, two for single units."""
        amount = self.amount_from is not None or self.amount_to is not None
        named = (self.payment_modes, self.fund_natures, self.business_types, self.tags, self.departments)
        return sum(map(bool, named)) + amount + 2 * bool(self.units)

    def as_data(self) -> dict[str, Any]:
        """The JSON that is kept; what is not named is not in it."""
        lists = {name: sorted(getattr(self, name)) for name in _LISTS if getattr(self, name)}
        amounts = {name: f"{getattr(self, name):.2f}" for name in _AMOUNTS if getattr(self, name) is not None}
        return lists | amounts


_LISTS = ("payment_modes", "fund_natures", "business_types", "tags", "units", "departments")
_AMOUNTS = ("amount_from", "amount_to")


def conditions_of(data: Mapping[str, Any]) -> Conditions:
    """Read kept conditions.

    :raises ValueError: for a name nobody knows: a chain whose condition is not understood must not be chosen.
    """
    unknown = set(data) - {*_LISTS, *_AMOUNTS}
    if unknown:
        raise ValueError(f"unknown conditions {sorted(unknown)}")
    values: dict[str, Any] = {name: frozenset(data.get(name, ())) for name in _LISTS}
    values |= {name: Decimal(data[name]) for name in _AMOUNTS if name in data}
    return Conditions(**values)


class Candidate(Protocol):
    """A chain in force."""

    @property
    def document_kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def conditions(self) -> Mapping[str, Any]: ...


C = TypeVar("C", bound=Candidate)


def choose(chains: Iterable[C], facts: ChainFacts) -> C | None:
    """Return the chain this document runs on: the narrowest that holds; of equals the higher priority, then by name."""
    fitting = [
        (conditions.specificity, chain)
        for chain in chains
        if chain.document_kind == facts.kind
        for conditions in [conditions_of(chain.conditions)]
        if conditions.hold(facts)
    ]
    fitting.sort(key=lambda pair: (-pair[0], -pair[1].priority, pair[1].name))
    return fitting[0][1] if fitting else None


def needs(node: Node, amount: Decimal) -> bool:
    """Whether the amount alone asks for this node: from `amount_from` up to, but without, `amount_to`."""
    below = node.skip_if.get(AMOUNT_BELOW)
    return (
        amount >= node.amount_from
        and (node.amount_to is None or amount < node.amount_to)
        and (below is None or amount >= Decimal(below))
    )


def may_be_vacant(node: Node) -> bool:
    """Whether the node is left out for a unit at which nobody holds its post."""
    return node.skip_if.get(POST_VACANT) is True


def needed_nodes(nodes: Iterable[N], amount: Decimal, skipped: Collection[int] = ()) -> list[N]:
    """Return the nodes a document needs, in order.

    :param skipped: ordinals noted as vacant when the document was submitted. One that the node itself does not allow
        to be skipped is needed all the same: a note alone spares nobody a review.
    """
    found = [node for node in nodes if needs(node, amount)]
    found = [node for node in found if not (node.ordinal in skipped and may_be_vacant(node))]
    return sorted(found, key=lambda node: node.ordinal)


def is_complete(needed: Sequence[Node], given: Iterable[tuple[int, str]]) -> bool:
    """Whether the approvals (ordinal, post) are exactly those needed: as many for each node as it asks persons.

    That they are of different persons is the caller's to check.
    """
    return bool(needed) and Counter(given) == Counter({(n.ordinal, str(n.post)): n.countersign for n in needed})


@dataclass(frozen=True)
class NodeSpec:
    """A node that is being drafted."""

    ordinal: int
    post: str
    amount_from: Decimal = ZERO
    amount_to: Decimal | None = None
    countersign: int = 1
    skip_if: Mapping[str, Any] = field(default_factory=dict)
    due_hours: int | None = None
    remind_hours: int | None = None


def faults_of(nodes: Sequence[Node], conditions: Conditions) -> list[tuple[str, str]]:
    """Return what is wrong with a chain, as (field, sentence); an empty list if it may be put in force.

    Above all: no amount may be left without a node that cannot be skipped.
    """
    found: list[tuple[str, str]] = []
    ordinals = [node.ordinal for node in nodes]
    if not nodes or sorted(ordinals) != list(range(1, len(nodes) + 1)):
        found.append(("nodes", "节点须从 1 起连续编号，且至少一个。"))
    for node in nodes:
        where = f"第 {node.ordinal} 节点"
        if node.amount_from < 0 or (node.amount_to is not None and node.amount_to <= node.amount_from):
            found.append(("amount_to", f"{where}的金额上限须大于起点。"))
        if not 1 <= node.countersign <= 9:
            found.append(("countersign", f"{where}的会签人数须为 1–9。"))
        if set(node.skip_if) - SKIP_KEYS:
            found.append(("skip_if", f"{where}的跳过条件无法识别。"))
    if conditions.amount_from is not None and conditions.amount_to is not None:  # noqa: SIM102
        if conditions.amount_to <= conditions.amount_from:
            found.append(("conditions", "适用金额的上限须大于下限。"))
    gap = None if found else uncovered_amount(nodes, conditions)
    if gap is not None:
        found.append(("nodes", f"金额 {gap:,.2f} 没有必经的节点，不能启用。"))
    return found


def uncovered_amount(nodes: Sequence[Node], conditions: Conditions) -> Decimal | None:
    """Return an amount the chain would let through without a review, or None. Only bounds can be such amounts."""
    lowest = max(conditions.amount_from or ONE_FEN, ONE_FEN)
    bounds = {lowest} | {node.amount_from for node in nodes} | {n.amount_to for n in nodes if n.amount_to is not None}
    bounds |= {Decimal(n.skip_if[AMOUNT_BELOW]) for n in nodes if AMOUNT_BELOW in n.skip_if}
    for amount in sorted(bounds):
        if amount < lowest or (conditions.amount_to is not None and amount >= conditions.amount_to):
            continue
        if not any(needs(node, amount) and not may_be_vacant(node) for node in nodes):
            return amount
    return None
