"""Versions of review chains: drafted by one administrator, tried on a sample, put in force by another, brought back.

What is written once stays. A change is a new draft; bringing an older version back is a new version with its nodes.
Source: docs/review-chains.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Max, QuerySet

from core.actors import Actor
from core.errors import NotFound, RoleRequired, ValidationFailed
from core.transitions import check_move
from parties.chain_rules import (
    ChainFacts,
    Conditions,
    NodeSpec,
    choose,
    conditions_of,
    faults_of,
    may_be_vacant,
    needs,
)
from parties.duties import DELEGABLE, Post
from parties.errors import ChainInvalid, FourEyes
from parties.leaving import ADMINISTRATORS
from parties.models import BudgetUnit, Delegation, Region, ReviewChain, ReviewNode
from parties.selectors import Holders, holders
from parties.states import CHAIN_FLOW, ChainState

KINDS = {
    "payment_direct": "直接支付",
    "payment_authorized": "授权支付",
    "payment_appropriation": "资金实拨",
    "payment_special": "专户支付",
    "payment_unit_funds": "单位资金支付",
    "correction": "更正",
    "plan": "用款计划",
    "plan_lapse": "计划月末失效",
}
PAYMENT_POSTS = (
    Post.UNIT_REVIEWER,
    Post.UNIT_LEADER,
    Post.SECTION_REVIEWER,
    Post.PAYMENT_REVIEWER,
    Post.TREASURY_CHIEF,
)
PLAN_POSTS = (Post.UNIT_REVIEWER, Post.SECTION_REVIEWER, Post.PLAN_REVIEWER)


def kind_label(kind: str) -> str:
    """A kind of document in Chinese; one of another part of the system stands by its own name."""
    return KINDS.get(kind, kind)


def posts_for(kind: str) -> tuple[Post, ...]:
    """Which posts the tables of moves let decide on this kind of document."""
    return PLAN_POSTS if kind.startswith("plan") else PAYMENT_POSTS


@transaction.atomic(durable=True)
def draft_chain(
    *,
    document_kind: str,
    name: str,
    nodes: Sequence[NodeSpec],
    conditions: Conditions,
    by: Actor,
    now: datetime,
    priority: int = 0,
    note: str = "",
) -> ReviewChain:
    """Write a new version of a profile as a draft; nothing runs on it until another administrator puts it in force.

    :raises ValidationFailed: with every fault of the nodes and conditions at once.
    """
    _check_administrator(by)
    assert by.person_id is not None
    name, note = name.strip(), note.strip()
    faults = [ChainInvalid(sentence, field=where) for where, sentence in faults_of(nodes, conditions)]
    known = ReviewChain.objects.filter(adm_div_code=by.adm_div_code, document_kind=document_kind).exists()
    if document_kind not in KINDS and not known:
        faults.append(ChainInvalid("没有这种单据。", field="document_kind"))
    if not 0 < len(name) <= 40:
        faults.append(ChainInvalid("请填写名称（不超过 40 字）。", field="name"))
    if len(note) > 200 or not 0 <= priority <= 999:
        faults.append(ChainInvalid("说明不超过 200 字，优先级为 0–999。", field="note"))
    for node in nodes:
        if node.post not in posts_for(document_kind):
            faults.append(ChainInvalid(f"第 {node.ordinal} 节点的岗位不能审核这种单据。", field="post"))
        hours = (node.due_hours, node.remind_hours)
        if any(value is not None and not 1 <= value <= 800 for value in hours):
            faults.append(ChainInvalid(f"第 {node.ordinal} 节点的时限须为 1–800 工作小时。", field="due_hours"))
        elif node.remind_hours and (node.due_hours is None or node.remind_hours >= node.due_hours):
            faults.append(ChainInvalid(f"第 {node.ordinal} 节点的提醒须早于时限。", field="remind_hours"))
    if faults:
        raise ValidationFailed(list(faults))
    Region.objects.select_for_update(no_key=True).get(pk=by.adm_div_code)  # versions are counted one after another
    same = ReviewChain.objects.filter(adm_div_code=by.adm_div_code, document_kind=document_kind, name=name)
    chain = ReviewChain.objects.create(
        adm_div_code=by.adm_div_code,
        document_kind=document_kind,
        name=name,
        version=(same.aggregate(last=Max("version"))["last"] or 0) + 1,
        conditions=conditions.as_data(),
        is_default=not conditions.as_data(),
        priority=priority,
        note=note,
        drafted_by_id=by.person_id,
        drafted_at=now,
    )
    ReviewNode.objects.bulk_create(
        ReviewNode(
            chain=chain,
            ordinal=node.ordinal,
            post=node.post,
            amount_from=node.amount_from,
            amount_to=node.amount_to,
            countersign=node.countersign,
            skip_if=dict(node.skip_if),
            due_hours=node.due_hours,
            remind_hours=node.remind_hours,
        )
        for node in nodes
    )
    return chain


def restore_chain(*, chain_id: UUID, by: Actor, now: datetime) -> ReviewChain:
    """Draft a new version with the nodes and conditions of an older one; it takes a second administrator like any.

    :raises NotFound: if there is no such version.
    """
    old = _chains(by).filter(pk=chain_id).first()
    if old is None:
        raise NotFound("没有这个版本。", field="id")
    return draft_chain(
        document_kind=old.document_kind,
        name=old.name,
        nodes=specs_of(old),
        conditions=conditions_of(old.conditions),
        priority=old.priority,
        note=f"恢复第 {old.version} 版",
        by=by,
        now=now,
    )


def specs_of(chain: ReviewChain) -> list[NodeSpec]:
    return [
        NodeSpec(
            *(n.ordinal, n.post, n.amount_from, n.amount_to, n.countersign, n.skip_if, n.due_hours, n.remind_hours)
        )
        for n in chain.nodes.order_by("ordinal")
    ]


@transaction.atomic(durable=True)
def activate_chain(*, chain_id: UUID, by: Actor, now: datetime) -> ReviewChain:
    """Put a draft in force in place of the version before it; documents under way keep the one they started with.

    :raises FourEyes: for whoever drafted it.
    :raises TransitionNotAllowed: if it is no draft any more.
    :raises ChainInvalid: if the kind would be left without a default, or would get two.
    """
    _check_administrator(by)
    chain = _lock(chain_id, by)
    check_move(CHAIN_FLOW, chain, "activate", by)
    if by.person_id == chain.drafted_by_id:
        raise FourEyes("草案须由另一名管理员核准启用。", field="id", by=by.name)
    in_force = _chains(by).filter(document_kind=chain.document_kind, state=ChainState.ACTIVE)
    former = in_force.filter(name=chain.name)
    default = in_force.filter(is_default=True).exclude(name=chain.name).first()
    if chain.is_default and default is not None:
        raise ChainInvalid(f"该单据已有默认链「{default.name}」，默认链只能有一条。", field="conditions")
    if not chain.is_default and default is None:
        raise ChainInvalid("须先有一条没有适用条件的默认链，才能启用有条件的链。", field="conditions")
    former.update(state=ChainState.RETIRED, retired_at=now)
    chain.state, chain.activated_by_id, chain.activated_at = ChainState.ACTIVE, by.person_id, now
    chain.save(update_fields=["state", "activated_by", "activated_at"])
    return chain


@transaction.atomic(durable=True)
def discard_draft(*, chain_id: UUID, by: Actor, now: datetime) -> ReviewChain:
    """Give a draft up, one's own or another's; :raises TransitionNotAllowed: if it is none."""
    _check_administrator(by)
    chain = _lock(chain_id, by)
    check_move(CHAIN_FLOW, chain, "discard", by)
    chain.state, chain.retired_at = ChainState.RETIRED, now
    chain.save(update_fields=["state", "retired_at"])
    return chain


def _check_administrator(by: Actor) -> None:
    if by.roles.isdisjoint(ADMINISTRATORS):
        raise RoleRequired("审核链由系统管理员或安全保密员维护。", field="role", by=by.name)


def _chains(by: Actor) -> QuerySet[ReviewChain]:
    return ReviewChain.objects.filter(adm_div_code=by.adm_div_code)


def _lock(chain_id: UUID, by: Actor) -> ReviewChain:
    Region.objects.select_for_update(no_key=True).get(pk=by.adm_div_code)  # one activation at a time
    chain = _chains(by).select_for_update(no_key=True).filter(pk=chain_id).first()
    if chain is None:
        raise NotFound("没有这个版本。", field="id")
    return chain


# Trying out ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """A document that is made up to try a chain on; `clerk_id` is the person who would have made it, if one matters."""

    facts: ChainFacts
    unit: BudgetUnit
    clerk_id: UUID | None = None


@dataclass(frozen=True)
class Candidate:
    """A person who holds the post, or acts for a holder; `barred` says why he could not act."""

    person_id: UUID
    name: str
    how: str
    barred: str = ""


@dataclass(frozen=True)
class TriedNode:
    """A node as the sample would meet it: needed, not needed (`why`), and who could act there today."""

    node: ReviewNode
    needed: bool
    why: str
    candidates: tuple[Candidate, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Trial:
    """What became of the sample: whether this chain would be chosen (`rival` if another would), and node by node."""

    nodes: tuple[TriedNode, ...]
    applies: bool
    rival: ReviewChain | None

    @property
    def passes(self) -> bool:
        """Whether the sample could be approved to its end with the people there are today."""
        return self.applies and not any(node.fault for node in self.nodes)


def try_chain(chain: ReviewChain, sample: Sample, *, on: date) -> Trial:
    """Run a made-up document through a chain, draft or not; writes nothing.

    A node passes if enough persons could act at it whom no other node needs: the same rules as in earnest, worked out
    over the nodes together, because one person may act only once.
    """
    nodes = list(chain.nodes.order_by("ordinal"))
    held = holders(chain.adm_div_code, {node.post for node in nodes}, on)
    conditions = conditions_of(chain.conditions)
    others = ReviewChain.objects.filter(
        adm_div_code=chain.adm_div_code, document_kind=chain.document_kind, state=ChainState.ACTIVE
    ).exclude(name=chain.name)
    chosen = choose([*others, chain], sample.facts)
    applies = chosen is not None and chosen.pk == chain.pk
    tried, wanted = [], []
    for node in nodes:
        why = _why_not(node, sample, held)
        candidates = () if why else _candidates(node, sample, held, on)
        if not why:
            wanted.append((node, [c.person_id for c in candidates if not c.barred]))
        tried.append((node, why, candidates))
    unfilled = _unfilled([(node.ordinal, node.countersign, persons) for node, persons in wanted])
    return Trial(
        nodes=tuple(
            TriedNode(node, not why, why, candidates, _fault(node, candidates, unfilled) if not why else "")
            for node, why, candidates in tried
        ),
        applies=applies,
        rival=None if applies or not conditions.hold(sample.facts) else chosen,
    )


def _why_not(node: ReviewNode, sample: Sample, held: Holders) -> str:
    """Why the sample does not meet this node; empty if it does."""
    amount = sample.facts.amount
    if not needs(node, amount):
        if amount < node.amount_from or node.amount_to is None:
            return f"金额未到 {max(node.amount_from, Decimal(node.skip_if.get('amount_below', 0))):,.2f}"
        return f"金额已达上限 {node.amount_to:,.2f}" if amount >= node.amount_to else "金额低于跳过条件"
    if may_be_vacant(node) and not held.of(node.post, sample.unit):
        return "该单位今天无人任此岗，跳过"
    return ""


def _candidates(node: ReviewNode, sample: Sample, held: Holders, on: date) -> tuple[Candidate, ...]:
    found: dict[UUID, Candidate] = {}
    rows = held.of(node.post, sample.unit)
    for row in rows:
        person = row.user.person
        if person is not None:
            barred = "是本单录入人" if person.pk == sample.clerk_id else ""
            found.setdefault(person.pk, Candidate(person.pk, person.name, "任岗", barred))
    if node.post in DELEGABLE:
        acting = Delegation.objects.filter(assignment__in=[row.pk for row in rows], delegate__is_active=True)
        for one in acting.filter(revoked_at=None, valid_from__lte=on, valid_to__gte=on).select_related(
            "delegator", "delegate_person"
        ):
            both = {one.delegator_id, one.delegate_person_id}
            barred = "本人或委托人是本单录入人" if sample.clerk_id in both else ""
            found.setdefault(
                one.delegate_person_id,
                Candidate(one.delegate_person_id, one.delegate_person.name, f"代{one.delegator.name}", barred),
            )
    return tuple(found.values())


def _unfilled(seats: Sequence[tuple[int, int, Sequence[UUID]]]) -> set[int]:
    """Give every seat of every node a person of its own (bipartite matching); returns the nodes that stay short."""
    taken: dict[UUID, int] = {}
    places = [(ordinal, persons) for ordinal, count, persons in seats for _ in range(count)]

    def seat(place: int, tried: set[UUID]) -> bool:
        for person in places[place][1]:
            if person not in tried:
                tried.add(person)
                if person not in taken or seat(taken[person], tried):
                    taken[person] = place
                    return True
        return False

    return {places[place][0] for place in range(len(places)) if not seat(place, set())}


def _fault(node: ReviewNode, candidates: Sequence[Candidate], unfilled: set[int]) -> str:
    able = [candidate for candidate in candidates if not candidate.barred]
    if not candidates:
        return "今天无人任此岗"
    if not able:
        return "任岗的人都须回避"
    if len(able) < node.countersign:
        return f"会签要 {node.countersign} 人，只有 {len(able)} 人能办"
    return "能办的人都要在别的节点审核（一人只能审一次）" if node.ordinal in unfilled else ""


__all__ = [
    "KINDS",
    "Sample",
    "activate_chain",
    "discard_draft",
    "draft_chain",
    "kind_label",
    "posts_for",
    "restore_chain",
    "specs_of",
    "try_chain",
]
