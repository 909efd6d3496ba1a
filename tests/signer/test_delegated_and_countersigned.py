"""The signer counts a delegate's approval only where the delegation held, and a node only with all its persons."""

from datetime import timedelta

import pytest
from django.utils import timezone

from core.calendar import open_day
from demo import world
from parties.delegating import acting_for
from parties.models import Delegation, PostAssignment, ReviewChain, ReviewDecision
from payments import services
from tests import acts
from tests.conftest import NOW
from tests.parties.test_delegating import delegate
from tests.signer.scene import by, holds, order_of, person, refused, seal, tampering


@pytest.fixture
def delegated(asked):
    """A direct payment whose payment reviewer was acted for by the chief; its voucher waits for the seal.

    The city stands for the whole file: what a test tampers with is put back.
    """
    delegation = Delegation.objects.first() or delegate("gk-sh", "gk-kz")
    posts = list(PostAssignment.objects.filter(post__in=("payment_reviewer", "seal_keeper")))
    request = acts.draft("I4", "12.34")
    acts.submit(request).raise_if_refused()
    for who in ("u101002-fh", "jkw-sh"):
        acts.approve(who, request).raise_if_refused()
    actor = acting_for(world.officer("gk-kz"), delegation.pk, on=world.DAY)
    services.approve_payment_requests(request_ids=[request.id], reviewer=actor, now=NOW).raise_if_refused()
    acts.issue(request).raise_if_refused()
    yield acts.fresh(request)[0]
    with tampering("parties_delegation", "parties_postassignment"):
        for row in (delegation, *posts):
            row.save()


def test_what_a_delegate_approved_is_sealed(delegated):
    order = order_of(delegated.voucher)
    [mark] = seal(order)
    assert holds(mark, world.FINANCE, order.text)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("revoked_at = granted_at", "delegation_invalid"),
        ("valid_to = '2026-06-14', valid_from = '2026-06-01'", "delegation_invalid"),
        ("valid_from = '2026-06-16'", "delegation_invalid"),
        ("post = 'treasury_chief'", "delegation_invalid"),
        ("delegate_person_id = (SELECT person_id FROM parties_user WHERE username = 'gk-jh')", "delegation_invalid"),
        ("delegator_id = (SELECT person_id FROM parties_user WHERE username = 'jkw-sh')", "approvers_not_distinct"),
        ("delegator_id = (SELECT person_id FROM parties_user WHERE username = 'u101002-jb')", "approved_by_clerk"),
    ],
)
def test_a_delegation_that_did_not_hold_seals_nothing(delegated, change, code):
    with tampering("parties_delegation") as cursor:
        cursor.execute(f"UPDATE parties_delegation SET {change}")
    assert refused(order_of(delegated.voucher)) == code


def test_a_post_its_holder_no_longer_had_seals_nothing(delegated):
    with tampering("parties_postassignment") as cursor:
        cursor.execute("UPDATE parties_postassignment SET valid_to = '2026-06-14' WHERE post = 'payment_reviewer'")
    assert refused(order_of(delegated.voucher)) == "delegation_invalid"


def test_a_revocation_after_the_decision_changes_nothing(delegated):
    with tampering("parties_delegation") as cursor:
        cursor.execute("UPDATE parties_delegation SET revoked_at = granted_at + interval '1 second'")
    assert len(seal(order_of(delegated.voucher))) == 1


def test_neither_delegate_nor_delegator_may_seal(delegated):
    """Both have had a part in it, whatever posts they hold."""
    for who in ("gk-sh", "gk-kz"):
        with tampering("parties_postassignment") as cursor:
            cursor.execute(
                "UPDATE parties_postassignment SET user_id = (SELECT id FROM parties_user WHERE username = %s)"
                " WHERE post = 'seal_keeper'",
                [who],
            )
        assert refused(order_of(delegated.voucher), warrant=by(who)) == "acted_before"


def test_a_delegation_gives_no_seal(delegated):
    """The delegate of a reviewer has no part in seals: posts are what the signer asks for."""
    assert person("gk-jh") and refused(order_of(delegated.voucher), warrant=by("gk-jh")) == "post_not_held"
    assert open_day(world.REGION).date == world.DAY and timezone.localdate() > world.DAY + timedelta(days=1)


def test_a_countersigned_node_needs_every_signature(asked):
    acts.newcomer("u101001-fh2", "unit_reviewer", unit="101001")
    chain = ReviewChain.objects.create(
        adm_div_code=world.REGION, document_kind="payment_authorized", version=2, imported=True
    )
    chain.nodes.create(ordinal=1, post="unit_reviewer", countersign=2)
    ReviewChain.objects.filter(document_kind="payment_authorized", state="active").update(state="retired")
    ReviewChain.objects.filter(pk=chain.pk).update(state="active", activated_at=NOW)
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    for who in ("u101001-fh", "u101001-fh2"):
        acts.approve(who, request).raise_if_refused()
    acts.issue(request).raise_if_refused()
    [request] = acts.fresh(request)
    assert len(seal(order_of(request.voucher), warrant=by("u101001-yz"))) == 1

    with tampering("parties_reviewdecision"):
        ReviewDecision.objects.filter(document_id=request.id, seat=2)._raw_delete("default")

    assert refused(order_of(request.voucher), warrant=by("u101001-yz")) == "approvals_incomplete"
