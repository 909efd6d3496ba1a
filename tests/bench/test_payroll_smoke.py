"""The parts of the payroll benchmark that need no running system, and its file through the real import."""

import os
from decimal import Decimal

import pytest

from bench import _payroll, payroll
from demo import world
from payroll import services
from payroll.persons import is_identity_no
from payroll.progress import Part, Progress
from tests.conftest import NOW
from tests.payroll import rosters

D = Decimal


def test_people_are_foretold_and_all_different():
    people = _payroll.people(3000)
    assert people == _payroll.people(3000)
    assert len({p.identity for p in people}) == len({p.card for p in people}) == 3000
    assert all(is_identity_no(p.identity) and p.net > 0 for p in people)
    assert len({p.identity for p in _payroll.people(50_000)}) == 50_000


@pytest.mark.django_db
def test_the_file_of_the_benchmark_is_imported_to_the_fen(city, tmp_path):
    people = _payroll.people(40)
    path = tmp_path / "工资.xlsx"
    _payroll.write(people, str(path))
    with path.open("rb") as content:
        batch = services.import_salary_batch(
            header=rosters.salary_header(),
            file=services.SourceFile(path.name, os.path.getsize(path), content),
            clerk=world.officer(rosters.CLERK),
            now=NOW,
        )
    assert (batch.head_count, batch.gross) == (40, _payroll.gross(people))
    assert batch.net == sum(p.net for p in people)
    assert [name for name, *_ in _payroll.read_people(str(path))] == [p.name for p in people]


def test_the_limit_builds_and_parses_every_line():
    people = [(f"教师{n}", f"6231{n:012d}", "丙银行", "10.00") for n in range(501)]
    texts = list(_payroll.Yardstick._build(people))
    rows = [row for text in texts for row in _payroll.Yardstick._parse(text)]
    assert len(texts) == 2 and len(rows) == 501
    assert rows[500][1] == "2" and rows[500][-4:] == ("6231000000000500", "教师500", "丙银行", "10.00")


def test_the_line_holds_ratios_to_the_mean_of_both_limits():
    line = payroll.result(
        rows=100,
        seconds={"import": 6.0, "seal": 33.0},
        peaks={"import": 100.0, "seal": 601.0},
        limits=[2.0, 4.0],
        wrong=[],
    )
    assert line["ratio"] == {"import": 2.0, "seal": 11.0} and line["whole_seconds"] == 39.0
    assert line["within"] == {"ratio": False, "memory": False} and line["ok"]
    assert not payroll.result(rows=1, seconds={"a": 1.0}, peaks={"a": 1.0}, limits=[1.0], wrong=["x"])["ok"]


def test_whatever_is_not_as_foretold_is_named(city, monkeypatch):
    people = _payroll.people(34)
    total = _payroll.gross(people)
    bad = sum(p.net for p in people[::2][:17])
    monkeypatch.setattr(payroll, "INDICATOR", "I2")
    first = Progress("generated", "", total, paid=Part(21, total - bad), failed=Part(17, bad))
    last = Progress("generated", "", total, paid=Part(38, total))
    faults = payroll.faults(people, first, last, 17, 17)
    assert faults == [f"indicator paid: 2000000.00, wanted {total}"]
    assert "lines repeated: 16, wanted 17" in payroll.faults(people, first, last, 16, 17)


@pytest.mark.parametrize("given", [["--rows", "1"], ["--rows", "50001"]])
def test_impossible_sizes_are_refused(given):
    with pytest.raises(SystemExit):
        payroll.arguments(given)
