"""`manage.py audit` as a person or a monitor calls it: what it prints, and its exit code."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from demo import world
from reconciliation.audit.runner import run_audit
from tests.reconciliation.test_audit_history import AUDITED_AT, NOT_YET, history, outside  # noqa: F401

pytestmark = pytest.mark.django_db
IDS = [f"I{number:02d}" for number in range(1, 26)]
# Ages are judged by the clock: the history lies in June, so its open deliveries are overdue whenever this runs.
BUT_AGES = ",".join(i for i in IDS if i != "I14")


def audit(*arguments: str) -> tuple[int, str]:
    """Run the command on a connection of its own; (exit code, standard output)."""
    out = StringIO()

    def call() -> int:
        try:
            call_command("audit", *arguments, stdout=out)
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return outside(call), out.getvalue()


@pytest.fixture
def spoilt(history):  # noqa: F811
    """Every quota raised by hand, committed; put back afterwards."""

    def raise_by(amount: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE budget_quota SET amount_granted = amount_granted + %s RETURNING id", [amount])

    outside(lambda: raise_by(1))
    yield
    outside(lambda: raise_by(-1))


def test_json_names_every_invariant_and_exits_0(history):  # noqa: F811
    code, out = audit("--json", "--only", BUT_AGES, "--no-files")

    results = json.loads(out)
    assert code == 0
    assert [r["id"] for r in results] == [i for i in IDS if i != "I14"]
    assert {r["id"] for r in results if r["status"] == "not_applicable"} == NOT_YET
    assert {r["status"] for r in results if r["id"] not in NOT_YET} == {"ok"}


def test_a_broken_invariant_exits_1_and_is_told(spoilt):
    code, out = audit("--json", "--only", "I02,I03", "--sample", "2")

    i02, i03 = json.loads(out)
    assert code == 1
    assert (i02["status"], i02["count"], len(i02["samples"]), i03["status"]) == ("broken", 11, 2, "ok")
    sample = i02["samples"][0]
    assert sample.keys() == {"table", "id", "explanation", "delta"}
    assert (sample["table"], sample["delta"]) == ("budget_quota", "1.00")


def test_the_table_for_people_is_chinese(spoilt):
    code, out = audit("--only", "i01,i02", "--region", world.REGION, "--sample", "1")

    assert code == 1
    assert "余额等于明细账合计" in out and "不符" in out and "未涉及" in out
    assert "另有 10 笔" in out and "已核对 1 条，不符：I02；未涉及 1 条。" in out


@pytest.mark.parametrize(
    "arguments", [("--only", "I99"), ("--region", "990200000"), ("--sample", "-1"), ("--files", "/nowhere")]
)
def test_a_wrong_question_exits_2(history, arguments):  # noqa: F811
    with pytest.raises(CommandError) as refused:
        call_command("audit", *arguments)

    assert refused.value.returncode == 2


def test_the_audit_cannot_write(history, monkeypatch):  # noqa: F811
    seen = {}

    def look(*_arguments) -> None:
        with connection.cursor() as cursor:
            for setting in ("transaction_isolation", "transaction_read_only"):
                cursor.execute(f"SHOW {setting}")
                seen[setting] = cursor.fetchone()[0]

    monkeypatch.setattr("reconciliation.audit.runner.examine", look)

    outside(lambda: run_audit(now=AUDITED_AT))

    assert seen == {"transaction_isolation": "repeatable read", "transaction_read_only": "on"}
