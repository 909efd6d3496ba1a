"""What the rules of monitoring are told about payment requests, looked up set-based: one query for each kind of fact.

A fact no rule needs is not looked up. What came before a request is taken as of the day it was submitted, so the same
request is judged alike at submit, at its final approval and in a rehearsal.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from budget import methods
from budget.entries import Context
from budget.errors import PayerAccountNotAllowed
from core.errors import TreasuryError
from core.models import Workday
from core.money import ZERO
from monitoring.definitions import Rule
from monitoring.facts import (
    AnnualFacts,
    ContractFacts,
    EarlierPayment,
    ExpenseFacts,
    HistoryFacts,
    Hit,
    InvoiceFacts,
    PayeeFacts,
    PayerFacts,
    PaymentFacts,
    RosterFacts,
)
from monitoring.models import AnnualLimit, ListedPayee, MonitoringRule
from monitoring.parameters import within, words
from monitoring.points import Need, Point
from monitoring.services import hard_hits, record_hits, rules_of, screen
from monitoring.sources import mark_missing
from monitoring.states import EntryState
from parties.models import BankAccount
from payments.contract_use import contract_facts
from payments.errors import MonitoringBlocks
from payments.invoice_use import invoice_facts
from payments.models import PaymentDetail, PaymentRequest, ReceiptLine, Settlement
from payments.rosters import rosters_behind
from payments.states import PAID_STATES, RESERVING

CASH_ACCOUNT_KINDS = (BankAccount.Kind.UNIT_BASIC, BankAccount.Kind.UNIT_SPECIAL)
LIVE = tuple(RESERVING | PAID_STATES)

Asked = Sequence[tuple[Rule, MonitoringRule]]
Requests = Sequence[PaymentRequest]
Details = Mapping[UUID, Sequence[PaymentDetail]]


# Registers beside this one. Each is a function from requests to facts by request id, in one query whatever the batch;
# None where this installation keeps no such register: its rules then judge nothing, and their pages say so.
CONTRACT_FACTS: Callable[[Requests], Mapping[UUID, ContractFacts]] | None = contract_facts
INVOICE_FACTS: Callable[[Requests], Mapping[UUID, tuple[InvoiceFacts, ...]]] | None = invoice_facts
ROSTER_FACTS: Callable[[Requests], Mapping[UUID, RosterFacts]] | None = rosters_behind
EXPENSE_FACTS: Callable[[Requests], Mapping[UUID, ExpenseFacts]] | None = None


def declare_registers() -> None:
    """Tell monitoring which registers there are not."""
    known = {
        Need.CONTRACT: CONTRACT_FACTS,
        Need.INVOICES: INVOICE_FACTS,
        Need.ROSTER: ROSTER_FACTS,
        Need.EXPENSE: EXPENSE_FACTS,
    }
    mark_missing(*(need for need, register in known.items() if register is None))


# Asking -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Screened:
    """Requests as the rules saw them, by request id: the facts and the hits."""

    facts: dict[UUID, PaymentFacts]
    hits: dict[UUID, list[Hit]]

    def of(self, requests: Iterable[PaymentRequest]) -> list[PaymentFacts]:
        return [self.facts[request.id] for request in requests]


def screened(requests: Requests, details: Details, context: Context, point: Point) -> Screened:
    """Ask every rule of this point about these requests; at most one query for each kind of fact, and one for the
    rules."""
    if not requests:
        return Screened({}, {})
    rules = rules_of([context.adm_div_code])
    asked = rules.at(point, context.adm_div_code, context.business_date)
    needs = rules.needs(point, context.adm_div_code, context.business_date)
    live = point == Point.PAYMENT_SUBMIT
    occasions = [
        _Occasion(
            request,
            details[request.id],
            business_date=context.business_date,
            as_of=context.business_date if live else request.submitted_on or context.business_date,
            entered_on=timezone.localdate(context.at),
        )
        for request in requests
    ]
    facts = _Facts(occasions, asked, needs, all_before=live).build()
    return Screened(
        facts={document.document_id: document for document in facts},
        hits=screen(facts, point=point, rules=rules),
    )


def past_facts(requests: Requests, details: Details, asked: Asked) -> list[PaymentFacts]:
    """Return the facts of requests as of the day each was submitted, for a rehearsal of these rules."""
    occasions = []
    for request in requests:
        assert request.submitted_on is not None, "only what was submitted is rehearsed"
        day = request.submitted_on
        occasions.append(_Occasion(request, details[request.id], business_date=day, as_of=day, entered_on=day))
    needs: frozenset[Need] = frozenset().union(*(rule.needs for rule, _ in asked))
    return _Facts(occasions, asked, needs, all_before=False).build()


def check_payer(request: PaymentRequest) -> None:
    """:raises MonitoringBlocks: if the account may not pay (M31). No query: the account is read with the request."""
    hit = hard_hits([_payer_facts(request, request.submitted_on or date.min)], Point.VOUCHER).get(request.id)
    if hit is not None:
        raise _refusal(hit)


def record_payer_refusals(requests: Requests, refused: Mapping[UUID, TreasuryError], context: Context) -> None:
    """Keep an alert for each request whose account may not pay."""
    barred = [r for r in requests if isinstance(refused.get(r.id), MonitoringBlocks)]
    facts = [_payer_facts(request, context.business_date) for request in barred]
    hits = {pk: [hit] for pk, hit in hard_hits(facts, Point.VOUCHER).items()}
    record_hits(facts=facts, hits=hits, at=context.at, point=Point.VOUCHER)


def _refusal(hit: Hit) -> MonitoringBlocks:
    return MonitoringBlocks(hit.told, field=hit.field, rule=hit.rule_code)


def _payer_facts(request: PaymentRequest, day: date) -> PaymentFacts:
    account = request.payer_account
    fault = ""
    try:
        methods.check_payer(request.payment_mode, request.indicator.fund_nature, account)
    except PayerAccountNotAllowed as refusal:
        fault = refusal.message
    return _plain_facts(
        _Occasion(request, (), business_date=day, as_of=day, entered_on=day),
        payer=PayerFacts(account.account_no, fault),
    )


# Looking up ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Occasion:
    """One request at one asking: `as_of` is the day whose past counts, with the request's id for the same day."""

    request: PaymentRequest
    details: Sequence[PaymentDetail]
    business_date: date
    as_of: date
    entered_on: date

    @property
    def order(self) -> tuple[date, UUID]:
        return self.as_of, self.request.id


@dataclass(frozen=True)
class _Spent:
    """Another live request of a unit, or one row of it: when, how much, by cheque or not, to which account."""

    request_id: UUID
    document_no: str
    unit_id: UUID
    on: date
    amount: Decimal
    settlement: str = ""
    code: str = ""
    account_no: str = ""


def _plain_facts(occasion: _Occasion, **found: object) -> PaymentFacts:
    request, indicator = occasion.request, occasion.request.indicator
    values: dict[str, object] = {
        "payees": tuple(PayeeFacts(d.payee_name, d.payee_account_no, d.amount) for d in occasion.details),
        "own_accounts": frozenset(),
        **found,
    }
    return PaymentFacts(
        document_id=request.id,
        document_type=request._meta.label,
        document_no=request.request_no,
        revision=request.revision,
        adm_div_code=request.adm_div_code,
        fiscal_year=request.fiscal_year,
        unit_code=request.unit.code,
        section=request.unit.section,
        amount=request.amount,
        payment_mode=request.payment_mode,
        business_type=request.business_type,
        settlement=request.settlement,
        purpose=request.purpose,
        contract_no=request.contract_no,
        cash_reason=request.cash_reason,
        is_reissue=request.reissue_of_id is not None,
        business_date=occasion.business_date,
        entered_on=occasion.entered_on,
        fund_nature=indicator.fund_nature,
        tags=tuple(indicator.tags),
        function_code=indicator.function_code,
        gov_economic_code=indicator.gov_economic_code,
        dept_economic_code=request.dept_economic_code,
        project_code=indicator.project_code,
        author_id=request.created_by_id,
        **values,  # type: ignore[arg-type]
    )


class _Facts:
    """Everything the rules need to know about a batch, looked up once for all of it."""

    def __init__(
        self, occasions: Sequence[_Occasion], asked: Asked, needs: frozenset[Need], *, all_before: bool
    ) -> None:
        self.occasions, self.needs, self._all_before = occasions, needs, all_before
        self._settings = {rule.code: setting.parameters for rule, setting in asked}
        self._requests = [occasion.request for occasion in occasions]
        self._ids = {request.id for request in self._requests}
        self._region = self._requests[0].adm_div_code
        self._accounts = {d.payee_account_no for occasion in occasions for d in occasion.details}

    def build(self) -> list[PaymentFacts]:
        filed = self._filed() if Need.FILED in self.needs else {}
        listed = self._listed() if Need.LISTED in self.needs else []
        returned = self._returned() if Need.RETURNED in self.needs else {}
        earlier = self._earlier() if Need.EARLIER in self.needs else {}
        months = self._months()
        annual = self._annual() if Need.ANNUAL in self.needs else {}
        off = self._days_off() if Need.CALENDAR in self.needs else frozenset()
        contracts = self._ask(CONTRACT_FACTS, Need.CONTRACT)
        invoices = self._ask(INVOICE_FACTS, Need.INVOICES)
        rosters = self._ask(ROSTER_FACTS, Need.ROSTER)
        expenses = self._ask(EXPENSE_FACTS, Need.EXPENSE)
        return [
            _plain_facts(
                occasion,
                payees=tuple(_payee(d, filed, listed, returned, occasion.business_date) for d in occasion.details),
                own_accounts=frozenset(
                    d.payee_account_no
                    for d in occasion.details
                    if (account := filed.get(d.payee_account_no)) is not None
                    and account.unit_id == occasion.request.unit_id
                    and account.kind in CASH_ACCOUNT_KINDS
                ),
                history=months.history(occasion, earlier.get(occasion.request.id, ())),
                annual=annual.get(occasion.request.id),
                days_off=off,
                contract=contracts.get(occasion.request.id),
                invoices=invoices.get(occasion.request.id, ()),
                roster=rosters.get(occasion.request.id),
                expense=expenses.get(occasion.request.id),
            )
            for occasion in self.occasions
        ]

    def _ask(self, register: Callable[[Requests], Mapping[UUID, object]] | None, need: Need) -> Mapping[UUID, object]:
        return register(self._requests) if register is not None and need in self.needs else {}

    def _filed(self) -> dict[str, BankAccount]:
        rows = BankAccount.objects.filter(adm_div_code=self._region, account_no__in=self._accounts)
        return {account.account_no: account for account in rows.select_related("unit")}

    def _listed(self) -> list[ListedPayee]:
        names = {d.payee_name for occasion in self.occasions for d in occasion.details}
        rows = ListedPayee.objects.filter(adm_div_code=self._region, state=EntryState.ACTIVE)
        named = Q(account_no__in=self._accounts) & ~Q(account_no="") | Q(name__in=names) & ~Q(name="")
        return list(rows.filter(named).order_by("colour", "pk"))

    def _returned(self) -> dict[tuple[str, str], tuple[str, ...]]:
        rows = ReceiptLine.objects.filter(
            adm_div_code=self._region, amount_paid=ZERO, detail__payee_account_no__in=self._accounts
        ).exclude(reason="")
        found: dict[tuple[str, str], tuple[str, ...]] = defaultdict(tuple)
        distinct = rows.values_list("detail__payee_name", "detail__payee_account_no", "reason").distinct()
        for name, account_no, reason in distinct.order_by("reason"):
            found[name, account_no] += (reason,)
        return found

    def _days_off(self) -> frozenset[date]:
        days = {day for occasion in self.occasions for day in (occasion.business_date, occasion.entered_on)}
        return frozenset(Workday.objects.filter(date__in=days, worked=False).values_list("date", flat=True))

    def _before(self, spent: _Spent, occasion: _Occasion) -> bool:
        """Whether that request came before this one; while one is submitted, all that is there came before."""
        if spent.request_id == occasion.request.id:
            return False
        if self._all_before and spent.request_id not in self._ids:
            return spent.on <= occasion.as_of
        return (spent.on, spent.request_id) < occasion.order

    # Same payee in the last days (M09, M19)

    def _earlier(self) -> dict[UUID, tuple[EarlierPayment, ...]]:
        window = timedelta(days=max((self._window(code) for code in ("M09", "M19")), default=0))
        first, last = min(o.as_of for o in self.occasions), max(o.as_of for o in self.occasions)
        units = {request.unit_id for request in self._requests}
        rows = (
            PaymentDetail.objects.filter(
                adm_div_code=self._region,
                payee_account_no__in=self._accounts,
                request__unit_id__in=units,
                request__state__in=LIVE,
                request__submitted_on__range=(first - window, last),
            )
            .exclude(request_id__in=self._ids)
            .values_list(
                *("request_id", "request__request_no", "request__unit_id", "request__submitted_on", "amount"),
                "payee_account_no",
            )
        )
        by_payee: dict[tuple[UUID, str], list[_Spent]] = defaultdict(list)
        for request_id, number, unit_id, on, amount, account_no in rows:
            spent = _Spent(request_id, number, unit_id, on, amount, account_no=account_no)
            by_payee[unit_id, account_no].append(spent)
        for o in self.occasions:
            for d in o.details:
                spent = _Spent(o.request.id, o.request.request_no, o.request.unit_id, o.as_of, d.amount)
                by_payee[o.request.unit_id, d.payee_account_no].append(spent)
        for entries in by_payee.values():
            entries.sort(key=lambda s: (s.on, s.request_id))
        days = _WorkingDays(first - window, last)
        found: dict[UUID, tuple[EarlierPayment, ...]] = {}
        for o in self.occasions:
            mine = {d.payee_account_no for d in o.details}
            found[o.request.id] = tuple(
                EarlierPayment(
                    document_id=spent.request_id,
                    document_no=spent.document_no,
                    account_no=account_no,
                    amount=spent.amount,
                    days=(o.as_of - spent.on).days,
                    work_days=days.between(spent.on, o.as_of),
                )
                for account_no in sorted(mine)
                for spent in by_payee[o.request.unit_id, account_no]
                if self._before(spent, o) and o.as_of - spent.on <= window
            )
        return found

    def _window(self, code: str) -> int:
        """How many calendar days back a rule looks: working days may lie twice as far apart, and ten more."""
        days = int(self._settings[code]["days"]) if code in self._settings else 0
        return days * 2 + 10 if days else 0

    # What the unit has asked for this month (M03, M25), and in the months before (M25)

    def _months(self) -> "_Months":
        cash = [o for o in self.occasions if o.request.settlement == Settlement.CASH_CHEQUE]
        cash = cash if Need.CASH in self.needs else []
        year_end = []
        if Need.MONTHS in self.needs:
            year_end = [o for o in self.occasions if within(self._settings["M25"], "period", o.business_date)]
        months = _Months(self._before, frozenset(o.request.id for o in year_end))
        months.add(self._this_month(cash, Q(settlement=Settlement.CASH_CHEQUE)) if cash else [])
        if year_end:
            months.add(self._this_month(year_end, ~Q(settlement=Settlement.CASH_CHEQUE) if cash else Q()))
            months.add_averages(self._month_averages(year_end))
        if cash or year_end:
            months.add(_as_spent(self.occasions))
        return months

    def _this_month(self, occasions: Sequence[_Occasion], only: Q) -> list[_Spent]:
        first, last = min(o.as_of for o in occasions).replace(day=1), max(o.as_of for o in occasions)
        rows = self._live(occasions).filter(only, submitted_on__range=(first, last))
        return [
            _Spent(pk, number, unit_id, on, amount - failed - refunded, settlement)
            for pk, number, unit_id, on, amount, failed, refunded, settlement in rows.values_list(
                *("id", "request_no", "unit_id", "submitted_on", "amount", "amount_failed", "amount_refunded"),
                "settlement",
            )
        ]

    def _month_averages(self, occasions: Sequence[_Occasion]) -> dict[tuple[UUID, int, int], Decimal]:
        """Return what each unit asked for in each month of the year, for the averages of the months before."""
        first, last = min(o.as_of for o in occasions).replace(month=1, day=1), max(o.as_of for o in occasions)
        rows = self._live(occasions).filter(submitted_on__range=(first, last.replace(day=1) - timedelta(days=1)))
        sums: dict[tuple[UUID, int, int], Decimal] = defaultdict(lambda: ZERO)
        for unit_id, on, amount, failed, refunded in rows.values_list(
            "unit_id", "submitted_on", "amount", "amount_failed", "amount_refunded"
        ):
            sums[unit_id, on.year, on.month] += amount - failed - refunded
        return sums

    def _live(self, occasions: Sequence[_Occasion]):  # type: ignore[no-untyped-def]
        rows = PaymentRequest.objects.filter(adm_div_code=self._region, state__in=LIVE)
        return rows.filter(unit_id__in={o.request.unit_id for o in occasions}).exclude(pk__in=self._ids)

    # The year's limit for one code (M16)

    def _annual(self) -> dict[UUID, AnnualFacts]:
        watched = words(self._settings["M16"], "codes")
        mine = [o for o in self.occasions if o.request.indicator.gov_economic_code in watched]
        if not mine:
            return {}
        rows = AnnualLimit.objects.filter(
            adm_div_code=self._region,
            fiscal_year__in={o.request.fiscal_year for o in mine},
            unit_code__in={o.request.unit.code for o in mine},
            gov_economic_code__in=watched,
            state=EntryState.ACTIVE,
        )
        limits = {(row.fiscal_year, row.unit_code, row.gov_economic_code): row.amount for row in rows}
        if not limits:
            return {}
        spent = [
            _Spent(pk, number, unit_id, on, amount - failed - refunded, code=code)
            for pk, number, unit_id, on, amount, failed, refunded, code in self._live(mine)
            .filter(
                fiscal_year__in={o.request.fiscal_year for o in mine},
                indicator__gov_economic_code__in=watched,
                submitted_on__isnull=False,
            )
            .values_list(
                *("id", "request_no", "unit_id", "submitted_on", "amount", "amount_failed", "amount_refunded"),
                "indicator__gov_economic_code",
            )
        ] + _as_spent(mine)
        found = {}
        for o in mine:
            code = o.request.indicator.gov_economic_code
            limit = limits.get((o.request.fiscal_year, o.request.unit.code, code))
            if limit is not None:
                mates = [s for s in spent if s.unit_id == o.request.unit_id and s.code == code]
                total = sum((s.amount for s in mates if self._in_year(s, o) and self._before(s, o)), ZERO)
                found[o.request.id] = AnnualFacts(code, limit, total)
        return found

    @staticmethod
    def _in_year(spent: _Spent, occasion: _Occasion) -> bool:
        return spent.on.year == occasion.as_of.year


class _Months:
    """The months of some units: what came before a request in its month, and the average of the months before."""

    def __init__(self, before: Callable[[_Spent, _Occasion], bool], averaged: frozenset[UUID]) -> None:
        self._before, self._averaged = before, averaged
        self._spent: dict[tuple[UUID, int, int], list[_Spent]] = defaultdict(list)
        self._sums: Mapping[tuple[UUID, int, int], Decimal] = {}

    def add(self, spent: Iterable[_Spent]) -> None:
        for one in spent:
            self._spent[one.unit_id, one.on.year, one.on.month].append(one)

    def add_averages(self, sums: Mapping[tuple[UUID, int, int], Decimal]) -> None:
        self._sums = sums

    def history(self, occasion: _Occasion, earlier: tuple[EarlierPayment, ...]) -> HistoryFacts:
        key = occasion.request.unit_id, occasion.as_of.year, occasion.as_of.month
        before = [spent for spent in self._spent.get(key, ()) if self._before(spent, occasion)]
        cash = [spent.amount for spent in before if spent.settlement == Settlement.CASH_CHEQUE]
        if occasion.request.id not in self._averaged:
            return HistoryFacts(earlier, sum(cash, ZERO))
        total = sum((spent.amount for spent in before), ZERO)
        return HistoryFacts(earlier, sum(cash, ZERO), total, self._average(*key))

    def _average(self, unit_id: UUID, year: int, month: int) -> Decimal | None:
        if month == 1:
            return None
        total = sum((self._sums.get((unit_id, year, m), ZERO) for m in range(1, month)), ZERO)
        return (total / (month - 1)).quantize(Decimal("0.01"))


class _WorkingDays:
    """Counts working days between two dates; where the calendar is silent, Monday to Friday are taken for worked."""

    def __init__(self, first: date, last: date) -> None:
        known = dict(Workday.objects.filter(date__range=(first, last)).values_list("date", "worked"))
        self._count: dict[date, int] = {}
        passed, day = 0, first
        while day <= last:
            passed += 1 if known.get(day, day.weekday() < 5) else 0
            self._count[day] = passed
            day += timedelta(days=1)

    def between(self, earlier: date, later: date) -> int:
        """Return how many working days lie after `earlier`, up to and with `later`; 0 for the same day."""
        return self._count.get(later, 0) - self._count.get(earlier, 0)


def _as_spent(occasions: Iterable[_Occasion]) -> list[_Spent]:
    return [
        _Spent(
            request_id=o.request.id,
            document_no=o.request.request_no,
            unit_id=o.request.unit_id,
            on=o.as_of,
            amount=o.request.amount,
            settlement=o.request.settlement,
            code=o.request.indicator.gov_economic_code,
        )
        for o in occasions
    ]


def _payee(
    detail: PaymentDetail,
    filed: Mapping[str, BankAccount],
    listed: Sequence[ListedPayee],
    returned: Mapping[tuple[str, str], tuple[str, ...]],
    day: date,
) -> PayeeFacts:
    account = filed.get(detail.payee_account_no)
    entry = next((entry for entry in listed if _is_listed(entry, detail, day)), None)  # black comes first
    return PayeeFacts(
        name=detail.payee_name,
        account_no=detail.payee_account_no,
        amount=detail.amount,
        is_person=looks_like_a_person(detail.payee_name),
        filed_name=account.name if account is not None else "",
        filed_unit=account.unit.code if account is not None and account.unit is not None else "",
        filed_kind=account.kind if account is not None else "",
        listed=entry.colour if entry is not None else "",
        listed_reason=entry.reason if entry is not None else "",
        returned=returned.get((detail.payee_name, detail.payee_account_no), ()),
    )


def _is_listed(entry: ListedPayee, detail: PaymentDetail, day: date) -> bool:
    if day < entry.valid_from or (entry.valid_to is not None and day > entry.valid_to):
        return False
    by_account, by_name = entry.account_no == detail.payee_account_no, entry.name == detail.payee_name
    return (by_account and by_name) if entry.colour == ListedPayee.Colour.WHITE else (by_account or by_name)


_PERSON = re.compile(r"[\u4e00-\u9fff]{2,4}|[\u4e00-\u9fff]{1,10}(·[\u4e00-\u9fff]{1,10})+")
_FIRMS = re.compile(r"[司局厅部委院校厂店站所会社队处室馆中心行库场网集团基金商]$")


def looks_like_a_person(name: str) -> bool:
    """Whether a payee's name reads like a person's: two to four Chinese characters, or parts joined by a dot, and no
    word for an organisation at its end. A form has no field for it; a false guess costs a look, not the money."""
    return _PERSON.fullmatch(name) is not None and _FIRMS.search(name) is None
