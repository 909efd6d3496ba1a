"""Who somebody is on a day, and what they may see."""

from datetime import date

from core.actors import system_actor
from demo import world
from parties.models import PostAssignment, User
from parties.selectors import actor_of, visible_unit_codes
from parties.services import end_post
from tests import acts


def test_a_unit_officer_sees_the_own_unit_only(city):
    clerk = world.officer("u101001-jb")
    assert (clerk.name, clerk.roles, clerk.units, clerk.sections) == ("王小燕", {"unit_clerk"}, {"101001"}, frozenset())
    assert visible_unit_codes(clerk) == ["101001"]


def test_a_section_officer_sees_the_units_of_the_section(city):
    assert visible_unit_codes(world.officer("jkw-sh")) == ["101001", "101002"]
    assert visible_unit_codes(world.officer("xzzf-sh")) == ["205001"]


def test_a_treasury_officer_sees_every_unit(city):
    assert visible_unit_codes(world.officer("gk-sh")) is None


def test_two_log_ins_are_one_person(city):
    second = acts.second_login("u101001-fh", "unit_leader", unit="101001")
    first = world.officer("u101001-fh")
    assert second.person_id == first.person_id and second.user_id != first.user_id


def test_a_post_counts_from_its_first_to_its_last_day(city):
    user = User.objects.get(username="gk-sh")
    post = PostAssignment.objects.get(user=user)
    end_post(assignment=post, last_day=date(2026, 6, 30))

    assert actor_of(user, on=date(2025, 12, 31)).roles == frozenset()
    assert actor_of(user, on=date(2026, 1, 1)).roles == {"payment_reviewer"}
    assert actor_of(user, on=date(2026, 6, 30)).roles == {"payment_reviewer"}
    assert actor_of(user, on=date(2026, 7, 1)).roles == frozenset()


def test_a_machine_is_no_person():
    assert system_actor("x").roles == {"system"} and system_actor("x").person_id is None
    assert system_actor("x", "agent_bank").roles == {"agent_bank"}
