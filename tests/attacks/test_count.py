"""How many attacks there are, that none is listed twice, and that the page about them tells the truth."""

from tests.attacks.listing import PAGE, attacks, counted, page

AT_LEAST = {"A": 110, "B": 45, "G": 30}


def test_every_family_has_the_attacks_it_must_have():
    listed = attacks()
    forgeries = {family: sum(case.family == family for case in listed) for family in AT_LEAST}

    assert [family for family, least in AT_LEAST.items() if forgeries[family] < least] == []
    assert all(counted()[family] >= count for family, count in forgeries.items())


def test_no_attack_is_listed_twice_and_each_has_an_answer_that_accepts_nothing():
    cases = attacks()

    assert len({(case.family, case.name) for case in cases}) == len(cases)
    assert all(case.code and case.why and case.code not in ("applied", "stored", "parked") for case in cases)


def test_the_page_lists_exactly_these_attacks():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.attacks.listing writes it again"
