"""An honest history: two business days on which payments meet every fate. The audit must find nothing in it.

`honest_history` is also what test_audit_tampering.py spoils, one row at a time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest
from django.core.management import call_command
from django.db import connection

from budget import services as budget
from budget.models import QuotaNotice, SpendingPlan
from budget.terms import Terms
from core.calendar import start_day
from core.idempotency import Answer, run_once
from demo import world
from parties.chain_rules import Conditions, NodeSpec
from parties.chains import activate_chain, draft_chain
from parties.delegating import acting_for, delegate_post
from parties.emergencies import ask_emergency_post, decide_emergency_post
from parties.models import PostAssignment
from payments import services as payments
from payments.models import PaymentRequest, Recall, Refund, RefundCase
from reconciliation.audit import run_audit
from reconciliation.services import close_day, match_day
from tests import acts, bank, corrected
from tests.bank import Partner
from tests.conftest import NOW
from tests.payroll import rosters
from vouchers import delivery
from vouchers.codec import decode_content, receipt_of
from vouchers.messages import EnvelopeBody
from vouchers.models import Delivery, ExchangePartner, Voucher
from vouchers.pulling import AnsweredItem, answer_pulled

T = TypeVar("T")
D = Decimal
TUESDAY = date(2026, 6, 16)
EVENING = NOW + timedelta(hours=8)
AUDITED_AT = EVENING + timedelta(minutes=30)
NOT_YET = {"I01", "I20", "I24"}

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def history(django_db_setup, django_db_blocker, pki):
    """The honest history, committed once for a whole module, and flushed after it."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.GUOKU_KEY_DIR", pki)
        assert connection.settings_dict["NAME"].startswith("test_"), "this fixture flushes the database"
        honest_history(pki)
        yield
        call_command("flush", interactive=False, verbosity=0)


def honest_history(pki: Path) -> None:
    """Build the world and its two days through the services and with partners' real signatures."""
    world.register_keys(pki)
    world.build_world(endpoints={}, now=NOW)
    bank_a, bank_b, pboc = (Partner(pki, name) for name in (world.BANK_A, world.BANK_B, world.PBOC))
    _monday(bank_a, pboc)
    _tuesday(bank_a, bank_b, pboc)
    run_once(owner="BANK-A", key="k1", payload=b"{}", now=NOW, act=lambda: Answer(200, {"ok": True}))


# Monday: one payment from request to clearing, reported by everybody, and the day closed ---------------------------


def _monday(bank_a: Partner, pboc: Partner) -> None:
    request = acts.sent("I1", "1000.00")
    _sign_for_everything()
    _apply(bank_a, bank_a.receipt(request.voucher))
    _clear(bank_a, pboc, bank.clearing(bank_a, pboc, "HK-A-01", [(request, 1)]))
    (request,) = acts.fresh(request)
    _apply(bank_a, _bank_report(bank_a, request))
    _apply(pboc, _clearing_statement(pboc, request), _limit_statement(pboc))
    reconciler = world.officer("gk-dz")
    match_day(adm_div_code=world.REGION, date=world.DAY, by=reconciler, now=EVENING)
    close_day(adm_div_code=world.REGION, by=reconciler, now=EVENING)
    start_day(adm_div_code=world.REGION, day=TUESDAY, cut_off="16:00", by=reconciler, now=EVENING)


_WHOSE = {"SupDepCode": "101", "SupDepName": "市教育局", "ExpFuncCode": "2050101", "ExpFuncName": "行政运行"}


def _bank_report(bank_a: Partner, request: PaymentRequest) -> EnvelopeBody:
    line = {
        "Id": "1",
        "VoucherNo": request.voucher_no,
        "VoucherBillId": "1",
        "PayAmt": "1000.00",
        "PayDate": "20260615",
        "AgencyCode": request.unit.code,
        "PayeeAcctNo": request.details.get().payee_account_no,
    }
    main = {"Id": "RB-A-1", "PayAmt": "1000.00", "PosAmt": "1000.00", "NegAmt": "0.00", "PayBankCode": "102"}
    main |= {"PayTypeCode": "12", "FundTypeCode": "11", "Hold1": "1/1"}
    return bank_a.body(bank_a.content("2205", "RB-A-1", main, [line]), 0)


def _statement_head(number: str, lines: int, amount: str) -> dict[str, str]:
    head = {"VoucherCheckNo": number, "ChildPackNum": "1", "CurPackNo": "1", "TreCode": "9901000000"}
    head |= {"BeginDate": "20260615", "EndDate": "20260615"}
    return head | {"AllNum": str(lines), "AllAmt": amount}


def _clearing_statement(pboc: Partner, request: PaymentRequest) -> EnvelopeBody:
    line = {
        "Id": "1",
        "PayAgentBillNo": "HK-A-01",
        "PayDetailId": "1",
        "VoucherNo": request.voucher_no,
        "PayBankNo": request.payer_account.agent_bank.bank_no,
        "PayTypeCode": "12",
        "PayAmt": "1000.00",
        **_WHOSE,
    }
    return pboc.body(pboc.content("3507", "DZ1", _statement_head("DZ1", 1, "1000.00"), [line]), 0)


def _limit_statement(pboc: Partner) -> EnvelopeBody:
    lines = [
        {
            "Id": str(position),
            "PayBankNo": bank_no,
            "PayTypeCode": mode,
            "FundTypeCode": "11",
            "PreDateMoney": opening,
            "ClearAmt": "0.00",
            "CurReckMoney": cleared,
            "CurDateMoney": closing,
            "PayTypeName": "支付",
            **_WHOSE,
        }
        for position, (bank_no, mode, opening, cleared, closing) in enumerate(
            [
                ("102990100019", "12", "80000.00", "1000.00", "79000.00"),
                ("103990100027", "12", "90000.00", "0.00", "90000.00"),
                ("102990100019", "11", "0.00", "0.00", "0.00"),
            ],
            start=1,
        )
    ]
    return pboc.body(pboc.content("3510", "DL1", _statement_head("DL1", len(lines), "0.00"), lines), 0)


# Tuesday: everything else that can become of a payment ---------------------------------------------------------------


def _tuesday(bank_a: Partner, bank_b: Partner, pboc: Partner) -> None:
    _budget_documents(bank_a)
    _exceptions(bank_a, pboc)
    paid, failed = acts.sent("I1", "5000.00"), acts.sent("I1", "700.00")
    refused = acts.sent("I1", "350.00", "360.00")
    partial, cleared = acts.sent("I2", "600.00", "400.00", "300.00"), acts.sent("I2", "2000.00", "3000.00")
    _never_sent()
    rosters.generated(rosters.imported())
    _refused_by_the_bank()
    _reissued(acts.draft("I1", "810.00"))
    _sign_for_everything()
    acts.sent("I1", "820.00")  # in the outbox, not yet sent
    _sent_without_an_answer(acts.sent("I1", "830.00"))
    for request, losses in ((paid, {}), (failed, {"1": "账号不存在"}), (partial, {"2": "户名不符"}), (cleared, {})):
        _apply(bank_a, bank_a.receipt(request.voucher, failed=losses, XPayDate="20260616"))
    _apply(bank_a, _refused_in_the_head(bank_a, refused.voucher))
    _clear(bank_a, pboc, bank.clearing(bank_a, pboc, "HK-A-02", [(cleared, 1), (cleared, 2)], XClearDate="20260616"))
    _sign_for_everything(but=("820.00", "830.00"))  # the negative 5108
    _refunds(bank_a, bank_b, pboc, partial)
    _acted_for_and_countersigned()
    waiting = acts.sent("I1", "840.00")
    [answer] = bank_a.send(_dated(bank_a, bank_a.refund("TK-A-9", waiting, 1, "40.00")), now=EVENING)
    assert answer.outcome == "parked", answer
    _sign_for_everything(but=("820.00", "830.00", "55.00"))


def _acted_for_and_countersigned() -> None:
    """A chain of two administrators' making, a node that two persons sign, one of them for another; an emergency."""
    now = EVENING + timedelta(minutes=10)  # on Tuesday: Monday is closed
    one, other = acts.newcomer("xt-gl", "system_admin"), acts.newcomer("aq-gl", "security_admin")
    second = acts.newcomer("u205001-fh2", "unit_reviewer", unit="205001")
    chain = draft_chain(
        document_kind="payment_authorized",
        name="公安",
        nodes=[NodeSpec(1, "unit_reviewer", countersign=2)],
        conditions=Conditions(units=frozenset({"205001"})),
        by=one,
        now=now,
    )
    activate_chain(chain_id=chain.pk, by=other, now=now)
    asked = ask_emergency_post(
        user_id=world.officer("gk-jh").user_id or 0, post="payment_reviewer", hours=2, reason="病假", by=one, now=now
    )
    decide_emergency_post(ask_id=asked.pk, agreed=True, by=other, now=now)
    delegation = delegate_post(
        assignment_id=PostAssignment.objects.get(user__username="u205001-fh").pk,
        delegate_id=world.officer("u205001-fz").user_id or 0,
        valid_from=TUESDAY,
        valid_to=TUESDAY,
        reason="公差",
        by=world.officer("u205001-fh"),
        now=now,
    )
    acting = acting_for(world.officer("u205001-fz"), delegation.pk, on=TUESDAY)
    clerk = world.officer("u205001-jb")
    [request] = payments.save_drafts(inputs=[acts.wanted("I5", "55.00")], clerk=clerk, now=now)
    ids = [request.id]
    payments.submit_payment_requests(request_ids=ids, clerk=clerk, now=now).raise_if_refused()
    for reviewer in (second, acting):
        payments.approve_payment_requests(request_ids=ids, reviewer=reviewer, now=now).raise_if_refused()
    payments.issue_payment_vouchers(request_ids=ids, maker=clerk, now=now).raise_if_refused()
    sealer = world.officer("u205001-yz")
    payments.seal_payment_vouchers(request_ids=ids, sealer=sealer, now=now).raise_if_refused()


def _exceptions(bank_a: Partner, pboc: Partner) -> None:
    """Monday's payment corrected in part and come back in part, money nobody could place, a payment withdrawn."""
    monday = PaymentRequest.objects.get(amount="1000.00")
    target = corrected.second_indicator(day=TUESDAY)
    executed, under_way = corrected.sent(monday, target, "400.00"), corrected.asked(monday, target, "100.00")
    _apply(pboc, corrected.receipt(pboc, executed, XAccDate="20260616"))
    corrected.submit(under_way).raise_if_refused()
    account = monday.payer_account.account_no
    for number, amount in (("TK-A-2", "30.00"), ("TK-A-3", "7.00")):
        main = {"Id": number, "PayBankCode": "102", "PayAcctNo": account, "PayAmt": f"-{amount}", "PayDate": "20260616"}
        _apply(bank_a, bank_a.body(bank_a.content("2204", number, main, [{"Id": "1", "PayAmt": f"-{amount}"}]), 0))
    case = RefundCase.objects.get(notice_no="TK-A-2")
    detail = monday.details.get()
    payments.propose_originals(
        choices=[(case.id, detail.id)], officer=world.officer("u101001-jb"), note="附言", now=NOW
    ).raise_if_refused()
    payments.decide_cases(
        case_ids=[case.id], officer=world.officer("u101001-fh"), confirm=True, now=NOW
    ).raise_if_refused()
    assert payments.order_refunds(adm_div_code=world.REGION, now=NOW)
    _apply(bank_a, _dated(bank_a, bank_a.refund("TK-A-4", monday, 1, "600.00")))
    recalled = acts.sent("I2", "55.00")
    payments.ask_recalls(
        request_ids=[recalled.id], clerk=world.officer("u101002-jb"), reason="重复", now=NOW
    ).raise_if_refused()
    payments.decide_recalls(
        recall_ids=[Recall.objects.get().id], officer=world.officer("gk-sh"), approve=True, now=NOW
    ).raise_if_refused()
    _answer(recalled.voucher, "return", "应撤回停付")
    assert payments.withdraw_returned_requests(adm_div_code=world.REGION, now=NOW)


def _budget_documents(bank_a: Partner) -> None:
    """Documents of indicators: added, frozen, rejected, transferred, given on; plans: granted at once, granted by
    notice and arrival, returned."""
    for kind, amount in (("add", "10000.00"), ("freeze", "500.00")):
        acts.issued(kind, acts.changed("I3", amount), doc_no=f"临财调〔2026〕{kind}")
    rejected = acts.document("reduce", acts.changed("I3", "9.00"), doc_no="临财调〔2026〕reduce")
    acts.decide(rejected, decision="reject", reason="不同意").raise_if_refused()
    acts.issued("transfer", acts.changed("I5", "-70.00"), acts.changed("I6", "70.00"), doc_no="临财调〔2026〕transfer")
    terms = Terms("101001", "11", "2050204", "50502", "12", layer="department")
    line = budget.LineInput(amount=D("8000.00"), terms=terms)
    department = acts.issued("add", line, doc_no="临财教〔2026〕1号").lines.get().indicator
    below = replace(terms, unit_code="101002", layer="unit")
    line = budget.LineInput(amount=D("5000.00"), parent_id=department.id, terms=below)
    acts.issued("split", line, doc_no="临财教〔2026〕2号")
    direct, authorised, returned = _plans(("I4", "50000.00"), ("I1", "20000.00"), ("I1", "60.00"))
    school = [direct]
    for who, plans in (("u101002-fh", school), ("u101001-fh", [authorised]), ("jkw-sh", [direct, authorised])):
        budget.approve_plans(plan_ids=acts.ids(plans), reviewer=world.officer(who), now=NOW).raise_if_refused()
    both = acts.ids([direct, authorised])
    budget.approve_plans(plan_ids=both, reviewer=world.officer("gk-jh"), now=NOW).raise_if_refused()
    budget.return_plans(
        plan_ids=[returned.id], reviewer=world.officer("u101001-fh"), reason_code="other", reason="重报", now=NOW
    ).raise_if_refused()
    budget.issue_quota_notices(plan_ids=[authorised.id], maker=world.officer("gk-zd"), now=NOW).raise_if_refused()
    notice = QuotaNotice.objects.get()
    budget.seal_quota_notices(notice_ids=[notice.id], sealer=world.officer("gk-yz"), now=NOW).raise_if_refused()
    _apply(bank_a, bank_a.arrival("DZ-A-1", notice))


def _plans(*wanted: tuple[str, str]) -> list[SpendingPlan]:
    plans = []
    for number, amount in wanted:
        clerk = world.officer(f"{acts.CLERK_OF[number]}-jb")
        given = budget.PlanInput(indicator_id=world.indicator(number).id, month=6, amount=D(amount))
        [plan] = budget.save_plans(inputs=[given], clerk=clerk, now=NOW)
        budget.submit_plans(plan_ids=[plan.id], clerk=clerk, now=NOW).raise_if_refused()
        plans.append(plan)
    return plans


def _never_sent() -> None:
    """Returned, rejected, cancelled, blocked, held and let pass, held and sent back, waiting at each desk."""
    clerk, reviewer = world.officer("u101002-jb"), world.officer("u101002-fh")
    returned, rejected, cancelled = (acts.draft("I3", amount) for amount in ("11.00", "12.00", "13.00"))
    acts.submit(returned, rejected).raise_if_refused()
    why = {"reason_code": "payee", "reason": "", "now": NOW}
    payments.return_payment_requests(request_ids=[returned.id], reviewer=reviewer, **why).raise_if_refused()
    payments.reject_payment_requests(request_ids=[rejected.id], reviewer=reviewer, **why).raise_if_refused()
    acts.submit(returned).raise_if_refused()  # the second revision, now in review
    payments.cancel_payment_requests(request_ids=[cancelled.id], clerk=clerk, now=NOW).raise_if_refused()
    own = (acts.line("14.00", payee_account_no=world.BASIC_ACCOUNT_101002),)
    blocked = acts.draft("I3", "14.00", details=own)
    acts.submit(blocked).raise_if_refused()
    passed, refused = acts.draft("I2", "95500.00"), acts.draft("I2", "96500.00")
    acts.submit(passed, refused).raise_if_refused()
    assert [r.state for r in acts.fresh(blocked, passed, refused)] == ["blocked", "on_hold", "on_hold"]
    officer = world.officer("gk-jk")
    for request, let_go in ((passed, True), (refused, False)):
        payments.dispose_held_requests(
            request_ids=[request.id], officer=officer, passed=let_go, reason="已核实", now=NOW
        ).raise_if_refused()
    acts.approve_all(passed)
    assert acts.issue(passed).refused == {}


def _refused_by_the_bank() -> None:
    given_up, open_one = acts.sent("I2", "850.00"), acts.sent("I1", "860.00")
    for request in (given_up, open_one):
        _answer(request.voucher, "refuse", "收款行不通")
    payments.void_refused_requests(
        request_ids=[given_up.id], maker=world.officer("gk-zd"), reason="银行退回", now=NOW
    ).raise_if_refused()


def _reissued(request: PaymentRequest) -> None:
    """A voucher voided before it was sealed; the request goes out under the next number."""
    acts.submit(request).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    payments.cancel_payment_vouchers(
        request_ids=[request.id], maker=world.officer("u101001-jb"), reason="打印错误", now=NOW
    ).raise_if_refused()
    acts.issue(request).raise_if_refused()
    acts.seal(request).raise_if_refused()


def _sent_without_an_answer(request: PaymentRequest) -> None:
    """The worker claims it and hears nothing: UNKNOWN."""
    Delivery.objects.filter(voucher__amount="820.00").update(next_attempt_at=EVENING)
    claimed = delivery.claim(organisation=world.BANK_A, state="queued", now=NOW)
    assert claimed is not None and [v.id for v in claimed.vouchers] == [request.voucher_id]
    delivery.record_unknown(claimed, "ReadTimeout", now=NOW)
    Delivery.objects.filter(voucher=request.voucher_id).update(next_attempt_at=EVENING)


def _refunds(bank_a: Partner, bank_b: Partner, pboc: Partner, partial: PaymentRequest) -> None:
    """R0 of a payment before this system, cleared by a 2302; a part of a direct payment; and one too many."""
    historic = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)
    _apply(bank_b, _dated(bank_b, bank_b.refund("TK-B-1", historic, 1, "3000.00")))
    _apply(bank_a, _dated(bank_a, bank_a.refund("TK-A-1", partial, 1, "100.00", kind="2203")))
    [answer] = bank_b.send(_dated(bank_b, bank_b.refund("TK-B-2", historic, 1, "0.01")))
    assert answer.outcome == "refused", answer
    refund = Refund.objects.select_related("detail__request").get(notice_no="TK-B-1")
    _clear(bank_b, pboc, bank.refund_clearing(bank_b, pboc, "TH-B-1", [refund], XClearDate="20260616"))


# Partners' words -----------------------------------------------------------------------------------------------------


def _apply(partner: Partner, *bodies: EnvelopeBody) -> None:
    for answer in partner.send(*bodies):
        assert answer.outcome == "applied", answer


def _clear(bank_of: Partner, pboc: Partner, documents: tuple[EnvelopeBody, EnvelopeBody]) -> None:
    asked, executed = documents
    _apply(bank_of, asked)
    _apply(pboc, executed)


def _dated(partner: Partner, body: EnvelopeBody) -> EnvelopeBody:
    """The same refund notice, paid back on Tuesday."""
    content, _ = decode_content(body.text)
    return partner.body(replace(content, main={**content.main, "PayDate": "20260616"}), 0)


def _refused_in_the_head(partner: Partner, voucher: Voucher) -> EnvelopeBody:
    """A receipt of 0.00 without a date, the lines as they came."""
    content, _ = decode_content(bytes(voucher.text))
    return partner.body(receipt_of(content, {"XPayAmt": "0.00", "XAgentBusinessNo": "R1"}, {}), 1)


def _sign_for_everything(but: tuple[str, ...] = ()) -> None:
    """Banks and PBoC fetch what waits for them and sign for it."""
    waiting = Voucher.objects.filter(delivery__state__in=["queued", "unknown"]).exclude(amount__in=but)
    for voucher in waiting.order_by("pk"):
        _answer(voucher, "sign_for", "")


def _answer(voucher: Voucher, action: str, reason: str) -> None:
    item = AnsweredItem(voucher.adm_div_code, voucher.fiscal_year, voucher.voucher_type, voucher.voucher_no, reason)
    partner = ExchangePartner.objects.get(pk=voucher.receiver)
    [result] = answer_pulled(partner=partner, items=[item], action=action, now=NOW)
    assert result.error is None, result


# The audit finds nothing ---------------------------------------------------------------------------------------------


def outside(act: Callable[[], T]) -> T:
    """Act on a connection of its own, outside the test's transaction: the audit opens its own snapshot."""

    def closing() -> T:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(closing).result()


def test_nothing_is_found_in_an_honest_history(history):
    results = outside(lambda: run_audit(now=AUDITED_AT))

    broken = {r.id: [f"{s.table} {s.id} {s.explanation}" for s in r.samples] for r in results if r.status == "broken"}
    assert broken == {}
    assert {r.id for r in results if r.status == "not_applicable"} == NOT_YET
    assert all(r.reason for r in results if r.status == "not_applicable")


def test_the_history_holds_every_fate(history):
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT state FROM payments_paymentrequest")
        fates = {row[0] for row in cursor.fetchall()}

    assert fates == {
        *("draft", "blocked", "in_review", "returned", "vouchered", "sealed", "accepted", "bank_refused"),
        *("paid", "partially_paid", "failed", "cleared", "voided", "withdrawn"),
    }
