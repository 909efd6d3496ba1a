"""额度注销: at the year's end what is left of every authorised quota is cancelled, once finance, bank and unit say the
same amount. Source: docs/budget.md §cancelling quotas.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from budget.document_states import CANCELLATION_FLOW, CancellationState
from budget.entries import LimitPosting, Posting, lock_balances, post, post_limits
from budget.errors import ClearingLimitExceeded, DocumentInvalid
from budget.limits import LimitKey, lock_limits
from budget.locking import hold_year
from budget.methods import Control, controlled_by
from budget.models import Quota, QuotaCancellation
from budget.year_end import year_context
from core.actors import Actor
from core.batch import copy_rows, update_from_values
from core.errors import Conflict, NotFound, RoleRequired
from core.money import FEN, LIMIT, ZERO
from core.outcomes import Outcome, judge
from core.transitions import check_move, move


class AmountsDiffer(Conflict):
    """The three amounts of a cancellation are not there yet, or not equal."""

    code = "amounts_differ"


@transaction.atomic(durable=True)
def propose_cancellations(*, fiscal_year: int, reconciler: Actor, now: datetime) -> int:
    """List what is left of every authorised quota, as finance sees it; open lines follow a changed balance. Safe twice.

    :raises RoleRequired, YearClosed, DayClosed, DocumentInvalid.
    """
    _require(reconciler, "reconciler", "国库对账")
    assert reconciler.person_id is not None, "a reconciler is a person"
    context = year_context(reconciler, fiscal_year, now)
    hold_year(context.adm_div_code, fiscal_year)
    listed = {
        row.quota_id: row
        for row in QuotaCancellation.objects.filter(
            adm_div_code=context.adm_div_code, fiscal_year=fiscal_year, state=CancellationState.OPEN
        )
        .select_for_update(no_key=True)
        .order_by("pk")
    }
    quotas = Quota.objects.filter(
        adm_div_code=context.adm_div_code, fiscal_year=fiscal_year, payment_mode__in=controlled_by(Control.QUOTA)
    )
    left = {quota.id: quota.amount_available for quota in quotas}
    new = [
        QuotaCancellation(
            adm_div_code=context.adm_div_code,
            fiscal_year=fiscal_year,
            quota_id=quota_id,
            amount=amount,
            created_by_id=reconciler.person_id,
            created_at=now,
        )
        for quota_id, amount in left.items()
        if amount > 0 and quota_id not in listed
    ]
    copy_rows(new)
    changed = sorted((row.id, left[row.quota_id]) for row in listed.values() if row.amount != left[row.quota_id] > 0)
    update_from_values(QuotaCancellation, {"amount": "numeric"}, changed)
    return len(new) + len(changed)


@transaction.atomic(durable=True)
def enter_bank_list(
    *, list_no: str, amounts: Mapping[UUID, Decimal], reconciler: Actor, now: datetime
) -> Outcome[QuotaCancellation]:
    """Enter what the bank's list says of each line; it may be entered again until the line is applied.

    :raises RoleRequired, DocumentInvalid: for an amount that is none, or without the list's number.
    """
    _require(reconciler, "reconciler", "国库对账")
    if not 0 < len(list_no.strip()) <= 60:
        raise DocumentInvalid("请填写银行清单号（最多 60 字）。", field="list_no")
    _check_amounts(amounts)
    rows = _open_rows(list(amounts), reconciler, now)
    outcome = judge(rows, list(amounts), _is_open)
    values = sorted((row.id, amounts[row.id], list_no.strip()) for row in outcome.accepted)
    update_from_values(QuotaCancellation, {"bank_amount": "numeric", "bank_list_no": "text"}, values)
    return outcome


@transaction.atomic(durable=True)
def confirm_by_unit(*, amounts: Mapping[UUID, Decimal], clerk: Actor, now: datetime) -> Outcome[QuotaCancellation]:
    """Enter what the unit's own books say is left of its quotas.

    :raises RoleRequired, DocumentInvalid: for an amount that is none.
    """
    _require(clerk, "unit_clerk", "单位经办")
    _check_amounts(amounts)
    rows = [row for row in _open_rows(list(amounts), clerk, now) if row.quota.unit.code in clerk.units]
    outcome = judge(rows, list(amounts), _is_open)
    values = sorted((row.id, amounts[row.id], clerk.person_id) for row in outcome.accepted)
    update_from_values(QuotaCancellation, {"unit_amount": "numeric", "unit_by_id": "uuid"}, values)
    return outcome


@transaction.atomic(durable=True)
def apply_cancellations(
    *, cancellation_ids: Sequence[UUID], reconciler: Actor, now: datetime
) -> Outcome[QuotaCancellation]:
    """Cancel the quotas of lines on which all three agree: quota and plan lose it, and the clearing limit as much.

    Refused per item: amounts_differ, role_required, transition_not_allowed.
    :raises ClearingLimitExceeded: if PBoC could then not clear what was paid.
    """
    rows = _open_rows(cancellation_ids, reconciler, now)
    books = lock_balances([row.quota.indicator_id for row in rows], [row.quota_id for row in rows])

    def check(row: QuotaCancellation) -> None:
        check_move(CANCELLATION_FLOW, row, "apply", reconciler)
        left = books.quotas[row.quota_id].amount_available
        if not row.amount == row.bank_amount == row.unit_amount == left:
            raise AmountsDiffer(
                f"财政 {_shown(row.amount)}、银行 {_shown(row.bank_amount)}、单位 {_shown(row.unit_amount)}、"
                f"账面 {_shown(left)} 不一致，不能注销。",
                field="amount",
            )
        if books.quotas[row.quota_id].amount_reserved:
            raise AmountsDiffer("该额度仍有在途支付，不能注销。", field="amount")

    outcome = judge(rows, cancellation_ids, check)
    if not outcome.accepted:
        return outcome
    context = year_context(reconciler, outcome.accepted[0].fiscal_year, now)
    totals: dict[LimitKey, Decimal] = defaultdict(lambda: ZERO)
    for row in outcome.accepted:
        totals[_limit_key(row)] += row.amount
    limits = lock_limits(context.adm_div_code, context.fiscal_year, totals)
    for key, total in totals.items():
        if limits[key].amount_available < total:
            raise ClearingLimitExceeded(
                f"清算额度余额 {limits[key].amount_available:,.2f}，不足以注销 {total:,.2f}，请先完成清算。",
                field="amount",
            )
    move(CANCELLATION_FLOW, outcome.accepted, "apply", by=reconciler, at=now)
    post([_posting(row) for row in outcome.accepted], context)
    post_limits(
        [
            LimitPosting(
                limit_id=limits[_limit_key(row)].id,
                kind="cancel",
                changes={"issued": -row.amount},
                document_type=row._meta.label,
                document_id=row.id,
            )
            for row in outcome.accepted
        ],
        context,
    )
    return outcome


def _open_rows(ids: Sequence[UUID], actor: Actor, now: datetime) -> list[QuotaCancellation]:
    """Lock lines of one year, with that year held open.

    :raises DocumentInvalid: for lines of several years.
    """
    rows = list(
        QuotaCancellation.objects.select_for_update(of=("self",), no_key=True)
        .select_related("quota__indicator", "quota__unit", "quota__payer_account")
        .filter(pk__in=set(ids), adm_div_code=actor.adm_div_code)
        .order_by("pk")
    )
    years = {row.fiscal_year for row in rows}
    if len(years) > 1:
        raise DocumentInvalid("一次只能办理同一年度的注销。", field="ids")
    for fiscal_year in years:
        year_context(actor, fiscal_year, now)
        hold_year(actor.adm_div_code, fiscal_year)
    return rows


def _is_open(row: QuotaCancellation) -> None:
    CANCELLATION_FLOW.find(row.state, "apply")


def _check_amounts(amounts: Mapping[UUID, Decimal]) -> None:
    if not amounts:
        raise NotFound("没有要填写的注销明细。", field="ids")
    for amount in amounts.values():
        if not isinstance(amount, Decimal) or not amount.is_finite() or not ZERO <= amount < LIMIT or amount % FEN:
            raise DocumentInvalid("注销额须为不小于零、精确到分的金额。", field="amount")


def _limit_key(row: QuotaCancellation) -> LimitKey:
    bank_id = row.quota.payer_account.agent_bank_id
    assert bank_id is not None, "a zero-balance account is kept at an agent bank"
    return bank_id, row.quota.payment_mode, row.quota.indicator.fund_nature


def _posting(row: QuotaCancellation) -> Posting:
    return Posting(
        indicator_id=row.quota.indicator_id,
        kind="cancel",
        indicator={"planned": -row.amount},
        quota_id=row.quota_id,
        quota={"granted": -row.amount},
        document_type=row._meta.label,
        document_id=row.id,
        note=row.bank_list_no,
    )


def _shown(amount: Decimal | None) -> str:
    return "未填" if amount is None else f"{amount:,.2f}"


def _require(actor: Actor, role: str, label: str) -> None:
    if role not in actor.roles:
        raise RoleRequired(f"该操作需要岗位：{label}。", field="role", role=role, by=actor.name)
