"""The worked day of 临江市 on services, banks and PBoC in one process: every closing figure, and its negative tests."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from budget import services as budget
from budget.models import QuotaNotice
from contracts import services as contracts
from contracts.models import Contract
from contracts.selectors import executions
from demo import world
from monitoring.models import Alert
from payments import services
from payments.models import ClearingLine, LimitNotice, PaymentReceipt, PaymentRequest, Refund
from seals.verifying import TextToVerify, verify_texts
from tests import acts
from tests.bank import Partner, clearing, refund_clearing
from tests.conftest import NOW
from vouchers.codec import decode_content
from vouchers.models import InboxMessage, Voucher

D = Decimal
SALARY = [
    ("张一", "7184.44"),
    ("李二", "6323.08"),
    ("王三", "5964.18"),
    ("市社会保险事业中心", "3180.00"),
    ("市医疗保障事业中心", "530.00"),
    ("市住房公积金管理中心", "3180.00"),
    ("国家税务总局临江市税务局", "138.30"),
]


def adjust(no, kind, doc_no, amount):
    acts.issued(kind, acts.changed(no, amount), doc_no=doc_no)


def plan(no, amount, month=6):
    clerk = world.officer(f"{acts.CLERK_OF[no]}-jb")
    plans = budget.save_plans(inputs=[budget.PlanInput(world.indicator(no).id, month, D(amount))], clerk=clerk, now=NOW)
    ids = [p.id for p in plans]
    budget.submit_plans(plan_ids=ids, clerk=clerk, now=NOW).raise_if_refused()
    for who in (f"{acts.CLERK_OF[no]}-fh", acts.SECTION_OF[acts.CLERK_OF[no]], "gk-jh"):
        budget.approve_plans(plan_ids=ids, reviewer=world.officer(who), now=NOW).raise_if_refused()
    return ids


def draft(no, *lines, **changes):
    """A draft; a line with an account number pays a supplier, on the contract of the unit."""
    details = changes.pop("details", None) or tuple(
        acts.line(amount, payee_name=name, **({"payee_account_no": account[0]} if account else {}))
        for name, amount, *account in lines
    )
    if any(len(line) == 3 for line in lines):
        contract = world.CONTRACTS[world.indicator(no).unit.code]
        changes = {"business_type": "7", "contract_no": contract.contract_no} | changes
    clerk = world.officer(f"{acts.CLERK_OF[no]}-jb")
    return services.save_drafts(inputs=[acts.wanted(no, details=details, **changes)], clerk=clerk, now=NOW)[0]


def supplied(amount, unit):
    """The line that pays the supplier of the unit's contract."""
    return ((world.CONTRACTS[unit].supplier_name, amount, world.CONTRACTS[unit].accounts[0].account_no),)


def send(request):
    """Everything after submit: disposition where it is held, all reviews, voucher, seal."""
    if acts.fresh(request)[0].state == "on_hold":
        services.dispose_held_requests(
            request_ids=[request.id], officer=world.officer("gk-jk"), passed=True, reason="已核验", now=NOW
        ).raise_if_refused()
    acts.approve_all(request)
    acts.issue(request).raise_if_refused()
    acts.seal(request).raise_if_refused()
    return acts.fresh(request)[0]


def pay(bank, no, *lines, failed=None, **changes):
    request = draft(no, *lines, **changes)
    acts.submit(request).raise_if_refused()
    request = send(request)
    [answer] = bank.send(bank.receipt(request.voucher, failed=failed))
    assert answer.outcome == "applied"
    return acts.fresh(request)[0]


def quota(no):
    return acts.books(no)["quota"]


@pytest.fixture
def day(city, pki):
    """Run the day up to 16:00; the intermediate states of the worked example are asserted on the way."""
    a, b, pboc = Partner(pki, world.BANK_A), Partner(pki, world.BANK_B), Partner(pki, world.PBOC)
    p = SimpleNamespace(bank_a=a, bank_b=b, pboc=pboc)

    adjust("I5", "add", "临财预〔2026〕88号", "50000.00")
    adjust("I6", "freeze", "DJ-001", "200000.00")
    maker = world.officer("gk-zd")
    budget.issue_quota_notices(plan_ids=plan("I5", "120000.00"), maker=maker, now=NOW).raise_if_refused()
    notice = QuotaNotice.objects.get()
    budget.seal_quota_notices(notice_ids=[notice.id], sealer=world.officer("gk-yz"), now=NOW).raise_if_refused()
    assert quota("I5") == "30000.00"
    b.send(b.arrival("DZ0001", notice))
    assert quota("I5") == "150000.00"
    p.r0 = PaymentRequest.objects.get(voucher_no=world.HISTORIC_VOUCHER)
    p.refund = b.refund("TK0001", p.r0, 1, "3000.00")
    b.send(p.refund)
    assert quota("I5") == "153000.00"

    p.p1 = draft("I2", *SALARY, business_type="3", purpose="新增教师工资")
    acts.submit(p.p1).raise_if_refused()
    assert acts.books("I2")["reserved"] == "26500.00"
    p.p1 = send(p.p1)
    p.p1_receipt = a.receipt(p.p1.voucher, failed={"3": "户名账号不符"})
    a.send(p.p1_receipt)
    [p.p1] = acts.fresh(p.p1)
    assert (p.p1.amount_paid, p.p1.amount_failed) == (D("20535.82"), D("5964.18"))
    assert (acts.books("I2")["reserved"], acts.books("I2")["paid"]) == ("0.00", "2020535.82")
    failed = p.p1.details.get(seq=3)
    given = acts.wanted("I2", details=(acts.line("5964.18", payee_name="王三", reissue_of=failed.id),))
    [p.p1r] = services.save_drafts(inputs=[given], clerk=world.officer("u101002-jb"), now=NOW)
    acts.submit(p.p1r).raise_if_refused()
    p.p1r = send(p.p1r)
    a.send(a.receipt(p.p1r.voucher))
    assert acts.books("I2")["paid"] == "2026500.00"

    p.p2 = pay(a, "I4", *supplied("240000.00", "101002"))
    p.p3 = pay(a, "I1", ("临江市晨光办公用品公司", "12345.67"))
    card = {"payee_name": "马小明", "payee_account_no": "6230000000090001"}
    bought = (("1280.00", "GWK20260610000001"), ("860.50", "GWK20260611000002"))
    cards = tuple(acts.line(amount, reference=number, **card) for amount, number in bought)
    p.p4 = pay(a, "I1", details=cards, business_type="2", settlement="5", dept_economic_code="30211")
    cash = {"business_type": "5", "settlement": "3", "cash_purpose": "03", "cash_reason": "零星支出备用"}
    p.p5 = pay(b, "I3", details=(acts.line("3000.00", reference="XJZP0001"),), **cash)

    own = acts.wanted("I3", details=(acts.line("50000.00", payee_account_no=world.BASIC_ACCOUNT_101002),))
    [p.p6] = services.save_drafts(inputs=[own], clerk=world.officer("u101002-jb"), now=NOW)
    before = acts.books("I3")
    acts.submit(p.p6).raise_if_refused()
    assert acts.fresh(p.p6)[0].state == "blocked" and acts.books("I3") == before

    p.p7 = draft("I5", ("临江市司法鉴定所", "98000.00"))
    acts.submit(p.p7).raise_if_refused()
    assert acts.fresh(p.p7)[0].state == "on_hold" and quota("I5") == "55000.00"
    p.p7 = send(p.p7)
    b.send(b.receipt(p.p7.voucher))
    p.p8 = draft("I5", ("已注销的单位", "20000.00"))
    acts.submit(p.p8).raise_if_refused()
    assert quota("I5") == "35000.00"
    p.p8 = send(p.p8)
    b.send(b.receipt(p.p8.voucher, failed={"1": "收款账户已销户"}))
    assert quota("I5") == "55000.00"
    p.p9 = draft("I6", *supplied("500000.00", "205001"))
    acts.submit(p.p9).raise_if_refused()
    assert acts.fresh(p.p9)[0].state == "on_hold"
    p.p9 = send(p.p9)
    a.send(a.receipt(p.p9.voucher))
    p.p13 = draft("I5", ("临江市协作单位", "15000.00"))
    acts.submit(p.p13).raise_if_refused()
    assert quota("I5") == "40000.00"
    p.p13 = send(p.p13)
    return p


def cleared(p):
    """16:00, both banks clear; B's 2301 waits for P13's receipt, which comes after reconciliation."""
    rows = [(p.p1, s) for s in (1, 2, 4, 5, 6, 7)] + [(p.p1r, 1), (p.p2, 1), (p.p9, 1)]
    p.refund_fact = Refund.objects.get()
    for bank, bodies in (
        (p.bank_a, clearing(p.bank_a, p.pboc, "HK-A-01", rows)),
        (p.bank_a, clearing(p.bank_a, p.pboc, "HK-A-02", [(p.p3, 1), (p.p4, 1), (p.p4, 2)])),
        (p.bank_b, clearing(p.bank_b, p.pboc, "HK-B-01", [(p.p5, 1), (p.p7, 1), (p.p13, 1)])),
        (p.bank_b, refund_clearing(p.bank_b, p.pboc, "HT-B-01", [p.refund_fact])),
    ):
        bank.send(bodies[0])
        p.pboc.send(bodies[1])
    return p


@pytest.fixture
def closed(day):
    """The whole day, P13's receipt included: the state of 18:00."""
    p = cleared(day)
    assert InboxMessage.objects.get(voucher_no="HK-B-01", flag=1).state == "parked"
    row = acts.books("I5")
    assert (row["reserved"], row["paid"], row["available"]) == ("15000.00", "398000.00", "440000.00")
    p.bank_b.send(p.bank_b.receipt(p.p13.voucher))
    row = acts.books("I5")
    assert (row["reserved"], row["paid"], row["available"]) == ("0.00", "413000.00", "440000.00")
    return p


def test_the_closing_figures_of_indicators_quotas_and_clearing_limits(closed):
    rows = [world.indicator(no) for no in ("I1", "I2", "I3", "I4", "I5", "I6")]
    columns = ("amount_total", "amount_frozen", "amount_reserved", "amount_paid", "amount_refunded", "amount_available")
    assert {row.indicator_no: tuple(f"{getattr(row, c):.2f}" for c in columns) for row in rows} == {
        "I1": ("600000.00", "0.00", "0.00", "224486.17", "0.00", "375513.83"),
        "I2": ("4800000.00", "0.00", "0.00", "2026500.00", "0.00", "2773500.00"),
        "I3": ("900000.00", "0.00", "0.00", "353000.00", "0.00", "547000.00"),
        "I4": ("1200000.00", "0.00", "0.00", "240000.00", "0.00", "960000.00"),
        "I5": ("850000.00", "0.00", "0.00", "413000.00", "3000.00", "440000.00"),
        "I6": ("3000000.00", "200000.00", "0.00", "1500000.00", "0.00", "1300000.00"),
    }
    assert {row.indicator_no: f"{row.quota.amount_available:.2f}" for row in rows} == {
        "I1": "65513.83",
        "I2": "373500.00",
        "I3": "57000.00",
        "I4": "60000.00",
        "I5": "40000.00",
        "I6": "100000.00",
    }
    assert (acts.limit(world.BANK_A, "11"), acts.limit(world.BANK_A, "12"), acts.limit(world.BANK_B, "12")) == (
        "0.00",
        "65513.83",
        "97000.00",
    )


def test_the_vouchers_notices_and_alerts_of_the_day(closed):
    sent = Voucher.objects.order_by("voucher_type", "voucher_no").values_list("voucher_no", "amount")
    assert [(number, f"{amount:.2f}") for number, amount in sent] == [
        ("SQ0001", "120000.00"),
        ("QS0001", "120000.00"),
        ("ZQ0001", "26500.00"),
        ("ZQ0002", "-5964.18"),
        ("ZQ0003", "5964.18"),
        ("ZQ0004", "240000.00"),
        ("ZQ0005", "500000.00"),
        ("ZF0001", "26500.00"),
        ("ZF0002", "5964.18"),
        ("ZF0003", "240000.00"),
        ("ZF0004", "500000.00"),
        ("SZ0001", "12345.67"),
        ("SZ0002", "2140.50"),
        ("SZ0003", "3000.00"),
        ("SZ0004", "98000.00"),
        ("SZ0005", "20000.00"),
        ("SZ0006", "15000.00"),
    ]
    assert sum(notice.amount for notice in LimitNotice.objects.all()) == D("766500.00")
    alerts = Alert.objects.order_by("amount").values_list("rule_code", "severity", "state", "amount")
    assert list(alerts) == [
        ("M04", "yellow", "noted", D("3000.00")),
        ("M07", "red", "blocked", D("50000.00")),
        ("M10", "orange", "passed", D("98000.00")),
        ("M01", "orange", "passed", D("500000.00")),
    ]


def test_what_was_cleared_and_how_every_payment_ended(closed):
    by_type = {"2301": D("0"), "2302": D("0")}
    for line in ClearingLine.objects.select_related("clearing"):
        by_type[line.clearing.voucher_type] += line.amount
    assert by_type["2301"] - by_type["2302"] == D("893986.17")
    names = ("p1", "p1r", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p13")
    ended = acts.fresh(*[getattr(closed, name) for name in names])
    assert {name: request.state for name, request in zip(names, ended, strict=True)} == (
        dict.fromkeys(names, "cleared") | {"p6": "blocked", "p8": "failed"}
    )
    assert set(InboxMessage.objects.values_list("state", flat=True)) == {"applied"}


# Negative tests of the day -------------------------------------------------------------------------------------------


def test_1_p6_left_an_alert_and_nothing_else(closed):
    assert Alert.objects.filter(document_id=closed.p6.id).count() == 1
    assert not Voucher.objects.filter(document_id=closed.p6.id).exists()
    assert acts.books("I3")["reserved"] == "0.00"


@pytest.mark.parametrize(("amount", "accepted"), [("40000.01", False), ("40000.00", True)])
def test_2_the_rest_of_i5s_quota_can_be_spent_and_not_one_fen_more(closed, amount, accepted):
    request = draft("I5", ("x", amount))
    outcome = acts.submit(request)
    if accepted:
        assert outcome.refused == {} and quota("I5") == "0.00"
    else:
        assert [f.code for f in outcome.refused[request.id].findings] == ["quota_exceeded"]
        assert quota("I5") == "40000.00"


def test_3_i6_fails_on_the_plan_and_with_the_plan_raised_on_the_indicator(closed):
    request = draft("I6", ("x", "100000.01"))
    assert [f.code for f in acts.submit(request).refused[request.id].findings] == ["quota_exceeded"]

    plan("I6", "1200000.00")  # 3,000,000.00 − 200,000.00 frozen − 1,600,000.00 planned: all there is
    assert quota("I6") == "1300000.00"
    over = draft("I6", ("x", "1300000.01"))
    codes = [f.code for f in acts.submit(over).refused[over.id].findings]
    assert codes == ["indicator_exceeded", "quota_exceeded"]
    exact = draft("I6", ("临江市晨光办公用品公司", "1300000.00"))  # on a contract of its own
    acts.submit(exact).raise_if_refused()
    assert acts.books("I6")["available"] == "0.00"


def test_4_no_more_is_paid_on_a_contract_than_its_amount_and_the_rest_only_after_acceptance(closed):
    """C-2026-017: 800,000.00, of which P2 has paid 240,000.00."""
    plan("I4", "500000.01")
    over, exact = (draft("I4", *supplied(amount, "101002")) for amount in ("560000.01", "560000.00"))
    assert [f.code for f in acts.submit(over).refused[over.id].findings] == [
        "contract_exceeded",
        "contract_allocation_exceeded",
    ]
    assert [f.code for f in acts.submit(exact).refused[exact.id].findings] == ["acceptance_missing"]

    contract = Contract.objects.get(contract_no="C-2026-017")
    contracts.accept_contract(
        contract_id=contract.id,
        certificate_no="YS-2026-017",
        amount=D("800000.00"),
        accepted_on=world.DAY,
        final=True,
        accepted_by="陈志远",
        officer=world.officer("u101002-fh"),
        now=NOW,
    )
    assert [f.code for f in acts.submit(over).refused[over.id].findings] == [
        "contract_exceeded",
        "contract_allocation_exceeded",
    ]
    acts.submit(exact).raise_if_refused()

    assert acts.fresh(exact)[0].state == "on_hold"  # M01: from 500,000.00 on
    [execution] = executions([Contract.objects.select_related("project").get(pk=contract.pk)])
    assert (execution.use.paid, execution.use.in_transit, execution.balance) == (
        D("240000.00"),
        D("560000.00"),
        D("0.00"),
    )


def test_5_replaying_any_receipt_refund_or_clearing_changes_nothing(closed):
    before = acts.everything()
    seen = list(InboxMessage.objects.values_list("voucher_type", "voucher_no", "flag", "sender"))
    partners = {world.BANK_A: closed.bank_a, world.BANK_B: closed.bank_b, world.PBOC: closed.pboc}

    for message in InboxMessage.objects.all():
        partner = partners[message.sender]
        body = partner.body(decode_content(bytes(message.text))[0], message.flag)
        assert partner.send(body)[0].outcome == "duplicate"

    assert acts.everything() == before
    assert list(InboxMessage.objects.values_list("voucher_type", "voucher_no", "flag", "sender")) == seen


def test_6_a_second_2301_with_p13_is_refused(closed):
    asked, executed = clearing(closed.bank_b, closed.pboc, "HK-B-02", [(closed.p13, 1)])
    closed.bank_b.send(asked)
    before = acts.everything()
    [answer] = closed.pboc.send(executed)
    assert (answer.outcome, answer.error.code) == ("refused", "already_cleared")
    assert acts.everything() == before


def test_7_refunding_r0s_original_again_is_refused(closed):
    before = acts.everything()
    [answer] = closed.bank_b.send(closed.bank_b.refund("TK0002", closed.r0, 1, "3000.00"))
    assert (answer.outcome, answer.error.code) == ("refused", "refund_exceeds_payment")
    assert acts.everything() == before


def test_8_an_amount_altered_after_sealing_is_seen(closed):
    voucher = closed.p3.voucher
    voucher.refresh_from_db()

    def verdict(text):
        item = TextToVerify(voucher.sender, text, voucher.signature, voucher.signature_serial)
        return verify_texts([item], at=NOW, on=world.DAY)[0].ok

    text = bytes(voucher.text)
    assert verdict(text) is True
    altered = text[:-8] + bytes([text[-8] ^ 1]) + text[-7:]
    assert verdict(altered) is False


def test_9_a_clerk_does_not_approve_the_own_p3(closed):
    request = draft("I1", ("临江市晨光办公用品公司", "12345.67"))
    acts.submit(request).raise_if_refused()
    second = acts.second_login("u101001-jb", "unit_reviewer", unit="101001")
    outcome = services.approve_payment_requests(request_ids=[request.id], reviewer=second, now=NOW)
    assert outcome.refused[request.id].code == "acted_before"
    assert acts.fresh(request)[0].state == "in_review"


def test_the_receipts_of_the_day_are_one_for_each_voucher(closed):
    assert PaymentReceipt.objects.count() == 10
    assert sum(r.amount_paid for r in PaymentReceipt.objects.all()) == D("896986.17")
