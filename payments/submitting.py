"""Submitting: all checks at once, then reserve. 提交即占用 — from here on nobody else can spend this money."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from budget.codes import CodeKind
from budget.entries import Balances, Context, Posting, lock_balances, post
from budget.errors import CodeUnknown, EconomicMappingMissing, IndicatorExceeded, QuotaExceeded
from budget.methods import method_of
from budget.models import Quota
from budget.selectors import code_names, is_legal_pair, legal_economic_pairs
from core.actors import Actor
from core.batch import update_from_values
from core.errors import TreasuryError, ValidationFailed
from core.outcomes import Outcome, judge
from core.transitions import check_move, move
from monitoring.facts import Hit
from monitoring.levels import Action, worst_action
from monitoring.points import Point
from monitoring.services import record_hits
from parties.chain_rules import ChainFacts
from parties.review import choose_chains, start_on_chains
from payments import accounts, contract_use, register_checks
from payments.content import Details, content_digest, details_of
from payments.invoice_use import refusals as invoice_refusals
from payments.locking import context_for, lock_requests
from payments.models import PaymentDetail, PaymentRequest
from payments.screening import Screened, screened
from payments.states import REQUEST_FLOW


@transaction.atomic(durable=True)
def submit_payment_requests(*, request_ids: Sequence[UUID], clerk: Actor, now: datetime) -> Outcome[PaymentRequest]:
    """Submit drafts or returned requests: check codes, indicator, quota, contract and rules, reserve, put on the chain.

    An accepted request is afterwards in review, on hold (a rule with 挂起; reserved) or blocked (a rule with 拦截;
    nothing reserved, the alert kept): its `state` says which. A refused one is unchanged; its error carries every
    finding at once. At most CHUNK ids; the number of SQL statements does not depend on how many.

    :raises DayClosed: if no business day is open.
    :raises ReviewChainMissing: if the region has no chain for a payment method.
    """
    context = context_for(clerk, now)
    requests = lock_requests(request_ids, clerk)
    outcome = judge(requests, request_ids, lambda request: check_move(REQUEST_FLOW, request, "submit", clerk))
    if not outcome.accepted:
        return outcome
    details = details_of(outcome.accepted)
    _check_codes(outcome)
    not_payable = accounts.refusals(outcome.accepted)
    _refuse(outcome, lambda request: not_payable.get(request.id, []))
    used = invoice_refusals(outcome.accepted, details)  # locks the invoices: of two submits one wins
    _refuse(outcome, lambda request: used.get(request.id, []))
    asked = screened(outcome.accepted, details, context, Point.PAYMENT_SUBMIT)
    balances = lock_balances([r.indicator_id for r in outcome.accepted], [r.quota_id for r in outcome.accepted])
    _check_available(outcome, balances, asked.hits)
    blocked = {r.id for r in outcome.accepted if worst_action(asked.hits.get(r.id, [])) == Action.BLOCK}
    against = contract_use.refusals(outcome.accepted, details, on=context.business_date, blocked=blocked)
    _refuse(outcome, lambda request: against.get(request.id, []))
    _check_registers(outcome, details, context.business_date)
    _store(outcome.accepted, details, asked, context, clerk)
    return outcome


def _check_codes(outcome: Outcome[PaymentRequest]) -> None:
    """Refuse unknown codes, and economic codes that do not belong together for this kind of unit (M15)."""
    year = outcome.accepted[0].fiscal_year
    functions = code_names(year, CodeKind.FUNCTION, [r.indicator.function_code for r in outcome.accepted])
    economic = code_names(year, CodeKind.DEPT_ECONOMIC, [r.dept_economic_code for r in outcome.accepted])
    pairs = legal_economic_pairs(year, [r.indicator.gov_economic_code for r in outcome.accepted])

    def check(request: PaymentRequest) -> list[TreasuryError]:
        found: list[TreasuryError] = []
        indicator = request.indicator
        if indicator.function_code not in functions:
            found.append(CodeUnknown("功能分类科目不存在。", field="function_code", given=indicator.function_code))
        if request.dept_economic_code not in economic:
            found.append(
                CodeUnknown("部门经济分类科目不存在。", field="dept_economic_code", given=request.dept_economic_code)
            )
        elif not is_legal_pair(pairs, indicator.gov_economic_code, request.dept_economic_code, request.unit.nature):
            found.append(
                EconomicMappingMissing(
                    f"政府经济分类 {indicator.gov_economic_code} 与部门经济分类 {request.dept_economic_code} "
                    f"对{request.unit.nature}单位没有对照关系。",
                    field="dept_economic_code",
                )
            )
        return found

    _refuse(outcome, check)


def _check_available(outcome: Outcome[PaymentRequest], balances: Balances, hits: dict[UUID, list[Hit]]) -> None:
    """Take the requests in order against what is left, so that a batch cannot overspend what one would not."""
    indicators = {pk: row.amount_available for pk, row in balances.indicators.items()}
    quotas = {pk: row.amount_available for pk, row in balances.quotas.items()}

    def check(request: PaymentRequest) -> list[TreasuryError]:
        found: list[TreasuryError] = []
        left, quota_left = indicators[request.indicator_id], quotas[request.quota_id]
        if request.amount > left:
            found.append(
                IndicatorExceeded(
                    f"指标可用余额 {left:,.2f}，本单 {request.amount:,.2f}。",
                    field="amount",
                    available=left,
                    asked=request.amount,
                )
            )
        is_limited = balances.quotas[request.quota_id].control == Quota.Control.LIMIT
        if is_limited and request.amount > quota_left:
            found.append(
                QuotaExceeded(
                    f"{method_of(request.payment_mode).control}余额 {quota_left:,.2f}，本单 {request.amount:,.2f}。",
                    field="amount",
                    available=quota_left,
                    asked=request.amount,
                )
            )
        if not found and worst_action(hits.get(request.id, [])) != Action.BLOCK:
            indicators[request.indicator_id] -= request.amount
            quotas[request.quota_id] -= request.amount
        return found

    _refuse(outcome, check)


def _check_registers(
    outcome: Outcome[PaymentRequest], details: Mapping[UUID, Sequence[PaymentDetail]], on: date
) -> None:
    found = register_checks.refusals(outcome.accepted, details, on) if outcome.accepted else {}
    _refuse(outcome, lambda request: found.get(request.id, []))


def _refuse(outcome: Outcome[PaymentRequest], check: Callable[[PaymentRequest], list[TreasuryError]]) -> None:
    kept = []
    for request in outcome.accepted:
        found = check(request)
        if found:
            outcome.refused[request.id] = ValidationFailed(found)
        else:
            kept.append(request)
    outcome.accepted[:] = kept


def _store(
    requests: list[PaymentRequest],
    details: dict[UUID, Details],
    asked: Screened,
    context: Context,
    clerk: Actor,
) -> None:
    if not requests:
        return
    chosen = choose_chains(context.adm_div_code, {r.id: chain_facts(r) for r in requests})
    start_on_chains(requests, chosen, on=context.business_date, at=context.at)
    for request in requests:
        request.submitted_on = context.business_date
        request.content_digest = content_digest(request, details[request.id])
    columns = {"chain_id": "uuid", "node": "smallint", "submitted_on": "date", "content_digest": "text"}
    rows = sorted((r.id, r.chain_id, r.node, r.submitted_on, r.content_digest) for r in requests)
    update_from_values(PaymentRequest, columns, rows)
    record_hits(facts=asked.of(requests), hits=asked.hits, at=context.at)
    by_action = _by_action(requests, asked.hits)
    for action, members in by_action.items():
        move(REQUEST_FLOW, members, action, by=clerk, at=context.at)
    post([reservation(r, 1, "reserve") for r in by_action["submit"] + by_action["hold"]], context)


def _by_action(requests: list[PaymentRequest], hits: dict[UUID, list[Hit]]) -> dict[str, list[PaymentRequest]]:
    groups: dict[str, list[PaymentRequest]] = {"submit": [], "hold": [], "block": []}
    verbs = {Action.BLOCK: "block", Action.HOLD: "hold"}
    for request in requests:
        worst = worst_action(hits.get(request.id, []))
        groups[verbs.get(worst, "submit") if worst else "submit"].append(request)
    return groups


def reservation(request: PaymentRequest, sign: int, kind: str, note: str = "") -> Posting:
    """Return the posting that reserves (sign 1) or releases (sign −1) what a request holds, on exactly its rows."""
    amount = sign * (request.amount - request.amount_paid - request.amount_failed)
    return Posting(
        indicator_id=request.indicator_id,
        kind=kind,
        indicator={"reserved": amount},
        quota_id=request.quota_id,
        quota={"reserved": amount},
        document_type=request._meta.label,
        document_id=request.id,
        note=note,
    )


def chain_facts(request: PaymentRequest) -> ChainFacts:
    """Return what the choice of a request's review chain may depend on."""
    return ChainFacts(
        kind=chain_kind(request),
        amount=request.amount,
        payment_mode=request.payment_mode,
        fund_nature=request.indicator.fund_nature,
        business_type=request.business_type,
        tags=frozenset(request.indicator.tags),
        unit_code=request.unit.code,
        department_code=request.unit.department_code,
    )


def chain_kind(request: PaymentRequest) -> str:
    return method_of(request.payment_mode).chain
