"""Versions of chains: drafted, tried out, put in force by another, brought back; and what the database holds to."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from core.errors import RoleRequired, TransitionNotAllowed, ValidationFailed
from demo import world
from parties.chain_rules import ChainFacts, Conditions, NodeSpec
from parties.chains import Sample, activate_chain, discard_draft, draft_chain, restore_chain, try_chain
from parties.errors import ChainInvalid, FourEyes, ReviewChainMissing
from parties.models import BudgetUnit, PostAssignment, ReviewChain, ReviewSkip, User
from parties.review import choose_chains
from parties.services import end_post, grant_post
from tests import acts
from tests.conftest import NOW

D = Decimal
KIND = "payment_authorized"


@pytest.fixture
def admins(city):
    return acts.newcomer("xt-gl", "system_admin"), acts.newcomer("aq-gl", "security_admin")


def draft(by, *nodes, name="默认", conditions=None, kind=KIND, **more):
    specs = [NodeSpec(number, *node) if isinstance(node, tuple) else node for number, node in enumerate(nodes, 1)]
    values = {"conditions": conditions or Conditions(), "by": by, "now": NOW}
    return draft_chain(document_kind=kind, name=name, nodes=specs, **values, **more)


def in_force(by, other, *nodes, **more):
    return activate_chain(chain_id=draft(by, *nodes, **more).pk, by=other, now=NOW)


def facts(**changes):
    return ChainFacts(
        **{"kind": KIND, "amount": D("100.00"), "unit_code": "101001", "department_code": "101"} | changes
    )


def test_a_draft_takes_another_administrator_and_then_replaces_the_version_before(admins):
    one, other = admins
    chain = draft(one, ("unit_reviewer",), ("unit_leader", D("10.00")))
    assert (chain.version, chain.state, chain.is_default) == (2, "draft", True)
    before = choose_chains(world.REGION, {chain.pk: facts()})[chain.pk]

    with pytest.raises(FourEyes) as refusal:
        activate_chain(chain_id=chain.pk, by=one, now=NOW)
    assert (refusal.value.code, refusal.value.http_status) == ("four_eyes", 403)
    assert choose_chains(world.REGION, {chain.pk: facts()})[chain.pk] == before != chain.pk

    activate_chain(chain_id=chain.pk, by=other, now=NOW)
    assert choose_chains(world.REGION, {chain.pk: facts()})[chain.pk] == chain.pk
    assert ReviewChain.objects.get(document_kind=KIND, state="active").pk == chain.pk
    assert ReviewChain.objects.get(pk=before).state == "retired"
    with pytest.raises(TransitionNotAllowed):
        activate_chain(chain_id=chain.pk, by=other, now=NOW)


def test_an_older_version_comes_back_as_a_new_one_with_its_nodes(admins):
    one, other = admins
    first = ReviewChain.objects.get(document_kind=KIND)
    in_force(one, other, ("unit_leader",))

    back = restore_chain(chain_id=first.pk, by=other, now=NOW)

    assert (back.version, back.state, back.note) == (3, "draft", "恢复第 1 版")
    nodes = ("ordinal", "post", "amount_from")
    assert list(back.nodes.values_list(*nodes)) == list(first.nodes.values_list(*nodes))
    assert activate_chain(chain_id=back.pk, by=one, now=NOW).state == "active"


def test_only_administrators_draft_and_activate(admins):
    reviewer = world.officer("gk-kz")
    with pytest.raises(RoleRequired):
        draft(reviewer, ("unit_reviewer",))
    chain = draft(admins[0], ("unit_reviewer",))
    for act in (activate_chain, discard_draft):
        with pytest.raises(RoleRequired):
            act(chain_id=chain.pk, by=reviewer, now=NOW)


def test_every_fault_of_a_draft_is_said_at_once(admins):
    with pytest.raises(ValidationFailed) as refusal:
        draft(admins[0], ("unit_reviewer", D("5.00")), ("seal_keeper", D("5.00")), name=" ")
    assert [(f.code, f.field) for f in refusal.value.findings] == [
        ("chain_invalid", "nodes"),
        ("chain_invalid", "name"),
        ("chain_invalid", "post"),
    ]
    assert ReviewChain.objects.filter(state="draft").count() == 0


def test_a_reminder_comes_before_the_deadline(admins):
    with pytest.raises(ValidationFailed) as refusal:
        draft(admins[0], NodeSpec(1, "unit_reviewer", due_hours=8, remind_hours=8))
    assert refusal.value.field == "remind_hours"
    draft(admins[0], NodeSpec(1, "unit_reviewer", due_hours=8, remind_hours=7))


def test_there_is_one_default_and_nothing_narrower_without_it(admins):
    one, other = admins
    second = draft(one, ("unit_reviewer",), name="另一条")
    with pytest.raises(ChainInvalid):
        activate_chain(chain_id=second.pk, by=other, now=NOW)
    ReviewChain.objects.filter(document_kind=KIND, name="默认").update(state="retired")
    narrow = draft(one, ("unit_reviewer",), name="窄", conditions=Conditions(tags=frozenset({"三公"})))
    with pytest.raises(ChainInvalid):
        activate_chain(chain_id=narrow.pk, by=other, now=NOW)
    with pytest.raises(ReviewChainMissing):
        choose_chains(world.REGION, {narrow.pk: facts(tags=frozenset({"三公"}))})


def test_documents_of_one_batch_go_each_their_own_way_in_one_query(admins, django_assert_num_queries):
    narrow = in_force(*admins, ("unit_leader",), name="大额", conditions=Conditions(amount_from=D("50000.00")))
    default = ReviewChain.objects.get(document_kind=KIND, is_default=True)
    plan = ReviewChain.objects.get(document_kind="plan")
    asked = {number: facts(amount=amount) for number, amount in enumerate([D("49999.99"), D("50000.00")])}
    with django_assert_num_queries(1):
        chosen = choose_chains(world.REGION, asked | {2: facts(kind="plan")})
    assert chosen == {0: default.pk, 1: narrow.pk, 2: plan.pk}


def test_a_request_runs_on_the_chain_its_conditions_ask_for(admins):
    narrow = in_force(*admins, ("unit_leader",), name="保运行", conditions=Conditions(tags=frozenset({"保运行"})))
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    assert acts.fresh(request)[0].chain_id == narrow.pk
    assert acts.approve("u101001-fh", request).refused[request.id].code == "role_required"
    acts.approve("u101001-fz", request).raise_if_refused()
    assert acts.fresh(request)[0].state == "approved"


# The database -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"conditions": {"tags": ["x"]}},
        {"name": "别名"},
        {"priority": 5},
        {"document_kind": "plan"},
        {"version": 9},
        {"state": "draft"},
        {"drafted_by": None},
    ],
)
def test_what_is_written_once_stays(admins, change):
    chain = in_force(*admins, ("unit_reviewer",), name="甲", conditions=Conditions(units=frozenset({"101001"})))
    with pytest.raises(DatabaseError), transaction.atomic():
        ReviewChain.objects.filter(pk=chain.pk).update(**change)


def test_a_chain_in_force_takes_no_more_nodes_and_no_node_changes(admins):
    chain = ReviewChain.objects.get(document_kind=KIND)
    with pytest.raises(DatabaseError), transaction.atomic():
        chain.nodes.create(ordinal=9, post="unit_leader")
    with pytest.raises(DatabaseError), transaction.atomic():
        chain.nodes.update(countersign=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        chain.nodes.all().delete()


@pytest.mark.parametrize("who", ["same", "nobody"])
def test_the_database_wants_two_administrators_as_well(admins, who):
    chain = draft(admins[0], ("unit_reviewer",), name="甲", conditions=Conditions(units=frozenset({"1"})))
    by = chain.drafted_by_id if who == "same" else None
    with pytest.raises(IntegrityError), transaction.atomic():
        ReviewChain.objects.filter(pk=chain.pk).update(state="active", activated_by=by, activated_at=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReviewChain.objects.filter(pk=chain.pk).update(state="active")


def test_the_default_is_the_chain_without_conditions(admins):
    with pytest.raises(DatabaseError), transaction.atomic():
        ReviewChain.objects.create(adm_div_code=world.REGION, document_kind="x", conditions={"tags": ["y"]})
    with pytest.raises(DatabaseError), transaction.atomic():
        ReviewChain.objects.create(adm_div_code=world.REGION, document_kind="x", is_default=False)


# Trying out ---------------------------------------------------------------------------------------------------------


def sample(amount, clerk=None, unit="101001"):
    person = User.objects.get(username=clerk).person_id if clerk else None
    return Sample(facts(amount=D(amount), unit_code=unit), BudgetUnit.objects.get(code=unit), person)


def test_a_sample_shows_who_could_act_and_what_is_not_needed(admins):
    chain = draft(admins[0], ("unit_reviewer",), ("unit_leader", D("50000.00")))
    active = list(ReviewChain.objects.filter(state="active", document_kind=chain.document_kind))

    trial = try_chain(chain, sample("49999.99"), on=world.DAY)

    assert trial.applies and trial.passes
    first, second = trial.nodes
    assert [(c.name, c.how, c.barred) for c in first.candidates] == [("赵国强", "任岗", "")]
    assert (second.needed, second.why, second.candidates) == (False, "金额未到 50,000.00", ())
    assert try_chain(chain, sample("50000.00"), on=world.DAY).nodes[1].needed
    assert chain.state == "draft"
    assert list(ReviewChain.objects.filter(state="active", document_kind=chain.document_kind)) == active


def test_a_sample_finds_the_node_at_which_it_would_stick(admins):
    chain = draft(admins[0], NodeSpec(1, "unit_reviewer", countersign=2), ("unit_leader",))
    trial = try_chain(chain, sample("1.00", clerk="u101001-fz"), on=world.DAY)
    assert [node.fault for node in trial.nodes] == ["会签要 2 人，只有 1 人能办", "任岗的人都须回避"]
    assert trial.nodes[1].candidates[0].barred == "是本单录入人" and not trial.passes


def test_one_person_at_two_nodes_is_not_enough(admins):
    reviewer = User.objects.get(username="u101001-fh")
    grant_post(user=reviewer, post="unit_leader", unit_code="101001", valid_from=world.DAY, granted_by=admins[0])
    leave_vacant("u101001-fz")
    chain = draft(admins[0], ("unit_reviewer",), ("unit_leader",))
    trial = try_chain(chain, sample("1.00"), on=world.DAY)
    assert [[c.name for c in node.candidates] for node in trial.nodes] == [["赵国强"], ["赵国强"]]
    assert [bool(node.fault) for node in trial.nodes] == [False, True] and not trial.passes


def leave_vacant(username):
    end_post(assignment=PostAssignment.objects.get(user__username=username), last_day=date(2026, 6, 14))


def test_a_sample_says_which_other_chain_would_be_chosen(admins):
    narrow = in_force(*admins, ("unit_leader",), name="本单位", conditions=Conditions(units=frozenset({"101001"})))
    default = ReviewChain.objects.get(document_kind=KIND, is_default=True)
    trial = try_chain(default, sample("1.00"), on=world.DAY)
    assert (trial.applies, trial.rival, trial.passes) == (False, narrow, False)
    assert try_chain(default, sample("1.00", unit="205001"), on=world.DAY).applies
    foreign = try_chain(narrow, sample("1.00", unit="205001"), on=world.DAY)
    assert (foreign.applies, foreign.rival) == (False, None)


# A post that nobody holds -------------------------------------------------------------------------------------------


def test_a_node_nobody_holds_is_left_out_noted_and_stays_so(admins):
    in_force(*admins, ("unit_reviewer",), NodeSpec(2, "unit_leader", skip_if={"post_vacant": True}))
    held, vacant = acts.draft("I1", "1.00"), acts.draft("I5", "1.00")
    leave_vacant("u205001-fz")
    acts.submit(held).raise_if_refused()
    acts.submit(vacant).raise_if_refused()

    assert list(ReviewSkip.objects.values_list("document_id", "node__ordinal")) == [(vacant.id, 2)]
    acts.approve("u101001-fh", held).raise_if_refused()
    acts.approve("u205001-fh", vacant).raise_if_refused()
    assert [r.state for r in acts.fresh(held, vacant)] == ["in_review", "approved"]
    acts.issue(vacant).raise_if_refused()
    acts.seal(vacant).raise_if_refused()
    assert acts.fresh(vacant)[0].state == "sealed"


def test_a_note_of_vacancy_that_is_not_true_is_refused_by_the_database(admins):
    chain = in_force(*admins, ("unit_reviewer",), NodeSpec(2, "unit_leader", skip_if={"post_vacant": True}))
    request = acts.draft("I1", "1.00")
    for ordinal in (1, 2):  # one may not be vacant, the other is not
        with pytest.raises(DatabaseError), transaction.atomic():
            ReviewSkip.objects.create(
                adm_div_code=world.REGION,
                fiscal_year=2026,
                document_type="x",
                document_id=request.id,
                revision=1,
                node=chain.nodes.get(ordinal=ordinal),
                unit_code="101001",
                day=world.DAY,
                at=NOW,
            )


# Several persons at one node ----------------------------------------------------------------------------------------


@pytest.fixture
def two_reviewers(admins):
    """Two persons must approve at the first node, and a second reviewer is there."""
    chain = in_force(*admins, NodeSpec(1, "unit_reviewer", countersign=2), ("unit_leader", D("50000.00")))
    acts.newcomer("u101001-fh2", "unit_reviewer", unit="101001")
    return chain


def test_a_node_waits_for_as_many_as_it_asks_for(two_reviewers):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()

    acts.approve("u101001-fh", request).raise_if_refused()
    assert (acts.fresh(request)[0].state, acts.fresh(request)[0].node) == ("in_review", 1)
    assert acts.approve("u101001-fh", request).refused[request.id].code == "acted_before"

    acts.approve("u101001-fh2", request).raise_if_refused()
    assert acts.fresh(request)[0].state == "approved"
    acts.issue(request).raise_if_refused()
    acts.seal(request).raise_if_refused()
    assert acts.fresh(request)[0].state == "sealed"


def test_after_a_countersigned_node_the_next_one_comes(two_reviewers):
    request = acts.draft("I1", "50000.00")
    acts.submit(request).raise_if_refused()
    acts.approve("u101001-fh", request).raise_if_refused()
    acts.approve("u101001-fh2", request).raise_if_refused()
    assert (acts.fresh(request)[0].state, acts.fresh(request)[0].node) == ("in_review", 2)
