"""Roots: when they are due, over what they stand, that each continues the one before, and what happens without help."""

import json
import threading
from datetime import timedelta

import pytest
from django.db import connection

from core import merkle
from core.errors import TreasuryError
from evidence import chain, rooting, selectors, streams
from evidence.errors import LogDamaged, NoSuchRoot
from evidence.models import EvidenceRoot, RootTimestamp
from tests.evidence.conftest import NOW, run, untriggered, write_facts

STREAM = "990100000/2026"
SECOND = timedelta(seconds=1)


def grow(count, at):
    """Write, place and root some facts; the roots that were made."""
    if count:
        write_facts(count)
    chain.sequence()
    return rooting.make_roots(now=at)


def all_leaves():
    return streams.leaves(STREAM, 0, streams.sizes()[STREAM])


def test_root_is_the_merkle_root_of_all_entries_and_its_text_is_signed(facts, signer):
    (root,) = grow(5, NOW + timedelta(microseconds=700))

    expected = merkle.root_of(all_leaves()).hex()
    text = b"GUOKU-ROOT-V1\0" + (
        f'{{"at":"2026-06-15T01:00:00Z","root":"{expected}","size":5,"stream":"990100000/2026"}}'.encode()
    )
    assert (root.stream, root.size, root.root, root.at) == (STREAM, 5, expected, NOW)
    assert root.signed_text == text == signer.drafts[0].text
    assert (bytes(root.signature), root.certificate_serial) == (b"signed:" + text, "0a")
    assert (signer.drafts[0].earlier, signer.drafts[0].path) == (0, ())


def test_each_root_proves_to_its_signer_that_it_continues_the_last_one(facts, signer):
    for minute, count in enumerate((3, 1, 8, 0, 5, 16)):
        grow(count, NOW + timedelta(minutes=minute))

    leaves, sizes = all_leaves(), [draft.size for draft in signer.drafts]
    assert sizes == [3, 4, 12, 12, 17, 33]
    for earlier, draft in zip(signer.drafts, signer.drafts[1:], strict=False):
        assert draft.root == merkle.root_of(leaves[: draft.size])
        assert draft.earlier == earlier.size
        assert merkle.verify_consistency(earlier.size, earlier.root, draft.size, draft.root, draft.path)


def test_a_root_is_due_after_a_minute_also_without_news_and_not_before(facts, signer):
    assert len(grow(2, NOW)) == 1
    assert grow(3, NOW + timedelta(seconds=59)) == []
    (with_news,) = grow(0, NOW + timedelta(seconds=60))
    (heartbeat,) = grow(0, NOW + timedelta(seconds=120))
    assert (with_news.size, heartbeat.size) == (5, 5)
    assert heartbeat.root == with_news.root and heartbeat.text != with_news.text


def test_a_thousand_new_entries_make_a_root_due_at_once(facts, signer):
    grow(1, NOW)
    assert grow(999, NOW + SECOND) == []
    (root,) = grow(1, NOW + 2 * SECOND)
    assert root.size == 1001


def test_a_stream_of_a_past_year_is_rooted_when_it_grows_and_otherwise_rests(facts, signer):
    write_facts(1, year=2024)
    write_facts(1, year=2025)
    chain.sequence()
    assert [root.stream for root in rooting.make_roots(now=NOW)] == ["990100000/2024", "990100000/2025"]
    assert [root.stream for root in rooting.make_roots(now=NOW + timedelta(minutes=1))] == ["990100000/2025"]
    write_facts(1, year=2024)
    chain.sequence()
    roots = rooting.make_roots(now=NOW + timedelta(minutes=2))
    assert [(root.stream, root.size) for root in roots] == [("990100000/2024", 2), ("990100000/2025", 1)]


def test_facts_that_wait_for_their_place_are_under_no_root(facts, signer):
    write_facts(2)
    chain.sequence()
    write_facts(3)
    assert [root.size for root in rooting.make_roots(now=NOW)] == [2]
    assert streams.sizes() == {STREAM: 2}


def test_without_a_signer_no_root_is_made_and_silence_is_seen(facts):
    assert grow(2, NOW) == []
    write_facts(1)
    assert EvidenceRoot.objects.count() == 0
    later = selectors.status(_after_noting(timedelta(minutes=2, seconds=1)))
    assert [(stream.silent, stream.stuck, stream.alarm) for stream in later.streams] == [(True, True, True)]
    assert later.alarm


def _after_noting(delay):
    return run("SELECT max(noted_at) FROM evidence_entry")[0][0] + delay


def test_a_refusing_signer_leaves_nothing_behind_and_other_streams_go_on(facts, caplog):
    class Refused(TreasuryError):
        code = "root_not_consistent"

    def choosy(draft):
        if draft.stream == STREAM:
            raise Refused("不是上一个根的延续。")
        return b"signature", "0a"

    rooting.set_signer(choosy)
    write_facts(1)
    write_facts(1, region="990200000")
    chain.sequence()
    assert [root.stream for root in rooting.make_roots(now=NOW)] == ["990200000/2026"]
    assert [record.code for record in caplog.records if record.name == "evidence.rooting"] == ["root_not_consistent"]
    assert not EvidenceRoot.objects.filter(stream=STREAM).exists()


def test_a_signer_that_knows_a_root_we_lost_gets_the_proof_it_asks_for(facts, signer):
    """The crash between signing and storing: the signer's last root is of a size that no row here has."""
    grow(5, NOW)
    write_facts(6)
    chain.sequence()
    leaves = all_leaves()
    lost = merkle.root_of(leaves[:7])

    path = rooting.consistency(STREAM, 7, 11)

    assert merkle.verify_consistency(7, lost, 11, merkle.root_of(leaves), path)


def test_consistency_between_any_two_sizes(facts, signer):
    for minute, count in enumerate((3, 6, 7, 1)):
        grow(count, NOW + timedelta(minutes=minute))
    leaves = all_leaves()
    for size in range(1, 18):
        for earlier in range(1, size + 1):
            path = rooting.consistency(STREAM, earlier, size)
            roots = merkle.root_of(leaves[:earlier]), merkle.root_of(leaves[:size])
            assert merkle.verify_consistency(earlier, roots[0], size, roots[1], path)
    assert rooting.consistency(STREAM, 9) == rooting.consistency(STREAM, 9, 17)
    for earlier, size in ((0, 17), (18, 17), (18, None)):
        with pytest.raises(NoSuchRoot):
            rooting.consistency(STREAM, earlier, size)
    with pytest.raises(LogDamaged):
        rooting.consistency(STREAM, 3, 18)


def test_nothing_is_signed_over_a_log_with_a_hole(facts, signer, caplog):
    grow(3, NOW)
    write_facts(4)
    chain.sequence()
    untriggered("DELETE FROM evidence_entry WHERE seq = 5")
    assert rooting.make_roots(now=NOW + timedelta(minutes=1)) == []
    assert len(signer.drafts) == 1
    assert [record.code for record in caplog.records if record.name == "evidence.rooting"] == ["evidence_log_damaged"]


def test_two_root_makers_at_once_make_one_root(real_facts, signer):
    write_facts(4)
    chain.sequence()
    inside, may_sign = threading.Event(), threading.Event()

    def slow(draft):
        inside.set()
        may_sign.wait(10)
        return b"slow", "0a"

    made = []

    def other():
        try:
            made.append(rooting.make_roots(now=NOW))
        finally:
            connection.close()

    rooting.set_signer(slow)
    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    assert rooting.make_roots(now=NOW) == []  # the stream is the other's just now
    may_sign.set()
    thread.join()
    assert [len(roots) for roots in made] == [1]
    assert rooting.make_roots(now=NOW + SECOND) == []  # and then it is no longer due
    assert EvidenceRoot.objects.count() == 1


def test_facts_are_written_and_placed_while_the_signer_takes_its_time(real_facts):
    write_facts(1)
    chain.sequence()

    def busy_meanwhile(draft):
        write_facts(2)
        assert chain.sequence() == 2
        return b"signature", "0a"

    rooting.set_signer(busy_meanwhile)
    (root,) = rooting.make_roots(now=NOW)
    assert root.size == 1 and streams.sizes() == {STREAM: 3}


class Refusing(TreasuryError):
    code = "tsa_down"


def test_time_stamps_may_come_late_and_the_newest_root_gets_one(facts, signer):
    asked = []

    def dead(text):
        asked.append(text)
        raise Refusing("时间戳服务没有应答。")

    for minute in range(3):
        grow(2, NOW + timedelta(minutes=minute))
    write_facts(1, region="990200000")
    chain.sequence()
    rooting.make_roots(now=NOW + timedelta(minutes=3))
    assert rooting.stamp_roots(now=NOW) == 0  # nobody stamps
    rooting.set_timestamper(dead)
    assert rooting.stamp_roots(now=NOW) == 0 and len(asked) == 1  # one deadline, not one for each stream

    rooting.set_timestamper(lambda text: b"token over " + text)
    assert rooting.stamp_roots(now=NOW + timedelta(hours=1)) == 2
    assert rooting.stamp_roots(now=NOW + timedelta(hours=1)) == 0

    stamps = RootTimestamp.objects.order_by("root__stream")
    assert [(stamp.root.stream, stamp.root.size) for stamp in stamps] == [(STREAM, 6), ("990200000/2026", 1)]
    assert all(bytes(stamp.token) == b"token over " + stamp.root.signed_text for stamp in stamps)


def test_status_says_how_each_stream_stands(facts, signer):
    grow(3, NOW)
    rooting.set_timestamper(lambda text: b"token")
    rooting.stamp_roots(now=NOW)
    write_facts(2)

    (stream,) = selectors.status(NOW + timedelta(seconds=90)).streams
    assert (stream.stream, stream.size, stream.waiting, stream.stuck) == (STREAM, 3, 2, False)
    assert (stream.root_age, stream.stamped_at, stream.silent) == (timedelta(seconds=90), NOW, False)
    assert stream.root == selectors.latest_root(STREAM)
    assert (stream.root.size, stream.root.root) == (3, merkle.root_of(all_leaves()).hex())
    assert not selectors.status(NOW + timedelta(seconds=120)).alarm
    assert selectors.status(NOW + timedelta(seconds=121)).streams[0].silent
    assert selectors.latest_root("990200000/2026") is None


def test_a_past_year_that_rests_is_not_silent_until_it_grows(facts, signer):
    write_facts(1, year=2024)
    chain.sequence()
    rooting.make_roots(now=NOW)
    assert not selectors.status(NOW + timedelta(days=1)).alarm
    write_facts(1, year=2024)
    chain.sequence()
    assert not selectors.status(_after_noting(timedelta(seconds=30))).alarm
    assert selectors.status(_after_noting(timedelta(seconds=121))).streams[0].silent


def test_every_entry_is_proved_under_the_root(facts, signer):
    (root,) = grow(13, NOW)
    write_facts(4)
    chain.sequence()
    leaves = all_leaves()
    proofs = selectors.inclusion(STREAM, range(1, 14))
    assert [proof.seq for proof in proofs] == list(range(1, 14))
    for proof in proofs:
        leaf = leaves[proof.seq - 1]
        assert merkle.verify_inclusion(leaf, proof.seq - 1, 13, proof.path, bytes.fromhex(root.root))
        assert not merkle.verify_inclusion(
            leaves[proof.seq % 13], proof.seq - 1, 13, proof.path, bytes.fromhex(root.root)
        )
    for outside in ([14], [0], [3, 17]):  # placed, but under no root yet; or never there
        with pytest.raises(NoSuchRoot):
            selectors.inclusion(STREAM, outside)
    assert selectors.inclusion(STREAM, []) == []


def test_exported_lines_verify_by_themselves(facts, signer):
    """What a verifier without the database does: hash payload and entry, chain, climb to the root."""
    grow(6, NOW)
    rooting.set_timestamper(lambda text: b"\x30\x00")
    rooting.stamp_roots(now=NOW)
    grow(5, NOW + timedelta(minutes=1))

    lines = [json.loads(line) for line in selectors.entry_lines(STREAM)]
    leaves, prev = [], ""
    for number, line in enumerate(lines, start=1):
        entry = json.loads(line["entry"])
        assert entry["seq"] == number and entry["prev"] == prev and entry["stream"] == STREAM
        assert entry["payload_sm3"] == merkle.sm3(line["payload"].encode()).hex()
        leaves.append(merkle.leaf_hash(line["entry"].encode()))
        prev = leaves[-1].hex()
    roots = [json.loads(line) for line in selectors.root_lines(STREAM)]
    assert [bool(root["token"]) for root in roots] == [True, False]
    for root in roots:
        prefix, text = root["text"].split("\0")
        said = json.loads(text)
        assert prefix == "GUOKU-ROOT-V1"
        assert said["root"] == merkle.root_of(leaves[: said["size"]]).hex()

    partial = [json.loads(line) for line in selectors.entry_lines(STREAM, [2, 9])]
    proofs = [json.loads(line) for line in selectors.proof_lines(STREAM, [2, 9])]
    assert [json.loads(line["entry"])["seq"] for line in partial] == [2, 9] == [proof["seq"] for proof in proofs]
    for line, proof in zip(partial, proofs, strict=True):
        path = [bytes.fromhex(node) for node in proof["path"]]
        leaf = merkle.leaf_hash(line["entry"].encode())
        assert merkle.verify_inclusion(leaf, proof["seq"] - 1, 11, path, merkle.root_of(leaves))
    assert [json.loads(line)["text"] for line in selectors.root_lines(STREAM, [11])] == [roots[1]["text"]]


def test_entries_about_a_row_are_found(facts, signer):
    first, second, third = write_facts(3)
    assert selectors.entries_of("evidence_test_fact", [first]) == []  # not placed yet
    chain.sequence()
    assert [entry.seq for entry in selectors.entries_of("evidence_test_fact", [third, first])] == [1, 3]
    assert selectors.entries_of("another_table", [second]) == []
