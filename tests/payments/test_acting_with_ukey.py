"""What a delegate signs with the UKey says for whom; the note signed and the note recorded are the same."""

from demo import world
from parties.delegating import acting_for
from parties.models import ReviewDecision
from payments import services
from seals.models import StatementSignature
from seals.statements import parse_statement
from tests import acts
from tests.conftest import NOW
from tests.parties.test_delegating import delegate
from tests.ukeys import Hand, ukeys_required


def test_a_delegate_signs_with_his_own_key_and_says_for_whom(city):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    delegation = delegate("u101001-fh", "u101001-fz")
    ukeys_required()
    hand = Hand("u101001-fz")
    actor = acting_for(world.officer("u101001-fz"), delegation.pk, on=world.DAY)
    prepared = services.prepare_decision(
        request_ids=[request.id], reviewer=actor, action="approve", origin="https://g.example", now=NOW
    )

    outcome = services.approve_payment_requests(
        request_ids=[request.id], reviewer=actor, now=NOW, proof=hand.proof(prepared)
    )

    outcome.raise_if_refused()
    statement = parse_statement(StatementSignature.objects.get().text)
    assert (statement.officer, statement.note, statement.post) == ("孙立新", "代赵国强办理", "unit_reviewer")
    decision = ReviewDecision.objects.get()
    assert decision.signature_id is not None and decision.actor_name == "孙立新（代赵国强）"
