"""A crash in the middle of a step leaves nothing of it: no half reservation, no number, no event, no voucher."""

import pytest

from demo import world
from payments import clearing as clearing_step
from payments import issuing, receiving, refunding, reviewing, services, submitting
from payments.models import PaymentRequest
from tests import acts
from tests.bank import clearing
from tests.conftest import NOW
from vouchers.inbox import apply_waiting
from vouchers.models import InboxMessage


class PowerCut(Exception):
    pass


def cut(*arguments, **named):
    raise PowerCut


def submitted():
    request = acts.draft("I4", "5.00")
    acts.submit(request).raise_if_refused()
    return request


def approved():
    request = submitted()
    acts.approve_all(request)
    return request


def vouchered():
    request = approved()
    acts.issue(request).raise_if_refused()
    return request


def returned(request):
    return services.return_payment_requests(
        request_ids=[request.id], reviewer=world.officer("u101002-fh"), reason_code="payee", reason="", now=NOW
    )


STEPS = [
    ("submit, before the balances move", lambda: acts.draft("I4", "5.00"), acts.submit, submitting, "post"),
    ("submit, before the events", lambda: acts.draft("I4", "5.00"), acts.submit, submitting, "move"),
    ("approve, before the move", submitted, lambda r: acts.approve("u101002-fh", r), reviewing, "move"),
    ("return, before the release", submitted, returned, reviewing, "post"),
    ("return, before the revision", submitted, returned, reviewing, "_raise_revision"),
    ("issue, after the voucher", approved, acts.issue, issuing, "update_from_values"),
    ("issue, before the move", approved, acts.issue, issuing, "move"),
    ("seal, after the signature", vouchered, acts.seal, issuing, "issue_limit_notices"),
    ("seal, before the limit", vouchered, acts.seal, issuing, "post_limits"),
    ("seal, before the move", vouchered, acts.seal, issuing, "move"),
]


@pytest.mark.parametrize(("name", "before", "step", "module", "where"), STEPS, ids=[step[0] for step in STEPS])
def test_a_crash_leaves_nothing_and_the_step_can_be_taken_again(city, monkeypatch, name, before, step, module, where):
    request = before()
    state = acts.everything()

    with monkeypatch.context() as broken:
        broken.setattr(module, where, cut)
        with pytest.raises(PowerCut):
            step(request)

    assert acts.everything() == state
    step(request).raise_if_refused()


def test_a_crash_while_drafting_uses_up_no_number(city, monkeypatch):
    from payments import drafting

    with monkeypatch.context() as broken:
        broken.setattr(drafting, "_link_reissues", cut)
        with pytest.raises(PowerCut):
            acts.draft("I4", "5.00")
    assert PaymentRequest.objects.filter(imported=False).count() == 0
    assert acts.draft("I4", "5.00").request_no == "SQD2026000001"


class Poison(KeyError):
    """What the inbox catches: a message that breaks its handler."""


def poisoned(*arguments, **named):
    raise Poison


@pytest.mark.parametrize("where", ["record_receipts", "post", "issue_limit_notices", "move"])
def test_a_receipt_that_breaks_half_way_is_kept_whole_and_applied_later(city, bank_a, monkeypatch, where):
    request = acts.sent("I4", "5.00", "7.00")
    state = acts.everything()
    body = bank_a.receipt(request.voucher, failed={"2": "账号不符"})

    with monkeypatch.context() as broken:
        broken.setattr(receiving, where, poisoned)
        [answer] = bank_a.send(body)

    assert answer.outcome == "stored"  # the bank is told that we have it; nothing has happened yet
    assert acts.everything() == state
    message = InboxMessage.objects.get()
    apply_waiting(now=message.next_attempt_at)
    assert acts.fresh(request)[0].state == "partially_paid"


def test_a_refund_and_a_clearing_that_break_half_way_leave_nothing(city, bank_a, pboc, monkeypatch):
    request = acts.sent("I1", "5.00")
    bank_a.send(bank_a.receipt(request.voucher))
    asked, executed = clearing(bank_a, pboc, "HK1", [(request, 1)])
    bank_a.send(asked)
    state = acts.everything()

    with monkeypatch.context() as broken:
        broken.setattr(refunding, "post", poisoned)
        broken.setattr(clearing_step, "post_limits", poisoned)
        assert bank_a.send(bank_a.refund("TK1", request, 1, "1.00"))[0].outcome == "stored"
        assert pboc.send(executed)[0].outcome == "stored"

    assert acts.everything() == state


def test_one_poisoned_receipt_does_not_hold_up_the_others(city, bank_a, monkeypatch):
    good, bad = acts.sent("I1", "1.00"), acts.sent("I1", "2.00")
    read = receiving._read

    def sometimes(inbound, voucher, request, *rest):
        if request.id == bad.id:
            raise Poison
        return read(inbound, voucher, request, *rest)

    monkeypatch.setattr(receiving, "_read", sometimes)
    bank_a.send(bank_a.receipt(good.voucher), bank_a.receipt(bad.voucher))

    assert [r.state for r in acts.fresh(good, bad)] == ["paid", "sealed"]
