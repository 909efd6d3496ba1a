"""Somebody who owns the database changes one thing while every trigger sleeps: the audit names that row alone."""

from datetime import timedelta

import pytest

from core import merkle
from evidence import chain, kinds, rooting, verifying
from evidence.formats import entry_hash, entry_text
from evidence.models import Entry, EvidenceRoot, RootTimestamp
from tests.evidence.conftest import NOW, TABLE, run, untriggered, write_facts

STREAM = "990100000/2026"
OTHER = "990200000/2026"
OTHER_DIGITS = "{0} = translate({0}, '0123456789abcdef', '123456789abcdef0')"


@pytest.fixture
def ids(facts, signer, anchor_file):
    """Twelve facts under three roots in one region, two in another, one of the twelve revoked."""
    written = []
    for minute, count in enumerate((5, 4, 3)):
        written += write_facts(count)
        if minute == 1:
            run(f"UPDATE {TABLE} SET revoked_at = '2026-06-16Z' WHERE id = %s", written[0])
        if minute == 2:
            write_facts(2, region="990200000")
        chain.sequence()
        rooting.make_roots(now=NOW + timedelta(minutes=minute))
    rooting.set_timestamper(lambda text: b"token over " + text)
    rooting.stamp_roots(now=NOW)
    return written


def findings(region=None, **verifiers):
    return [(f.code, f.stream, f.table, f.row, f.seq) for f in verifying.check_log(region, **verifiers)]


def entry(seq):
    return Entry.objects.get(stream=STREAM, seq=seq)


def test_an_untouched_log_has_no_findings(ids):
    assert findings() == []
    assert (
        findings(
            verify_root=lambda text, signature, serial: (
                "" if signature == b"signed:" + text and serial == "0a" else "?"
            ),
            verify_token=lambda text, token: "" if token == b"token over " + text else "?",
        )
        == []
    )


def test_long_logs_are_walked_in_pieces(ids, monkeypatch):
    monkeypatch.setattr("evidence.selectors.CHUNK", 4)
    assert findings() == []
    run("ALTER TABLE evidence_entry DISABLE TRIGGER ALL")
    altered = entry(9)
    run("UPDATE evidence_entry SET kind = 'test.noteb' WHERE id = %s", altered.pk)
    assert ("entry_altered", STREAM, "evidence_entry", str(altered.pk), 9) in findings()


def test_facts_that_wait_for_their_place_are_no_finding(ids):
    write_facts(3)
    assert findings() == []


@pytest.mark.parametrize(
    "change",
    [
        "amount = amount + 0.01", "note = note || ' '", "note = NULL", "body = set_byte(body, 0, 99)",
        "at = at + interval '1 microsecond'", "region = '990100001'", "year = 2027",
    ],
)  # fmt: skip
def test_one_altered_column_of_one_fact_is_named(ids, change):
    untriggered(f"UPDATE {TABLE} SET {change} WHERE id = %s", ids[6], table=TABLE)
    seq = Entry.objects.get(subject_id=ids[6]).seq
    assert findings() == [("payload_differs", STREAM, TABLE, ids[6], seq)]


def test_a_column_outside_the_kind_may_change(ids):
    untriggered(f"UPDATE {TABLE} SET revoked_at = '2026-06-16Z' WHERE id = %s", ids[3], table=TABLE)
    assert findings() == [("fact_unnoted", "", TABLE, ids[3], None)]  # of the kind that is about it, and of no other


def test_a_revocation_moved_by_a_day_is_named(ids):
    untriggered(f"UPDATE {TABLE} SET revoked_at = '2026-06-17Z' WHERE id = %s", ids[0], table=TABLE)
    seq = Entry.objects.get(subject_id=ids[0], kind="test.revoked").seq
    assert findings() == [("payload_differs", STREAM, TABLE, ids[0], seq)]


def test_a_fact_taken_away_is_named_once_for_each_entry(ids):
    untriggered(f"DELETE FROM {TABLE} WHERE id = %s", ids[0], table=TABLE)
    seqs = Entry.objects.filter(subject_id=ids[0]).order_by("seq").values_list("seq", flat=True)
    assert findings() == [("fact_missing", STREAM, TABLE, ids[0], seq) for seq in seqs]


def test_a_fact_gone_before_it_was_placed_is_named(ids):
    (gone,) = write_facts(1)
    untriggered(f"DELETE FROM {TABLE} WHERE id = %s", gone, table=TABLE)
    chain.sequence()
    (found,) = verifying.check_log()
    assert (found.code, found.row) == ("fact_missing", gone) and "记入日志之前" in found.message


def test_a_fact_slipped_in_while_the_trigger_slept_is_named(ids):
    untriggered(f"INSERT INTO {TABLE} (id, region, year) VALUES (gen_random_uuid(), '990100000', 2026)", table=TABLE)
    (new,) = run(f"SELECT id::text FROM {TABLE} WHERE note IS NULL")
    expected = [("fact_unnoted", "", TABLE, new[0], None)]
    assert findings() == expected == findings("990100000")
    assert findings("990200000") == []


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'test.revoked'", "subject_id = subject_id || '0'", "subject_table = 'x'",
        "noted_at = noted_at - interval '1 second'", OTHER_DIGITS.format("payload_sm3"),
    ],
)  # fmt: skip
def test_one_altered_column_of_an_entry_is_named(ids, change):
    altered = entry(7)
    untriggered(f"UPDATE evidence_entry SET {change} WHERE id = %s", altered.pk)
    found = findings()
    assert ("entry_altered", STREAM, "evidence_entry", str(altered.pk), 7) in found
    assert {code for code, *_ in found} <= {
        "entry_altered", "payload_differs", "fact_missing", "fact_unnoted"
    }  # the other sides of the same change; the chain and the roots still hold  # fmt: skip


@pytest.mark.parametrize("other", ["0" * 64, "x" * 64, ""])
def test_an_entry_with_another_hash_breaks_the_chain_and_the_roots(ids, other):
    altered = entry(7)
    untriggered("UPDATE evidence_entry SET entry_sm3 = %s WHERE id = %s", other, altered.pk)
    found = findings()
    roots = list(EvidenceRoot.objects.filter(stream=STREAM).order_by("size").values_list("pk", "size"))
    assert ("entry_altered", STREAM, "evidence_entry", str(altered.pk), 7) in found
    assert ("chain_broken", STREAM, "evidence_entry", str(entry(8).pk), 8) in found
    assert ("root_differs", STREAM, "evidence_evidenceroot", str(roots[1][0]), roots[1][1]) in found
    assert {code for code, *_ in found} == {"entry_altered", "chain_broken", "root_differs", "forked"}


def test_a_link_to_another_entry_is_named(ids):
    altered = entry(7)
    untriggered("UPDATE evidence_entry SET prev = repeat('0', 64) WHERE id = %s", altered.pk)
    assert sorted(findings()) == [
        ("chain_broken", STREAM, "evidence_entry", str(altered.pk), 7),
        ("entry_altered", STREAM, "evidence_entry", str(altered.pk), 7),
    ]


def test_an_entry_taken_out_of_the_middle_leaves_a_gap(ids):
    gone, following = entry(7), entry(8)
    untriggered("DELETE FROM evidence_entry WHERE id = %s", gone.pk)
    found = findings()
    assert ("gap", STREAM, "evidence_entry", str(following.pk), 8) in found
    assert ("fact_unnoted", "", TABLE, gone.subject_id, None) in found
    assert "root_differs" in {code for code, *_ in found}


def test_a_tail_cut_off_is_seen_by_the_last_root_and_the_anchors(ids):
    last = EvidenceRoot.objects.filter(stream=STREAM).latest("size")
    gone = [entry(12), entry(13)]
    untriggered("DELETE FROM evidence_entry WHERE stream = %s AND seq > 11", STREAM)
    assert findings() == [
        ("truncated", STREAM, "evidence_evidenceroot", str(last.pk), 13),
        *sorted(("fact_unnoted", "", TABLE, each.subject_id, None) for each in gone),
        ("truncated", STREAM, "", "", 13),
    ]


def test_a_database_put_back_to_an_old_backup_is_seen_by_the_anchors_alone(ids):
    """Facts, entries, roots and stamps of the last minute are gone alike: the database agrees with itself."""
    untriggered("DELETE FROM evidence_roottimestamp", table="evidence_roottimestamp")
    untriggered("DELETE FROM evidence_evidenceroot WHERE size > 10", table="evidence_evidenceroot")
    rows = [each.subject_id for each in Entry.objects.filter(stream=STREAM, seq__gt=10)]
    untriggered("DELETE FROM evidence_entry WHERE stream = %s AND seq > 10", STREAM)
    untriggered(f"DELETE FROM {TABLE} WHERE id = ANY(%s::uuid[])", rows, table=TABLE)
    assert findings() == [("truncated", STREAM, "", "", 13)]


def test_a_log_rewritten_whole_is_seen_by_the_anchors_and_the_signatures(ids):
    """The owner changes an amount and computes payloads, entries, roots and root texts anew; only keys are missing."""
    untriggered(f"UPDATE {TABLE} SET amount = 999999.00 WHERE id = %s", ids[2], table=TABLE)
    run("ALTER TABLE evidence_entry DISABLE TRIGGER ALL")
    run("ALTER TABLE evidence_evidenceroot DISABLE TRIGGER ALL")
    prev, leaves = "", []
    for each in Entry.objects.filter(stream=STREAM).order_by("seq"):
        (payload,) = kinds.payloads(kinds.find(each.kind), [each.subject_id]).values()
        each.payload_sm3, each.prev = merkle.sm3(payload.encode()).hex(), prev
        prev = entry_hash(
            entry_text(
                stream=STREAM, seq=each.seq, kind=each.kind, subject=each.subject, at=each.noted_at,
                payload_sm3=each.payload_sm3, prev=prev,
            )
        )  # fmt: skip
        each.entry_sm3 = prev
        each.save()
        leaves.append(bytes.fromhex(prev))
    for root in EvidenceRoot.objects.filter(stream=STREAM):
        grown = merkle.CompactRange().extended(leaves[: root.size])
        root.text = root.text.replace(root.root, grown.root().hex())
        root.root, root.frontier = grown.root().hex(), b"".join(grown.nodes).hex()
        root.save()

    sizes = [5, 10, 13]
    assert findings() == [("forked", STREAM, "", "", size) for size in sizes]

    def verify_root(text, signature, serial):
        return "" if signature == b"signed:" + text else "签名与内容不符。"

    found = findings(verify_root=verify_root)
    assert [(code, seq) for code, *_, seq in found if code == "root_signature"] == [
        ("root_signature", size) for size in sizes
    ]


@pytest.mark.parametrize(
    "change",
    [
        OTHER_DIGITS.format("root"), "root = 'x' || substr(root, 2)", "frontier = 'x' || substr(frontier, 2)",
        "text = replace(text, '2026', '2027')", "at = at + interval '1 second'",
    ],
)  # fmt: skip
def test_one_altered_root_is_named_and_no_other(ids, change):
    root = EvidenceRoot.objects.get(stream=STREAM, size=10)
    untriggered(f"UPDATE evidence_evidenceroot SET {change} WHERE id = %s", root.pk, table="evidence_evidenceroot")
    assert findings() == [("root_differs", STREAM, "evidence_evidenceroot", str(root.pk), 10)]


def test_a_root_of_another_size_is_named(ids):
    root = EvidenceRoot.objects.get(stream=STREAM, size=10)
    untriggered("UPDATE evidence_evidenceroot SET size = 9 WHERE id = %s", root.pk, table="evidence_evidenceroot")
    assert findings() == [("root_differs", STREAM, "evidence_evidenceroot", str(root.pk), 9)]


def test_a_forged_signature_or_token_is_named_with_its_reason(ids):
    root = EvidenceRoot.objects.filter(stream=STREAM).latest("size")
    (stamp,) = RootTimestamp.objects.filter(root=root)
    forged = verifying.check_log(
        verify_root=lambda text, signature, serial: "伪造。" if b'"size":13' in text else "",
        verify_token=lambda text, token: "时间戳不是本根的。" if b'"size":13' in text else "",
    )
    found = list(forged)
    assert [(each.code, each.row) for each in found] == [
        ("root_signature", str(root.pk)),
        ("token_refused", str(root.pk)),
    ]
    assert "伪造。" in found[0].message and f"时间戳 {stamp.pk}：时间戳不是本根的。" in found[1].message


def test_one_region_is_checked_without_the_others(ids):
    untriggered(f"UPDATE {TABLE} SET amount = 7", table=TABLE)
    assert {stream for _, stream, *_ in findings(OTHER.partition("/")[0])} == {OTHER}
    assert len(findings("990200000")) == 2 and len(findings("990100000")) == 12
    assert len(findings()) == 14


def test_an_unregistered_kind_is_reported_once_and_the_rest_is_checked(ids):
    kinds.unregister("test.revoked")
    untriggered(f"UPDATE {TABLE} SET amount = 7 WHERE id = %s", ids[4], table=TABLE)
    assert [(code, row) for code, _, _, row, _ in findings()] == [("kind_unknown", ""), ("payload_differs", ids[4])]
