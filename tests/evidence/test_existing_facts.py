"""Facts older than the log: noted once when it is installed, and never again."""

import pytest
from django.core.management import call_command

from evidence import chain, verifying
from evidence.models import Entry
from tests.evidence.conftest import TABLE, run, untriggered, write_facts

STREAMS = {"990100000/2026", "990200000/2026"}


@pytest.fixture
def older(facts):
    """Four facts, one of them revoked, from a time when the table had no witness."""
    run(f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL")
    ids = write_facts(3) + write_facts(1, region="990200000")
    run(f"UPDATE {TABLE} SET revoked_at = '2026-06-16Z' WHERE id = %s", ids[1])
    run(f"ALTER TABLE {TABLE} ENABLE TRIGGER ALL")
    return ids


def test_they_are_noted_in_their_streams_and_the_audit_is_content(older):
    assert {finding.code for finding in verifying.check_log()} == {"fact_unnoted"}
    call_command("note_existing_facts")
    assert chain.sequence() == 5
    assert list(verifying.check_log()) == []
    assert set(Entry.objects.values_list("stream", flat=True)) == STREAMS
    (revoked,) = Entry.objects.filter(kind="test.revoked")
    assert revoked.subject_id == older[1]


def test_what_was_slipped_in_later_is_not_noted_by_a_second_run(older, capsys):
    call_command("note_existing_facts")
    assert capsys.readouterr().out.splitlines() == ["test.noted: 4 noted", "test.revoked: 1 noted"]
    chain.sequence()
    untriggered(f"INSERT INTO {TABLE} (region, year) VALUES ('990100000', 2026)", table=TABLE)
    call_command("note_existing_facts")
    assert capsys.readouterr().out == ""
    assert [finding.code for finding in verifying.check_log()] == ["fact_unnoted"]
