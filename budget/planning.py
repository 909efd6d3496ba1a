"""用款计划: a unit plans a month, the chain reviews, approval makes quota: by way of a notice to the bank (5105, 5106,
answered by 2104) for authorised payment, at once for what else is planned. Source: docs/business.md §plans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from budget.entries import Context, Posting, lock_balances, post
from budget.errors import PlanExceedsIndicator, QuotaExceeded
from budget.locking import action_keys, context_for, made_before
from budget.methods import PLANNED, Control, control_in, year_of
from budget.models import BudgetIndicator, BudgetYear, Quota, SpendingPlan
from budget.states import PLAN_FLOW
from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.digests import sm3_hex
from core.errors import Conflict, NotFound, RoleRequired, TreasuryError
from core.money import check_positive, wire_yuan
from core.numbering import take_numbers
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.chain_rules import ChainFacts
from parties.delegating import acting_note
from parties.review import (
    check_reviewer,
    choose_chains,
    earlier_deciders,
    load_chains,
    record_decisions,
    seat_of,
    start_on_chains,
)
from parties.selectors import visible_unit_codes
from seals.approvals import Prepared, Proof, Shown, prepare_for, take

CHAIN_KIND = "plan"


class PlanInvalid(TreasuryError):
    code = "plan_invalid"


@dataclass(frozen=True)
class PlanInput:
    indicator_id: UUID
    month: int
    amount: Decimal
    kind: str = SpendingPlan.Kind.NORMAL


@transaction.atomic(durable=True)
def save_plans(*, inputs: Sequence[PlanInput], clerk: Actor, now: datetime, action_key: str = "") -> list[SpendingPlan]:
    """Store plans as drafts: all or none. The same `action_key` returns the plans it made the first time.

    :raises RoleRequired, NotFound, PlanInvalid, AmountInvalid: naming the field.
    """
    if "unit_clerk" not in clerk.roles:
        raise RoleRequired("该操作需要岗位：单位经办。", field="role")
    assert clerk.person_id is not None, "a clerk is a person"
    context = context_for(clerk, now)
    keys = action_keys(action_key, len(inputs))
    made = {
        p.action_key or "": p for p in SpendingPlan.objects.filter(adm_div_code=clerk.adm_div_code, action_key__in=keys)
    }
    if made:
        return made_before(made, keys)
    rows = BudgetIndicator.objects.select_related("unit", "quota").filter(
        pk__in={given.indicator_id for given in inputs},
        adm_div_code=clerk.adm_div_code,
        fiscal_year=context.fiscal_year,
        unit__code__in=clerk.units,
        quota__isnull=False,
    )
    indicators = {row.id: row for row in rows}
    year = year_of(context.adm_div_code, context.fiscal_year)
    for given in inputs:
        if given.indicator_id not in indicators:
            raise NotFound("指标不存在或不属于本单位。", field="indicator_id")
        row = indicators[given.indicator_id]
        is_planned = control_in(year, row.payment_mode, row.fund_nature) in PLANNED
        if not is_planned or row.quota.control != Quota.Control.LIMIT:
            raise PlanInvalid(f"指标 {row.indicator_no} 不按用款计划控制。", field="indicator_id")
        if not 1 <= given.month <= 12:
            raise PlanInvalid("月份应为 1–12。", field="month")
        if given.kind not in SpendingPlan.Kind.values:
            raise PlanInvalid("计划类型不在代码表内。", field="kind")
        check_positive(given.amount, field="amount")
    numbers = take_numbers(
        adm_div_code=context.adm_div_code, fiscal_year=context.fiscal_year, kind="plan", count=len(inputs)
    )
    plans = [
        SpendingPlan(
            adm_div_code=context.adm_div_code,
            fiscal_year=context.fiscal_year,
            plan_no=number,
            unit=indicators[given.indicator_id].unit,
            indicator=indicators[given.indicator_id],
            month=given.month,
            kind=given.kind,
            payment_mode=indicators[given.indicator_id].payment_mode,
            amount=given.amount,
            created_by_id=clerk.person_id,
            created_at=now,
            action_key=keys[position] if keys else None,
        )
        for position, (given, number) in enumerate(zip(inputs, numbers, strict=True))
    ]
    copy_rows(plans)
    return plans


@transaction.atomic(durable=True)
def submit_plans(*, plan_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[SpendingPlan]:
    """Submit plans for review; each takes its amount out of what the indicator still has to plan (E2), a reduction
    out of what the quota has left unused.

    Refused per item: plan_exceeds_indicator, quota_exceeded, transition_not_allowed, role_required, not_found.
    """
    context = context_for(clerk, now)
    plans = lock_plans(plan_ids, clerk)
    quotas = _quotas_reduced(plans)
    rows = lock_balances([plan.indicator_id for plan in plans], quotas.values())
    left = {pk: row.amount_plannable for pk, row in rows.indicators.items()}
    unused = {row.indicator_id: row.amount_available for row in rows.quotas.values()}

    def check(plan: SpendingPlan) -> None:
        check_move(PLAN_FLOW, plan, "submit", clerk)
        if plan.kind == SpendingPlan.Kind.REDUCE:
            if plan.amount > unused[plan.indicator_id]:
                raise QuotaExceeded(
                    f"未使用的额度只有 {unused[plan.indicator_id]:,.2f}，不能调减 {plan.amount:,.2f}。",
                    field="amount",
                    available=unused[plan.indicator_id],
                    asked=plan.amount,
                )
            unused[plan.indicator_id] -= plan.amount
            return
        if plan.amount > left[plan.indicator_id]:
            raise PlanExceedsIndicator(
                f"指标可安排计划的余额 {left[plan.indicator_id]:,.2f}，本计划 {plan.amount:,.2f}。",
                field="amount",
                available=left[plan.indicator_id],
                asked=plan.amount,
            )
        left[plan.indicator_id] -= plan.amount

    outcome = judge(plans, plan_ids, check)
    if not outcome.accepted:
        return outcome
    enter_review(outcome.accepted, CHAIN_KIND, context)
    move(PLAN_FLOW, outcome.accepted, "submit", by=clerk, at=now)
    post([submitted_posting(plan, 1, "plan", quotas) for plan in outcome.accepted], context)
    return outcome


def enter_review(plans: Sequence[SpendingPlan], chain_kind: str, context: Context) -> None:
    """Put locked plans at the first node of the chain that fits, with the digest of what will be approved; a step.

    :raises ReviewChainMissing: if the region has no chain of this kind.
    """
    chosen = choose_chains(context.adm_div_code, {plan.id: chain_facts(plan, chain_kind) for plan in plans})
    start_on_chains(plans, chosen, on=context.business_date, at=context.at)
    for plan in plans:
        plan.content_digest = plan_digest(plan)
    values = sorted((p.id, p.chain_id, p.node, p.content_digest) for p in plans)
    update_from_values(SpendingPlan, {"chain_id": "uuid", "node": "smallint", "content_digest": "text"}, values)


@transaction.atomic(durable=True)
def cancel_plans(*, plan_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[SpendingPlan]:
    """Give up drafts and returned plans; they hold nothing, so nothing is given back.

    Refused per item: transition_not_allowed, role_required, not_found.
    """
    context_for(clerk, now)
    plans = lock_plans(plan_ids, clerk)
    outcome = judge(plans, plan_ids, lambda plan: check_move(PLAN_FLOW, plan, "cancel", clerk))
    move(PLAN_FLOW, outcome.accepted, "cancel", by=clerk, at=now)
    return outcome


def chain_facts(plan: SpendingPlan, kind: str) -> ChainFacts:
    """Return what the choice of a plan's review chain may depend on."""
    return ChainFacts(
        kind=kind,
        amount=plan.amount,
        payment_mode=plan.payment_mode,
        fund_nature=plan.indicator.fund_nature,
        tags=frozenset(plan.indicator.tags),
        unit_code=plan.unit.code,
        department_code=plan.unit.department_code,
    )


class _Waiting:
    """Plans that wait for a decision, with all that is needed to judge and to show them."""

    def __init__(self, plans: Sequence[SpendingPlan]) -> None:
        self.plans = plans
        self.chains = load_chains({plan.chain_id for plan in plans if plan.chain_id is not None}, plans)
        self._deciders = earlier_deciders(plans)

    def post(self, plan: SpendingPlan) -> str:
        return str(self.chains.node(plan).post)

    def completes(self, plan: SpendingPlan) -> bool:
        """Whether one more approval is the last that the node waits for."""
        return seat_of(plan, self._deciders[plan.id]) >= self.chains.node(plan).countersign

    def shown(self, plan: SpendingPlan) -> Shown:
        """The plan as the officer sees it, digested from what the database says now."""
        return Shown(
            document_id=plan.id,
            document_no=plan.plan_no,
            revision=plan.revision,
            digest=plan_digest(plan),
            amount=wire_yuan(plan.amount),
            payee=f"{plan.unit.name} {plan.month} 月" + (" 调减" if plan.kind == SpendingPlan.Kind.REDUCE else ""),
        )

    def check(self, plan: SpendingPlan, action: str, reviewer: Actor) -> None:
        """:raises TransitionNotAllowed, RoleRequired, ActedBefore, Conflict: unless this officer may do it now."""
        check_move(PLAN_FLOW, plan, action, reviewer)
        check_reviewer(plan, self.chains.node(plan), reviewer, self._deciders[plan.id])
        if action == "approve" and plan_digest(plan) != plan.content_digest:
            raise Conflict("计划内容与报送时不一致，请联系管理员。", field="content_digest")

    def decide(
        self, decision: str, reviewer: Actor, now: datetime, plan_ids: Sequence[UUID], proof: Proof | None, **why: str
    ) -> Outcome[SpendingPlan]:
        """Judge the locked plans against what was signed, and record the decision on those that pass."""
        taken = take(proof, action=decision, by=reviewer, now=now, note=_note(why.get("reason", ""), reviewer))
        taken.prepare_check([(plan.id, plan.revision) for plan in self.plans])

        def check(plan: SpendingPlan) -> None:
            self.check(plan, decision, reviewer)
            taken.check(self.shown(plan))

        outcome = judge(self.plans, plan_ids, check)
        signatures = taken.record(outcome.accepted, revision=lambda p: p.revision, post=self.post, now=now)
        posts = {plan.id: self.post(plan) for plan in outcome.accepted}
        record_decisions(
            outcome.accepted,
            decision,
            posts=posts,
            by=reviewer,
            at=now,
            signatures=signatures,
            seats={plan.id: seat_of(plan, self._deciders[plan.id]) for plan in outcome.accepted},
            **why,
        )
        return outcome


def _note(reason: str, reviewer: Actor) -> str:
    """The reason as the officer signs it, and for whom."""
    return f"{acting_note(reviewer)} {reason}".strip()


@transaction.atomic(durable=True)
def prepare_plan_decision(
    *, plan_ids: Sequence[UUID], reviewer: Actor, action: str, origin: str, now: datetime, reason: str = ""
) -> Prepared:
    """Issue the statement by which this officer approves or returns those of the plans that may be.

    :raises NoOfficerCertificate: if the officer has no key to sign with.
    """
    waiting = _Waiting(list(_plans(plan_ids, reviewer)))
    outcome = judge(waiting.plans, plan_ids, lambda plan: waiting.check(plan, action, reviewer))
    return prepare_for(
        outcome.accepted,
        shown=waiting.shown,
        post=waiting.post,
        refused=outcome.refused,
        action=action,
        by=reviewer,
        origin=origin,
        now=now,
        note=_note(reason if action != "approve" else "", reviewer),
    )


@transaction.atomic(durable=True)
def approve_plans(
    *, plan_ids: Sequence[UUID], reviewer: Actor, now: datetime, proof: Proof | None = None
) -> Outcome[SpendingPlan]:
    """Approve plans at the node each waits at; a plan that needs no quota notice becomes quota with its
    last approval.

    :param proof: the officer's signature over the statement of `prepare_plan_decision`, where the region asks for one.

    Refused per item: acted_before, role_required, transition_not_allowed, statement_outdated, not_found.
    """
    context = context_for(reviewer, now)
    year = year_of(context.adm_div_code, context.fiscal_year)
    waiting = _Waiting(lock_plans(plan_ids, reviewer))
    chains = waiting.chains
    outcome = waiting.decide("approve", reviewer, now, plan_ids, proof)
    onward: list[SpendingPlan] = []
    final: list[SpendingPlan] = []
    staying = [plan for plan in outcome.accepted if not waiting.completes(plan)]
    for plan in (plan for plan in outcome.accepted if waiting.completes(plan)):
        following = chains.following(plan)
        (final if following is None else onward).append(plan)
        plan.node = following or plan.node
    update_from_values(SpendingPlan, {"node": "smallint"}, sorted((p.id, p.node) for p in onward))
    move(PLAN_FLOW, staying, "countersign", by=reviewer, at=now)
    move(PLAN_FLOW, onward, "advance", by=reviewer, at=now)
    move(PLAN_FLOW, final, "approve", by=reviewer, at=now)
    settle_plans([plan for plan in final if _limit_of(plan, year) is Control.PLAN], context)
    return outcome


@transaction.atomic(durable=True)
def return_plans(
    *,
    plan_ids: Sequence[UUID],
    reviewer: Actor,
    reason_code: str,
    reason: str,
    now: datetime,
    proof: Proof | None = None,
) -> Outcome[SpendingPlan]:
    """Return plans to their clerks; the indicator may be planned anew.

    :raises PlanInvalid: without a reason.
    """
    if not 0 < len(reason.strip()) <= len(reason) <= 300:
        raise PlanInvalid("请填写退回原因（不超过 300 字）。", field="reason")
    if len(reason_code) > 40:
        raise PlanInvalid("退回原因代码过长。", field="reason_code")
    context = context_for(reviewer, now)
    waiting = _Waiting(lock_plans(plan_ids, reviewer))
    outcome = waiting.decide("return", reviewer, now, plan_ids, proof, reason_code=reason_code, reason=reason)
    move(PLAN_FLOW, outcome.accepted, "return", by=reviewer, at=now, reason_code=reason_code, reason=reason)
    quotas = _quotas_reduced(outcome.accepted)
    lock_balances([plan.indicator_id for plan in outcome.accepted], quotas.values())
    post([submitted_posting(plan, -1, "plan_release", quotas) for plan in outcome.accepted], context)
    SpendingPlan.objects.filter(pk__in=[p.id for p in outcome.accepted]).update(revision=F("revision") + 1)
    return outcome


@transaction.atomic(savepoint=False)
def settle_plans(plans: Sequence[SpendingPlan], context: Context) -> None:
    """Let plans that were approved, or have arrived at the bank, take effect: quota is granted, or a reduced plan is
    less; a step."""
    if not plans:
        return
    granted = [plan for plan in plans if plan.kind != SpendingPlan.Kind.REDUCE]
    reduced = [plan for plan in plans if plan.kind == SpendingPlan.Kind.REDUCE]
    quotas = _quota_ids(granted)
    lock_balances([plan.indicator_id for plan in reduced], quotas.values())
    postings = [
        _posting(plan, "grant", quota_id=quotas[plan.indicator_id], quota={"granted": plan.amount}) for plan in granted
    ]
    post(postings + [_posting(plan, "plan_reduced", indicator={"planned": -plan.amount}) for plan in reduced], context)


def submitted_posting(plan: SpendingPlan, sign: int, kind: str, quotas: Mapping[UUID, UUID]) -> Posting:
    """What a plan takes when it is submitted (sign 1), or gives back when it is returned (−1)."""
    if plan.kind == SpendingPlan.Kind.REDUCE:
        kind = {"plan": "reduce_quota", "plan_release": "reduce_release"}[kind]
        return _posting(plan, kind, quota_id=quotas[plan.indicator_id], quota={"granted": -plan.amount * sign})
    return _posting(plan, kind, indicator={"planned": plan.amount * sign})


def _quotas_reduced(plans: Sequence[SpendingPlan]) -> dict[UUID, UUID]:
    return _quota_ids([plan for plan in plans if plan.kind == SpendingPlan.Kind.REDUCE])


def _quota_ids(plans: Sequence[SpendingPlan]) -> dict[UUID, UUID]:
    """Return the quota of each indicator of these plans (one query, none for no plans)."""
    wanted = {plan.indicator_id for plan in plans}
    rows = Quota.objects.filter(indicator_id__in=wanted).values_list("indicator_id", "id") if wanted else []
    return dict(rows)


def lock_plans(plan_ids: Sequence[UUID], actor: Actor) -> list[SpendingPlan]:
    return list(_plans(plan_ids, actor).select_for_update(of=("self",), no_key=True))


def _plans(plan_ids: Sequence[UUID], actor: Actor) -> QuerySet[SpendingPlan]:
    rows = (
        SpendingPlan.objects.select_related("unit", "indicator")
        .filter(pk__in=set(plan_ids), adm_div_code=actor.adm_div_code)
        .order_by("pk")
    )
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def plan_digest(plan: SpendingPlan) -> str:
    """Return the SM3 (hex) of what is approved with a plan; a reduction's amount is negative."""
    amount = wire_yuan(plan.signed_amount)
    parts = (plan.plan_no, plan.revision, plan.indicator_id, plan.month, plan.payment_mode, amount)
    return sm3_hex("\n".join(str(part) for part in parts).encode())


def _limit_of(plan: SpendingPlan, year: BudgetYear) -> Control:
    return control_in(year, plan.payment_mode, plan.indicator.fund_nature)


def _posting(
    plan: SpendingPlan,
    kind: str,
    *,
    indicator: dict[str, Decimal] | None = None,
    quota_id: UUID | None = None,
    quota: dict[str, Decimal] | None = None,
) -> Posting:
    return Posting(
        indicator_id=plan.indicator_id,
        kind=kind,
        indicator=indicator or {},
        quota_id=quota_id,
        quota=quota,
        document_type=plan._meta.label,
        document_id=plan.id,
        note=plan.plan_no,
    )
