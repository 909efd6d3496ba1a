"""The review chain at work: which node is next, who may decide there, and one row for each decision."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from core.actors import Actor
from core.batch import copy_rows
from core.errors import RoleRequired
from parties.chain_rules import ChainFacts, choose, may_be_vacant, needed_nodes, needs
from parties.delegating import hold_delegation
from parties.duties import Post
from parties.errors import ActedBefore, ReviewChainMissing
from parties.models import ReviewChain, ReviewDecision, ReviewNode, ReviewSkip
from parties.selectors import holders
from parties.states import ChainState


class Reviewable(Protocol):
    """A document on a chain: `node` is the ordinal it waits at, `created_by_id` the person who made it."""

    @property
    def id(self) -> UUID: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def revision(self) -> int: ...
    @property
    def node(self) -> int: ...
    @property
    def chain_id(self) -> UUID | None: ...
    @property
    def created_by_id(self) -> UUID | None: ...
    @property
    def content_digest(self) -> str: ...


@dataclass(frozen=True)
class Chains:
    """The nodes of every chain a batch of documents runs on, and what was left out as vacant; two queries at most."""

    nodes: dict[UUID, list[ReviewNode]]
    skipped: dict[tuple[UUID, int], set[int]] = field(default_factory=dict)  # (document, revision) → ordinals

    def node(self, document: Reviewable) -> ReviewNode:
        assert document.chain_id is not None
        return next(n for n in self.nodes[document.chain_id] if n.ordinal == document.node)

    def needed(self, document: Reviewable) -> list[ReviewNode]:
        """The nodes this revision of the document has to pass, in order."""
        assert document.chain_id is not None
        skipped = self.skipped.get((document.id, document.revision), set())
        return needed_nodes(self.nodes[document.chain_id], document.amount, skipped)

    def following(self, document: Reviewable) -> int | None:
        """Return the node after the one the document waits at, or None if that is the last."""
        return next((n.ordinal for n in self.needed(document) if n.ordinal > document.node), None)


def load_chains(chain_ids: set[UUID], documents: Sequence[Reviewable] = ()) -> Chains:
    """Read chains; `documents` are those whose vacant nodes matter (a second query only where a chain allows any)."""
    nodes: dict[UUID, list[ReviewNode]] = {chain_id: [] for chain_id in chain_ids}
    for node in ReviewNode.objects.filter(chain_id__in=chain_ids).order_by("ordinal"):
        nodes[node.chain_id].append(node)
    open_to_it = {chain_id for chain_id, members in nodes.items() if any(map(may_be_vacant, members))}
    return Chains(nodes, skips_of([d for d in documents if d.chain_id in open_to_it]))


def skips_of(documents: Sequence[Reviewable]) -> dict[tuple[UUID, int], set[int]]:
    """Return the ordinals noted as vacant, of the chain each document runs on, by document and revision."""
    if not documents:
        return {}
    chain_of = {document.id: document.chain_id for document in documents}
    found: dict[tuple[UUID, int], set[int]] = defaultdict(set)
    rows = ReviewSkip.objects.filter(document_id__in=chain_of).values_list(
        "document_id", "revision", "node__chain_id", "node__ordinal"
    )
    for document_id, revision, chain_id, ordinal in rows:
        if chain_id == chain_of[document_id]:
            found[document_id, revision].add(ordinal)
    return found


def choose_chains(adm_div_code: str, documents: Mapping[UUID, ChainFacts]) -> dict[UUID, UUID]:
    """Return for each document the chain it is to run on: the narrowest in force whose conditions hold. One query.

    :raises ReviewChainMissing: if no chain holds for a document, which means its kind has no default.
    """
    kinds = {facts.kind for facts in documents.values()}
    chains = list(
        ReviewChain.objects.filter(adm_div_code=adm_div_code, document_kind__in=kinds, state=ChainState.ACTIVE)
    )
    found = {}
    for document_id, facts in documents.items():
        chain = choose(chains, facts)
        if chain is None:
            raise ReviewChainMissing(f"没有配置「{facts.kind}」的审核链。", field="chain", kind=facts.kind)
        found[document_id] = chain.id
    return found


def start_on_chains(documents: Sequence[Any], chosen: Mapping[UUID, UUID], *, on: date, at: datetime) -> None:
    """Put documents at the first node each needs; nodes that nobody holds are left out and noted. Sets, saves nothing
    but the notes.

    :param documents: with `unit`; their `chain_id` and `node` are set.
    """
    nodes = load_chains(set(chosen.values()))
    for document in documents:
        document.chain_id = chosen[document.id]
    vacant = _vacant(documents, nodes, on)
    skips = []
    for document in documents:
        members = nodes.nodes[document.chain_id]
        empty = {n.ordinal for n in members if may_be_vacant(n) and (n.post, document.unit.code) in vacant}
        first = needed_nodes(members, document.amount, empty)
        assert first, "a chain without a node for this amount is refused when it is activated"
        document.node = first[0].ordinal
        skips += [
            ReviewSkip(
                adm_div_code=document.adm_div_code,
                fiscal_year=document.fiscal_year,
                document_type=document._meta.label,
                document_id=document.id,
                revision=document.revision,
                node=node,
                unit_code=document.unit.code,
                day=on,
                at=at,
            )
            for node in members
            if node.ordinal in empty and needs(node, document.amount)
        ]
    copy_rows(skips)


def _vacant(documents: Sequence[Any], chains: Chains, on: date) -> set[tuple[str, str]]:
    """The (post, unit code) that nobody holds today, of those that may be vacant (one query, or none)."""
    posts = {n.post for members in chains.nodes.values() for n in members if may_be_vacant(n)}
    if not posts:
        return set()
    units = {document.unit.code: document.unit for document in documents}
    held = holders(documents[0].adm_div_code, posts, on)
    return {(post, unit.code) for post in posts for unit in units.values() if not held.of(post, unit)}


@dataclass
class Deciders:
    """Who has decided on a document's current revision: how often at each node, and whom that concerns.

    `persons` are the deciders and those they acted for; no one of them may decide again.
    """

    at_node: Counter[int] = field(default_factory=Counter)
    persons: set[UUID] = field(default_factory=set)


def earlier_deciders(documents: Sequence[Reviewable]) -> dict[UUID, Deciders]:
    """Return for each document id the persons who approved its current revision (one query)."""
    deciders: dict[UUID, Deciders] = {document.id: Deciders() for document in documents}
    revisions = {document.id: document.revision for document in documents}
    rows = ReviewDecision.objects.filter(document_id__in=deciders, decision="approve")
    for document_id, revision, ordinal, *persons in rows.values_list(
        "document_id", "revision", "ordinal", "person_id", "delegation__delegator_id"
    ):
        if revision == revisions[document_id]:
            deciders[document_id].at_node[ordinal] += 1
            deciders[document_id].persons.update(pk for pk in persons if pk is not None)
    return deciders


def seat_of(document: Reviewable, deciders: Deciders) -> int:
    """Return which of the node's seats the next decision takes, from 1."""
    return deciders.at_node[document.node] + 1


def check_reviewer(document: Reviewable, node: ReviewNode, reviewer: Actor, deciders: Deciders) -> None:
    """Check that this person may decide on this document at this node; who acts for another, with both persons' past.

    :raises RoleRequired: if the reviewer does not hold the node's post.
    :raises ActedBefore: if the person made the document or has decided on this revision already.
    """
    if node.post not in reviewer.roles:
        raise RoleRequired(
            f"当前节点由「{Post(node.post).label}」办理。", field="role", role=node.post, by=reviewer.name
        )
    whose = f"您或委托人{reviewer.for_name}" if reviewer.for_name else "您"
    if document.created_by_id in reviewer.persons:
        raise ActedBefore(f"{whose}是本单录入人，不能审核（岗位分离）。", field="reviewer", by=reviewer.name)
    if not reviewer.persons.isdisjoint(deciders.persons):
        same = deciders.at_node[document.node] and node.countersign > 1
        where = "本单的这个节点，会签须由不同的人" if same else "本单的其他节点，不能再审"
        raise ActedBefore(f"{whose}已审核过{where}（岗位分离）。", field="reviewer", by=reviewer.name)


def record_decisions(
    documents: Sequence[Any],
    decision: str,
    *,
    posts: dict[UUID, str],
    by: Actor,
    at: datetime,
    reason_code: str = "",
    reason: str = "",
    signatures: Mapping[UUID, UUID] | None = None,
    seats: Mapping[UUID, int] | None = None,
) -> None:
    """Write one decision row for each document, by COPY; `signatures` names the signed step of those that have one,
    `seats` which of a node's seats each takes (the first if not named).

    :raises DelegationEnded: if the reviewer acts for another and may not any more; nothing is written then.
    """
    assert by.person_id is not None
    hold_delegation(by, at=at)
    copy_rows(
        [
            ReviewDecision(
                adm_div_code=document.adm_div_code,
                fiscal_year=document.fiscal_year,
                document_type=document._meta.label,
                document_id=document.id,
                revision=document.revision,
                ordinal=document.node,
                post=posts[document.id],
                decision=decision,
                reason_code=reason_code,
                reason=reason,
                content_digest=document.content_digest,
                person_id=by.person_id,
                actor_name=by.written[:60],
                signature_id=(signatures or {}).get(document.id),
                seat=(seats or {}).get(document.id, 1),
                delegation_id=by.delegation_id,
                at=at,
            )
            for document in documents
        ]
    )
