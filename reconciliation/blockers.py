"""What keeps a day open: everything in one list, so that it can be cleared away at one go. Reads only."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.db import connection

from core.money import ZERO, format_yuan
from parties.models import AgentBank, Region
from payments.models import PaymentRequest
from payments.states import RequestState
from reconciliation import sql
from reconciliation.accounts import zero_balance_accounts
from reconciliation.matching import Comparison, compare
from reconciliation.models import Discrepancy, Sheet
from reconciliation.states import BANK_PAIRS, CLEAN, PBOC_PAIRS, DiscrepancyState, Pair
from vouchers.models import Delivery, InboxMessage
from vouchers.states import DeliveryState, InboxState

REPORT_OF_PAIR = {Pair.PBOC_CLEARING: "3507", Pair.PBOC_LIMIT: "3510"}


@dataclass(frozen=True)
class Blocker:
    """One reason a day cannot close: a stable code, a sentence, how many, and the page where it is dealt with."""

    code: str
    text: str
    count: int
    url_name: str


@dataclass(frozen=True)
class Counterpart:
    """Whom a pair is compared with; `bank_no` is empty for PBoC."""

    pair: Pair
    organisation: str
    name: str
    bank_no: str


def counterparts(adm_div_code: str) -> list[Counterpart]:
    """Return every (pair, partner) of the region that must be reconciled each day (two queries)."""
    region = Region.objects.get(adm_div_code=adm_div_code)
    banks = list(AgentBank.objects.filter(adm_div_code=adm_div_code).order_by("bank_no"))
    with_banks = [
        Counterpart(pair, bank.organisation, bank.name, bank.bank_no) for pair in BANK_PAIRS for bank in banks
    ]
    treasury = region.pboc_organisation, region.treasury_name
    return with_banks + [Counterpart(pair, *treasury, "") for pair in PBOC_PAIRS]


def latest_sheets(adm_div_code: str, day: date) -> dict[tuple[str, str], Sheet]:
    """Return the last run of each comparison of a day by (pair, partner), in one query."""
    sheets = Sheet.objects.filter(adm_div_code=adm_div_code, date=day).order_by("pair", "partner", "-run")
    return {(sheet.pair, sheet.partner): sheet for sheet in sheets.distinct("pair", "partner")}


def day_blockers(adm_div_code: str, day: date) -> list[Blocker]:
    """Return everything that keeps this day open; empty if it may close."""
    found = [
        *_in_transit(adm_div_code, day),
        *_exchange(adm_div_code, day),
        *_discrepancies(adm_div_code),
        *_sheets(adm_div_code, day),
        *_statements(adm_div_code, day),
        *_accounts(adm_div_code, day),
    ]
    return [blocker for blocker in found if blocker.count]


def _in_transit(adm_div_code: str, day: date) -> Iterator[Blocker]:
    """Payments of this day or before; what was sealed after the cut-off bears a later date and is of that day."""
    waiting = (
        PaymentRequest.objects.filter(adm_div_code=adm_div_code, state__in=[RequestState.SEALED, RequestState.ACCEPTED])
        .exclude(voucher__voucher_date__gt=day)
        .count()
    )
    yield Blocker("payments_unanswered", f"{waiting} 笔支付已发送银行、尚无回单", waiting, "payment-list")


def _exchange(adm_div_code: str, day: date) -> Iterator[Blocker]:
    deliveries = Delivery.objects.filter(adm_div_code=adm_div_code).exclude(voucher__voucher_date__gt=day)
    unknown = deliveries.filter(state__in=[DeliveryState.UNKNOWN, DeliveryState.SENDING]).count()
    queued = deliveries.filter(state=DeliveryState.QUEUED).count()
    inbox = InboxMessage.objects.filter(adm_div_code=adm_div_code)
    parked = inbox.filter(state=InboxState.PARKED).count()
    received = inbox.filter(state=InboxState.RECEIVED).count()
    yield Blocker("deliveries_unknown", f"{unknown} 张凭证发送结果未知", unknown, "exchange-monitor")
    yield Blocker("deliveries_queued", f"{queued} 张凭证待发送", queued, "exchange-monitor")
    yield Blocker("inbox_parked", f"{parked} 份来文等待前置单据", parked, "exchange-monitor")
    yield Blocker("inbox_received", f"{received} 份来文待处理", received, "exchange-monitor")


def _discrepancies(adm_div_code: str) -> Iterator[Blocker]:
    open_ones = Discrepancy.objects.filter(adm_div_code=adm_div_code, state=DiscrepancyState.OPEN).count()
    yield Blocker("discrepancies_open", f"{open_ones} 条对账差错未解决", open_ones, "reconciliation-day")


def _sheets(adm_div_code: str, day: date) -> Iterator[Blocker]:
    """Every pair needs a clean last run, and the books must still say what that run saw."""
    sheets = latest_sheets(adm_div_code, day)
    now = {pair: compare(pair, adm_div_code, day) for pair in Pair}
    missing, different, stale = [], [], []
    for counterpart in counterparts(adm_div_code):
        name = f"{counterpart.pair.label}（{counterpart.name}）"
        sheet = sheets.get((counterpart.pair, counterpart.organisation))
        if sheet is None:
            missing.append(name)
        elif sheet.state not in CLEAN:
            different.append(name)
        elif not _still_holds(sheet, now[counterpart.pair].get(counterpart.bank_no, Comparison())):
            stale.append(name)
    for code, what, names in (
        ("sheets_missing", "尚未对账", missing),
        ("sheets_different", "对账不符", different),
        ("sheets_stale", "对账后账务又有变动，须重新对账", stale),
    ):
        yield Blocker(code, f"{what}：{'、'.join(names)}", len(names), "reconciliation-day")


def _still_holds(sheet: Sheet, now: Comparison) -> bool:
    seen = (sheet.our_count, sheet.our_amount, sheet.their_count, sheet.their_amount)
    return seen == (now.our_count, now.our_amount, now.their_count, now.their_amount)


def _statements(adm_div_code: str, day: date) -> Iterator[Blocker]:
    """A bank that paid that day, and PBoC, must have reported; and a report in packs must be there in full."""
    with connection.cursor() as cursor:
        cursor.execute(_MISSING_REPORTS, {"region": adm_div_code, "date": day, "year": day.year})
        missing = [f"{name} {kind}" for name, kind in cursor.fetchall()]
        cursor.execute(_INCOMPLETE_REPORTS, {"region": adm_div_code, "date": day})
        incomplete = [f"{partner} {kind}（{have}/{packs}）" for partner, kind, have, packs in cursor.fetchall()]
    yield Blocker("statements_missing", f"未收到对账报文：{'、'.join(missing)}", len(missing), "reconciliation-day")
    text = f"对账报文分包未收齐：{'、'.join(incomplete)}"
    yield Blocker("statements_incomplete", text, len(incomplete), "reconciliation-day")


def _accounts(adm_div_code: str, day: date) -> Iterator[Blocker]:
    left = [account for account in zero_balance_accounts(adm_div_code, day) if account.closing != ZERO]
    names = "、".join(f"{account.name} {account.account_no} {format_yuan(account.closing)}" for account in left)
    yield Blocker("zero_balance_not_zero", f"零余额账户余额不为零：{names}", len(left), "reconciliation-day")


_MISSING_REPORTS = f"""
WITH activity AS (
    SELECT DISTINCT bank_no, {sql.REPORT_OF} AS kind FROM (
        SELECT bank_no, payment_mode FROM ({sql.OUR_PAYMENTS}) p
        UNION ALL SELECT bank_no, payment_mode FROM ({sql.OUR_FUNDS}) o
        UNION ALL SELECT bank_no, payment_mode FROM ({sql.OUR_REFUNDS}) f) x
), expected AS (
    SELECT b.organisation AS partner, b.name, a.kind
      FROM activity a JOIN parties_agentbank b ON b.adm_div_code = %(region)s AND b.bank_no = a.bank_no
    UNION ALL
    SELECT r.pboc_organisation, r.treasury_name, '3507' FROM parties_region r
     WHERE r.adm_div_code = %(region)s AND EXISTS (SELECT 1 FROM payments_clearing c
           WHERE c.adm_div_code = %(region)s AND c.cleared_on = %(date)s)
    UNION ALL
    SELECT r.pboc_organisation, r.treasury_name, '3508' FROM parties_region r
     WHERE r.adm_div_code = %(region)s AND EXISTS (SELECT 1 FROM ({sql.OUR_APPROPRIATIONS}) p)
    UNION ALL
    SELECT r.pboc_organisation, r.treasury_name, '3510' FROM parties_region r
     WHERE r.adm_div_code = %(region)s AND EXISTS (SELECT 1 FROM budget_clearinglimit l
           WHERE l.adm_div_code = %(region)s AND l.fiscal_year = %(year)s)
)
SELECT name, kind FROM expected e
 WHERE NOT EXISTS (SELECT 1 FROM reconciliation_statement s
                    WHERE s.adm_div_code = %(region)s AND s.date = %(date)s AND s.partner = e.partner
                      AND s.voucher_type = e.kind)
 ORDER BY name, kind
"""
_INCOMPLETE_REPORTS = f"""
SELECT s.partner, s.voucher_type, count(DISTINCT s.pack), max(s.packs) FROM reconciliation_statement s
 WHERE s.adm_div_code = %(region)s AND s.date = %(date)s AND {sql.CURRENT}
 GROUP BY s.partner, s.voucher_type, s.scope, s.fund_nature, s.sheet_no HAVING count(DISTINCT s.pack) < max(s.packs)
 ORDER BY 1, 2
"""
