"""A city that lives through its business days in one process: its clock, its partners with books of their own, its
routine of a day from opening to close, and a ledger beside the database that only adds up what was done.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from budget import services as budget
from budget.models import QuotaNotice
from budget.services import IncomeInput
from core.calendar import start_day
from demo import world
from payments import services
from payments.models import Correction, PaymentRequest, Recall, Refund
from reconciliation.services import close_day, day_blockers, match_day
from tests import acts, bank, corrected
from tests.bank import Partner
from vouchers.codec import decode_content
from vouchers.messages import EnvelopeBody, VoucherContent
from vouchers.models import ExchangePartner, Voucher
from vouchers.pulling import AnsweredItem, answer_pulled
from vouchers.states import DeliveryState

D = Decimal
ZERO = D("0.00")
CLEARED = ("11", "12")
REPORT_OF = {"12": "2205", "31": "2205", "11": "2206", "81": "2206"}
TODAYS = {0: {"PayDate"}, 1: {"XPayDate", "XClearDate", "XAccDate"}}  # dates a partner writes, by flag
WHOSE = {"SupDepCode": "101", "SupDepName": "市教育局", "ExpFuncCode": "2050101", "ExpFuncName": "行政运行"}


def wire(amount: Decimal) -> str:
    return f"{amount:.2f}"


class Counterpart(Partner):
    """A bank or PBoC that lives in the city's time and keeps books of its own of what it did today."""

    def __init__(self, pki: Path, organisation: str) -> None:
        super().__init__(pki, organisation)
        self.day, self.now = world.DAY, datetime(2026, 6, 15, 1, tzinfo=UTC)
        self.lines: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)  # (payment mode, fund) → lines
        self.cleared: list[dict[str, str]] = []
        self.limits: dict[tuple[str, str, str], list[Decimal]] = {}  # key → opening, issued, cleared of today

    def content(
        self, kind: str, number: str, main: dict[str, Any], details: Sequence[dict[str, Any]]
    ) -> VoucherContent:
        return VoucherContent(kind, number, world.REGION, self.day.year, self.day, main, tuple(details))

    def body(self, content: VoucherContent, flag: int) -> EnvelopeBody:
        def dated(values: Any) -> dict[str, str]:
            return {tag: f"{self.day:%Y%m%d}" if tag in TODAYS[flag] else text for tag, text in values.items()}

        details = tuple(dated(line) for line in content.details)
        return super().body(replace(content, main=dated(content.main), details=details), flag)

    def tell(self, *bodies: EnvelopeBody) -> None:
        """Send, and be understood."""
        for answer in self.send(*bodies, now=self.now):
            assert answer.outcome == "applied", (self.organisation, answer)

    def book(self, request: PaymentRequest, seq: int, amount: Decimal) -> None:
        """Write down a payment, or with a negative amount what came back of one."""
        line = {
            "VoucherNo": request.voucher_no,
            "PayAmt": wire(amount),
            "PayDate": f"{self.day:%Y%m%d}",
            "AgencyCode": request.unit.code,
        }
        if request.payment_mode == "91":
            line["PayDetailId"] = str(seq)
        else:
            line |= {"VoucherBillId": str(seq), "Hold1": request.voucher_type}
        if amount > 0:
            line["PayeeAcctNo"] = request.details.get(seq=seq).payee_account_no
        self.lines[request.payment_mode, request.indicator.fund_nature].append(line)

    def numbered(self, lines: Iterable[dict[str, str]]) -> list[dict[str, str]]:
        return [{"Id": str(position), **line} for position, line in enumerate(lines, start=1)]


@dataclass
class Account:
    """What the ledger of the test knows of an indicator, in yuan."""

    total: Decimal = ZERO
    paid: Decimal = ZERO
    refunded: Decimal = ZERO

    @property
    def unused(self) -> Decimal:
        return self.total - self.paid + self.refunded


@dataclass
class Wish:
    """A request somebody fills in today; `failed` are the lines its bank will not be able to pay, with why."""

    no: str
    given: services.RequestInput
    failed: dict[str, str]


class City:
    """临江市 with its officers and partners. `ledger` is the test's own, by the short name of the indicator."""

    def __init__(self, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.bank_a, self.bank_b = Counterpart(pki, world.BANK_A), Counterpart(pki, world.BANK_B)
        self.pboc = Counterpart(pki, world.PBOC)
        self.partners = {p.organisation: p for p in (self.bank_a, self.bank_b, self.pboc)}
        self.day, self.serial = world.DAY, 0
        self.numbers = {row.no: row.no for row in world.INDICATORS}  # short name → indicator of the open year
        self.ledger = {row.no: Account(D(row.total), D(row.paid)) for row in world.INDICATORS}
        self.to_clear: list[tuple[PaymentRequest, int]] = []
        self.refunds_to_clear: list[Refund] = []
        self.closed = 0
        numbers = {"102990100019": "BANK-A", "103990100027": "BANK-B"}
        for organisation, mode, left in world.CLEARING_LIMITS:
            [number] = [n for n, name in numbers.items() if name == organisation]
            self.pboc.limits[number, mode, "11"] = [D(left), ZERO, ZERO]

    # The clock ---------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.pboc.now

    def set_clock(self, day: date, hour: int = 9) -> None:
        """Everybody's clock, the short ways of the other tests included."""
        now = datetime(day.year, day.month, day.day, hour - 8, tzinfo=UTC)
        self.day = day
        for partner in self.partners.values():
            partner.day, partner.now = day, now
        for module in (acts, corrected):
            self.monkeypatch.setattr(module, "NOW", now)

    def next_number(self) -> int:
        self.serial += 1
        return self.serial

    # Paying ------------------------------------------------------------------------------------------------------

    def indicator(self, no: str) -> Any:
        return world.indicator(self.numbers[no])

    def wish(self, no: str, *lines: Any, failed: dict[str, str] | None = None, **changes: Any) -> Wish:
        given = acts.wanted(no, details=tuple(lines), indicator_id=self.indicator(no).id, **changes)
        return Wish(no, given, failed or {})

    def sent(self, *wishes: Wish) -> list[PaymentRequest]:
        """From draft to the payer's hands, one batch for each clerk and chain; in the order given."""
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for position, wish in enumerate(wishes):
            groups[acts.CLERK_OF[wish.no], self.indicator(wish.no).payment_mode].append(position)
        made: dict[int, PaymentRequest] = {}
        for (clerk, _mode), positions in groups.items():
            officer = world.officer(f"{clerk}-jb")
            drafts = services.save_drafts(inputs=[wishes[p].given for p in positions], clerk=officer, now=self.now)
            acts.submit(*drafts).raise_if_refused()
            self._dispose(drafts)
            acts.approve_all(*acts.fresh(*drafts))
            acts.issue(*drafts).raise_if_refused()
            acts.seal(*drafts).raise_if_refused()
            made |= dict(zip(positions, acts.fresh(*drafts), strict=True))
        self.collect()
        return acts.fresh(*[made[position] for position in range(len(wishes))])

    def _dispose(self, drafts: Sequence[PaymentRequest]) -> None:
        """What monitoring holds is looked at by its officer, and let pass."""
        held = [request.id for request in acts.fresh(*drafts) if request.state == "on_hold"]
        if held:
            services.dispose_held_requests(
                request_ids=held, officer=world.officer("gk-jk"), passed=True, reason="已核验", now=self.now
            ).raise_if_refused()

    def pay(self, *wishes: Wish) -> list[PaymentRequest]:
        """Everything from draft to the payers' receipts; the ledger adds up what was paid."""
        requests = self.sent(*wishes)
        for wish, request in zip(wishes, requests, strict=True):
            self.receive(wish.no, request, wish.failed)
        return acts.fresh(*requests)

    def receive(self, no: str, request: PaymentRequest, failed: dict[str, str] | None = None) -> None:
        payer = self.payer(request)
        payer.tell(payer.receipt(request.voucher, failed=failed))
        for detail in request.details.order_by("seq"):
            if str(detail.seq) in (failed or {}):
                continue
            payer.book(request, detail.seq, detail.amount)
            self.ledger[no].paid += detail.amount
            if request.payment_mode in CLEARED:
                self.to_clear.append((request, detail.seq))

    def payer(self, request: PaymentRequest) -> Counterpart:
        if request.payment_mode == "91":
            return self.pboc
        return self.partners[request.payer_account.agent_bank.organisation]

    # What comes back ---------------------------------------------------------------------------------------------

    def refund(self, no: str, request: PaymentRequest, seq: int, amount: str, *, year: int | None = None) -> Refund:
        """The payer says that a part came back; `year` for a payment of that year, earlier than the open one."""
        payer, number = self.payer(request), f"TK{self.next_number():06d}"
        if request.payment_mode == "91":
            detail = {"Id": "1", "OriVouDetailNo": str(seq), "Amt": f"-{amount}", "Remark": "收款账户已销户"}
            main = {"Id": number, "OriBillNo": request.voucher_no, "FundTypeCode": "11", "PayTypeCode": "91"}
            main |= {"PayAcctNo": world.ACCOUNT_TREASURY, "PayAmt": f"-{amount}"}
            notice = payer.body(payer.content("3208", number, main, [detail]), 0)
        else:
            kind = {"2205": "2204", "2206": "2203"}[REPORT_OF[request.payment_mode]]
            code = request.payer_account.agent_bank.code
            of = request.voucher_type if request.payment_mode in ("31", "81") else ""
            notice = payer.refund(number, request, seq, amount, kind=kind, of=of, PayBankCode=code)
        if year is not None:
            content, _ = decode_content(notice.text)
            content = replace(content, fiscal_year=year)
            if "StYear" in content.main:
                content = replace(content, main={**content.main, "StYear": str(year)})
            notice = payer.body(content, 0)
        payer.tell(notice)
        payer.book(request, seq, -D(amount))
        if year is None:
            self.ledger[no].refunded += D(amount)
        refund = Refund.objects.select_related("detail__request").get(notice_no=number)
        if request.payment_mode in CLEARED:
            self.refunds_to_clear.append(refund)
        return refund

    def correct(self, no: str, to: str, request: PaymentRequest, amount: str, code: str) -> Correction:
        """Carry a part of a payment on another indicator: asked, approved, sent to PBoC, executed."""
        prefix = acts.CLERK_OF[no]
        made = corrected.asked(request, self.indicator(to), amount, code=code, clerk=f"{prefix}-jb")
        corrected.submit(made, f"{prefix}-jb").raise_if_refused()
        corrected.approve_all(made, (f"{prefix}-fh", acts.SECTION_OF[prefix], "gk-sh"))
        corrected.issue(made).raise_if_refused()
        corrected.seal(made).raise_if_refused()
        self.collect()
        self.pboc.tell(corrected.receipt(self.pboc, made))
        self.ledger[no].paid -= D(amount)
        self.ledger[to].paid += D(amount)
        return corrected.fresh(made)

    def withdraw(self, wish: Wish) -> PaymentRequest:
        """Sealed, asked back by its clerk, let go by the bank: nothing is paid."""
        officer = world.officer(f"{acts.CLERK_OF[wish.no]}-jb")
        [draft] = services.save_drafts(inputs=[wish.given], clerk=officer, now=self.now)
        acts.submit(draft).raise_if_refused()
        self._dispose([draft])
        acts.approve_all(*acts.fresh(draft))
        acts.issue(draft).raise_if_refused()
        acts.seal(draft).raise_if_refused()
        [request] = acts.fresh(draft)
        services.ask_recalls(request_ids=[request.id], clerk=officer, reason="重复", now=self.now).raise_if_refused()
        recall = Recall.objects.get(request=request)
        services.decide_recalls(
            recall_ids=[recall.id], officer=world.officer("gk-sh"), approve=True, now=self.now
        ).raise_if_refused()
        self._answer([request.voucher], "return", "应撤回停付")
        assert services.withdraw_returned_requests(adm_div_code=world.REGION, now=self.now)
        self.collect()
        return acts.fresh(request)[0]

    # Partners' hands ---------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Partners take what waits for them and sign for it; PBoC enters the limits it is told of."""
        waiting = Voucher.objects.filter(delivery__state=DeliveryState.QUEUED)
        by_receiver: dict[str, list[Voucher]] = defaultdict(list)
        for voucher in waiting.order_by("pk"):
            by_receiver[voucher.receiver].append(voucher)
            if voucher.voucher_type in ("5106", "5108"):
                main = decode_content(bytes(voucher.text))[0].main
                mode, tag = {"5106": ("12", "PlanAmt"), "5108": ("11", "PayAmt")}[voucher.voucher_type]
                self._limit(main["PayBankNo"], mode, main["FundTypeCode"])[1] += D(main[tag])
        for vouchers in by_receiver.values():
            self._answer(vouchers, "sign_for", "")

    def _limit(self, bank_no: str, mode: str, fund: str) -> list[Decimal]:
        return self.pboc.limits.setdefault((bank_no, mode, fund), [ZERO, ZERO, ZERO])

    def _answer(self, vouchers: Sequence[Voucher], action: str, reason: str) -> None:
        items = [AnsweredItem(v.adm_div_code, v.fiscal_year, v.voucher_type, v.voucher_no, reason) for v in vouchers]
        partner = ExchangePartner.objects.get(pk=vouchers[0].receiver)
        for result in answer_pulled(partner=partner, items=items, action=action, now=self.now):
            assert result.error is None, result

    def clear(self) -> None:
        """16:00: banks ask PBoC for what they paid, and PBoC takes back what came back."""
        paid: dict[tuple[str, str], list[tuple[PaymentRequest, int]]] = defaultdict(list)
        for request, seq in self.to_clear:
            paid[self.payer(request).organisation, request.payment_mode].append((request, seq))
        for (organisation, mode), lines in paid.items():
            number = f"HK{organisation[-1]}{mode}{self.next_number():06d}"
            self._cleared(organisation, mode, bank.clearing(self.partners[organisation], self.pboc, number, lines))
        back: dict[tuple[str, str, int], list[Refund]] = defaultdict(list)
        for refund in self.refunds_to_clear:
            [request] = acts.fresh(refund.detail.request)
            refund.detail.request = request
            back[self.payer(request).organisation, request.payment_mode, refund.fiscal_year].append(refund)
        for (organisation, mode, year), refunds in back.items():
            number = f"HT{organisation[-1]}{mode}{self.next_number():06d}"
            bodies = bank.refund_clearing(self.partners[organisation], self.pboc, number, refunds)
            if year != self.day.year:
                bodies = tuple(self._of_year(body, organisation, year) for body in bodies)  # type: ignore[assignment]
            self._cleared(organisation, mode, bodies, limited=year == self.day.year)
        self.to_clear, self.refunds_to_clear = [], []

    def _of_year(self, body: EnvelopeBody, organisation: str, year: int) -> EnvelopeBody:
        content, _ = decode_content(body.text)
        main = content.main | ({"StYear": str(year)} if "StYear" in content.main else {})
        partner = self.pboc if body.flag else self.partners[organisation]
        return partner.body(replace(content, fiscal_year=year, main=main), body.flag)

    def _cleared(
        self, organisation: str, mode: str, bodies: tuple[EnvelopeBody, EnvelopeBody], *, limited: bool = True
    ) -> None:
        self.partners[organisation].tell(bodies[0])
        self.pboc.tell(bodies[1])
        content, _ = decode_content(bodies[1].text)
        number = "103990100027" if organisation == world.BANK_B else "102990100019"
        for line in content.details:
            self.pboc.cleared.append(
                {
                    "PayAgentBillNo": content.voucher_no,
                    "PayDetailId": line["Id"],
                    "VoucherNo": line.get("OriVoucherNo") or line["VoucherNo"],
                    "PayBankNo": number,
                    "PayTypeCode": mode,
                    "PayAmt": line["PayAmt"],
                    **WHOSE,
                }
            )
            if limited:
                self._limit(number, mode, content.main["FundTypeCode"])[2] += D(line["PayAmt"])

    # The day -----------------------------------------------------------------------------------------------------

    def open(self, day: date) -> None:
        if day.year != self.day.year:
            self.pboc.limits.clear()  # PBoC's limits lapse with their year
        self.set_clock(day)
        start_day(adm_div_code=world.REGION, day=day, cut_off="16:00", by=world.officer("gk-dz"), now=self.now)

    def report(self) -> None:
        """Every partner says what its own books have of today."""
        for partner in (self.bank_a, self.bank_b):
            for (mode, fund), lines in partner.lines.items():
                self._bank_report(partner, mode, fund, lines)
            partner.lines.clear()
        if self.pboc.cleared:
            self._statement("3507", self.pboc.cleared)
        if appropriations := self.pboc.lines.pop(("91", "11"), []):
            self._statement("3508", appropriations)
        lines = [
            {
                "PayBankNo": bank_no,
                "PayTypeCode": mode,
                "FundTypeCode": fund,
                "PreDateMoney": wire(opening),
                "ClearAmt": wire(issued),
                "CurReckMoney": wire(cleared),
                "CurDateMoney": wire(opening + issued - cleared),
                "PayTypeName": "支付",
                **WHOSE,
            }
            for (bank_no, mode, fund), (opening, issued, cleared) in self.pboc.limits.items()
        ]
        if lines:
            self._statement("3510", lines, total="ClearAmt")
        self.pboc.cleared.clear()
        for key, (opening, issued, cleared) in self.pboc.limits.items():
            self.pboc.limits[key] = [opening + issued - cleared, ZERO, ZERO]

    def _bank_report(self, partner: Counterpart, mode: str, fund: str, lines: list[dict[str, str]]) -> None:
        amounts = [D(line["PayAmt"]) for line in lines]
        number = f"RB{self.next_number():06d}"
        main = {
            "Id": number,
            "PayAmt": wire(sum(amounts, ZERO)),
            "PosAmt": wire(sum((a for a in amounts if a > 0), ZERO)),
            "NegAmt": wire(sum((a for a in amounts if a < 0), ZERO)),
            "PayBankCode": {world.BANK_A: "102", world.BANK_B: "103"}[partner.organisation],
            "PayTypeCode": mode,
            "FundTypeCode": fund,
            "Hold1": "1/1",
        }
        partner.tell(partner.body(partner.content(REPORT_OF[mode], number, main, partner.numbered(lines)), 0))

    def _statement(self, kind: str, lines: Sequence[dict[str, str]], *, total: str = "PayAmt") -> None:
        number, today = f"DZ{self.next_number():06d}", f"{self.day:%Y%m%d}"
        head = {"VoucherCheckNo": number, "ChildPackNum": "1", "CurPackNo": "1", "TreCode": "9901000000"}
        head |= {"BeginDate": today, "EndDate": today, "AllNum": str(len(lines))}
        head["AllAmt"] = wire(sum((D(line[total]) for line in lines), ZERO))
        self.pboc.tell(self.pboc.body(self.pboc.content(kind, number, head, self.pboc.numbered(lines)), 0))

    def evening(self, *, clear: bool = True) -> None:
        """Clearing, the partners' reports, the matching: everything of a day but its close."""
        self.set_clock(self.day, 17)
        if clear:
            self.clear()
        self.collect()
        self.report()
        match_day(adm_div_code=world.REGION, date=self.day, by=world.officer("gk-dz"), now=self.now)

    def close(self) -> None:
        left = day_blockers(world.REGION, self.day)
        assert left == [], (self.day, left)
        close_day(adm_div_code=world.REGION, by=world.officer("gk-dz"), now=self.now)
        self.closed += 1

    # Money to spend ----------------------------------------------------------------------------------------------

    def plan(self, amounts: dict[str, str]) -> None:
        """The plans of a month, from the clerks to the plan desk; authorised ones on by notice and arrival."""
        made, authorised = defaultdict(list), []
        for no, amount in amounts.items():
            given = budget.PlanInput(self.indicator(no).id, self.day.month, D(amount))
            made[acts.CLERK_OF[no]].append((no, given))
        everything = []
        for prefix, rows in made.items():
            clerk = world.officer(f"{prefix}-jb")
            plans = budget.save_plans(inputs=[given for _, given in rows], clerk=clerk, now=self.now)
            ids = [plan.id for plan in plans]
            budget.submit_plans(plan_ids=ids, clerk=clerk, now=self.now).raise_if_refused()
            everything += plans
            for who in (f"{prefix}-fh", acts.SECTION_OF[prefix]):
                budget.approve_plans(plan_ids=ids, reviewer=world.officer(who), now=self.now).raise_if_refused()
        budget.approve_plans(
            plan_ids=[plan.id for plan in everything], reviewer=world.officer("gk-jh"), now=self.now
        ).raise_if_refused()
        authorised = [plan.id for plan in everything if plan.payment_mode == "12"]
        known = set(QuotaNotice.objects.values_list("id", flat=True))
        budget.issue_quota_notices(plan_ids=authorised, maker=world.officer("gk-zd"), now=self.now).raise_if_refused()
        notices = list(QuotaNotice.objects.exclude(pk__in=known))
        budget.seal_quota_notices(
            notice_ids=[n.id for n in notices], sealer=world.officer("gk-yz"), now=self.now
        ).raise_if_refused()
        for notice in notices:
            receiver = self.partners[Voucher.objects.get(pk=notice.voucher_id).receiver]
            receiver.tell(receiver.arrival(f"DZ{self.next_number():06d}", notice))
        self.collect()

    def income(self, amount: str) -> None:
        """The school's own money comes in; another person of it confirms."""
        given = IncomeInput(self.indicator("I8").id, D(amount), self.day, "学生", f"SR{self.next_number():06d}")
        row = budget.record_income(given=given, clerk=world.officer("u101002-jb"), now=self.now)
        budget.decide_incomes(
            income_ids=[row.id], by=world.officer("u101002-fh"), confirm=True, now=self.now
        ).raise_if_refused()

    def balances(self) -> dict[str, tuple[str, ...]]:
        """Total, paid, refunded, reserved and available of every indicator of the open year, as the database has it."""
        rows = {no: self.indicator(no) for no in self.numbers}
        return {
            no: tuple(
                wire(amount)
                for amount in (r.amount_total, r.amount_paid, r.amount_refunded, r.amount_reserved, r.amount_available)
            )
            for no, r in rows.items()
        }

    def expected(self) -> dict[str, tuple[str, ...]]:
        """The same, as the test's own ledger has it: nothing is under way."""
        rows = {no: self.ledger[no] for no in self.numbers}
        return {
            no: tuple(wire(amount) for amount in (row.total, row.paid, row.refunded, ZERO, row.unused))
            for no, row in rows.items()
        }


def workdays(first: date, calendar: dict[date, bool]) -> Iterable[date]:
    """The worked days of a calendar from one on."""
    day = first
    while day in calendar:
        if calendar[day]:
            yield day
        day += timedelta(days=1)
