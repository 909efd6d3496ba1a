"""Which chain, which nodes: the pure rule, against cases typed by hand; and everybody who asks says the same."""

import itertools
import uuid
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demo import world
from parties.chain_rules import (
    ChainFacts,
    Conditions,
    NodeSpec,
    choose,
    conditions_of,
    faults_of,
    is_complete,
    needed_nodes,
)
from parties.models import Person, PostAssignment, ReviewChain, ReviewDecision, ReviewNode, ReviewSkip
from parties.review import load_chains
from payments.approvals import Approvals
from payments.errors import ApprovalsIncomplete
from reconciliation.audit.invariants.approvals import NEEDED
from signer.facts import _needed
from tests.conftest import NOW

D = Decimal
FACTS = ChainFacts("payment_direct", D("100.00"), "11", "111", "2", frozenset({"政府采购", "保运行"}), "101001", "101")


def chain(name, priority=0, **conditions):
    return SimpleNamespace(
        document_kind="payment_direct", name=name, priority=priority, conditions=Conditions(**conditions).as_data()
    )


def of(*values):
    return frozenset(values)


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({}, True),
        ({"payment_modes": of("11", "91")}, True),
        ({"payment_modes": of("12")}, False),
        ({"fund_natures": of("111")}, True),
        ({"fund_natures": of("12")}, False),
        ({"business_types": of("1")}, False),
        ({"tags": of("政府采购", "三公")}, True),
        ({"tags": of("三公")}, False),
        ({"units": of("101001")}, True),
        ({"units": of("101002")}, False),
        ({"departments": of("101")}, True),
        ({"departments": of("205")}, False),
        ({"amount_from": D("100.00")}, True),
        ({"amount_from": D("100.01")}, False),
        ({"amount_to": D("100.01")}, True),
        ({"amount_to": D("100.00")}, False),
        ({"tags": of("政府采购"), "units": of("101002")}, False),
    ],
)
def test_a_condition_holds_or_not(conditions, holds):
    kept = Conditions(**conditions)
    assert kept.hold(FACTS) is holds
    assert conditions_of(kept.as_data()) == kept


def test_a_condition_nobody_knows_is_refused_not_ignored():
    with pytest.raises(ValueError, match="colour"):
        conditions_of({"colour": ["red"]})


def test_the_narrowest_chain_wins_whatever_the_order():
    default, tagged, both = chain("默认"), chain("采购", tags=of("政府采购")), chain(
        "采购大额", tags=of("政府采购"), amount_from=D("50.00")
    )  # fmt: skip
    unit, other = chain("本单位", units=of("101001")), chain("外单位", units=of("205001"), tags=of("政府采购"))
    for chains in itertools.permutations([default, tagged, unit, other]):
        assert choose(chains, FACTS) is unit
    assert choose([default, tagged, both], FACTS) is both
    assert choose([default, other], FACTS) is default
    assert choose([other], FACTS) is None
    assert choose([default], replace(FACTS, kind="plan")) is None


def test_of_two_as_narrow_the_higher_priority_and_then_the_name_decides():
    one, two = chain("乙", tags=of("政府采购")), chain("甲", fund_natures=of("111"))
    urgent = chain("丙", priority=1, business_types=of("2"))
    for chains in itertools.permutations([one, two, urgent]):
        assert choose(chains, FACTS) is urgent
    for chains in itertools.permutations([one, two]):
        assert choose(chains, FACTS).name == min("乙", "甲")


NODES = [
    NodeSpec(1, "unit_reviewer"),
    NodeSpec(2, "unit_leader", amount_from=D("50000.00"), amount_to=D("500000.00")),
    NodeSpec(3, "section_reviewer", skip_if={"amount_below": "1000.00", "post_vacant": True}),
    NodeSpec(4, "treasury_chief", amount_from=D("500000.00"), countersign=2),
]


@pytest.mark.parametrize(
    ("amount", "ordinals"),
    [
        ("999.99", [1]),
        ("1000.00", [1, 3]),
        ("49999.99", [1, 3]),
        ("50000.00", [1, 2, 3]),
        ("499999.99", [1, 2, 3]),
        ("500000.00", [1, 3, 4]),
    ],
)
def test_the_amount_says_which_nodes_to_the_fen(amount, ordinals):
    assert [node.ordinal for node in needed_nodes(reversed(NODES), D(amount))] == ordinals


def test_only_a_node_that_may_be_vacant_is_spared():
    assert [n.ordinal for n in needed_nodes(NODES, D("2000.00"), {1, 3})] == [1]


def test_a_node_is_complete_with_as_many_as_it_asks_for_and_no_more():
    needed = needed_nodes(NODES, D("500000.00"), {3})
    chief = (4, "treasury_chief")
    assert is_complete(needed, [(1, "unit_reviewer"), chief, chief])
    assert not is_complete(needed, [(1, "unit_reviewer"), chief])
    assert not is_complete(needed, [(1, "unit_reviewer"), chief, chief, chief])
    assert not is_complete(needed, [(1, "unit_leader"), chief, chief])
    assert not is_complete([], [])


@pytest.mark.parametrize(
    ("nodes", "field"),
    [
        ([], "nodes"),
        ([NodeSpec(2, "unit_reviewer")], "nodes"),
        ([NodeSpec(1, "unit_reviewer", amount_from=D("0.02"))], "nodes"),
        ([NodeSpec(1, "unit_reviewer", amount_to=D("100.00"))], "nodes"),
        ([NodeSpec(1, "unit_reviewer", skip_if={"post_vacant": True})], "nodes"),
        ([NodeSpec(1, "unit_reviewer", skip_if={"amount_below": "5.00"})], "nodes"),
        ([NodeSpec(1, "unit_reviewer", amount_from=D("5.00"), amount_to=D("5.00"))], "amount_to"),
        ([NodeSpec(1, "unit_reviewer", countersign=0)], "countersign"),
        ([NodeSpec(1, "unit_reviewer", skip_if={"weather": "rain"})], "skip_if"),
        ([NodeSpec(1, "unit_reviewer", amount_to=D("9.00")), NodeSpec(2, "unit_leader", D("9.01"))], "nodes"),
    ],
)
def test_a_chain_that_lets_an_amount_through_unseen_is_refused(nodes, field):
    assert [where for where, _ in faults_of(nodes, Conditions())] == [field]


def test_a_chain_need_only_cover_the_amounts_it_is_for():
    nodes = [NodeSpec(1, "unit_reviewer", amount_from=D("100.00"), amount_to=D("200.00"))]
    assert faults_of(nodes, Conditions(amount_from=D("100.00"), amount_to=D("200.00"))) == []
    assert faults_of(nodes, Conditions(amount_from=D("99.99"), amount_to=D("200.00"))) != []
    assert faults_of(nodes, Conditions(amount_from=D("100.00"), amount_to=D("200.01"))) != []
    joined = [NodeSpec(1, "unit_reviewer", amount_to=D("9.00")), NodeSpec(2, "unit_leader", D("9.00"))]
    assert faults_of(joined, Conditions()) == []


# Everybody agrees ---------------------------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 12).map(lambda n: D(n * 25) / 100)
POSTS = st.sampled_from(["unit_reviewer", "unit_leader", "section_reviewer", "payment_reviewer", "treasury_chief"])


@st.composite
def specs(draw):
    low = draw(AMOUNTS)
    skip = {}
    if draw(st.booleans()):
        skip["amount_below"] = f"{draw(AMOUNTS):.2f}"
    if draw(st.booleans()):
        skip["post_vacant"] = True
    high = draw(st.none() | AMOUNTS.filter(lambda amount: amount > low))
    return NodeSpec(0, draw(POSTS), low, high, draw(st.integers(1, 3)), skip)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nodes=st.lists(specs(), min_size=1, max_size=5), amount=AMOUNTS.map(lambda a: a + D("0.01")), data=st.data())
def test_review_issuing_signer_and_audit_agree_on_random_chains(city, nodes, amount, data):
    nodes = [replace(node, ordinal=ordinal) for ordinal, node in enumerate(nodes, start=1)]
    vacant = {n.ordinal for n in nodes if n.skip_if.get("post_vacant") and data.draw(st.booleans())}
    expected = [(n.ordinal, n.post, n.countersign) for n in needed_nodes(nodes, amount, vacant)]
    with transaction.atomic():
        document = keep(nodes, amount, vacant)
        chains = load_chains({document.chain_id}, [document])
        assert [(n.ordinal, n.post, n.countersign) for n in chains.needed(document)] == expected
        assert [(n.ordinal, n.post, n.countersign) for n in _needed([document])[document.id]] == expected
        assert audited(document) == expected
        agrees_with_issuing(document, expected)
        transaction.set_rollback(True)


def keep(nodes, amount, vacant):
    row = ReviewChain.objects.create(adm_div_code=world.REGION, document_kind="payment_direct", name="随机")
    for n in nodes:
        ReviewNode.objects.create(
            chain=row,
            **{name: getattr(n, name) for name in ("ordinal", "post", "amount_from", "amount_to", "countersign")},
            skip_if=dict(n.skip_if),
        )
    PostAssignment.objects.filter(post__in={n.post for n in nodes if n.ordinal in vacant}).update(valid_to="2026-01-02")
    document = SimpleNamespace(
        id=uuid.uuid4(), chain_id=row.id, amount=amount, revision=1, node=0, content_digest="d", created_by_id=None
    )
    for n in row.nodes.filter(ordinal__in=vacant):
        values = {"adm_div_code": world.REGION, "fiscal_year": 2026, "document_type": "x", "document_id": document.id}
        ReviewSkip.objects.create(**values, revision=1, node=n, unit_code="101001", day=world.DAY, at=NOW)
    return document


def audited(document):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.ordinal, n.post, n.countersign FROM (SELECT %s::uuid AS id, %s::numeric AS amount, 1 AS revision,"
            f" %s::uuid AS chain_id) s JOIN parties_reviewnode n ON n.chain_id = s.chain_id AND {NEEDED} ORDER BY 1",
            [str(document.id), document.amount, str(document.chain_id)],
        )
        return cursor.fetchall()


def agrees_with_issuing(document, expected):
    persons = [Person.objects.create(name=f"{n}", staff_no=f"X{n}") for n in range(sum(c for *_, c in expected))]
    decisions = [
        ReviewDecision(
            adm_div_code=world.REGION, fiscal_year=2026, document_type="x", document_id=document.id, revision=1,
            ordinal=ordinal, post=post, seat=seat, decision="approve", content_digest="d", actor_name="x", at=NOW,
        )
        for ordinal, post, countersign in expected
        for seat in range(1, countersign + 1)
    ]  # fmt: skip
    for decision, person in zip(decisions, persons, strict=True):
        with pytest.raises(ApprovalsIncomplete):
            Approvals([document]).check(document, "d")
        decision.person = person
        decision.save()
    if expected:
        Approvals([document]).check(document, "d")
