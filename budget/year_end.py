"""年终: what each indicator has unused is carried over or recovered, as one proposed and another approved; then the
year is closed for good. Source: docs/budget.md §year-end.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from budget.document_states import CARRY_FLOW, YEAR_FLOW, CarryOverState, YearState
from budget.entries import Context, LimitPosting, Posting, lock_balances, post, post_limits
from budget.errors import DocumentInvalid
from budget.locking import hold_year
from budget.methods import quota_control, year_of
from budget.models import BudgetIndicator, BudgetYear, CarryOver, ClearingLimit, Quota
from budget.terms import COPIED, Layer
from budget.year_blockers import YearBlocker, YearNotClosable, year_blockers
from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.calendar import open_day
from core.errors import Conflict, NotFound, RoleRequired
from core.money import FEN, LIMIT, ZERO
from core.numbering import take_numbers
from core.outcomes import CHUNK, Outcome, judge
from core.transitions import check_move, move
from parties.errors import ActedBefore

__all__ = [
    "YearBlocker",
    "YearNotClosable",
    "close_year",
    "decide_carry_overs",
    "propose_carry_overs",
    "set_carry_over",
    "year_blockers",
    "year_context",
]


def year_context(actor: Actor, fiscal_year: int, now: datetime) -> Context:
    """Return whose books of which year, on today's open day: the year's own, or the first days of the next.

    :raises DayClosed: if no day is open. :raises DocumentInvalid: for any other year.
    """
    day = open_day(actor.adm_div_code)
    if fiscal_year not in (day.fiscal_year, day.fiscal_year - 1):
        raise DocumentInvalid("只能办理本年度或上一年度的年终事项。", field="fiscal_year")
    return Context(actor.adm_div_code, fiscal_year, day.date, actor.name, now)


def unused_of(indicator: BudgetIndicator) -> Decimal:
    """What nobody has spent, frozen or asked for; of the department layer, what was not given on."""
    return Decimal(indicator.amount_available)


@transaction.atomic(durable=True)
def propose_carry_overs(*, fiscal_year: int, clerk: Actor, now: datetime) -> int:
    """Write down for every indicator with something unused how much goes on: all of it, or nothing of what was carried
    over once already (two years unspent, 存量资金). Proposals not yet approved follow a changed balance. Safe twice.

    Returns how many proposals were made or changed; six statements whatever their number.
    :raises RoleRequired, YearClosed, DocumentInvalid, DayClosed.
    """
    _require(clerk, "budget_clerk", "预算科经办")
    assert clerk.person_id is not None, "a clerk is a person"
    context = year_context(clerk, fiscal_year, now)
    hold_year(context.adm_div_code, fiscal_year)
    rows = BudgetIndicator.objects.filter(adm_div_code=context.adm_div_code, fiscal_year=fiscal_year)
    there = {
        row.indicator_id: row
        for row in CarryOver.objects.filter(adm_div_code=context.adm_div_code, fiscal_year=fiscal_year)
        .select_for_update(no_key=True)
        .order_by("pk")
    }
    new, changed = [], []
    for indicator in rows:
        unused = unused_of(indicator)
        must_recover = indicator.carry_over_year is not None
        amount = ZERO if must_recover else unused
        known = there.get(indicator.id)
        if known is None and unused > 0:
            new.append(
                CarryOver(
                    adm_div_code=context.adm_div_code,
                    fiscal_year=fiscal_year,
                    indicator=indicator,
                    unused=unused,
                    amount=amount,
                    must_recover=must_recover,
                    created_by_id=clerk.person_id,
                    created_at=now,
                )
            )
        elif known is not None and known.state == CarryOverState.PROPOSED and known.unused != unused:
            changed.append((known.id, unused, min(known.amount, unused) if known.amount < known.unused else amount))
    copy_rows(new)
    update_from_values(CarryOver, {"unused": "numeric", "amount": "numeric"}, sorted(changed))
    return len(new) + len(changed)


@transaction.atomic(durable=True)
def set_carry_over(*, carry_over_id: UUID, amount: Decimal, reason: str, clerk: Actor, now: datetime) -> CarryOver:
    """Change how much of an indicator is to be carried over; the rest will be recovered.

    :raises RoleRequired, NotFound, YearClosed.
    :raises DocumentInvalid: for more than is unused, for anything of what must be recovered, or without a reason.
    """
    _require(clerk, "budget_clerk", "预算科经办")
    _hold_years_of([carry_over_id], clerk, now)
    row = CarryOver.objects.filter(pk=carry_over_id, adm_div_code=clerk.adm_div_code).select_for_update().first()
    if row is None:
        raise NotFound("结转建议不存在。", field="id")
    if row.state != CarryOverState.PROPOSED:
        raise Conflict("该结转已审批，须先由审批人退回。", field="state")
    if not isinstance(amount, Decimal) or not amount.is_finite() or not ZERO <= amount < LIMIT or amount % FEN:
        raise DocumentInvalid("结转金额须为不小于零、精确到分的金额。", field="amount")
    if amount > row.unused:
        raise DocumentInvalid(f"结转金额不能超过未用余额 {row.unused:,.2f}。", field="amount", available=row.unused)
    if row.must_recover and amount:
        raise DocumentInvalid("连续两年未用完的资金应收回统筹，不能再结转。", field="amount")
    if not 0 < len(reason.strip()) <= 200:
        raise DocumentInvalid("请填写理由（不超过 200 字）。", field="reason")
    assert clerk.person_id is not None, "a clerk is a person"
    row.amount, row.reason, row.created_by_id = amount, reason.strip(), clerk.person_id
    row.save(update_fields=["amount", "reason", "created_by"])
    return row


@transaction.atomic(durable=True)
def decide_carry_overs(
    *, carry_over_ids: Sequence[UUID], approver: Actor, approve: bool, now: datetime, reason: str = ""
) -> Outcome[CarryOver]:
    """Approve proposals made by somebody else, or give approved ones back to be changed.

    Refused per item: acted_before, role_required, transition_not_allowed, conflict (the balance has changed).
    """
    _hold_years_of(carry_over_ids, approver, now)
    rows = list(
        CarryOver.objects.select_for_update(of=("self",), no_key=True)
        .select_related("indicator")
        .filter(pk__in=set(carry_over_ids), adm_div_code=approver.adm_div_code)
        .order_by("pk")
    )
    action = "approve" if approve else "return"

    def check(row: CarryOver) -> None:
        check_move(CARRY_FLOW, row, action, approver)
        if row.created_by_id == approver.person_id:
            raise ActedBefore("您是结转建议的经办人，不能审批（岗位分离）。", field="approver")
        if approve and row.unused != unused_of(row.indicator):
            raise Conflict("指标余额已变动，请重新生成结转建议。", field="unused", available=unused_of(row.indicator))

    outcome = judge(rows, carry_over_ids, check)
    if approve:
        ids = [row.id for row in outcome.accepted]
        CarryOver.objects.filter(pk__in=ids).update(approved_by_id=approver.person_id)
    move(CARRY_FLOW, outcome.accepted, action, by=approver, at=now, reason=reason[:300])
    return outcome


def close_year(*, fiscal_year: int, chief: Actor, now: datetime) -> BudgetYear:
    """Close a budget year: stop everybody else, apply the carry-overs chunk by chunk, close.

    Each step is a transaction of its own. A run that was killed half-way is finished by running it again: a carry-over
    is applied together with its state, so none is applied twice and none left out.

    :raises RoleRequired, NotFound, DocumentInvalid, DayClosed.
    :raises YearNotClosable: with every reason there is; nothing is changed then.
    """
    _require(chief, "treasury_chief", "国库科长")
    year = _begin(fiscal_year, chief, now)
    while year.state == YearState.CLOSING and apply_carry_overs(fiscal_year=fiscal_year, chief=chief, now=now):
        pass
    return _finish(fiscal_year, chief, now)


@transaction.atomic(durable=True)
def _begin(fiscal_year: int, chief: Actor, now: datetime) -> BudgetYear:
    """Take the year exclusively: use cases that hold it finish first, later ones find it closing."""
    year_context(chief, fiscal_year, now)
    year = _lock_year(fiscal_year, chief)
    if year.state != YearState.OPEN:
        return year
    blockers = year_blockers(chief.adm_div_code, fiscal_year)
    if blockers:
        raise YearNotClosable(blockers)
    move(YEAR_FLOW, [year], "begin", by=chief, at=now)
    return year


@transaction.atomic(durable=True)
def apply_carry_overs(*, fiscal_year: int, chief: Actor, now: datetime) -> int:
    """Apply the next chunk of approved carry-overs of a year that is being closed; returns how many were left to do."""
    context = year_context(chief, fiscal_year, now)
    if _lock_year(fiscal_year, chief).state != YearState.CLOSING:
        return 0
    rows = list(
        CarryOver.objects.select_for_update(of=("self",), no_key=True)
        .filter(adm_div_code=context.adm_div_code, fiscal_year=fiscal_year, state=CarryOverState.APPROVED)
        .order_by("pk")[:CHUNK]
    )
    if not rows:
        return 0
    ids = {row.indicator_id for row in rows}
    above = set(BudgetIndicator.objects.filter(pk__in=ids).values_list("parent_id", flat=True)) - {None}
    quotas = {q.indicator_id: q for q in Quota.objects.filter(indicator_id__in=ids)}
    books = lock_balances(ids | above, [quota.id for quota in quotas.values()])
    made = _next_years(rows, books.indicators, quotas, context)
    post(list(_closing_postings(rows, books.indicators, {q.indicator_id: q for q in books.quotas.values()})), context)
    opening = [_carried_in(row, made[row.id]) for row in rows if row.id in made]
    post(opening, replace(context, fiscal_year=fiscal_year + 1))
    update_from_values(CarryOver, {"next_indicator_id": "uuid"}, sorted((pk, new.id) for pk, new in made.items()))
    move(CARRY_FLOW, rows, "apply", by=chief, at=now)
    return len(rows)


@transaction.atomic(durable=True)
def _finish(fiscal_year: int, chief: Actor, now: datetime) -> BudgetYear:
    context = year_context(chief, fiscal_year, now)
    year = _lock_year(fiscal_year, chief)
    if year.state == YearState.CLOSING:
        _lapse_limits(year, context)
        move(YEAR_FLOW, [year], "close", by=chief, at=now)
    return year


def _lapse_limits(year: BudgetYear, context: Context) -> None:
    """What refunds of direct payments gave back to their limits has no quota to be cancelled with: it goes here."""
    rows = ClearingLimit.objects.select_for_update(no_key=True).filter(
        adm_div_code=year.adm_div_code, fiscal_year=year.fiscal_year
    )
    post_limits(
        [
            LimitPosting(
                limit_id=row.id,
                kind="lapse",
                changes={"issued": -row.amount_available},
                document_type=year._meta.label,
                document_id=year.id,
                note=f"{year.fiscal_year} 年终失效",
            )
            for row in rows.order_by("pk")
            if row.amount_available
        ],
        context,
    )


def _closing_postings(
    rows: Sequence[CarryOver], indicators: Mapping[UUID, BudgetIndicator], quotas: Mapping[UUID, Quota]
) -> Iterable[Posting]:
    """What leaves the old year: carried out, recovered, and the plan and direct quota nobody used."""
    upwards: dict[tuple[UUID, UUID, str], Decimal] = defaultdict(lambda: ZERO)
    for row in rows:
        indicator, quota = indicators[row.indicator_id], quotas.get(row.indicator_id)
        for kind, amount in (("carry_out", row.amount), ("recover_unused", row.recovered)):
            if amount:
                yield _posting(indicator.id, kind, row, {"total": -amount})
                if indicator.parent_id is not None:
                    upwards[indicator.parent_id, row.id, kind] += amount
        if indicator.layer == Layer.UNIT:
            unplanned = min(indicator.amount_paid - indicator.amount_refunded - indicator.amount_planned, ZERO)
            unused = quota.amount_available if quota is not None else ZERO
            if unplanned or unused:
                yield replace(
                    _posting(indicator.id, "lapse", row, {"planned": unplanned} if unplanned else {}),
                    quota_id=quota.id if quota is not None else None,
                    quota={"granted": -unused} if unused else None,
                )
    by_id = {row.id: row for row in rows}
    for (parent_id, row_id, kind), amount in upwards.items():  # what leaves a child leaves what was given on to it
        yield _posting(parent_id, kind, by_id[row_id], {"total": -amount, "planned": -amount})


def _next_years(
    rows: Sequence[CarryOver],
    indicators: Mapping[UUID, BudgetIndicator],
    quotas: Mapping[UUID, Quota],
    context: Context,
) -> dict[UUID, BudgetIndicator]:
    """Make the indicators of the next year with the same codes and tags, and a quota row for those paid from."""
    carried = [row for row in rows if row.amount]
    where: dict[str, Any] = {"adm_div_code": context.adm_div_code, "fiscal_year": context.fiscal_year + 1}
    year = year_of(context.adm_div_code, context.fiscal_year + 1)
    numbers = take_numbers(kind="indicator", count=len(carried), **where)
    made: dict[UUID, BudgetIndicator] = {}
    new_quotas = []
    for row, number in zip(carried, numbers, strict=True):
        old = indicators[row.indicator_id]
        terms = {name: getattr(old, name) for name in COPIED if name not in ("unit", "carry_over_year")}
        made[row.id] = BudgetIndicator(
            indicator_no=number,
            doc_no=old.doc_no,
            unit_id=old.unit_id,
            payment_mode=old.payment_mode,
            carry_over_year=context.fiscal_year,
            **terms,
            **where,
        )
        quota = quotas.get(old.id)
        if quota is not None:
            new_quotas.append(
                Quota(
                    indicator=made[row.id],
                    unit_id=quota.unit_id,
                    payment_mode=quota.payment_mode,
                    payer_account_id=quota.payer_account_id,
                    control=quota_control(year, old.payment_mode, old.fund_nature),
                    **where,
                )
            )
    copy_rows(list(made.values()))
    copy_rows(new_quotas)
    return made


def _carried_in(row: CarryOver, indicator: BudgetIndicator) -> Posting:
    return _posting(indicator.id, "carry_in", row, {"total": row.amount})


def _posting(indicator_id: UUID, kind: str, row: CarryOver, changes: dict[str, Decimal]) -> Posting:
    return Posting(
        indicator_id=indicator_id,
        kind=kind,
        indicator=changes,
        document_type=row._meta.label,
        document_id=row.id,
        note=f"{row.fiscal_year} 年终结转",
    )


def _hold_years_of(carry_over_ids: Sequence[UUID], actor: Actor, now: datetime) -> None:
    """Hold the years of these rows open before the rows are locked: closing a year locks in the same order."""
    rows = CarryOver.objects.filter(pk__in=set(carry_over_ids), adm_div_code=actor.adm_div_code)
    for fiscal_year in sorted(set(rows.values_list("fiscal_year", flat=True))):
        year_context(actor, fiscal_year, now)
        hold_year(actor.adm_div_code, fiscal_year)


def _lock_year(fiscal_year: int, actor: Actor) -> BudgetYear:
    """:raises NotFound: if the region has not begun to keep this year."""
    year = (
        BudgetYear.objects.select_for_update().filter(adm_div_code=actor.adm_div_code, fiscal_year=fiscal_year).first()
    )
    if year is None:
        raise NotFound("没有该预算年度，请先在系统管理中建立。", field="fiscal_year")
    return year


def _require(actor: Actor, role: str, label: str) -> None:
    if role not in actor.roles:
        raise RoleRequired(f"该操作需要岗位：{label}。", field="role", role=role, by=actor.name)
