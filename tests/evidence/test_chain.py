"""Places without gaps, whoever writes and whoever sequences at the same moment, and after every crash."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from core import merkle
from core.digests import sm3_hex
from evidence import chain, kinds, streams
from evidence.errors import UnknownKind
from evidence.kinds import Kind
from evidence.models import Entry
from tests.evidence.conftest import TABLE, run, write_facts

STREAM = "990100000/2026"


def entries(stream=STREAM):
    return list(Entry.objects.filter(stream=stream).order_by("seq"))


def assert_chained(stream, count):
    """Places 1 to `count`, each chained to the one before: by the words of docs/signatures.md §6, not by our code."""
    prev = ""
    placed = [entry for entry in entries(stream) if entry.seq is not None]
    assert [entry.seq for entry in placed] == list(range(1, count + 1))
    for entry in placed:
        text = (
            f'{{"at":"{entry.noted_at:%Y-%m-%dT%H:%M:%S}Z","kind":"{entry.kind}","payload_sm3":"{entry.payload_sm3}",'
            f'"prev":"{prev}","seq":{entry.seq},"stream":"{stream}","subject":"{TABLE}/{entry.subject_id}"}}'
        )
        assert entry.prev == prev
        assert entry.entry_sm3 == sm3_hex(b"\0" + text.encode())
        prev = entry.entry_sm3


def test_entries_get_their_place_in_the_order_of_arrival(facts):
    ids = write_facts(3) + write_facts(2)
    assert chain.sequence() == 5
    assert [entry.subject_id for entry in entries()] == ids
    assert_chained(STREAM, 5)
    assert chain.sequence() == 0
    ids += write_facts(1)
    assert chain.sequence() == 1
    assert [entry.subject_id for entry in entries()] == ids
    assert_chained(STREAM, 6)


def test_each_region_and_year_has_its_own_chain(facts):
    write_facts(2)
    write_facts(3, region="990200000")
    write_facts(1, year=2027)
    assert chain.sequence() == 6
    for stream, count in ((STREAM, 2), ("990200000/2026", 3), ("990100000/2027", 1)):
        assert_chained(stream, count)


def test_the_content_of_each_fact_is_in_its_entry(facts):
    (row,) = write_facts(1)
    run(f"UPDATE {TABLE} SET revoked_at = '2026-06-16 00:00:00+00'")
    chain.sequence()
    noted, revoked = entries()
    body = sm3_hex(b"body 1")
    sha = run("SELECT encode(sha256('body 1'), 'hex')")[0][0]
    said = {
        "amount": "1.00", "at": "2026-06-15T01:00:00.250000Z", "body": body, "body_sha256": sha, "note": "fact 1",
        "region": "990100000", "year": "2026",
    }  # fmt: skip
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert noted.payload_sm3 == sm3_hex(canonical.encode())
    assert revoked.subject_id == row
    assert revoked.payload_sm3 == sm3_hex(b'{"revoked_at":"2026-06-16T00:00:00.000000Z"}')


def test_a_fact_removed_before_it_was_placed_leaves_its_entry(facts):
    write_facts(2)
    run(f"DELETE FROM {TABLE} WHERE note = 'fact 1'")
    assert chain.sequence() == 2
    assert [entry.payload_sm3 == sm3_hex(b"null") for entry in entries()] == [True, False]


def test_a_stream_of_an_unknown_kind_waits_and_holds_up_no_other(real_facts, caplog):
    write_facts(2, region="990100000")
    write_facts(1, region="990200000")
    run(f"UPDATE {TABLE} SET revoked_at = now() WHERE region = '990100000'")
    revoked = kinds.find("test.revoked")
    kinds.unregister("test.revoked")

    assert chain.sequence() == 1
    assert "a stream cannot be sequenced" in caplog.text and UnknownKind.__name__ in caplog.text
    assert all(entry.seq is None for entry in entries())

    kinds.register(revoked)
    assert chain.sequence() == 4
    assert_chained(STREAM, 4)


def test_a_stream_longer_than_a_batch_is_placed_whole(facts, monkeypatch):
    monkeypatch.setattr(chain, "BATCH", 7)
    write_facts(30)
    assert chain.sequence() == 30
    assert_chained(STREAM, 30)


def test_eight_writers_and_three_sequencers_at_once_leave_no_gap(real_facts, monkeypatch):
    monkeypatch.setattr(chain, "BATCH", 25)
    writing = threading.Event()
    writing.set()

    def write(number):
        try:
            for _ in range(15):
                write_facts(1 + number % 3)
            return 15 * (1 + number % 3)
        finally:
            connection.close()

    def keep_sequencing():
        placed = 0
        try:
            while writing.is_set():
                placed += chain.sequence()
            return placed
        finally:
            connection.close()

    with ThreadPoolExecutor(11) as pool:
        sequencers = [pool.submit(keep_sequencing) for _ in range(3)]
        writers = [pool.submit(write, number) for number in range(8)]
        written = sum(writer.result() for writer in writers)
        writing.clear()
        placed = sum(sequencer.result() for sequencer in sequencers)

    assert written == 225
    assert placed > 0  # they did work while others wrote
    assert placed + chain.sequence() == written
    assert_chained(STREAM, written)


def test_a_fact_that_commits_late_comes_after_those_placed_before(real_facts):
    """Its entry arrived first but was invisible: a place that was given out is never given out again."""
    opened, may_commit = threading.Event(), threading.Event()

    def slow_writer():
        try:
            run("BEGIN")
            write_facts(1)
            opened.set()
            may_commit.wait(10)
            run("COMMIT")
        finally:
            connection.close()

    thread = threading.Thread(target=slow_writer)
    thread.start()
    assert opened.wait(10)
    (quick,) = write_facts(1)
    assert chain.sequence() == 1
    may_commit.set()
    thread.join()
    assert chain.sequence() == 1
    first, second = entries()
    assert first.subject_id == quick and second.id < first.id
    assert_chained(STREAM, 2)


def test_a_sequencer_killed_in_the_middle_of_a_batch_places_nothing_of_it(real_facts, monkeypatch):
    """Its server process is terminated while it reads the facts of the second batch; the next sequencer goes on."""
    monkeypatch.setattr(chain, "BATCH", 10)
    write_facts(25)
    slow = Kind(
        "test.noted", "慢", TABLE, {"note": "CASE WHEN fact.note = 'fact 15' THEN pg_sleep(20)::text ELSE note END"}
    )
    quick = kinds.find("test.noted")
    kinds.unregister("test.noted")
    kinds.register(slow)

    def sequencer():
        try:
            chain.sequence()
        finally:
            connection.close()

    thread = threading.Thread(target=sequencer)
    thread.start()
    until = time.monotonic() + 10
    sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    while not (found := run(sleeping)) and time.monotonic() < until:
        time.sleep(0.02)
    run("SELECT pg_terminate_backend(%s)", found[0][0])
    thread.join(10)
    assert not thread.is_alive()
    assert Entry.objects.filter(seq__isnull=False).count() == 10  # the first batch, and nothing of the second

    kinds.unregister("test.noted")
    kinds.register(quick)
    assert chain.sequence() == 15
    assert_chained(STREAM, 25)


def test_a_sequencer_leaves_a_stream_alone_that_another_works_on(real_facts):
    write_facts(1)
    held, release = threading.Event(), threading.Event()

    def other():
        try:
            run("BEGIN")
            run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", f"evidence sequence {STREAM}")
            held.set()
            release.wait(10)
            run("COMMIT")
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    assert held.wait(10)
    assert chain.sequence() == 0
    release.set()
    thread.join()
    assert chain.sequence() == 1


@pytest.mark.parametrize("size", [1, 2, 3, 8, 13])
def test_the_leaves_of_the_tree_are_the_entries(facts, size):
    write_facts(size)
    chain.sequence()
    assert streams.leaves(STREAM, 0, size) == [bytes.fromhex(entry.entry_sm3) for entry in entries()]
    assert merkle.CompactRange().extended(streams.leaves(STREAM, 0, size)).root() == merkle.root_of(
        streams.leaves(STREAM, 0, size)
    )
