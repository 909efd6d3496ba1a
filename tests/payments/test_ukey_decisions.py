"""Decisions and seals where the region asks for the officer's UKey: what is signed is what is shown, once, by the right
person, on the document as it is now."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from budget.services import PlanInput, approve_plans, prepare_plan_decision, save_plans, submit_plans
from core.digests import sm3_hex
from demo import world
from parties.models import ReviewDecision
from payments import services
from payments.content import content_digest, details_of
from payments.models import PaymentDetail, PaymentRequest
from seals import errors
from seals.models import OfficerCertificate, Statement, StatementSignature, StepSignature
from seals.statements import parse_item, parse_statement, verify_item
from tests import acts
from tests.conftest import NOW
from tests.ukeys import Hand, ukeys_required

ORIGIN = "http://testserver"
ZEROES = bytes.fromhex("3006020100020100")  # r = s = 0


@pytest.fixture
def waiting(city):
    """Three authorised requests at their first node, in a region that asks for UKeys; the reviewer's hand."""
    requests = [acts.draft("I1", amount) for amount in ("120.00", "80.50", "0.01")]
    acts.submit(*requests).raise_if_refused()
    ukeys_required()
    return acts.fresh(*requests)


@pytest.fixture
def reviewer(city):
    return Hand("u101001-fh")


@contextmanager
def tampering():
    """As the database's owner with the triggers out of the way: what only an attacker inside can do."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")


def prepared(requests, who="u101001-fh", action="approve", now=NOW, **why):
    return services.prepare_decision(
        request_ids=acts.ids(requests), reviewer=world.officer(who), action=action, origin=ORIGIN, now=now, **why
    )


def approve(requests, proof, who="u101001-fh", now=NOW):
    return services.approve_payment_requests(
        request_ids=acts.ids(requests), reviewer=world.officer(who), now=now, proof=proof
    )


def test_one_signature_approves_a_batch_and_each_document_keeps_its_path(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting))

    approve(waiting, proof).raise_if_refused()

    signed = StatementSignature.objects.get()
    statement = parse_statement(signed.text)
    assert (statement.count, statement.sum, statement.action) == (3, "200.51", "approve")
    assert statement.post == "unit_reviewer" and statement.person_id == str(reviewer.person.pk)
    steps = StepSignature.objects.order_by("index")
    assert steps.count() == 3
    for step in steps:
        item = parse_item(step.item)
        request = PaymentRequest.objects.get(pk=step.document_id)
        assert verify_item(statement, step.item, step.index, step.path)
        assert (item.digest, item.amount, item.former) == (request.content_digest, f"{request.amount:.2f}", "")
        assert "临江市晨光办公用品公司 6230000000000001" in item.payee
        assert step.signature_sm3 == sm3_hex(proof.signature)
        decision = ReviewDecision.objects.get(document_id=request.pk)
        assert decision.signature_id == step.pk


def test_without_a_signature_nothing_is_approved(waiting, reviewer):
    with pytest.raises(errors.SignatureRequired):
        approve(waiting, None)
    assert {r.node for r in acts.fresh(*waiting)} == {1}
    assert not ReviewDecision.objects.exists()


def test_the_database_refuses_a_decision_without_a_signature(waiting):
    one = waiting[0]
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO parties_reviewdecision (id, adm_div_code, fiscal_year, document_type, document_id, revision, "
            "ordinal, post, decision, reason_code, reason, content_digest, person_id, actor_name, at) "
            "SELECT gen_random_uuid(), %s, 2026, 'x', %s, 1, 1, 'unit_reviewer', 'approve', '', '', '', id, 'sql', "
            "now() FROM parties_person LIMIT 1",
            [world.REGION, one.pk],
        )


def test_a_changed_amount_fails_alone_and_says_both_amounts(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting))
    changed = waiting[1]
    with tampering():
        PaymentRequest.objects.filter(pk=changed.pk).update(amount=Decimal("80.51"))
        PaymentDetail.objects.filter(request=changed).update(amount=Decimal("80.51"))
        changed.refresh_from_db()
        digest = content_digest(changed, details_of([changed])[changed.pk])
        PaymentRequest.objects.filter(pk=changed.pk).update(content_digest=digest)

    outcome = approve(waiting, proof)

    assert [r.pk for r in outcome.accepted] == sorted(r.pk for r in waiting if r.pk != changed.pk)
    refusal = outcome.refused[changed.pk]
    assert (refusal.code, refusal.field) == ("statement_outdated", "amount")
    assert "80.50" in refusal.message and "80.51" in refusal.message
    assert StepSignature.objects.count() == 2


@pytest.mark.parametrize("column", ["payee_name", "payee_account_no"])
def test_a_changed_payee_fails_that_approval(waiting, reviewer, column):
    proof = reviewer.proof(prepared(waiting))
    with tampering():
        PaymentDetail.objects.filter(request=waiting[0]).update(**{column: "6230000000009999"})

    outcome = approve(waiting, proof)

    assert outcome.refused[waiting[0].pk].code in ("content_changed", "statement_outdated")
    assert len(outcome.accepted) == 2


def test_a_document_that_was_not_shown_is_not_approved(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting[:2]))

    outcome = approve(waiting, proof)

    assert outcome.refused[waiting[2].pk].code == "statement_outdated"
    assert len(outcome.accepted) == 2


def test_a_statement_counts_once(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting))
    approve(waiting[:1], proof).raise_if_refused()

    with pytest.raises(errors.StatementUsed):
        approve(waiting[1:], proof)
    assert ReviewDecision.objects.count() == 1


def test_a_statement_expires(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting))
    approve_late = NOW + timedelta(minutes=5)

    with pytest.raises(errors.StatementExpired):
        approve(waiting, proof, now=approve_late + timedelta(seconds=1))
    approve(waiting, proof, now=approve_late).raise_if_refused()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda proof, _other: replace(proof, statement_id=uuid4()), "statement_unknown"),
        (lambda proof, _other: replace(proof, certificate_serial="00"), "statement_signature_invalid"),
        (lambda proof, _other: replace(proof, signature=proof.signature[:-1] + b"\0"), "statement_signature_invalid"),
        (
            lambda proof, _other: replace(proof, signature=b"\x30\x06\x02\x01\x00\x02\x01\x00"),
            "statement_signature_invalid",
        ),
        (lambda proof, other: replace(proof, signature=other), "statement_signature_invalid"),
    ],
    ids=["another statement", "another certificate", "last byte", "r = s = 0", "another key"],
)
def test_a_forged_proof_is_refused_with_its_reason(waiting, reviewer, spoil, code):
    asked = prepared(waiting)
    stranger = Hand("u101002-fh").sign(asked.statement.text)

    with pytest.raises(errors.SealError) as refusal:
        approve(waiting, spoil(reviewer.proof(asked), stranger))

    assert refusal.value.code == code
    assert not ReviewDecision.objects.exists() and Statement.objects.get().used_at is None


def test_nobody_uses_what_another_officer_signed(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting))
    Hand("u101001-fz")

    with pytest.raises(errors.StatementUnknown):
        approve(waiting, proof, who="u101001-fz")


def test_a_signature_to_return_does_not_approve(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting, action="return", reason_code="amount", reason=""))

    with pytest.raises(errors.StatementUnknown):
        approve(waiting, proof)


def test_the_recorded_reason_is_the_signed_one(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting[:1], action="return", reason_code="other", reason="附件缺发票"))
    arguments = {"request_ids": acts.ids(waiting[:1]), "reviewer": world.officer("u101001-fh"), "now": NOW}

    with pytest.raises(errors.StatementOutdated):
        services.return_payment_requests(**arguments, reason_code="other", reason="另外的话", proof=proof)
    services.return_payment_requests(
        **arguments, reason_code="other", reason="附件缺发票", proof=proof
    ).raise_if_refused()

    assert parse_statement(StatementSignature.objects.get().text).note == "其他 附件缺发票"


def test_approval_of_one_revision_is_worth_nothing_on_the_next(waiting, reviewer):
    asked = prepared(waiting[:1])
    proof = reviewer.proof(asked)
    PaymentRequest.objects.filter(pk=waiting[0].pk).update(revision=2)

    outcome = approve(waiting[:1], proof)

    assert outcome.refused[waiting[0].pk].code in ("content_changed", "statement_outdated")


def test_a_revoked_certificate_signs_nothing_more(waiting, reviewer):
    proof = reviewer.proof(prepared(waiting))
    OfficerCertificate.objects.filter(person=reviewer.person).update(
        status="revoked", revoked_at=NOW, revoke_reason="UKey 遗失"
    )

    with pytest.raises(errors.NoOfficerCertificate):
        approve(waiting, proof)


def test_an_officer_without_a_key_is_told_where_to_get_one(waiting):
    with pytest.raises(errors.NoOfficerCertificate, match="我的 UKey"):
        prepared(waiting)


def test_what_may_not_be_decided_is_left_out_of_the_statement(waiting, reviewer):
    mine = acts.draft("I1", "5.00")

    asked = prepared([*waiting, mine])

    assert parse_statement(asked.statement.text).count == 3
    assert {pk: refusal.code for pk, refusal in asked.refused.items()} == {mine.pk: "transition_not_allowed"}


def test_the_next_step_names_the_former_signature_and_a_fork_is_refused(city):
    request = acts.draft("I4", "60000.00")
    acts.submit(request).raise_if_refused()
    ukeys_required()
    first, second = Hand("u101002-fh"), Hand("jkw-sh")
    proof = first.proof(prepared([request], who="u101002-fh"))
    early = prepared(acts.fresh(request), who="u101002-fh")
    approve([request], proof, who="u101002-fh").raise_if_refused()

    asked = prepared(acts.fresh(request), who="jkw-sh")
    assert parse_item(asked.statement.items[0]).former == sm3_hex(proof.signature)
    approve([request], second.proof(asked), who="jkw-sh").raise_if_refused()

    outcome = approve([request], first.proof(early), who="u101002-fh")
    assert outcome.refused[request.pk].code in ("role_required", "acted_before")
    assert [s.post for s in StepSignature.objects.order_by("at", "id")] == ["unit_reviewer", "section_reviewer"]


def test_eight_tries_of_one_signature_approve_once(real_city):
    request = acts.draft("I1", "10.00")
    acts.submit(request).raise_if_refused()
    ukeys_required()
    proof = Hand("u101001-fh").proof(prepared([request]))

    answers = acts.together(*[lambda: approve([request], proof) for _ in range(8)])

    codes = [getattr(answer, "code", "ok") for answer in answers]
    assert codes.count("ok") == 1
    assert set(codes) == {"ok", "statement_used"}
    assert ReviewDecision.objects.count() == StepSignature.objects.count() == 1


def test_plans_are_decided_on_with_a_signature_too(city):
    ukeys_required()
    clerk = world.officer("u205001-jb")
    [plan] = save_plans(inputs=[PlanInput(world.indicator("I5").pk, 6, Decimal("100.00"))], clerk=clerk, now=NOW)
    submit_plans(plan_ids=[plan.pk], clerk=clerk, now=NOW).raise_if_refused()
    officer, hand = world.officer("u205001-fh"), Hand("u205001-fh")

    with pytest.raises(errors.SignatureRequired):
        approve_plans(plan_ids=[plan.pk], reviewer=officer, now=NOW)
    asked = prepare_plan_decision(plan_ids=[plan.pk], reviewer=officer, action="approve", origin=ORIGIN, now=NOW)
    approve_plans(plan_ids=[plan.pk], reviewer=officer, now=NOW, proof=hand.proof(asked)).raise_if_refused()
    assert StepSignature.objects.get().document_id == plan.pk
