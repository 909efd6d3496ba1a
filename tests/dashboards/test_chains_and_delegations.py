"""The pages of review chains, delegation, dwell times and people: from the form to what stands afterwards."""

import pytest

from demo import world
from parties.models import Delegation, EmergencyPost, Person, PostAssignment, ReviewChain, ReviewDecision, User
from tests import acts

FIRST = {"node-1-post": "unit_reviewer", "node-1-persons": "1", "node-1-due": "8", "node-1-remind": "2"}
SECOND = {"node-2-post": "unit_leader", "node-2-from": "50000.00", "node-2-vacant": "1", "node-2-below": "60000.00"}


@pytest.fixture
def at(at):
    acts.newcomer("xt-gl", "system_admin")
    acts.newcomer("aq-gl", "security_admin")
    return at


def drafted(at, **changes):
    fields = {"kind": "payment_authorized", "name": "教育", "units": "101001 101002", "priority": "3"} | FIRST | SECOND
    response = at("xt-gl").post("/chains/new/", fields | changes)
    assert response.status_code == 303, response.content.decode()[:2000]
    return ReviewChain.objects.get(state="draft")


def test_a_chain_is_drafted_tried_and_put_in_force_by_another(at):
    chain = drafted(at)
    assert chain.conditions == {"units": ["101001", "101002"]} and chain.priority == 3
    node = chain.nodes.get(ordinal=2)
    assert (str(node.amount_from), node.skip_if) == ("50000.00", {"amount_below": "60000.00", "post_vacant": True})

    page = at("aq-gl").get(f"/chains/{chain.pk}/?amount=60000&unit=101001&mode=12").content.decode()
    assert "能走到底" in page and "赵国强" in page and "孙立新" in page
    other = at("aq-gl").get(f"/chains/{chain.pk}/?amount=59999.99&unit=205001").content.decode()
    assert "不会走这条链" in other and "金额未到 60,000.00" in other
    for bad in ("amount=x&unit=101001", "amount=0&unit=101001", "amount=1&unit=9", "amount=1&unit=101001&clerk=9"):
        assert at("aq-gl").get(f"/chains/{chain.pk}/?{bad}").status_code == 422

    status, answer = at("xt-gl").post_json("/chains/activate/", {"id": chain.pk})
    assert (status, answer["refused"][0]["code"]) == (403, "four_eyes")
    assert at("aq-gl").post("/chains/activate/", {"id": chain.pk}).status_code == 303
    chain.refresh_from_db()
    assert chain.state == "active"
    assert "教育" in at("xt-gl").get("/chains/").content.decode()


def test_a_form_with_faults_comes_back_with_what_was_typed(at):
    fields = {"kind": "payment_authorized", "name": "默认"} | FIRST
    response = at("xt-gl").post("/chains/new/", fields | {"node-1-from": "10.00"})
    assert response.status_code == 422 and 'value="10.00"' in response.content.decode()
    for bad in ({"node-1-from": "x"}, {"node-1-persons": "x"}, {"node-1-post": "nobody"}, {"priority": "x"}):
        assert at("xt-gl").post("/chains/new/", fields | bad).status_code == 422, bad
    assert not ReviewChain.objects.filter(state="draft").exists()


def test_an_older_version_is_brought_back_and_a_draft_given_up(at):
    chain = drafted(at)
    at("xt-gl").post("/chains/discard/", {"id": chain.pk})
    assert at("xt-gl").post("/chains/restore/", {"id": chain.pk}).status_code == 303
    assert ReviewChain.objects.filter(name="教育", version=2, state="draft").exists()
    page = at("xt-gl").get(f"/chains/new/?from={chain.pk}").content.decode()
    assert 'value="101001 101002"' in page and 'value="60000.00"' in page


# Delegation ---------------------------------------------------------------------------------------------------------


def give(at, who="u101001-fh", to="u101001-fz", **changes):
    fields = {
        "assignment": PostAssignment.objects.get(user__username=who).pk,
        "delegate": User.objects.get(username=to).pk,
        "valid_from": world.DAY.isoformat(),
        "valid_to": world.DAY.isoformat(),
        "reason": "公差",
    }
    return at(who).post("/delegations/give/", fields | changes)


def test_a_delegate_sees_the_queue_and_approves_under_both_names(at):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    assert give(at).status_code == 303
    delegation = Delegation.objects.get()
    officer = at("u101001-fz")

    assert request.request_no not in officer.get("/review/").content.decode()
    assert f"/review/?for={delegation.pk}" in officer.get("/delegations/").content.decode()
    page = officer.get(f"/review/?for={delegation.pk}").content.decode()
    assert "您正在代 赵国强 办理" in page and request.request_no in page
    assert page.count(f'name="for" value="{delegation.pk}"') == 2
    assert officer.get(f"/payments/{request.pk}/?for={delegation.pk}").status_code == 200

    plain = officer.post_json("/review/approve/", {"ids": request.pk})[1]
    assert plain["refused"][0]["code"] == "role_required"
    response = officer.post("/review/approve/", {"ids": request.pk, "for": delegation.pk})
    assert response.status_code == 303 and f"for={delegation.pk}" in response["location"]
    assert ReviewDecision.objects.get().actor_name == "孙立新（代赵国强）"
    assert "孙立新（代赵国强）" in officer.get(f"/payments/{request.pk}/").content.decode()


def test_no_other_page_knows_of_a_delegation(at):
    give(at, "gk-kz", "gk-jh")
    delegation = Delegation.objects.get()
    assert at("gk-jh").get(f"/reconciliation/?for={delegation.pk}").status_code == 403
    assert at("gk-sh").get(f"/review/?for={delegation.pk}").status_code == 403


def test_revoked_the_address_is_dead(at):
    give(at)
    delegation = Delegation.objects.get()
    assert at("u101001-fh").post("/delegations/revoke/", {"id": delegation.pk}).status_code == 303
    answer = at("u101001-fz").get(f"/review/?for={delegation.pk}")
    assert answer.status_code == 403 and "委托" in answer.content.decode()


@pytest.mark.parametrize(
    "bad", [{"delegate": ""}, {"delegate": "x"}, {"valid_from": ""}, {"valid_to": "2026-13-01"}, {"reason": " "}]
)
def test_an_incomplete_delegation_is_said_in_words(at, bad):
    assert give(at, **bad).status_code == 422
    assert not Delegation.objects.exists()


# People, dwell times ------------------------------------------------------------------------------------------------


def test_a_person_is_let_go_and_an_emergency_post_given_by_two(at):
    fields = {"user": User.objects.get(username="gk-jh").pk, "post": "payment_reviewer", "hours": "2", "reason": "病假"}
    assert at("xt-gl").post("/people/emergency/", fields | {"hours": "x"}).status_code == 422
    assert at("xt-gl").post("/people/emergency/", fields).status_code == 303
    page = at("aq-gl").get("/people/").content.decode()
    ask = page.split('name="id" value="')[1].split('"')[0]
    assert at("xt-gl").post("/people/emergency/decide/", {"id": ask, "decision": "yes"}).status_code == 403
    assert at("aq-gl").post("/people/emergency/decide/", {"id": ask, "decision": "yes"}).status_code == 303
    assert EmergencyPost.objects.count() == 1
    assert at("gk-jh").get("/review/").status_code == 200

    person = Person.objects.get(users__username="gk-sh")
    browser = at("gk-sh")
    assert at("xt-gl").post("/people/leave/", {"id": person.pk}).status_code == 303
    assert browser.get("/review/").status_code == 302
    assert "离岗" in at("aq-gl").get("/people/?q=尤志远").content.decode()


def test_the_dwell_page_goes_down_to_the_documents(at):
    request = acts.draft("I1", "1.00")
    acts.submit(request).raise_if_refused()
    acts.approve("u101001-fh", request).raise_if_refused()
    day = "from=2026-06-15&to=2026-06-15"
    assert "单位复核" in at("gk-kz").get(f"/dwell/?{day}").content.decode()
    person = Person.objects.get(users__username="u101001-fh").pk
    page = at("gk-kz").get(f"/dwell/?{day}&post=unit_reviewer&person={person}").content.decode()
    assert request.request_no in page and "赵国强" in page
