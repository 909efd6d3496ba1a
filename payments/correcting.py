"""更正: carrying a paid amount under the codes it belongs to. The unit asks, the chain reviews, the treasury seals,
PBoC executes; only PBoC's receipt moves the books. Payee, account and amount are never touched.
Source: docs/exceptions.md.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from budget.codes import CodeKind
from budget.entries import Balances, Context, Posting, lock_balances, post
from budget.errors import CodeUnknown, EconomicMappingMissing, IndicatorExceeded, QuotaExceeded
from budget.methods import method_of
from budget.models import Quota
from budget.selectors import code_names, is_legal_pair, legal_economic_pairs
from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.digests import sm3_hex
from core.errors import NotFound, TreasuryError, ValidationFailed
from core.money import ZERO, check_positive, wire_yuan
from core.numbering import take_numbers
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from parties.chain_rules import ChainFacts
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
from payments.errors import ContentChanged, CorrectionRefused, FieldInvalid, ReasonRequired
from payments.exception_models import Correction
from payments.locking import check_reason, context_for, require_role
from payments.models import PaymentDetail, PaymentRequest
from payments.refunding import own_share
from payments.states import CORRECTION_FLOW, CORRECTION_HOLDS, CorrectionState, DetailState
from seals.approvals import Prepared, Proof, Shown, prepare_for, take

CHAIN_KIND = "correction"


@dataclass(frozen=True)
class CorrectionInput:
    """Which paid detail, by how much, and where it belongs."""

    detail_id: UUID
    to_indicator_id: UUID
    dept_economic_code: str
    amount: Decimal
    reason: str


def corrections_for(actor: Actor) -> QuerySet[Correction]:
    """Return the corrections the actor may see, with what a page or a rule asks of them."""
    rows = Correction.objects.select_related(
        "unit",
        "detail__request__indicator",
        "detail__request__unit",
        "detail__request__payer_account__agent_bank",
        "from_indicator",
        "to_indicator",
        "to_quota__payer_account",
    ).filter(adm_div_code=actor.adm_div_code)
    codes = visible_unit_codes(actor)
    return rows if codes is None else rows.filter(unit__code__in=codes)


def lock_corrections(ids: Sequence[UUID], actor: Actor) -> list[Correction]:
    """Lock the payments they correct, then the corrections, each in key order."""
    wanted = corrections_for(actor).filter(pk__in=set(ids))
    lock_corrected(list(wanted.values_list("detail__request_id", flat=True)))
    return list(wanted.order_by("pk").select_for_update(of=("self",), no_key=True))


def lock_corrected(request_ids: Sequence[UUID]) -> None:
    """Lock the payments behind corrections: what a refund and another correction of them wait for."""
    rows = PaymentRequest.objects.select_for_update(no_key=True).filter(pk__in=set(request_ids)).order_by("pk")
    list(rows.values_list("pk", flat=True))


def correction_digest(correction: Correction) -> str:
    """Return the SM3 (hex) of everything a reviewer approves with a correction, in one canonical spelling."""
    content = {
        "correction_no": correction.correction_no,
        "revision": correction.revision,
        "unit": str(correction.unit_id),
        "detail": str(correction.detail_id),
        "from_indicator": str(correction.from_indicator_id),
        "from_quota": str(correction.from_quota_id),
        "to_indicator": str(correction.to_indicator_id),
        "to_quota": str(correction.to_quota_id),
        "dept_economic_code": correction.dept_economic_code,
        "amount": wire_yuan(correction.amount),
        "reason": correction.reason,
    }
    return sm3_hex(json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


# Writing down and submitting ------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def save_corrections(*, inputs: Sequence[CorrectionInput], clerk: Actor, now: datetime) -> list[Correction]:
    """Store corrections as drafts: all of them or none. Nothing is held yet.

    :raises RoleRequired, NotFound: if a detail or an indicator is not of the clerk's own units.
    :raises ValidationFailed: with every finding of the first that has any.
    """
    require_role(clerk, "unit_clerk")
    assert clerk.person_id is not None, "a clerk is a person"
    context = context_for(clerk, now)
    details = _details(inputs, clerk)
    quotas = _quotas(inputs, clerk)
    corrections = []
    for given in inputs:
        detail, quota = details.get(given.detail_id), quotas.get(given.to_indicator_id)
        if detail is None:
            raise NotFound("支付明细不存在或不属于本单位。", field="detail_id")
        if quota is None:
            raise NotFound("指标不存在、没有额度或不属于本单位。", field="to_indicator_id")
        found = _wrong(given, detail, quota, context)
        if found:
            raise ValidationFailed(found)
        corrections.append(
            Correction(
                adm_div_code=detail.adm_div_code,
                fiscal_year=detail.fiscal_year,
                unit_id=detail.request.unit_id,
                detail=detail,
                from_indicator=detail.request.indicator,
                from_quota_id=detail.request.quota_id,
                to_indicator=quota.indicator,
                to_quota=quota,
                dept_economic_code=given.dept_economic_code,
                amount=given.amount,
                reason=given.reason.strip(),
                created_by_id=clerk.person_id,
                created_at=now,
            )
        )
    numbers = take_numbers(
        adm_div_code=context.adm_div_code,
        fiscal_year=context.fiscal_year,
        kind="correction",
        count=len(corrections),
    )
    for correction, number in zip(corrections, numbers, strict=True):
        correction.correction_no = number
    copy_rows(corrections)
    return corrections


def _details(inputs: Sequence[CorrectionInput], clerk: Actor) -> dict[UUID, PaymentDetail]:
    rows = PaymentDetail.objects.select_related(
        "request__indicator", "request__unit", "request__payer_account__agent_bank"
    ).filter(
        pk__in={given.detail_id for given in inputs},
        adm_div_code=clerk.adm_div_code,
        request__unit__code__in=clerk.units,
    )
    return {row.id: row for row in rows}


def _quotas(inputs: Sequence[CorrectionInput], clerk: Actor) -> dict[UUID, Quota]:
    rows = Quota.objects.select_related("indicator", "unit", "payer_account").filter(
        indicator_id__in={given.to_indicator_id for given in inputs},
        adm_div_code=clerk.adm_div_code,
        unit__code__in=clerk.units,
    )
    return {row.indicator_id: row for row in rows}


def _wrong(given: CorrectionInput, detail: PaymentDetail, quota: Quota, context: Context) -> list[TreasuryError]:
    """Everything that speaks against it, each naming its field."""
    request, target = detail.request, quota.indicator
    found: list[TreasuryError] = []
    try:
        check_positive(given.amount, field="amount")
    except TreasuryError as refusal:
        found.append(refusal)
    if not 0 < len(given.reason.strip()) <= len(given.reason) <= 200:
        found.append(FieldInvalid("请填写更正原因（不超过 200 字）。", field="reason"))
    if detail.state != DetailState.PAID or request.fiscal_year != context.fiscal_year:
        found.append(CorrectionRefused("只能更正本年已支付的明细。", field="detail_id"))
    if not method_of(request.payment_mode).correction_type:
        found.append(CorrectionRefused("该支付方式的支出不由国库更正，请用指标文或会计分录调整。", field="detail_id"))
    if target.unit_id != request.unit_id:
        found.append(CorrectionRefused("更正不能换预算单位。", field="to_indicator_id"))
    if target.fiscal_year != request.fiscal_year:
        found.append(CorrectionRefused("更正不能换年度。", field="to_indicator_id"))
    if target.fund_nature != request.indicator.fund_nature:
        found.append(CorrectionRefused("更正不能换资金性质。", field="to_indicator_id"))
    if target.payment_mode != request.payment_mode:
        found.append(CorrectionRefused("更正不能换支付方式。", field="to_indicator_id"))
    if quota.payer_account.agent_bank_id != request.payer_account.agent_bank_id:
        found.append(CorrectionRefused("更正不能换代理银行。", field="to_indicator_id"))
    if target.id == request.indicator_id and given.dept_economic_code == request.dept_economic_code:
        found.append(CorrectionRefused("更正前后相同，没有可更正的内容。", field="to_indicator_id"))
    return found


@transaction.atomic(durable=True)
def submit_corrections(*, correction_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[Correction]:
    """Submit corrections: check codes and what is still carried, hold the amount on the target, put them on the chain.

    Refused per item: not_found, transition_not_allowed, role_required, correction_refused, code_unknown,
    economic_mapping_missing, indicator_exceeded, quota_exceeded. :raises ReviewChainMissing.
    """
    context = context_for(clerk, now)
    corrections = lock_corrections(correction_ids, clerk)
    codes = _codes(corrections)
    carried = _carried(corrections)
    balances = _lock(corrections)
    left = {pk: row.amount_available for pk, row in balances.indicators.items()}
    quota_left = {pk: row.amount_available for pk, row in balances.quotas.items()}

    def check(correction: Correction) -> None:
        check_move(CORRECTION_FLOW, correction, "submit", clerk)
        found = codes.get(correction.id, []) + _too_much(correction, carried, left, quota_left)
        if found:
            raise ValidationFailed(found)
        carried[correction.detail_id] -= correction.amount
        if _moves_money(correction):
            left[correction.to_indicator_id] -= correction.amount
            quota_left[correction.to_quota_id] -= correction.amount

    outcome = judge(corrections, correction_ids, check)
    if not outcome.accepted:
        return outcome
    chosen = choose_chains(context.adm_div_code, {c.id: chain_facts(c) for c in outcome.accepted})
    start_on_chains(outcome.accepted, chosen, on=context.business_date, at=now)
    for correction in outcome.accepted:
        correction.content_digest = correction_digest(correction)
    columns = {"chain_id": "uuid", "node": "smallint", "content_digest": "text"}
    rows = sorted((c.id, c.chain_id, c.node, c.content_digest) for c in outcome.accepted)
    update_from_values(Correction, columns, rows)
    move(CORRECTION_FLOW, outcome.accepted, "submit", by=clerk, at=now)
    post([held(c, 1, "correct_reserve") for c in outcome.accepted if _moves_money(c)], context)
    return outcome


def chain_facts(correction: Correction) -> ChainFacts:
    """Return what the choice of a correction's review chain may depend on: what it is to be carried under."""
    return ChainFacts(
        kind=CHAIN_KIND,
        amount=correction.amount,
        payment_mode=correction.to_indicator.payment_mode,
        fund_nature=correction.to_indicator.fund_nature,
        tags=frozenset(correction.to_indicator.tags),
        unit_code=correction.unit.code,
        department_code=correction.unit.department_code,
    )


def _codes(corrections: Sequence[Correction]) -> dict[UUID, list[TreasuryError]]:
    """Refuse unknown department codes, and economic codes that do not belong together for this kind of unit (M15)."""
    if not corrections:
        return {}
    year = corrections[0].fiscal_year
    economic = code_names(year, CodeKind.DEPT_ECONOMIC, [c.dept_economic_code for c in corrections])
    pairs = legal_economic_pairs(year, [c.to_indicator.gov_economic_code for c in corrections])
    found: dict[UUID, list[TreasuryError]] = defaultdict(list)
    for c in corrections:
        gov = c.to_indicator.gov_economic_code
        if c.dept_economic_code not in economic:
            found[c.id].append(CodeUnknown("部门经济分类科目不存在。", field="dept_economic_code"))
        elif not is_legal_pair(pairs, gov, c.dept_economic_code, c.unit.nature):
            found[c.id].append(
                EconomicMappingMissing(
                    f"政府经济分类 {gov} 与部门经济分类 {c.dept_economic_code} 对{c.unit.nature}单位没有对照关系。",
                    field="dept_economic_code",
                )
            )
    return found


def _carried(corrections: Sequence[Correction]) -> dict[UUID, Decimal]:
    """What each detail's own indicator still carries and no other correction has laid its hand on (two queries)."""
    ids = {correction.detail_id for correction in corrections}
    others: dict[UUID, list[Correction]] = {pk: [] for pk in ids}
    under_way: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    states = CORRECTION_HOLDS | {CorrectionState.EXECUTED}
    for other in Correction.objects.filter(detail_id__in=ids, state__in=states):
        if other.state == CorrectionState.EXECUTED:
            others[other.detail_id].append(other)
        else:
            under_way[other.detail_id] += other.amount
    fresh = PaymentDetail.objects.in_bulk(ids)
    return {pk: own_share(detail, others[pk]) - under_way[pk] for pk, detail in fresh.items()}


def _too_much(
    correction: Correction,
    carried: dict[UUID, Decimal],
    left: dict[UUID, Decimal],
    quota_left: dict[UUID, Decimal],
) -> list[TreasuryError]:
    found: list[TreasuryError] = []
    amount = correction.amount
    if amount > carried[correction.detail_id]:
        found.append(
            CorrectionRefused(
                f"该明细尚可更正 {carried[correction.detail_id]:,.2f}（已扣除退款和其他更正）。",
                field="amount",
                available=carried[correction.detail_id],
                asked=amount,
            )
        )
    if not _moves_money(correction):
        return found
    if amount > left[correction.to_indicator_id]:
        available = left[correction.to_indicator_id]
        found.append(
            IndicatorExceeded(
                f"目标指标可用余额 {available:,.2f}，更正 {amount:,.2f}。",
                field="amount",
                available=available,
                asked=amount,
            )
        )
    if amount > quota_left[correction.to_quota_id]:
        available = quota_left[correction.to_quota_id]
        found.append(
            QuotaExceeded(
                f"目标指标的额度余额 {available:,.2f}，更正 {amount:,.2f}。",
                field="amount",
                available=available,
                asked=amount,
            )
        )
    return found


def _moves_money(correction: Correction) -> bool:
    """Whether another indicator is to carry it; a department code alone changes no balance."""
    return correction.to_indicator_id != correction.from_indicator_id


def _lock(corrections: Sequence[Correction]) -> Balances:
    moving = [c for c in corrections if _moves_money(c)]
    return lock_balances(
        [pk for c in moving for pk in (c.from_indicator_id, c.to_indicator_id)],
        [pk for c in moving for pk in (c.from_quota_id, c.to_quota_id)],
    )


def held(correction: Correction, sign: int, kind: str) -> Posting:
    """Return the posting that holds (sign 1) or releases (sign −1) a correction's amount on its target."""
    amount = sign * correction.amount
    return Posting(
        indicator_id=correction.to_indicator_id,
        kind=kind,
        indicator={"reserved": amount},
        quota_id=correction.to_quota_id,
        quota={"reserved": amount},
        document_type=correction._meta.label,
        document_id=correction.id,
        note=correction.correction_no,
    )


def release(corrections: Sequence[Correction], context: Context) -> None:
    """Let go of what corrections hold on their targets; a step."""
    _lock(corrections)
    post([held(c, -1, "correct_release") for c in corrections if _moves_money(c)], context)


@transaction.atomic(durable=True)
def cancel_corrections(*, correction_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[Correction]:
    """Give up drafts and returned corrections; they hold nothing."""
    context_for(clerk, now)
    corrections = lock_corrections(correction_ids, clerk)
    outcome = judge(corrections, correction_ids, lambda c: check_move(CORRECTION_FLOW, c, "cancel", clerk))
    move(CORRECTION_FLOW, outcome.accepted, "cancel", by=clerk, at=now)
    return outcome


# Reviewing ------------------------------------------------------------------------------------------------------------


class _Waiting:
    """Corrections that wait for a decision, with all that is needed to judge and to show them."""

    def __init__(self, corrections: Sequence[Correction]) -> None:
        self.corrections = corrections
        self.chains = load_chains({c.chain_id for c in corrections if c.chain_id is not None}, corrections)
        self._deciders = earlier_deciders(corrections)

    def post(self, correction: Correction) -> str:
        return str(self.chains.node(correction).post)

    def seat(self, correction: Correction) -> int:
        return seat_of(correction, self._deciders[correction.id])

    def completes(self, correction: Correction) -> bool:
        """Whether one more approval is the last that the node waits for."""
        return self.seat(correction) >= self.chains.node(correction).countersign

    def check(self, correction: Correction, action: str, reviewer: Actor) -> None:
        """:raises TransitionNotAllowed, RoleRequired, ActedBefore, ContentChanged: unless this officer may now."""
        check_move(CORRECTION_FLOW, correction, action, reviewer)
        check_reviewer(correction, self.chains.node(correction), reviewer, self._deciders[correction.id])
        if action == "approve" and correction_digest(correction) != correction.content_digest:
            raise ContentChanged("更正单内容与提交时不一致，请联系管理员。", field="content_digest")


def shown(correction: Correction) -> Shown:
    """The correction as its officers are shown it when they sign."""
    return Shown(
        document_id=correction.id,
        document_no=correction.correction_no,
        revision=correction.revision,
        digest=correction_digest(correction),
        amount=wire_yuan(correction.amount),
        payee=f"{correction.from_indicator.indicator_no} 更正为 {correction.to_indicator.indicator_no}",
    )


@transaction.atomic(durable=True)
def prepare_correction_decision(
    *, correction_ids: Sequence[UUID], reviewer: Actor, action: str, origin: str, now: datetime, reason: str = ""
) -> Prepared:
    """Issue the statement by which this officer approves, returns or rejects those of the corrections that may be.

    :raises NoOfficerCertificate: if the officer has no key to sign with.
    """
    if action != "approve":
        _require_reason(reason)
    waiting = _Waiting(list(corrections_for(reviewer).filter(pk__in=set(correction_ids)).order_by("pk")))
    outcome = judge(waiting.corrections, correction_ids, lambda c: waiting.check(c, action, reviewer))
    return prepare_for(
        outcome.accepted,
        shown=shown,
        post=waiting.post,
        refused=outcome.refused,
        action=action,
        by=reviewer,
        origin=origin,
        now=now,
        note=reason.strip() if action != "approve" else "",
    )


@transaction.atomic(durable=True)
def decide_corrections(
    *,
    correction_ids: Sequence[UUID],
    reviewer: Actor,
    action: str,
    now: datetime,
    reason: str = "",
    proof: Proof | None = None,
) -> Outcome[Correction]:
    """Approve, return or reject corrections at the node each waits at; what a return or rejection held is released.

    Refused per item: not_found, transition_not_allowed, role_required, acted_before, content_changed,
    statement_outdated. :raises ReasonRequired: for a return or rejection without a word.
    :raises SignatureRequired, StatementRefused: for a proof that is missing or does not count.
    """
    if action not in ("approve", "return", "reject"):
        raise FieldInvalid("请选择通过、退回或否决。", field="action")
    if action != "approve":
        _require_reason(reason)
    note = reason.strip() if action != "approve" else ""
    context = context_for(reviewer, now)
    waiting = _Waiting(lock_corrections(correction_ids, reviewer))
    taken = take(proof, action=action, by=reviewer, now=now, note=note)
    taken.prepare_check([(c.id, c.revision) for c in waiting.corrections])

    def check(correction: Correction) -> None:
        waiting.check(correction, action, reviewer)
        taken.check(shown(correction))

    outcome = judge(waiting.corrections, correction_ids, check)
    record_decisions(
        outcome.accepted,
        action,
        posts={c.id: waiting.post(c) for c in outcome.accepted},
        seats={c.id: waiting.seat(c) for c in outcome.accepted},
        by=reviewer,
        at=now,
        reason=note,
        signatures=taken.record(outcome.accepted, revision=lambda c: c.revision, post=waiting.post, now=now),
    )
    if action == "approve":
        _advance(outcome.accepted, waiting, reviewer, now)
        return outcome
    move(CORRECTION_FLOW, outcome.accepted, action, by=reviewer, at=now, reason=note)
    release(outcome.accepted, context)
    if action == "return":
        for correction in outcome.accepted:
            correction.revision += 1
        rows = sorted((c.id, c.revision) for c in outcome.accepted)
        update_from_values(Correction, {"revision": "smallint"}, rows)
    return outcome


def _advance(corrections: Sequence[Correction], waiting: _Waiting, reviewer: Actor, now: datetime) -> None:
    staying = [correction for correction in corrections if not waiting.completes(correction)]
    onward: list[Correction] = []
    final: list[Correction] = []
    for correction in (c for c in corrections if waiting.completes(c)):
        following = waiting.chains.following(correction)
        (final if following is None else onward).append(correction)
        correction.node = following or correction.node
    update_from_values(Correction, {"node": "smallint"}, sorted((c.id, c.node) for c in onward))
    move(CORRECTION_FLOW, staying, "countersign", by=reviewer, at=now)
    move(CORRECTION_FLOW, onward, "advance", by=reviewer, at=now)
    move(CORRECTION_FLOW, final, "approve", by=reviewer, at=now)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ReasonRequired("请写明原因。", field="reason")
    check_reason(reason)
