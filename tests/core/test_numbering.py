"""Numbers are given out without gaps, whoever asks at the same time."""

import pytest
from django.db import transaction

from core.models import NumberRule
from core.numbering import take_numbers
from tests import acts


def take(count=1, kind="5201", year=2026, region="990100000"):
    return take_numbers(adm_div_code=region, fiscal_year=year, kind=kind, count=count)


def test_numbers_follow_each_other_and_nothing_is_taken_for_nothing(db):
    assert take(2, kind="x") == ["2026x0000001", "2026x0000002"]
    assert take(0, kind="x") == []
    assert take(1, kind="x") == ["2026x0000003"]


def test_region_year_and_kind_count_by_themselves(db):
    take(5)
    assert take(region="990200000") == ["202652010000001"]
    assert take(year=2027) == ["202752010000001"]
    assert take(kind="8202") == ["202682020000001"]


def test_a_region_writes_its_numbers_as_it_likes(db):
    NumberRule.objects.create(adm_div_code="990100000", kind="5201", pattern="ZF{seq:04d}")
    assert take(2) == ["ZF0001", "ZF0002"]
    assert take(kind="8202") == ["202682020000001"]


def test_what_is_rolled_back_gives_its_numbers_back(db):
    take(1)

    with transaction.atomic():
        take(7)
        transaction.set_rollback(True)

    assert take(1) == ["202652010000002"]


@pytest.mark.django_db(transaction=True)
def test_eight_threads_leave_neither_gap_nor_double():
    def ten_times():
        mine = []
        for _ in range(10):
            with transaction.atomic():
                mine += take(3)
        return mine

    answers = acts.together(*[ten_times] * 8)

    taken = [number for mine in answers for number in mine]
    assert sorted(taken) == [f"20265201{seq:07d}" for seq in range(1, 241)]
