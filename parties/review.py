"""The review chain at work: which node is next, who may decide there, and one row for each decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from core.actors import Actor
from core.batch import copy_rows
from core.errors import RoleRequired
from parties.duties import Post
from parties.errors import ActedBefore, ReviewChainMissing
from parties.models import ReviewChain, ReviewDecision, ReviewNode


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
    """The nodes of every chain a batch of documents runs on, read in one query."""

    nodes: dict[UUID, list[ReviewNode]]

    def node(self, document: Reviewable) -> ReviewNode:
        assert document.chain_id is not None
        return next(n for n in self.nodes[document.chain_id] if n.ordinal == document.node)

    def next_ordinal(self, chain_id: UUID, after: int, amount: Decimal) -> int | None:
        """Return the next node the amount needs, or None when the last one has approved."""
        return next((n.ordinal for n in self.nodes[chain_id] if n.ordinal > after and amount >= n.amount_from), None)


def load_chains(chain_ids: set[UUID]) -> Chains:
    nodes: dict[UUID, list[ReviewNode]] = {chain_id: [] for chain_id in chain_ids}
    for node in ReviewNode.objects.filter(chain_id__in=chain_ids).order_by("ordinal"):
        nodes[node.chain_id].append(node)
    return Chains(nodes)


def active_chains(adm_div_code: str, kinds: set[str]) -> dict[str, UUID]:
    """Return the active chain of each kind of document.

    :raises ReviewChainMissing: if a kind has none.
    """
    found = {
        c.document_kind: c.id
        for c in ReviewChain.objects.filter(adm_div_code=adm_div_code, document_kind__in=kinds, active=True)
    }
    for kind in kinds - found.keys():
        raise ReviewChainMissing(f"没有配置「{kind}」的审核链。", field="chain", kind=kind)
    return found


def earlier_deciders(documents: Sequence[Reviewable]) -> dict[UUID, dict[int, UUID]]:
    """Return for each document id the persons who approved its current revision, by node ordinal (one query)."""
    deciders: dict[UUID, dict[int, UUID]] = {document.id: {} for document in documents}
    revisions = {document.id: document.revision for document in documents}
    rows = ReviewDecision.objects.filter(document_id__in=deciders, decision="approve")
    for document_id, revision, ordinal, person_id in rows.values_list(
        "document_id", "revision", "ordinal", "person_id"
    ):
        if revision == revisions[document_id]:
            deciders[document_id][ordinal] = person_id
    return deciders


def check_reviewer(document: Reviewable, node: ReviewNode, reviewer: Actor, deciders: dict[int, UUID]) -> None:
    """Check that this person may decide on this document at this node.

    :raises RoleRequired: if the reviewer does not hold the node's post.
    :raises ActedBefore: if the person made the document or has decided on this revision already.
    """
    if node.post not in reviewer.roles:
        raise RoleRequired(
            f"当前节点由「{Post(node.post).label}」办理。", field="role", role=node.post, by=reviewer.name
        )
    if reviewer.person_id == document.created_by_id:
        raise ActedBefore("您是本单录入人，不能审核（岗位分离）。", field="reviewer", by=reviewer.name)
    if reviewer.person_id in deciders.values():
        raise ActedBefore("您已审核过本单的其他节点，不能再审（岗位分离）。", field="reviewer", by=reviewer.name)


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
) -> None:
    """Write one decision row for each document, by COPY; `signatures` names the signed step of those that have one."""
    assert by.person_id is not None
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
                actor_name=by.name,
                signature_id=(signatures or {}).get(document.id),
                at=at,
            )
            for document in documents
        ]
    )
