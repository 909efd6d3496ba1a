"""A voucher on paper holds its money, is never sealed or sent, and is settled once, exactly as by a receipt."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from core.errors import TreasuryError
from core.models import Transition
from demo import world
from emergency import services
from emergency.codes import is_its_code, verification_code
from emergency.models import PaperAnswer, PaperVoucher
from payments import services as payments
from payments.models import LimitNotice, PaymentReceipt, ReceiptLine
from payments.on_paper import PaperLine
from reconciliation.audit.findings import Scope
from reconciliation.audit.invariants import INVARIANTS
from reconciliation.audit.runner import choose, examine
from tests import acts
from tests.conftest import NOW
from tests.emergency.conftest import approved, decide, enter, opened, print_out, printed
from vouchers.models import Delivery, InboxMessage, Voucher

D = Decimal


def state(request):
    return acts.fresh(request)[0].state


def code(act, *args, **kwargs):
    before = acts.everything()
    with pytest.raises(TreasuryError) as refusal:
        act(*args, **kwargs)
    assert acts.everything() == before
    return refusal.value.code


def audited():
    """Every invariant that can be asked of the database holds (ages are judged by a clock that stands)."""
    for invariant in INVARIANTS:
        if invariant.id not in ("I14", "I18"):
            result = examine(invariant, Scope(None, NOW))
            assert result.status != "broken", (invariant.id, result.samples)


# Printing -------------------------------------------------------------------------------------------------------------


def test_the_money_stays_reserved_and_the_number_is_of_the_usual_series(city):
    window = opened()
    earlier = acts.sent("I1", "1.00")
    request = printed(window)
    voucher = request.voucher
    assert (request.state, voucher.state, voucher.signature) == ("on_paper", "paper", "")
    assert int(voucher.voucher_no[-4:]) == int(earlier.voucher_no[-4:]) + 1
    assert acts.books("I1")["reserved"] == "101.00"
    assert (request.paper.window_id, request.paper.state) == (window.id, "printed")
    assert not Delivery.objects.filter(voucher=voucher).exists()
    moves = Transition.objects.filter(document_id=request.id).order_by("id").values_list("action", flat=True)
    assert list(moves)[-2:] == ["issue", "print"]
    audited()


def test_a_voucher_that_waits_for_its_seal_keeps_its_number(city):
    request = approved()
    acts.issue(request).raise_if_refused()
    number = acts.fresh(request)[0].voucher_no
    print_out(opened(), request).raise_if_refused()
    assert acts.fresh(request)[0].voucher_no == number and state(request) == "on_paper"


def test_a_direct_payment_takes_its_5108_along_on_paper(city):
    before = acts.limit(world.BANK_A, "11")
    request = printed(opened(), "I4", "100.00")
    notice = LimitNotice.objects.get(request=request)
    assert (notice.amount, notice.voucher.state, notice.voucher.signature) == (D("100.00"), "paper", "")
    assert D(acts.limit(world.BANK_A, "11")) == D(before) + D("100.00")
    assert not Delivery.objects.exists()
    audited()


@pytest.mark.parametrize("step", ["draft", "in_review", "sealed", "on_paper"])
def test_only_finally_approved_and_unsealed_requests_go_out_on_paper(city, step):
    window, request = opened(), acts.draft("I1", "1.00")
    if step == "in_review":
        acts.submit(request).raise_if_refused()
    if step == "sealed":
        request = acts.sent("I1", "1.00")
    if step == "on_paper":
        request = printed(window)
    assert code(lambda: print_out(window, request).raise_if_refused()) == "transition_not_allowed"


def test_the_same_hands_are_kept_apart_as_for_any_voucher(city):
    window, request = opened(), approved("I4", "100.00")
    both = acts.second_login("jkw-sh", "voucher_maker")

    def act():
        services.print_on_paper(window_id=window.id, request_ids=[request.id], maker=both, now=NOW).raise_if_refused()

    assert code(act) == "acted_before"
    clerk = world.officer("u101001-jb")

    def by_clerk():
        services.print_on_paper(window_id=window.id, request_ids=[request.id], maker=clerk, now=NOW).raise_if_refused()

    assert code(by_clerk) in ("role_required", "not_found")


def test_what_is_on_paper_can_be_neither_sealed_cancelled_nor_sent(city):
    request = printed(opened())
    assert code(lambda: acts.seal(request).raise_if_refused()) == "transition_not_allowed"
    clerk = world.officer("u101001-jb")
    for act in (
        lambda: payments.cancel_payment_vouchers(request_ids=[request.id], maker=clerk, reason="x", now=NOW),
        lambda: payments.void_refused_requests(request_ids=[request.id], maker=clerk, reason="x", now=NOW),
    ):
        assert code(lambda act=act: act().raise_if_refused()) == "transition_not_allowed"
    voucher = request.voucher
    for attempt in (
        lambda: Voucher.objects.filter(pk=voucher.pk).update(state="sealed"),
        lambda: Voucher.objects.filter(pk=voucher.pk).update(state="void"),
        lambda: Voucher.objects.filter(pk=voucher.pk).update(signature="x"),
        lambda: Delivery.objects.create(
            adm_div_code=voucher.adm_div_code,
            fiscal_year=voucher.fiscal_year,
            voucher=voucher,
            partner_id=voucher.receiver,
            next_attempt_at=NOW,
        ),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


# The code -------------------------------------------------------------------------------------------------------------


def test_the_code_is_the_papers_own_and_of_our_key(city, settings):
    window = opened()
    one, other = printed(window).voucher, printed(window).voucher
    said = verification_code(one)
    assert len(said) == 19 and said != verification_code(other)
    assert is_its_code(one, said.lower().replace("-", " ")) and not is_its_code(other, said)
    assert not is_its_code(one, "") and not is_its_code(one, "A" * 16)
    settings.GUOKU_PAPER_KEY = "another"
    assert not is_its_code(one, said)


# The answer -----------------------------------------------------------------------------------------------------------


def test_an_answer_entered_by_one_and_confirmed_by_another_settles_once(city, store):
    request = printed(opened(), "I1", "60.00", "40.00")
    before = acts.books("I1")
    enter(store, request)
    assert state(request) == "on_paper" and acts.books("I1") == before
    assert code(enter, store, request) == "transition_not_allowed"
    decide(request)
    assert state(request) == "paid" and acts.fresh(request)[0].amount_paid == D("100.00")
    books = acts.books("I1")
    assert D(books["paid"]) == D(before["paid"]) + 100 and books["reserved"] == "0.00"
    receipt = PaymentReceipt.objects.get(request=request)
    assert (receipt.message_id, receipt.amount_paid, receipt.bank_serial) == (None, D("100.00"), "ZZ0001")
    assert [line.bank_serial for line in ReceiptLine.objects.filter(receipt=receipt)] == ["ZZ0001", "ZZ0001"]
    assert code(decide, request) == "transition_not_allowed"
    assert request.voucher.state == "paper" and store.exists(PaperAnswer.objects.get().scan.digest)
    audited()


def test_failed_lines_are_released_and_may_be_repeated(city, store):
    request = printed(opened(), "I4", "60.00", "40.00")
    limit = D(acts.limit(world.BANK_A, "11"))
    enter(store, request, failed=(2,))
    decide(request)
    assert state(request) == "partially_paid" and acts.books("I4")["reserved"] == "0.00"
    assert D(acts.limit(world.BANK_A, "11")) == limit - 40
    assert LimitNotice.objects.get(amount=D("-40.00")).voucher.state == "paper"
    line = acts.line("40.00", reissue_of=request.details.get(seq=2).id)
    clerk = world.officer("u101002-jb")
    payments.save_drafts(inputs=[acts.wanted("I4", details=(line,))], clerk=clerk, now=NOW)
    audited()


def test_a_paper_the_bank_gave_back_unpaid_fails_whole(city, store):
    request = printed(opened())
    enter(store, request, failed=(1,), bank_serial="")
    decide(request)
    assert state(request) == "failed" and acts.books("I1")["reserved"] == "0.00"
    audited()


def test_a_wrong_entry_is_sent_back_and_entered_anew(city, store):
    request = printed(opened())
    enter(store, request, bank_serial="WRONG")
    assert code(decide, request, confirm=False) == "emergency_field_invalid"
    decide(request, confirm=False, reason="流水号看错")
    assert PaperVoucher.objects.get().state == "printed" and state(request) == "on_paper"
    enter(store, request)
    decide(request)
    states = PaperAnswer.objects.order_by("entered_at", "id").values_list("state", "bank_serial")
    assert sorted(states) == [("confirmed", "ZZ0001"), ("refused", "WRONG")]
    audited()


def test_printing_entering_and_confirming_are_three_people(city, store):
    request = printed(opened(), "I4", "100.00")
    assert code(enter, store, request, who="gk-kz") == "role_required"
    enter(store, request)
    assert code(decide, request, who="gk-dz") == "role_required"
    assert code(decide, request, who="gk-sh") == "role_required"
    decide(request)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE emergency_paperanswer SET decided_by_id = entered_by_id")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bank_serial": ""}, "bank_serial"),
        ({"bank_serial": "1" * 43}, "bank_serial"),
        ({"paid_on": date(2026, 6, 14)}, "paid_on"),
        ({"paid_on": date(2026, 6, 16)}, "paid_on"),
        ({"lines": ()}, "lines"),
        ({"lines": (PaperLine(1, True), PaperLine(1, True))}, "lines"),
        ({"lines": (PaperLine(1, True), PaperLine(3, True))}, "lines"),
        ({"lines": (PaperLine(1, True), PaperLine(2, False))}, "lines.2.reason"),
        ({"lines": (PaperLine(1, True), PaperLine(2, False, "x" * 101))}, "lines"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_and_nothing_stays(city, store, changes, field):
    request = printed(opened(), "I1", "60.00", "40.00")
    before = acts.everything()
    with pytest.raises(TreasuryError) as refusal:
        enter(store, request, **changes)
    assert refusal.value.field == field
    assert acts.everything() == before and not PaperAnswer.objects.exists()
    assert not [path for path in store.root.rglob("*") if path.is_file() and path.suffix != ".part"]


# Never twice ----------------------------------------------------------------------------------------------------------


def test_an_electronic_receipt_for_a_number_on_paper_is_refused_before_and_after(city, store, bank_a):
    request = printed(opened())
    for settled in (False, True):
        if settled:
            enter(store, request)
            decide(request)
        [answer] = bank_a.send(bank_a.receipt(request.voucher))
        assert answer.outcome == "refused", answer
    assert PaymentReceipt.objects.filter(request=request).count() == 1
    assert not InboxMessage.objects.filter(state="applied").exists()
    assert acts.fresh(request)[0].amount_paid == D("100.00")
    audited()


def test_the_database_takes_a_receipt_only_by_the_vouchers_own_way(city, store):
    request = acts.sent("I1", "1.00")
    with pytest.raises(DatabaseError, match="answered on paper"), transaction.atomic():
        PaymentReceipt.objects.create(
            adm_div_code=request.adm_div_code,
            fiscal_year=request.fiscal_year,
            request=request,
            voucher=request.voucher,
            amount_paid=D("1.00"),
            paid_on=date(2026, 6, 15),
            bank_serial="1",
            business_date=date(2026, 6, 15),
            at=NOW,
        )


# The audit ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE emergency_paperanswer SET bank_serial = 'X'",
        "UPDATE emergency_paperanswer SET decided_by_id = entered_by_id",
        "UPDATE emergency_paperanswer SET lines = '[[1, false, \"x\"]]'",
        "UPDATE emergency_papervoucher SET state = 'printed'",
        "UPDATE payments_paymentreceipt SET paid_on = paid_on - 1",
    ],
)
def test_whoever_changes_what_came_on_paper_is_found(city, store, statement):
    request = printed(opened())
    enter(store, request)
    decide(request)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")  # every trigger asleep
        cursor.execute("ALTER TABLE emergency_paperanswer DROP CONSTRAINT answer_by_two")
        cursor.execute(statement)
        assert cursor.rowcount == 1
    [i09] = choose(["I09"])
    assert examine(i09, Scope(None, NOW)).status == "broken"
