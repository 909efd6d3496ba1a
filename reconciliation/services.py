"""Matching a day, settling its differences, and closing it. Nothing here touches a source document."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

from django.db import connection, transaction

from core.actors import Actor
from core.batch import copy_rows
from core.errors import DayClosed, NotFound, RoleRequired
from core.models import BusinessDay
from core.transitions import move
from parties.errors import ActedBefore
from parties.models import ReviewDecision
from payments.models import PaymentRequest
from reconciliation.accounts import ZeroBalanceAccount, zero_balance_accounts
from reconciliation.blockers import Blocker, Counterpart, counterparts, day_blockers, latest_sheets
from reconciliation.differences import classify
from reconciliation.digest import day_digest
from reconciliation.errors import DayNotClosable, ReasonMissing, ResolvedByRerun
from reconciliation.matching import Comparison, compare, look_elsewhere
from reconciliation.models import Discrepancy, Sheet
from reconciliation.states import (
    ACCEPTABLE,
    DISCREPANCY_FLOW,
    SHEET_FLOW,
    DiscrepancyState,
    Pair,
    SheetState,
)

__all__ = [
    "Blocker",
    "ZeroBalanceAccount",
    "close_day",
    "day_blockers",
    "match_day",
    "resolve_discrepancy",
    "zero_balance_accounts",
]

NOTE_LENGTH = 300


@transaction.atomic(durable=True)
def match_day(*, adm_div_code: str, date: date, by: Actor, now: datetime) -> list[Sheet]:
    """Compare every pair with every partner for the open day and keep each comparison as a new run.

    Open differences of the run before are resolved by this one: gone, or carried over into it. A difference a person
    has accepted stays accepted as long as nothing about it changes. The number of SQL statements does not depend on
    the number of lines.

    :raises RoleRequired: if the actor is no reconciler.
    :raises DayClosed: if the date is not the open day.
    """
    _require_reconciler(by)
    day = _open_day(adm_div_code, date, lock="SHARE")
    with connection.cursor() as cursor:  # one matching of a region at a time: runs are numbered
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"match_day {adm_div_code}"])
    before = latest_sheets(adm_div_code, date)
    earlier = _discrepancies_of(before.values())
    sheets, discrepancies = [], []
    partners = counterparts(adm_div_code)
    for pair in Pair:
        found = compare(pair, adm_div_code, date)
        one_sided = [m.key for c in found.values() for m in c.mismatches if None in (m.our_amount, m.their_amount)]
        elsewhere = look_elsewhere(pair, adm_div_code, date, one_sided)
        for partner in (counterpart for counterpart in partners if counterpart.pair == pair):
            comparison = found.get(partner.bank_no, Comparison())
            previous = before.get((pair, partner.organisation))
            sheet = _sheet(day, partner, comparison, previous, by, now)
            for mismatch in comparison.mismatches:
                verdict = classify(pair, mismatch, elsewhere.get(mismatch.key))
                discrepancies.append(
                    Discrepancy(
                        adm_div_code=adm_div_code,
                        fiscal_year=day.fiscal_year,
                        sheet=sheet,
                        type=verdict.type,
                        voucher_type=mismatch.voucher_type,
                        voucher_no=mismatch.voucher_no,
                        detail_id=mismatch.detail_id,
                        our_amount=verdict.our_amount,
                        their_amount=verdict.their_amount,
                        explanation=verdict.explanation,
                        suggestion=verdict.suggestion,
                        owner=verdict.owner,
                    )
                )
            sheets.append(sheet)
    _keep_accepted(discrepancies, earlier)
    copy_rows(sheets)
    copy_rows(discrepancies)
    _close_earlier(earlier, discrepancies, sheets, by, now)
    _settle(sheets, discrepancies, by, now)
    return sheets


def _sheet(
    day: BusinessDay, partner: Counterpart, found: Comparison, previous: Sheet | None, by: Actor, now: datetime
) -> Sheet:
    return Sheet(
        adm_div_code=day.adm_div_code,
        fiscal_year=day.fiscal_year,
        pair=partner.pair,
        partner=partner.organisation,
        partner_name=partner.name,
        date=day.date,
        run=previous.run + 1 if previous else 1,
        our_count=found.our_count,
        our_amount=found.our_amount,
        their_count=found.their_count,
        their_amount=found.their_amount,
        difference=found.their_amount - found.our_amount,
        unreported=found.unreported,
        state=SheetState.MATCHED if found.is_clean else SheetState.DIFFERENT,
        made_by=by.name,
        at=now,
    )


def _discrepancies_of(sheets: Iterable[Sheet]) -> list[Discrepancy]:
    ids = [sheet.id for sheet in sheets]
    return list(Discrepancy.objects.select_for_update(of=("self",)).select_related("sheet").filter(sheet__in=ids))


def _identity(row: Discrepancy) -> tuple[object, ...]:
    """What makes a difference the same one in the next run."""
    key = (row.sheet.pair, row.sheet.partner, row.type, row.voucher_type, row.voucher_no, row.detail_id)
    return (*key, row.our_amount, row.their_amount, row.explanation)


def _keep_accepted(found: list[Discrepancy], earlier: list[Discrepancy]) -> None:
    """Carry a person's acceptance over to the same difference in the new run."""
    accepted = {_identity(row): row for row in earlier if row.state == DiscrepancyState.RESOLVED}
    for row in found:
        before = accepted.get(_identity(row))
        if before is not None:
            row.state, row.resolution = DiscrepancyState.RESOLVED, before.resolution
            row.resolved_by, row.resolved_at = before.resolved_by, before.resolved_at


def _close_earlier(
    earlier: list[Discrepancy], found: list[Discrepancy], sheets: list[Sheet], by: Actor, now: datetime
) -> None:
    """Resolve the open differences of the run before: what is still there is open in the new run."""
    waiting = [row for row in earlier if row.state == DiscrepancyState.OPEN]
    still = {_place(row) for row in found}
    for gone in (True, False):
        rows = [row for row in waiting if (_place(row) not in still) == gone]
        run = max((sheet.run for sheet in sheets), default=0)
        text = f"第 {run} 次对账已无此差异" if gone else f"第 {run} 次对账仍有差异，转入该次处理"
        _resolve(rows, text, by, now)


def _place(row: Discrepancy) -> tuple[str, str, str, str, str]:
    return row.sheet.pair, row.sheet.partner, row.voucher_type, row.voucher_no, row.detail_id


def _resolve(rows: list[Discrepancy], resolution: str, by: Actor, now: datetime) -> None:
    if not rows:
        return
    Discrepancy.objects.filter(pk__in=[row.pk for row in rows]).update(
        resolution=resolution, resolved_by=by.name, resolved_at=now
    )
    move(DISCREPANCY_FLOW, rows, "resolve", by=by, at=now, reason=resolution)


def _settle(sheets: Sequence[Sheet], rows: Sequence[Discrepancy], by: Actor, now: datetime) -> None:
    """Settle the sheets whose differences a person has accepted one and all."""
    waiting = {row.sheet_id for row in rows if row.state == DiscrepancyState.OPEN}
    having = {row.sheet_id for row in rows}
    done = [
        sheet
        for sheet in sheets
        if sheet.state == SheetState.DIFFERENT
        and sheet.id in having
        and sheet.id not in waiting
        and not sheet.unreported
    ]
    move(SHEET_FLOW, done, "settle", by=by, at=now, reason="差错均已确认")


@transaction.atomic(durable=True)
def resolve_discrepancy(*, discrepancy_id: UUID, note: str, by: Actor, now: datetime) -> Discrepancy:
    """Accept a difference in which the money is the same on both sides (D5, D6), with a reason.

    Any other difference is resolved by the business document it calls for and the next run.

    :raises RoleRequired: if the actor is no reconciler.
    :raises NotFound: if there is no such difference in the actor's region.
    :raises ReasonMissing: if the note is empty or longer than 300 characters.
    :raises ResolvedByRerun: if money differs.
    :raises TransitionNotAllowed: if it is resolved already.
    :raises ActedBefore: if the reconciler has had a part in the document, by himself or as whom another acted for.
    """
    _require_reconciler(by)
    row = (
        Discrepancy.objects.select_for_update(of=("self",))
        .select_related("sheet")
        .filter(pk=discrepancy_id, adm_div_code=by.adm_div_code)
        .first()
    )
    if row is None:
        raise NotFound("差错不存在或不在您的权限范围内。", field="discrepancy_id")
    note = note.strip()
    if not 0 < len(note) <= NOTE_LENGTH:
        raise ReasonMissing(f"请填写处理说明（不超过 {NOTE_LENGTH} 字）。", field="note")
    DISCREPANCY_FLOW.find(row.state, "resolve")
    if by.person_id in _involved(row):
        raise ActedBefore("您经办、审核、制单或签章过该单据，不能处理它的差错（岗位分离）。", field="reconciler")
    if row.type not in ACCEPTABLE:
        raise ResolvedByRerun(f"该差错须先处理单据再重新对账：{row.suggestion}", field="type", type=row.type)
    _open_day(row.adm_div_code, row.sheet.date, lock="SHARE")
    _resolve([row], note, by, now)
    row.refresh_from_db()
    sheet = Sheet.objects.select_for_update().get(pk=row.sheet_id)
    _settle([sheet], list(sheet.discrepancies.all()), by, now)
    return row


def _involved(row: Discrepancy) -> set[UUID | None]:
    """Who has made, reviewed (also by a delegate) or sealed what the difference is about."""
    request = (
        PaymentRequest.objects.select_related("voucher")
        .filter(
            adm_div_code=row.adm_div_code,
            fiscal_year=row.fiscal_year,
            voucher_type=row.voucher_type,
            voucher_no=row.voucher_no,
        )
        .first()
    )
    if request is None:
        return set()
    decisions = ReviewDecision.objects.filter(document_id=request.pk).values_list(
        "person_id", "delegation__delegator_id"
    )
    persons: set[UUID | None] = {person for pair in decisions for person in pair}
    if request.voucher is not None:
        persons |= {request.voucher.made_by_id, request.voucher.sealed_by_id}
    return (persons | {request.created_by_id}) - {None}


@transaction.atomic(durable=True)
def close_day(*, adm_div_code: str, by: Actor, now: datetime) -> BusinessDay:
    """Close the region's open day and store the digest of its entries; a closed day never opens again.

    Takes the day's row exclusively: use cases that hold it in share mode finish first, later ones find no open day.

    :raises RoleRequired: if the actor is no reconciler.
    :raises DayClosed: if no day is open.
    :raises DayNotClosable: with every reason there is.
    """
    _require_reconciler(by)
    day = _open_day(adm_div_code, None, lock="UPDATE")
    blockers = day_blockers(adm_div_code, day.date)
    if blockers:
        raise DayNotClosable(blockers)
    day.closed_at, day.closed_by, day.digest = now, by.name, day_digest(adm_div_code, day.date)
    day.save(update_fields=["closed_at", "closed_by", "digest"])
    return day


def _open_day(adm_div_code: str, wanted: date | None, *, lock: str) -> BusinessDay:
    """Lock and return the region's open day, which must be the wanted one if one is named."""
    rows = BusinessDay.objects.raw(
        f"SELECT * FROM core_businessday WHERE adm_div_code = %s AND closed_at IS NULL FOR {lock}", [adm_div_code]
    )
    for day in rows:
        if wanted is None or day.date == wanted:
            return day
    raise DayClosed("该日不是开放的业务日。", field="business_date", date=wanted.isoformat() if wanted else "")


def _require_reconciler(by: Actor) -> None:
    if "reconciler" not in by.roles:
        raise RoleRequired("该操作需要岗位：国库对账。", field="role", role="reconciler", by=by.name)
