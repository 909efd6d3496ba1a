"""Round trips are what a payday costs: a batch of 500 sends as many statements as a batch of 10."""

from decimal import Decimal

import pytest

from core.actors import system_actor
from demo import world
from monitoring.models import MonitoringRule
from payments import services
from payments.models import PaymentRequest, Refund
from tests import acts
from tests.bank import Partner, clearing, refund_clearing
from tests.conftest import NOW
from vouchers import inbox
from vouchers.models import ExchangePartner
from vouchers.services import lock_vouchers, record_answer

FEW, MANY = 10, 500
ENVELOPE = 100  # vouchers in one envelope


def drafts(no, count):
    return services.save_drafts(
        inputs=[acts.wanted(no, "0.01")] * count, clerk=world.officer(f"{acts.CLERK_OF[no]}-jb"), now=NOW
    )


def counted(act):
    with acts.statements() as seen:
        outcome = act()
    if hasattr(outcome, "raise_if_refused"):
        outcome.raise_if_refused()
    return len(seen)


def received(partner, bodies):
    """Count what applying takes: the envelopes are stored first, then all of them are applied in one go."""
    sender = ExchangePartner.objects.get(pk=partner.organisation)
    for start in range(0, len(bodies), ENVELOPE):
        inbox._store(bodies[start : start + ENVELOPE], sender, NOW)
    return counted(lambda: inbox.apply_waiting(now=NOW))


def all_steps(no, count, bank, pboc):
    """The life of `count` requests in batches, each step with the number of its statements."""
    used = {}
    clerk = world.officer(f"{acts.CLERK_OF[no]}-jb")
    reviewer = world.officer(f"{acts.CLERK_OF[no]}-fh")
    inputs = [acts.wanted(no, "0.01")] * count
    made = []
    used["save"] = counted(lambda: made.extend(services.save_drafts(inputs=inputs, clerk=clerk, now=NOW)))
    ids = acts.ids(made)
    used["submit"] = counted(lambda: services.submit_payment_requests(request_ids=ids, clerk=clerk, now=NOW))
    used["return"] = counted(
        lambda: services.return_payment_requests(
            request_ids=ids, reviewer=reviewer, reason_code="payee", reason="", now=NOW
        )
    )
    services.submit_payment_requests(request_ids=ids, clerk=clerk, now=NOW)
    used["approve"] = counted(lambda: services.approve_payment_requests(request_ids=ids, reviewer=reviewer, now=NOW))
    for who in ("jkw-sh", "gk-sh") if no == "I4" else ():
        acts.approve(who, *made).raise_if_refused()
    used["issue"] = counted(lambda: acts.issue(*made))
    used["seal"] = counted(lambda: acts.seal(*made))
    requests = acts.fresh(*made)
    receipts = [bank.receipt(r.voucher, failed={"1": "x"} if i % 5 == 0 else {}) for i, r in enumerate(requests)]
    used["receipts"] = received(bank, receipts)
    paid = [r for r in acts.fresh(*made) if r.state == "paid"]
    assert len(paid) == count - count // 5
    kind = "2203" if no == "I4" else "2204"
    refunds = [bank.refund(f"TK{no}{count}-{i}", r, 1, "0.01", kind=kind) for i, r in enumerate(paid)]
    used["refunds"] = received(bank, refunds)
    asked, executed = clearing(bank, pboc, f"HK{no}{count}", [(r, 1) for r in paid])
    bank.send(asked)
    used["clearing"] = received(pboc, [executed])
    facts = list(Refund.objects.filter(detail__request__in=paid).select_related("detail__request"))
    assert len(facts) == len(paid)
    asked, executed = refund_clearing(bank, pboc, f"HT{no}{count}", facts)
    bank.send(asked)
    used["refund clearing"] = received(pboc, [executed])
    assert {r.state for r in acts.fresh(*paid)} == {"cleared"}
    return used


@pytest.mark.parametrize(("no", "most"), [("I1", 60), ("I4", MANY)], ids=["authorised", "direct"])
def test_every_batch_service_sends_as_many_statements_for_500_as_for_10(city, pki, no, most):
    bank, pboc = Partner(pki, world.BANK_A), Partner(pki, world.PBOC)
    all_steps(no, 5, bank, pboc)  # content types and the like are read once

    few = all_steps(no, FEW, bank, pboc)
    many = all_steps(no, most, bank, pboc)

    print(no, few)
    assert many == few
    assert max(few.values()) <= 70


def test_dispositions_do_so_too(city):
    rule = MonitoringRule.objects.get(code="M01")
    rule.parameters, rule.version = {"amount_from": "0.01"}, 2
    rule.save()
    officer = world.officer("gk-jk")

    def used(count, passed):
        requests = drafts("I1", count)
        acts.submit(*requests).raise_if_refused()
        assert {r.state for r in acts.fresh(*requests)} == {"on_hold"}
        return counted(
            lambda: services.dispose_held_requests(
                request_ids=acts.ids(requests), officer=officer, passed=passed, reason="x", now=NOW
            )
        )

    used(3, True)
    passed, rejected = used(FEW, True), used(FEW, False)
    assert (used(MANY, True), used(MANY, False)) == (passed, rejected)
    print("dispose", passed, rejected)


def test_giving_up_and_cancelling_do_so_too(city):
    clerk = world.officer("u101001-jb")

    def used(count):
        requests = drafts("I1", count)
        acts.submit(*requests).raise_if_refused()
        acts.approve_all(*requests)
        acts.issue(*requests).raise_if_refused()
        cancel = counted(
            lambda: services.cancel_payment_vouchers(request_ids=acts.ids(requests), maker=clerk, reason="x", now=NOW)
        )
        acts.issue(*requests).raise_if_refused()
        acts.seal(*requests).raise_if_refused()
        vouchers = lock_vouchers([r.voucher_id for r in acts.fresh(*requests)])
        bank = system_actor("甲银行", "agent_bank")
        refuse = counted(lambda: record_answer(vouchers, "refuse", by=bank, reason="x", now=NOW))
        void = counted(
            lambda: services.void_refused_requests(request_ids=acts.ids(requests), maker=clerk, reason="x", now=NOW)
        )
        drop = drafts("I1", count)
        given_up = counted(lambda: services.cancel_payment_requests(request_ids=acts.ids(drop), clerk=clerk, now=NOW))
        return {"cancel voucher": cancel, "refused": refuse, "void": void, "cancel": given_up}

    used(3)
    few = used(FEW)
    assert used(100) == few
    print(few)


def test_an_interactive_step_takes_few_statements(city, bank_a):
    """One request, one officer: what a click costs. Stated here so that it does not creep up."""
    request = acts.draft("I1", "1.00")
    steps = {
        "submit": lambda: acts.submit(request),
        "approve": lambda: acts.approve("u101001-fh", request),
        "issue": lambda: acts.issue(request),
        "seal": lambda: acts.seal(request),
    }
    used = {name: counted(step) for name, step in steps.items()}
    used["receipt"] = counted(lambda: bank_a.send(bank_a.receipt(acts.fresh(request)[0].voucher)))

    print(used)
    assert used.pop("receipt") <= 60  # decoding, verifying, storing and applying
    assert max(used.values()) <= 32
    assert PaymentRequest.objects.get(pk=request.pk).amount_paid == Decimal("1.00")
